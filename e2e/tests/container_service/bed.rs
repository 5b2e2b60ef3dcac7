//! A site with proxies in front of its engine and its API server, and what is done to a service there: create, update, rollback,
//! delete. The calls at which something can go wrong are not listed: a run without trouble tells them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use slipway_api::ContainerService;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::site::{SLEEPER, SOON, Site, runs};
use slipway_e2e::lab::{DockerHost, Image, Operator, Proxy};

/// What is done to the object when the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Create,
    Update,
    Rollback,
    Delete,
}

/// A call at which to crash: whose, its name, and its number from 1 within the phase.
#[derive(Clone, Debug)]
pub struct Point {
    pub of_engine: bool,
    pub call: String,
    pub nth: usize,
}

/// A site with proxies in front of the engine and the API server.
pub struct Bed {
    pub site: Site,
    pub engine: Proxy,
    pub api: Proxy,
}

impl Bed {
    /// One host; the proxy reaches its engine over the network if asked for.
    pub async fn new(ns: Arc<TestNamespace>, by_network: bool) -> Result<Self> {
        let host = DockerHost::start().await?;
        host.load(&Image::new(SLEEPER)).await?;
        let engine = if by_network { Proxy::engine_by_network(&host).await? } else { Proxy::engine(&host).await? };
        let api = Proxy::api(&ns.cluster).await?;
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
    pub async fn prepare(&self, phase: Phase, name: &str) -> Result<()> {
        if phase != Phase::Create {
            self.site.apply(name, &Self::spec("1", true)).await?;
            self.site.ready(name).await?;
        }
        Ok(())
    }

    pub async fn trigger(&self, phase: Phase, name: &str) -> Result<()> {
        match phase {
            Phase::Create => drop(self.site.apply(name, &Self::spec("1", true)).await?),
            Phase::Update => drop(self.site.apply(name, &Self::spec("2", true)).await?),
            Phase::Rollback => drop(self.site.apply(name, &Self::spec("2", false)).await?),
            Phase::Delete => drop(self.site.services().delete(name, &kube::api::DeleteParams::default()).await?),
        }
        Ok(())
    }

    /// Waits until the phase has ended as it should, and looks whether anything is too much or too little.
    pub async fn settled(&self, phase: Phase, name: &str) -> Result<()> {
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
    pub async fn points(&self, phase: Phase) -> Result<Vec<Point>> {
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
    pub async fn tidy(&self, phase: Phase, name: &str) -> Result<()> {
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
}
