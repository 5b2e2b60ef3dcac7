//! Nodes with a BMC, through a real API server, by the real binary: `ipmi_sim` and sushy-tools.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::{Node, NodeInventory};
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{IpmiSim, Part, Sushy, can_run, eventually, with_namespace};

/// sushy-tools changes the power up to 11 s after it was asked.
const SOON: Duration = Duration::from_mins(2);

/// Applies a Node of a BMC, with its login in a Secret of the same name.
async fn apply(ns: &TestNamespace, name: &str, spec: &Value) -> Result<Node> {
    let node = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
    Ok(ns.api::<Node>().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?)
}

async fn login(ns: &TestNamespace, name: &str, (username, password): (&str, &str)) -> Result<()> {
    let secret = json!({"metadata": {"name": name}, "stringData": {"username": username, "password": password}});
    ns.create_secret(&serde_json::from_value(secret)?).await
}

fn spec(address: &str, more: &Value) -> Value {
    let mut spec = json!({"bmc": {"address": address, "credentials": {"secretRef": {"name": "login"}}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Waits until the Node is ready with this power.
async fn ready(ns: &TestNamespace, name: &str, power: &str) -> Result<Node> {
    let node = ns.wait_condition::<Node>(name, "Ready", "True", SOON).await?;
    let seen = node.status.as_ref().and_then(|status| status.power.clone());
    ensure!(seen.as_deref() == Some(power), "{name} is {seen:?}, not {power}");
    Ok(node)
}

async fn not_ready(ns: &TestNamespace, name: &str, reason: &str) -> Result<String> {
    let told = |node: &Node| {
        let conditions = &node.status.as_ref()?.conditions;
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status != "True")?;
        (ready.reason == reason).then(|| ready.message.clone())
    };
    let node = ns.wait_for(name, reason, SOON, |node| told(node).is_some()).await?;
    told(&node).context("no condition")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_powered_and_started_over_ipmi_and_each_command_is_sent_once() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    with_namespace(async |ns| {
        login(&ns, "login", ("admin", "secret")).await?;
        let _operator = ns.operator().await?;
        let address = format!("ipmi://{}", bmc.address());
        apply(&ns, "n1", &spec(&address, &json!({"power": "On", "boot": {"device": "Pxe"}}))).await?;
        let node = ready(&ns, "n1", "On").await?;
        ensure!(bmc.is_on()?, "the machine is off");
        let status = serde_json::to_value(&node.status)?;
        ensure!(status["bmc"]["security"] == "cipher suite 3", "{status:#}");
        ensure!(serde_json::to_vec(&status)?.len() <= 1024, "{} bytes of status", serde_json::to_vec(&status)?.len());
        ns.wait_for::<NodeInventory>("n1", "its inventory", SOON, |_| true).await?;
        let set = || bmc.calls().into_iter().filter(|call| call.starts_with("set ")).collect::<Vec<_>>();
        ensure!(set() == ["set boot pxe", "set power 1"], "armed once, then powered once: {:?}", set());

        apply(&ns, "n1", &spec(&address, &json!({"power": "Off", "powerOff": {"mode": "Force"}}))).await?;
        ready(&ns, "n1", "Off").await?;
        ensure!(!bmc.is_on()?, "the machine is on");
        ensure!(set().iter().filter(|call| *call == "set power 0").count() == 1, "{:?}", set());

        ns.api::<Node>().delete("n1", &DeleteParams::default()).await?;
        ns.wait_gone::<Node>("n1", SOON).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_is_tried_twice_and_works_again_when_the_secret_is_mended() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    with_namespace(async |ns| {
        login(&ns, "login", ("admin", "wrong")).await?;
        let operator = ns.operator().await?;
        apply(&ns, "n1", &spec(&format!("ipmi://{}", bmc.address()), &json!({"power": "On"}))).await?;
        let message = not_ready(&ns, "n1", "BmcCredentialsRefused").await?;
        ensure!(message.contains("login"), "it names the Secret: {message}");
        let tries = |node: &Node| node.status.as_ref()?.bmc.as_ref()?.login.as_ref().map(|login| login.tries);
        ns.wait_for("n1", "two tries", SOON, |node| tries(node) == Some(2)).await?;
        operator.restart().await?;
        let stalled = json!({"stringData": {"password": "secret"}});
        ensure!(bmc.calls().is_empty(), "nothing was asked of the machine: {:?}", bmc.calls());
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = ns.api();
        secrets.patch("login", &PatchParams::default(), &Patch::Merge(&stalled)).await?;
        ready(&ns, "n1", "On").await?;
        ensure!(!operator.log_text().contains("secret\""), "no password in the log");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_one_redfish_service_are_powered_side_by_side() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Sushy]) {
        return Ok(());
    }
    let sushy = Sushy::start(5, None).await?;
    with_namespace(async |ns| {
        login(&ns, "login", sushy.login()).await?;
        let _operator = ns.operator().await?;
        let systems: Vec<_> = sushy.systems().enumerate().collect();
        for (number, system) in &systems {
            let address = format!("redfish+{}{system}", sushy.url());
            apply(&ns, &format!("n{number}"), &spec(&address, &json!({"power": "On"}))).await?;
        }
        for (number, _) in &systems {
            let node = ready(&ns, &format!("n{number}"), "On").await?;
            ensure!(node.status.as_ref().is_some_and(|status| status.operation.is_none()), "{}", node.name_any());
        }
        let (_, system) = &systems[0];
        let address = format!("redfish+{}{system}", sushy.url());
        let again = json!({"power": "On", "reboot": {"requestedAt": "2026-11-21T10:00:00Z", "mode": "Force"}});
        apply(&ns, "n0", &spec(&address, &again)).await?;
        let rebooted = |node: &Node| {
            let done = node.status.as_ref().and_then(|status| status.done.as_ref());
            serde_json::to_string(&done).is_ok_and(|done| done.contains("2026-11-21T10:00:00Z"))
        };
        eventually("the restart that was asked for", SOON, || async {
            let node = ns.api::<Node>().get("n0").await?;
            ensure!(rebooted(&node), "{:?}", node.status);
            Ok(())
        })
        .await?;
        ready(&ns, "n0", "On").await.map(drop)
    })
    .await
}
