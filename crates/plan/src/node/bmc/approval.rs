//! Plans have a hash before they are carried out, and some wait until a person has approved just that hash.

use std::fmt::Write;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use slipway_api::node::{Approval, PlanStatus};

use super::{Command, PowerState};

/// Hexadecimal digits of a plan's hash: enough that nobody approves another plan by chance.
const DIGITS: usize = 12;

/// What is to be done, in this order, and whether a field of the spec asks for just that.
pub(super) struct Intent<'a> {
    /// The commands.
    pub commands: &'a [Command],
    /// The user named it: it is its own consent under `Destructive`.
    pub asked: bool,
    /// ContainerServices that run there.
    pub guests: &'a [String],
    /// Power that it is planned on.
    pub power: PowerState,
}

impl Intent<'_> {
    fn destructive(&self) -> bool {
        self.commands.iter().any(Command::interrupts)
    }

    fn waits(&self, policy: Approval) -> bool {
        match policy {
            Approval::Never => false,
            Approval::Always => true,
            Approval::Destructive => self.destructive() && (!self.asked || !self.guests.is_empty()),
        }
    }
}

/// The plan as it stands in the status. What is left of a plan that may be carried out is the same plan; a plan that is
/// new gets a hash of its own, even if one like it was approved once.
pub(super) fn stand(
    intent: &Intent<'_>,
    policy: Approval,
    approved: Option<&str>,
    old: Option<&PlanStatus>,
    uid: &str,
    now: Timestamp,
) -> PlanStatus {
    let steps: Vec<String> = intent.commands.iter().map(ToString::to_string).collect();
    let destructive = intent.destructive();
    if let Some(old) = old {
        let under_way = !old.waiting && old.steps.ends_with(&steps) && (old.destructive || !destructive);
        if under_way {
            return old.clone();
        }
        if old.waiting && old.steps == steps {
            let waiting = intent.waits(policy) && approved != Some(old.hash.as_str());
            return PlanStatus { waiting, ..old.clone() };
        }
    }
    let since = now.to_string();
    let hash = hash(uid, &steps, intent.power, &since);
    PlanStatus { hash, destructive, waiting: intent.waits(policy), steps, since }
}

fn hash(uid: &str, steps: &[String], power: PowerState, since: &str) -> String {
    let digest = Sha256::digest(format!("{uid}\n{since}\n{power}\n{}", steps.join("\n")));
    let mut text = String::new();
    for byte in &digest[..DIGITS / 2] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use Approval::{Always, Destructive, Never};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn intent<'a>(commands: &'a [Command], asked: bool, guests: &'a [String]) -> Intent<'a> {
        Intent { commands, asked, guests, power: PowerState::On }
    }

    #[test]
    fn which_plans_wait() {
        let guests = ["web".to_owned()];
        for (policy, command, asked, guests, waits) in [
            (Destructive, Command::PowerOn, false, &[][..], false),
            (Destructive, Command::ShutDown, true, &[], false),
            (Destructive, Command::ShutDown, true, &guests, true),
            (Destructive, Command::ForceOff, false, &[], true),
            (Destructive, Command::Reset, true, &[], false),
            (Destructive, Command::Reset, true, &guests, true),
            (Destructive, Command::PowerCycle, false, &[], true),
            (Never, Command::PowerCycle, false, &guests, false),
            (Always, Command::PowerOn, true, &[], true),
        ] {
            let plan = stand(&intent(std::slice::from_ref(&command), asked, guests), policy, None, None, "u", at(0));
            assert_eq!(plan.waiting, waits, "{policy:?} {command} asked {asked} guests {guests:?}");
        }
    }

    #[test]
    fn an_approval_is_of_one_plan_and_not_of_the_next_like_it() {
        let force = [Command::ForceOff];
        let of = |approved: Option<&str>, old: Option<&PlanStatus>, now| {
            stand(&intent(&force, false, &[]), Approval::Destructive, approved, old, "u", at(now))
        };
        let waiting = of(None, None, 1);
        assert_eq!(of(None, Some(&waiting), 9), waiting, "it stays the same while it waits");
        assert!(of(Some("0123456789ab"), Some(&waiting), 9).waiting);
        let allowed = of(Some(&waiting.hash), Some(&waiting), 9);
        assert!(!allowed.waiting);
        let next_time = of(Some(&waiting.hash), None, 100);
        assert!(next_time.waiting && next_time.hash != waiting.hash);
    }

    #[test]
    fn what_is_left_of_an_approved_plan_needs_no_second_approval() {
        let both = [Command::ShutDown, Command::PowerOn];
        let guests = ["web".to_owned()];
        let of = |commands: &[Command], approved: Option<&str>, old: Option<&PlanStatus>| {
            stand(&intent(commands, true, &guests), Approval::Always, approved, old, "u", at(1))
        };
        let waiting = of(&both, None, None);
        let allowed = of(&both, Some(&waiting.hash), Some(&waiting));
        assert_eq!(of(&both[1..], Some(&waiting.hash), Some(&allowed)), allowed);
        assert!(of(&[Command::ForceOff], Some(&waiting.hash), Some(&allowed)).waiting, "another step is another plan");
    }
}
