//! What needs a newer engine. An older one takes the request all the same and leaves the key out, without a word.

use super::Container;

/// API 1.44, Docker 25.
const DOCKER_25: u32 = 44;
/// API 1.45, Docker 26.
const DOCKER_26: u32 = 45;

/// A key that only newer engines know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The key in the Compose file.
    pub key: &'static str,
    /// Minor version of the API that it came with.
    pub api: u32,
    /// That version's engine, for people.
    pub engine: &'static str,
}

/// The keys of a container that an engine which speaks API `1.api` does not know.
pub fn beyond(container: &Container, api: u32) -> Vec<Requirement> {
    let host = container.body.host_config.as_ref();
    let mut mounts = host.and_then(|host| host.mounts.as_ref()).into_iter().flatten();
    let mut devices = host.and_then(|host| host.device_requests.as_ref()).into_iter().flatten();
    let check = container.body.healthcheck.as_ref();
    let used = [
        (check.is_some_and(|check| check.start_interval.is_some()), "healthcheck.start_interval", DOCKER_25),
        // Older engines know one address for the whole container.
        (container.networks.iter().skip(1).any(|(_, it)| it.mac_address.is_some()), "networks.mac_address", DOCKER_25),
        (devices.any(|device| device.driver.as_deref() == Some("cdi")), "devices (CDI)", DOCKER_25),
        (
            mounts.any(|mount| mount.volume_options.as_ref().is_some_and(|options| options.subpath.is_some())),
            "volumes.volume.subpath",
            DOCKER_26,
        ),
    ];
    used.into_iter()
        .filter(|(used, _, needed)| *used && *needed > api)
        .map(|(_, key, api)| Requirement { key, api, engine: if api == DOCKER_25 { "Docker 25" } else { "Docker 26" } })
        .collect()
}
