//! Drift: what somebody else changed about a container.

use bollard_stubs::models::{HostConfig, RestartPolicy, RestartPolicyNameEnum};

use crate::container_service::definition;
use crate::container_service::observed::{Container, Host};

/// What `docker update` changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    /// Nothing.
    AsWanted,
    /// What another update can put back.
    Changed,
    /// A limit that was not there: the engine's update knows no way to take one off.
    Added,
}

/// Compares the limits that `docker update` can change. A limit that the host does not show is no drift: kernels and engines
/// drop what they do not support, with a warning at creation.
pub(super) fn limits(container: &Container, want: &definition::Container) -> Limits {
    let none = HostConfig::default();
    let wanted = want.body.host_config.as_ref().unwrap_or(&none);
    let shown = &container.host_config;
    let numbers = [
        (wanted.memory, shown.memory),
        (wanted.memory_reservation, shown.memory_reservation),
        (wanted.nano_cpus, shown.nano_cpus),
        (wanted.cpu_shares, shown.cpu_shares),
        (wanted.cpu_period, shown.cpu_period),
        (wanted.cpu_quota, shown.cpu_quota),
        (wanted.pids_limit.filter(|n| *n > 0), shown.pids_limit.filter(|n| *n > 0)),
    ];
    let texts = [(&wanted.cpuset_cpus, &shown.cpuset_cpus), (&wanted.cpuset_mems, &shown.cpuset_mems)];
    let numbers = numbers.into_iter().map(|(w, s)| (w.unwrap_or(0) == 0, s.unwrap_or(0) == 0, w == s));
    let texts = texts.into_iter().map(|(w, s)| {
        let empty = |t: &Option<String>| t.as_deref().unwrap_or("").is_empty();
        (empty(w), empty(s), w == s)
    });
    let mut found = Limits::AsWanted;
    for (wanted_none, shown_none, same) in numbers.chain(texts) {
        match (wanted_none, shown_none, same) {
            (_, true, _) | (false, _, true) => {}
            (true, false, _) => return Limits::Added,
            (false, false, false) => found = Limits::Changed,
        }
    }
    let same_policy = policy(wanted.restart_policy.as_ref()) == policy(shown.restart_policy.as_ref());
    if same_policy { found } else { Limits::Changed }
}

fn policy(policy: Option<&RestartPolicy>) -> (RestartPolicyNameEnum, i64) {
    let name = policy.and_then(|p| p.name).filter(|n| *n != RestartPolicyNameEnum::EMPTY);
    let name = name.unwrap_or(RestartPolicyNameEnum::NO);
    let retries = policy.and_then(|p| p.maximum_retry_count).unwrap_or(0);
    (name, if name == RestartPolicyNameEnum::ON_FAILURE { retries } else { 0 })
}

/// Networks that somebody took the container off, and that are there to be connected to again.
pub(super) fn lost_networks<'a>(
    container: &'a Container,
    want: &'a definition::Container,
    host: &'a Host,
) -> impl Iterator<Item = &'a str> {
    want.networks
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| host.networks.contains_key(*name) && !container.networks.iter().any(|n| n == name))
}
