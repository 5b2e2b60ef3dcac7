//! Boot overrides: `Boot` of the system, or of its settings to come.

use serde_json::{Map, Value, json};
use slipway_plan::node::bmc::{Boot, BootDevice, BootMode, BootOverride, Command, Persistence};

use super::client::Client;
use super::errors::Failure;
use super::json::{Resource, text, texts};
use super::quirks::Behaviour;
use super::tree::{Tree, unsupported};

const TARGET: &str = "BootSourceOverrideTarget";
const ENABLED: &str = "BootSourceOverrideEnabled";
const MODE: &str = "BootSourceOverrideMode";

/// From what the host starts next.
pub(super) fn read(system: &Value) -> Boot {
    let Some(target) = text(system, "/Boot/BootSourceOverrideTarget") else { return Boot::Unknown };
    let enabled = text(system, "/Boot/BootSourceOverrideEnabled");
    if target == "None" || enabled.as_deref() == Some("Disabled") {
        return Boot::Normal;
    }
    Boot::Override(BootOverride {
        device: match target.as_str() {
            "Pxe" => BootDevice::Pxe,
            "Hdd" => BootDevice::Hdd,
            "Cd" | "UsbCd" => BootDevice::Cd,
            "UefiHttp" => BootDevice::UefiHttp,
            "BiosSetup" => BootDevice::BiosSetup,
            _ => BootDevice::Other,
        },
        mode: match text(system, "/Boot/BootSourceOverrideMode").as_deref() {
            Some("UEFI") => Some(BootMode::Uefi),
            Some("Legacy") => Some(BootMode::Legacy),
            _ => None,
        },
        persistence: if enabled.as_deref() == Some("Once") { Persistence::Once } else { Persistence::Persistent },
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
    let none = if allows(&allowed, "None") { Some("None".to_owned()) } else { now };
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
        BootDevice::Cd if tree.has(Behaviour::CdIsUsbCd) && allowed.iter().any(|target| target == "UsbCd") => "UsbCd",
        BootDevice::Cd => "Cd",
        BootDevice::UefiHttp => "UefiHttp",
        BootDevice::BiosSetup => "BiosSetup",
        BootDevice::Other => return Err(refused("no device is named")),
    };
    if !allows(allowed, target) {
        return Err(refused(&format!("the targets that it offers are {}", allowed.join(", "))));
    }
    let enabled = match boot.persistence {
        Persistence::Once => "Once",
        Persistence::Persistent => "Continuous",
    };
    let durations = texts(&resource.body, &format!("/Boot/{ENABLED}@Redfish.AllowableValues"));
    if !allows(&durations, enabled) {
        return Err(refused(&format!("the durations that it offers are {}", durations.join(", "))));
    }
    let mut section = Map::from_iter([(TARGET.to_owned(), json!(target)), (ENABLED.to_owned(), json!(enabled))]);
    // UEFI HTTP boot is UEFI's own.
    let mode = boot.mode.or((boot.device == BootDevice::UefiHttp).then_some(BootMode::Uefi));
    let mode = mode.map(|mode| match mode {
        BootMode::Uefi => "UEFI",
        BootMode::Legacy => "Legacy",
    });
    let modes = texts(&resource.body, &format!("/Boot/{MODE}@Redfish.AllowableValues"));
    if let Some(mode) = mode.filter(|mode| !allows(&modes, mode)) {
        return Err(refused(&format!("it has no mode {mode}, only {}", modes.join(", "))));
    }
    let now = mode_now(&resource.body);
    let write = match mode {
        Some(mode) if tree.has(Behaviour::ModeAlways) => Some(mode),
        Some(mode) => now.as_deref().filter(|now| *now != mode).map(|_| mode),
        None if tree.has(Behaviour::ModeAlways) => now.as_deref(),
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

/// A list that is not given forbids nothing.
fn allows(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|allowed| allowed == value)
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
