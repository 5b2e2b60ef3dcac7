//! Kernel parameters: references to the hardware profile, and the command line.

use slipway_api::design::HardwareProfile;

use super::locate::names;
use super::model::{KernelParamModel, Text};
use crate::formats::compose::meant;

const REFERENCE: &str = "hardwareprofile:";

/// The value of a parameter, a reference looked up (`hardwareprofile:` alone is none): with the hardware profile that it came from. An error says why not.
pub(super) fn resolve(value: &str, hardware: &HardwareProfile) -> Result<Option<(Text, Text)>, String> {
    let Some(reference) = value.strip_prefix(REFERENCE).filter(|reference| !reference.is_empty()) else {
        return Ok(None);
    };
    let found = match reference.split_once('.') {
        Some(("cpuset", name)) => {
            let set = hardware.cpu_sets.iter().find(|set| set.name == name);
            set.map(|set| Text::from(set.cpus.as_str()))
        }
        Some(("hugepages", rest)) => {
            let (name, field) =
                rest.rsplit_once('.').ok_or_else(|| format!("`{rest}` names neither .size nor .count"))?;
            let pages = hardware.hugepages.iter().find(|pages| pages.name == name);
            match field {
                "size" => pages.map(|pages| pages.size.as_str().into()),
                "count" => pages.map(|pages| pages.count.to_string().into()),
                _ => return Err(format!("huge pages have .size and .count, and no .{field}")),
            }
        }
        _ => return Err(format!("`{reference}` is neither cpuset.NAME nor hugepages.NAME.size or .count")),
    };
    let found = found
        .ok_or_else(|| format!("hardware profile {} has no {reference}{}", hardware.name, near(reference, hardware)))?;
    Ok(Some((found, hardware.name.as_str().into())))
}

fn near(reference: &str, hardware: &HardwareProfile) -> String {
    let names: Vec<&str> = if list(reference) == "cpuSets" {
        hardware.cpu_sets.iter().map(|set| set.name.as_str()).collect()
    } else {
        hardware.hugepages.iter().map(|pages| pages.name.as_str()).collect()
    };
    let name =
        reference.split_once('.').map_or(reference, |(_, rest)| rest.rsplit_once('.').map_or(rest, |(name, _)| name));
    meant(name, names.into_iter())
}

/// The list of a hardware profile that a reference is to.
pub(super) fn list(reference: &str) -> &'static str {
    let reference = reference.strip_prefix(REFERENCE).unwrap_or(reference);
    if reference.starts_with("cpuset") { "cpuSets" } else { "hugepages" }
}

/// Where a hardware profile says what a reference refers to, as a path of names.
pub(super) fn referred(reference: &str) -> Vec<String> {
    match reference.strip_prefix(REFERENCE).and_then(|reference| reference.split_once('.')) {
        Some(("cpuset", name)) => names(["cpuSets", name, "cpus"]),
        Some(("hugepages", rest)) => {
            let (name, field) = rest.rsplit_once('.').unwrap_or((rest, "size"));
            names(["hugepages", name, field])
        }
        _ => Vec::new(),
    }
}

/// The command line. The kernel wants `hugepagesz` right before the `hugepages` that it is for
/// (Documentation/admin-guide/kernel-parameters.txt), so these two come first.
pub(super) fn command_line(params: &[KernelParamModel]) -> String {
    let value = |name: &str| params.iter().find(|p| &*p.name == name).and_then(|p| p.value.as_deref());
    let mut words = Vec::new();
    let pages = value("hugepagesz").zip(value("hugepages"));
    if let Some((size, count)) = pages {
        words.push(format!("hugepagesz={size}"));
        words.push(format!("hugepages={count}"));
    }
    for param in params.iter().filter(|p| pages.is_none() || !matches!(&*p.name, "hugepages" | "hugepagesz")) {
        words.push(match &param.value {
            None => param.name.to_string(),
            Some(value) => format!("{}={value}", param.name),
        });
    }
    words.join(" ")
}
