//! Why a Node may not be disrupted now, in plain words.

use slipway_api::design::{GroupState, GroupStatus, Rollout};

use super::schedule::{Model, NodeState, Observed, Schedule};

/// Groups up to this size are told with how many of them are ready: of larger ones, each Node that waits would be told anew
/// with each step of another.
const COUNTED: u32 = 20;
const BUSY: &str = "the budgets allow no more Nodes at a time";

/// Why a Node may not be disrupted now; `None` if it may.
pub fn hold(model: &Model<'_>, observed: &Observed, schedule: &Schedule, node: &str) -> Option<String> {
    let rollout = model.rollout?;
    if schedule.allows(node) {
        return None;
    }
    if rollout.paused {
        return Some("spec.rollout.paused holds the rollout".into());
    }
    let Some(index) = model.members.iter().position(|members| members.iter().any(|member| member == node)) else {
        return Some(format!("waits for its turn: {BUSY}"));
    };
    let (Some(group), Some(status)) = (rollout.groups.get(index), schedule.groups.get(index)) else {
        return Some("its group is not known yet".into());
    };
    if matches!(observed.get(node), Some(NodeState::Failed { .. })) {
        return Some(format!("it failed in group {}; mend it, then request a retry", group.name));
    }
    Some(match status.state {
        GroupState::Waiting => waits_for(rollout, schedule, &group.after)
            .unwrap_or_else(|| format!("group {}: {}", group.name, status.message)),
        GroupState::Paused | GroupState::Failed => format!("group {}: {}", group.name, status.message),
        GroupState::InProgress | GroupState::Done => {
            format!("waits for its turn in group {}: {BUSY}", group.name)
        }
    })
}

/// The first group that is waited for and has not ended, with how far it is.
fn waits_for(rollout: &Rollout, schedule: &Schedule, after: &[String]) -> Option<String> {
    let status = |name: &str| -> Option<&GroupStatus> {
        let index = rollout.groups.iter().position(|group| group.name == name)?;
        schedule.groups.get(index)
    };
    let before = after.iter().filter_map(|name| status(name)).find(|status| status.state != GroupState::Done)?;
    let told = match before.state {
        GroupState::Failed | GroupState::Paused if !before.message.is_empty() => format!(", {}", before.message),
        _ => String::new(),
    };
    Some(match before.nodes {
        0..=COUNTED => {
            format!("waits for group {}: {} of {} Nodes are ready{told}", before.name, before.ready, before.nodes)
        }
        nodes => format!("waits for group {} of {nodes} Nodes{told}", before.name),
    })
}

#[cfg(test)]
mod tests {
    use super::super::schedule::schedule;
    use super::*;

    fn held(rollout: &str, members: &[&[&str]], nodes: &[(&str, NodeState)], node: &str) -> Option<String> {
        let rollout: Rollout = serde_saphyr::from_str(rollout).unwrap();
        let members: Vec<Vec<String>> =
            members.iter().map(|nodes| nodes.iter().map(ToString::to_string).collect()).collect();
        let observed: Observed = nodes.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
        let model = Model { rollout: Some(&rollout), members: &members };
        hold(&model, &observed, &schedule(&model, &observed), node)
    }

    const SERVES: NodeState = NodeState::Pending { available: true };

    #[test]
    fn it_says_what_is_waited_for() {
        let two = "{groups: [{name: control}, {name: compute, after: [control]}]}";
        let groups: &[&[&str]] = &[&["a", "b"], &["c"]];
        let nodes = [("a", NodeState::Ready), ("b", NodeState::InProgress), ("c", SERVES)];
        let told = held(two, groups, &nodes, "c").unwrap();
        assert_eq!(told, "waits for group control: 1 of 2 Nodes are ready");
        assert_eq!(held(two, groups, &nodes, "b"), None);
        let nodes = [("a", NodeState::InProgress), ("b", SERVES), ("c", SERVES)];
        let told = held(two, groups, &nodes, "b").unwrap();
        assert_eq!(told, "waits for its turn in group control: the budgets allow no more Nodes at a time");
        let failed = NodeState::Failed { retry: None };
        let nodes = [("a", failed.clone()), ("b", NodeState::Ready), ("c", SERVES)];
        assert!(held(two, groups, &nodes, "c").unwrap().contains("request a retry"));
        assert!(held(two, groups, &nodes, "a").unwrap().starts_with("it failed in group control"));
        let told = held("{paused: true}", &[], &[("a", SERVES)], "a").unwrap();
        assert_eq!(told, "spec.rollout.paused holds the rollout");
        let told = held("{}", &[], &[("a", NodeState::Away), ("b", SERVES)], "b").unwrap();
        assert_eq!(told, "waits for its turn: the budgets allow no more Nodes at a time");
    }
}
