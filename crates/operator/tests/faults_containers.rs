//! The full product of crash points and faults, over create, update, rollback, change of a network and delete of a service, on
//! the fake host.
//!
//! A clean run's call log gives the points: each call to the engine and each write to the API server, before it is done and
//! after. At each of them the operator is killed, or the engine fails under it, or both; then a fresh operator takes over, and
//! everything must end as in the clean run: no duplicate, no leak, nothing of others touched, every named volume kept.

#![allow(clippy::unwrap_used, clippy::panic)]

mod faults_world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faults_world::{Api, INSTALLATION, Kept, Operator, Shown, Want, valid};
use futures::StreamExt;
use serde_json::{Value, json};
use slipway_api::{ContainerServiceStatus, labels};
use slipway_fakes::docker::{Behaviour, FakeDocker, Image, Registry, Seen, Version};
use slipway_fakes::faults::{Effect, Fault, Moment, Trouble};
use tokio::time::timeout;

/// Cases under way at one time.
const AT_ONCE: usize = 8;
/// How long an operator tries on a host that does not answer, before it is killed too.
const IN_VAIN: Duration = Duration::from_millis(15);
/// How long a case may take beside others. One that takes longer is run again alone, since a busy machine is no fault.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it may take alone. What has not ended then never does.
const PATIENCE_ALONE: Duration = Duration::from_mins(10);

/// A call of the clean run: its name, and which of that name it was; `status-write` for the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    call: String,
    nth: u64,
    changes: bool,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The operator is killed; the engine is in this state then, and well again later.
    Killed(Engine),
    /// The operator goes on; the engine does this to it.
    Survives(Engine),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// Nothing is wrong with it (killed), or the connection breaks (survives).
    Well,
    /// It answers with an error.
    Failing,
    Down,
    Frozen,
    Restarted,
    /// What was asked for is done only when a fresh operator has finished.
    Late,
}

/// One case: something happens at a point.
#[derive(Clone, Debug)]
struct Case {
    point: Point,
    moment: Moment,
    event: Event,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}: {:?}", self.moment, self.point.call, self.point.nth, self.event)
    }
}

impl Case {
    fn effect(&self) -> Effect {
        match self.event {
            Event::Killed(Engine::Well | Engine::Failing | Engine::Late) => Effect::Hang,
            Event::Survives(Engine::Well | Engine::Late) => Effect::Disconnect,
            Event::Survives(Engine::Failing) => Effect::Fail(500, "the engine is out of order".into()),
            Event::Killed(Engine::Down) | Event::Survives(Engine::Down) => Effect::Trouble(Trouble::Down),
            Event::Killed(Engine::Frozen) | Event::Survives(Engine::Frozen) => Effect::Trouble(Trouble::Frozen),
            Event::Killed(Engine::Restarted) | Event::Survives(Engine::Restarted) => Effect::Trouble(Trouble::Restart),
        }
    }
}

/// What is wrong with a case.
#[derive(Debug)]
enum Wrong {
    /// It had not ended in its time; what it was at.
    NoEnd(String),
    /// It ended, and not as it should.
    End(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnd(at) => write!(f, "it does not end: {at}"),
            Self::End(wrong) => f.write_str(wrong),
        }
    }
}

/// What is done to a service.
struct Scenario {
    name: &'static str,
    /// The host before, to be forked.
    before: FakeDocker,
    status: ContainerServiceStatus,
    want: Want,
}

/// What the clean run came to.
struct Clean {
    points: Vec<Point>,
    shown: Shown,
}

fn spec(web: &str, setting: &str) -> Value {
    let check = json!({ "test": ["CMD", "check"], "interval": "1s" });
    json!({
        "files": { "./token": { "secretKeyRef": { "name": "token", "key": "token" } } },
        "update": { "order": "StartFirst", "minReady": "1s" },
        "compose": {
            "services": {
                "db": { "image": "reg.lab/db:1", "volumes": ["data:/var/lib/db"], "healthcheck": check, "restart": "always", "networks": ["back"] },
                "setup": {
                    "image": "reg.lab/setup:1", "restart": "no", "networks": ["back"],
                    "depends_on": { "db": { "condition": "service_healthy" } },
                },
                "web": {
                    "image": format!("reg.lab/{web}"), "ports": ["8080:80"], "read_only": true, "secrets": ["token"],
                    "networks": ["front", "back"], "environment": { "SETTING": setting },
                    "depends_on": { "setup": { "condition": "service_completed_successfully" } },
                },
                "side": { "image": "reg.lab/side:1", "secrets": ["token"], "networks": ["front"], "environment": { "SETTING": setting } },
            },
            "networks": { "front": {}, "back": {} },
            "volumes": { "data": {} },
            "secrets": { "token": { "file": "./token" } },
        },
    })
}

fn want(web: &str, setting: &str, generation: i64) -> Want {
    Want::Up(Arc::new(valid(spec(web, setting), setting)), generation)
}

/// The same with another network under two of the services.
fn want_moved(web: &str, setting: &str, generation: i64) -> Want {
    let mut spec = spec(web, setting);
    spec["compose"]["networks"]["front"] = json!({ "ipam": { "config": [{ "subnet": "10.99.0.0/24" }] } });
    Want::Up(Arc::new(valid(spec, setting)), generation)
}

/// A host with things of others on it, and a registry with all images.
async fn host() -> FakeDocker {
    let registry = Registry::default();
    for image in ["db:1", "web:1", "web:2", "side:1"] {
        registry.push(&format!("reg.lab/{image}"), Image::new(image));
    }
    registry.push("reg.lab/setup:1", Image::new("setup").behaving(Behaviour::exits(0, Duration::ZERO)));
    registry
        .push("reg.lab/web:bad", Image::new("bad").behaving(Behaviour::exits(1, Duration::ZERO).complains("no way")));
    let docker = FakeDocker::start_with(Version::V20, registry).await.unwrap();
    docker.load("other:1", Image::new("other"));
    let theirs = json!({ "slipway.dev/installation": "another", "slipway.dev/namespace": "shop", "slipway.dev/name": "site", "slipway.dev/service": "web" });
    for (method, path, body) in [
        ("POST", "/networks/create", json!({ "Name": "theirs", "Labels": theirs })),
        ("POST", "/volumes/create", json!({ "Name": "theirs", "Labels": theirs })),
        (
            "POST",
            "/containers/create?name=plain",
            json!({ "Image": "other:1", "HostConfig": { "RestartPolicy": { "Name": "always" } } }),
        ),
        (
            "POST",
            "/containers/create?name=theirs",
            json!({ "Image": "other:1", "Labels": theirs, "HostConfig": { "NetworkMode": "theirs", "Binds": ["theirs:/data"] } }),
        ),
        ("POST", "/containers/plain/start", Value::Null),
        ("POST", "/containers/theirs/start", Value::Null),
    ] {
        let (status, answer) = docker.outside(method, path, &body);
        assert!(status < 300, "{path}: {answer}");
    }
    docker
}

/// The host with the service up in its first version.
async fn running() -> (FakeDocker, ContainerServiceStatus) {
    let docker = host().await;
    let api = Api::new(ContainerServiceStatus::default(), None);
    Operator::start(&docker).await.converge(&docker, &api, &want("web:1", "one", 1)).await.unwrap();
    (docker, api.status())
}

impl Scenario {
    async fn create() -> Self {
        Self {
            name: "create",
            before: host().await,
            status: ContainerServiceStatus::default(),
            want: want("web:1", "one", 1),
        }
    }

    async fn of_running(name: &'static str, want: Want) -> Self {
        let (before, status) = running().await;
        Self { name, before, status, want }
    }

    /// The run that nothing happens to.
    async fn clean(&self) -> Clean {
        let docker = self.before.fork().await.unwrap();
        let api = Api::new(self.status.clone(), None);
        let kept = Kept::on(&docker);
        Operator::start(&docker).await.converge(&docker, &api, &self.want).await.unwrap();
        kept.check(&docker).unwrap();
        let mut counts = BTreeMap::<String, u64>::new();
        let mut count = |call: &str| {
            let count = counts.entry(call.to_owned()).or_default();
            *count += 1;
            *count
        };
        let mut points: Vec<_> = docker
            .calls()
            .iter()
            .map(|call| Point { call: call.name.into(), nth: count(call.name), changes: call.changes })
            .collect();
        points.extend((1..=api.writes()).map(|nth| Point { call: "status-write".into(), nth, changes: true }));
        Clean { points, shown: Shown::on(&docker) }
    }

    /// Runs a case; what is wrong, if anything is.
    async fn run(&self, case: &Case, clean: &Clean, patience: Duration) -> Result<(), Wrong> {
        let docker = self.before.fork().await.map_err(|error| Wrong::End(error.to_string()))?;
        let of_api = case.point.call == "status-write";
        let api = Api::new(self.status.clone(), of_api.then_some((case.point.nth, case.moment)));
        if let Ok(ended) = timeout(patience, self.attempt(case, clean, &docker, &api)).await {
            return ended.map_err(Wrong::End);
        }
        let open: Vec<_> = docker.calls().into_iter().filter(|call| call.status.is_none()).collect();
        Err(Wrong::NoEnd(format!("{:?}, calls without an answer: {open:?}", api.told().last())))
    }

    async fn attempt(&self, case: &Case, clean: &Clean, docker: &FakeDocker, api: &Api) -> Result<(), String> {
        let of_api = case.point.call == "status-write";
        let kept = Kept::on(docker);
        if !of_api {
            let (call, effect) = (case.point.call.as_str(), case.effect());
            let fault =
                if case.moment == Moment::Before { Fault::before(call, effect) } else { Fault::after(call, effect) };
            docker.inject(fault.nth(case.point.nth));
        }
        let mut operator = Operator::start(docker).await;
        match case.event {
            Event::Killed(engine) => {
                tokio::select! {
                    biased;
                    () = docker.faults().struck() => {}
                    () = api.reached() => {}
                    ended = operator.converge(docker, api, &self.want) => return Self::unreached(case, ended),
                }
                drop(operator);
                operator = self.take_over(docker, api, engine, of_api).await?;
            }
            Event::Survives(_) => {
                let healed = async {
                    docker.faults().struck().await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    docker.recover().await;
                };
                let converged = operator.converge(docker, api, &self.want);
                tokio::pin!(healed, converged);
                let converged = tokio::select! {
                    () = &mut healed => converged.await,
                    ended = &mut converged => {
                        if docker.faults().times_struck() == 0 {
                            return Self::unreached(case, ended);
                        }
                        healed.await;
                        ended
                    }
                };
                converged?;
            }
        }
        operator.converge(docker, api, &self.want).await?;
        self.check(docker, api, &operator, &kept, clean).await
    }

    /// The operator is killed before a call, and finds a spec that is refused when it is back: what ran runs again. Then the spec is
    /// what it was before.
    async fn refused(&self, point: &Point, mended: &Want) -> Result<(), String> {
        let docker = self.before.fork().await.map_err(|error| error.to_string())?;
        let (before, kept) = (Shown::on(&docker), Kept::on(&docker));
        let api = Api::new(self.status.clone(), None);
        docker.inject(Fault::before(&point.call, Effect::Hang).nth(point.nth));
        let operator = Operator::start(&docker).await;
        tokio::select! {
            biased;
            () = docker.faults().struck() => {}
            ended = operator.converge(&docker, &api, &self.want) => return Err(format!("the point was not reached: {ended:?}")),
        }
        drop(operator);
        docker.faults().clear();
        let operator = Operator::start(&docker).await;
        operator.converge(&docker, &api, &Want::Refused).await?;
        for service in ["db", "web", "side"] {
            let runs = |seen: &Seen| {
                let label = |name: &str| seen.labels.get(name).map(String::as_str);
                label(labels::INSTALLATION) == Some(INSTALLATION)
                    && label(labels::SERVICE) == Some(service)
                    && seen.status == "running"
            };
            let running = docker.containers().iter().filter(|seen| runs(seen)).count();
            if running != 1 {
                return Err(format!("{running} of {service} run: {:#?}", Shown::on(&docker)));
            }
        }
        operator.converge(&docker, &api, mended).await?;
        kept.check(&docker)?;
        let shown = Shown::on(&docker);
        if shown == before { Ok(()) } else { Err(format!("it ended with {shown:#?}\nand not with {before:#?}")) }
    }

    /// Looks and pulls come side by side, so their number differs from run to run, and what they tell may fold into fewer status
    /// writes; all others must come again.
    fn unreached(case: &Case, ended: Result<(), String>) -> Result<(), String> {
        let of_pulls = case.point.call.starts_with("image-");
        if case.point.changes && !of_pulls && case.point.call != "status-write" {
            Err(format!("the point was not reached: {ended:?}"))
        } else {
            ended
        }
    }

    /// What happens between the death of an operator and the last take-over.
    async fn take_over(
        &self,
        docker: &FakeDocker,
        api: &Api,
        engine: Engine,
        of_api: bool,
    ) -> Result<Operator, String> {
        match engine {
            Engine::Well | Engine::Failing => docker.faults().clear(),
            Engine::Late => {
                Operator::start(docker).await.converge(docker, api, &self.want).await?;
                docker.faults().release();
                // It is done when the request that hung has its answer.
                while !of_api && docker.calls().iter().any(|call| call.changes && call.status.is_none()) {
                    tokio::task::yield_now().await;
                }
            }
            Engine::Restarted => {
                if of_api {
                    docker.trouble(Trouble::Restart).await;
                }
            }
            Engine::Down | Engine::Frozen => {
                if of_api {
                    let trouble = if engine == Engine::Down { Trouble::Down } else { Trouble::Frozen };
                    docker.trouble(trouble).await;
                }
                let in_vain = Operator::start(docker).await;
                let _ = timeout(IN_VAIN, in_vain.converge(docker, api, &self.want)).await;
                drop(in_vain);
                docker.recover().await;
            }
        }
        Ok(Operator::start(docker).await)
    }

    async fn check(
        &self,
        docker: &FakeDocker,
        api: &Api,
        operator: &Operator,
        kept: &Kept,
        clean: &Clean,
    ) -> Result<(), String> {
        let shown = Shown::on(docker);
        if shown != clean.shown {
            return Err(format!("it ended with {shown:#?}\nand not with {:#?}", clean.shown));
        }
        kept.check(docker)?;
        docker.assert_no_duplicate(INSTALLATION);
        let (calls, writes) = (docker.changing_calls().len(), api.writes());
        operator.converge(docker, api, &self.want).await?;
        // A pull that was under way goes on beside the passes, and ends with its tag.
        let did = docker.changing_calls().into_iter().skip(calls).find(|call| !call.name.starts_with("image-"));
        match (did, api.writes() - writes) {
            (None, 0) => Ok(()),
            (call, writes) => {
                Err(format!("settled, and yet it did {call:?} and wrote {writes} times: {:#?}", api.told()))
            }
        }
    }
}

/// All that can happen at a point. At one that changes nothing no reply can be lost after a change.
fn every_case(point: &Point) -> Vec<Case> {
    use Engine::{Down, Failing, Frozen, Late, Restarted, Well};
    let of_api = point.call == "status-write";
    let mut cases = Vec::new();
    let mut add = |moment, event| cases.push(Case { point: point.clone(), moment, event });
    let moments: &[_] = if point.changes { &[Moment::Before, Moment::After] } else { &[Moment::Before] };
    for moment in moments {
        for engine in [Well, Down, Frozen, Restarted] {
            add(*moment, Event::Killed(engine));
        }
        if !of_api {
            for engine in [Well, Failing, Down, Frozen, Restarted] {
                add(*moment, Event::Survives(engine));
            }
        }
    }
    if point.changes && !of_api {
        add(Moment::Before, Event::Killed(Late));
    }
    cases
}

/// The cases to run. With `SLIPWAY_TEST_CASE` those that have it in their name, to look into one; with `SLIPWAY_TEST_FULL` the
/// whole product. Else at each call that changes something the operator killed before it or after it, in turn, as after one call is
/// before the next, and one more event, in turn; and the operator killed before one call of each kind that only looks, as that is
/// after the change before it.
fn cases(points: &[Point]) -> Vec<Case> {
    let mut every: Vec<_> = points.iter().map(every_case).collect();
    if let Ok(wanted) = std::env::var("SLIPWAY_TEST_CASE") {
        return every.concat().into_iter().filter(|case| case.to_string().contains(&wanted)).collect();
    }
    if std::env::var_os("SLIPWAY_TEST_FULL").is_none() {
        let mut seen = BTreeSet::new();
        for (turn, (point, cases)) in points.iter().zip(&mut every).enumerate() {
            if !point.changes {
                let first = seen.insert(&point.call);
                cases.retain(|case| first && case.event == Event::Killed(Engine::Well));
                continue;
            }
            let (killed, others): (Vec<_>, Vec<_>) =
                cases.drain(..).partition(|case| case.event == Event::Killed(Engine::Well));
            for of_kind in [killed, others] {
                cases.extend(of_kind.get(turn % of_kind.len().max(1)).cloned());
            }
        }
    }
    every.concat()
}

async fn product(scenario: Scenario) {
    let began = Instant::now();
    let clean = scenario.clean().await;
    let cases = cases(&clean.points);
    let (scenario, clean) = (&scenario, &clean);
    let found: Vec<(&Case, Wrong)> = futures::stream::iter(&cases)
        .map(|case| async move { Some((case, scenario.run(case, clean, PATIENCE).await.err()?)) })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let mut wrong = Vec::new();
    let mut slow = 0;
    for (case, error) in found {
        let error = match error {
            Wrong::NoEnd(at) => {
                slow += 1;
                let (again, alone) = (Instant::now(), scenario.run(case, clean, PATIENCE_ALONE).await);
                println!(
                    "{}: {case}: ended not in {PATIENCE:?} ({at}); alone {:?} after {:?}",
                    scenario.name,
                    alone,
                    again.elapsed()
                );
                alone.err()
            }
            error @ Wrong::End(_) => Some(error),
        };
        wrong.extend(error.map(|error| format!("{}: {case}: {error}", scenario.name)));
    }
    let changing = clean.points.iter().filter(|point| point.changes).count();
    println!(
        "{}: {} points ({changing} of them change something), {} cases, {slow} run again alone, {} wrong, {:.1} s",
        scenario.name,
        clean.points.len(),
        cases.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    let some = wrong.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{some}", wrong.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn create_survives_everything() {
    product(Scenario::create().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_survives_everything() {
    product(Scenario::of_running("update", want("web:2", "two", 2)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_survives_everything() {
    product(Scenario::of_running("rollback", want("web:bad", "two", 2)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_network_survives_everything() {
    product(Scenario::of_running("network", want_moved("web:1", "one", 2)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_to_an_old_network_survives_everything() {
    product(Scenario::of_running("network back", want_moved("web:bad", "one", 2)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_of_networks_took_down_runs_again_though_the_spec_is_refused_then() {
    let scenario = &Scenario::of_running("network", want_moved("web:1", "one", 2)).await;
    let mended = &want("web:1", "one", 3);
    let clean = scenario.clean().await;
    let points = clean.points.iter().filter(|it| it.changes && it.call != "status-write");
    let outcomes = futures::stream::iter(points)
        .map(|point| async move { (point, timeout(PATIENCE_ALONE, scenario.refused(point, mended)).await) })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    assert!(outcomes.len() > 10, "only {} points", outcomes.len());
    let wrong: Vec<_> = outcomes.iter().filter(|(_, outcome)| !matches!(outcome, Ok(Ok(())))).collect();
    assert!(wrong.is_empty(), "{} of {} points: {wrong:#?}", wrong.len(), outcomes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_survives_everything() {
    product(Scenario::of_running("delete", Want::Gone).await).await;
}
