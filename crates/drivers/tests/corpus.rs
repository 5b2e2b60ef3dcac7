//! The fuzz target of Redfish over its committed corpus.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

#[path = "../../../fuzz/harness.rs"]
mod harness;

use slipway_drivers::redfish::fuzzing;

const CORPUS: harness::Corpus = harness::Corpus {
    targets: &[("redfish_answer", fuzzing::answer)],
    words: &[
        "null",
        "[]",
        "{}",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "secret",
        "[[[[",
        "\"\"",
    ],
};

#[test]
fn files() {
    CORPUS.files();
}

#[test]
fn files_that_are_damaged_at_each_byte() {
    CORPUS.damaged(usize::MAX);
}

#[test]
fn mutations() {
    CORPUS.mutated(5000);
}

/// Random mutations of the corpus for as long as the environment says.
#[test]
#[ignore = "long: for people who look for bugs"]
fn mutations_for_a_while() {
    CORPUS.mutated_for_a_while();
}
