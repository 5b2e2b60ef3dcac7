//! Storage of a host: what it is used for, whether it fits, whether one can boot from it.

use std::collections::{HashMap, HashSet};

use crate::design::locate::{Raw, names};
use crate::design::model::{DiskModel, FilesystemModel, Origin, Sourced, StorageModel, Text, VolumeGroupModel};
use crate::design::rules::Check;
use crate::design::size::{self, Amount, Size};
use crate::formats::compose::meant;

const ROOT: u64 = 20_000_000_000;
const BOOT: u64 = 1_000_000_000;
/// drydock leaves a hundredth for tables.
const PERCENT: u64 = 99;

/// Checks the storage of a host. `owner` is told of what is missing.
pub(in crate::design) fn check(storage: &StorageModel, owner: &Origin, raws: &mut Vec<Raw>) {
    let defined = storage.volume_groups.iter().map(|group| &*group.name).collect();
    let mut groups = Groups { defined, capacity: HashMap::new(), undefined: Vec::new() };
    let mut volumes: Vec<Volume<'_>> = Vec::new();
    for disk in &storage.disks {
        volumes.extend(self::disk(disk, &mut groups, raws));
    }
    for group in &storage.volume_groups {
        volumes.extend(volume_group(group, &mut groups, raws));
    }
    groups.tell_undefined(raws);
    mountpoints(&volumes, raws);
    boot(&volumes, owner, raws);
}

/// The volume groups of a host.
struct Groups<'a> {
    defined: HashSet<&'a str>,
    /// Bytes that their physical volumes have; none where one of them does not say.
    capacity: HashMap<&'a str, Option<u64>>,
    /// What disks and partitions belong to without it being defined, and where they say so.
    undefined: Vec<(&'a Sourced<Text>, Vec<String>)>,
}

impl<'a> Groups<'a> {
    fn add(&mut self, group: &'a Sourced<Text>, bytes: Option<u64>, path: Vec<String>) {
        let held = self.capacity.entry(&group.value).or_insert(Some(0));
        *held = held.zip(bytes).map(|(held, bytes)| held.saturating_add(bytes));
        if !self.defined.contains(&*group.value) {
            self.undefined.push((group, path));
        }
    }

    /// A volume group without a disk. If a disk belongs to one that is not defined, that is why.
    fn without_disk(&mut self, group: &VolumeGroupModel, path: &[String], raws: &mut Vec<Raw>) {
        let name = &group.name;
        if self.undefined.is_empty() {
            let message = format!("volume group {name} has no disk and no partition");
            raws.push(Raw::new(Check::VolumeGroupWithoutDisk, group.origin.clone(), path.to_vec(), message));
            return;
        }
        let (other, path) = self.undefined.remove(0);
        let message =
            format!("volume group `{:.100}` is not defined, and {name} has no disk and no partition", other.value);
        raws.push(Raw::new(Check::VolumeGroupWithoutDisk, other.origin.clone(), path, message));
    }

    fn tell_undefined(self, raws: &mut Vec<Raw>) {
        for (group, path) in self.undefined {
            let near = meant(&group.value, self.defined.iter().copied());
            let message = format!("volume group `{:.100}` is not defined{near}", group.value);
            raws.push(Raw::new(Check::VolumeGroupUndefined, group.origin.clone(), path, message));
        }
    }
}

fn disk<'a>(disk: &'a DiskModel, groups: &mut Groups<'a>, raws: &mut Vec<Raw>) -> Vec<Volume<'a>> {
    let path = names(["storage", "disks", &disk.name]);
    if disk.partitions.is_empty() == disk.volume_group.is_none() {
        let what = if disk.partitions.is_empty() { "neither partitions nor" } else { "both partitions and" };
        let message = format!("disk {} has {what} a volume group", disk.name);
        raws.push(Raw::new(Check::DiskUse, disk.origin.clone(), path.clone(), message));
    }
    if let Some(group) = &disk.volume_group {
        groups.add(group, None, extended(&path, &["volumeGroup"]));
    }
    let mut volumes = Vec::with_capacity(disk.partitions.len());
    for partition in &disk.partitions {
        let volume = Volume::new(
            &partition.name,
            extended(&path, &["partitions", &partition.name]),
            (partition.size.as_ref(), partition.filesystem.as_ref()),
            &partition.origin,
            raws,
        );
        if let Some(group) = &partition.volume_group {
            let path = extended(&volume.path, &["volumeGroup"]);
            let bytes = volume.parsed.filter(|size| !size.takes_rest).and_then(Size::minimum);
            groups.add(group, bytes, path.clone());
            if partition.filesystem.is_some() {
                let message = format!("partition {} has both a file system and a volume group", partition.name);
                raws.push(Raw::new(Check::PartitionUse, group.origin.clone(), path, message));
            }
        }
        volumes.push(volume);
    }
    sizes(&volumes, &format!("disk {}", disk.name), raws);
    volumes
}

fn volume_group<'a>(group: &'a VolumeGroupModel, groups: &mut Groups<'_>, raws: &mut Vec<Raw>) -> Vec<Volume<'a>> {
    let path = names(["storage", "volumeGroups", &group.name]);
    let capacity = groups.capacity.get(&*group.name).copied();
    if capacity.is_none() {
        groups.without_disk(group, &path, raws);
    }
    let mut volumes = Vec::with_capacity(group.logical_volumes.len());
    for volume in &group.logical_volumes {
        volumes.push(Volume::new(
            &volume.name,
            extended(&path, &["logicalVolumes", &volume.name]),
            (volume.size.as_ref(), volume.filesystem.as_ref()),
            &volume.origin,
            raws,
        ));
    }
    sizes(&volumes, &format!("volume group {}", group.name), raws);
    let wanted = volumes.iter().filter_map(|volume| volume.parsed?.minimum()).fold(0, u64::saturating_add);
    if let Some(held) = capacity.flatten().filter(|held| wanted > *held) {
        let name = &group.name;
        let message = format!("the volumes of volume group {name} want {wanted} bytes, and its partitions have {held}");
        raws.push(Raw::new(Check::SizeImpossible, group.origin.clone(), path, message));
    }
    volumes
}

/// A partition or logical volume.
struct Volume<'a> {
    name: &'a str,
    /// Where it is, by names, from the host.
    path: Vec<String>,
    size: Option<&'a Sourced<Text>>,
    filesystem: Option<&'a FilesystemModel>,
    origin: &'a Origin,
    parsed: Option<Size>,
    is_logical: bool,
}

impl<'a> Volume<'a> {
    fn new(
        name: &'a str,
        path: Vec<String>,
        (size, filesystem): (Option<&'a Sourced<Text>>, Option<&'a FilesystemModel>),
        origin: &'a Origin,
        raws: &mut Vec<Raw>,
    ) -> Self {
        let is_logical = path.get(1).is_some_and(|list| list == "volumeGroups");
        let mut volume = Self { name, path, size, filesystem, origin, parsed: None, is_logical };
        volume.parsed = volume.parse(raws);
        volume
    }

    fn parse(&self, raws: &mut Vec<Raw>) -> Option<Size> {
        let name = self.name;
        let Some(text) = self.size else {
            let message = format!("{name} has no size");
            raws.push(Raw::new(Check::SizeMissing, self.origin.clone(), self.path.clone(), message));
            return None;
        };
        let (size, rest) = match size::parse(&text.value) {
            Ok(read) => read,
            Err(error) => {
                raws.push(self.about_size(Check::SizeUnreadable, format!("{name}: `{:.32}` {error}", text.value)));
                return None;
            }
        };
        if !rest.is_empty() {
            raws.push(
                self.about_size(Check::SizeTrailing, format!("{name}: `{rest:.32}` behind the size means nothing")),
            );
        }
        if matches!(size.amount, Amount::Bytes(0) | Amount::Percent(0)) && !size.takes_rest {
            raws.push(self.about_size(Check::SizeImpossible, format!("{name} has a size of nothing")));
        }
        Some(size)
    }

    fn about_size(&self, check: Check, message: String) -> Raw {
        let origin = self.size.map_or(self.origin, |size| &size.origin);
        Raw::new(check, origin.clone(), extended(&self.path, &["size"]), message)
    }

    fn mountpoint(&self) -> Option<&'a Sourced<Text>> {
        self.filesystem.and_then(|filesystem| filesystem.mountpoint.as_ref())
    }
}

fn extended(path: &[String], more: &[&str]) -> Vec<String> {
    path.iter().cloned().chain(more.iter().map(ToString::to_string)).collect()
}

/// The sizes of one disk or volume group.
fn sizes(volumes: &[Volume<'_>], whole: &str, raws: &mut Vec<Raw>) {
    let mut percent: u64 = 0;
    let mut taken: Option<&str> = None;
    for volume in volumes {
        let Some(size) = volume.parsed else { continue };
        if let Some(other) = taken {
            let message = format!("{whole}: nothing is left for {}, as {other} takes all the rest", volume.name);
            raws.push(volume.about_size(Check::SizeImpossible, message));
        }
        if size.takes_rest {
            taken.get_or_insert(volume.name);
        }
        if let Amount::Percent(share) = size.amount {
            let before = percent;
            percent = percent.saturating_add(share);
            if percent > PERCENT && before <= PERCENT {
                let message = format!("{whole}: the percentages add up to {percent} with {}", volume.name);
                raws.push(volume.about_size(Check::SizePercent, message));
            }
        }
    }
}

fn mountpoints(volumes: &[Volume<'_>], raws: &mut Vec<Raw>) {
    let mut used: HashMap<&str, &str> = HashMap::new();
    for volume in volumes {
        let Some(mountpoint) = volume.mountpoint() else { continue };
        if let Some(other) = used.get(&*mountpoint.value) {
            let message = format!("{other} and {} are both mounted at {}", volume.name, mountpoint.value);
            let path = extended(&volume.path, &["filesystem", "mountpoint"]);
            raws.push(Raw::new(Check::MountpointTwice, mountpoint.origin.clone(), path, message));
        } else {
            used.insert(&mountpoint.value, volume.name);
        }
    }
}

/// drydock goes by the names of partitions alone; where none has the name, a logical volume may have it, and where nothing
/// has it, the mountpoint tells.
fn boot(volumes: &[Volume<'_>], owner: &Origin, raws: &mut Vec<Raw>) {
    let of = |name: &str, path: &str| -> Vec<&Volume<'_>> {
        let mut named: Vec<_> = volumes.iter().filter(|volume| volume.name == name).collect();
        if named.iter().any(|volume| !volume.is_logical) {
            named.retain(|volume| !volume.is_logical);
        }
        let is_mounted = |volume: &&Volume<'_>| volume.mountpoint().is_some_and(|at| *at.value == *path);
        if named.is_empty() { volumes.iter().filter(is_mounted).collect() } else { named }
    };
    let roots = of("root", "/");
    if roots.is_empty() {
        raws.push(Raw::new(Check::RootMissing, owner.clone(), names(["storage"]), "there is no root volume"));
    }
    for (check, volumes, least) in
        [(Check::RootTooSmall, roots, ROOT), (Check::BootTooSmall, of("boot", "/boot"), BOOT)]
    {
        for volume in volumes {
            let bytes = volume.parsed.and_then(Size::minimum);
            if let Some(bytes) = bytes.filter(|bytes| *bytes < least) {
                let message = format!("{} has {bytes} bytes, and wants {least} at least", volume.name);
                raws.push(volume.about_size(check, message));
            }
        }
    }
}
