//! Two ContainerServices that run a project of one name: they cannot share a host.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_plan::{Finding, Severity};

use super::objects::Object;

/// The operator's word for it.
const PROJECT_TAKEN: &str = "ProjectTaken";

/// The projects so far, by namespace and name.
#[derive(Default)]
pub(super) struct Projects<'a> {
    first: BTreeMap<(&'a str, String), &'a Object<'a>>,
}

impl<'a> Projects<'a> {
    /// Notes an object's project. What is wrong, if another object has it: with one selector they meet on every host, with
    /// different ones they may.
    pub(super) fn add(&mut self, object: &'a Object<'a>, project: String, path: &str) -> Option<Finding> {
        let key = (object.namespace(), project);
        let Some(first) = self.first.get(&key) else {
            self.first.insert(key, object);
            return None;
        };
        let selector = |object: &Object<'a>| -> Value {
            object.value.pointer("/spec/placement/nodeSelector").cloned().unwrap_or_default()
        };
        let severity = if selector(first) == selector(object) { Severity::Error } else { Severity::Warning };
        let message = format!("the project name `{}` is that of ContainerService {} as well", key.1, first.name());
        let finding = Finding { severity, ..Finding::error(PROJECT_TAKEN, path, message) };
        Some(finding.hint("one host takes a project name once: set another `name` in one of the two Compose files"))
    }
}
