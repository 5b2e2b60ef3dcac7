//! Requests and answers, between the wire and the engine.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use serde_json::{Value, json};

use super::registry::Login;

/// A request, taken apart.
pub(super) struct Request {
    pub(super) method: String,
    /// The path's parts without the version, decoded.
    pub(super) path: Vec<String>,
    /// Minor version of the API that the client speaks.
    pub(super) api: u32,
    pub(super) query: HashMap<String, String>,
    pub(super) login: Option<Login>,
    pub(super) body: Bytes,
}

/// What is asked for: the name that fault rules and the call log use, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) of: String,
}

impl Request {
    /// Takes a request line apart; `newest` is what is spoken if the path has no version.
    pub(super) fn parse(method: &str, path_and_query: &str, newest: u32) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let version = path.first().and_then(|part| part.strip_prefix("v1.")?.parse().ok());
        if version.is_some() {
            path.remove(0);
        }
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let api = version.unwrap_or(newest);
        Self { method: method.into(), path, api, query, login: None, body: Bytes::new() }
    }

    /// The value of `X-Registry-Auth`, in whichever base64 the client chose.
    pub(super) fn login(mut self, header: Option<&str>) -> Self {
        let decoded = header.and_then(|text| URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok());
        let value: Option<Value> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        self.login =
            value.filter(|value| value["username"].as_str().is_some_and(|name| !name.is_empty())).map(|value| {
                let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
                Login { username: text("username"), password: text("password") }
            });
        self
    }

    /// What is asked for; `None` if there is no such thing in the API.
    pub(super) fn target(&self) -> Option<Target> {
        let parts: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let (name, of) = match (self.method.as_str(), parts.as_slice()) {
            ("GET" | "HEAD", ["_ping"]) => ("ping", ""),
            ("GET", ["version"]) => ("version", ""),
            ("GET", ["info"]) => ("info", ""),
            ("GET", ["events"]) => ("events", ""),
            ("GET", ["containers", "json"]) => ("container-list", ""),
            ("POST", ["containers", "create"]) => ("container-create", self.text("name")),
            ("GET", ["containers", id, "json"]) => ("container-inspect", *id),
            ("GET", ["containers", id, "logs"]) => ("container-logs", *id),
            ("POST", ["containers", id, "start"]) => ("container-start", *id),
            ("POST", ["containers", id, "stop"]) => ("container-stop", *id),
            ("POST", ["containers", id, "kill"]) => ("container-kill", *id),
            ("POST", ["containers", id, "restart"]) => ("container-restart", *id),
            ("POST", ["containers", id, "pause"]) => ("container-pause", *id),
            ("POST", ["containers", id, "unpause"]) => ("container-unpause", *id),
            ("POST", ["containers", id, "rename"]) => ("container-rename", *id),
            ("POST", ["containers", id, "update"]) => ("container-update", *id),
            ("POST", ["containers", id, "wait"]) => ("container-wait", *id),
            ("DELETE", ["containers", id]) => ("container-remove", *id),
            ("PUT", ["containers", id, "archive"]) => ("archive-put", *id),
            ("GET", ["containers", id, "archive"]) => ("archive-get", *id),
            ("HEAD", ["containers", id, "archive"]) => ("archive-stat", *id),
            ("GET", ["networks"]) => ("network-list", ""),
            ("POST", ["networks", "create"]) => ("network-create", ""),
            ("GET", ["networks", id]) => ("network-inspect", *id),
            ("DELETE", ["networks", id]) => ("network-remove", *id),
            ("POST", ["networks", id, "connect"]) => ("network-connect", *id),
            ("POST", ["networks", id, "disconnect"]) => ("network-disconnect", *id),
            ("GET", ["volumes"]) => ("volume-list", ""),
            ("POST", ["volumes", "create"]) => ("volume-create", ""),
            ("GET", ["volumes", name]) => ("volume-inspect", *name),
            ("DELETE", ["volumes", name]) => ("volume-remove", *name),
            ("GET", ["images", "json"]) => ("image-list", ""),
            ("POST", ["images", "create"]) => ("image-pull", self.text("fromImage")),
            ("GET", ["images", name @ .., "json"]) => {
                return Some(Target { name: "image-inspect", of: name.join("/") });
            }
            ("POST", ["images", name @ .., "tag"]) => return Some(Target { name: "image-tag", of: name.join("/") }),
            ("DELETE", ["images", name @ ..]) => return Some(Target { name: "image-remove", of: name.join("/") }),
            ("GET", ["distribution", name @ .., "json"]) => {
                return Some(Target { name: "distribution-inspect", of: name.join("/") });
            }
            _ => return None,
        };
        Some(Target { name, of: of.to_owned() })
    }

    /// Changes something, if it succeeds.
    pub(super) fn changes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD") && self.path.last().is_none_or(|last| last != "wait")
    }

    /// A parameter of the query; empty if it is not there.
    pub(super) fn text(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    /// A parameter that is on or off.
    pub(super) fn flag(&self, key: &str) -> bool {
        !matches!(self.text(key), "" | "0" | "no" | "false" | "none")
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| Refusal::new(400, format!("invalid JSON: {error}")))
    }

    /// The filters of a list.
    pub(super) fn filters(&self) -> Result<Filters, Refusal> {
        let text = self.text("filters");
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let invalid = |error: &dyn std::fmt::Display| Refusal::new(400, format!("invalid filter: {error}"));
        let value: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
        let values = |value: Value| match value {
            Value::Array(list) => Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            Value::Object(map) => {
                Ok(map.into_iter().filter(|(_, on)| on == &Value::Bool(true)).map(|(key, _)| key).collect())
            }
            _ => Err(invalid(&"neither a list nor a map")),
        };
        let filters =
            value.into_iter().map(|(key, value)| Ok((key, values(value)?))).collect::<Result<_, Refusal>>()?;
        Ok(Filters(filters))
    }
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// The filters of a list, by name.
#[derive(Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// The values of a filter; none if it is not set.
    pub(super) fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The filter is not set, or one of its values fits.
    pub(super) fn any(&self, name: &str, fits: impl Fn(&str) -> bool) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|value| fits(value))
    }

    /// Every wanted label is there: `key` or `key=value`.
    pub(super) fn labels(&self, labels: &Value) -> bool {
        self.values("label").iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).and_then(Value::as_str) == Some(value),
            None => labels.get(wanted).is_some(),
        })
    }

    /// Fails on filters that are not among the known ones.
    pub(super) fn only(&self, known: &[&str], is_new: bool) -> Result<(), Refusal> {
        let invalid = if is_new { "invalid" } else { "Invalid" };
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Refusal::new(400, format!("{invalid} filter '{name}'"))),
            None => Ok(()),
        }
    }
}

/// An answer that is not a failure.
pub(super) enum Answer {
    /// A status and JSON.
    Json(u16, Value),
    /// A status alone.
    Empty(u16),
    /// 200 with these bytes and headers.
    Bytes { kind: &'static str, headers: Vec<(&'static str, String)>, bytes: Vec<u8> },
    /// Follow the events.
    Events { history: Vec<Value>, filters: Filters, incoming: Option<tokio::sync::mpsc::UnboundedReceiver<Value>> },
    /// Answer when the container has ended.
    Wait { container: String, condition: String },
    /// Pull an image.
    Pull,
}

/// A failure as the engine words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn body(&self) -> Value {
        json!({ "message": self.message })
    }
}

pub(super) type Reply = Result<Answer, Refusal>;
