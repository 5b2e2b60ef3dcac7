//! Mistakes as people make them: each is shown where it stands, with what to do.

use crate::support::{changed, slipway};

/// A file of the sample, what is written in it, what somebody writes instead, and how the line of `check` begins and ends.
type Mistake = (&'static str, &'static str, &'static str, &'static str, &'static str);

const DESIGN: &str = "design.yaml";
const NODES: &str = "nodes.yaml";

const MISTAKES: &[Mistake] = &[
    (
        DESIGN,
        "networks: [storage]}",
        "networks: [storge]}",
        "121:36: error: interface bond0: network `storge` is not defined; did you mean `storage`?",
        "or take it from the interface",
    ),
    (
        DESIGN,
        "172.16.1.0/24",
        "172.16.1.1/24",
        "39:13: error: network mgmt: 172.16.1.1/24 has bits set",
        "write 172.16.1.0/24",
    ),
    (
        DESIGN,
        "gateway: 172.16.1.1}",
        "gateway: 172.16.2.1}",
        "43:40: error: gateway 172.16.2.1 is not in network mgmt",
        "check the prefix length",
    ),
    (DESIGN, "vlan: 100", "vlan: \"100\"", "40:13: error: `100` where an integer", "write 100, without quotes"),
    (DESIGN, "vlan: 100", "vlan: 5000", "40:13: error: a VLAN tag of 5000 is above 4094", "or 0 for untagged"),
    (
        DESIGN,
        "    - name: base\n",
        "    - name: base\n      extends: compute\n",
        "83:16: error: host profiles extend each other in a circle: base → compute → base",
        "extend none of the others",
    ),
    (DESIGN, "size: 30g", "size: 10 GB", "97:36: error: root: `10 GB` is not a size", "write 20g, 512mi, 30% or >10g"),
    (
        DESIGN,
        "size: 60%",
        "size: 160%",
        "128:38: error: volume group data: the percentages add up to 160",
        "takes all that is left",
    ),
    (
        DESIGN,
        "primaryNetwork: mgmt",
        "primary_network: mgmt",
        "84:24: error: `primary_network` is not a field here",
        "did you mean `primaryNetwork`?",
    ),
    (
        DESIGN,
        "type: Redfish",
        "type: redfish",
        "86:15: error: `redfish` is none of Ipmi, Redfish",
        "did you mean `Redfish`?",
    ),
    (
        DESIGN,
        "mode: 802.3ad",
        "mode: lacp",
        "62:23: error: `lacp` is none of disabled, 802.3ad",
        "balance-rr, active-backup",
    ),
    (
        DESIGN,
        "cpuset.isolated",
        "cpuset.isolate",
        "131:37: error: kernel parameter isolcpus: hardware profile gen9 has no cpuset.isolate",
        "hugepages.NAME.size or .count",
    ),
    (
        DESIGN,
        "after: [control]",
        "after: [controll]",
        "159:75: error: group compute waits for `controll`, which is not defined; did you mean `control`?",
        "correct the name",
    ),
    (
        DESIGN,
        "- name: storage\n      cidr",
        "- name: mgmt\n      cidr",
        "46:7: error: `mgmt` is defined twice in networks; the other is spec.networks[2] of Design/lab",
        "write it in the profile that extends it",
    ),
    (
        DESIGN,
        "name: lab-racks",
        "name: lab-rack",
        "10:7: error: Design/lab-rack is not given; did you mean `lab-racks`?",
        "create it, or correct the name",
    ),
    (
        DESIGN,
        "link: data,",
        "link: date,",
        "91:31: error: interface bond0 is on link `date`, which is not defined; did you mean `data`?",
        "correct its name",
    ),
    (
        DESIGN,
        "permissions: \"0644\"",
        "permissions: 0644",
        "144:24: error: the number 0644 where text is wanted",
        "write \"0644\"",
    ),
    (
        DESIGN,
        "secretRef: {name: lab-bmc}",
        "secretRef: lab-bmc",
        "88:34: error: `lab-bmc` where a map is wanted",
        "write {name: lab-bmc}",
    ),
    (DESIGN, "      cidr: 10.1.0.0/24\n", "", "46:7: error: `cidr` is missing", "add `cidr`"),
    (DESIGN, "      vlan: 100", "\tvlan: 100", "40:1: error: ", "indent with blanks"),
    (DESIGN, "kind: Design", "kind: Desing", "4:7: error: `Desing` is not a kind of Slipway", "did you mean `Design`?"),
    (
        DESIGN,
        "node.network.mgmt.ip }}",
        "node.network.mgmt.ip }",
        "145:17: error: on Node compute1: syntax error",
        "it is Jinja",
    ),
    (
        NODES,
        "hostProfile: compute",
        "hostProfile: compte",
        "22:16: error: host profile `compte` is not defined; did you mean `compute`?",
        "correct the name",
    ),
    (
        NODES,
        "rack: r2",
        "rack: r22",
        "38:9: warning: rack `r22` is not defined; did you mean `r2`?",
        "correct the name",
    ),
    (
        NODES,
        "52:54:00:00:00:11",
        "52:54:00:00:00:1g",
        "24:12: warning: `52:54:00:00:00:1g` is no MAC address",
        "six pairs of hexadecimal digits",
    ),
    (
        NODES,
        "52:54:00:00:00:11",
        "52:54:00:00:00:12",
        "39:12: warning: Node compute1 boots from 52:54:00:00:00:12 too",
        "each Node's own address",
    ),
    (
        NODES,
        "172.16.1.22}",
        "172.16.1.22/24}",
        "43:32: error: `172.16.1.22/24` is no address",
        "write an IPv4 or IPv6 address, or dhcp",
    ),
    (
        NODES,
        "172.16.1.22}",
        "172.16.2.22}",
        "43:32: error: 172.16.2.22 is not in network mgmt (172.16.1.0/24)",
        "choose an address of the network",
    ),
    (NODES, "name: compute2", "name: Compute2", "34:9: error: `Compute2` is not a name of an object", "at most 253"),
];

#[test]
fn each_is_shown_where_it_stands() {
    let mut wrong = Vec::new();
    for (file, from, to, begins, ends) in MISTAKES {
        let files = changed(&[(file, &[(from, to)])]);
        let ran = slipway(files.path(), &["check", "-f", "site"], "");
        let wanted = format!("site/{file}:{begins}");
        if !ran.out.lines().any(|line| line.starts_with(&wanted) && line.ends_with(ends)) {
            wrong.push(format!("{to}: {wanted} … {ends}\n{}", ran.out));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
}
