//! Calls to the Engine API over HTTP: the versioned path, a deadline over the whole call, bounded answers, and nothing of a
//! body in any log.
//!
//! Not bollard: 0.21.1 never sends the version in the path, its timeout ends with the headers, it reads answers of any size,
//! it fails a whole list for one odd field, and it logs request bodies with the secrets in them.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::DropGuard;

use super::connect::Connector;
use super::errors::{self, CallError};
use super::reasons;
use super::text::printable;
use super::wire;
use crate::Mandate;

/// The newest API version that this driver was written for, and the oldest that it works with: minor numbers of 1.x.
const NEWEST_API: u32 = 51;
const OLDEST_API: u32 = 41;
/// For a call that only looks. A busy engine makes lists wait behind what it starts; whether it is there at all, a ping tells.
const READ_DEADLINE: Duration = Duration::from_secs(30);
/// An answer larger than this is not taken.
const MAX_ANSWER: usize = 64 << 20;
const MAX_ERROR: usize = 64 << 10;
const MAX_MESSAGE: usize = 500;
/// Reads are tried again when the connection broke: after these pauses.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// As many as the steps and looks of a busy host use at a time: a handshake costs the engine more than most calls. They are
/// closed when they are not used for a minute.
const IDLE_CONNECTIONS: usize = 32;

/// Everything but what RFC 3986 leaves unreserved, and what image references are made of.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':').remove(b'@');
/// Repository names have slashes, which the engine's router wants as they are.
const PLAIN_PATH: &AsciiSet = &PLAIN.remove(b'/');

/// One engine's API.
pub(super) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    peer: String,
    mandate: Mandate,
    /// Minor version that is spoken; 0: not asked yet.
    api: AtomicU32,
    /// Seconds that the engine's clock is ahead of ours.
    ahead: AtomicI64,
    /// Calls at a time.
    slots: Semaphore,
    _dials: DropGuard,
}

impl Client {
    pub(super) fn new(connector: Connector, peer: String, mandate: Mandate) -> Self {
        let slots = Semaphore::new(connector.calls_at_a_time());
        let dials = connector.guard();
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self { http, peer, mandate, api: AtomicU32::new(0), ahead: AtomicI64::new(0), slots, _dials: dials }
    }

    /// The minor version of the API that is spoken with this engine. Asked once.
    pub(super) async fn api(&self) -> Result<u32, CallError> {
        match self.api.load(Ordering::Relaxed) {
            0 => {
                self.version().await?;
                Ok(self.api.load(Ordering::Relaxed))
            }
            known => Ok(known),
        }
    }

    /// What the engine says of its version; refuses engines that are too old.
    pub(super) async fn version(&self) -> Result<wire::Version, CallError> {
        let version: wire::Version = self.call(Method::GET, "/version").unversioned().read().await?;
        let minor = version.api_version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).ok_or_else(|| {
            let said = printable(&version.api_version, 40);
            reasons::NOT_AN_ENGINE
                .error(format!("{} gives the API version {said:?}; is it a Docker engine?", self.peer))
        })?;
        if minor < OLDEST_API {
            return Err(CallError::Failed(reasons::ENGINE_TOO_OLD.error(format!(
                "{} runs Docker {} with API 1.{minor}; Slipway needs Docker 20.10 (API 1.{OLDEST_API}) or newer",
                self.peer,
                printable(&version.version, 40),
            ))));
        }
        self.api.store(NEWEST_API.min(minor), Ordering::Relaxed);
        Ok(version)
    }

    /// How far the engine's clock is ahead of ours, as its last answer was dated.
    pub(super) fn clock_ahead(&self) -> SignedDuration {
        SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }

    /// An answer is dated while it is made: between the request's start and now. On a busy machine that takes seconds.
    fn note_clock(&self, headers: &HeaderMap, asked: Timestamp) {
        let Some(theirs) = date(headers) else { return };
        let ahead = ahead(theirs.as_second(), asked.as_second(), Timestamp::now().as_second());
        // The header has whole seconds: so little is no other clock, and nothing may look younger for it than it did before.
        if (ahead - self.ahead.load(Ordering::Relaxed)).abs() > 2 {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(super) fn post(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub(super) fn put(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    pub(super) fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call {
            client: self,
            method,
            path: path.into(),
            versioned: true,
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline: READ_DEADLINE,
        }
    }
}

/// When an answer was sent, by the engine's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    Some(rfc2822::parse(date).ok()?.timestamp())
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(name, PLAIN_PATH)
}

/// A call that is being put together.
pub(super) struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    versioned: bool,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    deadline: Duration,
}

impl Call<'_> {
    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(key);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, PLAIN));
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        // Plain data with string keys always serialises.
        self.body = serde_json::to_vec(body).unwrap_or_default().into();
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub(super) fn tar(mut self, body: Vec<u8>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"))
    }

    pub(super) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Without `/v1.x`, for what is asked before the version is known.
    pub(super) fn unversioned(mut self) -> Self {
        self.versioned = false;
        self
    }

    /// Sends it and reads JSON. For calls that change nothing: tried again when the connection broke.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let body = self.read_bytes().await?;
        serde_json::from_slice(&body).map_err(|error| {
            let what = format!("{} answered what is not understood: {error}", self.client.peer);
            CallError::Failed(reasons::ENGINE_ERROR.error(what))
        })
    }

    /// Sends it and reads the answer. For calls that change nothing: tried again when the connection broke.
    pub(super) async fn read_bytes(&self) -> Result<Bytes, CallError> {
        let attempts = async {
            for pause in RETRIES {
                match self.once().await {
                    Err(CallError::Failed(error)) if error.reason() == reasons::CONNECTION_LOST.word => {
                        sleep(pause).await;
                    }
                    answer => return answer,
                }
            }
            self.once().await
        };
        timeout(self.deadline, attempts).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// Sends it once.
    pub(super) async fn send(self) -> Result<Bytes, CallError> {
        timeout(self.deadline, self.once()).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// Sends it once and hands out the answer as it comes. The deadline holds until the headers.
    pub(super) async fn stream(self) -> Result<http::Response<Incoming>, CallError> {
        timeout(self.deadline, self.respond()).await.unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> CallError {
        let what = format!("no answer from {} within {} s", self.client.peer, self.deadline.as_secs());
        CallError::Failed(reasons::TIMED_OUT.error(what))
    }

    async fn once(&self) -> Result<Bytes, CallError> {
        // Whether the engine is there, and in which version, is asked past all that waits.
        let _slot = if self.versioned { self.client.slots.acquire().await.ok() } else { None };
        let response = self.respond().await?;
        collect(response.into_body(), MAX_ANSWER, &self.client.peer).await
    }

    async fn respond(&self) -> Result<http::Response<Incoming>, CallError> {
        let answer = self.exchange().await;
        // The engine was replaced by another version: the request was not looked at, so ask again and send it again.
        let is_replaced = |error: &CallError| error.says("is too new. Maximum") || error.says("is too old. Minimum");
        if answer.as_ref().is_err_and(is_replaced) {
            self.client.api.store(0, Ordering::Relaxed);
            return self.exchange().await;
        }
        answer
    }

    async fn exchange(&self) -> Result<http::Response<Incoming>, CallError> {
        let prefix = if self.versioned { format!("/v1.{}", Box::pin(self.client.api()).await?) } else { String::new() };
        let uri = format!("http://docker{prefix}{}{}", self.path, self.query);
        let mut request =
            Request::builder().method(self.method.clone()).uri(uri).body(Full::new(self.body.clone())).map_err(
                |error| {
                    CallError::Failed(reasons::ENGINE_REFUSED.error(format!("cannot ask for {}: {error}", self.path)))
                },
            )?;
        request.headers_mut().extend(self.headers.clone());
        if self.method != Method::GET {
            self.client.mandate.check()?;
        }
        let asked = Timestamp::now();
        let response = self.client.http.request(request).await;
        tracing::debug!(
            peer = self.client.peer,
            method = %self.method,
            path = self.path,
            status = response.as_ref().map_or(0, |response| response.status().as_u16()),
        );
        let response = response.map_err(|error| CallError::Failed(errors::transport(&error, &self.client.peer)))?;
        self.client.note_clock(response.headers(), asked);
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let body = collect(response.into_body(), MAX_ERROR, &self.client.peer).await?;
        let said = serde_json::from_slice::<wire::Message>(&body)
            .map_or_else(|_| String::from_utf8_lossy(&body).into_owned(), |body| body.message);
        let said = printable(&said, MAX_MESSAGE);
        let message = if said.is_empty() { format!("HTTP status {status}") } else { said };
        Err(CallError::Engine { status: status.as_u16(), message })
    }
}

async fn collect(body: Incoming, max: usize, peer: &str) -> Result<Bytes, CallError> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let what = format!("{peer} answered more than {} KiB", max >> 10);
            Err(CallError::Failed(reasons::ENGINE_ERROR.error(what)))
        }
        Err(error) => Err(CallError::Failed(errors::transport(error.as_ref(), peer))),
    }
}

/// By how many seconds a clock that shows `theirs` is ahead for certain, if ours showed between `asked` and `now` then.
fn ahead(theirs: i64, asked: i64, now: i64) -> i64 {
    if theirs > now { theirs - now } else { (theirs - asked).min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_slow_clock() {
        assert_eq!(ahead(100, 100, 109), 0, "dated at once, and under way for long");
        assert_eq!(ahead(109, 100, 109), 0, "dated late");
        assert_eq!((ahead(95, 100, 101), ahead(160, 100, 101)), (-5, 59));
    }
}
