//! `slipway compile`, `explain`, `diff` and `graph`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, changed, directory, sample, sample_file, site, slipway};

fn compiled(directory: &Path, more: &[&str]) -> Ran {
    slipway(directory, &[&["compile", "-f", "site"], more].concat(), "")
}

#[test]
fn the_model_is_the_same_however_it_is_written() {
    let files = changed(&[]);
    let ran = compiled(files.path(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let model: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&model["design"], model["hash"].as_str().unwrap().len()), (&"lab".into(), 64));
    let names: Vec<&str> = model["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["compute1", "compute2", "control1"]);
    assert_eq!(model["groups"][1]["nodes"], serde_json::json!(["compute1", "compute2"]));
    let all = ["nodes.yaml", "racks.yaml", "design.yaml"].map(|name| sample_file(name, &[])).join("---\n");
    let stream = slipway(files.path(), &["compile", "-f", "-"], &all);
    assert!(stream.out == ran.out, "another order of the documents makes another model");
    let yaml = compiled(files.path(), &["-o", "yaml"]);
    let read = slipway_plan::formats::yaml::documents(&yaml.out).unwrap();
    assert!(read[0].value == model, "YAML and JSON say different things");
}

#[test]
fn the_model_of_one_node() {
    let files = changed(&[]);
    for name in ["control1", "node/control1"] {
        let ran = compiled(files.path(), &["--node", name]);
        let node: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&node["fqdn"], &node["gateway"]), (&"control1.mgmt.lab.example.com".into(), &"172.16.1.1".into()));
        assert_eq!(node["storage"]["disks"][0]["partitions"][1]["size"], "60g");
    }
    let ran = compiled(files.path(), &["--node", "control2"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("there is no Node `control2`; did you mean `control1`?"), "{}", ran.err);
}

#[test]
fn a_site_with_errors_is_compiled_only_if_that_is_wanted() {
    let files = changed(&[("design.yaml", &[("size: 1g", "size: 1k")])]);
    let ran = compiled(files.path(), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("site/design.yaml:96:36: error: ") && ran.err.contains("--keep-going"), "{}", ran.err);
    let ran = compiled(files.path(), &["--keep-going"]);
    assert!(ran.code == 1 && ran.out.starts_with('{'), "{}", ran.err);
}

#[test]
fn several_designs_are_told_apart() {
    let other = site("  networks: []\n").replace("{name: lab}", "{name: office}");
    let files = changed(&[]);
    fs::write(files.path().join("site/other.yaml"), other).unwrap();
    let ran = compiled(files.path(), &[]);
    assert!(ran.code == 2 && ran.err.contains("choose one with --design: lab, office"), "{}", ran.err);
    let ran = compiled(files.path(), &["--design", "office"]);
    assert!(ran.code == 0 && ran.out.contains("\"design\": \"office\""), "{}", ran.err);
    let ran = compiled(files.path(), &["--design", "offise"]);
    assert!(ran.code == 1 && ran.err.contains("did you mean `office`?"), "{}", ran.err);
    let none = directory(&[("site/n.yaml", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}\n")]);
    let ran = compiled(none.path(), &[]);
    assert!(ran.code == 2 && ran.err.contains("there is no Design in these files"), "{}", ran.err);
}

fn explain(directory: &Path, arguments: &[&str]) -> Ran {
    slipway(directory, &[&["explain", "-f", "site"], arguments].concat(), "")
}

#[test]
fn a_value_says_where_it_came_from_and_what_it_overrides() {
    let files = changed(&[]);
    let ran = explain(files.path(), &["node/control1", "storage.disks.sda.partitions.root"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let wanted = "\
storage:
  disks:
    sda:
      partitions:
        root:                   # host profile control, site/design.yaml:113:17
                                # also in host profile base, site/design.yaml:97:17
          size: 60g             # host profile control, site/design.yaml:113:36
                                # over 30g of host profile base, site/design.yaml:97:36
          filesystem:
            mountpoint: /       # host profile base, site/design.yaml:97:66
            type: ext4          # the default
            mountOptions: defaults  # the default
";
    let spaces =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(spaces(&ran.out), spaces(wanted), "{}", ran.out);
    let through = explain(files.path(), &["compute1", "platform.kernelParams.hugepages"]);
    assert!(
        through.out.contains("hugepages: 16")
            && through.out.contains("# hardware profile gen9, site/design.yaml:78:42")
            && through.out.contains(
                "# through hardwareprofile:hugepages.large.count in host profile compute, site/design.yaml:133:13"
            ),
        "{}",
        through.out
    );
    let json = explain(files.path(), &["control1", "platform.image", "-o", "json"]);
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(found[0]["by"], "host profile base");
    assert_eq!((&found[0]["file"], &found[0]["line"]), (&"site/design.yaml".into(), &100.into()), "{found}");
}

#[test]
fn everything_in_the_model_is_explained() {
    let files = changed(&[]);
    for node in ["control1", "compute2"] {
        let model: Value = serde_json::from_str(&compiled(files.path(), &["--node", node]).out).unwrap();
        let all = explain(files.path(), &[node, "-o", "json"]);
        let found: Value = serde_json::from_str(&all.out).unwrap();
        let paths: BTreeSet<&str> = found.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
        let mut missing = Vec::new();
        values(&model, "", &mut |path| {
            let is_told = paths.iter().any(|known| *known == path || path.starts_with(&format!("{known}.")));
            if !is_told {
                missing.push(path.to_owned());
            }
        });
        assert!(missing.is_empty(), "{missing:?}\n{}", all.out);
        for one in found.as_array().unwrap() {
            let by = one["by"].as_str().unwrap();
            let has_place = one["line"].as_u64().is_some_and(|line| line > 0);
            assert!(has_place || by == "the default" || by.starts_with("computed"), "{one}");
        }
    }
}

/// Every value of a model by its path of names.
fn values(value: &Value, path: &str, tell: &mut impl FnMut(&str)) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| values(value, &join(name), tell)),
        Value::Array(items) => {
            for item in items {
                let name = ["name", "subnet", "network"].iter().find_map(|key| item.get(key)?.as_str());
                let name = name.or(item.as_str()).unwrap();
                match item {
                    Value::Object(fields) => {
                        for (field, value) in fields.iter().filter(|(_, value)| value.as_str() != Some(name)) {
                            let is_whole = path == "routes" || path == "addressing" || field == "value";
                            let path = if is_whole { join(name) } else { format!("{}.{field}", join(name)) };
                            values(value, &path, tell);
                        }
                    }
                    _ => tell(&join(name)),
                }
            }
        }
        _ => tell(path),
    }
}

#[test]
fn what_is_not_there_is_explained_too() {
    let removed: &[(&str, &str)] = &[("- {name: root, size: 60g}", "- {name: \"!logs\"}")];
    let files = changed(&[("design.yaml", removed)]);
    let ran = explain(files.path(), &["control1", "storage.disks.sda.partitions.logs"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("is not in the model of Node control1: taken away by host profile control, site/design.yaml:113:17, over logs of host profile base"),
        "{}",
        ran.err
    );
    for (path, wanted) in [
        ("storage.disk.sda", "storage has no `disk`; did you mean storage.disks?"),
        ("storage.disks.sdz", "did you mean storage.disks.sda?"),
        ("platform.kernelParams.quiet", "platform.kernelParams has no `quiet`; it has console"),
        ("nonsense", "Node control1 has no `nonsense`; it has name, domain"),
    ] {
        let ran = explain(files.path(), &["control1", path]);
        assert!(ran.code == 1 && ran.err.contains(wanted), "{path}: {}", ran.err);
    }
    let ran = explain(files.path(), &["node/contol1"]);
    assert!(ran.code == 1 && ran.err.contains("there is no Node `contol1`; did you mean `control1`?"), "{}", ran.err);
    let written = explain(files.path(), &["control1", "spec.storage.disks[sda].partitions[boot].size"]);
    assert!(written.code == 0 && written.out.contains("size: 1g"), "{}", written.err);
}

fn diff(old: &Path, new: &Path, more: &[&str]) -> Ran {
    let (old, new) = (old.join("site"), new.join("site"));
    slipway(Path::new("."), &[&["diff", "-f", old.to_str().unwrap(), "-f", new.to_str().unwrap()], more].concat(), "")
}

#[test]
fn what_changes_is_told_by_node() {
    let old = changed(&[]);
    let same = diff(old.path(), old.path(), &[]);
    assert_eq!((same.code, same.out.as_str()), (0, "nothing changes\n"), "{}", same.err);
    let new = changed(&[
        (
            "design.yaml",
            &[
                ("size: 60%", "size: 50%"),
                ("image: jammy", "image: noble"),
                ("gateway: 172.16.1.1}", "gateway: 172.16.1.2}"),
            ],
        ),
        ("nodes.yaml", &[("name: control1", "name: control9")]),
    ]);
    let ran = diff(old.path(), new.path(), &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let wanted = "\
Design lab
  ~ groups.control.nodes: [control1] -> [control9]
  ~ networks.mgmt.gateway: 172.16.1.1 -> 172.16.1.2
Nodes compute1, compute2
  ~ gateway: 172.16.1.1 -> 172.16.1.2
      disruptive (network): the network is set up when the host is deployed; it loses connections
  ~ platform.image: jammy -> noble
      destructive (deployment): the system is installed anew, and what is on the disks is lost
  ~ storage.volumeGroups.data.logicalVolumes.images.size: 60% -> 50%
      destructive (storage): disks are laid out when the host is deployed, and what is on them is lost
Node control1: gone  destructive: nothing describes the host any more: what Slipway made on it goes
Node control9: new
2 Nodes change, 2 of them destructively; 1 Node is new; 1 Node is gone
";
    assert_eq!(ran.out, wanted);
    let json = diff(old.path(), new.path(), &["-o", "json"]);
    let told: Value = serde_json::from_str(&json.out).unwrap();
    let compute = &told["nodes"][0];
    assert_eq!(
        (&compute["name"], &compute["change"], &compute["destructive"]),
        (&"compute1".into(), &"Changed".into(), &true.into())
    );
    let change = &compute["changes"][1];
    assert_eq!(
        (&change["path"], &change["from"], &change["to"]),
        (&"platform.image".into(), &"jammy".into(), &"noble".into())
    );
    assert_eq!((&change["effect"], &change["rule"]), (&"Destructive".into(), &"deployment".into()));
    let coloured = diff(old.path(), new.path(), &["--color", "always"]);
    assert!(coloured.out.contains("\u{1b}[32mNode control9: new\u{1b}[0m"), "{}", coloured.out);
}

#[test]
fn harmless_changes_are_not_called_destructive() {
    let old = changed(&[]);
    let new = changed(&[
        (
            "design.yaml",
            &[
                ("name: console, value: ttyS1", "name: console, value: ttyS0"),
                ("tags: [control]", "tags: [control, new]"),
            ],
        ),
        (
            "nodes.yaml",
            &[
                ("rack: r2", "rack: r1"),
                ("  bootMac: 52:54:00:00:00:12\n", "  bootMac: 52:54:00:00:00:12\n  cordon: true\n"),
            ],
        ),
    ]);
    let json = diff(old.path(), new.path(), &["-o", "json"]);
    assert_eq!(json.code, 1, "{}", json.err);
    let told: Value = serde_json::from_str(&json.out).unwrap();
    let of = |name: &str| -> Vec<(String, Value)> {
        let node = told["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
        assert_eq!(node["destructive"], false, "{node}");
        let changes = node["changes"].as_array().unwrap().iter();
        changes.map(|change| (change["path"].as_str().unwrap().to_owned(), change["rule"].clone())).collect()
    };
    assert_eq!(
        of("control1"),
        [
            ("metadata.tags".to_owned(), Value::Null),
            ("platform.kernelParams.console.value".to_owned(), "restart".into())
        ]
    );
    let paths: Vec<String> = of("compute2").into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["platform.kernelParams.console.value", "rack", "spec.cordon"]);
}

#[test]
fn a_diff_wants_two_sites_without_errors() {
    let old = changed(&[]);
    let broken = changed(&[("design.yaml", &[("extends: base", "extends: bass")])]);
    let ran = diff(old.path(), broken.path(), &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(
        ran.out.contains("Node control1: not compared") && ran.err.contains("the new site has errors"),
        "{}{}",
        ran.out,
        ran.err
    );
    let ran = diff(broken.path(), old.path(), &[]);
    assert!(ran.code == 1 && ran.err.contains("there is something wrong with these files"), "{}{}", ran.out, ran.err);
    let ran = slipway(old.path(), &["diff", "-f", "site"], "");
    assert!(ran.code == 2 && ran.err.contains("give -f twice"), "{}", ran.err);
}

fn graph(directory: &Path) -> String {
    let ran = slipway(directory, &["graph", "-f", "site", "-o", "svg"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("<?xml"), "{}", ran.out);
    ran.out
}

/// Whether an XML parser takes it; where there is none on this machine the shape is looked at.
fn is_well_formed(svg: &str) -> bool {
    let mut tags: Vec<&str> = Vec::new();
    for piece in svg.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else { return false };
        if text.contains('>') || tag.starts_with('?') {
            continue;
        }
        match (tag.strip_prefix('/'), tag.ends_with('/')) {
            (Some(name), _) if tags.pop() != Some(name) => return false,
            (None, false) => tags.push(tag.split([' ', '\n']).next().unwrap_or_default()),
            _ => {}
        }
    }
    tags.is_empty()
}

#[test]
fn the_picture_in_the_documents_is_that_of_the_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ran = slipway(&root, &["graph", "-f", "manifests/samples/lab"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown = std::fs::read_to_string(root.join("docs/images/lab.svg")).unwrap_or_default();
    assert!(
        ran.out == shown,
        "run `slipway graph -f manifests/samples/lab > docs/images/lab.svg` and look at the picture"
    );
}

#[test]
fn the_picture_holds_all_of_a_small_site() {
    let svg = graph(changed(&[]).path());
    assert!(is_well_formed(&svg), "{svg}");
    for wanted in
        ["Design lab", ">r1<", ">compute2<", ">data<", "mgmt  172.16.1.0/24  VLAN 100", "bond0 (nic2, nic3) on data"]
    {
        assert!(svg.contains(wanted), "{wanted}\n{svg}");
    }
    for foreign in ["href", "<script", "<image", "url("] {
        assert!(!svg.contains(foreign), "{foreign}");
    }
}

#[test]
fn hostile_names_do_nothing_to_the_picture() {
    let hostile = "'</text><script>alert(1)</script>&amp;\\u0000'".replace('\'', "\"");
    let files = changed(&[
        ("racks.yaml", &[("name: r1", &format!("name: {hostile}"))]),
        ("nodes.yaml", &[("rack: r1", &format!("rack: {hostile}"))]),
    ]);
    let svg = graph(files.path());
    assert!(is_well_formed(&svg) && !svg.contains("<script"), "{svg}");
    assert!(svg.contains("&lt;/text&gt;&lt;script&gt;"), "{svg}");
}

#[test]
fn a_large_site_is_drawn_by_profiles() {
    let node = |number: usize| {
        format!(
            "---\napiVersion: slipway.dev/v1alpha1\nkind: Node\nmetadata: {{name: n{number}}}\nspec: {{designRef: {{name: lab}}, hostProfile: compute, rack: r{}}}\n",
            number % 2 + 1
        )
    };
    let files = changed(&[]);
    fs::write(files.path().join("site/more.yaml"), (0..400).map(node).collect::<String>()).unwrap();
    let svg = graph(files.path());
    assert!(is_well_formed(&svg) && svg.contains(">201 ×<") && !svg.contains(">n7<"), "{}", svg.len());
}

#[test]
fn every_command_has_examples() {
    for command in ["check", "compile", "explain", "diff", "graph"] {
        let ran = slipway(Path::new("."), &[command, "--help"], "");
        assert!(
            ran.code == 0 && ran.out.contains("Examples:\n  slipway ") && ran.out.contains("Exit code:"),
            "{}",
            ran.out
        );
    }
    assert!(sample().join("design.yaml").exists());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let command = format!("{} explain -f . control1 | head -1", env!("CARGO_BIN_EXE_slipway"));
    let ran = Command::new("sh").args(["-c", &command]).current_dir(sample()).output().unwrap();
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stderr).is_empty(), "{ran:?}");
}
