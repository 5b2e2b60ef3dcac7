//! Hardware profiles: what machines of one kind have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HardwareProfile {
    /// Name of the profile.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Generation of the chassis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Version of the hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hw_version: Option<String>,
    /// Version of the firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bios_version: Option<String>,
    /// How it boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_mode: Option<BootMode>,
    /// What it boots from the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_protocol: Option<BootstrapProtocol>,
    /// Number of the port that it boots from, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pxe_interface: Option<u32>,
    /// Names for devices, by their address on a bus. Interfaces and disks may be called by these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub devices: Vec<Device>,
    /// Sets of CPUs, for kernel parameters: `hardwareprofile:cpuset.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub cpu_sets: Vec<CpuSet>,
    /// Huge pages, for kernel parameters: `hardwareprofile:hugepages.NAME.size` and `.count`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub hugepages: Vec<Hugepages>,
}

/// How a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BootMode {
    Bios,
    Uefi,
}

/// What a machine boots from the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BootstrapProtocol {
    Pxe,
    Usb,
    Hdd,
}

/// A name for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Bus that the address is on, e.g. `pci` or `scsi`.
    #[schemars(length(min = 1, max = 32))]
    pub bus_type: String,
    /// Address on the bus, e.g. `0000:00:03.0`; `regexp:` begins a regular expression over PCI addresses of network ports.
    #[schemars(length(min = 1, max = 512))]
    pub address: String,
    /// Model of the device, as it describes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
}

/// A set of CPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CpuSet {
    /// Name of the set.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The CPUs, in the kernel's list format: `2,4` or `2-8,16`.
    #[schemars(length(min = 1, max = 4096))]
    pub cpus: String,
}

/// Huge pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hugepages {
    /// Name of the configuration.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Size of a page, e.g. `2M` or `1G`.
    #[schemars(length(min = 1, max = 16))]
    pub size: String,
    /// Number of pages.
    pub count: u64,
}
