//! Storage of host profiles and nodes.

use std::collections::HashMap;

use slipway_api::design::{Disk, Filesystem, LogicalVolume, Partition, Storage, VolumeGroup};

use super::read::{Field, Fields, Scope};

/// Reads the `storage` of a document. What a parent has is covered by drydock's defaults too, if there is one.
pub(super) fn storage<'a>(scope: &Scope<'a>, fields: Fields<'a>, has_parent: bool) -> Storage {
    let entries = |key| fields.map(scope, key).map(|entries| entries.all()).unwrap_or_default();
    let storage = Storage {
        disks: entries("physical_devices")
            .into_iter()
            .filter_map(|(name, field)| disk(scope, name, field, has_parent))
            .collect(),
        volume_groups: entries("volume_groups")
            .into_iter()
            .filter_map(|(name, field)| volume_group(scope, name, field, has_parent))
            .collect(),
    };
    fields.open(scope);
    storage
}

/// Whether an entry only takes away what a parent has: that needs no content.
fn is_removal(name: &str, field: &Field<'_>) -> bool {
    name.starts_with('!') && field.is_null()
}

fn disk<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>, has_parent: bool) -> Option<Disk> {
    let mut disk = Disk { name: name.to_owned(), ..Disk::default() };
    if is_removal(name, &field) {
        return Some(disk);
    }
    let fields = scope.fields(field)?;
    disk.labels = fields.get("labels").map(|field| scope.pairs(field)).unwrap_or_default();
    disk.volume_group = fields.inheritable(scope, "volume_group");
    let partitions = fields.get("partitions");
    match &partitions {
        Some(field) if disk.volume_group.is_some() => {
            scope.no_place(field, "the whole disk belongs to a volume group, and drydock ignores its partitions");
        }
        Some(field) => {
            let mut taken = HashMap::new();
            let items = scope.items(field).into_iter();
            disk.partitions = items.filter_map(|item| partition(scope, item, has_parent, &mut taken)).collect();
        }
        None => {}
    }
    fields.open(scope);
    Some(disk)
}

fn partition<'a>(
    scope: &Scope<'a>,
    field: Field<'a>,
    has_parent: bool,
    taken: &mut HashMap<String, usize>,
) -> Option<Partition> {
    let fields = scope.fields(field)?;
    let name = named(scope, &fields).map(|name| of_its_own(scope, fields.get("name").as_ref(), name, taken));
    // The ingester looks for `volume_group` and then reads `vg`; both are meant.
    let group = fields.get("volume_group");
    let group = if scope.is_strict() { group } else { group.or_else(|| fields.get("vg")) };
    let filesystem_field = fields.get("filesystem");
    let volume_group = group.and_then(|field| scope.inheritable(&field));
    let filesystem = match (filesystem_field, &volume_group) {
        (Some(field), Some(_)) => {
            scope.no_place(&field, "the partition belongs to a volume group, and drydock ignores its file system");
            None
        }
        (field, _) => {
            field.and_then(|field| scope.fields(field)).map(|fields| filesystem(scope, fields, true, has_parent))
        }
    };
    let partition = Partition {
        name: name.clone().unwrap_or_default(),
        size: fields.inheritable(scope, "size"),
        uuid: fields.inheritable(scope, "part_uuid"),
        labels: fields.get("labels").map(|field| scope.pairs(field)).unwrap_or_default(),
        bootable: fields.flag(scope, "bootable"),
        volume_group,
        filesystem,
    };
    fields.close(scope);
    name.map(|_| partition)
}

/// A name that no partition before it on the disk has: drydock makes all of one name, as MAAS does not know the name. `taken`
/// are the names that there are, each with the number that it was last given.
fn of_its_own(
    scope: &Scope<'_>,
    field: Option<&Field<'_>>,
    name: String,
    taken: &mut HashMap<String, usize>,
) -> String {
    let Some(mut number) = taken.get(&name).copied() else {
        taken.insert(name.clone(), 1);
        return name;
    };
    let free = loop {
        number += 1;
        let free = format!("{name}-{number}");
        if !taken.contains_key(&free) {
            break free;
        }
    };
    taken.insert(name.clone(), number);
    taken.insert(free.clone(), 1);
    if let Some(field) = field {
        let message =
            format!("a partition before it on the disk is called `{name:.100}`, so this one is `{free:.110}` now");
        scope.rewritten(field, message);
    }
    free
}

fn volume_group<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>, has_parent: bool) -> Option<VolumeGroup> {
    let mut group = VolumeGroup { name: name.to_owned(), ..VolumeGroup::default() };
    if is_removal(name, &field) {
        return Some(group);
    }
    let fields = scope.fields(field)?;
    group.uuid = fields.inheritable(scope, "vg_uuid");
    let volumes = fields.list(scope, "logical_volumes");
    group.logical_volumes = volumes.into_iter().filter_map(|field| logical_volume(scope, field, has_parent)).collect();
    fields.open(scope);
    Some(group)
}

fn logical_volume<'a>(scope: &Scope<'a>, field: Field<'a>, has_parent: bool) -> Option<LogicalVolume> {
    let fields = scope.fields(field)?;
    let name = named(scope, &fields);
    let volume = LogicalVolume {
        name: name.clone().unwrap_or_default(),
        uuid: fields.inheritable(scope, "lv_uuid"),
        size: fields.inheritable(scope, "size"),
        filesystem: fields.map(scope, "filesystem").map(|fields| filesystem(scope, fields, false, has_parent)),
    };
    fields.open(scope);
    name.map(|_| volume)
}

fn named<'a>(scope: &Scope<'a>, fields: &Fields<'a>) -> Option<String> {
    let name = fields.text(scope, "name");
    if name.is_none() && fields.get("name").is_none() {
        scope.missing(fields, "name");
    }
    name
}

fn filesystem<'a>(scope: &Scope<'a>, fields: Fields<'a>, is_closed: bool, has_parent: bool) -> Filesystem {
    let text = |key| fields.inheritable(scope, key);
    let or_default = |key, default: &str| text(key).or_else(|| has_parent.then(|| default.to_owned()));
    let filesystem = Filesystem {
        mountpoint: text("mountpoint"),
        type_: or_default("fstype", "ext4"),
        mount_options: or_default("mount_options", "defaults"),
        uuid: text("fs_uuid"),
        label: text("fs_label"),
    };
    if is_closed {
        fields.close(scope);
    } else {
        fields.open(scope);
    }
    filesystem
}
