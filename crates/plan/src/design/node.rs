//! One Node: its host profile with its overrides, looked up on its site.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use slipway_api::design::{HardwareProfile, OutOfBandType};

use super::boot_action::Shape;
use super::filter::Facts;
use super::inherit::{Host, HostInterface, Layer, with_defaults};
use super::kernel;
use super::locate::{Raw, names};
use super::model::{
    AddressKind, AddressModel, BondingModel, DeviceModel, InterfaceModel, KernelParamModel, MetadataModel,
    NetworkConfig, NetworkOnInterface, NodeModel, NodeRoute, Origin, PlatformModel, PortModel, Sourced, SriovModel,
    StorageModel, Text,
};
use super::profile::{Profile, Shared};
use super::rules::Check;
use super::site::Site;
use super::source::NodeSource;
use super::validate;
use crate::finding::Finding;

/// A compiled Node, and what is compared between Nodes.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Absent if its host profile cannot be compiled.
    pub(super) model: Option<Arc<NodeModel>>,
    /// What is wrong with it alone, beside what could not be read.
    pub(super) findings: Vec<Raw>,
    /// Values that it writes, and that cannot be.
    pub(super) values: Vec<Finding>,
    /// The model lacks something that the Node was meant to have: it could not be read, or names what nothing defines.
    pub(super) is_partial: bool,
    /// It cannot be said which filters take it.
    pub(super) may_be_in_any_scope: bool,
    /// A machine that is found by its boot MAC address, and not by its BMC.
    pub(super) is_found_by_mac: bool,
    /// Static addresses, with their index in `spec.addressing`.
    pub(super) addresses: Vec<(IpAddr, usize)>,
    pub(super) boot_mac: Option<Text>,
    pub(super) bmc: Option<String>,
    /// Boot actions that it is in the scope of, by their number.
    pub(super) boot_actions: Vec<usize>,
    /// What templates can see of it.
    pub(super) shape: Shape,
}

/// Compiles a Node.
pub(super) fn compile(site: &Site, profiles: &HashMap<Text, Profile>, source: &NodeSource) -> Compiled {
    let mut raws = Vec::new();
    let mut compiled = Compiled {
        model: None,
        findings: Vec::new(),
        values: validate::values::node(source),
        is_partial: true,
        may_be_in_any_scope: true,
        is_found_by_mac: true,
        addresses: Vec::new(),
        boot_mac: source.design.boot_mac.as_deref().and_then(validate::node::canonical_mac),
        bmc: source.bmc_address.as_deref().and_then(canonical_bmc),
        boot_actions: Vec::new(),
        shape: Shape::default(),
    };
    let mut unread = site.unread_of_profile(source.design.host_profile.as_deref());
    unread.extend(source.broken.fields_of("spec"));
    let addressing = validate::node::addressing(site, source, &mut raws);
    if addressing.iter().any(|(network, address)| address.is_none() || !site.networks.knows(site, network)) {
        unread.insert("addressing");
    }
    compiled.addresses = addressing
        .iter()
        .enumerate()
        .filter_map(|(index, (_, kind))| match kind {
            Some(AddressKind::Static(address)) => Some((*address, index)),
            _ => None,
        })
        .collect();
    let readable = addressing
        .iter()
        .filter_map(|(network, address)| Some(AddressModel { network: network.clone(), address: (*address)? }))
        .collect();
    if let Ok(profile) = base(site, profiles, source, &mut raws) {
        let model = model(site, profile, source, readable, &mut raws);
        unread.extend(validate::node::names_nothing(site, &model));
        compiled.is_partial = !unread.is_empty() || site.lacks_parts();
        compiled.may_be_in_any_scope = unread.contains("metadata") || unread.contains("rack");
        compiled.is_found_by_mac = !validate::node::is_found_by_bmc(&model);
        if validate::node::is_provisioned(&source.design) {
            compiled.boot_actions = boot_actions(site, source, &model);
        }
        compiled.shape = Shape::of(&model);
        if source.bmc_address.is_none() {
            compiled.bmc = bmc_of(&model);
        }
        let in_scope = compiled.boot_actions.iter().filter_map(|number| site.boot_actions.all.get(*number));
        let model = NodeModel { boot_actions: in_scope.map(|(name, _)| name.clone()).collect(), ..model };
        compiled.model = Some(Arc::new(model));
    }
    validate::node::places(site, &addressing, compiled.model.as_deref(), &mut raws);
    validate::node::boot_mac(source, compiled.is_found_by_mac, &mut raws);
    raws.retain(|raw| !raw.is_of_unread(&unread));
    compiled.findings = raws;
    compiled
}

/// The host profile that a Node follows, with its name; one without any begins with nothing. An error has been told.
fn base<'a>(
    site: &Site,
    profiles: &'a HashMap<Text, Profile>,
    source: &'a NodeSource,
    raws: &mut Vec<Raw>,
) -> Result<Option<(&'a str, &'a Profile)>, ()> {
    let Some(name) = source.design.host_profile.as_deref() else {
        return if source.broken.has_field("spec.hostProfile") { Err(()) } else { Ok(None) };
    };
    if let Some(profile) = profiles.get(name) {
        return Ok(Some((name, profile)));
    }
    if !site.profiles.knows(site, name) {
        let near = site.profiles.near(name);
        let message = format!("host profile `{name:.100}` is not defined{near}");
        raws.push(Raw::new(Check::Undefined, Origin::Node, names(["hostProfile"]), message));
    }
    Err(())
}

fn model(
    site: &Site,
    profile: Option<(&str, &Profile)>,
    source: &NodeSource,
    addressing: Vec<AddressModel>,
    raws: &mut Vec<Raw>,
) -> NodeModel {
    let nothing = Host::default();
    let under = profile.map_or(&nothing, |(_, profile)| &profile.host);
    let host = under.overlaid(&Layer::of_node(&source.design), raws);
    let hardware = validate::node::hardware(site, source, &host, raws);
    let shared = profile.map(|(name, profile)| profile.shared.get_or_init(|| shared(site, name, &profile.host)));
    // A part that the Node does not touch is shared with the other Nodes of the profile, and is checked once.
    let same_hardware = text(host.hardware_profile.as_ref()) == text(under.hardware_profile.as_ref());
    let same_primary = text(host.primary_network.as_ref()) == text(under.primary_network.as_ref());
    let network = match shared {
        Some(shared) if same_hardware && same_primary && Arc::ptr_eq(&host.interfaces, &under.interfaces) => {
            shared.network.clone()
        }
        _ => Arc::new(network_config(site, &host, hardware, raws)),
    };
    let storage = match shared {
        Some(shared) if Arc::ptr_eq(&host.storage, &under.storage) => shared.storage.clone(),
        _ if !validate::node::is_provisioned(&source.design) => Arc::default(),
        _ => Arc::new(storage(&host, &Origin::Node, raws)),
    };
    let same_platform = Arc::ptr_eq(&host.kernel_params, &under.kernel_params)
        && host.image == under.image
        && host.kernel == under.kernel;
    let platform = match shared {
        Some(shared) if same_hardware && same_platform => shared.platform.clone(),
        _ => Arc::new(platform(site, &host, hardware, raws)),
    };
    let domain = domain(site, &host);
    let out_of_band_address = host.out_of_band.network.as_ref().and_then(|network| {
        // drydock's interfaces have the last address on a network, and its BMCs the first.
        addressing.iter().find(|address| *address.network == *network.value).and_then(|a| match a.address {
            AddressKind::Static(address) => Some(address),
            AddressKind::Dhcp => None,
        })
    });
    let boot_mac = source.design.boot_mac.as_deref().and_then(validate::node::canonical_mac);
    let model = NodeModel {
        fqdn: format!("{}.{}", source.name, domain.value),
        name: source.name.clone(),
        domain,
        host_profile: source.design.host_profile.as_deref().map(|name| Sourced::new(name.into(), Origin::Node)),
        hardware_profile: host.hardware_profile,
        rack: host.rack,
        boot_mac: boot_mac.map(|mac| Sourced::new(mac, Origin::Node)),
        out_of_band: host.out_of_band,
        out_of_band_address,
        primary_network: host.primary_network,
        network,
        addressing,
        storage,
        platform,
        metadata: MetadataModel { tags: host.tags, owner_data: host.owner_data, labels: host.labels },
        boot_actions: Vec::new(),
    };
    validate::node::model(site, source, &model, raws);
    model
}

fn text(value: Option<&Sourced<Text>>) -> Option<&Text> {
    value.map(|value| &value.value)
}

/// What all Nodes of a profile share.
pub(super) fn shared(site: &Site, name: &str, host: &Host) -> Shared {
    let mut findings = Vec::new();
    let owner = Origin::HostProfile(name.into());
    let hardware = host.hardware_profile.as_ref().and_then(|name| site.hardware_named(&name.value));
    let shared = Shared {
        network: Arc::new(network_config(site, host, hardware, &mut findings)),
        storage: Arc::new(storage(host, &owner, &mut findings)),
        platform: Arc::new(platform(site, host, hardware, &mut findings)),
        findings: Vec::new(),
    };
    if !findings.is_empty() {
        let unread = site.unread_of_profile(Some(name));
        findings.retain(|raw| !raw.is_of_unread(&unread));
    }
    Shared { findings, ..shared }
}

fn domain(site: &Site, host: &Host) -> Sourced<Text> {
    let primary = host.primary_network.as_ref();
    let of_network = primary.and_then(|network| {
        let domain = site.facts(&network.value)?.model.dns.domain.as_deref()?;
        Some(Sourced::new(domain.into(), Origin::Network(network.value.clone())))
    });
    let of_site = || Some(Sourced::new(site.dns()?.domain.as_deref()?.into(), Origin::Design));
    of_network.or_else(of_site).unwrap_or_else(|| Sourced::new("local".into(), Origin::Default))
}

fn storage(host: &Host, owner: &Origin, raws: &mut Vec<Raw>) -> StorageModel {
    let storage = with_defaults(&host.storage);
    validate::storage::check(&storage, owner, raws);
    storage
}

fn platform(site: &Site, host: &Host, hardware: Option<&HardwareProfile>, raws: &mut Vec<Raw>) -> PlatformModel {
    let looked_up = |param: &KernelParamModel, raws: &mut Vec<Raw>| {
        let mut param = param.clone();
        // That there is none has been told.
        let Some(hardware) = hardware else { return param };
        let value = param.value.as_deref().unwrap_or_default();
        match kernel::resolve(value, hardware) {
            Ok(None) => {}
            Ok(Some((value, through))) => {
                param.value = Some(value);
                param.through = Some(through);
            }
            Err(_) if site.hardware.is_unread(site, &hardware.name, kernel::list(value)) => {}
            Err(reason) => {
                let path = names(["platform", "kernelParams", &param.name, "value"]);
                let message = format!("kernel parameter {}: {reason:.300}", param.name);
                raws.push(Raw::new(Check::KernelReference, param.origin.clone(), path, message));
            }
        }
        param
    };
    let kernel_params: Vec<_> = host.kernel_params.iter().map(|param| looked_up(param, raws)).collect();
    validate::node::hugepages(&kernel_params, raws);
    PlatformModel {
        image: host.image.clone(),
        kernel: host.kernel.clone(),
        kernel_command_line: kernel::command_line(&kernel_params),
        kernel_params,
    }
}

fn network_config(site: &Site, host: &Host, hardware: Option<&HardwareProfile>, raws: &mut Vec<Raw>) -> NetworkConfig {
    let interfaces = host.interfaces.iter().map(|interface| {
        validate::links::interface(site, interface, raws);
        interface_model(site, interface, hardware)
    });
    let interfaces: Vec<InterfaceModel> = interfaces.collect();
    let mut routes = Vec::new();
    let mut seen = HashSet::new();
    for network in interfaces.iter().flat_map(|interface| &interface.networks) {
        let Some(facts) = site.facts(&network.name.value).filter(|_| seen.insert(&network.name.value)) else {
            continue;
        };
        let of_network = facts.model.routes.iter().cloned();
        routes.extend(of_network.map(|route| NodeRoute { network: network.name.value.clone(), route }));
    }
    let gateway = host.primary_network.as_ref().and_then(|network| {
        let gateway = site.facts(&network.value)?.model.gateway?;
        Some(Sourced::new(gateway, Origin::Network(network.value.clone())))
    });
    NetworkConfig { interfaces, routes, gateway }
}

fn interface_model(site: &Site, interface: &HostInterface, hardware: Option<&HardwareProfile>) -> InterfaceModel {
    let link = interface.link.as_ref().and_then(|link| site.link_model(&link.value));
    let bonding: Option<BondingModel> = link.and_then(|link| link.bonding.clone());
    let native = link.and_then(|link| link.default_network.as_deref());
    let slaves = interface.slaves.iter().map(|slave| {
        let device = hardware.and_then(|hardware| {
            let device = hardware.devices.iter().find(|device| *device.name == *slave.value)?;
            let model = DeviceModel {
                bus_type: device.bus_type.as_str().into(),
                address: device.address.as_str().into(),
                device_type: device.device_type.as_deref().map(Into::into),
            };
            Some(Sourced::new(model, Origin::HardwareProfile(hardware.name.as_str().into())))
        });
        PortModel { name: slave.clone(), device }
    });
    let networks = interface.networks.iter().map(|name| {
        let network = site.facts(&name.value).map(|facts| &facts.model);
        let vlan = network.and_then(|network| network.vlan).filter(|_| native != Some(&*name.value));
        NetworkOnInterface {
            vlan: vlan.map(|vlan| Sourced::new(vlan, Origin::Network(name.value.clone()))),
            mtu: network.and_then(|network| network.mtu.clone()),
            name: name.clone(),
        }
    });
    InterfaceModel {
        name: interface.name.clone(),
        unmanaged: link.is_some_and(|link| link.unmanaged),
        mtu: link.map(|link| link.mtu.clone()),
        bonding,
        slaves: slaves.collect(),
        networks: networks.collect(),
        sriov: interface.sriov.as_ref().map(|sriov| SriovModel {
            vf_count: sriov.vf_count.clone().unwrap_or(Sourced::new(0, Origin::Default)),
            trusted: sriov.trusted.clone().unwrap_or(Sourced::new(false, Origin::Default)),
        }),
        link: interface.link.clone(),
        origin: interface.origin.clone(),
    }
}

/// What filters look at.
pub(super) fn facts<'a>(site: &'a Site, source: &'a NodeSource, model: &'a NodeModel) -> Facts<'a> {
    let rack = model.rack.as_ref().map(|rack| &*rack.value);
    Facts {
        name: &source.name,
        tags: &model.metadata.tags,
        labels: &model.metadata.labels,
        owner_data: &model.metadata.owner_data,
        object_labels: &source.labels,
        rack,
        rack_labels: rack.and_then(|rack| site.rack_named(rack)).map(|rack| &rack.labels),
    }
}

fn boot_actions(site: &Site, source: &NodeSource, model: &NodeModel) -> Vec<usize> {
    let facts = facts(site, source, model);
    let taking = site.filters.iter().enumerate().filter(|(_, filter)| filter.takes(&facts));
    taking.map(|(number, _)| number).collect()
}

/// A BMC's address without what does not tell two BMCs apart: case, a slash at the end, and the port that it has anyway.
/// None for `manual`, which is no address.
fn canonical_bmc(address: &str) -> Option<String> {
    let address = address.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, rest) = address.split_once("://")?;
    let port = if scheme.ends_with("https") { ":443" } else { ":623" };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    Some(format!("{scheme}://{}{path}", authority.strip_suffix(port).unwrap_or(authority)))
}

/// The BMC that the Design gives a Node: at the Node's address on the out-of-band network.
fn bmc_of(model: &NodeModel) -> Option<String> {
    let scheme = match model.out_of_band.type_.as_ref()?.value {
        OutOfBandType::Ipmi => "ipmi",
        OutOfBandType::Redfish => "redfish+https",
        OutOfBandType::Libvirt | OutOfBandType::Manual | OutOfBandType::None => return None,
    };
    Some(match model.out_of_band_address? {
        IpAddr::V4(address) => format!("{scheme}://{address}"),
        IpAddr::V6(address) => format!("{scheme}://[{address}]"),
    })
}
