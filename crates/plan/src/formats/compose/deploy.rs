//! `deploy:`, and the keys of format v2 that mean the same: resources, replicas, restart policy.

use bollard_stubs::models::DeviceRequest;

use super::model::{Resources, Service};
use super::read::{At, Fields, shorten};
use super::{codes, mounts};

/// Containers of one service on one host.
pub const MAX_REPLICAS: u32 = 100;

/// Reads everything about resources, replicas and restarts into the service.
pub(super) fn deploy(service: &mut Service, fields: &Fields<'_>) {
    service.resources = Resources {
        nano_cpus: fields.get("cpus").and_then(|at| cpus(&at)),
        memory: fields.bytes("mem_limit"),
        memory_reservation: fields.bytes("mem_reservation"),
        memswap_limit: fields.get("memswap_limit").and_then(|at| unlimited_or_bytes(&at)),
        mem_swappiness: fields.get("mem_swappiness").and_then(|at| at.within(0..=100)),
        pids: fields.integer("pids_limit"),
        cpu_shares: fields.integer("cpu_shares"),
        cpu_quota: fields.integer("cpu_quota"),
        cpu_period: fields.integer("cpu_period"),
        cpuset: fields.word("cpuset"),
        oom_kill_disable: fields.boolean("oom_kill_disable"),
        oom_score_adj: fields.get("oom_score_adj").and_then(|at| at.within(-1000..=1000)),
        device_requests: Vec::new(),
    };
    service.pids_limit = service.resources.pids;
    service.restart = fields.get_unless_empty("restart").and_then(|at| restart(&at));
    let scale = fields.get("scale").and_then(|at| replicas(&at));
    let deployed = fields.get("deploy").and_then(|at| section(service, &at));
    if let (Some(scale), Some(deployed)) = (scale, deployed)
        && scale != deployed
    {
        fields.at.invalid(format!("scale is {scale} and deploy.replicas is {deployed}; write one of them"));
    }
    service.replicas = deployed.or(scale).unwrap_or(1);
}

/// `deploy:` itself; gives its `replicas`.
fn section(service: &mut Service, at: &At<'_>) -> Option<u32> {
    let fields = at.fields()?;
    if let Some(mode) = fields.get_unless_empty("mode")
        && mode.text().is_some_and(|mode| mode != "replicated")
    {
        let hint = "for one on each host write spec.placement.mode: Each; for a job write restart: \"no\"";
        mode.error_with_hint(codes::UNSUPPORTED_KEY, "only mode replicated is supported", hint);
    }
    if let Some(policy) = fields.get("restart_policy")
        && let Some(policy) = restart_policy(&policy)
    {
        // As in Compose, it wins over `restart`.
        service.restart = Some(policy);
    }
    if let Some(resources) = fields.get("resources").and_then(|at| at.fields()) {
        if let Some(at) = resources.get("limits") {
            limits(&mut service.resources, &at);
        }
        if let Some(at) = resources.get("reservations") {
            reservations(&mut service.resources, &at);
        }
        resources.finish(&[]);
        service.pids_limit = service.resources.pids;
    }
    let replicas = fields.get("replicas").and_then(|at| replicas(&at));
    fields.finish(&[
        ("placement", "choose hosts by spec.placement.nodeSelector"),
        ("update_config", "write spec.update: order, maxUnavailable, onFailure"),
        ("rollback_config", "write spec.update.onFailure: Rollback"),
        ("labels", "write labels: of the service; deploy.labels are of a Swarm service, which there is none"),
        ("endpoint_mode", "it is for Swarm"),
    ]);
    replicas
}

fn replicas(at: &At<'_>) -> Option<u32> {
    let number = at.integer()?;
    match u32::try_from(number) {
        Ok(number) if number <= MAX_REPLICAS => Some(number),
        Ok(number) => {
            at.error(
                codes::TOO_LARGE,
                format!("{number} containers of one service on one host; at most {MAX_REPLICAS}"),
            );
            None
        }
        Err(_) => {
            at.invalid(format!("{number} is not a number of containers"));
            None
        }
    }
}

fn restart(at: &At<'_>) -> Option<String> {
    // kubectl makes the boolean false of an unquoted `no`.
    if at.value == &serde_json::Value::Bool(false) {
        return Some("no".into());
    }
    at.parsed(codes::INVALID_VALUE, |text| match text.split_once(':') {
        None if matches!(text, "no" | "always" | "unless-stopped" | "on-failure") => Ok(text.to_owned()),
        Some(("on-failure", count)) if count.parse::<u32>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("`{}` is none of \"no\", always, unless-stopped, on-failure and on-failure:N", shorten(text))),
    })
}

/// `deploy.restart_policy` in the words of `restart`.
fn restart_policy(at: &At<'_>) -> Option<String> {
    let fields = at.fields()?;
    let attempts = fields.get("max_attempts").and_then(|at| at.within(0..=i64::from(u32::MAX)));
    let condition = fields.get("condition");
    let policy = condition.as_ref().and_then(|at| {
        at.parsed(codes::INVALID_VALUE, |word| match word {
            "none" | "no" => Ok("no"),
            "on-failure" => Ok("on-failure"),
            "unless-stopped" => Ok("unless-stopped"),
            "any" | "always" => Ok("always"),
            _ => Err(format!("`{}` is none of none, on-failure and any", shorten(word))),
        })
    });
    if condition.is_none() {
        at.error_with_hint(codes::INVALID_VALUE, "has no condition", "write condition: none, on-failure or any");
    }
    fields.finish(&[
        ("delay", "the engine chooses the time between restarts"),
        ("window", "health is decided by healthcheck:"),
    ]);
    match (policy?, attempts) {
        ("on-failure", Some(attempts)) if attempts > 0 => Some(format!("on-failure:{attempts}")),
        (policy, _) => Some(policy.to_owned()),
    }
}

fn limits(resources: &mut Resources, at: &At<'_>) {
    let Some(fields) = at.fields() else { return };
    let cpus = fields.get("cpus").and_then(|at| self::cpus(&at));
    same_or_unset(&fields, "cpus", &mut resources.nano_cpus, cpus, "cpus");
    let memory = fields.bytes("memory");
    same_or_unset(&fields, "memory", &mut resources.memory, memory, "mem_limit");
    let pids = fields.integer("pids");
    same_or_unset(&fields, "pids", &mut resources.pids, pids, "pids_limit");
    fields.finish(&[]);
}

fn reservations(resources: &mut Resources, at: &At<'_>) {
    let Some(fields) = at.fields() else { return };
    let memory = fields.bytes("memory");
    same_or_unset(&fields, "memory", &mut resources.memory_reservation, memory, "mem_reservation");
    if let Some(at) = fields.get("cpus") {
        let _ = cpus(&at);
        at.warning(
            codes::NO_EFFECT,
            "an engine cannot reserve CPUs; Compose takes and ignores it, and so does Slipway",
        );
    }
    let devices = fields.get("devices").and_then(|at| at.list()).unwrap_or_default();
    resources.device_requests.extend(devices.iter().filter_map(device_request));
    fields.finish(&[("generic_resources", "they are for Swarm"), ("pids", "write it under limits:")]);
}

/// The key of format v2 and the one under `deploy` must agree where both are written.
fn same_or_unset(fields: &Fields<'_>, key: &'static str, old: &mut Option<i64>, new: Option<i64>, old_key: &str) {
    if let (Some(old), Some(new)) = (*old, new)
        && old != new
        && let Some(at) = fields.get(key)
    {
        at.invalid(format!("differs from {old_key}; write one of them"));
    }
    *old = new.or(*old);
}

/// CPUs in billionths. Compose computes in single precision, so what it makes of 0.1 is what is made here.
fn cpus(at: &At<'_>) -> Option<i64> {
    let number = at.number()?;
    if !(0.0..=100_000.0).contains(&number) {
        at.invalid(format!("{number} is not a number of CPUs"));
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // bounded above
    Some((number as f32 * 1e9f32) as i64)
}

fn unlimited_or_bytes(at: &At<'_>) -> Option<i64> {
    let is_unlimited = at.value.as_i64() == Some(-1) || at.value.as_str() == Some("-1");
    if is_unlimited { Some(-1) } else { at.bytes() }
}

fn device_request(at: &At<'_>) -> Option<DeviceRequest> {
    let fields = at.fields()?;
    let capabilities = fields.words("capabilities");
    if capabilities.is_empty() {
        at.error_with_hint(codes::INVALID_VALUE, "has no capabilities", "write for example capabilities: [gpu]");
    }
    let ids = fields.words("device_ids");
    let count = fields.get("count").and_then(|at| match at.value.as_str() {
        Some(word) if word.eq_ignore_ascii_case("all") => Some(-1),
        _ => at.within(-1..=10_000),
    });
    if count.is_some() && !ids.is_empty() {
        at.invalid("has both count and device_ids; write one of them");
    }
    let options = fields.strings("options");
    let request = DeviceRequest {
        driver: Some(fields.word("driver").unwrap_or_default()),
        count: Some(count.unwrap_or(if ids.is_empty() { -1 } else { 0 })),
        device_ids: Some(ids).filter(|ids| !ids.is_empty()),
        capabilities: Some(vec![capabilities]),
        options: Some(options.into_iter().collect::<std::collections::HashMap<_, _>>()).filter(|map| !map.is_empty()),
    };
    fields.finish(&[]);
    Some(request)
}

/// Devices that are named in the Container Device Interface's way are requests, not mappings of a path.
pub(super) fn take_cdi_devices(service: &mut Service) {
    let (cdi, paths) =
        std::mem::take(&mut service.devices).into_iter().partition(|device| mounts::is_cdi(&device.source));
    service.devices = paths;
    let cdi: Vec<super::model::Device> = cdi;
    if !cdi.is_empty() {
        service.resources.device_requests.push(DeviceRequest {
            driver: Some("cdi".into()),
            device_ids: Some(cdi.into_iter().map(|device| device.source).collect()),
            ..DeviceRequest::default()
        });
    }
}
