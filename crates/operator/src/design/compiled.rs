//! A Design, kept compiled: what changed since the last pass is compiled anew, and nothing if nothing did.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kube::ResourceExt;
use slipway_api::Node;
use slipway_api::design::Rollout;
use slipway_plan::design::namespace::Addresses;
use slipway_plan::design::{Compiler, NodeModel, NodeSource, Told};
use slipway_plan::{Finding, Severity};

use super::parts::Parts;

/// Characters of a finding in the status of its Node: the whole of that has a KiB, and the Design's has all.
const FINDING: usize = 120;

/// A Design, compiled.
#[derive(Debug)]
pub struct Compiled {
    compiler: Compiler,
    stamp: u64,
    nodes: HashMap<String, u64>,
    /// All that is wrong with it, taken for itself.
    pub findings: Vec<Finding>,
    /// Static addresses, with their Nodes.
    pub addresses: Arc<Addresses>,
    /// Its model, whether it may be used or not.
    pub model: Arc<Model>,
}

/// What of a compiled site its Nodes need.
#[derive(Debug, Default)]
pub struct Model {
    /// Hash of the whole.
    pub hash: String,
    /// What each Node is told.
    pub told: HashMap<String, Arc<Told>>,
    /// Nodes of each group of the rollout, in the order of the groups.
    pub members: Vec<Vec<String>>,
    /// The order and the budgets.
    pub rollout: Option<Rollout>,
    /// What each was told of, to see whether it is another one.
    of: HashMap<String, Arc<NodeModel>>,
}

impl Model {
    /// What its Nodes need of a compiled site; what an older one has of the same models is taken from there.
    pub fn of(compiler: &Compiler, old: Option<&Self>) -> Self {
        let mut model = Self {
            hash: compiler.hash(),
            rollout: compiler.rollout().cloned(),
            members: compiler
                .groups()
                .into_iter()
                .map(|(_, nodes)| nodes.iter().map(ToString::to_string).collect())
                .collect(),
            ..Self::default()
        };
        for node in compiler.nodes() {
            let name = node.name.to_string();
            let known = old.and_then(|old| Some((old.of.get(&name)?, old.told.get(&name)?)));
            let told = match known {
                Some((same, told)) if Arc::ptr_eq(same, node) => told.clone(),
                _ => Arc::new(Told::of(node)),
            };
            model.told.insert(name.clone(), told);
            model.of.insert(name, node.clone());
        }
        model
    }
}

impl Compiled {
    /// Compiles a Design with its Nodes.
    pub fn new(parts: Parts, nodes: &[Arc<Node>]) -> Self {
        let sources = nodes.iter().map(|node| NodeSource::of_node(node)).collect();
        let compiler = Compiler::new(parts.sources, parts.findings, sources);
        let known = nodes.iter().map(|node| (node.name_any(), stamp(node))).collect();
        let model = Arc::new(Model::of(&compiler, None));
        let mut site =
            Self { compiler, stamp: parts.stamp, nodes: known, findings: Vec::new(), addresses: Arc::default(), model };
        site.look();
        site
    }

    /// Takes the Design and its Nodes as they are now. Says whether anything is otherwise.
    pub fn update(&mut self, parts: Parts, nodes: &[Arc<Node>]) -> bool {
        let mut changed = false;
        if parts.stamp != self.stamp {
            self.stamp = parts.stamp;
            self.compiler.set_designs(parts.sources, parts.findings);
            changed = true;
        }
        let mut gone: BTreeMap<String, u64> = std::mem::take(&mut self.nodes).into_iter().collect();
        for node in nodes {
            let (name, now) = (node.name_any(), stamp(node));
            if gone.remove(&name) != Some(now) {
                self.compiler.set_node(NodeSource::of_node(node));
                changed = true;
            }
            self.nodes.insert(name, now);
        }
        for name in gone.into_keys() {
            self.compiler.remove_node(&name);
            changed = true;
        }
        if changed {
            self.model = Arc::new(Model::of(&self.compiler, Some(&self.model)));
            self.look();
        }
        changed
    }

    fn look(&mut self) {
        self.findings = self.compiler.findings();
        self.addresses = self.compiler.addresses().map(|(address, node)| (address, node.clone())).collect();
    }

    /// Whether nothing is wrong that keeps it from being used.
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// What it was compiled from, to be kept.
    pub fn pack(&self) -> Vec<u8> {
        slipway_plan::design::kept::pack(&self.compiler)
    }
}

/// What compiling reads of a Node's object: a change of its status is none.
fn stamp(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&node.metadata.uid, node.metadata.generation, node.labels()).hash(&mut hasher);
    hasher.finish()
}

/// What is wrong with each Node itself: the worst, with how much more there is, and whether it is an error.
pub fn by_node(findings: &[Finding]) -> HashMap<String, (String, bool)> {
    let mut found: HashMap<&str, (&Finding, usize)> = HashMap::new();
    for finding in findings {
        if let Some(name) = finding.object.as_deref().and_then(|object| object.strip_prefix("Node/")) {
            // The worst come first.
            found.entry(name).or_insert((finding, 0)).1 += 1;
        }
    }
    let told = |(name, (worst, count)): (&str, (&Finding, usize))| {
        let text = format!("{} {}: {}", worst.code, worst.path, worst.message);
        let mut text: String = text.chars().take(FINDING).collect();
        if count > 1 {
            text = format!("{text} (and {} more)", count - 1);
        }
        (name.to_owned(), (text, worst.severity == Severity::Error))
    };
    found.into_iter().map(told).collect()
}
