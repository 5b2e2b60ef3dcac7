//! A Design: what is wrong with the site, then the group and the Node that hold its rollout up.

use slipway_api::design::{FindingSeverity, GroupState};
use slipway_api::{Design, Node};

use super::facts::{Facts, face_of, face_of_design};
use super::{Link, NextTry, State, head, operator};

/// Reasons of a Node, or of a ContainerService on it, whose cause is in its Design.
const REASONS: [&str; 4] = ["DesignInvalid", "DesignMissing", "DesignPending", "RolloutWaiting"];

/// Whether a reason's cause is in a Design.
pub(super) fn is_cause(reason: &str) -> bool {
    REASONS.contains(&reason)
}

/// The chain of the Design that a Node belongs to; empty if it is not there, or has nothing to tell.
pub(super) fn of_node(node: &Node, facts: &Facts) -> Vec<Link> {
    let named = node.spec.design.design_ref.as_ref().map(|design| &design.name);
    let design = facts.designs.iter().find(|design| named.is_some() && design.metadata.name.as_ref() == named);
    let chain = design.map(|design| links(design, &facts.nodes)).unwrap_or_default();
    // One that is well is no cause.
    if chain.first().is_some_and(|link| link.state == State::Ready) { Vec::new() } else { chain }
}

/// The chain of a Design, down to the Node that needs a person in the middle of its step.
pub(super) fn links(design: &Design, nodes: &[Node]) -> Vec<Link> {
    let face = face_of_design(design);
    let mut head = head(&face);
    operator::deletion(&face, &mut head);
    if head.state == State::Ready {
        return vec![head];
    }
    let status = design.status.clone().unwrap_or_default();
    let mut chain = vec![head.clone()];
    if let Some(finding) = status.findings.iter().find(|finding| finding.severity == FindingSeverity::Error) {
        chain.push(Link {
            object: finding.object.clone(),
            state: State::Stalled,
            reason: finding.code.clone(),
            message: format!("{} [{}]", finding.message, finding.path),
            next_try: NextTry::when("the Design changes"),
            to_do: finding.hint.clone().unwrap_or_default(),
            ..head
        });
        return chain;
    }
    let group_in = |state| status.groups.iter().find(|group| group.state == state);
    if let Some(group) = group_in(GroupState::Failed)
        .or_else(|| group_in(GroupState::Paused))
        .or_else(|| group_in(GroupState::InProgress))
    {
        chain.push(Link {
            object: format!("group {}", group.name),
            message: format!(
                "{} of {} Nodes ready, {} failed. {}",
                group.ready, group.nodes, group.failed, group.message
            ),
            ..head
        });
    }
    let moving = status.rollout.iter().flat_map(|rollout| &rollout.in_progress);
    let moving = moving.filter_map(|it| nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&*it.name)));
    chain.extend(moving.map(|node| self::head(&face_of(node))).find(|head| head.state == State::Stalled));
    chain
}
