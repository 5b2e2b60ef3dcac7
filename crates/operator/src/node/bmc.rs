//! A Node's BMC half: the address with its credentials, the tries of them, and each command on record before it is sent.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use slipway_api::conditions::{HasConditions, State, Verdict, is_ready};
use slipway_api::node::{BmcEndpoint, CaRef, LoginStatus, Rotate};
use slipway_api::node_inventory::{NodeInventory, NodeInventorySpec};
use slipway_api::{GROUP, Node, NodeStatus, VERSION};
use slipway_drivers::bmc::{BmcAddress, Login, Password, Trust, reasons};
use slipway_drivers::{Class, DriverError};
use slipway_plan::cadence::{CREDENTIALS, CREDENTIALS_TAKEN_BEFORE};
use slipway_plan::node::bmc::login::{MOST_TRIES, Try, in_words, may_try, refused};
use slipway_plan::node::bmc::{
    self, Command, Endpoint, Failure, Pair, Seen, Sent, Told, Trouble, View, Wanted, Which, rotation, summary,
};
use slipway_plan::node::{Bmc, Facts, Host, Observed, Pin, Plan, Subject};

use super::docker::Keys;
use super::{Nodes, Reachable, judge};
use crate::bmcs::{BmcState, Known, LoginState, Target, Wish};
use crate::clock::now;
use crate::design::Leave;
use crate::error::Error;
use crate::reconcile::{Cleanup, Key, Next, Pass, Reference};

/// A new Node says nothing for so long: a BMC that is well has answered by then, and its first word saves a write.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// The reason of credentials of which nobody knows what the BMC says to them.
const LOGIN_INTERRUPTED: &str = "BmcLoginInterrupted";
/// Why refused credentials are not tried again at once.
const WHEN_TAKEN_BEFORE: &str =
    " after 5 min: it was taken before, and a BMC that restarts may refuse what it takes then";
/// Time between looks at a deletion that waits for a BMC.
const DELETING: Duration = Duration::from_secs(2);

/// What the spec's BMC half refers to.
#[derive(Default)]
pub struct Inputs {
    /// The BMC: the Node's own, or the one that its Design tells of.
    pub(super) endpoint: Option<BmcEndpoint>,
    secret: Option<Secret>,
    new_secret: Option<Secret>,
    ca_secret: Option<Secret>,
    ca_config_map: Option<ConfigMap>,
}

/// The way to a BMC.
pub struct Way {
    target: Target,
    /// Name of the Secret, to name it to a person.
    secret: String,
    /// A change of the password, if one is asked for.
    change: Option<Result<Change, Trouble>>,
}

/// A change of the password.
pub(super) struct Change {
    rotate: Rotate,
    pair: Pair,
    password: Password,
}

/// The Secrets and ConfigMaps that the BMC half names.
pub(super) fn references(bmc: Option<&BmcEndpoint>) -> Vec<Reference> {
    let secret = [secret_name(bmc), new_secret_name(bmc)].into_iter().flatten();
    let secret = secret.map(|name| Reference::Secret(name.to_owned()));
    let ca = ca(bmc).map(|ca| match ca {
        CaRef::ConfigMapKeyRef(key) => Reference::ConfigMap(key.name.clone()),
        CaRef::SecretKeyRef(key) => Reference::Secret(key.name.clone()),
    });
    secret.chain(ca).collect()
}

fn secret_name(bmc: Option<&BmcEndpoint>) -> Option<&str> {
    Some(&bmc?.credentials.as_ref()?.secret_ref.name)
}

fn new_secret_name(bmc: Option<&BmcEndpoint>) -> Option<&str> {
    Some(&bmc?.rotate.as_ref()?.secret_ref.name)
}

fn ca(bmc: Option<&BmcEndpoint>) -> Option<&CaRef> {
    bmc?.tls.as_ref()?.ca_ref.as_ref()
}

impl Inputs {
    pub(super) async fn read(endpoint: Option<BmcEndpoint>, pass: &Pass<Node>) -> Result<Self, Error> {
        let mut inputs = Self::default();
        if let Some(name) = secret_name(endpoint.as_ref()) {
            inputs.secret = pass.secret(name).await?;
        }
        if let Some(name) = new_secret_name(endpoint.as_ref()) {
            inputs.new_secret = pass.secret(name).await?;
        }
        match ca(endpoint.as_ref()) {
            Some(CaRef::SecretKeyRef(key)) => inputs.ca_secret = pass.secret(&key.name).await?,
            Some(CaRef::ConfigMapKeyRef(key)) => inputs.ca_config_map = pass.config_map(&key.name).await?,
            None => {}
        }
        inputs.endpoint = endpoint;
        Ok(inputs)
    }
}

/// The way to a BMC, with the credentials in it; none to a person. `sent` is what this process knows of the command on record.
pub(super) fn way(wanted: &Wanted, mut inputs: Inputs, node: &Node, sent: &Sent) -> Result<Option<Way>, Error> {
    let Some((address, first_use)) = address(&wanted.endpoint, &inputs)? else { return Ok(None) };
    let secret = wanted.secret.clone().unwrap_or_default();
    let version = version(inputs.secret.as_ref(), wanted.retry.as_deref());
    let new_version = self::version(inputs.new_secret.as_ref(), wanted.retry.as_deref());
    let status = node.status.clone().unwrap_or_default();
    let rotate = wanted.rotate.as_ref().map(|rotate| (rotate, &*new_version));
    if let Some(message) = rotation::outdated(&status, rotate, &version, &secret) {
        return Err(Error::new(Class::Denied, "BmcCredentialsOutdated", message));
    }
    let mut keys = Keys::of(secret.clone(), "spec.bmc.credentials", inputs.secret.take())?;
    let username = text(keys.take("username")?, &secret)?;
    let password = Password::new(keys.take("password")?);
    let login = Login { username, password, kg: keys.take("kg").ok().map(Password::new) };
    let mut way = Way { target: Target { address, first_use, login, version }, secret, change: None };
    if let Some(rotate) = &wanted.rotate {
        let change = change(rotate, inputs.new_secret, new_version, &way, &status, sent);
        if let Ok(change) = &change
            && change.pair.using == Which::New
        {
            way.secret.clone_from(&rotate.secret_ref.name);
            way.target.login.password = change.password.clone();
            way.target.version.clone_from(&change.pair.new);
        }
        way.change = Some(change.map_err(|error| Trouble { reason: error.reason(), message: error.to_string() }));
    }
    Ok(Some(way))
}

/// Where it is, and whether the first certificate that is seen there is trusted; none of a person.
fn address(endpoint: &Endpoint, inputs: &Inputs) -> Result<Option<(BmcAddress, bool)>, Error> {
    Ok(match endpoint {
        Endpoint::Manual => None,
        Endpoint::Ipmi { host, port, minimum_suite } => {
            Some((BmcAddress::Ipmi { host: host.clone(), port: *port, minimum_suite: *minimum_suite }, false))
        }
        Endpoint::Redfish { url, system, trust } => {
            let first_use = *trust == bmc::Trust::FirstUse;
            let trust = match trust {
                bmc::Trust::System => Trust::System,
                bmc::Trust::Ca(ca) => Trust::Ca(certificates(ca, inputs)?),
                bmc::Trust::Pin(pin) => Trust::Pin(pin.clone()),
                bmc::Trust::FirstUse => Trust::First,
                bmc::Trust::Any => Trust::Any,
            };
            Some((BmcAddress::Redfish { url: url.clone(), system: system.clone(), trust }, first_use))
        }
    })
}

/// A change of the password from that of the way to that of another Secret.
fn change(
    rotate: &Rotate,
    secret: Option<Secret>,
    version: String,
    way: &Way,
    status: &NodeStatus,
    sent: &Sent,
) -> Result<Change, Error> {
    let name = &rotate.secret_ref.name;
    let mut keys = Keys::of(name.clone(), "spec.bmc.rotate", secret)?;
    let login = &way.target.login;
    let username = keys.take("username").ok().map(|username| text(username, name)).transpose()?;
    if let Some(other) = username.as_ref().filter(|username| **username != login.username) {
        let message = format!(
            "Secret {name}, which spec.bmc.rotate names, is of user {other:?}, and Secret {} of {:?}: the password of one account is \
             changed. Name the same user, or leave it out",
            way.secret, login.username
        );
        return Err(Error::new(Class::Invalid, "KeyInvalid", message));
    }
    let password = Password::new(keys.take("password")?);
    let kg = keys.take("kg").ok().map(Password::new);
    let same = password == login.password;
    let present = way.target.version.clone();
    let using = if same { Which::Present } else { rotation::which(status, rotate, &present, &version, sent) };
    let complete = username.is_some() && kg == login.kg;
    let pair = Pair { present, present_name: way.secret.clone(), new: version, same, complete, using };
    Ok(Change { rotate: rotate.clone(), pair, password })
}

impl Way {
    /// The other Secret of a change may be tried when this one is refused.
    fn has_other(&self) -> bool {
        matches!(&self.change, Some(Ok(change)) if !change.pair.same)
    }

    fn most_tries(&self) -> u8 {
        if self.has_other() { rotation::MOST_OF_TWO } else { MOST_TRIES }
    }

    /// The request for a change, and what names the content of its Secret.
    fn new_version(&self) -> Option<(&Rotate, &str)> {
        self.change.as_ref()?.as_ref().ok().map(|change| (&change.rotate, &*change.pair.new))
    }

    fn secrets(&self) -> Option<Result<Pair, Trouble>> {
        self.change.as_ref().map(|change| change.as_ref().map(|change| change.pair.clone()).map_err(Clone::clone))
    }

    /// Whether these credentials were taken before, by what is on record. Nothing is proven while a change is in doubt.
    fn is_proven(&self, status: &NodeStatus) -> bool {
        let taken = |version: &str| rotation::tries(status.bmc.as_ref(), version).is_some_and(|login| login.tries == 0);
        let known_as_new = || matches!(&self.change, Some(Ok(Change { pair, .. })) if pair.same && taken(&pair.new));
        !rotation::is_in_doubt(status) && (taken(&self.target.version) || known_as_new())
    }

    /// Whether the other Secret is to be tried instead, by a status that is newer than the one that the way was made of.
    pub(super) fn is_to_change(&self, status: &NodeStatus) -> bool {
        let Some(Ok(Change { rotate, pair, .. })) = &self.change else { return false };
        !pair.same && rotation::which(status, rotate, &pair.present, &pair.new, &Sent::Unknown) != pair.using
    }
}

/// Names a Secret's content and the request to try it again.
fn version(secret: Option<&Secret>, retry: Option<&str>) -> String {
    let meta = secret.map(Resource::meta);
    let part = |text: Option<&String>| text.cloned().unwrap_or_default();
    let version = part(meta.and_then(|meta| meta.resource_version.as_ref()));
    let uid = part(meta.and_then(|meta| meta.uid.as_ref()));
    let uid = uid.split('-').next().unwrap_or_default();
    match retry {
        Some(retry) => format!("{uid}/{version}/{retry}"),
        None => format!("{uid}/{version}"),
    }
}

fn text(bytes: Vec<u8>, secret: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("`username` of Secret {secret}, which spec.bmc.credentials needs, is not UTF-8 text");
        Error::new(Class::Invalid, "KeyInvalid", message)
    })
}

fn certificates(ca: &CaRef, inputs: &Inputs) -> Result<Vec<u8>, Error> {
    let (what, key, found) = match ca {
        CaRef::SecretKeyRef(key) => {
            let data = inputs.ca_secret.as_ref().and_then(|secret| secret.data.as_ref());
            ("Secret", key, data.and_then(|data| data.get(&key.key)).map(|bytes| bytes.0.clone()))
        }
        CaRef::ConfigMapKeyRef(key) => {
            let data = inputs.ca_config_map.as_ref().and_then(|config_map| config_map.data.as_ref());
            ("ConfigMap", key, data.and_then(|data| data.get(&key.key)).map(|text| text.clone().into_bytes()))
        }
    };
    found.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
        let message = format!("{what} {} has no `{}`, which spec.bmc.tls.caRef names; create it", key.name, key.key);
        Error::new(Class::Invalid, "KeyMissing", message)
    })
}

/// When refused credentials may be tried again, if they may.
pub(super) fn next_try(session: &Bmc, now: Timestamp) -> Option<Timestamp> {
    let login = session.facts.login.as_ref()?;
    let again =
        (1..MOST_TRIES).contains(&login.tries) && !login.refused && matches!(session.view.seen, Seen::Away { .. });
    again.then(|| now.checked_add(CREDENTIALS).unwrap_or(now))
}

impl Nodes {
    /// Until when the first word of a new Node's BMC is waited for, if it is.
    pub(super) fn first_word(&self, session: &Bmc, pass: &Pass<Node>) -> Option<Timestamp> {
        let is_new = pass.status().conditions().is_empty() && session.view.twins.is_empty();
        let state = self.bmcs.state(&pass.key).filter(|_| is_new)?;
        let silent = state.login == LoginState::Open && matches!(state.seen, Seen::Nothing);
        let until = state.began.checked_add(FIRST_WORD).ok()?;
        (silent && now() < until).then_some(until)
    }

    /// What the session shows.
    pub(super) fn session(&self, way: Result<&Way, &Error>, pass: &Pass<Node>) -> Bmc {
        let node = pass.object();
        let mut view = View {
            seen: Seen::Nothing,
            sent: Sent::Unknown,
            failure: None,
            guests: self.guests(pass),
            twins: self.bmcs.twins(&pass.key).iter().map(ToString::to_string).collect(),
            secrets: way.ok().and_then(Way::secrets),
            suspended: node.spec.suspend || self.sites.suspends(&node),
            hold: None,
        };
        let leave = self.sites.leave(&node);
        let way = match way {
            Ok(way) => way,
            Err(error) => {
                view.seen = unusable(error, pass);
                let facts = Facts { complete: true, pin: Pin::of(&pass.status()), ..Facts::default() };
                return Bmc { current: false, view, facts };
            }
        };
        view.sent = self.sent(&node);
        let Some(state) = self.bmcs.state(&pass.key).filter(|_| self.bmcs.is_at(&pass.key, &way.target)) else {
            let known = known(way, pass);
            let facts = Facts { complete: known.described, pin: known.pin, ..Facts::default() };
            return Bmc { current: false, view, facts };
        };
        let mut facts = state.facts.clone();
        // What failed before the rollout let it be tried again holds up nothing.
        let is_over = |failure: &Failure| matches!(&leave, Leave::Given(Some(since)) if failure.at < *since);
        view.failure = state.failure.clone().filter(|failure| !is_over(failure));
        view.hold = leave.hold();
        view.seen.clone_from(&state.seen);
        if let Some(record) = refusal(&state, way, &pass.status()) {
            let taken_before = matches!(state.login, LoginState::Refused { taken_before: true, .. });
            view.seen = told_off(&view.seen, (&record, taken_before), way, pass);
            facts.login = Some(record);
        }
        Bmc { current: true, view, facts }
    }

    /// What this process knows of the command on record.
    pub(super) fn sent(&self, node: &Node) -> Sent {
        let on_record = node.status.as_ref().and_then(|status| status.operation.as_ref());
        let sent = self.bmcs.state(&Key::of(node)).and_then(|state| state.sent);
        match (on_record, sent) {
            (Some(operation), Some((id, sent))) if operation.since == id => sent,
            _ => Sent::Unknown,
        }
    }

    /// ContainerServices that run there, where it matters: what is powered off takes them with it.
    fn guests(&self, pass: &Pass<Node>) -> Vec<String> {
        let node = pass.object();
        let may_interrupt = node.spec.power.is_some() || node.spec.reboot.is_some();
        if node.spec.docker.is_none() || !may_interrupt || !matches!(self.host(&pass.key), Host::Ready { .. }) {
            return Vec::new();
        }
        self.likely(&node).into_iter().collect()
    }

    /// Carries a plan out, as far as it goes: each command on record before it is sent.
    pub(super) async fn command(
        &self,
        way: &Way,
        observed: &Observed,
        plan: &Plan,
        pass: &Pass<Node>,
    ) -> Result<(), Error> {
        let (Some(session), Some(bmc)) = (&observed.bmc, &plan.bmc) else { return Ok(()) };
        if !session.current {
            self.bmcs.connect(&pass.key, &way.target, &known(way, pass));
        }
        let hold = !session.view.twins.is_empty();
        if !hold {
            self.try_credentials(way, session, pass).await?;
            self.record_inventory(session, pass).await;
        }
        if bmc.send.is_some() {
            pass.write(&judge(observed, plan, pass).status).await?;
        }
        // What changed in the spec is planned on what the BMC shows: after a restart that does not wait for a quiet one's turn.
        let is_behind =
            session.view.seen == Seen::Nothing && pass.status().observed_generation != Some(pass.generation());
        self.bmcs.wish(&pass.key, |wish| {
            let send = bmc.send.clone().zip(bmc.operation.as_ref()).map(|(step, on)| (on.since.clone(), step));
            let mut permit = wish.permit.take();
            let mut password = wish.password.take();
            if matches!(&send, Some((_, step)) if matches!(step.command, Command::SetPassword { .. })) {
                // What was permitted was a try of the password that is about to be replaced.
                permit = None;
                password = way.change.as_ref().and_then(|change| Some(change.as_ref().ok()?.password.clone()));
            }
            let send = send.or(wish.send.take());
            *wish = Wish { awaited: bmc.awaited || is_behind, deep: bmc.deep, hold, send, permit, password };
        });
        Ok(())
    }

    /// Puts a try of the credentials on record, then allows it.
    async fn try_credentials(&self, way: &Way, session: &Bmc, pass: &Pass<Node>) -> Result<(), Error> {
        let Some(state) = self.bmcs.state(&pass.key) else { return Ok(()) };
        let status = pass.status();
        let version = &way.target.version;
        let on_record = || rotation::tries(status.bmc.as_ref(), version).cloned();
        let recorded = session.facts.login.clone().or_else(on_record);
        // While a change is in doubt, what was proven is a try like any other.
        let recorded = recorded.filter(|login| login.tries > 0 || way.is_proven(&status));
        let permitted = match &state.login {
            LoginState::Open | LoginState::Taken => return Ok(()),
            LoginState::Refused { .. } if !rested(&state) => return Ok(()),
            // The try on record is under way: with some BMCs for a minute.
            LoginState::Wanted if self.bmcs.is_permitted(&pass.key) => return Ok(()),
            LoginState::Wanted | LoginState::Refused { .. } => may_try(recorded.as_ref(), version, way.most_tries()),
        };
        let record = match permitted {
            Try::Exhausted => return Ok(()),
            Try::Proven => LoginStatus { version: version.clone(), ..LoginStatus::default() },
            Try::Counted(record) => {
                pass.write(&counted(status, record.clone(), way, pass)).await?;
                record
            }
        };
        self.bmcs.wish(&pass.key, |wish| wish.permit = Some(record));
        Ok(())
    }

    /// Writes the inventory's object, if it says otherwise. That it cannot be written keeps nothing from going on.
    async fn record_inventory(&self, session: &Bmc, pass: &Pass<Node>) {
        let inventory = self.bmcs.state(&pass.key).and_then(|state| state.inventory);
        let Some(inventory) = inventory.filter(|_| session.facts.complete) else { return };
        // A host that has not been told of before has none yet.
        let is_first = pass.status().power.is_none();
        match write_inventory(&inventory, is_first, pass).await {
            Ok(()) => self.bmcs.recorded(&pass.key, &inventory),
            Err(error) => tracing::warn!("NodeInventory {}: {error}", pass.key),
        }
    }

    /// Takes back what Slipway did to a host by its BMC, as its Node is being deleted; `None` when nothing is left.
    pub(super) async fn let_go(&self, valid: Option<&Reachable>, pass: &Pass<Node>) -> Result<Option<Cleanup>, Error> {
        let status = pass.status();
        let left = status.done.as_ref().is_some_and(|done| done.virtual_media.is_some());
        let (Some(Reachable { spec, bmc: Some(way), .. }), true) = (valid, left) else { return Ok(None) };
        let (Ok(way), Some(wanted)) = (way, &spec.bmc) else { return Ok(None) };
        let wanted = Wanted { power: None, boot: None, reboot: None, media: None, rotate: None, ..wanted.clone() };
        let session = self.session(Ok(way), pass);
        let uid = pass.object().uid().unwrap_or_default();
        let of = Subject { name: &pass.key.name, uid: &uid };
        let planned = bmc::plan(&wanted, &status, &session.view, of.uid, now());
        if planned.operation.is_none() && planned.done.virtual_media.is_none() {
            return Ok(None);
        }
        let message = match &planned.told {
            Told::Say(verdict) => format!("the virtual media is to be ejected: {}", verdict.message),
            Told::AsWanted | Told::Keep => "the virtual media is to be ejected".into(),
        };
        let observed = Observed { bmc: Some(session), ..Observed::default() };
        let plan = Plan { connect: false, bmc: Some(planned) };
        self.command(way, &observed, &plan, pass).await?;
        let next = Next::At(pass.now() + DELETING);
        Ok(Some(Cleanup::Wait { reason: "EjectingMedia".into(), message, next }))
    }
}

/// What was known of a BMC before this process.
fn known(way: &Way, pass: &Pass<Node>) -> Known {
    let status = pass.status();
    let current = status.observed_generation == Some(pass.generation());
    // At another host it is the first use again: that one has never been seen.
    let is_known = |pin: &Pin| match &way.target.address {
        BmcAddress::Redfish { url, .. } => way.target.first_use && pin.is_of(url),
        BmcAddress::Ipmi { .. } => false,
    };
    Known {
        proven: way.is_proven(&status),
        settled: current && is_ready(&status.conditions) && status.operation.is_none() && status.plan.is_none(),
        described: status.power.is_some() && status.done.is_some(),
        health: status.health.as_deref().map(|health| summary::level_of(Some(health))),
        pin: Pin::of(&status).filter(is_known),
    }
}

/// What must be on record of credentials that were refused, or that must not be tried any more.
fn refusal(state: &BmcState, way: &Way, status: &NodeStatus) -> Option<LoginStatus> {
    let version = &way.target.version;
    let recorded = rotation::tries(status.bmc.as_ref(), version);
    match state.login {
        // Where there is another password, one refusal says that this is not the one in force.
        LoginState::Refused { refusals, .. } if way.has_other() => {
            let tries = recorded.map_or(1, |login| login.tries.max(1));
            Some(LoginStatus { version: version.clone(), tries, refusals, refused: true })
        }
        LoginState::Refused { locked: true, .. } => {
            let (tries, refusals) = (MOST_TRIES, MOST_TRIES);
            Some(LoginStatus { version: version.clone(), tries, refusals, refused: false })
        }
        // One more is under way: what comes of it is told then.
        LoginState::Refused { tries, refusals, .. }
            if tries > 0 && recorded.is_some_and(|login| login.tries > tries) =>
        {
            Some(LoginStatus { version: version.clone(), tries, refusals, refused: false })
        }
        LoginState::Refused { refusals, taken_before, .. } => Some(refused(recorded, version, refusals, taken_before)),
        LoginState::Wanted => {
            recorded.filter(|_| may_try(recorded, version, way.most_tries()) == Try::Exhausted).cloned()
        }
        LoginState::Open | LoginState::Taken => None,
    }
}

/// Refused credentials, or ones of which nobody knows, in words that say what comes next.
fn told_off(seen: &Seen, (record, taken_before): (&LoginStatus, bool), way: &Way, pass: &Pass<Node>) -> Seen {
    let address = &way.target.address;
    let (reason, said, since) = match seen {
        _ if record.refusals == 0 && !record.refused => {
            (LOGIN_INTERRUPTED, format!("{address} answers, and no login there came to an end"), since_status(pass))
        }
        Seen::Away { reason, message, since, .. } => (*reason, message.clone(), *since),
        _ => (reasons::CREDENTIALS_REFUSED.word, format!("{address} refused the login"), since_status(pass)),
    };
    let other = way.change.as_ref().and_then(|change| change.as_ref().ok()).filter(|change| !change.pair.same);
    let closed = |version: &str| {
        let status = pass.status();
        let login = rotation::tries(status.bmc.as_ref(), version);
        login.is_some_and(|login| login.refused || login.tries >= MOST_TRIES)
    };
    let is_last = match other {
        Some(Change { pair, .. }) if pair.using == Which::New => closed(&pair.present),
        Some(Change { pair, .. }) => closed(&pair.new),
        None => record.tries >= MOST_TRIES,
    };
    let message = if let Some(Change { rotate, pair, .. }) = other {
        let (present, new) = (&pair.present_name, &rotate.secret_ref.name);
        if is_last {
            format!(
                "{said}. Neither the password of Secret {present} nor that of Secret {new} (spec.bmc.rotate) is taken; none is tried \
                 again, as the BMC may lock the account. Put the password in force into Secret {present}, or set \
                 bmc.credentials.retry.requestedAt to a new value"
            )
        } else {
            format!(
                "{said}. That was the password of Secret {}; the other one of {present} and {new} is tried next",
                way.secret
            )
        }
    } else if is_last {
        let known = in_words(record);
        let to_do = if record.refusals == 0 { "Make sure of the Secret" } else { "Mend the Secret" };
        format!(
            "{said}. Secret {} {known}. It is not tried again, as the BMC may lock the account. {to_do}, or set \
             bmc.credentials.retry.requestedAt to a new value",
            way.secret
        )
    } else {
        format!("{said}. Secret {} is tried once more{}", way.secret, if taken_before { WHEN_TAKEN_BEFORE } else { "" })
    };
    Seen::Away { needs_person: is_last, reason, message, since }
}

fn since_status(pass: &Pass<Node>) -> Timestamp {
    let status = pass.status();
    let since = status.bmc.and_then(|bmc| bmc.unreachable_since?.parse().ok());
    since.unwrap_or_else(|| pass.now())
}

/// A half of the spec that cannot be used.
fn unusable(error: &Error, pass: &Pass<Node>) -> Seen {
    let trouble = DriverError::new(error.class(), error.reason(), error.to_string());
    Seen::Away { needs_person: true, reason: trouble.reason(), message: trouble.to_string(), since: since_status(pass) }
}

/// Whether the pause between two tries is over.
fn rested(state: &BmcState) -> bool {
    let pause = match state.login {
        LoginState::Refused { taken_before: true, .. } => CREDENTIALS_TAKEN_BEFORE,
        _ => CREDENTIALS,
    };
    match &state.seen {
        Seen::Away { since, .. } => now().duration_since(*since).unsigned_abs() >= pause,
        _ => true,
    }
}

/// A status with a try on record; a new Node's first.
fn counted(mut status: NodeStatus, record: LoginStatus, way: &Way, pass: &Pass<Node>) -> NodeStatus {
    rotation::record(status.bmc.get_or_insert_default(), record, way.new_version());
    if status.conditions().is_empty() {
        let message = "connecting to the BMC".into();
        let verdict = Verdict { state: State::Progressing, reason: "BmcConnecting".into(), message };
        status.judge(&verdict, pass.generation(), pass.now());
    }
    status
}

async fn write_inventory(inventory: &Arc<NodeInventorySpec>, is_first: bool, pass: &Pass<Node>) -> Result<(), Error> {
    let context = &pass.context;
    let api = Api::<NodeInventory>::namespaced(context.client.clone(), &pass.key.namespace);
    let name = &pass.key.name;
    let found = if is_first { None } else { context.call("read the NodeInventory", api.get_opt(name)).await? };
    if found.is_some_and(|found| found.spec == **inventory) {
        return Ok(());
    }
    let owner = pass.object().controller_owner_ref(&());
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": NodeInventory::kind(&()),
        "metadata": {"name": name, "namespace": pass.key.namespace, "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
        "spec": &**inventory,
    });
    let manager = PatchParams::apply(&format!("{}.{GROUP}", pass.kind)).force();
    context.call("write the NodeInventory", api.patch(name, &manager, &Patch::Apply(&body))).await?;
    Ok(())
}
