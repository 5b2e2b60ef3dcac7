//! What the process waits for: shown by /readyz, logged once per change.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is waited for, by topic, and what the process is now.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    waits: BTreeMap<String, String>,
    role: String,
}

impl Waits {
    /// Something is waited for. Logged only if it was not known, or is told otherwise now.
    pub fn set(&self, topic: &str, why: &str) {
        let mut known = self.known();
        if known.waits.get(topic).map(String::as_str) != Some(why) {
            tracing::warn!("waiting for {topic}: {why}");
            known.waits.insert(topic.to_owned(), why.to_owned());
        }
    }

    /// It is there.
    pub fn clear(&self, topic: &str) {
        if self.known().waits.remove(topic).is_some() {
            tracing::info!("no longer waiting for {topic}");
        }
    }

    /// Forgets topics, without a word: whoever waited for them is no more.
    pub fn drop_where(&self, of: impl Fn(&str) -> bool) {
        self.known().waits.retain(|topic, _| !of(topic));
    }

    /// All that is waited for, as `topic: why`.
    pub fn list(&self) -> Vec<String> {
        self.known().waits.iter().map(|(topic, why)| format!("{topic}: {why}")).collect()
    }

    /// Says what the process is now: leading, standing by. Logged when it changes.
    pub fn role(&self, role: &str) {
        let mut known = self.known();
        if known.role != role {
            tracing::info!("{role}");
            role.clone_into(&mut known.role);
        }
    }

    /// What the process is now.
    pub fn current_role(&self) -> String {
        self.known().role.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
