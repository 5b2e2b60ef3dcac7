//! A host and its BMC in memory, planned for pass by pass: what is sent, how often, and what is said.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use slipway_api::conditions::{HasConditions, State, Verdict};
use slipway_api::{NodeSpec, NodeStatus};

use super::plan::word;
use super::*;

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Carried out, and answered.
    Taken,
    /// Carried out, and the answer is lost.
    LostAfter,
    /// Lost on the way.
    LostBefore,
    /// Carried out, and the process dies before it hears of it.
    DiesAfter,
    /// The process dies before it is sent.
    DiesBefore,
    /// The BMC says that it cannot.
    Refused,
    /// Taken, and nothing happens.
    Ignored,
}

struct World {
    spec: NodeSpec,
    status: NodeStatus,
    power: PowerState,
    boot: Boot,
    media: Option<String>,
    restarts: u32,
    /// The BMC tells when the host was last started.
    tells: bool,
    fate: Fate,
    sent: Sent,
    failure: Option<Failure>,
    guests: Vec<String>,
    hold: Option<String>,
    now: Timestamp,
    /// How long a look takes.
    took: SignedDuration,
    /// What was carried out.
    done: Vec<Command>,
}

const LOGIN: &str = "bmc: {address: \"ipmi://h\", credentials: {secretRef: {name: s}}}\n";

impl World {
    fn new(more: &str, power: PowerState) -> Self {
        Self {
            spec: spec(more),
            status: NodeStatus::default(),
            power,
            boot: Boot::Normal,
            media: None,
            restarts: 0,
            tells: true,
            fate: Fate::Taken,
            sent: Sent::Unknown,
            failure: None,
            guests: Vec::new(),
            hold: None,
            now: Timestamp::from_second(1_000_000).unwrap(),
            took: SignedDuration::ZERO,
            done: Vec::new(),
        }
    }

    fn want(&mut self, more: &str) {
        self.spec = spec(more);
    }

    fn wait(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    fn view(&self) -> View {
        let observed = BmcObserved {
            power: self.power,
            boot: self.boot,
            evidence: Evidence { last_restart: self.tells.then(|| self.restarts.to_string()), ..Evidence::default() },
            health: HealthLevel::Ok,
            media: Some(Media { image: self.media.clone() }),
            security: Security::CipherSuite(17),
        };
        View {
            seen: Seen::Shown { observed, at: self.now, took: self.took, deep: true },
            sent: self.sent.clone(),
            failure: self.failure.clone(),
            guests: self.guests.clone(),
            twins: Vec::new(),
            secrets: None,
            suspended: self.spec.suspend,
            hold: self.hold.clone(),
        }
    }

    /// One pass, two seconds after the one before.
    fn pass(&mut self) -> Plan {
        self.wait(2);
        let wanted = crate::node::validate(&self.spec).unwrap().bmc.unwrap();
        let plan = plan(&wanted, &self.status, &self.view(), "uid", self.now);
        self.status.operation.clone_from(&plan.operation);
        self.status.plan.clone_from(&plan.plan);
        self.status.done = Some(plan.done.clone());
        let verdict = match &plan.told {
            Told::Say(verdict) => verdict.clone(),
            Told::AsWanted => Verdict { state: State::Converged, reason: "AsWanted".into(), message: String::new() },
            Told::Keep => return plan,
        };
        self.status.judge(&verdict, 1, self.now);
        if let Some(step) = &plan.send {
            assert_eq!(plan.operation.as_ref().map(|on| on.command.as_str()), Some(word(&step.command)));
            self.deliver(step);
        }
        plan
    }

    fn deliver(&mut self, step: &BmcStep) {
        self.failure = None;
        if matches!(self.fate, Fate::Taken | Fate::LostAfter | Fate::DiesAfter) && step.holds(&self.observed()) {
            self.carry_out(&step.command);
        }
        self.sent = match self.fate {
            Fate::Taken | Fate::Ignored => Sent::Taken,
            Fate::LostAfter | Fate::LostBefore => Sent::Lost,
            Fate::DiesAfter | Fate::DiesBefore => Sent::Unknown,
            Fate::Refused => {
                let until = self.now.checked_add(SignedDuration::from_mins(10)).unwrap();
                let (command, message) = (word(&step.command).into(), "it cannot".into());
                self.failure = Some(Failure {
                    command,
                    needs_person: true,
                    reason: "BmcUnsupported",
                    message,
                    at: self.now,
                    until,
                });
                Sent::Refused { needs_person: true }
            }
        };
    }

    fn observed(&self) -> BmcObserved {
        match self.view().seen {
            Seen::Shown { observed, .. } => observed,
            _ => unreachable!(),
        }
    }

    fn carry_out(&mut self, command: &Command) {
        self.done.push(command.clone());
        match command {
            Command::ShutDown | Command::ForceOff => self.power = PowerState::Off,
            Command::PowerOn | Command::Reset | Command::PowerCycle | Command::GracefulRestart => self.start(),
            Command::SetBoot(over) => self.boot = Boot::Override(*over),
            Command::ClearBoot => self.boot = Boot::Normal,
            Command::InsertMedia { image } => self.media = Some(image.clone()),
            Command::EjectMedia => self.media = None,
            Command::SetPassword { .. } => unreachable!("see the tests of the rotation"),
        }
    }

    fn start(&mut self) {
        self.power = PowerState::On;
        self.restarts += 1;
        if matches!(self.boot, Boot::Override(over) if over.persistence == Persistence::Once) {
            self.boot = Boot::Normal;
        }
    }

    /// Passes until nothing is sent or awaited, or for some minutes.
    fn settle(&mut self) -> Plan {
        for _ in 0..300 {
            let plan = self.pass();
            if plan.send.is_none() && !plan.awaited {
                return plan;
            }
        }
        self.pass()
    }

    fn reason(&self) -> &str {
        self.status.conditions[0].reason.as_str()
    }

    fn words(&self) -> Vec<&'static str> {
        self.done.iter().map(word).collect()
    }
}

fn spec(more: &str) -> NodeSpec {
    serde_saphyr::from_str(&format!("{LOGIN}{more}")).unwrap()
}

#[test]
fn the_rollout_holds_what_disrupts_and_what_brings_up_and_nothing_else() {
    use crate::rollout::Ask;

    let hold = Some("waits for group control: 2 of 3 Nodes are ready".to_owned());
    for (spec, is, available) in [
        ("power: \"On\"", PowerState::Off, false),
        ("power: \"Off\"", PowerState::On, true),
        ("power: \"On\"\nboot: {device: Pxe}", PowerState::Off, false),
    ] {
        let mut world = World::new(spec, is);
        world.hold.clone_from(&hold);
        let plan = world.settle();
        assert_eq!((world.reason(), plan.ask), ("RolloutWaiting", Some(Ask::Begin { available })), "{spec}");
        assert!(world.status.conditions[0].message.contains("2 of 3 Nodes are ready"));
        assert_eq!(world.words(), Vec::<&str>::new(), "{spec}");
        world.hold = None;
        while let Some(ask) = Some(world.pass()).filter(|plan| plan.told != Told::AsWanted).map(|plan| plan.ask) {
            assert!(ask.is_some(), "{spec}: as long as it is not done, it is not given up");
        }
        assert_eq!(world.pass().ask, None);
    }
    let mut world = World::new("boot: {device: Pxe}", PowerState::On);
    world.hold.clone_from(&hold);
    assert_eq!((world.settle().ask, world.words()), (None, vec!["SetBoot"]));
    let mut world = World::new("power: \"On\"", PowerState::On);
    world.settle();
    world.hold = hold;
    world.power = PowerState::Off;
    world.settle();
    assert_eq!(world.words(), ["PowerOn"], "who went off by himself is brought back at once");
}

#[test]
fn a_command_that_is_refused_is_told_the_rollout() {
    use crate::rollout::Ask;

    let mut world = World::new("power: \"On\"", PowerState::Off);
    world.fate = Fate::Refused;
    let ask = world.settle().ask;
    assert!(matches!(&ask, Some(Ask::Failed { message, .. }) if message == "it cannot"), "{ask:?}");
}

#[test]
fn a_host_is_powered_as_the_spec_says_and_left_alone_without_a_word() {
    for (power, is, commands) in [
        ("power: \"On\"", PowerState::Off, &["PowerOn"][..]),
        ("power: \"On\"", PowerState::On, &[]),
        ("power: \"Off\"", PowerState::On, &["ShutDown"]),
        ("power: \"Off\"\npowerOff: {mode: Force}", PowerState::On, &["ForceOff"]),
        ("power: \"Off\"", PowerState::Off, &[]),
        ("", PowerState::On, &[]),
        ("", PowerState::Off, &[]),
    ] {
        let mut world = World::new(power, is);
        assert_eq!(world.settle().told, Told::AsWanted, "{power} {is}");
        assert_eq!(world.words(), commands, "{power} {is}");
        assert_eq!((&world.status.operation, &world.status.plan), (&None, &None), "nothing is left on record");
    }
}

#[test]
fn a_command_is_on_record_before_it_is_sent_and_planned_on_a_fresh_look() {
    let mut world = World::new("reboot: {requestedAt: b, mode: Force}", PowerState::On);
    world.status.done = Some(slipway_api::node::Done::default());
    let wanted = crate::node::validate(&world.spec).unwrap().bmc.unwrap();
    let mut view = world.view();
    let at = |view: &View| plan(&wanted, &world.status, view, "u", world.now);
    assert_eq!(at(&view).send.map(|step| (step.command, step.on)), Some((Command::Reset, Some(PowerState::On))));
    let Seen::Shown { deep, .. } = &mut view.seen else { unreachable!() };
    *deep = false;
    let brief = at(&view);
    assert!(brief.send.is_none() && brief.operation.is_none() && brief.deep && brief.awaited);
    let Seen::Shown { deep, at: looked, .. } = &mut view.seen else { unreachable!() };
    (*deep, *looked) = (true, world.now.checked_sub(SignedDuration::from_mins(6)).unwrap());
    assert!(at(&view).send.is_none(), "what was true six minutes ago may not be true");
    let Seen::Shown { took, .. } = &mut view.seen else { unreachable!() };
    *took = SignedDuration::from_mins(6);
    assert!(at(&view).send.is_some(), "a slow look that has just ended");
    let failure = |at| Failure {
        command: "Reset".into(),
        needs_person: false,
        reason: "BmcStateChanged",
        message: String::new(),
        at,
        until: at,
    };
    view.failure = Some(failure(world.now));
    assert!(at(&view).send.is_none(), "it was seen before the BMC said that the state is another");
}

#[test]
fn a_slow_bmc_is_given_the_time_of_its_looks() {
    for (took, again) in [(SignedDuration::ZERO, true), (SignedDuration::from_secs(60), false)] {
        let mut world = World::new("power: \"On\"", PowerState::Off);
        world.took = took;
        world.fate = Fate::LostBefore;
        let sends = (0..50).filter_map(|_| world.pass().send).count();
        assert_eq!(sends > 1, again, "{took:?}: {sends} within 100 s");
    }
}

#[test]
fn what_is_seen_by_what_it_changes_costs_the_bmc_no_evidence() {
    let world = World::new("power: \"On\"", PowerState::Off);
    let wanted = crate::node::validate(&world.spec).unwrap().bmc.unwrap();
    let mut view = world.view();
    let Seen::Shown { deep, .. } = &mut view.seen else { unreachable!() };
    *deep = false;
    let plan = plan(&wanted, &world.status, &view, "u", world.now);
    assert!(plan.send.is_some() && !plan.deep && plan.operation.unwrap().before.is_none());
}

#[test]
fn a_boot_device_is_armed_once_for_each_change_of_the_field() {
    let mut world = World::new("boot: {device: Pxe}\npower: \"On\"", PowerState::Off);
    world.settle();
    assert_eq!(world.words(), ["SetBoot", "PowerOn"], "armed before it is started");
    assert_eq!(world.boot, Boot::Normal, "the start consumed it");
    world.settle();
    assert_eq!(world.done.len(), 2, "and it is not armed again");
    world.want("boot: {device: Hdd}\npower: \"On\"");
    world.settle();
    world.want("boot: {device: Pxe}\npower: \"On\"");
    world.settle();
    assert_eq!(world.words()[2..], ["SetBoot", "SetBoot"]);
}

#[test]
fn a_persistent_boot_device_is_kept_as_drift_says() {
    for (drift, again, reason) in [("Heal", 1, "AsWanted"), ("Report", 0, "BootDiffers"), ("Ignore", 0, "AsWanted")] {
        let text = format!("boot: {{device: Pxe, persistent: true}}\ndrift: {{boot: {drift}}}");
        let mut world = World::new(&text, PowerState::On);
        world.settle();
        world.boot = Boot::Normal;
        world.settle();
        assert_eq!((world.done.len(), world.reason()), (1 + again, reason), "{drift}");
    }
}

#[test]
fn a_bmc_that_does_not_keep_a_boot_device_is_not_told_for_ever() {
    let mut world = World::new("boot: {device: Pxe, persistent: true}", PowerState::On);
    world.fate = Fate::Ignored;
    world.settle();
    assert_eq!(world.reason(), "BootNotKept");
    let sent = std::mem::take(&mut world.status.operation);
    world.status.operation.clone_from(&sent);
    world.fate = Fate::Taken;
    world.settle();
    assert_eq!((world.done.len(), world.reason()), (0, "BootNotKept"));
}

#[test]
fn a_restart_is_done_once_for_each_new_request() {
    for (mode, commands) in [("Graceful", &["ShutDown", "PowerOn"][..]), ("Force", &["Reset"])] {
        let request = |at: &str| format!("reboot: {{requestedAt: {at}, mode: {mode}}}");
        let mut world = World::new(&request("a"), PowerState::On);
        world.settle();
        assert!(world.done.is_empty(), "what was asked of a Node as it was made is as old as itself");
        world.want(&request("b"));
        world.settle();
        world.settle();
        assert_eq!(world.words(), commands);
        assert_eq!((world.power, world.reason()), (PowerState::On, "AsWanted"));
        world.want("");
        world.settle();
        assert_eq!(world.words(), commands);
    }
}

#[test]
fn a_restart_whose_answer_was_lost_is_never_sent_on_a_guess() {
    for tells in [true, false] {
        for fate in [Fate::LostAfter, Fate::LostBefore, Fate::DiesAfter, Fate::DiesBefore] {
            let mut world = World::new("reboot: {requestedAt: a, mode: Force}", PowerState::On);
            world.tells = tells;
            world.settle();
            world.want("reboot: {requestedAt: b, mode: Force}");
            world.fate = fate;
            world.pass();
            world.fate = Fate::Taken;
            world.settle();
            let reached = matches!(fate, Fate::LostAfter | Fate::DiesAfter);
            // Only a BMC that tells when it restarted the host can say that it did not.
            let (count, reason) = match (tells, reached) {
                (true, _) => (1, "AsWanted"),
                (false, true) => (1, "OutcomeUnknown"),
                (false, false) => (0, "OutcomeUnknown"),
            };
            assert_eq!((world.done.len(), world.reason()), (count, reason), "{fate:?} tells: {tells}");
            world.want("reboot: {requestedAt: c, mode: Force}");
            world.settle();
            assert_eq!((world.done.len(), world.reason()), (count + 1, "AsWanted"), "a new request ends the doubt");
        }
    }
}

#[test]
fn a_host_that_does_not_shut_down_is_forced_off_only_with_approval() {
    let mut world = World::new("power: \"Off\"\npowerOff: {timeout: 1m}", PowerState::On);
    world.fate = Fate::Ignored;
    world.settle();
    assert_eq!(world.reason(), "ApprovalNeeded");
    let plan = world.status.plan.clone().unwrap();
    assert!(plan.destructive && plan.waiting && plan.steps == ["force off"], "{plan:?}");
    world.fate = Fate::Taken;
    world.want(&format!("power: \"Off\"\npowerOff: {{timeout: 1m}}\napprovedPlan: \"{}\"", plan.hash));
    assert_eq!(world.settle().told, Told::AsWanted);
    assert_eq!(world.words(), ["ForceOff"]);
}

#[test]
fn a_host_that_ignored_a_graceful_off_is_not_asked_again_whatever_becomes_of_force() {
    for reboot in [false, true] {
        for fate in [Fate::DiesBefore, Fate::LostBefore, Fate::Ignored, Fate::Refused] {
            let spec = if reboot { "reboot: {requestedAt: b}" } else { "power: \"Off\"" };
            let mut world = World::new(spec, PowerState::On);
            // A Node is not new, or its request would be as old as itself.
            world.status.done = Some(slipway_api::node::Done::default());
            world.want(&format!("{spec}\npowerOff: {{timeout: 30s}}\napproval: Never"));
            world.fate = Fate::Ignored;
            let mut asked = 0;
            for _ in 0..1200 {
                let plan = world.pass();
                asked += plan.send.iter().filter(|step| step.command == Command::ShutDown).count();
                // The graceful one is over; force comes to nothing once.
                match plan.send.map(|step| step.command) {
                    Some(Command::ShutDown) => world.fate = fate,
                    Some(Command::ForceOff) => world.fate = Fate::Taken,
                    _ => {}
                }
            }
            let rest = if reboot { &["ForceOff", "PowerOn"][..] } else { &["ForceOff"] };
            assert_eq!((asked, &*world.words(), world.reason()), (1, rest, "AsWanted"), "{fate:?} reboot {reboot}");
        }
    }
}

#[test]
fn who_asks_for_force_while_a_graceful_off_is_awaited_gets_it_at_once() {
    let mut world = World::new("power: \"Off\"", PowerState::On);
    world.fate = Fate::Ignored;
    world.pass();
    world.pass();
    assert_eq!(world.reason(), "ShuttingDown");
    world.fate = Fate::Taken;
    world.want("power: \"Off\"\npowerOff: {mode: Force}");
    world.pass();
    world.pass();
    assert_eq!((&*world.words(), world.reason()), (&["ForceOff"][..], "AsWanted"));
}

#[test]
fn a_host_that_is_powering_on_for_ever_needs_a_person_in_the_end() {
    let mut world = World::new("power: \"On\"", PowerState::PoweringOn);
    world.pass();
    assert_eq!((world.reason(), world.status.conditions.len()), ("PowerChanging", 2), "Ready and Reconciling");
    world.wait(16 * 60);
    world.pass();
    let stalled = world.status.conditions.iter().find(|condition| condition.type_ == "Stalled");
    assert!(stalled.is_some_and(|stalled| stalled.message.contains("15 min")), "{:?}", world.status.conditions);
    world.power = PowerState::Off;
    world.settle();
    assert_eq!((&*world.words(), world.reason()), (&["PowerOn"][..], "AsWanted"));
}

#[test]
fn an_off_that_is_not_wanted_any_more_is_not_waited_for() {
    let mut world = World::new("power: \"Off\"", PowerState::On);
    world.fate = Fate::Ignored;
    world.pass();
    world.want("power: \"On\"");
    world.pass();
    assert_eq!((world.reason(), &world.status.operation), ("AsWanted", &None));
}

#[test]
fn force_that_is_not_allowed_is_not_used() {
    let mut world = World::new("power: \"Off\"\npowerOff: {timeout: 1m, thenForce: false}", PowerState::On);
    world.fate = Fate::Ignored;
    world.settle();
    assert_eq!(world.reason(), "ShutDownIgnored");
    world.power = PowerState::Off;
    assert_eq!(world.settle().told, Told::AsWanted, "somebody did it by hand");
}

#[test]
fn a_bmc_that_cannot_shut_down_gracefully_asks_for_force() {
    let mut world = World::new("power: \"Off\"", PowerState::On);
    world.fate = Fate::Refused;
    world.settle();
    assert_eq!(world.reason(), "ApprovalNeeded");
    world.fate = Fate::Taken;
    world.want("power: \"Off\"\napproval: Never");
    world.settle();
    assert_eq!(world.words(), ["ForceOff"]);
}

#[test]
fn what_drifts_is_healed_reported_or_ignored() {
    for (drift, commands, reason) in
        [("Heal", &["PowerOn"][..], "AsWanted"), ("Report", &[], "PowerDiffers"), ("Ignore", &[], "AsWanted")]
    {
        let mut world = World::new(&format!("power: \"On\"\ndrift: {{power: {drift}}}"), PowerState::On);
        world.settle();
        world.power = PowerState::Off;
        world.settle();
        assert_eq!((&*world.words(), world.reason()), (commands, reason), "{drift}");
    }
}

#[test]
fn what_runs_there_is_not_interrupted_without_approval() {
    let mut world = World::new("power: \"On\"", PowerState::On);
    world.guests = vec!["web".into()];
    world.settle();
    world.want("power: \"Off\"");
    let waiting = world.settle();
    let Told::Say(verdict) = &waiting.told else { panic!("{waiting:?}") };
    assert!(verdict.message.contains("web") && verdict.message.contains("approvedPlan"), "{}", verdict.message);
    assert!(world.done.is_empty());
    let hash = waiting.plan.unwrap().hash;
    world.want(&format!("power: \"Off\"\napprovedPlan: \"{hash}\""));
    world.settle();
    world.want(&format!("power: \"On\"\napprovedPlan: \"{hash}\""));
    world.settle();
    world.want(&format!("power: \"Off\"\napprovedPlan: \"{hash}\""));
    world.settle();
    assert_eq!(world.words(), ["ShutDown", "PowerOn"], "an old approval is of no new plan");
}

#[test]
fn media_are_inserted_once_and_taken_out_when_the_field_goes() {
    let mut world = World::new("virtualMedia: {image: \"http://h/a.iso\"}", PowerState::On);
    world.settle();
    world.media = None;
    world.settle();
    assert_eq!(world.words(), ["InsertMedia"], "a host that ejects its media is not served them for ever");
    world.want("virtualMedia: {image: \"http://h/b.iso\"}");
    world.settle();
    assert_eq!(world.media.as_deref(), Some("http://h/b.iso"));
    world.want("");
    world.settle();
    assert_eq!((world.words().last().copied(), world.media.clone()), (Some("EjectMedia"), None));
    world.media = Some("http://somebody/else.iso".into());
    world.settle();
    assert!(world.media.is_some(), "what somebody else inserted stays");
}

#[test]
fn a_short_outage_is_not_told_and_a_long_one_is() {
    let mut world = World::new("power: \"On\"", PowerState::On);
    world.settle();
    let wanted = crate::node::validate(&world.spec).unwrap().bmc.unwrap();
    let since = world.now;
    let away = |needs_person| {
        let seen = Seen::Away { needs_person, reason: "BmcTimedOut", message: "no answer".into(), since };
        View { seen, ..world.view() }
    };
    let after = |seconds, needs_person| {
        let now = since.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        plan(&wanted, &world.status, &away(needs_person), "u", now).told
    };
    assert_eq!(after(5, false), Told::Keep);
    assert!(matches!(after(60, false), Told::Say(Verdict { state: State::Unknown, .. })));
    assert!(matches!(after(5, true), Told::Say(Verdict { state: State::Stalled, .. })));
}

#[test]
fn a_suspended_node_is_watched_and_nothing_more() {
    let mut world = World::new("power: \"On\"\nsuspend: true\nboot: {device: Pxe}", PowerState::Off);
    assert_eq!(world.settle().told, Told::AsWanted);
    assert!(world.done.is_empty());
}

#[test]
fn two_nodes_with_one_bmc_both_say_so_and_neither_acts() {
    let world = World::new("power: \"On\"", PowerState::Off);
    let wanted = crate::node::validate(&world.spec).unwrap().bmc.unwrap();
    let view = View { twins: vec!["ns/other".into()], ..world.view() };
    let plan = plan(&wanted, &world.status, &view, "u", world.now);
    assert!(plan.send.is_none());
    assert!(matches!(plan.told, Told::Say(Verdict { state: State::Stalled, reason, .. }) if reason == "SameBmc"));
}

#[derive(Clone, Debug)]
enum Happens {
    Want(usize),
    Fate(Fate),
    PowerButton,
    Guests(bool),
    Approve,
    Dies,
    Passes(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let fates = [Fate::Taken, Fate::LostAfter, Fate::LostBefore, Fate::DiesAfter, Fate::DiesBefore, Fate::Ignored];
    prop_oneof![
        (0..SPECS.len()).prop_map(Happens::Want),
        proptest::sample::select(fates.to_vec()).prop_map(Happens::Fate),
        Just(Happens::PowerButton),
        any::<bool>().prop_map(Happens::Guests),
        Just(Happens::Approve),
        Just(Happens::Dies),
        (1..60u8).prop_map(Happens::Passes),
    ]
}

const SPECS: [&str; 7] = [
    "",
    "power: \"On\"",
    "power: \"Off\"\npowerOff: {timeout: 30s}",
    "power: \"On\"\nreboot: {requestedAt: a, mode: Force}",
    "power: \"On\"\nreboot: {requestedAt: b, mode: Force}\nboot: {device: Pxe}",
    "boot: {device: Pxe}\nreboot: {requestedAt: c}",
    "power: \"On\"\nsuspend: true",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever happens and wherever the process dies: no request is met twice, nothing is interrupted that runs there
    /// without an approval, nothing is done to what is suspended; and in the end, left alone, it comes to rest.
    #[test]
    fn whatever_happens(story in proptest::collection::vec(happens(), 1..40)) {
        let mut world = World::new(SPECS[1], PowerState::On);
        world.settle();
        let mut resets: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        let request = |at: usize| SPECS[at].split("requestedAt: ").nth(1).map(|rest| &rest[..1]);
        let mut asked = None;
        for event in story.into_iter().chain([Happens::Fate(Fate::Taken), Happens::Guests(false), Happens::Want(1), Happens::Passes(255)]) {
            match event {
                Happens::Want(at) => {
                    // A request that is taken back, or followed by another, and made anew is a new one.
                    if request(at) != asked {
                        resets.clear();
                        asked = request(at);
                    }
                    world.want(SPECS[at]);
                }
                Happens::Fate(fate) => world.fate = fate,
                Happens::PowerButton if world.power == PowerState::On => world.power = PowerState::Off,
                Happens::PowerButton => world.start(),
                Happens::Guests(there) => world.guests = if there { vec!["web".into()] } else { Vec::new() },
                Happens::Approve => world.spec.approved_plan = world.status.plan.as_ref().map(|plan| plan.hash.clone()),
                Happens::Dies => (world.sent, world.failure) = (Sent::Unknown, None),
                Happens::Passes(times) => for _ in 0..times {
                    let before = world.done.len();
                    let old = world.status.plan.clone();
                    let plan = world.pass();
                    let Some(step) = &plan.send else { continue };
                    prop_assert!(!world.spec.suspend);
                    let approved = world.spec.approved_plan.is_some() || old.is_some_and(|old| !old.waiting);
                    prop_assert!(world.guests.is_empty() || !step.command.interrupts() || approved);
                    if step.command == Command::Reset && world.done.len() > before {
                        let count = resets.entry(plan.operation.unwrap().goal).or_default();
                        *count += 1;
                        prop_assert!(*count <= 1, "a request was met twice");
                    }
                },
            }
        }
        for _ in 0..300 {
            world.pass();
        }
        prop_assert_eq!((world.power, world.reason()), (PowerState::On, "AsWanted"));
    }
}
