//! Sites from files: Designs, Nodes and ConfigMaps of a YAML stream, compiled, with every finding at its line.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use slipway_api::design::IncludeSource;

use super::compiler::Compiler;
use super::explain::Explanation;
use super::model::Text;
use super::namespace::{self, shared_addresses};
use super::rules::Check;
use super::source::{DesignSource, NodeSource, read_text, with_includes};
use crate::finding::{Finding, Place, Severity};
use crate::formats::yaml::{self, Bounds, Dialect, Document};

/// Bounds of a file of a site: a site of 10 000 Nodes has some 7 MB.
pub const SITE: Bounds = Bounds { bytes: 64 << 20, nodes: 8_000_000, depth: 100 };

/// The objects of some files.
#[derive(Debug, Default)]
pub struct SiteFiles {
    files: Vec<Arc<str>>,
    /// Documents, with the number of their file.
    documents: Vec<(usize, Document)>,
    /// By `Kind/name`.
    objects: HashMap<String, Object>,
    designs: Vec<String>,
    nodes: Vec<String>,
    /// Texts of ConfigMaps, by `ConfigMap/name` of an included part.
    texts: HashMap<String, Document>,
    findings: Vec<Finding>,
}

#[derive(Clone, Debug)]
struct Object {
    document: usize,
    /// Field path in the document: empty, or `items[n]` of a List.
    base: String,
}

impl SiteFiles {
    /// Reads files, each with its name. What cannot be read is a finding, and hides nothing else.
    pub fn read<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut site = Self::default();
        for (name, text) in texts {
            let file = site.files.len();
            site.files.push(name.into());
            let (documents, problems) = yaml::read_all(text, SITE, Dialect::Kubectl);
            for document in documents {
                site.add(file, document);
            }
            for unreadable in problems {
                let at = unreadable.location.unwrap_or(yaml::Location { line: 1, column: 1 });
                let place = Place { file: name.to_owned(), line: at.line, column: at.column };
                site.findings.push(Finding { place: Some(place), ..unreadable.finding });
            }
        }
        site
    }

    fn add(&mut self, file: usize, document: Document) {
        let number = self.documents.len();
        let found: Vec<(String, String)> = match (text(&document.value, "kind"), document.value.get("items")) {
            ("List", Some(Value::Array(items))) => {
                items.iter().enumerate().map(|(index, item)| (format!("items[{index}]"), identity(item))).collect()
            }
            _ => vec![(String::new(), identity(&document.value))],
        };
        self.documents.push((file, document));
        for (base, identity) in found {
            let (kind, _) = identity.split_once('/').unwrap_or_default();
            if !matches!(kind, "Design" | "Node" | "ConfigMap") {
                continue;
            }
            if let Some(first) = self.objects.get(&identity) {
                let other = self.place_in(first, "metadata.name").map(|place| place.to_string()).unwrap_or_default();
                let again = Object { document: number, base };
                let finding = Check::NameTwice.at(&identity, "metadata.name", format!("is defined at {other} already"));
                let place = self.place_in(&again, "metadata.name");
                self.findings.push(Finding { place, ..finding });
                continue;
            }
            match kind {
                "Design" => self.designs.push(identity.clone()),
                "Node" => self.nodes.push(identity.clone()),
                _ => {}
            }
            self.objects.insert(identity, Object { document: number, base });
        }
    }

    /// Names of the Designs that are sites of their own, and no part of another one.
    pub fn designs(&self) -> Vec<&str> {
        let sources = self.designs.iter().filter_map(|identity| Some((identity, self.design(identity)?)));
        let sources: Vec<(&str, DesignSource)> =
            sources.filter_map(|(identity, source)| Some((identity.strip_prefix("Design/")?, source))).collect();
        let included = sources.iter().map(|(name, source)| (*name, source.included_designs().collect())).collect();
        let roots = namespace::roots(&included);
        self.designs
            .iter()
            .filter_map(|identity| identity.strip_prefix("Design/"))
            .filter(|name| roots.contains(name))
            .collect()
    }

    /// Compiles every Design with its Nodes, by name.
    pub fn compile(&mut self) -> BTreeMap<String, Compiler> {
        let mut nodes: HashMap<String, Vec<NodeSource>> = HashMap::new();
        for identity in std::mem::take(&mut self.nodes) {
            let Some(source) = self.value(&identity).map(NodeSource::of_object) else { continue };
            if let Some(reference) = &source.design.design_ref {
                let design = format!("Design/{}", reference.name);
                if !self.objects.contains_key(&design) {
                    let message = format!("{design} is not given");
                    let finding = Check::Undefined.at(&identity, "spec.designRef.name", message);
                    self.findings.push(finding);
                }
                nodes.entry(reference.name.clone()).or_default().push(source);
            }
            self.nodes.push(identity);
        }
        let names: Vec<String> = self.designs().into_iter().map(str::to_owned).collect();
        self.read_texts();
        let mut compiled = BTreeMap::new();
        for name in names {
            let Some(root) = self.design(&format!("Design/{name}")) else { continue };
            let (sources, findings) = with_includes(root, &|include| self.included(include));
            let nodes = nodes.remove(&name).unwrap_or_default();
            compiled.insert(name, Compiler::new(sources, findings, nodes));
        }
        compiled
    }

    /// Reads the texts of all ConfigMaps that a Design includes.
    fn read_texts(&mut self) {
        let mut wanted = Vec::new();
        for identity in &self.designs {
            for include in self.design(identity).iter().flat_map(|source| &source.spec.include) {
                if let IncludeSource::ConfigMapKeyRef(reference) = include {
                    wanted.push((format!("ConfigMap/{}", reference.name), reference.key.clone()));
                }
            }
        }
        for (identity, key) in wanted {
            let text =
                self.value(&identity).and_then(|value| value.get("data")?.get(&key)?.as_str().map(str::to_owned));
            let Some(text) = text else { continue };
            match read_text(&identity, &key, &text) {
                Ok(document) => self.texts.extend(document.map(|document| (identity, document))),
                Err(unreadable) => self.findings.push(unreadable),
            }
        }
    }

    fn included(&self, include: &IncludeSource) -> Result<DesignSource, String> {
        match include {
            IncludeSource::DesignRef(reference) => {
                let identity = format!("Design/{}", reference.name);
                self.design(&identity).ok_or_else(|| format!("{identity} is not given"))
            }
            IncludeSource::ConfigMapKeyRef(reference) => {
                let identity = format!("ConfigMap/{}", reference.name);
                let document = self.texts.get(&identity);
                let document =
                    document.ok_or_else(|| format!("{identity} with a readable key {} is not given", reference.key))?;
                Ok(DesignSource::of_config_map(&reference.name, &document.value))
            }
        }
    }

    fn value(&self, identity: &str) -> Option<&Value> {
        let object = self.objects.get(identity)?;
        let value = &self.documents.get(object.document)?.1.value;
        match object.base.strip_prefix("items[").and_then(|index| index.strip_suffix(']')?.parse::<usize>().ok()) {
            Some(index) => value.get("items")?.get(index),
            None => Some(value),
        }
    }

    fn design(&self, identity: &str) -> Option<DesignSource> {
        let value = self.value(identity)?;
        let name = identity.strip_prefix("Design/")?;
        let source = DesignSource::of_design(name, value.get("spec").unwrap_or(&Value::Null));
        Some(source)
    }

    /// Where a field of an object is written.
    pub fn place(&self, object: &str, path: &str) -> Option<Place> {
        if let Some(text) = self.texts.get(object).filter(|_| !path.starts_with("data.")) {
            let at = text.locate(path)?;
            return Some(Place { file: object.to_owned(), line: at.line, column: at.column });
        }
        self.place_in(self.objects.get(object)?, path)
    }

    fn place_in(&self, object: &Object, path: &str) -> Option<Place> {
        let (file, document) = self.documents.get(object.document)?;
        let path = if object.base.is_empty() { path.to_owned() } else { format!("{}.{path}", object.base) };
        let at = document.locate(&path)?;
        Some(Place { file: self.files[*file].to_string(), line: at.line, column: at.column })
    }

    /// All that is wrong with the files and with what was compiled of them, by place, the worst first.
    pub fn findings(&self, compiled: &BTreeMap<String, Compiler>) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        findings.extend(compiled.values().flat_map(Compiler::findings));
        let addresses = |one: &Compiler| one.addresses().map(|(address, node)| (address, node.clone())).collect();
        let designs: Vec<(&str, Vec<(IpAddr, Text)>)> =
            compiled.iter().map(|(name, one)| (name.as_str(), addresses(one))).collect();
        let designs: Vec<_> = designs.iter().map(|(name, addresses)| (*name, addresses.as_slice())).collect();
        findings.extend(shared_addresses(&designs).into_iter().map(|(_, finding)| finding));
        for finding in findings.iter_mut().filter(|finding| finding.place.is_none()) {
            finding.place = finding.object.as_ref().and_then(|object| self.place(object, &finding.path));
        }
        findings.sort_by(|a, b| (a.severity, &a.place, &a.path, a.code).cmp(&(b.severity, &b.place, &b.path, b.code)));
        findings
    }

    /// Whether nothing is wrong that keeps the sites from being used.
    pub fn is_valid(findings: &[Finding]) -> bool {
        findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Where values of a Node's model came from, with file and line.
    pub fn explain(&self, compiler: &Compiler, node: &str, path: &str) -> Option<Vec<(Explanation, Option<Place>)>> {
        let found = compiler.explain(node, path)?;
        let placed = found.into_iter().map(|explanation| {
            let place = self.place(&explanation.object, &explanation.field);
            (explanation, place)
        });
        Some(placed.collect())
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `Kind/name`.
fn identity(value: &Value) -> String {
    let name = value.get("metadata").map_or("", |metadata| text(metadata, "name"));
    format!("{}/{name}", text(value, "kind"))
}
