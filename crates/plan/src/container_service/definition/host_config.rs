//! A service's `HostConfig`: limits, rights, mounts, and the like.

use std::collections::BTreeSet;

use bollard_stubs::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::mounts::{self, tmpfs_parts};
use super::names::Names;
use super::security::Security;
use super::{list, map, networking};
use crate::formats::compose::model::{Device, Logging, Service};

/// The `HostConfig` of a service's containers.
pub(super) fn host_config(
    service: &Service,
    names: &Names<'_>,
    network_mode: String,
    security: &Security,
) -> HostConfig {
    let mounted = mounts::mounted(service, names);
    let resources = &service.resources;
    let (cdi, devices): (Vec<_>, Vec<_>) = service.devices.iter().partition(|device| is_cdi(device));
    let unconfined = security.unconfined.then(Vec::new);
    HostConfig {
        binds: list(mounted.binds),
        mounts: list(mounted.mounts),
        tmpfs: (!service.tmpfs.is_empty()).then(|| service.tmpfs.iter().map(|entry| tmpfs_entry(entry)).collect()),
        cap_add: list(capabilities(&service.cap_add)),
        cap_drop: list(capabilities(&service.cap_drop)),
        network_mode: Some(network_mode),
        init: service.init,
        ipc_mode: service.ipc.as_deref().map(|mode| names.namespace(mode)),
        pid_mode: service.pid.as_deref().map(|mode| names.namespace(mode)),
        readonly_rootfs: Some(service.read_only),
        privileged: Some(service.privileged),
        restart_policy: service.restart.as_deref().map(restart_policy),
        shm_size: service.shm_size,
        sysctls: map(&service.sysctls),
        port_bindings: Some(networking::port_bindings(service)),
        dns: list(service.dns.clone()),
        dns_search: list(service.dns_search.clone()),
        dns_options: list(service.dns_opt.clone()),
        extra_hosts: Some(service.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
        security_opt: list(security.options.clone()),
        masked_paths: unconfined.clone(),
        readonly_paths: unconfined,
        log_config: service.logging.as_ref().map(log_config),
        group_add: list(service.group_add.clone()),
        memory: resources.memory,
        memory_swap: resources.memswap_limit,
        memory_swappiness: resources.mem_swappiness.filter(|swappiness| *swappiness != 0),
        memory_reservation: resources.memory_reservation,
        // Compose always says it; an engine that is not told answers differently by version.
        oom_kill_disable: Some(resources.oom_kill_disable.unwrap_or_default()),
        oom_score_adj: resources.oom_score_adj,
        nano_cpus: resources.nano_cpus,
        cpu_shares: resources.cpu_shares,
        cpu_period: resources.cpu_period,
        cpu_quota: resources.cpu_quota,
        cpuset_cpus: resources.cpuset.clone(),
        // The limit under `deploy` wins; 0 is no limit at all.
        pids_limit: resources
            .pids
            .filter(|limit| *limit > 0)
            .or_else(|| service.pids_limit.filter(|limit| *limit != 0)),
        devices: list(devices.into_iter().map(device_mapping).collect()),
        device_requests: list(device_requests(service, &cdi)),
        ulimits: list(ulimits(service)),
        ..HostConfig::default()
    }
}

fn tmpfs_entry(entry: &str) -> (String, String) {
    let (target, options) = tmpfs_parts(entry);
    (target.to_owned(), options.to_owned())
}

/// In the kernel's spelling and in order, once each, as Docker's own clients send them.
fn capabilities(written: &[String]) -> Vec<String> {
    let spelled = written.iter().map(|name| name.to_uppercase()).map(|name| match name.as_str() {
        "ALL" => name,
        known if known.starts_with("CAP_") => name,
        _ => format!("CAP_{name}"),
    });
    spelled.collect::<BTreeSet<_>>().into_iter().collect()
}

fn restart_policy(restart: &str) -> RestartPolicy {
    let (name, attempts) = restart.split_once(':').unwrap_or((restart, ""));
    RestartPolicy {
        name: Some(match name {
            "no" | "none" => RestartPolicyNameEnum::NO,
            "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
            "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
            "always" | "any" => RestartPolicyNameEnum::ALWAYS,
            _ => RestartPolicyNameEnum::EMPTY,
        }),
        maximum_retry_count: attempts.parse().ok(),
    }
}

fn log_config(logging: &Logging) -> HostConfigLogConfig {
    HostConfigLogConfig { typ: logging.driver.clone(), config: map(&logging.options) }
}

fn device_mapping(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

/// Devices by `deploy.resources.reservations.devices`, then those by CDI name.
fn device_requests(service: &Service, cdi: &[&Device]) -> Vec<DeviceRequest> {
    let by_name = (!cdi.is_empty()).then(|| DeviceRequest {
        driver: Some("cdi".into()),
        device_ids: Some(cdi.iter().map(|device| device.source.clone()).collect()),
        ..DeviceRequest::default()
    });
    service.resources.device_requests.iter().cloned().chain(by_name).collect()
}

/// Whether it is a device of the Container Device Interface, `vendor/class=name`, and not a path.
fn is_cdi(device: &Device) -> bool {
    fn word(text: &str, extra: &[char]) -> bool {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(&c))
    }
    let Some((kind, name)) = device.source.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    device.source == device.target
        && word(vendor, &['_', '-', '.'])
        && word(class, &['_', '-'])
        && word(name, &['_', '-', '.', ':'])
}

fn ulimits(service: &Service) -> Vec<ResourcesUlimits> {
    let limits = service.ulimits.iter().map(|(name, (soft, hard))| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(*soft),
        hard: Some(*hard),
    });
    limits.collect()
}
