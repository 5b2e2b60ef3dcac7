//! A stateful fake BMC that speaks IPMI 2.0 by RMCP+ over UDP, as `ipmitool -I lanplus` wants it.
//!
//! It has cipher suites 3 and 17. It does at once what a datagram asks and keeps a log of it. Its clock is its [`Machine`]'s. Section
//! numbers are those of the IPMI specification, second generation, version 2.0, revision 1.1.

mod accounts;
mod app;
mod bmc;
mod boot;
mod chassis;
mod commands;
mod crypto;
mod faults;
mod fru;
mod lan;
mod log;
mod packet;
mod sel;
mod sensors;
mod server;
mod sessions;
mod storage;
mod users;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

pub use accounts::{Lockout, Privilege, User};
pub use crypto::Suite;
pub use faults::{Call, Effect, Fault};
pub use log::{Datagram, End, Fate, Handshake, Seen, SessionSeen};

use super::Machine;
use bmc::Bmc;
use server::Host;

/// The number of the LAN channel.
const CHANNEL: u8 = 1;
/// The number by which a request means the channel that it comes by.
const PRESENT_CHANNEL: u8 = 0xe;
/// A number that IANA has reserved for documentation.
const MANUFACTURER: u32 = 32473;

/// What a BMC is to begin with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cipher suites that it has.
    pub suites: Vec<Suite>,
    /// Numbers of suites that it lists, too, and then refuses.
    pub also_lists: Vec<u8>,
    /// Its users.
    pub users: Vec<User>,
    /// The BMC's own key, `K_g`; without, the users' passwords serve.
    pub kg: Option<[u8; 20]>,
    /// So many sessions at a time.
    pub sessions: usize,
    /// After so long without use, a session is gone.
    pub idle: Duration,
    /// What happens after wrong passwords.
    pub lockout: Option<Lockout>,
    /// For so long it is deaf when it restarts.
    pub restart: Duration,
    /// Where it listens; the system chooses the port.
    pub address: IpAddr,
}

impl Default for Settings {
    /// Both suites, the user `admin` with the password `secret`, four sessions that last 60 s, on IPv4's loopback.
    fn default() -> Self {
        Self {
            suites: vec![Suite::Three, Suite::Seventeen],
            also_lists: Vec::new(),
            users: vec![User::new("admin", "secret", Privilege::Administrator)],
            kg: None,
            sessions: 4,
            idle: Duration::from_mins(1),
            lockout: None,
            restart: Duration::from_millis(500),
            address: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// A fake BMC. It ends when it is dropped.
pub struct FakeIpmi {
    host: Arc<Host>,
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl FakeIpmi {
    /// Starts a BMC of this machine.
    pub async fn start(machine: Arc<Machine>, settings: Settings) -> io::Result<Self> {
        let socket = UdpSocket::bind((settings.address, 0)).await?;
        let address = socket.local_addr()?;
        let host = Host::new(Bmc::new(machine, settings, address), socket);
        let mut task = JoinSet::new();
        task.spawn(host.clone().serve());
        Ok(Self { host, address, _task: task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The machine that it speaks for.
    pub fn machine(&self) -> Arc<Machine> {
        self.host.with(|bmc| bmc.machine.clone())
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) {
        self.host.with(|bmc| bmc.faults.inject(fault));
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.host.with(|bmc| bmc.faults.clear());
    }

    /// Whether a fault has made it silent.
    pub fn is_silent(&self) -> bool {
        self.host.with(|bmc| bmc.faults.silent)
    }

    /// Restarts the BMC: it is deaf for a while, and forgets its sessions.
    pub fn restart(&self) {
        self.host.with(Bmc::restart);
    }

    /// Changes the settings. Users and what is under way stay.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.host.with(|bmc| change(&mut bmc.settings));
    }

    /// Whether a user's password is this one.
    pub fn has_password(&self, user: &str, password: &str) -> bool {
        self.host.with(|bmc| bmc.accounts.has_password(user.as_bytes(), password.as_bytes()))
    }

    /// Sets a sensor's raw reading. Whether there is such a sensor.
    pub fn set_reading(&self, sensor: &str, raw: u8) -> bool {
        self.host.with(|bmc| {
            let found = bmc.sensors.iter_mut().find(|it| it.name == sensor);
            found.map(|sensor| sensor.reading = raw).is_some()
        })
    }

    /// Logs an event: the sensor's type and number, the kind of event, its data. Whether there was room for it.
    pub fn log_event(&self, sensor: [u8; 2], kind: u8, data: [u8; 3]) -> bool {
        self.host.with(|bmc| {
            let now = bmc.machine.now();
            sel::current(bmc).log(now, sensor, kind, data).is_ok()
        })
    }

    /// Every datagram so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.host.with(|bmc| bmc.log.seen.clone())
    }

    /// The commands of a network function and number so far that were done.
    pub fn done(&self, function: u8, command: u8) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|it| it.command() == Some((function, command)) && it.is_done());
        seen
    }

    /// Waits until the BMC saw something. Without a bound of its own: the caller has one.
    pub async fn until_seen(&self, mut wanted: impl FnMut(&Seen) -> bool) {
        let mut news = self.host.news();
        while !self.host.with(|bmc| bmc.log.seen.iter().any(&mut wanted)) {
            // The sender is in the host, so this cannot fail.
            let _ = news.changed().await;
        }
    }

    /// Every session so far.
    pub fn sessions(&self) -> Vec<SessionSeen> {
        self.host.with(|bmc| {
            bmc.expire_sessions();
            bmc.log.sessions.clone()
        })
    }

    /// How many sessions there are now.
    pub fn open_sessions(&self) -> usize {
        self.sessions().iter().filter(|session| session.ended.is_none()).count()
    }

    /// Waits until there is no session. Without a bound of its own: the caller has one.
    pub async fn until_all_closed(&self) {
        let mut news = self.host.news();
        while self.open_sessions() > 0 {
            // The sender is in the host, so this cannot fail.
            let _ = news.changed().await;
        }
    }

    /// The handshakes so far that succeeded.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.host.with(|bmc| bmc.log.handshakes.clone())
    }

    /// Records the datagrams from now on.
    pub fn record(&self) {
        self.host.with(|bmc| bmc.log.datagrams = Some(Vec::new()));
    }

    /// The datagrams that were recorded.
    pub fn datagrams(&self) -> Vec<Datagram> {
        self.host.with(|bmc| bmc.log.datagrams.clone().unwrap_or_default())
    }

    /// Starts a new log; the sessions that are open stay in it.
    pub fn forget(&self) {
        self.host.with(|bmc| {
            bmc.log.seen.clear();
            bmc.log.handshakes.clear();
            bmc.log.sessions.retain(|session| session.ended.is_none());
        });
    }
}
