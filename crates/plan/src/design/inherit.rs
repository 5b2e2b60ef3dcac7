//! Inheritance: a host profile laid over its parent, and a Node over its host profile.
//!
//! A value replaces the parent's, `!` takes it away. A list of names is the child's items, then those of the parent that
//! the child neither has nor takes away. Parts with a name keep the parent's order; those with the same name are laid over
//! each other field by field, new ones follow. (drydock `objects/__init__.py`, `Utils.apply_field_inheritance`,
//! `merge_lists`, `merge_dicts`, with the merge of storage as documented instead of as written.)

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use slipway_api::design::{
    Disk, Filesystem, HostProfile, Interface, LogicalVolume, Metadata, NodeDesign, OutOfBand, OutOfBandType, Partition,
    Platform, Sriov, Storage, VolumeGroup,
};

use super::locate::Raw;
use super::model::{
    DiskModel, FilesystemModel, KernelParamModel, LogicalVolumeModel, Origin, OutOfBandModel, Pairs, PartitionModel,
    Sourced, StorageModel, Text, VolumeGroupModel,
};
use super::rules::Check;

/// What a host profile or a Node says.
pub(super) struct Layer<'a> {
    origin: Origin,
    hardware_profile: Option<&'a str>,
    primary_network: Option<&'a str>,
    rack: Option<&'a str>,
    out_of_band: Option<&'a OutOfBand>,
    pub(super) interfaces: &'a [Interface],
    pub(super) storage: Option<&'a Storage>,
    pub(super) platform: Option<&'a Platform>,
    pub(super) metadata: Option<&'a Metadata>,
}

impl<'a> Layer<'a> {
    pub(super) fn of_profile(profile: &'a HostProfile) -> Self {
        Self {
            origin: Origin::HostProfile(profile.name.as_str().into()),
            hardware_profile: profile.hardware_profile.as_deref(),
            primary_network: profile.primary_network.as_deref(),
            rack: profile.rack.as_deref(),
            out_of_band: profile.out_of_band.as_ref(),
            interfaces: &profile.interfaces,
            storage: profile.storage.as_ref(),
            platform: profile.platform.as_ref(),
            metadata: profile.metadata.as_ref(),
        }
    }

    pub(super) fn of_node(node: &'a NodeDesign) -> Self {
        Self {
            origin: Origin::Node,
            hardware_profile: node.hardware_profile.as_deref(),
            primary_network: node.primary_network.as_deref(),
            rack: node.rack.as_deref(),
            out_of_band: node.out_of_band.as_ref(),
            interfaces: &node.interfaces,
            storage: node.storage.as_ref(),
            platform: node.platform.as_ref(),
            metadata: node.metadata.as_ref(),
        }
    }
}

/// What a host profile comes to, with all that it extends. Parts that a layer does not touch are shared with its parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Host {
    pub(super) hardware_profile: Option<Sourced<Text>>,
    pub(super) primary_network: Option<Sourced<Text>>,
    pub(super) rack: Option<Sourced<Text>>,
    pub(super) out_of_band: Arc<OutOfBandModel>,
    pub(super) interfaces: Arc<Vec<HostInterface>>,
    pub(super) storage: Arc<StorageModel>,
    pub(super) image: Option<Sourced<Text>>,
    pub(super) kernel: Option<Sourced<Text>>,
    pub(super) kernel_params: Arc<Vec<KernelParamModel>>,
    pub(super) tags: Arc<[Sourced<Text>]>,
    pub(super) owner_data: Arc<Pairs>,
    pub(super) labels: Arc<Pairs>,
}

/// An interface, before its link and networks are looked up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostInterface {
    pub(super) name: Text,
    pub(super) link: Option<Sourced<Text>>,
    pub(super) slaves: Vec<Sourced<Text>>,
    pub(super) networks: Vec<Sourced<Text>>,
    pub(super) sriov: Option<HostSriov>,
    pub(super) origin: Origin,
}

/// Virtual functions, as far as they are said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HostSriov {
    pub(super) vf_count: Option<Sourced<u32>>,
    pub(super) trusted: Option<Sourced<bool>>,
}

impl Host {
    /// This host with a layer over it. What the layer takes away in vain is put with the findings.
    pub(super) fn overlaid(&self, layer: &Layer<'_>, findings: &mut Vec<Raw>) -> Self {
        let mut over = Overlay { origin: &layer.origin, findings };
        let mut host = self.clone();
        host.hardware_profile = over.text(self.hardware_profile.as_ref(), layer.hardware_profile);
        host.primary_network = over.text(self.primary_network.as_ref(), layer.primary_network);
        host.rack = over.text(self.rack.as_ref(), layer.rack);
        if let Some(child) = layer.out_of_band {
            host.out_of_band = Arc::new(over.out_of_band(&self.out_of_band, child));
        }
        if !layer.interfaces.is_empty() {
            host.interfaces = Arc::new(over.interfaces(&self.interfaces, layer.interfaces));
        }
        if let Some(child) = layer.storage.filter(|child| **child != Storage::default()) {
            host.storage = Arc::new(over.storage(&self.storage, child));
        }
        if let Some(child) = layer.platform {
            host.image = over.text(self.image.as_ref(), child.image.as_deref());
            host.kernel = over.text(self.kernel.as_ref(), child.kernel.as_deref());
            if !child.kernel_params.is_empty() {
                host.kernel_params = Arc::new(over.kernel_params(&self.kernel_params, child));
            }
        }
        if let Some(child) = layer.metadata {
            if !child.tags.is_empty() {
                host.tags = over.list(&self.tags, &child.tags, &["metadata", "tags"]).into();
            }
            if !child.owner_data.is_empty() {
                host.owner_data = Arc::new(over.pairs(&self.owner_data, &child.owner_data, &["metadata", "ownerData"]));
            }
            if !child.labels.is_empty() {
                host.labels = Arc::new(over.pairs(&self.labels, &child.labels, &["metadata", "labels"]));
            }
        }
        host
    }
}

/// Something with a name, of which there is one in a list.
trait Named {
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($type:ty),*) => { $(impl Named for $type { fn name(&self) -> &str { &self.name } })* };
}
named!(
    HostInterface,
    Interface,
    DiskModel,
    Disk,
    PartitionModel,
    Partition,
    VolumeGroupModel,
    VolumeGroup,
    LogicalVolumeModel,
    LogicalVolume,
    KernelParamModel,
    slipway_api::design::KernelParam
);

/// One layer at work.
struct Overlay<'a> {
    origin: &'a Origin,
    findings: &'a mut Vec<Raw>,
}

impl Overlay<'_> {
    fn sourced(&self, value: &str) -> Sourced<Text> {
        Sourced::new(value.into(), self.origin.clone())
    }

    fn removes_nothing(&mut self, path: &[&str], name: &str) {
        let mut path: Vec<String> = path.iter().map(ToString::to_string).collect();
        path.push(name.to_owned());
        // The part that the list belongs to.
        let part = match path.first().map(String::as_str) {
            Some("interfaces") => path.get(1),
            Some("storage") => path.get(2),
            _ => None,
        };
        let part = part.filter(|part| *part != name).map(|part| format!(" in {part:.100}")).unwrap_or_default();
        let message = format!("`{name}` removes nothing: no parent has it{part}");
        self.findings.push(Raw::new(Check::RemovesNothing, self.origin.clone(), path, message));
    }

    fn text(&self, parent: Option<&Sourced<Text>>, child: Option<&str>) -> Option<Sourced<Text>> {
        match child {
            None => parent.cloned(),
            Some("!") => None,
            Some(value) => Some(self.sourced(value)),
        }
    }

    fn value<T: Clone>(&self, parent: Option<&Sourced<T>>, child: Option<T>) -> Option<Sourced<T>> {
        child.map(|value| Sourced::new(value, self.origin.clone())).or_else(|| parent.cloned())
    }

    fn list(&mut self, parent: &[Sourced<Text>], child: &[String], path: &[&str]) -> Vec<Sourced<Text>> {
        let mut merged: Vec<Sourced<Text>> = Vec::with_capacity(parent.len() + child.len());
        let mut removed = HashSet::new();
        for item in child {
            match item.strip_prefix('!') {
                Some(name) => {
                    removed.insert(name);
                }
                None => merged.push(self.sourced(item)),
            }
        }
        let had: HashSet<&str> = parent.iter().map(|item| &*item.value).collect();
        let own: HashSet<&str> = child.iter().map(String::as_str).collect();
        merged.extend(
            parent.iter().filter(|item| !removed.contains(&*item.value) && !own.contains(&*item.value)).cloned(),
        );
        for item in child.iter().filter(|item| item.strip_prefix('!').is_some_and(|name| !had.contains(name))) {
            self.removes_nothing(path, item);
        }
        merged
    }

    fn pairs(&mut self, parent: &Pairs, child: &BTreeMap<String, String>, path: &[&str]) -> Pairs {
        let mut merged = parent.clone();
        for key in child.keys() {
            if let Some(name) = key.strip_prefix('!')
                && merged.remove(name).is_none()
            {
                self.removes_nothing(path, key);
            }
        }
        for (key, value) in child.iter().filter(|(key, _)| !key.starts_with('!')) {
            merged.insert(key.as_str().into(), self.sourced(value));
        }
        merged
    }

    /// Parts by name. A name that is written twice counts once, the first time.
    fn keyed<P: Named + Clone, C: Named>(
        &mut self,
        parent: &[P],
        child: &[C],
        path: &[&str],
        mut lay: impl FnMut(&mut Self, Option<&P>, &C) -> P,
    ) -> Vec<P> {
        if child.is_empty() {
            return parent.to_vec();
        }
        let mut own: HashMap<&str, &C> = HashMap::with_capacity(child.len());
        for part in child {
            own.entry(part.name()).or_insert(part);
        }
        let had: HashSet<&str> = parent.iter().map(Named::name).collect();
        let mut removed: HashSet<&str> = HashSet::new();
        for part in child {
            if let Some(name) = part.name().strip_prefix('!') {
                removed.insert(name);
                if !had.contains(name) {
                    self.removes_nothing(path, part.name());
                }
            }
        }
        let mut merged = Vec::with_capacity(parent.len() + child.len());
        for part in parent.iter().filter(|part| !removed.contains(part.name())) {
            merged.push(match own.get(part.name()) {
                Some(child) => lay(self, Some(part), child),
                None => part.clone(),
            });
        }
        let mut seen: HashSet<&str> = HashSet::new();
        for part in child.iter().filter(|part| !part.name().starts_with('!')) {
            let is_new = !had.contains(part.name()) || removed.contains(part.name());
            if is_new && seen.insert(part.name()) {
                merged.push(lay(self, None, part));
            }
        }
        merged
    }

    fn out_of_band(&mut self, parent: &OutOfBandModel, child: &OutOfBand) -> OutOfBandModel {
        let credentials = child.credentials.as_ref().map(|credentials| credentials.secret_ref.name.as_str());
        OutOfBandModel {
            type_: match child.type_ {
                Some(OutOfBandType::None) => None,
                type_ => self.value(parent.type_.as_ref(), type_),
            },
            network: self.text(parent.network.as_ref(), child.network.as_deref()),
            credentials: self.text(parent.credentials.as_ref(), credentials),
            libvirt_uri: self.text(parent.libvirt_uri.as_ref(), child.libvirt_uri.as_deref()),
            parameters: self.pairs(&parent.parameters, &child.parameters, &["outOfBand", "parameters"]),
        }
    }

    fn interfaces(&mut self, parent: &[HostInterface], child: &[Interface]) -> Vec<HostInterface> {
        self.keyed(parent, child, &["interfaces"], |over, parent, child| HostInterface {
            name: child.name.as_str().into(),
            link: over.text(parent.and_then(|p| p.link.as_ref()), child.link.as_deref()),
            slaves: over.list(parent.map_or(&[], |p| &p.slaves), &child.slaves, &["interfaces", &child.name, "slaves"]),
            networks: over.list(
                parent.map_or(&[], |p| &p.networks),
                &child.networks,
                &["interfaces", &child.name, "networks"],
            ),
            sriov: over.sriov(parent.and_then(|p| p.sriov.as_ref()), child.sriov.as_ref()),
            origin: over.origin.clone(),
        })
    }

    fn sriov(&self, parent: Option<&HostSriov>, child: Option<&Sriov>) -> Option<HostSriov> {
        let Some(child) = child else { return parent.cloned() };
        Some(HostSriov {
            vf_count: self.value(parent.and_then(|p| p.vf_count.as_ref()), child.vf_count),
            trusted: self.value(parent.and_then(|p| p.trusted.as_ref()), child.trusted),
        })
    }

    fn storage(&mut self, parent: &StorageModel, child: &Storage) -> StorageModel {
        StorageModel {
            disks: self.keyed(&parent.disks, &child.disks, &["storage", "disks"], Self::disk),
            volume_groups: self.keyed(
                &parent.volume_groups,
                &child.volume_groups,
                &["storage", "volumeGroups"],
                Self::volume_group,
            ),
        }
    }

    fn disk(&mut self, parent: Option<&DiskModel>, child: &Disk) -> DiskModel {
        let none = Pairs::new();
        let base = ["storage", "disks", &child.name];
        let labels = parent.map_or(&none, |p| &p.labels);
        DiskModel {
            name: child.name.as_str().into(),
            labels: self.pairs(labels, &child.labels, &[base[0], base[1], base[2], "labels"]),
            volume_group: self.text(parent.and_then(|p| p.volume_group.as_ref()), child.volume_group.as_deref()),
            partitions: self.keyed(
                parent.map_or(&[], |p| &p.partitions),
                &child.partitions,
                &[base[0], base[1], base[2], "partitions"],
                |over, parent, part| over.partition(&child.name, parent, part),
            ),
            origin: self.origin.clone(),
        }
    }

    fn partition(&mut self, disk: &str, parent: Option<&PartitionModel>, child: &Partition) -> PartitionModel {
        let none = Pairs::new();
        let labels = parent.map_or(&none, |p| &p.labels);
        PartitionModel {
            name: child.name.as_str().into(),
            size: self.text(parent.and_then(|p| p.size.as_ref()), child.size.as_deref()),
            uuid: self.text(parent.and_then(|p| p.uuid.as_ref()), child.uuid.as_deref()),
            labels: self.pairs(labels, &child.labels, &["storage", "disks", disk, "partitions", &child.name, "labels"]),
            bootable: self.value(parent.and_then(|p| p.bootable.as_ref()), child.bootable),
            volume_group: self.text(parent.and_then(|p| p.volume_group.as_ref()), child.volume_group.as_deref()),
            filesystem: self.filesystem(parent.and_then(|p| p.filesystem.as_ref()), child.filesystem.as_ref()),
            origin: self.origin.clone(),
        }
    }

    fn volume_group(&mut self, parent: Option<&VolumeGroupModel>, child: &VolumeGroup) -> VolumeGroupModel {
        VolumeGroupModel {
            name: child.name.as_str().into(),
            uuid: self.text(parent.and_then(|p| p.uuid.as_ref()), child.uuid.as_deref()),
            logical_volumes: self.keyed(
                parent.map_or(&[], |p| &p.logical_volumes),
                &child.logical_volumes,
                &["storage", "volumeGroups", &child.name, "logicalVolumes"],
                Self::logical_volume,
            ),
            origin: self.origin.clone(),
        }
    }

    fn logical_volume(&mut self, parent: Option<&LogicalVolumeModel>, child: &LogicalVolume) -> LogicalVolumeModel {
        LogicalVolumeModel {
            name: child.name.as_str().into(),
            uuid: self.text(parent.and_then(|p| p.uuid.as_ref()), child.uuid.as_deref()),
            size: self.text(parent.and_then(|p| p.size.as_ref()), child.size.as_deref()),
            filesystem: self.filesystem(parent.and_then(|p| p.filesystem.as_ref()), child.filesystem.as_ref()),
            origin: self.origin.clone(),
        }
    }

    /// A file system of which everything was taken away is none.
    fn filesystem(&self, parent: Option<&FilesystemModel>, child: Option<&Filesystem>) -> Option<FilesystemModel> {
        let Some(child) = child else { return parent.cloned() };
        let parent = parent.cloned().unwrap_or_default();
        let merged = FilesystemModel {
            mountpoint: self.text(parent.mountpoint.as_ref(), child.mountpoint.as_deref()),
            type_: self.text(parent.type_.as_ref(), child.type_.as_deref()),
            mount_options: self.text(parent.mount_options.as_ref(), child.mount_options.as_deref()),
            uuid: self.text(parent.uuid.as_ref(), child.uuid.as_deref()),
            label: self.text(parent.label.as_ref(), child.label.as_deref()),
        };
        let is_removed = merged == FilesystemModel::default() && *child != Filesystem::default();
        (!is_removed).then_some(merged)
    }

    fn kernel_params(&mut self, parent: &[KernelParamModel], child: &Platform) -> Vec<KernelParamModel> {
        self.keyed(parent, &child.kernel_params, &["platform", "kernelParams"], |over, _, child| KernelParamModel {
            name: child.name.as_str().into(),
            value: child.value.as_deref().map(Into::into),
            origin: over.origin.clone(),
            through: None,
        })
    }
}

/// The defaults of file systems, which hold once everything is inherited.
pub(super) fn with_defaults(storage: &StorageModel) -> StorageModel {
    let mut storage = storage.clone();
    let partitions = storage.disks.iter_mut().flat_map(|disk| &mut disk.partitions);
    let volumes = storage.volume_groups.iter_mut().flat_map(|group| &mut group.logical_volumes);
    let filesystems = partitions
        .filter_map(|partition| partition.filesystem.as_mut())
        .chain(volumes.filter_map(|volume| volume.filesystem.as_mut()));
    for filesystem in filesystems {
        filesystem.type_.get_or_insert_with(|| Sourced::new("ext4".into(), Origin::Default));
        filesystem.mount_options.get_or_insert_with(|| Sourced::new("defaults".into(), Origin::Default));
    }
    storage
}
