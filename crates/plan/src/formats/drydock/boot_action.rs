//! `BootAction`.

use slipway_api::design::{
    Asset, AssetType, BootAction, FilterOperator, LocationStep, NodeFilter, NodeFilterSet, Package, PipelineStep,
};

use super::documents::Kind;
use super::read::{Field, Fields, Scope};
use super::secrets::without_login;
use super::templates;
use crate::formats::yaml::Kind as YamlKind;

const OPERATORS: [(&str, FilterOperator); 2] =
    [("union", FilterOperator::Union), ("intersection", FilterOperator::Intersection)];

const LOCATION_STEPS: [(&str, LocationStep); 1] = [("template", LocationStep::Template)];

const DATA_STEPS: [(&str, PipelineStep); 5] = [
    ("template", PipelineStep::Template),
    ("base64_encode", PipelineStep::Base64Encode),
    ("base64_decode", PipelineStep::Base64Decode),
    ("utf8_encode", PipelineStep::Utf8Encode),
    ("utf8_decode", PipelineStep::Utf8Decode),
];

/// Reads a `BootAction`.
pub(super) fn action<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> BootAction {
    if fields.get("assets").is_none() {
        scope.missing(&fields, "assets");
    }
    let action = BootAction {
        name,
        signaling: fields.flag(scope, "signaling"),
        node_filter: fields.map(scope, "node_filter").map(|fields| filter_set(scope, fields)),
        assets: fields.list(scope, "assets").into_iter().filter_map(|field| asset(scope, &field)).collect(),
    };
    fields.close(scope);
    action
}

fn filter_set<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> NodeFilterSet {
    let operator = operator(scope, &fields, "filter_set_type");
    let filters = fields.list(scope, "filter_set").into_iter().filter_map(|field| filter(scope, field)).collect();
    fields.close(scope);
    NodeFilterSet { operator, filters }
}

fn filter<'a>(scope: &Scope<'a>, field: Field<'a>) -> Option<NodeFilter> {
    let fields = scope.fields(field)?;
    let labels = |key| fields.get(key).map(|field| scope.loose_pairs(field)).unwrap_or_default();
    let filter = NodeFilter {
        operator: operator(scope, &fields, "filter_type"),
        names: fields.references(scope, "node_names", Kind::BaremetalNode),
        tags: fields.texts(scope, "node_tags"),
        labels: labels("node_labels"),
        racks: fields.references(scope, "rack_names", Kind::Rack),
        rack_labels: labels("rack_labels"),
    };
    fields.close(scope);
    Some(filter)
}

fn operator<'a>(scope: &Scope<'a>, fields: &Fields<'a>, key: &'static str) -> FilterOperator {
    let Some(field) = fields.get(key) else {
        scope.missing(fields, key);
        return FilterOperator::default();
    };
    scope.word(&field, &OPERATORS).unwrap_or_default()
}

fn asset<'a>(scope: &Scope<'a>, field: &Field<'a>) -> Option<Asset> {
    let fields = scope.fields(field.clone())?;
    let known = [("unit", AssetType::Unit), ("file", AssetType::File), ("pkg_list", AssetType::PackageList)];
    let type_field = fields.get("type");
    if type_field.is_none() {
        scope.violation(field, "`type` is missing", Some("write unit, file or pkg_list".to_owned()));
    }
    let type_ = type_field.and_then(|field| scope.word(&field, &known));
    let location = fields.get("location").and_then(|field| {
        let text = scope.text(&field)?;
        Some(without_login(scope, &field, &text))
    });
    let data = fields.get("data").filter(|field| !field.is_null() || scope.is_strict());
    let mut asset = Asset {
        type_: type_.unwrap_or(AssetType::File),
        path: fields.get("path").and_then(|field| path(scope, &field)),
        data: None,
        location,
        packages: Vec::new(),
        location_pipeline: pipeline(scope, &fields, "location_pipeline", &LOCATION_STEPS),
        data_pipeline: pipeline(scope, &fields, "data_pipeline", &DATA_STEPS),
        permissions: fields.get("permissions").and_then(|field| permissions(scope, &field)),
    };
    match (&data, type_) {
        (Some(field), Some(AssetType::PackageList))
            if asset.location.is_some() && !matches!(field.node.kind, YamlKind::Map(_)) =>
        {
            scope.no_place(field, "the list is at the `location`, and drydock looks there");
        }
        (Some(field), Some(AssetType::PackageList)) => asset.packages = packages(scope, field.clone()),
        (Some(field), _) => asset.data = scope.text(field),
        (None, Some(AssetType::PackageList)) if asset.location.is_none() => {
            scope.error(field, "a pkg_list has packages in `data`, or a `location`");
        }
        (None, _) => {}
    }
    templates::follow_names(scope, &mut asset, data.as_ref().unwrap_or(field));
    fields.close(scope);
    type_.map(|_| asset)
}

fn path(scope: &Scope<'_>, field: &Field<'_>) -> Option<String> {
    let path = scope.text(field)?;
    let fits = path.len() > 1 && path.starts_with('/');
    if !fits && scope.is_strict() {
        scope.violation(field, format!("`{path:.100}` is not an absolute path"), None);
        return None;
    }
    Some(path)
}

fn permissions(scope: &Scope<'_>, field: &Field<'_>) -> Option<String> {
    let text = scope.text(field)?;
    let digits = text.chars().collect::<Vec<_>>();
    let fits = digits.windows(3).any(|three| three.iter().all(char::is_ascii_digit));
    if !fits && scope.is_strict() {
        scope.violation(field, format!("`{text:.40}` is not a file mode"), Some("write three octal digits".to_owned()));
        return None;
    }
    Some(text)
}

fn pipeline<'a, T: Copy>(scope: &Scope<'a>, fields: &Fields<'a>, key: &'static str, known: &[(&str, T)]) -> Vec<T> {
    fields.list(scope, key).iter().filter_map(|field| scope.word(field, known)).collect()
}

/// Names with versions; without a version, the newest.
fn packages<'a>(scope: &Scope<'a>, field: Field<'a>) -> Vec<Package> {
    let Some(fields) = scope.fields(field) else { return Vec::new() };
    let package = |(name, field): (&str, Field<'_>)| {
        let version = if matches!(field.node.kind, YamlKind::Null) { None } else { Some(scope.text(&field)?) };
        Some(Package { name: name.to_owned(), version: version.filter(|version| !version.is_empty()) })
    };
    fields.named(scope).into_iter().filter_map(package).collect()
}
