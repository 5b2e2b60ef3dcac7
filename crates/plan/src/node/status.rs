//! The Node's status, from what its Docker engine and its BMC show and what is being done.

use jiff::Timestamp;
use slipway_api::conditions::{HasConditions, State, Verdict};
use slipway_api::node::{BmcStatus, DockerStatus, LoginStatus, Power};
use slipway_api::{NodeSpec, NodeStatus};

use super::bmc::{self, Seen, Told, rotation, summary};
use super::{Bmc, Host, Observed, Plan};

/// A status, and what it means for the next look.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The whole status.
    pub status: NodeStatus,
    /// What is true now.
    pub state: State,
}

/// The Node's status. Pure: equal input has equal output, so that nothing is written when nothing changes.
pub fn status(
    old: &NodeStatus,
    spec: &NodeSpec,
    observed: &Observed,
    plan: &Plan,
    generation: i64,
    now: Timestamp,
) -> Judgement {
    let mut status = old.clone();
    observed.design.describe(&mut status);
    let told = plan.bmc.as_ref().map(|bmc| &bmc.told);
    if let Some(session) = &observed.bmc {
        // All at once, for one write: its inventory follows the first look within seconds.
        let hasty =
            told == Some(&Told::AsWanted) && !session.facts.complete && !session.facts.late && old.power.is_none();
        if hasty {
            return Judgement { status, state: State::Progressing };
        }
        if let Some(plan) = &plan.bmc {
            status.bmc.get_or_insert_default().rotation.clone_from(&plan.rotation);
        }
        describe(&mut status, spec, session, told);
    }
    if let Some(plan) = &plan.bmc {
        status.operation.clone_from(&plan.operation);
        status.plan.clone_from(&plan.plan);
        if !matches!(observed.bmc, Some(Bmc { view: bmc::View { seen: Seen::Nothing, .. }, .. })) {
            status.done = Some(plan.done.clone());
        }
    }
    let docker = match &observed.docker {
        Some(docker) => host(&mut status, &docker.host, old, generation),
        None => Half::Absent,
    };
    let no_way = told.is_none() && observed.bmc.is_none() && matches!(docker, Half::Absent);
    let host = if no_way { None } else { verdict(spec, &status, told, docker) };
    if host.is_none() && !no_way {
        return Judgement { status, state: State::Progressing };
    }
    let Some(verdict) = observed.design.verdict(spec, host) else {
        return Judgement { status, state: State::Progressing };
    };
    status.judge(&verdict, generation, now);
    Judgement { status, state: verdict.state }
}

/// The deepest cause of the two halves; `None` leaves what is told.
fn verdict(spec: &NodeSpec, status: &NodeStatus, told: Option<&Told>, docker: Half) -> Option<Verdict> {
    let at_rest = match told {
        Some(Told::Say(verdict)) if verdict.state != State::Converged => return Some(verdict.clone()),
        // Docker may have something to tell all the same, unless it waits as well.
        Some(Told::Keep) => {
            return match docker {
                Half::Told(docker) if docker.state == State::Stalled => Some(docker),
                _ => None,
            };
        }
        Some(Told::Say(verdict)) => Some(verdict.clone()),
        Some(Told::AsWanted) | None => None,
    };
    // A person's word for it is all that a manual BMC has.
    let is_off =
        status.power.as_deref() == Some("Off") || spec.power == Some(Power::Off) && told == Some(&Told::AsWanted);
    Some(match docker {
        Half::Keep => return None,
        Half::Told(docker) if docker.state != State::Converged && is_off => at_rest.unwrap_or_else(|| off(spec)),
        Half::Told(docker) if docker.state != State::Converged => docker,
        Half::Told(docker) => at_rest.unwrap_or_else(|| usable(spec, "Connected", docker.message)),
        Half::Absent => at_rest.unwrap_or_else(|| {
            let power = status.power.as_deref().unwrap_or("Unknown");
            usable(spec, "Reconciled", format!("the BMC answers; the host is {}", power.to_lowercase()))
        }),
    })
}

/// No engine answers on a host that is off.
fn off(spec: &NodeSpec) -> Verdict {
    if spec.power.is_some() {
        return usable(spec, "PoweredOff", "the host is off, as spec.power says".into());
    }
    let message = "the host is off, so that its Docker engine cannot answer; spec.power is absent, so Slipway leaves it \
                   off. Set spec.power to On";
    verdict_of(State::Stalled, "PoweredOff", message.into())
}

/// What the BMC tells.
fn describe(status: &mut NodeStatus, spec: &NodeSpec, session: &Bmc, told: Option<&Told>) {
    let mut bmc = status.bmc.take().unwrap_or_default();
    match &session.view.seen {
        Seen::Nothing => {}
        // An outage is on record once it is told.
        Seen::Away { .. } if told == Some(&Told::Keep) => {}
        Seen::Shown { observed, .. } => {
            status.power = Some(format!("{:?}", observed.power));
            status.boot = summary::boot(&observed.boot);
            bmc.security = Some(summary::security(&observed.security));
            bmc.unreachable_since = None;
        }
        Seen::Away { since, .. } => {
            bmc.unreachable_since.get_or_insert_with(|| to_the_second(*since));
        }
    }
    let facts = &session.facts;
    bmc.address.clone_from(&facts.address);
    if let Some(identity) = &facts.identity {
        bmc.vendor = identity.vendor.as_deref().map(summary::text);
        bmc.firmware = identity.firmware.as_deref().map(summary::text);
    }
    if facts.inventory.is_some() {
        status.inventory.clone_from(&facts.inventory);
    }
    if let Some(health) = &facts.health {
        status.health = summary::health(health);
    }
    // A try that was put on record meanwhile counts.
    let counts = |login: &&LoginStatus| {
        let more = rotation::tries(Some(&bmc), &login.version).is_some_and(|on_record| on_record.tries > login.tries);
        login.tries == 0 || !more
    };
    if let Some(login) = facts.login.clone().filter(|login| counts(&login)) {
        let rotate = spec.bmc.as_ref().and_then(|bmc| bmc.rotate.as_ref());
        let new = session.view.secrets.as_ref().and_then(|secrets| Some(secrets.as_ref().ok()?.new.as_str()));
        rotation::record(&mut bmc, login, rotate.zip(new));
    }
    let pin = facts.pin.as_ref();
    bmc.pin = pin.map(|pin| pin.sha256.clone());
    bmc.pin_host = pin.and_then(|pin| pin.host.clone());
    status.bmc = Some(bmc).filter(|bmc| *bmc != BmcStatus::default());
}

/// What the Docker half says.
enum Half {
    /// There is none.
    Absent,
    /// Nothing new.
    Keep,
    /// This.
    Told(Verdict),
}

/// Writes what the engine shows.
fn host(status: &mut NodeStatus, host: &Host, old: &NodeStatus, generation: i64) -> Half {
    Half::Told(match host {
        // After a restart of Slipway the last known state stands for the seconds until the host has answered.
        Host::Connecting if old.docker.is_some() && old.observed_generation == Some(generation) => return Half::Keep,
        Host::Connecting => verdict_of(State::Progressing, "Connecting", "connecting to the Docker engine".into()),
        Host::Ready { docker, twins } => {
            status.docker = Some(docker.clone());
            status.unreachable_since = None;
            if !twins.is_empty() {
                return Half::Told(same_engine(docker, twins));
            }
            verdict_of(State::Converged, "Connected", format!("Docker {} answers", docker.version))
        }
        Host::Away { needs_person, reason, message, since } => {
            status.unreachable_since.get_or_insert_with(|| to_the_second(*since));
            let state = if *needs_person { State::Stalled } else { State::Progressing };
            verdict_of(state, reason, message.clone())
        }
    })
}

/// As every other time in an object is written.
fn to_the_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// All is well; what keeps work away is told with it.
fn usable(spec: &NodeSpec, reason: &str, fact: String) -> Verdict {
    match (spec.suspend, spec.cordon) {
        (true, _) => {
            verdict_of(State::Converged, "Suspended", format!("{fact}; spec.suspend stops all action on this host"))
        }
        (false, true) => {
            verdict_of(State::Converged, "Cordoned", format!("{fact}; spec.cordon keeps new placements away"))
        }
        (false, false) => verdict_of(State::Converged, reason, fact),
    }
}

fn same_engine(docker: &DockerStatus, twins: &[String]) -> Verdict {
    let message = format!(
        "this Node and {} lead to one engine (ID {}); nothing is placed on any of them. Delete all but one",
        twins.join(", "),
        docker.engine_id
    );
    verdict_of(State::Stalled, "SameEngine", message)
}

fn verdict_of(state: State, reason: &str, message: String) -> Verdict {
    Verdict { state, reason: reason.into(), message }
}

#[cfg(test)]
mod tests {
    use slipway_api::conditions::{READY, RECONCILING, STALLED, find};

    use super::*;
    use crate::node::Docker;

    fn status(old: &NodeStatus, spec: &NodeSpec, host: &Host, generation: i64, now: Timestamp) -> Judgement {
        let docker = Some(Docker { current: true, host: host.clone() });
        let observed = Observed { docker, ..Observed::default() };
        super::status(old, spec, &observed, &Plan { connect: false, bmc: None }, generation, now)
    }

    fn spec(more: &str) -> NodeSpec {
        serde_saphyr::from_str(&format!("docker: {{endpoint: unix:///d}}\n{more}")).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(twins: &[&str]) -> Host {
        let docker = DockerStatus { engine_id: "E".into(), version: "26.1.5".into(), ..DockerStatus::default() };
        Host::Ready { docker, twins: twins.iter().map(ToString::to_string).collect() }
    }

    fn away(needs_person: bool, second: i64) -> Host {
        Host::Away { needs_person, reason: "ConnectionRefused", message: "no".into(), since: at(second) }
    }

    fn shown(status: &NodeStatus) -> (&str, &str, bool, bool) {
        let ready = find(&status.conditions, READY).unwrap();
        let is = |type_| find(&status.conditions, type_).is_some();
        (&ready.status, &ready.reason, is(RECONCILING), is(STALLED))
    }

    #[test]
    fn each_state_of_a_host_has_its_row() {
        let of = |spec: &NodeSpec, host| status(&NodeStatus::default(), spec, &host, 1, at(9)).status;
        let plain = spec("");
        assert_eq!(shown(&of(&plain, Host::Connecting)), ("False", "Connecting", true, false));
        assert_eq!(shown(&of(&plain, ready(&[]))), ("True", "Connected", false, false));
        assert_eq!(shown(&of(&spec("cordon: true"), ready(&[]))), ("True", "Cordoned", false, false));
        assert_eq!(shown(&of(&spec("suspend: true"), ready(&[]))), ("True", "Suspended", false, false));
        assert_eq!(shown(&of(&plain, ready(&["b/n"]))), ("False", "SameEngine", false, true));
        assert_eq!(shown(&of(&plain, away(false, 5))), ("False", "ConnectionRefused", true, false));
        assert_eq!(shown(&of(&plain, away(true, 5))), ("False", "ConnectionRefused", false, true));
    }

    #[test]
    fn an_outage_keeps_its_beginning_and_the_last_description() {
        let up = status(&NodeStatus::default(), &spec(""), &ready(&[]), 1, at(1)).status;
        let down = status(&up, &spec(""), &away(false, 5), 1, at(6)).status;
        assert_eq!(down.unreachable_since.as_deref(), Some("1970-01-01T00:00:05Z"));
        assert_eq!(down.docker, up.docker);
        let restarted = status(&down, &spec(""), &away(false, 8), 1, at(9)).status;
        assert_eq!(restarted, down, "a new process does not begin the outage anew, and writes nothing");
        let back = status(&down, &spec(""), &ready(&[]), 1, at(10)).status;
        assert_eq!(back.unreachable_since, None);
    }

    #[test]
    fn nothing_is_written_while_a_new_process_connects() {
        let up = status(&NodeStatus::default(), &spec(""), &ready(&[]), 1, at(1)).status;
        assert_eq!(status(&up, &spec(""), &Host::Connecting, 1, at(9)).status, up);
        let changed = status(&up, &spec(""), &Host::Connecting, 2, at(9)).status;
        assert_eq!(shown(&changed), ("False", "Connecting", true, false), "a changed spec is another matter");
    }
}
