//! What the process waits for: shown by /readyz, logged once per change.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is waited for, by topic.
#[derive(Debug, Default)]
pub struct Waits(Mutex<BTreeMap<String, String>>);

impl Waits {
    /// Something is waited for. Logged only if it was not known, or is told otherwise now.
    pub fn set(&self, topic: &str, why: &str) {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.get(topic).map(String::as_str) != Some(why) {
            tracing::warn!(topic, "waiting: {why}");
            waits.insert(topic.to_owned(), why.to_owned());
        }
    }

    /// It is there.
    pub fn clear(&self, topic: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(topic).is_some() {
            tracing::info!(topic, "no longer waiting");
        }
    }

    /// All that is waited for, as `topic: why`.
    pub fn list(&self) -> Vec<String> {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waits.iter().map(|(topic, why)| format!("{topic}: {why}")).collect()
    }
}
