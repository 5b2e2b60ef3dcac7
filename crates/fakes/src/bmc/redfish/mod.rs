//! A stateful fake BMC that speaks Redfish over HTTP or HTTPS, in the manner of a vendor.
//!
//! It has sessions with slots and an end, Basic, `ETag`s, tasks, a boot override that the next boot uses up, virtual media, and a
//! list of [bugs](Bug). Power changes when its [`Machine`]'s does. It logs all that it is asked. A public client is driven
//! against it by the end-to-end tests, so that fake and driver are not wrong in the same way.

mod actions;
mod bugs;
mod flavour;
mod server;
mod state;
mod tree;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use bugs::Bug;
pub use flavour::Flavour;
pub use state::Call;

use super::Machine;
use crate::faults::{Fault, Faults};
use server::Host;
use state::State;

/// What a BMC is to begin with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose it is.
    pub flavour: Flavour,
    /// Its administrator.
    pub username: String,
    /// The administrator's password.
    pub password: String,
    /// So many sessions at a time.
    pub sessions: usize,
    /// After so long without use, a session is gone.
    pub idle: Duration,
    /// After so many wrong passwords, the account is locked.
    pub locks_after: Option<u32>,
    /// Certificate and key as PEM; without, it speaks plain HTTP.
    pub certificate: Option<(String, String)>,
}

impl Settings {
    /// A BMC of that make: the user `admin` with the password `secret-123`, four sessions that last half an hour, plain HTTP.
    pub fn of(flavour: Flavour) -> Self {
        Self {
            flavour,
            username: "admin".to_owned(),
            password: "secret-123".to_owned(),
            sessions: 4,
            idle: Duration::from_mins(30),
            locks_after: None,
            certificate: None,
        }
    }
}

/// A fake BMC. It ends when it is dropped.
pub struct FakeRedfish {
    host: Arc<Host>,
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl FakeRedfish {
    /// Starts a BMC of this machine on a port of the loopback address.
    pub async fn start(machine: Arc<Machine>, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let host = Host::new(State::new(machine, settings))?;
        let mut task = JoinSet::new();
        task.spawn(host.clone().listen(listener));
        Ok(Self { host, address, _task: task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        let scheme = if self.host.state().settings.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The path of its system.
    pub fn system(&self) -> String {
        tree::Paths::of(self.host.state().settings.flavour.shape()).system
    }

    /// The machine that it speaks for.
    pub fn machine(&self) -> Arc<Machine> {
        self.host.state().machine.clone()
    }

    /// Switches a bug on.
    pub fn has(&self, bug: Bug) {
        self.host.state().bugs.push(bug);
    }

    /// Switches all bugs off.
    pub fn is_mended(&self) {
        self.host.state().bugs.clear();
    }

    /// The faults to inject into single calls: `root`, `login`, `logout`, `system`, `read`, `task`, `reset`, `boot`, `password`,
    /// `media`, `media-insert`, `media-eject`.
    pub fn faults(&self) -> &Faults {
        &self.host.faults
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.host.faults.inject(fault);
    }

    /// Lets a part be unwell (`Warning` or `Critical`): `CPU1 Temp`, `Fan 3`, `PSU 2` or a memory module, `A1`.
    pub fn hurt(&self, part: &str, how: &str) {
        self.host.state().ills.insert(part.to_owned(), how.to_owned());
    }

    /// Ends all sessions, as a BMC does that restarts.
    pub fn forget_sessions(&self) {
        self.host.state().sessions.clear();
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.host.state().sessions.len()
    }

    /// Changes the password behind everybody's back.
    pub fn set_password(&self, password: &str) {
        password.clone_into(&mut self.host.state().password);
    }

    /// Whether the administrator's password is this one.
    pub fn has_password(&self, password: &str) -> bool {
        self.host.state().password == password
    }

    /// How often wrong credentials came.
    pub fn denials(&self) -> u32 {
        self.host.state().denials
    }

    /// The image in the drive for virtual media.
    pub fn image(&self) -> Option<String> {
        self.host.state().image.clone()
    }

    /// Shows another certificate (PEM) from now on, and ends all connections.
    pub fn show(&self, certificate: &str, key: &str) -> io::Result<()> {
        self.host.show(certificate, key)?;
        self.host.cut();
        Ok(())
    }

    /// Shows another certificate (PEM) to new connections. Those that stand go on.
    pub fn renew(&self, certificate: &str, key: &str) -> io::Result<()> {
        self.host.show(certificate, key)
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.host.cut();
    }

    /// Every request so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.host.state().calls.clone()
    }

    /// How often this was asked for: `login`, `reset`, ….
    pub fn count(&self, name: &str) -> usize {
        self.host.state().calls.iter().filter(|call| call.name == name).count()
    }

    /// Starts a new call log.
    pub fn forget_calls(&self) {
        self.host.state().calls.clear();
    }

    /// The most requests that were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.host.most_at_once()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.host.connections()
    }
}
