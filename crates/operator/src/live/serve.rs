//! Connections: few at a time, and none that says nothing for long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls at a time; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// For the handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request's head is not longer.
const LONGEST_HEAD: usize = 32 << 10;

/// Binds the address; what cannot be bound is told at the start.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`; then every answer that still goes on is cut off.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, stop: CancellationToken) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    while let Some(Ok(slot)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await {
        let stream = match stop.run_until_cancelled(listener.accept()).await {
            Some(Ok((stream, _))) => stream,
            Some(Err(error)) => {
                // Out of file descriptors, mostly: the process goes on with what it has.
                tracing::warn!("live: cannot accept a connection: {error}");
                sleep(Duration::from_secs(1)).await;
                continue;
            }
            None => break,
        };
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            stop.run_until_cancelled(connection(stream, acceptor, router)).await;
            drop(slot);
        });
    }
    connections.close();
    connections.wait().await;
}

/// One connection, one call: the proxy in between pools none for us.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    // Small lines are sent as they come.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!("live: a connection ended: {error}");
    }
}
