//! The operator killed with SIGKILL before and after every call that changes something: of a create, an update, a rollback and a
//! delete. The points are not listed here: a run without a crash tells them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use slipway_api::ContainerService;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Action, DockerHost, Image, Operator, Proxy, eventually};

use crate::on_site;
use crate::site::{SLEEPER, SOON, Site, runs};

/// What is done to the object when the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Create,
    Update,
    Rollback,
    Delete,
}

/// A call at which to crash: whose, its name, and its number from 1 within the phase.
#[derive(Clone, Debug)]
struct Point {
    of_engine: bool,
    call: String,
    nth: usize,
}

/// A site with proxies in front of the engine and the API server.
struct Bed {
    site: Site,
    engine: Proxy,
    api: Proxy,
}

impl Bed {
    async fn new(ns: Arc<TestNamespace>) -> Result<Self> {
        let host = DockerHost::start().await?;
        host.load(&Image::new(SLEEPER)).await?;
        let (engine, api) = (Proxy::engine(&host).await?, Proxy::api(&ns.cluster).await?);
        ns.create(&engine.node("h0")?).await?;
        // Without a lease: the next start need not wait until that of the killed one has run out.
        let args = ["--namespace", &ns.name, "--system-namespace", &ns.name, "--leader-elect=false"];
        let operator = Arc::new(Operator::spawn(Some(&api.kubeconfig()?), &args)?);
        ns.watch_log(&operator);
        operator.wait_ready().await?;
        Ok(Self { site: Site { ns, hosts: vec![host], operator }, engine, api })
    }

    fn spec(version: &str, works: bool) -> Value {
        // With a check it counts as ready as soon as that has passed, and not only when it has run for a while.
        let mut store = json!({
            "image": SLEEPER, "environment": {"V": version}, "volumes": ["data:/data"], "configs": ["motd"],
            "healthcheck": {"test": ["CMD", "true"], "interval": "500ms"},
        });
        if !works {
            store["command"] = json!(["sh", "-c", "exit 7"]);
        }
        json!({
            "compose": {
                "services": {"web": {"image": SLEEPER, "depends_on": ["store"]}, "store": store},
                "volumes": {"data": {}},
                "configs": {"motd": {"content": version}},
            },
            "update": {"minReady": "500ms"},
        })
    }

    /// Brings an object to where the phase begins.
    async fn prepare(&self, phase: Phase, name: &str) -> Result<()> {
        if phase != Phase::Create {
            self.site.apply(name, &Self::spec("1", true)).await?;
            self.site.ready(name).await?;
        }
        Ok(())
    }

    async fn trigger(&self, phase: Phase, name: &str) -> Result<()> {
        match phase {
            Phase::Create => drop(self.site.apply(name, &Self::spec("1", true)).await?),
            Phase::Update => drop(self.site.apply(name, &Self::spec("2", true)).await?),
            Phase::Rollback => drop(self.site.apply(name, &Self::spec("2", false)).await?),
            Phase::Delete => drop(self.site.services().delete(name, &kube::api::DeleteParams::default()).await?),
        }
        Ok(())
    }

    /// Waits until the phase has ended as it should, and looks whether anything is too much or too little.
    async fn settled(&self, phase: Phase, name: &str) -> Result<()> {
        match phase {
            Phase::Create | Phase::Update => drop(self.site.ready(name).await?),
            Phase::Rollback => {
                let rolled_back = |object: &ContainerService| {
                    object.status.as_ref().is_some_and(|status| {
                        !status.failed.is_empty()
                            && status.ready.as_deref() == Some("2/2")
                            && status.observed_generation == object.metadata.generation
                    })
                };
                self.site.ns.wait_for(name, "rolled back", SOON, rolled_back).await?;
            }
            Phase::Delete => self.site.ns.wait_gone::<ContainerService>(name, SOON).await?,
        }
        let wanted: Vec<String> = match phase {
            Phase::Delete => Vec::new(),
            _ => ["store", "web"].map(|service| format!("{name}-{service}-1")).to_vec(),
        };
        let host = self.site.host();
        self.site
            .wait_containers(host, name, "exactly the wanted containers", |all| {
                all.keys().eq(&wanted) && all.values().all(runs)
            })
            .await?;
        let networks = host.docker()?.list_networks(None).await?;
        let project = format!("{name}_");
        let networks = networks.iter().filter(|it| it.name.as_ref().is_some_and(|it| it.starts_with(&project))).count();
        ensure!(networks == usize::from(phase != Phase::Delete), "{networks} networks");
        let volumes = self.site.volumes(host, name).await?;
        ensure!(volumes == [format!("{name}_data")], "volumes {volumes:?}");
        Ok(())
    }

    /// Every call that a phase makes when nothing goes wrong.
    async fn points(&self, phase: Phase) -> Result<Vec<Point>> {
        self.prepare(phase, "clean").await?;
        self.engine.reset();
        self.api.reset();
        self.trigger(phase, "clean").await?;
        self.settled(phase, "clean").await?;
        let mut counts = BTreeMap::<(bool, String), usize>::new();
        for (of_engine, proxy) in [(true, &self.engine), (false, &self.api)] {
            // Events are no part of what must be; the Secret with the installation's key is made once, before.
            let counted = proxy.calls().into_iter().filter(|it| it.changes && !it.name.contains("events"));
            let counted = counted.filter(|it| !it.name.contains("secrets"));
            counted.for_each(|it| *counts.entry((of_engine, it.name)).or_default() += 1);
        }
        let points = counts
            .into_iter()
            .flat_map(|((of_engine, call), count)| {
                (1..=count).map(move |nth| Point { of_engine, call: call.clone(), nth })
            })
            .collect();
        self.tidy(phase, "clean").await?;
        Ok(points)
    }

    /// Removes what a run has left on purpose.
    async fn tidy(&self, phase: Phase, name: &str) -> Result<()> {
        if phase != Phase::Delete {
            self.site.delete(name).await?;
        }
        let volume = format!("{name}_data");
        Ok(self
            .site
            .host()
            .docker()?
            .remove_volume(&volume, None::<bollard::query_parameters::RemoveVolumeOptions>)
            .await?)
    }

    async fn crash_at(&self, phase: Phase, point: &Point, after: bool, name: &str) -> Result<()> {
        self.prepare(phase, name).await?;
        let proxy = if point.of_engine { &self.engine } else { &self.api };
        let kill = Action::Kill(self.site.operator.pid());
        if after {
            proxy.after(&point.call, point.nth, kill);
        } else {
            proxy.before(&point.call, point.nth, kill);
        }
        self.trigger(phase, name).await?;
        // The last status writes of a phase may fold into fewer than those of the clean run: then there was no such call.
        let settled = self.settled(phase, name);
        let crashed = eventually("the operator to be killed", SOON, || async {
            ensure!(!self.site.operator.is_running(), "it runs");
            Ok(())
        });
        tokio::select! {
            killed = crashed => killed?,
            settled = settled => {
                settled?;
                ensure!(!point.of_engine, "the call was never made");
            }
        }
        proxy.clear();
        self.site.operator.restart().await?;
        self.settled(phase, name).await?;
        self.tidy(phase, name).await
    }
}

async fn every_point(phase: Phase) -> Result<()> {
    on_site(async move |ns| {
        let bed = Bed::new(ns).await?;
        let points = bed.points(phase).await?;
        ensure!(points.iter().filter(|it| it.of_engine).count() >= 4, "only {points:?}");
        let mut tried = 0;
        for point in &points {
            for after in [false, true] {
                tried += 1;
                let when = if after { "after" } else { "before" };
                let name = format!("at{tried}");
                let outcome = bed.crash_at(phase, point, after, &name);
                tokio::time::timeout(Duration::from_mins(5), outcome)
                    .await
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("no end")))
                    .with_context(|| format!("{phase:?}: killed {when} {} no. {}", point.call, point.nth))?;
            }
        }
        println!("{phase:?}: {tried} crashes at {} points", points.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_create() -> Result<()> {
    every_point(Phase::Create).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_an_update() -> Result<()> {
    every_point(Phase::Update).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_rollback() -> Result<()> {
    every_point(Phase::Rollback).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_delete() -> Result<()> {
    every_point(Phase::Delete).await
}
