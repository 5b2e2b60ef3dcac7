//! The parts of a site, found by name, and what follows from them without any Node.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use slipway_api::design::{
    BondMode, BootAction, Dns, HardwareProfile, HostProfile, Network, NetworkLink, PeerRate, Rack, RangeType,
    Repository, Rollout,
};

use super::filter::Filter;
use super::model::{BondingModel, LinkModel, NetworkModel, Origin, RouteModel, SiteModel, Sourced, Text};
use super::rules::Check;
use super::source::{DesignSource, join};
use super::validate::Spot;
use crate::finding::Finding;
use crate::formats::compose::meant;

/// Metric of a route that names none, as MAAS is told.
const METRIC: u32 = 100;
const LINK_MTU: u32 = 1500;
/// Parts that a misspelt name is compared with.
const NEAR: usize = 200;
/// Computed routes of a whole site; a route domain of n networks has n² of them.
const COMPUTED_ROUTES: usize = 100_000;

/// Where a part is: which source, which item of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    source: usize,
    index: usize,
}

/// The parts of one kind.
#[derive(Debug, Default)]
pub(super) struct Index {
    list: &'static str,
    by_name: HashMap<Text, At>,
    /// In the order in which they are written, each name once.
    pub(super) all: Vec<(Text, At)>,
}

impl Index {
    fn of<'s>(
        list: &'static str,
        sources: &'s [DesignSource],
        names: impl Fn(&'s DesignSource) -> Vec<&'s str>,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut index = Self { list, ..Self::default() };
        for (source, written) in sources.iter().enumerate() {
            for (number, name) in names(written).into_iter().enumerate() {
                let at = At { source, index: number };
                if let Some(first) = index.by_name.get(name) {
                    let other = &sources[first.source];
                    let (object, other) = (&other.object, path(other, list, first.index));
                    let message = format!("`{name:.100}` is defined twice in {list}; the other is {other} of {object}");
                    findings.push(Check::NameTwice.at(&written.object, path(written, list, number), message));
                    continue;
                }
                index.by_name.insert(name.into(), at);
                index.all.push((name.into(), at));
            }
        }
        index
    }

    pub(super) fn get(&self, name: &str) -> Option<At> {
        self.by_name.get(name).copied()
    }

    /// Whether a name means something, be it a part that could not be read, or one that may be in what is not there.
    pub(super) fn knows(&self, site: &Site, name: &str) -> bool {
        self.by_name.contains_key(name) || site.lacks_parts() || site.has_broken_part(self.list, name)
    }

    /// `; did you mean …?`, if there is a part that may be meant. Of many parts none is looked for: it would take too long.
    pub(super) fn near(&self, name: &str) -> String {
        let known = self.all.iter().take(NEAR).map(|(known, _)| &**known);
        meant(name, known)
    }

    /// Where a part is written.
    pub(super) fn spot<'s>(&self, site: &'s Site, name: &str) -> Option<Spot<'s>> {
        let at = self.get(name)?;
        let source = &site.sources[at.source];
        Some(Spot::new(source, path(source, self.list, at.index)))
    }

    /// Whether a field of a part could not be read, or not all of what is in it.
    pub(super) fn is_unread(&self, site: &Site, name: &str, field: &str) -> bool {
        self.spot(site, name).is_some_and(|spot| spot.is_unread(field))
    }

    /// The object and field path of a part.
    pub(super) fn place(&self, site: &Site, name: &str) -> Option<(String, String)> {
        self.get(name).map(|at| {
            let source = &site.sources[at.source];
            (source.object.clone(), path(source, self.list, at.index))
        })
    }
}

fn path(source: &DesignSource, list: &str, index: usize) -> String {
    join(&source.base, &format!("{list}[{index}]"))
}

/// A range that could be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) type_: RangeType,
    pub(super) start: IpAddr,
    pub(super) end: IpAddr,
}

impl Range {
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.start.is_ipv4() == address.is_ipv4() && self.start <= address && address <= self.end
    }
}

/// A network, and what checks of Nodes ask of it.
#[derive(Debug)]
pub(super) struct NetworkFacts {
    pub(super) model: NetworkModel,
    pub(super) ranges: Vec<Range>,
    /// Somebody else configures the link that it travels on, or the network itself.
    pub(super) is_unmanaged: bool,
}

/// A site without its Nodes.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) sources: Vec<DesignSource>,
    pub(super) networks: Index,
    pub(super) links: Index,
    pub(super) racks: Index,
    pub(super) hardware: Index,
    pub(super) profiles: Index,
    pub(super) boot_actions: Index,
    network_facts: HashMap<Text, NetworkFacts>,
    link_models: HashMap<Text, LinkModel>,
    /// Filters of the boot actions, in their order.
    pub(super) filters: Vec<Filter>,
    pub(super) findings: Vec<Finding>,
}

impl Site {
    pub(super) fn new(sources: Vec<DesignSource>, include_findings: Vec<Finding>) -> Self {
        let mut findings = include_findings;
        for source in &sources {
            findings.extend(source.broken.findings().iter().cloned());
        }
        macro_rules! index {
            ($list:literal, $field:ident) => {
                Index::of($list, &sources, |s| s.spec.$field.iter().map(|p| p.name.as_str()).collect(), &mut findings)
            };
        }
        let networks = index!("networks", networks);
        let links = index!("networkLinks", network_links);
        let racks = index!("racks", racks);
        let hardware = index!("hardwareProfiles", hardware_profiles);
        let profiles = index!("hostProfiles", host_profiles);
        let boot_actions = index!("bootActions", boot_actions);
        index!("repositories", repositories);
        index!("tagDefinitions", tag_definitions);
        let mut site = Self {
            sources,
            networks,
            links,
            racks,
            hardware,
            profiles,
            boot_actions,
            network_facts: HashMap::new(),
            link_models: HashMap::new(),
            filters: Vec::new(),
            findings,
        };
        site.link_models = site.links.all.iter().map(|(name, at)| (name.clone(), link_model(site.link(*at)))).collect();
        site.network_facts = site.network_facts();
        site.add_computed_routes();
        let filters = site.boot_actions.all.iter().map(|(_, at)| site.boot_action(*at).node_filter.as_ref());
        site.filters = filters.map(Filter::new).collect();
        let mut found = Vec::new();
        super::validate::site(&site, &mut found);
        site.findings.extend(found);
        site
    }

    /// The Design itself.
    pub(super) fn object(&self) -> &str {
        self.sources.first().map_or("Design", |source| &source.object)
    }

    pub(super) fn base(&self) -> &str {
        self.sources.first().map_or("spec", |source| &source.base)
    }

    pub(super) fn network(&self, at: At) -> &Network {
        &self.sources[at.source].spec.networks[at.index]
    }

    pub(super) fn link(&self, at: At) -> &NetworkLink {
        &self.sources[at.source].spec.network_links[at.index]
    }

    pub(super) fn rack(&self, at: At) -> &Rack {
        &self.sources[at.source].spec.racks[at.index]
    }

    pub(super) fn profile(&self, at: At) -> &HostProfile {
        &self.sources[at.source].spec.host_profiles[at.index]
    }

    pub(super) fn hardware_profile(&self, at: At) -> &HardwareProfile {
        &self.sources[at.source].spec.hardware_profiles[at.index]
    }

    pub(super) fn boot_action(&self, at: At) -> &BootAction {
        &self.sources[at.source].spec.boot_actions[at.index]
    }

    pub(super) fn hardware_named(&self, name: &str) -> Option<&HardwareProfile> {
        self.hardware.get(name).map(|at| self.hardware_profile(at))
    }

    pub(super) fn rack_named(&self, name: &str) -> Option<&Rack> {
        self.racks.get(name).map(|at| self.rack(at))
    }

    pub(super) fn facts(&self, network: &str) -> Option<&NetworkFacts> {
        self.network_facts.get(network)
    }

    pub(super) fn link_model(&self, name: &str) -> Option<&LinkModel> {
        self.link_models.get(name)
    }

    /// Whether something that the site includes is not there.
    pub(super) fn lacks_parts(&self) -> bool {
        self.sources.iter().any(|source| source.broken.lacks_part())
    }

    /// Whether an item of a list was left out as it could not be read.
    pub(super) fn has_broken_part(&self, list: &str, name: &str) -> bool {
        self.sources.iter().any(|source| source.broken.has_part(list, name))
    }

    /// Whether a field of any part could not be read, or not all of what is in it.
    pub(super) fn is_unread(&self, field: &str) -> bool {
        self.sources.iter().any(|source| source.broken.is_under(&join(&source.base, field)))
    }

    /// The fields of a host profile, and of those that it extends, that could not be read.
    pub(super) fn unread_of_profile(&self, name: Option<&str>) -> HashSet<&str> {
        let mut unread = HashSet::new();
        if self.sources.iter().all(|source| source.broken.findings().is_empty()) {
            return unread;
        }
        let mut seen = HashSet::new();
        let mut next = name;
        while let Some((at, spot)) = next
            .filter(|name| seen.insert(name.to_owned()))
            .and_then(|name| self.profiles.get(name).zip(self.profiles.spot(self, name)))
        {
            unread.extend(spot.unread());
            next = self.profile(at).extends.as_deref();
        }
        unread
    }

    /// A setting that only one of the sources makes, with the source.
    pub(super) fn rollout(&self) -> Option<(&Rollout, &DesignSource)> {
        self.sources.iter().find_map(|source| source.spec.rollout.as_ref().map(|rollout| (rollout, source)))
    }

    /// Domain and servers of networks that name none.
    pub(super) fn dns(&self) -> Option<&Dns> {
        self.sources.iter().find_map(|source| source.spec.dns.as_ref())
    }

    fn network_facts(&self) -> HashMap<Text, NetworkFacts> {
        let mut carried: HashMap<&str, &LinkModel> = HashMap::new();
        for (name, _) in &self.links.all {
            let Some(link) = self.link_models.get(name) else { continue };
            for network in link.allowed_networks.iter().chain(&link.default_network) {
                carried.entry(network).or_insert(link);
            }
        }
        let facts = self.networks.all.iter().map(|(name, at)| {
            let link = carried.get(&**name).copied();
            (name.clone(), facts(name, self.network(*at), link, self.dns()))
        });
        facts.collect()
    }

    /// Every network with a route to a route domain gets a route to each network of the domain, its own excepted.
    fn add_computed_routes(&mut self) {
        let mut members: BTreeMap<Text, Vec<IpNet>> = BTreeMap::new();
        for (name, at) in &self.networks.all {
            let cidr = self.network_facts.get(name).and_then(|facts| facts.model.cidr);
            if let (Some(domain), Some(cidr)) = (&self.network(*at).route_domain, cidr) {
                members.entry(domain.as_str().into()).or_default().push(cidr);
            }
        }
        let mut computed: Vec<(Text, Vec<RouteModel>)> = Vec::new();
        let mut count = 0;
        for (name, at) in &self.networks.all {
            let mut seen = HashSet::new();
            for route in &self.network(*at).routes {
                // The first route to a domain counts.
                let Some(domain) = route.route_domain.as_deref().filter(|domain| seen.insert(*domain)) else {
                    continue;
                };
                let Some(gateway) = route.gateway.as_deref().and_then(|gateway| gateway.parse().ok()) else { continue };
                let Some(networks) = members.get(domain) else { continue };
                count += networks.len();
                if count > COMPUTED_ROUTES {
                    let source = &self.sources[at.source];
                    let path = path(source, "networks", at.index);
                    let message = format!("the route domains of this site have more than {COMPUTED_ROUTES} routes");
                    self.findings.push(Check::TooManyRoutes.at(&source.object, path, message));
                    return;
                }
                // Two networks may have the same addresses.
                let own = self.network_facts.get(name).and_then(|facts| facts.model.cidr);
                let others = networks.iter().filter(|cidr| Some(**cidr) != own).map(|cidr| RouteModel {
                    subnet: *cidr,
                    gateway,
                    metric: route.metric.unwrap_or(METRIC),
                    route_domain: Some(domain.into()),
                    origin: Origin::Network(name.clone()),
                });
                computed.push((name.clone(), others.collect()));
            }
        }
        for (name, routes) in computed {
            if let Some(facts) = self.network_facts.get_mut(&name) {
                let mut known: HashSet<IpNet> = facts.model.routes.iter().map(|route| route.subnet).collect();
                facts.model.routes.extend(routes.into_iter().filter(|route| known.insert(route.subnet)));
            }
        }
    }

    /// What the Nodes have in common.
    pub(super) fn model(&self) -> SiteModel {
        let keys = self.sources.iter().flat_map(|source| &source.spec.authorized_keys);
        let networks = self.networks.all.iter().filter_map(|(name, _)| self.network_facts.get(name));
        SiteModel {
            authorized_keys: keys.map(|key| one_line(key)).collect(),
            repositories: self.sources.iter().flat_map(|s| s.spec.repositories.iter().map(with_arches)).collect(),
            remove_unlisted_repositories: self.sources.iter().any(|s| s.spec.remove_unlisted_repositories),
            tag_definitions: self.sources.iter().flat_map(|s| s.spec.tag_definitions.iter().cloned()).collect(),
            networks: networks.map(|facts| facts.model.clone()).collect(),
            network_links: self.links.all.iter().filter_map(|(name, _)| self.link_models.get(name)).cloned().collect(),
            racks: self.racks.all.iter().map(|(_, at)| self.rack(*at).clone()).collect(),
            boot_actions: self.boot_actions.all.iter().map(|(_, at)| self.boot_action(*at).clone()).collect(),
        }
    }
}

fn with_arches(repository: &Repository) -> Repository {
    let mut repository = repository.clone();
    if repository.arches.is_empty() {
        repository.arches.push("amd64".to_owned());
    }
    repository
}

/// A key is one line, however it was wrapped.
fn one_line(key: &str) -> String {
    key.lines().map(str::trim_end).collect()
}

fn link_model(link: &NetworkLink) -> LinkModel {
    let bonding = link.bonding.as_ref().filter(|bonding| bonding.mode != BondMode::Disabled);
    let trunking = link.trunking.clone().unwrap_or_default();
    let mtu = link.mtu.map(|mtu| Sourced::new(mtu, Origin::NetworkLink(link.name.as_str().into())));
    LinkModel {
        name: link.name.as_str().into(),
        bonding: bonding.map(|bonding| {
            let is_lacp = bonding.mode == BondMode::Lacp;
            BondingModel {
                mode: bonding.mode,
                hash: is_lacp.then(|| bonding.hash.as_deref().unwrap_or("layer3+4").into()),
                peer_rate: is_lacp.then(|| bonding.peer_rate.unwrap_or(PeerRate::Fast)),
                mon_rate: bonding.mon_rate.unwrap_or(100),
                up_delay: bonding.up_delay.unwrap_or(200),
                down_delay: bonding.down_delay.unwrap_or(200),
            }
        }),
        mtu: mtu.unwrap_or(Sourced::new(LINK_MTU, Origin::Default)),
        link_speed: link.link_speed.as_deref().unwrap_or("auto").into(),
        trunking: trunking.mode,
        default_network: trunking.default_network.as_deref().map(Into::into),
        allowed_networks: link.allowed_networks.iter().map(|name| name.as_str().into()).collect(),
        labels: link.labels.clone(),
        unmanaged: link.unmanaged,
    }
}

fn facts(name: &Text, network: &Network, link: Option<&LinkModel>, site_dns: Option<&Dns>) -> NetworkFacts {
    let own = network.dns.clone().unwrap_or_default();
    let dns = Dns {
        domain: own.domain.or_else(|| site_dns.and_then(|dns| dns.domain.clone())),
        servers: match site_dns {
            Some(dns) if own.servers.is_empty() => dns.servers.clone(),
            _ => own.servers,
        },
    };
    let readable = network.routes.iter().filter_map(|route| {
        let subnet = parse_net(route.subnet.as_deref()?)?.trunc();
        let gateway = route.gateway.as_deref()?.parse().ok()?;
        let metric = route.metric.unwrap_or(METRIC);
        Some(RouteModel { subnet, gateway, metric, route_domain: None, origin: Origin::Network(name.clone()) })
    });
    let (default, routes): (Vec<_>, Vec<_>) = readable.partition(|route| route.subnet.prefix_len() == 0);
    let ranges = network.ranges.iter().filter_map(|range| {
        let (start, end) = (range.start.parse().ok()?, range.end.parse().ok()?);
        Some(Range { type_: range.type_, start, end })
    });
    let mtu = network.mtu.map(|mtu| Sourced::new(mtu, Origin::Network(name.clone())));
    NetworkFacts {
        ranges: ranges.collect(),
        is_unmanaged: network.unmanaged || link.is_some_and(|link| link.unmanaged),
        model: NetworkModel {
            name: name.clone(),
            cidr: parse_net(&network.cidr).map(|net| net.trunc()),
            vlan: network.vlan.filter(|vlan| *vlan != 0),
            mtu: mtu.or_else(|| link.map(|link| link.mtu.clone())),
            link: link.map(|link| link.name.clone()),
            dns,
            gateway: default.first().map(|route| route.gateway),
            dhcp_relay_target: network.dhcp_relay.as_ref().and_then(|relay| relay.upstream_target.clone()),
            route_domain: network.route_domain.as_deref().map(Into::into),
            routes,
            ranges: network.ranges.clone(),
            labels: network.labels.clone(),
            unmanaged: network.unmanaged,
        },
    }
}

/// A network as people write it: with a prefix length, with a netmask, or a single address.
pub(super) fn parse_net(text: &str) -> Option<IpNet> {
    if let Ok(net) = text.parse() {
        return Some(net);
    }
    match text.split_once('/') {
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
        Some((address, mask)) => IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok(),
    }
}

/// Whether the sources say the same.
pub(super) fn same_sources(a: &[DesignSource], b: &[DesignSource]) -> bool {
    let same = |a: &DesignSource, b: &DesignSource| {
        a.object == b.object && a.broken == b.broken && (Arc::ptr_eq(&a.spec, &b.spec) || a.spec == b.spec)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}
