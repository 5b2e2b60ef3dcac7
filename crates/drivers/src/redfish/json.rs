//! What a BMC answers, as far as it is looked at. A stranger's: what is missing or of another type counts as not said, texts
//! are bounded and printable, lists are bounded, and of links only paths are taken.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::docker::text::printable;

/// Texts are cut after this many bytes.
const MAX_TEXT: usize = 128;
/// Longer links are not followed.
const MAX_PATH: usize = 1024;
/// Lists are cut after this many elements.
pub(super) const MAX_LIST: usize = 512;

/// What some put before JSON, which must not be there (RFC 8259 section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What must not be in a request line as it is; some BMCs have spaces in their links.
const UNSAFE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// A path on the BMC that is talked to. Of an absolute URL the path is taken: whatever host a BMC names, nothing is sent to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = match text.split_once("://") {
            Some((_, rest)) => rest.get(rest.find('/')?..)?,
            None => text,
        };
        // What is behind a '#' points into the resource.
        let text = text.split('#').next()?;
        // The slash at the beginning may be missing where what follows can mean but one thing.
        let text = if text.starts_with("redfish/") { format!("/{text}").into() } else { Cow::from(text) };
        if !text.starts_with('/') || text.starts_with("//") || text.len() > MAX_PATH {
            return None;
        }
        Some(Self(utf8_percent_encode(&text, UNSAFE).to_string()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A path below this one.
    pub(super) fn join(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0.trim_end_matches('/')))
    }

    /// With a query.
    pub(super) fn query(&self, query: &str) -> Self {
        Self(format!("{}?{query}", self.0))
    }

    /// The last part: mostly the resource's `Id`.
    pub(super) fn last(&self) -> &str {
        self.0.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0, MAX_TEXT))
    }
}

/// A resource that was read.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) path: Path,
    pub(super) body: Value,
    /// From the header, else from `@odata.etag` (Redfish specification DSP0266, "`ETag`s").
    pub(super) etag: Option<HeaderValue>,
}

impl Resource {
    pub(super) fn new(path: Path, body: Value, header: Option<&HeaderValue>) -> Self {
        let in_body = || HeaderValue::from_str(body.get("@odata.etag")?.as_str()?).ok();
        let etag = header.cloned().or_else(in_body).filter(|etag| !etag.is_empty() && etag.len() <= MAX_PATH);
        Self { path, body, etag }
    }
}

/// What a body says. Bytes that are no text (a serial number that was never written is full of them) and control characters as
/// they are stand for themselves alone: the rest of the answer is good.
pub(super) fn parse(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    serde_json::from_slice(body).ok().or_else(|| {
        let text: String =
            String::from_utf8_lossy(body).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        serde_json::from_str(&text).ok()
    })
}

/// A text that is not empty.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = printable(value.pointer(pointer)?.as_str()?, MAX_TEXT);
    (!text.is_empty()).then_some(text)
}

/// A text in small letters: BMCs differ in how they write the values that the schema has.
pub(super) fn word(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(|text| text.to_ascii_lowercase())
}

/// How a list that a BMC offers spells a value; `None` if it has not got it.
pub(super) fn spelled(offered: &[String], value: &str) -> Option<String> {
    offered.iter().find(|offered| offered.eq_ignore_ascii_case(value)).cloned()
}

/// A whole number that is not negative. Some BMCs write it as a text or with a fraction.
pub(super) fn whole(value: &Value, pointer: &str) -> Option<u64> {
    let found = value.pointer(pointer)?;
    found.as_u64().or_else(|| found.as_str()?.trim().parse().ok()).or_else(|| rounded(found.as_f64()?))
}

/// A number. Some BMCs write it as a text.
pub(super) fn number(value: &Value, pointer: &str) -> Option<f64> {
    let found = value.pointer(pointer)?;
    found.as_f64().or_else(|| found.as_str()?.trim().parse().ok()).filter(|number: &f64| number.is_finite())
}

/// To the nearest whole number, if it is one that can be counted to.
pub(super) fn rounded(number: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is looked at")]
    (0.0..9e15).contains(&number).then(|| number.round() as u64)
}

/// A path that is given as a text, such as the target of an action.
pub(super) fn path(value: &Value, pointer: &str) -> Option<Path> {
    Path::parse(value.pointer(pointer)?.as_str()?)
}

/// Where a link leads.
pub(super) fn link(value: &Value, pointer: &str) -> Option<Path> {
    path(value.pointer(pointer)?, "/@odata.id")
}

/// Where a list of links leads.
pub(super) fn links(value: &Value, pointer: &str) -> Vec<Path> {
    let links = elements(value, pointer).filter_map(|element| link(element, ""));
    links.collect()
}

/// The elements of a list.
pub(super) fn elements<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().take(MAX_LIST)
}

/// The texts in a list.
pub(super) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    elements(value, pointer).filter_map(|element| text(element, "")).collect()
}

/// Any JSON, made of the words that are looked for, so that what reads it is really reached.
#[cfg(test)]
pub(super) fn hostile() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;

    const WORDS: &[&str] = &[
        "@odata.id",
        "Members",
        "Members@odata.count",
        "Status",
        "State",
        "Health",
        "HealthRollup",
        "PowerState",
        "On",
        "Off",
        "Boot",
        "BootSourceOverrideTarget",
        "BootSourceOverrideEnabled",
        "BootSourceOverrideMode",
        "Pxe",
        "Once",
        "UEFI",
        "Temperatures",
        "Fans",
        "PowerSupplies",
        "Name",
        "Id",
        "Reading",
        "ReadingCelsius",
        "ReadingUnits",
        "Cel",
        "Critical",
        "Warning",
        "OK",
        "Absent",
        "error",
        "@Message.ExtendedInfo",
        "Messages",
        "Message",
        "MessageId",
        "MessageArgs",
        "code",
        "message",
        "Devices",
        "CapacityBytes",
        "CapacityMiB",
        "MACAddress",
        "Socket",
        "TotalCores",
        "UUID",
        "Image",
        "Inserted",
        "Created",
        "Severity",
        "MemorySummary",
        "TotalSystemMemoryGiB",
        "LastResetTime",
        "secret",
        "525400aabb01",
        "2026-11-21T10:00:00Z",
        "3d1f0a51-7c22-4b61-9e10-525400000001",
        "\u{1b}[31m",
        "é€😀",
    ];
    let word = prop_oneof![3 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,300}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::hash_map(word.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_paths_are_followed_and_they_stay_on_the_bmc() {
        let path = |text: &str| Path::parse(text).map(|path| path.0);
        assert_eq!(path("/redfish/v1/Systems/1").as_deref(), Some("/redfish/v1/Systems/1"));
        assert_eq!(path("/redfish/v1/Chassis/1/Thermal#/Fans/0").as_deref(), Some("/redfish/v1/Chassis/1/Thermal"));
        assert_eq!(path("https://evil.example/redfish/v1/x").as_deref(), Some("/redfish/v1/x"));
        assert_eq!(path("/a b\r\nX: y").as_deref(), Some("/a%20b%0D%0AX:%20y"));
        assert_eq!(path("redfish/v1/Systems/1").as_deref(), Some("/redfish/v1/Systems/1"));
        for wrong in
            ["", "redfish", "//evil.example/x", "https://evil.example", "https://evil.example//x", &"/a".repeat(600)]
        {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_nothing_else() {
        let value =
            parse(b"\xef\xbb\xbf{\"SerialNumber\": \"\xff\xfe\x00\x01A\",\r\n\t\"PowerState\": \"On\"}").unwrap();
        assert_eq!(text(&value, "/PowerState").as_deref(), Some("On"));
        assert!(text(&value, "/SerialNumber").unwrap().ends_with('A'));
        for wrong in [&b""[..], b"<html>", b"\xff", b"{\"a\": \"b"] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn a_value_is_sent_as_the_bmc_spells_it() {
        let offered = ["ON".to_owned(), "ForceOff".to_owned()];
        assert_eq!(spelled(&offered, "On").as_deref(), Some("ON"));
        assert_eq!(spelled(&offered, "ForceOff").as_deref(), Some("ForceOff"));
        assert_eq!(spelled(&offered, "ForceOn"), None);
        assert_eq!(word(&json!({"a": "PoweringOn"}), "/a").as_deref(), Some("poweringon"));
    }

    #[test]
    fn what_is_of_another_type_is_not_said() {
        let value =
            json!({"a": 7, "b": "  ", "c": "x\ny", "d": "12", "e": 1.6, "f": -1, "g": {"@odata.id": 5}, "h": [1, "z"]});
        assert_eq!((number(&value, "/d"), number(&value, "/e"), number(&value, "/c")), (Some(12.0), Some(1.6), None));
        assert_eq!((text(&value, "/a"), text(&value, "/b")), (None, None));
        assert_eq!(text(&value, "/c").as_deref(), Some("x y"));
        assert_eq!((whole(&value, "/d"), whole(&value, "/e"), whole(&value, "/f")), (Some(12), Some(2), None));
        assert_eq!((link(&value, "/g"), texts(&value, "/h")), (None, vec!["z".to_owned()]));
        assert!(links(&value, "/a").is_empty());
    }
}
