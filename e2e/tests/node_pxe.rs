//! A machine that is off becomes one that runs a system from the network, by a Node alone: no hand touches it.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use slipway_api::Node;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Part, PxeLab, can_run, with_namespace};

/// An emulated processor on a busy machine takes its time: alone it takes 9 s.
const SOON: Duration = Duration::from_mins(5);

async fn apply(ns: &TestNamespace, lab: &PxeLab, more: &serde_json::Value) -> Result<()> {
    let address = format!("ipmi://{}", lab.bmc().address());
    let mut spec = json!({"bmc": {"address": address, "credentials": {"secretRef": {"name": "login"}}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let node = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": "n1"}, "spec": spec});
    ns.api::<Node>().patch("n1", &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_starts_from_the_network_and_says_so_itself() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Pxe]) {
        return Ok(());
    }
    let lab = PxeLab::start().await?;
    with_namespace(async |ns| {
        let login = json!({"metadata": {"name": "login"}, "stringData": {"username": "admin", "password": "secret"}});
        ns.create_secret(&serde_json::from_value(login)?).await?;
        let _operator = ns.operator().await?;
        let began = std::time::Instant::now();
        apply(&ns, &lab, &json!({"power": "On", "boot": {"device": "Pxe"}})).await?;
        lab.until_it_reports(SOON).await?;
        println!("from a Node to a system that reports: {:.1?}", began.elapsed());
        let node = ns.wait_condition::<Node>("n1", "Ready", "True", SOON).await?;
        let status = serde_json::to_value(&node.status)?;
        ensure!(status["power"] == "On" && status["done"]["boot"] == "Pxe once", "{status:#}");
        let set = || lab.bmc().calls().into_iter().filter(|call| call.starts_with("set ")).collect::<Vec<_>>();
        ensure!(set() == ["set boot pxe", "set power 1"], "armed once, then powered once: {:?}", set());

        apply(&ns, &lab, &json!({"power": "Off", "powerOff": {"mode": "Force"}, "boot": {"device": "Pxe"}})).await?;
        let off = |node: &Node| node.status.as_ref().is_some_and(|status| status.power.as_deref() == Some("Off"));
        ns.wait_for("n1", "off", SOON, off).await?;
        ensure!(set().last().map(String::as_str) == Some("set power 0"), "{:?}", set());
        ensure!(lab.reports()? == 1, "it started {} times", lab.reports()?);
        Ok(())
    })
    .await
}
