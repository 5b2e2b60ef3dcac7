//! What is fuzzed: each takes any bytes and fails only by a panic, or by what must hold of every input.

use slipway_plan::Finding;
use slipway_plan::design::files::SiteFiles;
use slipway_plan::formats::drydock::{Options, Source, import};

/// A target takes any bytes.
pub type Target = fn(&[u8]);

/// The targets, by name. `tests/corpus/<name>/` holds what they begin with.
pub const TARGETS: &[(&str, Target)] = &[("import", importer), ("compile", compiler)];

/// Any bytes as a file of drydock's documents: what is wrong is told with its place, and what is written can be read.
pub fn importer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let imported = import(&[Source { name: "site.yaml", text }], &Options::default());
    bounded(&imported.findings, text);
    for manifest in &imported.manifests {
        let read = slipway_plan::formats::yaml::documents(&manifest.yaml);
        assert!(read.is_ok_and(|documents| documents.len() == 1), "{} cannot be read again", manifest.file_name());
    }
}

/// Any bytes as a file of a site: it compiles to the same twice, and every value can say where it came from.
pub fn compiler(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut files = SiteFiles::read([("site.yaml", text)]);
    let compiled = files.compile();
    let findings = files.findings(&compiled);
    bounded(&findings, text);
    for compiler in compiled.values() {
        assert_eq!(compiler.hash(), compiler.hash());
        for node in compiler.nodes() {
            assert!(compiler.explain(&node.name, "").is_some());
        }
    }
}

/// Findings point into the text, and do not repeat it.
fn bounded(findings: &[Finding], text: &str) {
    let lines = text.lines().count() as u64 + 1;
    for finding in findings {
        assert!(finding.message.len() < 4000, "a message of {} bytes", finding.message.len());
        let is_inside =
            finding.place.as_ref().is_none_or(|place| place.file != "site.yaml" || place.line <= lines.max(1));
        assert!(is_inside, "{finding:?}");
    }
}
