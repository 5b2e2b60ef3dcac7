//! The lab site, changed a little.

use std::collections::BTreeMap;

use slipway_plan::Finding;
use slipway_plan::design::Compiler;
use slipway_plan::design::files::SiteFiles;

/// A site with nothing wrong in it.
pub const LAB: &str = include_str!("sites/lab.yaml");

/// Another one, with all that the lab does without.
pub const PLANT: &str = include_str!("sites/plant.yaml");

/// A site, read and compiled.
pub struct Site {
    pub text: String,
    pub files: SiteFiles,
    pub compiled: BTreeMap<String, Compiler>,
    pub findings: Vec<Finding>,
}

impl Site {
    pub fn of(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut files = SiteFiles::read([("site.yaml", text.as_str())]);
        let compiled = files.compile();
        let findings = files.findings(&compiled);
        Self { text, files, compiled, findings }
    }

    /// The lab with texts replaced; each must occur, and is replaced once.
    pub fn lab(changes: &[(&str, &str)]) -> Self {
        let mut text = LAB.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "`{from}` is not in the lab");
            text = text.replacen(from, to, 1);
        }
        Self::of(text)
    }

    pub fn compiler(&self) -> &Compiler {
        &self.compiled["lab"]
    }

    /// The text of the line that a finding points at, from its column on.
    pub fn shown<'a>(&'a self, finding: &'a Finding) -> &'a str {
        let Some(place) = &finding.place else { return "" };
        if place.file != "site.yaml" {
            return &place.file;
        }
        let line = self.text.lines().nth(usize::try_from(place.line).expect("is there") - 1).expect("is there");
        &line[usize::try_from(place.column).expect("is there") - 1..]
    }

    /// The findings in one line each, for messages of failed assertions.
    pub fn told(&self) -> String {
        let told = self.findings.iter().map(|f| {
            let place = f.place.as_ref().map(ToString::to_string).unwrap_or_default();
            format!(
                "{place} {:?} {} {}: {} [{} {}]",
                f.severity,
                f.code,
                f.rule.unwrap_or_default(),
                f.message,
                f.object.as_deref().unwrap_or_default(),
                f.path
            )
        });
        told.collect::<Vec<_>>().join("\n")
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).expect("small")).expect("small")
    }

    pub fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }
}
