//! What a request does, and what it is answered with.

use serde_json::{Map, Value, json};

use super::super::{BootMode, BootOverride, Cause, Power, PowerAction};
use super::bugs::Bug;
use super::flavour::Shape;
use super::state::{State, Task, ends_in};
use super::tree::{Paths, ROOT, TARGETS, collection, resource};

/// A request, taken apart.
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query, and without a slash at its end.
    pub(super) path: String,
    /// There was a slash at its end.
    pub(super) has_slash: bool,
    pub(super) query: String,
    pub(super) token: Option<String>,
    /// User name and password.
    pub(super) basic: Option<(String, String)>,
    pub(super) if_match: Option<String>,
    /// What the client calls this BMC.
    pub(super) host: String,
    pub(super) accepts_gzip: bool,
    pub(super) body: Value,
    pub(super) has_body: bool,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn with(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), ..Self::default() }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Request {
    /// What it is about: the name that faults and the call log use.
    pub(super) fn name(&self, shape: &Shape) -> &'static str {
        let paths = Paths::of(shape);
        let path = self.path.as_str();
        match self.method.as_str() {
            "GET" if path == ROOT => "root",
            "GET" if path == paths.system => "system",
            "GET" if path.starts_with(&format!("{ROOT}/TaskService")) => "task",
            "GET" => "read",
            "POST" if path == shape.sessions => "login",
            "POST" if path.ends_with("ComputerSystem.Reset") => "reset",
            "POST" if path.ends_with("InsertMedia") => "media-insert",
            "POST" if path.ends_with("EjectMedia") => "media-eject",
            "PATCH" if path == paths.system || path == paths.settings => "boot",
            "PATCH" if path == shape.drive => "media",
            "PATCH" if path == paths.account => "password",
            "DELETE" if path.starts_with(shape.sessions) => "logout",
            _ => "unknown",
        }
    }
}

/// Does what is asked for.
pub(super) fn handle(state: &mut State, request: &Request) -> Answer {
    let shape = state.settings.flavour.shape();
    let name = request.name(shape);
    if state.has(&Bug::RedirectsElsewhere) {
        return Answer::new(301).header("location", "https://evil.example/login.html");
    }
    if name == "root" && request.has_slash && state.has(&Bug::MovesRoot) {
        return Answer::new(308).header("location", ROOT);
    }
    if name != "root" || state.has(&Bug::RootWantsLogin) {
        if let Some(later) =
            state.bugs.iter().find_map(|bug| if let Bug::Busy(later) = bug { Some(*later) } else { None })
        {
            let id = "Base.1.8.ServiceTemporarilyUnavailable";
            let answer = refusal(state, request, 503, id, "The service is busy.");
            return match later {
                Some(later) => answer.header("retry-after", later.to_string()),
                None => answer,
            };
        }
        if name == "login" && !request.has_slash && state.has(&Bug::MovesLogins) {
            return Answer::new(307).header("location", format!("{}/", request.path));
        }
        if name == "login" {
            return log_in(state, request, shape);
        }
        if let Err(answer) = admit(state, request, shape) {
            return answer;
        }
        let account = Paths::of(shape).account;
        if state.has(&Bug::WantsNewPassword) && request.path != account && name != "logout" {
            return wants_new_password(&account);
        }
    }
    let refused = state.bugs.iter().find_map(|bug| match bug {
        Bug::Answers(part, status) if request.method == "GET" && request.path.contains(part) => Some(*status),
        _ => None,
    });
    if let Some(status) = refused {
        return refusal(state, request, status, "Base.1.8.GeneralError", "That cannot be shown.");
    }
    match name {
        "root" | "system" | "read" => read(state, request, shape),
        "task" => task(state, request),
        "reset" if state.has(&Bug::MovesResets) && !request.has_slash => {
            Answer::new(307).header("location", format!("{}/", request.path))
        }
        "reset" => reset(state, request, shape),
        "boot" => change(state, request, shape, set_boot),
        "password" => change(state, request, shape, set_password),
        "media" => change(state, request, shape, |state, request, _| {
            state.image = request.body["Image"].as_str().map(str::to_owned);
            Answer::new(204)
        }),
        "media-insert" => insert(state, request, shape),
        "media-eject" => eject(state, request, shape),
        "logout" => log_out(state, request),
        _ => refusal(state, request, 404, "Base.1.8.ResourceMissingAtURI", "There is no such resource."),
    }
}

/// A refusal in the vendor's manner.
fn refusal(state: &State, request: &Request, status: u16, id: &str, words: &str) -> Answer {
    let is_terse = state.settings.flavour.shape().is_terse;
    let words =
        if state.has(&Bug::QuotesRequests) { format!("{words} You sent {}.", request.body) } else { words.to_owned() };
    let arguments = if is_terse { json!([words]) } else { json!([]) };
    let mut message = Map::from_iter([("MessageId".to_owned(), json!(id)), ("MessageArgs".to_owned(), arguments)]);
    if !is_terse {
        message.insert("Message".to_owned(), json!(words));
    }
    let code = if is_terse { "iLO.0.10.ExtendedInfo" } else { "Base.1.8.GeneralError" };
    let error = json!({"code": code, "message": "See @Message.ExtendedInfo for more information.", "@Message.ExtendedInfo": [message]});
    Answer::with(status, json!({ "error": error }))
}

fn wants_new_password(account: &str) -> Answer {
    let words = "The password provided for this account must be changed before access is granted.";
    let message = json!({"MessageId": "Base.1.8.PasswordChangeRequired", "MessageArgs": [account], "Message": words});
    Answer::with(
        403,
        json!({"error": {"code": "Base.1.8.GeneralError", "message": words, "@Message.ExtendedInfo": [message]}}),
    )
}

fn denied(state: &State, request: &Request, shape: &Shape) -> Answer {
    let (status, id) = shape.denial;
    let words = if state.is_locked() { "The account is locked." } else { "Invalid username or password." };
    refusal(state, request, status, id, words)
}

fn log_in(state: &mut State, request: &Request, shape: &Shape) -> Answer {
    if let Some(status) =
        state.bugs.iter().find_map(|bug| if let Bug::NoSessions(status) = bug { Some(*status) } else { None })
    {
        return refusal(state, request, status, "Base.1.8.ActionNotSupported", "There are no sessions.");
    }
    let text = |key: &str| request.body[key].as_str().unwrap_or_default();
    if !state.admits(text("UserName"), text("Password")) {
        return denied(state, request, shape);
    }
    let Some(session) = state.open_session() else {
        return refusal(state, request, 503, shape.full, "The maximum number of user sessions is reached.");
    };
    let path = format!("{}/{}", shape.sessions, session.id);
    let scheme = if state.settings.certificate.is_some() { "https" } else { "http" };
    let location = if shape.whole_location { format!("{scheme}://{}{path}/", request.host) } else { path.clone() };
    let status = if state.has(&Bug::LoginAnswers204) { 204 } else { 201 };
    let mut answer = Answer::new(status).header("x-auth-token", session.token).header("location", location);
    if status == 201 {
        answer.body = resource(state, &path).map(|(body, _)| body);
    }
    answer
}

/// Whether a request comes from somebody who is known.
fn admit(state: &mut State, request: &Request, shape: &Shape) -> Result<(), Answer> {
    let is_known = match (&request.token, &request.basic) {
        (Some(token), _) => state.use_session(token),
        (None, Some((username, password))) => state.admits(username, password),
        (None, None) => false,
    };
    if is_known {
        return Ok(());
    }
    let words = if request.token.is_some() { "There is no such session." } else { "Authentication is required." };
    let answer = if request.basic.is_some() {
        Answer { status: 401, ..denied(state, request, shape) }
    } else {
        refusal(state, request, 401, "Base.1.8.NoValidSession", words)
    };
    Err(answer.header("www-authenticate", "Basic realm=\"Redfish\""))
}

fn log_out(state: &mut State, request: &Request) -> Answer {
    let id = request.path.rsplit('/').next().and_then(|id| id.parse().ok());
    let before = state.sessions.len();
    state.sessions.retain(|session| Some(session.id) != id);
    if state.sessions.len() < before {
        Answer::new(204)
    } else {
        refusal(state, request, 404, "Base.1.8.ResourceMissingAtURI", "There is no such session.")
    }
}

fn read(state: &State, request: &Request, shape: &Shape) -> Answer {
    let missing = || refusal(state, request, 404, "Base.1.8.ResourceMissingAtURI", "There is no such resource.");
    let Some((mut body, etag)) = resource(state, &request.path) else { return missing() };
    if body.get("Members").is_some_and(Value::is_array) {
        let skip = request.query.strip_prefix("$skip=").and_then(|skip| skip.parse().ok()).unwrap_or(0);
        let expand = shape.expands && request.query.starts_with("$expand");
        body = collection(state, &request.path, expand, skip).unwrap_or(body);
    }
    body["@odata.etag"] = json!(etag);
    Answer::with(200, body).header("etag", etag)
}

/// A change of a resource, which its `ETag` may stand against.
fn change(
    state: &mut State,
    request: &Request,
    shape: &Shape,
    make: fn(&mut State, &Request, &Shape) -> Answer,
) -> Answer {
    let Some((_, etag)) = resource(state, &request.path) else {
        return refusal(state, request, 404, "Base.1.8.ResourceMissingAtURI", "There is no such resource.");
    };
    let sent = request.if_match.as_deref();
    let is_refused = match sent {
        Some(_) if state.has(&Bug::RefusesEveryEtag) => true,
        Some(sent) if sent.starts_with("W/") && state.has(&Bug::RefusesWeakEtags) => true,
        _ if state.has(&Bug::IgnoresIfMatch) => false,
        Some(sent) => sent != "*" && sent.trim_start_matches("W/") != etag.trim_start_matches("W/"),
        None => false,
    };
    if is_refused {
        return refusal(state, request, 412, "Base.1.8.PreconditionFailed", "The ETag did not match.");
    }
    if sent.is_none() && state.has(&Bug::WantsIfMatch) {
        return refusal(state, request, 428, "Base.1.8.PreconditionRequired", "An ETag is required.");
    }
    make(state, request, shape)
}

fn reset(state: &mut State, request: &Request, shape: &Shape) -> Answer {
    let wanted = request.body["ResetType"].as_str().unwrap_or_default();
    if !state.resets().contains(&wanted) {
        let status = if state.has(&Bug::UnknownResetIs501) { 501 } else { 400 };
        return refusal(
            state,
            request,
            status,
            "Base.1.8.ActionParameterNotSupported",
            "The ResetType is not supported.",
        );
    }
    if request.if_match.is_some() {
        return refusal(state, request, 412, "Base.1.8.PreconditionFailed", "The ETag did not match.");
    }
    let action = match wanted {
        "PushPowerButton" if state.machine.power() == Power::On => PowerAction::SoftOff,
        "On" | "ForceOn" | "PushPowerButton" => PowerAction::On,
        "ForceOff" => PowerAction::Off,
        "GracefulShutdown" => PowerAction::SoftOff,
        "GracefulRestart" => PowerAction::SoftReset,
        "ForceRestart" => PowerAction::Reset,
        "PowerCycle" => PowerAction::Cycle,
        _ => PowerAction::Diagnostic,
    };
    if state.has(&Bug::ResetTaskFails) {
        return accepted(state, Task::Fails);
    }
    if state.machine.ask(action, Cause::Command).is_err() {
        let (status, id) = shape.impossible;
        return refusal(state, request, status, id, "The system is powered off.");
    }
    let task = state.bugs.iter().find_map(|bug| match bug {
        Bug::ResetIsTask(time) => Some(ends_in(*time)),
        Bug::ResetTaskNeverEnds => Some(Task::Never),
        _ => None,
    });
    if state.has(&Bug::ResetTaskIsHidden) {
        return Answer::new(202);
    }
    task.map_or_else(|| Answer::new(204), |task| accepted(state, task))
}

fn accepted(state: &mut State, task: Task) -> Answer {
    let number = state.begin(task);
    let body = json!({"@odata.id": format!("{ROOT}/TaskService/Tasks/{number}"), "TaskState": "Running"});
    let monitor = format!("{ROOT}/TaskService/TaskMonitors/{number}");
    Answer::with(202, body).header("location", monitor).header("retry-after", "0")
}

fn task(state: &State, request: &Request) -> Answer {
    let number = request.path.rsplit('/').next().and_then(|number| number.parse().ok());
    let running = || Answer::with(202, json!({"TaskState": "Running"})).header("retry-after", "0");
    match number.and_then(|number: u64| state.tasks.get(&number)) {
        None => refusal(state, request, 404, "Base.1.8.ResourceMissingAtURI", "There is no such task."),
        Some(Task::Never) => running(),
        Some(Task::Waits) => Answer::with(202, json!({"TaskState": "Pending"})),
        Some(Task::Ends(at)) if *at > std::time::Instant::now() => running(),
        Some(Task::Ends(_)) => Answer::new(204),
        Some(Task::Fails) => {
            let message = json!({"MessageId": "Base.1.8.InternalError", "Message": "The host did not follow."});
            Answer::with(200, json!({"TaskState": "Exception", "TaskStatus": "Critical", "Messages": [message]}))
        }
    }
}

fn set_boot(state: &mut State, request: &Request, shape: &Shape) -> Answer {
    let boot = &request.body["Boot"];
    let wanted = |key: &str| boot[key].as_str();
    let is_in_settings = request.path.ends_with("/Settings");
    if state.has(&Bug::HasBootSettings) != is_in_settings {
        return refusal(
            state,
            request,
            400,
            "Ami.1.0.OperationSupportedInFutureStateURI",
            "Boot is moved to the settings.",
        );
    }
    if let Some(target) = wanted("BootSourceOverrideTarget")
        && !shape.targets.contains(&target)
    {
        return refusal(state, request, 400, "Base.1.8.PropertyValueNotInList", "The target is not in the list.");
    }
    if wanted("BootSourceOverrideMode").is_some() && !shape.has_mode {
        return refusal(state, request, 400, "Base.1.8.PropertyUnknown", "BootSourceOverrideMode is unknown.");
    }
    let now = state.machine.boot_override();
    let device = wanted("BootSourceOverrideTarget")
        .and_then(|target| TARGETS.iter().find(|(name, _)| *name == target))
        .map(|(_, device)| *device)
        .or(now.map(|now| now.device).filter(|_| wanted("BootSourceOverrideTarget").is_none()));
    let is_disabled = wanted("BootSourceOverrideEnabled") == Some("Disabled");
    let mode = match wanted("BootSourceOverrideMode") {
        Some("Legacy") => BootMode::Legacy,
        None if shape.forgets_mode => BootMode::Legacy,
        _ => BootMode::Uefi,
    };
    let persistent = wanted("BootSourceOverrideEnabled") == Some("Continuous");
    let boot = device.filter(|_| !is_disabled).map(|device| BootOverride { device, mode, persistent });
    state.machine.set_boot_override(boot);
    if state.has(&Bug::BootIsTaskThatWaits) {
        return accepted(state, Task::Waits);
    }
    Answer::new(if shape.is_terse { 200 } else { 204 })
}

fn set_password(state: &mut State, request: &Request, _: &Shape) -> Answer {
    let Some(password) = request.body["Password"].as_str().map(str::to_owned) else {
        return refusal(state, request, 400, "Base.1.8.PropertyMissing", "Nothing is to be changed.");
    };
    if password.len() < 8 || password.len() > 20 {
        return refusal(
            state,
            request,
            400,
            "Base.1.8.PropertyValueFormatError",
            "The password must have 8 to 20 characters.",
        );
    }
    if !state.has(&Bug::KeepsPassword) {
        state.password = password;
        state.bugs.retain(|bug| *bug != Bug::WantsNewPassword);
    }
    if state.has(&Bug::PasswordEndsSessions) {
        state.sessions.clear();
    }
    Answer::new(204)
}

fn insert(state: &mut State, request: &Request, shape: &Shape) -> Answer {
    let body = &request.body;
    if !shape.takes_inserted && (body.get("Inserted").is_some() || body.get("WriteProtected").is_some()) {
        return refusal(state, request, 400, "Base.1.4.PropertyNotWritable", "The property Inserted is read only.");
    }
    if state.has(&Bug::WantsTransferProtocol) && body.get("TransferProtocolType").is_none() {
        let words = "The action requires the parameter TransferProtocolType to be present in the request body.";
        return refusal(state, request, 400, "Base.1.8.ActionParameterMissing", words);
    }
    if state.image.is_some() {
        return refusal(state, request, 400, "Base.1.8.ResourceInUse", "An image is inserted.");
    }
    state.image = body["Image"].as_str().map(str::to_owned);
    Answer::new(204)
}

fn eject(state: &mut State, request: &Request, shape: &Shape) -> Answer {
    if shape.eject_wants_body && !request.has_body {
        return refusal(state, request, 415, "Base.1.4.MalformedJSON", "A body is required.");
    }
    state.image = None;
    Answer::new(204)
}
