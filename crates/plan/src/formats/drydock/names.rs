//! Names: what documents are called, and what refers to them.
//!
//! Names of documents become names of Kubernetes' style: lower-case letters, digits, `-` and `.`. What machines and MAAS
//! know by a name of its own keeps it: interfaces, disks, volume groups, aliases of devices, CPU sets, tags, repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use super::documents::{Envelope, Kind};
use super::read::Told;
use crate::finding::Finding;

/// Name of a Design whose site has no Region.
const NAMELESS: &str = "site";
/// Length that a name may have.
const LENGTH: usize = 253;

/// What each document is called.
pub(super) struct Names {
    design: String,
    by_name: BTreeMap<(Kind, String), String>,
    /// Names of the documents by their place; absent for one whose name an earlier one has.
    by_place: BTreeMap<(String, crate::formats::yaml::Location), String>,
}

impl Names {
    pub(super) fn of(envelopes: &[Envelope<'_>], wanted: Option<&str>, told: &Told) -> Self {
        let mut names = Self { design: String::new(), by_name: BTreeMap::new(), by_place: BTreeMap::new() };
        let mut taken: BTreeSet<(Kind, String)> = BTreeSet::new();
        // The last Region is the one that drydock uses.
        let region = envelopes.iter().rfind(|envelope| envelope.kind == Kind::Region);
        for envelope in envelopes {
            let key = (envelope.kind, envelope.name.to_owned());
            let is_ignored_region = envelope.kind == Kind::Region
                && region.is_some_and(|region| region.at != envelope.at || region.file != envelope.file);
            let is_second = names.by_name.contains_key(&key);
            if is_ignored_region || (is_second && refuse_second(envelope, told)) {
                continue;
            }
            let name = free(&kubernetes(envelope.name), envelope.kind, &mut taken);
            if name != envelope.name {
                Self::tell_renamed(envelope, &name, told);
            }
            names.by_place.insert((envelope.file.to_owned(), envelope.at), name.clone());
            names.by_name.entry(key).or_insert(name);
        }
        let of_region = region.and_then(|region| names.of_document(region)).map(str::to_owned);
        if of_region.is_none() && wanted.is_none() && !envelopes.is_empty() {
            let message = format!("there is no Region, so the Design is called `{NAMELESS}`");
            told.push(
                "",
                None,
                None,
                Finding::warning(codes::RENAMED, "", message).hint("choose its name with --name"),
            );
        }
        names.design = wanted.map(str::to_owned).or(of_region).unwrap_or_else(|| NAMELESS.to_owned());
        names
    }

    /// Name of the Design.
    pub(super) fn design(&self) -> &str {
        &self.design
    }

    /// What a document is called now; none if drydock does not use it.
    pub(super) fn of_document(&self, envelope: &Envelope<'_>) -> Option<&str> {
        self.by_place.get(&(envelope.file.to_owned(), envelope.at)).map(String::as_str)
    }

    /// What something that is referred to is called now; none if nothing is called so.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&str> {
        self.by_name.get(&(kind, name.to_owned())).map(String::as_str)
    }

    /// Whether something is called so now.
    pub(super) fn is_taken(&self, kind: Kind, name: &str) -> bool {
        self.by_name.iter().any(|((of, _), new)| *of == kind && new == name)
    }

    /// Networks that are called differently now: before and after.
    pub(super) fn renamed_networks(&self) -> impl Iterator<Item = (&str, &str)> {
        let networks = self.by_name.iter().filter(|((kind, old), new)| *kind == Kind::Network && old != *new);
        networks.map(|((_, old), new)| (old.as_str(), new.as_str()))
    }

    fn tell_renamed(envelope: &Envelope<'_>, name: &str, told: &Told) {
        let (kind, old) = (envelope.kind.text(), envelope.name);
        let message = if envelope.kind == Kind::BaremetalNode {
            format!("the node `{old:.100}` is called `{name:.100}` now, and so is its host")
        } else {
            format!("the {kind} `{old:.100}` is called `{name:.100}` now, also where others refer to it")
        };
        let finding = Finding::warning(codes::RENAMED, "metadata.name", message);
        told.push(envelope.file, Some(envelope.at), Some(envelope.title()), finding);
    }
}

/// Of two boot actions of one name drydock carries out both. Of two nodes it would make two machines with one name; of
/// everything else it uses the first.
fn refuse_second(envelope: &Envelope<'_>, told: &Told) -> bool {
    if envelope.kind == Kind::BaremetalNode {
        let message = format!("the node `{:.100}` is defined twice", envelope.name);
        let finding = Finding::error(codes::DOCUMENT, "metadata.name", message).hint("remove or rename one of the two");
        told.push(envelope.file, Some(envelope.at), Some(envelope.title()), finding);
    }
    envelope.kind != Kind::BootAction
}

/// The nearest name of Kubernetes' style (RFC 1123 labels, joined by dots).
pub(super) fn kubernetes(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' { c } else { '-' };
    let name: String = name.chars().map(|c| fits(c.to_ascii_lowercase())).take(LENGTH).collect();
    let labels: Vec<&str> =
        name.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty()).collect();
    if labels.is_empty() { "unnamed".to_owned() } else { labels.join(".") }
}

fn free(name: &str, kind: Kind, taken: &mut BTreeSet<(Kind, String)>) -> String {
    let numbered = |number: usize| {
        if number == 1 { name.to_owned() } else { format!("{}-{number}", &name[..name.len().min(LENGTH - 8)]) }
    };
    let free =
        (1..=taken.len() + 1).map(numbered).find(|name| !taken.contains(&(kind, name.clone()))).unwrap_or_default();
    taken.insert((kind, free.clone()));
    free
}
