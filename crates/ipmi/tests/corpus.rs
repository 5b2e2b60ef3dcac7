//! The fuzz targets over their committed corpus, and over random bytes.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

#[path = "../../../fuzz/harness.rs"]
mod harness;
mod targets;

use proptest::prelude::*;

const CORPUS: harness::Corpus = harness::Corpus { targets: targets::TARGETS, words: &[] };

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
    CORPUS.mutated(2000);
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, target) in targets::TARGETS {
            target(&data);
        }
    }
}

/// Random mutations of the corpus for as long as the environment says.
#[test]
#[ignore = "long: for people who look for bugs"]
fn mutations_for_a_while() {
    CORPUS.mutated_for_a_while();
}
