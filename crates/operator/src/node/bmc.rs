//! A Node's BMC half: the address with its credentials, the tries of them, and each command on record before it is sent.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use slipway_api::conditions::{HasConditions, State, Verdict, is_ready};
use slipway_api::node::{BmcEndpoint, CaRef, LoginStatus};
use slipway_api::node_inventory::{NodeInventory, NodeInventorySpec};
use slipway_api::{GROUP, Node, NodeStatus, VERSION};
use slipway_drivers::bmc::{BmcAddress, Login, Password, Trust, reasons};
use slipway_drivers::{Class, DriverError};
use slipway_plan::cadence::CREDENTIALS;
use slipway_plan::node::bmc::login::{MOST_TRIES, Try, may_try, refused};
use slipway_plan::node::bmc::{self, Endpoint, Failure, Seen, Sent, Told, View, Wanted, summary};
use slipway_plan::node::{Bmc, Facts, Host, Observed, Plan, Subject};

use super::docker::Keys;
use super::{Nodes, Reachable, judge};
use crate::bmcs::{BmcState, Known, LoginState, Target, Wish};
use crate::clock::now;
use crate::design::Leave;
use crate::error::Error;
use crate::reconcile::{Cleanup, Next, Pass, Reference};

/// Time between looks at a deletion that waits for a BMC.
const DELETING: Duration = Duration::from_secs(2);

/// What the spec's BMC half refers to.
#[derive(Default)]
pub struct Inputs {
    /// The BMC: the Node's own, or the one that its Design tells of.
    pub(super) endpoint: Option<BmcEndpoint>,
    secret: Option<Secret>,
    ca_secret: Option<Secret>,
    ca_config_map: Option<ConfigMap>,
}

/// The way to a BMC.
pub struct Way {
    target: Target,
    /// Name of the Secret, to name it to a person.
    secret: String,
}

/// The Secrets and ConfigMaps that the BMC half names.
pub(super) fn references(bmc: Option<&BmcEndpoint>) -> Vec<Reference> {
    let secret = secret_name(bmc).map(|name| Reference::Secret(name.to_owned()));
    let ca = ca(bmc).map(|ca| match ca {
        CaRef::ConfigMapKeyRef(key) => Reference::ConfigMap(key.name.clone()),
        CaRef::SecretKeyRef(key) => Reference::Secret(key.name.clone()),
    });
    secret.into_iter().chain(ca).collect()
}

fn secret_name(bmc: Option<&BmcEndpoint>) -> Option<&str> {
    Some(&bmc?.credentials.as_ref()?.secret_ref.name)
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
        match ca(endpoint.as_ref()) {
            Some(CaRef::SecretKeyRef(key)) => inputs.ca_secret = pass.secret(&key.name).await?,
            Some(CaRef::ConfigMapKeyRef(key)) => inputs.ca_config_map = pass.config_map(&key.name).await?,
            None => {}
        }
        inputs.endpoint = endpoint;
        Ok(inputs)
    }
}

/// The way to a BMC, with the credentials in it; none to a person.
pub(super) fn way(wanted: &Wanted, inputs: Inputs) -> Result<Option<Way>, Error> {
    let (address, first_use) = match &wanted.endpoint {
        Endpoint::Manual => return Ok(None),
        Endpoint::Ipmi { host, port, minimum_suite } => {
            (BmcAddress::Ipmi { host: host.clone(), port: *port, minimum_suite: *minimum_suite }, false)
        }
        Endpoint::Redfish { url, system, trust } => {
            let first_use = *trust == bmc::Trust::FirstUse;
            let trust = match trust {
                bmc::Trust::System => Trust::System,
                bmc::Trust::Ca(ca) => Trust::Ca(certificates(ca, &inputs)?),
                bmc::Trust::Pin(pin) => Trust::Pin(pin.clone()),
                bmc::Trust::FirstUse | bmc::Trust::Any => Trust::Any,
            };
            (BmcAddress::Redfish { url: url.clone(), system: system.clone(), trust }, first_use)
        }
    };
    let secret = wanted.secret.clone().unwrap_or_default();
    let version = version(inputs.secret.as_ref(), wanted.retry.as_deref());
    let mut keys = Keys::of(secret.clone(), "spec.bmc.credentials", inputs.secret)?;
    let username = text(keys.take("username")?, &secret)?;
    let password = Password::new(keys.take("password")?);
    let login = Login { username, password, kg: keys.take("kg").ok().map(Password::new) };
    Ok(Some(Way { target: Target { address, first_use, login, version }, secret }))
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
    let again = (1..MOST_TRIES).contains(&login.tries) && matches!(session.view.seen, Seen::Away { .. });
    again.then(|| now.checked_add(CREDENTIALS).unwrap_or(now))
}

impl Nodes {
    /// What the session shows.
    pub(super) fn session(&self, way: Result<&Way, &Error>, pass: &Pass<Node>) -> Bmc {
        let node = pass.object();
        let mut view = View {
            seen: Seen::Nothing,
            sent: Sent::Unknown,
            failure: None,
            guests: self.guests(pass),
            twins: self.bmcs.twins(&pass.key).iter().map(ToString::to_string).collect(),
            suspended: node.spec.suspend || self.sites.suspends(&node),
            hold: None,
        };
        let leave = self.sites.leave(&node);
        let pin = |status: &NodeStatus| status.bmc.as_ref().and_then(|bmc| bmc.pin.clone());
        let way = match way {
            Ok(way) => way,
            Err(error) => {
                view.seen = unusable(error, pass);
                let facts = Facts { complete: true, pin: pin(&pass.status()), ..Facts::default() };
                return Bmc { current: false, view, facts };
            }
        };
        let Some(state) = self.bmcs.state(&pass.key).filter(|_| self.bmcs.is_at(&pass.key, &way.target)) else {
            let known = known(way, pass);
            let facts = Facts { complete: known.described, pin: known.pin, ..Facts::default() };
            return Bmc { current: false, view, facts };
        };
        let mut facts = state.facts.clone();
        if let Some((id, sent)) = &state.sent
            && pass.status().operation.is_some_and(|operation| operation.since == *id)
        {
            view.sent = sent.clone();
        }
        // What failed before the rollout let it be tried again holds up nothing.
        let is_over = |failure: &Failure| matches!(&leave, Leave::Given(Some(since)) if failure.at < *since);
        view.failure = state.failure.clone().filter(|failure| !is_over(failure));
        view.hold = leave.hold();
        view.seen.clone_from(&state.seen);
        if let Some(record) = refusal(&state, way, &pass.status()) {
            view.seen = told_off(&view.seen, &record, way, pass);
            facts.login = Some(record);
        }
        Bmc { current: true, view, facts }
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
        self.bmcs.wish(&pass.key, |wish| {
            let send = bmc.send.clone().zip(bmc.operation.as_ref()).map(|(step, on)| (on.since.clone(), step));
            let send = send.or(wish.send.take());
            *wish = Wish { awaited: bmc.awaited, deep: bmc.deep, hold, send, permit: wish.permit.take() };
        });
        Ok(())
    }

    /// Puts a try of the credentials on record, then allows it.
    async fn try_credentials(&self, way: &Way, session: &Bmc, pass: &Pass<Node>) -> Result<(), Error> {
        let Some(state) = self.bmcs.state(&pass.key) else { return Ok(()) };
        let status = pass.status();
        let recorded = session.facts.login.clone().or_else(|| status.bmc.as_ref().and_then(|bmc| bmc.login.clone()));
        let permitted = match &state.login {
            LoginState::Open | LoginState::Taken => return Ok(()),
            LoginState::Refused { .. } if !rested(&state) => return Ok(()),
            LoginState::Wanted | LoginState::Refused { .. } => may_try(recorded.as_ref(), &way.target.version),
        };
        let record = match permitted {
            Try::Exhausted => return Ok(()),
            Try::Proven => LoginStatus { version: way.target.version.clone(), tries: 0 },
            Try::Counted(record) => {
                pass.write(&counted(status, record.clone(), pass)).await?;
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
        match write_inventory(&inventory, pass).await {
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
        let wanted = Wanted { power: None, boot: None, reboot: None, media: None, ..wanted.clone() };
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
    let bmc = status.bmc.clone().unwrap_or_default();
    let login = bmc.login.filter(|login| login.version == way.target.version);
    Known {
        proven: login.is_some_and(|login| login.tries == 0),
        settled: current && is_ready(&status.conditions) && status.operation.is_none() && status.plan.is_none(),
        described: status.power.is_some() && status.done.is_some(),
        health: status.health.as_deref().map(|health| summary::level_of(Some(health))),
        pin: bmc.pin.filter(|_| way.target.first_use),
    }
}

/// What must be on record of credentials that were refused, or that must not be tried any more.
fn refusal(state: &BmcState, way: &Way, status: &NodeStatus) -> Option<LoginStatus> {
    let recorded = status.bmc.as_ref().and_then(|bmc| bmc.login.as_ref());
    let version = &way.target.version;
    match state.login {
        LoginState::Refused { locked: true, .. } => Some(LoginStatus { version: version.clone(), tries: MOST_TRIES }),
        LoginState::Refused { taken_before, .. } => Some(refused(recorded, version, taken_before)),
        LoginState::Wanted => recorded.filter(|_| may_try(recorded, version) == Try::Exhausted).cloned(),
        LoginState::Open | LoginState::Taken => None,
    }
}

/// Refused credentials, in words that say what comes next.
fn told_off(seen: &Seen, record: &LoginStatus, way: &Way, pass: &Pass<Node>) -> Seen {
    let (reason, said, since) = if let Seen::Away { reason, message, since, .. } = seen {
        (*reason, message.clone(), *since)
    } else {
        let word = reasons::CREDENTIALS_REFUSED.word;
        (word, format!("{} refused the login", way.target.address), since_status(pass))
    };
    let message = if record.tries >= MOST_TRIES {
        format!(
            "{said}. Secret {} was tried {MOST_TRIES} times and is not tried again, as the BMC may lock the account. Mend the \
             Secret, or set bmc.credentials.retry.requestedAt to a new value",
            way.secret
        )
    } else {
        format!("{said}. Secret {} is tried once more", way.secret)
    };
    Seen::Away { needs_person: record.tries >= MOST_TRIES, reason, message, since }
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
    match &state.seen {
        Seen::Away { since, .. } => now().duration_since(*since).unsigned_abs() >= CREDENTIALS,
        _ => true,
    }
}

/// A status with a try on record; a new Node's first.
fn counted(mut status: NodeStatus, record: LoginStatus, pass: &Pass<Node>) -> NodeStatus {
    status.bmc.get_or_insert_default().login = Some(record);
    if status.conditions().is_empty() {
        let message = "connecting to the BMC".into();
        let verdict = Verdict { state: State::Progressing, reason: "BmcConnecting".into(), message };
        status.judge(&verdict, pass.generation(), pass.now());
    }
    status
}

async fn write_inventory(inventory: &Arc<NodeInventorySpec>, pass: &Pass<Node>) -> Result<(), Error> {
    let context = &pass.context;
    let api = Api::<NodeInventory>::namespaced(context.client.clone(), &pass.key.namespace);
    let name = &pass.key.name;
    let found = context.call("read the NodeInventory", api.get_opt(name)).await?;
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
