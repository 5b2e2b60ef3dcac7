//! What a BMC says, made short for a status, and bounded for an object.

use slipway_api::node_inventory::NodeInventorySpec;

use super::{Boot, BootOverride, Health, HealthLevel, Security};

/// Parts of one kind that an inventory holds at most.
const MOST_PARTS: usize = 256;
/// Characters of a text that an inventory holds at most.
const LONGEST: usize = 128;

/// The host on one line: `2 CPUs, 512 GiB, 4 disks, 2 NICs`.
pub fn inventory(inventory: &NodeInventorySpec) -> Option<String> {
    let cpus = inventory.cpu_count.map_or(inventory.cpus.len() as u64, u64::from);
    let mib = inventory.memory_mib.unwrap_or_else(|| inventory.memory.iter().filter_map(|module| module.mib).sum());
    let memory = if mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") };
    let mut parts = Vec::new();
    parts.extend((cpus > 0).then(|| counted(cpus, "CPU")));
    parts.extend((mib > 0).then_some(memory));
    parts.extend((!inventory.disks.is_empty()).then(|| counted(inventory.disks.len() as u64, "disk")));
    parts.extend((!inventory.nics.is_empty()).then(|| counted(inventory.nics.len() as u64, "NIC")));
    if parts.is_empty() {
        parts.extend(inventory.model.clone());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `Ok`, or how bad it is with what is worst; `None` if nobody knows.
pub fn health(health: &Health) -> Option<String> {
    let level = match health.level {
        HealthLevel::Unknown => return None,
        level => format!("{level:?}"),
    };
    Some(match (&health.worst, health.level) {
        (Some(worst), HealthLevel::Warning | HealthLevel::Critical) => match &worst.reading {
            Some(reading) => text(&format!("{level}: {} reads {reading}", worst.name)),
            None => text(&format!("{level}: {}", worst.name)),
        },
        _ => level,
    })
}

/// The level that a status tells.
pub fn level_of(health: Option<&str>) -> HealthLevel {
    match health.map(|health| health.split(':').next().unwrap_or_default()) {
        Some("Ok") => HealthLevel::Ok,
        Some("Warning") => HealthLevel::Warning,
        Some("Critical") => HealthLevel::Critical,
        _ => HealthLevel::Unknown,
    }
}

/// `Pxe (Once, Uefi)`; `None` without an override.
pub fn boot(boot: &Boot) -> Option<String> {
    let Boot::Override(BootOverride { device, mode, persistence }) = boot else { return None };
    Some(match mode {
        Some(mode) => format!("{device:?} ({persistence:?}, {mode:?})"),
        None => format!("{device:?} ({persistence:?})"),
    })
}

/// `cipher suite 17`, `TLS` or `none`.
pub fn security(security: &Security) -> String {
    match security {
        Security::CipherSuite(suite) => format!("cipher suite {suite}"),
        Security::Tls { .. } => "TLS".into(),
        Security::Plain => "none".into(),
    }
}

/// A stranger's text: printable, and no longer than needed.
pub fn text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The same of a whole inventory, sorted so that equal hardware is equal.
pub fn bounded(mut inventory: NodeInventorySpec) -> NodeInventorySpec {
    let NodeInventorySpec {
        vendor,
        model,
        serial,
        uuid,
        cpu_count: _,
        memory_mib: _,
        cpus,
        memory,
        disks,
        nics,
        firmware,
    } = &mut inventory;
    for field in [vendor, model, serial, uuid].into_iter().flatten() {
        *field = text(field);
    }
    for part in cpus.iter_mut() {
        part.name = text(&part.name);
        part.model = part.model.as_deref().map(text);
    }
    for part in memory.iter_mut() {
        part.name = text(&part.name);
        part.type_ = part.type_.as_deref().map(text);
        part.serial = part.serial.as_deref().map(text);
    }
    for part in disks.iter_mut() {
        part.name = text(&part.name);
        part.type_ = part.type_.as_deref().map(text);
        part.model = part.model.as_deref().map(text);
        part.serial = part.serial.as_deref().map(text);
    }
    for part in nics.iter_mut() {
        part.name = text(&part.name);
        part.mac = part.mac.as_deref().map(text);
    }
    for part in firmware.iter_mut() {
        part.name = text(&part.name);
        part.version = text(&part.version);
    }
    tidy(cpus);
    tidy(memory);
    tidy(disks);
    tidy(nics);
    tidy(firmware);
    inventory
}

fn tidy<T: Ord>(parts: &mut Vec<T>) {
    parts.sort();
    parts.truncate(MOST_PARTS);
}

#[cfg(test)]
mod tests {
    use slipway_api::node_inventory::{Disk, Nic};

    use super::super::{BootDevice, BootMode, Persistence, Sensor};
    use super::*;

    #[test]
    fn a_host_on_one_line() {
        let mut host = NodeInventorySpec { model: Some("X".into()), ..NodeInventorySpec::default() };
        assert_eq!(inventory(&host).as_deref(), Some("X"));
        host.cpu_count = Some(2);
        host.memory_mib = Some(512 * 1024);
        host.disks = vec![Disk::default(); 4];
        host.nics = vec![Nic::default()];
        assert_eq!(inventory(&host).as_deref(), Some("2 CPUs, 512 GiB, 4 disks, 1 NIC"));
        assert_eq!(inventory(&NodeInventorySpec::default()), None);
    }

    #[test]
    fn the_worst_sensor_is_named() {
        let sensor = Sensor { name: "Fan 3".into(), level: HealthLevel::Critical, reading: Some("0 RPM".into()) };
        let bad = health(&Health { level: HealthLevel::Critical, worst: Some(sensor) });
        assert_eq!(bad.as_deref(), Some("Critical: Fan 3 reads 0 RPM"));
        assert_eq!(level_of(bad.as_deref()), HealthLevel::Critical);
        assert_eq!(health(&Health { level: HealthLevel::Ok, worst: None }).as_deref(), Some("Ok"));
        assert_eq!(health(&Health { level: HealthLevel::Unknown, worst: None }), None);
    }

    #[test]
    fn an_override_says_how_long_it_lasts() {
        let pxe = |mode| BootOverride { device: BootDevice::Pxe, mode, persistence: Persistence::Once };
        assert_eq!(boot(&Boot::Override(pxe(Some(BootMode::Uefi)))).as_deref(), Some("Pxe (Once, Uefi)"));
        assert_eq!(boot(&Boot::Override(pxe(None))).as_deref(), Some("Pxe (Once)"));
        assert_eq!(boot(&Boot::Normal), None);
    }

    #[test]
    fn a_stranger_fills_no_object() {
        let nic = Nic { name: "x\u{1b}[2J".repeat(1000), ..Nic::default() };
        let host = bounded(NodeInventorySpec { nics: vec![nic; 10_000], ..NodeInventorySpec::default() });
        assert_eq!((host.nics.len(), host.nics[0].name.chars().count()), (MOST_PARTS, LONGEST));
        assert!(!host.nics[0].name.contains('\u{1b}'));
    }
}
