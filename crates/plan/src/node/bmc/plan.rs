//! What to do next about a host's BMC: one command at a time, on record before it is sent, judged by what is seen after.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use slipway_api::NodeStatus;
use slipway_api::conditions::{self, State, Verdict};
use slipway_api::node::{Done, Operation, PlanStatus, RotationStatus};

use super::goals::Goal;
use super::{BmcObserved, BmcStep, Command, Evidence, Pair, Wanted};
use crate::rollout::Ask;

/// What a command is planned on must have been seen no longer ago than this.
const FRESH: SignedDuration = SignedDuration::from_secs(20);
/// The reason of a BMC that takes the login and nothing else before the password is changed.
const PASSWORD_CHANGE_REQUIRED: &str = "BmcPasswordChangeRequired";
/// An outage that is shorter than this is not told, if nothing waits for the BMC.
const SHORT_OUTAGE: SignedDuration = SignedDuration::from_secs(30);

/// What is known of a BMC and of its host.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What the BMC shows.
    pub seen: Seen,
    /// What this process knows of the command on record.
    pub sent: Sent,
    /// The last command failed: none is sent before the time that this names.
    pub failure: Option<Failure>,
    /// ContainerServices that run on the host.
    pub guests: Vec<String>,
    /// Other Nodes that name the same BMC, as `namespace/name`.
    pub twins: Vec<String>,
    /// The Secrets of a change of the password, if one is asked for; or why they cannot be used.
    pub secrets: Option<Result<Pair, Trouble>>,
    /// Nothing may be done.
    pub suspended: bool,
    /// Why the rollout of its Design does not let the host be disrupted now.
    pub hold: Option<String>,
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a BMC shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Nothing yet.
    Nothing,
    /// This.
    Shown {
        /// What it shows.
        observed: BmcObserved,
        /// When the look began.
        at: Timestamp,
        /// How long it took.
        took: SignedDuration,
        /// Whether it holds the evidence of restarts.
        deep: bool,
    },
    /// It cannot be used.
    Away {
        /// Only a person can help.
        needs_person: bool,
        /// One CamelCase word.
        reason: &'static str,
        /// The true cause.
        message: String,
        /// Since when, as far as this process knows.
        since: Timestamp,
    },
}

/// What this process knows of the command on record.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// Nothing: another process sent it, or died before.
    Unknown,
    /// It is being sent.
    Pending,
    /// The BMC has taken it.
    Taken,
    /// It did not get there, or the BMC said no: nothing happened.
    Refused {
        /// Only a person can help.
        needs_person: bool,
    },
    /// The answer was lost.
    Lost,
}

/// A command that failed without effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The command, in the record's word for it.
    pub command: String,
    /// Only a person can help.
    pub needs_person: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// What failed, and why.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// No command before.
    pub until: Timestamp,
}

/// What to do next, and what is true meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The command that must be on record.
    pub operation: Option<Operation>,
    /// What of the spec has been done.
    pub done: Done,
    /// What must be on record of the change of the password.
    pub rotation: Option<RotationStatus>,
    /// The plan that the status shows.
    pub plan: Option<PlanStatus>,
    /// What to send, once the above is on record.
    pub send: Option<BmcStep>,
    /// Something is awaited: look often.
    pub awaited: bool,
    /// Looks must show the evidence of restarts.
    pub deep: bool,
    /// What the rollout of its Design is to know: a step that would disrupt the host, or does.
    #[serde(skip)]
    pub ask: Option<Ask>,
    /// A time at which to plan again.
    #[serde(skip)]
    pub until: Option<Timestamp>,
    /// What to say.
    #[serde(skip)]
    pub told: Told,
    /// What happened, for Events.
    #[serde(skip)]
    pub notes: Vec<Note>,
}

/// What a plan says of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// As wanted.
    AsWanted,
    /// Nothing new: the conditions stay.
    Keep,
    /// This.
    Say(Verdict),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is worth a look.
    pub warning: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.send, &self.operation, &self.plan) {
            (Some(step), _, _) => step.fmt(f),
            (None, Some(operation), _) => write!(f, "wait for what {} does", operation.command),
            (None, None, Some(plan)) if plan.waiting => write!(f, "wait for the approval of {}", plan.hash),
            _ => f.write_str("nothing to do"),
        }
    }
}

/// What to do next. Pure.
pub fn plan(wanted: &Wanted, status: &NodeStatus, view: &View, uid: &str, now: Timestamp) -> Plan {
    let look = match &view.seen {
        _ if !view.twins.is_empty() => return Planner::new(wanted, status, view, uid, now).twins(),
        Seen::Nothing => return Planner::new(wanted, status, view, uid, now).connecting(),
        Seen::Away { needs_person, reason, message, since } => {
            let mut planner = Planner::new(wanted, status, view, uid, now);
            if *reason == PASSWORD_CHANGE_REQUIRED
                && let Some(plan) = planner.change_what_must_be_changed()
            {
                return plan;
            }
            return planner.away(*needs_person, reason, message, *since);
        }
        Seen::Shown { observed, at, took, deep } => Sight { observed, at: *at, took: *took, deep: *deep },
    };
    let mut planner = Planner::new(wanted, status, view, uid, now);
    planner.forget_what_is_not_wanted();
    planner.login_was_taken();
    let plan = match planner.settle(&look) {
        // A step that comes first, such as what the host boots from, is awaited.
        Some(plan) => Plan { ask: planner.pending(&look).or(plan.ask), ..plan },
        None => planner.pursue(&look),
    };
    Plan { ask: ask(&plan, now), ..plan }
}

/// What the rollout is to know. A command on record is under way, unless it needs a person.
fn ask(plan: &Plan, now: Timestamp) -> Option<Ask> {
    if !plan.operation.as_ref().is_some_and(disrupts) {
        return plan.ask.clone();
    }
    Some(match &plan.told {
        Told::Say(said) if said.state == State::Stalled && said.reason != "ApprovalNeeded" => {
            Ask::Failed { since: now, message: said.message.clone() }
        }
        Told::Say(_) | Told::AsWanted | Told::Keep => Ask::Busy,
    })
}

fn disrupts(operation: &Operation) -> bool {
    matches!(operation.purpose.as_str(), "Power" | "Reboot")
}

/// One look at a BMC.
pub(super) struct Sight<'a> {
    pub observed: &'a BmcObserved,
    pub at: Timestamp,
    pub took: SignedDuration,
    pub deep: bool,
}

impl Sight<'_> {
    /// Whether a command may be planned on it: it is fresh, and newer than a failure.
    fn is_good(&self, failure: Option<&Failure>, now: Timestamp) -> bool {
        now.duration_since(self.at) - self.took <= FRESH && failure.is_none_or(|failure| self.at > failure.at)
    }
}

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub wanted: &'a Wanted,
    pub status: &'a NodeStatus,
    pub view: &'a View,
    pub uid: &'a str,
    pub now: Timestamp,
    pub operation: Option<Operation>,
    pub done: Done,
    pub rotation: Option<RotationStatus>,
    pub notes: Vec<Note>,
}

impl<'a> Planner<'a> {
    fn new(wanted: &'a Wanted, status: &'a NodeStatus, view: &'a View, uid: &'a str, now: Timestamp) -> Self {
        // A Node that is new has not been asked to restart: its request is as old as itself.
        let first = || Done { reboot: wanted.reboot.as_ref().map(|r| r.requested_at.clone()), ..Done::default() };
        let done = match (&status.done, &view.seen) {
            (Some(done), _) => done.clone(),
            (None, Seen::Shown { .. }) => first(),
            (None, _) => Done::default(),
        };
        let rotation = status.bmc.as_ref().and_then(|bmc| bmc.rotation.clone());
        let mut operation = status.operation.clone();
        if let (Some(operation), Sent::Taken) = (&mut operation, &view.sent) {
            operation.taken = true;
        }
        Self { wanted, status, view, uid, now, operation, done, rotation, notes: Vec::new() }
    }

    /// A field that is gone and comes back is a change.
    fn forget_what_is_not_wanted(&mut self) {
        if self.wanted.boot.is_none() {
            self.done.boot = None;
        }
        if self.wanted.power.is_none() {
            self.done.power = None;
        }
    }

    /// What the status is to hold as it is, with this said.
    pub(super) fn standing(&self, told: Told) -> Plan {
        Plan {
            operation: self.operation.clone(),
            done: self.status.done.clone().unwrap_or_default(),
            rotation: self.rotation.clone(),
            plan: self.status.plan.clone(),
            send: None,
            awaited: false,
            deep: self.operation.as_ref().is_some_and(is_known_by_evidence),
            ask: self.operation.as_ref().is_some_and(disrupts).then_some(Ask::Busy),
            until: None,
            told,
            notes: Vec::new(),
        }
    }

    fn twins(&self) -> Plan {
        let message = format!(
            "this Node and {} name one BMC; Slipway acts on none of them. Delete all but one, or mend the address",
            self.view.twins.join(", ")
        );
        self.standing(say(State::Stalled, "SameBmc", message))
    }

    fn connecting(&self) -> Plan {
        let known = self.status.done.is_some();
        let told = if known { Told::Keep } else { say(State::Progressing, "BmcConnecting", "connecting to the BMC") };
        self.standing(told)
    }

    fn away(&self, needs_person: bool, reason: &str, message: &str, since: Timestamp) -> Plan {
        let calm = self.operation.is_none() && conditions::is_ready(&self.status.conditions);
        let told_already = self.status.bmc.as_ref().is_some_and(|bmc| bmc.unreachable_since.is_some());
        if !needs_person && calm && !told_already && self.now.duration_since(since) < SHORT_OUTAGE {
            let until = since.checked_add(SHORT_OUTAGE).ok();
            return Plan { until, ..self.standing(Told::Keep) };
        }
        let state = if needs_person { State::Stalled } else { State::Unknown };
        let message = match &self.operation {
            Some(operation) if !operation.in_doubt => format!(
                "{message}. {} is on record since {}; what came of it is read from the BMC when it answers",
                operation.command, operation.since
            ),
            _ => message.to_owned(),
        };
        Plan { awaited: self.operation.is_some(), ..self.standing(say(state, reason, message)) }
    }

    /// Puts a command on record and sends it; first looks again, if the last look is old or showed too little.
    pub(super) fn begin(&self, goal: Goal, plan: PlanStatus, look: &Sight<'_>) -> Plan {
        let Goal { command, purpose, meets, .. } = goal;
        let power = look.observed.power;
        let mut operation = Operation {
            command: word(&command).into(),
            purpose: purpose.into(),
            goal: meets,
            since: self.now.to_string(),
            power: format!("{power:?}"),
            ..Operation::default()
        };
        let deep = is_known_by_evidence(&operation);
        if deep && !look.deep || !look.is_good(self.view.failure.as_ref(), self.now) {
            // Another kind of look than the last one is a look at once.
            return Plan { awaited: true, deep: true, ..self.shown(self.status.plan.clone(), Told::Keep) };
        }
        if deep && look.observed.evidence != Evidence::default() {
            operation.before = Some(look.observed.evidence.clone());
        }
        let on = (command.interrupts() || command == Command::PowerOn).then_some(power);
        let told = under_way(&operation, look.observed);
        let rotation = match &command {
            Command::SetPassword { secret } => self.counted(secret),
            _ => self.rotation.clone(),
        };
        Plan {
            operation: Some(operation),
            rotation,
            send: Some(BmcStep { command, on }),
            awaited: true,
            deep,
            ..self.shown(Some(plan), told)
        }
    }

    /// The command on record is awaited.
    pub(super) fn awaiting(&self, operation: &Operation, look: &Sight<'_>, until: Option<Timestamp>) -> Plan {
        let told = match &self.view.failure {
            Some(failure) if self.view.sent == Sent::Lost && failure.command == operation.command => {
                let message = format!(
                    "{}; what came of it is read from the BMC; the host is {}",
                    failure.message, look.observed.power
                );
                say(State::Progressing, failure.reason, message)
            }
            _ => under_way(operation, look.observed),
        };
        Plan {
            operation: Some(operation.clone()),
            awaited: true,
            deep: is_known_by_evidence(operation),
            until,
            ..self.shown(self.status.plan.clone(), told)
        }
    }

    /// A plan of what is known now.
    pub(super) fn shown(&self, plan: Option<PlanStatus>, told: Told) -> Plan {
        Plan {
            operation: self.operation.clone(),
            done: self.done.clone(),
            rotation: self.rotation.clone(),
            plan,
            send: None,
            awaited: false,
            deep: false,
            ask: None,
            until: None,
            told,
            notes: self.notes.clone(),
        }
    }

    pub(super) fn note(&mut self, warning: bool, reason: &'static str, text: impl Into<String>) {
        self.notes.push(Note { warning, reason, text: text.into() });
    }
}

/// What came of the others is seen by what they change.
fn is_known_by_evidence(operation: &Operation) -> bool {
    matches!(operation.command.as_str(), "Reset" | "GracefulRestart" | "PowerCycle" | "SetBoot")
}

/// What is told while a command is awaited.
fn under_way(operation: &Operation, observed: &BmcObserved) -> Told {
    let reason = match operation.command.as_str() {
        "PowerOn" => "PoweringOn",
        "ShutDown" => "ShuttingDown",
        "ForceOff" => "PoweringOff",
        "SetBoot" => "SettingBoot",
        "InsertMedia" => "InsertingMedia",
        "EjectMedia" => "EjectingMedia",
        "SetPassword" => "SettingPassword",
        _ => "Restarting",
    };
    let asked = match operation.purpose.as_str() {
        "Reboot" => format!("spec.reboot asks for it ({})", operation.goal),
        "Rotation" => format!("spec.bmc.rotate asks for it ({})", operation.goal),
        "Power" => format!("spec.power is {}", operation.goal),
        _ => operation.goal.clone(),
    };
    let message = format!("{} since {}: {asked}; the host is {}", spoken(operation), operation.since, observed.power);
    say(State::Progressing, reason, message)
}

/// A verdict.
pub(super) fn say(state: State, reason: &str, message: impl Into<String>) -> Told {
    Told::Say(Verdict { state, reason: reason.into(), message: message.into() })
}

/// A command's word on record.
pub fn word(command: &Command) -> &'static str {
    match command {
        Command::PowerOn => "PowerOn",
        Command::ShutDown => "ShutDown",
        Command::ForceOff => "ForceOff",
        Command::GracefulRestart => "GracefulRestart",
        Command::Reset => "Reset",
        Command::PowerCycle => "PowerCycle",
        Command::SetBoot(_) => "SetBoot",
        Command::ClearBoot => "ClearBoot",
        Command::InsertMedia { .. } => "InsertMedia",
        Command::EjectMedia => "EjectMedia",
        Command::SetPassword { .. } => "SetPassword",
    }
}

/// A command on record, in plain words.
pub(super) fn spoken(operation: &Operation) -> &'static str {
    match operation.command.as_str() {
        "PowerOn" => "powering on",
        "ShutDown" => "shutting down",
        "ForceOff" => "taking the power away",
        "SetBoot" => "setting what it boots from",
        "InsertMedia" => "inserting virtual media",
        "EjectMedia" => "ejecting virtual media",
        "SetPassword" => "setting the BMC's new password",
        _ => "restarting",
    }
}
