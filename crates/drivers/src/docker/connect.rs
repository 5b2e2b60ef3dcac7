//! The way to an engine: a socket, TCP, TLS or SSH, and why it is closed when it is.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::Client;
use super::engine::DockerEngine;
use super::reasons;
use super::ssh::Ssh;
use super::{Address, Connect, Engine, tls};
use crate::{DriverError, Mandate};

/// Until a connection stands, TLS included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// With SSH, which has the way to the engine open by then.
const LOGIN_DEADLINE: Duration = Duration::from_secs(10);
/// A silent peer is given up 10 + 3 × 3 s after its last sign of life, so that an events stream ends when a cable is pulled.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3)).with_retries(3);
/// And so long after something was sent that it did not acknowledge, when keepalive does not count.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Makes engines of addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Factory;

impl Factory {
    /// Makes engines that change things under this mandate only.
    pub fn under(self, mandate: Mandate) -> impl Connect {
        Bound(mandate)
    }
}

#[async_trait]
impl Connect for Factory {
    async fn docker(&self, address: &Address) -> Result<Arc<dyn Engine>, DriverError> {
        Bound(Mandate::default()).docker(address).await
    }
}

struct Bound(Mandate);

#[async_trait]
impl Connect for Bound {
    async fn docker(&self, address: &Address) -> Result<Arc<dyn Engine>, DriverError> {
        let peer = format!("{address:?}");
        let route = Arc::new(Route::to(address)?);
        let connector = Connector { peer: peer.as_str().into(), route, wanted: CancellationToken::new() };
        Ok(Arc::new(DockerEngine::new(Client::new(connector, peer, self.0.clone()))))
    }
}

/// How to get there.
enum Route {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, name: ServerName<'static>, config: tokio_rustls::TlsConnector },
    Ssh(Ssh),
}

impl Route {
    fn to(address: &Address) -> Result<Self, DriverError> {
        Ok(match address {
            Address::Unix(path) => Self::Unix(path.clone()),
            Address::PlainTcp { host, port } => Self::Tcp { host: host.clone(), port: *port },
            Address::Tls { host, port, ca, cert, key } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| reasons::TLS_INVALID.error(format!("{host} is no host name and no address")))?;
                let config = tls::config(ca, cert, key)?.into();
                Self::Tls { host: host.clone(), port: *port, name, config }
            }
            Address::Ssh { user, host, port, key, known_hosts } => {
                Self::Ssh(Ssh::new(user, host, *port, key, known_hosts)?)
            }
        })
    }
}

/// Dials for the HTTP client's pool.
#[derive(Clone)]
pub(super) struct Connector {
    peer: Arc<str>,
    route: Arc<Route>,
    /// Cancelled when the client is gone: the pool's dials go on without the calls that they were begun for.
    wanted: CancellationToken,
}

impl Connector {
    /// Each call that is under way needs a connection of its own; with SSH that is a process here and one on the host.
    pub(super) fn calls_at_a_time(&self) -> usize {
        if matches!(*self.route, Route::Ssh(_)) { 8 } else { 256 }
    }

    /// Dials go on until this is dropped.
    pub(super) fn guard(&self) -> DropGuard {
        self.wanted.clone().drop_guard()
    }

    async fn dial(self) -> Result<TokioIo<Wire>, DriverError> {
        let peer = self.peer.clone();
        let deadline = if matches!(*self.route, Route::Ssh(_)) { LOGIN_DEADLINE } else { CONNECT_DEADLINE };
        timeout(deadline, self.open())
            .await
            .map_err(|_| reasons::TIMED_OUT.error(format!("{peer} does not answer within {} s", deadline.as_secs())))?
            .map(TokioIo::new)
    }

    async fn open(self) -> Result<Wire, DriverError> {
        let peer = &self.peer;
        match &*self.route {
            Route::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| closed(&error, peer))?;
                Ok(Wire(Box::new(stream)))
            }
            Route::Tcp { host, port } => Ok(Wire(Box::new(tcp(host, *port, peer).await?))),
            Route::Tls { host, port, name, config } => {
                let stream = tcp(host, *port, peer).await?;
                let stream = config.connect(name.clone(), stream).await.map_err(|error| broken_tls(&error, peer))?;
                Ok(Wire(Box::new(stream)))
            }
            Route::Ssh(ssh) => Ok(Wire(Box::new(ssh.open(peer).await?))),
        }
    }
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = DriverError;
    type Future = BoxFuture<'static, Result<TokioIo<Wire>, DriverError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DriverError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let wanted = connector.wanted.clone();
            let closed = || reasons::CONNECTION_LOST.error("the connection is not wanted any more");
            wanted.run_until_cancelled_owned(connector.dial()).await.ok_or_else(closed)?
        })
    }
}

async fn tcp(host: &str, port: u16, peer: &str) -> Result<TcpStream, DriverError> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| reasons::NAME_NOT_FOUND.error(format!("the name {host} cannot be resolved: {error}")))?
        .take(8)
        .collect();
    let share = CONNECT_DEADLINE / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = reasons::NAME_NOT_FOUND.error(format!("the name {host} has no address"));
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                let socket = SockRef::from(&stream);
                let _ = socket.set_tcp_keepalive(&KEEPALIVE);
                let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
                return Ok(stream);
            }
            Ok(Err(error)) => last = closed(&error, peer),
            Err(_) => {
                last = reasons::TIMED_OUT
                    .error(format!("{peer} does not answer (no reply to TCP within {} s)", share.as_secs()));
            }
        }
    }
    Err(last)
}

/// Why no connection could be opened.
fn closed(error: &io::Error, peer: &str) -> DriverError {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => reasons::CONNECTION_REFUSED
            .error(format!("nothing listens at {peer} (connection refused); is the Docker engine running?")),
        E::NotFound => reasons::SOCKET_MISSING
            .error(format!("there is no socket {peer}; is the Docker engine installed and running?")),
        E::PermissionDenied => {
            reasons::UNAUTHORISED.error(format!("no permission to open {peer}; Slipway's user must be allowed to"))
        }
        E::HostUnreachable | E::NetworkUnreachable => reasons::NO_ROUTE.error(format!("no route to {peer}: {error}")),
        E::TimedOut => reasons::TIMED_OUT.error(format!("{peer} does not answer: {error}")),
        _ => reasons::CONNECTION_LOST.error(format!("no connection to {peer}: {error}")),
    }
}

fn broken_tls(error: &io::Error, peer: &str) -> DriverError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => tls::refusal(error, peer),
        None => {
            reasons::CONNECTION_LOST.error(format!("{peer} closed the connection during the TLS handshake: {error}"))
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection.
pub(super) struct Wire(Box<dyn Io>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
