//! The CustomResourceDefinitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{ContainerService, Design, Node, NodeInventory};

/// The CustomResourceDefinition of every kind, in the order in which they read best: what others refer to first.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [Design::crd(), Node::crd(), NodeInventory::crd(), ContainerService::crd()].map(tidy).into()
}

fn tidy(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            tidy_schema(schema);
        }
    }
    crd
}

/// Takes out what Rust says and Kubernetes has no use for: `uint32` and the like are formats that API servers warn of;
/// `nullable` would let a null stay in the object, where CEL's `has()` sees a field that nobody set; a title repeats the
/// kind; the line ends of a doc comment are where the source is wrapped.
fn tidy_schema(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    if let Some(description) = &mut schema.description {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    for child in children(schema) {
        tidy_schema(child);
    }
}

fn children(schema: &mut JSONSchemaProps) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let items = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(one)) => std::slice::from_mut(&mut **one),
        Some(JSONSchemaPropsOrArray::Schemas(many)) => many.as_mut_slice(),
        None => &mut [],
    };
    let values = match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&mut **values),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    };
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).chain(items).chain(values)
}
