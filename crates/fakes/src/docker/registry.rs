//! A fake registry, inside the process: engines ask it directly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::http::Refusal;
use super::image::Image;
use super::reference::Reference;

/// Registries of any host name; several engines can share one.
#[derive(Clone, Default)]
pub struct Registry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::channel(()).0 }
    }
}

#[derive(Default)]
struct State {
    /// By repository, then digest.
    manifests: BTreeMap<String, BTreeMap<String, Image>>,
    /// By `repository:tag`.
    tags: BTreeMap<String, String>,
    /// By host name.
    hosts: BTreeMap<String, Host>,
}

#[derive(Clone, Default)]
struct Host {
    availability: Availability,
    login: Option<(String, String)>,
}

/// Whether a registry answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// It answers.
    #[default]
    Up,
    /// It refuses connections.
    Down,
    /// It answers, but layers do not come until it is set to something else.
    Stalled,
}

/// A login as the engine gets it with a request.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

impl Registry {
    /// Pushes an image under a tag, or moves the tag to it. The digest.
    pub fn push(&self, reference: &str, image: Image) -> String {
        let reference = Reference::parse(reference);
        let digest = image.digest.clone();
        let mut state = self.state();
        state.manifests.entry(reference.repository.clone()).or_default().insert(digest.clone(), image);
        if let Some(tagged) = reference.tagged() {
            state.tags.insert(tagged, digest.clone());
        }
        digest
    }

    /// Removes a tag, or a manifest if the reference has a digest.
    pub fn remove(&self, reference: &str) {
        let reference = Reference::parse(reference);
        let mut state = self.state();
        match &reference.digest {
            Some(digest) => {
                state.tags.retain(|_, tagged| tagged != digest);
                state.manifests.entry(reference.repository).or_default().remove(digest);
            }
            None => drop(reference.tagged().and_then(|tagged| state.tags.remove(&tagged))),
        }
    }

    /// Whether the registry of this host name answers.
    pub fn set(&self, domain: &str, availability: Availability) {
        self.state().hosts.entry(domain.into()).or_default().availability = availability;
        self.0.changed.send_replace(());
    }

    /// Asks for this login from now on.
    pub fn require_login(&self, domain: &str, username: &str, password: &str) {
        self.state().hosts.entry(domain.into()).or_default().login = Some((username.into(), password.into()));
    }

    /// Finds an image, with the errors that a real engine hands on. `pulling` says for whom: the wording differs.
    pub(super) fn find(&self, reference: &Reference, login: Option<&Login>, pulling: bool) -> Result<Image, Refusal> {
        let state = self.state();
        let domain = reference.domain();
        let host = state.hosts.get(domain).cloned().unwrap_or_default();
        if host.availability == Availability::Down {
            let scheme = if domain.starts_with("127.") { "http" } else { "https" };
            let message = format!("Get \"{scheme}://{domain}/v2/\": dial tcp 127.0.0.1:1: connect: connection refused");
            return Err(Refusal::new(500, message));
        }
        if let Some((username, password)) = &host.login {
            match login {
                Some(login) if (&login.username, &login.password) == (username, password) => {}
                Some(_) => return Err(Refusal::new(500, "unauthorized: authentication required")),
                None => {
                    let wanted = reference.digest.as_ref().or(reference.tag.as_ref()).map_or("", String::as_str);
                    let path = reference.path();
                    let url = format!("https://{domain}/v2/{path}/manifests/{wanted}");
                    return Err(Refusal::new(500, format!("Head \"{url}\": no basic auth credentials")));
                }
            }
        }
        let digest = reference.digest.clone().or_else(|| state.tags.get(&reference.tagged()?).cloned());
        let image = digest.and_then(|digest| state.manifests.get(&reference.repository)?.get(&digest));
        image.cloned().ok_or_else(|| {
            let unknown = "manifest unknown: manifest unknown";
            let message =
                if pulling { format!("manifest for {reference} not found: {unknown}") } else { unknown.into() };
            Refusal::new(404, message)
        })
    }

    /// Waits while layers do not come.
    pub(super) async fn flowing(&self, domain: &str) {
        let stalled = || self.state().hosts.get(domain).is_some_and(|host| host.availability == Availability::Stalled);
        let mut changed = self.0.changed.subscribe();
        while stalled() && changed.changed().await.is_ok() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
