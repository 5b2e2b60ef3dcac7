//! The engine on its sockets: HTTP, streams, and whatever goes wrong on the way.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::engine::{Engine, passes};
use super::http::{Answer, Filters, Refusal, Reply, Request};
use super::images::pull_reference;
use crate::faults::{Effect, Faults, Moment, Trouble};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) up: bool,
    pub(super) frozen: bool,
    /// Grows each time the engine's process ends.
    life: u64,
}

/// A request that came to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `container-create`, `network-list`, …
    pub name: &'static str,
    /// What it was about: a name or an ID; empty for lists.
    pub of: String,
    /// It is of the kind that changes something.
    pub changes: bool,
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
}

/// One engine and its sockets.
pub(super) struct Host {
    engine: Mutex<Engine>,
    pub(super) faults: Faults,
    mode: watch::Sender<Mode>,
    /// Number of sockets that listen now.
    listening: watch::Sender<usize>,
    /// Grows when event streams are to break.
    cuts: watch::Sender<u64>,
    /// Grows with whatever may have changed the engine.
    changes: watch::Sender<u64>,
    calls: Mutex<Vec<Call>>,
    socket: PathBuf,
    tcp_port: AtomicU16,
}

/// The connection breaks without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks")]
struct Cut;

impl Host {
    pub(super) fn new(engine: Engine, socket: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            engine: Mutex::new(engine),
            faults: Faults::default(),
            mode: watch::channel(Mode { up: true, frozen: false, life: 0 }).0,
            listening: watch::channel(0).0,
            cuts: watch::channel(0).0,
            changes: watch::channel(0).0,
            calls: Mutex::default(),
            socket,
            tcp_port: AtomicU16::new(0),
        })
    }

    /// Looks at the engine or changes it, at once; whoever waits for a change looks again.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.settle();
        let value = act(&mut engine);
        drop(engine);
        self.changes.send_modify(|changes| *changes += 1);
        value
    }

    /// Looks at the engine.
    pub(super) fn see<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = engine.settle();
        let value = look(&engine);
        drop(engine);
        if settled {
            self.changes.send_modify(|changes| *changes += 1);
        }
        value
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut_events(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Waits until the engine is as the test wants it.
    pub(super) async fn until(&self, mut holds: impl FnMut(&Engine) -> bool) {
        let mut changes = self.changes.subscribe();
        while !self.see(&mut holds) {
            // The sender is in `self`, so this cannot fail.
            let _ = changes.changed().await;
        }
    }

    /// Gets the host into trouble.
    pub(super) async fn trouble(&self, trouble: Trouble) {
        match trouble {
            Trouble::Down => {
                self.mode.send_modify(|mode| *mode = Mode { up: false, frozen: false, life: mode.life + 1 });
                let _ = self.listening.subscribe().wait_for(|listening| *listening == 0).await;
            }
            Trouble::Frozen => self.mode.send_modify(|mode| mode.frozen = true),
            Trouble::Restart => {
                self.mode.send_modify(|mode| *mode = Mode { life: mode.life + 1, ..*mode });
                self.with(Engine::restart_engine);
            }
        }
    }

    /// Gets the host out of trouble: one that was down comes up as after a kill, one that was frozen goes on.
    pub(super) async fn recover(&self) {
        let was_down = !self.mode.borrow().up;
        if was_down {
            self.with(Engine::restart_engine);
        }
        self.mode.send_modify(|mode| *mode = Mode { up: true, frozen: false, ..*mode });
        let _ = self.listening.subscribe().wait_for(|listening| *listening > 0).await;
    }

    /// Waits while the host is frozen; fails when the engine of that life is dead.
    async fn thawed(&self, life: u64) -> Result<(), Cut> {
        let mut mode = self.mode.subscribe();
        let mode = *mode.wait_for(|mode| !mode.frozen || mode.life != life).await.map_err(|_| Cut)?;
        if mode.life == life { Ok(()) } else { Err(Cut) }
    }

    /// Listens on the Unix socket, whenever the host is up.
    pub(super) async fn listen_unix(self: Arc<Self>) {
        loop {
            self.is(|mode| mode.up).await;
            // What is left of an earlier life.
            let _ = std::fs::remove_file(&self.socket);
            let Ok(listener) = UnixListener::bind(&self.socket) else { return };
            self.serve(|| async { listener.accept().await.map(|(stream, _)| stream) }).await;
        }
    }

    /// Listens on a port of the loopback address, always the same one, whenever the host is up.
    pub(super) async fn listen_tcp(self: Arc<Self>) {
        loop {
            self.is(|mode| mode.up).await;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.tcp_port.load(Ordering::Relaxed)));
            let Ok(listener) = TcpListener::bind(address).await else { return };
            if let Ok(address) = listener.local_addr() {
                self.tcp_port.store(address.port(), Ordering::Relaxed);
            }
            self.serve(|| async { listener.accept().await.map(|(stream, _)| stream) }).await;
        }
    }

    /// The port of the loopback address, as soon as there is one.
    pub(super) async fn tcp_address(&self) -> SocketAddr {
        let _ = self.listening.subscribe().wait_for(|_| self.tcp_port.load(Ordering::Relaxed) != 0).await;
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.tcp_port.load(Ordering::Relaxed)))
    }

    /// Waits until a socket listens.
    pub(super) async fn ready(&self) {
        let _ = self.listening.subscribe().wait_for(|listening| *listening > 0).await;
    }

    async fn is(&self, wanted: impl Fn(&Mode) -> bool) {
        let _ = self.mode.subscribe().wait_for(|mode| wanted(mode)).await;
    }

    async fn serve<S, F>(self: &Arc<Self>, accept: impl Fn() -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>>,
    {
        let mut connections = JoinSet::new();
        self.listening.send_modify(|listening| *listening += 1);
        loop {
            tokio::select! {
                biased;
                () = self.is(|mode| !mode.up) => break,
                Some(_) = connections.join_next() => {}
                stream = accept() => match stream {
                    Ok(stream) => drop(connections.spawn(self.clone().connection(stream))),
                    Err(_) => break,
                },
            }
        }
        drop(connections);
        self.listening.send_modify(|listening| *listening -= 1);
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        let life = self.mode.borrow().life;
        let service = service_fn(|request| self.clone().respond(request, life));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = self.is(|mode| mode.life != life) => {}
            // How a connection ends is the client's affair.
            _ = connection => {}
        }
    }

    async fn respond(self: Arc<Self>, request: hyper::Request<Incoming>, life: u64) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let newest = self.see(|engine| engine.version.api());
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let login = head.headers.get("x-registry-auth").and_then(|value| value.to_str().ok());
        let mut request = Request::parse(head.method.as_str(), target, newest).login(login);
        request.body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        // A task of its own: a request is done even if who asked has gone away, as in a real engine.
        tokio::spawn(self.process(request, life)).await.map_err(|_| Cut)?
    }

    async fn process(self: Arc<Self>, request: Request, life: u64) -> Result<Response<Body>, Cut> {
        self.thawed(life).await?;
        let target = request.target();
        let name = target.as_ref().map_or("unknown", |target| target.name);
        let number = self.note(&request, name, target.map_or_else(String::new, |target| target.of));
        let fault = self.faults.strike(name);
        let mut pull_error = None;
        if let Some((Moment::Before, effect)) = &fault {
            if name == "image-pull" && *effect == Effect::DiskFull {
                self.faults.has_struck();
                pull_error = Some(disk_full(name));
            } else if let Some(refusal) = self.suffer(effect, name, life).await? {
                return Ok(self.answer(number, Err(refusal)));
            }
        }
        let mut reply = self.with(|engine| engine.handle(&request));
        if let Ok(Answer::Pull) = reply {
            reply = self
                .see(|engine| engine.registry.clone())
                .find(&pull_reference(&request), request.login.as_ref(), true)
                .map(|_| Answer::Pull);
        }
        if let Some((Moment::After, effect)) = &fault {
            if let Ok(Answer::Pull) = reply {
                self.pull_now(&request);
            }
            if let Some(refusal) = self.suffer(effect, name, life).await? {
                return Ok(self.answer(number, Err(refusal)));
            }
        }
        self.thawed(life).await?;
        match reply {
            Ok(Answer::Events { history, filters, incoming }) => {
                self.record(number, 200);
                Ok(self.clone().event_stream(history, filters, incoming, life))
            }
            Ok(Answer::Wait { container, condition }) => {
                let answer = self.wait(&container, &condition).await;
                self.thawed(life).await?;
                Ok(self.answer(number, Ok(Answer::Json(200, answer))))
            }
            Ok(Answer::Pull) => {
                self.record(number, 200);
                Ok(self.clone().pull_stream(request, pull_error))
            }
            reply => Ok(self.answer(number, reply)),
        }
    }

    /// Lets a fault happen. A refusal is the answer then; otherwise the request goes on.
    async fn suffer(&self, effect: &Effect, name: &str, life: u64) -> Result<Option<Refusal>, Cut> {
        match effect {
            Effect::Hang => return if self.faults.hang().await { Ok(None) } else { Err(Cut) },
            Effect::Slow(time) => sleep(*time).await,
            Effect::Fail(status, message) => {
                self.faults.has_struck();
                return Ok(Some(Refusal::new(*status, message.clone())));
            }
            Effect::Hook(hook) => {
                self.faults.has_struck();
                hook.run();
                return Err(Cut);
            }
            Effect::Disconnect => {
                self.faults.has_struck();
                return Err(Cut);
            }
            Effect::DiskFull => {
                self.faults.has_struck();
                return Ok(Some(disk_full(name)));
            }
            Effect::Trouble(trouble) => {
                self.trouble(*trouble).await;
                self.faults.has_struck();
                self.thawed(life).await?;
                return Ok(None);
            }
        }
        self.faults.has_struck();
        Ok(None)
    }

    fn note(&self, request: &Request, name: &'static str, of: String) -> usize {
        let named = matches!(name, "network-create" | "volume-create");
        let of = if named {
            request.json().ok().and_then(|body| Some(body["Name"].as_str()?.to_owned())).unwrap_or_default()
        } else {
            of
        };
        let mut calls = self.calls();
        calls.push(Call { name, of, changes: request.changes(), status: None });
        calls.len() - 1
    }

    fn record(&self, number: usize, status: u16) {
        if let Some(call) = self.calls().get_mut(number) {
            call.status = Some(status);
        }
    }

    fn answer(&self, number: usize, reply: Reply) -> Response<Body> {
        let (status, kind, headers, bytes) = match reply {
            Ok(Answer::Json(status, value)) => (status, "application/json", Vec::new(), line(&value)),
            Ok(Answer::Empty(status)) => (status, "", Vec::new(), Bytes::new()),
            Ok(Answer::Bytes { kind, headers, bytes }) => (200, kind, headers, bytes.into()),
            Err(refusal) => (refusal.status, "application/json", Vec::new(), line(&refusal.body())),
            Ok(Answer::Events { .. } | Answer::Wait { .. } | Answer::Pull) => (501, "", Vec::new(), Bytes::new()),
        };
        self.record(number, status);
        let body = if bytes.is_empty() {
            Empty::new().map_err(never).boxed_unsync()
        } else {
            Full::new(bytes).map_err(never).boxed_unsync()
        };
        self.response(status, kind, &headers, body)
    }

    fn response(&self, status: u16, kind: &str, headers: &[(&'static str, String)], body: Body) -> Response<Body> {
        let version = self.see(|engine| engine.version);
        let mut response = Response::builder()
            .status(status)
            .header("Api-Version", format!("1.{}", version.api()))
            .header("Ostype", "linux")
            .header(header::SERVER, format!("Docker/{} (linux)", version.number()))
            .header(header::DATE, self.see(Engine::now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if !kind.is_empty() {
            response = response.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in headers {
            response = response.header(*name, value);
        }
        // Status and headers are all from this file's own tables.
        response.body(body).unwrap_or_default()
    }

    fn event_stream(
        self: Arc<Self>,
        history: Vec<Value>,
        filters: Filters,
        incoming: Option<tokio::sync::mpsc::UnboundedReceiver<Value>>,
        life: u64,
    ) -> Response<Body> {
        struct Following {
            host: Arc<Host>,
            history: VecDeque<Value>,
            filters: Filters,
            incoming: Option<tokio::sync::mpsc::UnboundedReceiver<Value>>,
            cuts: watch::Receiver<u64>,
            life: u64,
        }
        impl Following {
            async fn next(&mut self) -> Option<Value> {
                loop {
                    if let Some(event) = self.history.pop_front() {
                        return Some(event);
                    }
                    let event = self.incoming.as_mut()?.recv().await?;
                    if passes(&event, &self.filters) {
                        return Some(event);
                    }
                }
            }
        }
        let mut cuts = self.cuts.subscribe();
        cuts.mark_unchanged();
        let following = Following { history: history.into(), filters, incoming, cuts, life, host: self.clone() };
        let lines = stream::try_unfold(following, |mut following| async move {
            let mut cuts = following.cuts.clone();
            let next = tokio::select! {
                biased;
                _ = cuts.changed() => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                next = following.next() => next,
            };
            if following.host.thawed(following.life).await.is_err() {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            Ok(next.map(|event| (line(&event), following)))
        });
        self.response(200, "application/json", &[], streamed(lines.boxed()))
    }

    async fn wait(&self, container: &str, condition: &str) -> Value {
        let ends = self.see(|engine| engine.containers.get(container).and_then(|container| container.state.finished));
        let mut answer = None;
        self.until(|engine| {
            answer = engine.waited(container, condition, ends);
            answer.is_some()
        })
        .await;
        answer.unwrap_or_default()
    }

    fn pull_now(&self, request: &Request) -> bool {
        let reference = pull_reference(request);
        let registry = self.see(|engine| engine.registry.clone());
        let image = registry.find(&reference, request.login.as_ref(), true);
        image.is_ok_and(|image| self.with(|engine| engine.pulled(&reference, image)))
    }

    /// The pull happens while the client reads; it is over when the client goes away.
    fn pull_stream(self: Arc<Self>, request: Request, error: Option<Refusal>) -> Response<Body> {
        let reference = pull_reference(&request);
        let shown = reference
            .digest
            .as_ref()
            .map_or_else(|| reference.tag.clone().unwrap_or_default(), |_| reference.to_string());
        let layer = "0a1b2c3d4e5f";
        let first = [
            json!({ "status": format!("Pulling from {}", reference.path()), "id": shown }),
            json!({ "status": "Pulling fs layer", "progressDetail": {}, "id": layer }),
            json!({ "status": "Downloading", "progressDetail": { "current": 500_000, "total": 1_000_000 }, "progress": "[==>  ]", "id": layer }),
        ];
        let host = self.clone();
        let rest = stream::once(async move {
            let registry = host.see(|engine| engine.registry.clone());
            registry.flowing(reference.domain()).await;
            let failure = |message: &str| vec![json!({ "errorDetail": { "message": message }, "error": message })];
            if let Some(error) = error {
                return failure(&error.message);
            }
            // What was there when the pull began may have gone since.
            match registry.find(&reference, request.login.as_ref(), true) {
                Err(refusal) => failure(&refusal.message),
                Ok(image) => {
                    let digest = image.digest.clone();
                    let new = host.with(|engine| engine.pulled(&reference, image));
                    let outcome = if new { "Downloaded newer image for" } else { "Image is up to date for" };
                    vec![
                        json!({ "status": "Pull complete", "progressDetail": {}, "id": layer }),
                        json!({ "status": format!("Digest: {digest}") }),
                        json!({ "status": format!("Status: {outcome} {reference}") }),
                    ]
                }
            }
        })
        .flat_map(stream::iter);
        let lines = stream::iter(first).chain(rest).map(|value| Ok(line(&value)));
        self.response(200, "application/json", &[], streamed(lines.boxed()))
    }

    /// Lets happen by itself what is due.
    pub(super) async fn pump(self: Arc<Self>) {
        let mut changes = self.changes.subscribe();
        loop {
            let (now, next) = self.see(|engine| (engine.now(), engine.next_timer()));
            let pause = next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
            tokio::select! {
                // The sender is in `self`, so this cannot fail.
                _ = changes.changed() => {}
                () = sleep(pause.unwrap_or(Duration::from_hours(1))) => self.with(|_| ()),
            }
        }
    }
}

fn disk_full(name: &str) -> Refusal {
    let message = match name {
        "image-pull" => {
            "failed to register layer: Error processing tar file(exit status 1): write /layer: no space left on device"
        }
        "container-create" => {
            "error creating overlay mount to /var/lib/docker/overlay2/fake-init/merged: no space left on device"
        }
        "archive-put" => "Error processing tar file(exit status 1): write /file: no space left on device",
        _ => "write /var/lib/docker/file: no space left on device",
    };
    Refusal::new(500, message)
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

fn streamed(lines: BoxStream<'static, io::Result<Bytes>>) -> Body {
    StreamBody::new(lines.map_ok(Frame::data)).boxed_unsync()
}

fn never(impossible: Infallible) -> io::Error {
    match impossible {}
}
