//! An API server in memory, as far as the operator's own calls need one: resource versions, preconditions, finalizers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use slipway_plan::container_service::definition::HashKey;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::installation::Installation;
use crate::metrics::Metrics;
use crate::reconcile::{Events, Locks};

/// The server. Each client is a way to it that can be cut.
#[derive(Clone, Default)]
pub(crate) struct Api {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    version: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<(Method, String)>>>,
    forbidden: Arc<Mutex<Option<String>>>,
}

/// Cuts a client off: its calls get no answer.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(crate) fn set(&self, cut: bool) {
        self.0.store(cut, Ordering::SeqCst);
    }
}

impl Api {
    pub(crate) fn client(&self) -> Client {
        self.cuttable().0
    }

    pub(crate) fn cuttable(&self) -> (Client, Cut) {
        let (api, cut) = (self.clone(), Cut::default());
        let way = cut.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (api, way) = (api.clone(), way.clone());
            async move {
                if way.0.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, answer) = api.answer(&parts.method, parts.uri.path(), body);
                let answer = Body::from(answer.to_string().into_bytes());
                Response::builder().status(status).body(answer).map_err(|error| error.to_string())
            }
        });
        (Client::new(service, "default"), cut)
    }

    /// A context of controllers; Events go nowhere but into the returned publisher.
    pub(crate) fn context(&self) -> Arc<Context> {
        let metrics = Arc::<Metrics>::default();
        let (events, publisher) = Events::new(self.client(), "test".into(), metrics.clone());
        tokio::spawn(publisher.run());
        Arc::new(Context {
            client: self.client(),
            namespace: None,
            installation: Installation { id: "test".into(), key: HashKey::new([7; 32]) },
            events,
            metrics,
            waits: Arc::default(),
            locks: Locks::default(),
            concurrency: 4,
            stop: CancellationToken::new(),
        })
    }

    /// Puts an object there.
    pub(crate) fn put(&self, path: &str, mut object: Value) -> Value {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.objects.lock().unwrap().insert(path.into(), object.clone());
        object
    }

    /// Takes an object away.
    pub(crate) fn remove(&self, path: &str) {
        self.objects.lock().unwrap().remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(path).cloned()
    }

    /// Objects whose path begins so.
    pub(crate) fn under(&self, path: &str) -> Vec<Value> {
        let objects = self.objects.lock().unwrap();
        objects.iter().filter(|(at, _)| at.starts_with(path)).map(|(_, object)| object.clone()).collect()
    }

    /// The calls since the last time, Events aside, as `METHOD path`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls
            .iter()
            .filter(|(_, path)| !path.contains("/events"))
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    }

    /// Refuses every call whose path has this in it.
    pub(crate) fn forbid(&self, part: &str) {
        *self.forbidden.lock().unwrap() = Some(part.into());
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        self.calls.lock().unwrap().push((method.clone(), path.into()));
        if self.forbidden.lock().unwrap().as_deref().is_some_and(|part| path.contains(part)) {
            return refused(StatusCode::FORBIDDEN, "Forbidden");
        }
        let object = path.strip_suffix("/status").unwrap_or(path);
        match (method, self.get(object)) {
            (&Method::POST, _) => self.create(path, body),
            // Server-side apply makes what is not there.
            (&Method::PATCH, None) if body["spec"].is_object() => (StatusCode::CREATED, self.put(path, body)),
            (_, None) => refused(StatusCode::NOT_FOUND, "NotFound"),
            (&Method::GET, Some(found)) => (StatusCode::OK, found),
            (&Method::PUT, Some(found))
                if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                refused(StatusCode::CONFLICT, "Conflict")
            }
            (&Method::PUT, Some(_)) => (StatusCode::OK, self.put(object, body)),
            (&Method::PATCH, Some(found)) if path.ends_with("/status") => self.apply_status(object, found, &body),
            (&Method::PATCH, Some(found)) => self.patch(object, found, &body),
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn create(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
        match self.get(&path) {
            Some(_) => refused(StatusCode::CONFLICT, "AlreadyExists"),
            None => (StatusCode::CREATED, self.put(&path, body)),
        }
    }

    fn apply_status(&self, path: &str, mut found: Value, body: &Value) -> (StatusCode, Value) {
        let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["apiVersion", "kind", "metadata", "status"], "nothing of the user's is sent along");
        if body["metadata"]["uid"] != found["metadata"]["uid"] {
            return refused(StatusCode::CONFLICT, "Conflict");
        }
        found["status"] = body["status"].clone();
        (StatusCode::OK, self.put(path, found))
    }

    /// A JSON patch of `test` and `add`, which is all that the operator sends.
    fn patch(&self, path: &str, mut found: Value, body: &Value) -> (StatusCode, Value) {
        for operation in body.as_array().unwrap() {
            let at = operation["path"].as_str().unwrap();
            match operation["op"].as_str().unwrap() {
                "test" if found.pointer(at).unwrap_or(&Value::Null) != &operation["value"] => {
                    return refused(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
                }
                "test" => {}
                "add" => found["metadata"][at.rsplit('/').next().unwrap()] = operation["value"].clone(),
                other => panic!("{other} is not expected"),
            }
        }
        let leaving =
            found["metadata"]["deletionTimestamp"].is_string() && found["metadata"]["finalizers"] == json!([]);
        let answer = self.put(path, found);
        if leaving {
            self.objects.lock().unwrap().remove(path);
        }
        (StatusCode::OK, answer)
    }
}

fn refused(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": format!("{reason} by the test"), "code": code.as_u16()});
    (code, status)
}
