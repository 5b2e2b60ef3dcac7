//! One session with one BMC: waits, looks, sends what it is given, once; and closes when it rests.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slipway_api::node::LoginStatus;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_drivers::bmc::{Bmc, BmcAddress, CommandError, Delivered, Trust, WHOLE_CALL, reasons};
use slipway_drivers::{Class, DriverError};
use slipway_plan::cadence::{self, PERSON};
use slipway_plan::node::Pin;
use slipway_plan::node::bmc::plan::word;
use slipway_plan::node::bmc::{
    BmcObserved, BmcStep, Command, Failure, Health, HealthLevel, Identity, Look, Security, Seen, Sent, summary,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{BmcState, Known, LoginState, Question, Shared, Target, Wish};
use crate::clock::now;
use crate::reconcile::Key;
use crate::reconcile::requeue::{jitter, until};

/// Time between visits when all is quiet: with its jitter at most twelve an hour.
const QUIET: Duration = Duration::from_mins(6);
/// BMCs have few sessions and drop them after a minute without use; ours is closed before.
const IDLE: Duration = Duration::from_secs(45);
/// Shortest and longest pause after a command that failed; the shortest before a look is tried again.
const AWAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// What a BMC tells of itself is asked for anew after this time.
const DESCRIBE: Duration = Duration::from_hours(24);
/// For a call, a little longer than the drivers' own.
const DEADLINE: Duration = WHOLE_CALL.saturating_add(Duration::from_secs(5));
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// What a BMC tells of itself is not waited for, where a look takes this long.
const SLOW: Duration = Duration::from_secs(5);
/// Tries to read what a BMC tells of itself, before what is there has to do.
const DESCRIBE_TRIES: u8 = 3;
/// What a look has shown waits for so long for what the BMC tells of itself, so that both are one piece of news.
const TOGETHER: Duration = Duration::from_secs(1);

/// What a BMC tells of itself.
type Description = (Result<Identity, DriverError>, Result<Health, DriverError>, Result<NodeInventorySpec, DriverError>);

/// Why a rest is over.
enum Rest {
    /// The session is to end.
    End,
    /// Something is to be done.
    Serve,
    /// What was awaited has come: the next look has time.
    Calmer,
    /// A person asks something.
    Asked(Question),
}

// Four facts, each true or not by itself.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Session {
    key: Key,
    address: BmcAddress,
    target: Target,
    shared: Arc<Shared>,
    state: watch::Sender<BmcState>,
    wishes: watch::Receiver<Wish>,
    end: CancellationToken,
    bmc: Option<Arc<dyn Bmc>>,
    /// How long its answer took when it was reached.
    pace: Duration,
    /// Whether the session may be open at the BMC.
    open: bool,
    /// These credentials were taken before, by whomever.
    proven: bool,
    /// The try on record that was refused: another one is needed.
    refused: Option<LoginStatus>,
    /// The last command, by its record's time.
    last_sent: Option<String>,
    /// Commands that failed in a row.
    failures: u32,
    /// Looks since something is awaited.
    looks: u32,
    /// Time until the first look.
    first: Duration,
    health: Option<HealthLevel>,
    describe_at: Instant,
    describe_tries: u8,
    /// The next look is news whatever it shows.
    tell_next: bool,
    /// The last look took long.
    slow: bool,
}

impl Session {
    pub(super) fn new(
        key: &Key,
        target: &Target,
        known: &Known,
        shared: &Arc<Shared>,
        state: watch::Sender<BmcState>,
        wishes: watch::Receiver<Wish>,
        end: CancellationToken,
    ) -> Self {
        let address = match (&target.address, &known.pin) {
            (BmcAddress::Redfish { url, system, .. }, Some(pin)) if target.first_use => {
                let trust = Trust::Pin(pin.sha256.clone());
                BmcAddress::Redfish { url: url.clone(), system: system.clone(), trust }
            }
            (address, _) => address.clone(),
        };
        let wait = if known.described { DESCRIBE.mul_f64(fastrand::f64()) } else { Duration::ZERO };
        Self {
            key: key.clone(),
            address,
            target: target.clone(),
            shared: shared.clone(),
            state,
            wishes,
            end,
            bmc: None,
            pace: Duration::ZERO,
            open: false,
            proven: known.proven,
            refused: None,
            last_sent: None,
            failures: 0,
            looks: 0,
            first: if known.settled { QUIET.mul_f64(fastrand::f64()) } else { Duration::ZERO },
            health: known.health,
            describe_at: Instant::now() + wait,
            describe_tries: 0,
            tell_next: false,
            slow: false,
        }
    }

    /// Runs until it is ended; then closes the session at the BMC.
    pub(super) async fn run(mut self, mut questions: mpsc::Receiver<Question>) {
        let mut wish = self.wishes.borrow_and_update().clone();
        let mut due = Instant::now() + self.first;
        loop {
            match self.rest(&wish, due, &mut questions).await {
                Rest::End => break,
                Rest::Serve => {
                    wish = self.wishes.borrow_and_update().clone();
                    self.serve(&wish).await;
                }
                Rest::Calmer => {
                    wish = self.wishes.borrow_and_update().clone();
                    self.looks = 0;
                }
                Rest::Asked(question) => {
                    self.answer(&wish, question).await;
                    // The next look comes when it would have come.
                    continue;
                }
            }
            due = Instant::now() + self.pause(&wish);
        }
        self.close().await;
    }

    /// Waits until something is to be done.
    async fn rest(&mut self, served: &Wish, due: Instant, questions: &mut mpsc::Receiver<Question>) -> Rest {
        let idle = Instant::now() + IDLE;
        let end = self.end.clone();
        loop {
            let closing = self.open && idle < due;
            tokio::select! {
                biased;
                () = end.cancelled() => return Rest::End,
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return Rest::End;
                    }
                    let now = self.wishes.borrow_and_update().clone();
                    let more = now.awaited && !served.awaited || now.deep && !served.deep || now.hold != served.hold;
                    if more || now.send != served.send || now.permit != served.permit {
                        return Rest::Serve;
                    }
                    if now.awaited != served.awaited {
                        return Rest::Calmer;
                    }
                }
                () = sleep_until(due) => return Rest::Serve,
                Some(question) = questions.recv() => return Rest::Asked(question),
                () = sleep_until(idle), if closing => self.close().await,
            }
        }
    }

    async fn serve(&mut self, wish: &Wish) {
        if wish.hold {
            self.close().await;
            return;
        }
        let Some(bmc) = self.opened(wish).await else { return };
        if let Some((id, step)) = &wish.send
            && self.last_sent.as_ref() != Some(id)
        {
            self.send(&*bmc, id, step, wish).await;
            if self.bmc.is_none() {
                return;
            }
        }
        let news = self.look(&*bmc, wish).await;
        if self.is_to_describe() {
            self.describe(&*bmc, news).await;
        } else if news {
            self.shared.tell([self.key.clone()]);
        }
    }

    /// Reads the event log for a person.
    async fn answer(&mut self, wish: &Wish, question: Question) {
        // Who asked may be gone by now.
        if question.answer.is_closed() {
            return;
        }
        let read = match self.opened(wish).await.filter(|_| !wish.hold) {
            Some(bmc) => {
                let turn = self.shared.locks.lock(&self.authority()).await;
                let read = self.timed("sel", bmc.sel(question.limit)).await;
                drop(turn);
                self.open = true;
                read
            }
            None => Err(self.unasked(wish)),
        };
        // Nobody waits for it any more: fine.
        let _ = question.answer.send(read);
    }

    /// Why the BMC is not asked.
    fn unasked(&self, wish: &Wish) -> DriverError {
        if wish.hold {
            return reasons::REFUSED.error("another Node has this BMC as well, so that Slipway does not speak to it");
        }
        match &self.state.borrow().seen {
            Seen::Away { reason, message, needs_person, .. } => {
                let class = if *needs_person { Class::Denied } else { Class::Unreachable };
                DriverError::new(class, reason, message.clone())
            }
            _ => reasons::BUSY.error("the BMC has not taken Slipway's login yet; try again in a moment"),
        }
    }

    /// The session, if it may be opened. Credentials are tried once for each time that is on record.
    async fn opened(&mut self, wish: &Wish) -> Option<Arc<dyn Bmc>> {
        if let Some(bmc) = &self.bmc {
            return Some(bmc.clone());
        }
        let counted = wish.permit.is_some() && wish.permit != self.refused;
        let permitted = counted || self.proven && self.refused.is_none();
        if !permitted {
            if matches!(self.state.borrow().login, LoginState::Refused { .. }) {
                return None;
            }
            let turn = self.shared.locks.lock(&self.authority()).await;
            let reached = self.timed("reach", self.shared.connect.reach(&self.address)).await;
            drop(turn);
            match reached {
                Ok(pace) => {
                    self.pace = pace;
                    self.change(|state| state.login = LoginState::Wanted);
                }
                Err(error) => self.away(&error),
            }
            return None;
        }
        let turn = self.shared.locks.lock(&self.authority()).await;
        let login = self.shared.connect.bmc(&self.address, &self.target.login, self.pace);
        let bmc = self.timed("log_in", login).await;
        drop(turn);
        match bmc {
            Ok(bmc) => {
                self.bmc = Some(bmc.clone());
                self.open = true;
                self.refused = None;
                self.proven = true;
                let record = LoginStatus { version: self.target.version.clone(), ..LoginStatus::default() };
                self.state.send_modify(|state| {
                    state.login = LoginState::Taken;
                    state.facts.login = Some(record);
                });
                Some(bmc)
            }
            Err(error) => {
                self.failed(wish, &error);
                None
            }
        }
    }

    /// Whether it showed something new, which is not told yet.
    async fn look(&mut self, bmc: &dyn Bmc, wish: &Wish) -> bool {
        let look = if wish.deep || self.state.borrow().seen == Seen::Nothing { Look::Evidence } else { Look::Brief };
        let turn = self.shared.locks.lock(&self.authority()).await;
        let (at, began) = (now(), Instant::now());
        let seen = self.timed("observe", bmc.observe(look)).await;
        let took = began.elapsed();
        self.slow = took >= SLOW;
        drop(turn);
        self.open = true;
        match seen {
            Ok(observed) => {
                let took = took.try_into().unwrap_or(SignedDuration::MAX);
                self.shown(observed, (at, took), look == Look::Evidence, wish)
            }
            Err(error) => {
                self.failed(wish, &error);
                false
            }
        }
    }

    /// Takes what a look showed, and how long it took. Whether it is news.
    fn shown(
        &mut self,
        observed: BmcObserved,
        (at, took): (Timestamp, SignedDuration),
        deep: bool,
        wish: &Wish,
    ) -> bool {
        self.looks = self.looks.saturating_add(1);
        if let (true, Security::Tls { certificate_sha256, .. }) = (self.target.first_use, &observed.security) {
            self.pin(certificate_sha256.clone());
        }
        // A change of health is read in full.
        if observed.health != HealthLevel::Unknown && self.health.is_some_and(|known| known != observed.health) {
            self.describe_at = Instant::now();
        }
        let told = std::mem::take(&mut self.tell_next);
        self.state.send_if_modified(|state| {
            let news = match &state.seen {
                Seen::Shown { observed: before, at: last, deep: was_deep, .. } => {
                    let stale = until(at, *last) > Duration::from_secs(15);
                    told || *before != observed || deep != *was_deep || stale && (deep || wish.awaited)
                }
                _ => true,
            };
            state.seen = Seen::Shown { observed, at, took, deep };
            news
        })
    }

    /// The certificate that was seen first is the one that is trusted from now on.
    fn pin(&mut self, sha256: String) {
        let BmcAddress::Redfish { url, trust, .. } = &mut self.address else { return };
        *trust = Trust::Pin(sha256.clone());
        let pin = Pin { sha256, host: Some(url.clone()) };
        self.state.send_modify(|state| {
            let pin = state.facts.pin.get_or_insert(pin);
            // On record since before hosts were noted: it is this one.
            pin.host.get_or_insert_with(|| url.clone());
        });
    }

    /// Whether it is time to read what the BMC tells of itself. A command that waits comes first.
    fn is_to_describe(&self) -> bool {
        let shown = matches!(self.state.borrow().seen, Seen::Shown { .. });
        shown && Instant::now() >= self.describe_at && !self.wishes.has_changed().unwrap_or(true)
    }

    /// Reads what the BMC tells of itself. What it cannot tell is left out. `news`: the look before it has something to tell,
    /// which waits a moment for this.
    async fn describe(&mut self, bmc: &dyn Bmc, news: bool) {
        if self.slow {
            self.change_if(|state| !std::mem::replace(&mut state.facts.late, true));
        }
        let (identity, health, inventory) = self.ask_all(bmc, news).await;
        self.describe_tries += 1;
        let passing =
            |class: Option<Class>| matches!(class, Some(Class::Transient | Class::Unreachable | Class::Conflict));
        let failed = [identity.as_ref().err(), health.as_ref().err(), inventory.as_ref().err()];
        for error in failed.into_iter().flatten() {
            tracing::debug!(bmc = %self.key, "it does not tell all of itself: {error}");
        }
        if failed.iter().any(|error| passing(error.map(DriverError::class))) && self.describe_tries < DESCRIBE_TRIES {
            self.shared.tell(news.then(|| self.key.clone()));
            return;
        }
        self.describe_tries = 0;
        self.describe_at = Instant::now() + jitter(DESCRIBE);
        if let Ok(health) = &health {
            self.health = Some(health.level);
        }
        let inventory = inventory.ok().map(summary::bounded).map(Arc::new);
        let identity = identity.ok();
        self.shared.identified(&self.key, identity.as_ref());
        self.change(|state| {
            state.facts.complete = true;
            state.facts.late = false;
            state.facts.identity = identity;
            state.facts.health = health.ok();
            state.facts.inventory = inventory.as_deref().and_then(summary::inventory);
            state.inventory = inventory;
        });
    }

    /// Asks for all that a BMC tells of itself.
    async fn ask_all(&self, bmc: &dyn Bmc, news: bool) -> Description {
        let asking = async {
            let _turn = self.shared.locks.lock(&self.authority()).await;
            let identity = self.timed("identity", bmc.identity()).await;
            let health = self.timed("health", bmc.health()).await;
            let inventory = self.timed("inventory", bmc.inventory()).await;
            (identity, health, inventory)
        };
        let mut asking = std::pin::pin!(asking);
        if let Ok(told) = timeout(TOGETHER, &mut asking).await {
            return told;
        }
        self.shared.tell(news.then(|| self.key.clone()));
        asking.await
    }

    /// Sends a command, once, if the host still is as it was planned on.
    async fn send(&mut self, bmc: &dyn Bmc, id: &str, step: &BmcStep, wish: &Wish) {
        self.last_sent = Some(id.to_owned());
        self.state.send_modify(|state| state.sent = Some((id.to_owned(), Sent::Pending)));
        let turn = self.shared.locks.lock(&self.authority()).await;
        let holds = self.holds(bmc, step).await;
        // The lease may be another's by now.
        if self.end.is_cancelled() {
            return;
        }
        let outcome = match holds {
            Err(error) => Err(CommandError::refused(error)),
            Ok(()) => self.execute(bmc, step, wish).await,
        };
        drop(turn);
        if matches!(step.command, Command::SetPassword { .. })
            && !matches!(&outcome, Err(CommandError { delivered: Delivered::No, .. }))
        {
            self.forget_the_login().await;
        }
        let (sent, failure) = match outcome {
            Ok(()) => {
                self.failures = 0;
                (Sent::Taken, None)
            }
            Err(CommandError { error, delivered: Delivered::Maybe }) => {
                tracing::warn!(bmc = %self.key, "{} may or may not have been carried out: {error}", step.command);
                let message = format!("{}: {error}", step.command);
                let command = word(&step.command).into();
                (
                    Sent::Lost,
                    Some(Failure {
                        command,
                        needs_person: false,
                        reason: error.reason(),
                        message,
                        at: now(),
                        until: now(),
                    }),
                )
            }
            Err(CommandError { error, delivered: Delivered::No }) => {
                let needs_person = matches!(error.class(), Class::Denied | Class::Invalid);
                (Sent::Refused { needs_person }, Some(self.failure(step, &error, needs_person)))
            }
        };
        self.looks = 0;
        self.tell_next = true;
        self.change(|state| {
            state.sent = Some((id.to_owned(), sent));
            state.failure = failure;
        });
    }

    /// Whether the host still is as the step was planned on, where that matters.
    async fn holds(&self, bmc: &dyn Bmc, step: &BmcStep) -> Result<(), DriverError> {
        if step.on.is_none() {
            return Ok(());
        }
        let observed = self.timed("observe", bmc.observe(Look::Brief)).await?;
        if step.holds(&observed) {
            return Ok(());
        }
        let message = format!("{step} was planned on a host that is no longer so: it is {}", observed.power);
        Err(reasons::CHANGED.error(message))
    }

    /// The password may be another one now. With the old one nothing more is tried, not even to renew the session, unless
    /// that is put on record.
    async fn forget_the_login(&mut self) {
        self.close().await;
        self.bmc = None;
        self.proven = false;
        self.refused = None;
        self.state.send_modify(|state| state.login = LoginState::Open);
    }

    async fn execute(&self, bmc: &dyn Bmc, step: &BmcStep, wish: &Wish) -> Result<(), CommandError> {
        let begun = std::time::Instant::now();
        let call = async {
            match (&step.command, &wish.password) {
                (Command::SetPassword { .. }, Some(password)) => bmc.set_password(password).await,
                (command, _) => bmc.execute(command).await,
            }
        };
        let outcome = timeout(DEADLINE, call).await.unwrap_or_else(|_| {
            let message = format!("no answer to `{}` within {} s", step.command, DEADLINE.as_secs());
            Err(CommandError::lost(reasons::TIMED_OUT.error(message)))
        });
        let told = outcome.as_ref().map_or_else(|failed| failed.error.reason(), |()| "ok");
        self.shared.metrics.driver_call("bmc", "execute", told, begun.elapsed());
        outcome
    }

    fn failure(&mut self, step: &BmcStep, error: &DriverError, needs_person: bool) -> Failure {
        self.failures = self.failures.saturating_add(1);
        // At once, as what is planned on another state may do; but a BMC that says so again and again is not told again and again.
        let changed = error.reason() == reasons::CHANGED.word && self.failures == 1;
        let pause = match (needs_person, changed) {
            (true, _) => PERSON,
            (false, true) => Duration::ZERO,
            (false, false) => AWAY.0.saturating_mul(1 << self.failures.min(6)).min(AWAY.1),
        };
        Failure {
            command: word(&step.command).into(),
            needs_person,
            reason: error.reason(),
            message: format!("{}: {error}", step.command),
            at: now(),
            until: now().checked_add(jitter(pause)).unwrap_or(Timestamp::MAX),
        }
    }

    /// A login or a look that failed.
    fn failed(&mut self, wish: &Wish, error: &DriverError) {
        let locked = error.reason() == reasons::ACCOUNT_LOCKED.word;
        if locked || error.reason() == reasons::CREDENTIALS_REFUSED.word {
            let taken_before = self.state.borrow().login == LoginState::Taken;
            self.bmc = None;
            self.proven = false;
            let permit = wish.permit.clone().unwrap_or_default();
            let (tries, refusals) = (permit.tries.max(taken_before.into()), permit.refusals.saturating_add(1));
            self.refused = Some(permit);
            self.state.send_modify(|state| state.login = LoginState::Refused { locked, tries, refusals, taken_before });
            // Each refusal is news, even in the same words.
            self.shared.tell([self.key.clone()]);
        }
        self.away(error);
    }

    fn away(&mut self, error: &DriverError) {
        self.looks = self.looks.saturating_add(1);
        self.change_if(|state| {
            let since = match &state.seen {
                Seen::Away { since, reason, message, .. } => {
                    // Told once, whichever call it was that failed.
                    if *reason == error.reason()
                        && (error.class() == Class::Unreachable || *message == error.to_string())
                    {
                        return false;
                    }
                    *since
                }
                _ => now(),
            };
            let needs_person = matches!(error.class(), Class::Denied | Class::Invalid);
            state.seen = Seen::Away { needs_person, reason: error.reason(), message: error.to_string(), since };
            true
        });
    }

    /// Time until the next look.
    fn pause(&self, wish: &Wish) -> Duration {
        let state = self.state.borrow();
        if wish.hold || state.login == LoginState::Wanted || matches!(state.login, LoginState::Refused { .. }) {
            return PERSON;
        }
        match &state.seen {
            Seen::Away { needs_person: true, .. } => jitter(PERSON),
            Seen::Away { since, .. } => jitter(cadence::bmc_away(until(now(), *since), wish.awaited)),
            Seen::Nothing => AWAY.0,
            Seen::Shown { .. } if !state.facts.complete && self.describe_tries > 0 => AWAY.0,
            Seen::Shown { .. } if wish.awaited => awaited(self.looks),
            Seen::Shown { .. } => jitter(QUIET),
        }
    }

    async fn close(&mut self) {
        if let Some(bmc) = self.bmc.clone().filter(|_| self.open) {
            let _lock = self.shared.locks.lock(&self.authority()).await;
            // A BMC that does not answer drops the session by itself.
            let _ = timeout(CLOSE_DEADLINE, bmc.close()).await;
        }
        self.open = false;
    }

    /// What may be used by one at a time. Systems of one Redfish service share it.
    fn authority(&self) -> String {
        match &self.address {
            BmcAddress::Redfish { url, .. } => format!("bmc {url}"),
            BmcAddress::Ipmi { .. } => format!("bmc {}", self.address),
        }
    }

    async fn timed<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let begun = std::time::Instant::now();
        let answer = timeout(DEADLINE, call).await.unwrap_or_else(|_| {
            let message = format!("no answer from {} within {} s", self.address, DEADLINE.as_secs());
            Err(reasons::TIMED_OUT.error(message))
        });
        let outcome = answer.as_ref().map_or_else(DriverError::reason, |_| "ok");
        self.shared.metrics.driver_call("bmc", op, outcome, begun.elapsed());
        answer
    }

    fn change(&self, change: impl FnOnce(&mut BmcState)) {
        self.state.send_modify(change);
        self.shared.tell([self.key.clone()]);
    }

    fn change_if(&self, change: impl FnOnce(&mut BmcState) -> bool) {
        if self.state.send_if_modified(change) {
            self.shared.tell([self.key.clone()]);
        }
    }
}

/// Time between looks while something is awaited: what comes comes soon, or takes its time; after an hour it is mostly a person
/// who is awaited.
fn awaited(looks: u32) -> Duration {
    Duration::from_secs(match looks {
        0..=20 => 1,
        21..=50 => 2,
        51..=100 => 5,
        101..=400 => 10,
        _ => 60,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_bmc_has_twelve_visits_an_hour_at_most() {
        let visits = Duration::from_hours(1).as_secs_f64() / QUIET.mul_f64(0.9).as_secs_f64();
        assert!(visits <= 12.0, "{visits}");
    }

    #[test]
    fn what_is_awaited_is_looked_at_ever_less_often() {
        assert_eq!([0, 30, 60, 200, 1000].map(|looks| awaited(looks).as_secs()), [1, 2, 5, 10, 60]);
    }
}
