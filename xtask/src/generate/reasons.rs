//! Every reason that Slipway gives has an entry in docs/troubleshooting.md, and no entry outlives its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Where reasons are given.
const SOURCES: [&str; 3] = ["crates/plan/src", "crates/drivers/src", "crates/operator/src"];

/// Words of a wire protocol look like reasons, so those who speak it (a folder each below this one) give theirs in files of
/// this name alone.
const PROTOCOLS: &str = "crates/drivers/src/";
const TABLE: &str = "reasons.rs";

/// Capitalised words in the sources that are no reasons, though they look like one.
const OTHER_WORDS: &[&str] = &[
    // Kinds.
    "ConfigMap",
    "ContainerService",
    "Design",
    "Node",
    "Secret",
    // What Kubernetes and Docker call things.
    "Chassis",
    "CheckDuplicate",
    "Container",
    "DoesNotExist",
    "Downloading",
    "EndpointConfig",
    "Exists",
    "In",
    "List",
    "Login",
    "MacAddress",
    "Mi",
    "Normal",
    "NotIn",
    "False",
    "Ready",
    "True",
    "Warning",
    // Kinds and commands of a BMC, in `status.operation`, and states of hosts, in `status.power` and `status.health`.
    "Boot",
    "ByHand",
    "ClearBoot",
    "Critical",
    "EjectMedia",
    "Force",
    "ForceOff",
    "Graceful",
    "GracefulRestart",
    "InsertMedia",
    "Login",
    "NodeInventory",
    "Off",
    "Ok",
    "On",
    "Power",
    "PowerCycle",
    "PowerOn",
    "Reboot",
    "Reset",
    "Rotation",
    "SetBoot",
    "SetPassword",
    "ShutDown",
    "Unknown",
    "VirtualMedia",
    // How a token is shown, and who manages objects from a repository.
    "Bearer",
    "Flux",
    "HelmRelease",
    "Kustomization",
    // Titles of an inventory.
    "CPUs",
    "Disks",
    "Firmware",
    "Memory",
    "Model",
    "NICs",
    "Serial",
    "Vendor",
    // The name of a rule; its code is DD1008.
    "Hugepages",
    // Words of YAML.
    "No",
    "Null",
    "Yes",
    // States of containers, in `status.unhealthy[].state`.
    "Created",
    "Missing",
    "Outdated",
    "Running",
    // Kinds of drydock's documents, and what is made of them.
    "BaremetalNode",
    "BootAction",
    "Design",
    "HardwareProfile",
    "Tags",
    "HostProfile",
    "Network",
    "NetworkLink",
    "Rack",
    "Region",
];

/// Compares the sources with the page.
pub fn check(root: &Path) -> Result<()> {
    let mut given = BTreeSet::new();
    for folder in SOURCES {
        collect(&root.join(folder), &mut given)?;
    }
    let page = root.join("docs/troubleshooting.md");
    let page = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let described = headings(&page);

    let given: BTreeSet<_> = given.into_iter().filter(|word| !OTHER_WORDS.contains(&word.as_str())).collect();
    let missing: Vec<_> = given.difference(&described).collect();
    let gone: Vec<_> = described.difference(&given).collect();
    ensure!(
        missing.is_empty() && gone.is_empty(),
        "docs/troubleshooting.md is not up to date; without an entry (`### Reason`): {missing:?}; \
         entries that no source gives: {gone:?}. A word that is no reason belongs in OTHER_WORDS of xtask"
    );
    Ok(())
}

/// The words of `### One, Other` headings.
fn headings(page: &str) -> BTreeSet<String> {
    let titles = page.lines().filter_map(|line| line.strip_prefix("### "));
    titles.flat_map(|title| title.split(", ")).map(|word| word.trim().to_owned()).collect()
}

fn collect(folder: &Path, words: &mut BTreeSet<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "tests") {
                collect(&path, words)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_none_or(|stem| stem != "tests" && stem != "testing")
            && (!speaks_a_protocol(&path) || path.ends_with(TABLE))
        {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            words.extend(reasons(&text));
        }
    }
    Ok(())
}

fn speaks_a_protocol(path: &Path) -> bool {
    path.to_string_lossy().split_once(PROTOCOLS).is_some_and(|(_, file)| file.contains('/'))
}

/// What looks like a reason in a source file, its tests aside: a string literal that is one CamelCase word, and the
/// word in a line `NAME = Word: Class;` of the drivers' table.
fn reasons(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut words = BTreeSet::new();
    for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with("#[")) {
        let plain = line.replace("\\\"", "").replace("'\"'", "");
        words.extend(plain.split('"').skip(1).step_by(2).filter(|text| is_reason(text)).map(str::to_owned));
        words.extend(table_entry(line).filter(|word| is_reason(word)).map(str::to_owned));
    }
    words
}

fn table_entry(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(" = ")?;
    let (word, class) = rest.strip_suffix(';')?.split_once(": ")?;
    let is_constant = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    (is_constant && is_reason(class)).then_some(word)
}

fn is_reason(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_where_they_are_given() {
        let source = r#"
            // "NotThis": a comment
            pub const UNKNOWN_KEY: &str = "UnknownKey";
            Error::new(Class::Denied, "Forbidden", "say \"Nothing\" of it")
            NO_ROUTE = NoRoute: Unreachable;
            let x = "not one word"; let y = "GET";
            #[cfg(test)]
            mod tests { const X: &str = "OnlyATest"; }
        "#;
        assert_eq!(Vec::from_iter(reasons(source)), ["Forbidden", "NoRoute", "UnknownKey"]);
    }

    #[test]
    fn a_heading_may_hold_several() {
        let page = "# Title\n### One, Other\ntext\n### Third\n";
        assert_eq!(Vec::from_iter(headings(page)), ["One", "Other", "Third"]);
    }

    #[test]
    fn every_reason_of_this_workspace_is_described() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(root).unwrap();
    }
}
