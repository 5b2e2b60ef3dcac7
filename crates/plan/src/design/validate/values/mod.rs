//! What each value must look like by itself, whatever else the site says: addresses, names, words, paths.
//!
//! Values that drydock takes as they are, and that MAAS or the machine then refuses, are warnings: the site compiles.

pub(super) mod formats;
mod hardware;
mod host;
mod network;
mod settings;

use std::collections::HashSet;
use std::fmt::Display;

use crate::design::inherit::Layer;
use crate::design::rules::Check;
use crate::design::site::Site;
use crate::design::source::{NodeSource, join};
use crate::finding::Finding;

/// A place in what is written, and the findings about it.
struct Written<'a> {
    object: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Written<'_> {
    fn tell(&mut self, check: Check, path: impl Into<String>, message: impl Into<String>) {
        self.findings.push(check.at(self.object, path, message));
    }

    /// Tells of a value that is not what it should be.
    fn wrong(&mut self, check: Check, path: impl Into<String>, value: &str, what: impl Display) {
        self.tell(check, path, format!("`{value:.100}` {what}"));
    }

    /// Tells of those of some values that do not fit.
    fn each<'v>(
        &mut self,
        check: Check,
        path: &str,
        values: impl IntoIterator<Item = &'v String>,
        fits: fn(&str) -> bool,
        what: &str,
    ) {
        for (index, value) in values.into_iter().enumerate().filter(|(_, value)| !fits(value)) {
            self.wrong(check, format!("{path}[{index}]"), value, what);
        }
    }

    /// Tells of items of a list that have no name.
    fn nameless<'v>(&mut self, path: &str, names: impl IntoIterator<Item = &'v str>) {
        for (index, _) in names.into_iter().enumerate().filter(|(_, name)| name.is_empty()) {
            self.tell(Check::NameEmpty, format!("{path}[{index}].name"), "the name is empty");
        }
    }

    /// Tells of items of a list that have no name, or that of an item before them. Lists at the top of a Design are made one
    /// of all its parts, and looked at there.
    fn parts<'v>(&mut self, path: &str, names: impl IntoIterator<Item = &'v str> + Clone) {
        self.nameless(path, names.clone());
        let mut seen: HashSet<&str> = HashSet::new();
        for (index, name) in names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if !seen.insert(name) {
                let message = format!("`{name:.100}` is defined twice in this list");
                self.tell(Check::NameTwice, format!("{path}[{index}]"), message);
            }
        }
    }
}

/// Values of a site, without its Nodes.
pub(super) fn site(site: &Site, findings: &mut Vec<Finding>) {
    for source in &site.sources {
        let mut written = Written { object: &source.object, findings };
        let (spec, base) = (&*source.spec, source.base.as_str());
        settings::check(spec, base, &mut written);
        network::check(spec, base, &mut written);
        hardware::check(&spec.hardware_profiles, &join(base, "hardwareProfiles"), &mut written);
        written.nameless(&join(base, "bootActions"), spec.boot_actions.iter().map(|part| part.name.as_str()));
        written.nameless(&join(base, "hostProfiles"), spec.host_profiles.iter().map(|part| part.name.as_str()));
        for (index, profile) in spec.host_profiles.iter().enumerate() {
            host::check(&Layer::of_profile(profile), &join(base, &format!("hostProfiles[{index}]")), &mut written);
        }
    }
}

/// Values of a Node.
pub(in crate::design) fn node(source: &NodeSource) -> Vec<Finding> {
    let mut findings = Vec::new();
    let host = Layer::of_node(&source.design);
    if !host::is_empty(&host) {
        let object = format!("Node/{}", source.name);
        host::check(&host, "spec", &mut Written { object: &object, findings: &mut findings });
    }
    findings
}

/// What removes something of a parent has no value of its own.
fn is_removal(text: &str) -> bool {
    text.starts_with('!')
}
