//! Hardware profiles.

use regex_syntax::ast::ErrorKind;
use slipway_api::design::{Device, HardwareProfile};

use super::Written;
use super::formats::{is_cpu_list, is_page_size, is_pci, is_scsi};
use crate::design::rules::Check;
use crate::design::source::join;

/// Begins an expression instead of an address.
const EXPRESSION: &str = "regexp:";

pub(super) fn check(profiles: &[HardwareProfile], base: &str, written: &mut Written<'_>) {
    written.nameless(base, profiles.iter().map(|part| part.name.as_str()));
    for (index, profile) in profiles.iter().enumerate() {
        let path = format!("{base}[{index}]");
        let [devices, sets, pages] = ["devices", "cpuSets", "hugepages"].map(|list| join(&path, list));
        written.parts(&devices, profile.devices.iter().map(|part| part.name.as_str()));
        written.parts(&sets, profile.cpu_sets.iter().map(|part| part.name.as_str()));
        written.parts(&pages, profile.hugepages.iter().map(|part| part.name.as_str()));
        for (index, one) in profile.devices.iter().enumerate() {
            device(one, &format!("{devices}[{index}]"), written);
        }
        for (index, set) in profile.cpu_sets.iter().enumerate().filter(|(_, set)| !is_cpu_list(&set.cpus)) {
            written.wrong(Check::CpuList, format!("{sets}[{index}].cpus"), &set.cpus, "is no list of CPUs");
        }
        for (index, one) in profile.hugepages.iter().enumerate().filter(|(_, one)| !is_page_size(&one.size)) {
            written.wrong(Check::PageSize, format!("{pages}[{index}].size"), &one.size, "is no size of a page");
        }
    }
}

fn device(device: &Device, path: &str, written: &mut Written<'_>) {
    let address = device.address.as_str();
    let (bus, at) = (device.bus_type.as_str(), join(path, "address"));
    if let Some(expression) = address.strip_prefix(EXPRESSION) {
        if let Some(reason) = mistake(expression) {
            written.wrong(Check::DeviceAddress, at, expression, format!("is no regular expression: {reason}"));
        }
        return;
    }
    match bus {
        "pci" if !is_pci(address) => written.wrong(Check::DeviceAddress, at, address, "is no PCI address"),
        "scsi" if !is_scsi(address) => written.wrong(Check::DeviceAddress, at, address, "is no SCSI address"),
        "pci" | "scsi" => {}
        _ => written.wrong(Check::DeviceBus, join(path, "busType"), bus, "is neither pci nor scsi"),
    }
}

/// What is wrong with a regular expression in every dialect: drydock's is Python's, which knows more than this one.
fn mistake(expression: &str) -> Option<&'static str> {
    let error = regex_syntax::ast::parse::Parser::new().parse(expression).err()?;
    Some(match error.kind() {
        ErrorKind::GroupUnclosed => "a ( is not closed",
        ErrorKind::GroupUnopened => "a ) closes nothing",
        ErrorKind::ClassUnclosed => "a [ is not closed",
        ErrorKind::ClassRangeInvalid => "a range in [ ] ends before it begins",
        ErrorKind::RepetitionMissing => "there is nothing to repeat",
        ErrorKind::EscapeUnexpectedEof => "it ends with a \\",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::mistake;

    #[test]
    fn mistakes_of_every_dialect() {
        for good in [r"0000:(19|01):00\.0", r"0000:\d+:00\.[01]$", r"(?=0000)x", r"(?P<a>0)(?P=a)", "a{", r"\Z", ""] {
            assert_eq!(mistake(good), None, "{good}");
        }
        for bad in ["(", ")", "[", "*", "a\\", "[b-a]"] {
            assert!(mistake(bad).is_some(), "{bad}");
        }
    }
}
