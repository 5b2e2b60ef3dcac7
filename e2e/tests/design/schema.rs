//! The API server takes what users and the importer write, keeps it as it is, and refuses what no Design has.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, ListParams};
use slipway_api::{Design, Node};
use slipway_e2e::lab::{Part, can_run, with_namespace};

use crate::sites::{apply, imported, lab};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_site() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    for (name, text) in imported()?.into_iter().chain([("lab.yaml".to_owned(), lab()?)]) {
        with_namespace(async |namespace| apply(&namespace, &text).with_context(|| name.clone())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_kept_with_its_order() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let text = lab()?;
        apply(&namespace, &text)?;
        let written =
            slipway_plan::formats::yaml::documents(&text).map_err(|unreadable| anyhow::anyhow!("{unreadable:?}"))?;
        let (designs, nodes): (Api<Design>, Api<Node>) = (namespace.api(), namespace.api());
        let mut compared = 0;
        for document in written {
            let name = document.value["metadata"]["name"].as_str().unwrap_or_default();
            let spec = document.value["spec"].clone();
            match document.value["kind"].as_str() {
                Some("Design") => ensure!(designs.get(name).await?.spec == serde_json::from_value(spec)?, "{name}"),
                Some("Node") => ensure!(nodes.get(name).await?.spec == serde_json::from_value(spec)?, "{name}"),
                _ => continue,
            }
            compared += 1;
        }
        ensure!(compared > 3, "{compared} objects are no site");
        ensure!(
            nodes.list(&ListParams::default()).await?.items.iter().all(|node| node.spec.design.design_ref.is_some())
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_design_has_is_refused_with_its_place() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let design =
        |spec: &str| format!("apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {{name: d}}\nspec: {spec}");
    let node =
        |spec: &str| format!("apiVersion: slipway.dev/v1alpha1\nkind: Node\nmetadata: {{name: n1}}\nspec: {spec}");
    with_namespace(async |namespace| {
        for (text, place) in [
            (design("{network: []}"), "network"),
            (
                design("{networks: [{name: a, cidr: 10.0.0.0/8}, {name: a, cidr: 10.1.0.0/16}]}"),
                "duplicate entries for key [name=\"a\"]",
            ),
            (design("{networks: [{name: a, cidr: 10.0.0.0/8, vlan: 5000}]}"), "networks[0].vlan"),
            (design("{include: [{}]}"), "include[0]"),
            (design("{deletion: {timeout: soon}}"), "deletion.timeout"),
            (node("{}"), "one of docker, bmc and designRef"),
            (node("{docker: {endpoint: 'unix:///d.sock'}, rack: r1}"), "need designRef"),
            (node("{designRef: {name: d}, interfaces: [{link: a}]}"), ".spec.interfaces: element 0"),
        ] {
            match apply(&namespace, &text) {
                Ok(()) => bail!("taken: {text}"),
                Err(refusal) => ensure!(refusal.to_string().contains(place), "{text}: {refusal}"),
            }
        }
        apply(&namespace, &node("{designRef: {name: d}, power: 'On'}"))
    })
    .await
}
