//! All that is wrong with a compiled site.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use slipway_api::design::NodeFilterSet;

use super::{BMC_OF_DESIGN, Compiler, Use};
use crate::design::boot_action;
use crate::design::locate::{Locator, Raw};
use crate::design::model::NodeModel;
use crate::design::node;
use crate::design::profile::Shared;
use crate::design::rules::Check;
use crate::design::source::join;
use crate::design::validate;
use crate::finding::{Finding, Severity};

impl Compiler {
    /// All that is wrong, the worst first, then by object and field.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.site.findings.clone();
        let used = self.used_profiles();
        findings.extend(self.profile_findings.iter().map(|(profile, finding)| {
            let is_used = profile.as_ref().is_none_or(|profile| used.contains(&**profile));
            // What no Node follows keeps nothing from being used.
            if is_used { finding.clone() } else { Finding { severity: Severity::Warning, ..finding.clone() } }
        }));
        let mut locator = Locator::new(&self.site, None);
        let followed: BTreeSet<&str> =
            self.nodes.values().filter_map(|slot| slot.source.design.host_profile.as_deref()).collect();
        for name in followed {
            let Some(shared) = self.profiles.get(name).and_then(|profile| profile.shared.get()) else { continue };
            if !shared.findings.is_empty() {
                findings.extend(self.of_followed(name, shared, &mut locator));
            }
        }
        findings.extend(self.of_unfollowed(&used, &mut locator));
        for slot in self.nodes.values() {
            findings.extend(slot.source.broken.findings().iter().cloned());
            findings.extend(slot.compiled.values.iter().cloned());
            if !slot.compiled.findings.is_empty() {
                locator.at_node(&slot.source);
                findings.extend(locator.findings(&slot.compiled.findings));
            }
        }
        self.add_collisions(&mut findings);
        self.add_scopes(&mut findings);
        self.add_templates(&mut findings);
        let named: HashSet<(Option<String>, String)> = findings
            .iter()
            .filter(|finding| Check::FqdnLabel.is_it(finding))
            .map(|finding| (finding.object.clone(), finding.path.clone()))
            .collect();
        let is_told =
            |f: &Finding| Check::DomainInvalid.is_it(f) && named.contains(&(f.object.clone(), f.path.clone()));
        findings.retain(|f| !is_told(f));
        // One thing may be a warning of a profile and an error of a Node that follows it.
        findings.sort_by_key(|finding| finding.severity);
        let mut seen = HashSet::new();
        findings.retain(|f| seen.insert((f.code, f.object.clone(), f.path.clone(), f.message.clone())));
        self.place_as_written(&mut findings);
        findings.sort_by(|a, b| order(a).cmp(&order(b)));
        findings
    }

    /// What is wrong with a host profile that Nodes follow. Where all of them override the part, nothing is kept from being used.
    fn of_followed(&self, name: &str, shared: &Shared, locator: &mut Locator<'_>) -> Vec<Finding> {
        let followers = self.nodes.values().filter(|slot| slot.source.design.host_profile.as_deref() == Some(name));
        let models: Vec<&Arc<NodeModel>> = followers.filter_map(|slot| slot.compiled.model.as_ref()).collect();
        let is_used = |raw: &Raw| {
            models.iter().any(|model| match raw.field() {
                Some("interfaces") => Arc::ptr_eq(&model.network, &shared.network),
                Some("storage") => Arc::ptr_eq(&model.storage, &shared.storage),
                Some("platform") => Arc::ptr_eq(&model.platform, &shared.platform),
                _ => true,
            })
        };
        let told = shared.findings.iter().map(|raw| match locator.finding(raw) {
            finding if is_used(raw) => finding,
            finding => Finding { severity: Severity::Warning, ..finding },
        });
        told.collect()
    }

    /// What is wrong with host profiles that no Node follows yet. Those that others extend need not be complete.
    fn of_unfollowed(&self, used: &HashSet<&str>, locator: &mut Locator<'_>) -> Vec<Finding> {
        let everything = Raw::fields();
        let mut found = Vec::new();
        for (name, _) in self.site.profiles.all.iter().filter(|(name, _)| !used.contains(&**name)) {
            let Some(profile) = self.profiles.get(name) else { continue };
            let shared = profile.shared.get_or_init(|| node::shared(&self.site, name, &profile.host));
            let told = shared.findings.iter().filter(|raw| !raw.is_of_unread(&everything));
            found.extend(told.map(|raw| Finding { severity: Severity::Warning, ..locator.finding(raw) }));
        }
        found
    }

    /// Host profiles that Nodes follow, with all that these extend.
    fn used_profiles(&self) -> HashSet<&str> {
        let mut used: HashSet<&str> = HashSet::new();
        for slot in self.nodes.values() {
            let mut next = slot.source.design.host_profile.as_deref();
            while let Some(name) = next.filter(|name| used.insert(name)) {
                next = self.site.profiles.get(name).and_then(|at| self.site.profile(at).extends.as_deref());
            }
        }
        used
    }

    fn add_collisions(&self, findings: &mut Vec<Finding>) {
        let object = |(name, _): &Use| format!("Node/{name}");
        for (address, user, first) in self.addresses.collisions() {
            let other = if user.0 == first.0 { "this Node twice".to_owned() } else { format!("Node {} too", first.0) };
            let message = format!("{address} is given to {other}");
            findings.push(Check::AddressTwice.at(
                &object(user),
                format!("spec.addressing[{}].address", user.1),
                message,
            ));
        }
        for (mac, user, first) in self.boot_macs.collisions() {
            let message = format!("Node {} boots from {mac} too", first.0);
            let finding = Check::MacTwice.at(&object(user), "spec.bootMac", message);
            let is_found_by_mac = |(name, _): &Use| self.nodes.get(name).is_some_and(|it| it.compiled.is_found_by_mac);
            // drydock does not look at it where it knows the BMC.
            let is_harmless = !is_found_by_mac(user) && !is_found_by_mac(first);
            findings.push(if is_harmless { Finding { severity: Severity::Warning, ..finding } } else { finding });
        }
        for (bmc, user, first) in self.bmcs.collisions() {
            let path = match (user.1, first.1) {
                // One address given twice has been told.
                (BMC_OF_DESIGN, BMC_OF_DESIGN) => continue,
                (BMC_OF_DESIGN, _) => "spec.addressing",
                _ => "spec.bmc.address",
            };
            let message = format!("Node {} has the BMC {bmc:.200} too", first.0);
            findings.push(Check::BmcTwice.at(&object(user), path, message));
        }
    }

    /// Which Nodes there are, and which of them boot actions and rollout groups take.
    fn add_scopes(&self, findings: &mut Vec<Finding>) {
        if self.nodes.is_empty() {
            for check in [Check::NoNodes, Check::NoAddresses] {
                findings.push(check.at(self.site.object(), self.site.base(), "the site has no Nodes"));
            }
            return;
        }
        self.add_strangers(findings);
        // Whom a filter takes may depend on what could not be read.
        let is_whole = !self.site.lacks_parts() && !self.site.is_unread("bootActions") && !self.site.is_unread("racks");
        let unsure = self.nodes.values().filter(|slot| slot.compiled.may_be_in_any_scope).count();
        let mut taken = vec![0_usize; self.site.filters.len()];
        for (name, slot) in &self.nodes {
            slot.compiled.boot_actions.iter().for_each(|action| taken[*action] += 1);
            if slot.compiled.boot_actions.is_empty()
                && is_whole
                && !slot.compiled.may_be_in_any_scope
                && validate::node::is_provisioned(&slot.source.design)
                && slot.compiled.model.is_some()
            {
                let message = "no boot action applies to this Node";
                findings.push(Check::NoBootAction.at(&format!("Node/{name}"), "spec", message));
            }
        }
        for (number, (name, _)) in self.site.boot_actions.all.iter().enumerate() {
            if taken[number] == 0
                && is_whole
                && unsure == 0
                && !self.site.filters[number].is_everything()
                && let Some(spot) = self.site.boot_actions.spot(&self.site, name)
            {
                let message = format!("boot action {name}: its filter takes no Node");
                let finding = spot.find(Check::FilterTakesNothing, "nodeFilter", message);
                // A name in it that nothing has is why.
                let is_told = |told: &Finding| told.object == finding.object && told.path.starts_with(&finding.path);
                if !findings.iter().chain(&self.site.findings).any(is_told) {
                    findings.push(finding);
                }
            }
        }
        validate::rollout::check_members(&self.site, &self.group_sizes(), unsure, findings);
    }

    /// Nodes that filters name, and that are not in this site.
    fn add_strangers(&self, findings: &mut Vec<Finding>) {
        let mut look = |object: &str, path: &str, filter: &NodeFilterSet| {
            for (number, filter) in filter.filters.iter().enumerate() {
                let strangers =
                    filter.names.iter().enumerate().filter(|(_, name)| !self.nodes.contains_key(name.as_str()));
                for (index, name) in strangers {
                    let path = format!("{path}.filters[{number}].names[{index}]");
                    let message = format!("Node `{name:.100}` is not in this site");
                    findings.push(Check::NodeUndefined.at(object, path, message));
                }
            }
        };
        for (name, at) in &self.site.boot_actions.all {
            if let Some(filter) = &self.site.boot_action(*at).node_filter
                && let Some((object, path)) = self.site.boot_actions.place(&self.site, name)
            {
                look(&object, &format!("{path}.nodeFilter"), filter);
            }
        }
        let Some((rollout, source)) = self.site.rollout() else { return };
        for (index, group) in rollout.groups.iter().enumerate() {
            if let Some(selector) = &group.selector {
                let path = join(&source.base, &format!("rollout.groups[{index}].selector"));
                look(&source.object, &path, selector);
            }
        }
    }

    fn group_sizes(&self) -> Vec<usize> {
        self.groups().iter().map(|(_, nodes)| nodes.len()).collect()
    }

    fn add_templates(&self, findings: &mut Vec<Finding>) {
        if self.templates.values().all(Vec::is_empty) {
            return;
        }
        // One mistake in a template is told of the first Node that it is found on.
        let mut told: HashSet<(Option<&str>, &str, &str)> = HashSet::new();
        for (name, slot) in &self.nodes {
            for action in &slot.compiled.boot_actions {
                let of_shape = self.templates.get(&(*action, slot.compiled.shape)).into_iter().flatten();
                // What it has not may be what could not be read.
                let is_partial = slot.compiled.is_partial;
                let is_told = |told: &&Finding| {
                    !is_partial
                        || !Check::TemplateUndefined.is_it(told) && !told.message.starts_with(boot_action::UNDEFINED)
                };
                for finding in of_shape.filter(is_told) {
                    if told.insert((finding.object.as_deref(), &finding.path, finding.code)) {
                        let message = format!("on Node {name}: {}", finding.message);
                        findings.push(Finding { message, ..finding.clone() });
                    }
                }
            }
        }
    }

    /// Where items were left out because they are broken, the others have moved up.
    fn place_as_written(&self, findings: &mut [Finding]) {
        let designs = self.site.sources.iter().map(|source| (source.object.clone(), &source.broken));
        let nodes = self.nodes.values().map(|slot| (format!("Node/{}", slot.source.name), &slot.source.broken));
        let mut broken: HashMap<String, Vec<_>> = HashMap::new();
        for (object, one) in designs.chain(nodes).filter(|(_, broken)| !broken.findings().is_empty()) {
            broken.entry(object).or_default().push(one);
        }
        for finding in findings.iter_mut().filter(|finding| finding.code != Check::InvalidField.rule().code) {
            for broken in finding.object.as_ref().and_then(|object| broken.get(object)).into_iter().flatten() {
                finding.path = broken.written(std::mem::take(&mut finding.path));
            }
        }
    }
}

/// The worst first, then by object and field.
fn order(finding: &Finding) -> (Severity, Option<&str>, &str, &str, &str) {
    (finding.severity, finding.object.as_deref(), &finding.path, finding.code, &finding.message)
}
