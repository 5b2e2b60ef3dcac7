//! What the controller of Design does: models, the last good one, deletion, and nothing while nothing changes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::conditions::{READY, find};
use slipway_api::{Design, Node};
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Part, can_run, with_namespace};

use crate::sites::apply;

const SOON: Duration = Duration::from_mins(2);

const SITE: &str = "
apiVersion: slipway.dev/v1alpha1
kind: Design
metadata: {name: lab}
spec:
  networks: [{name: mgmt, cidr: 10.0.0.0/24}, {name: oob, cidr: 10.9.0.0/24}]
  networkLinks: [{name: gp, trunking: {mode: disabled, defaultNetwork: mgmt}, allowedNetworks: [mgmt]}]
  hardwareProfiles: [{name: hw}]
  hostProfiles:
    - name: base
      hardwareProfile: hw
      interfaces: [{name: e0, link: gp, slaves: [eno1], networks: [mgmt]}]
      storage: {disks: [{name: sda, partitions: [{name: root, size: 30g, filesystem: {mountpoint: /}}]}]}
  deletion: {timeout: 10s}
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: n1}
spec: {designRef: {name: lab}, hostProfile: base, addressing: [{network: mgmt, address: 10.0.0.11}]}
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: n2}
spec: {designRef: {name: lab}, hostProfile: base, addressing: [{network: mgmt, address: 10.0.0.12}]}
";

/// Waits until Ready has this reason, for the present generation.
async fn reason<K>(namespace: &TestNamespace, name: &str, reason: &str) -> Result<(K, String)>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let told = |object: &K| {
        let value = serde_json::to_value(object).ok()?;
        let status = &value["status"];
        let conditions: Vec<_> = serde_json::from_value(status["conditions"].clone()).ok()?;
        let ready = find(&conditions, READY)?;
        let is_current = status["observedGeneration"].as_i64() == object.meta().generation;
        (is_current && ready.reason == reason).then(|| ready.message.clone())
    };
    let object = namespace.wait_for(name, reason, SOON, |object| told(object).is_some()).await?;
    let message = told(&object).context("no condition")?;
    Ok((object, message))
}

async fn patch(namespace: &TestNamespace, name: &str, spec: &Value) -> Result<()> {
    let api: Api<Design> = namespace.api();
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.map(drop)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_keep_the_last_good_model_even_across_restarts_and_say_so() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let operator = namespace.operator().await?;
        apply(&namespace, SITE)?;
        let (design, message) = reason::<Design>(&namespace, "lab", "Compiled").await?;
        ensure!(message.starts_with("compiled for 2 Nodes"), "{message}");
        let status = design.status.context("no status")?;
        let model = status.model.context("no model")?;
        ensure!(status.nodes.is_some_and(|nodes| nodes.total == 2));
        let (node, message) = reason::<Node>(&namespace, "n1", "Compiled").await?;
        ensure!(message.contains("nothing applies yet: interfaces, storage"), "{message}");
        let first = node.status.context("no status")?.design.context("no word of its Design")?;
        ensure!(serde_json::to_vec(&first)?.len() < 512, "{first:?}");

        patch(
            &namespace,
            "lab",
            &json!({"networks": [{"name": "mgmt", "cidr": "10.0.1.0/24"}, {"name": "oob", "cidr": "10.9.0.0/24"}]}),
        )
        .await?;
        let (design, message) = reason::<Design>(&namespace, "lab", "DesignInvalid").await?;
        ensure!(message.contains(&format!("model of generation {}", model.generation)), "{message}");
        ensure!(design.status.and_then(|status| status.model) == Some(model.clone()), "the good model is still shown");
        let (node, message) = reason::<Node>(&namespace, "n1", "DesignInvalid").await?;
        ensure!(message.contains("10.0.0.11"), "its own address is what is wrong: {message}");
        let kept = node.status.context("no status")?.design.context("no word")?;
        ensure!(kept.model == first.model && kept.last_good == Some(model.generation), "{kept:?}");

        operator.restart().await?;
        let still_wrong = SITE.replace("cidr: 10.0.0.0/24", "cidr: 10.0.2.0/24");
        apply(&namespace, &still_wrong)?;
        reason::<Design>(&namespace, "lab", "DesignInvalid").await?;
        let (node, _) = reason::<Node>(&namespace, "n2", "DesignInvalid").await?;
        ensure!(node.status.and_then(|status| status.design).is_some_and(|kept| kept.model.is_some()), "kept");
        let design: Design = namespace.api::<Design>().get("lab").await?;
        ensure!(design.status.and_then(|status| status.model) == Some(model), "a new process reads the kept model");

        apply(&namespace, SITE)?;
        reason::<Design>(&namespace, "lab", "Compiled").await?;
        let (node, _) = reason::<Node>(&namespace, "n1", "Compiled").await?;
        ensure!(node.status.and_then(|status| status.design) == Some(first), "the same site has the same model");
        let revisions = namespace.api::<ControllerRevision>().list(&ListParams::default()).await?;
        ensure!(revisions.items.len() == 1, "{} models are kept", revisions.items.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_one_node_writes_to_no_other_and_nothing_is_written_at_rest() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let operator = namespace.operator().await?;
        apply(&namespace, SITE)?;
        for name in ["n1", "n2"] {
            reason::<Node>(&namespace, name, "Compiled").await?;
        }
        let nodes: Api<Node> = namespace.api();
        let version = async |name: &str| anyhow::Ok(nodes.get(name).await?.metadata.resource_version);
        let (before, untouched) = (nodes.get("n1").await?, version("n2").await?);
        apply(&namespace, &SITE.replace("10.0.0.11", "10.0.0.21"))?;
        let model = |node: &Node| node.status.as_ref().and_then(|status| status.design.as_ref()?.model.clone());
        namespace.wait_for("n1", "another model", SOON, |node| model(node) != model(&before)).await?;
        ensure!(version("n2").await? == untouched, "the other Node was written to");

        // A new process finds everything as it is.
        let settled =
            |design: &Design| design.status.as_ref().and_then(|s| s.nodes.as_ref()).is_some_and(|n| n.ready == 2);
        namespace.wait_for("lab", "both ready", SOON, settled).await?;
        let all = async || anyhow::Ok((version("n1").await?, version("n2").await?));
        let at_rest = all().await?;
        operator.restart().await?;
        // That it has come to rest is seen by what it does about something new.
        let more =
            SITE.replace("10.0.0.11", "10.0.0.21").replace("name: n2", "name: n3").replace("10.0.0.12", "10.0.0.13");
        apply(&namespace, &more)?;
        reason::<Node>(&namespace, "n3", "Compiled").await?;
        let now = all().await?;
        ensure!(now == at_rest, "{now:?} instead of {at_rest:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_design_in_use_stays_until_its_deadline_and_its_nodes_say_that_it_is_gone() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let _operator = namespace.operator().await?;
        apply(&namespace, SITE)?;
        reason::<Design>(&namespace, "lab", "Compiled").await?;
        namespace.api::<Design>().delete("lab", &DeleteParams::default()).await?;
        let (_, message) = reason::<Design>(&namespace, "lab", "InUse").await?;
        ensure!(message.contains("Node n1, Node n2"), "it says which: {message}");
        namespace.wait_gone::<Design>("lab", SOON).await?;
        let (_, message) = reason::<Node>(&namespace, "n1", "DesignMissing").await?;
        ensure!(message.contains("Design lab"), "{message}");
        apply(&namespace, SITE)?;
        reason::<Node>(&namespace, "n1", "Compiled").await?;
        for name in ["n1", "n2"] {
            namespace.api::<Node>().delete(name, &DeleteParams::default()).await?;
        }
        namespace.api::<Design>().delete("lab", &DeleteParams::default()).await?;
        namespace.wait_gone::<Design>("lab", SOON).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_design_and_its_suspension() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let _operator = namespace.operator().await?;
        let part =
            "apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {name: racks}\nspec: {racks: [{name: r1}]}\n---";
        let whole = SITE.replacen("  networks:", "  include: [{designRef: {name: racks}}]\n  networks:", 1);
        apply(&namespace, &format!("{part}{whole}"))?;
        reason::<Design>(&namespace, "racks", "Included").await?;
        reason::<Design>(&namespace, "lab", "Compiled").await?;
        namespace.api::<Design>().delete("racks", &DeleteParams::default()).await?;
        let (_, message) = reason::<Design>(&namespace, "racks", "InUse").await?;
        ensure!(message.contains("Design lab"), "{message}");
        patch(&namespace, "lab", &json!({"suspend": true, "include": null})).await?;
        reason::<Design>(&namespace, "lab", "Suspended").await?;
        reason::<Node>(&namespace, "n1", "Suspended").await?;
        namespace.wait_gone::<Design>("racks", SOON).await
    })
    .await
}
