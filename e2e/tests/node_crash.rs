//! The operator killed with SIGKILL at the calls to a BMC, before or after each in turn, with `SLIPWAY_TEST_FULL` at each and
//! before and after it. The fake BMC's own log says what it was asked for: no power command twice.
//!
//! Which calls there are is not listed: a run without trouble tells them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::process::{Signal, send, wait_dead};
use slipway_e2e::lab::{Operator, Part, can_run, eventually, with_namespace};
use slipway_fakes::bmc::ipmi::{self, FakeIpmi};
use slipway_fakes::bmc::redfish::{self, FakeRedfish, Flavour};
use slipway_fakes::bmc::{BootDevice, Happening, Identity, Machine, Power, PowerAction, Soft, Timing};
use slipway_fakes::faults::{self, Hook};

/// A command of which nobody knows is waited for half a minute before it is sent again.
const SOON: Duration = Duration::from_mins(3);
/// Cases at a time: they mostly wait.
const AT_ONCE: usize = 12;
const OLD: &str = "old-secret-1";
const NEW: &str = "new-secret-22";

/// What is wanted of the Node when the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    On,
    /// The system does not care for the graceful one.
    OffThenForced,
    Reset,
    GracefulRestart,
    BootOnce,
    Media,
    Rotation,
}

/// A call at which to crash: its name, its number from 1 since the phase began, and when.
#[derive(Clone, Debug)]
struct Point {
    call: String,
    nth: u64,
    after: bool,
}

enum Fake {
    Ipmi(FakeIpmi),
    Redfish(FakeRedfish),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Ipmi,
    Redfish,
}

impl Fake {
    async fn start(protocol: Protocol, machine: Arc<Machine>) -> Result<Self> {
        Ok(match protocol {
            Protocol::Ipmi => {
                let lockout = ipmi::Lockout { after: 3, lasts: Duration::from_hours(1) };
                let users = vec![ipmi::User::new("admin", OLD, ipmi::Privilege::Administrator)];
                let settings = ipmi::Settings { users, lockout: Some(lockout), ..ipmi::Settings::default() };
                Self::Ipmi(FakeIpmi::start(machine, settings).await?)
            }
            Protocol::Redfish => {
                let settings = redfish::Settings {
                    password: OLD.into(),
                    locks_after: Some(3),
                    ..redfish::Settings::of(Flavour::Idrac)
                };
                Self::Redfish(FakeRedfish::start(machine, settings).await?)
            }
        })
    }

    fn address(&self) -> String {
        match self {
            Self::Ipmi(fake) => format!("ipmi://{}", fake.address()),
            Self::Redfish(fake) => format!("redfish+{}{}", fake.url(), fake.system()),
        }
    }

    /// What it was asked so far, by name.
    fn calls(&self) -> Vec<String> {
        match self {
            Self::Ipmi(fake) => fake.seen().iter().map(|seen| format!("{:?}", seen.call)).collect(),
            Self::Redfish(fake) => fake.calls().iter().map(|call| call.name.to_owned()).collect(),
        }
    }

    fn machine(&self) -> Arc<Machine> {
        match self {
            Self::Ipmi(fake) => fake.machine(),
            Self::Redfish(fake) => fake.machine(),
        }
    }

    fn has_password(&self, password: &str) -> bool {
        match self {
            Self::Ipmi(fake) => fake.has_password("admin", password),
            Self::Redfish(fake) => fake.has_password(password),
        }
    }

    /// Kills a process at a call.
    fn kill_at(&self, point: &Point, pid: u32) -> Result<()> {
        let hook = Hook::new(move || {
            // A failure means that it is dead already.
            let _ = send(pid, Signal::KILL);
            wait_dead(pid, Duration::from_secs(10));
        });
        match self {
            Self::Ipmi(fake) => {
                let seen = fake.seen().into_iter().find(|seen| format!("{:?}", seen.call) == point.call);
                let call = seen.map_or_else(|| parsed(&point.call), |seen| Some(seen.call)).context("no such call")?;
                let effect = if point.after { ipmi::Effect::HookAfter(hook) } else { ipmi::Effect::HookBefore(hook) };
                fake.inject(ipmi::Fault::at(call, effect).nth(point.nth));
            }
            Self::Redfish(fake) => {
                let effect = faults::Effect::Hook(hook);
                let at = if point.after { faults::Fault::after } else { faults::Fault::before };
                fake.inject(at(&point.call, effect).nth(point.nth));
            }
        }
        Ok(())
    }
}

/// `Command(0, 2)`, as the fake calls it.
fn parsed(name: &str) -> Option<ipmi::Call> {
    let (function, command) = name.strip_prefix("Command(")?.strip_suffix(')')?.split_once(", ")?;
    Some(ipmi::Call::Command(function.parse().ok()?, command.parse().ok()?))
}

/// Whether a call changes something: chassis control, boot options, password; or what Redfish `POST`s and `PATCH`es.
fn changes(call: &str) -> bool {
    let of_ipmi = ["Command(0, 2)", "Command(0, 8)", "Command(6, 71)"];
    let of_redfish = ["reset", "boot", "media-insert", "media-eject", "media", "password"];
    of_ipmi.contains(&call) || of_redfish.contains(&call)
}

/// One Node on a BMC of its own, and an operator of its own.
struct Bed {
    ns: Arc<TestNamespace>,
    fake: Fake,
    operator: Arc<Operator>,
}

impl Bed {
    async fn new(ns: Arc<TestNamespace>, protocol: Protocol, phase: Phase) -> Result<Self> {
        let soft = if phase == Phase::OffThenForced { Soft::Ignored } else { Soft::After(Duration::from_millis(50)) };
        let machine = Machine::new(Identity::numbered(1), Timing { soft, ..Timing::default() });
        if !matches!(phase, Phase::On | Phase::BootOnce) {
            machine.ask(PowerAction::On, slipway_fakes::bmc::Cause::Button)?;
            machine.until_power(Power::On).await;
        }
        let fake = Fake::start(protocol, machine).await?;
        for (name, password) in [("old", OLD), ("new", NEW)] {
            let secret = json!({"metadata": {"name": name}, "stringData": {"username": "admin", "password": password}});
            ns.create_secret(&serde_json::from_value(secret)?).await?;
        }
        // Without a lease: the next start need not wait until that of the killed one has run out.
        let args = ["--namespace", &ns.name, "--system-namespace", &ns.name, "--leader-elect=false"];
        let operator = Arc::new(Operator::spawn(Some(&ns.cluster.kubeconfig()), &args)?);
        ns.watch_log(&operator);
        operator.wait_ready().await?;
        let bed = Self { ns, fake, operator };
        bed.apply(&json!({}), &json!({})).await?;
        bed.ns.wait_condition::<Node>("n", "Ready", "True", SOON).await?;
        Ok(bed)
    }

    async fn apply(&self, more: &Value, of_bmc: &Value) -> Result<()> {
        let mut spec = json!({"bmc": {"address": self.fake.address(), "credentials": {"secretRef": {"name": "old"}}}});
        for (place, fields) in [("", more), ("bmc", of_bmc)] {
            for (key, value) in fields.as_object().into_iter().flatten() {
                let target = if place.is_empty() { &mut spec } else { &mut spec[place] };
                target[key] = value.clone();
            }
        }
        let node =
            json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": "n"}, "spec": spec});
        self.ns.api::<Node>().patch("n", &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?;
        Ok(())
    }

    async fn trigger(&self, phase: Phase) -> Result<()> {
        let nothing = json!({});
        let at = "2026-11-21T10:00:00Z";
        let (more, of_bmc) = match phase {
            Phase::On => (json!({"power": "On"}), nothing),
            Phase::OffThenForced => {
                let off = json!({"mode": "Graceful", "timeout": "2s", "thenForce": true});
                (json!({"power": "Off", "powerOff": off, "approval": "Never"}), nothing)
            }
            Phase::Reset => (json!({"reboot": {"requestedAt": at, "mode": "Force"}}), nothing),
            Phase::GracefulRestart => {
                let off = json!({"timeout": "5s"});
                (json!({"reboot": {"requestedAt": at}, "powerOff": off, "approval": "Never"}), nothing)
            }
            Phase::BootOnce => (json!({"power": "On", "boot": {"device": "Pxe", "mode": "Uefi"}}), nothing),
            Phase::Media => (json!({"virtualMedia": {"image": "http://127.0.0.1/boot.iso"}}), nothing),
            Phase::Rotation => (nothing, json!({"rotate": {"requestedAt": at, "secretRef": {"name": "new"}}})),
        };
        self.apply(&more, &of_bmc).await
    }

    /// Waits until the phase has ended, and looks into the BMC's own log.
    async fn settled(&self, phase: Phase) -> Result<()> {
        let over = |node: &Node| {
            let status = serde_json::to_value(&node.status).unwrap_or_default();
            let ready =
                status["conditions"].as_array().and_then(|all| all.iter().find(|it| it["type"] == "Ready").cloned());
            let ready = ready.unwrap_or_default();
            let is_seen = status["observedGeneration"].as_i64() == node.metadata.generation;
            let rests = status["operation"].is_null() || status["operation"]["inDoubt"] == true;
            is_seen && rests && (ready["status"] == "True" || ready["reason"] == "OutcomeUnknown")
        };
        let node = self.ns.wait_for::<Node>("n", &format!("{phase:?} is over"), SOON, over).await?;
        let status = serde_json::to_value(&node.status)?;
        let doubt = status["operation"]["inDoubt"] == true;
        let machine = self.fake.machine();
        let asked = |wanted: PowerAction| {
            let commanded = |happening: &Happening| matches!(happening, Happening::Asked(action, slipway_fakes::bmc::Cause::Command) if *action == wanted);
            machine.events().iter().filter(|event| commanded(&event.what)).count()
        };
        let all = [PowerAction::On, PowerAction::Off, PowerAction::SoftOff, PowerAction::Reset, PowerAction::Cycle];
        let counts: Vec<usize> = all.into_iter().map(asked).collect();
        let exactly = |wanted: [usize; 5]| -> Result<()> {
            ensure!(counts == wanted, "asked for on, off, soft off, reset, cycle {counts:?} times, not {wanted:?}");
            Ok(())
        };
        ensure!(!doubt || phase == Phase::Reset, "in doubt: {status:#}");
        match phase {
            Phase::On => exactly([1, 0, 0, 0, 0])?,
            Phase::OffThenForced => {
                ensure!(counts[1] == 1 && counts[2] <= 1 && counts[0] + counts[3] + counts[4] == 0, "{counts:?}");
                ensure!(machine.power() == Power::Off, "it is on");
            }
            Phase::Reset if doubt => exactly([0, 0, 0, 0, 0])?,
            Phase::Reset => exactly([0, 0, 0, 1, 0])?,
            // One that was lost is not sent again, but followed by force.
            Phase::GracefulRestart => {
                let [on, off, soft, ..] = counts[..] else { anyhow::bail!("{counts:?}") };
                ensure!(on == 1 && off <= 1 && soft <= 1 && off + soft >= 1, "{counts:?}");
                exactly([on, off, soft, 0, 0])?;
            }
            Phase::BootOnce => {
                exactly([1, 0, 0, 0, 0])?;
                let boots: Vec<_> = machine.boots().iter().map(|boot| boot.device).collect();
                ensure!(boots == [BootDevice::Pxe], "it started from {boots:?}");
            }
            Phase::Media => {
                let Fake::Redfish(fake) = &self.fake else { anyhow::bail!("IPMI has no media") };
                ensure!(fake.image().as_deref() == Some("http://127.0.0.1/boot.iso"), "{:?}", fake.image());
            }
            Phase::Rotation => {
                ensure!(self.fake.has_password(NEW), "the password is the old one");
                ensure!(status["bmc"]["rotation"]["inForce"] == true, "it does not know: {status:#}");
                ensure!(status["conditions"][0]["reason"] == "PasswordRotated", "{status:#}");
            }
        }
        Ok(())
    }
}

/// Every call of a phase when nothing goes wrong.
async fn points(protocol: Protocol, phase: Phase) -> Result<Vec<Point>> {
    let mut counts = BTreeMap::<String, u64>::new();
    let found = &mut counts;
    with_namespace(async move |ns| {
        let bed = Bed::new(ns, protocol, phase).await?;
        let before = bed.fake.calls().len();
        bed.trigger(phase).await?;
        bed.settled(phase).await?;
        bed.fake.calls().into_iter().skip(before).for_each(|call| *found.entry(call).or_default() += 1);
        Ok(())
    })
    .await
    .context("a run without trouble")?;
    let full = std::env::var_os("SLIPWAY_TEST_FULL").is_some();
    let mut points = Vec::new();
    for (number, (call, count)) in counts.into_iter().enumerate() {
        // Of what only looks, one is as good as another; whether there is a login at all is left to chance.
        let looks = !changes(&call);
        for nth in (1..=count).take(if full {
            usize::MAX
        } else if looks {
            1
        } else {
            3
        }) {
            for after in [false, true].into_iter().filter(|&after| full || !looks || after == (number % 2 == 1)) {
                points.push(Point { call: call.clone(), nth, after });
            }
        }
    }
    Ok(points)
}

async fn crash_at(protocol: Protocol, phase: Phase, point: Point) -> Result<()> {
    with_namespace(async move |ns| {
        let bed = Bed::new(ns, protocol, phase).await?;
        bed.fake.kill_at(&point, bed.operator.pid())?;
        bed.trigger(phase).await?;
        // A look may fall together with another one: then there was no such call.
        let crashed = eventually("the operator to be killed", SOON, || async {
            ensure!(!bed.operator.is_running(), "it runs");
            Ok(())
        });
        tokio::select! {
            killed = crashed => killed?,
            settled = bed.settled(phase) => {
                settled?;
                ensure!(!changes(&point.call), "the call was never made");
            }
        }
        bed.operator.restart().await?;
        bed.settled(phase).await
    })
    .await
}

async fn every_point(protocol: Protocol, phases: &[Phase]) -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let learned: Vec<_> = stream::iter(phases)
        .map(async |&phase| (phase, points(protocol, phase).await))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut cases = Vec::new();
    for (phase, points) in learned {
        let points = points.with_context(|| format!("{phase:?}"))?;
        ensure!(points.iter().any(|point| changes(&point.call)), "{phase:?} changes nothing: {points:?}");
        cases.extend(points.into_iter().map(|point| (phase, point)));
    }
    let number = cases.len();
    let outcomes: Vec<Result<()>> = stream::iter(cases)
        .map(async |(phase, point)| {
            let what = format!("{protocol:?} {phase:?}: killed at {point:?}");
            let outcome = tokio::time::timeout(Duration::from_mins(8), crash_at(protocol, phase, point)).await;
            outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("no end"))).context(what)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for outcome in outcomes {
        outcome?;
    }
    println!("{protocol:?}: {number} crashes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes minutes, and finds a graceful off that is sent again after a kill"]
async fn at_every_call_of_ipmi() -> Result<()> {
    use Phase::{BootOnce, GracefulRestart, OffThenForced, On, Reset, Rotation};
    every_point(Protocol::Ipmi, &[On, OffThenForced, Reset, GracefulRestart, BootOnce, Rotation]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes minutes, and finds a graceful off that is sent again after a kill"]
async fn at_every_call_of_redfish() -> Result<()> {
    use Phase::{BootOnce, GracefulRestart, Media, OffThenForced, On, Reset, Rotation};
    every_point(Protocol::Redfish, &[On, OffThenForced, Reset, GracefulRestart, BootOnce, Media, Rotation]).await
}
