//! The condition set of every kind: `Ready`, `Reconciling`, `Stalled`, with kstatus' meaning.
//!
//! kstatus reads `Reconciling=True` as "in progress" and `Stalled=True` as "failed", and takes whichever comes
//! first, so the two are never set together; both are absent when converged
//! (sigs.k8s.io/cli-utils `pkg/kstatus/status/generic.go`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The object is as its spec says.
pub const READY: &str = "Ready";
/// Work or waiting goes on by itself.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will change until somebody does something.
pub const STALLED: &str = "Stalled";

/// How a pass ended, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the four states.
    pub state: State,
    /// One CamelCase word, shared with Events and metrics.
    pub reason: String,
    /// What, where, what to do next. One or two sentences for a person.
    pub message: String,
}

/// The four rows of the condition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ready=True.
    Converged,
    /// Ready=False, Reconciling=True: working, waiting or retrying.
    Progressing,
    /// Ready=Unknown, Reconciling=True: what is true cannot be observed now.
    Unknown,
    /// Ready=False, Stalled=True: a person is needed.
    Stalled,
}

/// The full condition list for a verdict. `lastTransitionTime` moves only when a condition's `status` flips.
pub fn conditions(old: &[Condition], verdict: &Verdict, generation: i64, now: Timestamp) -> Vec<Condition> {
    let one = |type_: &str, status: &str| {
        let since = old
            .iter()
            .find(|c| c.type_ == type_ && c.status == status)
            .map_or(Time(now), |c| c.last_transition_time.clone());
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: verdict.reason.clone(),
            message: verdict.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: since,
        }
    };
    match verdict.state {
        State::Converged => vec![one(READY, "True")],
        State::Progressing => vec![one(READY, "False"), one(RECONCILING, "True")],
        State::Unknown => vec![one(READY, "Unknown"), one(RECONCILING, "True")],
        State::Stalled => vec![one(READY, "False"), one(STALLED, "True")],
    }
}

/// The condition of one type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether `Ready` is `True`.
pub fn is_ready(conditions: &[Condition]) -> bool {
    find(conditions, READY).is_some_and(|c| c.status == "True")
}
