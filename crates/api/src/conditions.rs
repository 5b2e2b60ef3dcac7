//! The condition set of every kind: `Ready`, `Reconciling`, `Stalled`, with kstatus' meaning.
//!
//! kstatus reads `Reconciling=True` as "in progress" and `Stalled=True` as "failed", and takes whichever comes
//! first, so the two are never set together; both are absent when converged
//! (sigs.k8s.io/cli-utils `pkg/kstatus/status/generic.go`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{ContainerServiceStatus, DesignStatus, NodeStatus};

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

/// A status with the condition set.
pub trait HasConditions: Clone + Default + PartialEq {
    /// The conditions as they are.
    fn conditions(&self) -> &[Condition];
    /// Replaces the conditions and the generation that the status is about.
    fn set_conditions(&mut self, conditions: Vec<Condition>, generation: i64);

    /// Writes a verdict into the status.
    fn judge(&mut self, verdict: &Verdict, generation: i64, now: Timestamp) {
        let list = conditions(self.conditions(), verdict, generation, now);
        self.set_conditions(list, generation);
    }
}

impl HasConditions for NodeStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>, generation: i64) {
        self.conditions = conditions;
        self.observed_generation = Some(generation);
    }
}

impl HasConditions for ContainerServiceStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>, generation: i64) {
        self.conditions = conditions;
        self.observed_generation = Some(generation);
    }
}

impl HasConditions for DesignStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn set_conditions(&mut self, conditions: Vec<Condition>, generation: i64) {
        self.conditions = conditions;
        self.observed_generation = Some(generation);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(state: State, reason: &str) -> Verdict {
        Verdict { state, reason: reason.into(), message: format!("because of {reason}") }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn types(list: &[Condition]) -> Vec<(&str, &str)> {
        list.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect()
    }

    #[test]
    fn each_state_is_one_row_of_the_table() {
        let row = |state| conditions(&[], &verdict(state, "Because"), 1, at(0));
        assert_eq!(types(&row(State::Converged)), [("Ready", "True")]);
        assert_eq!(types(&row(State::Progressing)), [("Ready", "False"), ("Reconciling", "True")]);
        assert_eq!(types(&row(State::Unknown)), [("Ready", "Unknown"), ("Reconciling", "True")]);
        assert_eq!(types(&row(State::Stalled)), [("Ready", "False"), ("Stalled", "True")]);
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = conditions(&[], &verdict(State::Progressing, "Pulling"), 1, at(10));
        let second = conditions(&first, &verdict(State::Progressing, "Starting"), 2, at(20));
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!((second[0].reason.as_str(), second[0].observed_generation), ("Starting", Some(2)));
        let third = conditions(&second, &verdict(State::Converged, "Reconciled"), 2, at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }
}
