//! Requests to one BMC as Redfish (DMTF DSP0266) wants them: a session or Basic, `ETag`s, 503 and `Retry-After`, tasks.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, IF_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::errors::{Failure, Refusal, retry_after};
use super::json::{Path, Resource, link, parse, path, text};
use super::wire::{Answer, Lost, Outgoing, Wire};
use crate::DriverError;
use crate::bmc::{ANSWER, Delivered, Login, Password, Trust, WHOLE_CALL, reasons};

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// Reads are tried again when the connection broke: after these pauses.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// A BMC that is busy and does not say for how long is asked again after this time.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// So often a PATCH is tried whose precondition failed.
const PATCHES: usize = 4;
/// Redirections are followed so often; each stays on the BMC.
const HOPS: usize = 3;
/// Where every service begins (DSP0266, "Service root").
const SERVICE_ROOT: &str = "/redfish/v1/";

/// A BMC that takes longer for each answer is spared what is not needed and takes dozens of them.
const SLOW: Duration = Duration::from_secs(2);
/// What a refusal says of an account that is locked.
const LOCKED: [&str; 4] = ["locked", "lockout", "lock-out", "lock out"];

/// How requests say who they come from.
enum Access {
    /// Not at all yet.
    None,
    Session {
        token: HeaderValue,
        location: Option<Path>,
    },
    Basic,
    /// The BMC refused us. Nothing is sent any more, as it would lock the account.
    Denied(DriverError),
}

/// What the service root tells (`/redfish/v1/`, readable by everybody).
#[derive(Clone, Debug, Default)]
pub(super) struct Root {
    pub(super) vendor: Option<String>,
    pub(super) systems: Option<Path>,
    pub(super) managers: Option<Path>,
    pub(super) chassis: Option<Path>,
    pub(super) accounts: Option<Path>,
    /// Members may be read together with their collection.
    pub(super) expands: bool,
    sessions: Option<Path>,
}

impl Root {
    pub(super) fn read(body: &Value) -> Self {
        let sessions = link(body, "/Links/Sessions");
        // Not every root links to what there is.
        let place =
            |name: &str| link(body, &format!("/{name}")).or_else(|| Some(Path::parse(SERVICE_ROOT)?.join(name)));
        // An OEM section is named after who made it, and older BMCs have nothing else.
        let oem = || body.pointer("/Oem")?.as_object()?.keys().next().filter(|key| key.len() < 32).cloned();
        Self {
            vendor: text(body, "/Vendor").or_else(oem),
            systems: place("Systems"),
            managers: place("Managers"),
            chassis: place("Chassis"),
            accounts: link(body, "/AccountService"),
            expands: body.pointer("/ProtocolFeaturesSupported/ExpandQuery/NoLinks") == Some(&Value::Bool(true)),
            sessions: sessions.or_else(|| Some(link(body, "/SessionService")?.join("Sessions"))),
        }
    }
}

/// One BMC. Whoever holds it is alone with the BMC.
pub(super) struct Client {
    wire: Wire,
    login: Login,
    access: Access,
    root: Option<Root>,
    /// A busy BMC is waited for until then.
    patient_until: Instant,
    /// Everything under way ends then.
    until: Instant,
    /// The longest that an answer took.
    slowest: Duration,
    /// How long the last two answers took.
    recent: [Duration; 2],
    /// Some of what it has comes compressed or not at all.
    packs: bool,
}

impl Client {
    /// Sends nothing yet.
    pub(super) fn new(url: &str, trust: &Trust, login: &Login) -> Result<Self, DriverError> {
        let wire = Wire::to(url, trust)?;
        let now = Instant::now();
        Ok(Self {
            wire,
            login: login.clone(),
            access: Access::None,
            root: None,
            patient_until: now,
            until: now,
            slowest: Duration::ZERO,
            recent: [Duration::ZERO; 2],
            packs: false,
        })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(super) fn username(&self) -> &str {
        &self.login.username
    }

    /// The account has another password from now on.
    pub(super) fn use_password(&mut self, password: &Password) {
        self.login.password = password.clone();
    }

    /// What is asked from now on waits so long for a BMC that is busy. One that answers slowly has [`WHOLE_CALL`].
    pub(super) fn within(&mut self, time: Duration) {
        self.patient_until = Instant::now() + time;
        self.until = Instant::now() + WHOLE_CALL;
    }

    /// Waits, unless the time is up by then.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), Failure> {
        if Instant::now() + time >= self.patient_until {
            return Err(reasons::TIMED_OUT.error(format!("{} takes too long", self.wire.peer())).into());
        }
        sleep(time).await;
        Ok(())
    }

    /// Whether both of the last two answers took long.
    pub(super) fn is_slow(&self) -> bool {
        self.recent.iter().all(|took| *took > SLOW)
    }

    /// The service root, read once.
    pub(super) async fn root(&mut self) -> Result<Root, Failure> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        let answer = self.root_as_it_is().await?;
        let peer = self.wire.peer();
        let body: Value = match answer.status {
            200..=299 => parse(&answer.body).unwrap_or_default(),
            // Everybody may read it, but some ask for a login: then everything is taken to be where it mostly is.
            401 | 403 => usual_root(),
            404 => {
                let what = format!(
                    "{peer} has no Redfish service (status 404 for /redfish/v1/); is Redfish switched on in the BMC?"
                );
                return Err(reasons::NOT_A_BMC.error(what).into());
            }
            300..=399 => {
                let what = format!(
                    "{peer} redirects (status {}); should the address begin with redfish+https?",
                    answer.status
                );
                return Err(reasons::NOT_A_BMC.error(what).into());
            }
            _ => return Err(Failure::Refused(Refusal::of(&answer, &[]))),
        };
        if body.get("RedfishVersion").is_none() && link(&body, "/Systems").is_none() {
            let what = format!("what {peer} answers at /redfish/v1/ is no Redfish service root");
            return Err(reasons::NOT_A_BMC.error(what).into());
        }
        let root = Root::read(&body);
        self.root = Some(root.clone());
        Ok(root)
    }

    /// What is answered for the service root, there or where the BMC says that it is.
    async fn root_as_it_is(&mut self) -> Result<Answer, Failure> {
        let path = Path::parse(SERVICE_ROOT).ok_or_else(|| reasons::NOT_A_BMC.error("no path"))?;
        let mut request = Outgoing { method: Method::GET, path, headers: HeaderMap::new(), body: None, fresh: false };
        for _ in 0..HOPS {
            let answer = self.send_patiently(&request).await?;
            match moved(&answer) {
                // The same path at another scheme or host is not here.
                Some(path) if path != request.path => request.path = path,
                _ => return Ok(answer),
            }
        }
        self.send_patiently(&request).await
    }

    /// Reads a resource.
    pub(super) async fn get(&mut self, path: &Path) -> Result<Resource, Failure> {
        let answer = self.call(Method::GET, path, None, HeaderMap::new(), false).await?;
        match parse(&answer.body) {
            Some(body) if body.is_object() => Ok(Resource::new(path.clone(), body, answer.headers.get(ETAG))),
            _ => {
                let what = format!("{} answered for {path} what is no JSON object", self.wire.peer());
                Err(reasons::ANSWER_INVALID.error(what).into())
            }
        }
    }

    /// Reads a resource that not every BMC has.
    pub(super) async fn get_if_any(&mut self, path: &Path) -> Result<Option<Resource>, Failure> {
        match self.get(path).await {
            Ok(resource) => Ok(Some(resource)),
            Err(failure) if failure.is_absent() => {
                tracing::debug!(peer = self.wire.peer(), %path, status = failure.status(), "absent");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads a resource that only adds to what is told of others: one that the BMC cannot show, or not to us, hides none of them.
    pub(super) async fn get_if_shown(&mut self, path: &Path) -> Result<Option<Resource>, Failure> {
        match self.get_if_any(path).await {
            Err(failure) if failure.is_of_one() => {
                tracing::debug!(peer = self.wire.peer(), %path, status = failure.status(), "not shown");
                Ok(None)
            }
            read => read,
        }
    }

    /// Changes a resource as it was read. What is set is set whatever else has changed, so a failed precondition is met by
    /// reading again; for BMCs whose `ETag`s do not match themselves, also by the strong form and at last by none.
    pub(super) async fn patch(&mut self, mut resource: Resource, body: &Value) -> Result<(), Failure> {
        let mut etag = resource.etag.clone();
        for _ in 1..PATCHES {
            match self.patch_once(&resource.path, body, etag.as_ref()).await {
                Err(Failure::Refused(refusal)) if matches!(refusal.status, 412 | 428) => {
                    let before = resource.etag.clone();
                    resource = self.get(&resource.path).await?;
                    let is_another = resource.etag != before;
                    etag = if is_another { resource.etag.clone() } else { etag.as_ref().and_then(strong) };
                }
                done => return done,
            }
        }
        self.patch_once(&resource.path, body, etag.as_ref()).await
    }

    async fn patch_once(&mut self, path: &Path, body: &Value, etag: Option<&HeaderValue>) -> Result<(), Failure> {
        let headers = etag.map(|etag| (IF_MATCH, etag.clone())).into_iter().collect();
        let answer = self.call(Method::PATCH, path, Some(body), headers, true).await?;
        self.finish(answer, true).await
    }

    /// Calls an action. It is sent once.
    pub(super) async fn act(&mut self, target: &Path, body: &Value) -> Result<(), Failure> {
        let answer = self.call(Method::POST, target, Some(body), HeaderMap::new(), true).await?;
        self.finish(answer, false).await
    }

    /// Sends a request as who we are, and logs in before if need be.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &Path,
        body: Option<&Value>,
        headers: HeaderMap,
        fresh: bool,
    ) -> Result<Answer, Failure> {
        self.log_in().await?;
        let mut path = path.clone();
        let mut hops = 0;
        let mut is_renewed = false;
        loop {
            let request = Outgoing {
                method: method.clone(),
                path: path.clone(),
                headers: self.identified(headers.clone()),
                body: body.map(|body| Bytes::from(body.to_string())),
                fresh,
            };
            let answer =
                if method == Method::GET { self.send_patiently(&request).await? } else { self.send(&request).await? };
            match answer.status {
                200..=299 => return Ok(answer),
                // 307 and 308 say that the same is to be sent there, and that nothing was done here.
                301 | 302 if method != Method::GET => return Err(Failure::Refused(self.refusal(&answer, body))),
                301 | 302 | 307 | 308 if hops < HOPS => {
                    hops += 1;
                    path = location(&answer).ok_or_else(|| Failure::Refused(self.refusal(&answer, body)))?;
                }
                406 if method == Method::GET && !self.packs => self.packs = true,
                401 => {
                    self.renew(&answer, is_renewed).await?;
                    is_renewed = true;
                }
                status => {
                    let is_in_doubt = method != Method::GET && matches!(status, 500 | 502 | 504);
                    return Err(Failure::Refused(Refusal { is_in_doubt, ..self.refusal(&answer, body) }));
                }
            }
        }
    }

    fn identified(&self, mut headers: HeaderMap) -> HeaderMap {
        match &self.access {
            Access::Session { token, .. } => drop(headers.insert(TOKEN, token.clone())),
            Access::Basic => {
                let mut pair = self.login.username.clone().into_bytes();
                pair.push(b':');
                pair.extend(self.login.password.expose());
                if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
            Access::None | Access::Denied(_) => {}
        }
        if self.packs {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }

    /// After a 401, which means that nothing was done: logs in anew, once, if it was a session that may have expired.
    async fn renew(&mut self, answer: &Answer, is_renewed: bool) -> Result<(), Failure> {
        let refusal = self.refusal(answer, None);
        if !matches!(self.access, Access::Session { .. }) {
            return Err(self.deny(&refusal).into());
        }
        self.access = Access::None;
        if is_renewed {
            let what =
                format!("{} takes the login of {:?}, but not its session", self.wire.peer(), self.login.username);
            return Err(refusal.as_error(reasons::PRIVILEGE_MISSING, &what).into());
        }
        self.log_in().await
    }

    /// The BMC does not take the credentials: they are never sent to it again.
    fn deny(&mut self, refusal: &Refusal) -> DriverError {
        let words = refusal.words.to_lowercase();
        let is_locked = LOCKED.iter().any(|locked| words.contains(locked));
        let reason = if is_locked { reasons::ACCOUNT_LOCKED } else { reasons::CREDENTIALS_REFUSED };
        let what = format!("{} refuses the login of {:?}", self.wire.peer(), self.login.username);
        let error = refusal.as_error(reason, &what);
        self.access = Access::Denied(error.clone());
        error
    }

    /// Logs in, unless we are: with a session, or Basic where the BMC has none.
    pub(super) async fn log_in(&mut self) -> Result<(), Failure> {
        match &self.access {
            Access::Session { .. } | Access::Basic => return Ok(()),
            Access::Denied(error) => return Err(error.clone().into()),
            Access::None => {}
        }
        let Some(sessions) = self.root().await?.sessions else {
            self.access = Access::Basic;
            return Ok(());
        };
        let password = std::str::from_utf8(self.login.password.expose())
            .map_err(|_| reasons::REFUSED.error("the password of the BMC is not UTF-8, which Redfish cannot carry"))?;
        let body = json!({"UserName": self.login.username, "Password": password}).to_string().into();
        let mut request = Outgoing {
            method: Method::POST,
            path: sessions,
            headers: HeaderMap::new(),
            body: Some(body),
            fresh: false,
        };
        let mut answer = self.send(&request).await.map_err(harmless)?;
        for _ in 0..HOPS {
            // Nothing was done there, and it stays on the BMC. 302 and 303 are what a login to a page brings.
            let to = moved(&answer).filter(|path| matches!(answer.status, 301 | 307 | 308) && *path != request.path);
            let Some(path) = to else { break };
            request.path = path;
            answer = self.send(&request).await.map_err(harmless)?;
        }
        let refusal = || self.refusal(&answer, None);
        match answer.status {
            200..=299 => self.access = granted(&answer),
            404 | 405 | 501 => self.access = Access::Basic,
            // The password is right, and without a session it can be changed all the same.
            403 if refusal().reason() == reasons::PASSWORD_CHANGE_REQUIRED => self.access = Access::Basic,
            400 | 401 | 403 if refusal().reason() != reasons::SESSIONS_FULL => {
                let refusal = refusal();
                return Err(self.deny(&refusal).into());
            }
            _ => return Err(Failure::Refused(refusal())),
        }
        Ok(())
    }

    /// Ends the session.
    pub(super) async fn log_out(&mut self) {
        if let Access::Session { location: Some(path), .. } = &self.access {
            let path = path.clone();
            let headers = self.identified(HeaderMap::new());
            let request = Outgoing { method: Method::DELETE, path, headers, body: None, fresh: false };
            if let Err(lost) = self.send(&request).await {
                tracing::debug!(peer = self.wire.peer(), error = %lost.error, "the session may stay open");
            }
        }
        if !matches!(self.access, Access::Denied(_)) {
            self.access = Access::None;
        }
        self.wire.hang_up();
    }

    /// A refusal without what must not be shown.
    fn refusal(&self, answer: &Answer, sent: Option<&Value>) -> Refusal {
        Refusal::of(answer, &self.secrets(sent))
    }

    pub(super) fn secrets(&self, sent: Option<&Value>) -> Vec<String> {
        let shown = |password: &Password| String::from_utf8_lossy(password.expose()).into_owned();
        let token = match &self.access {
            Access::Session { token, .. } => token.to_str().ok().map(str::to_owned),
            _ => None,
        };
        let sent = sent.and_then(|body| Some(body.get("Password")?.as_str()?.to_owned()));
        [Some(shown(&self.login.password)), token, sent].into_iter().flatten().collect()
    }

    /// Sends a read: again when the connection broke, and when the BMC was busy, as long as there is time.
    async fn send_patiently(&mut self, request: &Outgoing) -> Result<Answer, Failure> {
        let mut pauses = RETRIES.iter();
        loop {
            let answer = match self.send(request).await {
                Err(lost) if lost.error.reason() == reasons::CONNECTION_LOST.word => match pauses.next() {
                    Some(pause) => {
                        sleep(*pause).await;
                        continue;
                    }
                    None => return Err(harmless(lost).into()),
                },
                answer => answer.map_err(harmless)?,
            };
            let pause = retry_after(&answer.headers).map_or(BUSY_PAUSE, Duration::from_secs).max(BUSY_PAUSE / 4);
            let is_busy = matches!(answer.status, 429 | 503);
            // Half of the time is left for what comes after.
            if !is_busy || Instant::now() + pause * 2 >= self.patient_until {
                return Ok(answer);
            }
            sleep(pause).await;
        }
    }

    async fn send(&mut self, request: &Outgoing) -> Result<Answer, Lost> {
        let began = Instant::now();
        let mut answer = self.wire.send(request, self.until.min(began + ANSWER)).await;
        let took = began.elapsed();
        self.slowest = self.slowest.max(took);
        self.recent = [self.recent[1], took];
        if let Err(lost) = &mut answer
            && Instant::now() >= self.until
        {
            let (whole, slowest) = (WHOLE_CALL.as_secs(), self.slowest.as_secs());
            let peer = self.wire.peer();
            let what = format!("{peer} is slow: it is not done within {whole} s; an answer took up to {slowest} s");
            lost.error = reasons::SLOW.error(what);
        }
        tracing::debug!(
            peer = self.wire.peer(),
            method = %request.method,
            path = %request.path,
            status = answer.as_ref().map_or(0, |answer| answer.status),
        );
        answer
    }
}

/// Of a request that does nothing it does not matter whether it was delivered.
fn harmless(lost: Lost) -> Lost {
    Lost { delivered: Delivered::No, ..lost }
}

/// A service root as most BMCs have it.
fn usual_root() -> Value {
    let link = |path: &str| json!({ "@odata.id": path });
    json!({
        "RedfishVersion": "1.0.0",
        "AccountService": link("/redfish/v1/AccountService"),
        "Links": {"Sessions": link("/redfish/v1/SessionService/Sessions")},
    })
}

/// Where an answer says that what it is about is.
pub(super) fn location(answer: &Answer) -> Option<Path> {
    Path::parse(answer.headers.get(LOCATION)?.to_str().ok()?)
}

/// Where a redirection leads on this BMC, whatever host it names.
fn moved(answer: &Answer) -> Option<Path> {
    matches!(answer.status, 301 | 302 | 307 | 308).then(|| location(answer)).flatten()
}

/// What a login brought: a token in a header; without one the credentials were good, but there is no session.
fn granted(answer: &Answer) -> Access {
    let Some(token) = answer.headers.get(TOKEN).filter(|token| !token.is_empty()) else { return Access::Basic };
    let mut token = token.clone();
    token.set_sensitive(true);
    let body = parse(&answer.body).unwrap_or_default();
    let location = location(answer).or_else(|| path(&body, "/@odata.id"));
    Access::Session { token, location }
}

/// The strong form of a weak `ETag`; `None` for a strong one.
fn strong(etag: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_str(etag.to_str().ok()?.strip_prefix("W/")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bmc_that_is_not_done_in_all_the_time_is_called_slow() {
        let login = Login { username: "u".into(), password: Password::new("p"), kg: None };
        let mut client = Client::new("http://127.0.0.1:9", &Trust::Any, &login).unwrap();
        client.within(Duration::from_secs(30));
        (client.until, client.slowest) = (Instant::now(), Duration::from_secs(19));
        let error = client.root().await.map(drop).unwrap_err().of("cannot look at the host");
        assert_eq!(error.reason(), reasons::SLOW.word);
        assert!(error.to_string().contains("an answer took up to 19 s"), "{error}");
    }
}
