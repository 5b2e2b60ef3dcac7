//! HTTP/1.1 to one BMC: one connection, one request at a time, bounded answers, deadlines; and whether a request that got no
//! answer may have reached it.
//!
//! No pool and no redirects: a client that sends a request a second time on its own, or to another host, cannot promise that
//! a reset is sent once and a password to the BMC alone.

use std::error::Error as StdError;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::json::Path;
use super::tls::{self, Shown, Tls};
use crate::DriverError;
use crate::bmc::{ANSWER, Delivered, Trust, reasons};
use crate::docker::text::printable;

/// Until a connection stands, TLS included: a BMC's processor takes its time for the handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A connection that was not used for so long is not used again: BMCs drop them without a word (sushy gave up on keeping
/// them at all, its release note "disable-conn-pooling").
const KEPT: Duration = Duration::from_secs(5);
/// No connection is used for longer, however busy: a BMC shows its certificate to new ones alone, and it may be another by then.
const OLDEST: Duration = Duration::from_mins(1);
/// A larger answer is not taken.
const MAX_ANSWER: usize = 4 << 20;
const MAX_HEADERS: usize = 100;

/// What is sent.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) path: Path,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// It does something, so it goes over a connection of its own: one that was kept may break just while it is sent.
    pub(super) fresh: bool,
}

/// What came back, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// No answer.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) error: DriverError,
    pub(super) delivered: Delivered,
}

/// The way to one BMC.
pub(super) struct Wire {
    /// `https://host:port`, for messages.
    peer: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<(ServerName<'static>, Tls)>,
    open: Option<Open>,
}

/// A connection that is kept.
struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    until: Instant,
    /// The connection's own end.
    end: Instant,
    _task: AbortOnDropHandle<()>,
}

impl Wire {
    /// The way to `http://host:port` or `https://host:port`. Sends nothing.
    pub(super) fn to(url: &str, trust: &Trust) -> Result<Self, DriverError> {
        let wrong = || reasons::NOT_A_BMC.error(format!("{} is no http or https address", printable(url, 200)));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let usual = if is_secure { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual);
        let tls = if is_secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
            Some((name, Tls::new(trust)?))
        } else {
            None
        };
        // Without the usual port, as others send it: there are BMCs that compare it with their own name.
        let header = if port == usual { authority.host().to_owned() } else { format!("{}:{port}", authority.host()) };
        let header = HeaderValue::from_str(&header).map_err(|_| wrong())?;
        // Without what an address may carry before an '@'.
        let authority = authority.as_str().rsplit('@').next().unwrap_or_default();
        let peer = format!("{}://{authority}", if is_secure { "https" } else { "http" });
        Ok(Self { peer, host, port, authority: header, tls, open: None })
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    /// The certificate that the BMC showed last.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.tls.as_ref().and_then(|(_, tls)| tls.shown())
    }

    /// Ends the connection.
    pub(super) fn hang_up(&mut self) {
        self.open = None;
    }

    /// Sends a request once, and waits for the answer until then. Whoever drops this future ends the connection with it.
    pub(super) async fn send(&mut self, request: &Outgoing, until: Instant) -> Result<Answer, Lost> {
        let given = AtomicBool::new(false);
        if let Ok(answer) = timeout_at(until, self.exchange(request, &given)).await {
            return answer;
        }
        let error = reasons::TIMED_OUT.error(format!("no answer from {} within {} s", self.peer, ANSWER.as_secs()));
        Err(lost(error, given.load(Ordering::Relaxed)))
    }

    async fn exchange(&mut self, request: &Outgoing, given: &AtomicBool) -> Result<Answer, Lost> {
        let mut open = match self.kept(request).await {
            Some(open) => open,
            None => self.dial().await.map_err(|error| lost(error, false))?,
        };
        let message = self.message(request).map_err(|error| lost(error, false))?;
        given.store(true, Ordering::Relaxed);
        let response = match open.sender.try_send_request(message).await {
            Ok(response) => response,
            Err(mut failed) => {
                // hyper hands back a request of which not one byte was written.
                let is_unsent = failed.take_message().is_some();
                return Err(lost(self.broken(&failed.into_error()), !is_unsent));
            }
        };
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            // The status tells what became of a request that does something.
            Err(_) if request.method != Method::GET => Bytes::new(),
            Err(error) if error.is::<LengthLimitError>() => {
                let what = format!("{} answered more than {} MiB", self.peer, MAX_ANSWER >> 20);
                return Err(lost(reasons::ANSWER_INVALID.error(what), true));
            }
            Err(error) => return Err(lost(self.broken(error.as_ref()), true)),
        };
        let body = match unpacked(&head.headers, body) {
            Ok(body) => body,
            Err(_) if request.method != Method::GET => Bytes::new(),
            Err(why) => {
                let what = format!("{} answered with a compressed body {why}", self.peer);
                return Err(lost(reasons::ANSWER_INVALID.error(what), true));
            }
        };
        if !request.fresh {
            open.until = open.end.min(Instant::now() + KEPT);
            self.open = Some(open);
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// The kept connection, if it may be used and still stands.
    async fn kept(&mut self, request: &Outgoing) -> Option<Open> {
        let mut open = self.open.take().filter(|open| !request.fresh && open.until > Instant::now())?;
        open.sender.ready().await.ok().map(|()| open)
    }

    fn message(&self, request: &Outgoing) -> Result<Request<Full<Bytes>>, DriverError> {
        let body = Full::new(request.body.clone().unwrap_or_default());
        let message = Request::builder().method(request.method.clone()).uri(request.path.as_str()).body(body);
        let mut message = message
            .map_err(|error| reasons::ANSWER_INVALID.error(format!("cannot ask for {}: {error}", request.path)))?;
        let headers = message.headers_mut();
        headers.extend(request.headers.clone());
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static("slipway"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // Without it some compress.
        headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        headers.insert("odata-version", HeaderValue::from_static("4.0"));
        if request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if request.fresh {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(message)
    }

    async fn dial(&self) -> Result<Open, DriverError> {
        let late = |_| {
            let secs = CONNECT_DEADLINE.as_secs();
            reasons::TIMED_OUT.error(format!("{} does not answer (no connection within {secs} s)", self.peer))
        };
        timeout(CONNECT_DEADLINE, self.connect()).await.map_err(late)?
    }

    async fn connect(&self) -> Result<Open, DriverError> {
        let stream = self.tcp().await?;
        match &self.tls {
            None => self.handshake(stream).await,
            Some((name, tls)) => {
                let connector = tokio_rustls::TlsConnector::from(tls.config.clone());
                let stream = connector.connect(name.clone(), stream).await;
                self.handshake(stream.map_err(|error| self.broken_tls(&error))?).await
            }
        }
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Open, DriverError> {
        let handshake = http1::Builder::new().max_headers(MAX_HEADERS).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        let task = tokio::spawn(async {
            // How it ends is seen by the request that is under way.
            let _ = connection.await;
        });
        let now = Instant::now();
        Ok(Open { sender, until: now + KEPT, end: now + OLDEST, _task: AbortOnDropHandle::new(task) })
    }

    async fn tcp(&self) -> Result<TcpStream, DriverError> {
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| {
                reasons::NAME_NOT_FOUND.error(format!("the name {} cannot be resolved: {error}", self.host))
            })?
            .take(8)
            .collect();
        let share = CONNECT_DEADLINE / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = reasons::NAME_NOT_FOUND.error(format!("the name {} has no address", self.host));
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = self.closed(&error),
                Err(_) => last = reasons::TIMED_OUT.error(format!("{} does not answer (no reply to TCP)", self.peer)),
            }
        }
        Err(last)
    }

    /// Why no connection could be opened.
    fn closed(&self, error: &io::Error) -> DriverError {
        use io::ErrorKind as E;
        let peer = &self.peer;
        match error.kind() {
            E::ConnectionRefused => reasons::CONNECTION_REFUSED
                .error(format!("nothing listens at {peer} (connection refused); is Redfish switched on in the BMC?")),
            E::HostUnreachable | E::NetworkUnreachable => {
                reasons::NO_ROUTE.error(format!("no route to {peer}: {error}"))
            }
            E::TimedOut => reasons::TIMED_OUT.error(format!("{peer} does not answer: {error}")),
            _ => reasons::CONNECTION_LOST.error(format!("no connection to {peer}: {error}")),
        }
    }

    fn broken_tls(&self, error: &io::Error) -> DriverError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => tls::refusal(error, self.shown().as_ref(), &self.peer),
            None => reasons::CONNECTION_LOST
                .error(format!("{} closed the connection during the TLS handshake: {error}", self.peer)),
        }
    }

    /// Why a connection broke: the first cause in the chain that says something.
    fn broken(&self, error: &(dyn StdError + 'static)) -> DriverError {
        let peer = &self.peer;
        let mut cause = Some(error);
        let mut last = String::new();
        while let Some(error) = cause {
            // rustls hides its errors in those of the connection.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return tls::refusal(error, self.shown().as_ref(), peer);
            }
            if error.downcast_ref::<hyper::Error>().is_some_and(is_no_http) {
                return reasons::NOT_A_BMC.error(format!("{peer} does not answer in HTTP; is it a BMC with Redfish?"));
            }
            last = error.to_string();
            cause = error.source();
        }
        reasons::CONNECTION_LOST.error(format!("the connection to {peer} broke: {}", printable(&last, 200)))
    }
}

/// A body as it was before it was compressed. It was asked for as it is, but there are BMCs that compress all the same.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Bytes, String> {
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match coding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" => {}
        other => return Err(format!("({}), though that was not asked for", printable(other, 32))),
    }
    let mut plain = Vec::new();
    // One byte more than is taken tells that there is more.
    let mut decoder = MultiGzDecoder::new(&*body).take(MAX_ANSWER as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|error| format!("that cannot be unpacked: {error}"))?;
    if plain.len() > MAX_ANSWER {
        return Err(format!("of more than {} MiB", MAX_ANSWER >> 20));
    }
    Ok(plain.into())
}

fn lost(error: DriverError, given: bool) -> Lost {
    Lost { error, delivered: if given { Delivered::Maybe } else { Delivered::No } }
}

/// What answers is something else, such as an SSH server, which even speaks first. (hyper names that kind in words only.)
fn is_no_http(error: &hyper::Error) -> bool {
    error.is_parse() || error.to_string().starts_with("received unexpected message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmc_is_called_by_its_name_and_a_port_that_is_not_the_usual_one() {
        for (url, host) in [
            ("https://bmc.lab:443", "bmc.lab"),
            ("https://[fd00::20]:443", "[fd00::20]"),
            ("http://10.0.0.20:80", "10.0.0.20"),
            ("http://10.0.0.20:443", "10.0.0.20:443"),
            ("https://bmc.lab:8443", "bmc.lab:8443"),
            ("https://root:pw@bmc.lab:443", "bmc.lab"),
        ] {
            assert_eq!(Wire::to(url, &Trust::Any).unwrap().authority, host, "{url}");
        }
    }
}
