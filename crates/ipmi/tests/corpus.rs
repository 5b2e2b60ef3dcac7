//! The fuzz targets over a committed corpus (`corpus/<target>/`), over each of its files cut and mutated, and over random
//! bytes. A file that once made a target fail belongs into the corpus.
//!
//! `SLIPWAY_FUZZ_SECONDS=3600 cargo test -p slipway-ipmi --test corpus -- --ignored --nocapture` goes on for that long.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

mod targets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use targets::TARGETS;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "no corpus in {}", folder.display());
    files
}

#[test]
fn the_corpus() {
    for (name, target) in TARGETS {
        for file in &corpus(name) {
            target(file);
        }
    }
}

#[test]
fn the_corpus_cut_at_each_byte_and_with_each_byte_changed() {
    for (name, target) in TARGETS {
        for file in corpus(name) {
            (0..file.len()).for_each(|length| target(&file[..length]));
            for at in 0..file.len() {
                for change in [|_| 0x00, |_| 0xff, |byte: u8| byte ^ 0x01, |byte: u8| byte ^ 0x80] {
                    let mut changed = file.clone();
                    changed[at] = change(changed[at]);
                    target(&changed);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, target) in TARGETS {
            target(&data);
        }
    }
}

/// Random mutations of the corpus for as long as the environment says.
#[test]
#[ignore = "long: for people who look for bugs"]
fn mutations_for_a_while() {
    let seconds = std::env::var("SLIPWAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let corpora: Vec<_> = TARGETS.iter().map(|(name, target)| (*target, corpus(name))).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut runs: u64 = 0;
    while Instant::now() < end {
        for (target, files) in &corpora {
            for _ in 0..100 {
                let mut data = files[random.below(files.len())].clone();
                for _ in 0..=random.below(4) {
                    mutate(&mut data, files, &mut random);
                }
                target(&data);
                runs += 1;
            }
        }
    }
    println!("{runs} runs in {seconds} s");
}

fn mutate(data: &mut Vec<u8>, files: &[Vec<u8>], random: &mut Random) {
    let at = random.below(data.len().max(1));
    match random.below(5) {
        0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
        1 if !data.is_empty() => data[at] = u8::try_from(random.below(256)).unwrap(),
        2 => data.truncate(at),
        3 if data.len() < 4096 => data.extend_from_slice(&files[random.below(files.len())]),
        _ => data.insert(at.min(data.len()), u8::try_from(random.below(256)).unwrap()),
    }
}

/// A small generator of random numbers (xorshift), the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap() % limit
    }
}
