//! The fake engine and real ones are asked the same, and must answer the same.
//!
//! The real one is a dockerd that this test starts in a network namespace of its own (needs root and dockerd), and the one behind
//! `SLIPWAY_TEST_DOCKER_SOCKET`, if that is set: an engine that is there for tests alone.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use slipway_fakes::docker::{Behaviour, FakeDocker, Image, Registry, Version};
use support::{Client, PATIENCE, tar_of};
use tokio::time::{sleep, timeout};

/// A real engine, ended when dropped.
struct Dockerd {
    process: Child,
    directory: tempfile::TempDir,
}

impl Dockerd {
    /// Starts one; `None`, with the reason, where that cannot be done.
    fn start() -> Result<Self, String> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
            return Err("not root".into());
        }
        for tool in ["dockerd", "unshare", "ip", "busybox"] {
            if Command::new("which").arg(tool).stdout(Stdio::null()).status().is_ok_and(|status| !status.success()) {
                return Err(format!("no {tool}"));
            }
        }
        let directory = tempfile::Builder::new().prefix("dockerd").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let log = std::fs::File::create(at("log")).unwrap();
        // With a network namespace of its own, its bridge and rules cannot be in anybody's way, and go with it.
        let process = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && exec dockerd \"$@\"",
                "dockerd",
                "--shutdown-timeout",
                "3",
            ])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            // It starts itself anew for each container, and would collect garbage each time.
            .envs([("GOGC", "off"), ("GOMEMLIMIT", "128MiB")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Self { process, directory })
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    async fn ready(&self) {
        let client = Client { socket: self.socket() };
        let up = async {
            while client.call("GET", "/_ping", Value::Null).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        timeout(PATIENCE, up).await.unwrap_or_else(|_| panic!("dockerd does not come up:\n{}", log()));
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its containers and its containerd.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.directory.path().display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|mount| mount.starts_with(&below))
        {
            let _ = Command::new("umount").arg(mount).status();
        }
    }
}

/// The images of the script: what a container of it does on a real engine, and on the fake.
fn images() -> Vec<(&'static str, Vec<&'static str>, Behaviour)> {
    let serve = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.02; done";
    vec![
        ("web:1", vec!["/bin/busybox", "sh", "-c", serve], Behaviour::runs()),
        ("other:1", vec!["/bin/busybox", "sh", "-c", serve, "other"], Behaviour::runs()),
        ("stubborn:1", vec!["/bin/busybox", "sleep", "1000"], Behaviour::runs().ignores_stop()),
        (
            "job:1",
            vec!["/bin/busybox", "sh", "-c", "echo out; exit 3"],
            Behaviour::exits(3, Duration::ZERO).says("out"),
        ),
        ("nocmd:1", vec!["/nope"], Behaviour::has_no_command("/nope")),
    ]
}

async fn import(client: &Client) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let content = std::fs::read(busybox).unwrap();
    for (tag, command, _) in images() {
        let mut tar = tar::Builder::new(Vec::new());
        for directory in ["bin/", "etc/", "run/", "tmp/"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            tar.append_data(&mut header, directory, &[][..]).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, "bin/busybox", content.as_slice()).unwrap();
        let changes = form_urlencoded::byte_serialize(format!("CMD {}", json!(command)).as_bytes()).collect::<String>();
        let (name, tag) = tag.split_once(':').unwrap();
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}&changes={changes}");
        let (status, answer) =
            client.bytes("POST", &path, "application/x-tar", tar.into_inner().unwrap().into()).await.unwrap();
        assert!(status == 200 && !String::from_utf8_lossy(&answer).contains("error"), "{answer:?}");
    }
}

/// What an engine answered, one line for each question.
struct Script<'a> {
    client: &'a Client,
    lines: Vec<String>,
}

impl Script<'_> {
    async fn ask(&mut self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.client.call(method, path, body.clone()).await.unwrap();
        let message = answer["message"].as_str().unwrap_or_default();
        let body = if body.is_null() { String::new() } else { format!(" {body}") };
        self.lines.push(format!("{method} {}{body} -> {status} {}", without_ids(path), without_ids(message)));
        answer
    }

    async fn post(&mut self, path: &str) {
        self.ask("POST", path, Value::Null).await;
    }

    async fn delete(&mut self, path: &str) {
        self.ask("DELETE", path, Value::Null).await;
    }

    async fn create(&mut self, name: &str, body: Value) {
        self.ask("POST", &format!("/containers/create?name={name}"), body).await;
    }

    fn note(&mut self, what: &str, value: &Value) {
        self.lines.push(format!("  {what}: {}", without_ids(&value.to_string())));
    }

    /// What matters of a container.
    async fn show(&mut self, name: &str) {
        let (_, shown) = self.client.get(&format!("/containers/{name}/json")).await;
        let state = &shown["State"];
        let networks: serde_json::Map<_, _> = shown["NetworkSettings"]["Networks"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, endpoint)| {
                let up = endpoint["EndpointID"] != "";
                (name.clone(), json!([up, endpoint["Aliases"], endpoint["IPAMConfig"]]))
            })
            .collect();
        let mut mounts: Vec<_> = shown["Mounts"].as_array().into_iter().flatten().collect();
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
        let mounts: Vec<_> = mounts
            .iter()
            .map(|mount| json!([mount["Type"], mount["Name"], mount["Destination"], mount["RW"]]))
            .collect();
        let seen = json!({
            "status": state["Status"], "running": state["Running"], "exit": state["ExitCode"], "error": state["Error"],
            "never started": state["StartedAt"] == "0001-01-01T00:00:00Z", "health": state["Health"]["Status"],
            "restarts": shown["RestartCount"], "ports": shown["NetworkSettings"]["Ports"], "networks": networks, "mounts": mounts,
        });
        self.note(name, &seen);
    }

    /// What a list shows.
    async fn list(&mut self, path: &str) {
        let (_, list) = self.client.get(path).await;
        let names = |item: &Value| item["Names"][0].as_str().or(item["Name"].as_str()).unwrap_or_default().to_owned();
        let list = list.get("Volumes").unwrap_or(&list).clone();
        let mut list: Vec<_> =
            list.as_array().into_iter().flatten().map(|item| format!("{} {}", names(item), item["State"])).collect();
        list.sort();
        self.note(path, &json!(list));
    }

    async fn until(&mut self, name: &str, pointer: &str, wanted: &str) {
        let path = format!("/containers/{name}/json");
        let holds = async {
            while self.client.get(&path).await.1.pointer(pointer).and_then(Value::as_str) != Some(wanted) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("{name} does not get {wanted}"));
    }
}

/// IDs and paths differ from engine to engine, and nothing depends on them.
fn without_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() {
            word.push(letter);
            continue;
        }
        shown.push_str(if word.len() == 64 || (word.len() == 12 && word.contains(|c: char| c.is_ascii_digit())) {
            "<id>"
        } else {
            &word
        });
        word.clear();
        if letter != '\0' {
            shown.push(letter);
        }
    }
    shown
}

async fn names_and_states(script: &mut Script<'_>) {
    script.create("web", json!({ "Image": "nope:1" })).await;
    script.create("web", json!({ "Image": "web:1", "Labels": { "l": "1" } })).await;
    script.create("web", json!({ "Image": "web:1" })).await;
    script.create("-bad", json!({ "Image": "web:1" })).await;
    script.create("arm&platform=linux/arm64", json!({ "Image": "web:1" })).await;
    script.show("web").await;
    for action in
        ["stop", "kill", "pause", "unpause", "start", "start", "unpause", "pause", "pause", "start", "unpause"]
    {
        script.post(&format!("/containers/web/{action}")).await;
    }
    script.show("web").await;
    script.delete("/containers/web").await;
    script.post("/containers/web/stop").await;
    script.show("web").await;
    for action in ["stop", "kill", "pause", "unpause"] {
        script.post(&format!("/containers/web/{action}")).await;
        script.post(&format!("/containers/nope/{action}")).await;
    }
    script.post("/containers/nope/start").await;
    script.ask("GET", "/containers/nope/json", Value::Null).await;
    script.delete("/containers/nope").await;
    script.create("other", json!({ "Image": "other:1" })).await;
    for name in ["other", "web", "-bad", "", "web2"] {
        script.post(&format!("/containers/web/rename?name={name}")).await;
    }
    script.ask("POST", "/containers/web2/update", json!({ "RestartPolicy": { "Name": "always" } })).await;
    script.ask("POST", "/containers/nope/update", json!({ "Memory": 104_857_600 })).await;
    script.list("/containers/json?all=1").await;
    script.list("/containers/json").await;
    script.list("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22l%3D1%22%5D%7D").await;
    script
        .list("/containers/json?filters=%7B%22name%22%3A%5B%22web%22%5D%2C%22status%22%3A%5B%22exited%22%5D%7D")
        .await;
    script.ask("GET", "/containers/json?filters=%7B%22nope%22%3A%5B%22web%22%5D%7D", Value::Null).await;
    script.post("/containers/web2/start").await;
    script.post("/containers/web2/kill?signal=KILL").await;
    script.show("web2").await;
    script.post("/containers/web2/restart").await;
    script.show("web2").await;
    script.delete("/containers/web2?force=1").await;
    script.delete("/containers/other").await;
}

async fn ends(script: &mut Script<'_>) {
    script.create("job", json!({ "Image": "job:1" })).await;
    script.post("/containers/job/start").await;
    let answer = script.ask("POST", "/containers/job/wait", Value::Null).await;
    script.note("wait", &answer["StatusCode"]);
    script.show("job").await;
    let (_, log) = script.client.bytes("GET", "/containers/job/logs?stdout=1&tail=5", "", Bytes::new()).await.unwrap();
    script.note("log", &json!(log.to_vec()));
    script.ask("GET", "/containers/job/logs", Value::Null).await;
    script.create("nocmd", json!({ "Image": "nocmd:1" })).await;
    script.post("/containers/nocmd/start").await;
    script.show("nocmd").await;
    script.create("stubborn", json!({ "Image": "stubborn:1" })).await;
    script.post("/containers/stubborn/start").await;
    script.post("/containers/stubborn/stop?t=0").await;
    script.show("stubborn").await;
    script.create("paused", json!({ "Image": "web:1" })).await;
    script.post("/containers/paused/start").await;
    script.post("/containers/paused/pause").await;
    script.delete("/containers/paused").await;
    script.post("/containers/paused/stop").await;
    script.show("paused").await;
    script.create("loop", json!({ "Image": "job:1", "HostConfig": { "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 } } })).await;
    script.post("/containers/loop/start").await;
    script.until("loop", "/State/Status", "exited").await;
    script.show("loop").await;
    let check = json!({ "Test": ["CMD", "/bin/busybox", "true"], "Interval": 50_000_000 });
    script.create("well", json!({ "Image": "web:1", "Healthcheck": check })).await;
    script.post("/containers/well/start").await;
    script.until("well", "/State/Health/Status", "healthy").await;
    script.show("well").await;
    script.post("/containers/well/stop").await;
    script.show("well").await;
    script.create("join", json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "container:nope" } })).await;
    script.post("/containers/join/start").await;
    script.delete("/containers/join").await;
    script.create("join", json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "container:job" } })).await;
    script.post("/containers/join/start").await;
    for name in ["job", "nocmd", "stubborn", "paused", "loop", "well", "join"] {
        script.delete(&format!("/containers/{name}?v=1")).await;
    }
}

async fn networks(script: &mut Script<'_>) {
    script
        .ask("POST", "/networks/create", json!({ "Name": "n1", "CheckDuplicate": true, "Labels": { "a": "b" } }))
        .await;
    script.ask("POST", "/networks/create", json!({ "Name": "n1", "CheckDuplicate": true })).await;
    script
        .ask(
            "POST",
            "/networks/create",
            json!({ "Name": "n2", "CheckDuplicate": true, "IPAM": { "Config": [{ "Subnet": "10.9.0.0/24" }] } }),
        )
        .await;
    script
        .ask("POST", "/networks/create", json!({ "Name": "n3", "IPAM": { "Config": [{ "Subnet": "10.9.0.0/25" }] } }))
        .await;
    script.ask("POST", "/networks/create", json!({ "Name": "n3", "Driver": "nope" })).await;
    script.ask("POST", "/networks/create", json!({ "Name": "host" })).await;
    script.ask("GET", "/networks/nope", Value::Null).await;
    let shown = script.ask("GET", "/networks/n2", Value::Null).await;
    script.note(
        "n2",
        &json!([
            shown["Driver"],
            shown["Internal"],
            shown["EnableIPv6"],
            shown["IPAM"]["Config"][0]["Subnet"],
            shown["Labels"]
        ]),
    );
    let on_n1 = json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "n1" }, "NetworkingConfig": { "EndpointsConfig": { "n1": { "Aliases": ["www"] } } } });
    script.create("two", on_n1).await;
    script.show("two").await;
    script
        .ask(
            "POST",
            "/networks/n2/connect",
            json!({ "Container": "two", "EndpointConfig": { "IPAMConfig": { "IPv4Address": "10.9.0.9" } } }),
        )
        .await;
    script.ask("POST", "/networks/n2/connect", json!({ "Container": "nope" })).await;
    script.post("/containers/two/start").await;
    script.show("two").await;
    script.ask("POST", "/networks/n2/connect", json!({ "Container": "two" })).await;
    script.ask("POST", "/networks/nope/connect", json!({ "Container": "two" })).await;
    script.create("lost", json!({ "Image": "web:1" })).await;
    script.ask("POST", "/networks/nope/connect", json!({ "Container": "lost" })).await;
    script.post("/containers/lost/start").await;
    script.show("lost").await;
    script.ask("POST", "/networks/n2/disconnect", json!({ "Container": "lost" })).await;
    script.delete("/containers/lost").await;
    script.delete("/networks/n1").await;
    script.delete("/networks/bridge").await;
    script.delete("/networks/nope").await;
    let clash = json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "n2" }, "NetworkingConfig": { "EndpointsConfig": { "n2": { "IPAMConfig": { "IPv4Address": "10.9.0.9" } } } } });
    script.create("clash", clash).await;
    script.post("/containers/clash/start").await;
    script.show("clash").await;
    let unfit = json!({ "Image": "web:1", "HostConfig": { "NetworkMode": "n1" }, "NetworkingConfig": { "EndpointsConfig": { "n1": { "IPAMConfig": { "IPv4Address": "172.30.0.9" } } } } });
    script.create("unfit", unfit).await;
    script.post("/containers/unfit/start").await;
    script.ask("POST", "/networks/n2/disconnect", json!({ "Container": "two" })).await;
    script.ask("POST", "/networks/n2/disconnect", json!({ "Container": "two" })).await;
    script.show("two").await;
    script.delete("/networks/n2").await;
    script.post("/containers/clash/start").await;
    script.show("clash").await;
    script.post("/containers/two/stop").await;
    script.delete("/networks/n1").await;
    script.post("/containers/two/start").await;
    script.show("two").await;
    script.ask("POST", "/networks/create", json!({ "Name": "n1", "CheckDuplicate": true })).await;
    script.post("/containers/two/start").await;
    script.show("two").await;
    script.delete("/networks/n1").await;
    let both = json!({ "Image": "web:1", "NetworkingConfig": { "EndpointsConfig": { "n1": {}, "n2": {} } } });
    let (status, answer) = script.client.call("POST", "/v1.41/containers/create?name=both", both).await.unwrap();
    // The networks come in any order.
    let said = answer["message"].as_str().unwrap_or_default().split(':').next().unwrap_or_default();
    script.note("two networks at once", &json!([status, said]));
    for name in ["two", "clash", "unfit"] {
        script.delete(&format!("/containers/{name}?force=1")).await;
    }
    let mut made = 0;
    while script.client.post("/networks/create", json!({ "Name": format!("p{made}"), "CheckDuplicate": true })).await.0
        == 201
    {
        made += 1;
    }
    script.note("address pools", &json!(made));
    script.ask("POST", "/networks/create", json!({ "Name": "more" })).await;
    for number in 0..made {
        script.client.delete(&format!("/networks/p{number}")).await;
    }
    script.list("/networks").await;
}

async fn ports(script: &mut Script<'_>) {
    let published = json!({ "Image": "web:1", "ExposedPorts": { "80/tcp": {} }, "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } } });
    script.create("p1", published.clone()).await;
    script.create("p2", published).await;
    script.post("/containers/p1/start").await;
    script.post("/containers/p2/start").await;
    script.show("p1").await;
    script.show("p2").await;
    script.post("/containers/p1/stop").await;
    script.post("/containers/p2/start").await;
    script.show("p1").await;
    script.show("p2").await;
    script.post("/containers/p1/start").await;
    script.show("p1").await;
    script
        .create(
            "p3",
            json!({ "Image": "web:1", "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } } }),
        )
        .await;
    script.post("/containers/p3/start").await;
    script.show("p3").await;
    for name in ["p1", "p2", "p3"] {
        script.delete(&format!("/containers/{name}?force=1")).await;
    }
}

async fn volumes_and_files(script: &mut Script<'_>) {
    script.ask("POST", "/volumes/create", json!({ "Name": "v1", "Labels": { "a": "b" } })).await;
    let again = script.ask("POST", "/volumes/create", json!({ "Name": "v1" })).await;
    script.note("labels", &again["Labels"]);
    script.ask("POST", "/volumes/create", json!({ "Name": "v1", "Driver": "nope" })).await;
    script.ask("POST", "/volumes/create", json!({ "Name": "-bad/x" })).await;
    script.create("vol", json!({
        "Image": "web:1", "Volumes": { "/anonymous": {} },
        "HostConfig": {
            "ReadonlyRootfs": true, "Binds": ["v1:/data", "v1:/fixed:ro"],
            "Mounts": [{ "Type": "volume", "Source": "v2", "Target": "/d2" }, { "Type": "volume", "Target": "/run/secrets", "VolumeOptions": { "Labels": { "a": "b" } } }],
        },
    })).await;
    script.create("missing", json!({ "Image": "web:1", "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/nonexistent", "Target": "/x" }] } })).await;
    script.delete("/volumes/v1").await;
    script.delete("/volumes/nope").await;
    script.ask("GET", "/volumes/nope", Value::Null).await;
    script.create("plain", json!({ "Image": "web:1" })).await;
    for (container, path, file) in [
        ("vol", "/", "etc/key"),
        ("vol", "/run/secrets", "key"),
        ("vol", "/data", "key"),
        ("vol", "/fixed", "key"),
        ("vol", "/nope", "key"),
        ("plain", "/", "run/secrets/key"),
        ("plain", "/nope", "key"),
        ("plain", "/run/secrets/key", "key"),
        ("nope", "/", "key"),
    ] {
        let path = format!("/containers/{container}/archive?path={path}");
        let (status, answer) =
            script.client.bytes("PUT", &path, "application/x-tar", tar_of(&[(file, "hidden")])).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        script.note(&format!("PUT {path} {file}"), &json!([status, answer["message"]]));
    }
    for path in ["/run/secrets/key", "/data/key", "/nope"] {
        let path = format!("/containers/vol/archive?path={path}");
        let (status, archive) = script.client.bytes("GET", &path, "", Bytes::new()).await.unwrap();
        let mut archive = tar::Archive::new(&archive[..]);
        let entries: Vec<_> = if status == 200 {
            archive
                .entries()
                .unwrap()
                .map(|entry| {
                    let header = entry.as_ref().unwrap().header().clone();
                    let path = entry.unwrap().path().unwrap().display().to_string();
                    json!([
                        path,
                        header.mode().unwrap() & 0o7777,
                        header.uid().unwrap(),
                        header.gid().unwrap(),
                        header.size().unwrap()
                    ])
                })
                .collect()
        } else {
            Vec::new()
        };
        script.note(&path, &json!([status, entries]));
    }
    let shown = script.ask("GET", "/volumes", Value::Null).await;
    script.note("volumes", &json!(shown["Volumes"].as_array().map(Vec::len)));
    script.delete("/containers/vol?v=1").await;
    script.delete("/containers/plain?v=1").await;
    script.list("/volumes").await;
    script.delete("/volumes/v1").await;
    script.delete("/volumes/v2").await;
}

async fn images_there(script: &mut Script<'_>) {
    script.ask("GET", "/images/nope/json", Value::Null).await;
    script.create("user", json!({ "Image": "web:1" })).await;
    script.delete("/images/web:1").await;
    script.post("/images/web:1/tag?repo=foo/bar&tag=2").await;
    let shown = script.ask("GET", "/images/foo/bar:2/json", Value::Null).await;
    script.note("tags", &shown["RepoTags"]);
    script.delete("/images/foo/bar:2").await;
    script.delete("/images/nope:1").await;
    script.delete("/containers/user").await;
    script.post("/images/create?fromImage=127.0.0.1:1/x&tag=1").await;
    script.ask("GET", "/v1.99/info", Value::Null).await;
    script.ask("GET", "/nope", Value::Null).await;
}

/// Actions of all events so far, by what they are about, with the time each container took them aside.
async fn events(script: &mut Script<'_>) {
    script.create("seen", json!({ "Image": "web:1", "Labels": { "l": "1" } })).await;
    let (_, inspected) = script.client.get("/containers/seen/json").await;
    for action in ["start", "pause", "unpause", "rename?name=seen2", "restart", "kill", "start", "stop"] {
        script.post(&format!("/containers/{}/{action}", inspected["Id"].as_str().unwrap())).await;
    }
    script.delete(&format!("/containers/{}?force=1", inspected["Id"].as_str().unwrap())).await;
    let since: jiff::Timestamp = inspected["Created"].as_str().unwrap().parse().unwrap();
    let filters = form_urlencoded::byte_serialize(br#"{"label":["l=1"]}"#).collect::<String>();
    let until = jiff::Timestamp::now();
    let time = |at: jiff::Timestamp| format!("{}.{:09}", at.as_second(), at.subsec_nanosecond());
    let path = format!("/events?since={}&until={}&filters={filters}", time(since), time(until));
    let lines = timeout(PATIENCE, script.client.bytes("GET", &path, "", Bytes::new())).await.unwrap();
    let (_, lines) = lines.unwrap();
    let events: Vec<Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    // `stop` comes before or after `die`, as it happens.
    let (stops, others): (Vec<_>, Vec<_>) = events.iter().partition(|event| event["Action"] == "stop");
    script.note("stops", &json!(stops.len()));
    for event in others {
        let of = |key: &str| event["Actor"]["Attributes"][key].clone();
        let attributes = ["name", "oldName", "signal", "exitCode", "image"].map(of);
        script.note("event", &json!([event["Type"], event["Action"], event["status"], attributes]));
    }
}

async fn play(client: &Client) -> Vec<String> {
    let mut script = Script { client, lines: Vec::new() };
    names_and_states(&mut script).await;
    ends(&mut script).await;
    networks(&mut script).await;
    ports(&mut script).await;
    volumes_and_files(&mut script).await;
    images_there(&mut script).await;
    events(&mut script).await;
    script.lines
}

/// Plays the script on a real engine and on the fake of its version.
async fn compare(socket: PathBuf) {
    let real = Client { socket };
    import(&real).await;
    let (_, version) = real.get("/version").await;
    let shown = version["Version"].as_str().unwrap_or_default().to_owned();
    let old = shown.starts_with("20.");
    let fake =
        FakeDocker::start_with(if old { Version::V20 } else { Version::V26 }, Registry::default()).await.unwrap();
    for (tag, command, behaviour) in images() {
        fake.load(tag, Image::new(tag).config("Cmd", json!(command)).config("Env", Value::Null).behaving(behaviour));
    }
    fake.lacks_path(Path::new("/nonexistent"));
    fake.registry().set("127.0.0.1:1", slipway_fakes::docker::Availability::Down);
    let truth = play(&real).await;
    let played = play(&Client { socket: fake.socket() }).await;
    let different: Vec<String> = (0..truth.len().max(played.len()))
        .filter(|number| truth.get(*number) != played.get(*number))
        .map(|number| {
            format!(
                "real: {}\nfake: {}\n",
                truth.get(number).map_or("", String::as_str),
                played.get(number).map_or("", String::as_str)
            )
        })
        .collect();
    assert!(
        different.is_empty(),
        "Docker {shown}, {} of {} answers differ:\n{}",
        different.len(),
        truth.len(),
        different.join("\n")
    );
    println!("Docker {shown}: {} answers are the same", truth.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_engine_answers_the_same() {
    match Dockerd::start() {
        Ok(dockerd) => {
            dockerd.ready().await;
            compare(dockerd.socket()).await;
        }
        Err(reason) => println!("SKIPPED: {reason}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_real_engine_answers_the_same() {
    match std::env::var_os("SLIPWAY_TEST_DOCKER_SOCKET") {
        Some(socket) => compare(socket.into()).await,
        None => println!("SKIPPED: SLIPWAY_TEST_DOCKER_SOCKET is not set"),
    }
}
