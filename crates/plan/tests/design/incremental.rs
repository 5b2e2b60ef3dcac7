//! A change compiles to what the whole would compile to.

use std::sync::Arc;

use serde_json::Value;
use slipway_plan::design::{Compiler, DesignSource, NodeSource};

use crate::support::{LAB, Site};

/// The sources of the lab, with changes.
fn sources(changes: &[(&str, &str)]) -> (Vec<DesignSource>, Vec<NodeSource>) {
    let text = changes.iter().fold(LAB.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
    let documents = slipway_plan::formats::yaml::documents(&text).expect("is there");
    let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
    let mut designs: Vec<DesignSource> = values
        .iter()
        .filter(|value| value["kind"] == "Design")
        .map(|value| DesignSource::of_design(value["metadata"]["name"].as_str().expect("is there"), &value["spec"]))
        .collect();
    let map = values.iter().find(|value| value["kind"] == "ConfigMap").expect("is there");
    let text = map["data"]["design.yaml"].as_str().expect("is there");
    let hardware = slipway_plan::formats::yaml::documents(text).expect("is there").remove(0);
    designs.push(DesignSource::of_config_map("lab-hardware", "design.yaml", &hardware.value));
    let nodes = values.iter().filter(|value| value["kind"] == "Node").map(|value| NodeSource::of_object(value));
    (designs, nodes.collect())
}

fn assert_same(compiler: &Compiler, changes: &[(&str, &str)]) {
    let whole = Site::lab(changes);
    assert_eq!(compiler.hash(), whole.compiler().hash(), "{changes:?}");
    let told = |compiler: &Compiler| {
        compiler.findings().into_iter().map(|f| (f.code, f.object, f.path, f.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(compiler), told(whole.compiler()), "{changes:?}");
}

fn lab() -> Compiler {
    let (designs, nodes) = sources(&[]);
    Compiler::new(designs, Vec::new(), nodes)
}

#[test]
fn a_changed_node() {
    let mut compiler = lab();
    assert_same(&compiler, &[]);
    for changes in [
        &[("address: 172.16.1.21", "address: 172.16.1.20")] as &[_],
        &[("52-54-00-00-00-0A", "52-54-00-00-00-01")],
        &[("hostProfile: base\n  rack: r2\n  bootMac", "hostProfile: control\n  rack: r2\n  bootMac")],
        &[],
    ] {
        for node in sources(changes).1 {
            compiler.set_node(node);
        }
        assert_same(&compiler, changes);
    }
}

#[test]
fn a_node_that_goes() {
    let mut compiler = lab();
    compiler.remove_node("compute2");
    compiler.remove_node("nobody");
    assert!(compiler.node("compute2").is_none());
    for node in sources(&[]).1 {
        compiler.set_node(node);
    }
    assert_same(&compiler, &[]);
}

#[test]
fn a_changed_profile_leaves_other_nodes_as_they_are() {
    let mut compiler = lab();
    let before = compiler.node("compute1").unwrap().clone();
    let changes = &[("{name: root, size: 30g}", "{name: root, size: 40g}")];
    compiler.set_designs(sources(changes).0, Vec::new());
    assert!(Arc::ptr_eq(&before, compiler.node("compute1").unwrap()), "it follows another profile");
    assert_same(&compiler, changes);
    let base = &[("tags: [base, old]", "tags: [base, old, new]")];
    compiler.set_designs(sources(base).0, Vec::new());
    assert_same(&compiler, base);
}

#[test]
fn a_changed_network_reaches_every_node() {
    let mut compiler = lab();
    for changes in [
        &[("gateway: 172.16.1.1, metric", "gateway: 172.16.1.3, metric")] as &[_],
        &[("cidr: 172.16.1.0/24", "cidr: 172.16.9.0/24")],
        &[("domain: mgmt.lab.example.com", "domain: other.example.com")],
        &[("{{ node.labels.team }}", "{{ node.labels.nope }}")],
    ] {
        compiler.set_designs(sources(changes).0, Vec::new());
        assert_same(&compiler, changes);
    }
}
