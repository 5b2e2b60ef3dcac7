//! What containers do: start, stop, exit, become healthy, and come back by their restart policy.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::containers::{Container, Published};
use super::engine::{Engine, time_text};
use super::http::{Answer, Refusal, Reply, Request};
use super::image::{self, Behaviour};
use super::networks::{is_predefined, no_network};

/// First pause of the restart policy; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Host ports that are given out for `"HostPort": ""`.
const FIRST_FREE_PORT: u16 = 49_153;

/// What happens to a container by itself.
#[derive(Clone, Debug)]
pub(super) enum Transition {
    /// Its main process ends.
    Exit(i64),
    /// Its health check comes to a result, with this output.
    Health(&'static str, String),
    /// The restart policy starts it again.
    Restart,
}

/// State of a container.
#[derive(Clone)]
pub(super) struct State {
    /// The engine's word.
    pub(super) status: String,
    pub(super) exit_code: i64,
    pub(super) error: String,
    pub(super) oom_killed: bool,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) health: Option<Health>,
    pub(super) restart_count: u64,
    /// Somebody stopped it, so no restart policy applies.
    pub(super) stopped_by_hand: bool,
    /// Grows with each start and end: a timer of an earlier run has no effect.
    run: u64,
}

/// Health of a container.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) status: &'static str,
    output: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            status: "created".into(),
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started: None,
            finished: None,
            health: None,
            restart_count: 0,
            stopped_by_hand: false,
            run: 0,
        }
    }
}

impl State {
    pub(super) fn restarting(&self) -> bool {
        self.status == "restarting"
    }

    /// As `inspect` shows it.
    pub(super) fn show(&self) -> Value {
        let running = matches!(self.status.as_str(), "running" | "paused" | "restarting");
        let mut shown = json!({
            "Status": self.status,
            "Running": running,
            "Paused": self.status == "paused",
            "Restarting": self.restarting(),
            "OOMKilled": self.oom_killed,
            "Dead": self.status == "dead",
            "Pid": if running && !self.restarting() { 4711 } else { 0 },
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": time_text(self.started),
            "FinishedAt": time_text(self.finished),
        });
        if let Some(health) = &self.health {
            let failing = i64::from(health.status == "unhealthy");
            let log: Vec<_> = health.output.iter().map(|output| {
                json!({ "Start": time_text(self.started), "End": time_text(self.started), "ExitCode": failing, "Output": output })
            }).collect();
            shown["Health"] = json!({ "Status": health.status, "FailingStreak": failing * 3, "Log": log });
        }
        shown
    }

    /// As `docker ps` shows it.
    pub(super) fn text(&self) -> String {
        match self.status.as_str() {
            "running" => "Up 1 second".into(),
            "paused" => "Up 1 second (Paused)".into(),
            "restarting" => format!("Restarting ({}) 1 second ago", self.exit_code),
            "exited" => format!("Exited ({}) 1 second ago", self.exit_code),
            "created" => "Created".into(),
            other => other.into(),
        }
    }
}

impl Engine {
    /// Lets happen what is due; whether anything was.
    pub(super) fn settle(&mut self) -> bool {
        let now = self.now();
        let mut settled = false;
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            let ((at, _), (id, run, transition)) = timer.remove_entry();
            settled = true;
            if self.containers.get(&id).is_some_and(|container| container.state.run == run) {
                self.pass(at, &id, transition);
            }
        }
        settled
    }

    fn pass(&mut self, at: Timestamp, id: &str, transition: Transition) {
        match transition {
            Transition::Exit(code) => self.exited(at, id, code),
            Transition::Health(status, output) => {
                if let Some(container) = self.containers.get_mut(id) {
                    container.state.health = Some(Health { status, output: Some(output) });
                }
                self.emit_container(at, &format!("health_status: {status}"), id, &json!({}));
            }
            Transition::Restart => {
                // A start that fails leaves the container as it is, with the error in its state.
                let _ = self.launch(at, id);
            }
        }
    }

    fn schedule(&mut self, at: Timestamp, id: &str, transition: Transition) {
        if let Some(container) = self.containers.get(id) {
            let run = container.state.run;
            let number = self.count();
            self.timers.insert((at, number), (id.to_owned(), run, transition));
        }
    }

    fn behaviour(&self, container: &Container) -> Behaviour {
        let changed = self.behaviours.get(&container.image_id);
        let of_image = || self.images.get(&container.image_id).map(|stored| &stored.image.behaviour);
        changed.or_else(of_image).cloned().unwrap_or_default()
    }

    pub(super) fn container_start(&mut self, name: &str) -> Reply {
        let id = self.find_container(name)?;
        match self.containers[&id].state.status.as_str() {
            "running" | "restarting" => return Ok(Answer::Empty(304)),
            "paused" => return Err(Refusal::new(409, "cannot start a paused container, try unpause instead")),
            "dead" | "removing" => {
                return Err(Refusal::new(409, "container is marked for removal and cannot be started"));
            }
            _ => {}
        }
        let state = &mut self.container_mut(&id)?.state;
        state.restart_count = 0;
        state.stopped_by_hand = false;
        let now = self.now();
        self.launch(now, &id)?;
        // A health check that succeeds at once has succeeded now.
        self.settle();
        Ok(Answer::Empty(204))
    }

    /// Joins the networks, publishes the ports and runs the command; all of it or nothing.
    fn launch(&mut self, at: Timestamp, id: &str) -> Result<(), Refusal> {
        let behaviour = self.behaviour(&self.containers[id]);
        let joined = self.join(at, id).and_then(|()| self.publish(id)).map_err(|refusal| (128, refusal));
        let run = joined.and_then(|()| match &behaviour.start_error {
            Some((status, code, message)) => {
                let task = if self.version.is_new() && message.starts_with("failed to create shim task") {
                    "failed to create task for container: "
                } else {
                    ""
                };
                Err((*code, Refusal::new(*status, format!("{task}{message}"))))
            }
            None => Ok(()),
        });
        if let Err((code, refusal)) = run {
            self.leave(at, id);
            let state = &mut self.container_mut(id)?.state;
            state.run += 1;
            state.exit_code = code;
            state.error.clone_from(&refusal.message);
            if state.restarting() {
                state.status = "exited".into();
            }
            return Err(refusal);
        }
        let container = self.container_mut(id)?;
        let checked = container.config["Healthcheck"]["Test"]
            .as_array()
            .and_then(|test| test.first())
            .is_some_and(|kind| kind != "NONE");
        for (stream, text) in &behaviour.output {
            container.log.push((at, *stream, text.clone()));
        }
        let state = &mut container.state;
        state.run += 1;
        state.status = "running".into();
        state.exit_code = 0;
        state.oom_killed = false;
        state.error.clear();
        state.started = Some(at);
        state.health = checked.then_some(Health { status: "starting", output: None });
        self.emit_container(at, "start", id, &json!({}));
        if let Some((after, code)) = behaviour.exit {
            self.schedule(at + after, id, Transition::Exit(code));
        }
        if checked {
            let (after, status, output) = match behaviour.health {
                image::Health::Healthy(after, output) => (after, "healthy", output),
                image::Health::Unhealthy(after, output) => (after, "unhealthy", output),
            };
            self.schedule(at + after, id, Transition::Health(status, output));
        }
        Ok(())
    }

    fn join(&mut self, at: Timestamp, id: &str) -> Result<(), Refusal> {
        let mode = self.containers[id].host_config["NetworkMode"].as_str().unwrap_or_default().to_owned();
        if let Some(other) = mode.strip_prefix("container:") {
            let other_id = self.find_container(other)?;
            if !self.containers[&other_id].is_up() {
                return Err(Refusal::new(409, format!("cannot join network of a non running container: {other_id}")));
            }
        }
        let endpoints = self.containers[id].endpoints.clone();
        for (name, endpoint) in endpoints.into_iter().filter(|(_, endpoint)| !endpoint.up) {
            // A container that was on a network of a user sticks to it: another one of the same name is not taken for it.
            let wanted =
                if is_predefined(&name) || endpoint.network_id.is_empty() { &name } else { &endpoint.network_id };
            let network_id = self.find_network(wanted, |matches| {
                format!("network {name} is ambiguous ({matches} matches found on name)")
            })?;
            if let Some(endpoint) = self.container_mut(id)?.endpoints.get_mut(&name) {
                endpoint.has_own_alias = true;
            }
            let ipv4 = self.address_for(&network_id, &endpoint.settings)?;
            let endpoint_id = self.new_id("endpoint");
            let driver = self.networks.get(&network_id).ok_or_else(|| no_network(&name))?.driver.clone();
            let Some(endpoint) = self.container_mut(id)?.endpoints.get_mut(&name) else { continue };
            endpoint.ipv4 = ipv4;
            endpoint.join(&network_id, endpoint_id);
            if driver != "host" && driver != "null" {
                self.emit(
                    at,
                    "network",
                    "connect",
                    &network_id,
                    &json!({ "container": id, "name": name, "type": driver }),
                );
            }
        }
        Ok(())
    }

    fn leave(&mut self, at: Timestamp, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.published.clear();
        let mut left = Vec::new();
        for (name, endpoint) in container.endpoints.iter_mut().filter(|(_, endpoint)| endpoint.up) {
            left.push((endpoint.network_id.clone(), name.clone()));
            endpoint.leave();
        }
        for (network_id, name) in left {
            let Some(network) =
                self.networks.get(&network_id).filter(|network| !matches!(network.driver.as_str(), "host" | "null"))
            else {
                continue;
            };
            let attributes = json!({ "container": id, "name": name, "type": network.driver });
            self.emit(at, "network", "disconnect", &network_id, &attributes);
        }
    }

    fn publish(&mut self, id: &str) -> Result<(), Refusal> {
        let container = &self.containers[id];
        let on_bridge = container
            .endpoints
            .keys()
            .any(|name| self.networks.values().any(|network| network.name == *name && network.driver == "bridge"));
        if !on_bridge {
            return Ok(());
        }
        let taken: Vec<Published> = self.containers.values().flat_map(|other| other.published.clone()).collect();
        let mut published: Vec<Published> = Vec::new();
        for (inner, bindings) in container.host_config["PortBindings"].as_object().into_iter().flatten() {
            if container.config["ExposedPorts"].get(inner).is_none() {
                continue;
            }
            let protocol = inner.split('/').nth(1).unwrap_or("tcp");
            let clashes = |ip: &str, host: u16, with: &[Published]| {
                with.iter().any(|other| {
                    let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
                    other.host == host
                        && other.inner.split('/').nth(1).unwrap_or("tcp") == protocol
                        && (any(ip) || any(&other.ip) || other.ip == ip)
                })
            };
            for binding in bindings.as_array().into_iter().flatten() {
                let ip = binding["HostIp"].as_str().unwrap_or_default();
                let host = match binding["HostPort"].as_str().unwrap_or_default() {
                    "" | "0" => (FIRST_FREE_PORT..=u16::MAX)
                        .find(|port| !clashes("", *port, &taken) && !clashes("", *port, &published))
                        .unwrap_or_default(),
                    text => text
                        .parse()
                        .map_err(|_| Refusal::new(400, format!("invalid port specification: \"{text}\"")))?,
                };
                if clashes(ip, host, &taken) || clashes(ip, host, &published) {
                    let shown = if ip.is_empty() { "0.0.0.0" } else { ip };
                    let endpoint = container
                        .endpoints
                        .values()
                        .find(|endpoint| endpoint.up)
                        .map_or("", |endpoint| endpoint.id.as_str());
                    let message = format!(
                        "driver failed programming external connectivity on endpoint {} ({endpoint}): Bind for {shown}:{host} failed: port is already allocated",
                        container.name
                    );
                    return Err(Refusal::new(500, message));
                }
                let ips: &[&str] = if ip.is_empty() { &["0.0.0.0", "::"] } else { &[ip] };
                published.extend(ips.iter().map(|ip| Published { ip: (*ip).into(), host, inner: inner.clone() }));
            }
        }
        self.container_mut(id)?.published = published;
        Ok(())
    }

    /// The main process has ended.
    fn exited(&mut self, at: Timestamp, id: &str, code: i64) {
        let Some(container) = self.containers.get(id) else { return };
        let oom = code == 137 && self.behaviour(container).oom && !container.state.stopped_by_hand;
        let restarts = will_restart(container, code);
        let Some(container) = self.containers.get_mut(id) else { return };
        let removed = container.host_config["AutoRemove"] == true;
        let state = &mut container.state;
        state.run += 1;
        state.exit_code = code;
        state.oom_killed = oom;
        state.finished = Some(at);
        state.status = if restarts { "restarting".into() } else { "exited".into() };
        if let Some(health) = &mut state.health {
            // The engine calls it so as soon as nobody checks any more.
            health.status = "unhealthy";
        }
        let before = u32::try_from(state.restart_count).unwrap_or(u32::MAX);
        if restarts {
            state.restart_count += 1;
        }
        if oom {
            self.emit_container(at, "oom", id, &json!({}));
        }
        self.emit_container(at, "die", id, &json!({ "exitCode": code.to_string() }));
        self.leave(at, id);
        if restarts {
            let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(before)).min(LONGEST_PAUSE);
            self.schedule(at + pause, id, Transition::Restart);
        } else if removed {
            self.drop_container(id, true);
        }
    }

    pub(super) fn container_stop(&mut self, name: &str) -> Reply {
        let id = self.find_container(name)?;
        let container = &self.containers[&id];
        if !container.is_up() && !container.state.restarting() {
            return Ok(Answer::Empty(304));
        }
        self.stop(&id);
        let now = self.now();
        self.emit_container(now, "stop", &id, &json!({}));
        Ok(Answer::Empty(204))
    }

    /// Stops a container that is up. One that ignores the signal is killed at once: the fake does not wait for the grace.
    fn stop(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let signal = stop_signal(&container.config);
        let code = if signal == "9" { 137 } else { self.behaviour(container).stop_code };
        let paused = container.state.status == "paused";
        let now = self.now();
        if container.state.restarting() {
            self.end_by_hand(id);
            return;
        }
        self.emit_container(now, "kill", id, &json!({ "signal": signal }));
        if paused {
            self.emit_container(now, "unpause", id, &json!({}));
        }
        if code == 137 && signal != "9" {
            self.emit_container(now, "kill", id, &json!({ "signal": "9" }));
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.state.stopped_by_hand = true;
        }
        self.exited(now, id, code);
    }

    /// Ends one that is between two runs.
    fn end_by_hand(&mut self, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            let state = &mut container.state;
            state.run += 1;
            state.stopped_by_hand = true;
            state.status = "exited".into();
        }
    }

    /// Sends a signal that ends the container.
    pub(super) fn kill(&mut self, id: &str, signal: i64) {
        let now = self.now();
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.state.restarting() {
            self.end_by_hand(id);
            return;
        }
        container.state.stopped_by_hand = true;
        let code = if signal == 9 { 137 } else { self.behaviour(&self.containers[id]).stop_code };
        self.emit_container(now, "kill", id, &json!({ "signal": signal.to_string() }));
        self.exited(now, id, code);
    }

    pub(super) fn container_kill(&mut self, name: &str, request: &Request) -> Reply {
        let capital = if self.version.is_new() { ["cannot", "container"] } else { ["Cannot", "Container"] };
        let cannot = |refusal: Refusal| Refusal {
            message: format!("{} kill container: {name}: {}", capital[0], refusal.message),
            ..refusal
        };
        let id = self.find_container(name).map_err(cannot)?;
        if !self.containers[&id].is_up() {
            return Err(cannot(Refusal::new(409, format!("{} {id} is not running", capital[1]))));
        }
        match request.text("signal").trim_start_matches("SIG") {
            "" | "KILL" | "9" => self.kill(&id, 9),
            "TERM" | "15" => self.kill(&id, 15),
            "INT" | "2" => self.kill(&id, 2),
            other => {
                let now = self.now();
                self.emit_container(now, "kill", &id, &json!({ "signal": other }));
            }
        }
        Ok(Answer::Empty(204))
    }

    pub(super) fn container_restart(&mut self, name: &str) -> Reply {
        let id = self.find_container(name)?;
        if self.containers[&id].is_up() || self.containers[&id].state.restarting() {
            self.container_stop(&id)?;
        }
        self.container_start(&id)?;
        let now = self.now();
        self.emit_container(now, "restart", &id, &json!({}));
        Ok(Answer::Empty(204))
    }

    pub(super) fn container_pause(&mut self, name: &str, pause: bool) -> Reply {
        let id = self.find_container(name)?;
        let new = self.version.is_new();
        let status = self.containers[&id].state.status.clone();
        let the = if new && pause { "container" } else { "Container" };
        match (status.as_str(), pause) {
            ("running", true) | ("paused", false) => {}
            ("paused", true) => return Err(Refusal::new(409, format!("Container {id} is already paused"))),
            ("restarting", true) => {
                return Err(Refusal::new(
                    409,
                    format!("Container {id} is restarting, wait until the container is running"),
                ));
            }
            (_, true) => return Err(Refusal::new(409, format!("{the} {id} is not running"))),
            (_, false) => return Err(Refusal::new(500, format!("Container {id} is not paused"))),
        }
        let state = &mut self.container_mut(&id)?.state;
        state.status = if pause { "paused" } else { "running" }.into();
        let now = self.now();
        self.emit_container(now, if pause { "pause" } else { "unpause" }, &id, &json!({}));
        Ok(Answer::Empty(204))
    }

    pub(super) fn container_wait(&self, name: &str, request: &Request) -> Reply {
        let container = self.find_container(name)?;
        Ok(Answer::Wait { container, condition: request.text("condition").to_owned() })
    }

    /// The answer to a wait, if its condition holds. `ends` is the time of the last end when the wait began.
    pub(super) fn waited(&self, id: &str, condition: &str, ends: Option<Timestamp>) -> Option<Value> {
        let answer = |code: i64| {
            if self.version.is_new() {
                json!({ "StatusCode": code })
            } else {
                json!({ "Error": null, "StatusCode": code })
            }
        };
        let Some(container) = self.containers.get(id) else { return Some(answer(0)) };
        let over = !container.is_up() && !container.state.restarting();
        let holds = match condition {
            "removed" => false,
            "next-exit" => over && container.state.finished != ends,
            _ => over,
        };
        holds.then(|| answer(container.state.exit_code))
    }

    /// The engine was killed and is up again: what ran is dead, and the restart policies bring back theirs.
    pub(super) fn restart_engine(&mut self) {
        self.forget_events();
        let now = self.now();
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in &ids {
            let Some(container) = self.containers.get_mut(id) else { continue };
            let was_up = container.is_up();
            let was_restarting = container.state.restarting();
            let by_hand = std::mem::replace(&mut container.state.stopped_by_hand, true);
            if was_up {
                self.exited(now, id, 137);
            } else if was_restarting {
                self.end_by_hand(id);
            }
            if let Some(container) = self.containers.get_mut(id) {
                container.state.stopped_by_hand = by_hand;
            }
        }
        for id in &ids {
            let Some(container) = self.containers.get_mut(id) else { continue };
            let always = container.host_config["RestartPolicy"]["Name"] == "always";
            let back =
                container.state.started.is_some() && (always || will_restart(container, container.state.exit_code));
            if back {
                container.state.restart_count = 0;
                container.state.stopped_by_hand = false;
                let _ = self.launch(now, id);
            }
        }
        self.settle();
    }
}

/// The number of the signal that stops a container.
fn stop_signal(config: &Value) -> String {
    let number = match config["StopSignal"].as_str().unwrap_or_default().trim_start_matches("SIG") {
        "" | "TERM" => "15",
        "HUP" => "1",
        "INT" => "2",
        "QUIT" => "3",
        "KILL" => "9",
        "USR1" => "10",
        "USR2" => "12",
        number => number,
    };
    number.to_owned()
}

/// Whether the restart policy starts it again.
fn will_restart(container: &Container, code: i64) -> bool {
    let policy = &container.host_config["RestartPolicy"];
    if container.state.stopped_by_hand {
        return false;
    }
    match policy["Name"].as_str().unwrap_or_default() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let most = policy["MaximumRetryCount"].as_u64().unwrap_or_default();
            code != 0 && (most == 0 || container.state.restart_count < most)
        }
        _ => false,
    }
}
