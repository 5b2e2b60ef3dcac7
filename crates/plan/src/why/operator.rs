//! The operator: while nobody acts, nothing happens, whatever an object says.

use jiff::Timestamp;
use slipway_api::GROUP;

use super::facts::{Face, Leader};
use super::{Link, NextTry, State, text};

/// An operator that runs has looked at a new object or spec after this time.
const SOON: i64 = 10;

/// What keeps the operator from acting on an object, if anything.
pub(super) fn link(face: &Face<'_>, leader: &Leader, now: Timestamp) -> Option<Link> {
    let (message, since) = match leader {
        Leader::Nobody => {
            ("no operator runs: the leader lease was given back, and nobody has taken it since".to_owned(), None)
        }
        Leader::Gone { holder, renewed } => {
            let renewed_at = renewed.map_or_else(|| "never".into(), |at| format!("{} ago", text::age(at, now)));
            let message = format!("no operator runs: {holder} holds the leader lease and last renewed it {renewed_at}");
            (message, *renewed)
        }
        Leader::None if !face.is_current() => {
            ("no operator has ever led here: there is no Lease `slipway` in its namespace".to_owned(), face.created)
        }
        Leader::Leads { holder } if !face.is_current() => return unseen(face, holder, now),
        Leader::None | Leader::NotRead | Leader::Leads { .. } => return None,
    };
    Some(Link {
        object: "operator".into(),
        state: State::Stalled,
        reason: "NoOperator".into(),
        message,
        since,
        next_try: NextTry::when("an operator runs"),
        to_do: String::new(),
        commands: Vec::new(),
    })
}

/// An operator runs and has not looked at the object as it is.
fn unseen(face: &Face<'_>, holder: &str, now: Timestamp) -> Option<Link> {
    let new = face.created.is_some_and(|at| now.duration_since(at).as_secs() < SOON);
    if new && face.observed_generation.is_none() {
        return None;
    }
    let what = match face.observed_generation {
        None => "has not looked at this object yet",
        Some(_) => "has not looked at the newest spec yet; what is said above is about the one before",
    };
    Some(Link {
        object: "operator".into(),
        state: State::Working,
        reason: "NotSeen".into(),
        message: format!("{holder} leads and {what}"),
        since: None,
        next_try: NextTry::default(),
        to_do: String::new(),
        commands: Vec::new(),
    })
}

/// Says of an object that is being deleted what keeps it.
pub(super) fn deletion(face: &Face<'_>, head: &mut Link) {
    let Some(since) = face.deleted else { return };
    head.since = Some(since);
    let ours = |finalizer: &&String| finalizer.starts_with(&format!("{GROUP}/"));
    if face.finalizers.iter().any(|finalizer| ours(&finalizer)) {
        let waits = if head.state == State::Ready { String::new() } else { format!(": {}", head.message) };
        head.message = format!("it is being deleted{waits}");
        if head.state == State::Ready {
            head.reason = "Deleting".into();
        }
        head.state = State::Working;
    } else if !face.finalizers.is_empty() {
        head.state = State::Stalled;
        head.reason = "FinalizerLeft".into();
        head.message = format!(
            "it is being deleted, Slipway has nothing left to do, and finalizers of others keep it: {}",
            face.finalizers.join(", ")
        );
    }
}

/// What is to be said of the operator when it stands in nobody's way.
pub(super) fn note(leader: &Leader) -> Option<String> {
    match leader {
        Leader::NotRead => Some("whether an operator runs is not known: its Lease could not be read".into()),
        Leader::None => Some(
            "there is no Lease `slipway`: the operator runs without one, in another namespace, or not at all".into(),
        ),
        Leader::Nobody | Leader::Gone { .. } | Leader::Leads { .. } => None,
    }
}
