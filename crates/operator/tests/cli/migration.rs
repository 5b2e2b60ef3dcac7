//! drydock's sites, imported, checked and compiled: what drydock would take passes, and nothing of it is lost on the way.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use slipway_plan::formats::yaml;

use crate::support::{Ran, directory, slipway};

const FULL: &str = include_str!("../../../plan/src/formats/drydock/fixtures/full.yaml");
const TERRACE: &str = include_str!("drydock/terrace.yaml");
const HARBOUR: [(&str, &str); 2] = [
    ("harbour/site.yaml", include_str!("drydock/harbour/site.yaml")),
    ("harbour/nodes.yaml", include_str!("drydock/harbour/nodes.yaml")),
];

/// A site after `slipway import drydock -o out`.
struct Migrated {
    files: tempfile::TempDir,
    /// drydock's documents.
    documents: Vec<Value>,
    /// What was written, with the mode of its file.
    objects: Vec<(Value, u32)>,
}

impl Migrated {
    fn of(sources: &[(&str, &str)]) -> Self {
        let files = directory(sources);
        let names = sources.iter().map(|(name, _)| *name);
        let arguments: Vec<&str> = ["import", "drydock", "-o", "out"].into_iter().chain(names).collect();
        let imported = slipway(files.path(), &arguments, "");
        assert_eq!(imported.code, 0, "{}", imported.err);
        let documents = sources.iter().flat_map(|(_, text)| yaml::documents(text).unwrap());
        let documents = documents.map(|document| document.value).filter(is_drydocks).collect();
        let mut objects = Vec::new();
        for entry in fs::read_dir(files.path().join("out")).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let read = yaml::documents(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(read.len(), 1, "{}", path.display());
            objects.extend(read.into_iter().map(|document| (document.value, mode)));
        }
        Self { files, documents, objects }
    }

    fn check(&self) -> Ran {
        slipway(self.files.path(), &["check", "-f", "out"], "")
    }

    /// The model, which has each of drydock's nodes.
    fn compile(&self) -> Value {
        let compiled = slipway(self.files.path(), &["compile", "-f", "out"], "");
        assert_eq!(compiled.code, 0, "{}", compiled.err);
        let model: Value = serde_json::from_str(&compiled.out).unwrap();
        let nodes = self.documents.iter().filter(|document| kind(document) == "BaremetalNode").count();
        assert_eq!(model["nodes"].as_array().map_or(0, Vec::len), nodes);
        model
    }

    /// Each word of the documents is in one of the objects.
    fn assert_nothing_is_lost(&self) {
        let mut kept = BTreeSet::new();
        self.objects.iter().for_each(|(object, _)| words(object, true, &mut kept));
        let mut lost = BTreeSet::new();
        for document in &self.documents {
            let mut written = BTreeSet::new();
            words(&document["metadata"], false, &mut written);
            words(&document["data"], false, &mut written);
            words(&document["spec"], false, &mut written);
            lost.extend(written.into_iter().filter(|word| !kept.contains(word) && !RENAMED.contains(&word.as_str())));
        }
        assert!(lost.is_empty(), "lost: {lost:?}");
    }

    /// The passwords of the documents are in Secrets, in files that only their owner may read, and nowhere else.
    fn assert_secrets_are_kept(&self) {
        let written: BTreeSet<String> = self.documents.iter().flat_map(secrets).collect();
        assert!(!written.is_empty(), "the site has no secret");
        let mut kept = BTreeSet::new();
        for (object, mode) in &self.objects {
            let is_secret = object["kind"] == "Secret";
            assert_eq!(*mode, if is_secret { 0o600 } else { 0o644 }, "{}", object["metadata"]["name"]);
            let found = secrets(object);
            assert!(is_secret || found.is_empty(), "{found:?} in {object}");
            kept.extend(found);
        }
        assert_eq!(kept, written);
    }
}

/// The passwords of the sites written for these tests are `hunter` and a number.
fn secrets(value: &Value) -> BTreeSet<String> {
    let text = value.to_string();
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split("hunter").skip(1).map(|rest| format!("hunter{}", digits(rest))).collect()
}

/// Whether a document is one of drydock's, in either envelope.
fn is_drydocks(document: &Value) -> bool {
    ["schema", "apiVersion"].iter().any(|key| document[key].as_str().is_some_and(|text| text.starts_with("drydock/")))
}

fn kind(document: &Value) -> &str {
    let named = document["schema"].as_str().and_then(|schema| schema.split('/').nth(1));
    named.or_else(|| document["kind"].as_str()).unwrap_or_default()
}

/// Words of drydock's own that are others here, or need none.
const RENAMED: [&str; 5] = ["account", "credential", "lshwxpath", "pkglist", "removeunlisted"];

/// Maps whose keys drydock leaves to the user.
const FREE: [&str; 14] = [
    "labels",
    "owner_data",
    "kernel_params",
    "device_aliases",
    "cpu_sets",
    "hugepages",
    "location",
    "tor_switches",
    "repositories",
    "physical_devices",
    "volume_groups",
    "interfaces",
    "oob",
    "node_labels",
];

/// What is written in a value: its scalars, and the keys that users chose, or all. Spelled as words are that may have been
/// renamed or written in another style: `Boot_Net` and `boot-net`, `utf8_decode` and `Utf8Decode`.
fn words(value: &Value, with_all_keys: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if with_all_keys {
                    found.insert(word(key));
                }
                if let (true, Some(free)) = (FREE.contains(&key.as_str()), value.as_object()) {
                    found.extend(free.keys().map(|key| word(key)));
                }
                words(value, with_all_keys, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, with_all_keys, found)),
        // An annotation may hold what has no field of its own.
        Value::String(text) if text.starts_with('{') && with_all_keys => {
            found.insert(word(text));
            if let Ok(value) = serde_json::from_str::<Value>(text) {
                words(&value, true, found);
            }
        }
        // A list, to drydock, or an address with a login in it.
        Value::String(text) => found.extend(text.split([',', ':', '@']).map(word)),
        Value::Number(number) => drop(found.insert(word(&number.as_f64().unwrap().to_string()))),
        // Flags may become that something is there.
        Value::Bool(_) | Value::Null => {}
    }
    found.remove("");
}

fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[test]
fn a_site_in_deckhands_envelope() {
    let site = Migrated::of(&[("terrace.yaml", TERRACE)]);
    site.assert_nothing_is_lost();
    site.assert_secrets_are_kept();
    let checked = site.check();
    assert_eq!((checked.code, checked.out.as_str()), (0, ""), "{}", checked.err);
    let model = site.compile();
    let of = |pointer: &str| model["nodes"].pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {model:#}"));
    let names = |pointer: &str| -> Vec<&str> {
        of(pointer).as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect()
    };
    assert_eq!((of("/0/name"), of("/1/name")), (&"cmp-01".into(), &"ctl-01".into()));
    assert_eq!(names("/1/storage/disks"), ["boot_disk", "sdc"], "`!sdb` takes away");
    assert_eq!(names("/1/interfaces/1/networks"), ["storage-2", "mgmt"]);
    assert_eq!(of("/1/metadata/tags"), &serde_json::json!(["control", "base"]));
    assert_eq!(of("/1/platform/kernelCommandLine").as_str().unwrap().split(' ').count(), 5);
    assert_eq!(of("/0/outOfBand/type"), "Redfish");
}

#[test]
fn a_site_in_drydocks_own_envelope() {
    let site = Migrated::of(&HARBOUR);
    site.assert_nothing_is_lost();
    site.assert_secrets_are_kept();
    let checked = site.check();
    assert_eq!((checked.code, checked.out.as_str()), (0, ""), "{}", checked.err);
    let model = site.compile();
    let disk = &model["nodes"][0]["storage"]["disks"][0];
    assert_eq!((&disk["name"], &disk["partitions"][1]["volumeGroup"]), (&"sda".into(), &"logs".into()));
}

#[test]
fn a_site_that_drydock_refuses_is_refused() {
    let site = Migrated::of(&[("full.yaml", FULL)]);
    site.assert_secrets_are_kept();
    // It has every field, and some of them make no sense together.
    let checked = site.check();
    assert_eq!(checked.code, 1, "{}", checked.err);
    assert!(!checked.out.contains("(DD001)"), "what was imported can be read: {}", checked.out);
    let wrong = TERRACE.replace("{network: mgmt, address: 10.40.2.11}", "{network: mgmt, address: 10.40.3.11}");
    let checked = Migrated::of(&[("terrace.yaml", &wrong)]).check();
    assert!(checked.code == 1 && checked.out.contains("10.40.3.11 is not in network mgmt"), "{}", checked.out);
}

/// drydock's own samples, where they are there.
#[test]
fn drydocks_samples() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/drydock");
    for (name, is_valid) in
        [("deckhand_fullsite.yaml", true), ("deckhand_routedomain.yaml", true), ("invalid_network_cidr.yaml", false)]
    {
        let Ok(text) = fs::read_to_string(directory.join(name)) else {
            println!("SKIPPED: {name} is not in {}", directory.display());
            continue;
        };
        let site = Migrated::of(&[(name, &text)]);
        site.assert_nothing_is_lost();
        let logins = site.documents.iter().filter(|document| document["data"]["oob"].get("credential").is_some());
        let secrets = site.objects.iter().filter(|(object, _)| object["stringData"].get("password").is_some());
        assert_eq!(secrets.count(), logins.count(), "{name}");
        let checked = site.check();
        assert_eq!(checked.code, i32::from(!is_valid), "{name}: {}", checked.out);
        if is_valid {
            site.compile();
        } else {
            assert!(checked.out.contains("(DD2006)"), "{name}: {}", checked.out);
        }
    }
}
