//! The BMCs: for each Node one session, which does one thing at a time and rests when nothing is awaited.
//!
//! A quiet BMC is visited at most twelve times an hour. After a restart of Slipway those that had settled are visited spread
//! over the first of these pauses, so that nothing is stormed. Credentials are tried only when a pass has put the try on
//! record. What is done about what a session shows is the Node's controller's affair.

mod marks;
mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use slipway_api::node::LoginStatus;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_drivers::DriverError;
use slipway_drivers::bmc::{BmcAddress, ConnectBmc, Login, Password, reasons};
use slipway_plan::node::bmc::{BmcStep, Failure, HealthLevel, Identity, Seen, SelEntry, Sent};
use slipway_plan::node::{Facts, Pin};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::now;
use crate::metrics::Metrics;
use crate::reconcile::{Key, Locks};
use marks::Marks;

/// Where a BMC is, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is. With trust on first use, as if nothing had been trusted yet.
    pub address: BmcAddress,
    /// The first certificate that is seen is trusted, and no other.
    pub first_use: bool,
    /// Who we are.
    pub login: Login,
    /// Names the Secret's content and the request to try it again.
    pub version: String,
}

/// What is known of a BMC from before this process.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// These credentials were taken before.
    pub proven: bool,
    /// All was as wanted: there is no haste.
    pub settled: bool,
    /// It has told all of itself before.
    pub described: bool,
    /// How the host was.
    pub health: Option<HealthLevel>,
    /// The certificate that was trusted on first use.
    pub pin: Option<Pin>,
}

/// What is known of a BMC now.
#[derive(Clone, Debug)]
pub struct BmcState {
    /// What it shows.
    pub seen: Seen,
    /// What it told of itself.
    pub facts: Facts,
    /// What its host is made of, in full, if it was asked.
    pub inventory: Option<Arc<NodeInventorySpec>>,
    /// The last command, by its record's time, and what came of it.
    pub sent: Option<(String, Sent)>,
    /// The last command failed.
    pub failure: Option<Failure>,
    /// Whether it may, or must, be asked to take our credentials.
    pub login: LoginState,
    /// When this session was begun.
    pub began: Timestamp,
}

/// Where we stand with our credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginState {
    /// Not tried, or nothing came of the try: the BMC did not answer.
    Open,
    /// The BMC answers, and the try has to be put on record.
    Wanted,
    /// They were taken by this session.
    Taken,
    /// They were refused at this count; `taken_before` by this very session.
    Refused {
        /// The BMC has locked the account: no try is left.
        locked: bool,
        /// So many tries were on record; one more by now is under way.
        tries: u8,
        /// So many refusals are known of, with those on record.
        refusals: u8,
        /// This session saw them taken before.
        taken_before: bool,
    },
}

/// What a session is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// Something is awaited: look often.
    pub awaited: bool,
    /// Looks must show the evidence of restarts.
    pub deep: bool,
    /// Nothing at all may be done: another Node has this BMC as well.
    pub hold: bool,
    /// A command, by its record's time. Each is sent once.
    pub send: Option<(String, BmcStep)>,
    /// A try of the credentials that is on record.
    pub permit: Option<LoginStatus>,
    /// The password that a command to set one sets.
    pub password: Option<Password>,
}

/// Every BMC. Cheap to clone.
#[derive(Clone)]
pub struct Bmcs {
    shared: Arc<Shared>,
}

struct Shared {
    connect: Arc<dyn ConnectBmc>,
    metrics: Arc<Metrics>,
    locks: Locks,
    changes: broadcast::Sender<Key>,
    entries: Mutex<Entries>,
    sessions: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct Entries {
    of: BTreeMap<Key, Entry>,
    marks: Marks,
}

struct Entry {
    target: Target,
    state: watch::Sender<BmcState>,
    wish: watch::Sender<Wish>,
    questions: mpsc::Sender<Question>,
    /// Ends the session, politely.
    end: CancellationToken,
}

/// Questions that wait for a BMC at one time.
const QUESTIONS: usize = 8;

/// A person asks for a BMC's event log.
struct Question {
    /// The newest entries, this many at most.
    limit: usize,
    answer: oneshot::Sender<Result<Vec<SelEntry>, DriverError>>,
}

impl BmcState {
    fn new(known: &Known) -> Self {
        let facts = Facts { complete: known.described, pin: known.pin.clone(), ..Facts::default() };
        let seen = Seen::Nothing;
        Self { seen, facts, inventory: None, sent: None, failure: None, login: LoginState::Open, began: now() }
    }
}

impl Bmcs {
    /// No BMCs yet. `connect` makes sessions of addresses; all of them end with `stop`.
    pub fn new(connect: Arc<dyn ConnectBmc>, metrics: Arc<Metrics>, locks: Locks, stop: CancellationToken) -> Self {
        let (changes, sessions) = (broadcast::channel(4096).0, TaskTracker::new());
        Self {
            shared: Arc::new(Shared { connect, metrics, locks, changes, entries: Mutex::default(), sessions, stop }),
        }
    }

    /// Keeps a session with a BMC from now on. With the target that it has already nothing happens.
    pub fn connect(&self, key: &Key, target: &Target, known: &Known) {
        let mut entries = self.shared.entries();
        if entries.of.get(key).is_some_and(|entry| entry.target == *target) {
            return;
        }
        if let Some(old) = entries.of.remove(key) {
            old.end.cancel();
        }
        let state = watch::Sender::new(BmcState::new(known));
        let wish = watch::Sender::new(Wish::default());
        let end = self.shared.stop.child_token();
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let session =
            session::Session::new(key, target, known, &self.shared, state.clone(), wish.subscribe(), end.clone());
        self.shared.sessions.spawn(session.run(asked));
        entries.of.insert(key.clone(), Entry { target: target.clone(), state, wish, questions, end });
        entries.marks.place(key, target.address.to_string());
        let others = entries.marks.twins(key);
        drop(entries);
        self.shared.tell(others);
    }

    /// Whether a session is kept with this target.
    pub fn is_at(&self, key: &Key, target: &Target) -> bool {
        self.shared.entries().of.get(key).is_some_and(|entry| entry.target == *target)
    }

    /// What is known of a Node's BMC, if there is a session.
    pub fn state(&self, key: &Key) -> Option<BmcState> {
        self.shared.entries().of.get(key).map(|entry| {
            let mut state = entry.state.borrow().clone();
            // A command that the session has not seen yet is as good as under way.
            if let Some((id, _)) = &entry.wish.borrow().send
                && state.sent.as_ref().is_none_or(|(sent, _)| sent != id)
            {
                state.sent = Some((id.clone(), Sent::Pending));
            }
            state
        })
    }

    /// Other Nodes that name the same BMC, or one that says it is the same.
    pub fn twins(&self, key: &Key) -> Vec<Key> {
        self.shared.entries().marks.twins(key)
    }

    /// Whether a session has a try of the credentials that is on record.
    pub fn is_permitted(&self, key: &Key) -> bool {
        self.shared.entries().of.get(key).is_some_and(|entry| entry.wish.borrow().permit.is_some())
    }

    /// Asks a session for something else than before.
    pub fn wish(&self, key: &Key, change: impl FnOnce(&mut Wish)) {
        if let Some(entry) = self.shared.entries().of.get(key) {
            entry.wish.send_if_modified(|wish| {
                let before = wish.clone();
                change(wish);
                *wish != before
            });
        }
    }

    /// The event log of a Node's BMC, the newest entry last; asked in its session, when its turn comes.
    pub async fn sel(&self, key: &Key, limit: usize) -> Result<Vec<SelEntry>, DriverError> {
        let questions = self.shared.entries().of.get(key).map(|entry| entry.questions.clone());
        let questions = questions
            .ok_or_else(|| reasons::BUSY.error("there is no session with this BMC yet, or its Node cannot be used"))?;
        let (answer, answered) = oneshot::channel();
        let busy = |_| reasons::BUSY.error("this BMC is asked for its event log too often; try again later");
        questions.try_send(Question { limit, answer }).map_err(busy)?;
        let ended = |_| reasons::CONNECTION_LOST.error("the session ended before the BMC was asked");
        answered.await.map_err(ended)?
    }

    /// An inventory is on record: it is not written again.
    pub fn recorded(&self, key: &Key, inventory: &Arc<NodeInventorySpec>) {
        if let Some(entry) = self.shared.entries().of.get(key) {
            entry.state.send_if_modified(|state| {
                state.inventory.take_if(|written| Arc::ptr_eq(written, inventory));
                false
            });
        }
    }

    /// Ends a session: its Node is gone, or names no BMC any more.
    pub fn forget(&self, key: &Key) {
        let mut entries = self.shared.entries();
        let others = entries.marks.twins(key);
        if let Some(entry) = entries.of.remove(key) {
            entries.marks.forget(key);
            entry.end.cancel();
            drop(entries);
            self.shared.tell(others);
        }
    }

    /// The Nodes whose BMC has news, from now on. A slow reader is told that it `Lagged`.
    pub fn changes(&self) -> broadcast::Receiver<Key> {
        self.shared.changes.subscribe()
    }

    /// Waits, once all is to stop, until every session is closed.
    pub async fn drain(&self) {
        self.shared.sessions.close();
        self.shared.sessions.wait().await;
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A BMC has told who it is.
    fn identified(&self, key: &Key, identity: Option<&Identity>) {
        let known = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let identity = identity.and_then(|identity| Some((known(&identity.uuid)?, known(&identity.serial)?)));
        let mut entries = self.entries();
        // One that was forgotten meanwhile leaves no mark.
        if entries.of.contains_key(key) {
            entries.marks.identify(key, identity);
        }
        let twins = entries.marks.twins(key);
        drop(entries);
        self.tell(twins);
    }

    fn tell(&self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            // Nobody listening is fine.
            let _ = self.changes.send(key);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
