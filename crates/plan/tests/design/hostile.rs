//! Whatever is written, the answer comes soon, and says where.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::{LAB, Site};

/// Generous: for debug builds on a busy machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(40);

fn soon(what: &str, text: String) -> Site {
    let started = Instant::now();
    let site = Site::of(text);
    assert!(started.elapsed() < SOON, "{what} took {:?}", started.elapsed());
    site
}

fn design(spec: &str) -> String {
    format!("kind: Design\nmetadata: {{name: lab}}\nspec:\n{spec}")
}

#[test]
fn a_chain_of_profiles() {
    let mut spec = String::from("  hostProfiles:\n    - {name: p0}\n");
    for number in 1..5000 {
        let _ = writeln!(spec, "    - {{name: p{number}, extends: p{}}}", number - 1);
    }
    soon("a chain", design(&spec));
    let circle = spec.replace("{name: p0}", "{name: p0, extends: p4999}");
    let site = soon("a circle", design(&circle));
    assert_eq!(site.findings.iter().filter(|f| f.code == "SD1002").count(), 1, "{}", site.told());
}

#[test]
fn many_of_everything() {
    let mut spec = String::from("  networks:\n");
    for number in 0..4000 {
        let _ = writeln!(
            spec,
            "    - {{name: n{number}, cidr: 10.0.0.0/8, ranges: [{{type: Dhcp, start: 10.0.0.1, end: 10.0.0.9}}]}}"
        );
    }
    spec.push_str("  networkLinks:\n");
    for number in 0..500 {
        let _ = writeln!(spec, "    - {{name: l{number}, allowedNetworks: [n0, n1, n2]}}");
    }
    spec.push_str("  hostProfiles:\n    - name: p\n      storage:\n        disks:\n");
    for number in 0..3000 {
        let _ = writeln!(spec, "          - {{name: d{number}, volumeGroup: nope}}");
    }
    let node = "---\nkind: Node\nmetadata: {name: n}\nspec: {designRef: {name: lab}, hostProfile: p}\n";
    let site = soon("many parts", design(&spec) + node);
    assert_eq!(site.findings.iter().filter(|f| f.code == "SD3002").count(), 3000);
}

#[test]
fn a_route_domain_cannot_fill_the_memory() {
    let mut spec = String::from("  networks:\n");
    for number in 0..2000 {
        let (high, low) = (number / 256, number % 256);
        let _ = writeln!(
            spec,
            "    - {{name: n{number}, cidr: 10.{high}.{low}.0/24, routeDomain: d, routes: [{{routeDomain: d, gateway: 10.{high}.{low}.1}}]}}"
        );
    }
    let site = soon("routes", design(&spec));
    assert!(
        site.findings.iter().any(|f| f.code == "SD2006" && f.message.contains("more than")),
        "{}",
        site.findings.len()
    );
}

#[test]
fn wrong_types_everywhere() {
    for wrong in ["7", "[]", "{}", "text", "null", "true", "[[[]]]", "{a: {b: c}}", "[1, {name: x}, null]"] {
        for field in [
            "networks",
            "networkLinks",
            "racks",
            "hardwareProfiles",
            "hostProfiles",
            "bootActions",
            "rollout",
            "include",
            "maas",
        ] {
            let site = Site::of(design(&format!("  {field}: {wrong}\n  networks: [{{name: a, cidr: x}}]\n").replace(
                "  networks: [{name: a, cidr: x}]\n",
                if field == "networks" { "" } else { "  networks: [{name: a, cidr: x}]\n" },
            )));
            if field != "networks" {
                assert!(site.findings.iter().any(|f| f.code == "DD2006"), "{field}: {wrong}\n{}", site.told());
            }
            assert!(site.findings.iter().all(|f| f.place.is_some()), "{field}: {wrong}\n{}", site.told());
        }
    }
}

#[test]
fn texts_that_are_no_yaml() {
    for text in ["kind: Design\n\tspec: x", "kind: [", "a: b\na: c", "\u{0}", "--- ---", "%YAML 9"] {
        let site = Site::of(text);
        assert!(site.findings.iter().all(|f| f.place.is_some()), "{text}: {}", site.told());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, ..Default::default() })]

    /// A cut, a doubled piece or a foreign byte anywhere in a site.
    #[test]
    fn a_damaged_site(at in 0..LAB.len(), length in 0..200_usize, put in "[a-z:{}\\[\\]!,\\-\" \n0-9]{0,12}") {
        let start = LAB.floor_char_boundary(at);
        let end = LAB.floor_char_boundary((at + length).min(LAB.len()));
        let site = Site::of(format!("{}{put}{}", &LAB[..start], &LAB[end..]));
        for compiler in site.compiled.values() {
            let _ = compiler.hash();
            for node in compiler.nodes() {
                let _ = compiler.explain(&node.name, "");
            }
        }
    }
}
