//! The machine itself: its power, which changes a while after it was asked for, and its boots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep;

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It does not.
    Off,
}

/// What can be asked of a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerAction {
    /// On. Nothing, if it is on.
    On,
    /// Off at once. Nothing, if it is off.
    Off,
    /// The operating system is asked to shut down.
    SoftOff,
    /// Off, and on again a while later.
    Cycle,
    /// Reset at once, without loss of power.
    Reset,
    /// The operating system is asked to reboot.
    SoftReset,
    /// A non-maskable interrupt, for the operating system to dump its memory.
    Diagnostic,
}

/// Who or what changed the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A command to the BMC.
    Command,
    /// A button on the chassis.
    Button,
    /// The operating system.
    System,
    /// Mains came back.
    Mains,
}

/// What a machine starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// The network, by PXE.
    Pxe,
    /// The hard disk.
    Disk,
    /// The hard disk, in safe mode.
    SafeDisk,
    /// The diagnostic partition.
    Diagnostic,
    /// A CD, real or virtual.
    Cd,
    /// The firmware's setup.
    Setup,
    /// A USB stick or a floppy, real or virtual.
    Removable,
    /// The network, by UEFI HTTP boot.
    UefiHttp,
}

/// How the firmware starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// As a PC of old does.
    Legacy,
    /// By UEFI.
    Uefi,
}

/// What the machine is to start from in place of its boot order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootOverride {
    /// From here.
    pub device: BootDevice,
    /// This way.
    pub mode: BootMode,
    /// At every boot; else at the next one only.
    pub persistent: bool,
}

/// What the operating system does when it is asked to shut down or to reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soft {
    /// It complies after this time.
    After(Duration),
    /// It does not care.
    Ignored,
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the command until it is on.
    pub on: Duration,
    /// From the command until it is off.
    pub off: Duration,
    /// How long it stays off in a power cycle.
    pub pause: Duration,
    /// From the command until it is reset.
    pub reset: Duration,
    /// What becomes of a soft shutdown.
    pub soft: Soft,
}

impl Default for Timing {
    /// Late enough to be seen by who looks at once, early enough for a test.
    fn default() -> Self {
        let short = Duration::from_millis(50);
        Self { on: short, off: short, pause: short, reset: short, soft: Soft::After(Duration::from_millis(150)) }
    }
}

impl Timing {
    /// Everything happens at once.
    pub fn immediate() -> Self {
        let now = Duration::ZERO;
        Self { on: now, off: now, pause: now, reset: now, soft: Soft::After(now) }
    }

    /// As slow as servers are.
    pub fn realistic() -> Self {
        let seconds = Duration::from_secs;
        Self { on: seconds(2), off: seconds(4), pause: seconds(5), reset: seconds(1), soft: Soft::After(seconds(20)) }
    }
}

/// What tells a machine from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its UUID, in the order in which it is written.
    pub uuid: [u8; 16],
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// The addresses of its network interfaces; the first is the BMC's.
    pub macs: Vec<[u8; 6]>,
}

impl Identity {
    /// One of many machines of the same model.
    pub fn numbered(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let mut uuid = *b"\x3d\x1f\x0a\x51\x7c\x22\x4b\x61\x9e\x10\x52\x54\x00\x00\x00\x00";
        uuid[14..].copy_from_slice(&[high, low]);
        Self {
            uuid,
            manufacturer: "Ahlborn".into(),
            model: "AX-1".into(),
            serial: format!("AX1{number:05}"),
            macs: (0..3).map(|index| [0x52, 0x54, 0, high, low, index]).collect(),
        }
    }
}

/// A start of the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub device: BootDevice,
    /// How.
    pub mode: BootMode,
    /// Why.
    pub cause: Cause,
}

/// Something that happened to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What can happen to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was asked for a change of its power, which it took on.
    Asked(PowerAction, Cause),
    /// It went on.
    On(Cause),
    /// It went off.
    Off(Cause),
    /// It was reset while on.
    Reset(Cause),
    /// Its firmware started.
    Booted(Boot),
    /// It got a non-maskable interrupt.
    Interrupted,
    /// Its override was set or taken away.
    Override(Option<BootOverride>),
}

/// The machine cannot do this in its present state: a reset, say, while it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this cannot be done while the machine is off")]
pub struct Impossible;

/// A machine. It costs nothing while nobody looks: what is due happens when somebody does.
#[derive(Debug)]
pub struct Machine {
    /// What tells it from others.
    pub identity: Identity,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    power: Power,
    boot_override: Option<BootOverride>,
    /// What it starts from without an override.
    boot_order: (BootDevice, BootMode),
    restart_cause: Option<Cause>,
    started: Option<Instant>,
    pending: VecDeque<(Instant, Transition)>,
    events: Vec<Event>,
    timing: Timing,
    /// It takes on what it is asked, and does nothing.
    stuck: bool,
    /// How far its clock is ahead of the machine that the test runs on.
    ahead: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Transition {
    On(Cause),
    Off(Cause),
    Reset(Cause),
}

impl Machine {
    /// A machine that is off.
    pub fn new(identity: Identity, timing: Timing) -> Arc<Self> {
        let state = State {
            power: Power::Off,
            boot_override: None,
            boot_order: (BootDevice::Disk, BootMode::Uefi),
            restart_cause: None,
            started: None,
            pending: VecDeque::new(),
            events: Vec::new(),
            timing,
            stuck: false,
            ahead: Duration::ZERO,
        };
        Arc::new(Self { identity, state: Mutex::new(state), changes: watch::channel(0).0 })
    }

    /// Whether it runs.
    pub fn power(&self) -> Power {
        self.see(|state| state.power)
    }

    /// Whether what it was asked for is still to happen.
    pub fn is_changing(&self) -> bool {
        self.see(|state| !state.pending.is_empty())
    }

    /// Asks for a change of its power, which happens later; what was asked before and has not happened does not happen any more.
    pub fn ask(&self, action: PowerAction, cause: Cause) -> Result<(), Impossible> {
        self.with(|state| state.ask(action, cause))
    }

    /// What it will start from in place of its boot order.
    pub fn boot_override(&self) -> Option<BootOverride> {
        self.see(|state| state.boot_override)
    }

    /// Sets what it is to start from, or takes that away.
    pub fn set_boot_override(&self, boot: Option<BootOverride>) {
        self.with(|state| {
            state.boot_override = boot;
            state.happens(Happening::Override(boot));
        });
    }

    /// Every start of its firmware so far.
    pub fn boots(&self) -> Vec<Boot> {
        let boot = |event: &Event| if let Happening::Booted(boot) = event.what { Some(boot) } else { None };
        self.see(|state| state.events.iter().filter_map(boot).collect())
    }

    /// Everything that happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.events_from(0)
    }

    /// Everything that happened so far but the first `seen`.
    pub fn events_from(&self, seen: usize) -> Vec<Event> {
        self.see(|state| state.events.get(seen..).unwrap_or_default().to_vec())
    }

    /// Why it last started; `None` if it never did.
    pub fn restart_cause(&self) -> Option<Cause> {
        self.see(|state| state.restart_cause)
    }

    /// For how long it has been on; zero if it is off.
    pub fn uptime(&self) -> Duration {
        self.see(|state| state.started.map_or(Duration::ZERO, |started| state.now() - started))
    }

    /// Its clock.
    pub fn now(&self) -> Timestamp {
        self.see(State::timestamp)
    }

    /// Changes how long things take from now on.
    pub fn set_timing(&self, timing: Timing) {
        self.with(|state| state.timing = timing);
    }

    /// Lets it take on what it is asked and do nothing, or ends that.
    pub fn set_stuck(&self, stuck: bool) {
        self.with(|state| state.stuck = stuck);
    }

    /// Puts its clock forward; what is due happens at once.
    pub fn advance(&self, by: Duration) {
        self.with(|state| state.ahead += by);
        // Looking lets happen what is due by the new time.
        self.see(|_| ());
    }

    /// Waits until the machine is as wanted. Without a bound of its own: the caller has one.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        while !holds(self) {
            let left = self.see(|state| {
                let next = state.pending.front();
                next.map(|(due, _)| due.saturating_duration_since(state.now()))
            });
            let next = async {
                match left {
                    Some(left) => sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next => {}
                // The sender is in `self`, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
    }

    /// Waits until it is on, or off, with nothing more to happen.
    pub async fn until_power(&self, power: Power) {
        self.until(|machine| machine.power() == power && !machine.is_changing()).await;
    }

    /// Changes the state, after what is due by now; whoever waits looks again.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.settle();
        let value = act(&mut state);
        state.settle();
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        value
    }

    /// Looks at the state, after what is due by now.
    fn see<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut state = self.lock();
        let settled = state.settle();
        let value = look(&state);
        drop(state);
        if settled {
            self.changes.send_modify(|changes| *changes += 1);
        }
        value
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::try_from(self.ahead).unwrap_or(SignedDuration::MAX)
    }

    fn happens(&mut self, what: Happening) {
        let event = Event { at: self.timestamp(), what };
        self.events.push(event);
    }

    fn ask(&mut self, action: PowerAction, cause: Cause) -> Result<(), Impossible> {
        use PowerAction::{Cycle, Diagnostic, Reset, SoftReset};
        if self.power == Power::Off && matches!(action, Cycle | Reset | SoftReset | Diagnostic) {
            return Err(Impossible);
        }
        self.happens(Happening::Asked(action, cause));
        if !self.stuck {
            self.take_on(action, cause);
        }
        Ok(())
    }

    fn take_on(&mut self, action: PowerAction, cause: Cause) {
        let Timing { on, off, pause, reset, soft } = self.timing;
        let now = self.now();
        let later = |after, transition| VecDeque::from([(now + after, transition)]);
        match (action, soft) {
            (PowerAction::On, _) => self.pending = later(on, Transition::On(cause)),
            (PowerAction::Off, _) => self.pending = later(off, Transition::Off(cause)),
            (PowerAction::Reset, _) => self.pending = later(reset, Transition::Reset(cause)),
            (PowerAction::SoftOff, Soft::After(soft)) => self.pending = later(soft, Transition::Off(Cause::System)),
            (PowerAction::SoftReset, Soft::After(soft)) => self.pending = later(soft, Transition::Reset(Cause::System)),
            (PowerAction::SoftOff | PowerAction::SoftReset, Soft::Ignored) => {}
            (PowerAction::Cycle, _) => {
                self.pending = later(off, Transition::Off(cause));
                self.pending.push_back((now + off + pause, Transition::On(cause)));
            }
            (PowerAction::Diagnostic, _) => self.happens(Happening::Interrupted),
        }
    }

    /// Lets everything happen that is due. Whether anything was.
    fn settle(&mut self) -> bool {
        let now = self.now();
        let mut settled = false;
        while self.pending.front().is_some_and(|(due, _)| *due <= now) {
            let Some((due, transition)) = self.pending.pop_front() else { break };
            self.make(transition, due);
            settled = true;
        }
        settled
    }

    fn make(&mut self, transition: Transition, at: Instant) {
        match (transition, self.power) {
            (Transition::On(cause), Power::Off) => {
                self.power = Power::On;
                self.started = Some(at);
                self.happens(Happening::On(cause));
                self.boot(cause);
            }
            (Transition::Off(cause), Power::On) => {
                self.power = Power::Off;
                self.started = None;
                self.happens(Happening::Off(cause));
            }
            (Transition::Reset(cause), Power::On) => {
                self.happens(Happening::Reset(cause));
                self.boot(cause);
            }
            // It is so already.
            (Transition::On(_), Power::On) | (Transition::Off(_) | Transition::Reset(_), Power::Off) => {}
        }
    }

    /// The firmware starts, and uses up an override that is for once.
    fn boot(&mut self, cause: Cause) {
        let (device, mode) = self.boot_override.map_or(self.boot_order, |boot| (boot.device, boot.mode));
        self.restart_cause = Some(cause);
        self.happens(Happening::Booted(Boot { at: self.timestamp(), device, mode, cause }));
        if self.boot_override.is_some_and(|boot| !boot.persistent) {
            self.boot_override = None;
            self.happens(Happening::Override(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(timing: Timing) -> Arc<Machine> {
        Machine::new(Identity::numbered(1), timing)
    }

    #[tokio::test]
    async fn power_changes_a_while_after_it_was_asked_for() {
        let machine = machine(Timing::realistic());
        machine.ask(PowerAction::On, Cause::Command).unwrap();
        assert_eq!((machine.power(), machine.is_changing()), (Power::Off, true));
        machine.advance(Duration::from_secs(3));
        assert_eq!((machine.power(), machine.is_changing()), (Power::On, false));

        machine.ask(PowerAction::Cycle, Cause::Command).unwrap();
        machine.advance(Duration::from_secs(5));
        assert_eq!(machine.power(), Power::Off);
        machine.advance(Duration::from_secs(5));
        assert_eq!((machine.power(), machine.boots().len()), (Power::On, 2));
    }

    #[tokio::test]
    async fn who_waits_sees_what_happens_by_itself() {
        let machine = machine(Timing::default());
        machine.ask(PowerAction::On, Cause::Button).unwrap();
        machine.until_power(Power::On).await;
        assert_eq!(machine.restart_cause(), Some(Cause::Button));
    }

    #[test]
    fn an_override_for_once_is_used_up_by_the_next_boot() {
        let machine = machine(Timing::immediate());
        let pxe = BootOverride { device: BootDevice::Pxe, mode: BootMode::Uefi, persistent: false };
        for (boot, left) in [(pxe, None), (BootOverride { persistent: true, ..pxe }, Some(true))] {
            machine.set_boot_override(Some(boot));
            machine.ask(PowerAction::Off, Cause::Command).unwrap();
            machine.ask(PowerAction::On, Cause::Command).unwrap();
            assert_eq!(machine.boots().last().map(|boot| boot.device), Some(BootDevice::Pxe));
            assert_eq!(machine.boot_override().map(|boot| boot.persistent), left);
        }
    }

    #[test]
    fn what_is_off_cannot_be_reset_and_what_is_stuck_stays() {
        let machine = machine(Timing::immediate());
        assert_eq!(machine.ask(PowerAction::Reset, Cause::Command), Err(Impossible));
        machine.set_stuck(true);
        machine.ask(PowerAction::On, Cause::Command).unwrap();
        assert_eq!(machine.power(), Power::Off);
    }

    #[test]
    fn an_operating_system_may_ignore_a_soft_shutdown() {
        let machine = machine(Timing { soft: Soft::Ignored, ..Timing::immediate() });
        machine.ask(PowerAction::On, Cause::Command).unwrap();
        machine.ask(PowerAction::SoftOff, Cause::Command).unwrap();
        assert_eq!(machine.power(), Power::On);
        machine.set_timing(Timing::immediate());
        machine.ask(PowerAction::SoftOff, Cause::Command).unwrap();
        assert_eq!(machine.power(), Power::Off);
        assert_eq!(machine.events().last().map(|event| event.what), Some(Happening::Off(Cause::System)));
    }
}
