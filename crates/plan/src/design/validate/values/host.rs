//! Host profiles, and what Nodes override of them.

use slipway_api::design::{Filesystem, Interface, Metadata, Platform, Storage};

use super::formats::{
    is_filesystem_uuid, is_lvm_name, is_lvm_uuid, is_part_name, is_port_name, is_tag, is_uuid, is_word,
};
use super::{Written, is_removal};
use crate::design::inherit::Layer;
use crate::design::rules::Check;
use crate::design::source::join;

/// What MAAS can make of a partition or volume.
const FILESYSTEMS: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "fat32", "swap", "ramfs", "tmpfs", "zfsroot"];
/// Not made on a disk, or not mounted anywhere.
const UNMOUNTED: &str = "none";

/// Whether nothing is said that is looked at here.
pub(super) fn is_empty(host: &Layer<'_>) -> bool {
    host.interfaces.is_empty() && host.storage.is_none() && host.platform.is_none() && host.metadata.is_none()
}

pub(super) fn check(host: &Layer<'_>, path: &str, written: &mut Written<'_>) {
    interfaces(host.interfaces, &join(path, "interfaces"), written);
    if let Some(found) = host.storage {
        storage(found, &join(path, "storage"), written);
    }
    if let Some(found) = host.platform {
        platform(found, &join(path, "platform"), written);
    }
    if let Some(found) = host.metadata {
        metadata(found, &join(path, "metadata"), written);
    }
}

fn interfaces(interfaces: &[Interface], path: &str, written: &mut Written<'_>) {
    written.parts(path, interfaces.iter().map(|part| part.name.as_str()));
    for (index, interface) in interfaces.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
        let path = format!("{path}[{index}]");
        if !interface.name.is_empty() && !is_port_name(&interface.name) {
            written.wrong(Check::PortName, join(&path, "name"), &interface.name, "is no name of an interface");
        }
        // A port may be called by the hardware profile's name for it, which is longer than one of Linux.
        let is_port = |name: &str| is_removal(name) || is_part_name(name);
        written.each(Check::PortName, &join(&path, "slaves"), &interface.slaves, is_port, "is no name of a port");
    }
}

fn storage(storage: &Storage, path: &str, written: &mut Written<'_>) {
    let [disks, groups] = ["disks", "volumeGroups"].map(|list| join(path, list));
    written.parts(&disks, storage.disks.iter().map(|part| part.name.as_str()));
    written.parts(&groups, storage.volume_groups.iter().map(|part| part.name.as_str()));
    for (index, disk) in storage.disks.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
        let path = format!("{disks}[{index}]");
        if !disk.name.is_empty() && !is_part_name(&disk.name) {
            written.wrong(Check::DiskName, join(&path, "name"), &disk.name, "is no name of a disk");
        }
        let partitions = join(&path, "partitions");
        written.parts(&partitions, disk.partitions.iter().map(|part| part.name.as_str()));
        for (index, partition) in disk.partitions.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
            let path = format!("{partitions}[{index}]");
            uuid(partition.uuid.as_deref(), &path, is_uuid, written);
            if let Some(found) = &partition.filesystem {
                filesystem(found, &join(&path, "filesystem"), written);
            }
        }
    }
    for (index, group) in storage.volume_groups.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
        let path = format!("{groups}[{index}]");
        lvm_name(&group.name, &path, written);
        uuid(group.uuid.as_deref(), &path, |text| is_uuid(text) || is_lvm_uuid(text), written);
        let volumes = join(&path, "logicalVolumes");
        written.parts(&volumes, group.logical_volumes.iter().map(|part| part.name.as_str()));
        for (index, volume) in group.logical_volumes.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
            let path = format!("{volumes}[{index}]");
            lvm_name(&volume.name, &path, written);
            uuid(volume.uuid.as_deref(), &path, |text| is_uuid(text) || is_lvm_uuid(text), written);
            if let Some(found) = &volume.filesystem {
                filesystem(found, &join(&path, "filesystem"), written);
            }
        }
    }
}

fn lvm_name(name: &str, path: &str, written: &mut Written<'_>) {
    if !name.is_empty() && !is_lvm_name(name) {
        written.wrong(Check::VolumeName, join(path, "name"), name, "is no name that LVM takes");
    }
}

fn uuid(uuid: Option<&str>, path: &str, fits: fn(&str) -> bool, written: &mut Written<'_>) {
    if let Some(uuid) = uuid.filter(|uuid| !is_removal(uuid) && !fits(uuid)) {
        written.wrong(Check::UuidInvalid, join(path, "uuid"), uuid, "is no UUID");
    }
}

fn filesystem(filesystem: &Filesystem, path: &str, written: &mut Written<'_>) {
    let said = |value: &Option<String>| value.clone().filter(|value| !is_removal(value));
    let is_path =
        |at: &String| at.starts_with('/') && !at.contains(char::is_control) && !at.split('/').any(|part| part == "..");
    if let Some(at) = said(&filesystem.mountpoint).filter(|at| !is_path(at) && at != UNMOUNTED) {
        written.wrong(Check::MountpointInvalid, join(path, "mountpoint"), &at, "is no absolute path");
    }
    let type_ = said(&filesystem.type_);
    if let Some(type_) = type_.as_ref().filter(|type_| !FILESYSTEMS.contains(&type_.as_str())) {
        let what = format!("is none of {}", FILESYSTEMS.join(", "));
        written.wrong(Check::FilesystemType, join(path, "type"), type_, what);
    }
    if let Some(options) = said(&filesystem.mount_options).filter(|options| !is_word(options)) {
        written.wrong(Check::MountOptions, join(path, "mountOptions"), &options, "are no mount options");
    }
    if let Some(uuid) = said(&filesystem.uuid).filter(|uuid| !is_filesystem_uuid(uuid)) {
        written.wrong(Check::UuidInvalid, join(path, "uuid"), &uuid, "is no UUID");
    }
    let most = longest_label(type_.as_deref().unwrap_or("ext4"));
    if let Some(label) = said(&filesystem.label).filter(|label| label.len() > most) {
        let what = format!("has {} bytes; its file system takes {most}", label.len());
        written.wrong(Check::FilesystemLabel, join(path, "label"), &label, what);
    }
}

/// Bytes that a label may have (mke2fs(8), mkfs.xfs(8), mkfs.fat(8), mkswap(8), mkfs.btrfs(8)).
fn longest_label(type_: &str) -> usize {
    match type_ {
        "xfs" => 12,
        "vfat" | "fat32" => 11,
        "btrfs" | "zfsroot" => 255,
        _ => 16,
    }
}

fn platform(platform: &Platform, path: &str, written: &mut Written<'_>) {
    for (field, value) in [("image", &platform.image), ("kernel", &platform.kernel)] {
        if let Some(value) = value.as_ref().filter(|value| !is_removal(value) && !is_word(value)) {
            written.wrong(Check::PlatformName, join(path, field), value, "is not one word");
        }
    }
    let params = join(path, "kernelParams");
    written.parts(&params, platform.kernel_params.iter().map(|part| part.name.as_str()));
    for (index, param) in platform.kernel_params.iter().enumerate().filter(|(_, one)| !is_removal(&one.name)) {
        let path = format!("{params}[{index}]");
        if !param.name.is_empty() && (!is_word(&param.name) || param.name.contains(['=', '"'])) {
            written.wrong(Check::KernelParam, join(&path, "name"), &param.name, "is no name of a kernel parameter");
        }
        if let Some(value) = param.value.as_ref().filter(|value| !is_one_value(value)) {
            let what = "is more than one value to the kernel, which ends one at a blank";
            written.wrong(Check::KernelParam, join(&path, "value"), value, what);
        }
    }
}

/// Blanks belong to a value between double quotes alone, and line breaks to none
/// (Documentation/admin-guide/kernel-parameters.rst).
fn is_one_value(value: &str) -> bool {
    let is_unquoted = |(number, part): (usize, &str)| number.is_multiple_of(2) && part.contains(char::is_whitespace);
    !value.contains(char::is_control)
        && !value.split('"').enumerate().any(is_unquoted)
        && value.matches('"').count().is_multiple_of(2)
}

fn metadata(metadata: &Metadata, path: &str, written: &mut Written<'_>) {
    let fits = |tag: &str| is_tag(tag.strip_prefix('!').unwrap_or(tag));
    written.each(Check::TagInvalid, &join(path, "tags"), &metadata.tags, fits, "is no tag");
}
