//! `slipway import drydock`.

use std::fs;

use crate::support::{directory, slipway};

const DRYDOCK: &str = include_str!("../../../plan/src/formats/drydock/fixtures/full.yaml");

#[test]
fn a_drydock_site_becomes_files() {
    let files = directory(&[("full.yaml", DRYDOCK)]);
    let import = ["import", "drydock", "full.yaml", "-o", "out/site"];
    let ran = slipway(files.path(), &import, "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("full.yaml:185:48: warning: the node `Node-01` is called `node-01` now"), "{}", ran.err);
    assert!(ran.err.ends_with("imported 15 documents: 1 Design, 2 Nodes, 4 Secrets, into out/site\n"), "{}", ran.err);
    assert!(!ran.err.contains("hunter"), "{}", ran.err);
    let read = || {
        let entries = fs::read_dir(files.path().join("out/site")).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let first = read();
    let names: Vec<String> = first.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "design-north-1.yaml",
            "node-node-01.yaml",
            "node-node-02.yaml",
            "secret-base-profile-profile-bmc.yaml",
            "secret-edge-profile-bmc.yaml",
            "secret-node-02-node-bmc.yaml",
            "secret-north-1-drydock.yaml"
        ]
    );
    for (path, text) in &first {
        let is_secret = path.to_str().unwrap().contains("/secret-");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777;
        // Nobody but the owner may read a Secret.
        assert_eq!((text.contains("hunter"), mode.trailing_zeros() >= 6), (is_secret, is_secret), "{}", path.display());
    }
    assert_eq!(slipway(files.path(), &import, "").code, 0);
    assert!(read() == first, "a second import writes the same");
}

#[test]
fn what_drydock_would_refuse_is_not_written_by_halves() {
    let good = "schema: drydock/Region/v1\nmetadata: {name: lab}\ndata: {}\n";
    let bad = "---\nschema: drydock/Network/v1\nmetadata: {name: net}\ndata: {cidr: 10.0.0.0/8, vlan: 100}\n";
    let files = directory(&[("site.yaml", &format!("{good}{bad}"))]);
    let import = ["import", "drydock", "site.yaml", "-o", "out"];
    let ran = slipway(files.path(), &import, "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.starts_with("site.yaml:7:32: error: 100 where text is wanted (DD001) [data.vlan]; write \"100\"\n"),
        "{}",
        ran.err
    );
    assert!(!files.path().join("out").exists());
    let ran = slipway(files.path(), &[&import[..], &["--keep-going", "--namespace", "lab"]].concat(), "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(fs::read_to_string(files.path().join("out/design-lab.yaml")).unwrap().contains("namespace: lab"));
    let streamed = slipway(files.path(), &["import", "drydock", "-", "--name", "other"], good);
    assert!(
        streamed.code == 0 && streamed.out.contains("kind: Design") && streamed.out.contains("name: other"),
        "{}",
        streamed.err
    );
}

#[test]
fn hostile_sites_are_refused_with_their_place() {
    let files = directory(&[
        ("tab.yaml", "schema: drydock/Region/v1\ndata:\n\ta: b\n"),
        ("large.yaml", &"a: b\n".repeat(4 << 20)),
    ]);
    fs::write(files.path().join("latin.yaml"), b"schema: drydock/Region/v1\nmetadata: {name: caf\xe9}\n").unwrap();
    for (name, code, wanted) in [
        ("tab.yaml", 1, "tab.yaml:3:2: error: tabs disallowed"),
        ("large.yaml", 2, "large.yaml has more than 16 MiB"),
        ("latin.yaml", 2, "latin.yaml:2:21: the file is not UTF-8 text"),
    ] {
        let ran = slipway(files.path(), &["import", "drydock", name], "");
        assert!(ran.code == code && ran.err.contains(wanted) && ran.out.is_empty(), "{name}: {} {}", ran.code, ran.err);
    }
}
