//! The Node's status, from what its connection shows.

use jiff::Timestamp;
use slipway_api::conditions::{HasConditions, State, Verdict};
use slipway_api::node::DockerStatus;
use slipway_api::{NodeSpec, NodeStatus};

use super::Host;

/// A status, and what it means for the next look.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The whole status.
    pub status: NodeStatus,
    /// What is true now.
    pub state: State,
}

/// The Node's status. Pure: equal input has equal output, so that nothing is written when nothing changes.
pub fn status(old: &NodeStatus, spec: &NodeSpec, host: &Host, generation: i64, now: Timestamp) -> Judgement {
    let mut status = old.clone();
    let verdict = match host {
        // After a restart of Slipway the last known state stands for the seconds until the host has answered.
        Host::Connecting if old.docker.is_some() && old.observed_generation == Some(generation) => {
            return Judgement { status, state: State::Progressing };
        }
        Host::Connecting => verdict(State::Progressing, "Connecting", "connecting to the Docker engine".into()),
        Host::Ready { docker, twins } => {
            status.docker = Some(docker.clone());
            status.unreachable_since = None;
            if twins.is_empty() { usable(spec, docker) } else { same_engine(docker, twins) }
        }
        Host::Away { needs_person, reason, message, since } => {
            status.unreachable_since.get_or_insert_with(|| to_the_second(*since));
            let state = if *needs_person { State::Stalled } else { State::Progressing };
            verdict(state, reason, message.clone())
        }
    };
    status.judge(&verdict, generation, now);
    Judgement { status, state: verdict.state }
}

/// As every other time in an object is written.
fn to_the_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn usable(spec: &NodeSpec, docker: &DockerStatus) -> Verdict {
    let engine = format!("Docker {} answers", docker.version);
    match (spec.suspend, spec.cordon) {
        (true, _) => {
            verdict(State::Converged, "Suspended", format!("{engine}; spec.suspend stops all action on this host"))
        }
        (false, true) => {
            verdict(State::Converged, "Cordoned", format!("{engine}; spec.cordon keeps new placements away"))
        }
        (false, false) => verdict(State::Converged, "Connected", engine),
    }
}

fn same_engine(docker: &DockerStatus, twins: &[String]) -> Verdict {
    let message = format!(
        "this Node and {} lead to one engine (ID {}); nothing is placed on any of them. Delete all but one",
        twins.join(", "),
        docker.engine_id
    );
    verdict(State::Stalled, "SameEngine", message)
}

fn verdict(state: State, reason: &str, message: String) -> Verdict {
    Verdict { state, reason: reason.into(), message }
}

#[cfg(test)]
mod tests {
    use slipway_api::conditions::{READY, RECONCILING, STALLED, find};

    use super::*;

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
