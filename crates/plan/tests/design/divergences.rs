//! Where this differs from drydock: a test for each line of the table in docs/migration-drydock.md, by the name that the
//! line gives, on a small site of drydock's documents.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_plan::design::boot_action::{Content, Rendered, Run};
use slipway_plan::formats::drydock::{Imported, Options, Source, import};
use slipway_plan::{Finding, Severity};

use crate::support::Site;

/// A valid site, in the envelope that drydock checks against its schemas.
const SITE: &str = "\
schema: drydock/Region/v1
metadata: {name: lab}
data: {}
---
schema: drydock/Rack/v1
metadata: {name: r1}
data: {local_networks: [pxe], labels: {row: '1'}}
---
schema: drydock/Network/v1
metadata: {name: oob}
data: {cidr: 10.0.0.0/24}
---
schema: drydock/Network/v1
metadata: {name: pxe}
data:
  cidr: 10.0.1.0/24
  ranges: [{type: dhcp, start: 10.0.1.100, end: 10.0.1.200}]
---
schema: drydock/Network/v1
metadata: {name: mgmt}
data:
  cidr: 10.0.2.0/24
  vlan: '100'
  dns: {domain: lab.example.com, servers: '10.0.2.9'}
  routes: [{subnet: 0.0.0.0/0, gateway: 10.0.2.1, metric: 10}]
---
schema: drydock/NetworkLink/v1
metadata: {name: oob}
data: {labels: {noconfig: enabled}, trunking: {mode: disabled, default_network: oob}, allowed_networks: [oob]}
---
schema: drydock/NetworkLink/v1
metadata: {name: pxe}
data: {trunking: {mode: disabled, default_network: pxe}, allowed_networks: [pxe]}
---
schema: drydock/NetworkLink/v1
metadata: {name: gp}
data: {bonding: {mode: 802.3ad}, trunking: {mode: 802.1q}, allowed_networks: [mgmt]}
---
schema: drydock/HardwareProfile/v1
metadata: {name: hw}
data:
  device_aliases: {nic1: {address: '0000:00:03.0', bus_type: pci}}
  cpu_sets: {sriov: '2,4'}
  hugepages: {dpdk: {size: 1G, count: 300}}
---
schema: drydock/HostProfile/v1
metadata: {name: base}
data:
  hardware_profile: hw
  primary_network: mgmt
  oob: {type: ipmi, network: oob, account: root, credential: hunter2}
  interfaces:
    pxe: {device_link: pxe, slaves: [nic1], networks: [pxe]}
    bond0: {device_link: gp, slaves: [nic1, nic2], networks: [mgmt], sriov: {vf_count: 2, trustedmode: true}}
  storage:
    physical_devices:
      sda:
        partitions:
          - {name: root, size: 30g, filesystem: {mountpoint: /, fstype: xfs}}
          - {name: log, size: 20%, filesystem: {mountpoint: /var/log}}
      sdb: {volume_group: data}
    volume_groups:
      data: {logical_volumes: [{name: one, size: 10g, filesystem: {mountpoint: /one}}, {name: two, size: 10g}]}
  platform:
    image: jammy
    kernel_params: {quiet: true, isolcpus: 'hardwareprofile:cpuset.sriov'}
  metadata: {tags: [base]}
---
schema: drydock/HostProfile/v1
metadata: {name: compute}
data:
  host_profile: base
  metadata: {tags: [compute]}
---
schema: drydock/BaremetalNode/v1
metadata: {name: n1}
data:
  host_profile: compute
  metadata: {rack: r1, boot_mac: '52:54:00:00:00:01', owner_data: {role: web, zone: a}}
  addressing:
    - {network: pxe, address: dhcp}
    - {network: mgmt, address: 10.0.2.11}
    - {network: oob, address: 10.0.0.11}
---
schema: drydock/BaremetalNode/v1
metadata: {name: n2}
data:
  host_profile: base
  metadata: {rack: r1, boot_mac: '52:54:00:00:00:02'}
  addressing:
    - {network: mgmt, address: 10.0.2.12}
    - {network: oob, address: 10.0.0.12}
---
schema: drydock/BootAction/v1
metadata: {name: hello}
data:
  assets:
    - {type: file, path: /etc/hello, permissions: '644', data: 'on {{ node.hostname }}', data_pipeline: [template]}
";

/// What comes of documents.
struct Came {
    imported: Imported,
    site: Site,
}

impl Came {
    fn of(text: &str) -> Self {
        let imported = import(&[Source { name: "site.yaml", text }], &Options::default());
        let objects: Vec<&str> = imported.manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
        let site = Site::of(objects.join("---\n"));
        Self { imported, site }
    }

    /// The site with texts replaced; each must occur, and is replaced once.
    fn with(changes: &[(&str, &str)]) -> Self {
        let mut text = SITE.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "`{from}` is not in the site");
            text = text.replacen(from, to, 1);
        }
        Self::of(&text)
    }

    /// The site with documents more.
    fn and(document: &str) -> Self {
        Self::of(&format!("{SITE}---\n{document}"))
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        // Renamings and secrets are told of every site.
        let is_usual = |finding: &&Finding| !matches!(finding.code, "SecretMoved");
        self.imported.findings.iter().filter(is_usual).chain(&self.site.findings)
    }

    fn told(&self) -> String {
        let line = |it: &Finding| format!("{:?} {} {}: {}", it.severity, it.code, it.path, it.message);
        self.findings().map(line).collect::<Vec<_>>().join("\n")
    }

    /// It is as valid as the site, without a finding.
    fn without_finding(self) -> Self {
        assert_eq!(self.told(), "");
        self
    }

    /// This is told, with this severity.
    fn tells(self, severity: Severity, message: &str) -> Self {
        let is_it = |finding: &Finding| finding.severity == severity && finding.message.contains(message);
        assert!(self.findings().any(is_it), "`{message}` is not told:\n{}", self.told());
        self
    }

    fn refuses(self, message: &str) -> Self {
        self.tells(Severity::Error, message)
    }

    /// This is told, and the site can be used all the same.
    fn warns(self, message: &str) -> Self {
        assert!(self.findings().all(|finding| finding.severity != Severity::Error), "{}", self.told());
        self.tells(Severity::Warning, message)
    }

    fn node(&self, name: &str) -> Value {
        serde_json::to_value(&**self.site.compiler().node(name).expect("compiled")).expect("JSON")
    }

    fn interface(&self, node: &str, name: &str) -> Value {
        let node = self.node(node);
        let found = node["interfaces"].as_array().expect("a list").iter().find(|one| one["name"] == name);
        found.cloned().unwrap_or_default()
    }

    /// Names of the disks of a Node, with those of their partitions.
    fn disks(&self, node: &str) -> Vec<String> {
        names(&self.node(node)["storage"]["disks"])
    }

    fn files(&self, node: &str, action: &str) -> Vec<Rendered> {
        self.site.compiler().render(node, action, &Run::example()).expect("is there").expect("renders")
    }
}

fn names(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().map(|item| item["name"].as_str().expect("a name").to_owned());
    names.collect()
}

fn content(file: &Rendered) -> &str {
    match &file.content {
        Content::Data(data) => std::str::from_utf8(data).expect("text"),
        Content::Location(location) => location,
    }
}

/// Takes the place of the login of the host profile.
const LOGIN: &str = ", account: root, credential: hunter2}";

macro_rules! divergences {
    ($($name:ident $body:block)*) => {
        $(#[test] fn $name() $body)*

        /// Names of the tests.
        const TESTS: &[&str] = &[$(stringify!($name)),*];
    };
}

divergences! {
    one_syntax_error_ends_its_document_alone {
        let came = Came::with(&[("data: {cidr: 10.0.0.0/24}", "data: {cidr: [10.0.0.0/24}"), ("size: 30g", "size: 10g")]);
        let came = came.refuses("root has 10000000000 bytes");
        let place = came.imported.findings.iter().find_map(|finding| finding.place.as_ref());
        assert!(place.is_some_and(|place| (10..13).contains(&place.line)), "{}", came.told());
    }
    keys_written_twice_are_refused {
        Came::with(&[("data: {cidr: 10.0.0.0/24}", "data: {cidr: 10.0.0.0/24, cidr: 10.0.0.0/25}"), ("size: 30g", "size: 10g")])
            .refuses("cidr")
            .refuses("root has 10000000000 bytes");
    }
    a_mac_address_is_no_number {
        Came::with(&[("'52:54:00:00:00:01'", "52:54:00:00:00:01")]).refuses("where text is wanted");
        let old = "apiVersion: drydock/v1\nkind: BaremetalNode\nmetadata: {name: n3}\nspec: {host_profile: base, metadata: \
                   {rack: r1, boot_mac: 52:54:00:00:00:03}, addressing: [{network: mgmt, address: 10.0.2.13}, {network: oob, \
                   address: 10.0.0.13}]}\n";
        assert_eq!(Came::and(old).warns("is the number").node("n3")["bootMac"], "52:54:00:00:00:03");
    }
    no_documents_is_no_success {
        Came::of("a: 1\n").refuses("no document of drydock's");
    }
    two_nodes_of_one_name {
        Came::and("schema: drydock/BaremetalNode/v1\nmetadata: {name: n1}\ndata: {host_profile: base, addressing: \
                   [{network: pxe, address: dhcp}]}\n")
            .refuses("`n1` is defined twice");
    }
    two_documents_of_one_name {
        let came = Came::and("schema: drydock/Network/v1\nmetadata: {name: pxe}\ndata: {cidr: 10.9.0.0/24}\n");
        let came = came.warns("an earlier document has the same name");
        assert!(came.site.text.contains("10.9.0.0/24"), "it is kept");
        assert_eq!(came.site.compiler().site().networks.len(), 3);
    }
    partitions_of_one_name {
        let twice = ("{name: log, size: 20%", "{name: root, size: 20%");
        let came = Came::with(&[twice]).warns("so this one is `root-2` now");
        assert_eq!(names(&came.node("n1")["storage"]["disks"][0]["partitions"]), ["root", "root-2"]);
        let named = ("{name: log, size: 20%, filesystem: {mountpoint: /var/log}}", "{name: root, size: 1%}\n          - {name: root-2, size: 1%}\n          - {name: root, size: 1%}");
        let came = Came::with(&[named]).warns("`root-3` now");
        let partitions = names(&came.node("n1")["storage"]["disks"][0]["partitions"]);
        assert_eq!(partitions, ["root", "root-2", "root-2-2", "root-3"]);
    }
    tags_that_are_defined_in_part {
        let region = |tags: &str| {
            let (_, rest) = SITE.split_once("---\n").expect("documents");
            Came::of(&format!("schema: drydock/Region/v1\nmetadata: {{name: lab}}\ndata: {{tag_definitions: [{tags}]}}\n---\n{rest}"))
        };
        let whole = "{tag: a, definition_type: lshw_xpath, definition: //x}";
        region(whole).without_finding();
        region("{definition_type: lshw_xpath, definition: //x}").warns("a tag has a name and a definition");
        let came = region(&format!("{whole}, {whole}")).warns("the tag is defined already");
        assert_eq!(came.site.compiler().site().tag_definitions.len(), 1);
    }
    old_envelope_keeps_unknown_fields {
        let came = Came::and("apiVersion: drydock/v1\nkind: Rack\nmetadata: {name: r2}\nspec: {colour: red}\n");
        assert!(came.warns("has no place").site.text.contains("red"));
        Came::and("schema: drydock/Rack/v1\nmetadata: {name: r2}\ndata: {colour: red}\n").refuses("colour");
    }
    old_envelope_has_all_of_hardware_profiles {
        let old = SITE.replace("schema: drydock/HardwareProfile/v1", "apiVersion: drydock/v1\nkind: HardwareProfile");
        let (before, after) = old.split_once("kind: HardwareProfile\nmetadata: {name: hw}\ndata:").expect("is there");
        let came = Came::of(&format!("{before}kind: HardwareProfile\nmetadata: {{name: hw}}\nspec:{after}")).without_finding();
        assert_eq!(came.node("n1")["platform"]["kernelCommandLine"], "quiet isolcpus=2,4");
        let region = "apiVersion: drydock/v1\nkind: Region\nmetadata: {name: lab}\nspec: {repositories: {docker: {repo_type: apt, \
                      url: 'http://a.lab'}}}\n---\n";
        let (_, rest) = SITE.split_once("---\n").expect("documents");
        let came = Came::of(&format!("{region}{rest}")).without_finding();
        assert_eq!(came.site.compiler().site().repositories.len(), 1);
    }
    null_removes_an_interface {
        let came = Came::with(&[("  host_profile: base\n  metadata: {tags: [compute]}", "  host_profile: base\n  interfaces: {pxe: null}\n")]);
        assert_eq!(came.interface("n1", "pxe"), Value::Null);
        assert_ne!(came.interface("n2", "pxe"), Value::Null);
    }
    bootable_holds {
        let came = Came::with(&[("name: root,", "name: root, bootable: true,")]).without_finding();
        assert_eq!(came.node("n1")["storage"]["disks"][0]["partitions"][0]["bootable"], true);
    }
    volume_group_of_a_partition_holds {
        let came = Came::with(&[("{name: log, size: 20%, filesystem: {mountpoint: /var/log}}", "{name: pv, size: 50g, volume_group: data}")]);
        assert_eq!(came.without_finding().node("n1")["storage"]["disks"][0]["partitions"][1]["volumeGroup"], "data");
    }
    trustmode_holds {
        let came = Came::with(&[("trustedmode: true", "trustmode: true")]).without_finding();
        assert_eq!(came.interface("n1", "bond0")["sriov"]["trusted"], true);
    }
    sdn_api_uri_is_kept {
        let came = Came::with(&[("data: {local_networks", "data: {tor_switches: {sw1: {sdn_api_uri: 'https://sw1'}}, local_networks")]);
        let racks = came.without_finding().site.compiler().site().racks;
        assert_eq!(racks[0].switches[0].sdn_api_uri.as_deref(), Some("https://sw1"));
    }
    labels_of_racks_are_there {
        let filter = "  node_filter: {filter_set_type: union, filter_set: [{filter_type: union, rack_labels: {row: '1'}}]}\n  assets:";
        let came = Came::with(&[("data:\n  assets:", &format!("data:\n{filter}"))]).without_finding();
        assert_eq!(came.node("n1")["bootActions"][0], "hello");
    }
    passwords_are_in_secrets {
        let came = Came::with(&[]).without_finding();
        for manifest in &came.imported.manifests {
            assert_eq!(manifest.yaml.contains("hunter2"), manifest.kind == "Secret", "{}", manifest.yaml);
        }
    }
    a_route_to_a_domain_without_metric {
        let changes = [
            ("data: {cidr: 10.0.0.0/24}", "data: {cidr: 10.0.0.0/24, routedomain: lab}"),
            ("routes: [{subnet", "routes: [{routedomain: lab, gateway: 10.0.2.1}, {subnet"),
        ];
        let came = Came::with(&changes).warns("without a metric");
        assert_eq!(came.node("n1")["routes"].as_array().map(Vec::len), Some(0), "drydock computes none");
        let design = Site::lab(&[("gateway: 10.1.0.1}", "gateway: 10.1.0.1}")]);
        let routes = &design.compiler().node("compute1").expect("compiled").network.routes;
        assert!(routes.iter().any(|route| route.route.metric == 100), "{routes:?}");
    }

    removals_in_vain_go {
        let came = Came::with(&[("tags: [base]", "tags: [base, '!old']")]).warns("`!old` removes nothing");
        assert_eq!(came.node("n2")["metadata"]["tags"][0]["value"].as_str().or(came.node("n2")["metadata"]["tags"][0].as_str()), Some("base"));
    }
    storage_is_merged {
        let child = |storage: &str| {
            let to = format!("  host_profile: base\n  storage: {storage}\n");
            Came::with(&[("  host_profile: base\n  metadata: {tags: [compute]}", &to)]).without_finding()
        };
        assert_eq!(child("{physical_devices: {sdb: {volume_group: data, labels: {a: b}}}}").disks("n1"), ["sda", "sdb"]);
        assert_eq!(child("{physical_devices: {sdc: {volume_group: data}}}").disks("n1"), ["sda", "sdb", "sdc"]);
        let came = child("{physical_devices: {sda: {partitions: [{name: log, size: 30%}]}}}");
        assert_eq!(names(&came.node("n1")["storage"]["disks"][0]["partitions"]), ["root", "log"]);
        let came = child("{volume_groups: {data: {logical_volumes: [{name: one, size: 20g}]}}}");
        assert_eq!(names(&came.node("n1")["storage"]["volumeGroups"][0]["logicalVolumes"]), ["one", "two"]);
    }
    sriov_is_inherited {
        let child = "  host_profile: base\n  interfaces: {bond0: {networks: [mgmt]}}\n";
        let came = Came::with(&[("  host_profile: base\n  metadata: {tags: [compute]}", child)]).without_finding();
        assert_eq!(came.interface("n1", "bond0")["sriov"]["vfCount"], 2);
    }
    defaults_come_last {
        let child = "  host_profile: base\n  storage: {physical_devices: {sda: {partitions: [{name: root, filesystem: {fs_label: r}}]}}}\n";
        let came = Came::with(&[("  host_profile: base\n  metadata: {tags: [compute]}", child)]).without_finding();
        let root = |came: &Came, node: &str| came.node(node)["storage"]["disks"][0]["partitions"][0]["filesystem"].clone();
        assert_eq!(root(&came, "n1")["type"], "ext4", "as in drydock");
        assert_eq!(root(&came, "n2")["type"], "xfs");
        let design = Site::lab(&[
            ("{name: root, size: 20g, bootable: true, filesystem: {mountpoint: /}}", "{name: root, size: 20g, filesystem: {mountpoint: /, type: xfs}}"),
            ("{name: root, size: 30g}", "{name: root, filesystem: {label: r}}"),
        ]);
        let node = serde_json::to_value(&**design.compiler().node("control1").expect("compiled")).expect("JSON");
        assert_eq!(node["storage"]["disks"][0]["partitions"][0]["filesystem"]["type"], "xfs");
    }
    the_command_line_begins_with_a_word {
        assert_eq!(Came::with(&[]).node("n1")["platform"]["kernelCommandLine"], "quiet isolcpus=2,4");
    }
    computed_routes_are_computed_once {
        let changes = [
            ("data: {cidr: 10.0.0.0/24}", "data: {cidr: 10.0.0.0/24, routedomain: lab}"),
            ("routes: [{subnet", "routes: [{routedomain: lab, gateway: 10.0.2.1, metric: 7}, {subnet"),
        ];
        let came = Came::with(&changes).without_finding();
        let count = |came: &Came| came.node("n1")["routes"].as_array().map(Vec::len);
        assert_eq!((count(&came), count(&came)), (Some(1), Some(1)));
        let twin = "---\nschema: drydock/Network/v1\nmetadata: {name: twin}\ndata: {cidr: 10.0.2.0/24, routedomain: lab}\n";
        let came = Came::of(&(SITE.replace(changes[0].0, changes[0].1).replacen(changes[1].0, changes[1].1, 1) + twin));
        assert_eq!(count(&came), Some(1), "none to the addresses of the network itself");
    }
    files_without_a_pipeline {
        let came = Came::with(&[(", data_pipeline: [template]}", "}")]).without_finding();
        assert_eq!(content(&came.files("n1", "hello")[0]), "on {{ node.hostname }}");
    }
    intersections_ask_for_all_labels {
        let filter = |labels: &str| {
            let filter = format!(
                "data:\n  node_filter: {{filter_set_type: union, filter_set: [{{filter_type: intersection, node_labels: {labels}}}]}}\n  assets:"
            );
            let came = Came::with(&[("data:\n  assets:", &filter)]);
            came.node("n1")["bootActions"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(filter("{role: web, zone: a}"), 1);
        assert_eq!(filter("{role: web, zone: b}"), 0);
    }
    an_empty_intersection_takes_nothing {
        let filter = "data:\n  node_filter: {filter_set_type: intersection, filter_set: []}\n  assets:";
        Came::with(&[("data:\n  assets:", filter)]).warns("its filter takes no Node");
    }

    all_findings_at_once {
        let came = Came::with(&[("host_profile: compute", "host_profile: nope"), ("gateway: 10.0.2.1", "gateway: 10.9.9.9"), ("size: 30g", "size: 10g")]);
        let came = came.refuses("`nope` is not defined").refuses("10.9.9.9 is not in network mgmt").refuses("root has");
        assert!(came.site.compiler().node("n2").is_some());
    }
    a_broken_cidr_hides_nothing {
        Came::with(&[("cidr: 10.0.1.0/24", "cidr: lots"), ("size: 30g", "size: 10g")])
            .refuses("`lots` is no network")
            .refuses("root has");
        Came::with(&[("address: 10.0.2.11", "address: here")]).refuses("`here` is no address");
    }
    an_undefined_default_network {
        Came::with(&[("default_network: pxe", "default_network: pxee")]).refuses("`pxee` is not defined; did you mean `pxe`?");
    }
    active_backup_is_a_mode {
        let came = Came::with(&[("bonding: {mode: 802.3ad}", "bonding: {mode: active-backup}")]).without_finding();
        assert_eq!(came.interface("n1", "bond0")["bonding"]["mode"], "active-backup");
    }
    root_on_lvm {
        let on_lvm = [
            ("name: root, size: 30g, filesystem: {mountpoint: /, fstype: xfs}", "name: sys, size: 30g"),
            ("{name: two, size: 10g}", "{name: two, size: 20g, filesystem: {mountpoint: /}}"),
        ];
        Came::with(&on_lvm).without_finding();
        for size in ["30%", "'>20g'", "20gi"] {
            let size = format!("size: {size}");
            let last = ("- {name: log, size: 20%, filesystem: {mountpoint: /var/log}}", "# none");
            Came::with(&[("size: 30g", &size), last]).without_finding();
        }
        Came::with(&[("size: 30g", "size: 18gi")]).refuses("root has 19327352832 bytes");
    }
    boot_before_root {
        let boot = "- {name: boot, size: 500m, filesystem: {mountpoint: /boot}}\n          - {name: root, size: 30g";
        Came::with(&[("- {name: root, size: 30g", boot)]).refuses("boot has 500000000 bytes");
    }
    one_volume_group_on_two_disks {
        Came::with(&[("sdb: {volume_group: data}", "sdb: {volume_group: data}\n      sdc: {volume_group: data}")]).without_finding();
    }
    every_mountpoint_and_percentage_is_told {
        let came = Came::with(&[
            ("{name: two, size: 10g}", "{name: two, size: 10g, filesystem: {mountpoint: /one}}, {name: three, size: 10g, filesystem: {mountpoint: /}}"),
        ]);
        came.refuses("both mounted at /one").refuses("both mounted at /");
        let two_groups = "{logical_volumes: [{name: one, size: 60%}]}\n      more: {logical_volumes: [{name: x, size: 60%}]}\n";
        let data = "{logical_volumes: [{name: one, size: 10g, filesystem: {mountpoint: /one}}, {name: two, size: 10g}]}\n";
        Came::with(&[(data, two_groups), ("sdb: {volume_group: data}", "sdb: {volume_group: data}\n      sdc: {volume_group: more}")]).without_finding();
    }
    unknown_kernel_references_are_errors {
        Came::with(&[("cpuset.sriov", "cpuset.sriof")]).refuses("has no cpuset.sriof; did you mean `sriov`?");
        Came::with(&[("hardwareprofile:cpuset.sriov", "hardwareprofile:cpuset")]).refuses("is neither cpuset.NAME nor");
    }
    a_missing_login_is_of_one_node {
        for type_ in ["ipmi", "redfish"] {
            let came = Came::with(&[("type: ipmi", &format!("type: {type_}")), (LOGIN, "}"), ("size: 30g", "size: 10g")]);
            came.refuses("no credentials").refuses("root has");
        }
    }
    profiles_that_nobody_follows_are_looked_at {
        Came::and("schema: drydock/HostProfile/v1\nmetadata: {name: spare}\ndata: {host_profile: base, interfaces: {bond0: {device_link: nope}}}\n")
            .warns("`nope`, which is not defined");
    }
    dhcp_on_an_undefined_network {
        Came::with(&[("{network: pxe, address: dhcp}", "{network: pxee, address: dhcp}")]).refuses("`pxee` is not defined");
    }
    a_static_address_in_a_range_for_leases {
        let at = ("{network: pxe, address: dhcp}", "{network: pxe, address: 10.0.1.150}");
        Came::with(&[at]).refuses("in a range for leases");
        Came::with(&[at, ("data: {trunking: {mode: disabled, default_network: pxe}", "data: {labels: {noconfig: x}, trunking: {mode: disabled, default_network: pxe}")])
            .warns("in a range for leases");
    }
    an_address_that_is_no_hosts {
        Came::with(&[("address: 10.0.2.11", "address: 10.0.2.255")]).refuses("is the broadcast address");
        Came::with(&[("address: 10.0.2.11", "address: 10.0.2.0")]).refuses("is the address of the whole");
    }
    mtu_of_tagged_networks {
        Came::with(&[("vlan: '100'", "vlan: '100'\n  mtu: 9000")]).warns("has an MTU of 9000");
    }
    an_mtu_of_nothing {
        Came::with(&[("cidr: 10.0.2.0/24", "cidr: 10.0.2.0/24\n  mtu: 0")]).refuses("an MTU of 0");
        Came::with(&[("data: {bonding", "data: {mtu: 0, bonding")]).refuses("an MTU of 0");
    }
    aliases_without_a_type {
        assert!(!SITE.contains("dev_type"));
        let slaves = Came::with(&[]).without_finding().interface("n1", "pxe")["slaves"].clone();
        assert_eq!(slaves[0]["name"], "nic1");
        assert!(slaves[0]["device"].is_object(), "{slaves}");
    }
    interfaces_on_no_link {
        let child = |interface: &str| {
            let to = format!("  host_profile: base\n  interfaces: {{eth9: {interface}}}\n");
            Came::with(&[("  host_profile: base\n  metadata: {tags: [compute]}", &to)])
        };
        child("{slaves: [eno9]}").warns("eth9 is on no link");
        child("{networks: ['!mgmt']}").warns("eth9 is on no link");
        child("{networks: [mgmt]}").refuses("eth9 has networks, and is on no link");
    }
    ports_of_interfaces {
        let two = ("pxe: {device_link: pxe, slaves: [nic1]", "pxe: {device_link: pxe, slaves: [nic1, nic2]");
        Came::with(&[two]).refuses("has 2 ports");
        Came::with(&[("pxe: {device_link: pxe, slaves: [nic1]", "pxe: {device_link: pxe, slaves: []")]).refuses("has no port");
        Came::with(&[two, ("data: {trunking: {mode: disabled, default_network: pxe}", "data: {labels: {noconfig: x}, trunking: {mode: disabled, default_network: pxe}")])
            .warns("has 2 ports");
    }
    a_mac_given_twice {
        let (twice, none) = (("00:02'", "00:01'"), ("'52:54:00:00:00:02'", "unknown"));
        Came::with(&[twice]).warns("boots from 52:54:00:00:00:01 too");
        Came::with(&[none]).warns("`unknown` is no MAC address");
        let manual = ("oob: {type: ipmi, network: oob, account: root, credential: hunter2}", "oob: {type: manual}");
        Came::with(&[manual, twice]).refuses("boots from 52:54:00:00:00:01 too");
        Came::with(&[manual, none]).refuses("`unknown` is no MAC address");
    }
    networks_that_no_link_can_carry {
        Came::with(&[("allowed_networks: [mgmt]", "allowed_networks: [mgmt, nope]")]).refuses("`nope` is not defined");
        Came::with(&[("allowed_networks: [oob]", "allowed_networks: [oob, nope]"), ("data: {labels: {noconfig: enabled}, trunking: {mode: disabled", "data: {labels: {noconfig: enabled}, trunking: {mode: 802.1q")])
            .warns("`nope` is not defined");
    }
    vlan_tags {
        Came::with(&[("vlan: '100'", "vlan: '4095'")]).refuses("is not a VLAN tag");
        Came::with(&[("vlan: '100'", "vlan: 'blue'")]).refuses("is not a VLAN tag");
        Came::with(&[("vlan: '100'", "vlan: '0'")]).without_finding();
    }
    negative_numbers {
        Came::with(&[("metric: 10", "metric: -1")]).refuses("-1 where a number");
        Came::with(&[("device_aliases", "pxe_interface: -1\n  device_aliases")]).warns("does not use it");
    }
    repositories_without_a_url {
        Came::with(&[("data: {}", "data: {repositories: {docker: {repo_type: apt}}}")]).refuses("`url` is missing");
        Came::with(&[("data: {}", "data: {repositories: {docker: {url: 'http://a.lab'}}}")]).refuses("`repo_type` is missing");
    }
    empty_texts {
        let came = Came::with(&[("domain: lab.example.com", "domain: ''"), ("'52:54:00:00:00:01'", "''")]).warns("it is empty");
        assert_eq!(came.node("n1")["domain"], "local");
        Came::with(&[("cidr: 10.0.1.0/24", "cidr: ''")]).refuses("`cidr` is missing");
    }
    an_undefined_network_of_bmcs {
        for type_ in ["ipmi", "redfish"] {
            let came = Came::with(&[("type: ipmi, network: oob", &format!("type: {type_}, network: oobb"))]);
            let came = came.refuses("`oobb` is not defined; did you mean `oob`?");
            assert_eq!(came.findings().filter(|finding| finding.severity == Severity::Error).count(), 1, "{}", came.told());
        }
    }
    templates_are_tried {
        Came::with(&[("{{ node.hostname }}", "{{ node.hostname }")]).refuses("on Node n1");
        let came = Came::with(&[("{{ node.hostname }}", "{{ node.nope }}.")]).warns("on Node n1");
        assert_eq!(content(&came.files("n1", "hello")[0]), "on .");
    }
    pipelines_are_tried {
        Came::with(&[("data_pipeline: [template]", "data_pipeline: [base64_decode, template]"), ("'on {{ node.hostname }}'", "abc")]).refuses("is not base64");
        Came::with(&[("path: /etc/hello, ", "")]).refuses("there is no path");
        Came::with(&[(", data: 'on {{ node.hostname }}', data_pipeline: [template]", "")]).refuses("neither data nor a location");
        Came::with(&[("permissions: '644'", "permissions: '789'")]).refuses("`789` is not an octal file mode");
    }
    undefined_racks_and_the_like {
        Came::with(&[("rack: r1", "rack: r2")]).warns("rack `r2` is not defined");
        Came::with(&[("local_networks: [pxe]", "local_networks: [nope]")]).warns("`nope` is not defined");
        Came::with(&[("trunking: {mode: 802.1q}", "trunking: {mode: 802.1q, default_network: nope}")]).warns("`nope` is not defined");
        Came::with(&[("primary_network: mgmt", "primary_network: nope")]).warns("`nope` is not defined");
    }
    values_that_maas_refuses {
        Came::with(&[("servers: '10.0.2.9'", "servers: 'ns1, 10.0.2.9'")]).warns("`ns1` is no address");
        Came::with(&[("data: {}", "data: {authorized_keys: [hunter3]}")]).warns("no public SSH key");
        Came::with(&[("data: {}", "data: {repositories: {a: {repo_type: apt, url: a.lab}}}")]).warns("`a.lab` is no URL");
        Came::with(&[("tags: [base]", "tags: [big disk]")]).warns("`big disk` is no tag");
        Came::with(&[("name: root,", "name: root, part_uuid: '1',")]).warns("`1` is no UUID");
        Came::with(&[("mountpoint: /var/log", "mountpoint: var/log")]).warns("`var/log` is no absolute path");
        Came::with(&[("fstype: xfs", "fstype: ntfs")]).warns("`ntfs` is none of");
        Came::with(&[("sriov: '2,4'", "sriov: '4-2'")]).warns("`4-2` is no list of CPUs");
        Came::with(&[("address: '0000:00:03.0'", "address: eno1")]).warns("`eno1` is no PCI address");
    }
}

#[test]
fn what_is_undefined_does_not_become_something_by_its_new_name() {
    Came::with(&[("metadata: {name: mgmt}", "metadata: {name: mgmt__}")]).refuses("`mgmt-undefined` is not defined");
}

#[test]
fn a_logical_volume_may_be_called_root_beside_a_partition() {
    Came::with(&[("{name: two, size: 10g}", "{name: root, size: 10g}")]).without_finding();
}

#[test]
fn an_address_of_a_bmc_in_a_range_is_nobodys_business() {
    let ranges = (
        "data: {cidr: 10.0.0.0/24}",
        "data: {cidr: 10.0.0.0/24, ranges: [{type: dhcp, start: 10.0.0.1, end: 10.0.0.99}]}",
    );
    let managed = ("data: {labels: {noconfig: enabled}, trunking", "data: {trunking");
    Came::with(&[ranges, managed]).warns("in a range for leases");
}

#[test]
fn the_site_itself_is_valid() {
    Came::with(&[]).without_finding();
}

#[test]
fn every_line_of_the_table_has_its_test() {
    let guide = include_str!("../../../../docs/migration-drydock.md");
    let (_, table) = guide.split_once("\n## What behaves differently\n").expect("the section");
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| drydock |"));
    let named: Vec<&str> =
        rows.map(|row| row.trim_end_matches(" |").rsplit("| ").next().expect("a cell").trim_matches('`')).collect();
    let (lines, tests): (BTreeSet<&str>, BTreeSet<&str>) =
        (named.iter().copied().collect(), TESTS.iter().copied().collect());
    assert_eq!(named.len(), lines.len(), "two lines name one test");
    assert_eq!(lines, tests);
}
