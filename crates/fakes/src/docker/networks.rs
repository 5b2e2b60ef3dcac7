//! Networks, their address pools, and who is on them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::containers::{Container, Endpoint, overlay};
use super::engine::{Engine, labels_of, time_text};
use super::http::{Answer, Refusal, Reply, Request};

/// A network.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) labels: Value,
    pub(super) options: Value,
    /// `Internal`, `EnableIPv6` and `Attachable`.
    flags: Value,
    pub(super) created: Timestamp,
    ipam_driver: String,
    ipam_options: Value,
    /// What `IPAM.Config` shows.
    pools: Vec<Value>,
    subnets: Vec<IpNet>,
    /// The subnets were chosen by the user, so fixed addresses are allowed.
    chosen_subnets: bool,
}

impl Engine {
    /// `bridge`, `host` and `none`, as on every engine.
    pub(super) fn make_default_networks(&mut self) {
        for (name, driver, subnet) in
            [("bridge", "bridge", Some("172.17.0.0/16")), ("host", "host", None), ("none", "null", None)]
        {
            let network = Network {
                name: name.into(),
                driver: driver.into(),
                labels: json!({}),
                options: json!({}),
                flags: flags(&Value::Null),
                created: self.now(),
                ipam_driver: "default".into(),
                ipam_options: Value::Null,
                pools: subnet.map(|subnet| json!({ "Subnet": subnet })).into_iter().collect(),
                subnets: subnet.and_then(|subnet| subnet.parse().ok()).into_iter().collect(),
                chosen_subnets: false,
            };
            let id = self.new_id("network");
            self.networks.insert(id, network);
        }
    }

    pub(super) fn network_list(&self, request: &Request) -> Reply {
        let filters = request.filters()?;
        filters.only(&["name", "id", "label", "driver", "type", "scope", "dangling"], self.version.is_new())?;
        let networks: Vec<_> = self
            .networks
            .iter()
            .filter(|(id, network)| {
                filters.any("name", |wanted| network.name.contains(wanted))
                    && filters.any("id", |wanted| id.starts_with(wanted))
                    && filters.any("driver", |wanted| network.driver == wanted)
                    && filters.any("type", |wanted| is_predefined(&network.name) == (wanted == "builtin"))
                    && filters.labels(&network.labels)
            })
            .map(|(id, network)| show(id, network, &json!({})))
            .collect();
        Ok(Answer::Json(200, json!(networks)))
    }

    pub(super) fn network_inspect(&self, name: &str) -> Reply {
        let id = self.find_network(name, |matches| {
            format!("{matches} matches found based on name: network {name} is ambiguous")
        })?;
        let network = &self.networks[&id];
        let on_it = |container: &Container| {
            let endpoint =
                container.endpoints.get(&network.name).filter(|endpoint| endpoint.network_id == id && endpoint.up)?;
            let shown = json!({
                "Name": container.name,
                "EndpointID": endpoint.id,
                "MacAddress": "",
                "IPv4Address": endpoint.ipv4.map_or_else(String::new, |ip| format!("{ip}/16")),
                "IPv6Address": "",
            });
            Some((container.id.clone(), shown))
        };
        let containers: serde_json::Map<_, _> = self.containers.values().filter_map(on_it).collect();
        Ok(Answer::Json(200, show(&id, network, &containers.into())))
    }

    pub(super) fn network_create(&mut self, request: &Request) -> Reply {
        let body = request.json()?;
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        if is_predefined(&name) {
            return Err(Refusal::new(403, format!("operation is not permitted on predefined {name} network ")));
        }
        let same: Vec<_> =
            self.networks.iter().filter(|(_, network)| network.name == name).map(|(id, _)| id.clone()).collect();
        if !same.is_empty() && (self.version.is_new() || body["CheckDuplicate"] == true) {
            return Err(Refusal::new(409, format!("network with name {name} already exists")));
        }
        let driver = body["Driver"].as_str().filter(|driver| !driver.is_empty()).unwrap_or("bridge").to_owned();
        if !matches!(driver.as_str(), "bridge" | "macvlan" | "ipvlan" | "overlay") {
            return Err(Refusal::new(404, format!("plugin \"{driver}\" not found")));
        }
        let asked = body["IPAM"]["Config"].as_array().cloned().unwrap_or_default();
        let (pools, subnets, chosen_subnets) = self.allocate_pools(&asked)?;
        let id = self.new_id("network");
        let created = self.now();
        let network = Network {
            labels: labels_of(&body["Labels"]),
            options: labels_of(&body["Options"]),
            flags: flags(&body),
            created,
            ipam_driver: body["IPAM"]["Driver"]
                .as_str()
                .filter(|driver| !driver.is_empty())
                .unwrap_or("default")
                .into(),
            ipam_options: body["IPAM"]["Options"].clone(),
            pools,
            subnets,
            chosen_subnets,
            name: name.clone(),
            driver: driver.clone(),
        };
        self.networks.insert(id.clone(), network);
        self.emit(created, "network", "create", &id, &json!({ "name": name, "type": driver }));
        let warning = same
            .first()
            .map_or_else(String::new, |other| format!("Network with name {name} (id : {other}) already exists"));
        Ok(Answer::Json(201, json!({ "Id": id, "Warning": warning })))
    }

    /// The pools asked for, or the next of the engine's default ones that is free.
    fn allocate_pools(&self, asked: &[Value]) -> Result<(Vec<Value>, Vec<IpNet>, bool), Refusal> {
        let taken: Vec<IpNet> = self.networks.values().flat_map(|network| network.subnets.clone()).collect();
        let is_free = |subnet: &IpNet| !taken.iter().any(|other| other.contains(subnet) || subnet.contains(other));
        let mut pools = Vec::new();
        let mut subnets = Vec::new();
        for config in asked {
            let Some(text) = config["Subnet"].as_str().filter(|text| !text.is_empty()) else { continue };
            let subnet: IpNet = text.parse().map_err(|_| Refusal::new(400, format!("invalid CIDR address: {text}")))?;
            if !is_free(&subnet) {
                return Err(Refusal::new(403, "Pool overlaps with other one on this address space"));
            }
            let mut shown = config.clone();
            if config["Gateway"].is_null()
                && let Some(gateway) = subnet.hosts().next()
            {
                shown["Gateway"] = gateway.to_string().into();
            }
            pools.push(shown);
            subnets.push(subnet);
        }
        let chosen = !subnets.is_empty();
        if !subnets.iter().any(|subnet| matches!(subnet, IpNet::V4(_))) {
            let free = default_pools().map(IpNet::V4).find(is_free).ok_or_else(|| {
                let message = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
                Refusal::new(404, message)
            })?;
            let gateway = free.hosts().next().map_or_else(String::new, |gateway| gateway.to_string());
            pools.insert(0, json!({ "Subnet": free.to_string(), "Gateway": gateway }));
            subnets.insert(0, free);
        }
        Ok((pools, subnets, chosen))
    }

    pub(super) fn network_remove(&mut self, name: &str) -> Reply {
        let id = self.find_network(name, |matches| {
            format!("network {name} is ambiguous ({matches} matches found based on name)")
        })?;
        let network = &self.networks[&id];
        if is_predefined(&network.name) {
            let message = format!("{} is a pre-defined network and cannot be removed", network.name);
            return Err(Refusal::new(403, message));
        }
        let in_use = |container: &Container| {
            container.endpoints.values().any(|endpoint| endpoint.up && endpoint.network_id == id)
        };
        if self.containers.values().any(in_use) {
            let message =
                format!("error while removing network: network {} id {id} has active endpoints", network.name);
            return Err(Refusal::new(403, message));
        }
        let attributes = json!({ "name": network.name, "type": network.driver });
        self.networks.remove(&id);
        let now = self.now();
        self.emit(now, "network", "destroy", &id, &attributes);
        Ok(Answer::Empty(204))
    }

    pub(super) fn network_connect(&mut self, name: &str, request: &Request) -> Reply {
        let body = request.json()?;
        let container_id = self.find_container(body["Container"].as_str().unwrap_or_default())?;
        let container = &self.containers[&container_id];
        let (running, container_name) = (container.is_up(), container.name.clone());
        let settings = &body["EndpointConfig"];
        let mut endpoint = Endpoint::new(settings);
        let (id, network_name) = match self.find_connected(name) {
            Ok(id) => (id.clone(), self.networks[&id].name.clone()),
            // Of a container that does not run, the engine only notes the name; its start fails then.
            Err(refusal) if refusal.status == 404 && !running => (String::new(), name.to_owned()),
            Err(refusal) => return Err(refusal),
        };
        endpoint.has_own_alias = !id.is_empty();
        if running && self.containers[&container_id].endpoints.get(&network_name).is_some_and(|endpoint| endpoint.up) {
            let message = format!("endpoint with name {container_name} already exists in network {network_name}");
            return Err(Refusal::new(403, message));
        }
        if running {
            endpoint.ipv4 = self.address_for(&id, settings)?;
            endpoint.join(&id, self.new_id("endpoint"));
        }
        self.container_mut(&container_id)?.endpoints.insert(network_name.clone(), endpoint);
        if running {
            let now = self.now();
            let driver = &self.networks[&id].driver;
            let attributes = json!({ "container": container_id, "name": network_name, "type": driver });
            self.emit(now, "network", "connect", &id, &attributes);
        }
        Ok(Answer::Empty(200))
    }

    pub(super) fn network_disconnect(&mut self, name: &str, request: &Request) -> Reply {
        let body = request.json()?;
        let container_id = self.find_container(body["Container"].as_str().unwrap_or_default())?;
        let id = self.find_connected(name)?;
        let network = &self.networks[&id];
        let (network_name, driver) = (network.name.clone(), network.driver.clone());
        let container = self.container_mut(&container_id)?;
        let running = container.is_up();
        let Some(endpoint) = container.endpoints.remove(&network_name) else {
            let the = if running { "" } else { "the " };
            let message = format!("container {container_id} is not connected to {the}network {network_name}");
            return Err(Refusal::new(500, message));
        };
        if endpoint.up {
            let now = self.now();
            let attributes = json!({ "container": container_id, "name": network_name, "type": driver });
            self.emit(now, "network", "disconnect", &id, &attributes);
        }
        Ok(Answer::Empty(200))
    }

    fn find_connected(&self, name: &str) -> Result<String, Refusal> {
        self.find_network(name, |matches| format!("network {name} is ambiguous ({matches} matches found on name)"))
    }

    /// By ID, name or the beginning of an ID.
    pub(super) fn find_network(&self, name: &str, ambiguous: impl Fn(usize) -> String) -> Result<String, Refusal> {
        if self.networks.contains_key(name) {
            return Ok(name.to_owned());
        }
        let of = |fits: &dyn Fn(&String, &Network) -> bool| -> Vec<String> {
            self.networks.iter().filter(|(id, network)| fits(id, network)).map(|(id, _)| id.clone()).collect()
        };
        let mut found = of(&|_, network| network.name == name);
        if found.is_empty() && !name.is_empty() {
            found = of(&|id, _| id.starts_with(name));
        }
        match found.as_slice() {
            [] => Err(no_network(name)),
            [id] => Ok(id.clone()),
            more => Err(Refusal::new(400, ambiguous(more.len()))),
        }
    }

    /// The address that a container gets on a network.
    pub(super) fn address_for(&self, id: &str, settings: &Value) -> Result<Option<Ipv4Addr>, Refusal> {
        let network = &self.networks[id];
        let mut taken: BTreeSet<Ipv4Addr> = self
            .containers
            .values()
            .flat_map(|container| container.endpoints.values())
            .filter(|endpoint| endpoint.up && endpoint.network_id == id)
            .filter_map(|endpoint| endpoint.ipv4)
            .collect();
        let gateways = network.pools.iter().filter_map(|pool| pool["Gateway"].as_str()?.parse::<Ipv4Addr>().ok());
        taken.extend(gateways);
        if let Some(fixed) = fixed_address(settings) {
            self.allows_fixed_address(id)?;
            let within = network.subnets.iter().any(|subnet| subnet.contains(&std::net::IpAddr::V4(fixed)));
            return match (within, taken.contains(&fixed)) {
                (true, false) => Ok(Some(fixed)),
                (true, true) => Err(Refusal::new(403, "Address already in use")),
                (false, _) => Err(Refusal::new(
                    500,
                    format!("Invalid address {fixed}: It does not belong to any of this network's subnets"),
                )),
            };
        }
        let subnet = network.subnets.iter().find_map(|subnet| match subnet {
            IpNet::V4(subnet) => Some(*subnet),
            IpNet::V6(_) => None,
        });
        let Some(subnet) = subnet else { return Ok(None) };
        let first = u32::from(subnet.network()) + 2;
        let free = (first..u32::from(subnet.broadcast())).map(Ipv4Addr::from).find(|ip| !taken.contains(ip));
        free.map(Some).ok_or_else(|| Refusal::new(500, "no available IPv4 addresses on this network's address pools"))
    }

    /// Fixed addresses need a subnet that the user chose.
    pub(super) fn allows_fixed_address(&self, id: &str) -> Result<(), Refusal> {
        if self.networks[id].chosen_subnets {
            return Ok(());
        }
        let message =
            "user specified IP address is supported only when connecting to networks with user configured subnets";
        Err(Refusal::new(400, message))
    }
}

/// The fixed IPv4 address in endpoint settings.
pub(super) fn fixed_address(settings: &Value) -> Option<Ipv4Addr> {
    settings["IPAMConfig"]["IPv4Address"].as_str()?.parse().ok()
}

/// There is no such network.
pub(super) fn no_network(name: &str) -> Refusal {
    Refusal::new(404, format!("network {name} not found"))
}

/// One of the networks that every engine has.
pub(super) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

/// The engine's default address pools, in the order in which they are given out.
fn default_pools() -> impl Iterator<Item = Ipv4Net> {
    let large = (17..=31).map(|second| Ipv4Net::new_assert(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16).map(|part| Ipv4Net::new_assert(Ipv4Addr::new(192, 168, part * 16, 0), 20));
    large.chain(small)
}

/// The switches of a network, off unless the request has them on.
fn flags(body: &Value) -> Value {
    let on = |key: &str| body[key] == true;
    json!({ "Internal": on("Internal"), "EnableIPv6": on("EnableIPv6"), "Attachable": on("Attachable") })
}

fn show(id: &str, network: &Network, containers: &Value) -> Value {
    let mut shown = json!({
        "Name": network.name,
        "Id": id,
        "Created": time_text(Some(network.created)),
        "Scope": "local",
        "Driver": network.driver,
        "IPAM": { "Driver": network.ipam_driver, "Options": network.ipam_options, "Config": network.pools },
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    });
    overlay(&mut shown, &network.flags);
    shown
}
