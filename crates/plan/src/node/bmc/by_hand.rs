//! A BMC that is a person: what to do is said, and whether it was done is seen by the Docker engine that answers, or not.

use jiff::Timestamp;
use slipway_api::NodeStatus;
use slipway_api::conditions::State;
use slipway_api::node::{Done, Operation, Power};

use super::plan::say;
use super::{Plan, Told, Wanted};
use crate::node::Host;

/// The command on record while a person is asked to restart a host.
const BY_HAND: &str = "ByHand";

/// What a person is asked to do. Pure.
pub fn by_hand(wanted: &Wanted, status: &NodeStatus, host: &Host, name: &str, now: Timestamp) -> Plan {
    let requested = wanted.reboot.as_ref().map(|reboot| reboot.requested_at.clone());
    // A Node that is new has not been asked to restart: its request is as old as itself.
    let mut done = status.done.clone().unwrap_or_else(|| Done { reboot: requested.clone(), ..Done::default() });
    let mut operation = status.operation.clone().filter(|operation| Some(&operation.goal) == requested.as_ref());
    if requested.is_none() || wanted.power == Some(Power::Off) {
        done.reboot.clone_from(&requested);
    }
    let restarted = matches!((&operation, host), (Some(operation), Host::Ready { .. }) if operation.taken);
    if restarted {
        done.reboot.clone_from(&requested);
        operation = None;
    }
    let told = match (&requested, host) {
        (_, Host::Connecting) => Told::Keep,
        (Some(goal), _) if done.reboot != requested => {
            let open = operation.get_or_insert_with(|| Operation {
                command: BY_HAND.into(),
                purpose: "Reboot".into(),
                goal: goal.clone(),
                since: now.to_string(),
                power: "Unknown".into(),
                ..Operation::default()
            });
            open.taken |= matches!(host, Host::Away { .. });
            let message = if open.taken {
                format!("restart {name}: it went down; Slipway waits until its Docker engine answers")
            } else {
                format!("restart {name} (spec.reboot, {goal}); Slipway goes on when it went down and answers again")
            };
            say(State::Stalled, "PersonNeeded", message)
        }
        _ => power(wanted.power, &mut done, host, name),
    };
    Plan {
        operation,
        done,
        rotation: None,
        plan: None,
        send: None,
        awaited: false,
        deep: false,
        ask: None,
        until: None,
        told,
        notes: Vec::new(),
    }
}

fn power(wanted: Option<Power>, done: &mut Done, host: &Host, name: &str) -> Told {
    let answers = matches!(host, Host::Ready { .. });
    match (wanted, host) {
        (Some(Power::On), Host::Away { message, .. }) => say(
            State::Stalled,
            "PersonNeeded",
            format!("power {name} on; its Docker engine does not answer: {message}"),
        ),
        (Some(Power::Off), _) if answers => {
            say(State::Stalled, "PersonNeeded", format!("power {name} off; its Docker engine still answers"))
        }
        _ => {
            done.power = wanted.map(|wanted| format!("{wanted:?}"));
            Told::AsWanted
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_api::NodeSpec;
    use slipway_api::node::DockerStatus;

    use super::*;

    fn wanted(more: &str) -> Wanted {
        let text = format!("docker: {{endpoint: unix:///d.sock}}\nbmc: {{address: manual}}\n{more}");
        let spec: NodeSpec = serde_saphyr::from_str(&text).unwrap();
        crate::node::validate(&spec).unwrap().bmc.unwrap()
    }

    fn ready() -> Host {
        Host::Ready { docker: DockerStatus::default(), twins: Vec::new() }
    }

    fn away() -> Host {
        Host::Away { needs_person: false, reason: "NoRoute", message: "no route".into(), since: Timestamp::UNIX_EPOCH }
    }

    fn asked(plan: &Plan) -> &str {
        match &plan.told {
            Told::Say(verdict) => &verdict.message,
            _ => "",
        }
    }

    fn after(plan: &Plan) -> NodeStatus {
        NodeStatus { operation: plan.operation.clone(), done: Some(plan.done.clone()), ..NodeStatus::default() }
    }

    #[test]
    fn a_person_is_told_what_to_do_until_it_is_seen() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |more: &str, host: &Host| by_hand(&wanted(more), &NodeStatus::default(), host, "n20", now);
        assert!(asked(&of("power: \"On\"", &away())).starts_with("power n20 on"));
        assert_eq!(of("power: \"On\"", &ready()).told, Told::AsWanted);
        assert!(asked(&of("power: \"Off\"", &ready())).starts_with("power n20 off"));
        assert_eq!(of("power: \"Off\"", &away()).told, Told::AsWanted);
        assert_eq!(of("", &away()).told, Told::AsWanted, "Docker says by itself why it does not answer");
    }

    #[test]
    fn a_restart_is_seen_when_the_engine_went_and_came_back() {
        let now = Timestamp::UNIX_EPOCH;
        let first = by_hand(&wanted("reboot: {requestedAt: a}"), &NodeStatus::default(), &ready(), "n", now);
        assert_eq!((first.told.clone(), first.done.reboot.as_deref()), (Told::AsWanted, Some("a")));
        let again = wanted("reboot: {requestedAt: b}");
        let asking = by_hand(&again, &after(&first), &ready(), "n", now);
        assert!(asked(&asking).starts_with("restart n (spec.reboot, b)"), "{}", asked(&asking));
        let still = by_hand(&again, &after(&asking), &ready(), "n", now);
        assert_eq!(still, asking, "an engine that never went away was not restarted");
        let down = by_hand(&again, &after(&still), &away(), "n", now);
        assert!(asked(&down).contains("went down"));
        let up = by_hand(&again, &after(&down), &ready(), "n", now);
        assert_eq!((up.told, up.done.reboot.as_deref(), up.operation), (Told::AsWanted, Some("b"), None));
    }
}
