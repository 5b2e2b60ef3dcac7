//! Injected faults: at which call, before or after it is done, and what goes wrong.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The request has come; nothing is done.
    Before,
    /// It is done; the reply is not sent.
    After,
}

/// What a test does at a call: it kills the client, say.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn() + Send + Sync>);

impl Hook {
    /// Runs this. It may block.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn run(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl PartialEq for Hook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Hook {}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The test does something, and the connection breaks.
    Hook(Hook),
    /// No answer until [`Faults::release`] (then it goes on) or [`Faults::clear`] (then it never was).
    Hang,
    /// The answer takes this much longer.
    Slow(Duration),
    /// This status and message.
    Fail(u16, String),
    /// The connection breaks.
    Disconnect,
    /// The engine's disk is full.
    DiskFull,
    /// The whole host gets into trouble; this request is lost in it.
    Trouble(Trouble),
}

/// What can befall a whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is gone: connections break and new ones are refused.
    Down,
    /// It accepts connections and never answers; what was asked meanwhile is done when it thaws.
    Frozen,
    /// It is killed and comes up again at once.
    Restart,
}

/// A rule: one fault at some calls.
#[derive(Clone, Debug)]
pub struct Fault {
    call: String,
    nth: Option<u64>,
    moment: Moment,
    effect: Effect,
    seen: u64,
}

impl Fault {
    /// A fault before the calls of this name are done (`container-create`, …; `*` for all).
    pub fn before(call: &str, effect: Effect) -> Self {
        Self { call: call.into(), nth: None, moment: Moment::Before, effect, seen: 0 }
    }

    /// A fault after the calls of this name are done: the reply is lost.
    pub fn after(call: &str, effect: Effect) -> Self {
        Self { moment: Moment::After, ..Self::before(call, effect) }
    }

    /// Only at the nth of these calls from now on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }
}

/// What became of the requests that hang.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gate {
    /// Requests that have been let go.
    released: u64,
    /// Requests that have been dropped.
    cleared: u64,
}

/// The rules of one host, and the requests that hang because of them.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Fault>>,
    struck: watch::Sender<u64>,
    gate: watch::Sender<Gate>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { rules: Mutex::default(), struck: watch::channel(0).0, gate: watch::channel(Gate::default()).0 }
    }
}

impl Faults {
    /// Adds a rule.
    pub fn inject(&self, fault: Fault) {
        self.rules().push(fault);
    }

    /// Forgets all rules; requests that hang are dropped, and what they asked for never happens.
    pub fn clear(&self) {
        self.rules().clear();
        self.gate.send_modify(|gate| gate.cleared += 1);
    }

    /// Lets the requests that hang go on. The rules stay.
    pub fn release(&self) {
        self.gate.send_modify(|gate| gate.released += 1);
    }

    /// Waits until any rule has struck since the start of the fake.
    pub async fn struck(&self) {
        self.struck_times(1).await;
    }

    /// Waits until rules have struck this many times since the start of the fake.
    pub async fn struck_times(&self, times: u64) {
        // The sender lives as long as this, so the wait cannot fail.
        let _ = self.struck.subscribe().wait_for(|struck| *struck >= times).await;
    }

    /// How often rules have struck since the start of the fake.
    pub fn times_struck(&self) -> u64 {
        *self.struck.borrow()
    }

    /// Counts a call, and says what goes wrong with it.
    pub(crate) fn strike(&self, call: &str) -> Option<(Moment, Effect)> {
        let mut struck = None;
        for rule in self.rules().iter_mut().filter(|rule| rule.call == call || rule.call == "*") {
            rule.seen += 1;
            if rule.nth.is_none_or(|nth| nth == rule.seen) && struck.is_none() {
                struck = Some((rule.moment, rule.effect.clone()));
            }
        }
        struck
    }

    /// Tells those who wait that a rule has struck.
    pub(crate) fn has_struck(&self) {
        self.struck.send_modify(|struck| *struck += 1);
    }

    /// Hangs. Whether to go on.
    pub(crate) async fn hang(&self) -> bool {
        let mut gate = self.gate.subscribe();
        let then = *gate.borrow_and_update();
        self.has_struck();
        gate.wait_for(|gate| *gate != then).await.is_ok_and(|gate| gate.cleared == then.cleared)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_the_nth_call_of_its_name_only() {
        let faults = Faults::default();
        faults.inject(Fault::before("a", Effect::Disconnect).nth(2));
        assert_eq!(faults.strike("a"), None);
        assert_eq!(faults.strike("b"), None);
        assert_eq!(faults.strike("a"), Some((Moment::Before, Effect::Disconnect)));
        assert_eq!(faults.strike("a"), None);
    }

    #[tokio::test]
    async fn what_hangs_goes_on_when_released_and_not_when_cleared() {
        let faults = std::sync::Arc::new(Faults::default());
        for (release, goes_on) in [(true, true), (false, false)] {
            let hanging = tokio::spawn({
                let faults = faults.clone();
                async move { faults.hang().await }
            });
            faults.struck_times(if release { 1 } else { 2 }).await;
            if release {
                faults.release();
            } else {
                faults.clear();
            }
            assert_eq!(hanging.await.unwrap(), goes_on);
        }
    }
}
