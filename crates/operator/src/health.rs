//! What the outside may ask this process: `/healthz`, `/livez`, `/readyz`, `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::waits::Waits;

#[derive(Clone)]
struct Shown {
    waits: Arc<Waits>,
    metrics: Arc<Metrics>,
}

/// Binds the address; what cannot be bound is told at the start.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, waits: Arc<Waits>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let router = router(waits, metrics);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!("health and metrics are no longer served: {error}");
    }
}

fn router(waits: Arc<Waits>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        // Alive is all that runs: nothing outside of this process is a reason to restart it.
        .route("/healthz", get(async || "ok\n"))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(Shown { waits, metrics })
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    let waits = shown.waits.list();
    if waits.is_empty() {
        return (StatusCode::OK, format!("ok: {}\n", shown.waits.current_role()));
    }
    let text = waits.into_iter().fold(String::new(), |text, wait| text + "waiting for " + &wait + "\n");
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn exposition(State(shown): State<Shown>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.encode())
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(waits: &Arc<Waits>, path: &str) -> (StatusCode, String) {
        let router = router(waits.clone(), Arc::default());
        let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_is_waited_for_and_liveness_never_fails_for_it() {
        let waits = Arc::new(Waits::default());
        waits.set("CRD nodes.slipway.dev", "it is not installed");
        let (status, text) = ask(&waits, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "waiting for CRD nodes.slipway.dev: it is not installed\n");
        assert_eq!(ask(&waits, "/livez").await.0, StatusCode::OK);
        waits.clear("CRD nodes.slipway.dev");
        waits.role("leading");
        assert_eq!(ask(&waits, "/readyz").await, (StatusCode::OK, "ok: leading\n".into()));
        assert!(ask(&waits, "/metrics").await.1.contains("slipway_lease_held"));
    }
}
