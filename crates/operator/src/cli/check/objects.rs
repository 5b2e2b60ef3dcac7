//! The objects of the files: which are ours, and which Secrets and ConfigMaps come with them.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::Value;
use slipway_plan::container_service::definition::NeedKind;
use slipway_plan::formats::yaml::Document;

/// One object of a file.
#[derive(Debug)]
pub(in crate::cli) struct Object<'a> {
    /// Index of the file.
    pub(in crate::cli) file: usize,
    /// The document that it is in.
    pub(in crate::cli) document: &'a Document,
    /// Field path of the object in the document: empty, or `items[n]` of a List.
    pub(in crate::cli) base: String,
    pub(in crate::cli) value: &'a Value,
}

impl Object<'_> {
    pub(in crate::cli) fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn metadata(&self, key: &str) -> &str {
        self.value.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str).unwrap_or_default()
    }

    pub(in crate::cli) fn name(&self) -> &str {
        self.metadata("name")
    }

    pub(in crate::cli) fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    pub(in crate::cli) fn is_ours(&self) -> bool {
        self.text("apiVersion").split_once('/').is_some_and(|(group, _)| group == slipway_api::GROUP)
    }

    /// The field path from the document's root.
    pub(in crate::cli) fn path(&self, path: &str) -> String {
        match (self.base.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.base.clone(),
            (false, false) => format!("{}.{path}", self.base),
        }
    }
}

/// The objects of a document: itself, or the items of a List.
pub(in crate::cli) fn of_document(file: usize, document: &Document) -> Vec<Object<'_>> {
    let items = document.value.get("items").and_then(Value::as_array);
    match (document.value.get("kind").and_then(Value::as_str), items) {
        (Some("List"), Some(items)) => {
            let item = |(index, value)| Object { file, document, base: format!("items[{index}]"), value };
            items.iter().enumerate().map(item).collect()
        }
        _ => vec![Object { file, document, base: String::new(), value: &document.value }],
    }
}

type Data = BTreeMap<String, Vec<u8>>;

/// Secrets and ConfigMaps of the files, by kind, namespace and name. An object without a namespace is in any.
#[derive(Default)]
pub(in crate::cli) struct Sources {
    objects: Vec<(NeedKind, String, String, Data)>,
}

impl Sources {
    pub(in crate::cli) fn add(&mut self, object: &Object<'_>) {
        let kind = match (object.text("apiVersion"), object.text("kind")) {
            ("v1", "Secret") => NeedKind::Secret,
            ("v1", "ConfigMap") => NeedKind::ConfigMap,
            _ => return,
        };
        let mut data = Data::new();
        let encoded: &[&str] = if kind == NeedKind::Secret { &["data"] } else { &["binaryData"] };
        let plain: &[&str] = if kind == NeedKind::Secret { &["stringData"] } else { &["data"] };
        for (key, text) in entries(object.value, encoded) {
            let packed: String = text.split_whitespace().collect();
            data.extend(base64::engine::general_purpose::STANDARD.decode(packed).ok().map(|bytes| (key, bytes)));
        }
        data.extend(entries(object.value, plain).map(|(key, text)| (key, text.as_bytes().to_vec())));
        self.objects.push((kind, object.namespace().to_owned(), object.name().to_owned(), data));
    }

    /// The data of an object that one in `namespace` refers to.
    pub(in crate::cli) fn get(&self, kind: NeedKind, namespace: &str, name: &str) -> Option<&Data> {
        let fits = |theirs: &str| theirs == namespace || theirs.is_empty() || namespace.is_empty();
        let found = self.objects.iter().find(|(k, ns, n, _)| *k == kind && n == name && fits(ns));
        found.map(|(_, _, _, data)| data)
    }
}

fn entries<'a>(object: &'a Value, sections: &[&str]) -> impl Iterator<Item = (String, &'a str)> {
    let maps: Vec<&Value> = sections.iter().filter_map(|section| object.get(section)).collect();
    let entries = maps.into_iter().filter_map(Value::as_object).flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?)))
}
