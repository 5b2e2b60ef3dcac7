//! Every field of a kind as Markdown tables, from its schema.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Types of Kubernetes' own, which its users know: named, not spelled out.
const KNOWN: [(&str, &str); 2] = [("conditions", "list of Condition"), ("nodeSelector", "LabelSelector")];

/// The tables of `spec` and, where there is one, of `status`.
pub fn tables(crd: &CustomResourceDefinition) -> Result<String> {
    let root = crd
        .spec
        .versions
        .first()
        .and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref())
        .context("the CRD has no schema")?;
    let mut text = String::new();
    for part in ["spec", "status"] {
        let Some(schema) = root.properties.as_ref().and_then(|p| p.get(part)) else { continue };
        if part == "status" {
            text.push('\n');
        }
        writeln!(text, "### {part}\n\n| Field | Type | |\n|---|---|---|")?;
        rows(&mut text, "", schema)?;
        rules(&mut text, part, schema)?;
    }
    Ok(text)
}

fn rows(text: &mut String, prefix: &str, schema: &JSONSchemaProps) -> Result<()> {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{prefix}{name}");
        let known = KNOWN.iter().find(|(field, _)| field == name).map(|(_, type_)| *type_);
        let type_ = known.map_or_else(|| type_name(field), str::to_owned);
        writeln!(text, "| `{path}` | {type_} | {} |", cell(field, required.contains(name)))?;
        if known.is_none() {
            let (suffix, inner) = inside(field);
            rows(text, &format!("{path}{suffix}."), inner)?;
        }
    }
    Ok(())
}

/// What the fields under a field are written behind, and their schema.
fn inside(field: &JSONSchemaProps) -> (&'static str, &JSONSchemaProps) {
    match (&field.items, &field.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(item)), _) => ("[]", item),
        (_, Some(JSONSchemaPropsOrBool::Schema(value))) => (".*", value),
        _ => ("", field),
    }
}

fn type_name(field: &JSONSchemaProps) -> String {
    match inside(field) {
        ("[]", item) => format!("list of {}", type_name(item)),
        (".*", value) => format!("map of {}", type_name(value)),
        _ => field.type_.clone().unwrap_or_else(|| "any".into()),
    }
}

/// The description, then what the schema says beyond it.
fn cell(field: &JSONSchemaProps, required: bool) -> String {
    let mut text = field.description.clone().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    let mut add = |fact: String| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&fact);
    };
    if required {
        add("**Required.**".into());
    }
    if let Some(values) = &field.enum_ {
        let values = values.iter().filter(|value| !value.0.is_null());
        let values: Vec<_> =
            values.map(|value| format!("`{}`", value.0.as_str().map_or(value.0.to_string(), str::to_owned))).collect();
        add(format!("One of {}.", values.join(", ")));
    }
    match field.default.as_ref().map(|default| &default.0) {
        Some(serde_json::Value::String(default)) => add(format!("Default `{default}`.")),
        Some(default @ (serde_json::Value::Bool(true) | serde_json::Value::Number(_))) => {
            add(format!("Default `{default}`."));
        }
        _ => {}
    }
    match (field.minimum, field.maximum) {
        (Some(min), Some(max)) => add(format!("{min} to {max}.")),
        (Some(min), None) if min > 0.0 => add(format!("At least {min}.")),
        (None, Some(max)) => add(format!("At most {max}.")),
        _ => {}
    }
    if let Some(max) = field.max_items {
        add(format!("At most {max} items."));
    }
    text
}

/// The CEL rules, as the API server words them.
fn rules(text: &mut String, path: &str, schema: &JSONSchemaProps) -> Result<()> {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        writeln!(text, "\nRule of `{path}`: {}.", rule.message.as_deref().unwrap_or(&rule.rule))?;
    }
    for (name, field) in schema.properties.iter().flatten() {
        let (suffix, inner) = inside(field);
        rules(text, &format!("{path}.{name}{suffix}"), inner)?;
    }
    Ok(())
}
