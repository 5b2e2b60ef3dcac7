//! Rollout groups: names, circles, budgets, and whether each can be done.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use slipway_api::design::Rollout;

use super::circles::circles;
use super::{Spot, boot_actions};
use crate::design::rules::Check;
use crate::design::site::Site;
use crate::design::source::join;
use crate::finding::Finding;
use crate::formats::compose::meant;
use crate::rollout::{Round, budget};

/// Groups of a circle that are named.
const SHOWN: usize = 10;

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
    for circle in circles(&awaited(rollout, &numbers)) {
        let name = |index: &usize| rollout.groups[*index].name.as_str();
        let names: Vec<&str> = circle.iter().take(SHOWN).map(name).collect();
        let more = if circle.len() > SHOWN { " → …" } else { "" };
        let (first, way) = (circle[0], names.join(" → "));
        let message = format!("groups wait for each other in a circle: {way}{more} → {}", name(&first));
        findings.push(spot.find(Check::GroupCycle, &format!("groups[{first}].after"), message));
    }
}

fn budgets(rollout: &Rollout, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let mut check = |field: String, written: Option<&_>, least: usize| {
        // Of 100 Nodes, as whether it can be read and lets anything happen does not depend on their number.
        let Some(written) = written else { return };
        let what = match budget(written, 100, Round::Up) {
            None => "is neither a number nor a percentage up to 100%",
            Some(number) if number < least => "lets nothing happen",
            Some(_) => return,
        };
        let (shown, hint) = match written {
            IntOrString::Int(number) => (number.to_string(), None),
            IntOrString::String(text) => {
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                (
                    format!("{text:.100}"),
                    is_number.then(|| format!("write {text:.100}, without quotes, or {text:.100}%")),
                )
            }
        };
        let finding = spot.find(Check::BudgetInvalid, &field, format!("`{shown}` {what}"));
        findings.push(match hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    };
    check("maxUnavailable".into(), rollout.max_unavailable.as_ref(), 1);
    for (index, group) in rollout.groups.iter().enumerate() {
        check(format!("groups[{index}].maxUnavailable"), group.max_unavailable.as_ref(), 1);
        check(format!("groups[{index}].minReady"), group.min_ready.as_ref(), 0);
        check(format!("groups[{index}].maxFailed"), group.max_failed.as_ref(), 0);
    }
}

/// The groups that each group waits for.
fn awaited(rollout: &Rollout, numbers: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let of = |after: &Vec<String>| after.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
    rollout.groups.iter().map(|group| of(&group.after)).collect()
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
