//! Answers of a BMC, as data and as text.

use std::fmt::Write as _;

use serde_json::{Value, json};
use slipway_ipmi::CipherSuite;
use slipway_ipmi::commands::app::{DeviceId, Guid};
use slipway_ipmi::commands::boot::{BootDevice, BootFlags};
use slipway_ipmi::commands::channel::AuthenticationCapabilities;
use slipway_ipmi::commands::chassis::{ChassisStatus, RestartCause, RestorePolicy};
use slipway_ipmi::commands::events::{self, Severity};
use slipway_ipmi::commands::fru::FruInventory;
use slipway_ipmi::commands::lan::{AddressSource, LanConfiguration};
use slipway_ipmi::commands::sel::{SelEntry, SelInfo, SelTime};
use slipway_ipmi::commands::sensor::{Health, Sensor};
use slipway_ipmi::commands::user::User;
use slipway_ipmi::session::Answer;

/// An answer.
pub(super) struct Shown {
    /// For scripts.
    pub(super) data: Value,
    /// For people.
    pub(super) text: String,
}

pub(super) fn nothing() -> Shown {
    Shown { data: json!({"done": true}), text: String::new() }
}

/// One `name: value` a line; what is null is left out.
fn lines(data: Value) -> Shown {
    let mut text = String::new();
    if let Value::Object(fields) = &data {
        for (name, value) in fields {
            match value {
                Value::Null => {}
                Value::String(value) => line(&mut text, name, value),
                Value::Array(values) => {
                    for value in values.iter().filter_map(Value::as_str) {
                        line(&mut text, name, value);
                    }
                }
                value => line(&mut text, name, &value.to_string()),
            }
        }
    }
    Shown { data, text }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name}: {value}");
}

fn suite_id(suite: Option<CipherSuite>) -> Option<u8> {
    suite.map(CipherSuite::id)
}

pub(super) fn power(status: ChassisStatus, cause: Option<RestartCause>, suite: Option<CipherSuite>) -> Shown {
    let power = if status.power_on { "on" } else { "off" };
    let restore = match status.restore {
        RestorePolicy::StayOff => "stay off",
        RestorePolicy::Restore => "as before",
        RestorePolicy::PowerUp => "power up",
        RestorePolicy::Unknown => "unknown",
    };
    let faults: Vec<_> = [
        (status.power_overload, "overload"),
        (status.interlock, "interlock"),
        (status.power_fault, "main power fault"),
        (status.control_fault, "power control fault"),
        (status.drive_fault, "drive fault"),
        (status.fan_fault, "fan fault"),
        (status.intrusion, "chassis open"),
    ]
    .into_iter()
    .filter_map(|(is, fault)| is.then_some(fault))
    .collect();
    let data = json!({
        "power": power,
        "faults": faults,
        "whenMainsReturns": restore,
        "lastStart": cause.map(|cause| cause.to_string()),
        "cipherSuite": suite_id(suite),
    });
    let text = if faults.is_empty() { power.into() } else { format!("{power} ({})", faults.join(", ")) };
    Shown { data, text }
}

pub(super) fn boot(flags: BootFlags) -> Shown {
    let device = match flags.device {
        BootDevice::Default => "none",
        BootDevice::Pxe => "pxe",
        BootDevice::Disk => "disk",
        BootDevice::DiskSafeMode => "safe-mode",
        BootDevice::Diagnostics => "diagnostics",
        BootDevice::Cd => "cd",
        BootDevice::Setup => "setup",
        BootDevice::RemoteFloppy => "remote-floppy",
        BootDevice::RemoteCd => "remote-cd",
        BootDevice::RemoteMedium => "remote-medium",
        BootDevice::RemoteDisk => "remote-disk",
        BootDevice::Floppy => "floppy",
        BootDevice::Other(_) => "unknown",
    };
    lines(json!({
        "inForce": flags.valid,
        "device": device,
        "mode": if flags.uefi { "uefi" } else { "legacy" },
        "persistent": flags.persistent,
    }))
}

pub(super) fn info(
    device: &DeviceId,
    device_guid: Option<Guid>,
    system_guid: Option<Guid>,
    suite: Option<CipherSuite>,
) -> Shown {
    let (major, minor) = device.ipmi_version;
    lines(json!({
        "manufacturer": device.manufacturer_name().map_or_else(|| device.manufacturer.to_string(), str::to_owned),
        "manufacturerId": device.manufacturer,
        "product": device.product,
        "device": device.device,
        "firmware": device.firmware(),
        "ipmi": format!("{major}.{minor}"),
        "available": device.available,
        "deviceGuid": device_guid.map(|guid| guid.to_string()),
        "systemGuid": system_guid.map(|guid| guid.to_string()),
        "cipherSuite": suite_id(suite),
    }))
}

/// By the BMC's clock, whose zone nobody knows.
fn time(time: SelTime) -> Option<String> {
    let timestamp = jiff::Timestamp::from_second(time.since_1970()?.into()).ok()?;
    Some(timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

pub(super) fn sel(entries: &[SelEntry]) -> Shown {
    let mut text = String::new();
    let mut data = Vec::new();
    for entry in entries {
        let at = entry.time.and_then(time);
        let bytes = hex(&entry.bytes);
        let event = entry.event.map(|event| {
            let state = event.state();
            json!({
                "sensorType": event.sensor_name(),
                "sensor": event.sensor,
                "state": state.map(|state| state.0),
                "severity": state.map(|state| severity(state.1)),
                "asserted": event.asserted,
                "data": hex(&event.data),
            })
        });
        let words = match entry.event {
            Some(event) => {
                let state =
                    event.state().map_or_else(|| format!("event {}", hex(&event.data)), |(words, _)| words.into());
                let ends = if event.asserted { "" } else { " (ended)" };
                format!("{} sensor {}: {state}{ends}", event.sensor_name(), event.sensor)
            }
            None => format!("record of type {:#04x}: {bytes}", entry.record_type),
        };
        line(&mut text, &format!("{:5}  {:19}", entry.id, at.as_deref().unwrap_or("before clock set")), &words);
        data.push(json!({"id": entry.id, "time": at, "type": entry.record_type, "event": event, "bytes": bytes}));
    }
    Shown { data: data.into(), text: if entries.is_empty() { "no entries".into() } else { text } }
}

pub(super) fn sel_info(info: SelInfo) -> Shown {
    lines(json!({
        "entries": info.entries,
        "freeBytes": info.free_bytes,
        "lastAdded": time(info.last_added),
        "lastCleared": time(info.last_cleared),
        "overflow": info.overflow,
    }))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
        Severity::Failed => "failed",
    }
}

pub(super) fn sensors(sensors: &[Sensor]) -> Shown {
    let mut text = String::new();
    let mut data = Vec::new();
    for sensor in sensors {
        let health = match sensor.health {
            Health::Known(known) => severity(known),
            Health::NotReadable => "not readable",
        };
        let value = sensor.value.map(|value| (value * 1000.0).round() / 1000.0);
        let shown = match value {
            Some(value) => format!("{value} {}", sensor.unit),
            None => sensor.states.join(", "),
        };
        let _ = writeln!(text, "{:17} {health:13} {shown}", sensor.name);
        let thresholds = sensor.thresholds;
        data.push(json!({
            "name": sensor.name,
            "type": events::sensor_type(sensor.sensor_type),
            "value": value,
            "unit": sensor.unit,
            "health": health,
            "states": sensor.states,
            "thresholds": {
                "lowerNonCritical": thresholds.lower_non_critical,
                "lowerCritical": thresholds.lower_critical,
                "lowerNonRecoverable": thresholds.lower_non_recoverable,
                "upperNonCritical": thresholds.upper_non_critical,
                "upperCritical": thresholds.upper_critical,
                "upperNonRecoverable": thresholds.upper_non_recoverable,
            },
        }));
    }
    Shown { data: data.into(), text: if sensors.is_empty() { "no sensors".into() } else { text } }
}

pub(super) fn fru(fru: &FruInventory) -> Shown {
    let chassis = fru
        .chassis
        .as_ref()
        .map(|chassis| json!({"partNumber": chassis.part_number, "serial": chassis.serial, "custom": chassis.custom}));
    let board = fru.board.as_ref().map(|board| {
        json!({
            "made": board.made.and_then(minutes_since_1996),
            "manufacturer": board.manufacturer,
            "product": board.product,
            "serial": board.serial,
            "partNumber": board.part_number,
            "custom": board.custom,
        })
    });
    let product = fru.product.as_ref().map(|product| {
        json!({
            "manufacturer": product.manufacturer,
            "name": product.name,
            "partNumber": product.part_number,
            "version": product.version,
            "serial": product.serial,
            "assetTag": product.asset_tag,
            "custom": product.custom,
        })
    });
    let mut text = String::new();
    for (name, area) in [("chassis", &chassis), ("board", &board), ("product", &product)] {
        for (field, value) in area.iter().filter_map(Value::as_object).flatten() {
            let value = match value {
                Value::String(value) => value.clone(),
                Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
                _ => String::new(),
            };
            if !value.is_empty() {
                line(&mut text, &format!("{name} {field}"), &value);
            }
        }
    }
    let damaged: Vec<_> = fru.damaged.iter().map(ToString::to_string).collect();
    for area in &damaged {
        line(&mut text, "damaged", area);
    }
    let data = json!({"chassis": chassis, "board": board, "product": product, "damaged": damaged});
    Shown { data, text }
}

fn minutes_since_1996(minutes: u32) -> Option<String> {
    const YEAR_1996: i64 = 820_454_400;
    let timestamp = jiff::Timestamp::from_second(YEAR_1996 + i64::from(minutes) * 60).ok()?;
    Some(timestamp.strftime("%Y-%m-%dT%H:%M").to_string())
}

pub(super) fn lan(lan: &LanConfiguration) -> Shown {
    let source = lan.source.map(|source| match source {
        AddressSource::Unspecified => "unspecified",
        AddressSource::Static => "static",
        AddressSource::Dhcp => "dhcp",
        AddressSource::Bios => "bios",
        AddressSource::Other => "other",
    });
    lines(json!({
        "address": lan.address.map(|address| address.to_string()),
        "source": source,
        "netmask": lan.netmask.map(|netmask| netmask.to_string()),
        "gateway": lan.gateway.map(|gateway| gateway.to_string()),
        "mac": lan.mac.map(|mac| mac.to_string()),
        "vlan": lan.vlan,
        "ipv6": lan.ipv6.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

pub(super) fn users(users: &[User]) -> Shown {
    let mut text = String::new();
    let mut data = Vec::new();
    for user in users {
        let access = user.access;
        let privilege = access.privilege.map(|privilege| privilege.to_string());
        let enabled = match access.enabled {
            Some(true) => "enabled",
            Some(false) => "disabled",
            None => "unknown",
        };
        if !user.name.is_empty() || access.privilege.is_some() {
            let privilege = privilege.as_deref().unwrap_or("no access");
            let _ = writeln!(text, "{:2}  {:16}  {privilege:13}  {enabled}", user.id, user.name);
        }
        data.push(json!({
            "id": user.id,
            "name": user.name,
            "privilege": privilege,
            "ipmiMessaging": access.ipmi_messaging,
            "enabled": access.enabled,
        }));
    }
    Shown { data: data.into(), text }
}

pub(super) fn suites(capabilities: AuthenticationCapabilities, suites: &[u8]) -> Shown {
    let data = json!({
        "suites": suites,
        "rmcpPlus": capabilities.rmcp_plus,
        "ipmi15": capabilities.ipmi_15,
        "kg": capabilities.two_key,
        "anonymousLogin": capabilities.anonymous,
        // Suite 0 is no authentication at all.
        "unauthenticatedLogin": suites.contains(&0),
    });
    lines(data)
}

pub(super) fn raw(answer: &Answer) -> Shown {
    let data = hex(&answer.data);
    let shown = json!({"completion": answer.completion.0, "words": answer.completion.to_string(), "data": data});
    let text = if answer.completion.is_ok() { data } else { answer.completion.to_string() };
    Shown { data: shown, text }
}

fn hex(bytes: &[u8]) -> String {
    let words: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.join(" ")
}
