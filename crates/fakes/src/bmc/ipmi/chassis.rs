//! Chassis commands (section 28).

use jiff::SignedDuration;

use super::bmc::{Asked, Bmc, Then};
use super::boot::parameter;
use super::commands::{INVALID_FIELD, INVALID_LENGTH, NOT_IN_THIS_STATE, Refusal, done, exactly};
use crate::bmc::{Cause, Power, PowerAction};

/// The system shows itself for so long when no time is given.
const IDENTIFY: u8 = 15;
const UNKNOWN_PARAMETER: Refusal = Refusal(0x80);
const SET_IN_PROGRESS: Refusal = Refusal(0x81);

type Answer = Result<(Vec<u8>, Then), Refusal>;

/// Get Chassis Capabilities.
pub(super) fn capabilities(_: &mut Bmc, _: &Asked) -> Answer {
    done(vec![0, 0x20, 0x20, 0x20, 0x20])
}

/// Get Chassis Status.
pub(super) fn status(bmc: &mut Bmc, _: &Asked) -> Answer {
    let on = u8::from(bmc.machine.power() == Power::On);
    let by_command = bmc.machine.restart_cause() == Some(Cause::Command);
    let identifying = bmc.identify.is_some_and(|until| bmc.machine.now() < until);
    // Bit 6: the state of identification is told in the bits below it.
    let misc = 0x40 | u8::from(identifying) << 4;
    done(vec![bmc.restore_policy << 5 | on, u8::from(by_command) << 4, misc, 0])
}

/// Chassis Control.
pub(super) fn control(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [action] = exactly(asked)?;
    let action = match action & 0xf {
        0 => PowerAction::Off,
        1 => PowerAction::On,
        2 => PowerAction::Cycle,
        3 => PowerAction::Reset,
        4 => PowerAction::Diagnostic,
        5 => PowerAction::SoftOff,
        _ => return Err(INVALID_FIELD),
    };
    bmc.boot.restarting();
    bmc.machine.ask(action, Cause::Command).map_err(|_| NOT_IN_THIS_STATE)?;
    done(Vec::new())
}

/// Chassis Identify: for so many seconds, or until told otherwise.
pub(super) fn identify(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let seconds = match asked.data {
        [] => IDENTIFY.into(),
        [_, force] if force & 1 == 1 => i64::MAX,
        [seconds] | [seconds, _] => i64::from(*seconds),
        _ => return Err(INVALID_LENGTH),
    };
    bmc.identify =
        bmc.machine.now().checked_add(SignedDuration::from_secs(seconds)).ok().or(Some(jiff::Timestamp::MAX));
    done(Vec::new())
}

/// Set Power Restore Policy.
pub(super) fn set_restore_policy(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [policy] = exactly(asked)?;
    match policy & 7 {
        3 => {}
        policy @ 0..=2 => bmc.restore_policy = policy,
        _ => return Err(INVALID_FIELD),
    }
    // All three are supported.
    done(vec![0b111])
}

/// Get System Restart Cause.
pub(super) fn restart_cause(bmc: &mut Bmc, _: &Asked) -> Answer {
    let cause = match bmc.machine.restart_cause() {
        None => 0,
        Some(Cause::Command) => 1,
        Some(Cause::Button) => 3,
        Some(Cause::System) => 0xa,
        Some(Cause::Mains) => 6,
    };
    done(vec![cause, super::CHANNEL])
}

/// Get POH Counter: a count for each hour.
pub(super) fn hours(bmc: &mut Bmc, _: &Asked) -> Answer {
    let hours = u32::try_from(bmc.machine.uptime().as_secs() / 3600).unwrap_or(u32::MAX);
    done([&[60][..], &hours.to_le_bytes()].concat())
}

/// Set System Boot Options.
pub(super) fn set_boot_option(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [number, data @ ..] = asked.data else { return Err(INVALID_LENGTH) };
    let boot = &mut bmc.boot;
    match (number & 0x7f, data) {
        // Only to mark the parameter as valid or locked.
        (_, []) => {}
        (parameter::SET_IN_PROGRESS, [state]) => {
            if boot.in_progress == 1 && state & 3 == 1 {
                return Err(SET_IN_PROGRESS);
            }
            // Nothing is held back until it is committed, so that says the same as complete.
            boot.in_progress = u8::from(state & 3 == 1);
        }
        (parameter::SERVICE_SELECTOR, [selector]) => boot.service[0] = *selector,
        (parameter::SERVICE_SCAN, [scan]) => boot.service[1] = *scan,
        (parameter::VALID_BIT_CLEARING, [clearing]) => boot.clearing = clearing & 0x1f,
        (parameter::ACKNOWLEDGE, [mask, value]) => boot.acknowledged = boot.acknowledged & !mask | value & mask,
        (parameter::FLAGS, flags) => {
            let flags = flags.try_into().map_err(|_| INVALID_LENGTH)?;
            if !boot.set_flags(flags, &bmc.machine) {
                return Err(INVALID_FIELD);
            }
        }
        (parameter::INITIATOR, initiator) => boot.initiator = initiator.try_into().map_err(|_| INVALID_LENGTH)?,
        (parameter::SET_IN_PROGRESS..=parameter::INITIATOR, _) => return Err(INVALID_LENGTH),
        _ => return Err(UNKNOWN_PARAMETER),
    }
    done(Vec::new())
}

/// Get System Boot Options.
pub(super) fn boot_option(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [number, _, _] = exactly(asked)?;
    let number = number & 0x7f;
    let boot = &bmc.boot;
    let data = match number {
        parameter::SET_IN_PROGRESS => vec![boot.in_progress],
        parameter::SERVICE_SELECTOR => vec![boot.service[0]],
        parameter::SERVICE_SCAN => vec![boot.service[1]],
        parameter::VALID_BIT_CLEARING => vec![boot.clearing],
        parameter::ACKNOWLEDGE => vec![0, boot.acknowledged],
        parameter::FLAGS => boot.flags(&bmc.machine).to_vec(),
        parameter::INITIATOR => boot.initiator.to_vec(),
        _ => return Err(UNKNOWN_PARAMETER),
    };
    // Version 1 of the parameters; this one is valid and unlocked.
    done([&[1, number][..], &data].concat())
}
