//! A BMC on its socket: HTTP or HTTPS, and what goes wrong on the way.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::actions::{Answer, Request, handle};
use super::bugs::Bug;
use super::state::{Call, State};
use crate::faults::{Effect, Faults, Moment};

/// A larger request is no request.
const MAX_REQUEST: usize = 1 << 20;
/// Larger than what a client should take.
const HUGE: usize = 8 << 20;
/// Deeper than what a client should follow.
const DEEP: usize = 100_000;
/// A TLS handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a link begins with that leads to another host.
const ELSEWHERE: &str = "https://evil.example";

/// One BMC and its socket.
pub(super) struct Host {
    state: Mutex<State>,
    pub(super) faults: Faults,
    /// The certificate that new connections are shown; `None` is plain HTTP.
    tls: Mutex<Option<TlsAcceptor>>,
    /// Grows when all connections are to end.
    life: watch::Sender<u64>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
    connections: AtomicUsize,
}

/// The connection breaks without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks")]
struct Cut;

impl Host {
    pub(super) fn new(state: State) -> io::Result<Arc<Self>> {
        let host = Self {
            tls: Mutex::new(None),
            state: Mutex::new(state),
            faults: Faults::default(),
            life: watch::channel(0).0,
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        };
        let identity = host.state().settings.certificate.clone();
        if let Some((certificate, key)) = identity {
            host.show(&certificate, &key)?;
        }
        Ok(Arc::new(host))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most requests that were under way at the same time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::Relaxed)
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.life.send_modify(|life| *life += 1);
    }

    /// Shows another certificate to new connections.
    pub(super) fn show(&self, certificate: &str, key: &str) -> io::Result<()> {
        let wrong =
            |error: &dyn std::fmt::Display| io::Error::other(format!("the certificate cannot be used: {error}"));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| wrong(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_no_client_auth()
            .with_single_cert(chain.map_err(|error| wrong(&error))?, key)
            .map_err(|error| wrong(&error))?;
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(config).into());
        Ok(())
    }

    /// Serves for ever.
    pub(super) async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                stream = listener.accept() => match stream {
                    Ok((stream, _)) => drop(connections.spawn(self.clone().connection(stream))),
                    Err(_) => return,
                },
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut life = self.life.subscribe();
        life.mark_unchanged();
        let tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let serve = async {
            match tls {
                None => self.clone().serve(stream).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                        self.clone().serve(stream).await;
                    }
                }
            }
        };
        tokio::select! {
            _ = life.changed() => {}
            () = serve => {}
        }
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(|request| self.clone().respond(request));
        // How a connection ends is the client's affair.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn respond(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        // A task of its own: a request is done even if who asked has gone away, as in a real BMC.
        let host = self.clone();
        let done = tokio::spawn(async move { host.process(request).await }).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        done.map_err(|_| Cut)?
    }

    async fn process(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(|_| Cut)?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = take_apart(head.method.as_str(), path, &head.headers, &body);
        let (name, number) = self.note(&request, path);
        let fault = self.faults.strike(name);
        if let Some((Moment::Before, effect)) = &fault
            && let Some(answer) = self.suffer(effect).await?
        {
            return Ok(self.answer(number, &request, answer));
        }
        let answer = handle(&mut self.state(), &request);
        if let Some((Moment::After, effect)) = &fault
            && let Some(answer) = self.suffer(effect).await?
        {
            return Ok(self.answer(number, &request, answer));
        }
        Ok(self.answer(number, &request, answer))
    }

    fn note(&self, request: &Request, path: &str) -> (&'static str, usize) {
        let mut state = self.state();
        let name = request.name(state.settings.flavour.shape());
        let reset = request.body["ResetType"].as_str().filter(|_| name == "reset").map(str::to_owned);
        let call = Call { name, method: request.method.clone(), path: path.to_owned(), reset, status: None };
        state.calls.push(call);
        (name, state.calls.len() - 1)
    }

    /// Lets a fault happen. An answer is the answer then; otherwise the request goes on.
    async fn suffer(&self, effect: &Effect) -> Result<Option<Answer>, Cut> {
        match effect {
            Effect::Hang => return if self.faults.hang().await { Ok(None) } else { Err(Cut) },
            Effect::Slow(time) => {
                self.faults.has_struck();
                sleep(*time).await;
                return Ok(None);
            }
            _ => self.faults.has_struck(),
        }
        match effect {
            Effect::Hook(hook) => {
                hook.run();
                Err(Cut)
            }
            Effect::Fail(status, words) => {
                let error = json!({"code": "Base.1.8.GeneralError", "message": words});
                Ok(Some(Answer { status: *status, body: Some(json!({ "error": error })), ..Answer::default() }))
            }
            _ => Err(Cut),
        }
    }

    fn answer(&self, number: usize, request: &Request, answer: Answer) -> Response<Full<Bytes>> {
        let mut state = self.state();
        let is_below_root = request.method == "GET" && request.path != super::tree::ROOT;
        let is_packed = is_below_root && state.has(&Bug::OnlyCompressed);
        let answer =
            if is_packed && !request.accepts_gzip { Answer { status: 406, ..Answer::default() } } else { answer };
        // The log may have been started anew meanwhile.
        if let Some(call) = state.calls.get_mut(number) {
            call.status = Some(answer.status);
        }
        let mut body = answer.body.map_or_else(Bytes::new, |body| spoilt(&state, request, &body));
        let mut response = Response::builder().status(answer.status).header("odata-version", "4.0");
        if !body.is_empty() {
            response = response.header(header::CONTENT_TYPE, "application/json");
            if is_packed || state.has(&Bug::Compresses) {
                body = compressed(&body);
                response = response.header(header::CONTENT_ENCODING, "gzip");
            } else if state.has(&Bug::CompressesOddly) {
                response = response.header(header::CONTENT_ENCODING, "zstd");
            }
        }
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        // All of these are made here, from names and values that HTTP allows.
        response.body(Full::new(body)).unwrap_or_default()
    }
}

fn compressed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // What is written to memory is written.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

/// A body with what is wrong with this BMC's bodies.
fn spoilt(state: &State, request: &Request, body: &Value) -> Bytes {
    let is_below_root = request.method == "GET" && request.path != super::tree::ROOT;
    for bug in state.bugs.iter().filter(|_| is_below_root) {
        match bug {
            Bug::HugeBodies => return format!("{body}{}", " ".repeat(HUGE)).into(),
            Bug::DeepJson => return format!("{}1{}", "{\"a\":[".repeat(DEEP), "]}".repeat(DEEP)).into(),
            Bug::WrongTypes => return twisted(body).to_string().into(),
            Bug::Shouts => return shouted(body).to_string().into(),
            Bug::SpoiltTexts => return marred(body),
            Bug::NotJson => return Bytes::from_static(b"<html><body>Please reload</body></html>"),
            _ => {}
        }
    }
    for (bug, beginning) in
        [(Bug::LinksElsewhere, format!("{ELSEWHERE}/redfish")), (Bug::LinksWithoutSlash, "redfish".to_owned())]
    {
        if state.has(&bug) {
            return body.to_string().replace("\"/redfish", &format!("\"{beginning}")).into();
        }
    }
    body.to_string().into()
}

/// The same with what is no text in the serial numbers, and with what must not be before it.
fn marred(body: &Value) -> Bytes {
    let key = "\"SerialNumber\":\"";
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    for (number, part) in body.to_string().split(key).enumerate() {
        if number > 0 {
            bytes.extend(key.bytes());
            bytes.extend([0x01, 0xff, 0xfe]);
        }
        bytes.extend(part.bytes());
    }
    bytes.into()
}

/// The same with the values of the schema in capitals.
fn shouted(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shouted(value))).collect(),
        Value::Array(list) => list.iter().map(shouted).collect(),
        // Not the paths, and not what people read.
        Value::String(text) if text.chars().all(char::is_alphanumeric) => text.to_uppercase().into(),
        other => other.clone(),
    }
}

/// The same with nothing of the type that it should have, but for the links, so that one gets there.
fn twisted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let keep = |key: &str| key == "@odata.id" || key == "target" || key == "Links";
            map.iter()
                .map(|(key, value)| (key.clone(), if keep(key) { value.clone() } else { twisted(value) }))
                .collect()
        }
        Value::Array(list) if list.iter().any(Value::is_object) => list.iter().map(twisted).collect(),
        Value::Array(_) => json!({"0": "a list"}),
        Value::String(text) => json!([text.len()]),
        Value::Number(number) => json!({"value": number}),
        Value::Bool(_) | Value::Null => json!("perhaps"),
    }
}

fn take_apart(method: &str, path_and_query: &str, headers: &HeaderMap, body: &[u8]) -> Request {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let basic = header("authorization").and_then(|value| {
        let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
        let (username, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Some((username.to_owned(), password.to_owned()))
    });
    Request {
        method: method.to_owned(),
        path: path.trim_end_matches('/').to_owned(),
        has_slash: path.ends_with('/'),
        query: query.to_owned(),
        token: header("x-auth-token"),
        basic,
        if_match: header("if-match"),
        host: header("host").unwrap_or_default(),
        accepts_gzip: header("accept-encoding").is_some_and(|codings| codings.contains("gzip")),
        body: serde_json::from_slice(body).unwrap_or_default(),
        has_body: !body.is_empty(),
    }
}
