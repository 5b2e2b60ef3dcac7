//! Image pulls run beside the reconciles: a slow one delays no other service and no other host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use slipway_drivers::DriverError;
use slipway_drivers::docker::{Engine, Pull, RegistryLogin};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First wait after a failed pull; it doubles with every failure up to [`LONGEST_BACK_OFF`].
pub const SHORTEST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);

/// How often progress is worth a look by those who wait.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// One image on one host, asked for with one login: a mended login does not wait out the failures of the old one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    image: String,
    digest: Option<String>,
    login: Option<RegistryLogin>,
}

/// How a pull stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullState {
    /// Goes on; the text says how far it is.
    Running(String),
    /// Failed; it is tried again after this time.
    Failed(DriverError, Duration),
}

#[derive(Debug)]
enum Entry {
    Running(String),
    Failed { error: DriverError, failures: u32, retry_at: Instant },
}

impl Entry {
    /// A failure that nobody has asked about for so long belongs to an image that nobody wants any more.
    fn is_of_use(&self) -> bool {
        !matches!(self, Self::Failed { retry_at, .. } if retry_at.elapsed() > LONGEST_BACK_OFF)
    }
}

/// The pulls under way and those that failed lately, over all objects.
#[derive(Clone)]
pub struct Pulls {
    entries: Arc<Mutex<HashMap<Key, Entry>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    shortest_back_off: Duration,
}

impl Pulls {
    /// None yet, with the first wait after a failure. The token abandons all of them; engines keep the layers that they
    /// have.
    pub fn new(stop: CancellationToken, shortest_back_off: Duration) -> Self {
        Self { entries: Arc::default(), tasks: TaskTracker::new(), stop, shortest_back_off }
    }

    /// Waits until every pull has ended, after the token was cancelled.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts a pull unless it runs already or failed a moment ago, and says how it stands.
    /// `wake` is called when there is something new to tell: progress now and then, and the end.
    pub fn ensure(
        &self,
        host: &str,
        engine: &Arc<dyn Engine>,
        pull: &Pull,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> PullState {
        let key = Key {
            host: host.into(),
            image: pull.image.clone(),
            digest: pull.digest.clone(),
            login: pull.login.clone(),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.is_of_use());
        let failures = match entries.get(&key) {
            Some(Entry::Running(progress)) => return PullState::Running(progress.clone()),
            Some(Entry::Failed { error, retry_at, .. }) if *retry_at > Instant::now() => {
                return PullState::Failed(error.clone(), retry_at.saturating_duration_since(Instant::now()));
            }
            Some(Entry::Failed { failures, .. }) => *failures,
            None => 0,
        };
        let text = format!("pulling {} on {host}", pull.image);
        entries.insert(key.clone(), Entry::Running(text.clone()));
        let run = self.clone().run(key, Arc::clone(engine), pull.clone(), failures, wake);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(run));
        PullState::Running(text)
    }

    async fn run(
        self,
        key: Key,
        engine: Arc<dyn Engine>,
        pull: Pull,
        failures: u32,
        wake: impl Fn() + Send + Sync + 'static,
    ) {
        let told = Mutex::new(Instant::now());
        let progress = |text: String| {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.insert(key.clone(), Entry::Running(format!("{text} on {}", key.host)));
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() >= PROGRESS_EVERY {
                *told = Instant::now();
                wake();
            }
        };
        let result = engine.pull(&pull, &progress).await;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                entries.remove(&key);
            }
            Err(error) => {
                let back_off = (self.shortest_back_off * 2u32.saturating_pow(failures)).min(LONGEST_BACK_OFF);
                let failed = Entry::Failed { error, failures: failures + 1, retry_at: Instant::now() + back_off };
                entries.insert(key.clone(), failed);
            }
        }
        drop(entries);
        wake();
    }
}
