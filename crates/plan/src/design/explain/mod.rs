//! Where the values of a Node's model came from.

mod layers;

use serde::Serialize;
use serde_json::{Value, json};

use self::layers::{Layers, Said};
use super::kernel;
use super::locate::{Locator, OBJECT_NAME, names};
use super::model::{
    BondingModel, DiskModel, FilesystemModel, InterfaceModel, LogicalVolumeModel, NodeModel, NodeRoute, Origin, Pairs,
    PartitionModel, Sourced, Text,
};
use super::site::{Site, parse_net};
use super::source::NodeSource;
use crate::finding::Place;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The value in the model, by names: `storage.disks.sda.partitions.root.size`.
    pub path: String,
    /// The same as a list; a name may have dots in it.
    #[serde(skip)]
    pub names: Vec<String>,
    /// The value.
    pub value: Value,
    /// Who says so, in words: `host profile base`.
    pub by: String,
    /// The object that it is written in, as `Kind/name`; empty for a default and for what is computed.
    pub object: String,
    /// Field path in that object.
    pub field: String,
    /// Where that is in a file, if it came from one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Who else says something of it, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
}

/// Somebody else who says something of a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// What became of it.
    pub how: How,
    /// Who says so, in words.
    pub by: String,
    /// What is said; none where a part or value is taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The object that it is written in, as `Kind/name`.
    pub object: String,
    /// Field path in that object.
    pub field: String,
    /// Where that is in a file, if it came from one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What became of what somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum How {
    /// It is the same.
    Same,
    /// Somebody nearer to the Node says something else.
    Overridden,
    /// It takes away what those farther from the Node say.
    Removes,
    /// It refers to where the value is written.
    Through,
}

/// Explains the values at and below a path; all, if the path is empty.
pub(super) fn explain(site: &Site, source: &NodeSource, model: &NodeModel, path: &str) -> Vec<Explanation> {
    let mut trace = Trace {
        site,
        layers: Layers::of(site, source),
        locator: Locator::new(site, Some(source)),
        at: Vec::new(),
        wanted: path,
        found: Vec::new(),
    };
    trace.node(model);
    trace.found
}

/// What is said of a path that the model need not have, the nearest first.
pub(super) fn said(site: &Site, source: &NodeSource, path: &[String]) -> Vec<Other> {
    let mut locator = Locator::new(site, Some(source));
    let layers = Layers::of(site, source);
    layers.say(path).map(|(origin, said)| other(&mut locator, origin, path, &said, None)).collect()
}

/// What somebody else says; `value` is what came of it.
fn other(
    locator: &mut Locator<'_>,
    origin: &Origin,
    names: &[String],
    said: &Said<'_>,
    value: Option<&Value>,
) -> Other {
    let (how, said, names) = match said {
        Said::Value(said) if Some(*said) == value => (How::Same, Some((*said).clone()), names),
        Said::Value(said) => (How::Overridden, Some((*said).clone()), names),
        Said::Removed(names) => (How::Removes, None, names.as_slice()),
    };
    let (object, field) = locator.locate(origin, names);
    Other { how, by: words(origin), value: said, object, field, place: None }
}

/// Who says something, in words.
fn words(origin: &Origin) -> String {
    match origin {
        Origin::Default => "the default".to_owned(),
        Origin::Node => "the Node".to_owned(),
        Origin::Design => "the Design".to_owned(),
        Origin::HostProfile(name) => format!("host profile {name}"),
        Origin::HardwareProfile(name) => format!("hardware profile {name}"),
        Origin::Network(name) => format!("network {name}"),
        Origin::NetworkLink(name) => format!("network link {name}"),
    }
}

/// A walk over a model.
struct Trace<'a> {
    site: &'a Site,
    layers: Layers,
    locator: Locator<'a>,
    at: Vec<String>,
    wanted: &'a str,
    found: Vec<Explanation>,
}

impl Trace<'_> {
    fn within(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        self.at.push(name.to_owned());
        walk(self);
        self.at.pop();
    }

    /// Where a name here is in the model, if it is asked for.
    fn wanted(&self, name: &str) -> Option<(String, Vec<String>)> {
        let mut names = self.at.clone();
        names.push(name.to_owned());
        let path = names.join(".");
        let is_wanted = self.wanted.is_empty()
            || path.strip_prefix(self.wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_wanted.then_some((path, names))
    }

    /// A value that stands in its source under the same names.
    fn leaf(&mut self, name: &str, value: impl Serialize, origin: &Origin) {
        let Some((path, names)) = self.wanted(name) else { return };
        let value = json!(value);
        let (object, field) = match origin {
            Origin::Default => (String::new(), String::new()),
            origin => self.locator.locate(origin, &names),
        };
        let farther = self.layers.say(&names).skip_while(|(other, _)| *other != origin).skip(1);
        let others = farther.map(|(other_, said)| other(&mut self.locator, other_, &names, &said, Some(&value)));
        let others = others.collect();
        self.found.push(Explanation { path, names, value, by: words(origin), object, field, place: None, others });
    }

    /// A value that stands in its source in `written`.
    fn leaf_at(&mut self, name: &str, value: impl Serialize, origin: &Origin, written: &[String]) {
        let Some((path, names)) = self.wanted(name) else { return };
        let (object, field) = match origin {
            Origin::Default => (String::new(), String::new()),
            origin => self.locator.locate(origin, written),
        };
        let (value, by, others) = (json!(value), words(origin), Vec::new());
        self.found.push(Explanation { path, names, value, by, object, field, place: None, others });
    }

    /// A value that nobody wrote.
    fn computed(&mut self, name: &str, value: impl Serialize, from: &str) {
        let Some((path, names)) = self.wanted(name) else { return };
        let (object, field, others) = (String::new(), String::new(), Vec::new());
        let by = format!("computed from {from}");
        self.found.push(Explanation { path, names, value: json!(value), by, object, field, place: None, others });
    }

    fn value<T: Serialize>(&mut self, name: &str, value: Option<&Sourced<T>>) {
        if let Some(value) = value {
            self.leaf(name, &value.value, &value.origin);
        }
    }

    fn pairs(&mut self, name: &str, pairs: &Pairs) {
        self.within(name, |trace| {
            for (key, value) in pairs {
                trace.leaf(key, &value.value, &value.origin);
            }
        });
    }

    /// Items that say nothing but their name.
    fn items(&mut self, name: &str, items: &[Sourced<Text>]) {
        self.within(name, |trace| {
            for item in items {
                trace.leaf(&item.value, &item.value, &item.origin);
            }
        });
    }

    fn node(&mut self, model: &NodeModel) {
        self.leaf_at("name", &model.name, &Origin::Node, &names([OBJECT_NAME]));
        self.leaf_at("domain", &model.domain.value, &model.domain.origin, &names(["dns", "domain"]));
        self.computed("fqdn", &model.fqdn, "name and domain");
        self.value("hostProfile", model.host_profile.as_ref());
        self.value("hardwareProfile", model.hardware_profile.as_ref());
        self.value("rack", model.rack.as_ref());
        self.value("bootMac", model.boot_mac.as_ref());
        self.within("outOfBand", |trace| {
            let oob = &model.out_of_band;
            trace.value("type", oob.type_.as_ref());
            trace.value("network", oob.network.as_ref());
            if let Some(secret) = &oob.credentials {
                let written = names(["outOfBand", "credentials", "secretRef", "name"]);
                trace.leaf_at("credentials", &secret.value, &secret.origin, &written);
            }
            trace.value("libvirtUri", oob.libvirt_uri.as_ref());
            trace.pairs("parameters", &oob.parameters);
        });
        if let (Some(address), Some(network)) = (model.out_of_band_address, &model.out_of_band.network) {
            let written = names(["addressing", &network.value, "address"]);
            self.leaf_at("outOfBandAddress", address, &Origin::Node, &written);
        }
        self.value("primaryNetwork", model.primary_network.as_ref());
        self.within("interfaces", |trace| model.network.interfaces.iter().for_each(|i| trace.interface(i)));
        self.within("routes", |trace| model.network.routes.iter().for_each(|route| trace.route(route)));
        if let Some(gateway) = &model.network.gateway {
            let written = self.default_route(&gateway.origin);
            self.leaf_at("gateway", gateway.value, &gateway.origin, &written);
        }
        self.within("addressing", |trace| {
            for address in &model.addressing {
                let written = names(["addressing", &address.network, "address"]);
                trace.leaf_at(&address.network, address.address, &Origin::Node, &written);
            }
        });
        self.storage(model);
        self.platform(model);
        self.within("metadata", |trace| {
            trace.items("tags", &model.metadata.tags);
            trace.pairs("ownerData", &model.metadata.owner_data);
            trace.pairs("labels", &model.metadata.labels);
        });
        self.within("bootActions", |trace| model.boot_actions.iter().for_each(|action| trace.boot_action(action)));
    }

    fn storage(&mut self, model: &NodeModel) {
        self.within("storage", |trace| {
            trace.within("disks", |trace| model.storage.disks.iter().for_each(|disk| trace.disk(disk)));
            trace.within("volumeGroups", |trace| {
                for group in &model.storage.volume_groups {
                    trace.leaf(&group.name, &group.name, &group.origin);
                    trace.within(&group.name, |trace| {
                        trace.value("uuid", group.uuid.as_ref());
                        trace.within("logicalVolumes", |trace| {
                            group.logical_volumes.iter().for_each(|volume| trace.logical_volume(volume));
                        });
                    });
                }
            });
        });
    }

    fn platform(&mut self, model: &NodeModel) {
        self.within("platform", |trace| {
            trace.value("image", model.platform.image.as_ref());
            trace.value("kernel", model.platform.kernel.as_ref());
            trace.within("kernelParams", |trace| {
                for param in &model.platform.kernel_params {
                    trace.leaf(&param.name, &param.value, &param.origin);
                    if let Some(hardware) = &param.through {
                        trace.looked_up(&param.name, hardware);
                    }
                }
            });
            if !model.platform.kernel_command_line.is_empty() {
                trace.computed("kernelCommandLine", &model.platform.kernel_command_line, "kernelParams");
            }
        });
    }

    /// The last value was looked up in a hardware profile: that one says it, through what the parameter refers to.
    fn looked_up(&mut self, param: &str, hardware: &Text) {
        let Some((path, _)) = self.wanted(param) else { return };
        let Some(last) = self.found.last_mut().filter(|last| last.path == path) else { return };
        let reference = self.layers.say(&last.names).next().and_then(|(_, said)| match said {
            Said::Value(value) => value.as_str().map(str::to_owned),
            Said::Removed(_) => None,
        });
        let written = reference.as_deref().map(kernel::referred).unwrap_or_default();
        let (object, field) = self.locator.locate(&Origin::HardwareProfile(hardware.clone()), &written);
        let by = words(&Origin::HardwareProfile(hardware.clone()));
        let through = Other {
            how: How::Through,
            by: std::mem::replace(&mut last.by, by),
            value: reference.map(Value::String),
            object: std::mem::replace(&mut last.object, object),
            field: std::mem::replace(&mut last.field, field),
            place: None,
        };
        last.others.insert(0, through);
    }

    /// Where a network says what the default route is.
    fn default_route(&self, origin: &Origin) -> Vec<String> {
        let leads = |subnet: &str| parse_net(subnet).is_some_and(|net| net.prefix_len() == 0);
        self.route_where(origin, |route| route.subnet.as_deref().is_some_and(leads), "gateway")
    }

    fn route_where(
        &self,
        origin: &Origin,
        fits: impl Fn(&slipway_api::design::Route) -> bool,
        field: &str,
    ) -> Vec<String> {
        let Origin::Network(network) = origin else { return names(["routes"]) };
        let routes = self.site.networks.get(network).map(|at| &self.site.network(at).routes);
        match routes.and_then(|routes| routes.iter().position(fits)) {
            Some(index) => names(["routes", &index.to_string(), field]),
            None => names(["routes"]),
        }
    }

    fn route(&mut self, route: &NodeRoute) {
        let value = &route.route;
        let written = if let Some(domain) = &value.route_domain {
            let is_template = |route: &slipway_api::design::Route| route.route_domain.as_deref() == Some(&**domain);
            self.route_where(&value.origin, is_template, "routeDomain")
        } else {
            let leads = |subnet: &str| parse_net(subnet).is_some_and(|net| net.trunc() == value.subnet);
            self.route_where(&value.origin, |route| route.subnet.as_deref().is_some_and(leads), "subnet")
        };
        self.leaf_at(&value.subnet.to_string(), value, &value.origin, &written);
    }

    fn boot_action(&mut self, action: &Text) {
        let Some((path, names)) = self.wanted(action) else { return };
        let (object, field) = self.site.boot_actions.place(self.site, action).unwrap_or_default();
        let by = format!("boot action {action}, which takes this Node");
        self.found.push(Explanation {
            path,
            names,
            value: json!(action),
            by,
            object,
            field,
            place: None,
            others: Vec::new(),
        });
    }

    fn interface(&mut self, interface: &InterfaceModel) {
        self.leaf(&interface.name, &interface.name, &interface.origin);
        self.within(&interface.name, |trace| {
            trace.value("link", interface.link.as_ref());
            let link = interface.link.as_ref().map(|link| Origin::NetworkLink(link.value.clone()));
            if let Some(link) = link.as_ref().filter(|_| interface.unmanaged) {
                trace.leaf_at("unmanaged", true, link, &names(["unmanaged"]));
            }
            if let Some(mtu) = &interface.mtu {
                trace.leaf_at("mtu", mtu.value, &mtu.origin, &names(["mtu"]));
            }
            if let (Some(bonding), Some(link)) = (&interface.bonding, &interface.link) {
                trace.within("bonding", |trace| trace.bonding(bonding, &link.value));
            }
            trace.within("slaves", |trace| {
                for port in &interface.slaves {
                    trace.leaf(&port.name.value, &port.name.value, &port.name.origin);
                    if let Some(device) = &port.device {
                        let written = names(["devices", &port.name.value]);
                        trace.within(&port.name.value, |trace| {
                            trace.leaf_at("device", &device.value, &device.origin, &written);
                        });
                    }
                }
            });
            trace.within("networks", |trace| {
                for network in &interface.networks {
                    trace.leaf(&network.name.value, &network.name.value, &network.name.origin);
                    trace.within(&network.name.value, |trace| {
                        if let Some(vlan) = &network.vlan {
                            trace.leaf_at("vlan", vlan.value, &vlan.origin, &names(["vlan"]));
                        }
                        if let Some(mtu) = &network.mtu {
                            trace.leaf_at("mtu", mtu.value, &mtu.origin, &names(["mtu"]));
                        }
                    });
                }
            });
            if let Some(sriov) = &interface.sriov {
                trace.within("sriov", |trace| {
                    trace.value("vfCount", Some(&sriov.vf_count));
                    trace.value("trusted", Some(&sriov.trusted));
                });
            }
        });
    }

    fn bonding(&mut self, bonding: &BondingModel, link: &Text) {
        let written = self.site.links.get(link).and_then(|at| self.site.link(at).bonding.clone());
        let written = json!(written);
        let origin = Origin::NetworkLink(link.clone());
        for (field, value) in json!(bonding).as_object().into_iter().flatten() {
            let origin = if written.get(field).is_some() { &origin } else { &Origin::Default };
            self.leaf_at(field, value, origin, &names(["bonding", field]));
        }
    }

    fn disk(&mut self, disk: &DiskModel) {
        self.leaf(&disk.name, &disk.name, &disk.origin);
        self.within(&disk.name, |trace| {
            trace.pairs("labels", &disk.labels);
            trace.value("volumeGroup", disk.volume_group.as_ref());
            trace.within("partitions", |trace| disk.partitions.iter().for_each(|part| trace.partition(part)));
        });
    }

    fn partition(&mut self, partition: &PartitionModel) {
        self.leaf(&partition.name, &partition.name, &partition.origin);
        self.within(&partition.name, |trace| {
            trace.value("size", partition.size.as_ref());
            trace.value("uuid", partition.uuid.as_ref());
            trace.pairs("labels", &partition.labels);
            trace.value("bootable", partition.bootable.as_ref());
            trace.value("volumeGroup", partition.volume_group.as_ref());
            trace.filesystem(partition.filesystem.as_ref());
        });
    }

    fn logical_volume(&mut self, volume: &LogicalVolumeModel) {
        self.leaf(&volume.name, &volume.name, &volume.origin);
        self.within(&volume.name, |trace| {
            trace.value("uuid", volume.uuid.as_ref());
            trace.value("size", volume.size.as_ref());
            trace.filesystem(volume.filesystem.as_ref());
        });
    }

    fn filesystem(&mut self, filesystem: Option<&FilesystemModel>) {
        let Some(filesystem) = filesystem else { return };
        self.within("filesystem", |trace| {
            trace.value("mountpoint", filesystem.mountpoint.as_ref());
            trace.value("type", filesystem.type_.as_ref());
            trace.value("mountOptions", filesystem.mount_options.as_ref());
            trace.value("uuid", filesystem.uuid.as_ref());
            trace.value("label", filesystem.label.as_ref());
        });
    }
}
