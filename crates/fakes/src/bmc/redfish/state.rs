//! What a BMC remembers: who is logged in, passwords, media, tasks, and what was asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Machine;
use super::Settings;
use super::bugs::Bug;

/// A request that came to a BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `login`, `reset`, `boot`, …; `read` for what only looks.
    pub name: &'static str,
    /// GET, POST, …
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// The value of `ResetType`, for a reset.
    pub reset: Option<String>,
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
}

/// A session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) token: String,
    pub(super) used: Instant,
    pub(super) requests: u32,
}

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Ends(Instant),
    Waits,
    Fails,
    Never,
}

/// Everything that a BMC remembers.
pub(super) struct State {
    pub(super) machine: Arc<Machine>,
    pub(super) settings: Settings,
    pub(super) bugs: Vec<Bug>,
    pub(super) password: String,
    pub(super) sessions: Vec<Session>,
    made_sessions: u64,
    /// Logins and requests with wrong credentials.
    pub(super) denials: u32,
    pub(super) image: Option<String>,
    pub(super) tasks: BTreeMap<u64, Task>,
    /// Names of parts that are not well, and how bad.
    pub(super) ills: BTreeMap<String, String>,
    pub(super) calls: Vec<Call>,
}

impl State {
    pub(super) fn new(machine: Arc<Machine>, settings: Settings) -> Self {
        Self {
            machine,
            password: settings.password.clone(),
            settings,
            bugs: Vec::new(),
            sessions: Vec::new(),
            made_sessions: 0,
            denials: 0,
            image: None,
            tasks: BTreeMap::new(),
            ills: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    pub(super) fn has(&self, bug: &Bug) -> bool {
        self.bugs.contains(bug)
    }

    /// The values that a reset may have.
    pub(super) fn resets(&self) -> &'static [&'static str] {
        let fewer =
            self.bugs.iter().find_map(|bug| if let Bug::OffersResets(fewer) = bug { Some(*fewer) } else { None });
        fewer.unwrap_or(self.settings.flavour.shape().resets)
    }

    /// Whether the account is locked: too many wrong passwords.
    pub(super) fn is_locked(&self) -> bool {
        self.settings.locks_after.is_some_and(|most| self.denials >= most)
    }

    /// Checks a name and a password, and counts what is wrong.
    pub(super) fn admits(&mut self, username: &str, password: &str) -> bool {
        let is_right = !self.is_locked() && username == self.settings.username && password == self.password;
        if !is_right {
            self.denials += 1;
        }
        is_right
    }

    /// A new session, if there is a slot.
    pub(super) fn open_session(&mut self) -> Option<Session> {
        self.forget_old_sessions();
        if self.sessions.len() >= self.settings.sessions {
            return None;
        }
        self.made_sessions += 1;
        let id = self.made_sessions;
        let token = format!("{id:08x}{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let session = Session { id, token, used: Instant::now(), requests: 0 };
        self.sessions.push(session.clone());
        Some(session)
    }

    /// Whether a token is that of a session, which is used by this.
    pub(super) fn use_session(&mut self, token: &str) -> bool {
        self.forget_old_sessions();
        let most =
            self.bugs.iter().find_map(|bug| if let Bug::ForgetsSessions(most) = bug { Some(*most) } else { None });
        let Some(index) = self.sessions.iter().position(|session| session.token == token) else { return false };
        let session = &mut self.sessions[index];
        session.used = Instant::now();
        session.requests += 1;
        if most.is_some_and(|most| session.requests > most) {
            self.sessions.remove(index);
            return false;
        }
        true
    }

    fn forget_old_sessions(&mut self) {
        let idle = self.settings.idle;
        self.sessions.retain(|session| session.used.elapsed() < idle);
    }

    /// Begins a task.
    pub(super) fn begin(&mut self, task: Task) -> u64 {
        let number = self.tasks.len() as u64 + 1;
        self.tasks.insert(number, task);
        number
    }
}

/// The time at which a task ends that takes so long.
pub(super) fn ends_in(time: Duration) -> Task {
    Task::Ends(Instant::now() + time)
}
