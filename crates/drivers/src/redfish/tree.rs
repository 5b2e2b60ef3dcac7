//! Where a BMC keeps what is looked at. Redfish fixes no paths below the service root: they are found by their links.

use std::collections::HashSet;

use serde_json::Value;
use slipway_plan::node::bmc::Command;

use super::client::Client;
use super::errors::Failure;
use super::json::{MAX_LIST, Path, Resource, elements, link, links, path, text};
use super::quirks::{Behaviour, has};
use super::{log, media};
use crate::bmc::reasons;

/// Pages of a collection are followed so far.
const MAX_PAGES: usize = 8;
/// So many members of a collection are read one by one, as a request each.
const MAX_READ: usize = 256;
/// A link with its annotations has so many properties at most; what has more is the member itself.
const MAX_LINK: usize = 4;
/// So many systems are named when none of them was meant.
const MAX_NAMED: usize = 10;

/// Paths of one system, and what its BMC is.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) system: Path,
    /// Where boot overrides are written, if not to the system.
    pub(super) settings: Option<Path>,
    /// The drive for virtual media that takes a CD.
    pub(super) media: Option<Path>,
    pub(super) managers: Vec<Path>,
    pub(super) chassis: Vec<Path>,
    /// Entries of the event log, once they were looked for.
    pub(super) log: log::Place,
    vendor: String,
    model: String,
    /// Members come with their collection.
    expands: bool,
}

impl Tree {
    /// Finds the system of this path, or the only one.
    pub(super) async fn find(client: &mut Client, named: Option<&str>) -> Result<Self, Failure> {
        let root = client.root().await?;
        client.log_in().await?;
        let system = system(client, named).await?;
        let body = &system.body;
        let vendor = text(body, "/Manufacturer").or(root.vendor).unwrap_or_default();
        let model = text(body, "/Model").unwrap_or_default();
        let mut managers = links(body, "/Links/ManagedBy");
        if managers.is_empty() {
            managers = links(body, "/Links/Managers");
        }
        let mut chassis = links(body, "/Links/Chassis");
        // Where a system does not tell, one that is alone has all there is.
        if named.is_none() && managers.is_empty() {
            managers = others(client, root.managers.as_ref()).await?;
        }
        if named.is_none() && chassis.is_empty() {
            chassis = others(client, root.chassis.as_ref()).await?;
        }
        let mut tree = Self {
            system: system.path.clone(),
            settings: settings(client, &system).await?,
            media: None,
            managers,
            chassis,
            log: log::Place::default(),
            expands: root.expands && !has(Behaviour::NoExpand, &vendor, &model),
            vendor,
            model,
        };
        tree.media = media::find(client, &tree, &system).await?;
        Ok(tree)
    }

    pub(super) fn has(&self, behaviour: Behaviour) -> bool {
        has(behaviour, &self.vendor, &self.model)
    }

    /// Who made it, if anybody says.
    pub(super) fn vendor(&self) -> Option<String> {
        Some(self.vendor.clone()).filter(|vendor| !vendor.is_empty())
    }

    /// The members of a collection; none if there is no such collection.
    pub(super) async fn members(&self, client: &mut Client, collection: &Path) -> Result<Vec<Resource>, Failure> {
        let mut members = Vec::new();
        let mut page = None;
        if self.expands {
            // Too much at once for some; one by one they may do.
            page = client.get_if_shown(&collection.query("$expand=.($levels=1)")).await?;
        }
        if page.is_none() {
            page = client.get_if_shown(collection).await?;
        }
        // Pages that lead back to one of before would be read again.
        let mut seen = HashSet::new();
        for _ in 0..MAX_PAGES {
            let Some(now) = page else { break };
            for member in elements(&now.body, "/Members") {
                let Some(path) = place_of(member, collection).filter(|path| seen.insert(path.clone())) else {
                    continue;
                };
                let is_whole = member.as_object().is_some_and(|member| member.len() > MAX_LINK);
                if is_whole {
                    members.push(Resource::new(path, member.clone(), None));
                } else if seen.len() <= MAX_READ {
                    // One that went away meanwhile, or that the BMC cannot show, does not hide the others.
                    members.extend(client.get_if_shown(&path).await?);
                }
            }
            page = match next_page(&now) {
                Some(next) if members.len() < MAX_LIST => client.get_if_shown(&next).await?,
                _ => None,
            };
        }
        Ok(members)
    }
}

/// Where a member of a collection is: by its link, else by its `Id`.
fn place_of(member: &Value, collection: &Path) -> Option<Path> {
    let by_id = || Path::parse(collection.join(&text(member, "/Id")?).as_str());
    link(member, "").or_else(by_id)
}

/// The next page of a collection.
pub(super) fn next_page(page: &Resource) -> Option<Path> {
    path(&page.body, "/Members@odata.nextLink").filter(|next| *next != page.path)
}

/// Where the members of a collection are, on all its pages.
async fn collection(client: &mut Client, path: Option<&Path>) -> Result<Vec<Path>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let mut members = Vec::new();
    let mut page = client.get_if_any(path).await?;
    for _ in 0..MAX_PAGES {
        let Some(now) = page else { break };
        for member in elements(&now.body, "/Members").filter_map(|member| place_of(member, path)) {
            if !members.contains(&member) {
                members.push(member);
            }
        }
        page = match next_page(&now) {
            Some(next) if members.len() < MAX_LIST => client.get_if_any(&next).await?,
            _ => None,
        };
    }
    Ok(members)
}

/// The same of what only adds to what is told.
async fn others(client: &mut Client, path: Option<&Path>) -> Result<Vec<Path>, Failure> {
    match collection(client, path).await {
        Err(failure) if failure.is_of_one() => Ok(Vec::new()),
        members => members,
    }
}

async fn system(client: &mut Client, named: Option<&str>) -> Result<Resource, Failure> {
    let peer = client.wire().peer().to_owned();
    let systems = client.root().await?.systems;
    let none = || {
        let what = format!("{peer} shows no system at all; a BMC that has just started may not know its host yet");
        Failure::from(reasons::BUSY.error(what))
    };
    if let Some(named) = named {
        let wrong = || reasons::SYSTEM_NOT_FOUND.error(format!("{named:?} is no path of a system"));
        // With a slash at its end it is another resource to some, and none.
        let path = Path::parse(named.trim_end_matches('/')).ok_or_else(wrong)?;
        return match client.get(&path).await {
            Err(failure) if failure.status() == Some(404) => {
                let there = collection(client, systems.as_ref()).await?;
                if there.is_empty() {
                    return Err(none());
                }
                let what = format!("{peer} has no system {path}; it has {}", names(&there));
                Err(reasons::SYSTEM_NOT_FOUND.error(what).into())
            }
            system => system,
        };
    }
    let there = collection(client, systems.as_ref()).await?;
    match there.as_slice() {
        [only] => client.get(only).await,
        [] => Err(none()),
        several => {
            let what = format!("{peer} has {} systems; name one in the address: {}", several.len(), names(several));
            Err(reasons::SYSTEM_NOT_FOUND.error(what).into())
        }
    }
}

fn names(paths: &[Path]) -> String {
    let mut names: Vec<_> = paths.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if paths.len() > MAX_NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// The resource of settings to come, if overrides are among them.
async fn settings(client: &mut Client, system: &Resource) -> Result<Option<Path>, Failure> {
    let Some(path) = link(&system.body, "/@Redfish.Settings/SettingsObject") else { return Ok(None) };
    let settings = client.get_if_shown(&path).await?;
    Ok(settings.filter(|settings| settings.body.pointer("/Boot/BootSourceOverrideTarget").is_some()).map(|_| path))
}

/// What a command is refused for that the BMC does not have.
pub(super) fn unsupported(command: &Command, why: &str) -> Failure {
    reasons::UNSUPPORTED.error(format!("this BMC cannot {command}: {why}")).into()
}
