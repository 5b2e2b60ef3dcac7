//! A BMC with a password, changed by a process that may die between any two things that it does.

use jiff::{SignedDuration, Timestamp};
use slipway_api::conditions::{HasConditions, Verdict};
use slipway_api::node::Done;
use slipway_api::{NodeSpec, NodeStatus};

use super::*;
use crate::node::bmc::login::{Try, may_try};
use crate::node::bmc::plan::{Failure, Trouble};
use crate::node::bmc::{Seen, View, Wanted, plan};

const ROTATE: &str = "rotate: {requestedAt: r1, secretRef: {name: t}}";

/// What becomes of the change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Taken,
    LostAfter,
    LostBefore,
    /// Said to be done, and not done.
    Kept,
    /// The BMC does not like the password.
    Refused,
}

struct World {
    spec: NodeSpec,
    status: NodeStatus,
    /// The password that the BMC has.
    has: Which,
    fate: Fate,
    /// Logins that were refused since one was taken, and the most there ever were.
    refused: u32,
    most_refused: u32,
    /// Changes that were sent.
    sent_times: u32,
    session: Option<Which>,
    sent: Sent,
    failure: Option<Failure>,
    now: Timestamp,
    /// Things done until the process dies.
    dies_in: Option<u32>,
    notes: Vec<&'static str>,
}

/// The process dies.
struct Dead;

impl World {
    fn new(rotate: &str) -> Self {
        let login = LoginStatus { version: "s/1".into(), ..LoginStatus::default() };
        let bmc = BmcStatus { login: Some(login), ..BmcStatus::default() };
        Self {
            spec: spec(rotate),
            status: NodeStatus { bmc: Some(bmc), done: Some(Done::default()), ..NodeStatus::default() },
            has: Which::Present,
            fate: Fate::Taken,
            refused: 0,
            most_refused: 0,
            sent_times: 0,
            session: None,
            sent: Sent::Unknown,
            failure: None,
            now: Timestamp::from_second(1_000_000).unwrap(),
            dies_in: None,
            notes: Vec::new(),
        }
    }

    fn wanted(&self) -> Wanted {
        crate::node::validate(&self.spec).unwrap().bmc.unwrap()
    }

    /// One more thing is done, or the process dies before it.
    fn step(&mut self) -> Result<(), Dead> {
        let left = self.dies_in.map(|left| left.checked_sub(1));
        if left == Some(None) {
            self.dies_in = None;
            (self.session, self.sent, self.failure) = (None, Sent::Unknown, None);
            return Err(Dead);
        }
        self.dies_in = left.flatten();
        Ok(())
    }

    fn using(&self) -> Which {
        match &self.wanted().rotate {
            Some(rotate) => which(&self.status, rotate, "s/1", "t/1", &self.sent),
            None => Which::Present,
        }
    }

    /// One pass, as the controller makes it.
    fn pass(&mut self) -> Result<(), Dead> {
        self.now = self.now.checked_add(SignedDuration::from_secs(2)).unwrap();
        let using = self.using();
        let is_sending = self.session == Some(using);
        if !is_sending {
            self.log_in(using)?;
        }
        if self.session == Some(using) {
            self.plan(using)?;
        }
        Ok(())
    }

    fn log_in(&mut self, using: Which) -> Result<(), Dead> {
        let version = if using == Which::Present { "s/1" } else { "t/1" };
        let doubt = is_in_doubt(&self.status);
        let is_told = |login: &&LoginStatus| !doubt || login.tries > 0;
        let known = tries(self.status.bmc.as_ref(), version).filter(is_told).cloned();
        match may_try(known.as_ref(), version, MOST_OF_TWO) {
            Try::Exhausted => return Ok(()),
            Try::Proven => {}
            Try::Counted(login) => {
                self.step()?;
                self.record(login);
            }
        }
        self.step()?;
        (self.session, self.sent) = (None, Sent::Unknown);
        let taken = using == self.has;
        self.refused = if taken { 0 } else { self.refused + 1 };
        self.most_refused = self.most_refused.max(self.refused);
        self.step()?;
        self.session = taken.then_some(using);
        self.record(LoginStatus { version: version.into(), tries: u8::from(!taken), refusals: 0, refused: !taken });
        Ok(())
    }

    fn record(&mut self, login: LoginStatus) {
        let rotate = self.wanted().rotate;
        record(self.status.bmc.get_or_insert_default(), login, rotate.as_ref().map(|rotate| (rotate, "t/1")));
    }

    fn plan(&mut self, using: Which) -> Result<(), Dead> {
        let observed = BmcObserved { power: PowerState::On, ..nothing() };
        let pair = Pair {
            present: "s/1".into(),
            present_name: "s".into(),
            new: "t/1".into(),
            same: false,
            complete: true,
            using,
        };
        let view = View {
            seen: Seen::Shown { observed, at: self.now, took: SignedDuration::ZERO, deep: true },
            sent: self.sent.clone(),
            failure: self.failure.clone(),
            guests: Vec::new(),
            twins: Vec::new(),
            secrets: self.spec.bmc.as_ref().unwrap().rotate.is_some().then_some(Ok(pair)),
            suspended: false,
            hold: None,
        };
        let plan = plan(&self.wanted(), &self.status, &view, "u", self.now);
        self.step()?;
        self.status.operation.clone_from(&plan.operation);
        self.status.plan.clone_from(&plan.plan);
        self.status.bmc.get_or_insert_default().rotation.clone_from(&plan.rotation);
        self.notes.extend(plan.notes.iter().map(|note| note.reason));
        let verdict = match plan.told {
            Told::Say(verdict) => verdict,
            _ => Verdict { state: State::Converged, reason: "AsWanted".into(), message: String::new() },
        };
        self.status.judge(&verdict, 1, self.now);
        if plan.send.is_some() {
            self.step()?;
            self.deliver()?;
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Dead> {
        self.sent_times += 1;
        if matches!(self.fate, Fate::Taken | Fate::LostAfter) {
            self.has = Which::New;
        }
        self.step()?;
        self.sent = match self.fate {
            Fate::Taken | Fate::Kept => Sent::Taken,
            Fate::LostAfter | Fate::LostBefore => Sent::Lost,
            Fate::Refused => {
                let until = self.now.checked_add(SignedDuration::from_mins(10)).unwrap();
                let (command, message) = ("SetPassword".into(), "too short".into());
                let at = self.now;
                self.failure = Some(Failure { command, needs_person: true, reason: "BmcRefused", message, at, until });
                Sent::Refused { needs_person: true }
            }
        };
        Ok(())
    }

    fn settle(&mut self) {
        for _ in 0..30 {
            // Whoever dies is followed by another.
            let _ = self.pass();
        }
    }

    fn reason(&self) -> &str {
        &self.status.conditions[0].reason
    }

    fn record_now(&self) -> Option<&RotationStatus> {
        self.status.bmc.as_ref()?.rotation.as_ref()
    }
}

fn spec(rotate: &str) -> NodeSpec {
    let text = format!("bmc: {{address: \"ipmi://h\", credentials: {{secretRef: {{name: s}}}}, {rotate}}}");
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn a_password_is_changed_proven_and_said_what_to_do() {
    let mut world = World::new(ROTATE);
    world.settle();
    assert_eq!((world.has, world.session, world.sent_times), (Which::New, Some(Which::New), 1));
    assert_eq!(world.reason(), "PasswordRotated");
    let message = &world.status.conditions[0].message;
    assert!(message.contains("point spec.bmc.credentials.secretRef at t"), "{message}");
    assert_eq!((world.notes.clone(), world.most_refused), (vec!["PasswordRotated"], 0));
    assert_eq!(world.status.operation, None);
}

#[test]
fn wherever_the_process_dies_one_of_the_two_works_and_it_is_known_which() {
    for fate in [Fate::Taken, Fate::LostAfter, Fate::LostBefore, Fate::Kept, Fate::Refused] {
        for first in 0..16 {
            for second in [None].into_iter().chain((0..12).map(Some)) {
                let mut world = World::new(ROTATE);
                (world.fate, world.dies_in) = (fate, Some(first));
                for _ in 0..30 {
                    if world.pass().is_err() {
                        world.dies_in = second;
                        break;
                    }
                }
                world.settle();
                let story = format!("{fate:?}, dies at {first} and {second:?}: {:#?}", world.status);
                assert_eq!(world.session, Some(world.has), "it is logged in. {story}");
                let known = world.record_now().is_some_and(|record| record.in_force);
                assert_eq!(known, world.has == Which::New, "it knows which. {story}");
                // Deaths between a count and its try cost nothing; a death between a try and its record costs one try.
                assert!(world.most_refused <= 2, "{} refused in a row. {story}", world.most_refused);
                assert!(world.sent_times <= 4, "{} times sent. {story}", world.sent_times);
                let reason = match fate {
                    Fate::LostBefore | Fate::Kept => "RotationFailed",
                    // Two deaths just before or after it was sent look like two answers that were lost.
                    _ if world.has == Which::Present && second.is_some() && world.sent_times != 1 => "RotationFailed",
                    Fate::Taken | Fate::LostAfter => "PasswordRotated",
                    Fate::Refused => "BmcRefused",
                };
                if fate == Fate::Refused && second.is_some() {
                    assert!(["BmcRefused", "RotationFailed"].contains(&world.reason()), "{story}");
                    continue;
                }
                assert_eq!(world.reason(), reason, "{story}");
            }
        }
    }
}

#[test]
fn a_change_whose_answer_is_lost_is_not_sent_for_ever() {
    let mut world = World::new(ROTATE);
    world.fate = Fate::LostBefore;
    world.settle();
    assert_eq!((world.sent_times, world.reason(), world.has), (2, "RotationFailed", Which::Present));
    assert_eq!(world.session, Some(Which::Present), "the old one serves on");
    world.fate = Fate::Taken;
    world.spec = spec("rotate: {requestedAt: r2, secretRef: {name: t}}");
    world.settle();
    assert_eq!((world.sent_times, world.reason()), (3, "PasswordRotated"));
}

#[test]
fn a_change_that_was_made_before_the_record_was_lost_is_found_out() {
    let mut world = World::new(ROTATE);
    world.has = Which::New;
    world.status.bmc = None;
    world.settle();
    assert_eq!((world.session, world.sent_times, world.most_refused), (Some(Which::New), 0, 1));
    assert_eq!(world.reason(), "PasswordRotated");
}

#[test]
fn a_request_that_is_taken_back_in_the_midst_ends_with_what_is_in_force() {
    let mut world = World::new(ROTATE);
    world.fate = Fate::LostBefore;
    world.dies_in = Some(3);
    while world.pass().is_ok() {}
    assert!(is_in_doubt(&world.status));
    world.spec = spec("");
    world.settle();
    assert_eq!((world.session, world.reason()), (Some(Which::Present), "AsWanted"));
    assert_eq!((&world.status.operation, world.record_now()), (&None, None));
}

#[test]
fn a_secret_whose_password_was_replaced_is_not_tried() {
    let mut world = World::new(ROTATE);
    world.settle();
    let status = &world.status;
    let rotate = world.wanted().rotate.unwrap();
    assert_eq!(outdated(status, Some((&rotate, "t/1")), "s/1", "s"), None, "the spec still names the one in force");
    let message = outdated(status, None, "s/1", "s").unwrap();
    assert!(message.contains("Point spec.bmc.credentials.secretRef at t"), "{message}");
    let next: Rotate = serde_saphyr::from_str("requestedAt: r2\nsecretRef: {name: u}").unwrap();
    assert!(outdated(status, Some((&next, "u/1")), "s/1", "s").is_some());
    assert_eq!(outdated(status, None, "s/2", "s"), None, "a Secret that changed may have the right one");
    assert_eq!(outdated(status, None, "t/1", "t"), None, "that is the one");
}

#[test]
fn a_secret_that_cannot_be_used_is_said_and_stops_nothing_else() {
    let world = World::new(ROTATE);
    let trouble = Trouble { reason: "SecretMissing", message: "Secret t is not there".into() };
    let observed = BmcObserved { power: PowerState::Off, ..nothing() };
    let mut view = View {
        seen: Seen::Shown { observed, at: world.now, took: SignedDuration::ZERO, deep: true },
        sent: Sent::Unknown,
        failure: None,
        guests: Vec::new(),
        twins: Vec::new(),
        secrets: Some(Err(trouble)),
        suspended: false,
        hold: None,
    };
    let of = |wanted: &Wanted, view: &View| plan(wanted, &world.status, view, "u", world.now);
    let told = of(&world.wanted(), &view).told;
    assert!(matches!(&told, Told::Say(verdict) if verdict.reason == "SecretMissing"), "{told:?}");
    let on = Wanted { power: Some(slipway_api::node::Power::On), ..world.wanted() };
    assert_eq!(of(&on, &view).send.map(|step| step.command), Some(Command::PowerOn));
    view.seen = Seen::Away {
        needs_person: true,
        reason: "BmcPasswordChangeRequired",
        message: "change it".into(),
        since: world.now,
    };
    assert!(of(&world.wanted(), &view).send.is_none());
}

#[test]
fn a_bmc_that_wants_a_new_password_first_gets_it() {
    let world = World::new(ROTATE);
    let pair = Pair {
        present: "s/1".into(),
        present_name: "s".into(),
        new: "t/1".into(),
        same: false,
        complete: true,
        using: Which::Present,
    };
    let seen = Seen::Away {
        needs_person: true,
        reason: "BmcPasswordChangeRequired",
        message: "change it".into(),
        since: world.now,
    };
    let view = View {
        seen,
        sent: Sent::Unknown,
        failure: None,
        guests: Vec::new(),
        twins: Vec::new(),
        secrets: Some(Ok(pair)),
        suspended: false,
        hold: None,
    };
    let planned = plan(&world.wanted(), &world.status, &view, "u", world.now);
    let command = planned.send.map(|step| (step.command, step.on));
    assert_eq!(command, Some((Command::SetPassword { secret: "t".into() }, None)));
    assert_eq!(planned.operation.map(|operation| operation.command).as_deref(), Some("SetPassword"));
    let suspended = View { suspended: true, ..view };
    assert!(plan(&world.wanted(), &world.status, &suspended, "u", world.now).send.is_none());
}
