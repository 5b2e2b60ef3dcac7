//! Images: which digest each reference stands for, so that all hosts run the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use slipway_api::container_service::{ContainerServiceStatus, PullPolicy, ResolvedImage};

use super::look::{later, signed};
use super::{Fault, ImageView, Nodes};
use crate::container_service::observed::Host;
use crate::container_service::validate::Valid;

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    /// `sha256:…` of the manifest in its registry, or of the image itself.
    pub digest: String,
    /// It never was in a registry: each host runs what it has under the reference.
    pub local: bool,
    /// When it was looked up; only if tags are followed.
    pub resolved_at: Option<Timestamp>,
}

/// By reference as written: what it stands for, or why that is not known.
pub(super) type Pins = BTreeMap<String, Result<Pin, Fault>>;

/// The image references whose digest has to be looked up in their registry before [`plan`](super::plan()).
///
/// A digest is looked up once; with `pullPolicy: Always`, once for each generation of the spec; with `images.follow`, again and
/// again. With `IfNotPresent` an image that a host already has is taken as it is.
pub fn images_to_resolve(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> BTreeSet<String> {
    if !nodes.0.values().any(|node| node.matches) {
        return BTreeSet::new();
    }
    let asks = |image: &&String| {
        if valid.images.pull_policy == PullPolicy::Never || written_digest(image).is_some() || is_local(image, nodes) {
            return false;
        }
        match recorded(old, image) {
            Some(_) if is_stale(valid, generation, old) => true,
            Some(record) => due(valid, record).is_some_and(|at| at <= now),
            None => valid.images.pull_policy == PullPolicy::Always || on_a_host(image, nodes).is_none(),
        }
    };
    references(valid).filter(asks).cloned().collect()
}

/// What every reference stands for now.
pub(super) fn pin(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    images: &ImageView,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> Pins {
    let follows = valid.images.follow.is_some();
    let one = |image: &String| {
        if let Some(digest) = written_digest(image) {
            return Ok(Pin { digest: digest.into(), local: false, resolved_at: None });
        }
        let asked = images.0.get(image);
        let local = is_local(image, nodes);
        let spec_changed = old.observed_generation != Some(generation);
        let record = recorded(old, image)
            .filter(|_| !is_stale(valid, generation, old))
            // A local image that was built anew under its tag: no registry has the old one, so a new spec takes the new one.
            .filter(|record| !(local && spec_changed && !has_id(&record.digest, nodes)));
        match (asked, record) {
            (Some(Ok(digest)), _) => {
                Ok(Pin { digest: digest.clone(), local: false, resolved_at: follows.then_some(now) })
            }
            // A registry that is away takes nothing from what runs: it is asked again when that is next due.
            (asked, Some(record)) if !(local && follows) => Ok(Pin {
                digest: record.digest.clone(),
                local: local && has_id(&record.digest, nodes),
                resolved_at: match asked {
                    Some(_) => follows.then_some(now),
                    None => record.resolved_at.as_ref().and_then(|at| at.parse().ok()).filter(|_| follows),
                },
            }),
            (asked, record) => match on_a_host(image, nodes) {
                Some(digest) if valid.images.pull_policy != PullPolicy::Always || local => Ok(Pin {
                    digest,
                    local,
                    resolved_at: follows
                        .then(|| record.and_then(|r| r.resolved_at.as_ref()?.parse().ok()).unwrap_or(now)),
                }),
                _ => Err(match asked {
                    Some(Err(fault)) => fault.clone(),
                    _ => unknown(valid, image),
                }),
            },
        }
    };
    references(valid).map(|image| (image.clone(), one(image))).collect()
}

fn unknown(valid: &Valid, image: &str) -> Fault {
    if valid.images.pull_policy == PullPolicy::Never {
        return Fault {
            reason: "ImageMissing".into(),
            message: format!("no host has image {image}, and images.pullPolicy is Never: load it there"),
            needs_person: true,
        };
    }
    Fault {
        reason: "ImageUnresolved".into(),
        message: format!("the digest of image {image} has not been looked up yet"),
        needs_person: false,
    }
}

/// What goes into the status.
pub(super) fn records(pins: &Pins) -> Vec<ResolvedImage> {
    let known = pins.iter().filter_map(|(image, pin)| Some((image, pin.as_ref().ok()?)));
    known
        .filter(|(image, _)| written_digest(image).is_none())
        .map(|(image, pin)| ResolvedImage {
            image: image.clone(),
            digest: pin.digest.clone(),
            resolved_at: pin.resolved_at.map(|at| at.to_string()),
        })
        .collect()
}

/// When tags are looked up next.
pub(super) fn next_look_up(valid: &Valid, pins: &Pins) -> Option<Timestamp> {
    let every = valid.images.follow?;
    pins.values().filter_map(|pin| Some(later(pin.as_ref().ok()?.resolved_at?, signed(every)))).min()
}

/// Whether a host has what a reference stands for.
pub(super) fn has(host: &Host, image: &str, pin: &Pin) -> bool {
    host.images.get(image).is_some_and(|i| pin.local || i.id == pin.digest || i.digests.contains(&pin.digest))
}

fn references(valid: &Valid) -> impl Iterator<Item = &String> {
    valid.definition.containers.values().map(|c| &c.image).collect::<BTreeSet<_>>().into_iter()
}

/// The digest that a reference itself names (`repository@sha256:…`).
fn written_digest(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

fn recorded<'a>(old: &'a ContainerServiceStatus, image: &str) -> Option<&'a ResolvedImage> {
    old.images.iter().find(|i| i.image == image)
}

/// What is recorded was for an earlier spec, and each gets its own look-up.
fn is_stale(valid: &Valid, generation: i64, old: &ContainerServiceStatus) -> bool {
    valid.images.pull_policy == PullPolicy::Always && old.observed_generation != Some(generation)
}

fn due(valid: &Valid, record: &ResolvedImage) -> Option<Timestamp> {
    let every = signed(valid.images.follow?);
    let at = record.resolved_at.as_ref().and_then(|at| at.parse().ok());
    Some(at.map_or(Timestamp::MIN, |at| later(at, every)))
}

fn hosts(nodes: &Nodes) -> impl Iterator<Item = &Host> {
    nodes.0.values().filter(|n| n.matches).filter_map(|n| n.host.as_ref())
}

/// Hosts have it, and none of them from a registry.
fn is_local(image: &str, nodes: &Nodes) -> bool {
    let mut seen = hosts(nodes).filter_map(|h| h.images.get(image)).peekable();
    seen.peek().is_some() && seen.all(|i| i.digests.is_empty())
}

fn has_id(digest: &str, nodes: &Nodes) -> bool {
    hosts(nodes).flat_map(|h| h.images.values()).any(|i| i.id == digest)
}

/// The digest of what the first host has; one that came from a registry first, since the other hosts can get it too.
fn on_a_host(image: &str, nodes: &Nodes) -> Option<String> {
    let found = || hosts(nodes).filter_map(|h| h.images.get(image));
    let pulled = found().find_map(|i| i.digests.first());
    pulled.or_else(|| found().map(|i| &i.id).next()).cloned()
}
