//! Compose files: to the reader, which is what a ContainerService runs, and to the importer.
//!
//! An input is a Compose file. Lines `%% name` begin further files: env files and whatever else a project names.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use slipway_api::ContainerServiceSpec;
use slipway_plan::container_service::definition::{Contents, HashKey, NeedKind, needs};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::validate;
use slipway_plan::formats::compose::import::Options;
use slipway_plan::formats::compose::{self, Loaded, MAX_FINDINGS, Source};
use slipway_plan::formats::yaml;
use slipway_plan::{Finding, Severity};

use super::told;

/// Any bytes as what a ContainerService runs: it is refused with a reason, or becomes the same definition each time.
pub fn read(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (compose, others) = files(text);
    let environment = environment();
    for profiles in [Vec::new(), vec!["debug".to_owned()]] {
        let source = |name: &str| json!({"configMapKeyRef": {"name": "files", "key": name}});
        let sources: BTreeMap<&str, Value> = others.keys().map(|name| (*name, source(name))).collect();
        // The project is read from the text.
        let spec = json!({"compose": {}, "environment": environment, "profiles": profiles, "files": sources});
        let spec: ContainerServiceSpec = serde_json::from_value(spec).unwrap();
        let load = || compose::load(Source::Text(compose), &environment, &profiles, "spec.compose");
        let loaded = load();
        assert_eq!(load(), loaded, "another project");
        match loaded {
            Ok(Loaded { project, warnings }) => {
                assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning), "{warnings:?}");
                bounded(&warnings);
                defined(&spec, &project, &others);
            }
            Err(findings) => {
                assert!(compose::has_errors(&findings), "refused without a reason: {findings:?}");
                bounded(&findings);
            }
        }
    }
}

/// A project that can be read becomes the same containers each time, or is refused with a reason.
fn defined(spec: &ContainerServiceSpec, project: &compose::model::Project, others: &BTreeMap<&str, &str>) {
    match needs(project, &spec.files, "spec.compose") {
        Ok(needed) => assert!(needed.iter().all(|need| !need.path.is_empty()), "{needed:?}"),
        Err(findings) => bounded(&findings),
    }
    let mut contents = Contents::default();
    let data = others.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    contents.insert(NeedKind::ConfigMap, "files", data.collect());
    let owner = Owner { installation: "i".into(), namespace: "n".into(), name: "fuzz".into() };
    let valid = || validate::validate(owner.clone(), spec, project, &contents, &HashKey::new([0; 32]));
    let first = valid();
    assert_eq!(valid(), first, "another definition");
    match first {
        Ok(valid) => bounded(&valid.warnings),
        Err(findings) => {
            assert!(compose::has_errors(&findings), "refused without a reason: {findings:?}");
            bounded(&findings);
        }
    }
}

/// Any bytes as Compose files of any age: what they become runs, and says the same when it is printed and read.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (compose, others) = files(text);
    let read = |path: &str| {
        let text = if path == "compose.yaml" { Some(&compose) } else { others.get(path) };
        Ok(text.map(|text| (*text).to_owned()))
    };
    let options = Options {
        fallback_name: Some("fuzz".into()),
        environment: environment(),
        host_directory: Some("/srv".into()),
        ..Options::default()
    };
    let overrides = others.contains_key("compose.override.yaml").then(|| "compose.override.yaml".to_owned());
    let names: Vec<String> = [Some("compose.yaml".to_owned()), overrides].into_iter().flatten().collect();
    let import = || compose::import::import(&names, &options, &read);
    let imported = import();
    assert_eq!(import(), imported, "another result");
    match imported {
        Ok(imported) => {
            assert!(imported.notes.iter().all(|note| note.severity == Severity::Warning), "{:?}", imported.notes);
            bounded(&imported.notes);
            let printed = imported.to_yaml().unwrap();
            let again: Vec<Value> = yaml::documents(&printed)
                .unwrap_or_else(|error| panic!("{error:?} in {printed}"))
                .into_iter()
                .map(|document| document.value)
                .collect();
            assert_eq!(again, imported.manifests, "{printed}");
            runs(again.last().unwrap());
        }
        Err(findings) => {
            assert!(compose::has_errors(&findings), "refused without a reason: {findings:?}");
            bounded(&findings);
        }
    }
}

/// The ContainerService that was made has nothing that its own check refuses.
fn runs(service: &Value) {
    assert_eq!(service["kind"], "ContainerService");
    let spec: ContainerServiceSpec = serde_json::from_value(service["spec"].clone()).unwrap();
    assert_eq!(validate::validate_spec(&spec), []);
    let project = spec.compose.as_ref().unwrap();
    let loaded = compose::load(Source::Value(project), &spec.environment, &spec.profiles, "spec.compose");
    let project = loaded.unwrap_or_else(|findings| panic!("{findings:?} in {service}")).project;
    let needed = needs(&project, &spec.files, "spec.compose");
    assert!(needed.is_ok(), "{needed:?} in {service}");
}

/// Findings are as many as they may be, of each severity with one that counts the rest.
fn bounded(findings: &[Finding]) {
    assert!(findings.len() <= 2 * (MAX_FINDINGS + 1), "{} findings", findings.len());
    told(findings, "");
}

/// The Compose file, and those behind it by their names.
fn files(text: &str) -> (&str, BTreeMap<&str, &str>) {
    let mut files = text.split("\n%% ");
    let compose = files.next().unwrap_or_default();
    (compose, files.filter_map(|file| file.split_once('\n')).collect())
}

fn environment() -> BTreeMap<String, String> {
    [("TAG", "1.2"), ("EMPTY", ""), ("PORTS", "8000-8002"), ("NUMBER", "3")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}
