//! What came of the command on record: from what this process knows of it, and else from what the BMC shows. A command whose
//! outcome stays unknown is not sent again.

use jiff::{SignedDuration, Timestamp};
use slipway_api::conditions::State;
use slipway_api::node::{Manner, Operation};

use super::goals::{Goal, name, starts_from};
use super::plan::{Plan, Planner, Sight, say, word};
use super::{Boot, Command, PowerState, Sent, evidence};

/// A BMC may follow a command only some seconds after it took it.
const SETTLE: SignedDuration = SignedDuration::from_secs(30);
/// A host that is not on so long after it was told to is told again.
const ON_DEADLINE: SignedDuration = SignedDuration::from_mins(3);
/// A power that was taken away is gone within this time.
const OFF_DEADLINE: SignedDuration = SignedDuration::from_secs(60);
/// A command that the BMC took and did not follow is sent again so long after it.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

impl Sight<'_> {
    /// The end of a time that began then. A BMC that takes its time for each answer has two looks more of it: in one of them the
    /// command was sent, in the other its effect is seen.
    fn given(&self, since: Timestamp, time: SignedDuration) -> Timestamp {
        after(since, time.saturating_add(self.took.saturating_mul(2)))
    }
}

impl Planner<'_> {
    /// Judges the command on record. `None`: it is over, and the next goal's turn.
    pub(super) fn settle(&mut self, look: &Sight<'_>) -> Option<Plan> {
        let mut operation = self.operation.clone()?;
        if operation.in_doubt {
            return self.doubted(&operation);
        }
        let refused = match &self.view.sent {
            Sent::Pending => return Some(self.awaiting(&operation, look, None)),
            Sent::Taken => {
                operation.taken = true;
                None
            }
            Sent::Refused { needs_person } => Some(*needs_person),
            Sent::Unknown | Sent::Lost => None,
        };
        if let Some(needs_person) = refused {
            let stays = match operation.command.as_str() {
                // Hosts without an operating system that listens: what comes next is force, and waits.
                "ShutDown" => needs_person,
                // What it came after is not done again.
                "ForceOff" => true,
                _ => false,
            };
            if !stays {
                return self.over();
            }
            operation.refused = true;
        }
        let since = operation.since.parse().unwrap_or(self.now);
        if look.at <= since && !operation.refused {
            return Some(self.awaiting(&operation, look, None));
        }
        self.operation = Some(operation.clone());
        match operation.command.as_str() {
            "PowerOn" => self.powered_on(&operation, since, look),
            "ShutDown" => self.shut_down(&operation, since, look),
            "ForceOff" => self.forced_off(&operation, since, look),
            "SetBoot" => self.boot_set(operation, since, look),
            "InsertMedia" | "EjectMedia" => self.media_changed(&operation, since, look),
            // What came of it is known by the next login.
            "SetPassword" => Some(self.awaiting(&operation, look, None)),
            _ => self.restarted(operation, since, look),
        }
    }

    /// A doubt lasts until what it is about is asked for anew, or no more.
    fn doubted(&mut self, operation: &Operation) -> Option<Plan> {
        let stands = match operation.purpose.as_str() {
            "Reboot" => self.wanted.reboot.as_ref().is_some_and(|reboot| reboot.requested_at == operation.goal),
            "Boot" => self.wanted.boot.is_some_and(|boot| name(boot) == operation.goal),
            _ => false,
        };
        if !stands {
            self.operation = None;
        }
        None
    }

    fn over(&mut self) -> Option<Plan> {
        self.operation = None;
        None
    }

    fn powered_on(&mut self, operation: &Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        if look.observed.power == PowerState::On {
            if operation.purpose == "Reboot" {
                self.done.reboot = Some(operation.goal.clone());
            }
            self.note(false, "PoweredOn", "the host is on");
            return self.over();
        }
        let given_up = look.given(since, if operation.taken { ON_DEADLINE } else { SETTLE });
        if self.now < given_up {
            return Some(self.awaiting(operation, look, Some(given_up)));
        }
        self.ignored(operation, since, look, "PowerOnIgnored").or_else(|| self.over())
    }

    /// The BMC took a command and nothing came of it: that is said, and after a pause it is told again. `None`: it is time to.
    fn ignored(
        &mut self,
        operation: &Operation,
        since: Timestamp,
        look: &Sight<'_>,
        reason: &'static str,
    ) -> Option<Plan> {
        let again = after(since, AGAIN);
        if !operation.taken || operation.refused || self.now >= again || !self.still_wanted(operation) {
            return None;
        }
        let (at, power) = (&operation.since, look.observed.power);
        let said = format!("the BMC took {} at {at}, and the host is {power}", operation.command);
        if !operation.ignored {
            self.note(true, reason, said.clone());
        }
        let message = format!(
            "{said}. Look at the host and at the BMC's event log; a reset of the BMC may help. It is told again at {again:.0}"
        );
        let operation = Operation { ignored: true, ..operation.clone() };
        let told = say(State::Stalled, reason, message);
        let shown = self.shown(self.status.plan.clone(), told);
        Some(Plan { operation: Some(operation), awaited: true, until: Some(again), ..shown })
    }

    fn shut_down(&mut self, operation: &Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        if look.observed.power == PowerState::Off {
            return self.is_off(operation, look);
        }
        if !self.still_wanted(operation) {
            return self.over();
        }
        let timeout = SignedDuration::try_from(self.wanted.off_timeout).unwrap_or(SignedDuration::MAX);
        let deadline = after(since, timeout);
        if self.now < deadline && !operation.refused && !self.asks_for_force(operation) {
            return Some(self.awaiting(operation, look, Some(deadline)));
        }
        let why = if operation.refused {
            "the BMC cannot shut the host down gracefully".to_owned()
        } else {
            format!("the host did not shut down within {}", crate::duration::format(self.wanted.off_timeout))
        };
        Some(self.then_force(operation, look, &why))
    }

    /// Force on record stands for the graceful one before it as well, of which there is one at most: what came to nothing is
    /// told again by force.
    fn forced_off(&mut self, operation: &Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        if look.observed.power == PowerState::Off {
            return self.is_off(operation, look);
        }
        let given_up = look.given(since, if operation.taken { OFF_DEADLINE } else { SETTLE });
        let moving = look.observed.power == PowerState::PoweringOff;
        if self.now < given_up && (moving || !operation.refused) {
            return Some(self.awaiting(operation, look, Some(given_up)));
        }
        if let Some(plan) = self.ignored(operation, since, look, "PowerOffIgnored") {
            return Some(plan);
        }
        if !self.still_wanted(operation) {
            return self.over();
        }
        Some(self.then_force(operation, look, "the power was to be taken away, and the host is on"))
    }

    /// What follows a graceful off that came to nothing.
    fn then_force(&self, operation: &Operation, look: &Sight<'_>, why: &str) -> Plan {
        let asked = self.asks_for_force(operation);
        if !self.wanted.then_force && !asked {
            let message = format!("{why}, and spec.powerOff.thenForce is false. Shut it down by hand, or allow force");
            let told = say(State::Stalled, "ShutDownIgnored", message);
            return Plan { awaited: true, ..self.shown(self.status.plan.clone(), told) };
        }
        let purpose = if operation.purpose == "Reboot" { "Reboot" } else { "Power" };
        let force = Goal { command: Command::ForceOff, purpose, meets: operation.goal.clone(), asked };
        let mut commands = vec![Command::ForceOff];
        commands.extend((purpose == "Reboot").then_some(Command::PowerOn));
        let mut plan = self.gated(force, &commands, asked, look);
        // It may still go down by itself, and that ends the wait; a command that failed is waited out as any other.
        plan.awaited |= plan.until.is_none();
        plan
    }

    /// Whether the spec asks for force by now, whatever it said when the command was sent.
    fn asks_for_force(&self, operation: &Operation) -> bool {
        operation.purpose == "Power" && self.wanted.manner == Manner::Force
    }

    fn is_off(&mut self, operation: &Operation, look: &Sight<'_>) -> Option<Plan> {
        self.note(false, "PoweredOff", "the host is off");
        if operation.purpose != "Reboot" || !self.still_wanted(operation) || self.view.suspended {
            return self.over();
        }
        self.operation = None;
        let on = Goal { command: Command::PowerOn, purpose: "Reboot", meets: operation.goal.clone(), asked: true };
        Some(self.gated(on, &[Command::PowerOn], true, look))
    }

    fn still_wanted(&self, operation: &Operation) -> bool {
        match operation.purpose.as_str() {
            "Reboot" => self.wanted.reboot.as_ref().is_some_and(|reboot| reboot.requested_at == operation.goal),
            _ => self.wanted.power.is_some_and(|power| format!("{power:?}") == operation.goal),
        }
    }

    /// A second restart does harm: what is not known is not repeated.
    fn restarted(&mut self, mut operation: Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        let settled = look.given(since, SETTLE);
        let moving = !matches!(look.observed.power, PowerState::On);
        let back = look.given(since, ON_DEADLINE);
        if moving && self.now < back {
            return Some(self.awaiting(&operation, look, Some(back)));
        }
        let before = operation.before.clone().unwrap_or_default();
        let was_on = operation.power == format!("{:?}", PowerState::On);
        if operation.taken {
            self.note(false, "Restarted", "the BMC has restarted the host");
        } else if !look.deep {
            return Some(self.awaiting(&operation, look, None));
        } else if let Some(sign) = evidence::of_restart(&before, &look.observed.evidence, look.at.duration_since(since))
            .or_else(|| (moving && was_on).then(|| "it was on and is not any more".to_owned()))
        {
            let text = format!("the answer to the restart was lost; the BMC shows that the host was restarted: {sign}");
            self.note(false, "Restarted", text);
        } else if self.now < settled {
            return Some(self.awaiting(&operation, look, Some(settled)));
        } else if before.last_restart.is_some() && before.last_restart == look.observed.evidence.last_restart {
            let text = "the BMC shows that the host was not restarted (the time of its last restart is as it was); it is asked once more";
            self.note(true, "RestartLost", text);
            return self.over();
        } else {
            operation.in_doubt = true;
            self.note(true, "OutcomeUnknown", format!("nothing tells whether {} was carried out", operation.command));
            self.done.reboot = Some(operation.goal.clone());
            self.operation = Some(operation);
            return None;
        }
        self.done.reboot = Some(operation.goal.clone());
        self.over()
    }

    fn boot_set(&mut self, mut operation: Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        let shown = self
            .wanted
            .boot
            .filter(|boot| name(*boot) == operation.goal)
            .is_none_or(|boot| starts_from(look.observed.boot, boot));
        let once = operation.goal.ends_with("once");
        let blind = look.observed.boot == Boot::Unknown;
        if shown || operation.taken && (once || blind) {
            self.done.boot = Some(operation.goal.clone());
            self.note(false, "BootSet", format!("the host boots from {}", operation.goal));
            return self.over();
        }
        let settled = look.given(since, SETTLE);
        if self.now < settled {
            return Some(self.awaiting(&operation, look, Some(settled)));
        }
        let untouched = look.deep && not_started_since(&operation, look);
        if !operation.taken && (!once || untouched) {
            // Setting it again does no harm: nothing was started from it.
            return self.over();
        }
        operation.in_doubt = true;
        self.done.boot = Some(operation.goal.clone());
        self.operation = Some(operation);
        None
    }

    fn media_changed(&mut self, operation: &Operation, since: Timestamp, look: &Sight<'_>) -> Option<Plan> {
        let image = look.observed.media.as_ref().and_then(|media| media.image.as_deref());
        let insert = operation.command == word(&Command::InsertMedia { image: String::new() });
        let shown = if insert { image == Some(&*operation.goal) } else { image.is_none() };
        if !operation.taken && !shown {
            let settled = look.given(since, SETTLE);
            // Doing it again does no harm.
            return if self.now < settled { Some(self.awaiting(operation, look, Some(settled))) } else { self.over() };
        }
        self.done.virtual_media = insert.then(|| operation.goal.clone());
        self.over()
    }
}

/// Whether the host certainly was not started since the command: then an armed override is not consumed.
fn not_started_since(operation: &Operation, look: &Sight<'_>) -> bool {
    let before = operation.before.clone().unwrap_or_default();
    let off = format!("{:?}", PowerState::Off);
    let stayed_off = operation.power == off && look.observed.power == PowerState::Off;
    let evidence = &look.observed.evidence;
    stayed_off || before.last_restart.is_some() && before.last_restart == evidence.last_restart
}

fn after(since: Timestamp, time: SignedDuration) -> Timestamp {
    since.checked_add(time).unwrap_or(Timestamp::MAX)
}
