//! Rules about sites as wholes: broken ones, empty ones, several Designs, other objects, sizes.

use slipway_plan::Severity;
use slipway_plan::design::rules::Check;

use super::is_of;
use crate::support::Site;

#[test]
fn one_mistake_in_a_profile_is_told_once() {
    let site = Site::lab(&[("root, size: 20g", "root, size: 10g")]);
    let found: Vec<_> = site.findings.iter().filter(|f| is_of(f, Check::RootTooSmall)).collect();
    assert_eq!(found.len(), 1, "{}", site.told());
    assert_eq!(found[0].object.as_deref(), Some("Design/lab"));
    assert_eq!(found[0].path, "spec.hostProfiles[0].storage.disks[0].partitions[0].size");
}

/// What every Node overrides keeps nothing from being used; what one Node follows does.
#[test]
fn a_mistake_that_all_nodes_override_is_a_warning() {
    const DESIGN: &str = "kind: Design\nmetadata: {name: lab}\nspec:\n  networks: [{name: a, cidr: 10.0.0.0/24}, {name: b, cidr: \
                          10.0.1.0/24}]\n  networkLinks: [{name: l, trunking: {mode: 802.1q}, allowedNetworks: [a]}]\n  \
                          hardwareProfiles: [{name: any}]\n  hostProfiles: [{name: base, hardwareProfile: any, interfaces: [{name: \
                          e0, link: l, slaves: [e0], networks: [a, b]}]}]\n";
    let node = |name: &str, more: &str| {
        format!(
            "---\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{designRef: {{name: lab}}, hostProfile: base{more}}}\n"
        )
    };
    let told = |nodes: [String; 2]| {
        let site = Site::of(DESIGN.to_owned() + &nodes.concat());
        let errors = site.findings.iter().filter(|finding| is_of(finding, Check::NetworkNotAllowed)).count();
        let all = site.findings.iter().filter(|finding| finding.message.contains("does not allow")).count();
        (errors, all)
    };
    let without = |name| node(name, ", interfaces: [{name: e0, networks: ['!b']}]");
    assert_eq!(told([node("n1", ""), node("n2", "")]), (1, 1));
    assert_eq!(told([without("n1"), without("n2")]), (0, 1), "a warning, as all Nodes take it away");
    assert_eq!(told([without("n1"), node("n2", "")]), (1, 1), "one Node follows it");
    let other = node("n2", ", interfaces: [{name: e1, link: l, slaves: [e1], networks: [a]}]");
    assert_eq!(told([without("n1"), other]), (1, 1), "it overrides something else");
}

#[test]
fn a_broken_part_hides_nothing_of_the_rest() {
    let site = Site::lab(&[
        (
            "    - name: pxe\n      cidr: 172.16.0.0/24\n      mtu: 1500",
            "    - name: pxe\n      cidr: [172.16.0.0/24]\n      mtu: 1500",
        ),
        ("gateway: 172.16.1.2}", "gateway: 172.16.2.2}"),
        ("vlan: 300", "vlan: many"),
        ("address: 172.16.1.20", "address: 172.16.2.20"),
        ("hostProfile: base\n  rack: r2\n  bootMac", "hostProfile: [base]\n  rack: r2\n  bootMac"),
    ]);
    for (check, at) in [
        (Check::InvalidField, "cidr: [172.16.0.0/24]"),
        (Check::InvalidField, "many"),
        (Check::InvalidField, "hostProfile: [base]"),
        (Check::GatewayOutside, "172.16.2.2"),
        (Check::AddressOutside, "172.16.2.20"),
    ] {
        let found = site.findings.iter().any(|f| is_of(f, check) && site.shown(f).starts_with(at));
        assert!(found, "{check:?} at {at}:\n{}", site.told());
    }
    let missing = site.findings.iter().any(|f| f.message.contains("is missing"));
    assert!(!missing, "what was left out is not missing too:\n{}", site.told());
    // The network that could not be read was left out, and is no undefined reference.
    assert!(!site.findings.iter().any(|f| is_of(f, Check::Undefined)), "{}", site.told());
}

/// The most usual slip, a size without quotes and unit, hides nothing of the storage but what depends on sizes.
#[test]
fn a_size_that_is_no_text_hides_no_disk() {
    let site =
        Site::lab(&[("root, size: 20g", "root, size: 20"), ("- {name: sdb, volumeGroup: vg0}", "- {name: sdb}")]);
    for (check, at) in [(Check::InvalidField, "20, bootable"), (Check::DiskUse, "{name: sdb}")] {
        let found = site.findings.iter().any(|f| is_of(f, check) && site.shown(f).starts_with(at));
        assert!(found, "{check:?} at {at}:\n{}", site.told());
    }
    assert!(!site.findings.iter().any(|f| is_of(f, Check::SizeMissing)), "{}", site.told());
}

#[test]
fn an_empty_site() {
    let site = Site::of("apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {name: x}\nspec: {}\n");
    let told: Vec<_> = site.findings.iter().map(|f| (f.code, f.severity)).collect();
    let codes = ["DD2002", "DD2002", "DD2005", "DD2006"].map(|code| (code, Severity::Warning));
    assert_eq!(told, codes, "{}", site.told());
}

#[test]
fn addresses_of_two_designs() {
    let design = |name: &str| {
        format!(
            "---\nkind: Design\nmetadata: {{name: {name}}}\nspec: {{networks: [{{name: a, cidr: 10.0.0.0/24}}]}}\n\
             ---\nkind: Node\nmetadata: {{name: {name}-1}}\n\
             spec: {{designRef: {{name: {name}}}, addressing: [{{network: a, address: 10.0.0.1}}]}}\n"
        )
    };
    let site = Site::of(design("one") + &design("two"));
    let found: Vec<_> = site.findings.iter().filter(|f| is_of(f, Check::AddressInOtherDesign)).collect();
    assert_eq!(found.len(), 1, "{}", site.told());
    assert!(found[0].message.contains("Node one-1 of Design one"), "{}", found[0].message);
    assert_eq!(found[0].object.as_deref(), Some("Node/two-1"));
}

#[test]
fn images_that_the_provisioner_lacks() {
    let site = Site::lab(&[]);
    let images = |images: &[(&str, &[&str])]| {
        let kernels = |kernels: &[&str]| kernels.iter().map(ToString::to_string).collect();
        images.iter().map(|(image, own)| ((*image).to_owned(), kernels(own))).collect()
    };
    assert!(site.compiler().check_platforms(&images(&[("jammy", &["ga-22.04"])])).is_empty());
    let wrong_kernel = site.compiler().check_platforms(&images(&[("jammy", &["hwe-22.04"])]));
    assert_eq!(wrong_kernel.len(), 1);
    assert!(
        is_of(&wrong_kernel[0], Check::ImageUnknown) && wrong_kernel[0].path == "spec.hostProfiles[0].platform.kernel"
    );
    let wrong_image = site.compiler().check_platforms(&images(&[("noble", &[])]));
    assert_eq!(wrong_image.len(), 1, "once, though three Nodes have it: {wrong_image:?}");
}

#[test]
fn large_objects() {
    use slipway_plan::design::DesignSource;
    let of = |bytes: usize| {
        let source = DesignSource::default().of_size(bytes);
        source.broken.findings().iter().map(|f| (f.code, f.severity)).collect::<Vec<_>>()
    };
    assert_eq!(of(200 << 10), []);
    assert_eq!(of(300 << 10), [("SD1007", Severity::Warning)]);
    assert_eq!(of(2 << 20), [("SD1007", Severity::Error)]);
}

#[test]
fn what_is_alike_and_not_the_same() {
    let site = Site::lab(&[
        // Hosts without a BMC to talk to are many.
        ("  rack: r1\n", "  rack: r1\n  bmc: {address: manual}\n"),
        (
            "bmc: {address: \"redfish+https://172.16.100.22/redfish/v1/Systems/1\", credentials: {secretRef: {name: compute2-bmc}}}",
            "bmc: {address: manual}",
        ),
        ("outOfBand: {type: Redfish}", "outOfBand: {type: Manual}"),
        // A profile that no Node follows may say what it likes.
        (
            "  bootActions:\n",
            "    - {name: spare, extends: nothing}\n    - {name: ring, extends: ring}\n  bootActions:\n",
        ),
        // More digits than usual are a file mode too.
        ("permissions: \"0555\"", "permissions: \"0o00755\""),
        // No reference at all.
        ("{name: console, value: ttyS2}", "{name: console, value: \"hardwareprofile:\"}"),
    ]);
    let told: Vec<_> = site.findings.iter().map(|f| (f.severity, f.code, f.path.as_str())).collect();
    let of = |code, path| (Severity::Warning, code, path);
    assert_eq!(
        told,
        [of("SD1001", "spec.hostProfiles[2].extends"), of("SD1002", "spec.hostProfiles[3].extends")],
        "{}",
        site.told()
    );
    assert_eq!(
        site.compiler().node("compute1").unwrap().platform.kernel_params[1].value.as_deref(),
        Some("hardwareprofile:")
    );
}

#[test]
fn a_host_that_the_design_does_not_provision() {
    let node = "---\nkind: Node\nmetadata: {name: there}\nspec: {designRef: {name: lab}, addressing: [{network: mgmt, address: 172.16.1.40}]}\n";
    let site = Site::of(format!("{}{node}", crate::support::LAB));
    assert!(site.findings.is_empty(), "neither disks nor boot actions are missing:\n{}", site.told());
}
