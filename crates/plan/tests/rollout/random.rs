//! Random cases from one printed seed.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Cases of each property.
pub const CASES: u64 = 10_000;

/// The seed of this run, printed: `SLIPWAY_ROLLOUT_SEED` repeats another one's.
pub fn seed() -> u64 {
    let given = std::env::var("SLIPWAY_ROLLOUT_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.subsec_nanos().into())
    });
    println!("SLIPWAY_ROLLOUT_SEED={seed}, {CASES} cases");
    seed
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).expect("small")).expect("small")
    }

    pub fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    pub fn budget(&mut self, least: usize, most: usize) -> IntOrString {
        if self.one_in(2) {
            IntOrString::Int(i32::try_from(least + self.below(most)).expect("small"))
        } else {
            IntOrString::String(format!("{}%", least + self.below(100)))
        }
    }
}
