//! What a host is made of, and who it is.

use serde_json::Value;
use slipway_api::node_inventory::{Cpu, Disk, Firmware, MemoryModule, Nic, NodeInventorySpec};
use slipway_plan::node::bmc::Identity;

use super::client::Client;
use super::errors::Failure;
use super::json::{Path, Resource, elements, link, links, number, rounded, text, whole, word};
use super::quirks::Behaviour;
use super::tree::Tree;

/// So many storage controllers and drives are looked at: each drive is a request.
const MAX_DRIVES: usize = 64;

/// Who the BMC and its host are.
pub(super) async fn identity(client: &mut Client, tree: &Tree) -> Result<Identity, Failure> {
    let system = client.get(&tree.system).await?;
    Ok(Identity {
        vendor: tree.vendor(),
        model: text(&system.body, "/Model"),
        serial: serial(&system.body, tree),
        firmware: bmc_firmware(client, tree).await?,
        uuid: uuid(&system.body),
    })
}

/// What the host is made of. What a BMC does not have is left out; of a slow one, which would take minutes for them, the parts
/// are.
pub(super) async fn inventory(client: &mut Client, tree: &Tree) -> Result<NodeInventorySpec, Failure> {
    let system = client.get(&tree.system).await?;
    let body = &system.body;
    let mut firmware = Vec::new();
    let mut add = |name: &str, version: Option<String>| {
        firmware.extend(version.map(|version| Firmware { name: name.to_owned(), version }));
    };
    add("BMC", bmc_firmware(client, tree).await?);
    add("BIOS", text(body, "/BiosVersion"));
    let mut inventory = NodeInventorySpec {
        vendor: tree.vendor(),
        model: text(body, "/Model"),
        serial: serial(body, tree),
        uuid: uuid(body),
        cpu_count: whole(body, "/ProcessorSummary/Count").and_then(|count| count.try_into().ok()),
        memory_mib: memory_mib(body),
        firmware,
        ..NodeInventorySpec::default()
    };
    if !client.is_slow() {
        inventory.cpus = all(client, tree, body, "/Processors", cpu).await?;
        inventory.memory = all(client, tree, body, "/Memory", module).await?;
        inventory.disks = disks(client, tree, body).await?;
        inventory.nics = all(client, tree, body, "/EthernetInterfaces", nic).await?;
    }
    inventory.cpus.sort();
    inventory.memory.sort();
    inventory.disks.sort();
    inventory.nics.sort();
    inventory.firmware.sort();
    Ok(inventory)
}

/// Everything of a kind that the system links to.
async fn all<T>(
    client: &mut Client,
    tree: &Tree,
    system: &Value,
    pointer: &str,
    read: fn(&Resource) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let Some(collection) = link(system, pointer) else { return Ok(Vec::new()) };
    Ok(tree.members(client, &collection).await?.iter().filter_map(read).collect())
}

/// Drives of the controllers; where there are none, what the older `SimpleStorage` shows.
async fn disks(client: &mut Client, tree: &Tree, system: &Value) -> Result<Vec<Disk>, Failure> {
    let mut drives: Vec<Path> = Vec::new();
    if let Some(storage) = link(system, "/Storage") {
        // sushy-tools answers with 500 where there is no storage.
        let controllers = tree.members(client, &storage).await?;
        drives.extend(controllers.iter().flat_map(|controller| links(&controller.body, "/Drives")));
    }
    // A drive may hang on two controllers.
    drives.sort();
    drives.dedup();
    let mut disks = Vec::new();
    for drive in drives.iter().take(MAX_DRIVES) {
        disks.extend(client.get_if_shown(drive).await?.as_ref().and_then(disk));
    }
    if let Some(simple) = link(system, "/SimpleStorage").filter(|_| disks.is_empty()) {
        let controllers = tree.members(client, &simple).await?;
        disks.extend(controllers.iter().flat_map(|controller| devices(&controller.body)));
    }
    Ok(disks)
}

async fn bmc_firmware(client: &mut Client, tree: &Tree) -> Result<Option<String>, Failure> {
    let Some(manager) = tree.managers.first() else { return Ok(None) };
    Ok(client.get_if_shown(manager).await?.and_then(|manager| text(&manager.body, "/FirmwareVersion")))
}

/// The number on the case.
fn serial(system: &Value, tree: &Tree) -> Option<String> {
    let tag = text(system, "/SKU").filter(|_| tree.has(Behaviour::SerialIsSku));
    tag.or_else(|| text(system, "/SerialNumber"))
}

/// A UUID, lower case.
pub(super) fn uuid(system: &Value) -> Option<String> {
    let uuid = text(system, "/UUID")?.to_lowercase();
    let fits =
        |(index, c): (usize, char)| if [8, 13, 18, 23].contains(&index) { c == '-' } else { c.is_ascii_hexdigit() };
    (uuid.len() == 36 && uuid.chars().enumerate().all(fits)).then_some(uuid)
}

pub(super) fn memory_mib(system: &Value) -> Option<u64> {
    rounded(number(system, "/MemorySummary/TotalSystemMemoryGiB")? * 1024.0)
}

/// An empty socket, slot or bay is shown, too.
fn is_there(part: &Value) -> bool {
    word(part, "/Status/State").as_deref() != Some("absent")
}

/// The name that a person knows it by.
fn name(part: &Resource, own: &str) -> String {
    let label = || text(&part.body, "/PhysicalLocation/PartLocation/ServiceLabel");
    text(&part.body, own)
        .or_else(label)
        .or_else(|| text(&part.body, "/Id"))
        .unwrap_or_else(|| part.path.last().to_owned())
}

pub(super) fn cpu(part: &Resource) -> Option<Cpu> {
    let body = &part.body;
    // GPUs and FPGAs are among the processors, too.
    let is_cpu = word(body, "/ProcessorType").is_none_or(|kind| kind == "cpu");
    (is_cpu && is_there(body)).then(|| Cpu {
        name: name(part, "/Socket"),
        model: text(body, "/Model"),
        cores: whole(body, "/TotalCores").and_then(|count| count.try_into().ok()),
        threads: whole(body, "/TotalThreads").and_then(|count| count.try_into().ok()),
    })
}

pub(super) fn module(part: &Resource) -> Option<MemoryModule> {
    let body = &part.body;
    let mib = whole(body, "/CapacityMiB");
    (is_there(body) && mib != Some(0)).then(|| MemoryModule {
        name: name(part, "/DeviceLocator"),
        mib,
        type_: text(body, "/MemoryDeviceType"),
        serial: text(body, "/SerialNumber"),
    })
}

pub(super) fn disk(part: &Resource) -> Option<Disk> {
    let body = &part.body;
    is_there(body).then(|| Disk {
        name: name(part, "/Id"),
        bytes: whole(body, "/CapacityBytes"),
        type_: text(body, "/MediaType"),
        model: text(body, "/Model"),
        serial: text(body, "/SerialNumber"),
    })
}

pub(super) fn devices(controller: &Value) -> Vec<Disk> {
    let devices = elements(controller, "/Devices").filter(|device| is_there(device));
    let disk = |device: &Value| {
        let (name, bytes, model) = (text(device, "/Name")?, whole(device, "/CapacityBytes"), text(device, "/Model"));
        Some(Disk { name, bytes, type_: None, model, serial: None })
    };
    devices.filter_map(disk).collect()
}

pub(super) fn nic(part: &Resource) -> Option<Nic> {
    let body = &part.body;
    let mac = text(body, "/PermanentMACAddress").or_else(|| text(body, "/MACAddress")).and_then(|mac| mac_of(&mac))?;
    let speed_mbps = whole(body, "/SpeedMbps").filter(|speed| *speed > 0);
    is_there(body).then(|| Nic { name: name(part, "/Id"), mac: Some(mac), speed_mbps })
}

/// A MAC address in the usual form: vendors write it with colons, hyphens or neither, and in either case.
fn mac_of(said: &str) -> Option<String> {
    let digits: Vec<char> = said.to_lowercase().chars().filter(|c| !matches!(c, ':' | '-')).collect();
    if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) || digits.iter().all(|c| *c == '0') {
        return None;
    }
    Some(digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(":"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(body: Value) -> Resource {
        Resource::new(Path::parse("/redfish/v1/x/1").unwrap(), body, None)
    }

    #[test]
    fn a_mac_address_has_one_form() {
        for said in ["52:54:00:AA:bb:01", "52-54-00-aa-bb-01", "525400aabb01"] {
            assert_eq!(mac_of(said).as_deref(), Some("52:54:00:aa:bb:01"));
        }
        for wrong in ["", "52:54:00:aa:bb", "00:00:00:00:00:00", "52:54:00:aa:bb:0g"] {
            assert_eq!(mac_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_absent_is_no_part() {
        assert_eq!(cpu(&part(json!({"Status": {"State": "Absent"}}))), None);
        assert_eq!(cpu(&part(json!({"ProcessorType": "GPU"}))), None);
        let found = cpu(&part(json!({"Socket": "CPU.1", "TotalCores": 8, "ProcessorType": "CPU"}))).unwrap();
        assert_eq!((found.name.as_str(), found.cores, found.threads), ("CPU.1", Some(8), None));
        assert_eq!(module(&part(json!({"CapacityMiB": 0}))), None);
        assert_eq!(nic(&part(json!({"MACAddress": ""}))), None);
        assert_eq!(memory_mib(&json!({"MemorySummary": {"TotalSystemMemoryGiB": 119.2}})), Some(122_061));
    }
}
