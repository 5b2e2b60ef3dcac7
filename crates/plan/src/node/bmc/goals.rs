//! What the spec wants that is not so yet, in the order in which it is done: media, boot, restart, power.

use jiff::SignedDuration;
use slipway_api::conditions::{self, READY, State};
use slipway_api::container_service::Drift;
use slipway_api::node::{self, Manner, NodeBoot, Power};

use super::approval::{Intent, stand};
use super::evidence;
use super::plan::{Plan, Planner, Sight, Told, say, word};
use super::{Boot, BootDevice, BootMode, BootOverride, Command, Persistence, PowerState};
use crate::rollout::Ask;

/// What is said while a host is on its way to on or off.
const POWER_CHANGING: &str = "PowerChanging";
/// It is there after this time, or somebody must look.
const CHANGING: SignedDuration = SignedDuration::from_mins(15);

/// One command, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    pub command: Command,
    /// `Power`, `Reboot`, `Boot`, `VirtualMedia` or `Rotation`.
    pub purpose: &'static str,
    /// What of the spec it meets.
    pub meets: String,
    /// A field of the spec asks for just this.
    pub asked: bool,
}

/// Something that differs, and is only told.
struct Differs {
    reason: &'static str,
    message: String,
}

impl Planner<'_> {
    /// The next goal, or that all is as wanted.
    pub(super) fn pursue(mut self, look: &Sight<'_>) -> Plan {
        self.mark_what_is_met(look);
        let power = look.observed.power;
        let mut differs = Vec::new();
        let goals = self.goals(look, &mut differs);
        let Some(first) = goals.first().cloned() else { return self.rest(look, differs) };
        if matches!(power, PowerState::PoweringOn | PowerState::PoweringOff | PowerState::Unknown)
            && matches!(first.purpose, "Power" | "Reboot")
        {
            let ask = Some(Ask::Begin { available: false });
            return Plan { awaited: true, ask, ..self.shown(None, self.power_changes(power)) };
        }
        let commands: Vec<Command> = goals.iter().map(|goal| goal.command.clone()).collect();
        let asked = goals.iter().filter(|goal| goal.command.interrupts()).all(|goal| goal.asked);
        self.gated(first, &commands, asked, look)
    }

    /// What is said of a host that is neither on nor off.
    fn power_changes(&self, power: PowerState) -> Told {
        let ready = conditions::find(&self.status.conditions, READY);
        let began = ready.filter(|ready| ready.reason == POWER_CHANGING).map(|ready| ready.last_transition_time.0);
        let message = format!("the host is {power}; Slipway waits until it is on or off");
        if began.is_none_or(|began| self.now.duration_since(began) < CHANGING) {
            return say(State::Progressing, POWER_CHANGING, message);
        }
        let minutes = CHANGING.as_mins();
        let message =
            format!("{message}, for more than {minutes} min now. Look at the host; a reset of the BMC may help");
        say(State::Stalled, POWER_CHANGING, message)
    }

    /// Begins a goal, unless it waits for an approval or for the end of a pause.
    pub(super) fn gated(&self, first: Goal, commands: &[Command], asked: bool, look: &Sight<'_>) -> Plan {
        if self.view.suspended {
            // The Node says that it is suspended.
            return self.shown(None, Told::AsWanted);
        }
        let guests = if commands.iter().any(Command::interrupts) { &*self.view.guests } else { &[] };
        let intent = Intent { commands, asked, guests, power: look.observed.power };
        let approved = self.wanted.approved.as_deref();
        let plan = stand(&intent, self.wanted.approval, approved, self.status.plan.as_ref(), self.uid, self.now);
        if plan.waiting {
            let because = match (guests, asked) {
                ([], false) => "no field of the spec asks for just this".to_owned(),
                ([], true) => "spec.approval is Always".to_owned(),
                (guests, _) => format!("ContainerServices run here: {}", guests.join(", ")),
            };
            let message = format!(
                "waits for an approval: {}; {because}. Set spec.approvedPlan to {} (kubectl slipway approve)",
                plan.steps.join(", then "),
                plan.hash
            );
            return self.shown(Some(plan), say(State::Stalled, "ApprovalNeeded", message));
        }
        if let Some(failure) = self
            .view
            .failure
            .as_ref()
            .filter(|failure| failure.command == word(&first.command) && failure.until > self.now)
        {
            let state = if failure.needs_person { State::Stalled } else { State::Progressing };
            let message = format!("{}; next try at {}", failure.message, seconds(failure.until));
            let failed = || Ask::Failed { since: failure.at, message: failure.message.clone() };
            let ask = self.disrupts(commands).then(|| if failure.needs_person { failed() } else { Ask::Busy });
            let told = say(state, failure.reason, message);
            return Plan { until: Some(failure.until), ask, ..self.shown(Some(plan), told) };
        }
        if self.disrupts(commands)
            && let Some(hold) = &self.view.hold
        {
            let ask = Some(Ask::Begin { available: commands.iter().any(Command::interrupts) });
            let message = format!("{}: {hold}", plan.steps.join(", then "));
            return Plan { ask, ..self.shown(Some(plan), say(State::Progressing, "RolloutWaiting", message)) };
        }
        let ask = self.disrupts(commands).then_some(Ask::Busy);
        Plan { ask, ..self.begin(first, plan, look) }
    }

    /// What is still to be done that the rollout has a say in.
    pub(super) fn pending(&self, look: &Sight<'_>) -> Option<Ask> {
        let goals = self.goals(look, &mut Vec::new());
        let commands: Vec<Command> = goals.into_iter().map(|goal| goal.command).collect();
        let available = commands.iter().any(Command::interrupts);
        self.disrupts(&commands).then_some(Ask::Begin { available })
    }

    /// Whether the rollout has a say: what interrupts the host, and what brings it up. A host that went off by itself is
    /// brought back at once.
    fn disrupts(&self, commands: &[Command]) -> bool {
        let heals = self.done.power.as_deref() == Some("On") && self.wanted.power == Some(Power::On);
        let restarts =
            self.wanted.reboot.as_ref().is_some_and(|it| self.done.reboot.as_ref() != Some(&it.requested_at));
        commands.iter().any(|command| command.interrupts() || *command == Command::PowerOn && (!heals || restarts))
    }

    /// What is as the spec wants it is on record as done: another state later is drift.
    fn mark_what_is_met(&mut self, look: &Sight<'_>) {
        match (self.wanted.power, look.observed.power) {
            (Some(Power::On), PowerState::On) => self.done.power = Some("On".into()),
            (Some(Power::Off), PowerState::Off) => self.done.power = Some("Off".into()),
            _ => {}
        }
        if let Some(boot) = self.wanted.boot.filter(|boot| boot.persistent)
            && starts_from(look.observed.boot, boot)
        {
            self.done.boot = Some(name(boot));
        }
        match &self.wanted.reboot {
            // What stays off has nothing to restart.
            Some(reboot) if self.wanted.power == Some(Power::Off) => {
                self.done.reboot = Some(reboot.requested_at.clone());
            }
            Some(_) => {}
            None => self.done.reboot = None,
        }
        // Taken out by somebody else already, or replaced: what is not ours is left.
        let inserted = look.observed.media.as_ref().map(|media| media.image.clone());
        if self.wanted.media.is_none() && inserted.is_some_and(|image| image != self.done.virtual_media) {
            self.done.virtual_media = None;
        }
    }

    fn goals(&self, look: &Sight<'_>, differs: &mut Vec<Differs>) -> Vec<Goal> {
        let mut goals = Vec::new();
        self.media(look, &mut goals);
        self.boot(look, &mut goals, differs);
        if !self.reboot(look, &mut goals) {
            self.power(look, &mut goals, differs);
        }
        if goals.is_empty() {
            goals.extend(self.new_password());
        }
        goals
    }

    fn media(&self, look: &Sight<'_>, goals: &mut Vec<Goal>) {
        let inserted = look.observed.media.as_ref().and_then(|media| media.image.as_deref());
        let done = self.done.virtual_media.as_deref();
        let wanted = self.wanted.media.as_deref();
        if wanted == done {
            return;
        }
        let goal = |command, goal: &str| Goal { command, purpose: "VirtualMedia", meets: goal.into(), asked: true };
        // What somebody else inserted is taken out only to make room: there is one drive.
        if wanted.is_none() || inserted.is_some() && inserted != wanted {
            goals.push(goal(Command::EjectMedia, ""));
        }
        if let Some(image) = wanted {
            goals.push(goal(Command::InsertMedia { image: image.into() }, image));
        }
    }

    fn boot(&self, look: &Sight<'_>, goals: &mut Vec<Goal>, differs: &mut Vec<Differs>) {
        let Some(wanted) = self.wanted.boot else { return };
        let name = name(wanted);
        let goal =
            || Goal { command: Command::SetBoot(over(wanted)), purpose: "Boot", meets: name.clone(), asked: true };
        if self.done.boot.as_deref() != Some(&*name) {
            goals.push(goal());
            return;
        }
        // A consumed override is as it should be; so is one that the BMC never tells.
        if !wanted.persistent || look.observed.boot == Boot::Unknown || starts_from(look.observed.boot, wanted) {
            return;
        }
        if self.operation.as_ref().is_some_and(|operation| operation.in_doubt && operation.goal == name) {
            return;
        }
        match self.wanted.boot_drift {
            Drift::Heal => goals.push(goal()),
            Drift::Report => {
                let message =
                    format!("the host boots from {}, not {name}; drift.boot is Report", told(look.observed.boot));
                differs.push(Differs { reason: "BootDiffers", message });
            }
            Drift::Ignore => {}
        }
    }

    /// Whether a restart is due, which leaves no other power goal.
    fn reboot(&self, look: &Sight<'_>, goals: &mut Vec<Goal>) -> bool {
        let Some(reboot) = self.wanted.reboot.as_ref() else { return false };
        if self.done.reboot.as_deref() == Some(&*reboot.requested_at) {
            return false;
        }
        let goal = |command| Goal { command, purpose: "Reboot", meets: reboot.requested_at.clone(), asked: true };
        match (look.observed.power, reboot.mode) {
            (PowerState::Off, _) => goals.push(goal(Command::PowerOn)),
            (_, Manner::Force) => goals.push(goal(Command::Reset)),
            (_, Manner::Graceful) => goals.extend([goal(Command::ShutDown), goal(Command::PowerOn)]),
        }
        true
    }

    fn power(&self, look: &Sight<'_>, goals: &mut Vec<Goal>, differs: &mut Vec<Differs>) {
        let (wanted, is) = match (self.wanted.power, look.observed.power) {
            (None, _) | (Some(Power::On), PowerState::On) | (Some(Power::Off), PowerState::Off) => return,
            (Some(wanted), is) => (wanted, is),
        };
        let word = format!("{wanted:?}");
        let drifted = self.done.power.as_deref() == Some(&*word);
        if drifted && self.wanted.power_drift != Drift::Heal {
            if self.wanted.power_drift == Drift::Report {
                let message = format!("the host is {is}, spec.power is {word}; drift.power is Report");
                differs.push(Differs { reason: "PowerDiffers", message });
            }
            return;
        }
        let command = match (wanted, self.wanted.manner) {
            (Power::On, _) => Command::PowerOn,
            (Power::Off, Manner::Graceful) => Command::ShutDown,
            (Power::Off, Manner::Force) => Command::ForceOff,
        };
        goals.push(Goal { command, purpose: "Power", meets: word, asked: true });
    }

    /// Nothing to do.
    fn rest(self, look: &Sight<'_>, mut differs: Vec<Differs>) -> Plan {
        if let Some(operation) = self.operation.clone().filter(|operation| operation.in_doubt) {
            return self.in_doubt(&operation);
        }
        let told = if let Some(told) = self.told_of_rotation() {
            told
        } else if differs.is_empty() {
            Told::AsWanted
        } else {
            let Differs { reason, message } = differs.remove(0);
            say(State::Converged, reason, message)
        };
        // On the way to nothing: a state that changes by itself is looked at until it has settled.
        let moving = matches!(look.observed.power, PowerState::PoweringOn | PowerState::PoweringOff);
        Plan { awaited: moving, ..self.shown(None, told) }
    }

    /// A command whose outcome nobody knows.
    pub(super) fn in_doubt(&self, operation: &node::Operation) -> Plan {
        let (reason, message) = if operation.command == "SetBoot" && operation.taken {
            let message = format!(
                "the BMC took {} and does not keep it. Set it in the firmware's own menu, or remove spec.boot",
                operation.goal
            );
            ("BootNotKept", message)
        } else {
            let again = match operation.purpose.as_str() {
                "Reboot" => "look at the host, and set spec.reboot.requestedAt to a new value if it was not restarted",
                "Boot" => "look at the host; remove spec.boot and add it again to arm it once more",
                _ => "look at the host, then change the field that asked for it",
            };
            let looked_at = evidence::looked_at(operation);
            let message = format!(
                "{} was sent at {} or shortly before Slipway stopped, and nothing tells whether it was carried out{looked_at}; \
                 it is not sent again. To do: {again}",
                operation.command, operation.since
            );
            ("OutcomeUnknown", message)
        };
        Plan { operation: Some(operation.clone()), ..self.shown(None, say(State::Stalled, reason, message)) }
    }
}

/// What of `spec.boot` is on record.
pub(super) fn name(boot: NodeBoot) -> String {
    let lasts = if boot.persistent { "persistent" } else { "once" };
    match boot.mode {
        Some(mode) => format!("{:?} {mode:?} {lasts}", boot.device),
        None => format!("{:?} {lasts}", boot.device),
    }
}

fn told(boot: Boot) -> String {
    match boot {
        Boot::Override(over) => format!("{:?}", over.device),
        Boot::Normal | Boot::Unknown => "what its firmware is set up for".into(),
    }
}

/// Devices alone are compared: many a BMC keeps neither mode nor persistence.
pub(super) fn starts_from(boot: Boot, wanted: NodeBoot) -> bool {
    matches!(boot, Boot::Override(found) if found.device == device(wanted.device))
}

fn over(boot: NodeBoot) -> BootOverride {
    BootOverride {
        device: device(boot.device),
        mode: boot.mode.map(|mode| match mode {
            node::BootMode::Uefi => BootMode::Uefi,
            node::BootMode::Legacy => BootMode::Legacy,
        }),
        persistence: if boot.persistent { Persistence::Persistent } else { Persistence::Once },
    }
}

fn device(device: node::BootDevice) -> BootDevice {
    match device {
        node::BootDevice::Pxe => BootDevice::Pxe,
        node::BootDevice::Hdd => BootDevice::Hdd,
        node::BootDevice::Cd => BootDevice::Cd,
        node::BootDevice::UefiHttp => BootDevice::UefiHttp,
        node::BootDevice::BiosSetup => BootDevice::BiosSetup,
    }
}

/// To the second, as every other time in an object is written.
fn seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}
