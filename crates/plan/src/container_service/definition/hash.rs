//! Keyed hashes of definitions, so that a label tells nothing about a secret.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Container;

/// The key of all hashes of an installation: 32 random bytes that never change. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA-256 of a value's canonical JSON, in hex (64 digits).
    pub(super) fn hash(&self, value: &impl Serialize) -> String {
        // Plain data with text keys always has a JSON form; an HMAC takes a key of any length.
        let mut text = String::new();
        write_canonical(&serde_json::to_value(value).unwrap_or_default(), &mut text);
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// What goes into the `slipway.dev/revision` label of a container that is made from this definition and this image.
pub fn revision(container: &Container, image_digest: &str) -> String {
    digest(format!("{}\n{image_digest}", container.definition_hash).as_bytes())[..SHORT].to_owned()
}

/// Hex digits of a hash that is kept short: 16 bytes.
pub(super) const SHORT: usize = 32;

/// SHA-256 in hex. Only for what goes on into a keyed hash, or is no secret.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

/// JSON without spaces, keys in order, so that equal values have equal text whatever map they were in.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in entries {
                let _ = write!(text, "{}:", Value::from(key.as_str()));
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => {
            let _ = write!(text, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const KEY: HashKey = HashKey::new([7; 32]);

    #[test]
    fn the_order_of_a_map_does_not_matter() {
        let forward: HashMap<_, _> = (0..100).map(|n| (n.to_string(), n)).collect();
        let backward: HashMap<_, _> = (0..100).rev().map(|n| (n.to_string(), n)).collect();
        assert_eq!(KEY.hash(&forward), KEY.hash(&backward));
        assert_ne!(KEY.hash(&[1, 2]), KEY.hash(&[2, 1]));
    }

    #[test]
    fn it_is_keyed_and_stays_the_same_over_releases() {
        let value = serde_json::json!({"b": [1, "x", null], "a": {"d": true, "c": "\"\n"}});
        assert_eq!(KEY.hash(&value), "3b687633c6ddc9a5d01110f746e1a56b6284d2162eb2c270328208413be199b3");
        assert_ne!(KEY.hash(&value), HashKey::new([8; 32]).hash(&value));
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{KEY:?}"), "HashKey(…)");
    }
}
