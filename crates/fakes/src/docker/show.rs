//! Containers are shown: in lists, and as `docker inspect` has them.

use serde_json::{Value, json};

use super::containers::{Container, Mount, overlay};
use super::engine::{Engine, time_text};
use super::http::{Answer, Filters, Reply, Request};
use super::networks::is_predefined;

impl Engine {
    pub(super) fn container_list(&self, request: &Request) -> Reply {
        let filters = request.filters()?;
        let known = [
            "ancestor",
            "before",
            "expose",
            "exited",
            "health",
            "id",
            "isolation",
            "is-task",
            "label",
            "name",
            "network",
            "publish",
            "since",
            "status",
            "volume",
        ];
        filters.only(&known, self.version.is_new())?;
        let all = request.flag("all") || !filters.values("status").is_empty();
        let mut found: Vec<_> = self
            .containers
            .values()
            .filter(|container| {
                (all || container.is_up() || container.state.restarting()) && listed(container, &filters)
            })
            .collect();
        found.sort_by_key(|container| std::cmp::Reverse(container.sequence));
        if let Ok(limit) = request.text("limit").parse::<usize>()
            && limit > 0
        {
            found.truncate(limit);
        }
        Ok(Answer::Json(200, found.into_iter().map(|container| self.summary(container)).collect()))
    }

    fn summary(&self, container: &Container) -> Value {
        let named = self.find_image(&container.image).is_ok_and(|id| id == container.image_id);
        let mut ports = Vec::new();
        for published in &container.published {
            let (number, protocol) = published.inner.split_once('/').unwrap_or((&published.inner, "tcp"));
            let inner: u16 = number.parse().unwrap_or_default();
            ports.push(
                json!({ "IP": published.ip, "PrivatePort": inner, "PublicPort": published.host, "Type": protocol }),
            );
        }
        json!({
            "Id": container.id,
            "Names": [format!("/{}", container.name)],
            "Image": if named { &container.image } else { &container.image_id },
            "ImageID": container.image_id,
            "Command": container.command().join(" "),
            "Created": container.created.as_second(),
            "Ports": ports,
            "Labels": container.labels(),
            "State": container.state.status,
            "Status": container.state.text(),
            "HostConfig": { "NetworkMode": container.host_config["NetworkMode"] },
            "NetworkSettings": { "Networks": self.show_endpoints(container) },
            "Mounts": container.mounts.iter().map(Mount::show).collect::<Vec<_>>(),
        })
    }

    pub(super) fn container_inspect(&self, name: &str) -> Reply {
        let container = &self.containers[&self.find_container(name)?];
        let mut command = container.command().into_iter();
        let path = command.next().unwrap_or_default();
        Ok(Answer::Json(
            200,
            json!({
                "Id": container.id,
                "Created": time_text(Some(container.created)),
                "Path": path,
                "Args": command.collect::<Vec<_>>(),
                "State": container.state.show(),
                "Image": container.image_id,
                "ResolvConfPath": "",
                "HostnamePath": "",
                "HostsPath": "",
                "LogPath": "",
                "Name": format!("/{}", container.name),
                "RestartCount": container.state.restart_count,
                "Driver": "overlay2",
                "Platform": "linux",
                "MountLabel": "",
                "ProcessLabel": "",
                "AppArmorProfile": "",
                "ExecIDs": null,
                "HostConfig": container.host_config,
                "Mounts": container.mounts.iter().map(Mount::show).collect::<Vec<_>>(),
                "Config": container.config,
                "NetworkSettings": { "Ports": show_ports(container), "Networks": self.show_endpoints(container) },
            }),
        ))
    }

    fn show_endpoints(&self, container: &Container) -> Value {
        let mut shown = serde_json::Map::new();
        for (name, endpoint) in &container.endpoints {
            let mut settings = json!({
                "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": endpoint.network_id,
                "EndpointID": endpoint.id, "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
                "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "", "DriverOpts": null,
            });
            overlay(&mut settings, &endpoint.settings);
            if !self.version.is_new() && endpoint.has_own_alias && !is_predefined(name) {
                let mut aliases = settings["Aliases"].as_array().cloned().unwrap_or_default();
                aliases.push(container.id[..12].into());
                settings["Aliases"] = aliases.into();
            }
            if let Some(ip) = endpoint.ipv4 {
                settings["IPAddress"] = ip.to_string().into();
                settings["IPPrefixLen"] = 16.into();
            }
            shown.insert(name.clone(), settings);
        }
        shown.into()
    }
}

fn listed(container: &Container, filters: &Filters) -> bool {
    filters.labels(container.labels())
        && filters.any("name", |wanted| container.name.contains(wanted.trim_matches(['^', '$', '/'])))
        && filters.any("id", |wanted| container.id.starts_with(wanted))
        && filters.any("status", |wanted| container.state.status == wanted)
        && filters.any("ancestor", |wanted| container.image == wanted || container.image_id == wanted)
        && filters
            .any("volume", |wanted| container.mounts.iter().any(|mount| mount.name == wanted || mount.target == wanted))
        && filters.any("network", |wanted| {
            container.endpoints.iter().any(|(name, endpoint)| name == wanted || endpoint.network_id == wanted)
        })
        && filters
            .any("health", |wanted| container.state.health.as_ref().map_or("none", |health| health.status) == wanted)
}

fn show_ports(container: &Container) -> Value {
    let mut ports = serde_json::Map::new();
    if container.is_up() {
        for inner in container.config["ExposedPorts"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            ports.insert(inner.clone(), Value::Null);
        }
    }
    for published in &container.published {
        let shown = json!({ "HostIp": published.ip, "HostPort": published.host.to_string() });
        match ports.get_mut(&published.inner) {
            Some(Value::Array(list)) => list.push(shown),
            _ => drop(ports.insert(published.inner.clone(), json!([shown]))),
        }
    }
    ports.into()
}
