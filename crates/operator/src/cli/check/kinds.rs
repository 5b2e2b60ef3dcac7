//! What each kind says of itself, as far as it needs no cluster.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use slipway_api::{ContainerServiceSpec, NodeSpec};
use slipway_plan::container_service::definition::{Contents, HashKey, NeedKind, codes as definition, needs};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::validate;
use slipway_plan::formats::compose::{self, Loaded, Source, codes};
use slipway_plan::{Finding, Severity, node};

use super::objects::{Object, Sources};
use super::schema::Schemas;

/// What is said of one object.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What is wrong, with paths from the object's root.
    pub(super) findings: Vec<Finding>,
    /// What could not be looked at.
    pub(super) notes: Vec<String>,
    /// The Compose project that it runs, and where that is named.
    pub(super) project: Option<(String, &'static str)>,
}

impl From<Vec<Finding>> for Said {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::default() }
    }
}

/// The version of our kinds.
pub(super) fn version() -> String {
    format!("{}/{}", slipway_api::GROUP, slipway_api::VERSION)
}

/// What there is to say of one object.
pub(super) fn check(object: &Object<'_>, schemas: &Schemas, sources: &Sources) -> Said {
    let kind = object.text("kind");
    let version = version();
    if object.text("apiVersion") != version {
        let finding = Finding::error(codes::INVALID_VALUE, "apiVersion", "is not a version of this kind");
        return vec![finding.hint(format!("write {version}"))].into();
    }
    if !schemas.knows(kind) {
        let known: Vec<&str> = schemas.kinds().collect();
        let finding = Finding::error(codes::INVALID_VALUE, "kind", format!("`{kind:.100}` is not a kind of Slipway"));
        let near = compose::nearest(kind, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        return vec![finding.hint(near.unwrap_or_else(|| format!("the kinds are {}", known.join(", "))))].into();
    }
    let (value, mut findings) = schemas.check(kind, object.value);
    let spec = value.get("spec").unwrap_or(&Value::Null);
    let own = match kind {
        "ContainerService" => own(spec, &mut findings, |spec| container_service(&spec, object, sources)),
        "Node" => {
            own(spec, &mut findings, |spec: NodeSpec| node::validate::validate(&spec).err().unwrap_or_default().into())
        }
        _ => Said::default(),
    };
    Said { findings: merged(findings, own.findings), ..own }
}

/// The kind's own validation. Of a spec that cannot be read as a whole, the fields that the schema has nothing against.
fn own<T: DeserializeOwned>(spec: &Value, findings: &mut Vec<Finding>, validate: impl Fn(T) -> Said) -> Said {
    let error = match T::deserialize(spec) {
        Ok(spec) => return validate(spec),
        Err(error) => error,
    };
    if findings.is_empty() {
        findings.push(Finding::error(codes::INVALID_VALUE, "spec", error.to_string()));
    }
    let broken: BTreeSet<&str> = findings.iter().filter_map(|finding| field(&finding.path)).collect();
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|key, _| !broken.contains(key.as_str()));
    }
    let Ok(spec) = serde_json::from_value(spec) else { return Said::default() };
    let mut own = validate(spec);
    // What is said of the whole may be wrong, as it was said of a part.
    own.findings.retain(|finding| field(&finding.path).is_some_and(|field| !broken.contains(field)));
    own
}

/// The field of the spec that a path leads into.
fn field(path: &str) -> Option<&str> {
    path.strip_prefix("spec.")?.split(['.', '[']).next()
}

/// What the kind says itself is more to the point than what the schema says of the same place.
pub(super) fn merged(schema: Vec<Finding>, own: Vec<Finding>) -> Vec<Finding> {
    let errors = own.iter().filter(|finding| finding.severity == Severity::Error);
    let said: BTreeSet<String> = errors.map(|finding| finding.path.clone()).collect();
    let is_said = |path: &str| {
        said.iter().any(|other| other == path || other.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    };
    let mut findings: Vec<Finding> = schema.into_iter().filter(|finding| !is_said(&finding.path)).collect();
    findings.extend(own);
    findings
}

fn container_service(spec: &ContainerServiceSpec, object: &Object<'_>, sources: &Sources) -> Said {
    let base = validate::compose_path(spec);
    let namespace = object.namespace();
    let source = match (&spec.compose, &spec.compose_from) {
        (Some(value), None) => Source::Value(value),
        (None, Some(from)) => {
            let reference = &from.config_map_key_ref;
            let Some(data) = sources.get(NeedKind::ConfigMap, namespace, &reference.name) else {
                let note = format!("ConfigMap {} is not given, so the Compose file is not checked", reference.name);
                return Said { notes: vec![note], ..validate::validate_spec(spec).into() };
            };
            match data.get(&reference.key).map(|bytes| std::str::from_utf8(bytes)) {
                Some(Ok(text)) => Source::Text(text),
                found => {
                    let problem = if found.is_some() { "is not UTF-8 text" } else { "does not exist" };
                    let message = format!("the key {} of ConfigMap {} {problem}", reference.key, reference.name);
                    let mut findings = validate::validate_spec(spec);
                    findings.push(Finding::error(definition::KEY_MISSING, base, message));
                    return findings.into();
                }
            }
        }
        _ => return validate::validate_spec(spec).into(),
    };
    let Loaded { project, warnings } = match compose::load(source, &spec.environment, &spec.profiles, base) {
        Ok(loaded) => loaded,
        Err(mut findings) => {
            findings.extend(validate::validate_spec(spec));
            return findings.into();
        }
    };
    let mut contents = Contents::default();
    let mut notes = BTreeSet::new();
    let needed = match needs(&project, &spec.files, base) {
        Ok(needed) => needed,
        Err(mut findings) => {
            findings.extend(warnings);
            findings.extend(validate::validate_spec(spec));
            return findings.into();
        }
    };
    for need in &needed {
        match sources.get(need.kind, namespace, &need.name) {
            Some(data) => contents.insert(need.kind, need.name.clone(), data.clone()),
            None => {
                notes.insert(format!("{} {} is not given, so its content is not checked", need.kind, need.name));
            }
        }
    }
    let owner = Owner { installation: "check".into(), namespace: namespace.to_owned(), name: object.name().to_owned() };
    // Hashes are made and thrown away, so their key does not matter.
    let (mut findings, project) = match validate::validate(owner, spec, &project, &contents, &HashKey::new([0; 32])) {
        Ok(valid) => (valid.warnings, Some((valid.definition.project, base))),
        Err(findings) => (findings, None),
    };
    findings.retain(|finding| ![definition::SECRET_MISSING, definition::CONFIG_MAP_MISSING].contains(&finding.code));
    findings.extend(warnings);
    Said { findings, notes: notes.into_iter().collect(), project }
}
