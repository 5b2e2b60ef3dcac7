//! What is read live, through the operator: a BMC's event log, the logs of containers. HTTPS, each call authorised by the API
//! server's own `TokenReview` and `SubjectAccessReview`. Nothing runs here while nobody asks.
//!
//! The API server's service proxy takes `Authorization` away, so that who comes that way shows the token in another header.

mod access;
mod logs;
mod publish;
mod serve;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use slipway_api::{ContainerService, Node};
use slipway_drivers::{Class, DriverError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bmcs::Bmcs;
use crate::hosts::Hosts;
use crate::installation::Installation;
use crate::reconcile::{Cache, Key};
use crate::waits::Waits;

pub use access::{AUDIENCE, Access, TOKEN_HEADER};
pub use logs::{Line, Wanted};
pub use publish::{CONFIG_MAP, publish};
pub use serve::{bind, serve};
pub use tls::{Identity, SERVER_NAME};

use access::{Asked, Refused};

/// Entries of an event log that are read, unless fewer are asked for.
const MOST_ENTRIES: usize = 1000;

/// What one term of leadership has that can be asked.
#[derive(Clone)]
pub struct Term {
    /// Whose things on the hosts are ours.
    pub installation: Installation,
    /// The sessions with BMCs.
    pub bmcs: Bmcs,
    /// The connections to Docker engines.
    pub hosts: Hosts,
    /// The Nodes.
    pub nodes: Cache<Node>,
    /// The ContainerServices.
    pub services: Cache<ContainerService>,
    /// The end of the term.
    pub end: CancellationToken,
}

/// The endpoint. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    access: Access,
    term: watch::Sender<Option<Arc<Term>>>,
    waits: Arc<Waits>,
}

impl Live {
    /// An endpoint that has nothing to show yet.
    pub fn new(access: Access, waits: Arc<Waits>) -> Self {
        Self { access, term: watch::Sender::new(None), waits }
    }

    /// From now on this is asked; `None`: this process does not lead.
    pub fn lead(&self, term: Option<Term>) {
        self.term.send_replace(term.map(Arc::new));
    }

    /// The calls that it answers.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1alpha1/namespaces/{namespace}/nodes/{name}/sel", get(sel))
            .route("/v1alpha1/namespaces/{namespace}/containerservices/{name}/logs", get(logs))
            .fallback(async || Failure::new(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path"))
            .with_state(self)
    }

    /// The term, for whoever may ask for this.
    async fn admit(&self, headers: &HeaderMap, asked: &Asked<'_>) -> Result<Arc<Term>, Failure> {
        let token = Access::token(headers)?;
        let Some(term) = self.term.borrow().clone().filter(|term| !term.end.is_cancelled()) else {
            let role = self.waits.current_role();
            let message = format!("this instance does not lead, and only the leader has sessions ({role})");
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "NotLeading", message));
        };
        let user = self.access.may(&token, asked).await?;
        tracing::info!(user, resource = asked.resource, object = %format!("{}/{}", asked.namespace, asked.name), "read live");
        Ok(term)
    }
}

#[derive(Deserialize)]
struct SelQuery {
    limit: Option<usize>,
}

/// A BMC's event log, through its one session.
async fn sel(
    State(live): State<Live>,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<SelQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let asked = Asked { resource: "nodes", subresource: "sel", namespace: &namespace, name: &name };
    let term = live.admit(&headers, &asked).await?;
    let key = Key::new(&namespace, &name);
    let node = term.nodes.get(&key).ok_or_else(|| Failure::not_found("Node", &key))?;
    match node.spec.bmc.as_ref().map(|bmc| bmc.address.as_str()) {
        None | Some("manual") => {
            let message = format!("Node {key} has no BMC that could be asked");
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "BmcRequired", message));
        }
        Some(_) => {}
    }
    let limit = query.limit.unwrap_or(MOST_ENTRIES).clamp(1, MOST_ENTRIES);
    let entries = term.bmcs.sel(&key, limit).await?;
    Ok(axum_json(&json!({"items": entries})))
}

/// The logs of a ContainerService's containers, as they come: one JSON value a line.
async fn logs(
    State(live): State<Live>,
    Path((namespace, name)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let asked = Asked { resource: "containerservices", subresource: "logs", namespace: &namespace, name: &name };
    let term = live.admit(&headers, &asked).await?;
    let key = Key::new(&namespace, &name);
    let service = term.services.get(&key).ok_or_else(|| Failure::not_found("ContainerService", &key))?;
    let body = logs::body(&term, &key, &service, wanted)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn axum_json(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A call that is not answered as was asked.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    fn not_found(kind: &str, key: &Key) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("there is no {kind} {key} that this operator watches"))
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let (status, reason) = match refused {
            Refused::NoToken | Refused::Unknown => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Refused::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Refused::Unanswered(_) => (StatusCode::BAD_GATEWAY, "ApiServerError"),
        };
        Self::new(status, reason, refused.to_string())
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let status = match error.class() {
            Class::Unreachable | Class::Transient => StatusCode::SERVICE_UNAVAILABLE,
            Class::Denied | Class::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Class::Conflict => StatusCode::CONFLICT,
        };
        Self::new(status, error.reason(), error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"reason": self.reason, "message": self.message});
        let mut response = (self.status, axum_json(&body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests;
