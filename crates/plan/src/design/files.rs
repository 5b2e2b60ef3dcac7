//! Sites from files: Designs, Nodes and ConfigMaps of a YAML stream, compiled, with every finding at its line.

mod block;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use serde::Serialize;
use serde_json::Value;
use slipway_api::design::IncludeSource;

use self::block::Block;
use super::compiler::Compiler;
use super::explain::{Explanation, Other};
use super::model::Text;
use super::namespace::{self, shared_addresses};
use super::rules::Check;
use super::source::{DesignSource, NodeSource, NotIncluded, read_part, with_includes};
use crate::finding::{Finding, Place, Severity};
use crate::formats::compose::meant;
use crate::formats::yaml::{self, Bounds, Dialect, Document};

/// Bounds of a file of a site: a site of 10 000 Nodes has some 7 MB.
pub const SITE: Bounds = Bounds { bytes: 64 << 20, nodes: 2_000_000, depth: 100 };

/// What is found of a site that lacks something.
const LACKING: [Check; 10] = [
    Check::NoNodes,
    Check::NoAddresses,
    Check::NoNetworks,
    Check::NoCidrs,
    Check::NodeUndefined,
    Check::NoBootAction,
    Check::IncludeMissing,
    Check::FilterTakesNothing,
    Check::GroupEmpty,
    Check::GroupUnreachable,
];

/// An object of the files: its namespace, empty if none is named, and `Kind/name`.
pub type Key = (Text, String);

/// The objects of some files.
#[derive(Debug, Default)]
pub struct SiteFiles {
    files: Vec<Text>,
    /// Documents, with the number of their file.
    documents: Vec<(usize, Document)>,
    objects: HashMap<Key, Object>,
    designs: Vec<Key>,
    nodes: Vec<Key>,
    /// Included texts of ConfigMaps, by namespace, `ConfigMap/name` and key.
    texts: HashMap<(Key, String), Part>,
    /// Those that cannot be read, which has been told.
    unreadable_texts: HashSet<(Key, String)>,
    /// Where the texts of ConfigMaps stand in their files, by document, and field path in it.
    blocks: HashMap<(usize, String), Block>,
    /// Namespaces of the compiled Designs, by the name under which they are compiled.
    namespaces: HashMap<String, Text>,
    findings: Vec<(Text, Finding)>,
    notes: Vec<String>,
    /// Whether a file could not be read.
    is_incomplete: bool,
}

#[derive(Clone, Debug)]
struct Object {
    document: usize,
    /// Field path in the document: empty, or `items[n]` of a List.
    base: String,
}

/// A text that a Design includes.
#[derive(Debug)]
struct Part {
    document: Document,
    block: Option<Block>,
}

impl SiteFiles {
    /// Reads files, each with its name. What cannot be read is a finding, and hides nothing else.
    pub fn read<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut site = Self::default();
        for (name, text) in texts {
            let file = site.files.len();
            site.files.push(name.into());
            let (documents, problems) = yaml::read_all(text, SITE, Dialect::Kubectl);
            let first = site.documents.len();
            site.documents.extend(documents.into_iter().map(|document| (file, document)));
            site.find_blocks(first, text);
            for unreadable in problems {
                let at = unreadable.location.unwrap_or(yaml::Location { line: 1, column: 1 });
                let place = Place { file: name.to_owned(), line: at.line, column: at.column };
                site.findings.push((Text::default(), Finding { place: Some(place), ..unreadable.finding }));
                site.is_incomplete = true;
            }
        }
        site.index();
        site
    }

    /// The documents, each with the number of its file.
    pub fn documents(&self) -> &[(usize, Document)] {
        &self.documents
    }

    /// What could not be looked at, in plain words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Notes where the texts of ConfigMaps begin, so that what is wrong in them is shown in the file.
    fn find_blocks(&mut self, first: usize, text: &str) {
        let mut lines: Option<Vec<&str>> = None;
        for number in first..self.documents.len() {
            let document = &self.documents[number].1;
            for (base, value) in objects_of(&document.value) {
                let data = value.get("data").and_then(Value::as_object).filter(|_| kind(value) == Some("ConfigMap"));
                for (key, content) in data.into_iter().flatten() {
                    let path = within(&base, &format!("data.{key}"));
                    let lines = lines.get_or_insert_with(|| text.lines().collect());
                    let block = document.locate(&path).zip(content.as_str());
                    let block = block.and_then(|(at, content)| Block::find(lines, at, content));
                    if let Some(block) = block {
                        self.blocks.insert((number, path), block);
                    }
                }
            }
        }
    }

    /// Finds the objects that sites are made of.
    fn index(&mut self) {
        let mut found = Vec::new();
        for (number, (_, document)) in self.documents.iter().enumerate() {
            for (base, value) in objects_of(&document.value) {
                let Some(kind) = kind(value) else { continue };
                let metadata = value.get("metadata").unwrap_or(&Value::Null);
                let namespace: Text = text(metadata, "namespace").into();
                found.push((namespace, kind, text(metadata, "name").to_owned(), Object { document: number, base }));
            }
        }
        // Objects that name no namespace are in the one that all others are in, if it is one.
        let named: HashSet<Text> = found.iter().map(|(namespace, ..)| namespace.clone()).collect();
        let mut named = named.into_iter().filter(|namespace| !namespace.is_empty());
        let common = named.next().filter(|_| named.next().is_none()).unwrap_or_default();
        for (namespace, kind, name, object) in found {
            let namespace = if namespace.is_empty() { common.clone() } else { namespace };
            self.add(kind, (namespace, format!("{kind}/{name}")), object);
        }
    }

    fn add(&mut self, kind: &str, key: Key, object: Object) {
        if let Some(first) = self.objects.get(&key) {
            // Those without a name have none in common.
            if key.1.ends_with('/') {
                return;
            }
            let other = self.place_in(first, "metadata.name").map(|place| place.to_string()).unwrap_or_default();
            let finding = Check::NameTwice.at(&key.1, "metadata.name", format!("is defined at {other} already"));
            let place = self.place_in(&object, "metadata.name");
            self.findings.push((key.0, Finding { place, ..finding }));
            return;
        }
        match kind {
            "Design" => self.designs.push(key.clone()),
            "Node" => self.nodes.push(key.clone()),
            _ => {}
        }
        self.objects.insert(key, object);
    }

    /// Compiles every Design that is no part of another with its Nodes, by name; where the files hold several namespaces,
    /// by `namespace/name`.
    pub fn compile(&mut self) -> BTreeMap<String, Compiler> {
        let designs: HashMap<Key, DesignSource> =
            self.designs.iter().filter_map(|key| Some((key.clone(), self.design(key)?))).collect();
        self.read_texts(&designs);
        let mut nodes = self.nodes(&designs);
        let namespaces: HashSet<&Text> = self.designs.iter().map(|(namespace, _)| namespace).collect();
        let is_one = namespaces.len() < 2;
        let mut sites = BTreeMap::new();
        for key in roots(&designs) {
            let (namespace, identity) = &key;
            let Some(root) = designs.get(&key) else { continue };
            let name = identity.trim_start_matches("Design/");
            let (sources, findings) =
                with_includes(root.clone(), &|include| self.included(namespace, include, &designs));
            let compiler = Compiler::new(sources, findings, nodes.remove(&key).unwrap_or_default());
            let name = if is_one { name.to_owned() } else { format!("{namespace}/{name}") };
            self.namespaces.insert(name.clone(), namespace.clone());
            sites.insert(name, compiler);
        }
        self.refuse_nodes_of_parts(nodes);
        sites
    }

    /// The Nodes of each Design. Of those whose Design is not given only what cannot be read is told.
    fn nodes(&mut self, designs: &HashMap<Key, DesignSource>) -> HashMap<Key, Vec<NodeSource>> {
        let mut nodes: HashMap<Key, Vec<NodeSource>> = HashMap::new();
        let mut strangers: BTreeMap<Key, Vec<NodeSource>> = BTreeMap::new();
        let mut findings = Vec::new();
        for key in &self.nodes {
            let Some(value) = self.value(key) else { continue };
            let source = NodeSource::of_object(value).of_size(size(value));
            // It may belong to any.
            self.is_incomplete |= source.broken.fields_of("spec").contains("designRef");
            let design = source.design.design_ref.as_ref();
            match design.map(|design| (key.0.clone(), format!("Design/{}", design.name))) {
                Some(design) if designs.contains_key(&design) => nodes.entry(design).or_default().push(source),
                design => {
                    findings.extend(source.broken.findings().iter().map(|finding| (key.0.clone(), finding.clone())));
                    if let Some(design) = design {
                        strangers.entry(design).or_default().push(source);
                    }
                }
            }
        }
        self.findings.extend(findings);
        self.notes.extend(strangers.iter().map(|(design, nodes)| not_given(design, nodes, designs)));
        nodes
    }

    /// The Nodes of Designs that are only parts of others: no site has them.
    fn refuse_nodes_of_parts(&mut self, nodes: HashMap<Key, Vec<NodeSource>>) {
        for ((namespace, design), nodes) in nodes {
            for node in nodes {
                let message = format!("{design:.200} is a part of another Design, and no site of its own");
                let finding = Check::Undefined.at(&format!("Node/{}", node.name), "spec.designRef.name", message);
                let finding = finding.hint("name the Design that includes it");
                self.findings.push((namespace.clone(), finding));
                let broken = node.broken.findings().iter().map(|finding| (namespace.clone(), finding.clone()));
                self.findings.extend(broken);
            }
        }
    }

    /// Reads the texts of all ConfigMaps that a Design includes.
    fn read_texts(&mut self, designs: &HashMap<Key, DesignSource>) {
        let mut wanted: Vec<(Key, String)> = Vec::new();
        for key in &self.designs {
            for include in designs.get(key).iter().flat_map(|source| &source.spec.include) {
                if let IncludeSource::ConfigMapKeyRef(reference) = include {
                    wanted.push(((key.0.clone(), format!("ConfigMap/{}", reference.name)), reference.key.clone()));
                }
            }
        }
        for (key, entry) in wanted {
            let part = (key.clone(), entry.clone());
            if self.texts.contains_key(&part) || self.unreadable_texts.contains(&part) {
                continue;
            }
            let value = self.value(&key).and_then(|value| value.get("data")?.get(&entry)?.as_str());
            let Some(text) = value else { continue };
            let path = format!("data.{entry}");
            let block = self
                .objects
                .get(&key)
                .and_then(|object| self.blocks.get(&(object.document, within(&object.base, &path))).copied());
            match read_part(text) {
                Ok(document) => self.texts.extend(document.map(|document| ((key, entry), Part { document, block }))),
                Err(unreadable) => {
                    self.unreadable_texts.insert((key.clone(), entry));
                    let at = unreadable.location.unwrap_or_default();
                    let place = block.zip(self.file_of(&key)).map(|(block, file)| block.place(file, at));
                    let line =
                        if place.is_some() { String::new() } else { format!(", in line {} of the text", at.line) };
                    let message = format!("{}{line}", unreadable.finding.message);
                    let finding = Finding { path, place, message, ..unreadable.finding };
                    self.findings.push((key.0.clone(), finding.about(key.1)));
                }
            }
        }
    }

    fn included(
        &self,
        namespace: &Text,
        include: &IncludeSource,
        designs: &HashMap<Key, DesignSource>,
    ) -> Result<DesignSource, NotIncluded> {
        let missing = NotIncluded::Missing;
        match include {
            IncludeSource::DesignRef(reference) => {
                let identity = format!("Design/{}", reference.name);
                let design = designs.get(&(namespace.clone(), identity.clone()));
                let given = designs.keys().filter(|(of, _)| of == namespace);
                let given = given.map(|(_, identity)| identity.trim_start_matches("Design/"));
                let reason = || format!("{identity} is not given{}", meant(&reference.name, given));
                design.cloned().ok_or_else(|| missing(reason()))
            }
            IncludeSource::ConfigMapKeyRef(reference) => {
                let key = (namespace.clone(), format!("ConfigMap/{}", reference.name));
                let Some(value) = self.value(&key) else { return Err(missing(format!("{} is not given", key.1))) };
                let entry = (key.clone(), reference.key.clone());
                if self.unreadable_texts.contains(&entry) {
                    return Err(NotIncluded::Unreadable);
                }
                let Some(part) = self.texts.get(&entry) else {
                    let keys =
                        value.get("data").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str());
                    let near = meant(&reference.key, keys);
                    return Err(missing(format!("{} has no key {} with a text{near}", key.1, reference.key)));
                };
                let source = DesignSource::of_config_map(&reference.name, &reference.key, &part.document.value);
                Ok(source.of_size(size(value)))
            }
        }
    }

    fn value(&self, key: &Key) -> Option<&Value> {
        let object = self.objects.get(key)?;
        let value = &self.documents.get(object.document)?.1.value;
        match object.base.strip_prefix("items[").and_then(|index| index.strip_suffix(']')?.parse::<usize>().ok()) {
            Some(index) => value.get("items")?.get(index),
            None => Some(value),
        }
    }

    /// The Nodes of the files, each with its namespace and name, and as it is written.
    pub fn written_nodes(&self) -> impl Iterator<Item = (&Text, &str, &Value)> {
        self.nodes.iter().filter_map(|key| Some((&key.0, key.1.trim_start_matches("Node/"), self.value(key)?)))
    }

    fn design(&self, key: &Key) -> Option<DesignSource> {
        let value = self.value(key)?;
        let name = key.1.strip_prefix("Design/")?;
        Some(DesignSource::of_design(name, value.get("spec").unwrap_or(&Value::Null)).of_size(size(value)))
    }

    fn file_of(&self, key: &Key) -> Option<&str> {
        let object = self.objects.get(key)?;
        Some(&self.files[self.documents.get(object.document)?.0])
    }

    /// Where a field of an object is written.
    fn place(&self, key: &Key, path: &str) -> Option<Place> {
        self.place_in_text(key, path).or_else(|| self.place_in(self.objects.get(key)?, path))
    }

    /// Where a field of an included text is written: in the file, if the text stands there as it is.
    fn place_in_text(&self, key: &Key, path: &str) -> Option<Place> {
        let (part, rest) = self.text_at(key, path)?;
        let at = part.document.locate(rest)?;
        part.block.zip(self.file_of(key)).map(|(block, file)| block.place(file, at))
    }

    /// The included text that a field is in, and the path in it.
    fn text_at<'p>(&self, key: &Key, path: &'p str) -> Option<(&Part, &'p str)> {
        if !key.1.starts_with("ConfigMap/") {
            return None;
        }
        let fits = |entry: &str| {
            let rest = path.strip_prefix("data.")?.strip_prefix(entry)?;
            rest.strip_prefix('.').or(rest.is_empty().then_some(rest))
        };
        let texts = self.texts.iter().filter(|((of, _), _)| of == key);
        texts.filter_map(|((_, entry), part)| Some((part, fits(entry)?))).max_by_key(|(_, rest)| rest.len())
    }

    fn place_in(&self, object: &Object, path: &str) -> Option<Place> {
        let (file, document) = self.documents.get(object.document)?;
        let at = document.locate(&within(&object.base, path))?;
        Some(Place { file: self.files[*file].to_string(), line: at.line, column: at.column })
    }

    /// All that is wrong with the files and with what was compiled of them, each with the namespace of its object.
    pub fn found(&self, compiled: &BTreeMap<String, Compiler>) -> Vec<(Text, Finding)> {
        let mut found = self.findings.clone();
        let mut by_namespace: BTreeMap<Text, Vec<(&str, &Compiler)>> = BTreeMap::new();
        for (name, compiler) in compiled {
            let namespace = self.namespaces.get(name).cloned().unwrap_or_default();
            found.extend(compiler.findings().into_iter().map(|finding| (namespace.clone(), finding)));
            by_namespace.entry(namespace).or_default().push((name, compiler));
        }
        for (namespace, designs) in by_namespace {
            let addresses = |one: &Compiler| one.addresses().map(|(address, node)| (address, node.clone())).collect();
            let designs: Vec<(&str, Vec<_>)> = designs.into_iter().map(|(name, one)| (name, addresses(one))).collect();
            let designs: Vec<_> = designs.iter().map(|(name, addresses)| (*name, addresses.as_slice())).collect();
            let shared = shared_addresses(&designs).into_iter();
            found.extend(shared.map(|(_, finding)| (namespace.clone(), finding)));
        }
        if self.is_incomplete {
            // What a site lacks may be in the file that cannot be read.
            found.retain(|(_, finding)| !LACKING.iter().any(|check| check.is_it(finding)));
        }
        found.into_iter().map(|(namespace, finding)| (namespace.clone(), self.placed(namespace, finding))).collect()
    }

    /// The finding with its place, if that is not known yet, and with what it quotes as it is written there.
    fn placed(&self, namespace: Text, finding: Finding) -> Finding {
        let Some(object) = finding.object.clone().filter(|_| finding.place.is_none()) else { return finding };
        let key = (namespace, object);
        let path = finding.path.clone();
        let place = self.place(&key, &path);
        let finding = match self.text_at(&key, &path) {
            Some((part, rest)) => part.document.as_written(rest, finding),
            None => match self.objects.get(&key) {
                Some(object) => self.documents[object.document].1.as_written(&within(&object.base, &path), finding),
                None => finding,
            },
        };
        Finding { place, ..finding }
    }

    /// All that is wrong with the files and with what was compiled of them, by place, the worst first.
    pub fn findings(&self, compiled: &BTreeMap<String, Compiler>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.found(compiled).into_iter().map(|(_, finding)| finding).collect();
        findings.sort_by(|a, b| (a.severity, &a.place, &a.path, a.code).cmp(&(b.severity, &b.place, &b.path, b.code)));
        findings
    }

    /// Whether nothing is wrong that keeps the sites from being used.
    pub fn is_valid(findings: &[Finding]) -> bool {
        findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Namespace of a compiled Design; empty if none is named.
    pub fn namespace(&self, compiled: &str) -> &str {
        self.namespaces.get(compiled).map_or("", |namespace| namespace)
    }

    /// Where values of the model of a Node came from, with file and line. `site` is the name of its Design.
    pub fn explain(&self, site: &str, compiler: &Compiler, node: &str, path: &str) -> Option<Vec<Explanation>> {
        let mut found = compiler.explain(node, path)?;
        for explanation in &mut found {
            explanation.place = self.place_of(site, &explanation.object, &explanation.field);
            self.place_others(site, &mut explanation.others);
        }
        Some(found)
    }

    /// What is said of a path of names that the model of a Node need not have, with file and line.
    pub fn said(&self, site: &str, compiler: &Compiler, node: &str, path: &[String]) -> Vec<Other> {
        let mut said = compiler.said(node, path);
        self.place_others(site, &mut said);
        said
    }

    fn place_others(&self, compiled: &str, others: &mut [Other]) {
        for other in others {
            other.place = self.place_of(compiled, &other.object, &other.field);
        }
    }

    fn place_of(&self, compiled: &str, object: &str, field: &str) -> Option<Place> {
        let namespace = self.namespaces.get(compiled).cloned().unwrap_or_default();
        self.place(&(namespace, object.to_owned()), field)
    }
}

/// The Designs that are sites of their own, and no part of another one.
fn roots(designs: &HashMap<Key, DesignSource>) -> Vec<Key> {
    let mut by_namespace: BTreeMap<&Text, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for ((namespace, identity), source) in designs {
        let name = identity.trim_start_matches("Design/");
        by_namespace.entry(namespace).or_default().insert(name, source.included_designs().collect());
    }
    let roots = by_namespace.into_iter().flat_map(|(namespace, designs)| {
        let roots: Vec<String> = namespace::roots(&designs).into_iter().map(|name| format!("Design/{name}")).collect();
        roots.into_iter().map(|identity| (namespace.clone(), identity))
    });
    roots.collect()
}

fn within(base: &str, path: &str) -> String {
    if base.is_empty() { path.to_owned() } else { format!("{base}.{path}") }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The objects of a document: itself, or the items of a List, each with its field path.
fn objects_of(document: &Value) -> Vec<(String, &Value)> {
    match (text(document, "kind"), document.get("items")) {
        ("List", Some(Value::Array(items))) => {
            items.iter().enumerate().map(|(index, item)| (format!("items[{index}]"), item)).collect()
        }
        _ => vec![(String::new(), document)],
    }
}

/// The kind of an object that sites are made of. Kubernetes has a Node of its own, so the group counts, if one is named.
fn kind(object: &Value) -> Option<&'static str> {
    let version = text(object, "apiVersion");
    let is_ours = version.is_empty() || version.split('/').next() == Some(slipway_api::GROUP);
    match text(object, "kind") {
        "Design" if is_ours => Some("Design"),
        "Node" if is_ours => Some("Node"),
        "ConfigMap" if version.is_empty() || version == "v1" => Some("ConfigMap"),
        _ => None,
    }
}

/// Says that the Design of some Nodes is not among the files.
fn not_given((namespace, design): &Key, nodes: &[NodeSource], designs: &HashMap<Key, DesignSource>) -> String {
    let name = |identity: &str| identity.trim_start_matches("Design/").to_owned();
    let given: Vec<String> = designs.keys().filter(|key| key.0 == *namespace).map(|key| name(&key.1)).collect();
    let wanted = name(design);
    let near = meant(&wanted, given.iter().map(String::as_str));
    let more = if nodes.len() > 1 { format!(" and {} more", nodes.len() - 1) } else { String::new() };
    let first = nodes.first().map_or("", |node| &node.name);
    format!("Node {first:.100}{more}: Design {wanted:.100} is not given, so what depends on it is not checked{near}")
}

/// Bytes of an object as JSON, which is what API servers and kubectl count.
fn size(object: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, object).map_or(0, |()| count.0)
}
