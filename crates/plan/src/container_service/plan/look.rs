//! How a container looks: ready, on its way, or in trouble, and why.

use std::time::Duration;

use bollard_stubs::models::RestartPolicyNameEnum;
use jiff::{SignedDuration, Timestamp};

use crate::container_service::definition::{self, Lifecycle};
use crate::container_service::observed::{Container, HealthStatus, Host, State};

/// A run this long was a good one: what ends after it is started again at once, and what was started again and has run this
/// long is believed to stay.
const GOOD_RUN: SignedDuration = SignedDuration::from_secs(10);
/// A container that was started this soon after its creation is in its first run.
const FIRST_RUN: SignedDuration = SignedDuration::from_secs(2);
/// Longest wait between two starts of a container that keeps ending.
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_mins(5);
/// An engine that starts ends what its predecessor left running, about then.
const ENGINE_START: SignedDuration = SignedDuration::from_secs(30);
/// Log lines and check outputs are cut to this many characters.
const LONGEST_OUTPUT: usize = 400;

/// How a container looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Running and healthy; or done, if it is there to be done.
    Ready,
    /// Running; time or its health check will tell. The time is ours.
    Settling(Option<Timestamp>),
    /// Created and never started.
    Idle,
    /// The engine could not start it.
    StartFailed,
    /// Somebody paused it.
    Paused,
    /// Ended, and the engine's own restart policy starts it again.
    Restarting,
    /// Ended, though it should run; or ended with an error, though it should be done.
    Ended,
    /// Running, and its health check fails.
    Unhealthy,
}

/// The time, on the engine's clock and on ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Now, on our clock.
    pub now: Timestamp,
    ahead: SignedDuration,
    engine_started_at: Option<Timestamp>,
}

impl Clock {
    pub fn of(host: &Host, now: Timestamp) -> Self {
        Self { now, ahead: host.clock_ahead, engine_started_at: host.engine_started_at }
    }

    /// How long ago a time on the engine's clock was; never negative.
    fn age(&self, at: Timestamp) -> SignedDuration {
        later(self.now, self.ahead).duration_since(at).max(SignedDuration::ZERO)
    }

    /// When `wait` from `at` (engine's clock) is over, on our clock; never further away than `wait`.
    pub fn due(&self, at: Timestamp, wait: SignedDuration) -> Timestamp {
        later(later(at, wait), -self.ahead).min(later(self.now, wait))
    }
}

/// A time plus a span, kept within what a timestamp can hold.
pub(super) fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(if span.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// A span for arithmetic on timestamps.
pub(super) fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

/// How a container looks. What is being removed or is dead is not asked here.
pub(super) fn look(container: &Container, want: &definition::Container, min_ready: Duration, clock: Clock) -> Look {
    match container.state {
        State::Created if container.error.is_empty() => Look::Idle,
        State::Created => Look::StartFailed,
        State::Paused => Look::Paused,
        State::Restarting => Look::Restarting,
        State::Exited | State::Dead | State::Removing if is_done(container, want) => Look::Ready,
        State::Exited | State::Dead | State::Removing => Look::Ended,
        State::Running if want.lifecycle == Lifecycle::Once => Look::Settling(None),
        State::Running => match container.health.as_ref().map(|h| h.status) {
            Some(HealthStatus::Healthy) => Look::Ready,
            Some(HealthStatus::Unhealthy) => Look::Unhealthy,
            Some(HealthStatus::Starting) => Look::Settling(None),
            None => settled(container, min_ready, clock),
        },
    }
}

/// Without a health check, only time shows that a container stays up; the more so if it has ended before.
fn settled(container: &Container, min_ready: Duration, clock: Clock) -> Look {
    let ended_before = container.finished_at.is_some() || container.restart_count > 0;
    let enough = if ended_before { signed(min_ready).max(GOOD_RUN) } else { signed(min_ready) };
    match container.started_at {
        Some(at) if clock.age(at) >= enough => Look::Ready,
        Some(at) => Look::Settling(Some(clock.due(at, enough))),
        None => Look::Settling(Some(later(clock.now, enough))),
    }
}

/// It has ended as it should: a run to the end with exit 0, or a service whose policy is `on-failure` and that did not fail.
fn is_done(container: &Container, want: &definition::Container) -> bool {
    let policy = want.body.host_config.as_ref().and_then(|h| h.restart_policy.as_ref()).and_then(|p| p.name);
    let may_end = want.lifecycle == Lifecycle::Once || policy == Some(RestartPolicyNameEnum::ON_FAILURE);
    may_end && container.exit_code == 0 && container.started_at.is_some()
}

/// It has ended well under a policy that lets it, as far as it tells without its definition.
pub(super) fn succeeded(container: &Container) -> bool {
    let policy = container.host_config.restart_policy.as_ref().and_then(|p| p.name);
    policy == Some(RestartPolicyNameEnum::ON_FAILURE) && container.exit_code == 0 && container.started_at.is_some()
}

/// The process is there, whatever it does.
pub(super) fn is_up(container: &Container) -> bool {
    matches!(container.state, State::Running | State::Paused | State::Restarting)
}

/// It has been started at least once.
pub(super) fn has_run(container: &Container) -> bool {
    container.started_at.is_some() || !matches!(container.state, State::Created)
}

/// It was running when its engine was stopped or died, and ended with it or when the engine was back.
pub(super) fn ended_by_engine(container: &Container, clock: Clock) -> bool {
    match (container.started_at, container.finished_at, clock.engine_started_at) {
        (Some(began), Some(ended), Some(engine)) => began < engine && ended <= later(engine, ENGINE_START),
        _ => false,
    }
}

/// It ended by a signal that somebody sent (128 + SIGKILL, 128 + SIGTERM), or by its engine's end: no fault of its own.
fn ended_from_outside(container: &Container, clock: Clock) -> bool {
    (!container.oom_killed && matches!(container.exit_code, 137 | 143)) || ended_by_engine(container, clock)
}

/// Why a container that replaces another has failed, if it has: one word and a sentence.
pub(super) fn failure(
    container: &Container,
    want: &definition::Container,
    look: Look,
    timeout: Duration,
    clock: Clock,
) -> Option<(&'static str, String)> {
    let overdue = |since: Option<Timestamp>| since.is_some_and(|at| clock.age(at) >= signed(timeout));
    let told = match look {
        Look::Ended if ended_from_outside(container, clock) && !overdue(container.created_at) => return None,
        Look::Settling(_) if container.restart_count > 0 && want.lifecycle == Lifecycle::Running => Look::Restarting,
        Look::Settling(_) if overdue(container.started_at) && want.lifecycle == Lifecycle::Running => {
            let span = crate::duration::format(timeout);
            let output = container.health.as_ref().map_or(String::new(), |h| quoted(": last check", &h.output));
            return Some(("NotReadyInTime", format!("was not ready within {span}{output}")));
        }
        Look::Ready | Look::Idle | Look::Paused | Look::Settling(_) => return None,
        other => other,
    };
    let (_, reason, message) = describe(container, want, told);
    Some((reason, message))
}

/// When an ended container is to be started again, on our clock. Computed without memory: `failing_since` is since when the
/// object has not been ready, on our clock; `None` while it is.
pub(super) fn start_again_at(container: &Container, failing_since: Option<Timestamp>, clock: Clock) -> Timestamp {
    let (Some(created), Some(started), Some(ended)) =
        (container.created_at, container.started_at, container.finished_at)
    else {
        return clock.now;
    };
    let first_run = started.duration_since(created) < FIRST_RUN;
    if first_run || ended.duration_since(started) >= GOOD_RUN || ended_by_engine(container, clock) {
        return clock.now;
    }
    let wait = match failing_since {
        None => SignedDuration::from_secs(1),
        Some(since) => {
            let failing_for = ended.duration_since(created.max(later(since, clock.ahead)));
            (failing_for / 2).clamp(SignedDuration::from_secs(1), LONGEST_BACK_OFF)
        }
    };
    clock.due(ended, wait)
}

/// State, one word and a sentence about a container that is not ready.
pub(super) fn describe(
    container: &Container,
    want: &definition::Container,
    look: Look,
) -> (&'static str, &'static str, String) {
    let ended = || {
        let memory = if container.oom_killed { ", killed for lack of memory" } else { "" };
        let error = quoted(":", &container.error);
        let log = quoted("; last lines", &container.log_tail);
        format!("exited with code {}{memory}{error}{log}", container.exit_code)
    };
    match look {
        Look::Ready => ("Running", "Ready", String::new()),
        Look::Settling(_) if want.lifecycle == Lifecycle::Once => {
            ("Running", "RunInProgress", "has not ended yet".into())
        }
        Look::Settling(_) if container.health.is_some() => {
            ("Running", "Starting", "is running; its health check has not passed yet".into())
        }
        Look::Settling(_) => ("Running", "Starting", "is running; it is watched for a moment".into()),
        Look::Idle => ("Created", "NotStarted", "is created and not started yet".into()),
        Look::StartFailed => ("Created", "StartFailed", format!("cannot be started{}", quoted(":", &container.error))),
        Look::Paused => ("Paused", "Paused", "somebody paused it".into()),
        Look::Restarting => ("Restarting", "CrashLoop", format!("{}; the engine restarts it", ended())),
        Look::Ended if container.oom_killed => ("Exited", "OutOfMemory", ended()),
        Look::Ended if want.lifecycle == Lifecycle::Once => ("Exited", "RunFailed", ended()),
        Look::Ended => ("Exited", "Exited", ended()),
        Look::Unhealthy => {
            let output = container.health.as_ref().map_or(String::new(), |h| quoted(":", &h.output));
            ("Unhealthy", "Unhealthy", format!("its health check fails{output}"))
        }
    }
}

/// Text that others wrote, on one line and cut at its beginning: the end of an output says most.
fn quoted(lead: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let text: String = lines.join(" / ").chars().filter(|c| !c.is_control()).collect();
    let skip = text.chars().count().saturating_sub(LONGEST_OUTPUT);
    if text.is_empty() { String::new() } else { format!("{lead} {}", text.chars().skip(skip).collect::<String>()) }
}
