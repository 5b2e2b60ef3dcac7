//! Why an object is as it is: the chain of causes from the object down to the deepest one.
//!
//! Who asks reads the objects; what they mean is decided here. Nothing is known here that the objects do not say, so that the
//! answer is the same whoever asks, and whether or not the operator runs.

pub mod advice;
mod design;
mod facts;
mod node;
mod operator;
mod service;
mod text;

use jiff::Timestamp;
use serde::Serialize;
use slipway_api::GROUP;
use slipway_api::conditions::{self, READY, RECONCILING, STALLED};

pub use facts::{Facts, Happened, Leader, Reference, Subject, references, selects};

pub use text::age;

use facts::Face;

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The object that was asked about, as `node/n20`.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether all is as wanted.
    pub ready: bool,
    /// From the object down to the deepest cause; never empty.
    pub chain: Vec<Link>,
    /// What else is worth to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The last Events of the object, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Happened>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// What it is about: `node/n20`, `secret/n20-bmc`, `bmc ipmi://10.0.0.20`.
    pub object: String,
    /// How it stands.
    pub state: State,
    /// One CamelCase word; docs/troubleshooting.md has an entry for each.
    pub reason: String,
    /// What and where, in plain words.
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "NextTry::is_empty")]
    pub next_try: NextTry,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to_do: String,
    /// Commands that do it, or that show more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As wanted.
    Ready,
    /// Slipway works on it, waits, or tries again.
    Working,
    /// It cannot be observed now.
    Unknown,
    /// A person is needed.
    Stalled,
}

/// When something is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextTry {
    /// By itself, at this time at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Timestamp>,
    /// As soon as this happens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub when: String,
}

impl NextTry {
    fn by(time: Timestamp) -> Self {
        Self { by: Some(time), when: String::new() }
    }

    fn when(what: impl Into<String>) -> Self {
        Self { by: None, when: what.into() }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Answer {
    /// The deepest cause.
    pub fn cause(&self) -> Option<&Link> {
        self.chain.last()
    }
}

/// Why the object is as it is.
pub fn why(facts: &Facts) -> Answer {
    let (mut chain, mut notes) = match &facts.subject {
        Subject::Node(node) => (node::links(node, facts), node::notes(node)),
        Subject::ContainerService(service) => service::links(service, facts),
        Subject::Design(design) => (design::links(design, &facts.nodes), Vec::new()),
    };
    let face = facts.subject.face();
    let ready = chain.first().is_some_and(|link| link.state == State::Ready);
    match operator::link(&face, &facts.leader, facts.now) {
        // While nobody acts, what keeps the object from being ready is not being worked on either.
        Some(link) if !ready || !face.is_current() => chain.push(link),
        Some(link) => notes.push(format!("{}: what is shown here is as it was last seen", link.message)),
        None => notes.extend(operator::note(&facts.leader)),
    }
    let ready = ready && chain.len() == 1;
    for link in &mut chain {
        if link.to_do.is_empty() && link.state != State::Ready {
            link.to_do = advice::of(&link.reason).unwrap_or_default();
        }
    }
    let namespace = face.namespace.to_owned();
    Answer { object: face.named(), namespace, ready, chain, notes, events: facts.events.clone() }
}

/// Why nothing can be said of an object: its kind is not served.
pub fn not_served(object: &str, namespace: &str, plural: &str) -> Answer {
    let link = Link {
        object: format!("crd/{plural}.{GROUP}"),
        state: State::Stalled,
        reason: "CrdMissing".into(),
        message: format!(
            "the API server does not know {plural}.{GROUP}: its CustomResourceDefinition is not installed"
        ),
        since: None,
        next_try: NextTry::when("it is installed"),
        to_do: advice::of("CrdMissing").unwrap_or_default(),
        commands: vec!["slipway crds | kubectl apply --server-side -f -".into()],
    };
    let of = Link {
        object: object.into(),
        message: "it cannot be read".into(),
        next_try: NextTry::default(),
        commands: Vec::new(),
        ..link.clone()
    };
    Answer {
        object: object.into(),
        namespace: namespace.into(),
        ready: false,
        chain: vec![of, link],
        notes: Vec::new(),
        events: Vec::new(),
    }
}

/// What the object itself says.
fn head(face: &Face<'_>) -> Link {
    let condition = |type_| conditions::find(face.conditions, type_).filter(|condition| condition.status == "True");
    let mut link = Link {
        object: face.named(),
        state: State::Working,
        reason: "NotSeen".into(),
        message: "Slipway has not said anything about it yet".into(),
        since: face.created,
        next_try: NextTry::default(),
        to_do: String::new(),
        commands: Vec::new(),
    };
    let Some(ready) = conditions::find(face.conditions, READY) else { return link };
    link.state = match (&*ready.status, condition(STALLED), condition(RECONCILING)) {
        ("True", _, _) => State::Ready,
        (_, Some(_), _) => State::Stalled,
        ("Unknown", ..) => State::Unknown,
        _ => State::Working,
    };
    link.reason.clone_from(&ready.reason);
    link.message.clone_from(&ready.message);
    link.since = Some(ready.last_transition_time.0);
    link
}

/// A Secret or ConfigMap that is not there, under what needs it.
fn missing(facts: &Facts, of: &[Reference]) -> Option<Link> {
    let reference = of.iter().find(|reference| facts.missing.contains(reference))?;
    let kind = reference.kind.to_string();
    let (reason, create) = match kind.as_str() {
        "Secret" => ("SecretMissing", "kubectl create secret generic"),
        _ => ("ConfigMapMissing", "kubectl create configmap"),
    };
    Some(Link {
        object: format!("{}/{}", kind.to_lowercase(), reference.name),
        state: State::Stalled,
        reason: reason.into(),
        message: format!(
            "{kind} {} does not exist in namespace {}; {} names it",
            reference.name,
            facts.subject.face().namespace,
            reference.field
        ),
        since: None,
        next_try: NextTry::when(format!("{kind} {} is created", reference.name)),
        to_do: format!("Create {kind} {}, or correct {}.", reference.name, reference.field),
        commands: vec![format!("{create} {} -n {} …", reference.name, facts.subject.face().namespace)],
    })
}

#[cfg(test)]
mod tests;
