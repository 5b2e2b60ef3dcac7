//! What a profile has of its parent, and a Node of its profile.

use serde_json::{Value, json};

use crate::support::Site;

fn node(site: &Site, name: &str) -> Value {
    serde_json::to_value(&**site.compiler().node(name).expect(name)).expect("is there")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("is there").iter().map(|item| item["name"].as_str().expect("is there")).collect()
}

#[test]
fn parts_with_a_name() {
    let site = Site::lab(&[]);
    let control = node(&site, "control1");
    assert_eq!(names(&control["storage"]["disks"]), ["sda", "sdc"], "the parent's order, then what is new");
    let sda = &control["storage"]["disks"][0];
    assert_eq!(sda["labels"], json!({"role": "system"}), "what the child does not say is inherited");
    assert_eq!(names(&sda["partitions"]), ["root", "boot"]);
    assert_eq!(sda["partitions"][0]["size"], "30g");
    assert_eq!(sda["partitions"][0]["bootable"], true);
    assert_eq!(names(&control["storage"]["volumeGroups"][0]["logicalVolumes"]), ["log", "etcd"]);
    assert_eq!(control["storage"]["volumeGroups"][0]["logicalVolumes"][0]["size"], "2gi");
    assert_eq!(control["storage"]["volumeGroups"][0]["logicalVolumes"][0]["filesystem"]["mountpoint"], "/var/log");
    let compute = node(&site, "compute2");
    assert_eq!(names(&compute["storage"]["disks"]), ["sda", "sdb", "sdc"], "one changed disk does not lose the others");
    assert_eq!(names(&compute["interfaces"]), ["pxe", "ens1"]);
}

#[test]
fn lists_maps_and_values() {
    let site = Site::lab(&[("networks: [\"!storage\"]", "networks: [\"!storage\", v6]")]);
    let control = node(&site, "control1");
    assert_eq!(control["metadata"]["tags"], json!(["control", "base"]), "the child's first");
    assert_eq!(control["metadata"]["ownerData"], json!({"team": "infra"}));
    assert_eq!(control["metadata"]["labels"], json!({"role": "control"}));
    assert_eq!(names(&control["interfaces"][1]["networks"]), ["v6", "mgmt"]);
    assert_eq!(control["interfaces"][1]["sriov"], json!({"vfCount": 2, "trusted": true}), "not lost by an override");
    assert_eq!(control["platform"].get("kernel"), None, "taken away by `!`");
    assert_eq!(control["platform"]["kernelCommandLine"], "console=ttyS2");
}

#[test]
fn removed_and_defined_anew() {
    let site = Site::lab(&[(
        "- {name: \"!sdb\"}",
        "- {name: \"!sdb\"}\n          - {name: sdb, volumeGroup: vg0, labels: {new: \"1\"}}",
    )]);
    let control = node(&site, "control1");
    assert_eq!(names(&control["storage"]["disks"]), ["sda", "sdb", "sdc"]);
    assert_eq!(control["storage"]["disks"][1]["labels"], json!({"new": "1"}));
}

#[test]
fn markers_without_a_parent_do_not_stay() {
    let site = Site::lab(&[("tags: [base, old]", "tags: [base, old, \"!never\"]")]);
    assert_eq!(node(&site, "compute1")["metadata"]["tags"], json!(["base", "old"]));
    assert_eq!(site.findings.len(), 1, "{}", site.told());
}

#[test]
fn a_file_system_that_is_taken_away() {
    let site = Site::lab(&[(
        "{name: root, size: 30g}]",
        "{name: root, size: 30g}, {name: boot, filesystem: {mountpoint: '!', type: '!', mountOptions: '!', label: '!'}}]",
    )]);
    assert_eq!(node(&site, "control1")["storage"]["disks"][0]["partitions"][1].get("filesystem"), None);
}

#[test]
fn defaults_hold_once_everything_is_inherited() {
    let site = Site::lab(&[("{name: log, size: 2gi}", "{name: log, size: 2gi, filesystem: {mountpoint: /log}}")]);
    let log = &node(&site, "control1")["storage"]["volumeGroups"][0]["logicalVolumes"][0];
    assert_eq!(log["filesystem"], json!({"mountpoint": "/log", "type": "xfs", "mountOptions": "defaults"}));
}

#[test]
fn every_value_says_where_it_came_from() {
    let site = Site::lab(&[]);
    let explained = |node: &str, path: &str| {
        let found = site.files.explain("lab", site.compiler(), node, path).unwrap();
        found
            .into_iter()
            .map(|explanation| {
                let line = explanation.place.map_or(String::new(), |place| {
                    let line = site.text.lines().nth(usize::try_from(place.line).unwrap() - 1);
                    line.filter(|_| place.file == "site.yaml").unwrap_or(&place.file).trim().to_owned()
                });
                (explanation.path, explanation.by, line)
            })
            .collect::<Vec<_>>()
    };
    let disk = explained("control1", "storage.disks.sda.partitions.root");
    let of = |path: &str| {
        let found = disk.iter().find(|(at, _, _)| at.ends_with(path)).unwrap_or_else(|| panic!("{path} in {disk:?}"));
        (found.1.as_str(), found.2.as_str())
    };
    assert_eq!(of("root.size"), ("host profile control", "partitions: [{name: \"!pv\"}, {name: root, size: 30g}]"));
    let base = "- {name: root, size: 20g, bootable: true, filesystem: {mountpoint: /}}";
    assert_eq!(of("root.bootable"), ("host profile base", base));
    assert_eq!(of("filesystem.mountpoint"), ("host profile base", base));
    assert_eq!(of("filesystem.type"), ("the default", ""));
    let isolcpus = explained("compute1", "platform.kernelParams.isolcpus");
    assert_eq!(isolcpus.len(), 1, "{isolcpus:?}");
    assert_eq!(isolcpus[0].1, "hardware profile hp-gen9");
    assert!(isolcpus[0].2.contains("cpus: \"2,4\""), "{isolcpus:?}");
    assert_eq!(explained("control1", "gateway")[0].1, "network mgmt");
    assert_eq!(explained("control1", "rack")[0].2, "rack: r1");
    assert!(site.compiler().explain("nobody", "").is_none());
}
