//! The operator killed with SIGKILL between any two calls to a BMC: before each call, and after it. The fake BMC's own log says what
//! it was asked for: no power command twice.
//!
//! Each case is a Node whose BMC falls silent at its call. When all of them have come to theirs, the one operator of all is killed,
//! the BMCs answer again, and it is started anew. Which calls there are is not listed: a run without trouble tells them. By default
//! of the calls that only look some are taken, with `SLIPWAY_TEST_FULL` all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Operator, Part, can_run, eventually, with_namespace};
use slipway_fakes::bmc::ipmi::{self, FakeIpmi};
use slipway_fakes::bmc::redfish::{self, FakeRedfish, Flavour};
use slipway_fakes::bmc::{BootDevice, Cause, Happening, Identity, Machine, Power, PowerAction, Soft, Timing};
use slipway_fakes::faults;

/// A command of which nobody knows is waited for half a minute before it is sent again.
const SOON: Duration = Duration::from_mins(4);
/// Cases of one operator.
const AT_ONCE: usize = 150;
/// Calls of one kind that are taken of a phase by default.
const FEW: u64 = 3;
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

const PHASES: [Phase; 7] = [
    Phase::On,
    Phase::OffThenForced,
    Phase::Reset,
    Phase::GracefulRestart,
    Phase::BootOnce,
    Phase::Media,
    Phase::Rotation,
];

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

    fn forget_calls(&self) {
        match self {
            Self::Ipmi(fake) => fake.forget(),
            Self::Redfish(fake) => fake.forget_calls(),
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

    /// Falls silent at a call.
    fn stop_at(&self, point: &Point) -> Result<()> {
        match self {
            Self::Ipmi(fake) => {
                let seen = fake.seen().into_iter().find(|seen| format!("{:?}", seen.call) == point.call);
                let call = seen.map_or_else(|| parsed(&point.call), |seen| Some(seen.call)).context("no such call")?;
                let effect = if point.after { ipmi::Effect::SilentAfter } else { ipmi::Effect::SilentBefore };
                fake.inject(ipmi::Fault::at(call, effect).nth(point.nth));
            }
            Self::Redfish(fake) => {
                let at = if point.after { faults::Fault::after } else { faults::Fault::before };
                fake.inject(at(&point.call, faults::Effect::Hang).nth(point.nth));
            }
        }
        Ok(())
    }

    /// Whether it fell silent.
    fn has_stopped(&self) -> bool {
        match self {
            Self::Ipmi(fake) => fake.is_silent(),
            Self::Redfish(fake) => fake.faults().times_struck() > 0,
        }
    }

    /// Answers again. What it had not done at its call is never done.
    fn goes_on(&self) {
        match self {
            Self::Ipmi(fake) => fake.clear_faults(),
            Self::Redfish(fake) => fake.faults().clear(),
        }
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

/// A Node on a BMC of its own.
struct Case {
    name: String,
    protocol: Protocol,
    phase: Phase,
    /// Where the operator is killed; `None`: nowhere.
    point: Option<Point>,
    fake: Fake,
}

impl Case {
    async fn new(number: usize, protocol: Protocol, phase: Phase, point: Option<Point>) -> Result<Self> {
        let soft = if phase == Phase::OffThenForced { Soft::Ignored } else { Soft::After(Duration::from_millis(50)) };
        let identity = Identity::numbered(u16::try_from(number)?);
        let machine = Machine::new(identity, Timing { soft, ..Timing::default() });
        if !matches!(phase, Phase::On | Phase::BootOnce) {
            machine.ask(PowerAction::On, Cause::Button)?;
            machine.until_power(Power::On).await;
        }
        let name = format!("n{number}");
        Ok(Self { name, protocol, phase, point, fake: Fake::start(protocol, machine).await? })
    }

    fn told(&self) -> String {
        format!("{} {:?} {:?}, killed at {:?}", self.name, self.protocol, self.phase, self.point)
    }

    async fn apply(&self, ns: &TestNamespace, more: &Value, of_bmc: &Value) -> Result<()> {
        let mut spec = json!({"bmc": {"address": self.fake.address(), "credentials": {"secretRef": {"name": "old"}}}});
        for (place, fields) in [("", more), ("bmc", of_bmc)] {
            for (key, value) in fields.as_object().into_iter().flatten() {
                let target = if place.is_empty() { &mut spec } else { &mut spec[place] };
                target[key] = value.clone();
            }
        }
        let node = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": self.name}, "spec": spec,
        });
        ns.api::<Node>().patch(&self.name, &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?;
        Ok(())
    }

    async fn trigger(&self, ns: &TestNamespace) -> Result<()> {
        let nothing = json!({});
        let at = "2026-11-21T10:00:00Z";
        let (more, of_bmc) = match self.phase {
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
        self.apply(ns, &more, &of_bmc).await
    }

    /// Waits until the phase has ended, and looks into the BMC's own log.
    async fn settled(&self, ns: &TestNamespace) -> Result<()> {
        let over = |node: &Node| {
            let status = serde_json::to_value(&node.status).unwrap_or_default();
            let ready =
                status["conditions"].as_array().and_then(|all| all.iter().find(|it| it["type"] == "Ready").cloned());
            let ready = ready.unwrap_or_default();
            let is_seen = status["observedGeneration"].as_i64() == node.metadata.generation;
            let rests = status["operation"].is_null() || status["operation"]["inDoubt"] == true;
            is_seen && rests && (ready["status"] == "True" || ready["reason"] == "OutcomeUnknown")
        };
        let phase = self.phase;
        let node = ns.wait_for::<Node>(&self.name, &format!("{phase:?} is over"), SOON, over).await?;
        let status = serde_json::to_value(&node.status)?;
        let doubt = status["operation"]["inDoubt"] == true;
        let machine = self.fake.machine();
        let asked = |wanted: PowerAction| {
            let commanded = |happening: &Happening| matches!(happening, Happening::Asked(action, Cause::Command) if *action == wanted);
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

/// Runs cases with one operator, which is killed once when all of them have come to their points.
async fn run(cases: &[Case]) -> Result<()> {
    with_namespace(async |ns| {
        for (name, password) in [("old", OLD), ("new", NEW)] {
            let secret = json!({"metadata": {"name": name}, "stringData": {"username": "admin", "password": password}});
            ns.create_secret(&serde_json::from_value(secret)?).await?;
        }
        // Without a lease: the next start need not wait until that of the killed one has run out.
        let args = ["--namespace", &ns.name, "--system-namespace", &ns.name, "--leader-elect=false"];
        let operator = Arc::new(Operator::spawn(Some(&ns.cluster.kubeconfig()), &args)?);
        ns.watch_log(&operator);
        operator.wait_ready().await?;
        try_join_all(cases.iter().map(async |case| {
            case.apply(&ns, &json!({}), &json!({})).await?;
            ns.wait_condition::<Node>(&case.name, "Ready", "True", SOON).await
        }))
        .await?;
        for case in cases {
            case.point.iter().try_for_each(|point| case.fake.stop_at(point))?;
            case.fake.forget_calls();
        }
        try_join_all(cases.iter().map(|case| case.trigger(&ns))).await?;
        if cases.iter().any(|case| case.point.is_some()) {
            all(cases, async |case| come_to_its_point(case, &ns).await).await?;
            operator.kill();
            for case in cases {
                case.fake.goes_on();
            }
            operator.restart().await?;
        }
        all(cases, async |case| case.settled(&ns).await).await
    })
    .await
}

/// Does something with all cases at once, and tells of all that fail.
async fn all(cases: &[Case], what: impl AsyncFn(&Case) -> Result<()>) -> Result<()> {
    let outcomes = join_all(cases.iter().map(async |case| what(case).await.with_context(|| case.told()))).await;
    let failed: Vec<_> = outcomes.into_iter().filter_map(|outcome| Some(format!("{:#}", outcome.err()?))).collect();
    ensure!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
    Ok(())
}

/// Waits until a BMC fell silent. A look may fall together with another one: then there was no such call.
async fn come_to_its_point(case: &Case, ns: &TestNamespace) -> Result<()> {
    let Some(point) = &case.point else { return Ok(()) };
    let stopped = eventually("the call at which it falls silent", SOON, || async {
        ensure!(case.fake.has_stopped(), "it was not made");
        Ok(())
    });
    tokio::select! {
        stopped = stopped => stopped,
        settled = case.settled(ns) => {
            settled?;
            ensure!(!changes(&point.call) || case.fake.has_stopped(), "the call was never made");
            Ok(())
        }
    }
}

/// Every call of every phase when nothing goes wrong, and when to crash at it.
async fn learned() -> Result<Vec<(Protocol, Phase, Point)>> {
    let full = std::env::var_os("SLIPWAY_TEST_FULL").is_some();
    let both = [Protocol::Ipmi, Protocol::Redfish];
    let kinds = both.into_iter().flat_map(|protocol| PHASES.map(|phase| (protocol, phase)));
    // IPMI has no media.
    let kinds = kinds.filter(|kind| *kind != (Protocol::Ipmi, Phase::Media)).enumerate();
    let cases = try_join_all(kinds.map(|(number, (protocol, phase))| Case::new(number, protocol, phase, None))).await?;
    run(&cases).await.context("a run without trouble")?;
    let mut points = Vec::new();
    for case in &cases {
        let mut counts = BTreeMap::<String, u64>::new();
        for call in case.fake.calls() {
            *counts.entry(call).or_default() += 1;
        }
        ensure!(counts.keys().any(|call| changes(call)), "{} changes nothing: {counts:?}", case.told());
        for (number, (call, count)) in counts.into_iter().enumerate() {
            for nth in 1..=count {
                for after in [false, true] {
                    // Of what only looks, one is as good as another.
                    let one_of_many = nth == 1 && number % 4 == 0 && after == (number % 8 == 0);
                    if full || changes(&call) && nth <= FEW || one_of_many {
                        points.push((case.protocol, case.phase, Point { call: call.clone(), nth, after }));
                    }
                }
            }
        }
    }
    Ok(points)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_power_command_is_sent_twice_wherever_the_operator_dies() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let began = Instant::now();
    let points = learned().await?;
    println!("{} points after {:.1?}", points.len(), began.elapsed());
    for (batch, points) in points.chunks(AT_ONCE).enumerate() {
        let cases = points.iter().enumerate().map(|(number, (protocol, phase, point))| {
            Case::new(batch * AT_ONCE + number, *protocol, *phase, Some(point.clone()))
        });
        let cases = try_join_all(cases).await?;
        run(&cases).await?;
        println!("{} Nodes were in the middle of it, {:.1?}", cases.len(), began.elapsed());
    }
    Ok(())
}
