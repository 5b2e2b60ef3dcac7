//! The operator's own footing: its API server, its rights, its lease.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway_e2e::lab::process::{Signal, send};
use slipway_e2e::lab::site::{SLEEPER, SOON, Site, id_of, runs};
use slipway_e2e::lab::{
    Action, Cluster, DockerHost, Image, Operator, Part, Proxy, can_run, eventually, with_namespace_on,
};

use crate::on_site;

fn web(version: &str) -> Value {
    json!({"compose": {"services": {"web": {"image": SLEEPER, "environment": {"V": version}}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_was_away_or_forgot_the_past_is_taken_up_again() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Docker]) {
        return Ok(());
    }
    let cluster = Arc::new(Cluster::start().await?);
    cluster.install_crds().await?;
    with_namespace_on(cluster, async |ns| {
        let secret = |value: &str| -> Result<Secret> {
            Ok(serde_json::from_value(json!({"metadata": {"name": "login"}, "stringData": {"password": value}}))?)
        };
        ns.create_secret(&secret("one")?).await?;
        let site = Site::with_hosts(ns, 1).await?;
        let spec = |version: &str| {
            json!({"compose": {
                "services": {"web": {"image": SLEEPER, "environment": {"V": version}, "secrets": ["password"]}},
                "secrets": {"password": {"external": true, "name": "login"}},
            }})
        };
        site.apply("app", &spec("1")).await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;

        site.ns.cluster.kill_apiserver();
        site.ns.cluster.start_apiserver().await?;
        site.operator.wait_ready().await?;
        let now = site.containers(site.host(), "app").await?;
        ensure!(id_of(&now, "app-web-1")? == first, "the outage has touched what runs");
        site.apply("app", &spec("2")).await?;
        site.ready("app").await?;
        let second = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        ensure!(second != first, "the change was not made");

        site.ns.cluster.expire_watches().await?;
        let secrets = site.ns.api::<Secret>();
        secrets.patch("login", &PatchParams::default(), &Patch::Merge(secret("two")?)).await?;
        site.wait_containers(site.host(), "app", "the new secret to be taken", |all| {
            all.len() == 1 && all.values().all(runs) && id_of(all, "app-web-1").is_ok_and(|id| id != second)
        })
        .await?;
        site.apply("app", &spec("3")).await?;
        site.ready("app").await?;
        ensure!(site.operator.is_running(), "the operator has ended");
        Ok(())
    })
    .await
}

/// Rights on these resources of each group, for a user of the test's own. The API server learns of them in its own time.
async fn allow(site_of: &kube::Client, user: &str, groups: &[(&str, &[&str])]) -> Result<()> {
    let rules: Vec<_> = groups
        .iter()
        .map(|(group, resources)| json!({"apiGroups": [group], "resources": resources, "verbs": ["*"]}))
        .collect();
    let name = format!("{user}-{}", groups.len());
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))?;
    Api::all(site_of.clone()).create(&PostParams::default(), &role).await?;
    Api::all(site_of.clone()).create(&PostParams::default(), &binding).await?;
    let (group, resources) = groups.last().context("no group")?;
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {"user": user, "resourceAttributes": {
        "group": group, "resource": resources[0], "verb": "create", "namespace": "default",
    }}}))?;
    eventually("the rights to be in force", SOON, || async {
        let answer = Api::all(site_of.clone()).create(&PostParams::default(), &review).await?;
        ensure!(answer.status.is_some_and(|status| status.allowed), "not yet");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_write_events_it_says_so_and_goes_on() -> Result<()> {
    on_site(async |ns| {
        let user = ns.name.clone();
        let most: &[(&str, &[&str])] = &[
            ("slipway.dev", &["*"]),
            ("", &["secrets", "configmaps", "namespaces"]),
            ("coordination.k8s.io", &["leases"]),
        ];
        allow(&ns.client, &user, most).await?;
        let host = DockerHost::start().await?;
        host.load(&Image::new(SLEEPER)).await?;
        ns.create(&host.unix_node("h0")).await?;
        let operator = Arc::new(Operator::start(&ns.cluster.user_kubeconfig(&user)?, &ns.name).await?);
        ns.watch_log(&operator);
        let site = Site { ns, hosts: vec![host], operator };
        site.apply("app", &web("1")).await?;
        site.ready("app").await?;
        eventually("the log to say it", SOON, || async {
            ensure!(site.operator.log_text().contains("Events are not published"), "it says nothing");
            Ok(())
        })
        .await?;
        let events = site.ns.api::<Event>();
        ensure!(events.list(&ListParams::default()).await?.items.is_empty(), "it had the right");

        allow(&site.ns.client, &user, &[("events.k8s.io", &["events"])]).await?;
        site.apply("app", &web("2")).await?;
        site.ready("app").await?;
        eventually("an Event", SOON, || async {
            ensure!(!events.list(&ListParams::default()).await?.items.is_empty(), "there is none");
            Ok(())
        })
        .await
    })
    .await
}

/// What an operator is, by its own word.
async fn wait_role(operator: &Operator, role: &str) -> Result<()> {
    eventually(&format!("the operator to be {role}"), SOON, || async {
        let said = operator.get("/readyz").await?;
        ensure!(said.contains(role), "it says {said}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_acts_and_the_other_takes_over() -> Result<()> {
    on_site(async |ns| {
        let host = DockerHost::start().await?;
        host.load(&Image::new(SLEEPER)).await?;
        let engine = Proxy::engine(&host).await?;
        ns.create(&engine.node("h0")?).await?;
        let first = ns.operator().await?;
        wait_role(&first, "leading").await?;
        let second = ns.operator().await?;
        wait_role(&second, "standing by").await?;
        let site = Site { ns, hosts: vec![host], operator: Arc::clone(&first) };
        site.apply("app", &web("1")).await?;
        site.ready("app").await?;

        // Frozen in the middle of a change: the other ends it, and the one that wakes up must not act on what it knew.
        let leader = first.pid();
        engine.before("container-start", 1, Action::hook(move |_| drop(send(leader, Signal::STOP))));
        site.apply("app", &web("2")).await?;
        wait_role(&second, "leading").await?;
        site.ready("app").await?;
        let settled = site.containers(site.host(), "app").await?;
        ensure!(settled.len() == 1 && settled.values().all(runs), "{settled:?}");
        engine.reset();
        first.signal(Signal::CONT)?;
        wait_role(&first, "standing by").await?;
        ensure!(engine.changes().is_empty(), "the one that was frozen still acts: {:?}", engine.changes());
        let now = site.containers(site.host(), "app").await?;
        ensure!(id_of(&now, "app-web-1")? == id_of(&settled, "app-web-1")?, "it was made twice");

        // Killed: nothing gives the lease back.
        second.kill();
        site.apply("app", &web("3")).await?;
        wait_role(&first, "leading").await?;
        site.ready("app").await?;
        let now = site.containers(site.host(), "app").await?;
        ensure!(now.len() == 1 && now.values().all(runs), "{now:?}");
        ensure!(id_of(&now, "app-web-1")? != id_of(&settled, "app-web-1")?, "the change was not made");
        Ok(())
    })
    .await
}
