//! A site of a thousand Nodes: how long it takes, and that it grows as it should. Figures are printed; the bounds are for
//! debug builds on a busy machine, and would be broken by what is quadratic.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use slipway_plan::design::{Compiler, DesignSource, NodeSource};

/// The Design and Nodes of a site in the shape of a real one.
fn site(nodes: usize) -> (Value, Vec<Value>) {
    let mut text = String::from(
        "spec:
  networks:
    - {name: oob, cidr: 10.100.0.0/16, ranges: [{type: Static, start: 10.100.0.15, end: 10.100.255.254}]}
    - {name: pxe, cidr: 10.10.0.0/16, mtu: 1500, ranges: [{type: Dhcp, start: 10.10.0.15, end: 10.10.255.254}]}
    - {name: mgmt, cidr: 10.20.0.0/16, vlan: 100, mtu: 1500, dns: {domain: mgmt.example.com}, routes: [{subnet: 0.0.0.0/0, gateway: 10.20.0.1, metric: 10}]}
    - {name: private, cidr: 10.30.0.0/16, vlan: 101, mtu: 9000}
  networkLinks:
    - {name: oob, trunking: {defaultNetwork: oob}, allowedNetworks: [oob]}
    - {name: pxe, trunking: {defaultNetwork: pxe}, allowedNetworks: [pxe]}
    - {name: gp, mtu: 9000, bonding: {mode: 802.3ad}, trunking: {mode: 802.1q, defaultNetwork: mgmt}, allowedNetworks: [mgmt, private]}
  hardwareProfiles:
    - name: hp
      devices: [{name: nic1, busType: pci, address: '0000:00:03.0'}, {name: nic2, busType: pci, address: '0000:00:04.0'}]
      cpuSets: [{name: sriov, cpus: '2,4'}]
      hugepages: [{name: sriov, size: 1G, count: 300}]
  hostProfiles:
    - name: defaults
      outOfBand: {type: Ipmi, network: oob, credentials: {secretRef: {name: bmc}}}
      storage:
        disks:
          - name: sda
            partitions: [{name: root, size: 20g, filesystem: {mountpoint: /}}, {name: boot, size: 1g, filesystem: {mountpoint: /boot}}]
          - {name: sdb, volumeGroup: log}
        volumeGroups: [{name: log, logicalVolumes: [{name: log, size: 500m, filesystem: {mountpoint: /var/log, type: xfs}}]}]
      platform: {image: jammy, kernel: ga-22.04, kernelParams: [{name: quiet}, {name: console, value: ttyS2}]}
      metadata: {ownerData: {foo: bar}}
    - name: k8s
      extends: defaults
      hardwareProfile: hp
      primaryNetwork: mgmt
      interfaces:
        - {name: pxe, link: pxe, slaves: [nic1], networks: [pxe]}
        - {name: bond0, link: gp, slaves: [nic1, nic2], networks: [mgmt, private], sriov: {vfCount: 2}}
      metadata: {tags: [test]}
  racks:
",
    );
    for rack in 0..40 {
        let _ = writeln!(text, "    - {{name: rack{rack}}}");
    }
    text.push_str("  bootActions:\n    - name: hello\n      assets: [{type: File, path: /x, data: '{{ node.hostname }}', dataPipeline: [Template]}]\n    - name: even\n      nodeFilter: {filters: [{names: [");
    for node in (0..nodes).step_by(2) {
        let _ = write!(text, "node{node:05}, ");
    }
    text.push_str(
        "]}]}\n      assets: [{type: File, path: /x, data: '{{ node.network.mgmt.ip }}', dataPipeline: [Template]}]\n",
    );
    let design = slipway_plan::formats::yaml::documents(&text).expect("is there").remove(0).value;
    let node = |number: usize| {
        let (high, low) = ((number + 20) / 250, (number + 20) % 250 + 2);
        serde_json::json!({
            "kind": "Node", "metadata": {"name": format!("node{number:05}")},
            "spec": {
                "designRef": {"name": "lab"}, "hostProfile": "k8s", "rack": format!("rack{}", number % 40),
                "addressing": [
                    {"network": "pxe", "address": "dhcp"},
                    {"network": "mgmt", "address": format!("10.20.{high}.{low}")},
                    {"network": "private", "address": format!("10.30.{high}.{low}")},
                    {"network": "oob", "address": format!("10.100.{high}.{low}")},
                ],
                "platform": {"kernelParams": [
                    {"name": "isolcpus", "value": "hardwareprofile:cpuset.sriov"},
                    {"name": "hugepagesz", "value": "hardwareprofile:hugepages.sriov.size"},
                    {"name": "hugepages", "value": "hardwareprofile:hugepages.sriov.count"},
                ]},
                "metadata": {"ownerData": {"foo": "baz"}, "tags": [format!("t{}", number % 7)]},
            }
        })
    };
    (design, (0..nodes).map(node).collect())
}

/// Compiles and validates; the time without reading.
fn compiled(nodes: usize) -> (Compiler, Duration, Vec<Value>) {
    let (design, values) = site(nodes);
    let source = DesignSource::of_design("lab", &design["spec"]);
    let nodes: Vec<NodeSource> = values.iter().map(NodeSource::of_object).collect();
    let started = Instant::now();
    let compiler = Compiler::new(vec![source], Vec::new(), nodes);
    let findings = compiler.findings();
    let took = started.elapsed();
    assert!(findings.is_empty(), "{:?}", findings.iter().take(5).collect::<Vec<_>>());
    (compiler, took, values)
}

#[test]
fn a_thousand_nodes() {
    let (mut compiler, took, nodes) = compiled(1000);
    println!("1000 Nodes compiled and validated in {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(compiler.nodes().count(), 1000);
    let mut fastest = Duration::MAX;
    for node in nodes.iter().take(20) {
        let source = NodeSource::of_object(node);
        let started = Instant::now();
        compiler.set_node(source);
        fastest = fastest.min(started.elapsed());
    }
    println!("one Node of 1000 compiled anew in {fastest:?}");
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

#[test]
fn it_grows_with_the_number_of_nodes() {
    let fastest = |nodes| (0..3).map(|_| compiled(nodes).1).min().unwrap();
    let (small, large) = (fastest(250), fastest(5000));
    println!("250 Nodes: {small:?}; 5000 Nodes: {large:?}");
    // Twenty times as many; four hundred times as long if it were quadratic.
    assert!(large < small * 150, "{small:?} {large:?}");
}
