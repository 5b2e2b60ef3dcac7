//! One pass, written once for every kind: guard, finalizer, read, validate, observe, plan, act, report, next.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::core::object::HasStatus;
use slipway_api::conditions::{HasConditions, READY, State, Verdict, find};
use slipway_drivers::Class;

use super::events::Severity;
use super::finalizer;
use super::kind::{Acted, Cleanup, Kind, Next, Object, Report};
use super::pass::Pass;
use super::requeue::until;
use crate::error::Error;

/// Deadline of the steps that only look. Each call has its own; this one holds them all.
const LOOK_DEADLINE: Duration = Duration::from_mins(2);
/// A cleanup is given this long at least, even if its deadline has come.
const LAST_CHANCE: Duration = Duration::from_secs(15);

type Status<K> = <<K as Kind>::Object as HasStatus>::Status;

/// One pass over one object. Failures end in its status and in the time of the next look.
pub(super) async fn reconcile<K: Kind>(kind: &K, pass: &Pass<K::Object>) -> Next {
    if pass.object().meta().deletion_timestamp.is_some() {
        return delete(kind, pass).await;
    }
    match attempt(kind, pass).await {
        Ok(report) => settle(pass, report).await,
        Err(error) => {
            kind.failed(&pass.object(), &error);
            match error {
                Error::Invalid(_) if !kind.suspended(&pass.object()) => refuse(kind, pass, &error).await,
                error => fail(pass, &error).await,
            }
        }
    }
}

/// The steps, one a line.
async fn attempt<K: Kind>(kind: &K, pass: &Pass<K::Object>) -> Result<Report<Status<K>>, Error> {
    begin(kind, pass).await?;
    let inputs = in_time("read what the spec refers to", kind.read(pass)).await?;
    let valid = kind.validate(&pass.object(), inputs)?;
    let observed = in_time("look at the hosts", kind.observe(&valid, pass)).await?;
    let plan = kind.plan(&valid, &observed, pass);
    tracing::debug!("plan:\n{plan}");
    let acted = if kind.suspended(&pass.object()) {
        Acted::Suspended
    } else {
        kind.act(&valid, &observed, &plan, pass).await.map_or_else(Acted::Failed, Acted::Done)
    };
    Ok(kind.report(&valid, &observed, &plan, &acted, pass))
}

/// The finalizer, and at the very first a status: without conditions kstatus takes an object for done. Side by side, as
/// neither depends on the other.
async fn begin<K: Kind>(kind: &K, pass: &Pass<K::Object>) -> Result<(), Error> {
    let finalizer = async { if kind.leaves_traces(&pass.object()) { finalizer::ensure(pass).await } else { Ok(()) } };
    if K::OWN_FIRST_STATUS {
        return finalizer.await;
    }
    let (finalizer, status) = tokio::join!(finalizer, first_status(pass));
    finalizer.and(status)
}

async fn first_status<O: Object>(pass: &Pass<O>) -> Result<(), Error> {
    let mut status = pass.status();
    if !status.conditions().is_empty() {
        return Ok(());
    }
    let verdict = Verdict {
        state: State::Progressing,
        reason: "Reconciling".into(),
        message: "Slipway has seen this object and begins to work on it".into(),
    };
    status.judge(&verdict, pass.generation(), pass.now());
    pass.write(&status).await
}

/// Writes what a pass found, and says what changed.
async fn settle<O: Object>(pass: &Pass<O>, report: Report<<O as HasStatus>::Status>) -> Next {
    let before = pass.status();
    if let Err(error) = pass.write(&report.status).await {
        return unwritten(pass, &error);
    }
    announce(pass, before.conditions(), report.status.conditions(), report.next);
    report.next
}

/// Writes that a pass failed.
async fn fail<O: Object>(pass: &Pass<O>, error: &Error) -> Next {
    tracing::debug!("the pass failed: {error}");
    let (now, generation) = (pass.now(), pass.generation());
    if outdated(error) {
        return Next::At(now + Duration::from_secs(1));
    }
    let next = match error.class() {
        Class::Unreachable | Class::Transient | Class::Conflict => Next::Retry,
        Class::Denied | Class::Invalid => Next::Person,
    };
    settle(pass, Report::new(pass.status(), &error.verdict(), next, generation, now)).await
}

/// Writes that a spec is refused, and keeps up what is there.
async fn refuse<K: Kind>(kind: &K, pass: &Pass<K::Object>, error: &Error) -> Next {
    let held = tokio::time::timeout(LOOK_DEADLINE, kind.hold(pass)).await.ok().flatten();
    let Some(held) = held else { return fail(pass, error).await };
    let mut verdict = error.verdict();
    verdict.message = format!("{}. {}", verdict.message, held.told);
    // That it is refused is news once, however often what is there has to be mended.
    settle(pass, Report::new(pass.status(), &verdict, Next::Person, pass.generation(), pass.now())).await;
    held.next
}

/// Ends a pass that broke off by a mistake of ours.
pub(super) async fn panicked<O: Object>(pass: &Pass<O>) -> Next {
    fail(pass, &Error::Panicked).await
}

fn unwritten<O: Object>(pass: &Pass<O>, error: &Error) -> Next {
    if outdated(error) {
        return Next::At(pass.now() + Duration::from_secs(1));
    }
    tracing::warn!("{error}");
    Next::Retry
}

/// The object was deleted or changed while the pass ran: no failure, and nothing to write. The watch shows it in a moment.
fn outdated(error: &Error) -> bool {
    matches!(error, Error::Api { .. }) && error.class() == Class::Conflict
}

/// An Event when the object becomes ready, or fails in a way that its last status did not tell yet. The old status is on
/// the API server, so that a restart repeats nothing.
fn announce<O: Object>(pass: &Pass<O>, before: &[Condition], after: &[Condition], next: Next) {
    let (old, Some(new)) = (find(before, READY), find(after, READY)) else { return };
    let said = old.is_some_and(|old| (&old.reason, &old.message) == (&new.reason, &new.message));
    let was_ready = old.is_some_and(|old| old.status == "True");
    if new.status == "True" && !was_ready {
        pass.event(Severity::Normal, &new.reason, &new.message);
    } else if new.status != "True" && matches!(next, Next::Retry | Next::Person) && !said {
        pass.event(Severity::Warning, &new.reason, &new.message);
    }
}

/// One pass over an object that is being deleted. It always ends: at the deadline what is left is named and let go.
async fn delete<K: Kind>(kind: &K, pass: &Pass<K::Object>) -> Next {
    let object = pass.object();
    if !finalizer::present(&*object, pass.kind) {
        return Next::Settled;
    }
    let deadline = deadline(&*object, kind.deletion_timeout(&object));
    let chance = until(deadline, Timestamp::now()).max(LAST_CHANCE);
    let cleanup = match tokio::time::timeout(chance, kind.cleanup(pass)).await {
        Ok(Ok(cleanup)) => cleanup,
        Ok(Err(error)) => waiting(error.reason(), error.to_string()),
        Err(_) => waiting("Timeout", format!("removing it took more than {} s", chance.as_secs())),
    };
    match cleanup {
        Cleanup::Done => release(pass).await,
        Cleanup::Wait { reason, message, .. } if Timestamp::now() >= deadline => {
            let left = kind.abandoned(&object);
            let text =
                format!("deletion ended at its deadline. Left: {left}. It was waiting for: {message} ({reason})");
            tracing::warn!("{text}");
            pass.event(Severity::Warning, "DeletionAbandoned", text);
            release(pass).await
        }
        Cleanup::Wait { reason, message, next } => {
            let message = format!("{message}. What is left then is abandoned at {deadline}");
            let verdict = Verdict { state: State::Progressing, reason, message };
            let report = Report::new(pass.status(), &verdict, next, pass.generation(), pass.now());
            match settle(pass, report).await {
                Next::Again => Next::Again,
                Next::At(time) => Next::At(time.min(deadline)),
                // Deletions are few and have an end: look often.
                _ => Next::At((pass.now() + Duration::from_secs(5)).min(deadline)),
            }
        }
    }
}

fn waiting(reason: &str, message: String) -> Cleanup {
    Cleanup::Wait { reason: reason.into(), message, next: Next::Retry }
}

fn deadline(object: &impl kube::Resource, timeout: Duration) -> Timestamp {
    let since = object.meta().deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
    // A timeout beyond the end of time is no deadline at all; nothing may wait for ever.
    since.checked_add(timeout).unwrap_or(since)
}

async fn release<O: Object>(pass: &Pass<O>) -> Next {
    match finalizer::remove(&pass.context, &*pass.object(), pass.kind).await {
        Ok(()) => Next::Settled,
        Err(error) => unwritten(pass, &error),
    }
}

async fn in_time<T>(what: &str, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(LOOK_DEADLINE, step)
        .await
        .unwrap_or_else(|_| Err(Error::Timeout { what: what.into(), after: LOOK_DEADLINE }))
}

#[cfg(test)]
mod tests;
