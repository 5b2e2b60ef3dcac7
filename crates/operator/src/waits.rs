//! What the process waits for: shown by /readyz, logged once per change.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is waited for, by topic, and what the process is now.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    waits: BTreeMap<String, Wait>,
    role: String,
}

#[derive(Debug)]
struct Wait {
    why: String,
    /// Over by itself then.
    until: Option<Instant>,
}

impl Waits {
    /// Something is waited for. Logged only if it was not known, or is told otherwise now.
    pub fn set(&self, topic: &str, why: &str) {
        self.put(topic, why, None);
    }

    /// The same, unless it is not said again within a time.
    pub fn set_for(&self, topic: &str, why: &str, lasts: Duration) {
        self.put(topic, why, Instant::now().checked_add(lasts));
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
        let now = Instant::now();
        let mut known = self.known();
        known.waits.retain(|_, wait| wait.until.is_none_or(|until| until > now));
        known.waits.iter().map(|(topic, wait)| format!("{topic}: {}", wait.why)).collect()
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

    fn put(&self, topic: &str, why: &str, until: Option<Instant>) {
        let wait = Wait { why: why.to_owned(), until };
        let before = self.known().waits.insert(topic.to_owned(), wait);
        if before.is_none_or(|before| before.why != why) {
            tracing::warn!("waiting for {topic}: {why}");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_again_is_over() {
        let waits = Waits::default();
        waits.set("a", "it is gone");
        waits.set_for("b", "it failed", Duration::ZERO);
        waits.set_for("c", "it failed", Duration::from_mins(1));
        assert_eq!(waits.list(), ["a: it is gone", "c: it failed"]);
    }
}
