//! `slipway check` of Designs and their Nodes.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::support::{changed, directory, sample, sample_file, site, slipway};

#[test]
fn the_sample_is_right() {
    let ran = slipway(&sample(), &["check", "-f", "."], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.ends_with("checked 5 objects in 4 files: 0 errors, 0 warnings\n"), "{}", ran.err);
}

#[test]
fn a_site_is_one_whichever_files_it_is_in() {
    let wrong = &[("172.16.1.21}", "172.16.1.20}")];
    let files = changed(&[("nodes.yaml", wrong)]);
    let one = |name: &str| fs::read_to_string(files.path().join("site").join(name)).unwrap();
    let stream = [one("design.yaml"), one("racks.yaml"), one("nodes.yaml")].join("---\n");
    let list = "apiVersion: v1\nkind: List\nitems:\n".to_owned()
        + &stream.split("---\n").fold(String::new(), |mut list, document| {
            let _ = write!(list, "-\n{}", document.lines().fold(String::new(), |text, line| text + "  " + line + "\n"));
            list
        });
    for (arguments, stdin, at) in [
        (&["check", "-f", "site"][..], "", "site/nodes.yaml:14:32: error: 172.16.1.20 is given to Node compute1 too "),
        (&["check", "-f", "."], "", "./site/nodes.yaml:14:32: error: "),
        (&["check", "-f", "s*/*.yaml"], "", "site/nodes.yaml:14:32: error: "),
        (
            &["check", "-f", "site/nodes.yaml", "-f", "site/design.yaml", "-f", "site/racks.yaml"],
            "",
            "site/nodes.yaml:",
        ),
        (&["check", "-f", "-"], stream.as_str(), "<stdin>:"),
        (&["check", "-f", "-"], list.as_str(), "<stdin>:"),
    ] {
        let ran = slipway(files.path(), arguments, stdin);
        assert_eq!(ran.code, 1, "{arguments:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out.matches("(DD2005)").count(), 1, "{arguments:?}: {}", ran.out);
        assert!(ran.out.starts_with(at), "{arguments:?}: {}", ran.out);
        assert!(ran.err.contains("1 error, 0 warnings"), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn findings_name_their_rule_and_object() {
    let files = changed(&[
        ("nodes.yaml", &[("172.16.1.20}", "172.16.2.20}")]),
        ("design.yaml", &[("size: 30g", "size: \"30\"")]),
    ]);
    let ran = slipway(files.path(), &["check", "-f", "site", "-o", "json"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    let findings: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let address = findings.iter().find(|finding| finding["object"] == "Node/control1").unwrap();
    for (key, wanted) in [("file", "site/nodes.yaml"), ("severity", "Error"), ("path", "spec.addressing[2].address")] {
        assert_eq!(address[key], wanted, "{address}");
    }
    assert_eq!((&address["line"], &address["column"]), (&14.into(), &32.into()), "{address}");
    for key in ["code", "rule", "message", "hint"] {
        assert!(!address[key].as_str().unwrap().is_empty(), "{address}");
    }
    let size = findings.iter().find(|finding| finding["object"] == "Design/lab").unwrap();
    assert_eq!((&size["code"], &size["file"]), (&"DD2003".into(), &"site/design.yaml".into()), "{size}");
    let sarif = slipway(files.path(), &["check", "-f", "site", "-o", "sarif"], "");
    let log: Value = serde_json::from_str(&sarif.out).unwrap();
    let ids: Vec<&str> =
        log["runs"][0]["results"].as_array().unwrap().iter().map(|r| r["ruleId"].as_str().unwrap()).collect();
    assert!(ids.contains(&"DD2003/StorageSizing"), "{ids:?}");
    let github = slipway(files.path(), &["check", "-f", "site", "-o", "github"], "");
    assert!(github.out.contains("::error file=site/nodes.yaml,line=14,col=32,title="), "{}", github.out);
}

#[test]
fn what_a_config_map_includes_is_shown_in_its_file() {
    let config = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: parts}
data:
  racks.yaml: |
    racks:
      - {name: r1, localNetworks: [nope]}
  hardware.yaml: |2

    # kinds of machine
    hardwareProfiles:
      - name: hp
        bootMode: Bioss
  quoted.yaml: \"networks: [{name: a, cidr: 10.0.0.1/8}]\"
  broken.yaml: |
    racks: [
";
    let include = |keys: &[&str]| {
        let keys: Vec<_> =
            keys.iter().map(|key| format!("    - configMapKeyRef: {{name: parts, key: {key}.yaml}}\n")).collect();
        let design = site(&format!("  include:\n{}", keys.concat()));
        let files = directory(&[("design.yaml", &design), ("parts.yaml", config)]);
        let ran = slipway(files.path(), &["check", "-f", "."], "");
        assert_eq!(ran.code, 1, "{}", ran.err);
        ran.out
    };
    let tells = |out: &str, wanted: &str| out.lines().any(|line| line.starts_with(wanted));
    let undefined = "./parts.yaml:7:36: warning: network `nope` is not defined (SD1001) [data.racks.yaml.racks[0].localNetworks[0]]";
    let told = [
        "./parts.yaml:13:19: error: `Bioss` is none of Bios, Uefi (DD001) [data.hardware.yaml.hardwareProfiles[0].bootMode]; did you mean `Bios`?",
        "./parts.yaml:14:16: error: ",
    ];
    let out = include(&["racks", "hardware", "quoted"]);
    for wanted in told.iter().chain([&undefined]) {
        assert!(tells(&out, wanted), "{wanted}\n{out}");
    }
    // What a part that cannot be read defines is not known, so that nothing is told to be undefined.
    let out = include(&["racks", "hardware", "quoted", "broken"]);
    for wanted in told.iter().chain([&"./parts.yaml:16:12: error: unclosed bracket"]) {
        assert!(tells(&out, wanted), "{wanted}\n{out}");
    }
    assert!(!tells(&out, undefined), "{out}");
}

#[test]
fn a_node_whose_design_is_not_given_is_noted() {
    let files = changed(&[]);
    let ran = slipway(files.path(), &["check", "-f", "site/nodes.yaml"], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("note: Node control1 and 2 more: Design lab is not given"), "{}", ran.err);
    let files = changed(&[("nodes.yaml", &[("{name: lab}", "{name: lba}")])]);
    let ran = slipway(files.path(), &["check", "-f", "site"], "");
    assert!(
        ran.err.contains("note: Node control1: Design lba is not given") && ran.err.contains("did you mean `lab`?"),
        "{}",
        ran.err
    );
}

#[test]
fn a_node_of_a_part_belongs_to_no_site() {
    let files = changed(&[("nodes.yaml", &[("{name: lab}", "{name: lab-racks}")])]);
    let ran = slipway(files.path(), &["check", "-f", "site"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    let wanted =
        "site/nodes.yaml:7:21: error: Design/lab-racks is a part of another Design, and no site of its own (SD1001)";
    assert!(ran.out.lines().any(|line| line.starts_with(wanted)), "{}", ran.out);
}

#[test]
fn a_broken_part_hides_nothing_else() {
    let files = changed(&[
        ("design.yaml", &[("cidr: 172.16.1.0/24", "cidr: [172.16.1.0/24]"), ("size: 1g", "size: 1k")]),
        ("nodes.yaml", &[("52:54:00:00:00:12", "52:54:00:00:00")]),
    ]);
    fs::write(files.path().join("site/other.yaml"), "kind: Node\n\tname: x\n").unwrap();
    let ran = slipway(files.path(), &["check", "-f", "site"], "");
    assert_eq!(ran.code, 1);
    for code in ["(DD001)", "(DD2003)", "(SD4001)", "(YamlSyntax)"] {
        assert!(ran.out.contains(code), "{code}\n{}", ran.out);
    }
    assert!(!ran.out.contains("`mgmt` is not defined"), "a network that could not be read is defined:\n{}", ran.out);
    // What cannot be read at all is told as well, and is no finding.
    let ran = slipway(files.path(), &["check", "-f", "site", "-f", "nowhere.yaml"], "");
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("(DD2003)") && ran.err.contains("cannot read nowhere.yaml"), "{}{}", ran.out, ran.err);
}

#[test]
fn sites_of_several_namespaces_do_not_meet() {
    let all = |namespace: &str| {
        let files = ["design.yaml", "racks.yaml", "nodes.yaml"].map(|name| sample_file(name, &[]));
        files.join("---\n").replace("metadata:\n  name: ", &format!("metadata:\n  namespace: {namespace}\n  name: "))
    };
    let files = directory(&[("a.yaml", &all("north")), ("b.yaml", &all("south"))]);
    let ran = slipway(files.path(), &["check", "-f", "."], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    let files = directory(&[("a.yaml", &all("north")), ("b.yaml", &all("north"))]);
    let ran = slipway(files.path(), &["check", "-f", "."], "");
    assert!(
        ran.out.starts_with("./b.yaml:") && ran.out.contains("is defined at ./a.yaml:7:9 already (SD1003)"),
        "{}",
        ran.out
    );
}

#[test]
fn large_objects_are_told() {
    let with = |bytes: usize| {
        let keys = (0..bytes / 1000).fold(String::from("  authorizedKeys:\n"), |mut text, number| {
            let _ = writeln!(text, "    - ssh-ed25519 {}{number}", "A".repeat(980));
            text
        });
        let files = directory(&[("large.yaml", &site(&keys))]);
        slipway(files.path(), &["check", "-f", "large.yaml"], "")
    };
    let small = with(200_000);
    assert!(small.code == 0 && !small.out.contains("(SD1007)"), "{}", small.err);
    let large = with(400_000);
    assert_eq!(large.code, 0, "{}", large.out);
    assert!(large.out.contains("warning: ") && large.out.contains("(SD1007)") && large.out.contains("--server-side"));
    let larger = with(1_700_000);
    assert_eq!(larger.code, 1);
    assert!(larger.out.contains("error: the object has") && larger.out.contains("split the site with include"));
}

#[test]
fn designs_that_include_only_each_other_are_looked_at() {
    let design = |name: &str, other: &str| {
        format!(
            "---\napiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {{name: {name}}}\nspec: {{include: [{{designRef: {{name: {other}}}}}]}}\n"
        )
    };
    let files = directory(&[("a.yaml", &(design("a", "b") + &design("b", "a")))]);
    let ran = slipway(files.path(), &["check", "-f", "a.yaml"], "");
    assert!(ran.code == 1 && ran.out.contains("is a part of this site already (SD1006)"), "{}{}", ran.out, ran.err);
}

#[test]
fn the_version_must_be_named() {
    let files = directory(&[("a.yaml", "kind: Design\nmetadata: {name: lab}\nspec: {}\n")]);
    let ran = slipway(files.path(), &["check", "-f", "a.yaml"], "");
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("a.yaml:1:7: error: is missing (RequiredField) [apiVersion]; write slipway.dev/v1alpha1"),
        "{}",
        ran.out
    );
}

#[test]
fn what_is_read_otherwise_is_shown_as_it_is_written() {
    let text = "apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {name: 123, namespace: 5, labels: {a: on, b: }}\n\
                spec:\n  hostProfiles:\n    - {name: base, platform: {kernel: 5.10, kernelParams: [{name: x, value: 0x10}]}}\n\
                ---\napiVersion: slipway.dev/v1alpha1\nkind: Node\nmetadata: {name: n, annotations: }\nspec: {}\n";
    let ran = slipway(directory(&[("a.yaml", text)]).path(), &["check", "-f", "a.yaml"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    for line in [
        "a.yaml:3:18: error: `123` where text is wanted (InvalidValue) [metadata.name]; write \"123\"",
        "a.yaml:3:34: error: `5` where text is wanted (InvalidValue) [metadata.namespace]; write \"5\"",
        "a.yaml:3:49: error: `on`, which is read as true, where text is wanted (InvalidValue) [metadata.labels.a]; write \"on\"",
        "a.yaml:6:39: error: `5.10`, which is read as 5.1, where text is wanted (DD001) \
         [spec.hostProfiles[0].platform.kernel]; write \"5.10\"",
        "a.yaml:6:77: error: `0x10`, which is read as 16, where text is wanted (DD001) \
         [spec.hostProfiles[0].platform.kernelParams[0].value]; write \"0x10\"",
        "a.yaml:10:18: error: `n`, which is read as false, where text is wanted (InvalidValue) [metadata.name]; write \"n\"",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    assert!(!ran.out.contains("is missing") && !ran.out.contains("is defined at"), "{}", ran.out);
}

/// An API server tells the items of a keyed list apart by their keys.
#[test]
fn items_of_a_keyed_list_are_told_apart() {
    let text = "apiVersion: slipway.dev/v1alpha1\nkind: Node\nmetadata: {name: n1}\nspec:\n  interfaces:\n    - {name: e0}\n    - {name: e0}\n";
    let ran = slipway(directory(&[("a.yaml", text)]).path(), &["check", "-f", "a.yaml"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    let line = "a.yaml:7:7: error: an item before it has the same name (InvalidValue) [spec.interfaces[1]]";
    assert!(ran.out.contains(line), "{}", ran.out);
}
