//! What every [`Engine`] must do, whatever is behind it: run against real engines and against the fake one.
//!
//! Each check makes its own things under its own owner and removes them again, so that checks can be run in any order, again,
//! and on an engine that is used for other things.

mod bench;
mod networks;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bollard_stubs::models::{EndpointSettings, PortBinding, RestartPolicy, RestartPolicyNameEnum};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::{Owner, State};
use slipway_plan::container_service::plan::Step;

use super::{Engine, Event};
use crate::{Class, DriverError};

use bench::rename;
pub use bench::{Bench, key, stop};

/// A check's outcome: what was not as it should be, in words.
pub type Outcome = Result<(), String>;
/// A check.
pub type Check = for<'a> fn(&'a Suite) -> BoxFuture<'a, Outcome>;

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// Every check, by name.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |suite| suite.$name().boxed())),*];
    };
}

checks! {
    describes_itself,
    a_project_from_first_to_last,
    names_of_others_are_not_taken,
    another_revision_is_not_taken_for_it,
    things_of_others_are_left_alone,
    done_already_is_success,
    a_missing_image_is_said,
    a_digest_that_is_not_there_is_said,
    a_taken_port_is_said,
    a_missing_network_is_said,
    a_network_in_use_is_kept,
    a_network_is_tried_beside_the_one_in_use,
    a_network_comes_back_as_it_was_with_what_was_bound_to_it,
    several_networks_are_connected,
    a_lost_network_is_connected_again,
    limits_are_put_back,
    files_are_put_in,
    a_file_without_a_place_is_refused,
    events_tell_what_happens,
    events_resume_without_loss,
    owners_are_listed,
}

/// Runs all checks one after the other; the first that fails ends it.
pub async fn run(suite: &Suite) -> Outcome {
    for (name, check) in CHECKS {
        tokio::time::timeout(Duration::from_mins(2), check(suite))
            .await
            .map_err(|_| format!("{name}: not done after 120 s"))?
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition { return Err(format!($($words)+)); }
    };
}
use ensure;

/// An engine under test.
pub struct Suite {
    engine: Arc<dyn Engine>,
    image: String,
}

impl Suite {
    /// `image` is on the engine already and has `sleep` and `sh`.
    pub fn new(engine: Arc<dyn Engine>, image: impl Into<String>) -> Self {
        Self { engine, image: image.into() }
    }

    /// Things of a check's own.
    pub fn bench(&self, check: &str) -> Bench<'_> {
        let owner =
            Owner { installation: format!("conformance-{check}"), namespace: "tests".into(), name: check.into() };
        Bench { suite: self, owner, definition: Definition { project: check.into(), ..Definition::default() } }
    }

    async fn describes_itself(&self) -> Outcome {
        self.engine.ping().await.map_err(said)?;
        let status = self.engine.describe().await.map_err(said)?;
        let minor: u32 = status.api_version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap_or_default();
        ensure!(minor >= 41, "the API version is {:?}", status.api_version);
        ensure!(!status.engine_id.is_empty() && !status.version.is_empty(), "{status:?}");
        ensure!(status.cpus > 0 && status.memory.ends_with("Mi") && !status.os.is_empty(), "{status:?}");
        Ok(())
    }

    async fn a_project_from_first_to_last(&self) -> Outcome {
        let mut bench = self.bench("life");
        bench.network("life_net").volume("life_data").container("web", &["life_net"]);
        bench.edit("web", |body| {
            body.host_config.get_or_insert_default().binds = Some(vec!["life_data:/data".into()]);
            body.stop_timeout = Some(7);
        });
        bench.sweep().await?;
        bench.make().await?;

        let created = bench.only().await?;
        ensure!(created.state == State::Created, "created: {created:?}");
        ensure!(created.name == "life-web-1" && created.key == key("web"), "created: {created:?}");
        ensure!(created.revision == "r1" && created.restart.as_deref() == Some("t1"), "its labels: {created:?}");
        ensure!(created.stop_timeout == Some(7) && created.volumes == ["life_data"], "created: {created:?}");
        ensure!(created.created_at.is_some() && created.started_at.is_none(), "its times: {created:?}");
        let host = bench.observe().await?;
        let image = host.images.get(&self.image).ok_or("the image is not seen")?;
        ensure!(image.id == created.image_id, "image {} and not {}", created.image_id, image.id);
        let network = host.networks.get("life_net").ok_or("the network is not seen")?;
        ensure!(network.owner.as_ref() == Some(&bench.owner) && network.hash.as_deref() == Some("n1"), "{network:?}");
        let volume = host.volumes.get("life_data").ok_or("the volume is not seen")?;
        ensure!(volume.owner.as_ref() == Some(&bench.owner) && volume.role.is_none(), "{volume:?}");

        bench.execute(&bench.start("web")).await?;
        let running = bench.only().await?;
        ensure!(running.state == State::Running && running.started_at.is_some(), "started: {running:?}");
        ensure!(running.networks == ["life_net"] && running.error.is_empty(), "started: {running:?}");
        ensure!(running.network_ids.get("life_net") == Some(&network.id), "its network: {running:?}");

        let id = running.id;
        bench.execute(&rename(&id, "life-web-1", "life-web-1.old")).await?;
        bench.execute(&stop(&id, "life-web-1.old")).await?;
        let stopped = bench.only().await?;
        ensure!(stopped.id == id && stopped.name == "life-web-1.old", "renamed: {stopped:?}");
        ensure!(stopped.state == State::Exited && stopped.finished_at.is_some(), "stopped: {stopped:?}");
        ensure!(stopped.exit_code == 137, "killed by its stop signal: {stopped:?}");

        bench.sweep().await?;
        let host = bench.observe().await?;
        ensure!(host.containers.is_empty() && host.networks.is_empty() && host.volumes.is_empty(), "left: {host:?}");
        Ok(())
    }

    async fn names_of_others_are_not_taken(&self) -> Outcome {
        let mut theirs = self.bench("names");
        theirs.network("names_net").volume("names_data").container("web", &["names_net"]);
        theirs.sweep().await?;
        theirs.make().await?;
        let before = theirs.observe().await?;
        let mut ours = self.bench("names");
        ours.owner.installation.push_str("-other");
        ours.definition = theirs.definition.clone();

        refused(
            ours.take(&Step::CreateNetwork { name: "names_net".into() }).await,
            Class::Conflict,
            "NetworkNameTaken",
        )?;
        refused(
            ours.take(&Step::CreateVolume { name: "names_data".into() }).await,
            Class::Conflict,
            "VolumeNameTaken",
        )?;
        refused(ours.take(&ours.create("web")).await, Class::Conflict, "ContainerNameTaken")?;
        let seen = ours.observe().await?;
        ensure!(seen.containers.is_empty(), "another's containers are taken for ours: {:?}", seen.containers);
        let other = seen.others.iter().find(|other| other.name == "names-web-1").ok_or("the other is not seen")?;
        ensure!(other.owner.as_ref() == Some(&theirs.owner), "its owner: {other:?}");
        ensure!(
            seen.networks.get("names_net").is_some_and(|net| net.owner.as_ref() == Some(&theirs.owner)),
            "{seen:?}"
        );
        ensure!(theirs.observe().await?.containers == before.containers, "the other's container was touched");
        theirs.sweep().await
    }

    async fn another_revision_is_not_taken_for_it(&self) -> Outcome {
        let mut bench = self.bench("revision");
        bench.container("web", &[]);
        bench.sweep().await?;
        bench.make().await?;
        let newer = Step::CreateContainer {
            key: key("web"),
            name: "revision-web-1".into(),
            revision: "r2".into(),
            restart: None,
            image_digest: None,
        };
        refused(bench.take(&newer).await, Class::Conflict, "ContainerNameTaken")?;
        ensure!(bench.only().await?.revision == "r1", "the revision changed");
        bench.sweep().await
    }

    async fn things_of_others_are_left_alone(&self) -> Outcome {
        let mut theirs = self.bench("others");
        theirs.network("others_net").volume("others_data").container("web", &["others_net"]);
        theirs.sweep().await?;
        theirs.make().await?;
        theirs.execute(&theirs.start("web")).await?;
        let container = theirs.only().await?;
        let network = theirs.observe().await?.networks["others_net"].id.clone();
        let mut ours = self.bench("others");
        ours.owner.name.push_str("-not");
        ours.definition = theirs.definition.clone();
        let (id, name) = (container.id.clone(), container.name.clone());
        for step in [
            stop(&id, &name),
            rename(&id, &name, "others-mine"),
            Step::UnpauseContainer { id: id.clone(), name: name.clone() },
            Step::RemoveContainer { id: id.clone(), name: name.clone() },
            Step::UpdateContainer { id: id.clone(), key: key("web") },
            Step::ConnectNetwork { id: id.clone(), key: key("web"), network: "others_net".into() },
            Step::StartContainer { name },
            Step::RemoveNetwork { name: "others_net".into(), id: network },
            Step::RemoveVolume { name: "others_data".into() },
        ] {
            refused(ours.take(&step).await, Class::Conflict, "NotOurs").map_err(|error| format!("{step}: {error}"))?;
        }
        ensure!(theirs.only().await? == container, "the other's container was touched");
        theirs.sweep().await
    }

    async fn done_already_is_success(&self) -> Outcome {
        let mut bench = self.bench("again");
        bench.network("again_net").volume("again_data").container("web", &["again_net"]);
        bench.sweep().await?;
        bench.make().await?;
        bench.make().await?;
        let id = bench.only().await?.id;
        let name = "again-web-1";
        let network = bench.observe().await?.networks["again_net"].id.clone();
        for step in [
            stop(&id, name),
            bench.start("web"),
            Step::UnpauseContainer { id: id.clone(), name: name.into() },
            rename(&id, name, name),
            Step::ConnectNetwork { id: id.clone(), key: key("web"), network: "again_net".into() },
            stop(&id, name),
            Step::RemoveContainer { id: id.clone(), name: name.into() },
            Step::RemoveNetwork { name: "again_net".into(), id: network },
            Step::RemoveVolume { name: "again_data".into() },
        ] {
            bench.execute(&step).await?;
            let is_gone = matches!(step, Step::RemoveContainer { .. });
            bench.execute(&step).await.map_err(|error| format!("taken again: {error}"))?;
            ensure!(!is_gone || bench.observe().await?.containers.is_empty(), "still there after {step}");
        }
        bench.execute(&stop(&id, name)).await.map_err(|error| format!("stopping what is gone: {error}"))?;
        refused(bench.take(&bench.start("web")).await, Class::Conflict, "Gone")?;
        refused(bench.take(&rename(&id, name, "again-x")).await, Class::Conflict, "Gone")
    }

    async fn a_missing_image_is_said(&self) -> Outcome {
        let mut bench = self.bench("noimage");
        bench.container("web", &[]);
        if let Some(container) = bench.definition.containers.get_mut(&key("web")) {
            container.image = "slipway.invalid/conformance/missing:1".into();
        }
        refused(bench.take(&bench.create("web")).await, Class::Transient, "ImageNotFound")?;
        ensure!(bench.observe().await?.containers.is_empty(), "something was made");
        Ok(())
    }

    async fn a_digest_that_is_not_there_is_said(&self) -> Outcome {
        let mut bench = self.bench("nodigest");
        bench.container("web", &[]);
        let digest = Some(format!("sha256:{}", "0".repeat(64)));
        let step = |image_digest| Step::CreateContainer {
            key: key("web"),
            name: "nodigest-web-1".into(),
            revision: "r1".into(),
            restart: None,
            image_digest,
        };
        refused(bench.take(&step(digest)).await, Class::Transient, "ImageNotFound")?;
        // An image that was never in a registry is known by its ID.
        let id = bench.observe().await?.images.get(&self.image).map(|image| image.id.clone());
        bench.execute(&step(id)).await?;
        bench.sweep().await
    }

    async fn a_taken_port_is_said(&self) -> Outcome {
        let mut bench = self.bench("port");
        for service in ["one", "two"] {
            bench.container(service, &[]);
            bench.edit(service, |body| {
                let binding = PortBinding { host_ip: Some(String::new()), host_port: Some("48231".into()) };
                body.exposed_ports = Some(vec!["80/tcp".into()]);
                let bindings = [("80/tcp".to_owned(), Some(vec![binding]))];
                body.host_config.get_or_insert_default().port_bindings = Some(bindings.into());
                body.host_config.get_or_insert_default().network_mode = None;
            });
        }
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("one")).await?;
        refused(bench.take(&bench.start("two")).await, Class::Conflict, "HostPortTaken")?;
        let mut other = self.bench("port");
        other.owner.name.push_str("-other");
        let seen = other.observe().await?;
        let holder = seen.others.iter().find(|other| other.name == "port-one-1").ok_or("the holder is not seen")?;
        ensure!(holder.host_ports == [(String::new(), 48231, "tcp".into())], "{holder:?}");
        bench.sweep().await
    }

    async fn a_missing_network_is_said(&self) -> Outcome {
        let mut bench = self.bench("nonet");
        bench.network("nonet_net").container("web", &["nonet_net"]);
        bench.sweep().await?;
        bench.make().await?;
        let id = bench.observe().await?.networks["nonet_net"].id.clone();
        bench.execute(&Step::RemoveNetwork { name: "nonet_net".into(), id }).await?;
        refused(bench.take(&bench.start("web")).await, Class::Conflict, "NetworkMissing")?;
        bench.sweep().await
    }

    async fn a_network_in_use_is_kept(&self) -> Outcome {
        let mut bench = self.bench("used");
        bench.network("used_net").volume("used_data").container("web", &["used_net"]);
        bench.edit("web", |body| {
            body.host_config.get_or_insert_default().binds = Some(vec!["used_data:/data".into()]);
        });
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let id = bench.observe().await?.networks["used_net"].id.clone();
        let network = Step::RemoveNetwork { name: "used_net".into(), id };
        refused(bench.take(&network).await, Class::Conflict, "NetworkInUse")?;
        let volume = Step::RemoveVolume { name: "used_data".into() };
        refused(bench.take(&volume).await, Class::Conflict, "VolumeInUse")?;
        bench.sweep().await
    }

    async fn several_networks_are_connected(&self) -> Outcome {
        let mut bench = self.bench("nets");
        bench.network("nets_a").network("nets_b").network("nets_c").container("web", &["nets_b", "nets_a", "nets_c"]);
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let container = bench.only().await?;
        ensure!(container.name == "nets-web-1", "its name: {container:?}");
        ensure!(container.networks == ["nets_a", "nets_b", "nets_c"], "its networks: {:?}", container.networks);
        bench.sweep().await
    }

    async fn a_lost_network_is_connected_again(&self) -> Outcome {
        let mut bench = self.bench("lost");
        bench.network("lost_a").network("lost_b").container("web", &["lost_a"]);
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let container = bench.definition.containers.get_mut(&key("web")).ok_or("no container")?;
        container.networks.push(("lost_b".into(), EndpointSettings::default()));
        let id = bench.only().await?.id;
        bench.execute(&Step::ConnectNetwork { id, key: key("web"), network: "lost_b".into() }).await?;
        let container = bench.only().await?;
        ensure!(container.networks == ["lost_a", "lost_b"], "its networks: {:?}", container.networks);
        bench.sweep().await
    }

    async fn limits_are_put_back(&self) -> Outcome {
        let mut bench = self.bench("limits");
        bench.container("web", &[]);
        bench.sweep().await?;
        bench.make().await?;
        bench.edit("web", |body| {
            let host = body.host_config.get_or_insert_default();
            host.memory = Some(64 << 20);
            let name = Some(RestartPolicyNameEnum::UNLESS_STOPPED);
            host.restart_policy = Some(RestartPolicy { name, maximum_retry_count: Some(0) });
        });
        let id = bench.only().await?.id;
        let update = Step::UpdateContainer { id, key: key("web") };
        bench.execute(&update).await?;
        let seen = bench.only().await?.host_config;
        ensure!(seen.memory == Some(64 << 20), "memory: {:?}", seen.memory);
        let policy = seen.restart_policy.and_then(|policy| policy.name);
        ensure!(policy == Some(RestartPolicyNameEnum::UNLESS_STOPPED), "restart policy: {policy:?}");
        bench.edit("web", |body| {
            let host = body.host_config.get_or_insert_default();
            host.memory = Some(96 << 20);
            host.restart_policy = None;
        });
        bench.execute(&update).await?;
        let seen = bench.only().await?.host_config;
        ensure!((seen.memory, seen.memory_swap) == (Some(96 << 20), Some(192 << 20)), "memory: {:?}", seen.memory_swap);
        let policy = seen.restart_policy.and_then(|policy| policy.name);
        ensure!(policy == Some(RestartPolicyNameEnum::NO), "restart policy: {policy:?}");
        bench.sweep().await
    }

    async fn files_are_put_in(&self) -> Outcome {
        let mut bench = self.bench("files");
        bench.container("plain", &[]).container("sealed", &[]);
        bench.files("plain", &["/run/secrets/key", "/etc/app/deep/app.conf"], false);
        bench.files("sealed", &["/run/secrets/key", "/run/secrets/other", "/srv/app.conf"], true);
        bench.edit("sealed", |body| body.host_config.get_or_insert_default().readonly_rootfs = Some(true));
        bench.sweep().await?;
        bench.make().await?;
        bench.make().await.map_err(|error| format!("made again: {error}"))?;
        let host = bench.observe().await?;
        let names: Vec<_> = host.containers.iter().map(|container| container.name.as_str()).collect();
        ensure!(names == ["files-plain-1", "files-sealed-1"], "the containers: {names:?}");
        ensure!(host.containers.iter().all(|container| container.state == State::Created), "{:?}", host.containers);
        let helpers: BTreeSet<_> = host
            .volumes
            .iter()
            .filter(|(_, volume)| volume.role.as_deref() == Some("files") && volume.revision.as_deref() == Some("r1"))
            .map(|(name, _)| name)
            .collect();
        ensure!(helpers.len() == 2, "one volume for each directory: {:?}", host.volumes);
        let mounted: BTreeSet<_> = host.containers[1].volumes.iter().collect();
        ensure!(mounted == helpers, "mounted are {mounted:?} and not {helpers:?}");
        for service in ["plain", "sealed"] {
            bench.execute(&bench.start(service)).await?;
        }
        // The volumes go with their container.
        for container in bench.observe().await?.containers {
            bench.execute(&stop(&container.id, &container.name)).await?;
            bench.execute(&Step::RemoveContainer { id: container.id, name: container.name }).await?;
        }
        let left = bench.observe().await?.volumes;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    }

    async fn a_file_without_a_place_is_refused(&self) -> Outcome {
        let mut bench = self.bench("place");
        bench.container("web", &[]);
        bench.edit("web", |body| {
            let host = body.host_config.get_or_insert_default();
            host.tmpfs = Some([("/run".to_owned(), String::new())].into());
        });
        bench.files("web", &["/run/key"], true);
        refused(bench.take(&bench.create("web")).await, Class::Invalid, "FileTargetInvalid")?;
        ensure!(bench.observe().await?.containers.is_empty(), "something was made");
        Ok(())
    }

    async fn events_tell_what_happens(&self) -> Outcome {
        let mut bench = self.bench("events");
        bench.network("events_net").container("web", &["events_net"]);
        bench.sweep().await?;
        let mut events = self.follow(None).await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let id = bench.only().await?.id;
        await_event(&mut events, &bench.owner, "network", "create").await?;
        await_event(&mut events, &bench.owner, "container", "create").await?;
        await_event(&mut events, &bench.owner, "container", "start").await?;
        bench.execute(&stop(&id, "events-web-1")).await?;
        await_event(&mut events, &bench.owner, "container", "die").await?;
        bench.sweep().await?;
        await_event(&mut events, &bench.owner, "container", "destroy").await?;
        await_event(&mut events, &bench.owner, "network", "destroy").await?;
        Ok(())
    }

    async fn events_resume_without_loss(&self) -> Outcome {
        let mut bench = self.bench("resume");
        bench.container("web", &[]);
        bench.sweep().await?;
        let mut events = self.follow(None).await?;
        bench.make().await?;
        let last = await_event(&mut events, &bench.owner, "container", "create").await?;
        drop(events);
        bench.execute(&bench.start("web")).await?;
        let mut events = self.follow(Some(last)).await?;
        await_event(&mut events, &bench.owner, "container", "start").await?;
        bench.sweep().await
    }

    async fn owners_are_listed(&self) -> Outcome {
        let (mut one, mut two) = (self.bench("owners"), self.bench("owners"));
        two.owner.name.push_str("-two");
        two.definition.project.push_str("-two");
        one.container("web", &[]);
        two.network("owners_two").volume("owners_data");
        for bench in [&one, &two] {
            bench.sweep().await?;
            bench.make().await?;
        }
        let seen = self.engine.owners(&one.owner.installation).await.map_err(said)?;
        ensure!(seen == [one.owner.clone(), two.owner.clone()].into(), "{seen:?}");
        one.sweep().await?;
        let network = two.observe().await?.networks["owners_two"].id.clone();
        two.execute(&Step::RemoveNetwork { name: "owners_two".into(), id: network }).await?;
        // A named volume is kept on purpose: nobody has to come back for it.
        let seen = self.engine.owners(&one.owner.installation).await.map_err(said)?;
        ensure!(seen.is_empty(), "{seen:?}");
        two.sweep().await
    }

    /// An events stream that stands.
    async fn follow(&self, since: Option<Timestamp>) -> Result<BoxStream<'static, Result<Event, DriverError>>, String> {
        let mut events = self.engine.events(since).await.map_err(said)?;
        let first = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
        let first = first.map_err(|_| "no first event")?.ok_or("the events ended")?.map_err(said)?;
        ensure!(first.kind.is_empty() && first.action.is_empty() && first.owner.is_none(), "first: {first:?}");
        Ok(events)
    }
}

async fn await_event(
    events: &mut BoxStream<'static, Result<Event, DriverError>>,
    owner: &Owner,
    kind: &str,
    action: &str,
) -> Result<Timestamp, String> {
    let wanted = async {
        loop {
            let event = events.next().await.ok_or("the events ended")?.map_err(said)?;
            if event.kind == kind && event.action == action && event.owner.as_ref() == Some(owner) {
                return Ok(event.at);
            }
        }
    };
    let wanted = tokio::time::timeout(Duration::from_secs(10), wanted).await;
    wanted.unwrap_or_else(|_| Err(format!("no event {kind} {action} within 10 s")))
}

#[allow(clippy::needless_pass_by_value)] // It is for `map_err`.
fn said(error: DriverError) -> String {
    format!("{} ({:?})", error, (error.class(), error.reason()))
}

/// It failed, and in this way.
pub fn refused<T: Debug>(answer: Result<T, DriverError>, class: Class, reason: &str) -> Outcome {
    match answer {
        Err(error) if error.class() == class && error.reason() == reason => Ok(()),
        Err(error) => Err(format!("wanted {class:?} {reason}, got {}", said(error))),
        Ok(answer) => Err(format!("wanted {class:?} {reason}, got {answer:?}")),
    }
}
