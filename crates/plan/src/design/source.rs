//! What is compiled: the parts of a Design and its Nodes, read so that one broken field hides nothing else.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use slipway_api::Node;
use slipway_api::design::{DesignSpec, IncludeSource, NodeDesign};

use super::files::SITE;
use super::model::Text;
use super::rules::Check;
use crate::finding::Finding;
use crate::formats::yaml::{self, Dialect, Document, Unreadable};

/// A part whose name could not be read either: it may be any.
const UNNAMED: &str = "*";

/// Fields of one object that are looked at after they turned out to be broken.
const BROKEN_FIELDS: usize = 200;

/// Bytes up to which `kubectl apply` keeps an object in an annotation (`TotalAnnotationSizeLimitB` of apimachinery).
const APPLY_LIMIT: usize = 256 << 10;
/// Bytes that etcd takes in one request by default.
const OBJECT_LIMIT: usize = 3 << 19;
/// Bytes that the data of a ConfigMap may have (`MaxSecretSize` of Kubernetes' validation).
const CONFIG_MAP_LIMIT: usize = 1 << 20;

/// A Design, or a part that it includes.
#[derive(Clone, Debug, Default)]
pub struct DesignSource {
    /// `Design/lab`, or `ConfigMap/lab-racks` for an included one.
    pub object: String,
    /// Field path of the parts in the object: `spec`, or `data.KEY` for the text of a ConfigMap.
    pub base: String,
    /// The parts.
    pub spec: Arc<DesignSpec>,
    /// What was broken and left out.
    pub broken: Broken,
}

/// A Node, as far as its Design is concerned.
#[derive(Clone, Debug, Default)]
pub struct NodeSource {
    /// Name of the Node.
    pub name: Text,
    /// Labels of the object.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Its place in the Design and its overrides.
    pub design: Arc<NodeDesign>,
    /// `spec.bmc.address`, if the Node names its BMC itself.
    pub bmc_address: Option<String>,
    /// Whether it names the credentials too.
    pub has_bmc_credentials: bool,
    /// What was broken and left out.
    pub broken: Broken,
}

/// Stands for the size of a partition or logical volume among the fields of a host.
pub(super) const SIZE: &str = "storage.size";

/// What could not be read of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Broken {
    findings: Vec<Finding>,
    /// `networks/mgmt` for a part that was left out: it is no undefined reference to name it.
    parts: HashSet<String>,
    /// For lists with items left out: which, by their number in the object.
    left_out: BTreeMap<String, BTreeSet<usize>>,
    /// Field paths of what was meant by fields that there are not.
    meant: Vec<String>,
    /// Whether something that it includes is not there.
    lacks_part: bool,
}

impl Broken {
    /// What is wrong.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether something that the object includes is not there, so that what seems to be undefined may be defined in it.
    pub(super) fn lacks_part(&self) -> bool {
        self.lacks_part
    }

    /// Whether a field was written and could not be read.
    pub(super) fn has_field(&self, path: &str) -> bool {
        self.unread().any(|unread| unread == path)
    }

    /// Whether anything could not be read at or below a field path of what was read.
    pub(super) fn is_under(&self, path: &str) -> bool {
        !self.findings.is_empty() && self.has_unread(&self.written(path.to_owned()))
    }

    /// Whether anything could not be read at or below a field path of what was written.
    fn has_unread(&self, path: &str) -> bool {
        self.unread().any(|unread| {
            let rest = unread.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Field paths of what was left out, and of what it was meant to be.
    fn unread(&self) -> impl Iterator<Item = &str> {
        self.findings.iter().map(|finding| finding.path.as_str()).chain(self.meant.iter().map(String::as_str))
    }

    /// The fields right below a field path that could not be read, or not all of what is in them. A size of a volume is [`SIZE`]:
    /// of the rest of the storage nothing is missing with it.
    pub(super) fn fields_of(&self, path: &str) -> BTreeSet<&str> {
        if self.findings.is_empty() {
            return BTreeSet::new();
        }
        let path = format!("{}.", self.written(path.to_owned()));
        let below = self.unread().filter_map(|unread| unread.strip_prefix(&path));
        let is_size = |rest: &str| rest.starts_with("storage.") && rest.rsplit('.').next() == Some("size");
        below.filter_map(|rest| if is_size(rest) { Some(SIZE) } else { rest.split(['.', '[']).next() }).collect()
    }

    /// Whether a part was written and could not be read.
    pub(super) fn has_part(&self, list: &str, name: &str) -> bool {
        let has = |name: &str| self.parts.contains(&format!("{list}/{name}"));
        !self.parts.is_empty() && (has(name) || has(UNNAMED))
    }

    /// The field path in the object as it was written, from the one in the object as it was read.
    pub(super) fn written(&self, path: String) -> String {
        if self.left_out.is_empty() {
            return path;
        }
        let mut written = String::with_capacity(path.len());
        for piece in path.split_inclusive(']') {
            match piece.split_once('[').and_then(|(list, index)| Some((list, index.strip_suffix(']')?.parse().ok()?))) {
                Some((list, index)) => {
                    written.push_str(list);
                    let index = self.written_index(&written, index);
                    let _ = write!(written, "[{index}]");
                }
                None => written.push_str(piece),
            }
        }
        written
    }

    fn written_index(&self, list: &str, index: usize) -> usize {
        let mut written = index;
        for left_out in self.left_out.get(list).into_iter().flatten() {
            if *left_out > written {
                break;
            }
            written += 1;
        }
        written
    }
}

impl DesignSource {
    /// A Design from its `spec`.
    pub fn of_design(name: &str, spec: &Value) -> Self {
        let object = format!("Design/{name}");
        let (spec, broken) = read(spec, &object, "spec");
        Self { object, base: "spec".to_owned(), spec: Arc::new(spec), broken }
    }

    /// An included part from the content of a ConfigMap's key.
    pub fn of_config_map(name: &str, key: &str, content: &Value) -> Self {
        let (object, base) = (format!("ConfigMap/{name}"), format!("data.{key}"));
        let (spec, broken) = read(content, &object, &base);
        Self { object, base, spec: Arc::new(spec), broken }
    }

    /// A Design that an API server has accepted.
    pub fn of_spec(name: &str, spec: Arc<DesignSpec>) -> Self {
        Self { object: format!("Design/{name}"), base: "spec".to_owned(), spec, broken: Broken::default() }
    }

    /// Names of the Designs that it includes.
    pub fn included_designs(&self) -> impl Iterator<Item = &str> {
        self.spec.include.iter().filter_map(|include| match include {
            IncludeSource::DesignRef(reference) => Some(reference.name.as_str()),
            IncludeSource::ConfigMapKeyRef(_) => None,
        })
    }

    /// Says so if the object of `bytes` bytes is too large to be applied or stored.
    #[must_use]
    pub fn of_size(mut self, bytes: usize) -> Self {
        let limit = if self.object.starts_with("ConfigMap/") { CONFIG_MAP_LIMIT } else { OBJECT_LIMIT };
        let path = self.base.split('.').next().unwrap_or_default();
        self.broken.findings.extend(too_large(&self.object, path, bytes, limit));
        self
    }
}

/// Says so if an object is too large to be applied or stored.
fn too_large(object: &str, path: &str, bytes: usize, limit: usize) -> Option<Finding> {
    let (check, limit, does) = if bytes > limit {
        (Check::ObjectTooLarge, limit, "stores")
    } else if bytes > APPLY_LIMIT {
        (Check::ObjectLarge, APPLY_LIMIT, "takes from `kubectl apply`")
    } else {
        return None;
    };
    Some(check.at(object, path, format!("the object has {bytes} bytes; an API server {does} at most {limit}")))
}

impl NodeSource {
    /// A Node that an API server has accepted.
    pub fn of_node(node: &Node) -> Self {
        let bmc = node.spec.bmc.as_ref();
        Self {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            labels: Arc::new(node.metadata.labels.clone().unwrap_or_default()),
            design: Arc::new(node.spec.design.clone()),
            bmc_address: bmc.map(|bmc| bmc.address.clone()),
            has_bmc_credentials: bmc.is_some_and(|bmc| bmc.credentials.is_some()),
            broken: Broken::default(),
        }
    }

    /// A Node from its object.
    pub fn of_object(object: &Value) -> Self {
        let metadata = object.get("metadata");
        let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or_default();
        let labels = metadata.and_then(|metadata| metadata.get("labels")).and_then(Value::as_object);
        let labels = labels.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let bmc = spec.get("bmc");
        let (design, broken) = read(spec, &format!("Node/{name}"), "spec");
        Self {
            name: name.into(),
            labels: Arc::new(labels.collect()),
            design: Arc::new(design),
            // One that cannot be read is told of the Node itself.
            bmc_address: bmc.map(|bmc| bmc.get("address").and_then(Value::as_str).unwrap_or_default().to_owned()),
            has_bmc_credentials: bmc.is_some_and(|bmc| bmc.get("credentials").is_some() || !bmc.is_object()),
            broken,
        }
    }

    /// Says so if the object of `bytes` bytes is too large to be applied or stored.
    #[must_use]
    pub fn of_size(mut self, bytes: usize) -> Self {
        self.broken.findings.extend(too_large(&format!("Node/{}", self.name), "spec", bytes, OBJECT_LIMIT));
        self
    }
}

/// Reads one document with the fields of a Design's `spec`; nothing of an empty text.
pub(super) fn read_part(text: &str) -> Result<Option<Document>, Unreadable> {
    let mut documents = yaml::read(text, SITE, Dialect::Kubectl)?.into_iter();
    let (first, second) = (documents.next(), documents.next());
    if second.is_some() {
        let rule = Check::InvalidField.rule();
        let message = "the text has several documents; one with the fields of a Design's spec is read";
        let finding = Finding { rule: Some(rule.name), ..Finding::error(rule.code, "", message) };
        return Err(Unreadable { finding, location: None });
    }
    Ok(first)
}

/// Reads the text of a ConfigMap's key, `ConfigMap/lab-racks`; nothing for an empty one. What is wrong is a finding about
/// the ConfigMap.
pub fn read_text(config_map: &str, key: &str, text: &str) -> Result<Option<Document>, Finding> {
    match read_part(text) {
        Ok(document) => Ok(document),
        Err(unreadable) => {
            let place = unreadable.location.unwrap_or_default();
            let message = format!("{}, in line {} of the text", unreadable.finding.message, place.line);
            let finding = Finding { message, path: format!("data.{key}"), ..unreadable.finding };
            Err(finding.about(config_map))
        }
    }
}

/// Why there is nothing to include.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIncluded {
    /// It is not there; why, in plain words.
    Missing(String),
    /// It is there, and what is wrong with it has been told.
    Unreadable,
}

/// The Design with all that it includes, itself first, and what is wrong with the includes.
pub fn with_includes(
    root: DesignSource,
    find: &dyn Fn(&IncludeSource) -> Result<DesignSource, NotIncluded>,
) -> (Vec<DesignSource>, Vec<Finding>) {
    let mut findings = Vec::new();
    // A ConfigMap may hold several parts, each in a key of its own.
    let identity = |source: &DesignSource| format!("{} {}", source.object, source.base);
    let mut seen: HashSet<String> = HashSet::from([identity(&root)]);
    let mut sources = vec![root];
    let mut next = 0;
    while next < sources.len() {
        let (object, base, spec) =
            (sources[next].object.clone(), sources[next].base.clone(), sources[next].spec.clone());
        for (index, include) in spec.include.iter().enumerate() {
            let path = join(&base, &format!("include[{index}]"));
            match find(include) {
                Err(reason) => {
                    sources[next].broken.lacks_part = true;
                    if let NotIncluded::Missing(reason) = reason {
                        findings.push(Check::IncludeMissing.at(&object, path, reason));
                    }
                }
                Ok(source) if !seen.insert(identity(&source)) => {
                    let message = format!("{} is a part of this site already", source.object);
                    findings.push(Check::IncludeTwice.at(&object, path, message));
                }
                Ok(source) => sources.push(source),
            }
        }
        next += 1;
    }
    (sources, findings)
}

pub(super) fn join(base: &str, path: &str) -> String {
    if base.is_empty() { path.to_owned() } else { format!("{base}.{path}") }
}

/// Reads a value. What is broken is left out and told, so that the rest can be looked at.
fn read<T: DeserializeOwned + Default>(value: &Value, object: &str, base: &str) -> (T, Broken) {
    if value.is_null() {
        return (T::default(), Broken::default());
    }
    match T::deserialize(value) {
        Ok(read) => (read, Broken::default()),
        Err(_) => salvage(value.clone(), object, base),
    }
}

fn salvage<T: DeserializeOwned + Default>(mut value: Value, object: &str, base: &str) -> (T, Broken) {
    let mut broken = Broken::default();
    for _ in 0..BROKEN_FIELDS {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => return (read, broken),
            Err(error) => error,
        };
        let steps: Vec<Segment> = error.path().iter().cloned().collect();
        let message = error.inner().to_string();
        if !broken.leave_out(&mut value, &steps, &message, object, base) {
            return (T::default(), broken);
        }
    }
    (T::default(), broken)
}

impl Broken {
    /// Takes the broken field out of the value and notes it. False if nothing is left to read.
    fn leave_out(&mut self, value: &mut Value, steps: &[Segment], message: &str, object: &str, base: &str) -> bool {
        let unknown = quoted_after(message, "unknown field ");
        let mut keys: Vec<Step> = steps.iter().filter_map(Step::of).collect();
        if let Some(field) = unknown
            && keys.last() != Some(&Step::Key(field.to_owned()))
        {
            keys.push(Step::Key(field.to_owned()));
        }
        // A variant's name is a key of the value; what is no key of it is not there to take out.
        while !keys.is_empty() && lookup(value, &keys).is_none() {
            keys.pop();
        }
        let path = self.written_path(base, &keys);
        // A field that is missing because it was left out has been told.
        let missing = quoted_after(message, "missing field ").map(|field| join(&path, field));
        if !missing.as_ref().is_some_and(|field| self.has_unread(field)) {
            let field = keys.last();
            let (message, hint) = in_plain_words(message, lookup(value, &keys));
            let (message, hint) = mode_in_octal(field, lookup(value, &keys)).unwrap_or((message, hint));
            let meant = unknown.zip(hint.as_deref()).and_then(|(_, hint)| quoted_after(hint, "did you mean "));
            self.meant.extend(meant.zip(path.rsplit_once('.')).map(|(field, (parent, _))| join(parent, field)));
            let finding = Check::InvalidField.at(object, missing.unwrap_or(path), message);
            self.findings.push(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        }
        let Some((last, parents)) = keys.split_last() else { return false };
        let written_list = self.written_path(base, parents);
        let Some(parent) = lookup_mut(value, parents) else { return false };
        match (parent, last) {
            (Value::Object(map), Step::Key(key)) => {
                self.parts.insert(format!("{key}/{UNNAMED}"));
                map.remove(key).is_some()
            }
            (Value::Array(items), Step::Index(index)) if *index < items.len() => {
                let item = items.remove(*index);
                let name = item.get("name").and_then(Value::as_str);
                if let Some(Step::Key(list)) = parents.last() {
                    self.parts.insert(format!("{list}/{}", name.unwrap_or(UNNAMED)));
                }
                let written = self.written_index(&written_list, *index);
                self.left_out.entry(written_list).or_default().insert(written);
                true
            }
            _ => false,
        }
    }

    fn written_path(&self, base: &str, keys: &[Step]) -> String {
        let mut path = base.to_owned();
        for key in keys {
            match key {
                Step::Key(key) => path = join(&path, key),
                Step::Index(index) => {
                    let index = self.written_index(&path, *index);
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        path
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn of(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Seq { index } => Some(Self::Index(*index)),
            Segment::Map { key } => Some(Self::Key(key.clone())),
            Segment::Enum { variant } => Some(Self::Key(variant.clone())),
            Segment::Unknown => None,
        }
    }
}

fn lookup<'v>(value: &'v Value, keys: &[Step]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| match key {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn lookup_mut<'v>(value: &'v mut Value, keys: &[Step]) -> Option<&'v mut Value> {
    keys.iter().try_fold(value, |value, key| match key {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn quoted_after<'m>(message: &'m str, words: &str) -> Option<&'m str> {
    message.strip_prefix(words)?.strip_prefix('`')?.split('`').next()
}

/// serde's message in the words of other findings, with a hint where there is one.
fn in_plain_words(message: &str, value: Option<&Value>) -> (String, Option<String>) {
    let near = |word: &str, known: &[&str]| match crate::formats::compose::nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", known.join(", ")),
    };
    if let Some(field) = quoted_after(message, "unknown field ") {
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        let hint = near(field, &known).replace("write one of", "the fields are");
        return (format!("`{field:.100}` is not a field here"), Some(hint));
    }
    if let Some(field) = quoted_after(message, "missing field ") {
        return (format!("`{field}` is missing"), Some(format!("add `{field}`")));
    }
    if let Some(word) = quoted_after(message, "unknown variant ") {
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        return (format!("`{word:.100}` is none of {}", known.join(", ")), Some(near(word, &known)));
    }
    let wanted = message.starts_with("invalid ").then(|| message.rsplit_once(", expected ")).flatten();
    match wanted.zip(value) {
        Some(((_, expected), value)) => {
            let wanted = in_yaml(expected);
            (format!("{} where {wanted} is wanted", described(value)), rewritten(value, expected))
        }
        None => (message.chars().take(300).collect(), None),
    }
}

/// A file mode that was written as a number has been read as one: YAML 1.1 takes `0644` for 420.
fn mode_in_octal(field: Option<&Step>, value: Option<&Value>) -> Option<(String, Option<String>)> {
    let mode = value?.as_u64().filter(|_| field == Some(&Step::Key("permissions".to_owned())))?;
    Some((format!("the number 0{mode:o} where text is wanted"), Some(format!("write \"0{mode:o}\""))))
}

/// What serde expects, as it is called in YAML.
fn in_yaml(expected: &str) -> &str {
    match expected {
        "a string" | "string or map" => "text",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        // Only VLAN tags are as short.
        "u16" => "an integer from 0 to 4094",
        "u32" | "u64" => "an integer of at least 0",
        _ if expected.starts_with("struct ") || expected.starts_with("enum ") => "a map",
        other => other,
    }
}

/// How the value would have to be written, where that is clear.
fn rewritten(value: &Value, expected: &str) -> Option<String> {
    match (expected, value) {
        ("a string", Value::Bool(_) | Value::Number(_)) => Some(format!("write \"{value}\"")),
        ("u16" | "u32" | "u64", Value::String(text)) if text.parse::<u64>().is_ok() => {
            Some(format!("write {text}, without quotes"))
        }
        ("a boolean", Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some("write true, without quotes".to_owned()),
            "false" | "no" | "off" => Some("write false, without quotes".to_owned()),
            _ => None,
        },
        ("struct LocalRef", Value::String(text)) => Some(format!("write {{name: {text:.253}}}")),
        ("a sequence", Value::String(text)) if text.len() <= 60 => Some(format!("write [{text}]")),
        ("a sequence", Value::Object(_)) => Some("begin each item with `- `".to_owned()),
        _ => None,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::String(text) => format!("`{text:.100}`"),
        other => format!("`{other}`"),
    }
}
