//! Measures reading and compiling of one site in this process, for `cargo xtask bench design`; built with optimisation.
//!
//! `measure times DOCUMENTS OBJECTS LARGE` prints times of CPU in nanoseconds as JSON: of a site as drydock's documents, as
//! objects, and of a site ten times as large. `measure objects DOCUMENTS` prints the objects of documents. `measure memory OBJECTS` prints the peak of memory in bytes.
//! `measure parse FILE` does nothing but parse a file to untyped values.

#![allow(clippy::unwrap_used, clippy::panic)] // A measurement that fails has no result.

use std::hint::black_box;

use serde_json::{Value, json};
use slipway_plan::design::files::SiteFiles;
use slipway_plan::design::{Compiler, DesignSource, NodeSource};
use slipway_plan::formats::drydock::{self, Options, Source};
use slipway_plan::formats::yaml;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["times", _, _, _] => println!("{}", times(&read(&args[1]), &read(&args[2]), &read(&args[3]))),
        ["objects", _] => print!("{}", objects(&read(&args[1]))),
        ["memory", _] => println!("{}", memory(&read(&args[1]))),
        ["parse", _] => drop(black_box(bare(&read(&args[1])))),
        _ => panic!("measure times DOCUMENTS OBJECTS LARGE | memory OBJECTS | parse FILE"),
    }
}

fn times(documents: &str, objects: &str, large: &str) -> Value {
    json!({
        "parseDocuments": median(15, || yaml::documents(documents).unwrap()),
        "parseObjects": median(15, || SiteFiles::read([("site.yaml", objects)])),
        "bareDocuments": median(15, || bare(documents)),
        "bareObjects": median(15, || bare(objects)),
        "compile": compile(objects, 31),
        "compileLarge": compile(large, 7),
        "oneNode": one_node(objects),
        "allFindings": all_findings(objects),
        "drydock": median(7, || whole(documents)),
    })
}

/// The reference: the same library, to untyped values.
fn bare(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 100_000_000, max_nodes: 100_000_000, max_documents: 10_000_000 },
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).unwrap()
}

/// Drydock's documents as a Design and Nodes.
fn objects(documents: &str) -> String {
    let imported = drydock::import(&[Source { name: "site.yaml", text: documents }], &Options::default());
    assert!(!imported.has_errors(), "{:?}", imported.findings);
    let texts: Vec<&str> = imported.manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
    texts.join("---\n")
}

/// Drydock's documents to the compiled model of all their nodes, with all findings.
fn whole(documents: &str) -> Vec<Compiler> {
    let text = objects(documents);
    let mut files = SiteFiles::read([("site.yaml", text.as_str())]);
    let compiled = files.compile();
    black_box(files.findings(&compiled));
    compiled.into_values().collect()
}

fn sources(objects: &str) -> (Vec<DesignSource>, Vec<NodeSource>) {
    let mut values = bare(objects);
    values.retain(|value| matches!(value["kind"].as_str(), Some("Design" | "Node")));
    let (designs, nodes): (Vec<Value>, Vec<Value>) = values.into_iter().partition(|value| value["kind"] == "Design");
    let design = |value: &Value| DesignSource::of_design(value["metadata"]["name"].as_str().unwrap(), &value["spec"]);
    (designs.iter().map(design).collect(), nodes.iter().map(NodeSource::of_object).collect())
}

fn compile(objects: &str, runs: usize) -> u64 {
    let (designs, nodes) = sources(objects);
    let mut taken = Vec::new();
    for _ in 0..runs {
        let (designs, nodes) = (designs.clone(), nodes.clone());
        let began = cpu();
        let compiler = Compiler::new(designs, Vec::new(), nodes);
        black_box(compiler.findings());
        taken.push(cpu() - began);
    }
    middle(taken)
}

fn one_node(objects: &str) -> u64 {
    let (designs, nodes) = sources(objects);
    let mut compiler = Compiler::new(designs, Vec::new(), nodes.clone());
    let mut taken = Vec::new();
    for node in nodes.iter().step_by(nodes.len() / 100 + 1) {
        let node = node.clone();
        let began = cpu();
        compiler.set_node(node);
        taken.push(cpu() - began);
    }
    middle(taken)
}

fn all_findings(objects: &str) -> u64 {
    let (designs, nodes) = sources(objects);
    let compiler = Compiler::new(designs, Vec::new(), nodes);
    median(15, || compiler.findings())
}

fn memory(objects: &str) -> u64 {
    let mut files = SiteFiles::read([("site.yaml", objects)]);
    let compiled = files.compile();
    black_box(files.findings(&compiled));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

fn median<T>(runs: usize, mut run: impl FnMut() -> T) -> u64 {
    let taken = (0..runs).map(|_| {
        let began = cpu();
        let result = black_box(run());
        let taken = cpu() - began;
        drop(result);
        taken
    });
    middle(taken.collect())
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Nanoseconds of CPU that this thread has had.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}
