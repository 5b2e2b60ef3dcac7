//! Rollout groups: names, circles, budgets, and whether each can be done.

use std::collections::{HashMap, HashSet};

use slipway_api::design::Rollout;

use super::{Spot, boot_actions};
use crate::design::rules::Check;
use crate::design::site::Site;
use crate::design::source::join;
use crate::finding::Finding;
use crate::formats::compose::meant;
use crate::rollout::{Round, budget};

/// What can be said without Nodes.
pub(super) fn check_groups(site: &Site, findings: &mut Vec<Finding>) {
    let Some((rollout, source)) = site.rollout() else { return };
    let spot = Spot::new(source, join(&source.base, "rollout"));
    budgets(rollout, &spot, findings);
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for (index, group) in rollout.groups.iter().enumerate() {
        if numbers.contains_key(group.name.as_str()) {
            let message = format!("group `{}` is defined twice", group.name);
            findings.push(spot.find(Check::NameTwice, &format!("groups[{index}]"), message));
        } else {
            numbers.insert(&group.name, index);
        }
        if let Some(selector) = &group.selector {
            boot_actions::racks(site, selector, &format!("groups[{index}].selector"), &spot, findings);
        }
    }
    for (index, group) in rollout.groups.iter().enumerate() {
        let is_known = |name: &str| numbers.contains_key(name) || site.has_broken_part("groups", name);
        for (number, name) in group.after.iter().enumerate().filter(|(_, name)| !is_known(name)) {
            let known = rollout.groups.iter().map(|group| group.name.as_str());
            let near = meant(name, known);
            let message = format!("group {} waits for `{name:.100}`, which is not defined{near}", group.name);
            findings.push(spot.find(Check::GroupUndefined, &format!("groups[{index}].after[{number}]"), message));
        }
    }
    for index in circles(rollout, &numbers) {
        let message =
            format!("group {} waits for itself, through the groups that it waits for", rollout.groups[index].name);
        findings.push(spot.find(Check::GroupCycle, &format!("groups[{index}].after"), message));
    }
}

fn budgets(rollout: &Rollout, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let mut check = |field: String, written: Option<&_>, least: usize| {
        // Of 100 Nodes, as whether it can be read and lets anything happen does not depend on their number.
        let Some(written) = written else { return };
        let message = match budget(written, 100, Round::Up) {
            None => "is neither a number nor a percentage up to 100%",
            Some(number) if number < least => "lets nothing happen",
            Some(_) => return,
        };
        findings.push(spot.find(Check::BudgetInvalid, &field, message));
    };
    check("maxUnavailable".into(), rollout.max_unavailable.as_ref(), 1);
    for (index, group) in rollout.groups.iter().enumerate() {
        check(format!("groups[{index}].maxUnavailable"), group.max_unavailable.as_ref(), 1);
        check(format!("groups[{index}].minReady"), group.min_ready.as_ref(), 0);
        check(format!("groups[{index}].maxFailed"), group.max_failed.as_ref(), 0);
    }
}

/// Groups that lie on a circle: those that are left once every group that waits for none of the rest is taken away, from
/// both ends.
fn circles(rollout: &Rollout, numbers: &HashMap<&str, usize>) -> Vec<usize> {
    let count = rollout.groups.len();
    let mut edges: HashSet<(usize, usize)> = HashSet::new();
    for (index, group) in rollout.groups.iter().enumerate() {
        edges.extend(group.after.iter().filter_map(|name| Some((index, *numbers.get(name.as_str())?))));
    }
    let mut left: Vec<usize> = (0..count).collect();
    loop {
        let waiting: HashSet<usize> = edges.iter().map(|(from, _)| *from).collect();
        let awaited: HashSet<usize> = edges.iter().map(|(_, to)| *to).collect();
        let before = left.len();
        left.retain(|index| waiting.contains(index) && awaited.contains(index));
        if left.len() == before {
            return left;
        }
        let kept: HashSet<usize> = left.iter().copied().collect();
        edges.retain(|(from, to)| kept.contains(from) && kept.contains(to));
    }
}

/// What depends on how many Nodes each group has.
///
/// `unknown` Nodes could not be compiled, and may belong to any group.
pub(in crate::design) fn check_members(site: &Site, members: &[usize], unknown: usize, findings: &mut Vec<Finding>) {
    let Some((rollout, source)) = site.rollout() else { return };
    // Which Node belongs where may depend on what is not there.
    if site.lacks_parts() || site.is_unread("racks") {
        return;
    }
    let spot = Spot::new(source, join(&source.base, "rollout"));
    for ((index, group), count) in rollout.groups.iter().enumerate().zip(members) {
        let wanted = group.min_ready.as_ref().and_then(|least| budget(least, *count, Round::Up)).unwrap_or(0);
        let field = format!("groups[{index}]");
        if wanted > *count + unknown && !spot.is_unread(&field) {
            let message = format!("group {} has {count} Nodes, and is done when {wanted} are ready", group.name);
            findings.push(spot.find(Check::GroupUnreachable, &format!("groups[{index}].minReady"), message));
        } else if *count == 0 && unknown == 0 && !spot.is_unread("groups") {
            let message = format!("group {} takes no Node", group.name);
            let finding = spot.find(Check::GroupEmpty, &field, message);
            // A name in its selector that nothing has is why.
            let selector = format!("{}.selector", finding.path);
            let is_told = |told: &Finding| told.object == finding.object && told.path.starts_with(&selector);
            if !findings.iter().chain(&site.findings).any(is_told) {
                findings.push(finding);
            }
        }
    }
}
