//! The status: what was last found true, computed purely, compared without its times.

use jiff::Timestamp;
use slipway_api::container_service::ContainerServiceStatus;

use super::plan::Plan;
use crate::finding::Finding;

/// A step or a call to a host that failed in this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// The Node; empty if it is about the whole object.
    pub host: String,
    /// The service, if it is about one.
    pub service: Option<String>,
    /// One CamelCase word.
    pub reason: String,
    /// In plain words.
    pub message: String,
    /// Trying again does not help: a person must act (the driver's classes Denied and Invalid).
    pub needs_person: bool,
}

/// The status after a pass.
pub fn status(
    old: &ContainerServiceStatus,
    generation: i64,
    plan: &Plan,
    errors: &[StepError],
    now: Timestamp,
) -> ContainerServiceStatus {
    let _ = (plan, errors, now);
    ContainerServiceStatus { observed_generation: Some(generation), ..old.clone() }
}

/// The status of an object that is refused. What runs is left as it is.
pub fn refused(
    old: &ContainerServiceStatus,
    generation: i64,
    findings: &[Finding],
    now: Timestamp,
) -> ContainerServiceStatus {
    let _ = (findings, now);
    ContainerServiceStatus { observed_generation: Some(generation), ..old.clone() }
}

/// The status of an object with `spec.suspend: true`.
pub fn suspended(old: &ContainerServiceStatus, generation: i64, now: Timestamp) -> ContainerServiceStatus {
    let _ = now;
    ContainerServiceStatus { observed_generation: Some(generation), ..old.clone() }
}

/// Whether two statuses say the same, times of transition aside.
pub fn is_same(one: &ContainerServiceStatus, other: &ContainerServiceStatus) -> bool {
    one == other
}
