//! Input that means harm, and what is broken: refused quickly, and nobody else is held up.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use slipway_e2e::lab::site::{SLEEPER, SOON, Site};

use crate::on_site;

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_in_a_config_map_is_refused_and_others_go_on() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let levels: Vec<String> = "bcdefghij"
            .chars()
            .zip("abcdefghi".chars())
            .map(|(name, of)| format!("x-{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(", ")))
            .collect();
        let bomb = format!("x-a: &a [x, x, x, x]\n{}services: {{web: {{image: a}}}}\n", levels.concat());
        let many = (0..10_000).map(|n| format!("  s{n}: {{image: a}}\n")).collect::<Vec<_>>().concat();
        for (name, text) in [("bomb", bomb), ("many", format!("services:\n{many}"))] {
            let map: ConfigMap =
                serde_json::from_value(json!({"metadata": {"name": name}, "data": {"compose.yaml": text}}))?;
            site.ns.create(&map).await?;
            let from = json!({"configMapKeyRef": {"name": name, "key": "compose.yaml"}});
            site.apply(name, &json!({"composeFrom": from})).await?;
        }
        site.apply("good", &json!({"compose": {"services": {"web": {"image": SLEEPER}}}})).await?;
        site.ready("good").await?;
        for name in ["bomb", "many"] {
            let message = site.not_ready(name, "TooLarge").await?;
            ensure!(message.len() < 2000, "{} bytes of message", message.len());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_is_refused_with_its_path_and_the_way_to_do_it() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("built", &json!({"compose": {"services": {"web": {"image": SLEEPER, "build": "."}}}})).await?;
        let message = site.not_ready("built", "UnsupportedKey").await?;
        ensure!(message.contains("spec.compose.services.web.build"), "{message}");
        site.apply("typo", &json!({"compose": {"services": {"web": {"image": SLEEPER, "enviroment": {}}}}})).await?;
        let message = site.not_ready("typo", "UnknownKey").await?;
        ensure!(message.contains("environment"), "{message}");
        ensure!(site.containers(site.host(), "built").await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_ends() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("app", &json!({"compose": {"services": {"web": {"image": SLEEPER}}}})).await?;
        site.ready("app").await?;
        let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(site.ns.client.clone());
        namespaces.delete(&site.ns.name, &kube::api::DeleteParams::default()).await?;
        site.ns.cluster.finalize_namespace(&site.ns.name, SOON).await?;
        ensure!(site.containers(site.host(), "app").await?.is_empty(), "containers are left");
        Ok(())
    })
    .await
}
