//! The fake engine on its socket: time, faults, events, and what it keeps.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use slipway_fakes::docker::{Availability, Behaviour, FakeDocker, Image, Registry, Version};
use slipway_fakes::faults::{Effect, Fault, Trouble};
use support::{Client, PATIENCE, tar_of};
use tokio::time::timeout;

async fn engine() -> (FakeDocker, Client) {
    let engine = FakeDocker::start().await.unwrap();
    engine.load("web:1", Image::new("web"));
    let client = Client { socket: engine.socket() };
    (engine, client)
}

async fn make(client: &Client, name: &str, body: Value) {
    let (status, answer) = client.post(&format!("/containers/create?name={name}"), body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn start(client: &Client, name: &str) -> u16 {
    client.post(&format!("/containers/{name}/start"), Value::Null).await.0
}

/// Lines of a stream, as they come.
struct Lines {
    body: hyper::body::Incoming,
    rest: Vec<u8>,
}

impl Lines {
    async fn open(client: &Client, path: &str) -> Self {
        let response = client.send("GET", path, "", Bytes::new()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), rest: Vec::new() }
    }

    /// The next line; `None` if the stream is over, an error if it breaks.
    async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            match timeout(PATIENCE, self.body.frame()).await.expect("nothing came") {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
            }
        }
    }

    async fn action(&mut self) -> String {
        self.next().await.unwrap().unwrap()["Action"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn containers_behave_as_their_image_says_and_time_can_be_put_forward() {
    let (engine, client) = engine().await;
    let check = json!({ "Test": ["CMD", "true"] });
    engine.load(
        "sick:1",
        Image::new("sick")
            .config("Healthcheck", check.clone())
            .behaving(Behaviour::runs().unhealthy_after(Duration::from_secs(90), "connection refused")),
    );
    engine.load("job:1", Image::new("job").behaving(Behaviour::exits(3, Duration::from_mins(1)).complains("no space")));
    for (name, image) in [("sick", "sick:1"), ("job", "job:1")] {
        make(&client, name, json!({ "Image": image })).await;
        assert_eq!(start(&client, name).await, 204);
    }
    make(&client, "well", json!({ "Image": "web:1", "Healthcheck": check })).await;
    assert_eq!(start(&client, "well").await, 204);
    assert_eq!(engine.container("well").unwrap().health, Some("healthy"));
    assert_eq!(engine.container("sick").unwrap().health, Some("starting"));
    engine.advance(Duration::from_secs(61));
    let job = engine.container("job").unwrap();
    assert_eq!((job.status.as_str(), job.exit_code), ("exited", 3));
    assert_eq!(engine.container("sick").unwrap().health, Some("starting"));
    engine.advance(Duration::from_secs(30));
    assert_eq!(engine.container("sick").unwrap().health, Some("unhealthy"));
    let (_, inspected) = client.get("/containers/sick/json").await;
    assert_eq!(inspected["State"]["Health"]["Log"][0]["Output"], "connection refused");
    let (_, log) = client.bytes("GET", "/containers/job/logs?stdout=1&stderr=1", "", Bytes::new()).await.unwrap();
    assert_eq!(&log[..], b"\x02\0\0\0\0\0\0\x09no space\n");
}

#[tokio::test]
async fn what_is_due_happens_by_itself_and_a_wait_gets_to_know() {
    let (engine, client) = engine().await;
    engine.load("job:1", Image::new("job").behaving(Behaviour::exits(7, Duration::from_millis(20))));
    make(&client, "job", json!({ "Image": "job:1" })).await;
    assert_eq!(start(&client, "job").await, 204);
    let (_, answer) = client.post("/containers/job/wait", Value::Null).await;
    assert_eq!(answer["StatusCode"], 7);
}

#[tokio::test]
async fn the_restart_policy_brings_a_container_back_with_growing_pauses() {
    let (engine, client) = engine().await;
    engine.load("bad:1", Image::new("bad").behaving(Behaviour::exits(1, Duration::ZERO)));
    make(&client, "bad", json!({ "Image": "bad:1", "HostConfig": { "RestartPolicy": { "Name": "always" } } })).await;
    assert_eq!(start(&client, "bad").await, 204);
    engine.advance(Duration::from_hours(1));
    let (_, inspected) = client.get("/containers/bad/json").await;
    assert_eq!(inspected["State"]["Status"], "restarting");
    let count = inspected["RestartCount"].as_u64().unwrap();
    assert!((60..80).contains(&count), "{count}");
    assert_eq!(client.post("/containers/bad/stop", Value::Null).await.0, 204);
    engine.advance(Duration::from_hours(1));
    assert_eq!(engine.container("bad").unwrap().status, "exited");
}

#[tokio::test]
async fn a_fault_before_does_nothing_and_one_after_loses_the_reply() {
    let (engine, client) = engine().await;
    engine.inject(Fault::before("container-create", Effect::Disconnect).nth(1));
    engine.inject(Fault::after("container-create", Effect::Disconnect).nth(2));
    let create = |name: &'static str| client.call("POST", name, json!({ "Image": "web:1" }));
    create("/containers/create?name=a1").await.unwrap_err();
    assert_eq!(engine.container("a1"), None);
    create("/containers/create?name=a2").await.unwrap_err();
    assert!(engine.container("a2").is_some());
    assert_eq!(create("/containers/create?name=a3").await.unwrap().0, 201);
    let statuses: Vec<_> = engine.changing_calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [None, None, Some(201)]);
}

#[tokio::test]
async fn errors_and_a_full_disk_come_as_answers() {
    let (engine, client) = engine().await;
    engine.inject(Fault::before("volume-create", Effect::Fail(500, "out of order".into())).nth(1));
    engine.inject(Fault::before("container-create", Effect::DiskFull));
    let (status, answer) = client.post("/volumes/create", json!({ "Name": "v1" })).await;
    assert_eq!((status, answer["message"].as_str()), (500, Some("out of order")));
    let (status, answer) = client.post("/containers/create?name=a1", json!({ "Image": "web:1" })).await;
    assert_eq!(status, 500);
    assert!(answer["message"].as_str().unwrap().ends_with("no space left on device"));
    assert!(engine.volumes().is_empty() && engine.containers().is_empty());
}

#[tokio::test]
async fn a_request_that_hangs_happens_late_or_never() {
    let (engine, client) = engine().await;
    for (name, release) in [("late", true), ("never", false)] {
        engine.inject(Fault::before("container-create", Effect::Hang));
        let path = format!("/containers/create?name={name}");
        let asked = client.call("POST", &path, json!({ "Image": "web:1" }));
        // Whoever asked gives up.
        tokio::select! {
            _ = asked => panic!("it was to hang"),
            () = engine.faults().struck_times(if release { 1 } else { 2 }) => {}
        }
        assert_eq!(engine.container(name), None);
        if release {
            engine.faults().release();
            engine.until(|containers| containers.iter().any(|container| container.name == name)).await;
        }
        engine.faults().clear();
    }
    assert_eq!(client.get("/_ping").await.0, 200);
    assert_eq!(engine.container("never"), None);
}

#[tokio::test]
async fn a_host_that_is_down_refuses_and_comes_back_with_what_restarts() {
    let (engine, client) = engine().await;
    for (name, policy) in [("stays", "always"), ("goes", ""), ("fails", "on-failure")] {
        let host = json!({ "RestartPolicy": { "Name": policy } });
        make(&client, name, json!({ "Image": "web:1", "HostConfig": host })).await;
        assert_eq!(start(&client, name).await, 204);
    }
    make(&client, "fresh", json!({ "Image": "web:1", "HostConfig": { "RestartPolicy": { "Name": "always" } } })).await;
    let mut events = Lines::open(&client, "/events").await;
    engine.trouble(Trouble::Down).await;
    events.next().await.unwrap_err();
    client.call("GET", "/_ping", Value::Null).await.unwrap_err();
    engine.recover().await;
    assert_eq!(client.get("/_ping").await.0, 200);
    let states = ["fails", "fresh", "goes", "stays"].map(|name| engine.container(name).unwrap());
    assert_eq!(states.map(|seen| seen.status), ["running", "created", "exited", "running"]);
    assert_eq!(engine.container("goes").unwrap().exit_code, 137);
}

#[tokio::test]
async fn a_frozen_host_does_what_was_asked_when_it_thaws() {
    let (engine, client) = engine().await;
    let mut events = Lines::open(&client, "/events").await;
    engine.trouble(Trouble::Frozen).await;
    let asked = client.call("POST", "/containers/create?name=late", json!({ "Image": "web:1" }));
    timeout(Duration::from_millis(50), asked).await.expect_err("a frozen engine does not answer");
    timeout(Duration::from_millis(50), client.get("/_ping")).await.expect_err("a frozen engine does not answer");
    assert_eq!(engine.container("late"), None);
    engine.recover().await;
    engine.until(|containers| containers.len() == 1).await;
    assert_eq!(events.action().await, "create");
}

#[tokio::test]
async fn events_resume_without_loss() {
    let (engine, client) = engine().await;
    let filters = "filters=%7B%22type%22%3A%5B%22container%22%5D%7D";
    let mut events = Lines::open(&client, &format!("/events?{filters}")).await;
    make(&client, "a1", json!({ "Image": "web:1", "Labels": { "l": "1" } })).await;
    let last = events.next().await.unwrap().unwrap();
    assert_eq!((last["Action"].as_str(), last["Actor"]["Attributes"]["l"].as_str()), (Some("create"), Some("1")));
    engine.cut_events();
    events.next().await.unwrap_err();
    assert_eq!(start(&client, "a1").await, 204);
    let nanoseconds = last["timeNano"].as_i64().unwrap() + 1;
    let since = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let mut events = Lines::open(&client, &format!("/events?since={since}&{filters}")).await;
    assert_eq!(events.action().await, "start");
    assert_eq!(client.delete("/containers/a1?force=1").await.0, 204);
    for action in ["kill", "die", "destroy"] {
        assert_eq!(events.action().await, action);
    }
    engine.trouble(Trouble::Restart).await;
    let mut events = Lines::open(&client, &format!("/events?since=1&until=9999999&{filters}")).await;
    assert_eq!(events.next().await.unwrap(), None, "an engine that was killed keeps no events");
}

#[tokio::test]
async fn files_lie_where_they_were_put() {
    let (engine, client) = engine().await;
    let host = json!({
        "ReadonlyRootfs": true, "Binds": ["data:/data"],
        "Mounts": [{ "Type": "volume", "Target": "/run/secrets", "VolumeOptions": { "Labels": { "slipway.dev/role": "files" } } }],
    });
    make(&client, "safe", json!({ "Image": "web:1", "HostConfig": host })).await;
    let put = |path: &'static str, inner: &'static str| {
        client.bytes("PUT", path, "application/x-tar", tar_of(&[(inner, "hidden")]))
    };
    assert_eq!(put("/containers/safe/archive?path=/run/secrets", "key").await.unwrap().0, 200);
    assert_eq!(put("/containers/safe/archive?path=/", "etc/key").await.unwrap().0, 500);
    let file = engine.file("safe", "/run/secrets/key").unwrap();
    assert_eq!((file.content.as_slice(), file.mode, file.uid, file.gid), (&b"hidden"[..], 0o440, 5, 6));
    assert_eq!(engine.volumes().len(), 2);
    assert_eq!(client.delete("/containers/safe?v=1").await.0, 204);
    assert_eq!(engine.volumes(), ["data"], "the anonymous volume goes with its container");
}

#[tokio::test]
async fn images_come_from_the_registry() {
    let registry = Registry::default();
    let engine = FakeDocker::start_with(Version::V26, registry.clone()).await.unwrap();
    let client = Client { socket: engine.socket() };
    let digest = registry.push("reg.lab/web:1", Image::new("one"));
    let pull = |tag: &str| {
        let path = format!("/images/create?fromImage=reg.lab/web&tag={tag}");
        let client = &client;
        async move { client.bytes("POST", &path, "", Bytes::new()).await.unwrap() }
    };
    let (status, progress) = pull("1").await;
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&progress).contains("Downloaded newer image for reg.lab/web:1"));
    let (_, image) = client.get("/images/reg.lab/web:1/json").await;
    assert_eq!(image["RepoDigests"][0], format!("reg.lab/web@{digest}"));
    assert_eq!(pull("2").await.0, 404);
    let moved = registry.push("reg.lab/web:1", Image::new("two"));
    let (_, described) = client.get("/distribution/reg.lab/web:1/json").await;
    assert_eq!(described["Descriptor"]["digest"], moved);
    assert_eq!(pull(&digest).await.0, 200);
    registry.set("reg.lab", Availability::Down);
    assert_eq!(pull("1").await.0, 500);
    registry.set("reg.lab", Availability::Stalled);
    timeout(Duration::from_millis(50), pull("1")).await.expect_err("layers do not come");
    registry.set("reg.lab", Availability::Up);
    registry.require_login("reg.lab", "me", "secret");
    assert_eq!(pull("1").await.0, 500);
    engine.inject(Fault::before("image-pull", Effect::DiskFull));
    registry.push("other.lab/web:1", Image::new("three"));
    let (status, progress) =
        client.bytes("POST", "/images/create?fromImage=other.lab/web&tag=1", "", Bytes::new()).await.unwrap();
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&progress).contains("no space left on device"));
    assert_eq!(engine.images(), ["reg.lab/web:1"]);
}

#[tokio::test]
async fn what_leaks_and_what_is_touched_is_seen() {
    let (engine, client) = engine().await;
    let mine = json!({ "slipway.dev/installation": "me", "slipway.dev/service": "web" });
    make(&client, "other", json!({ "Image": "web:1" })).await;
    let before = engine.foreign_to("me");
    engine.assert_nothing_leaked("me");
    make(&client, "a1", json!({ "Image": "web:1", "Labels": mine })).await;
    assert_eq!(engine.left_of("me").into_iter().collect::<Vec<_>>(), ["container a1"]);
    engine.assert_no_duplicate("me");
    assert_eq!(engine.foreign_to("me"), before);
    assert_eq!(client.post("/containers/other/rename?name=renamed", Value::Null).await.0, 204);
    assert_ne!(engine.foreign_to("me"), before);
    make(&client, "a2", json!({ "Image": "web:1", "Labels": mine })).await;
    let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.assert_no_duplicate("me")));
    twice.unwrap_err();
}

#[tokio::test]
async fn a_fork_goes_its_own_way() {
    let (engine, client) = engine().await;
    make(&client, "a1", json!({ "Image": "web:1" })).await;
    let fork = engine.fork().await.unwrap();
    assert_eq!(fork.containers(), engine.containers());
    assert_eq!(start(&Client { socket: fork.socket() }, "a1").await, 204);
    assert_eq!(engine.container("a1").unwrap().status, "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_containers_live_on_one_engine() {
    let (engine, client) = engine().await;
    let engine = Arc::new(engine);
    for number in 0..3000 {
        let path = format!("/containers/create?name=c{number}");
        let (status, _) =
            engine.outside("POST", &path, &json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "host" } }));
        assert_eq!(status, 201);
        assert_eq!(engine.outside("POST", &format!("/containers/c{number}/start"), &Value::Null).0, 204);
    }
    let (_, list) = client.get("/containers/json").await;
    assert_eq!(list.as_array().unwrap().len(), 3000);
}
