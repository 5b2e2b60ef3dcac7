//! What a rollout has on record: the one memory that it has, so that budgets hold across restarts and over all who act on
//! a Node.
//!
//! Whoever would disrupt a Node says so ([`Ask`]) and waits until the Node is on record as in progress; the record is
//! written before anybody is let. A Node leaves it when all who act on it have been heard and none has anything to do
//! there.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use slipway_api::design::{FailedNode, NodeInProgress, RolloutStatus};

use super::schedule::{NodeState, Observed, Schedule};

/// Characters of a failure that the record keeps.
const MESSAGE: usize = 200;

/// What one who acts on a Node would do to it, or is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Something is to be done that may begin when the rollout lets it. `available`: something serves there meanwhile.
    Begin {
        /// Whether there is something to lose.
        available: bool,
    },
    /// It is under way.
    Busy,
    /// Not all that should serve there does yet: after a step that is the rest of it, else it is for others to mend.
    Settling,
    /// It failed, and a person is needed.
    Failed {
        /// When; one from before the Node was let try again says nothing of the new try.
        since: Timestamp,
        /// What failed, and why.
        message: String,
    },
}

/// A Node of the site, as the rollout sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// It is as wanted.
    pub ready: bool,
    /// It serves, as wanted or not.
    pub available: bool,
    /// Those who would act on it, or do.
    pub asks: Vec<Ask>,
    /// All who may act on it have been heard since this process began, about the newest they know of.
    pub heard: bool,
}

/// How each Node stands.
pub fn observe(record: &RolloutStatus, nodes: &BTreeMap<String, Sight>, retry: Option<&str>) -> Observed {
    let since: HashMap<&str, &str> = record.in_progress.iter().map(|it| (&*it.name, &*it.since)).collect();
    let failed: HashMap<&str, &FailedNode> = record.failed.iter().map(|it| (&*it.name, it)).collect();
    let stand = |name: &String, node: &Sight| {
        let let_at = since.get(name.as_str()).copied();
        stand(node, let_at, failed.get(name.as_str()).copied(), retry)
    };
    nodes.iter().map(|(name, node)| (name.clone(), stand(name, node))).collect()
}

fn stand(node: &Sight, let_at: Option<&str>, failed: Option<&FailedNode>, retry: Option<&str>) -> NodeState {
    let at_rest = match (node.ready, node.available) {
        (true, _) => NodeState::Ready,
        (false, true) => NodeState::Unready,
        (false, false) => NodeState::Away,
    };
    let quiet = node.asks.is_empty() && node.heard;
    let was_let = let_at.is_some() || failed.is_some();
    // One of those who act there may have failed while another is still at it, or has not been heard yet.
    if node.asks.contains(&Ask::Busy) || was_let && !node.heard {
        return NodeState::InProgress;
    }
    if let Some(failed) = failed {
        return if quiet && node.ready { at_rest } else { NodeState::Failed { retry: failed.retry.clone() } };
    }
    if failure(node, let_at).is_some() {
        return NodeState::Failed { retry: retry.map(str::to_owned) };
    }
    if let_at.is_some() && !quiet || node.asks.iter().any(|ask| matches!(ask, Ask::Failed { .. })) {
        return NodeState::InProgress;
    }
    let mut begins = node.asks.iter().filter_map(|ask| match ask {
        Ask::Begin { available } => Some(*available),
        Ask::Busy | Ask::Settling | Ask::Failed { .. } => None,
    });
    match begins.next() {
        Some(first) => NodeState::Pending { available: first || begins.any(|available| available) },
        None if node.asks.is_empty() => at_rest,
        None if node.available => NodeState::Unready,
        None => NodeState::Away,
    }
}

/// What failed there since it was let.
fn failure<'n>(node: &'n Sight, let_at: Option<&str>) -> Option<&'n str> {
    let let_at = let_at.and_then(|at| at.parse::<Timestamp>().ok());
    node.asks.iter().find_map(|ask| match ask {
        Ask::Failed { since, message } if let_at.is_none_or(|at| *since >= at) => Some(message.as_str()),
        _ => None,
    })
}

/// What is to be on record before anybody acts on what the schedule says.
pub fn record(
    old: &RolloutStatus,
    nodes: &BTreeMap<String, Sight>,
    observed: &Observed,
    schedule: &Schedule,
    now: Timestamp,
) -> RolloutStatus {
    let since: HashMap<&str, &str> = old.in_progress.iter().map(|it| (&*it.name, &*it.since)).collect();
    let known: HashMap<&str, &FailedNode> = old.failed.iter().map(|it| (&*it.name, it)).collect();
    let mut record = RolloutStatus::default();
    for (name, state) in observed {
        let begins = schedule.begin.contains(name);
        match state {
            _ if begins => {
                record.in_progress.push(NodeInProgress { name: name.clone(), since: now.to_string() });
            }
            // It is at it still, and remembered as failed for when it has ended.
            NodeState::InProgress if known.contains_key(name.as_str()) => {
                record.failed.extend(known.get(name.as_str()).map(|failed| (*failed).clone()));
            }
            NodeState::InProgress => {
                let since = since.get(name.as_str()).map_or_else(|| now.to_string(), |since| (*since).to_owned());
                record.in_progress.push(NodeInProgress { name: name.clone(), since });
            }
            NodeState::Failed { retry } => {
                let let_at = since.get(name.as_str()).copied();
                let told = || nodes.get(name).and_then(|node| failure(node, let_at)).unwrap_or_default();
                let message = known.get(name.as_str()).map_or_else(told, |known| &known.message);
                let message = message.chars().take(MESSAGE).collect();
                record.failed.push(FailedNode { name: name.clone(), message, retry: retry.clone() });
            }
            NodeState::Ready | NodeState::Pending { .. } | NodeState::Unready | NodeState::Away => {}
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn on_record(in_progress: &[&str], failed: &[(&str, Option<&str>)]) -> RolloutStatus {
        let name = |name: &&str| (*name).to_owned();
        let begun = |it| NodeInProgress { name: name(it), since: at(100).to_string() };
        let failed = failed.iter().map(|(it, retry)| FailedNode {
            name: name(it),
            message: "no".into(),
            retry: retry.map(str::to_owned),
        });
        RolloutStatus { in_progress: in_progress.iter().map(begun).collect(), failed: failed.collect() }
    }

    fn node(ready: bool, asks: &[Ask]) -> Sight {
        Sight { ready, available: ready, asks: asks.to_vec(), heard: true }
    }

    fn stands(record: &RolloutStatus, node: &Sight, retry: Option<&str>) -> NodeState {
        observe(record, &BTreeMap::from([("n".to_owned(), node.clone())]), retry)["n"].clone()
    }

    const SERVES: Ask = Ask::Begin { available: true };
    const NEW: Ask = Ask::Begin { available: false };

    fn failed(second: i64) -> Ask {
        Ask::Failed { since: at(second), message: "no".into() }
    }

    #[test]
    fn each_state() {
        let none = RolloutStatus::default();
        for (sight, state) in [
            (node(true, &[]), NodeState::Ready),
            (node(false, &[]), NodeState::Away),
            (Sight { available: true, ..node(false, &[]) }, NodeState::Unready),
            (node(true, &[SERVES]), NodeState::Pending { available: true }),
            (node(false, &[NEW]), NodeState::Pending { available: false }),
            (node(false, &[NEW, SERVES]), NodeState::Pending { available: true }),
            (node(true, &[NEW, Ask::Busy]), NodeState::InProgress),
            (node(true, &[Ask::Settling]), NodeState::Unready),
            (node(true, &[failed(1)]), NodeState::Failed { retry: None }),
            (node(true, &[Ask::Busy, failed(1)]), NodeState::InProgress),
        ] {
            assert_eq!(stands(&none, &sight, None), state, "{sight:?}");
        }
    }

    #[test]
    fn who_is_on_record_stays_there_until_all_are_heard_and_have_nothing_to_do() {
        let record = on_record(&["n"], &[]);
        let of = |sight: &Sight| stands(&record, sight, None);
        assert_eq!(
            of(&Sight { heard: false, ..node(true, &[]) }),
            NodeState::InProgress,
            "a new process knows nothing"
        );
        assert_eq!(of(&node(true, &[SERVES])), NodeState::InProgress);
        assert_eq!(of(&node(true, &[Ask::Settling])), NodeState::InProgress);
        assert_eq!(of(&node(true, &[])), NodeState::Ready);
        assert_eq!(of(&node(false, &[])), NodeState::Away);
    }

    #[test]
    fn a_failure_counts_until_a_retry_and_one_from_before_it_does_not() {
        let failing = node(false, &[failed(150)]);
        assert_eq!(stands(&on_record(&["n"], &[]), &failing, Some("a")), NodeState::Failed { retry: Some("a".into()) });
        assert_eq!(stands(&on_record(&["n"], &[]), &node(false, &[failed(50)]), Some("a")), NodeState::InProgress);
        let record = on_record(&[], &[("n", Some("a"))]);
        let known = NodeState::Failed { retry: Some("a".into()) };
        assert_eq!(stands(&record, &node(false, &[NEW]), Some("b")), known, "the schedule compares the requests");
        assert_eq!(stands(&record, &node(false, &[]), Some("a")), known);
        let at_it = node(false, &[Ask::Busy, failed(50)]);
        assert_eq!(stands(&record, &at_it, Some("a")), NodeState::InProgress, "another is at it still");
        let nodes = BTreeMap::from([("n".to_owned(), at_it)]);
        let observed = observe(&record, &nodes, Some("a"));
        let new = super::record(&record, &nodes, &observed, &Schedule::default(), at(200));
        assert_eq!(new, record, "and the failure is remembered");
        assert_eq!(stands(&record, &node(true, &[]), Some("a")), NodeState::Ready, "somebody mended it");
    }

    #[test]
    fn what_begins_is_on_record_and_what_failed_keeps_its_words() {
        let nodes = BTreeMap::from([
            ("a".to_owned(), node(true, &[SERVES])),
            ("b".to_owned(), node(false, &[failed(150)])),
            ("n".to_owned(), node(true, &[Ask::Busy])),
        ]);
        let old = on_record(&["b", "n"], &[]);
        let observed = observe(&old, &nodes, None);
        let schedule = Schedule { begin: ["a".to_owned()].into(), ..Schedule::default() };
        let new = record(&old, &nodes, &observed, &schedule, at(200));
        let begun: Vec<_> = new.in_progress.iter().map(|it| (&*it.name, it.since.clone())).collect();
        assert_eq!(begun, [("a", at(200).to_string()), ("n", at(100).to_string())]);
        assert_eq!(new.failed, on_record(&[], &[("b", None)]).failed);
    }
}
