//! A site of twelve Nodes in three groups, powered through fake BMCs by the real operator, which is killed again and again:
//! what the machines themselves show must keep to the order and the budgets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::conditions::{READY, find};
use slipway_api::{Design, Node};
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Operator, Part, can_run, eventually, with_namespace};
use slipway_fakes::bmc::ipmi::{Call, Effect, FakeIpmi, Fault, Settings};
use slipway_fakes::bmc::{Happening, Identity, Machine, Power, Soft, Timing};

use crate::sites::apply;

const SOON: Duration = Duration::from_mins(4);
/// Groups, each with so many Nodes; a group waits for the one before it.
const GROUPS: [(&str, u16); 3] = [("control", 3), ("storage", 4), ("compute", 5)];
/// Nodes that may be in the middle of a step at one time.
const SITE: usize = 3;
/// And of the group `compute`.
const COMPUTE: usize = 2;

/// What all of them are to be; nothing of it is looked at here.
const PROFILE: &str = "  hardwareProfiles: [{name: hw}]
  hostProfiles:
    - name: base
      hardwareProfile: hw
      storage: {disks: [{name: sda, partitions: [{name: root, size: 30g, filesystem: {mountpoint: /}}]}]}
";

/// The machines, by the name of their Node.
struct Machines(BTreeMap<String, FakeIpmi>);

impl Machines {
    async fn start() -> Result<Self> {
        let mut machines = BTreeMap::new();
        for (number, (group, index)) in
            GROUPS.iter().flat_map(|(group, count)| (0..*count).map(move |index| (group, index))).enumerate()
        {
            let short = Duration::from_millis(300);
            let timing = Timing { on: short, off: short, pause: short, reset: short, soft: Soft::After(short) };
            let machine = Machine::new(Identity::numbered(u16::try_from(number)?), timing);
            // A BMC keeps the session of an operator that was killed until it is idle for long.
            let settings = Settings { sessions: 32, ..Settings::default() };
            machines.insert(format!("{group}{index}"), FakeIpmi::start(machine, settings).await?);
        }
        Ok(Self(machines))
    }

    fn of<'m>(&'m self, group: &'m str) -> impl Iterator<Item = Arc<Machine>> + 'm {
        self.0.iter().filter(move |(name, _)| name.starts_with(group)).map(|(_, bmc)| bmc.machine())
    }

    fn site(&self, power: &str) -> String {
        let groups: Vec<_> = GROUPS
            .iter()
            .enumerate()
            .map(|(index, (group, _))| {
                let after =
                    index.checked_sub(1).map(|before| format!(", after: [{}]", GROUPS[before].0)).unwrap_or_default();
                let most = if *group == "compute" { format!(", maxUnavailable: {COMPUTE}") } else { String::new() };
                let selector = format!("selector: {{filters: [{{tags: [{group}]}}]}}");
                format!("    - {{name: {group}, {selector}{after}{most}}}")
            })
            .collect();
        let mut text = format!(
            "apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {{name: lab}}\nspec:\n{PROFILE}  rollout:\n    maxUnavailable: {SITE}\n    \
             groups:\n{}\n",
            groups.join("\n")
        );
        // The last group's Nodes first, so that the order is not that of their names.
        for (name, bmc) in self.0.iter().rev() {
            let group = name.trim_end_matches(char::is_numeric);
            let _ = write!(
                text,
                "---\napiVersion: slipway.dev/v1alpha1\nkind: Node\nmetadata: {{name: {name}}}\nspec:\n  designRef: {{name: lab}}\n  hostProfile: base\n  \
                 metadata: {{tags: [{group}]}}\n  bmc: {{address: 'ipmi://{}', credentials: {{secretRef: {{name: login}}}}}}\n{power}",
                bmc.address()
            );
        }
        text
    }

    /// When each machine was off, or was started anew, from a moment on: from its going off to its being on.
    fn gaps(&self, from: Timestamp) -> Vec<(String, Timestamp, Timestamp)> {
        let mut gaps = Vec::new();
        for (name, bmc) in &self.0 {
            let mut off = None;
            for event in bmc.machine().events().into_iter().filter(|event| event.at >= from) {
                match event.what {
                    Happening::Off(_) => off = Some(event.at),
                    Happening::On(_) => gaps.extend(off.take().map(|off| (name.clone(), off, event.at))),
                    _ => {}
                }
            }
            gaps.extend(off.map(|off| (name.clone(), off, Timestamp::MAX)));
        }
        gaps.sort_by_key(|(_, off, _)| *off);
        gaps
    }

    /// When each machine of a group went on for the first time.
    fn first_on(&self, group: &str) -> Vec<Timestamp> {
        let on = |machine: Arc<Machine>| {
            machine.events().into_iter().find(|event| matches!(event.what, Happening::On(_))).map(|event| event.at)
        };
        self.of(group).filter_map(on).collect()
    }
}

/// Never more at a time than the budgets allow, and no group before the one that it waits for has ended.
fn check(gaps: &[(String, Timestamp, Timestamp)]) -> Result<()> {
    for (name, off, on) in gaps {
        let others = gaps.iter().filter(|(_, begun, ended)| begun <= off && off < ended);
        let names: Vec<&str> = others.map(|(name, ..)| name.as_str()).collect();
        ensure!(names.len() <= SITE, "{names:?} are off at the same time");
        let compute = names.iter().filter(|name| name.starts_with("compute")).count();
        ensure!(compute <= COMPUTE, "{names:?} are off at the same time");
        for pair in GROUPS.windows(2).filter(|pair| name.starts_with(pair[0].0)) {
            let early = gaps.iter().find(|(other, begun, _)| other.starts_with(pair[1].0) && begun < on);
            ensure!(early.is_none(), "{early:?} begins before {name} has ended at {on}");
        }
    }
    Ok(())
}

/// An operator that acts at once when it is started again, without waiting for the lease of the one that was killed.
async fn alone(namespace: &TestNamespace) -> Result<Arc<Operator>> {
    let args = ["--namespace", &namespace.name, "--system-namespace", &namespace.name, "--leader-elect=false"];
    let operator = Arc::new(Operator::spawn(Some(&namespace.cluster.kubeconfig()), &args)?);
    namespace.watch_log(&operator);
    operator.wait_ready().await?;
    Ok(operator)
}

async fn login(namespace: &TestNamespace) -> Result<()> {
    let secret = json!({"metadata": {"name": "login"}, "stringData": {"username": "admin", "password": "secret"}});
    namespace.create_secret(&serde_json::from_value(secret)?).await
}

/// Waits until all Nodes are ready for their present spec, while the operator is killed and started at odd times.
async fn all_ready(namespace: &TestNamespace, operator: &Operator, kills: u32, request: Option<&str>) -> Result<()> {
    let nodes: Api<Node> = namespace.api();
    // Two tries of a login that nobody lived to see the end of are two tries: a third is a person's to allow.
    eventually("all BMCs to be logged in to", SOON, || async {
        let found = nodes.list(&ListParams::default()).await?.items;
        let is_seen = |node: &Node| node.status.as_ref().is_some_and(|status| status.power.is_some());
        ensure!(found.iter().filter(|node| is_seen(node)).count() == 12, "not all of them are seen");
        Ok(())
    })
    .await?;
    for round in 0..kills {
        // Times that fall into all phases of a step: no condition is awaited, as a kill at any moment must do no harm.
        tokio::time::sleep(Duration::from_millis(u64::from(1500 + 1700 * (round % 3)))).await;
        operator.restart().await?;
    }
    eventually("all Nodes to be ready", SOON, || async {
        let found = nodes.list(&ListParams::default()).await?.items;
        for node in &found {
            let status = node.status.clone().unwrap_or_default();
            let ready = find(&status.conditions, READY).context("no condition")?;
            let name = node.metadata.name.as_deref().unwrap_or_default();
            ensure!(ready.status == "True", "{name}: {} {}", ready.reason, ready.message);
            ensure!(status.observed_generation == node.metadata.generation, "{name} is behind");
            let done = status.done.and_then(|done| done.reboot);
            ensure!(request.is_none() || done.as_deref() == request, "{name} was not restarted: {done:?}");
        }
        ensure!(found.len() == 12, "{} Nodes", found.len());
        Ok(())
    })
    .await
}

async fn rollout(namespace: &TestNamespace, spec: &Value) -> Result<()> {
    let api: Api<Design> = namespace.api();
    let patch = Patch::Merge(json!({"spec": {"rollout": spec}}));
    api.patch("lab", &PatchParams::default(), &patch).await.map(drop)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_budgets_hold_at_the_machines_whoever_is_killed() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let machines = Machines::start().await?;
    with_namespace(async |namespace| {
        login(&namespace).await?;
        let operator = alone(&namespace).await?;
        apply(&namespace, &machines.site("  power: 'On'\n"))?;
        all_ready(&namespace, &operator, 3, None).await?;
        for pair in GROUPS.windows(2) {
            let (before, after) = (machines.first_on(pair[0].0), machines.first_on(pair[1].0));
            ensure!(
                before.iter().max() <= after.iter().min(),
                "{} goes on before {}: {before:?} {after:?}",
                pair[1].0,
                pair[0].0
            );
        }

        // Objects are written one after the other: nothing begins before all of them are.
        rollout(&namespace, &json!({"paused": true})).await?;
        let begun = Timestamp::now();
        let request = "  power: 'On'\n  reboot: {requestedAt: one}\n  powerOff: {timeout: 20s}\n";
        let paused = machines.site(request).replacen("  rollout:\n", "  rollout:\n    paused: true\n", 1);
        apply(&namespace, &paused)?;
        let held = |node: &Node| {
            let conditions = node.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            find(&conditions, READY)
                .is_some_and(|ready| ready.reason == "RolloutWaiting" && ready.message.contains("paused"))
        };
        for name in machines.0.keys() {
            namespace.wait_for(name, "to be held", SOON, held).await?;
        }
        ensure!(machines.gaps(begun).is_empty(), "nothing begins while it is paused: {:?}", machines.gaps(begun));
        rollout(&namespace, &json!({"paused": false})).await?;
        all_ready(&namespace, &operator, 5, Some("one")).await?;
        let gaps = machines.gaps(begun);
        ensure!(gaps.len() == 12, "each is restarted once: {gaps:?}");
        check(&gaps)?;
        let done = |design: &Design| {
            let status = design.status.clone().unwrap_or_default();
            // Where nothing is on record there is no record.
            status.rollout.is_none_or(|it| it.in_progress.is_empty() && it.failed.is_empty())
                && status.groups.iter().all(|group| group.state == slipway_api::design::GroupState::Done)
        };
        namespace.wait_for("lab", "all groups to be done", SOON, done).await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_stops_its_group_until_a_retry() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let machines = Machines::start().await?;
    with_namespace(async |namespace| {
        login(&namespace).await?;
        let _operator = namespace.operator().await?;
        let broken = &machines.0["control1"];
        // Chassis Control is refused: insufficient privilege.
        let chassis_control = Call::Command(0, 2);
        broken.inject(Fault::at(chassis_control, Effect::Refuse(0xd4)));
        apply(&namespace, &machines.site("  power: 'On'\n"))?;
        let failed = |design: &Design| {
            let conditions = design.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            find(&conditions, READY).is_some_and(|ready| ready.reason == "RolloutFailed")
        };
        let design = namespace.wait_for("lab", "the failure", SOON, failed).await?;
        let rollout_status = design.status.and_then(|status| status.rollout).context("no record")?;
        ensure!(rollout_status.failed.len() == 1 && rollout_status.failed[0].name == "control1", "{rollout_status:?}");
        ensure!(machines.first_on("storage").is_empty(), "no group after it has begun");
        broken.clear_faults();
        rollout(&namespace, &json!({"retry": {"requestedAt": "now"}})).await?;
        broken.machine().until_power(Power::On).await;
        let done = |design: &Design| {
            let groups = design.status.as_ref().map(|status| status.groups.clone()).unwrap_or_default();
            !groups.is_empty() && groups.iter().all(|group| group.state == slipway_api::design::GroupState::Done)
        };
        namespace.wait_for("lab", "all groups to be done", SOON, done).await.map(drop)
    })
    .await
}
