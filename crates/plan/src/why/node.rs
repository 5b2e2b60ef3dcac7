//! A Node: what of its BMC, its Docker engine, its plan or its credentials keeps it from being ready.

use std::time::Duration;

use jiff::Timestamp;
use slipway_api::{Node, NodeStatus};

use super::facts::{Facts, face_of, of_bmc, of_docker};
use super::{Link, NextTry, State, design, head, missing};
use crate::cadence;

/// Reasons of the BMC half that say nothing of a BMC that is away, though it may be.
const OF_THE_PLAN: [&str; 7] =
    ["ApprovalNeeded", "PersonNeeded", "OutcomeUnknown", "ShutDownIgnored", "SameBmc", "SameEngine", "PoweredOff"];
/// The words before the time of the next try in a message.
const NEXT_TRY: &str = "next try at ";
/// While a command is under way, its BMC is looked at this often at least.
const AWAITED: Duration = Duration::from_secs(10);

/// The chain of a Node.
pub(super) fn links(node: &Node, facts: &Facts) -> Vec<Link> {
    let face = face_of(node);
    let mut head = head(&face);
    super::operator::deletion(&face, &mut head);
    if head.state == State::Ready {
        return vec![head];
    }
    let status = node.status.clone().unwrap_or_default();
    let deeper = match blame(&status, &head) {
        Blame::Bmc => bmc(node, &status, &head, facts),
        Blame::Docker => docker(node, &status, &head, facts),
        Blame::Plan => plan(node, &status, facts),
        Blame::Spec => missing(facts, &[of_bmc(node), of_docker(node)].concat()).into_iter().collect(),
        Blame::Design => design::of_node(node, facts),
        Blame::Command | Blame::Itself => Vec::new(),
    };
    if let Some(first) = deeper.first() {
        head.message = summary(first, &head);
    } else {
        head.next_try = next_try(&status, &head, facts.now);
    }
    [vec![head], deeper].concat()
}

/// What is worth to know of a Node whatever its state is.
pub(super) fn notes(node: &Node) -> Vec<String> {
    let mut notes = Vec::new();
    let status = node.status.as_ref();
    if let Some(health) = status.and_then(|status| status.health.as_deref()).filter(|health| *health != "Ok") {
        notes.push(format!("its health is {health}"));
    }
    if node.spec.suspend {
        notes.push("spec.suspend stops all action on it".into());
    }
    if node.spec.cordon {
        notes.push("spec.cordon keeps new placements away".into());
    }
    notes
}

/// Where the cause of a Node's state is.
enum Blame {
    /// Its BMC cannot be used.
    Bmc,
    /// Its Docker engine cannot be used.
    Docker,
    /// Its plan waits for an approval.
    Plan,
    /// Its Design is not as it should be, or lets it wait.
    Design,
    /// A command is under way.
    Command,
    /// Something that the spec names is not there.
    Spec,
    /// What the Node says is all.
    Itself,
}

fn blame(status: &NodeStatus, head: &Link) -> Blame {
    let bmc_away = status.bmc.as_ref().is_some_and(|bmc| bmc.unreachable_since.is_some());
    match &*head.reason {
        "ApprovalNeeded" => Blame::Plan,
        reason if design::is_cause(reason) => Blame::Design,
        reason if OF_THE_PLAN.contains(&reason) => Blame::Itself,
        _ if bmc_away => Blame::Bmc,
        _ if status.unreachable_since.is_some() => Blame::Docker,
        "SecretMissing" | "ConfigMapMissing" | "KeyMissing" | "KeyInvalid" => Blame::Spec,
        _ if status.operation.is_some() => Blame::Command,
        _ => Blame::Itself,
    }
}

/// The Node's own link, where a deeper one tells all.
fn summary(first: &Link, head: &Link) -> String {
    match first.object.split([' ', '/']).next() {
        Some("bmc") => "its BMC cannot be used".into(),
        Some("docker") => "its Docker engine cannot be used".into(),
        Some("plan") => "its plan waits for an approval".into(),
        _ => head.message.clone(),
    }
}

fn bmc(node: &Node, status: &NodeStatus, head: &Link, facts: &Facts) -> Vec<Link> {
    let told = || status.bmc.as_ref().and_then(|bmc| bmc.address.as_deref());
    let address = node.spec.bmc.as_ref().map(|bmc| &*bmc.address).or_else(told).unwrap_or_default();
    let since = status.bmc.as_ref().and_then(|bmc| bmc.unreachable_since.as_deref()?.parse().ok());
    let link = Link {
        object: format!("bmc {address}"),
        since: since.or(head.since),
        next_try: of_bmc_away(node, status, head, since, facts.now),
        ..head.clone()
    };
    with_missing(link, missing(facts, &of_bmc(node)))
}

fn of_bmc_away(node: &Node, status: &NodeStatus, head: &Link, since: Option<Timestamp>, now: Timestamp) -> NextTry {
    let credentials = node.spec.bmc.as_ref().and_then(|bmc| bmc.credentials.as_ref());
    let secret = match credentials {
        Some(credentials) => format!("Secret {}", credentials.secret_ref.name),
        None => "the Secret of outOfBand.credentials".to_owned(),
    };
    let refused = matches!(&*head.reason, "BmcCredentialsRefused" | "BmcAccountLocked" | "BmcLoginInterrupted");
    if head.state == State::Stalled && refused {
        return NextTry::when(format!("{secret} changes, or spec.bmc.credentials.retry.requestedAt gets a new value"));
    }
    if head.state == State::Stalled {
        let when = format!("the spec or {secret} changes");
        return NextTry { by: Some(soon(now, cadence::PERSON)), when };
    }
    if refused {
        let known = status.power.is_some();
        return NextTry::by(soon(now, if known { cadence::CREDENTIALS_TAKEN_BEFORE } else { cadence::CREDENTIALS }));
    }
    NextTry::by(soon(now, cadence::bmc_away(age(since, now), status.operation.is_some())))
}

fn docker(node: &Node, status: &NodeStatus, head: &Link, facts: &Facts) -> Vec<Link> {
    let endpoint = node.spec.docker.as_ref().map(|docker| &*docker.endpoint).unwrap_or_default();
    let since = status.unreachable_since.as_deref().and_then(|since| since.parse().ok());
    let stalled = head.state == State::Stalled;
    let pause = cadence::docker_away(age(since, facts.now), stalled);
    let when = if stalled { "the spec or its Secret changes".into() } else { String::new() };
    let link = Link {
        object: format!("docker {endpoint}"),
        since: since.or(head.since),
        next_try: NextTry { by: Some(soon(facts.now, pause)), when },
        ..head.clone()
    };
    with_missing(link, missing(facts, &of_docker(node)))
}

fn with_missing(link: Link, missing: Option<Link>) -> Vec<Link> {
    match missing {
        Some(missing) => vec![Link { next_try: NextTry::default(), ..link }, missing],
        None => vec![link],
    }
}

fn plan(node: &Node, status: &NodeStatus, facts: &Facts) -> Vec<Link> {
    let Some(plan) = &status.plan else { return Vec::new() };
    let ready = head(&face_of(node));
    let face = facts.subject.face();
    let target = format!("node/{} -n {}", node.metadata.name.as_deref().unwrap_or_default(), face.namespace);
    vec![Link {
        object: format!("plan/{}", plan.hash),
        since: plan.since.parse().ok().or(ready.since),
        next_try: NextTry::when(format!("spec.approvedPlan is {}", plan.hash)),
        commands: vec![format!("kubectl slipway plan {target}"), format!("kubectl slipway approve {target}")],
        ..ready
    }]
}

/// The next try of what no deeper link stands for.
fn next_try(status: &NodeStatus, head: &Link, now: Timestamp) -> NextTry {
    let told = head.message.split_once(NEXT_TRY).and_then(|(_, rest)| {
        let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == ',').unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').parse().ok()
    });
    match (told, head.state, &*head.reason) {
        (Some(time), ..) => NextTry::by(time),
        (None, _, "PersonNeeded") => NextTry::when("Slipway sees that it was done"),
        (None, State::Stalled, _) => NextTry { by: Some(soon(now, cadence::PERSON)), when: "the spec changes".into() },
        _ if status.operation.is_some() => NextTry::by(soon(now, AWAITED)),
        _ => NextTry::by(soon(now, cadence::retry(age(head.since, now)))),
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> Duration {
    since.and_then(|since| now.duration_since(since).try_into().ok()).unwrap_or_default()
}

/// The end of a pause that began by now.
fn soon(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(cadence::at_most(pause)).unwrap_or(now)
}
