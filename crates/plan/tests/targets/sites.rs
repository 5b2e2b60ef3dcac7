//! Sites: drydock's documents to the importer, Designs and Nodes to the compiler.

use std::collections::{BTreeMap, BTreeSet};

use slipway_plan::Finding;
use slipway_plan::design::boot_action::Run;
use slipway_plan::design::files::SiteFiles;
use slipway_plan::design::{Compiler, Text, graph};
use slipway_plan::formats::drydock::{Imported, Options, Source};
use slipway_plan::formats::{drydock, yaml};

use super::{inside, lines, printed, told};

/// Any bytes as a file of drydock's documents: what is wrong is told with its place; the same bytes become the same objects;
/// and if drydock would take them, what they become can be read as a site.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let imported = || drydock::import(&[Source { name: "site.yaml", text }], &Options::default());
    let first = imported();
    told(&first.findings, text);
    let again = imported();
    assert_eq!((&again.manifests, &again.findings), (&first.manifests, &first.findings), "another result");
    let names: BTreeSet<String> =
        first.manifests.iter().map(slipway_plan::formats::drydock::Manifest::file_name).collect();
    assert_eq!(names.len(), first.manifests.len(), "two files of one name");
    for manifest in &first.manifests {
        let read = yaml::documents(&manifest.yaml).unwrap_or_else(|error| panic!("{error:?} in {}", manifest.yaml));
        assert_eq!(read.len(), 1, "{}", manifest.yaml);
        assert_eq!(read[0].value["metadata"]["name"], manifest.name.as_str());
        printed(&read[0].value);
    }
    if !first.has_errors() {
        is_a_site(&first);
    }
}

/// What was imported without an error has no field that a site does not know, nor one of the wrong type.
fn is_a_site(imported: &Imported) {
    let texts: Vec<(String, &str)> =
        imported.manifests.iter().map(|manifest| (manifest.file_name(), &*manifest.yaml)).collect();
    let mut files = SiteFiles::read(texts.iter().map(|(name, text)| (&**name, *text)));
    let compiled = files.compile();
    for finding in files.findings(&compiled) {
        let is_readable = !["DD001", "YamlSyntax", "DuplicateKey", "TooLarge"].contains(&finding.code);
        assert!(is_readable, "{finding:?} in\n{}", texts.iter().map(|(_, text)| *text).collect::<String>());
    }
}

/// Any bytes as a file of a site: what is wrong is told with its place; the same bytes compile to the same, as a whole and
/// Node by Node; every value says where it came from; the model can be printed, drawn and rendered.
pub fn compile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (files, compiled, findings) = site(text);
    told(&findings, text);
    let (_, again, same) = site(text);
    assert_eq!(same, findings, "other findings");
    assert!(again.keys().eq(compiled.keys()), "other sites");
    let lines = lines(text);
    for (name, compiler) in &compiled {
        assert_eq!(again[name].hash(), compiler.hash(), "another model");
        incremental(compiler);
        grouped(compiler);
        let nodes: Vec<_> = compiler.nodes().map(|node| &**node).collect();
        let picture = graph::svg(name, &compiler.site(), &nodes);
        assert!(picture.starts_with("<?xml") && picture.trim_end().ends_with("</svg>"), "{picture:.100}");
        for node in nodes {
            printed(&serde_json::to_value(node).unwrap());
            for explained in files.explain(name, compiler, &node.name, "").unwrap() {
                explained.place.iter().for_each(|place| inside(place, &lines));
            }
            for action in compiler.designs().iter().flat_map(|design| &design.spec.boot_actions) {
                let _ = compiler.render(&node.name, &action.name, &Run::example());
            }
        }
    }
}

fn site(text: &str) -> (SiteFiles, BTreeMap<String, Compiler>, Vec<Finding>) {
    let mut files = SiteFiles::read([("site.yaml", text)]);
    let compiled = files.compile();
    let findings = files.findings(&compiled);
    (files, compiled, findings)
}

/// Nodes that go and come back, and a site that is set anew, leave it as it was.
fn incremental(whole: &Compiler) {
    let sources: Vec<_> = whole.node_sources().cloned().collect();
    let mut compiler = Compiler::new(whole.designs().to_vec(), Vec::new(), sources.clone());
    let findings = compiler.findings();
    assert_eq!(compiler.hash(), whole.hash());
    for source in sources {
        compiler.remove_node(&source.name.clone());
        compiler.set_node(source);
    }
    compiler.set_designs(whole.designs().to_vec(), Vec::new());
    assert_eq!(compiler.hash(), whole.hash(), "a model that depends on its history");
    assert_eq!(compiler.findings(), findings, "findings that depend on their history");
}

/// A Node is in one group at most.
fn grouped(compiler: &Compiler) {
    let nodes: Vec<Text> = compiler.groups().into_iter().flat_map(|(_, nodes)| nodes).collect();
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len(), "{nodes:?}");
}
