use super::*;

const FULL: &str = include_str!("fixtures/full.yaml");

fn imported(text: &str) -> Imported {
    import(&[Source { name: "site.yaml", text }], &Options::default())
}

/// Findings as `line:column severity code path: message`.
fn told(imported: &Imported) -> Vec<String> {
    let line = |finding: &Finding| {
        let place = finding.place.as_ref().map(|place| format!("{}:{} ", place.line, place.column)).unwrap_or_default();
        let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{place}{:?} {} {}: {}{hint}", finding.severity, finding.code, finding.path, finding.message)
    };
    imported.findings.iter().map(line).collect()
}

fn objects(imported: &Imported) -> String {
    let texts: Vec<String> =
        imported.manifests.iter().map(|manifest| format!("# {}\n{}", manifest.file_name(), manifest.yaml)).collect();
    texts.join("---\n")
}

/// The Design's spec.
fn design(imported: &Imported) -> serde_json::Value {
    object(imported, "Design").expect("a Design")
}

fn object(imported: &Imported, kind: &str) -> Option<serde_json::Value> {
    let manifest = imported.manifests.iter().find(|manifest| manifest.kind == kind)?;
    Some(crate::formats::yaml::documents(&manifest.yaml).unwrap().remove(0).value)
}

/// Each of the texts, which all have errors, with what is told of it.
fn told_of<const N: usize>(texts: [String; N]) -> String {
    let one = |text: String| {
        let imported = imported(&text);
        assert!(imported.has_errors(), "{text}");
        format!(
            "{text}{}\n",
            told(&imported).into_iter().filter(|line| !line.contains("no Region")).collect::<Vec<_>>().join("\n")
        )
    };
    texts.map(one).join("\n")
}

fn deckhand(kind: &str, data: &str) -> String {
    format!("schema: drydock/{kind}/v1\nmetadata: {{name: n1}}\ndata:\n  {data}\n")
}

fn legacy(kind: &str, spec: &str) -> String {
    format!("apiVersion: drydock/v1\nkind: {kind}\nmetadata: {{name: n1}}\nspec:\n  {spec}\n")
}

#[test]
fn every_field_of_every_document() {
    let imported = imported(FULL);
    insta::assert_snapshot!("every_field_findings", told(&imported).join("\n"));
    insta::assert_snapshot!("every_field_objects", objects(&imported));
    assert!(!imported.has_errors());
}

#[test]
fn nothing_secret_is_outside_of_secrets() {
    let imported = imported(FULL);
    for manifest in &imported.manifests {
        assert_eq!(manifest.yaml.contains("hunter"), manifest.kind == "Secret", "{}", manifest.yaml);
    }
    assert!(!told(&imported).join("\n").contains("hunter"));
}

#[test]
fn the_same_documents_give_the_same_objects() {
    assert_eq!(imported(FULL).manifests, imported(FULL).manifests);
}

#[test]
fn both_envelopes_mean_the_same() {
    let region = "authorized_keys: [ssh-rsa AAAA a]";
    let (new, old) = (imported(&deckhand("Region", region)), imported(&legacy("Region", region)));
    assert_eq!(told(&new), Vec::<String>::new());
    assert_eq!(told(&old), Vec::<String>::new());
    assert_eq!(design(&new)["spec"], design(&old)["spec"]);
}

#[test]
fn violations_of_the_schema() {
    let documents = [
        ("Network", "{cidr: 10.0.0.0/8, vlan: 100}"),
        ("Network", "{cidr: 10.0.0.0/8, mtu: big}"),
        ("Network", "{cidr: 10.0.0.0/8, mtu: -1}"),
        ("Network", "{cidr: 10.0.0.0/8, vlna: '1'}"),
        ("Network", "{cidr: 10.0.0.0/8, ranges: {a: b}}"),
        ("Network", "{cidr: [10.0.0.0/8]}"),
        ("Network", "null"),
        ("NetworkLink", "{allowed_networks: [], bonding: {mode: balanced-rr}}"),
        ("HardwareProfile", "{boot_mode: UEFI}"),
        ("HostProfile", "{storage: {physical_devices: {sda: disk}}}"),
        ("HostProfile", "{interfaces: {bond0: yes}}"),
        ("HostProfile", "{metadata: {owner_data: {a: 1}}}"),
        ("HostProfile", "{foo: bar}"),
        ("BootAction", "{assets: [{path: /a}]}"),
        ("BootAction", "{assets: [{type: file, path: a}]}"),
        ("BootAction", "{assets: [{type: file, permissions: rwx}]}"),
        ("BootAction", "{assets: [{type: file, data_pipeline: [gzip]}]}"),
        ("BootAction", "{assets: [{type: file, location_pipeline: [base64_decode]}]}"),
    ];
    insta::assert_snapshot!("violations", told_of(documents.map(|(kind, data)| deckhand(kind, data))));
}

#[test]
fn what_drydock_cannot_process() {
    let documents = [
        ("Network", "{}"),
        ("Network", "{cidr: 10.0.0.0/8, vlan: '5000'}"),
        ("NetworkLink", "{}"),
        ("HardwareProfile", "{device_aliases: {a: {address: '1'}}}"),
        ("HardwareProfile", "{hugepages: {a: {size: 1G}}}"),
        ("BaremetalNode", "{host_profile: a}"),
        ("BaremetalNode", "{addressing: [{network: a, address: ''}]}"),
        ("HostProfile", "{platform: {kernel_params: {quiet: null}}}"),
        ("BootAction", "{signaling: true}"),
        ("BootAction", "{assets: [{type: pkg_list}]}"),
        ("BootAction", "{assets: [], node_filter: {filter_set: []}}"),
        ("BootAction", "{assets: [], node_filter: {filter_set_type: union, filter_set: [{node_names: [a]}]}}"),
    ];
    insta::assert_snapshot!("cannot_process", told_of(documents.map(|(kind, data)| deckhand(kind, data))));
}

#[test]
fn without_a_schema_values_become_text_as_in_python() {
    let network =
        imported(&legacy("Network", "{cidr: 10.0.0.0/8, vlan: 100, mtu: '1500', dns: {domain: yes}, colour: red}"));
    let spec = &design(&network)["spec"]["networks"][0];
    assert_eq!((&spec["vlan"], &spec["mtu"], &spec["dns"]["domain"]), (&100.into(), &1500.into(), &"True".into()));
    assert!(told(&network).iter().any(|line| line.contains("NoPlace spec.colour: ")), "{:?}", told(&network));
    assert!(!network.has_errors());
    let partition = "{storage: {physical_devices: {sda: {partitions: [{name: a, size: 1g, vg: data}]}}}}";
    let profile = imported(&legacy("HostProfile", partition));
    assert_eq!(
        design(&profile)["spec"]["hostProfiles"][0]["storage"]["disks"][0]["partitions"][0]["volumeGroup"],
        "data"
    );
}

#[test]
fn removals() {
    let data = "{interfaces: {bond0: null, '!pxe': {}}, storage: {physical_devices: {'!sda': null, '!sdb': {}}}, primary_network: '!', \
                oob: {type: '!', '!network': x, '!account': x, '!credential': x}, platform: {image: -1, kernel_params: {'!quiet': x}}}";
    let imported = imported(&legacy("HostProfile", data));
    insta::assert_json_snapshot!(design(&imported)["spec"]["hostProfiles"][0], @r#"
    {
      "interfaces": [
        {
          "name": "!bond0"
        },
        {
          "name": "!pxe"
        }
      ],
      "name": "n1",
      "outOfBand": {
        "credentials": {
          "secretRef": {
            "name": "!"
          }
        },
        "network": "!",
        "type": "None"
      },
      "platform": {
        "image": "!",
        "kernelParams": [
          {
            "name": "!quiet"
          }
        ]
      },
      "primaryNetwork": "!",
      "storage": {
        "disks": [
          {
            "name": "!sda"
          },
          {
            "name": "!sdb"
          }
        ]
      }
    }
    "#);
    assert!(object(&imported, "Secret").is_none());
}

/// drydock reads YAML 1.1: what looks like text may be none.
#[test]
fn scalars_are_what_they_are_to_drydock() {
    let strict = |field: &str| {
        let imported = imported(&deckhand("Network", &format!("{{cidr: 10.0.0.0/8, {field}}}")));
        told(&imported).into_iter().filter(|line| !line.contains("no Region")).collect::<Vec<_>>().join("; ")
    };
    for (field, wanted) in [
        (
            "routedomain: yes",
            "4:35 Error DD001 data.routedomain: yes, read as True, where text is wanted; write \"yes\"",
        ),
        ("routedomain: y", ""),
        ("routedomain: 1e3", ""),
        ("routedomain: 0o10", ""),
        ("routedomain: 1.2.3", ""),
        ("routedomain: 52:54:00:a0:12:34", ""),
        ("routedomain: 010", "4:35 Error DD001 data.routedomain: 010, read as 8, where text is wanted; write \"010\""),
        (
            "routedomain: 1:30",
            "4:35 Error DD001 data.routedomain: 1:30, read as 90, where text is wanted; write \"1:30\"",
        ),
        (
            "routedomain: 2026-11-28",
            "4:35 Error DD001 data.routedomain: 2026-11-28 where text is wanted; write \"2026-11-28\"",
        ),
        ("routedomain: !!str 010", ""),
        ("routedomain: ~", "4:22 Error DD001 data.routedomain: nothing where text is wanted"),
        ("mtu: 0x5dc", ""),
        ("mtu: 1_500", ""),
        ("mtu: 1500.9", ""),
        ("mtu: 1e3", "4:27 Error DD001 data.mtu: `1e3` where a number is wanted"),
    ] {
        assert_eq!(strict(field), wanted, "{field}");
    }
    let node = "{host_profile: p, addressing: [{network: a, address: dhcp}], metadata: {boot_mac: 52:54:00:12:34:56}}";
    let old = imported(&legacy("BaremetalNode", node));
    assert_eq!(object(&old, "Node").unwrap()["spec"]["bootMac"], "52:54:00:12:34:56", "and not 41135085296");
    assert!(told(&old).iter().any(|line| line.contains("Rewritten spec.metadata.boot_mac")), "{:?}", told(&old));
    let labels = imported(&deckhand("Rack", "{labels: {1: one, on: two, 'no': three}}"));
    let odd: Vec<_> = told(&labels).into_iter().filter(|line| line.contains("DD000")).collect();
    assert_eq!(odd.len(), 2, "{odd:?}");
    assert!(odd[0].starts_with("4:13 Error DD000 data.labels.1: the key 1 is no text without quotes"), "{odd:?}");
}

#[test]
fn one_broken_document_hides_no_other() {
    let broken = "---\nschema: drydock/Network/v1\nmetadata: {name: b}\ndata: {cidr: [10.0.0.0/8}\n";
    let text =
        format!("{}{broken}---\n{}", deckhand("Network", "{vlan: 5}"), deckhand("Rack", "{labels: {a: 1, a: 2}}"));
    let told = told(&imported(&text)).join("\n");
    for wanted in ["Error DD001 data.vlan", "8:14 Error YamlSyntax", "13:19 Error DuplicateKey"] {
        assert!(told.contains(wanted), "{wanted} in\n{told}");
    }
}

#[test]
fn rules_that_only_the_importer_can_apply() {
    let node = |name: &str, oob: &str| {
        format!(
            "schema: drydock/BaremetalNode/v1\nmetadata: {{name: {name}}}\n\
             data: {{hardware_profile: h, oob: {oob}, addressing: [{{network: oob, address: 10.0.0.1}}]}}\n"
        )
    };
    let errors = |name: &str, oob: &str| {
        let told = told(&imported(&node(name, oob)));
        told.into_iter().filter(|line| line.contains(" Error ")).collect::<Vec<_>>().join("\n")
    };
    let complete = "{type: ipmi, network: oob, account: a, credential: b}";
    assert_eq!(errors("Good-1", complete), "");
    assert!(
        errors("bad__name", complete)
            .starts_with("2:18 Error DD3003 metadata.name: `bad__name` in bad__name is no label")
    );
    let without = errors("a", "{type: ipmi, network: oob, account: a}");
    assert!(without.starts_with("2:18 Error DD4001 data.oob: there is no `credential`"), "{without}");
    let without = errors("a", "{type: redfish, network: oob, credential: a}");
    assert!(without.starts_with("2:18 Error SD4003 data.oob: there is no `account`"), "{without}");
    assert_eq!(errors("a", "{type: manual, account: a}"), "");
    let nothing =
        "schema: drydock/BaremetalNode/v1\nmetadata: {name: a}\ndata: {addressing: [{network: a, address: dhcp}]}\n";
    assert!(told(&imported(nothing)).join("\n").contains("DD000 data.hardware_profile"));
}

#[test]
fn drydocks_defaults_cover_what_a_parent_says() {
    let storage = "storage: {physical_devices: {sda: {partitions: [{name: root, filesystem: {mountpoint: /}}]}}}";
    let of = |data: &str| {
        let imported = imported(&deckhand("HostProfile", data));
        design(&imported)["spec"]["hostProfiles"][0]["storage"]["disks"][0]["partitions"][0]["filesystem"].clone()
    };
    assert_eq!(of(&format!("{{{storage}}}")), serde_json::json!({"mountpoint": "/"}));
    let child = of(&format!("{{host_profile: p, {storage}}}"));
    assert_eq!(child, serde_json::json!({"mountpoint": "/", "type": "ext4", "mountOptions": "defaults"}));
}

#[test]
fn routes_to_a_domain_without_a_metric_are_none() {
    let routes = "routes: [{routedomain: r, gateway: 10.0.0.1}, {subnet: 11.0.0.0/8, routedomain: r, gateway: 10.0.0.1}, {routedomain: r}]";
    let imported = imported(&deckhand("Network", &format!("{{cidr: 10.0.0.0/8, {routes}}}")));
    let found = &design(&imported)["spec"]["networks"][0]["routes"];
    assert_eq!(*found, serde_json::json!([{"subnet": "11.0.0.0/8", "gateway": "10.0.0.1"}, {"routeDomain": "r"}]));
    let told = told(&imported);
    assert_eq!(told.iter().filter(|line| line.contains("computes no routes")).count(), 2, "{told:?}");
}

#[test]
fn what_deckhand_has_not_rendered_is_told() {
    let text =
        "schema: drydock/Rack/v1\nmetadata: {name: a, layeringDefinition: {abstract: true, layer: global}}\ndata: {}\n";
    assert!(told(&imported(text)).join("\n").contains("Warning NotRendered metadata.layeringDefinition.abstract"));
}

#[test]
fn documents_that_are_not_imported() {
    let documents = [
        "schema: drydock/Netwrok/v1\nmetadata: {name: a}\n",
        "schema: drydock/Network/v2\nmetadata: {name: a}\n",
        "schema: drydock/Network/v1\ndata: {}\n",
        "- a\n",
        "apiVersion: v1.0\nkind: Network\n",
        "schema: pegleg/Site/v1\n",
        "a: 1\na: 2\n",
        "a:\n\t- b\n",
    ];
    insta::assert_snapshot!("not_imported", told_of(documents.map(str::to_owned)));
}

#[test]
fn one_name_twice() {
    let document = |kind: &str, data: &str| deckhand(kind, data);
    let twice = |kind: &str, first: &str, second: &str| {
        imported(&format!("{}---\n{}", document(kind, first), document(kind, second)))
    };
    let networks = twice("Network", "{cidr: 10.0.0.0/8}", "{cidr: 11.0.0.0/8}");
    assert_eq!(design(&networks)["spec"]["networks"].as_array().unwrap().len(), 1);
    assert_eq!(design(&networks)["spec"]["networks"][0]["cidr"], "10.0.0.0/8");
    assert!(
        told(&networks).iter().any(|line| line.contains("NoPlace data: ") && line.contains("drydock uses the first"))
    );
    assert!(
        design(&networks)["metadata"]["annotations"]["drydock.slipway.dev/no-place"]
            .as_str()
            .unwrap()
            .contains("11.0.0.0/8")
    );
    let actions = twice("BootAction", "{assets: []}", "{assets: []}");
    let names: Vec<_> =
        design(&actions)["spec"]["bootActions"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["n1", "n1-2"]);
    let nodes = twice(
        "BaremetalNode",
        "{addressing: [{network: a, address: dhcp}]}",
        "{addressing: [{network: a, address: dhcp}]}",
    );
    assert!(
        told(&nodes).iter().any(|line| line
            == "7:18 Error DD000 metadata.name: the node `n1` is defined twice; remove or rename one of the two"),
        "{:?}",
        told(&nodes)
    );
    let regions = twice("Region", "{authorized_keys: [a]}", "{authorized_keys: [b]}");
    assert_eq!(design(&regions)["spec"]["authorizedKeys"][0], "b");
}

#[test]
fn names_that_become_one_stay_two() {
    let network =
        |name: &str| format!("schema: drydock/Network/v1\nmetadata: {{name: {name}}}\ndata: {{cidr: 10.0.0.0/8}}\n");
    let link = "schema: drydock/NetworkLink/v1\nmetadata: {name: l}\ndata: {allowed_networks: [A_b, a-b, '!A_b']}\n";
    let imported = imported(&[network("a-b"), network("A_b"), link.to_owned()].join("---\n"));
    let spec = design(&imported)["spec"].clone();
    assert_eq!((&spec["networks"][0]["name"], &spec["networks"][1]["name"]), (&"a-b".into(), &"a-b-2".into()));
    assert_eq!(spec["networkLinks"][0]["allowedNetworks"], serde_json::json!(["a-b-2", "a-b", "!a-b-2"]));
}

#[test]
fn names_of_kubernetes() {
    for (name, wanted) in [
        ("mgmt", "mgmt"),
        ("HPGen9v3", "hpgen9v3"),
        ("storage_rack1", "storage-rack1"),
        ("_a_", "a"),
        ("a..b.-c", "a.b.c"),
        ("ü", "unnamed"),
        ("cab23-r720-11", "cab23-r720-11"),
    ] {
        assert_eq!(names::kubernetes(name), wanted);
    }
    assert_eq!(names::kubernetes(&"x".repeat(300)).len(), 253);
}

#[test]
fn circles_of_profiles_end() {
    let profile = |name: &str, parent: &str| {
        format!(
            "schema: drydock/HostProfile/v1\nmetadata: {{name: {name}}}\ndata: {{host_profile: {parent}, oob: {{account: a}}}}\n"
        )
    };
    let imported = imported(&[profile("a", "b"), profile("b", "a")].join("---\n"));
    assert_eq!(imported.manifests.iter().filter(|manifest| manifest.kind == "Secret").count(), 2);
}

#[test]
fn much_metadata_goes_to_a_config_map() {
    let network = |number: usize| {
        format!(
            "schema: drydock/Network/v1\nmetadata: {{name: n{number}, note: {}}}\ndata: {{cidr: 10.0.0.0/8}}\n",
            "x".repeat(1000)
        )
    };
    let imported = imported(&(0..100).map(network).collect::<Vec<_>>().join("---\n"));
    let annotations = &design(&imported)["metadata"]["annotations"];
    assert_eq!(annotations["drydock.slipway.dev/kept-in-config-map"], "site-drydock");
    let kept = object(&imported, "ConfigMap").unwrap();
    assert_eq!(kept["data"]["metadata.json"].as_str().unwrap().matches("xxx").count(), 100 * 333);
}

#[test]
fn hostile_files() {
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let large = "a: b\n".repeat(4 << 20);
    let keys: Vec<_> = (0..5000).map(|n| format!("x{n}: 1")).collect();
    let wide = deckhand("HostProfile", &format!("{{{}}}", keys.join(", ")));
    for (name, text) in [("deep", &deep), ("large", &large)] {
        let imported = imported(text);
        assert_eq!(imported.findings[0].code, codes::TOO_LARGE, "{name}");
        assert!(imported.manifests.is_empty());
    }
    assert!(imported(&wide).findings.len() <= 1002, "findings are bounded");
}

/// The samples of drydock's own, where they are there.
#[test]
fn samples() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/drydock");
    let Ok(entries) = std::fs::read_dir(&directory) else {
        println!("SKIPPED: the samples of drydock are not here ({})", directory.display());
        return;
    };
    let mut seen = 0;
    for path in
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let imported = imported(&text);
        // One sample has a package called 0xffff, which is a number to drydock's reader.
        let has_odd_key = path.ends_with("deckhand_bootaction.yaml");
        assert_eq!(imported.has_errors(), has_odd_key, "{}: {}", path.display(), told(&imported).join("\n"));
        assert_eq!(
            told(&imported).iter().any(|line| line.contains("Error DD000") && line.contains("0xffff")),
            has_odd_key
        );
        let documents = text.lines().filter(|line| line.starts_with("schema: ")).count();
        assert_eq!(imported.documents, documents, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]

    /// Wrong types everywhere: any part of the full site replaced by something else.
    #[test]
    fn never_panics(line in 0usize..240, with in "[a-z0-9:{}\\[\\]!&*|>\\-,'\" ]{0,30}") {
        let lines: Vec<&str> = FULL.lines().collect();
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let at = line % lines.len();
        let (key, _) = lines[at].split_once(':').unwrap_or((&lines[at], ""));
        lines[at] = format!("{key}: {with}");
        let _ = imported(&lines.join("\n"));
    }
}

#[test]
fn of_several_regions_the_last_counts() {
    let region = |name: &str| format!("schema: drydock/Region/v1\nmetadata: {{name: {name}}}\ndata: {{}}\n---\n");
    let imported = imported(&(region("one") + &region("two")));
    assert_eq!(design(&imported)["metadata"]["name"], "two");
    assert!(told(&imported)[0].contains("a site has one Region, and drydock uses the last"), "{:?}", told(&imported));
}

#[test]
fn what_is_nearly_a_document_is_told_how_one_is_written() {
    let told = told(&imported(
        "schema: drydock/Network\nmetadata: {name: a}\n---\nschema: drydock/Network/v1\nmetadata: {name: 5}\ndata: {}\n",
    ));
    assert!(told[0].starts_with("1:9 Warning PassedOver") && told[0].ends_with("drydock/Network/v1"), "{told:?}");
    assert_eq!(
        told[1],
        "5:18 Error DD000 metadata.name: the name of the document is no text; put it in quotes, also where others refer to it"
    );
}
