//! A stateful fake Docker engine.
//!
//! It speaks the Engine API over a Unix socket (and TCP on loopback if asked), with the statuses and words of Docker 20.10 or 26.1.
//! Nothing runs in it: what a container does comes from its image's [`Behaviour`]. Its clock goes at the machine's pace and can be
//! put forward. `tests/docker_real.rs` compares it with real engines.

mod api;
mod archive;
mod containers;
mod create;
mod engine;
mod http;
mod image;
mod images;
mod inspect;
mod lifecycle;
mod networks;
mod reference;
mod registry;
mod server;
mod show;
mod volumes;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

pub use archive::File;
pub use engine::Version;
pub use image::{Behaviour, Image};
pub use inspect::{Foreign, Seen};
pub use registry::{Availability, Registry};
pub use server::Call;

use crate::faults::{Fault, Faults, Trouble};
use engine::Engine;
use reference::Reference;
use server::Host;

/// Tells engines apart that were made with the same name.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A fake Docker engine. It ends when it is dropped.
pub struct FakeDocker {
    host: Arc<Host>,
    directory: TempDir,
    tasks: JoinSet<()>,
}

impl FakeDocker {
    /// Starts Docker 20.10 with a registry of its own.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Version::V20, Registry::default()).await
    }

    /// Starts an engine that pulls from this registry.
    pub async fn start_with(version: Version, registry: Registry) -> io::Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self::serve(Engine::new(version, &number.to_string(), registry)).await
    }

    /// Starts another engine in the same state, with the same registry: containers, IDs, time and all, but no faults.
    pub async fn fork(&self) -> io::Result<Self> {
        Self::serve(self.host.see(Engine::fork)).await
    }

    async fn serve(engine: Engine) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("docker").tempdir()?;
        let host = Host::new(engine, directory.path().join("docker.sock"));
        let mut tasks = JoinSet::new();
        tasks.spawn(host.clone().listen_unix());
        tasks.spawn(host.clone().pump());
        host.ready().await;
        Ok(Self { host, directory, tasks })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Listens on a port of the loopback address too, without TLS.
    pub async fn listen_tcp(&mut self) -> SocketAddr {
        self.tasks.spawn(self.host.clone().listen_tcp());
        self.host.tcp_address().await
    }

    /// Its registry.
    pub fn registry(&self) -> Registry {
        self.host.see(|engine| engine.registry.clone())
    }

    /// Puts an image onto the engine under a tag, as `docker load` does: it has no digest of a registry.
    pub fn load(&self, reference: &str, image: Image) {
        self.host.with(|engine| engine.store_image(&Reference::parse(reference), image, false));
    }

    /// What containers of an image do at their next start, in place of what the image says.
    pub fn behave(&self, image: &Image, behaviour: Behaviour) {
        self.host.with(|engine| engine.behaviours.insert(image.id.clone(), behaviour));
    }

    /// A path that does not exist on the host; all others do.
    pub fn lacks_path(&self, path: &Path) {
        self.host.with(|engine| engine.missing_host_paths.insert(path.display().to_string()));
    }

    /// Does what somebody else asks for, past the sockets, the faults and the call log: status and answer.
    pub fn outside(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.host.with(|engine| {
            let mut request = http::Request::parse(method, path, engine.version.api());
            if !body.is_null() {
                request.body = Bytes::from(body.to_string());
            }
            match engine.handle(&request) {
                Ok(http::Answer::Json(status, value)) => (status, value),
                Ok(http::Answer::Empty(status)) => (status, Value::Null),
                Ok(_) => (200, Value::Null),
                Err(refusal) => (refusal.status, refusal.body()),
            }
        })
    }

    /// The faults to inject.
    pub fn faults(&self) -> &Faults {
        &self.host.faults
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.host.faults.inject(fault);
    }

    /// Gets the host into trouble. Returns when it is.
    pub async fn trouble(&self, trouble: Trouble) {
        self.host.trouble(trouble).await;
    }

    /// Gets the host out of trouble: one that was down comes up as after a kill, one that was frozen goes on.
    pub async fn recover(&self) {
        self.host.recover().await;
    }

    /// Breaks the event streams that stand.
    pub fn cut_events(&self) {
        self.host.cut_events();
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.host.see(Engine::now)
    }

    /// Puts the engine's clock forward; what is due happens at once.
    pub fn advance(&self, by: Duration) {
        self.host.with(|engine| engine.advance(by));
    }

    /// Every request so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.host.calls().clone()
    }

    /// The requests so far that were meant to change something.
    pub fn changing_calls(&self) -> Vec<Call> {
        self.host.calls().iter().filter(|call| call.changes).cloned().collect()
    }

    /// Starts a new call log.
    pub fn forget_calls(&self) {
        self.host.calls().clear();
    }
}
