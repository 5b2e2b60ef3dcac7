//! Runs a crate's fuzz targets in its tests: over the committed corpus (`tests/corpus/<target>/` of the crate), over its files
//! cut and changed, and over random mutations of them. A file that once made a target fail belongs into the corpus.
//!
//! `SLIPWAY_FUZZ_SECONDS=3600 cargo test -p slipway-plan --test corpus -- --ignored --nocapture` goes on for that long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A target takes any bytes, and fails only by a panic.
pub type Target = fn(&[u8]);

/// Generous: for debug builds on a busy machine. What goes on for ever takes longer.
const SOON: Duration = Duration::from_mins(1);
/// Bytes that a mutation does not add to any more.
const LARGE: usize = 1 << 16;

/// The tests of a crate's targets, and the one that goes on for as long as one likes.
macro_rules! tests {
    ($corpus:expr, damaged: $places:expr, mutated: $tries:expr) => {
        #[test]
        fn files() {
            $corpus.files();
        }

        #[test]
        fn files_that_are_damaged() {
            $corpus.damaged($places);
        }

        #[test]
        fn mutations() {
            $corpus.mutated($tries);
        }

        /// Random mutations of the corpus for as long as the environment says.
        #[test]
        #[ignore = "long: for people who look for bugs"]
        fn mutations_for_a_while() {
            $corpus.mutated_for_a_while();
        }
    };
}
pub(crate) use tests;

/// The targets of a crate.
pub struct Corpus {
    /// By the name of their folder.
    pub targets: &'static [(&'static str, Target)],
    /// Pieces that mean something to the targets.
    pub words: &'static [&'static str],
}

impl Corpus {
    /// Each file as it is.
    pub fn files(&self) {
        self.each(run);
    }

    /// Each file cut, and one byte of it changed, at so many places.
    pub fn damaged(&self, places: usize) {
        self.each(|target, file| {
            for at in (0..file.len()).step_by(file.len() / places + 1) {
                run(target, &file[..at]);
                for change in [|_| 0x00, |_| 0xff, |byte: u8| byte ^ 0x01, |byte: u8| byte ^ 0x80] {
                    let mut changed = file.to_vec();
                    changed[at] = change(changed[at]);
                    run(target, &changed);
                }
            }
        });
    }

    /// So many mutations of each target's files, the same in each run.
    pub fn mutated(&self, tries: usize) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for (name, target) in self.targets {
            let files = files(name);
            (0..tries).for_each(|_| run(*target, &self.mutation(&files, &mut random)));
        }
    }

    /// Mutations for as long as the environment says, others in each run.
    pub fn mutated_for_a_while(&self) {
        let seconds = std::env::var("SLIPWAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
        let end = Instant::now() + Duration::from_secs(seconds);
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        println!("seed {seed}");
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(seed));
        let corpora: Vec<_> = self.targets.iter().map(|(name, target)| (*target, files(name))).collect();
        let mut runs: u64 = 0;
        while Instant::now() < end {
            for (target, files) in &corpora {
                for _ in 0..20 {
                    run(*target, &self.mutation(files, &mut random));
                }
                runs += 20;
            }
        }
        println!("{runs} runs in {seconds} s");
    }

    fn each(&self, then: impl Fn(Target, &[u8])) {
        for (name, target) in self.targets {
            for file in &files(name) {
                then(*target, file);
            }
        }
    }

    fn mutation(&self, files: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut data = files[random.below(files.len())].clone();
        for _ in 0..=random.below(4) {
            self.mutate(&mut data, files, random);
        }
        data
    }

    fn mutate(&self, data: &mut Vec<u8>, files: &[Vec<u8>], random: &mut Random) {
        let at = random.below(data.len().max(1));
        let length = data.len();
        let upto = |most: usize| (at + most).min(length);
        match random.below(8) {
            0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            1 if !data.is_empty() => data[at] = u8::try_from(random.below(256)).unwrap(),
            2 => data.truncate(at),
            3 if !self.words.is_empty() => {
                let end = upto(random.below(40));
                data.splice(at..end, self.words[random.below(self.words.len())].bytes());
            }
            4 if !self.words.is_empty() => {
                data.splice(at..at, self.words[random.below(self.words.len())].bytes());
            }
            5 if data.len() < LARGE => {
                let other = &files[random.below(files.len())];
                let from = random.below(other.len().max(1));
                let to = (from + random.below(200)).min(other.len());
                data.splice(at..at, other[from..to].to_vec());
            }
            6 if data.len() < LARGE => {
                let end = upto(random.below(300));
                data.extend_from_within(at..end);
                data[at..].rotate_right(end - at);
            }
            _ => drop(data.drain(at..upto(random.below(80)))),
        }
    }
}

/// Runs a target. Input that it fails on is kept, and the failure says where.
fn run(target: Target, data: &[u8]) {
    let started = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| target(data)));
    let took = started.elapsed();
    if ended.is_err() || took > SOON {
        let path = std::env::temp_dir().join(format!("slipway-fuzz-{}", std::process::id()));
        std::fs::write(&path, data).unwrap();
        panic!("the input that failed, after {took:?}, is in {}", path.display());
    }
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus in {}", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
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
