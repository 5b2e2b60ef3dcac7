//! A Design: what is wrong with the site, then the group and the Node that hold its rollout up.

use slipway_api::Design;
use slipway_api::design::{FindingSeverity, GroupState};

use super::facts::Facts;
use super::{Link, NextTry, State, head, operator};

/// The chain of a Design.
pub(super) fn links(design: &Design, facts: &Facts) -> Vec<Link> {
    let face = facts.subject.face();
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
    chain
}
