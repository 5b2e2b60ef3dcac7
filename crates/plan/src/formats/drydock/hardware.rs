//! `HardwareProfile`.

use slipway_api::design::{BootMode, BootstrapProtocol, CpuSet, Device, HardwareProfile, Hugepages};

use super::read::{Field, Fields, Scope};
use crate::formats::yaml::Kind as YamlKind;

/// Reads a `HardwareProfile`.
pub(super) fn profile<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> HardwareProfile {
    let boot_modes = [("bios", BootMode::Bios), ("uefi", BootMode::Uefi)];
    let protocols = [("pxe", BootstrapProtocol::Pxe), ("usb", BootstrapProtocol::Usb), ("hdd", BootstrapProtocol::Hdd)];
    let entries = |key| fields.map(scope, key).map(|entries| entries.all()).unwrap_or_default();
    let profile = HardwareProfile {
        name,
        vendor: fields.text(scope, "vendor"),
        generation: fields.text(scope, "generation"),
        hw_version: fields.text(scope, "hw_version"),
        bios_version: fields.text(scope, "bios_version"),
        boot_mode: fields.get("boot_mode").and_then(|field| scope.word(&field, &boot_modes)),
        bootstrap_protocol: fields.get("bootstrap_protocol").and_then(|field| scope.word(&field, &protocols)),
        pxe_interface: fields.get("pxe_interface").and_then(|field| port_number(scope, &field)),
        devices: entries("device_aliases").into_iter().filter_map(|(name, field)| device(scope, name, field)).collect(),
        cpu_sets: entries("cpu_sets")
            .into_iter()
            .filter_map(|(name, field)| Some(CpuSet { name: name.to_owned(), cpus: scope.text(&field)? }))
            .collect(),
        hugepages: entries("hugepages").into_iter().filter_map(|(name, field)| pages(scope, name, field)).collect(),
    };
    fields.close(scope);
    profile
}

/// Nothing uses it, so one that makes no sense does no harm.
fn port_number(scope: &Scope<'_>, field: &Field<'_>) -> Option<u32> {
    let YamlKind::Number(number) = &field.node.kind else { return scope.number(field) };
    if number.as_f64().is_some_and(|number| number < 0.0) {
        scope.no_place(field, "ports are counted from 0, and drydock does not use it");
        return None;
    }
    scope.number(field)
}

fn device<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>) -> Option<Device> {
    let fields = scope.fields(field)?;
    let [address, bus_type] = ["address", "bus_type"].map(|key| {
        // The schema does not look into the aliases.
        let found = fields.get(key).filter(|field| !field.is_null()).and_then(|field| scope.any_text(&field));
        if found.is_none() && fields.get(key).is_none_or(|field| field.is_null()) {
            scope.missing(&fields, key);
        }
        found
    });
    let device_type = fields.get("dev_type").filter(|field| !field.is_null()).and_then(|field| scope.any_text(&field));
    fields.open(scope);
    Some(Device { name: name.to_owned(), bus_type: bus_type?, address: address?, device_type })
}

fn pages<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>) -> Option<Hugepages> {
    let fields = scope.fields(field)?;
    for key in ["size", "count"] {
        if fields.get(key).is_none() {
            scope.missing(&fields, key);
        }
    }
    let size = fields.get("size").and_then(|field| scope.any_text(&field));
    let count = fields.get("count").and_then(|field| scope.any_number(&field));
    fields.open(scope);
    Some(Hugepages { name: name.to_owned(), size: size?, count: count?.into() })
}
