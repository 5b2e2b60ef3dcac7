use std::sync::Mutex;

use axum::body::to_bytes;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body as KubeBody;
use serde_json::Value;
use slipway_plan::container_service::definition::HashKey;
use tower::ServiceExt as _;

use super::*;
use crate::bmcs::tests::{Toy, Way};
use crate::reconcile::{Locks, Watch};

/// What the API server was asked.
type Asks = Arc<Mutex<Vec<Value>>>;

/// An API server that knows the token `good` of everybody, `ours` of this endpoint's audience, and lets `alice` read n20.
fn api_server() -> (Client, Asks) {
    let asks = Asks::default();
    let noted = asks.clone();
    let service = tower::service_fn(move |request: Request<KubeBody>| {
        let noted = noted.clone();
        async move {
            let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            let mut review: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
            noted.lock().unwrap().push(review.clone());
            review["status"] = match review["kind"].as_str() {
                Some("TokenReview") => {
                    let (token, audiences) = (&review["spec"]["token"], &review["spec"]["audiences"]);
                    let ours = audiences == &json!([AUDIENCE]);
                    let user =
                        json!({"username": if *token == "mallory" { "mallory" } else { "alice" }, "groups": ["staff"]});
                    match token.as_str() {
                        Some("ours") if ours => json!({"authenticated": true, "user": user, "audiences": audiences}),
                        // As an API server without audiences answers.
                        Some("blind") if ours => json!({"authenticated": true, "user": user}),
                        Some("good" | "mallory") if audiences.is_null() => json!({"authenticated": true, "user": user}),
                        _ => json!({"authenticated": false}),
                    }
                }
                _ => json!({"allowed": review["spec"]["user"] == "alice", "reason": "so it is"}),
            };
            Response::builder()
                .status(201)
                .body(KubeBody::from(review.to_string().into_bytes()))
                .map_err(|e| e.to_string())
        }
    });
    (Client::new(service, "default"), asks)
}

fn term() -> Term {
    let (end, waits) = (CancellationToken::new(), Arc::default());
    Term {
        installation: Installation { id: "i".into(), key: HashKey::new([7; 32]) },
        bmcs: Bmcs::new(Arc::new(Way(Arc::new(Toy::default()))), waits, Locks::default(), end.clone()),
        hosts: Hosts::new(Arc::new(slipway_drivers::docker::Factory), Arc::default()),
        nodes: Watch::default().cache(),
        services: Watch::default().cache(),
        end,
    }
}

const SEL: &str = "/v1alpha1/namespaces/lab/nodes/n20/sel";

async fn ask(live: &Live, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(TOKEN_HEADER, format!("Bearer {token}"));
    }
    let answer = live.clone().router().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status, body["reason"].as_str().unwrap_or_default().to_owned())
}

fn live() -> (Live, Asks) {
    let (client, asks) = api_server();
    let live = Live::new(Access::new(client), Arc::default());
    live.lead(Some(term()));
    (live, asks)
}

#[tokio::test]
async fn without_a_token_nobody_is_asked() {
    let (live, asks) = live();
    assert_eq!(ask(&live, SEL, None).await, (401, "Unauthorized".into()));
    assert!(asks.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_does_not_lead_says_so() {
    let (live, asks) = live();
    live.lead(None);
    assert_eq!(ask(&live, SEL, Some("good")).await, (503, "NotLeading".into()));
    let over = term();
    over.end.cancel();
    live.lead(Some(over));
    assert_eq!(ask(&live, SEL, Some("good")).await, (503, "NotLeading".into()));
    assert!(asks.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_must_be_known_and_its_user_have_the_right() {
    let (live, asks) = live();
    assert_eq!(ask(&live, SEL, Some("forged")).await, (401, "Unauthorized".into()));
    assert_eq!(ask(&live, SEL, Some("mallory")).await, (403, "Forbidden".into()));
    // What is not there is told to those who may know.
    assert_eq!(ask(&live, SEL, Some("good")).await, (404, "NotFound".into()));
    assert_eq!(ask(&live, SEL, Some("ours")).await, (404, "NotFound".into()));
    let asks = asks.lock().unwrap();
    let review = asks.iter().rfind(|review| review["kind"] == "SubjectAccessReview").unwrap();
    let wanted = json!({"group": "slipway.dev", "version": "v1alpha1", "resource": "nodes", "subresource": "sel", "verb": "get",
                        "namespace": "lab", "name": "n20"});
    assert_eq!((&review["spec"]["resourceAttributes"], &review["spec"]["groups"]), (&wanted, &json!(["staff"])));
}

#[tokio::test]
async fn a_token_that_is_not_said_to_be_for_us_is_not_taken_as_ours() {
    let (live, _) = live();
    assert_eq!(ask(&live, SEL, Some("blind")).await, (401, "Unauthorized".into()));
}

#[tokio::test]
async fn nothing_else_is_there() {
    let (live, _) = live();
    for path in ["/", "/metrics", "/v1alpha1/namespaces/lab/nodes/n20/console"] {
        assert_eq!(ask(&live, path, Some("good")).await.0, 404, "{path}");
    }
}
