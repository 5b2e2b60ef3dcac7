//! The fuzz targets over their committed corpus, and over random bytes.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

#[path = "../../../fuzz/harness.rs"]
mod harness;
mod targets;

use proptest::prelude::*;

const CORPUS: harness::Corpus = harness::Corpus { targets: targets::TARGETS, words: &[] };

harness::tests!(CORPUS, damaged: usize::MAX, mutated: 2000);

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, target) in targets::TARGETS {
            target(&data);
        }
    }
}
