//! Top-level `networks:` and `volumes:`, and a service's place in networks.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard_stubs::models::{Ipam, IpamConfig};
use ipnet::IpNet;

use super::model::{Attachment, Network, Volume};
use super::read::{At, Fields, shorten};
use super::{codes, values};

/// One of the top-level `networks:`.
pub(super) fn network(at: &At<'_>) -> Option<Network> {
    if at.is_null() {
        return Some(Network::default());
    }
    let fields = at.fields()?;
    let (external, name) = external(
        &fields,
        &["driver", "driver_opts", "ipam", "internal", "attachable", "enable_ipv4", "enable_ipv6", "labels"],
    );
    let network = Network {
        name,
        external,
        driver: fields.word("driver"),
        driver_opts: fields.strings("driver_opts"),
        ipam: fields.get("ipam").and_then(|at| ipam(&at)),
        internal: fields.boolean("internal").unwrap_or_default(),
        attachable: fields.boolean("attachable").unwrap_or_default(),
        enable_ipv4: fields.boolean("enable_ipv4"),
        enable_ipv6: fields.boolean("enable_ipv6"),
        labels: fields.strings("labels"),
    };
    fields.finish(&[]);
    Some(network)
}

/// One of the top-level `volumes:`.
pub(super) fn volume(at: &At<'_>) -> Option<Volume> {
    if at.is_null() {
        return Some(Volume::default());
    }
    let fields = at.fields()?;
    let (external, name) = external(&fields, &["driver", "driver_opts", "labels"]);
    let volume = Volume {
        name,
        external,
        driver: fields.word("driver"),
        driver_opts: fields.strings("driver_opts"),
        labels: fields.strings("labels"),
    };
    fields.finish(&[]);
    Some(volume)
}

/// `external:` and `name:`, which networks, volumes, secrets and configs share. `others` say how to make the thing, so they
/// contradict `external`.
pub(super) fn external(fields: &Fields<'_>, others: &[&'static str]) -> (bool, Option<String>) {
    let mut name =
        fields.parsed("name", codes::INVALID_NAME, |name| values::engine_name(name).map(|()| name.to_owned()));
    let Some(at) = fields.get("external") else { return (false, name) };
    let external = if at.value.is_object() {
        if let Some(old) = at.fields() {
            let old_name = old.word("name");
            old.finish(&[]);
            at.warning(codes::DEPRECATED, "the map form of external is old; write external: true, and name: beside it");
            match (&name, old_name) {
                (Some(name), Some(old)) if *name != old => at.invalid("its name and the name beside it differ"),
                (None, old) => name = old,
                _ => {}
            }
        }
        true
    } else {
        at.boolean().unwrap_or_default()
    };
    if external {
        for key in others {
            if let Some(other) = fields.get(key) {
                other.invalid("does not go with external: true, since the thing exists already");
            }
        }
    }
    (external, name)
}

fn ipam(at: &At<'_>) -> Option<Ipam> {
    let fields = at.fields()?;
    let pools = fields.get("config").and_then(|at| at.list()).unwrap_or_default();
    let options = fields.strings("options");
    let ipam = Ipam {
        driver: fields.word("driver"),
        config: Some(pools.iter().filter_map(pool).collect::<Vec<_>>()).filter(|pools| !pools.is_empty()),
        options: Some(options.into_iter().collect::<HashMap<_, _>>()).filter(|options| !options.is_empty()),
    };
    fields.finish(&[]);
    Some(ipam)
}

fn pool(at: &At<'_>) -> Option<IpamConfig> {
    let fields = at.fields()?;
    let subnet = fields.parsed("subnet", codes::INVALID_ADDRESS, cidr);
    let within = |subnet: Option<IpNet>, address: IpAddr| match subnet {
        Some(subnet) if !subnet.contains(&address) => Err(format!("{address} is not in the subnet {subnet}")),
        _ => Ok(()),
    };
    let ip_range = fields.parsed("ip_range", codes::INVALID_ADDRESS, |text| {
        let range = cidr(text)?;
        within(subnet, range.addr())?;
        Ok(range.to_string())
    });
    let gateway = fields.parsed("gateway", codes::INVALID_ADDRESS, |text| {
        let gateway = values::address(text)?;
        within(subnet, gateway)?;
        Ok(gateway.to_string())
    });
    let auxiliary = fields.get("aux_addresses");
    let addresses = auxiliary.as_ref().map(At::strings).unwrap_or_default();
    for (host, address) in &addresses {
        if let Some(at) = &auxiliary
            && let Err(reason) = values::address(address).and_then(|address| within(subnet, address))
        {
            at.error(codes::INVALID_ADDRESS, format!("{}: {reason}", shorten(host)));
        }
    }
    if subnet.is_none() && (ip_range.is_some() || gateway.is_some() || !addresses.is_empty()) {
        at.error_with_hint(codes::INVALID_ADDRESS, "has no subnet", "write subnet: beside it");
    }
    fields.finish(&[]);
    Some(IpamConfig {
        subnet: subnet.map(|subnet| subnet.to_string()),
        ip_range,
        gateway,
        auxiliary_addresses: Some(addresses.into_iter().collect::<HashMap<_, _>>()).filter(|map| !map.is_empty()),
    })
}

fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse()
        .map_err(|_| format!("`{}` is not a subnet; write for example 172.28.0.0/16 or fd00:1::/64", shorten(text)))
}

/// `networks:` of a service: a list of names, or a map from names to options.
pub(super) fn attachments(at: &At<'_>) -> BTreeMap<String, Attachment> {
    if at.value.is_array() {
        return at.words().into_iter().map(|name| (name, Attachment::default())).collect();
    }
    let entries = at.entries().unwrap_or_default();
    entries.into_iter().filter_map(|(name, at)| Some((name.to_owned(), attachment(&at)?))).collect()
}

fn attachment(at: &At<'_>) -> Option<Attachment> {
    if at.is_null() {
        return Some(Attachment::default());
    }
    let fields = at.fields()?;
    let local = fields
        .get("link_local_ips")
        .map(|at| at.words_that(codes::INVALID_ADDRESS, |ip| values::address(ip).map(drop)));
    let attachment = Attachment {
        aliases: fields.words("aliases"),
        ipv4_address: fields.parsed("ipv4_address", codes::INVALID_ADDRESS, |text| match values::address(text)? {
            IpAddr::V4(address) => Ok(address.to_string()),
            IpAddr::V6(_) => Err(format!("`{text}` is not an IPv4 address")),
        }),
        ipv6_address: fields.parsed("ipv6_address", codes::INVALID_ADDRESS, |text| match values::address(text)? {
            IpAddr::V6(address) => Ok(address.to_string()),
            IpAddr::V4(_) => Err(format!("`{text}` is not an IPv6 address")),
        }),
        link_local_ips: local.unwrap_or_default(),
        mac_address: mac_address(&fields),
        priority: fields.integer("priority").unwrap_or_default(),
        driver_opts: fields.strings("driver_opts"),
    };
    fields.finish(&[
        ("interface_name", "the engine names interfaces"),
        ("gw_priority", "use priority: the network with the highest is connected first"),
    ]);
    Some(attachment)
}

/// `mac_address:` of a service or of its place in a network.
pub(super) fn mac_address(fields: &Fields<'_>) -> Option<String> {
    fields.parsed("mac_address", codes::INVALID_ADDRESS, |text| values::mac(text).map(|()| text.to_owned()))
}

/// `extra_hosts:`: `- host=address`, `- host:address` or a map; IPv6 with or without brackets.
pub(super) fn extra_hosts(at: &At<'_>) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    let mut add = |at: &At<'_>, host: &str, address: &str| {
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if host.is_empty() || host.contains([':', '=']) || host.contains(char::is_whitespace) {
            at.invalid(format!("`{}` is not a host name", shorten(host)));
        } else if address != "host-gateway" && values::address(address).is_err() {
            at.error(codes::INVALID_ADDRESS, format!("`{}` is not an IP address", shorten(address)));
        } else {
            hosts.push((host.to_owned(), address.to_owned()));
        }
    };
    if at.value.is_array() {
        for item in at.list().unwrap_or_default() {
            let Some(text) = item.text() else { continue };
            match text.split_once('=').or_else(|| text.split_once(':')) {
                Some((host, addresses)) => addresses.split(',').for_each(|address| add(&item, host, address)),
                None => item.invalid(format!("`{}` has no address; write host=address", shorten(&text))),
            }
        }
        return hosts;
    }
    for (host, value) in at.entries().unwrap_or_default() {
        for address in value.one_or_list().unwrap_or_default() {
            if let Some(text) = address.text() {
                add(&address, host, &text);
            }
        }
    }
    hosts
}
