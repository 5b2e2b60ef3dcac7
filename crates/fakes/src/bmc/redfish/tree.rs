//! The resources of a BMC, as they are now.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::super::{BootDevice, BootMode, Happening, Power};
use super::bugs::Bug;
use super::flavour::Shape;
use super::state::State;

pub(super) const ROOT: &str = "/redfish/v1";
/// Entries of a log come in pages of this size.
const PAGE: usize = 50;
const MODULES: [(&str, u64); 4] = [("A1", 32_768), ("A2", 32_768), ("B1", 32_768), ("B2", 0)];

/// Boot targets, and what they are to the machine.
pub(super) const TARGETS: [(&str, BootDevice); 8] = [
    ("Pxe", BootDevice::Pxe),
    ("Hdd", BootDevice::Disk),
    ("Cd", BootDevice::Cd),
    ("UsbCd", BootDevice::Cd),
    ("BiosSetup", BootDevice::Setup),
    ("Diags", BootDevice::Diagnostic),
    ("Usb", BootDevice::Removable),
    ("UefiHttp", BootDevice::UefiHttp),
];

/// Paths of a BMC, without the slash that some end with.
pub(super) struct Paths {
    pub(super) system: String,
    pub(super) manager: String,
    pub(super) chassis: String,
    pub(super) settings: String,
    pub(super) account: String,
}

impl Paths {
    pub(super) fn of(shape: &Shape) -> Self {
        let system = format!("{ROOT}/Systems/{}", shape.system);
        Self {
            settings: format!("{system}/Settings"),
            manager: format!("{ROOT}/Managers/{}", shape.manager),
            chassis: format!("{ROOT}/Chassis/{}", shape.chassis),
            account: format!("{ROOT}/AccountService/Accounts/{}", shape.accounts.1),
            system,
        }
    }
}

/// All resources by their paths.
pub(super) struct Tree<'a> {
    state: &'a State,
    shape: &'static Shape,
    paths: Paths,
    map: BTreeMap<String, Value>,
}

/// A resource as it is now, with its `ETag`; `None` if there is none.
pub(super) fn resource(state: &State, path: &str) -> Option<(Value, String)> {
    let mut tree = Tree::build(state);
    let body = tree.map.remove(path)?;
    let etag = etag(&body, tree.shape);
    Some((body, etag))
}

/// A collection with its members in full, or its members from one on.
pub(super) fn collection(state: &State, path: &str, expand: bool, skip: usize) -> Option<Value> {
    let tree = Tree::build(state);
    let mut body = tree.map.get(path)?.clone();
    let members = body.get("Members").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = members.len();
    let full = |link: &Value| {
        let path = link.get("@odata.id").and_then(Value::as_str).unwrap_or_default();
        tree.map.get(path.trim_end_matches('/')).cloned().unwrap_or_else(|| link.clone())
    };
    // Entries of logs always come in full.
    let is_log = path.ends_with("/Entries");
    let all = if state.has(&Bug::PagesOfOne) { 1 } else { count };
    let size = if is_log { PAGE } else { all };
    let page = members.iter().skip(skip).take(size);
    let is_nameless = state.has(&Bug::MembersWithoutLinks);
    body["Members"] = page
        .map(|link| match link["@odata.id"].as_str() {
            _ if expand || is_log => full(link),
            Some(path) if is_nameless => json!({"Id": path.trim_end_matches('/').rsplit('/').next()}),
            _ => link.clone(),
        })
        .collect();
    if skip + size < count {
        body["Members@odata.nextLink"] = json!(format!("{path}?$skip={}", skip + size));
    } else if state.has(&Bug::PagesInCircles) {
        body["Members@odata.nextLink"] = json!(format!("{path}?$skip=0"));
    }
    Some(body)
}

/// The `ETag` of a resource: another one whenever anything in it is.
fn etag(body: &Value, shape: &Shape) -> String {
    let mut hasher = DefaultHasher::new();
    body.to_string().hash(&mut hasher);
    let prefix = if shape.weak_etags { "W/" } else { "" };
    format!("{prefix}\"{:016x}\"", hasher.finish())
}

impl<'a> Tree<'a> {
    fn build(state: &'a State) -> Self {
        let shape = state.settings.flavour.shape();
        let mut tree = Self { state, shape, paths: Paths::of(shape), map: BTreeMap::new() };
        tree.root();
        tree.system();
        tree.parts();
        tree.manager();
        tree.chassis();
        tree.log();
        tree.accounts();
        tree.sessions();
        tree
    }

    fn link(&self, path: &str) -> Value {
        json!({"@odata.id": if self.shape.slash { format!("{path}/") } else { path.to_owned() }})
    }

    fn add(&mut self, path: &str, kind: &str, content: Value) {
        let id = path.rsplit('/').next().unwrap_or_default();
        let mut body = Map::new();
        body.insert("@odata.id".to_owned(), self.link(path)["@odata.id"].clone());
        body.insert("@odata.type".to_owned(), json!(format!("#{kind}.v1_5_0.{kind}")));
        body.insert("Id".to_owned(), json!(id));
        body.insert("Name".to_owned(), json!(id));
        if let Value::Object(content) = content {
            body.extend(content);
        }
        self.map.insert(path.to_owned(), Value::Object(body));
    }

    fn add_collection(&mut self, path: &str, kind: &str, members: &[String]) {
        let links: Vec<_> = members.iter().map(|member| self.link(member)).collect();
        let links = if self.state.has(&Bug::NullMembers) && links.is_empty() { Value::Null } else { json!(links) };
        let body = json!({"Members": links, "Members@odata.count": members.len()});
        self.add(path, &format!("{kind}Collection"), body);
    }

    /// A collection with its members.
    fn add_members(&mut self, path: &str, kind: &str, members: Vec<(&str, Value)>) {
        let paths: Vec<_> = members.iter().map(|(id, _)| format!("{path}/{id}")).collect();
        self.add_collection(path, kind, &paths);
        for (path, (_, content)) in paths.iter().zip(members) {
            self.add(path, kind, content);
        }
    }

    fn root(&mut self) {
        let shape = self.shape;
        let mut root = json!({
            "RedfishVersion": "1.11.0",
            "UUID": "92384634-2938-2342-8820-489239905423",
            "Systems": self.link(&format!("{ROOT}/Systems")),
            "Managers": self.link(&format!("{ROOT}/Managers")),
            "Chassis": self.link(&format!("{ROOT}/Chassis")),
            "AccountService": self.link(&format!("{ROOT}/AccountService")),
            "SessionService": self.link(&format!("{ROOT}/SessionService")),
            "Links": {"Sessions": self.link(shape.sessions)},
            "Oem": {shape.oem: {}},
            "ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": shape.expands, "MaxLevels": 1}},
        });
        if !shape.vendor.is_empty() {
            root["Vendor"] = json!(shape.vendor);
        }
        if let (true, Some(root)) = (self.state.has(&Bug::RootWithoutLinks), root.as_object_mut()) {
            root.retain(|name, _| !["Systems", "Managers", "Chassis"].contains(&name.as_str()));
        }
        self.add(ROOT, "ServiceRoot", root);
    }

    fn boot(&self) -> Value {
        let shape = self.shape;
        let now = self.state.machine.boot_override();
        let target =
            now.and_then(|now| TARGETS.iter().find(|(_, device)| *device == now.device)).map_or("None", |it| it.0);
        let enabled = match now {
            _ if self.state.has(&Bug::NeverReadsBackOnce) => "Continuous",
            None => "Disabled",
            Some(now) if now.persistent => "Continuous",
            Some(_) => "Once",
        };
        let mut boot = json!({
            "BootSourceOverrideTarget": target,
            "BootSourceOverrideTarget@Redfish.AllowableValues": shape.targets,
            "BootSourceOverrideEnabled": enabled,
        });
        if shape.has_mode {
            let is_legacy = now.is_some_and(|now| now.mode == BootMode::Legacy);
            boot["BootSourceOverrideMode"] = json!(if is_legacy { "Legacy" } else { "UEFI" });
        }
        boot
    }

    fn system(&mut self) {
        let (state, shape) = (self.state, self.shape);
        let path = self.paths.system.clone();
        let lie = state.bugs.iter().find_map(|bug| if let Bug::LiesAboutPower(lie) = bug { Some(*lie) } else { None });
        let power = lie.unwrap_or(if state.machine.power() == Power::On { "On" } else { "Off" });
        let target = format!("{path}/Actions/ComputerSystem.Reset");
        let mut reset = json!({"target": if shape.slash { format!("{target}/") } else { target }});
        if state.has(&Bug::HasActionInfo) {
            reset["@Redfish.ActionInfo"] = json!(format!("{path}/ResetActionInfo"));
            let parameters = json!([{"Name": "ResetType", "Required": true, "AllowableValues": state.resets()}]);
            self.add(&format!("{path}/ResetActionInfo"), "ActionInfo", json!({"Parameters": parameters}));
        } else if !state.has(&Bug::HidesResets) {
            reset["ResetType@Redfish.AllowableValues"] = json!(state.resets());
        }
        let identity = &state.machine.identity;
        let mut system = json!({
            "SystemType": "Physical",
            "Manufacturer": shape.manufacturer,
            "Model": shape.model,
            "SerialNumber": identity.serial,
            "UUID": uuid(identity.uuid),
            "PowerState": power,
            "BiosVersion": "2.12.2",
            "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": self.rollup()},
            "ProcessorSummary": {"Count": 2},
            "MemorySummary": {"TotalSystemMemoryGiB": 96},
            "Boot": self.boot(),
            "Processors": self.link(&format!("{path}/Processors")),
            "Memory": self.link(&format!("{path}/Memory")),
            "Storage": self.link(&format!("{path}/Storage")),
            "EthernetInterfaces": self.link(&format!("{path}/EthernetInterfaces")),
            "Links": {"Chassis": [self.link(&self.paths.chassis)], "ManagedBy": [self.link(&self.paths.manager)]},
            "Actions": {"#ComputerSystem.Reset": reset},
        });
        if shape.has_sku {
            system["SKU"] = json!(identity.serial);
            system["SerialNumber"] = json!(format!("CN{}", identity.serial));
        }
        if shape.tells_last_reset {
            let last =
                state.machine.boots().last().map_or("0000-00-00T00:00:00+00:00".to_owned(), |boot| boot.at.to_string());
            system["LastResetTime"] = json!(last);
        }
        if !shape.log_of_manager {
            system["LogServices"] = self.link(&format!("{path}/LogServices"));
        }
        if state.has(&Bug::HasBootSettings) {
            let settings = self.paths.settings.clone();
            system["@Redfish.Settings"] = json!({"SettingsObject": self.link(&settings)});
            let boot = std::mem::take(&mut system["Boot"]);
            self.add(&settings, "ComputerSystem", json!({"Boot": boot}));
            // As an iDRAC 10 does it: the targets are told with the settings alone.
            system["Boot"] = json!({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"});
        }
        let mut systems = Vec::new();
        if !state.has(&Bug::NoSystems) {
            self.add(&path, "ComputerSystem", system);
            systems.push(path);
        }
        if state.has(&Bug::TwoSystems) {
            let second = format!("{ROOT}/Systems/second");
            self.add(&second, "ComputerSystem", json!({"PowerState": "Off"}));
            systems.push(second);
        }
        self.add_collection(&format!("{ROOT}/Systems"), "ComputerSystem", &systems);
    }

    fn parts(&mut self) {
        let path = self.paths.system.clone();
        let cpu = |socket: &str| {
            json!({"Socket": socket, "ProcessorType": "CPU", "Model": "Xeon Gold 6338", "TotalCores": 32, "TotalThreads": 64,
                   "Status": {"State": "Enabled", "Health": "OK"}})
        };
        self.add_members(
            &format!("{path}/Processors"),
            "Processor",
            vec![("CPU.1", cpu("CPU.1")), ("CPU.2", cpu("CPU.2")), ("GPU.1", json!({"ProcessorType": "GPU"}))],
        );
        let module = |slot: &str, mib: u64| {
            let state = if mib == 0 { "Absent" } else { "Enabled" };
            json!({"DeviceLocator": slot, "CapacityMiB": mib, "MemoryDeviceType": "DDR4", "SerialNumber": format!("M{slot}"),
                   "Status": {"State": state, "Health": self.health(slot)}})
        };
        let modules = MODULES.iter().map(|(slot, mib)| (*slot, module(slot, *mib))).collect();
        self.add_members(&format!("{path}/Memory"), "Memory", modules);

        let controller = format!("{path}/Storage/RAID.1");
        let drives: Vec<_> = ["Disk.0", "Disk.1"].iter().map(|id| format!("{controller}/Drives/{id}")).collect();
        for drive in &drives {
            let content = json!({"CapacityBytes": 960_197_124_096_u64, "MediaType": "SSD", "Model": "MZ7L3960",
                "SerialNumber": format!("S{}", drive.len()), "Status": {"State": "Enabled", "Health": "OK"}});
            self.add(drive, "Drive", content);
        }
        let links: Vec<_> = drives.iter().map(|drive| self.link(drive)).collect();
        self.add_members(&format!("{path}/Storage"), "Storage", vec![("RAID.1", json!({"Drives": links}))]);

        let macs: Vec<_> = self.state.machine.identity.macs.iter().skip(1).map(|mac| mac_of(*mac)).collect();
        let names: Vec<_> = (1..=macs.len()).map(|number| format!("NIC.{number}")).collect();
        let nic = |mac: &String| json!({"MACAddress": mac, "SpeedMbps": 25_000, "Status": {"State": "Enabled"}});
        let mut nics: Vec<_> = names.iter().map(String::as_str).zip(macs.iter().map(nic)).collect();
        nics.push(("NIC.empty", json!({"MACAddress": ""})));
        self.add_members(&format!("{path}/EthernetInterfaces"), "EthernetInterface", nics);
    }

    fn manager(&mut self) {
        let (shape, path) = (self.shape, self.paths.manager.clone());
        let mut manager = json!({
            "ManagerType": "BMC",
            "FirmwareVersion": shape.firmware,
            "Status": {"State": "Enabled", "Health": "OK"},
            "Links": {"ManagerForServers": [self.link(&self.paths.system)]},
        });
        if shape.log_of_manager {
            manager["LogServices"] = self.link(&format!("{path}/LogServices"));
        }
        if !shape.drive.is_empty() {
            let place = shape.drive.rsplit_once('/').map_or("", |(place, _)| place);
            manager["VirtualMedia"] = self.link(place);
            let floppy = format!("{place}/Floppy0");
            self.add(&floppy, "VirtualMedia", json!({"MediaTypes": ["Floppy", "USBStick"], "Inserted": false}));
            let drive = self.drive();
            self.add(shape.drive, "VirtualMedia", drive);
            self.add_collection(place, "VirtualMedia", &[floppy, shape.drive.to_owned()]);
        }
        self.add(&path, "Manager", manager);
        self.add_collection(&format!("{ROOT}/Managers"), "Manager", &[path]);
    }

    fn drive(&self) -> Value {
        let image = &self.state.image;
        let mut drive = json!({
            "MediaTypes": ["CD", "DVD"],
            "Image": image.as_deref().unwrap_or(""),
            "Inserted": image.is_some(),
            "ConnectedVia": if image.is_some() { "URI" } else { "NotConnected" },
        });
        if !self.state.has(&Bug::NoMediaActions) {
            let target = |action: &str| format!("{}/Actions/VirtualMedia.{action}", self.shape.drive);
            drive["Actions"] = json!({
                "#VirtualMedia.InsertMedia": {"target": target("InsertMedia")},
                "#VirtualMedia.EjectMedia": {"target": target("EjectMedia")},
            });
        }
        drive
    }

    fn chassis(&mut self) {
        let path = self.paths.chassis.clone();
        let mut chassis = json!({"ChassisType": "RackMount", "Status": {"State": "Enabled", "Health": self.rollup()}});
        let temperature = |name: &str, well: f64| if self.state.ills.contains_key(name) { 96.5 } else { well };
        let status = |name: &str| json!({"State": "Enabled", "Health": self.health(name)});
        if self.shape.has_sensors {
            let sensor = |name: &str, unit: &str, reading: f64| json!({"Name": name, "ReadingUnits": unit, "Reading": reading, "Status": status(name)});
            let sensors = vec![
                ("cpu1", sensor("CPU1 Temp", "Cel", temperature("CPU1 Temp", 41.0))),
                ("fan3", sensor("Fan 3", "RPM", 7200.0)),
                ("psu2", sensor("PSU 2", "W", 180.0)),
            ];
            chassis["Sensors"] = self.link(&format!("{path}/Sensors"));
            self.add_members(&format!("{path}/Sensors"), "Sensor", sensors);
        } else {
            let reading = temperature("CPU1 Temp", 41.0);
            let thermal = json!({
                "Temperatures": [
                    {"Name": "Inlet Temp", "ReadingCelsius": 21, "Status": status("Inlet Temp")},
                    {"Name": "CPU1 Temp", "ReadingCelsius": reading, "Status": status("CPU1 Temp")},
                ],
                "Fans": [{"Name": "Fan 3", "Reading": 7200, "ReadingUnits": "RPM", "Status": status("Fan 3")}],
            });
            let power = json!({"PowerSupplies": [{"Name": "PSU 2", "Status": status("PSU 2")}]});
            chassis["Thermal"] = self.link(&format!("{path}/Thermal"));
            chassis["Power"] = self.link(&format!("{path}/Power"));
            self.add(&format!("{path}/Thermal"), "Thermal", thermal);
            self.add(&format!("{path}/Power"), "Power", power);
        }
        self.add(&path, "Chassis", chassis);
        self.add_collection(&format!("{ROOT}/Chassis"), "Chassis", &[path]);
    }

    fn log(&mut self) {
        let owner = if self.shape.log_of_manager { &self.paths.manager } else { &self.paths.system };
        let services = format!("{owner}/LogServices");
        let log = format!("{services}/{}", self.shape.log);
        let entries = format!("{log}/Entries");
        let mut paths = Vec::new();
        for (number, event) in self.state.machine.events().iter().enumerate() {
            let path = format!("{entries}/{}", number + 1);
            let content = json!({
                "EntryType": "SEL",
                "Created": event.at.to_string(),
                "Severity": "OK",
                "Message": words(event.what),
            });
            self.add(&path, "LogEntry", content);
            paths.push(path);
        }
        self.add_collection(&entries, "LogEntry", &paths);
        let service = json!({"Entries": self.link(&entries)});
        self.add(&log, "LogService", service);
        // Another log, which is not that of the hardware.
        let audit = format!("{services}/Audit");
        let nothing = format!("{audit}/Entries");
        self.add_collection(&nothing, "LogEntry", &[]);
        let service = json!({"Entries": self.link(&nothing)});
        self.add(&audit, "LogService", service);
        self.add_collection(&services, "LogService", &[audit, log]);
    }

    fn accounts(&mut self) {
        let (slots, own) = self.shape.accounts;
        let path = format!("{ROOT}/AccountService/Accounts");
        let mut paths = Vec::new();
        for slot in 1..=slots {
            let name = if slot == own { self.state.settings.username.as_str() } else { "" };
            let account = format!("{path}/{slot}");
            self.add(&account, "ManagerAccount", json!({"UserName": name, "Password": null, "Enabled": slot == own}));
            paths.push(account);
        }
        self.add_collection(&path, "ManagerAccount", &paths);
        let service = json!({"Accounts": self.link(&path)});
        self.add(&format!("{ROOT}/AccountService"), "AccountService", service);
    }

    fn sessions(&mut self) {
        let sessions = json!({"ServiceEnabled": true, "Sessions": self.link(self.shape.sessions)});
        self.add(&format!("{ROOT}/SessionService"), "SessionService", sessions);
        let mut paths = Vec::new();
        for session in &self.state.sessions {
            let path = format!("{}/{}", self.shape.sessions, session.id);
            self.add(&path, "Session", json!({"UserName": self.state.settings.username}));
            paths.push(path);
        }
        self.add_collection(self.shape.sessions, "Session", &paths);
    }

    fn health(&self, part: &str) -> &str {
        self.state.ills.get(part).map_or("OK", String::as_str)
    }

    fn rollup(&self) -> &str {
        let worst = ["Critical", "Warning"].into_iter().find(|level| self.state.ills.values().any(|ill| ill == level));
        worst.unwrap_or("OK")
    }
}

fn words(what: Happening) -> String {
    match what {
        Happening::Asked(action, _) => format!("Power control requested: {action:?}."),
        Happening::On(_) => "The system was powered on.".to_owned(),
        Happening::Off(_) => "The system was powered off.".to_owned(),
        Happening::Reset(_) => "The system was reset.".to_owned(),
        Happening::Booted(boot) => format!("The system booted from {:?}.", boot.device),
        Happening::Interrupted => "A diagnostic interrupt was asserted.".to_owned(),
        Happening::Override(_) => "The boot override was changed.".to_owned(),
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex = bytes.map(|byte| format!("{byte:02X}")).concat();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn mac_of(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02X}")).join(":")
}
