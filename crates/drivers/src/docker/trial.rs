//! Whether a network can be made as it is wanted now, tried while the one of its name is still there and in use.

use bollard_stubs::models::NetworkCreateRequest;
use ipnet::IpNet;

use super::client::{Client, segment};
use super::errors::CallError;
use super::execute::{DEADLINE, created_id, done_if_gone, to_value};
use super::wire;

/// Ends the name of a network that is made for a moment only.
const TRIAL: &str = ".slipway-new";

/// The name of the bridge, which the network that goes still has.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Whether an event is about such a network: nobody has to know of it.
pub(super) fn is_trial(kind: &str, attributes: &wire::Labels) -> bool {
    kind == "network" && attributes.get("name").is_some_and(|name| name.ends_with(TRIAL))
}

/// Makes the network under another name and removes it again. An error if it cannot be made, unless the one that it would
/// replace may be why.
pub(super) async fn try_network(client: &Client, wanted: &NetworkCreateRequest) -> Result<(), CallError> {
    let networks: wire::List<wire::Network> = client.get("/networks").read().await?;
    let (old, others): (Vec<_>, Vec<_>) = networks.0.iter().partition(|network| network.name == wanted.name);
    let mut trial = wanted.clone();
    trial.name.push_str(TRIAL);
    trial.options.iter_mut().for_each(|options| drop(options.remove(BRIDGE_NAME)));
    // One whose removal was broken off.
    for left in others.iter().filter(|network| network.name == trial.name) {
        remove(client, &left.id).await?;
    }
    let subnets = subnets_wanted(wanted);
    let meets = |network: &&wire::Network| overlaps(&subnets, &network.subnets());
    if old.iter().any(&meets) && !others.iter().any(meets) {
        trial.ipam.iter_mut().for_each(|ipam| ipam.config = None);
    }
    let mut body = to_value(&trial);
    body["CheckDuplicate"] = true.into();
    match client.post("/networks/create").json(&body).deadline(DEADLINE).send().await {
        Ok(made) => remove(client, &created_id(&made)).await,
        Err(error) if is_in_the_way(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What ends with the network that goes: its pool is free again, and so is the parent of a macvlan or ipvlan network.
fn is_in_the_way(error: &CallError) -> bool {
    ["address pool among the defaults", "address pools have been fully subnetted", "is already using parent interface"]
        .iter()
        .any(|words| error.says(words))
}

async fn remove(client: &Client, id: &str) -> Result<(), CallError> {
    done_if_gone(client.delete(format!("/networks/{}", segment(id))).deadline(DEADLINE).send().await)
}

fn subnets_wanted(wanted: &NetworkCreateRequest) -> Vec<IpNet> {
    let configs = wanted.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    configs.filter_map(|config| config.subnet.as_deref()?.parse().ok()).collect()
}

fn overlaps(one: &[IpNet], other: &[IpNet]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.contains(b) || b.contains(a)))
}
