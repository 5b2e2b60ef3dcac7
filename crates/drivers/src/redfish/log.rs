//! The event log: the SEL, or what the vendor calls it.

use std::cmp::Reverse;

use serde_json::Value;
use slipway_plan::node::bmc::SelEntry;

use super::client::Client;
use super::errors::Failure;
use super::health;
use super::json::{Path, Resource, elements, link, text, whole, word};
use super::tree::{Tree, next_page};
use crate::bmc::reasons;

/// What the log of the hardware is called, best first: iDRAC and `OpenBMC`, iLO, `OpenBMC`, Supermicro.
const NAMES: [&str; 5] = ["sel", "iml", "eventlog", "log1", "log"];
/// Pages and entries that are looked at: logs of a thousand entries are common, and some BMCs show the oldest first.
const MAX_PAGES: usize = 8;
const MAX_ENTRIES: usize = 4096;

/// Where the entries are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Not looked for yet.
    #[default]
    Unknown,
    Nowhere,
    At(Path),
}

/// The newest entries, newest first.
pub(super) async fn entries(client: &mut Client, tree: &mut Tree, most: usize) -> Result<Vec<SelEntry>, Failure> {
    let Some(place) = place(client, tree).await? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    let mut page = client.get_if_any(&place).await?;
    for _ in 0..MAX_PAGES {
        let Some(now) = page else { break };
        entries.extend(elements(&now.body, "/Members").filter_map(entry));
        page = match next_page(&now) {
            Some(next) if entries.len() < MAX_ENTRIES => client.get_if_any(&next).await?,
            _ => None,
        };
    }
    sort(&mut entries);
    // Pages may lead back to one of before.
    entries.dedup();
    entries.truncate(most);
    Ok(entries)
}

/// What changes with every entry: how many there are, and the newest of the first page.
pub(super) async fn newest(client: &mut Client, tree: &mut Tree) -> Result<Option<String>, Failure> {
    let Some(place) = place(client, tree).await? else { return Ok(None) };
    let page = match client.get_if_any(&place).await {
        // A log that is too large to be read tells nothing, and hides nothing else.
        Err(Failure::Lost(lost)) if lost.error.reason() == reasons::ANSWER_INVALID.word => None,
        page => page?,
    };
    Ok(page.map(|page| mark(&page)))
}

fn mark(page: &Resource) -> String {
    let mut entries: Vec<_> = elements(&page.body, "/Members").filter_map(entry).collect();
    let count = whole(&page.body, "/Members@odata.count").unwrap_or(entries.len() as u64);
    sort(&mut entries);
    let newest =
        entries.first().map(|entry| entry.at.map_or_else(|| entry.id.clone(), |at| format!("{} {at}", entry.id)));
    format!("{count}: {}", newest.unwrap_or_default())
}

/// Newest first: by time, then by number.
fn sort(entries: &mut [SelEntry]) {
    entries.sort_by_cached_key(|entry| Reverse((entry.at, entry.id.parse::<u64>().ok(), entry.id.clone())));
}

/// Finds the entries, once.
async fn place(client: &mut Client, tree: &mut Tree) -> Result<Option<Path>, Failure> {
    if tree.log == Place::Unknown {
        tree.log = find(client, tree).await?.map_or(Place::Nowhere, Place::At);
    }
    Ok(match &tree.log {
        Place::At(path) => Some(path.clone()),
        Place::Nowhere | Place::Unknown => None,
    })
}

async fn find(client: &mut Client, tree: &Tree) -> Result<Option<Path>, Failure> {
    let mut best: Option<(usize, Path)> = None;
    for owner in std::iter::once(&tree.system).chain(&tree.managers) {
        let owner = client.get_if_shown(owner).await?;
        let Some(services) = owner.and_then(|owner| link(&owner.body, "/LogServices")) else { continue };
        for service in tree.members(client, &services).await? {
            let Some(entries) = link(&service.body, "/Entries") else { continue };
            let name = service.path.last().to_lowercase();
            let rank = NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len());
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, entries));
            }
        }
    }
    Ok(best.map(|(_, entries)| entries))
}

/// An entry, as far as it says anything.
pub(super) fn entry(entry: &Value) -> Option<SelEntry> {
    let message = text(entry, "/Message").or_else(|| text(entry, "/MessageId"))?;
    Some(SelEntry {
        id: text(entry, "/Id").unwrap_or_default(),
        at: text(entry, "/Created").and_then(|at| at.parse().ok()),
        level: health::named(word(entry, "/Severity").as_deref()),
        sensor: text(entry, "/SensorType"),
        message,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_is_first_whatever_order_the_bmc_has() {
        let entry = |id: &str, at: &str| entry(&json!({"Id": id, "Created": at, "Message": "x"})).unwrap();
        let mut entries = [
            entry("9", "2026-11-21T10:00:00+00:00"),
            entry("10", "2026-11-21T10:00:00Z"),
            entry("11", "0000-00-00T00:00:00Z"),
            entry("8", "2026-11-21T12:00:00+01:00"),
        ];
        sort(&mut entries);
        assert_eq!(entries.map(|entry| entry.id), ["8", "10", "9", "11"]);
    }
}
