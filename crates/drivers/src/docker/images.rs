//! Images: pulled by digest and tagged as written, found on the host, resolved through the engine, and removed again.
//!
//! Docker images cannot be labelled. So an image that was not on the host before it was pulled for Slipway gets one tag more,
//! `slipway.dev/pulled:<its ID>`: the mark that it may be removed again. Removing it takes away that tag and those of the
//! repository that it was pulled from. What somebody tagged in another way stays, and so does what any container uses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use futures::StreamExt;
use http::{HeaderName, HeaderValue};
use serde_json::json;
use slipway_plan::container_service::observed::Image;

use super::client::{Client, segment};
use super::errors::CallError;
use super::lines::lines;
use super::observe;
use super::reasons;
use super::text::printable;
use super::{Pull, RegistryLogin, wire};
use crate::DriverError;

const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");
/// The engine answers a pull only when the registry has answered it.
const START_DEADLINE: Duration = Duration::from_secs(90);
const RESOLVE_DEADLINE: Duration = Duration::from_mins(1);
/// A pull that says nothing for so long is given up. Extracting one large layer is silent too on a slow disk.
const STALL: Duration = Duration::from_mins(2);
const REMOVE_DEADLINE: Duration = Duration::from_mins(1);
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// An image has at most 127 layers; more lines of progress than this many IDs are not kept.
const MAX_LAYERS: usize = 1024;

/// Repository of the marks.
const PULLED: &str = "slipway.dev/pulled";

/// An image reference, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// With the registry, as written.
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl Reference {
    /// `[registry[:port]/]name[:tag][@digest]`.
    pub(super) fn parse(image: &str) -> Self {
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (image, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// The digests of this repository among an image's.
    pub(super) fn digests(&self, repo_digests: &[String]) -> Vec<String> {
        let ours = repo_digests.iter().filter_map(|entry| entry.split_once('@'));
        ours.filter(|(repository, _)| familiar(repository) == familiar(&self.repository))
            .map(|(_, digest)| digest.to_owned())
            .collect()
    }

    fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }
}

/// Docker Hub's repositories have several spellings.
fn familiar(repository: &str) -> &str {
    let name = repository.strip_prefix("docker.io/").or_else(|| repository.strip_prefix("index.docker.io/"));
    name.unwrap_or(repository).strip_prefix("library/").unwrap_or(name.unwrap_or(repository))
}

/// The wanted image on the host: a reference that leads to it now, and its ID.
pub(super) async fn locate(client: &Client, image: &str, digest: Option<&str>) -> Result<(String, Image), CallError> {
    let tagged = observe::image(client, image).await?;
    let Some(digest) = digest else {
        return tagged.map(|found| (image.to_owned(), found)).ok_or_else(|| missing(image));
    };
    if let Some(found) = tagged.filter(|found| found.id == digest || found.digests.iter().any(|known| known == digest))
    {
        return Ok((image.to_owned(), found));
    }
    // The tag leads elsewhere on this host; what was resolved is run all the same.
    let exact = format!("{}@{digest}", Reference::parse(image).repository);
    if let Some(found) = observe::image(client, &exact).await? {
        return Ok((exact, found));
    }
    // An image that was never in a registry is known by its ID only.
    match observe::image(client, digest).await? {
        Some(found) if found.id == digest => Ok((digest.to_owned(), found)),
        _ => Err(missing(&exact)),
    }
}

fn missing(reference: &str) -> CallError {
    CallError::Failed(reasons::IMAGE_NOT_FOUND.error(format!("the host has no image {}", printable(reference, 300))))
}

fn auth(login: &RegistryLogin) -> Result<HeaderValue, DriverError> {
    let login = match &login.identity_token {
        Some(token) => json!({ "identitytoken": token, "serveraddress": login.server }),
        None => json!({ "username": login.username, "password": login.password, "serveraddress": login.server }),
    };
    let mut value = HeaderValue::from_str(&BASE64_URL_SAFE.encode(login.to_string()))
        .map_err(|_| reasons::IMAGE_DENIED.error("the registry login cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the registry has for a reference now, asked through the engine.
pub(super) async fn resolve(
    client: &Client,
    image: &str,
    login: Option<&RegistryLogin>,
) -> Result<String, DriverError> {
    let what = format!("ask the registry for {}", printable(image, 300));
    let mut call = client.get(format!("/distribution/{}/json", segment(image))).deadline(RESOLVE_DEADLINE);
    if let Some(login) = login {
        call = call.header(REGISTRY_AUTH, auth(login)?);
    }
    let found: wire::Distribution = call.read().await.map_err(|error| error.of_registry(&what))?;
    let digest = found.descriptor.digest;
    if digest.starts_with("sha256:") {
        return Ok(digest);
    }
    Err(reasons::ENGINE_ERROR.error(format!("cannot {what}: the answer has no digest")))
}

/// Pulls an image and gives it the tag that was written.
pub(super) async fn pull(
    client: &Client,
    pull: &Pull,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<(), DriverError> {
    let written = Reference::parse(&pull.image);
    let digest = pull.digest.as_deref().or(written.digest.as_deref());
    let what = format!("pull {}", printable(&pull.image, 300));
    let before = ids(client).await.map_err(|error| error.of(&what))?;
    let call = client.post("/images/create").deadline(START_DEADLINE);
    let call = call.query("fromImage", &written.repository).query("tag", digest.unwrap_or(written.tag_or_latest()));
    let call = match &pull.platform {
        Some(platform) => call.query("platform", platform),
        None => call,
    };
    let call = match &pull.login {
        Some(login) => call.header(REGISTRY_AUTH, auth(login)?),
        None => call,
    };
    let answer = call.stream().await.map_err(|error| error.of_registry(&what))?;
    follow(answer, &pull.image, progress).await.map_err(|error| error.of_registry(&what))?;
    name(client, &written, digest, &before).await.map_err(|error| error.of(&what))
}

/// The IDs of all images on the host.
async fn ids(client: &Client) -> Result<BTreeSet<String>, CallError> {
    let images: wire::List<wire::Image> = client.get("/images/json").read().await?;
    Ok(images.0.into_iter().map(|image| image.id).collect())
}

/// Gives a pulled image its tag, and the mark if it was not there before.
async fn name(
    client: &Client,
    written: &Reference,
    digest: Option<&str>,
    before: &BTreeSet<String>,
) -> Result<(), CallError> {
    let exact = match digest {
        Some(digest) => format!("{}@{digest}", written.repository),
        None => format!("{}:{}", written.repository, written.tag_or_latest()),
    };
    if digest.is_some() && written.digest.is_none() {
        tag(client, &exact, &written.repository, written.tag_or_latest()).await?;
    }
    let image = observe::image(client, &exact).await?.ok_or_else(|| missing(&exact))?;
    match image.id.strip_prefix("sha256:") {
        Some(id) if !before.contains(&image.id) => tag(client, &exact, PULLED, id).await,
        _ => Ok(()),
    }
}

async fn tag(client: &Client, image: &str, repository: &str, tag: &str) -> Result<(), CallError> {
    let call = client.post(format!("/images/{}/tag", segment(image)));
    call.query("repo", repository).query("tag", tag).send().await.map(drop)
}

/// The images that carry the mark: their IDs, by the mark.
pub(super) async fn pulled(client: &Client) -> Result<BTreeMap<String, String>, CallError> {
    let filters = json!({ "reference": [PULLED] }).to_string();
    let images: wire::List<wire::Image> = client.get("/images/json").query("filters", &filters).read().await?;
    let marked = images.0.into_iter().filter_map(|image| {
        let mark = image.repo_tags.iter().find(|tag| is_mark(tag))?.clone();
        Some((mark, image.id))
    });
    Ok(marked.collect())
}

fn is_mark(reference: &str) -> bool {
    Reference::parse(reference).repository == PULLED
}

/// Removes a marked image with the names that pulling gave it, unless a container uses it.
pub(super) async fn remove(client: &Client, mark: &str) -> Result<(), CallError> {
    if !is_mark(mark) {
        return Err(reasons::NOT_OURS.error(format!("{} was not pulled for Slipway", printable(mark, 300))).into());
    }
    let path = format!("/images/{}/json", segment(mark));
    let Some(image) = observe::present(client.get(path).read::<wire::Image>().await)? else { return Ok(()) };
    let filters = json!({ "ancestor": [image.id] }).to_string();
    let users = client.get("/containers/json").query("all", "1").query("filters", &filters);
    if let Some(user) = users.read::<wire::List<wire::ContainerSummary>>().await?.0.first() {
        return Err(reasons::IMAGE_IN_USE.error(format!("container {} uses the image", user.name())).into());
    }
    let from: BTreeSet<_> = image.repo_digests.iter().map(|digest| Reference::parse(digest).repository).collect();
    let tags = image.repo_tags.iter().filter(|tag| from.contains(&Reference::parse(tag).repository));
    // The mark goes last: broken off half way, it is still there for the next try.
    for name in tags.chain(&image.repo_digests).map(String::as_str).filter(|name| !is_mark(name)).chain([mark]) {
        let removed = client.delete(format!("/images/{}", segment(name))).deadline(REMOVE_DEADLINE).send().await;
        observe::present(removed)?;
    }
    Ok(())
}

/// Reads the progress until the end; an error in it is the pull's.
async fn follow(
    answer: http::Response<hyper::body::Incoming>,
    image: &str,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<(), CallError> {
    let mut said = Said::default();
    let mut reported: Option<Instant> = None;
    let mut lines = std::pin::pin!(lines::<wire::PullLine>(answer.into_body()));
    loop {
        let Ok(line) = tokio::time::timeout(STALL, lines.next()).await else {
            let what = format!("no progress for {} s", STALL.as_secs());
            return Err(CallError::Failed(reasons::TIMED_OUT.error(what)));
        };
        let Some(line) = line else { return Ok(()) };
        let line = line?;
        if !line.error.is_empty() {
            return Err(CallError::Engine { status: 500, message: printable(&line.error, 500) });
        }
        if said.hear(line) && reported.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            reported = Some(Instant::now());
            progress(format!("pulling {image}: {said}"));
        }
    }
}

/// What was said of each layer.
#[derive(Default)]
struct Said(BTreeMap<String, (u64, u64)>);

impl Said {
    /// Takes a line in; true if it tells how far it is.
    fn hear(&mut self, line: wire::PullLine) -> bool {
        // Extraction counts the same bytes again.
        let downloading = line.status == "Downloading" && line.detail.total > 0;
        if downloading && (self.0.len() < MAX_LAYERS || self.0.contains_key(&line.id)) {
            self.0.insert(line.id, (line.detail.current, line.detail.total));
            return true;
        }
        if matches!(line.status.as_str(), "Download complete" | "Pull complete")
            && let Some((current, total)) = self.0.get_mut(&line.id)
        {
            *current = *total;
            return true;
        }
        false
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (current, total) = self.0.values().fold((0, 0), |(c, t), (current, total)| (c + current, t + total));
        write!(f, "{} of {} MB", current / 1_000_000, total.div_ceil(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (image, repository, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1", "nginx", Some("1"), None),
            ("reg:5000/a/b", "reg:5000/a/b", None, None),
            ("reg:5000/a/b:1.0@sha256:ab", "reg:5000/a/b", Some("1.0"), Some("sha256:ab")),
            ("[fd77::1]:5000/a", "[fd77::1]:5000/a", None, None),
        ] {
            let parsed = Reference::parse(image);
            let seen = (parsed.repository.as_str(), parsed.tag.as_deref(), parsed.digest.as_deref());
            assert_eq!(seen, (repository, tag, digest));
        }
    }

    #[test]
    fn digests_are_those_of_the_repository() {
        let known = ["nginx@sha256:1".to_owned(), "reg:5000/nginx@sha256:2".to_owned()];
        assert_eq!(Reference::parse("docker.io/library/nginx:1").digests(&known), ["sha256:1"]);
        assert_eq!(Reference::parse("reg:5000/nginx").digests(&known), ["sha256:2"]);
    }

    #[test]
    fn progress_adds_up_the_layers() {
        let line = |id: &str, status: &str, current, total| wire::PullLine {
            id: id.into(),
            status: status.into(),
            detail: wire::PullDetail { current, total },
            error: String::new(),
        };
        let mut said = Said::default();
        assert!(!said.hear(line("", "Pulling from nginx", 0, 0)));
        assert!(said.hear(line("a", "Downloading", 4_000_000, 10_000_000)));
        assert!(said.hear(line("b", "Downloading", 30_000_000, 60_000_000)));
        assert_eq!(said.to_string(), "34 of 70 MB");
        assert!(!said.hear(line("a", "Extracting", 1, 10_000_000)));
        assert!(said.hear(line("b", "Download complete", 0, 0)));
        assert_eq!(said.to_string(), "64 of 70 MB");
    }
}
