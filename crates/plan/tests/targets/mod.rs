//! What is fuzzed: functions that take any bytes, and fail only by a panic, or by what must hold of every input.
//! `corpus.rs` runs them over the files in `corpus/` and over mutations of these; the crate `fuzz/` gives them to libFuzzer.

pub mod compose;
pub mod sites;

use slipway_plan::formats::yaml;
use slipway_plan::{Finding, Place};

/// A target by the name of its corpus.
type Named = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Named] = &[
    ("drydock_import", sites::import),
    ("design_compile", sites::compile),
    ("compose_read", compose::read),
    ("compose_import", compose::import),
];

/// Most bytes of a message: findings tell of the text, and do not repeat it.
const MESSAGE: usize = 4000;

/// Findings are told in few words, and at a place that the text has.
fn told(findings: &[Finding], text: &str) {
    let lines = lines(text);
    for finding in findings {
        let length = finding.message.len() + finding.hint.as_ref().map_or(0, String::len);
        assert!(length < MESSAGE, "a message of {length} bytes");
        finding.place.iter().for_each(|place| inside(place, &lines));
    }
}

/// A place is in the text, or right behind it, where something is missing.
fn inside(place: &Place, lines: &[&str]) {
    let line = usize::try_from(place.line).unwrap().checked_sub(1).unwrap_or_else(|| panic!("{place}"));
    let columns = match lines.get(line) {
        Some(text) => text.chars().count() + 1,
        None if line == lines.len() => 1,
        None => panic!("{place} of {} lines", lines.len()),
    };
    let column = usize::try_from(place.column).unwrap();
    assert!((1..=columns).contains(&column), "{place} in a line of {} characters", columns - 1);
}

/// The lines of a text as YAML counts them.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        rest = &rest[end..];
        rest = rest.strip_prefix("\r\n").unwrap_or_else(|| &rest[1..]);
    }
    lines.push(rest);
    lines
}

/// What is printed says the same when it is read, and is printed the same again.
fn printed(value: &serde_json::Value) {
    let text = yaml::write(value).unwrap();
    let read = yaml::documents(&text).unwrap_or_else(|error| panic!("{error:?} in {text}"));
    assert_eq!(read.iter().map(|document| &document.value).collect::<Vec<_>>(), [value], "{text}");
}
