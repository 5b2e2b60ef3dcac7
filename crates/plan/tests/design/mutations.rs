//! One thing broken, one thing told: the lab, with every value of it garbled in turn, every name misspelt, every definition
//! taken away. What is told names the cause and its place, and tells nothing that only follows from it.

use serde_json::{Value, json};
use slipway_plan::Finding;
use slipway_plan::design::files::SiteFiles;
use slipway_plan::formats::yaml::documents;

use crate::support::LAB;

/// A place in the documents: which of them, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    document: usize,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl At {
    /// The field path, as findings have it.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.steps {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path = format!("{path}.{key}"),
                Step::Index(index) => path = format!("{path}[{index}]"),
            }
        }
        path
    }

    /// Which of the documents.
    pub fn document(&self) -> usize {
        self.document
    }

    /// The same without numbers.
    pub fn field(&self) -> String {
        let mut field = String::new();
        for piece in self.path().split_inclusive(']') {
            field.push_str(piece.split('[').next().unwrap());
            if piece.ends_with(']') {
                field.push_str("[]");
            }
        }
        field
    }

    fn pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("/{index}"),
        };
        self.steps.iter().map(step).collect()
    }
}

/// The lab with its Design in one piece, as JSON.
pub fn lab() -> Vec<Value> {
    let mut objects: Vec<Value> = documents(LAB).unwrap().into_iter().map(|document| document.value).collect();
    let part = |object: Value| match object["kind"].as_str() {
        Some("Design") => object["spec"].clone(),
        _ => documents(object["data"]["design.yaml"].as_str().unwrap()).unwrap().remove(0).value,
    };
    let parts: Vec<Value> = objects.drain(1..3).map(part).collect();
    let spec = objects[0]["spec"].as_object_mut().unwrap();
    spec.remove("include");
    for part in parts {
        spec.extend(part.as_object().unwrap().clone());
    }
    objects
}

fn text(objects: &[Value]) -> String {
    let objects: Vec<String> = objects.iter().map(|object| serde_json::to_string_pretty(object).unwrap()).collect();
    objects.join("\n---\n")
}

/// All findings, and the text that each points at.
pub fn told(objects: &[Value]) -> Vec<(Finding, String)> {
    let text = text(objects);
    let mut files = SiteFiles::read([("site.yaml", text.as_str())]);
    let compiled = files.compile();
    let findings = files.findings(&compiled);
    let shown = |finding: &Finding| {
        let place = finding.place.as_ref()?;
        let line = text.lines().nth(usize::try_from(place.line).unwrap() - 1)?;
        Some(line[usize::try_from(place.column).unwrap() - 1..].to_owned())
    };
    findings.into_iter().map(|finding| (finding.clone(), shown(&finding).unwrap_or_default())).collect()
}

/// Every value of the specs, be it a scalar, a list or a map.
pub fn values(objects: &[Value]) -> Vec<At> {
    fn walk(value: &Value, at: &At, found: &mut Vec<At>) {
        found.push(at.clone());
        let mut go = |step: Step, value: &Value| {
            let mut at = at.clone();
            at.steps.push(step);
            walk(value, &at, found);
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| go(Step::Key(key.clone()), value)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| go(Step::Index(index), value)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (document, object) in objects.iter().enumerate() {
        let at = At { document, steps: vec![Step::Key("spec".into())] };
        walk(&object["spec"], &at, &mut found);
    }
    found.retain(|at| at.steps.len() > 1);
    found
}

/// The objects with another value at a place.
pub fn with(objects: &[Value], at: &At, value: Value) -> Vec<Value> {
    let mut objects = objects.to_vec();
    *objects[at.document].pointer_mut(&at.pointer()).unwrap() = value;
    objects
}

fn without(objects: &[Value], at: &At) -> Vec<Value> {
    let mut objects = objects.to_vec();
    let (last, parents) = at.steps.split_last().unwrap();
    let parent = At { document: at.document, steps: parents.to_vec() };
    match (objects[at.document].pointer_mut(&parent.pointer()).unwrap(), last) {
        (Value::Object(map), Step::Key(key)) => drop(map.remove(key)),
        (Value::Array(items), Step::Index(index)) => drop(items.remove(*index)),
        _ => panic!("{at:?}"),
    }
    objects
}

fn value<'v>(objects: &'v [Value], at: &At) -> &'v Value {
    objects[at.document].pointer(&at.pointer()).unwrap()
}

fn shown(told: &[(Finding, String)]) -> String {
    let line = |(finding, shown): &(Finding, String)| {
        let object = finding.object.as_deref().unwrap_or_default();
        let (code, path, message) = (finding.code, &finding.path, &finding.message);
        format!("    {:?} {code} {object} {path}: {message} at `{shown:.40}`\n", finding.severity)
    };
    told.iter().map(line).collect()
}

#[test]
fn nothing_is_wrong_with_the_lab_in_one_piece() {
    let told = told(&lab());
    assert!(told.is_empty(), "{}", shown(&told));
}

/// A value of another type is told where it stands, and nothing else is.
#[test]
fn every_value_of_a_wrong_type_is_told_alone() {
    let lab = lab();
    let mut failures = Vec::new();
    // A BMC that the Node names itself is the Node's business.
    for at in values(&lab).into_iter().filter(|at| !at.field().starts_with("spec.bmc")) {
        let wrong = if value(&lab, &at).is_object() { json!("zz") } else { json!({"zz": 1}) };
        let told = told(&with(&lab, &at, wrong));
        let is_there = told.iter().any(|(finding, _)| {
            finding.code == "DD001" && (finding.path == at.path() || finding.path == format!("{}.zz", at.path()))
        });
        if !is_there || told.len() > 1 {
            failures.push(format!("{} is garbled:\n{}", at.path(), shown(&told)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

/// What filters look at: one that is misspelt is in no finding, but the filter takes nothing.
const FILTERED: &[&str] = &["labels", "rackLabels", "tags", "ownerData", "designRef"];

fn is_of_filter(at: &At, finding: &Finding) -> bool {
    at.field().split(['.', '[']).any(|step| FILTERED.contains(&step)) && finding.message.contains("takes no Node")
}

/// A name that is misspelt, as it was or as it is now, is in everything that is told.
#[test]
fn every_misspelt_name_is_in_what_is_told() {
    let lab = lab();
    let mut failures = Vec::new();
    for at in values(&lab) {
        let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let Some(name) = value(&lab, &at).as_str().filter(is_name) else { continue };
        let told = told(&with(&lab, &at, json!(format!("{name}x"))));
        let is_about = |(finding, _): &(Finding, String)| {
            finding.path.starts_with(&at.path()) || finding.message.contains(name) || is_of_filter(&at, finding)
        };
        if !told.iter().all(is_about) {
            failures.push(format!("{} has an x more:\n{}", at.path(), shown(&told)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

/// The name of a definition that is taken away is in everything that is told, and what still refers to it is told.
#[test]
fn every_definition_that_is_taken_away_is_in_what_is_told() {
    const DEFINITIONS: &[&str] = &["networks", "networkLinks", "racks", "hardwareProfiles", "hostProfiles", "groups"];
    let lab = lab();
    let mut failures = Vec::new();
    for at in values(&lab) {
        let field = at.field();
        let list = field.strip_suffix("[]").and_then(|field| field.rsplit('.').next()).unwrap_or_default();
        if !DEFINITIONS.contains(&list) || !value(&lab, &at).is_object() {
            continue;
        }
        let name = value(&lab, &at)["name"].as_str().unwrap().to_owned();
        let told = told(&without(&lab, &at));
        let is_about = |(finding, _): &(Finding, String)| {
            finding.message.contains(&name) || finding.message.contains("takes no Node")
        };
        // Nothing refers to these.
        let is_free = ["storage-far", "compute"].contains(&name.as_str()) || at.path() == "spec.networkLinks[0]";
        if !told.iter().all(is_about) || told.is_empty() && !is_free {
            failures.push(format!("{} is gone:\n{}", at.path(), shown(&told)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

/// Whatever is taken away, the site is read, and findings have their places.
#[test]
fn everything_that_is_taken_away_leaves_a_site() {
    let lab = lab();
    for at in values(&lab) {
        for (finding, shown) in told(&without(&lab, &at)) {
            assert!(!shown.is_empty(), "{} is gone: {finding:?} has no place", at.path());
        }
    }
}
