//! A change of the BMC's password: which of two Secrets to log in with, when to send the change, and what came of it.
//!
//! Nobody can ask a BMC for its password, so the one that logs in is the evidence: after a change that may have arrived, the new
//! one is tried first and then the old one, each once, so that no account is locked. Until one of them was taken, neither is
//! thought proven.

use jiff::SignedDuration;
use slipway_api::NodeStatus;
use slipway_api::conditions::State;
use slipway_api::node::{BmcStatus, LoginStatus, Operation, Rotate, RotationStatus};

use super::goals::Goal;
use super::login::MOST_TRIES;
use super::plan::{Plan, Planner, Sight, Told, say, word};
use super::{BmcObserved, Boot, Command, Evidence, HealthLevel, PowerState, Security, Sent};

/// So often the change of one request is sent, if its answer is lost and the old password turns out to be in force.
const MOST_SENT: u8 = 2;

/// The two Secrets of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Names the content of the Secret that `credentials` names.
    pub present: String,
    /// Its name.
    pub present_name: String,
    /// Names the content of the Secret with the new password.
    pub new: String,
    /// Both hold the same password.
    pub same: bool,
    /// The new one has all that `credentials` need.
    pub complete: bool,
    /// Which one the session logs in with.
    pub using: Which,
}

/// One of two Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// That of `credentials`.
    Present,
    /// That of `rotate`.
    New,
}

/// Tries of one of two Secrets: one more than of one that is alone, see [`which`].
pub const MOST_OF_TWO: u8 = MOST_TRIES + 1;

/// Which of the two to log in with now, by what is on record and what this process knows of the change that it sent.
///
/// One that was refused is not tried again. Tries of which nobody knows, as the process died, are two of each at most; but where
/// one was refused it is the other one that is in force, and that is tried once more.
pub fn which(status: &NodeStatus, rotate: &Rotate, present: &str, new: &str, sent: &Sent) -> Which {
    let bmc = status.bmc.as_ref();
    let record = bmc.and_then(|bmc| bmc.rotation.as_ref()).filter(|record| is_of(record, rotate, new));
    let new_login = record.and_then(|record| record.login.as_ref()).filter(|login| login.version == new);
    let old_login = bmc.and_then(|bmc| bmc.login.as_ref()).filter(|login| login.version == present);
    let refused = |login: Option<&LoginStatus>| login.is_some_and(|login| login.refused);
    let tries = |login: Option<&LoginStatus>| login.map_or(0, |login| login.tries);
    let in_force = record.is_some_and(|record| record.in_force);
    // What was replaced is not tried.
    let old_is_out = refused(old_login) || in_force && record.is_some_and(|record| record.replaced == present);
    let may = |login: Option<&LoginStatus>, is_out: bool, other_is_out: bool| {
        !is_out && tries(login) < if other_is_out { MOST_OF_TWO } else { MOST_TRIES }
    };
    let new_may = may(new_login, refused(new_login), old_is_out);
    let old_may = may(old_login, old_is_out, refused(new_login));
    let new_first = in_force || is_in_doubt(status) && !matches!(sent, Sent::Pending | Sent::Refused { .. });
    match (new_first, old_may, new_may) {
        (true, _, true) | (false, false, true) => Which::New,
        (true, false, false) if in_force => Which::New,
        _ => Which::Present,
    }
}

/// Whether a change was put on record, and which password is in force is not known.
pub fn is_in_doubt(status: &NodeStatus) -> bool {
    status.operation.as_ref().is_some_and(is_change)
}

fn is_change(operation: &Operation) -> bool {
    operation.command == word(&Command::SetPassword { secret: String::new() })
}

/// Whether what is on record is about this request; a password that is in force is so for every request for it.
fn is_of(record: &RotationStatus, rotate: &Rotate, new: &str) -> bool {
    let proven = record.in_force && record.login.as_ref().is_some_and(|login| login.version == new);
    record.secret == rotate.secret_ref.name && (proven || record.requested_at == rotate.requested_at)
}

/// Why the Secret of `credentials` must not be tried: its password was replaced, and the one in force is in no Secret that the
/// spec names.
pub fn outdated(status: &NodeStatus, rotate: Option<(&Rotate, &str)>, present: &str, name: &str) -> Option<String> {
    let record = status.bmc.as_ref()?.rotation.as_ref()?;
    let known = rotate.is_some_and(|(rotate, new)| is_of(record, rotate, new));
    if !record.in_force || record.replaced != present || known {
        return None;
    }
    Some(format!(
        "Secret {name} has the password that the BMC had before spec.bmc.rotate ({}) replaced it by that of Secret {}; it is not \
         tried. Point spec.bmc.credentials.secretRef at {1}, or put the password in force into {name}",
        record.requested_at, record.secret
    ))
}

/// The tries of a version on record, whichever Secret's it is.
pub fn tries<'a>(bmc: Option<&'a BmcStatus>, version: &str) -> Option<&'a LoginStatus> {
    let bmc = bmc?;
    let new = bmc.rotation.as_ref().and_then(|record| record.login.as_ref());
    [new, bmc.login.as_ref()].into_iter().flatten().find(|login| login.version == version)
}

/// Puts tries on record where they belong: with the change, if they are of its Secret.
pub fn record(bmc: &mut BmcStatus, login: LoginStatus, new: Option<(&Rotate, &str)>) {
    match new.filter(|(_, version)| *version == login.version) {
        None => bmc.login = Some(login),
        Some((rotate, new)) => {
            let about = |record: &RotationStatus| is_of(record, rotate, new);
            if !bmc.rotation.as_ref().is_some_and(about) {
                bmc.rotation = Some(asked(rotate));
            }
            if let Some(record) = &mut bmc.rotation {
                record.login = Some(login);
            }
        }
    }
}

fn asked(rotate: &Rotate) -> RotationStatus {
    RotationStatus {
        requested_at: rotate.requested_at.clone(),
        secret: rotate.secret_ref.name.clone(),
        ..RotationStatus::default()
    }
}

impl Planner<'_> {
    /// A login was taken: that says which password is in force.
    pub(super) fn login_was_taken(&mut self) {
        let change = self.operation.clone().filter(is_change);
        let Some((rotate, pair)) = self.rotate() else {
            // The spec names one Secret, and that was taken.
            if self.wanted.rotate.is_none() {
                self.rotation = None;
                self.operation.take_if(|operation| is_change(operation));
            }
            return;
        };
        let (rotate, pair) = (rotate.clone(), pair.clone());
        let record = self.rotation.clone().filter(|record| is_of(record, &rotate, &pair.new));
        match (pair.using, record, change) {
            (Which::New, record, _) => self.new_is_in_force(record.unwrap_or_else(|| asked(&rotate)), &rotate, &pair),
            (Which::Present, Some(record), Some(change)) if closed(&record, &pair.new) => {
                self.old_is_in_force(record, &change, &pair);
            }
            _ => {}
        }
    }

    fn new_is_in_force(&mut self, record: RotationStatus, rotate: &Rotate, pair: &Pair) {
        self.operation.take_if(|operation| is_change(operation));
        if !record.in_force {
            let text = format!(
                "the BMC takes the password of Secret {}, as a new login shows. {}",
                record.secret,
                to_do(pair, &record)
            );
            self.note(false, "PasswordRotated", text);
        }
        let replaced = if record.replaced.is_empty() { pair.present.clone() } else { record.replaced };
        let requested_at = rotate.requested_at.clone();
        self.rotation =
            Some(RotationStatus { requested_at, in_force: true, failed: None, replaced, sent: 0, ..record });
    }

    fn old_is_in_force(&mut self, mut record: RotationStatus, change: &Operation, pair: &Pair) {
        self.operation = None;
        let still = format!(
            "the BMC takes the password of Secret {} still, and not that of Secret {}",
            pair.present_name, record.secret
        );
        if change.taken {
            record.failed = Some(format!("{still}, though it said that the change was done"));
        } else if record.sent >= MOST_SENT {
            record.failed =
                Some(format!("{still}; the change was sent {MOST_SENT} times, and its answer was lost each time"));
        } else {
            record.login = None;
        }
        let next = if record.failed.is_some() { "it is given up" } else { "it is sent once more" };
        self.note(true, "RotationFailed", format!("{still}; {next}"));
        self.rotation = Some(record);
    }

    fn rotate(&self) -> Option<(&Rotate, &Pair)> {
        match (&self.wanted.rotate, &self.view.secrets) {
            (Some(rotate), Some(Ok(pair))) => Some((rotate, pair)),
            _ => None,
        }
    }

    fn record_of(&self, rotate: &Rotate, pair: &Pair) -> Option<&RotationStatus> {
        self.rotation.as_ref().filter(|record| is_of(record, rotate, &pair.new))
    }

    /// The change, if it is asked for and was not made or given up.
    pub(super) fn new_password(&self) -> Option<Goal> {
        let (rotate, pair) = self.rotate()?;
        let over = self.record_of(rotate, pair).is_some_and(|record| record.in_force || record.failed.is_some());
        if over || pair.same || pair.using == Which::New || self.operation.is_some() {
            return None;
        }
        let command = Command::SetPassword { secret: rotate.secret_ref.name.clone() };
        Some(Goal { command, purpose: "Rotation", meets: rotate.requested_at.clone(), asked: true })
    }

    /// What is on record once the change is sent, which is about to be.
    pub(super) fn counted(&self, secret: &str) -> Option<RotationStatus> {
        let (rotate, pair) = self.rotate()?;
        let sent = self.record_of(rotate, pair).map_or(0, |record| record.sent);
        let record = RotationStatus { secret: secret.to_owned(), ..asked(rotate) };
        Some(RotationStatus { replaced: pair.present.clone(), sent: sent.saturating_add(1), ..record })
    }

    /// What there is to say of the change while nothing is to be done.
    pub(super) fn told_of_rotation(&self) -> Option<Told> {
        if let Some(Err(trouble)) = &self.view.secrets {
            return Some(say(State::Stalled, trouble.reason, trouble.message.clone()));
        }
        let (rotate, pair) = self.rotate()?;
        let record = self.record_of(rotate, pair)?;
        if let Some(failed) = &record.failed {
            let message =
                format!("{failed}. Look at the BMC, and set spec.bmc.rotate.requestedAt to a new value to try again");
            return Some(say(State::Stalled, "RotationFailed", message));
        }
        (record.in_force && !pair.same).then(|| {
            let message =
                format!("the BMC answers and takes the password of Secret {}. {}", record.secret, to_do(pair, record));
            say(State::Converged, "PasswordRotated", message)
        })
    }

    /// A BMC that takes the login and nothing else: only the change of the password gets it further.
    pub(super) fn change_what_must_be_changed(&mut self) -> Option<Plan> {
        self.login_was_taken();
        match (&self.operation, &self.view.sent) {
            (Some(operation), Sent::Refused { .. }) if is_change(operation) => self.operation = None,
            (Some(_), _) => return None,
            (None, _) => {}
        }
        let goal = self.new_password().filter(|_| !self.view.suspended)?;
        let observed = nothing();
        let look = Sight { observed: &observed, at: self.now, took: SignedDuration::ZERO, deep: true };
        let commands = [goal.command.clone()];
        Some(self.gated(goal, &commands, true, &look))
    }
}

/// Whether the new password was refused, or tried as often as it may be.
fn closed(record: &RotationStatus, new: &str) -> bool {
    let login = record.login.as_ref().filter(|login| login.version == new);
    login.is_some_and(|login| login.refused || login.tries >= MOST_TRIES)
}

fn to_do(pair: &Pair, record: &RotationStatus) -> String {
    if pair.complete {
        format!("To do: point spec.bmc.credentials.secretRef at {}, and remove spec.bmc.rotate", record.secret)
    } else {
        format!("To do: put this password into Secret {}, and remove spec.bmc.rotate", pair.present_name)
    }
}

/// What is seen of a host whose BMC shows nothing.
fn nothing() -> BmcObserved {
    BmcObserved {
        power: PowerState::Unknown,
        boot: Boot::Unknown,
        evidence: Evidence::default(),
        health: HealthLevel::Unknown,
        media: None,
        security: Security::Plain,
    }
}

#[cfg(test)]
mod tests;
