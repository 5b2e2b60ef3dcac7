//! Host profiles, each with all that it extends.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::inherit::{Host, Layer};
use super::locate::Raw;
use super::model::{NetworkConfig, Origin, PlatformModel, StorageModel, Text};
use super::rules::Check;
use super::site::Site;

/// A host profile and, once a Node uses it, what it comes to on this site.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) host: Host,
    /// What is shared by all Nodes that override none of it, with what is wrong with it.
    pub(super) shared: OnceLock<Shared>,
}

/// What Nodes of one profile share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) network: Arc<NetworkConfig>,
    pub(super) storage: Arc<StorageModel>,
    pub(super) platform: Arc<PlatformModel>,
    pub(super) findings: Vec<Raw>,
}

/// Every host profile that can be compiled, and what is wrong with the others.
pub(super) fn profiles(site: &Site) -> (HashMap<Text, Profile>, Vec<Raw>) {
    let mut raws = Vec::new();
    let mut done: HashMap<Text, Profile> = HashMap::with_capacity(site.profiles.all.len());
    let mut broken: HashSet<Text> = HashSet::new();
    for (name, _) in &site.profiles.all {
        let chain = chain(site, name, &done, &broken, &mut raws);
        let (mut host, chain) = match chain {
            Ok(found) => found,
            Err(chain) => {
                broken.extend(chain);
                continue;
            }
        };
        // The eldest first.
        for name in chain.into_iter().rev() {
            let Some(at) = site.profiles.get(&name) else { continue };
            let mut found = Vec::new();
            host = host.overlaid(&Layer::of_profile(site.profile(at)), &mut found);
            if !found.is_empty() {
                let unread = site.unread_of_profile(Some(&name));
                raws.extend(found.into_iter().filter(|raw| !raw.is_of_unread(&unread)));
            }
            done.insert(name, Profile { host: host.clone(), shared: OnceLock::new() });
        }
    }
    (done, raws)
}

/// The profiles between one and the nearest ancestor that is done, with that ancestor. An error are the profiles that lead
/// into a circle or to a broken ancestor. Not recursive: a chain may be as long as a Design.
fn chain(
    site: &Site,
    name: &Text,
    done: &HashMap<Text, Profile>,
    broken: &HashSet<Text>,
    raws: &mut Vec<Raw>,
) -> Result<(Host, Vec<Text>), Vec<Text>> {
    let mut chain: Vec<Text> = Vec::new();
    let mut on_the_way: HashSet<Text> = HashSet::new();
    let mut current = name.clone();
    loop {
        if let Some(profile) = done.get(&current) {
            return Ok((profile.host.clone(), chain));
        }
        if broken.contains(&current) {
            return Err(chain);
        }
        if !on_the_way.insert(current.clone()) {
            let from = chain.iter().position(|one| *one == current).unwrap_or(0);
            let circle: Vec<&str> = chain[from..].iter().map(|one| &**one).take(10).collect();
            let message = format!("host profiles extend each other in a circle: {} → {current}", circle.join(" → "));
            raws.push(Raw::new(Check::InheritanceCycle, Origin::HostProfile(current), vec!["extends".into()], message));
            return Err(chain);
        }
        chain.push(current.clone());
        let Some(at) = site.profiles.get(&current) else { return Err(chain) };
        match &site.profile(at).extends {
            None if site.profiles.is_unread(site, &current, "extends") => return Err(chain),
            None => return Ok((Host::default(), chain)),
            Some(parent) if site.profiles.get(parent).is_some() => current = parent.as_str().into(),
            Some(parent) => {
                if !site.profiles.knows(site, parent) {
                    let near = site.profiles.near(parent);
                    let message = format!("host profile `{parent:.100}` is not defined{near}");
                    raws.push(Raw::new(
                        Check::Undefined,
                        Origin::HostProfile(current),
                        vec!["extends".into()],
                        message,
                    ));
                }
                return Err(chain);
            }
        }
    }
}
