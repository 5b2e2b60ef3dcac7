//! A site of any number of nodes, the same each time, in drydock's documents.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, Result};

/// What all nodes have in common: one region, five networks on three links, a profile and its parent, two kinds of machine.
const COMMON: &str = include_str!("common.yaml");
const RACKS: usize = 40;

/// The site as drydock's documents.
pub fn documents(nodes: usize) -> String {
    let mut text = COMMON.to_owned();
    for rack in 0..RACKS {
        let _ = write!(
            text,
            "---\nschema: drydock/Rack/v1\nmetadata: {{schema: metadata/Document/v1, name: rack{rack:03}, storagePolicy: cleartext}}\n\
             data:\n  tor_switches:\n    switch01: {{mgmt_ip: 10.200.{rack}.1, sdn_api_uri: 'https://polo.example.com/web-api'}}\n  \
             location: {{clli: HSTNTXMOCG0, grid: EG{rack}}}\n  local_networks: [pxe]\n"
        );
    }
    boot_action(&mut text, nodes);
    for node in 0..nodes {
        self::node(&mut text, node);
    }
    text
}

/// One with a node filter that names every other node.
fn boot_action(text: &mut String, nodes: usize) {
    text.push_str(
        "---\nschema: drydock/BootAction/v1\nmetadata: {schema: metadata/Document/v1, name: even, storagePolicy: cleartext}\n\
         data:\n  assets:\n    - {type: file, path: /etc/even, permissions: '644', data: '{{ node.network.mgmt.ip }}', data_pipeline: [template]}\n  \
         node_filter:\n    filter_set_type: union\n    filter_set:\n      - filter_type: union\n        node_names:\n",
    );
    for node in (0..nodes).step_by(2) {
        let _ = writeln!(text, "          - node{node:05}");
    }
}

fn node(text: &mut String, number: usize) {
    let (high, low) = ((number + 22) / 250, (number + 22) % 250 + 1);
    let (rack, tag) = (number % RACKS, number % 7);
    let _ = write!(
        text,
        "---\nschema: drydock/BaremetalNode/v1\nmetadata:\n  schema: metadata/Document/v1\n  name: node{number:05}\n  storagePolicy: cleartext\n  \
         labels:\n    application: drydock\ndata:\n  host_profile: k8-node\n  addressing:\n    - network: pxe\n      address: dhcp\n    \
         - network: mgmt\n      address: 10.20.{high}.{low}\n    - network: private\n      address: 10.30.{high}.{low}\n    \
         - network: oob\n      address: 10.100.{high}.{low}\n  platform:\n    kernel_params:\n      \
         hugepages: hardwareprofile:hugepages.sriov.count\n      hugepagesz: hardwareprofile:hugepages.sriov.size\n      \
         isolcpus: hardwareprofile:cpuset.sriov\n  metadata:\n    owner_data:\n      foo: baz\n    rack: rack{rack:03}\n    tags:\n      - t{tag}\n"
    );
}

/// Print a site, for `slipway import drydock`.
#[derive(clap::Args)]
pub struct Args {
    /// How many nodes.
    nodes: usize,
}

/// Prints a site to stdout.
pub fn print(args: &Args) -> Result<()> {
    std::io::stdout().write_all(documents(args.nodes).as_bytes()).context("cannot write the site")
}
