//! Keeps a site compiled while its Design and Nodes change, at the cost of what changes.

mod findings;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use minijinja::UndefinedBehavior;
use serde::Serialize;
use sha2::{Digest, Sha256};
use slipway_api::design::Rollout;

use super::boot_action::{self, RenderError, Rendered, Run, Shape};
use super::explain::{self, Explanation, Other};
use super::filter::Filter;
use super::locate::{Locator, Raw};
use super::model::{NodeModel, SiteModel, Text};
use super::node::{self, Compiled};
use super::profile::{Profile, profiles};
use super::rules::Check;
use super::site::{Site, same_sources};
use super::source::{DesignSource, NodeSource};
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
