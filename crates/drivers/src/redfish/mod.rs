//! BMCs over Redfish (DMTF DSP0266): one session, one request at a time, nothing that does something sent twice.
//!
//! In what vendors differ is in one table, [`quirks`]. Everything a BMC says is a stranger's.

mod account;
mod boot;
mod certificate;
mod client;
mod errors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod health;
mod inventory;
mod json;
mod log;
mod media;
mod power;
pub mod quirks;
mod task;
mod tls;
mod tree;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_plan::node::bmc::{BmcObserved, Command, Evidence, Health, Identity, Look, Security, SelEntry};
use tokio::sync::{Mutex, MutexGuard};

use crate::DriverError;
use crate::bmc::{Bmc, CommandError, Login, Password, Trust, reasons};
use client::Client;
use errors::Failure;
use tree::Tree;

/// A BMC that asks to come back later is waited for so long by a look or a command, tasks aside.
const LOOK: Duration = Duration::from_secs(30);
/// And so long by a login with what is looked for then, an inventory, a log.
const LONG: Duration = Duration::from_mins(1);
/// For the end of a session.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whether a Redfish service answers at `https://host:port` or `http://host:port`, asked for what everybody may read.
pub async fn reach(url: &str, trust: &Trust) -> Result<(), DriverError> {
    let nobody = Login { username: String::new(), password: Password::new(""), kg: None };
    let mut client = Client::new(url, trust, &nobody)?;
    client.within(LOOK);
    client.root().await.map(drop).map_err(|failure| failure.of("cannot reach the BMC"))
}

/// Logs in to the BMC at `https://host:port` or `http://host:port`, once, and finds the system: that of the given path, else
/// the only one that there is.
pub async fn connect(
    url: &str,
    system: Option<&str>,
    trust: &Trust,
    login: &Login,
) -> Result<Arc<dyn Bmc>, DriverError> {
    let client = Client::new(url, trust, login)?;
    let redfish = Redfish { state: Mutex::new(State { client, system: system.map(str::to_owned), tree: None }) };
    let mut state = redfish.within(LONG).await;
    match state.tree().await {
        // The login is good, and its password can be changed.
        Err(Failure::Refused(refusal)) if refusal.reason() == reasons::PASSWORD_CHANGE_REQUIRED => {}
        Err(failure) => {
            state.leave().await;
            return Err(failure.of("cannot log in"));
        }
        Ok(_) => {}
    }
    drop(state);
    Ok(Arc::new(redfish))
}

/// A BMC.
struct Redfish {
    state: Mutex<State>,
}

struct State {
    client: Client,
    /// The path that the address names.
    system: Option<String>,
    /// Where everything is; not known before the first login.
    tree: Option<Tree>,
}

impl Redfish {
    /// The BMC, for one call that may wait so long while the BMC is busy.
    async fn within(&self, time: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().await;
        state.client.within(time);
        state
    }
}

impl State {
    /// Where everything is, logged in.
    async fn tree(&mut self) -> Result<Tree, Failure> {
        if let Some(tree) = &self.tree {
            return Ok(tree.clone());
        }
        let tree = Tree::find(&mut self.client, self.system.as_deref()).await?;
        self.tree = Some(tree.clone());
        Ok(tree)
    }

    /// What was found is looked for anew the next time, as a BMC may change its tree with its firmware.
    fn doubt(&mut self, failure: Failure) -> Failure {
        if failure.status() == Some(404) {
            self.tree = None;
        }
        failure
    }

    fn security(&self) -> Security {
        match self.client.wire().shown() {
            Some(shown) => Security::Tls { certificate_sha256: shown.sha256, not_after: shown.not_after },
            None => Security::Plain,
        }
    }

    async fn observe(&mut self, look: Look) -> Result<BmcObserved, Failure> {
        let mut tree = self.tree().await?;
        let system = self.client.get(&tree.system).await?;
        let settings = match &tree.settings {
            Some(path) => self.client.get_if_shown(path).await?,
            None => None,
        };
        let media = match &tree.media {
            Some(path) => self.client.get_if_shown(path).await?,
            None => None,
        };
        let mut evidence = Evidence::default();
        if look == Look::Evidence {
            evidence.last_restart = power::last_reset(&system.body);
            evidence.newest_event = log::newest(&mut self.client, &mut tree).await?;
            self.tree = Some(tree);
        }
        Ok(BmcObserved {
            power: power::state(&system.body),
            boot: boot::read(settings.as_ref().map_or(&system.body, |settings| &settings.body)),
            evidence,
            health: health::rollup(&system.body),
            media: media.map(|media| media::read(&media.body)),
            security: self.security(),
        })
    }

    async fn execute(&mut self, command: &Command) -> Result<(), Failure> {
        let tree = self.tree().await?;
        match command {
            Command::SetBoot(boot) => boot::set(&mut self.client, &tree, *boot).await,
            Command::ClearBoot => boot::clear(&mut self.client, &tree).await,
            Command::InsertMedia { image } => media::insert(&mut self.client, &tree, image).await,
            Command::EjectMedia => media::eject(&mut self.client, &tree).await,
            Command::SetPassword { .. } => Err(reasons::UNSUPPORTED.error("a password is set by its own call").into()),
            Command::PowerOn
            | Command::ShutDown
            | Command::ForceOff
            | Command::GracefulRestart
            | Command::Reset
            | Command::PowerCycle => power::reset(&mut self.client, &tree, command).await,
        }
    }

    async fn leave(&mut self) {
        self.client.within(FAREWELL);
        self.client.log_out().await;
    }
}

#[async_trait]
impl Bmc for Redfish {
    async fn observe(&self, look: Look) -> Result<BmcObserved, DriverError> {
        let mut state = self.within(LOOK).await;
        state.observe(look).await.map_err(|failure| state.doubt(failure).of("cannot look at the host"))
    }

    async fn execute(&self, command: &Command) -> Result<(), CommandError> {
        let mut state = self.within(LOOK).await;
        let done = state.execute(command).await;
        done.map_err(|failure| state.doubt(failure).of_command(&format!("cannot {command}")))
    }

    async fn identity(&self) -> Result<Identity, DriverError> {
        let mut state = self.within(LOOK).await;
        let tree = state.tree().await.map_err(|failure| failure.of("cannot log in"))?;
        let identity = inventory::identity(&mut state.client, &tree).await;
        identity.map_err(|failure| state.doubt(failure).of("cannot read who the host is"))
    }

    async fn inventory(&self) -> Result<NodeInventorySpec, DriverError> {
        let mut state = self.within(LONG).await;
        let tree = state.tree().await.map_err(|failure| failure.of("cannot log in"))?;
        let inventory = inventory::inventory(&mut state.client, &tree).await;
        inventory.map_err(|failure| state.doubt(failure).of("cannot read what the host is made of"))
    }

    async fn health(&self) -> Result<Health, DriverError> {
        let mut state = self.within(LONG).await;
        let tree = state.tree().await.map_err(|failure| failure.of("cannot log in"))?;
        let health = health::health(&mut state.client, &tree).await;
        health.map_err(|failure| state.doubt(failure).of("cannot read how the host is"))
    }

    async fn sel(&self, most: usize) -> Result<Vec<SelEntry>, DriverError> {
        let mut state = self.within(LONG).await;
        let mut tree = state.tree().await.map_err(|failure| failure.of("cannot log in"))?;
        let entries = log::entries(&mut state.client, &mut tree, most).await;
        state.tree = Some(tree);
        entries.map_err(|failure| state.doubt(failure).of("cannot read the event log"))
    }

    async fn set_password(&self, new: &Password) -> Result<(), CommandError> {
        let mut state = self.within(LONG).await;
        let changed = account::set_password(&mut state.client, new).await;
        changed.map_err(|failure| failure.of_command("cannot change the password"))
    }

    async fn close(&self) {
        self.state.lock().await.leave().await;
    }
}
