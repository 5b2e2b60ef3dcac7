//! A proxy in front of an engine or an API server that knows each call by name, counts it, and acts at the one the test asked for.
//!
//! The names are the crash points: `container-create` of an engine, `patch containerservices/status` of an API server.

mod api;
mod engine;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::certificates::Identity;
use super::cluster::Cluster;
use super::docker_host::{DockerHost, node_at};
use super::process::{Signal, send, wait_dead};
use super::run::Run;

pub use engine::CRASH_POINTS;

/// What happens at a call.
#[derive(Clone)]
pub enum Action {
    /// SIGKILL to a process, and waits until it is dead; the caller gets no reply.
    Kill(u32),
    /// Runs a function, then goes on.
    Hook(Arc<dyn Fn(&Call) + Send + Sync>),
    /// Goes on after that time.
    Delay(Duration),
    /// Closes the connection without a reply.
    Drop,
    /// Replies with that status in place of the real reply.
    Answer(u16),
}

impl Action {
    /// Runs a function, then goes on.
    pub fn hook(hook: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self::Hook(Arc::new(hook))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(pid) => write!(f, "Kill({pid})"),
            Self::Hook(_) => f.write_str("Hook"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::Drop => f.write_str("Drop"),
            Self::Answer(status) => write!(f, "Answer({status})"),
        }
    }
}

/// When, relative to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

#[derive(Debug)]
struct Rule {
    call: String,
    when: When,
    /// At the n-th matching call from now, once; `None`: at each.
    nth: Option<usize>,
    action: Action,
    id: usize,
}

/// A call that was seen.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// Its name.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Whether it asks for a change.
    pub changes: bool,
    /// The reply's status; `None` while there is none.
    pub status: Option<u16>,
}

/// Where calls go on to.
enum Upstream {
    Unix(PathBuf),
    Tls { address: SocketAddr, connector: TlsConnector },
}

/// Gives a call its name, and tells whether it asks for a change.
type Naming = fn(method: &str, path: &str) -> (String, bool);

struct Shared {
    upstream: Upstream,
    naming: Naming,
    calls: Mutex<Vec<Call>>,
    rules: Mutex<Vec<Rule>>,
    next_rule: AtomicUsize,
    cut: watch::Sender<bool>,
}

/// A proxy that injects faults. It lives in the runtime of the test that made it.
pub struct Proxy {
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
    socket: Option<PathBuf>,
    port: Option<u16>,
    _run: Arc<Run>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("socket", &self.socket).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy in front of a host's engine, on a socket of this machine.
    pub async fn engine(host: &DockerHost) -> Result<Self> {
        let socket = host.dir().with_extension("proxy.sock");
        Self::engine_at(Upstream::Unix(host.socket()), &socket, Arc::clone(host.run())).await
    }

    /// The same, but the proxy reaches the engine over the network, so that an unplugged cable is felt.
    pub async fn engine_by_network(host: &DockerHost) -> Result<Self> {
        let socket = host.dir().with_extension("proxy.sock");
        let address = SocketAddr::from((host.v4(), 2376));
        let connector = connector(&host.run().authority()?.pem(), &host.client_identity()?)?;
        Self::engine_at(Upstream::Tls { address, connector }, &socket, Arc::clone(host.run())).await
    }

    async fn engine_at(upstream: Upstream, socket: &Path, run: Arc<Run>) -> Result<Self> {
        let _ = tokio::fs::remove_file(socket).await;
        let listener = UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        let shared = Shared::new(upstream, engine::name);
        let accept = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accept).serve(stream));
            }
        });
        Ok(Self { shared, listener: task, socket: Some(socket.to_owned()), port: None, _run: run })
    }

    /// A proxy in front of a cluster's API server: whoever speaks to it has the administrator's rights.
    pub async fn api(cluster: &Cluster) -> Result<Self> {
        let run = Run::current()?;
        let port = run.port()?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port()));
        let (authority, admin) = cluster.admin()?;
        let upstream = Upstream::Tls { address, connector: connector(&authority, &admin)? };
        let shared = Shared::new(upstream, api::name);
        let accept = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accept).serve(stream));
            }
        });
        Ok(Self { shared, listener: task, socket: None, port: Some(port), _run: run })
    }

    /// The socket of a proxy in front of an engine.
    pub fn socket(&self) -> Result<&Path> {
        self.socket.as_deref().context("this proxy is in front of an API server")
    }

    /// A Node that leads to the engine through the proxy.
    pub fn node(&self, name: &str) -> Result<slipway_api::Node> {
        Ok(node_at(name, self.socket()?))
    }

    /// Writes a kubeconfig file that leads to the API server through the proxy.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let port = self.port.context("this proxy is in front of an engine")?;
        let path = Run::current()?.dir().join(format!("proxy-{port}.kubeconfig"));
        std::fs::write(&path, api::kubeconfig(port))?;
        Ok(path)
    }

    /// At the `nth` (from 1) call of that name from now, before it is passed on.
    pub fn before(&self, call: &str, nth: usize, action: Action) {
        self.shared.add(call, When::Before, Some(nth), action);
    }

    /// At the `nth` (from 1) call of that name from now, when its reply has come and before it is passed back.
    pub fn after(&self, call: &str, nth: usize, action: Action) {
        self.shared.add(call, When::After, Some(nth), action);
    }

    /// At each call of that name, before it is passed on, until [`Self::clear`].
    pub fn always(&self, call: &str, action: Action) {
        self.shared.add(call, When::Before, None, action);
    }

    /// Forgets all that was asked for.
    pub fn clear(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Whether something that was asked for has not happened yet.
    pub fn armed(&self) -> bool {
        lock(&self.shared.rules).iter().any(|rule| rule.nth.is_some())
    }

    /// Breaks every connection and refuses new ones, until [`Self::mend`].
    pub fn cut(&self) {
        self.shared.cut.send_replace(true);
    }

    /// Undoes [`Self::cut`].
    pub fn mend(&self) {
        self.shared.cut.send_replace(false);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Forgets the calls so far.
    pub fn reset(&self) {
        lock(&self.shared.calls).clear();
    }

    /// How many calls of that name there were.
    pub fn count(&self, call: &str) -> usize {
        lock(&self.shared.calls).iter().filter(|it| it.name == call).count()
    }

    /// The calls that asked for a change, by name, and how many.
    pub fn changes(&self) -> BTreeMap<String, usize> {
        let mut changes = BTreeMap::new();
        for call in lock(&self.shared.calls).iter().filter(|call| call.changes) {
            *changes.entry(call.name.clone()).or_default() += 1;
        }
        changes
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.listener.abort();
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

/// The call gets no reply; its connection is closed.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed by the proxy")
    }
}

impl std::error::Error for Closed {}

impl Shared {
    fn new(upstream: Upstream, naming: Naming) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            naming,
            calls: Mutex::default(),
            rules: Mutex::default(),
            next_rule: AtomicUsize::new(0),
            cut: watch::Sender::new(false),
        })
    }

    fn add(&self, call: &str, when: When, nth: Option<usize>, action: Action) {
        let id = self.next_rule.fetch_add(1, Ordering::Relaxed);
        lock(&self.rules).push(Rule { call: call.to_owned(), when, nth, action, id });
    }

    /// What is to happen at this call now, counting it for the rules that wait for a later one.
    fn due(&self, call: &str, when: When) -> Vec<Action> {
        let mut rules = lock(&self.rules);
        let mut due = Vec::new();
        let mut done = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.when == when && rule.call == call) {
            match &mut rule.nth {
                Some(0 | 1) => done.push(rule.id),
                Some(nth) => {
                    *nth -= 1;
                    continue;
                }
                None => {}
            }
            due.push(rule.action.clone());
        }
        rules.retain(|rule| !done.contains(&rule.id));
        due
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        let mut cut = self.cut.subscribe();
        let service = service_fn(|request| Arc::clone(&self).handle(request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::select! {
            // It ends in an error when a call was dropped on purpose, or by a caller that was killed.
            _ = connection => {}
            _ = cut.wait_for(|&cut| cut) => {}
        }
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let method = request.method().as_str().to_owned();
        let (name, changes) = (self.naming)(&method, &path);
        let call = Call { at: Instant::now(), name, method, path, changes, status: None };
        let index = {
            let mut calls = lock(&self.calls);
            calls.push(call.clone());
            calls.len() - 1
        };
        if let Some(reply) = self.act(&call, When::Before).await? {
            return Ok(reply);
        }
        let reply = match self.forward(request).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!("proxy: {} is not answered: {error:#}", call.name);
                return Err(Closed);
            }
        };
        // The calls may have been reset since.
        if let Some(seen) = lock(&self.calls).get_mut(index).filter(|seen| seen.at == call.at) {
            seen.status = Some(reply.status().as_u16());
        }
        match self.act(&call, When::After).await? {
            Some(other) => Ok(other),
            None => Ok(reply),
        }
    }

    async fn act(&self, call: &Call, when: When) -> Result<Option<Response<Body>>, Closed> {
        for action in self.due(&call.name, when) {
            match action {
                Action::Kill(pid) => {
                    // A failure means that it is dead already.
                    let _ = send(pid, Signal::KILL);
                    wait_dead(pid, Duration::from_secs(10));
                    return Err(Closed);
                }
                Action::Hook(hook) => {
                    let call = call.clone();
                    let ran = tokio::task::spawn_blocking(move || hook(&call)).await;
                    ran.map_err(|_| Closed)?;
                }
                Action::Delay(time) => tokio::time::sleep(time).await,
                Action::Drop => return Err(Closed),
                Action::Answer(status) => return Ok(Some(answer(status))),
            }
        }
        Ok(None)
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>> {
        match &self.upstream {
            Upstream::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                exchange(stream, request).await
            }
            Upstream::Tls { address, connector } => {
                let stream = TcpStream::connect(address).await?;
                let stream = connector.connect(ServerName::IpAddress(address.ip().into()), stream).await?;
                request.headers_mut().remove(header::AUTHORIZATION);
                exchange(stream, request).await
            }
        }
    }
}

/// Connects as that client to servers of that CA.
fn connector(authority: &str, client: &Identity) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(client.cert.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes())?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One call on a connection of its own. Bodies are streamed; an upgraded connection (attach, exec) is passed through.
async fn exchange<S>(stream: S, mut request: Request<Incoming>) -> Result<Response<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let downstream = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let mut reply = sender.send_request(request).await?;
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut reply);
        tokio::spawn(async move {
            let (Some(down), Ok(up)) = (downstream, upstream.await) else { return };
            if let Ok(down) = down.await {
                // Ends in an error when either end is killed, which is what the tests do.
                let _ = copy_bidirectional(&mut TokioIo::new(down), &mut TokioIo::new(up)).await;
            }
        });
    }
    Ok(reply.map(BodyExt::boxed))
}

fn answer(status: u16) -> Response<Body> {
    let body = Bytes::from_static(br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected by the lab","reason":"InternalError","code":500}"#);
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
