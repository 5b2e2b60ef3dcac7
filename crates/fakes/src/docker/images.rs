//! Images on the engine.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::engine::{Engine, Stored};
use super::http::{Answer, Refusal, Reply, Request};
use super::image::Image;
use super::reference::Reference;

impl Engine {
    /// The ID of an image by tag, digest, ID or the beginning of an ID.
    pub(super) fn find_image(&self, name: &str) -> Result<String, Refusal> {
        if self.images.contains_key(name) {
            return Ok(name.to_owned());
        }
        let reference = Reference::parse(name);
        let named = |stored: &Stored| match &reference.digest {
            Some(digest) => stored.digests.contains(&format!("{}@{digest}", reference.repository)),
            None => reference.tagged().is_some_and(|tagged| stored.tags.contains(&tagged)),
        };
        let short = name.strip_prefix("sha256:").unwrap_or(name);
        let by_beginning = |id: &str| short.len() >= 4 && id["sha256:".len()..].starts_with(short);
        let found = self.images.iter().find(|(_, stored)| named(stored));
        let found = found.or_else(|| self.images.iter().find(|(id, _)| by_beginning(id)));
        found.map(|(id, _)| id.clone()).ok_or_else(|| {
            let message = if self.version.is_new() {
                format!("No such image: {reference}")
            } else {
                format!("no such image: {name}: No such image: {reference}")
            };
            Refusal::new(404, message)
        })
    }

    /// Puts an image onto the engine under a reference. A tag moves.
    pub(super) fn store_image(&mut self, reference: &Reference, image: Image, from_registry: bool) {
        let id = image.id.clone();
        let digest = format!("{}@{}", reference.repository, image.digest);
        if let Some(tagged) = reference.tagged() {
            for stored in self.images.values_mut() {
                stored.tags.remove(&tagged);
            }
        }
        let stored =
            self.images.entry(id).or_insert_with(|| Stored { image, tags: BTreeSet::new(), digests: BTreeSet::new() });
        if from_registry {
            stored.digests.insert(digest);
        }
        if reference.digest.is_none() {
            stored.tags.extend(reference.tagged());
        }
    }

    /// A pull has come to its end: whether something is new.
    pub(super) fn pulled(&mut self, reference: &Reference, image: Image) -> bool {
        let known = self.find_image(&reference.to_string()).is_ok_and(|id| id == image.id);
        self.store_image(reference, image, true);
        let now = self.now();
        let name = reference.to_string();
        self.emit(now, "image", "pull", &name, &json!({ "name": reference.repository }));
        !known
    }

    pub(super) fn image_list(&self, request: &Request) -> Reply {
        let filters = request.filters()?;
        let fits = |stored: &Stored| {
            filters.any("reference", |wanted| {
                stored
                    .tags
                    .iter()
                    .any(|tag| tag == wanted || tag.rsplit_once(':').is_some_and(|(name, _)| name == wanted))
            }) && filters.any("dangling", |wanted| stored.tags.is_empty() == (wanted == "true" || wanted == "1"))
                && filters.labels(&stored.image.config["Labels"])
        };
        let images: Vec<_> = self
            .images
            .values()
            .filter(|stored| fits(stored))
            .map(|stored| {
                json!({
                    "Id": stored.image.id, "ParentId": "", "RepoTags": stored.tags, "RepoDigests": stored.digests,
                    "Created": 0, "Size": 1_000_000, "VirtualSize": 1_000_000, "SharedSize": -1, "Containers": -1,
                    "Labels": stored.image.config["Labels"],
                })
            })
            .collect();
        Ok(Answer::Json(200, json!(images)))
    }

    pub(super) fn image_inspect(&self, name: &str) -> Reply {
        let stored = &self.images[&self.find_image(name)?];
        Ok(Answer::Json(
            200,
            json!({
                "Id": stored.image.id,
                "RepoTags": stored.tags,
                "RepoDigests": stored.digests,
                "Parent": "",
                "Comment": "",
                "Created": "2026-01-01T00:00:00Z",
                "DockerVersion": "",
                "Author": "",
                "Config": stored.image.config,
                "Architecture": stored.image.architecture,
                "Os": "linux",
                "Size": 1_000_000,
                "VirtualSize": 1_000_000,
                "GraphDriver": { "Name": "overlay2", "Data": null },
                "RootFS": { "Type": "layers", "Layers": [stored.image.id] },
                "Metadata": { "LastTagTime": "0001-01-01T00:00:00Z" },
            }),
        ))
    }

    pub(super) fn image_tag(&mut self, name: &str, request: &Request) -> Reply {
        let id = self.find_image(name)?;
        let tag = request.text("tag");
        let text =
            if tag.is_empty() { request.text("repo").to_owned() } else { format!("{}:{tag}", request.text("repo")) };
        let reference = Reference::parse(&text);
        let image = self.images[&id].image.clone();
        self.store_image(&reference, image, false);
        let now = self.now();
        self.emit(now, "image", "tag", &id, &json!({ "name": reference.to_string() }));
        Ok(Answer::Empty(201))
    }

    pub(super) fn image_remove(&mut self, name: &str, request: &Request) -> Reply {
        let reference = Reference::parse(name);
        let id = self.find_image(name).map_err(|_| Refusal::new(404, format!("No such image: {reference}")))?;
        let by_id = name == id || !self.images[&id].tags.contains(&reference.to_string()) && reference.digest.is_none();
        let users: Vec<_> = self.containers.values().filter(|container| container.image_id == id).collect();
        let short = &id["sha256:".len()..][..12];
        let tags = self.images[&id].tags.len();
        let user = users.first().map(|container| (container.id[..12].to_owned(), container.is_up()));
        if let (Some((user, up)), false) = (&user, request.flag("force")) {
            if by_id {
                let (how, what) = if *up { ("cannot be forced", "running") } else { ("must be forced", "stopped") };
                let message = format!(
                    "conflict: unable to delete {short} ({how}) - image is being used by {what} container {user}"
                );
                return Err(Refusal::new(409, message));
            }
            if tags <= 1 && reference.digest.is_none() {
                let message = format!(
                    "conflict: unable to remove repository reference \"{name}\" (must force) - container {user} is using its referenced image {short}"
                );
                return Err(Refusal::new(409, message));
            }
        }
        if by_id && tags > 1 && !request.flag("force") {
            let message = format!(
                "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
            );
            return Err(Refusal::new(409, message));
        }
        Ok(Answer::Json(200, self.untag(&id, &reference, by_id, user.is_some())))
    }

    fn untag(&mut self, id: &str, reference: &Reference, all: bool, in_use: bool) -> Value {
        let Some(stored) = self.images.get_mut(id) else { return json!([]) };
        let goes = |name: &String| all || *name == reference.to_string();
        let mut untagged: Vec<String> = stored.tags.iter().filter(|name| goes(name)).cloned().collect();
        stored.tags.retain(|name| !goes(name));
        // The digests of a repository go with its last tag.
        let kept: BTreeSet<String> = stored.tags.iter().map(|tag| Reference::parse(tag).repository).collect();
        let orphaned = |name: &String| {
            let repository = Reference::parse(name).repository;
            goes(name) || (!kept.contains(&repository) && repository == reference.repository)
        };
        untagged.extend(stored.digests.iter().filter(|name| orphaned(name)).cloned());
        stored.digests.retain(|name| !orphaned(name));
        let gone = stored.tags.is_empty() && stored.digests.is_empty() && !in_use;
        let mut report: Vec<Value> = untagged.iter().map(|name| json!({ "Untagged": name })).collect();
        let now = self.now();
        for name in &untagged {
            self.emit(now, "image", "untag", id, &json!({ "name": name }));
        }
        if gone {
            self.images.remove(id);
            report.push(json!({ "Deleted": id }));
            self.emit(now, "image", "delete", id, &json!({ "name": id }));
        }
        report.into()
    }

    pub(super) fn distribution_inspect(&self, name: &str, request: &Request) -> Reply {
        let image = self.registry.find(&Reference::parse(name), request.login.as_ref(), false)?;
        Ok(Answer::Json(
            200,
            json!({
                "Descriptor": {
                    "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": image.digest, "size": 527,
                },
                "Platforms": [{ "architecture": image.architecture, "os": "linux" }],
            }),
        ))
    }
}

/// What a pull request asks for: tag and digest may come in either parameter.
pub(super) fn pull_reference(request: &Request) -> Reference {
    let (name, tag) = (request.text("fromImage"), request.text("tag"));
    match tag {
        "" => Reference::parse(name),
        digest if digest.contains(':') => Reference::parse(&format!("{name}@{digest}")),
        tag => Reference::parse(&format!("{name}:{tag}")),
    }
}
