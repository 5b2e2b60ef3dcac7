//! The last good model of a Design, kept as `ControllerRevisions` that it owns: what the model was compiled from, compressed,
//! in as many parts as its size needs.
//!
//! A part is named by what it holds, so that writing it again does nothing; the parts of older models go when all parts
//! of a newer one are there.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use slipway_api::Design;
use slipway_api::labels::DESIGN;
use slipway_drivers::Class;

use crate::error::Error;
use crate::reconcile::Pass;

/// Bytes of a part before it is text: with its third more it stays far below the 1.5 MB that etcd takes.
const PART: usize = 600 << 10;
/// Characters of a hash in a name.
const HASH: usize = 16;
/// Characters of the Design's name in that of a part, of 253.
const NAME: usize = 200;

/// What a part holds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    /// Hash of the model.
    hash: String,
    /// Generation of the Design.
    generation: i64,
    /// Number of this part, from 0.
    number: usize,
    /// Number of parts.
    of: usize,
    /// The part of the compressed site, as base64.
    site: String,
}

/// A model that was kept.
pub struct Kept {
    /// Hash of the model.
    pub hash: String,
    /// Generation of the Design that it was compiled from.
    pub generation: i64,
    /// What it was compiled from.
    pub site: Vec<u8>,
}

fn api(pass: &Pass<Design>) -> Api<ControllerRevision> {
    Api::namespaced(pass.context.client.clone(), &pass.key.namespace)
}

fn selector(pass: &Pass<Design>) -> ListParams {
    ListParams::default().labels(&format!("{DESIGN}={}", pass.object().uid().unwrap_or_default()))
}

/// Keeps a model; what was kept before goes.
pub async fn keep(pass: &Pass<Design>, kept: &Kept) -> Result<(), Error> {
    let api = api(pass);
    let mut names = BTreeSet::new();
    let of = kept.site.len().div_ceil(PART);
    for (number, site) in kept.site.chunks(PART).enumerate() {
        let site = BASE64_STANDARD.encode(site);
        let data = Part { hash: kept.hash.clone(), generation: kept.generation, number, of, site };
        let revision = revision(pass, &data);
        names.insert(revision.name_any());
        let created =
            pass.context.call("keep the model of a Design", api.create(&PostParams::default(), &revision)).await;
        match created {
            Ok(_) => {}
            // It is there: its name says what it holds.
            Err(error) if matches!(&error, Error::Api { source, .. } if is_conflict(source)) => {}
            Err(error) => return Err(error),
        }
    }
    remove(pass, |name| !names.contains(name)).await
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn revision(pass: &Pass<Design>, data: &Part) -> ControllerRevision {
    let object = pass.object();
    let (hash, name): (String, String) =
        (data.hash.chars().take(HASH).collect(), pass.key.name.chars().take(NAME).collect());
    let mut revision = ControllerRevision { revision: data.generation, ..ControllerRevision::default() };
    let meta = revision.meta_mut();
    // One of a Design that was deleted and made anew is another's.
    let uid = object.uid().unwrap_or_default();
    let of = uid.split('-').next().unwrap_or_default();
    meta.name = Some(format!("{name}-{of}-g{}-{hash}-{}", data.generation, data.number));
    meta.labels = Some(BTreeMap::from([(DESIGN.to_owned(), uid)]));
    meta.owner_references = object.controller_owner_ref(&()).map(|owner| vec![owner]);
    revision.data = serde_json::to_value(data).ok().map(RawExtension);
    revision
}

/// The model that was kept: that of this hash, if there is one, else the newest that is whole.
pub async fn load(pass: &Pass<Design>, hash: Option<&str>) -> Result<Option<Kept>, Error> {
    let found = pass.context.call("read the kept model of a Design", api(pass).list(&selector(pass))).await?;
    let mut models: BTreeMap<(i64, String), BTreeMap<usize, Part>> = BTreeMap::new();
    for revision in found {
        let data = revision.data.and_then(|data| serde_json::from_value::<Part>(data.0).ok());
        if let Some(part) = data {
            models.entry((part.generation, part.hash.clone())).or_default().insert(part.number, part);
        }
    }
    let mut whole: Vec<Kept> = models.values().filter_map(assembled).collect();
    whole.sort_by_key(|kept| (Some(kept.hash.as_str()) == hash, kept.generation));
    Ok(whole.pop())
}

fn assembled(parts: &BTreeMap<usize, Part>) -> Option<Kept> {
    let first = parts.get(&0)?;
    let (hash, generation) = (first.hash.clone(), first.generation);
    if parts.len() != first.of {
        return None;
    }
    let mut site = Vec::new();
    for part in parts.values() {
        site.extend(BASE64_STANDARD.decode(&part.site).ok()?);
    }
    Some(Kept { hash, generation, site })
}

/// Removes what was kept under names that are not wanted.
pub async fn remove(pass: &Pass<Design>, unwanted: impl Fn(&str) -> bool) -> Result<(), Error> {
    let api = api(pass);
    let found = pass.context.call("list the kept models of a Design", api.list_metadata(&selector(pass))).await?;
    for name in found.into_iter().map(|kept| kept.name_any()).filter(|name| unwanted(name)) {
        let gone =
            pass.context.call("remove an older model of a Design", api.delete(&name, &DeleteParams::default())).await;
        match gone {
            Err(error) if error.class() != Class::Conflict => return Err(error),
            // Not there any more.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(generation: i64, number: usize, of: usize) -> Part {
        let site = BASE64_STANDARD.encode([u8::try_from(number).unwrap()]);
        Part { hash: "h".into(), generation, number, of, site }
    }

    #[test]
    fn only_a_model_with_all_its_parts_is_used() {
        let of = |parts: Vec<Part>| assembled(&parts.into_iter().map(|part| (part.number, part)).collect());
        assert_eq!(of(vec![part(1, 0, 2), part(1, 1, 2)]).unwrap().site, [0, 1]);
        assert!(of(vec![part(1, 0, 2)]).is_none());
        assert!(of(vec![part(1, 1, 2)]).is_none());
    }
}
