//! Boot overrides: `Boot` of the system, or of its settings to come.

use serde_json::{Map, Value, json};
use slipway_plan::node::bmc::{Boot, BootDevice, BootMode, BootOverride, Command, Persistence};

use super::client::Client;
use super::errors::Failure;
use super::json::{Resource, spelled, text, texts, word};
use super::quirks::Behaviour;
use super::tree::{Tree, unsupported};

const TARGET: &str = "BootSourceOverrideTarget";
const ENABLED: &str = "BootSourceOverrideEnabled";
const MODE: &str = "BootSourceOverrideMode";

/// From what the host starts next.
pub(super) fn read(system: &Value) -> Boot {
    let Some(target) = word(system, "/Boot/BootSourceOverrideTarget") else { return Boot::Unknown };
    let enabled = word(system, "/Boot/BootSourceOverrideEnabled");
    if target == "none" || enabled.as_deref() == Some("disabled") {
        return Boot::Normal;
    }
    Boot::Override(BootOverride {
        device: match target.as_str() {
            "pxe" => BootDevice::Pxe,
            "hdd" => BootDevice::Hdd,
            "cd" | "usbcd" => BootDevice::Cd,
            "uefihttp" => BootDevice::UefiHttp,
            "biossetup" => BootDevice::BiosSetup,
            _ => BootDevice::Other,
        },
        mode: match word(system, "/Boot/BootSourceOverrideMode").as_deref() {
            Some("uefi") => Some(BootMode::Uefi),
            Some("legacy") => Some(BootMode::Legacy),
            _ => None,
        },
        persistence: if enabled.as_deref() == Some("once") { Persistence::Once } else { Persistence::Persistent },
    })
}

/// Sets an override. It is set once and not compared with what is read afterwards: some firmware never says `Once`.
pub(super) async fn set(client: &mut Client, tree: &Tree, boot: BootOverride) -> Result<(), Failure> {
    let (resource, allowed) = current(client, tree).await?;
    let section = section(&resource, &allowed, tree, boot)?;
    client.patch(resource, &json!({ "Boot": section })).await
}

/// Takes an override away.
pub(super) async fn clear(client: &mut Client, tree: &Tree) -> Result<(), Failure> {
    let (resource, allowed) = current(client, tree).await?;
    if read(&resource.body) == Boot::Normal {
        return Ok(());
    }
    // Without a target some BMCs take nothing of it, and not all have a target "None".
    let now = text(&resource.body, &format!("/Boot/{TARGET}"));
    let none = allowed_as(&allowed, "None").or(now);
    let mut section = Map::from_iter([(ENABLED.to_owned(), json!("Disabled"))]);
    section.extend(none.map(|target| (TARGET.to_owned(), json!(target))));
    if tree.has(Behaviour::ModeAlways) {
        section.extend(mode_now(&resource.body).map(|mode| (MODE.to_owned(), json!(mode))));
    }
    client.patch(resource, &json!({ "Boot": section })).await
}

/// The resource that is written to, and the targets that the BMC offers in it or in the system.
async fn current(client: &mut Client, tree: &Tree) -> Result<(Resource, Vec<String>), Failure> {
    let mut resource = client.get(tree.settings.as_ref().unwrap_or(&tree.system)).await?;
    let allowed = |resource: &Resource| texts(&resource.body, &format!("/Boot/{TARGET}@Redfish.AllowableValues"));
    let mut targets = allowed(&resource);
    if targets.is_empty() && tree.settings.is_some() {
        let system = client.get(&tree.system).await?;
        targets = allowed(&system);
        // The mode is told there, too.
        if mode_now(&resource.body).is_none()
            && let (Some(mode), Some(Value::Object(boot))) = (mode_now(&system.body), resource.body.get_mut("Boot"))
        {
            boot.insert(MODE.to_owned(), json!(mode));
        }
    }
    Ok((resource, targets))
}

/// What is written for an override.
fn section(
    resource: &Resource,
    allowed: &[String],
    tree: &Tree,
    boot: BootOverride,
) -> Result<Map<String, Value>, Failure> {
    let refused = |why: &str| unsupported(&Command::SetBoot(boot), why);
    let target = match boot.device {
        BootDevice::Pxe => "Pxe",
        BootDevice::Hdd => "Hdd",
        BootDevice::Cd if tree.has(Behaviour::CdIsUsbCd) && spelled(allowed, "UsbCd").is_some() => "UsbCd",
        BootDevice::Cd => "Cd",
        BootDevice::UefiHttp => "UefiHttp",
        BootDevice::BiosSetup => "BiosSetup",
        BootDevice::Other => return Err(refused("no device is named")),
    };
    let Some(target) = allowed_as(allowed, target) else {
        return Err(refused(&format!("the targets that it offers are {}", allowed.join(", "))));
    };
    let enabled = match boot.persistence {
        Persistence::Once => "Once",
        Persistence::Persistent => "Continuous",
    };
    let durations = texts(&resource.body, &format!("/Boot/{ENABLED}@Redfish.AllowableValues"));
    let Some(enabled) = allowed_as(&durations, enabled) else {
        return Err(refused(&format!("the durations that it offers are {}", durations.join(", "))));
    };
    let mut section = Map::from_iter([(TARGET.to_owned(), json!(target)), (ENABLED.to_owned(), json!(enabled))]);
    // UEFI HTTP boot is UEFI's own.
    let mode = boot.mode.or((boot.device == BootDevice::UefiHttp).then_some(BootMode::Uefi));
    let mode = mode.map(|mode| match mode {
        BootMode::Uefi => "UEFI",
        BootMode::Legacy => "Legacy",
    });
    let modes = texts(&resource.body, &format!("/Boot/{MODE}@Redfish.AllowableValues"));
    if let Some(mode) = mode.filter(|mode| allowed_as(&modes, mode).is_none()) {
        return Err(refused(&format!("it has no mode {mode}, only {}", modes.join(", "))));
    }
    let mode = mode.and_then(|mode| allowed_as(&modes, mode));
    let now = mode_now(&resource.body);
    let write = match mode {
        Some(mode) if tree.has(Behaviour::ModeAlways) => Some(mode),
        Some(mode) => now.filter(|now| !now.eq_ignore_ascii_case(&mode)).map(|_| mode),
        None if tree.has(Behaviour::ModeAlways) => now,
        None => None,
    };
    section.extend(write.map(|mode| (MODE.to_owned(), json!(mode))));
    // What was left there by somebody would be booted in place of what DHCP says.
    if boot.device == BootDevice::UefiHttp && text(&resource.body, "/Boot/HttpBootUri").is_some() {
        section.insert("HttpBootUri".to_owned(), Value::Null);
    }
    Ok(section)
}

fn mode_now(body: &Value) -> Option<String> {
    text(body, &format!("/Boot/{MODE}"))
}

/// How a value is written for this BMC, if its list allows it. A list that is not given forbids nothing.
fn allowed_as(list: &[String], value: &str) -> Option<String> {
    if list.is_empty() { Some(value.to_owned()) } else { spelled(list, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_read_as_far_as_it_is_said() {
        let boot = |section: Value| read(&json!({ "Boot": section }));
        assert_eq!(boot(json!({})), Boot::Unknown);
        assert_eq!(boot(json!({TARGET: "None", ENABLED: "Once"})), Boot::Normal);
        assert_eq!(boot(json!({TARGET: "Pxe", ENABLED: "Disabled"})), Boot::Normal);
        let pxe = BootOverride { device: BootDevice::Pxe, mode: Some(BootMode::Uefi), persistence: Persistence::Once };
        assert_eq!(boot(json!({TARGET: "Pxe", ENABLED: "Once", MODE: "UEFI"})), Boot::Override(pxe));
        let odd = BootOverride { device: BootDevice::Other, mode: None, persistence: Persistence::Persistent };
        assert_eq!(boot(json!({TARGET: "SDCard", ENABLED: "Continuous", MODE: 7})), Boot::Override(odd));
    }
}
