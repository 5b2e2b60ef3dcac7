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

harness::tests!(CORPUS, damaged: usize::MAX, mutated: 5000);
