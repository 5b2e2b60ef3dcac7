//! Every field of a Design, and of what a Node says of its place in one: a wrong value of it is told, at its place.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::mutations::{lab, told, values, with};

/// Fields, a value that is wrong for each, and the code under which it is told. Fields of a host hold for host profiles and
/// Nodes alike.
const WRONG: &[(&str, &str, &str)] = &[
    ("maas.url", "maas.lab", "SD1008"),
    ("dns.domain", "lab_1.example.com", "SD2008"),
    ("dns.servers[]", "ns1", "SD2008"),
    ("authorizedKeys[]", "hunter2", "SD1008"),
    ("repositories[].name", "", "SD1003"),
    ("repositories[].type", "Deb", "DD001"),
    ("repositories[].url", "download.docker.com", "SD1009"),
    ("repositories[].arches[]", "x 86", "SD1009"),
    ("repositories[].distributions[]", "jammy noble", "SD1009"),
    ("repositories[].subrepos[]", "security updates", "SD1009"),
    ("repositories[].components[]", "main universe", "SD1009"),
    ("repositories[].gpgKey", "0EBFCD88", "SD1009"),
    ("tagDefinitions[].name", "big disk", "SD1010"),
    ("networks[].name", "", "SD1003"),
    ("networks[].cidr", "172.16.0.0/33", "DD2006"),
    ("networks[].dns.domain", "a..b", "SD2008 DD3003"),
    ("networks[].dns.servers[]", "172.16.1.300", "SD2008"),
    ("networks[].dhcpRelay.selfIp", "relay", "SD2007"),
    ("networks[].dhcpRelay.upstreamTarget", "maas", "SD2007"),
    ("networks[].routes[].subnet", "10.0.0.0/33", "SD2006"),
    ("networks[].routes[].gateway", "router", "DD2002"),
    ("networks[].routes[].routeDomain", "nowhere", "SD2006"),
    ("networks[].ranges[].type", "Free", "DD001"),
    ("networks[].ranges[].start", "172.16.0.300", "SD2001"),
    ("networks[].ranges[].end", "last", "SD2001"),
    ("networkLinks[].name", "", "SD1003"),
    ("networkLinks[].bonding.mode", "balanced-rr", "DD001"),
    ("networkLinks[].bonding.hash", "layer7", "SD2010"),
    ("networkLinks[].bonding.peerRate", "medium", "DD001"),
    ("networkLinks[].linkSpeed", "fast", "SD2010"),
    ("networkLinks[].trunking.mode", "qinq", "DD001"),
    ("networkLinks[].trunking.defaultNetwork", "nowhere", "SD1001"),
    ("networkLinks[].allowedNetworks[]", "nowhere", "SD1001"),
    ("racks[].name", "", "SD1003"),
    ("racks[].switches[].name", "", "SD1003"),
    ("racks[].switches[].managementIp", "sw1", "SD2011"),
    ("racks[].switches[].sdnApiUri", "sdn.lab", "SD2011"),
    ("racks[].localNetworks[]", "nowhere", "SD1001"),
    ("hardwareProfiles[].name", "", "SD1003"),
    ("hardwareProfiles[].bootMode", "Legacy", "DD001"),
    ("hardwareProfiles[].bootstrapProtocol", "Http", "DD001"),
    ("hardwareProfiles[].devices[].name", "", "SD1003"),
    ("hardwareProfiles[].devices[].busType", "usb", "SD4004"),
    ("hardwareProfiles[].devices[].address", "eno1", "SD4004"),
    ("hardwareProfiles[].cpuSets[].name", "", "SD1003"),
    ("hardwareProfiles[].cpuSets[].cpus", "two", "SD4005"),
    ("hardwareProfiles[].hugepages[].name", "", "SD1003"),
    ("hardwareProfiles[].hugepages[].size", "1GB", "SD4006"),
    ("hostProfiles[].name", "", "SD1003"),
    ("extends", "nowhere", "SD1001"),
    ("hostProfile", "nowhere", "SD1001"),
    ("hardwareProfile", "nowhere", "SD1001"),
    ("primaryNetwork", "nowhere", "SD1001"),
    ("rack", "nowhere", "SD1001"),
    ("bootMac", "52:54:00", "SD4001"),
    ("addressing[].network", "nowhere", "DD2002 SD2002"),
    ("addressing[].address", "172.16.1.300", "DD2002"),
    ("outOfBand.type", "Ilo", "DD001"),
    ("outOfBand.network", "nowhere", "SD1001"),
    ("interfaces[].name", "eth0:1", "SD2009"),
    ("interfaces[].link", "nowhere", "DD1007"),
    ("interfaces[].slaves[]", "/dev/eno1", "SD2009"),
    ("interfaces[].networks[]", "nowhere", "DD1007"),
    ("storage.disks[].name", "/dev/sda", "SD3003"),
    ("storage.disks[].volumeGroup", "nowhere", "SD3002 DD2002"),
    ("storage.disks[].partitions[].name", "", "SD1003"),
    ("storage.disks[].partitions[].size", "20k", "DD2003"),
    ("storage.disks[].partitions[].uuid", "1", "SD3003"),
    ("storage.disks[].partitions[].volumeGroup", "nowhere", "SD3002"),
    ("filesystem.mountpoint", "var", "SD3004"),
    ("filesystem.type", "ntfs", "SD3004"),
    ("filesystem.mountOptions", "noatime, ro", "SD3004"),
    ("filesystem.uuid", "1", "SD3003"),
    ("filesystem.label", "a-label-that-is-too-long", "SD3004"),
    ("storage.volumeGroups[].name", "log volumes", "SD3003"),
    ("storage.volumeGroups[].uuid", "1", "SD3003"),
    ("storage.volumeGroups[].logicalVolumes[].name", "-log", "SD3003"),
    ("storage.volumeGroups[].logicalVolumes[].size", "110%", "DD2003"),
    ("storage.volumeGroups[].logicalVolumes[].uuid", "1", "SD3003"),
    ("platform.image", "Ubuntu 22.04", "SD4008"),
    ("platform.kernel", "ga 22.04", "SD4008"),
    ("platform.kernelParams[].name", "quiet splash", "SD4007"),
    ("platform.kernelParams[].value", "ttyS0 quiet", "SD4007"),
    ("metadata.tags[]", "big disk", "SD1010"),
    ("bootActions[].name", "", "SD1003"),
    ("bootActions[].nodeFilter.operator", "Or", "DD001"),
    ("bootActions[].nodeFilter.filters[].operator", "Or", "DD001"),
    ("bootActions[].nodeFilter.filters[].names[]", "nowhere", "SD1001"),
    ("bootActions[].nodeFilter.filters[].racks[]", "nowhere", "SD1001"),
    ("bootActions[].nodeFilter.filters[].tags[]", "nowhere", "SD5004"),
    ("bootActions[].assets[].type", "Script", "DD001"),
    ("bootActions[].assets[].path", "etc/x", "SD5003"),
    ("bootActions[].assets[].location", "{{ node.hostname", "SD5001"),
    ("bootActions[].assets[].packages[].name", "jq curl", "SD5003"),
    ("bootActions[].assets[].packages[].version", "1.6", "DD4002"),
    ("bootActions[].assets[].locationPipeline[]", "Base64Decode", "DD001"),
    ("bootActions[].assets[].dataPipeline[]", "Gzip", "DD001"),
    ("bootActions[].assets[].permissions", "rwx", "SD5003"),
    ("rollout.maxUnavailable", "half", "SD6002"),
    ("rollout.groups[].selector.operator", "Or", "DD001"),
    ("rollout.groups[].selector.filters[].operator", "Or", "DD001"),
    ("rollout.groups[].selector.filters[].names[]", "nowhere", "SD1001"),
    ("rollout.groups[].selector.filters[].racks[]", "nowhere", "SD1001"),
    ("rollout.groups[].after[]", "nowhere", "SD6001"),
    ("rollout.groups[].minReady", "most", "SD6002"),
    ("rollout.groups[].maxUnavailable", "half", "SD6002"),
    ("rollout.groups[].maxFailed", "some", "SD6002"),
];

/// Fields that take any text: words of people, names of other objects, and what only a machine can read.
const FREE: &[&str] = &[
    "secretRef.name",
    "secretRef.key",
    "designRef.name",
    "repositories[].options",
    "tagDefinitions[].definition",
    "networks[].routeDomain",
    "labels",
    "rackLabels",
    // With others beside it, it may take no Node and the filter some.
    "rollout.groups[].selector.filters[].tags[]",
    "racks[].location",
    "hardwareProfiles[].vendor",
    "hardwareProfiles[].generation",
    "hardwareProfiles[].hwVersion",
    "hardwareProfiles[].biosVersion",
    "hardwareProfiles[].devices[].deviceType",
    "outOfBand.parameters",
    // Of a libvirt Node there is a rule; others have no use for it.
    "outOfBand.libvirtUri",
    "metadata.ownerData",
    // What its pipeline makes of it is checked.
    "bootActions[].assets[].data",
    "rollout.groups[].name",
    "rollout.retry.requestedAt",
    // The schema has a pattern for it.
    "deletion.timeout",
    // Of parts of a site, there is a rule.
    "include[].designRef.name",
    "include[].configMapKeyRef.name",
    "include[].configMapKeyRef.key",
];

fn is_below(field: &str, suffix: &str) -> bool {
    field == suffix || field.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
}

fn is_free(field: &str) -> bool {
    let pieces: Vec<&str> = field.split('.').collect();
    FREE.iter().any(|free| is_below(field, free))
        || pieces.len() > 1 && FREE.iter().any(|free| is_below(&pieces[..pieces.len() - 1].join("."), free))
}

/// The lab with the few fields that it has no use for, none of them wrong.
fn full_lab() -> Vec<Value> {
    let mut lab = lab();
    let set = |object: &mut Value, pointer: &str, value: Value| *object.pointer_mut(pointer).expect("is there") = value;
    let spec = lab[0]["spec"].as_object_mut().expect("a spec");
    spec.insert("suspend".into(), json!(false));
    let design = &mut lab[0];
    design["spec"]["networks"][0]["dns"] = json!({"servers": ["172.16.1.9"], "domain": "oob.lab"});
    let repository = &mut design["spec"]["repositories"][0];
    repository["arches"] = json!(["amd64"]);
    repository["subrepos"] = json!(["security"]);
    repository["gpgKey"] = json!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n");
    repository["options"] = json!({"a": "b"});
    let volume = "/spec/hostProfiles/0/storage/volumeGroups/0/logicalVolumes/0";
    design.pointer_mut(volume).expect("is there")["uuid"] = json!("0f0f0f0f-0000-4000-8000-000000000002");
    let filesystem = "/spec/hostProfiles/0/storage/disks/0/partitions/1/filesystem";
    design.pointer_mut(filesystem).expect("is there")["uuid"] = json!("0f0f0f0f-0000-4000-8000-000000000003");
    design["spec"]["rollout"]["paused"] = json!(false);
    design["spec"]["rollout"]["maxUnavailable"] = json!("60%");
    design["spec"]["rollout"]["retry"] = json!({"requestedAt": "now"});
    let filters = json!([{"tags": ["control"], "names": ["control1"], "racks": ["r1"]}]);
    set(design, "/spec/rollout/groups/0/selector", json!({"operator": "Union", "filters": filters}));
    design.pointer_mut("/spec/rollout/groups/0/selector/filters/0").expect("is there")["operator"] = json!("Union");
    let action = json!({"filters": [{"operator": "Union", "names": ["control1"]}, {"racks": ["r1"]}]});
    design["spec"]["bootActions"][0]["nodeFilter"] = action;
    design["spec"]["bootActions"].as_array_mut().expect("a list").push(json!({
        "name": "everywhere", "assets": [{"type": "File", "path": "/etc/x", "data": "x"}]
    }));
    design["spec"]["networkLinks"][2]["labels"] = json!({"a": "b"});
    let partition = "/spec/hostProfiles/0/storage/disks/0/partitions/0";
    design.pointer_mut(partition).expect("is there")["labels"] = json!({"a": "b"});
    let filter = design.pointer_mut("/spec/rollout/groups/0/selector/filters/0").expect("is there");
    filter["labels"] = json!({"role": "control"});
    filter["rackLabels"] = json!({"row": "7"});
    design["spec"]["networkLinks"][2]["trunking"]["defaultNetwork"] = json!("mgmt");
    lab[2]["spec"]["outOfBand"] = json!({"libvirtUri": "qemu+ssh://host/system"});
    lab
}

#[test]
fn nothing_is_wrong_with_the_full_lab() {
    let told: Vec<_> = told(&full_lab()).into_iter().map(|(finding, _)| finding).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_wrong_value_of_every_field_is_told_at_its_place() {
    let lab = full_lab();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut failures = Vec::new();
    for at in values(&lab) {
        let field = at.field();
        // A BMC that the Node names itself is the Node's business.
        if field.starts_with("spec.bmc") {
            continue;
        }
        let field = field.trim_start_matches("spec.");
        let written = lab_value(&lab, &at.path(), at.document());
        let (wrong, code) = match written {
            Value::Bool(_) => (json!("perhaps"), "DD001"),
            Value::Number(_) => (json!(-1), "DD001"),
            Value::String(_) if is_free(field) => continue,
            Value::String(text) if text.starts_with('!') => continue,
            Value::String(_) => {
                let longest =
                    WRONG.iter().filter(|(suffix, ..)| is_below(field, suffix)).max_by_key(|(suffix, ..)| suffix.len());
                let Some((suffix, wrong, code)) = longest else {
                    failures.push(format!("{field}: no wrong value is known"));
                    continue;
                };
                used.insert(suffix);
                (json!(wrong), *code)
            }
            _ => continue,
        };
        let told = told(&with(&lab, &at, wrong.clone()));
        let shown = serde_json::to_string(&wrong).expect("JSON");
        let of_budget = ["SD6002", "SD6001"];
        let is_it = |(finding, text): &&(slipway_plan::Finding, String)| {
            finding.path.starts_with(at.path().trim_end_matches(".name"))
                && (code.contains(finding.code) || of_budget.contains(&finding.code))
                && finding.hint.is_some()
                && (text.starts_with(&shown) || text.starts_with('{') || text.starts_with('"'))
        };
        let is_elsewhere = ["tags[]", "ranges[].start", "ranges[].end"].iter().any(|it| field.ends_with(it));
        if !is_elsewhere && !told.iter().any(|it| is_it(&it)) || told.is_empty() {
            failures.push(format!("{} = {shown}: {told:#?}", at.path()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let unused: Vec<&str> = WRONG.iter().map(|(field, ..)| *field).filter(|field| !used.contains(field)).collect();
    assert!(unused.is_empty(), "not in the lab: {unused:?}");
}

fn lab_value<'v>(lab: &'v [Value], path: &str, document: usize) -> &'v Value {
    let pointer = format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"));
    lab[document].pointer(&pointer).unwrap_or(&Value::Null)
}

/// Every field of the schema is in the lab, so that nothing is left out above.
#[test]
fn every_field_of_the_schema_is_in_the_full_lab() {
    fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let properties = schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fields(property, &path, found);
        }
        if schema["items"].is_object() {
            fields(&schema["items"], &format!("{path}[]"), found);
        }
        if properties.is_none() && !schema["items"].is_object() {
            found.insert(path.to_owned());
        }
    }
    let crd = slipway_api::crds().into_iter().find(|crd| crd.spec.names.kind == "Design").expect("a Design");
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("JSON");
    let mut wanted = BTreeSet::new();
    fields(&schema["openAPIV3Schema"]["properties"]["spec"], "", &mut wanted);
    let there: BTreeSet<String> =
        values(&full_lab()).iter().map(|at| at.field().trim_start_matches("spec.").to_owned()).collect();
    let missing: Vec<&String> = wanted
        .iter()
        .filter(|field| !there.contains(*field) && !field.starts_with("include"))
        // A host profile has the fields of the others as well.
        .filter(|field| !field.starts_with("hostProfiles[]") || !there.iter().any(|other| is_same_part(field, other)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What a Node says of itself, a host profile may say, too; file systems are the same everywhere.
fn is_same_part(field: &str, other: &str) -> bool {
    let of_host = field.trim_start_matches("hostProfiles[].");
    let filesystem = of_host.rsplit_once("filesystem.").map(|(_, field)| format!("filesystem.{field}"));
    other == of_host || filesystem.is_some_and(|field| other.ends_with(&field))
}
