//! Where the values of a Node's model came from.

use serde::Serialize;
use serde_json::{Value, json};

use super::locate::Locator;
use super::model::{
    DiskModel, FilesystemModel, InterfaceModel, LogicalVolumeModel, NodeModel, Origin, Pairs, PartitionModel, Sourced,
    Text,
};
use super::site::Site;
use super::source::NodeSource;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The value in the model, by names: `storage.disks.sda.partitions.root.size`.
    pub path: String,
    /// The value.
    pub value: Value,
    /// Who says so, in words: `host profile base`.
    pub by: String,
    /// The object that it is written in, as `Kind/name`; empty for a default.
    pub object: String,
    /// Field path in that object.
    pub field: String,
}

pub(super) fn explain(site: &Site, source: &NodeSource, model: &NodeModel, path: &str) -> Vec<Explanation> {
    let mut trace =
        Trace { locator: Locator::new(site, Some(source)), at: Vec::new(), wanted: path, found: Vec::new() };
    trace.node(model);
    trace.found
}

/// A walk over a model.
struct Trace<'a> {
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

    /// A value that stands in its source under the same names.
    fn leaf(&mut self, name: &str, value: impl Serialize, origin: &Origin) {
        let at = self.at.clone();
        self.leaf_at(name, value, origin, &at);
    }

    /// A value that stands in its source in `names`.
    fn leaf_at(&mut self, name: &str, value: impl Serialize, origin: &Origin, names: &[String]) {
        let mut path = self.at.clone();
        path.push(name.to_owned());
        let path = path.join(".");
        let is_wanted = self.wanted.is_empty()
            || path.strip_prefix(self.wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !is_wanted {
            return;
        }
        let mut names = names.to_vec();
        names.push(name.to_owned());
        let (object, field) = match origin {
            Origin::Default => (String::new(), String::new()),
            origin => self.locator.locate(origin, &names),
        };
        let by = match origin {
            Origin::Default => "the default".to_owned(),
            Origin::Node => "the Node".to_owned(),
            Origin::Design => "the Design".to_owned(),
            Origin::HostProfile(name) => format!("host profile {name}"),
            Origin::HardwareProfile(name) => format!("hardware profile {name}"),
            Origin::Network(name) => format!("network {name}"),
            Origin::NetworkLink(name) => format!("network link {name}"),
        };
        self.found.push(Explanation { path, value: json!(value), by, object, field });
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
        self.leaf_at("domain", &model.domain.value, &model.domain.origin, &["dns".to_owned()]);
        self.value("hostProfile", model.host_profile.as_ref());
        self.value("hardwareProfile", model.hardware_profile.as_ref());
        self.value("rack", model.rack.as_ref());
        self.value("bootMac", model.boot_mac.as_ref());
        self.value("primaryNetwork", model.primary_network.as_ref());
        self.within("outOfBand", |trace| {
            let oob = &model.out_of_band;
            trace.value("type", oob.type_.as_ref());
            trace.value("network", oob.network.as_ref());
            trace.value("credentials", oob.credentials.as_ref());
            trace.value("libvirtUri", oob.libvirt_uri.as_ref());
            trace.pairs("parameters", &oob.parameters);
        });
        self.within("interfaces", |trace| model.network.interfaces.iter().for_each(|i| trace.interface(i)));
        self.within("routes", |trace| {
            for route in &model.network.routes {
                let value = &route.route;
                trace.leaf_at(&value.subnet.to_string(), value, &value.origin, &["routes".to_owned()]);
            }
        });
        if let Some(gateway) = &model.network.gateway {
            self.leaf_at("gateway", gateway.value, &gateway.origin, &["routes".to_owned()]);
        }
        self.within("addressing", |trace| {
            for address in &model.addressing {
                trace.leaf(&address.network, address.address, &Origin::Node);
            }
        });
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
        self.within("platform", |trace| {
            trace.value("image", model.platform.image.as_ref());
            trace.value("kernel", model.platform.kernel.as_ref());
            trace.within("kernelParams", |trace| {
                for param in &model.platform.kernel_params {
                    trace.leaf(&param.name, &param.value, &param.origin);
                    if let Some(hardware) = &param.through {
                        trace.leaf(&param.name, &param.value, &Origin::HardwareProfile(hardware.clone()));
                    }
                }
            });
        });
        self.within("metadata", |trace| {
            trace.items("tags", &model.metadata.tags);
            trace.pairs("ownerData", &model.metadata.owner_data);
            trace.pairs("labels", &model.metadata.labels);
        });
    }

    fn interface(&mut self, interface: &InterfaceModel) {
        self.within(&interface.name, |trace| {
            trace.value("link", interface.link.as_ref());
            if let Some(mtu) = &interface.mtu {
                trace.leaf_at("mtu", mtu.value, &mtu.origin, &[]);
            }
            trace.within("slaves", |trace| {
                for port in &interface.slaves {
                    trace.leaf(&port.name.value, &port.name.value, &port.name.origin);
                    if let Some(device) = &port.device {
                        trace.leaf_at(&port.name.value, &device.value, &device.origin, &["devices".to_owned()]);
                    }
                }
            });
            trace.within("networks", |trace| {
                for network in &interface.networks {
                    trace.leaf(&network.name.value, &network.name.value, &network.name.origin);
                    trace.within(&network.name.value, |trace| {
                        if let Some(mtu) = &network.mtu {
                            trace.leaf_at("mtu", mtu.value, &mtu.origin, &[]);
                        }
                        if let Some(vlan) = &network.vlan {
                            trace.leaf_at("vlan", vlan.value, &vlan.origin, &[]);
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
