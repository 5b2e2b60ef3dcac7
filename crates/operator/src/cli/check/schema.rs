//! What an API server would say of an object: the structural schema of its CRD, unknown fields, CEL rules.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};

use kube_cel::{CompiledSchema, Validator, compile_schema};
use regex::Regex;
use serde_json::{Map, Value, json};
use slipway_plan::Finding;
use slipway_plan::formats::compose::codes;

/// Code of a violated CEL rule.
const RULE: &str = "RuleViolated";
/// Code of a field that must be there.
pub(super) const REQUIRED: &str = "RequiredField";

/// The kinds of this group, each with its schema.
pub(super) struct Schemas {
    kinds: BTreeMap<String, Kind>,
    patterns: Patterns,
    /// Made once: it knows all functions of CEL.
    validator: OnceCell<Validator>,
}

struct Kind {
    schema: Value,
    /// Its CEL rules, compiled when an object of the kind is there.
    rules: OnceCell<CompiledSchema>,
}

/// The patterns of the schemas, each compiled once.
#[derive(Default)]
struct Patterns(RefCell<HashMap<String, Option<Regex>>>);

impl Patterns {
    fn fits(&self, pattern: &str, text: &str) -> bool {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(pattern) {
            known.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        known.get(pattern).and_then(Option::as_ref).is_none_or(|regex| regex.is_match(text))
    }
}

impl Schemas {
    /// Those of the CRDs that this program installs.
    pub(super) fn load() -> Self {
        let mut kinds = BTreeMap::new();
        for crd in slipway_api::crds() {
            let served = crd.spec.versions.into_iter().find(|version| version.name == slipway_api::VERSION);
            let schema = served.and_then(|version| version.schema).and_then(|schema| schema.open_api_v3_schema);
            let schema = schema.and_then(|schema| serde_json::to_value(schema).ok());
            let kind = schema.map(|schema| Kind { schema, rules: OnceCell::new() });
            kinds.extend(kind.map(|kind| (crd.spec.names.kind, kind)));
        }
        Self { kinds, patterns: Patterns::default(), validator: OnceCell::new() }
    }

    /// Whether a kind is one of ours.
    pub(super) fn knows(&self, kind: &str) -> bool {
        self.kinds.contains_key(kind)
    }

    /// Names of the kinds.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// Checks an object: as an API server has it, without the nulls that it drops; and what is wrong with it.
    pub(super) fn check<'o>(&self, kind: &str, object: &'o Value) -> (Cow<'o, Value>, Vec<Finding>) {
        let Some(Kind { schema, rules }) = self.kinds.get(kind) else { return (Cow::Borrowed(object), Vec::new()) };
        let mut object = Cow::Borrowed(object);
        if has_null(&object) {
            drop_nulls(schema, object.to_mut());
        }
        let mut walk = Walk { patterns: &self.patterns, findings: Vec::new() };
        walk.metadata(&object);
        walk.value(schema, &object, "");
        let mut findings = walk.findings;
        if findings.is_empty() {
            let validator = self.validator.get_or_init(Validator::new);
            findings.extend(violations(validator, rules.get_or_init(|| compile_schema(schema)), &object));
        }
        (object, findings)
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

/// An API server drops a null of a field that is not nullable.
fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let property = |key: &str| properties.and_then(|properties| properties.get(key));
            map.retain(|key, value| {
                let is_dropped = |property: &Value| property.get("nullable") != Some(&Value::Bool(true));
                !(value.is_null() && property(key).is_some_and(is_dropped))
            });
            for (key, value) in map.iter_mut() {
                if let Some(schema) = property(key).or(schema.get("additionalProperties")) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    drop_nulls(schema, item);
                }
            }
        }
        _ => {}
    }
}

/// CEL rules can only be judged on an object that has the right shape.
fn violations(validator: &Validator, rules: &CompiledSchema, object: &Value) -> Vec<Finding> {
    let Err(errors) = validator.validate_compiled(rules, object, None) else { return Vec::new() };
    // Rules of the whole object are about its spec.
    let path = |path: String| if path.is_empty() { "spec".to_owned() } else { path };
    errors.into_vec().into_iter().map(|error| Finding::error(RULE, path(error.field_path), error.message)).collect()
}

/// RFC 1123, as Kubernetes wants names.
pub(in crate::cli) fn is_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(label.chars().next())
            && end(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// A walk over an object along its schema.
struct Walk<'s> {
    patterns: &'s Patterns,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn report(&mut self, path: &str, message: String) {
        self.findings.push(Finding::error(codes::INVALID_VALUE, path, message));
    }

    /// What every object has around its spec. A name is required, as `generateName` gives none to check.
    fn metadata(&mut self, object: &Value) {
        let (text, map) = (json!({"type": "string"}), json!({"type": "object"}));
        let metadata = object.get("metadata").filter(|metadata| !metadata.is_null());
        if let Some(metadata) = metadata {
            self.value(&map, metadata, "metadata");
        }
        // A null is as good as nothing.
        let of = |key: &str| metadata.and_then(|metadata| metadata.get(key)).filter(|value| !value.is_null());
        for key in ["name", "namespace"] {
            if let Some(value) = of(key) {
                self.value(&text, value, &format!("metadata.{key}"));
            }
        }
        for key in ["labels", "annotations"] {
            let Some(value) = of(key) else { continue };
            self.value(&map, value, &format!("metadata.{key}"));
            for (name, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                self.value(&text, value, &format!("metadata.{key}.{name}"));
            }
        }
        match of("name") {
            None if of("generateName").is_some() => {}
            None => self.findings.push(Finding::error(REQUIRED, "metadata.name", "is missing")),
            Some(Value::String(name)) if !is_subdomain(name) => {
                let message = format!("`{name:.100}` is not a name of an object");
                self.findings.push(
                    Finding::error(codes::INVALID_NAME, "metadata.name", message).hint(
                        "use lower-case letters, digits, `-` and `.`, a letter or digit at both ends, at most 253",
                    ),
                );
            }
            Some(_) => {}
        }
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        let wanted = schema.get("type").and_then(Value::as_str);
        if let Some(wanted) = wanted.filter(|wanted| !has_type(value, wanted)) {
            let message = format!("{} where {} is wanted", described(value), article(wanted));
            let finding = Finding::error(codes::INVALID_VALUE, path, message);
            let is_word = wanted == "string" && (value.is_boolean() || value.is_number());
            self.findings.push(if is_word { finding.hint(format!("write \"{value}\"")) } else { finding });
            return;
        }
        let is_either = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
        if is_either && !value.is_i64() && !value.is_u64() && !value.is_string() {
            self.report(path, format!("{} where an integer or text is wanted", described(value)));
            return;
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let words: Vec<String> = allowed.iter().map(shown).collect();
            self.report(path, format!("{} is none of {}", described(value), words.join(", ")));
        }
        self.limits(schema, value, path);
        match value {
            Value::Object(map) => self.object(schema, map, path),
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(schema, item, &format!("{path}[{index}]"));
                    }
                }
                self.keys(schema, items, path);
            }
            _ => {}
        }
        self.one_of(schema, value, path);
    }

    fn object(&mut self, schema: &Value, map: &Map<String, Value>, path: &str) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(key) {
                self.findings.push(Finding::error(REQUIRED, join(path, key), "is missing"));
            }
        }
        let values = schema.get("additionalProperties").filter(|values| values.is_object());
        let keeps_unknown = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || schema.get("additionalProperties") == Some(&Value::Bool(true))
            || properties.is_empty();
        // Kubernetes itself knows these, whether the schema says so or not.
        let is_envelope = |key: &str| path.is_empty() && matches!(key, "apiVersion" | "kind" | "metadata" | "status");
        for (key, value) in map {
            match (properties.get(key), values) {
                _ if is_envelope(key) => {}
                (Some(property), _) => self.value(property, value, &join(path, key)),
                (None, Some(values)) => self.value(values, value, &join(path, key)),
                (None, None) if keeps_unknown => {}
                (None, None) => self.findings.push(unknown(key, &join(path, key), properties)),
            }
        }
    }

    /// Items of a list that is a map to an API server: no two have the same keys.
    fn keys(&mut self, schema: &Value, items: &[Value], path: &str) {
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let Some(keys) = keys.map(|keys| keys.iter().filter_map(Value::as_str).collect::<Vec<_>>()) else { return };
        let mut seen: HashSet<Vec<String>> = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let of_item: Option<Vec<String>> = keys.iter().map(|key| item.get(key).map(Value::to_string)).collect();
            if of_item.is_some_and(|of_item| !seen.insert(of_item)) {
                self.report(
                    &format!("{path}[{index}]"),
                    format!("an item before it has the same {}", keys.join(" and ")),
                );
            }
        }
    }

    fn limits(&mut self, schema: &Value, value: &Value, path: &str) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let mut between = |size: f64, least: &str, most: &str, what: &str| {
            if let Some(least) = limit(least).filter(|least| size < *least) {
                self.report(path, format!("{what} {size} is less than {least}"));
            }
            if let Some(most) = limit(most).filter(|most| size > *most) {
                self.report(path, format!("{what} {size} is more than {most}"));
            }
        };
        #[allow(clippy::cast_precision_loss)] // lengths are far below 2^52
        match value {
            Value::Number(number) => between(number.as_f64().unwrap_or_default(), "minimum", "maximum", "the value"),
            Value::String(text) => between(text.chars().count() as f64, "minLength", "maxLength", "the length"),
            Value::Array(items) => between(items.len() as f64, "minItems", "maxItems", "the number of items"),
            Value::Object(map) => between(map.len() as f64, "minProperties", "maxProperties", "the number of entries"),
            _ => {}
        }
        if let (Some(pattern), Value::String(text)) = (schema.get("pattern").and_then(Value::as_str), value)
            && !self.patterns.fits(pattern, text)
        {
            self.report(path, format!("`{text:.100}` does not match {pattern}"));
        }
    }

    /// "Exactly one of" some fields, which is how this group uses `oneOf`.
    fn one_of(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(branches) = schema.get("oneOf").and_then(Value::as_array) else { return };
        let needed = |branch: &Value| -> Vec<String> {
            let required = branch.get("required").and_then(Value::as_array).into_iter().flatten();
            required.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let fits = |branch: &&Value| needed(branch).iter().all(|key| value.get(key).is_some());
        if branches.iter().filter(fits).count() != 1 {
            let names: Vec<String> = branches.iter().map(|branch| needed(branch).join(" with ")).collect();
            self.report(path, format!("wants exactly one of {}", names.join(", ")));
        }
    }
}

fn unknown(key: &str, path: &str, properties: &Map<String, Value>) -> Finding {
    let finding = Finding::error(codes::UNKNOWN_KEY, path, format!("`{key:.100}` is not a field here"));
    let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    match slipway_plan::formats::compose::nearest(key, names.iter().copied()) {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None => finding.hint(format!("the fields are {}", names.join(", "))),
    }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn article(wanted: &str) -> &str {
    match wanted {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "an integer",
        other => other,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        Value::String(text) => format!("`{text:.100}`"),
        other => format!("`{other}`"),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords of the CRDs that need no code here, or have it.
    const KNOWN: &[&str] = &[
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "additionalProperties",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "pattern",
        "oneOf",
        "default",
        "description",
        "format",
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
    ];

    #[test]
    fn every_keyword_of_the_crds_is_known_here() {
        fn look(schema: &Value) {
            for (keyword, value) in schema.as_object().unwrap() {
                assert!(KNOWN.contains(&keyword.as_str()), "{keyword}");
                match keyword.as_str() {
                    "properties" => value.as_object().unwrap().values().for_each(look),
                    "items" => look(value),
                    "additionalProperties" if value.is_object() => look(value),
                    "oneOf" => {
                        assert!(
                            value.as_array().unwrap().iter().all(|branch| branch
                                .as_object()
                                .unwrap()
                                .keys()
                                .all(|k| k == "required"))
                        );
                    }
                    _ => {}
                }
            }
        }
        Schemas::load().kinds.values().for_each(|kind| look(&kind.schema));
    }

    fn findings(object: &Value) -> Vec<(&'static str, String)> {
        let kind = object["kind"].as_str().unwrap();
        Schemas::load().check(kind, object).1.into_iter().map(|finding| (finding.code, finding.path)).collect()
    }

    #[test]
    fn a_number_or_a_percentage() {
        for (budget, is_right) in [(json!(2), true), (json!("50%"), true), (json!(1.5), false), (json!([1]), false)] {
            let design = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Design", "metadata": {"name": "a"},
                                "spec": {"rollout": {"maxUnavailable": budget}}});
            assert_eq!(findings(&design).is_empty(), is_right, "{budget}");
        }
    }

    fn service(spec: &Value) -> Vec<(&'static str, String)> {
        findings(
            &json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "ContainerService", "metadata": {"name": "a"}, "spec": spec}),
        )
    }

    #[test]
    fn what_is_right() {
        assert_eq!(service(&json!({"compose": {"services": {"a": {"anything": null}}}, "suspend": null})), []);
        let spec = json!({"compose": {}, "files": {"a": {"secretKeyRef": {"name": "s", "key": "k"}}}});
        assert_eq!(service(&spec), []);
    }

    #[test]
    fn what_is_wrong() {
        let one = |code, path: &str| vec![(code, path.to_owned())];
        assert_eq!(service(&json!({"compose": {}, "compos": 1})), one(codes::UNKNOWN_KEY, "spec.compos"));
        assert_eq!(service(&json!({"compose": []})), one(codes::INVALID_VALUE, "spec.compose"));
        assert_eq!(service(&json!({"compose": {}, "drift": "Hea"})), one(codes::INVALID_VALUE, "spec.drift"));
        assert_eq!(
            service(&json!({"compose": {}, "environment": {"A": 1}})),
            one(codes::INVALID_VALUE, "spec.environment.A")
        );
        assert_eq!(
            service(&json!({"compose": {}, "update": {"maxUnavailable": 0}})),
            one(codes::INVALID_VALUE, "spec.update.maxUnavailable")
        );
        assert_eq!(
            service(&json!({"compose": {}, "update": {"timeout": "soon"}})),
            one(codes::INVALID_VALUE, "spec.update.timeout")
        );
        assert_eq!(service(&json!({"composeFrom": {}})), one(REQUIRED, "spec.composeFrom.configMapKeyRef"));
        let both = json!({"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "s", "key": "k"}});
        assert_eq!(service(&json!({"compose": {}, "files": {"a": both}})), one(codes::INVALID_VALUE, "spec.files.a"));
        let rule = service(&json!({"compose": {}, "placement": {"mode": "Replicas"}}));
        assert_eq!(rule, one(RULE, "spec.placement"));
        assert_eq!(service(&json!({}))[0].0, RULE);
        let nameless = findings(
            &json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": "Not Good"}, "spec": {}}),
        );
        assert!(nameless.contains(&(codes::INVALID_NAME, "metadata.name".into())), "{nameless:?}");
    }
}
