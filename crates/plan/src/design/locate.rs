//! From where a value came from to the field of the object that says so.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::model::{Origin, Text};
use super::rules::Check;
use super::site::Site;
use super::source::{NodeSource, SIZE, join};
use crate::finding::{Finding, Severity};

/// A finding about an effective value, before it is known where that was written. The path names parts instead of
/// counting them: `storage`, `disks`, `sda`, `partitions`, `root`, `size`.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    check: Check,
    origin: Origin,
    path: Vec<String>,
    message: String,
    is_harmless: bool,
}

impl Raw {
    pub(super) fn new(check: Check, origin: Origin, path: Vec<String>, message: impl Into<String>) -> Self {
        Self { check, origin, path, message: message.into(), is_harmless: false }
    }

    /// The fields of a host that may lack something.
    pub(super) fn fields() -> HashSet<&'static str> {
        HashSet::from([
            "hardwareProfile",
            "primaryNetwork",
            "outOfBand",
            "interfaces",
            "storage",
            "platform",
            "metadata",
            "addressing",
            "bootMac",
        ])
    }

    /// Whether it would not be there, had everything been read. `unread` are the fields of the host that could not be read.
    pub(super) fn is_of_unread(&self, unread: &HashSet<&str>) -> bool {
        if unread.is_empty() {
            return false;
        }
        let fields: &[&str] = match self.check {
            Check::RootMissing | Check::DiskUse | Check::VolumeGroupWithoutDisk | Check::VolumeGroupUndefined => {
                &["storage"]
            }
            Check::SizeMissing | Check::SizeImpossible => &["storage", SIZE],
            Check::PortCount | Check::LinkMissing | Check::LinkMissingHarmless | Check::AddressUnused => {
                &["interfaces"]
            }
            Check::GatewayUnreachable => &["interfaces", "addressing", "primaryNetwork"],
            Check::IpmiIncomplete | Check::LibvirtUri => &["outOfBand"],
            Check::IpmiAddress | Check::RedfishIncomplete => &["outOfBand", "addressing"],
            Check::LibvirtBootMac => &["bootMac"],
            Check::HugepagesIncomplete => &["platform"],
            Check::HardwareProfileMissing => &["hardwareProfile"],
            Check::RemovesNothing => return self.field().is_some_and(|field| unread.contains(field)),
            _ => &[],
        };
        fields.iter().any(|field| unread.contains(field))
    }

    /// The field of the host that it is about.
    pub(super) fn field(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    /// The host profile that it is about.
    pub(super) fn profile(&self) -> Option<&Text> {
        match &self.origin {
            Origin::HostProfile(name) => Some(name),
            _ => None,
        }
    }

    /// A warning, as somebody else configures that part.
    pub(super) fn harmless_if(mut self, is_harmless: bool) -> Self {
        self.is_harmless = is_harmless;
        self
    }
}

/// Before the number of an item, where several items may have one name.
const NUMBER: char = '#';

/// An item by its number.
pub(super) fn number(index: usize) -> String {
    format!("{NUMBER}{index}")
}

/// The name of a Node, which is not in its spec.
pub(super) const OBJECT_NAME: &str = "metadata.name";

/// A path of names.
pub(super) fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

/// The parts of a written object, by name.
enum Tree {
    Leaf,
    Map(HashMap<String, Tree>),
    /// Items by name, or by what they are.
    List(HashMap<String, (usize, Tree)>),
}

impl Tree {
    fn of(part: &impl Serialize) -> Self {
        serde_json::to_value(part).map_or(Self::Leaf, Self::of_value)
    }

    fn of_value(value: Value) -> Self {
        match value {
            Value::Object(map) => Self::Map(map.into_iter().map(|(key, value)| (key, Self::of_value(value))).collect()),
            Value::Array(items) => {
                let mut list = HashMap::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let name = item.get("name").or(item.get("network")).unwrap_or(&item);
                    let name = name.as_str().map_or_else(|| index.to_string(), str::to_owned);
                    list.entry(name).or_insert((index, Self::of_value(item)));
                }
                Self::List(list)
            }
            _ => Self::Leaf,
        }
    }

    /// Appends the path in an object to `path`, as far as it leads.
    fn walk(&self, names: &[String], path: &mut String) {
        let Some((name, rest)) = names.split_first() else { return };
        match self {
            Self::Leaf => {}
            Self::Map(fields) => {
                if let Some(field) = fields.get(name) {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                    field.walk(rest, path);
                }
            }
            Self::List(items) => {
                if let Some((index, item)) = items.get(name) {
                    let _ = write!(path, "[{index}]");
                    item.walk(rest, path);
                }
            }
        }
    }
}

/// Finds where effective values were written. Keeps what it looked up, so that many findings cost little more than one.
pub(super) struct Locator<'a> {
    site: &'a Site,
    node: Option<&'a NodeSource>,
    parts: HashMap<Origin, Part>,
}

/// A written part: its object, its field path in it, and what is in it.
struct Part {
    object: String,
    base: String,
    tree: Option<Tree>,
}

impl<'a> Locator<'a> {
    pub(super) fn new(site: &'a Site, node: Option<&'a NodeSource>) -> Self {
        Self { site, node, parts: HashMap::new() }
    }

    /// Goes on to another Node.
    pub(super) fn at_node(&mut self, node: &'a NodeSource) {
        self.node = Some(node);
        self.parts.remove(&Origin::Node);
    }

    /// The object and the field path in it.
    pub(super) fn locate(&mut self, origin: &Origin, names: &[String]) -> (String, String) {
        let (site, node) = (self.site, self.node);
        let part = self.parts.entry(origin.clone()).or_insert_with(|| place(site, node, origin));
        let path = match names {
            [] => part.base.clone(),
            [name] if name == OBJECT_NAME => name.clone(),
            [field] => join(&part.base, field),
            [list, item, field] if item.starts_with(NUMBER) => {
                join(&part.base, &format!("{list}[{}].{field}", &item[NUMBER.len_utf8()..]))
            }
            names => {
                let tree = part.tree.get_or_insert_with(|| tree(site, node, origin));
                let mut path = part.base.clone();
                tree.walk(names, &mut path);
                path
            }
        };
        (part.object.clone(), path)
    }

    /// The finding at its place.
    pub(super) fn finding(&mut self, raw: &Raw) -> Finding {
        let (object, path) = self.locate(&raw.origin, &raw.path);
        let finding = raw.check.at(&object, path, raw.message.clone());
        if raw.is_harmless { Finding { severity: Severity::Warning, ..finding } } else { finding }
    }

    /// All of them.
    pub(super) fn findings<'r>(&mut self, raws: impl IntoIterator<Item = &'r Raw>) -> Vec<Finding> {
        raws.into_iter().map(|raw| self.finding(raw)).collect()
    }
}

fn place(site: &Site, node: Option<&NodeSource>, origin: &Origin) -> Part {
    let found = match origin {
        Origin::Default => None,
        Origin::Design => {
            let source = site.sources.iter().find(|source| source.spec.dns.is_some());
            source.map(|source| (source.object.clone(), source.base.clone()))
        }
        Origin::Node => node.map(|node| (format!("Node/{}", node.name), "spec".to_owned())),
        Origin::HostProfile(name) => site.profiles.place(site, name),
        Origin::HardwareProfile(name) => site.hardware.place(site, name),
        Origin::Network(name) => site.networks.place(site, name),
        Origin::NetworkLink(name) => site.links.place(site, name),
    };
    let (object, base) = found.unwrap_or_else(|| (site.object().to_owned(), site.base().to_owned()));
    Part { object, base, tree: None }
}

fn tree(site: &Site, node: Option<&NodeSource>, origin: &Origin) -> Tree {
    let found = match origin {
        Origin::Default => None,
        Origin::Design => site.dns().map(|dns| Tree::of(&serde_json::json!({ "dns": dns }))),
        Origin::Node => node.map(|node| Tree::of(&*node.design)),
        Origin::HostProfile(name) => site.profiles.get(name).map(|at| Tree::of(site.profile(at))),
        Origin::HardwareProfile(name) => site.hardware.get(name).map(|at| Tree::of(site.hardware_profile(at))),
        Origin::Network(name) => site.networks.get(name).map(|at| Tree::of(site.network(at))),
        Origin::NetworkLink(name) => site.links.get(name).map(|at| Tree::of(site.link(at))),
    };
    found.unwrap_or(Tree::Leaf)
}
