//! Changes: their order, their way back, and what counts as one.

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::StopContainerOptions;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::ContainerService;
use slipway_e2e::lab::site::{Lives, SLEEPER, SOON, Site, exec, id_of, inspect, ready_condition, runs};
use slipway_e2e::lab::{DockerHost, Image, Part, Registry, can_run, eventually};

use crate::on_site;

fn one(service: &Value) -> Value {
    json!({"compose": {"services": {"web": service}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_is_rolled_back_and_says_why() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("app", &one(&json!({"image": SLEEPER}))).await?;
        site.ready("app").await?;
        let good = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;

        let broken = one(&json!({"image": SLEEPER, "command": ["sh", "-c", "echo the disk is on fire >&2; exit 3"]}));
        let object = site.apply("app", &broken).await?;
        let failed = site
            .ns
            .wait_for("app", "failed and back", SOON, |it: &ContainerService| {
                let status = it.status.as_ref();
                status.is_some_and(|status| {
                    !status.failed.is_empty()
                        && status.observed_generation == object.metadata.generation
                        && status.ready.as_deref() == Some("1/1")
                })
            })
            .await?;
        let condition = ready_condition(&failed).context("no condition")?;
        ensure!(condition.status == "False", "{condition:?}");
        ensure!(
            condition.message.contains("the disk is on fire"),
            "the last log line is missing: {}",
            condition.message
        );
        ensure!(condition.message.contains('3'), "the exit code is missing: {}", condition.message);
        let now = site
            .wait_containers(site.host(), "app", "the old one alone to run", |all| {
                all.len() == 1 && all.values().all(runs)
            })
            .await?;
        ensure!(id_of(&now, "app-web-1")? == good, "it is not the old container that runs");

        site.apply("app", &one(&json!({"image": SLEEPER, "environment": {"FIXED": "yes"}}))).await?;
        let mended = site.ready("app").await?;
        ensure!(mended.status.context("no status")?.failed.is_empty(), "an old failure is kept");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_gets_healthy_is_rolled_back_with_the_checks_output() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let with_check = |test: &str| {
            let check = json!({"test": ["CMD-SHELL", test], "interval": "1s", "retries": 2});
            json!({"compose": {"services": {"web": {"image": SLEEPER, "healthcheck": check}}}, "update": {"timeout": "30s"}})
        };
        site.apply("app", &with_check("true")).await?;
        site.ready("app").await?;
        let good = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        site.apply("app", &with_check("echo no database; false")).await?;
        let failed = site
            .ns
            .wait_for("app", "a failure on record", SOON, |it: &ContainerService| {
                it.status.as_ref().is_some_and(|status| !status.failed.is_empty())
            })
            .await?;
        let failure = &failed.status.context("no status")?.failed[0];
        ensure!(failure.message.contains("no database"), "{failure:?}");
        let now = site
            .wait_containers(site.host(), "app", "the old one alone to run", |all| all.len() == 1 && all.values().all(runs))
            .await?;
        ensure!(id_of(&now, "app-web-1")? == good, "it is not the old container that runs");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn start_first_has_the_new_one_up_before_the_old_one_stops() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = |value: &str| {
            let service = json!({"image": SLEEPER, "environment": {"V": value}});
            json!({"compose": {"services": {"web": service}}, "update": {"order": "StartFirst"}})
        };
        site.apply("app", &spec("1")).await?;
        site.ready("app").await?;
        let before = Timestamp::now();
        site.apply("app", &spec("2")).await?;
        site.ready("app").await?;
        Lives::since(site.host(), before).await?.overlap()?;
        let now = site.containers(site.host(), "app").await?;
        ensure!(now.len() == 1 && now.contains_key("app-web-1"), "{:?}", now.keys());
        let env = inspect(site.host(), "app-web-1").await?.config.and_then(|it| it.env).unwrap_or_default();
        ensure!(env.contains(&"V=2".to_owned()), "{env:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_as_files_roll_on_change_and_show_nowhere() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = json!({"compose": {
            "services": {
                "web": {"image": SLEEPER, "secrets": ["password"]},
                "sealed": {"image": SLEEPER, "secrets": ["password"], "read_only": true},
                "other": {"image": SLEEPER},
            },
            "secrets": {"password": {"external": true, "name": "login"}},
        }});
        site.apply("app", &spec).await?;
        site.not_ready("app", "SecretMissing").await?;
        ensure!(site.containers(site.host(), "app").await?.is_empty(), "made without its secret");

        let secret = |value: &str| -> Secret {
            serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"password": value},
            }))
            .expect("a Secret")
        };
        site.ns.create_secret(&secret("hunter2-first")).await?;
        site.ready("app").await?;
        for container in ["app-web-1", "app-sealed-1"] {
            ensure!(exec(site.host(), container, &["cat", "/run/secrets/password"])? == "hunter2-first", "{container}");
        }
        let first = site.containers(site.host(), "app").await?;

        let api = site.ns.api::<Secret>();
        api.patch("login", &PatchParams::apply("test").force(), &Patch::Apply(&secret("hunter2-second"))).await?;
        site.wait_containers(site.host(), "app", "the users of the secret to be made anew", |now| {
            now.len() == 3
                && now.values().all(runs)
                && ["app-web-1", "app-sealed-1"].iter().all(|it| id_of(now, it).ok() != id_of(&first, it).ok())
        })
        .await?;
        site.ready("app").await?;
        let second = site.containers(site.host(), "app").await?;
        ensure!(
            id_of(&first, "app-other-1")? == id_of(&second, "app-other-1")?,
            "one without the secret was recreated"
        );
        ensure!(exec(site.host(), "app-sealed-1", &["cat", "/run/secrets/password"])? == "hunter2-second");

        let mut shown = site.operator.log_text();
        shown += &serde_json::to_string(&site.services().get("app").await?)?;
        for container in second.keys() {
            shown += &serde_json::to_string(&inspect(site.host(), container).await?)?;
        }
        ensure!(!shown.contains("hunter2"), "the secret is shown");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_done_once_and_only_when_asked_for() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = |at: Option<&str>| {
            let mut spec = one(&json!({"image": SLEEPER}));
            if let Some(at) = at {
                spec["restart"] = json!({"requestedAt": at});
            }
            spec
        };
        site.apply("app", &spec(None)).await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        let before = inspect(site.host(), "app-web-1").await?.state.and_then(|it| it.started_at);
        site.apply("app", &spec(Some("2026-11-21T08:00:00Z"))).await?;
        site.ready("app").await?;
        let after = inspect(site.host(), "app-web-1").await?.state.and_then(|it| it.started_at);
        ensure!(before != after, "it was not restarted");
        ensure!(id_of(&site.containers(site.host(), "app").await?, "app-web-1")? != first);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_once_runs_once() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = json!({"compose": {
            "services": {
                "migrate": {"image": SLEEPER, "command": ["sh", "-c", "echo done >> /data/log"], "volumes": ["data:/data"]},
                "web": {
                    "image": SLEEPER, "volumes": ["data:/data"],
                    "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
                },
            },
            "volumes": {"data": {}},
        }});
        site.apply("app", &spec).await?;
        let object = site.ready("app").await?;
        ensure!(object.status.and_then(|it| it.ready).as_deref() == Some("2/2"));
        // Something else changes: a pass over everything, in which the finished one must stay as it is.
        let mut labelled = spec.clone();
        labelled["compose"]["services"]["web"]["labels"] = json!({"a": "b"});
        site.apply("app", &labelled).await?;
        site.ready("app").await?;
        ensure!(exec(site.host(), "app-web-1", &["cat", "/data/log"])?.trim() == "done", "it ran more than once");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_is_followed_and_the_image_that_nothing_uses_is_removed() -> Result<()> {
    if !can_run(&[Part::Registry]) {
        return Ok(());
    }
    on_site(async |ns| {
        let registry = Registry::start().await?;
        let site = Site::with_hosts(ns, 1).await?;
        let pusher = DockerHost::start().await?;
        let image = |version: &str| Image::new("lab/one:1").file("version", version, 0o644);
        let old = registry.push(&pusher, &image("1"), "web:1").await?;
        site.host().trust(&registry.address())?;
        site.ns.create_secret(&registry.pull_secret("login", true)).await?;
        let spec = json!({
            "compose": {"services": {"web": {"image": registry.reference("web:1")}}},
            "imagePullSecrets": [{"name": "login"}],
            "images": {"follow": {"every": "1m"}, "prune": "Unused"},
        });
        site.apply("app", &spec).await?;
        site.ready("app").await?;
        let before = inspect(site.host(), "app-web-1").await?.image.context("no image")?;

        let new = registry.push(&pusher, &image("2"), "web:1").await?;
        ensure!(new != old, "it is the same image");
        site.ns
            .wait_for("app", "the tag to be followed", SOON, |it: &ContainerService| {
                it.status.as_ref().is_some_and(|status| status.images.iter().any(|image| image.digest == new))
            })
            .await?;
        site.ready("app").await?;
        let after = inspect(site.host(), "app-web-1").await?.image.context("no image")?;
        ensure!(after != before, "it was not rolled");
        eventually("the old image to be removed", SOON, || async {
            ensure!(site.host().docker()?.inspect_image(&before).await.is_err(), "it is there");
            Ok(())
        })
        .await?;
        site.host().docker()?.inspect_image(&after).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_cannot_be_made_takes_nothing_from_what_runs() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let on = |subnet: &str, more: Value| {
            let network = json!({"ipam": {"config": [{"subnet": subnet}]}});
            let mut service = json!({"image": SLEEPER});
            service.as_object_mut().into_iter().for_each(|it| it.extend(more.as_object().cloned().unwrap_or_default()));
            json!({"compose": {"services": {"web": service}, "networks": {"default": network}}})
        };
        site.apply("other", &on("10.91.2.0/24", json!({}))).await?;
        site.apply("app", &on("10.91.1.0/24", json!({}))).await?;
        site.ready("other").await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        let docker = site.host().docker()?;

        // Refused: what somebody stops is started again, and the message says so.
        site.apply("app", &on("10.91.1.0/24", json!({"build": "."}))).await?;
        let message = site.not_ready("app", "UnsupportedKey").await?;
        ensure!(message.contains("what ran is kept running"), "{message}");
        docker.stop_container("app-web-1", None::<StopContainerOptions>).await?;
        let healed = site
            .wait_containers(site.host(), "app", "it to run again", |all| all.len() == 1 && all.values().all(runs))
            .await?;
        ensure!(id_of(&healed, "app-web-1")? == first, "it was made anew");

        // A network that cannot be made: the one in use stays, with all that is on it.
        site.apply("app", &on("10.91.2.0/25", json!({}))).await?;
        site.not_ready("app", "SubnetOverlaps").await?;
        let now = site.containers(site.host(), "app").await?;
        ensure!(id_of(&now, "app-web-1")? == first && now.values().all(runs), "what ran was touched: {now:?}");

        site.apply("app", &on("10.91.3.0/24", json!({}))).await?;
        site.ready("app").await?;
        let address = exec(site.host(), "app-web-1", &["ip", "-4", "addr", "show", "dev", "eth0"])?;
        ensure!(address.contains("10.91.3."), "{address}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_on_which_a_service_fails_comes_back_as_it_was() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        // Healthy on the first network alone, as if something there were needed that the second one has not.
        let on = |third: u8| {
            let test = ["CMD-SHELL", "ip -4 addr show dev eth0 | grep -q 10.92.1. || { echo no way out; false; }"];
            let check = json!({"test": test, "interval": "500ms", "retries": 2});
            let network = json!({"ipam": {"config": [{"subnet": format!("10.92.{third}.0/24")}]}});
            let back = json!({"ipv4_address": format!("10.92.{third}.77"), "aliases": ["store"]});
            json!({
                "compose": {
                    "services": {
                        "web": {"image": SLEEPER, "healthcheck": check, "depends_on": ["db"]},
                        "db": {"image": SLEEPER, "networks": {"default": back}, "volumes": ["data:/data"]},
                    },
                    "networks": {"default": network},
                    "volumes": {"data": {}},
                },
                "update": {"timeout": "60s", "minReady": "500ms"},
            })
        };
        site.apply("app", &on(1)).await?;
        site.ready("app").await?;
        let names = ["app-web-1", "app-db-1"];
        let first = site.containers(site.host(), "app").await?;
        let volumes = site.volumes(site.host(), "app").await?;

        let object = site.apply("app", &on(2)).await?;
        let back = |it: &ContainerService| {
            let status = it.status.as_ref().filter(|status| status.observed_generation == object.metadata.generation);
            status.is_some_and(|status| !status.failed.is_empty() && status.ready.as_deref() == Some("2/2"))
        };
        let object = site.ns.wait_for("app", "failed and back", SOON, back).await?;
        let condition = ready_condition(&object).context("no condition")?;
        ensure!(condition.message.contains("no way out"), "it does not say why: {}", condition.message);
        let now = site
            .wait_containers(site.host(), "app", "the old ones to run", |all| all.len() == 2 && all.values().all(runs))
            .await?;
        for name in names {
            ensure!(id_of(&now, name)? == id_of(&first, name)?, "{name} is not the old one: {now:?}");
        }
        let place = inspect(site.host(), "app-db-1").await?.network_settings.and_then(|it| it.networks);
        let place = place.and_then(|mut it| it.remove("app_default")).context("it is on no network")?;
        ensure!(place.ip_address.as_deref() == Some("10.92.1.77"), "its address is another: {place:?}");
        ensure!(place.aliases.iter().flatten().any(|alias| alias == "store"), "its alias is gone: {place:?}");
        eventually("nothing to be left of it", SOON, || async {
            let left = site.volumes(site.host(), "app").await?;
            ensure!(left == volumes, "{left:?}");
            Ok(())
        })
        .await?;

        site.apply("app", &on(1)).await?;
        site.ready("app").await?;
        let now = site.containers(site.host(), "app").await?;
        for name in names {
            ensure!(id_of(&now, name)? == id_of(&first, name)?, "{name} was made anew for nothing");
        }
        Ok(())
    })
    .await
}
