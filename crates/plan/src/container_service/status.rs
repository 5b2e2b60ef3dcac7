//! The status: what was last found true, computed purely, compared without its times.

use jiff::Timestamp;
use slipway_api::conditions::{self, State, Verdict};
use slipway_api::container_service::ContainerServiceStatus;

use super::plan::{Plan, Summary, Wait};

/// The status names this many containers that are not as wanted.
const MOST_UNHEALTHY: usize = 20;
/// It records this many failed revisions.
const MOST_FAILED: usize = 20;
/// A condition's message may have 32768 bytes; nobody reads more than this.
const LONGEST_MESSAGE: usize = 1024;

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
    let Summary { hosts, wanted, ready, updated, unhealthy, .. } = &plan.summary;
    let mut unhealthy = unhealthy.clone();
    unhealthy.sort_by_cached_key(|u| (depth(&u.reason), u.host.clone(), u.service.clone(), u.number));
    unhealthy.truncate(MOST_UNHEALTHY);
    ContainerServiceStatus {
        observed_generation: Some(generation),
        ready: Some(format!("{ready}/{wanted}")),
        updated: Some(format!("{updated}/{wanted}")),
        hosts: Some(u32::try_from(*hosts).unwrap_or(u32::MAX)),
        placed: plan.placed.clone(),
        images: plan.images.clone(),
        failed: plan.failed.iter().take(MOST_FAILED).cloned().collect(),
        completed: plan.completed.clone(),
        unhealthy,
        conditions: conditions::conditions(&old.conditions, &verdict(plan, errors), generation, now),
    }
}

/// The status of an object with `spec.suspend: true`. It says nothing new of the hosts.
pub fn suspended(old: &ContainerServiceStatus, generation: i64, now: Timestamp) -> ContainerServiceStatus {
    let message = "spec.suspend is true: nothing is changed on any host".into();
    let verdict = Verdict { state: State::Stalled, reason: "Suspended".into(), message };
    ContainerServiceStatus {
        observed_generation: Some(generation),
        conditions: conditions::conditions(&old.conditions, &verdict, generation, now),
        ..old.clone()
    }
}

/// Whether two statuses say the same, times of transition aside.
pub fn is_same(one: &ContainerServiceStatus, other: &ContainerServiceStatus) -> bool {
    let timeless = |status: &ContainerServiceStatus| {
        let mut status = status.clone();
        for condition in &mut status.conditions {
            condition.last_transition_time.0 = Timestamp::UNIX_EPOCH;
        }
        status
    };
    timeless(one) == timeless(other)
}

/// Whether a plan holds something that must be in the status before any of its steps is taken: where replicas are, what the
/// images stand for, what has failed.
pub fn must_record(old: &ContainerServiceStatus, plan: &Plan) -> bool {
    old.placed != plan.placed || old.images != plan.images || !plan.failed.iter().take(MOST_FAILED).eq(&old.failed)
}

/// Something that keeps the object from being ready.
struct Issue {
    reason: String,
    message: String,
    needs_person: bool,
    /// It is about a host that cannot be observed.
    blind: bool,
}

/// How the pass ended. The message names the deepest cause.
pub fn verdict(plan: &Plan, errors: &[StepError]) -> Verdict {
    let Summary { hosts, wanted, ready, updated, tolerated, unhealthy, unobserved } = &plan.summary;
    let blind = |host: &String, service: &str| service.is_empty() && unobserved.contains(host);
    let mut issues: Vec<Issue> = Vec::new();
    for error in errors {
        let blind = blind(&error.host, error.service.as_deref().unwrap_or_default());
        issues.push(Issue { blind, ..error_issue(error) });
    }
    for wait in &plan.waits {
        let blind = blind(&wait.host, &wait.service);
        // An error of this pass says the same of the host, and more.
        if !(blind && errors.iter().any(|error| error.host == wait.host)) {
            let Wait { reason, message, needs_person, .. } = wait.clone();
            issues.push(Issue { reason, message, needs_person, blind });
        }
    }
    issues.sort_by_key(|issue| depth(&issue.reason));
    let steps = plan.hosts.values().flat_map(|h| h.pulls.iter().chain(h.stages.iter().flatten())).count();
    let as_wanted = ready + tolerated == *wanted && updated + tolerated >= *wanted;
    if issues.is_empty() && steps == 0 && as_wanted {
        let message = match (*hosts, wanted) {
            (0, _) => "no host is asked for".into(),
            (1, 1) => "1 container is as wanted on 1 host".into(),
            (1, n) => format!("{n} containers are as wanted on 1 host"),
            (h, n) => format!("{n} containers are as wanted on {h} hosts"),
        };
        return Verdict { state: State::Converged, reason: "Reconciled".into(), message };
    }
    let state = match () {
        () if steps > 0 && errors.is_empty() => State::Progressing,
        () if issues.is_empty() => State::Progressing,
        () if issues.iter().all(|i| i.needs_person) => State::Stalled,
        () if issues.iter().all(|i| i.blind) => State::Unknown,
        () => State::Progressing,
    };
    match issues.first() {
        Some(first) => {
            Verdict { state, reason: first.reason.clone(), message: and_more(&first.message, issues.len() - 1) }
        }
        None => under_way(unhealthy.len(), steps, *ready, *wanted),
    }
}

fn under_way(unhealthy: usize, steps: usize, ready: usize, wanted: usize) -> Verdict {
    let message = match unhealthy {
        0 => format!("{steps} steps are being taken; {ready} of {wanted} containers are ready"),
        n => format!("{n} containers are being made, changed or removed; {ready} of {wanted} are ready"),
    };
    Verdict { state: State::Progressing, reason: "Progressing".into(), message }
}

fn error_issue(error: &StepError) -> Issue {
    let place = match (&error.service, error.host.as_str()) {
        (Some(service), "") => format!("{service}: "),
        (Some(service), host) => format!("{service} on {host}: "),
        (None, "") => String::new(),
        (None, host) => format!("{host}: "),
    };
    Issue {
        reason: error.reason.clone(),
        message: format!("{place}{}", error.message),
        needs_person: error.needs_person,
        blind: false,
    }
}

/// Causes first, then what only follows from them.
fn depth(reason: &str) -> u8 {
    match reason {
        "DependencyNotReady" | "UpdateQueued" => 4,
        // The pull itself (`PullingImage`) says how far it is.
        "ImagePulling" | "NotStarted" | "Starting" | "RunInProgress" | "Removing" | "Creating" | "Updating"
        | "Recreating" | "NetworkChanging" | "RollingBack" => 3,
        "PullingImage" | "ImageUnresolved" => 2,
        "NodeSuspended" | "HostAway" | "TooFewNodes" => 1,
        _ => 0,
    }
}

fn and_more(message: &str, more: usize) -> String {
    let message = bounded(message);
    if more == 0 { message } else { format!("{message} (and {more} more)") }
}

fn bounded(message: &str) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.into(),
    }
}
