//! One measured figure, and how figures are shown.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

/// A figure with what it is held against.
#[allow(clippy::struct_field_names)] // `figure` is the name that readers of the JSON look for.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub figure: String,
    /// The result.
    pub value: f64,
    /// Unit of all three numbers; empty for a count or a ratio.
    pub unit: &'static str,
    /// The most that it may be; the least, with `at_least`.
    pub goal: f64,
    /// More is better.
    pub at_least: bool,
    /// The same thing done by the reference, in the same run.
    pub reference: Option<Reference>,
    /// Whether the goal is met.
    pub met: bool,
}

/// What a figure is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Reference {
    /// What it is.
    pub what: &'static str,
    /// Its own result.
    pub value: f64,
    /// The unit of its result, and of what it was compared with.
    pub unit: &'static str,
}

impl Figure {
    /// A figure without a reference.
    pub fn new(figure: impl Into<String>, value: f64, unit: &'static str, goal: f64) -> Self {
        Self { figure: figure.into(), value, unit, goal, at_least: false, reference: None, met: value <= goal }
    }

    /// A figure of which more is better.
    pub fn at_least(figure: impl Into<String>, value: f64, unit: &'static str, goal: f64) -> Self {
        Self { at_least: true, met: value >= goal, ..Self::new(figure, value, unit, goal) }
    }

    /// A figure that counts something.
    pub fn count(figure: impl Into<String>, count: usize, unit: &'static str, goal: u32) -> Self {
        Self::new(figure, number(count), unit, f64::from(goal))
    }

    /// Adds what was measured beside it.
    pub fn beside(mut self, what: &'static str, value: f64, unit: &'static str) -> Self {
        self.reference = Some(Reference { what, value, unit });
        self
    }
}

/// A count, to reckon with.
#[allow(clippy::cast_precision_loss)] // Counts of this size are exact in an f64.
pub fn number(count: usize) -> f64 {
    count as f64
}

/// The figures as a Markdown table.
pub fn table(figures: &[Figure]) -> String {
    format!("| figure | value | goal | reference | met |\n|---|---|---|---|---|\n{}", rows(figures))
}

/// The rows of that table.
pub fn rows(figures: &[Figure]) -> String {
    let mut text = String::new();
    for one in figures {
        let reference = one.reference.as_ref().map_or_else(
            || "–".to_owned(),
            |reference| format!("{}: {}", reference.what, quantity(reference.value, reference.unit)),
        );
        let met = if one.met { "yes" } else { "**no**" };
        let (value, goal) = (quantity(one.value, one.unit), quantity(one.goal, one.unit));
        let sign = if one.at_least { '≥' } else { '≤' };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {value} | {sign} {goal} | {reference} | {met} |", one.figure);
    }
    text
}

fn quantity(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        small if small < 0.1 => 4,
        _ => 2,
    };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

/// The middle of some measurements.
pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds, as figures show them.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_was_missed() {
        let figures = [
            Figure::new("latency", 61.234, "ms", 50.0).beside("docker run", 310.0, "ms"),
            Figure::new("recreated", 1.0, "", 1.0),
            Figure::at_least("rate", 90.5, "hosts/s", 100.0),
            Figure::new("ratio", 0.0042, "", 0.02),
        ];
        let table = table(&figures);
        assert!(table.contains("| latency | 61.23 ms | ≤ 50 ms | docker run: 310 ms | **no** |"), "{table}");
        assert!(table.contains("| recreated | 1 | ≤ 1 | – | yes |"), "{table}");
        assert!(table.contains("| rate | 90.50 hosts/s | ≥ 100 hosts/s | – | **no** |"), "{table}");
        assert!(table.contains("| ratio | 0.0042 | ≤ 0.0200 | – | yes |"), "{table}");
    }

    #[test]
    fn the_median_does_not_heed_an_outlier() {
        let values = [5, 1, 900, 2, 3].map(Duration::from_millis);
        assert_eq!(median(values.into()), Duration::from_millis(3));
    }
}
