//! The fuzz targets over a committed corpus (`corpus/<target>/`), over its files cut and mutated, and over random bytes. A
//! file that once made a target fail belongs into the corpus.
//!
//! `SLIPWAY_FUZZ_SECONDS=3600 cargo test -p slipway-plan --test corpus -- --ignored --nocapture` goes on for that long.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

mod targets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use targets::TARGETS;

/// Mutations of each target that CI tries.
const TRIES: usize = 400;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folder = std::fs::read_dir(tests.join("corpus").join(target)).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus for {target}");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn the_corpus() {
    for (name, target) in TARGETS {
        for file in corpus(name) {
            target(&file);
        }
    }
}

#[test]
fn the_corpus_cut_and_changed() {
    for (name, target) in TARGETS {
        let files = corpus(name);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for file in &files {
            (0..file.len()).step_by(file.len() / 20 + 1).for_each(|length| target(&file[..length]));
        }
        for _ in 0..TRIES {
            target(&mutated(&files, &mut random));
        }
    }
}

/// Random mutations of the corpus for as long as the environment says.
#[test]
#[ignore = "long: for people who look for bugs"]
fn mutations_for_a_while() {
    let seconds = std::env::var("SLIPWAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(seed));
    let corpora: Vec<_> = TARGETS.iter().map(|(name, target)| (*target, corpus(name))).collect();
    let mut runs: u64 = 0;
    while Instant::now() < end {
        for (target, files) in &corpora {
            for _ in 0..20 {
                let data = mutated(files, &mut random);
                let kept = data.clone();
                if std::panic::catch_unwind(|| target(&data)).is_err() {
                    let path = std::env::temp_dir().join(format!("slipway-fuzz-{runs}.yaml"));
                    std::fs::write(&path, kept).unwrap();
                    panic!("what failed is in {}", path.display());
                }
                runs += 1;
            }
        }
    }
    println!("{runs} runs in {seconds} s");
}

fn mutated(files: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = files[random.below(files.len())].clone();
    for _ in 0..=random.below(4) {
        mutate(&mut data, files, random);
    }
    data
}

/// Pieces that mean something to YAML, to sites and to their rules.
const WORDS: &[&str] = &[
    "!",
    "-1",
    "null",
    "~",
    "[]",
    "{}",
    "'!'",
    "*a",
    "&a ",
    "<<: *a",
    "? ",
    "| ",
    ">-",
    "!!binary x",
    "!!int ",
    "---\n",
    ": ",
    "- ",
    "\t",
    "0",
    "99999999999999999999",
    "1:30",
    "010",
    "yes",
    "2026-11-28",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/33",
    "fd00::1",
    "dhcp",
    "%",
    ">99%",
    "18446744073709551615t",
    "hardwareprofile:",
    "{{ node",
    "{% for a in b %}",
    "name",
    "extends",
    "\u{fffd}",
    "\"",
    "'",
    "#",
];

fn mutate(data: &mut Vec<u8>, files: &[Vec<u8>], random: &mut Random) {
    let at = random.below(data.len().max(1));
    match random.below(7) {
        0 if !data.is_empty() => data[at] ^= 1 << random.below(7),
        1 => data.truncate(at),
        2 => drop(data.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        3 => {
            let end = (at + random.below(40)).min(data.len());
            data.splice(at..end, WORDS[random.below(WORDS.len())].bytes());
        }
        4 if data.len() < 1 << 16 => {
            let other = &files[random.below(files.len())];
            let from = random.below(other.len());
            let piece = other[from..(from + random.below(200)).min(other.len())].to_vec();
            data.splice(at..at, piece);
        }
        5 if data.len() < 1 << 16 => {
            let end = (at + random.below(300)).min(data.len());
            let piece = data[at..end].to_vec();
            data.splice(end..end, piece);
        }
        _ => {
            let end = (at + random.below(80)).min(data.len());
            data.drain(at..end);
        }
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
