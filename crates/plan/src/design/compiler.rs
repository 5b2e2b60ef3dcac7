//! Keeps a site compiled while its Design and Nodes change, at the cost of what changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use minijinja::UndefinedBehavior;
use serde::Serialize;
use sha2::{Digest, Sha256};
use slipway_api::design::{NodeFilterSet, Rollout};

use super::boot_action::{self, RenderError, Rendered, Run, Shape};
use super::explain::{self, Explanation, Other};
use super::filter::Filter;
use super::locate::{Locator, Raw};
use super::model::{NodeModel, SiteModel, Text};
use super::node::{self, Compiled};
use super::profile::{Profile, profiles};
use super::rules::Check;
use super::site::{Site, same_sources};
use super::source::{DesignSource, NodeSource, join};
use super::validate;
use crate::finding::{Finding, Severity};

/// Templates that are tried for one Design. Each has a bound of its own; together they could still take hours.
const TRIED_TEMPLATES: usize = 5_000;

/// Index of the use of a BMC that the Design gives a Node.
const BMC_OF_DESIGN: usize = 1;

/// A use of something that only one Node may use, with its index in the Node.
type Use = (Text, usize);

/// A site, compiled.
#[derive(Debug)]
pub struct Compiler {
    site: Site,
    profiles: HashMap<Text, Profile>,
    /// What is wrong with host profiles whoever follows them, with the profile.
    profile_findings: Vec<(Option<Text>, Finding)>,
    nodes: BTreeMap<Text, Slot>,
    addresses: Users<IpAddr>,
    boot_macs: Users<Text>,
    bmcs: Users<String>,
    /// What is wrong with the templates of a boot action on Nodes of one shape.
    templates: HashMap<(usize, Shape), Vec<Finding>>,
    /// Templates that may still be tried.
    untried: usize,
}

#[derive(Debug)]
struct Slot {
    source: NodeSource,
    compiled: Compiled,
}

/// What is used, a use but the first, and the first.
type Collision<'a, K> = (&'a K, &'a Use, &'a Use);

/// Who uses what only one may use.
#[derive(Debug)]
struct Users<K> {
    of: HashMap<K, Vec<Use>>,
    /// Those that several use.
    shared: HashSet<K>,
}

impl<K: Hash + Eq + Clone> Users<K> {
    fn new() -> Self {
        Self { of: HashMap::new(), shared: HashSet::new() }
    }

    fn add(&mut self, key: K, node: &Text, index: usize) {
        let users = self.of.entry(key.clone()).or_default();
        users.push((node.clone(), index));
        if users.len() > 1 {
            self.shared.insert(key);
        }
    }

    fn remove(&mut self, key: &K, node: &Text) {
        let Some(users) = self.of.get_mut(key) else { return };
        users.retain(|(user, _)| user != node);
        if users.len() < 2 {
            self.shared.remove(key);
        }
        if users.is_empty() {
            self.of.remove(key);
        }
    }

    /// Every use but the first, in the order of the Nodes' names, with the first.
    fn collisions(&self) -> Vec<Collision<'_, K>> {
        let mut found = Vec::new();
        for key in &self.shared {
            let Some(users) = self.of.get(key) else { continue };
            let mut users: Vec<_> = users.iter().collect();
            users.sort();
            if let Some((first, rest)) = users.split_first() {
                found.extend(rest.iter().map(|user| (key, *user, *first)));
            }
        }
        found
    }
}

impl Compiler {
    /// Compiles a Design, itself first and then all that it includes, with its Nodes.
    pub fn new(sources: Vec<DesignSource>, include_findings: Vec<Finding>, nodes: Vec<NodeSource>) -> Self {
        let site = Site::new(sources, include_findings);
        let (profiles, raws) = profiles(&site);
        let profile_findings = of_profiles(&site, &raws);
        let mut compiler = Self {
            site,
            profiles,
            profile_findings,
            nodes: BTreeMap::new(),
            addresses: Users::new(),
            boot_macs: Users::new(),
            bmcs: Users::new(),
            templates: HashMap::new(),
            untried: TRIED_TEMPLATES,
        };
        for node in nodes {
            compiler.set_node(node);
        }
        compiler
    }

    /// Adds a Node, or takes it as it is now.
    pub fn set_node(&mut self, source: NodeSource) {
        self.remove_node(&source.name);
        let compiled = node::compile(&self.site, &self.profiles, &source);
        self.add(source, compiled);
    }

    /// Forgets a Node.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(slot) = self.nodes.remove(name) {
            self.forget_uses(&slot);
        }
    }

    /// Takes a Node in, and what it uses.
    fn add(&mut self, source: NodeSource, compiled: Compiled) {
        let name = &source.name;
        for (address, index) in &compiled.addresses {
            self.addresses.add(*address, name, *index);
        }
        if let Some(mac) = &compiled.boot_mac {
            self.boot_macs.add(mac.clone(), name, 0);
        }
        if let Some(bmc) = &compiled.bmc {
            self.bmcs.add(bmc.clone(), name, usize::from(source.bmc_address.is_none()));
        }
        self.put(source, compiled);
    }

    fn forget_uses(&mut self, slot: &Slot) {
        let name = &slot.source.name;
        slot.compiled.addresses.iter().for_each(|(address, _)| self.addresses.remove(address, name));
        slot.compiled.boot_mac.iter().for_each(|mac| self.boot_macs.remove(mac, name));
        slot.compiled.bmc.iter().for_each(|bmc| self.bmcs.remove(bmc, name));
    }

    /// Takes a Node in whose uses are known. Its templates are tried if none of its shape were.
    fn put(&mut self, source: NodeSource, compiled: Compiled) {
        if let Some(model) = &compiled.model {
            for action in &compiled.boot_actions {
                let known = self.templates.entry((*action, compiled.shape));
                known.or_insert_with(|| template_findings(&self.site, *action, model, &mut self.untried));
            }
        }
        self.nodes.insert(source.name.clone(), Slot { source, compiled });
    }

    /// Takes the Design as it is now. Where only host profiles changed, only the Nodes that follow them are compiled anew.
    pub fn set_designs(&mut self, sources: Vec<DesignSource>, include_findings: Vec<Finding>) {
        let only_profiles = same_sources(&without_profiles(&self.site.sources), &without_profiles(&sources));
        self.site = Site::new(sources, include_findings);
        let (mut profiles, raws) = profiles(&self.site);
        self.profile_findings = of_profiles(&self.site, &raws);
        let mut unchanged: HashSet<Text> = HashSet::new();
        if only_profiles {
            for (name, profile) in &mut profiles {
                if let Some(old) = self.profiles.remove(name).filter(|old| old.host == profile.host) {
                    unchanged.insert(name.clone());
                    *profile = old;
                }
            }
        }
        self.profiles = profiles;
        self.templates.clear();
        self.untried = TRIED_TEMPLATES;
        for (_, slot) in std::mem::take(&mut self.nodes) {
            let profile = slot.source.design.host_profile.as_deref();
            let is_unchanged = only_profiles && profile.is_none_or(|profile| unchanged.contains(profile));
            if is_unchanged {
                self.put(slot.source, slot.compiled);
            } else {
                self.forget_uses(&slot);
                let compiled = node::compile(&self.site, &self.profiles, &slot.source);
                self.add(slot.source, compiled);
            }
        }
    }

    /// The effective model of a Node; none if its host profile cannot be compiled.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeModel>> {
        self.nodes.get(name)?.compiled.model.as_ref()
    }

    /// Those of all Nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeModel>> {
        self.nodes.values().filter_map(|slot| slot.compiled.model.as_ref())
    }

    /// What the Nodes have in common.
    pub fn site(&self) -> SiteModel {
        self.site.model()
    }

    /// Hash of the whole model: the same for the same site, whenever and wherever it is compiled.
    pub fn hash(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            site: SiteModel,
            nodes: Vec<&'a NodeModel>,
        }
        let whole = Whole { site: self.site(), nodes: self.nodes().map(|node| &**node).collect() };
        let json = serde_json::to_vec(&whole).unwrap_or_default();
        Sha256::digest(&json).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Whether nothing is wrong that keeps the site from being used.
    pub fn is_valid(&self) -> bool {
        self.findings().iter().all(|finding| finding.severity != Severity::Error)
    }

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
        for profile in followed.into_iter().filter_map(|name| self.profiles.get(name)) {
            findings.extend(profile.shared.get().iter().flat_map(|shared| locator.findings(&shared.findings)));
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
        let mut seen = HashSet::new();
        findings.retain(|f| seen.insert((f.code, f.object.clone(), f.path.clone(), f.message.clone())));
        self.place_as_written(&mut findings);
        findings.sort_by(|a, b| order(a).cmp(&order(b)));
        findings
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

    /// The groups of the rollout, in their order, each with its Nodes. A Node belongs to the first one that takes it.
    pub fn groups(&self) -> Vec<(String, Vec<Text>)> {
        let Some((rollout, _)) = self.site.rollout() else { return Vec::new() };
        let filters: Vec<Filter> = rollout.groups.iter().map(|group| Filter::new(group.selector.as_ref())).collect();
        let mut groups: Vec<(String, Vec<Text>)> =
            rollout.groups.iter().map(|group| (group.name.clone(), Vec::new())).collect();
        for (name, slot) in &self.nodes {
            let Some(model) = &slot.compiled.model else { continue };
            let facts = node::facts(&self.site, &slot.source, model);
            if let Some(group) = filters.iter().position(|filter| filter.takes(&facts)) {
                groups[group].1.push(name.clone());
            }
        }
        groups
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

    /// Where each value of a Node's model came from, for all values at and below a path of names: `storage.disks.sda`.
    /// An empty path asks for all.
    pub fn explain(&self, node: &str, path: &str) -> Option<Vec<Explanation>> {
        let slot = self.nodes.get(node)?;
        let model = slot.compiled.model.as_ref()?;
        Some(explain::explain(&self.site, &slot.source, model, path))
    }

    /// What a Node, its host profile and those that it extends say of a path of names, also of one that its model does not
    /// have; the nearest to the Node first.
    pub fn said(&self, node: &str, path: &[String]) -> Vec<Other> {
        let slot = self.nodes.get(node);
        slot.map(|slot| explain::said(&self.site, &slot.source, path)).unwrap_or_default()
    }

    /// What a boot action puts on a Node; none if there is no such Node or action. A value that the Node does not have
    /// renders to nothing, as the finding about it said.
    pub fn render(&self, node: &str, action: &str, run: &Run) -> Option<Result<Vec<Rendered>, RenderError>> {
        let model = self.node(node)?;
        let action = self.site.boot_action(self.site.boot_actions.get(action)?);
        let context = boot_action::template_context(&self.site, model, run);
        let rendered = boot_action::render(action, &context, UndefinedBehavior::Lenient).into_iter();
        Some(rendered.map(|asset| asset.map_err(|(_, _, error)| error)).collect())
    }

    /// Static addresses of the site, with their Nodes.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &Text)> {
        self.addresses.of.iter().flat_map(|(address, users)| users.iter().map(|(node, _)| (*address, node)))
    }

    /// What the site is compiled from, apart from its Nodes: the Design itself first.
    pub fn designs(&self) -> &[DesignSource] {
        &self.site.sources
    }

    /// The Nodes as they were given, by name.
    pub fn node_sources(&self) -> impl Iterator<Item = &NodeSource> {
        self.nodes.values().map(|slot| &slot.source)
    }

    /// The order and the budgets of the rollout, wherever in the site they are written.
    pub fn rollout(&self) -> Option<&Rollout> {
        self.site.rollout().map(|(rollout, _)| rollout)
    }

    /// Images and kernels that the provisioner does not have. `images` are its images, each with its kernels.
    pub fn check_platforms(&self, images: &BTreeMap<String, BTreeSet<String>>) -> Vec<Finding> {
        let mut findings = BTreeMap::new();
        for slot in self.nodes.values() {
            let Some(model) = &slot.compiled.model else { continue };
            let mut locator = Locator::new(&self.site, Some(&slot.source));
            let Some(image) = &model.platform.image else { continue };
            let kernels = images.get(&*image.value);
            let (written, field, message) = match (kernels, &model.platform.kernel) {
                (None, _) => (image, "image", format!("the provisioner has no image {:.100}", image.value)),
                (Some(kernels), Some(kernel)) if !kernels.contains(&*kernel.value) => {
                    let message = format!("image {:.100} has no kernel {:.100}", image.value, kernel.value);
                    (kernel, "kernel", message)
                }
                _ => continue,
            };
            let (object, path) = locator.locate(&written.origin, &["platform".to_owned(), field.to_owned()]);
            findings.insert((object.clone(), path.clone()), Check::ImageUnknown.at(&object, path, message));
        }
        findings.into_values().collect()
    }
}

fn of_profiles(site: &Site, raws: &[Raw]) -> Vec<(Option<Text>, Finding)> {
    let mut locator = Locator::new(site, None);
    raws.iter().map(|raw| (raw.profile().cloned(), locator.finding(raw))).collect()
}

/// The worst first, then by object and field.
fn order(finding: &Finding) -> (Severity, Option<&str>, &str, &str, &str) {
    (finding.severity, finding.object.as_deref(), &finding.path, finding.code, &finding.message)
}

/// The sources with everything that does not go through host profiles.
fn without_profiles(sources: &[DesignSource]) -> Vec<DesignSource> {
    let strip = |source: &DesignSource| {
        let mut spec = (*source.spec).clone();
        spec.host_profiles.clear();
        DesignSource { spec: Arc::new(spec), ..source.clone() }
    };
    sources.iter().map(strip).collect()
}

fn template_findings(site: &Site, number: usize, model: &NodeModel, untried: &mut usize) -> Vec<Finding> {
    let Some((name, at)) = site.boot_actions.all.get(number) else { return Vec::new() };
    let action = site.boot_action(*at);
    if action.assets.iter().all(boot_action::is_fixed) || *untried == 0 {
        return Vec::new();
    }
    *untried = untried.saturating_sub(action.assets.len());
    let Some((object, path)) = site.boot_actions.place(site, name) else { return Vec::new() };
    let context = boot_action::template_context(site, model, &Run::example());
    let failed = boot_action::render(action, &context, UndefinedBehavior::Strict).into_iter().filter_map(Result::err);
    // What fails before the first template was told of the site already.
    let failed = failed.filter(|(_, _, error)| !matches!(error, RenderError::Pipeline(_)));
    failed
        .map(|(index, field, error)| {
            error.check().at(&object, format!("{path}.assets[{index}].{field}"), error.to_string())
        })
        .collect()
}
