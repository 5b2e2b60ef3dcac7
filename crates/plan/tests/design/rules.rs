//! Each rule fires on the example that breaks it, at the line that does, and on no valid site.

use std::collections::BTreeSet;

use slipway_plan::design::RULES;
use slipway_plan::design::rules::Check;
use slipway_plan::{Finding, Severity};

use crate::support::Site;

/// What breaks a rule: changes of the lab, a piece of the message, the text that the finding points at.
struct Case {
    check: Check,
    changes: &'static [(&'static str, &'static str)],
    message: &'static str,
    at: &'static str,
}

const fn case(
    check: Check,
    changes: &'static [(&'static str, &'static str)],
    message: &'static str,
    at: &'static str,
) -> Case {
    Case { check, changes, message, at }
}

const CASES: &[Case] = &[
    case(Check::InvalidField, &[("mtu: 1500", "mtu: large")], "`large` where an integer", "large"),
    case(Check::InvalidField, &[("primaryNetwork: mgmt", "primaryNetworks: mgmt")], "is not a field here", "mgmt"),
    case(Check::InvalidField, &[("      cidr: 172.16.0.0/24\n", "")], "`cidr` is missing", "name: pxe"),
    case(
        Check::RootMissing,
        &[
            ("name: root, size: 20g, bootable: true, filesystem: {mountpoint: /}", "name: sys, size: 20g"),
            ("{name: root, size: 30g}", "{name: sys, size: 30g}"),
        ],
        "no root volume",
        "storage:",
    ),
    case(Check::RootTooSmall, &[("root, size: 20g", "root, size: 10g")], "10000000000", "10g"),
    case(
        Check::RootTooSmall,
        &[("{name: root, size: 20g, bootable: true", "{name: sys, size: 10gi")],
        "sys has",
        "10gi",
    ),
    case(Check::BootTooSmall, &[("boot, size: 1g", "boot, size: 900m")], "boot has 900000000", "900m"),
    case(Check::BondDelay, &[("upDelay: 200", "upDelay: 50")], "upDelay of 50 ms", "50"),
    case(Check::BondOption, &[("mode: 802.3ad", "mode: active-backup")], "hash has no effect", "layer3+4"),
    case(Check::BondOptionIgnored, &[("mode: 802.3ad", "mode: balance-rr")], "peerRate has no effect", "slow"),
    case(
        Check::NetworkOnTwoLinks,
        &[("[mgmt, storage, v6]\n  hostProfiles", "[mgmt, storage, v6, pxe]\n  hostProfiles")],
        "pxe is allowed on link gp and on link pxe",
        "pxe]",
    ),
    case(
        Check::NetworkNotAllowed,
        &[("slaves: [nic1], networks: [pxe]", "slaves: [nic1], networks: [pxe, oob]")],
        "does not allow network oob",
        "oob]",
    ),
    case(Check::LinkUndefined, &[("link: pxe, slaves", "link: pxxe, slaves")], "`pxxe`, which is not defined", "pxxe"),
    case(Check::LinkMissing, &[("link: pxe, slaves", "slaves")], "pxe has networks, and is on no link", "pxe]"),
    case(
        Check::HugepagesIncomplete,
        &[("      - {name: hugepagesz, value: \"hardwareprofile:hugepages.dpdk.size\"}\n", "")],
        "hugepagesz is not",
        "{name: hugepages,",
    ),
    case(
        Check::RouteWithoutGateway,
        &[("{subnet: 192.168.0.0/16, gateway: 172.16.1.2}", "{subnet: 192.168.0.0/16}")],
        "no gateway",
        "{subnet: 192.168.0.0/16}",
    ),
    case(
        Check::GatewayOutside,
        &[("gateway: 172.16.1.2}", "gateway: 172.16.2.2}")],
        "172.16.2.2 is not in network mgmt",
        "172.16.2.2",
    ),
    case(
        Check::AddressNetworkUndefined,
        &[("{network: mgmt, address: 172.16.1.20}", "{network: mgmtt, address: 172.16.1.20}")],
        "`mgmtt` is not defined",
        "mgmtt",
    ),
    case(
        Check::AddressOutside,
        &[("172.16.1.20}", "172.16.2.20}")],
        "172.16.2.20 is not in network mgmt",
        "172.16.2.20",
    ),
    case(
        Check::AddressUnreadable,
        &[("172.16.1.20}", "172.16.1.300}")],
        "`172.16.1.300` is no address",
        "172.16.1.300",
    ),
    case(Check::DiskUse, &[("{name: sdb, volumeGroup: vg0}", "{name: sdb}")], "neither partitions nor", "{name: sdb}"),
    case(
        Check::DiskUse,
        &[("{name: sdb, volumeGroup: vg0}", "{name: sdb, volumeGroup: vg0, partitions: [{name: x, size: 1g}]}")],
        "both partitions and",
        "{name: sdb,",
    ),
    case(
        Check::PartitionUse,
        &[(
            "volumeGroup: vg0}\n          - {name: sdb",
            "volumeGroup: vg0, filesystem: {mountpoint: /pv}}\n          - {name: sdb",
        )],
        "both a file system and",
        "vg0, filesystem",
    ),
    case(
        Check::VolumeGroupWithoutDisk,
        &[("          - {name: sdc, volumeGroup: vg0}\n", "")],
        "vg0 has no disk",
        "name: vg0",
    ),
    case(
        Check::VolumeGroupWithoutDisk,
        &[("{name: sdc, volumeGroup: vg0}", "{name: sdc, volumeGroup: vg1}")],
        "`vg1` is not defined, and vg0 has no disk",
        "vg1",
    ),
    case(Check::MtuOutOfRange, &[("mtu: 1500", "mtu: 900")], "900 is not between", "900"),
    case(Check::MtuAboveLink, &[("mtu: 1500", "mtu: 1501")], "1501", "1501"),
    case(
        Check::MtuAboveLink,
        &[("mtu: 1500", "mtu: 1501"), ("allowedNetworks: [oob]\n", "allowedNetworks: [oob, pxe]\n      mtu: 9000\n")],
        "its link pxe one of 1500",
        "1501",
    ),
    case(
        Check::TaggedMtuAboveLink,
        &[("      mtu: 9000\n      trunking", "      mtu: 8999\n      trunking")],
        "storage has an MTU of 9000",
        "9000",
    ),
    case(Check::SizeUnreadable, &[("size: 20g", "size: 20k")], "`20k` is not a size", "20k"),
    case(Check::SizeMissing, &[("{name: boot, size: 1g, ", "{name: boot, ")], "boot has no size", "{name: boot"),
    case(Check::SizeTrailing, &[("size: 20g", "size: 20gfoo")], "`foo` behind", "20gfoo"),
    case(Check::SizePercent, &[("log, size: 500m", "log, size: 40%")], "add up to 100", "60%"),
    case(
        Check::TrunkingNeeded,
        &[("trunking: {mode: 802.1q}", "trunking: {mode: disabled, defaultNetwork: storage}")],
        "allows 3 networks",
        "allowedNetworks",
    ),
    case(
        Check::DefaultNetworkMissing,
        &[("trunking: {mode: disabled, defaultNetwork: pxe}", "trunking: {mode: disabled}")],
        "neither trunking nor",
        "trunking:",
    ),
    case(
        Check::DefaultNetworkTagged,
        &[("      mtu: 1500\n", "      mtu: 1500\n      vlan: 7\n")],
        "VLAN tag 7",
        "pxe}",
    ),
    case(
        Check::MountpointTwice,
        &[("{mountpoint: /data}", "{mountpoint: /var/log}")],
        "mounted at /var/log",
        "/var/log}}",
    ),
    case(
        Check::AddressTwice,
        &[("address: 172.16.1.21", "address: 172.16.1.20")],
        "172.16.1.20 is given to Node compute1 too",
        "172.16.1.20",
    ),
    case(Check::CidrInvalid, &[("172.16.0.0/24", "172.16.0.0/33")], "is no network", "172.16.0.0/33"),
    case(Check::CidrHostBits, &[("172.16.0.0/24", "172.16.0.1/24")], "bits set", "172.16.0.1/24"),
    case(
        Check::FqdnTooLong,
        &[(
            "mgmt.lab.example.com",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        )],
        "characters",
        "control1",
    ),
    case(Check::FqdnLabel, &[("mgmt.lab.example.com", "mgmt_lab.example.com")], "`mgmt_lab`", "mgmt_lab"),
    case(Check::IpmiIncomplete, &[("        credentials: {secretRef: {name: bmc}}\n", "")], "no credentials", "Ipmi"),
    case(
        Check::IpmiAddress,
        &[("    - {network: oob, address: 172.16.100.20}\n", "")],
        "no static address on the out-of-band",
        "addressing:",
    ),
    case(
        Check::NoBootAction,
        &[("    - name: hello\n", "    - name: hello\n      nodeFilter: {filters: [{names: [control1]}]}\n")],
        "no boot action",
        "spec:",
    ),
    case(
        Check::LibvirtUri,
        &[("outOfBand: {type: Redfish}", "outOfBand: {type: Libvirt, libvirtUri: \"qemu+tcp://h/system\"}")],
        "qemu+tcp://h/system",
        "\"qemu+tcp",
    ),
    case(
        Check::LibvirtBootMac,
        &[("outOfBand: {type: Redfish}", "outOfBand: {type: Libvirt, libvirtUri: \"qemu+ssh://h/system\"}")],
        "no bootMac",
        "spec:",
    ),
    case(
        Check::PackagesMissing,
        &[("packages: [{name: jq, version: 1.6-2.1ubuntu3}, {name: curl}]", "packages: []")],
        "neither packages nor",
        "packages: []",
    ),
    case(Check::PackageVersion, &[("1.6-2.1ubuntu3", "':)'")], "`:)`", "':)'"),
    case(
        Check::Undefined,
        &[("hostProfile: control", "hostProfile: controll")],
        "`controll` is not defined",
        "controll",
    ),
    case(Check::Undefined, &[("extends: base", "extends: bass")], "`bass` is not defined", "bass"),
    case(
        Check::Undefined,
        &[("hardwareProfile: hp-small", "hardwareProfile: hp-tiny")],
        "`hp-tiny` is not defined",
        "hp-tiny",
    ),
    case(
        Check::Undefined,
        &[("[mgmt, storage, v6]\n  hostProfiles", "[mgmt, storage, v6, vv]\n  hostProfiles")],
        "`vv` is not defined",
        "vv]",
    ),
    case(Check::Undefined, &[("defaultNetwork: pxe}", "defaultNetwork: pxee}")], "`pxee` is not defined", "pxee}"),
    case(
        Check::UndefinedHarmless,
        &[("trunking: {mode: 802.1q}", "trunking: {mode: 802.1q, defaultNetwork: native}")],
        "`native` is not defined",
        "native}",
    ),
    case(
        Check::NodeUndefined,
        &[("- {tags: [control]}\n", "- {tags: [control]}\n          - {names: [control1, n99]}\n")],
        "`n99` is not in this site",
        "n99]",
    ),
    case(
        Check::NodeUndefined,
        &[("selector: {filters: [{tags: [control]}]}", "selector: {filters: [{tags: [control]}, {names: [n98]}]}")],
        "`n98` is not in this site",
        "n98]",
    ),
    case(
        Check::Undefined,
        &[("network: oob\n", "network: oobb\n")],
        "`oobb` is not defined; did you mean `oob`?",
        "oobb",
    ),
    case(Check::UndefinedHarmless, &[("rack: r1", "rack: r9")], "`r9` is not defined", "r9"),
    case(Check::UndefinedHarmless, &[("localNetworks: [pxe]", "localNetworks: [pxx]")], "`pxx` is not defined", "pxx"),
    case(
        Check::InheritanceCycle,
        &[("    - name: base\n", "    - name: base\n      extends: control\n")],
        "in a circle",
        "control",
    ),
    case(
        Check::RemovesNothing,
        &[
            ("{name: \"!sdb\"}", "{name: \"!sdz\"}"),
            (
                "vg0}\n        volumeGroups:\n          - name: vg0\n            logicalVolumes",
                "vg0}\n        volumeGroups:\n          - name: vg0\n            logicalVolumes",
            ),
        ],
        "`!sdz` removes nothing",
        "{name: \"!sdz\"}",
    ),
    case(
        Check::NameTwice,
        &[("- name: mgmt\n      cidr", "- name: pxe\n      cidr")],
        "`pxe` is defined twice",
        "name: pxe",
    ),
    case(Check::NameEmpty, &[("{name: r2, labels", "{name: '', labels")], "the name is empty", "''"),
    case(
        Check::HardwareProfileMissing,
        &[("      hardwareProfile: hp-gen9\n", "")],
        "no hardware profile",
        "name: base",
    ),
    case(
        Check::KernelReference,
        &[("cpuset.sriov\"", "cpuset.dpdk\"")],
        "has no cpuset.dpdk",
        "\"hardwareprofile:cpuset.dpdk\"",
    ),
    case(Check::KernelReference, &[("dpdk.count", "dpdk.counts")], "no .counts", "\"hardwareprofile:hugepages"),
    case(
        Check::IncludeMissing,
        &[("designRef: {name: lab-racks}", "designRef: {name: lab-rocks}")],
        "Design/lab-rocks is not given",
        "designRef: {name: lab-rocks}",
    ),
    case(
        Check::IncludeTwice,
        &[(
            "    - designRef: {name: lab-racks}\n",
            "    - designRef: {name: lab-racks}\n    - designRef: {name: lab-racks}\n",
        )],
        "a part of this site already",
        "designRef",
    ),
    case(
        Check::SettingTwice,
        &[("spec:\n  racks:", "spec:\n  dns: {domain: x}\n  racks:")],
        "`dns` is set by Design/lab too",
        "dns:",
    ),
    case(
        Check::RangeInvalid,
        &[("start: 172.16.0.1, end: 172.16.0.9", "start: 172.16.0.9, end: 172.16.0.1")],
        "ends before",
        "{type: Reserved",
    ),
    case(
        Check::RangeInvalid,
        &[("start: 172.16.0.1, end: 172.16.0.9", "start: 172.16.0.1, end: 172.16.9.9")],
        "is not in network pxe",
        "{type: Reserved",
    ),
    case(
        Check::RangeOverlap,
        &[("start: 172.16.0.1, end: 172.16.0.9", "start: 172.16.0.1, end: 172.16.0.50")],
        "overlap",
        "{type: Reserved",
    ),
    case(
        Check::AddressInDhcpRange,
        &[("- {network: pxe, address: dhcp}", "- {network: pxe, address: 172.16.0.60}")],
        "in a range for leases",
        "172.16.0.60",
    ),
    case(Check::AddressNotInRange, &[("172.16.1.20}", "172.16.1.254}")], "in no static range", "172.16.1.254"),
    case(Check::AddressNotForHosts, &[("172.16.1.20}", "172.16.1.255}")], "the broadcast address", "172.16.1.255"),
    case(Check::AddressIsGateway, &[("172.16.1.20}", "172.16.1.1}")], "is the gateway of network mgmt", "172.16.1.1}"),
    case(
        Check::AddressUnused,
        &[("networks: [\"!storage\"]", "networks: [\"!storage\", \"!v6\"]")],
        "no interface carries network v6",
        "{network: v6",
    ),
    case(
        Check::TwoAddresses,
        &[("- {network: pxe, address: dhcp}", "- {network: mgmt, address: 172.16.1.99}")],
        "an address on mgmt already",
        "mgmt, address: 172.16.1.20",
    ),
    case(
        Check::DhcpNetworkUndefined,
        &[("- {network: pxe, address: dhcp}", "- {network: pxx, address: dhcp}")],
        "`pxx` is not defined",
        "pxx",
    ),
    case(Check::NetworksOverlap, &[("10.2.0.0/24", "10.1.0.0/16")], "storage and storage-far overlap", "10.1.0.0/16"),
    case(Check::VlanTwice, &[("vlan: 200", "vlan: 100")], "mgmt and storage both have VLAN tag 100", "storage, v6]"),
    case(
        Check::GatewayNotForHosts,
        &[("gateway: 172.16.1.2}", "gateway: 172.16.1.255}")],
        "the broadcast address",
        "172.16.1.255",
    ),
    case(
        Check::GatewayUnreachable,
        &[("{network: mgmt, address: 172.16.1.22}", "{network: storage-far, address: dhcp}")],
        "no address on the primary network mgmt",
        "addressing:",
    ),
    case(
        Check::RouteWithoutDestination,
        &[("subnet: 192.168.0.0/16", "subnet: 192.168.0.0/x")],
        "is no network",
        "192.168.0.0/x",
    ),
    case(
        Check::RouteDomainEmpty,
        &[("[{routeDomain: storage,", "[{routeDomain: stone,")],
        "no network is in route domain `stone`",
        "stone",
    ),
    case(
        Check::RelayTarget,
        &[("upstreamTarget: 172.16.5.5", "upstreamTarget: maas")],
        "`maas` is no address",
        "maas}",
    ),
    case(Check::NameServer, &[("{domain: mgmt.lab.example.com}", "{servers: [ns1]}")], "`ns1` is no address", "ns1"),
    case(Check::NameServer, &[("servers: [172.16.1.9]", "servers: [ns.lab]")], "`ns.lab` is no address", "ns.lab"),
    case(
        Check::DomainInvalid,
        &[("      cidr: 172.16.0.0/24\n", "      cidr: 172.16.0.0/24\n      dns: {domain: pxe_1.lab}\n")],
        "`pxe_1.lab` is no domain",
        "pxe_1.lab",
    ),
    case(Check::MaasUrl, &[("url: http://maas.lab:5240/MAAS", "url: maas.lab")], "`maas.lab` is no URL", "maas.lab"),
    case(
        Check::AuthorizedKey,
        &[("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ\\nyrE2 admin", "hunter2")],
        "no public SSH key",
        "\"hunter2",
    ),
    case(
        Check::RepositoryUrl,
        &[("\"https://download.docker.com/linux/ubuntu\"", "download.docker.com")],
        "`download.docker.com` is no URL",
        "download",
    ),
    case(
        Check::RepositoryWord,
        &[("components: [stable]", "components: [stable edge]")],
        "not one word",
        "stable edge",
    ),
    case(
        Check::RepositoryPart,
        &[(
            "  removeUnlisted",
            "    - {name: main_archive, type: Apt, url: \"http://a.lab\", subrepos: [securty]}\n  removeUnlisted",
        )],
        "did you mean `security`?",
        "securty",
    ),
    case(
        Check::RepositoryKey,
        &[("components: [stable]", "components: [stable], gpgKey: 0EBFCD88")],
        "BEGIN PGP PUBLIC",
        "0EBFCD88",
    ),
    case(
        Check::TagInvalid,
        &[("tags: [base, old]", "tags: [base, old, big disk]")],
        "`big disk` is no tag",
        "big disk",
    ),
    case(Check::TagInvalid, &[("{name: nvme, definition", "{name: n.v, definition")], "`n.v` is no tag", "n.v"),
    case(Check::VlanInvalid, &[("vlan: 300", "vlan: 5000")], "5000 is above 4094", "5000"),
    case(
        Check::RouteHostBits,
        &[("subnet: 192.168.0.0/16", "subnet: 192.168.1.1/16")],
        "192.168.1.1/16 has bits set",
        "192.168.1.1/16",
    ),
    case(
        Check::RouteFamily,
        &[("subnet: 192.168.0.0/16", "subnet: \"fd00:9::/64\"")],
        "172.16.1.2 is no next hop to fd00:9::/64",
        "\"fd00:9",
    ),
    case(Check::PortName, &[("slaves: [ens1]", "slaves: [/dev/ens1]")], "`/dev/ens1` is no name", "/dev/ens1"),
    case(
        Check::PortName,
        &[("{name: ens1, link", "{name: a-very-long-name, link")],
        "no name of an interface",
        "a-very",
    ),
    case(Check::LinkSpeed, &[("linkSpeed: 1000full", "linkSpeed: fast")], "`fast` is no speed", "fast"),
    case(Check::BondHash, &[("hash: layer3+4", "hash: layer7")], "`layer7` is none of", "layer7"),
    case(Check::SwitchAddress, &[("managementIp: 10.9.0.1", "managementIp: sw1")], "`sw1` is no address", "sw1,"),
    case(Check::SwitchUri, &[("\"https://sdn.lab/sw1\"", "sdn.lab")], "`sdn.lab` is no URL", "sdn.lab"),
    case(
        Check::DiskName,
        &[("- name: sdc\n        partitions", "- name: /dev/sdc\n        partitions")],
        "`/dev/sdc` is no name",
        "/dev/sdc",
    ),
    case(Check::VolumeName, &[("{name: etcd, size: 10g", "{name: et cd, size: 10g")], "`et cd` is no name", "et cd"),
    case(
        Check::UuidInvalid,
        &[("uuid: 0f0f0f0f-0000-4000-8000-000000000001", "uuid: 0f0f")],
        "`0f0f` is no UUID",
        "0f0f",
    ),
    case(
        Check::UuidInvalid,
        &[("uuid: 6c1a4b1e-0a3f-4f4c-9a43-0d9f4b7f6a10", "uuid: vg0-uuid")],
        "`vg0-uuid` is no UUID",
        "vg0-uuid",
    ),
    case(
        Check::MountpointInvalid,
        &[("{mountpoint: /scratch}", "{mountpoint: scratch}")],
        "`scratch` is no absolute path",
        "scratch}",
    ),
    case(Check::FilesystemType, &[("type: xfs", "type: ntfs")], "`ntfs` is none of", "ntfs"),
    case(
        Check::MountOptions,
        &[("mountOptions: noatime", "mountOptions: \"noatime, ro\"")],
        "are no mount options",
        "\"noatime",
    ),
    case(Check::FilesystemLabel, &[("label: boot}", "label: a-label-that-is-long}")], "takes 16", "a-label"),
    case(
        Check::DeviceBus,
        &[("busType: pci, address: \"0000:00:04.0\"", "busType: usb, address: \"0000:00:04.0\"")],
        "`usb` is neither",
        "usb",
    ),
    case(Check::DeviceAddress, &[("\"0000:00:04.0\"", "eno2")], "`eno2` is no PCI address", "eno2"),
    case(Check::DeviceAddress, &[("\"0000:00:04.0\"", "\"regexp:0000:(19|01\"")], "a ( is not closed", "\"regexp"),
    case(Check::CpuList, &[("cpus: \"2,4\"", "cpus: 8-2")], "`8-2` is no list of CPUs", "8-2"),
    case(Check::PageSize, &[("size: 1G,", "size: 1GB,")], "`1GB` is no size", "1GB"),
    case(Check::KernelParam, &[("{name: quiet}", "{name: quiet splash}")], "`quiet splash` is no name", "quiet splash"),
    case(Check::KernelParam, &[("value: ttyS2", "value: ttyS2 quiet")], "more than one value", "ttyS2 quiet"),
    case(Check::PlatformName, &[("image: jammy", "image: Ubuntu 22.04")], "is not one word", "Ubuntu"),
    case(
        Check::AssetLocation,
        &[(
            "\"http://repo.lab/{{ node.domain }}/hello.service\"\n          locationPipeline: [Template]",
            "repo.lab/hello.service",
        )],
        "nothing can be fetched from `repo.lab/hello.service`",
        "repo.lab",
    ),
    case(Check::PackageName, &[("{name: curl}", "{name: curl wget}")], "`curl wget` is not one word", "curl wget"),
    case(
        Check::PortCount,
        &[("link: pxe, slaves: [nic1]", "link: pxe, slaves: [nic1, nic2]")],
        "has 2 ports",
        "slaves: [nic1, nic2], networks: [pxe]",
    ),
    case(Check::SizeImpossible, &[("root, size: 20g", "root, size: \">20g\"")], "nothing is left for boot", "1g"),
    case(Check::SizeImpossible, &[("root, size: 20g", "root, size: 0g")], "a size of nothing", "0g"),
    case(
        Check::SizeImpossible,
        &[
            ("size: \">30%\"", "size: 100m"),
            ("          - {name: sdb, volumeGroup: vg0}\n        volumeGroups:", "        volumeGroups:"),
        ],
        "want 500000000 bytes",
        "name: vg0",
    ),
    case(
        Check::VolumeGroupUndefined,
        &[("{name: sdb, volumeGroup: vg0}", "{name: sdb, volumeGroup: vg9}")],
        "`vg9` is not defined",
        "vg9",
    ),
    case(
        Check::MacTwice,
        &[("type: Ipmi", "type: Manual"), ("52-54-00-00-00-0A", "52-54-00-00-00-01")],
        "Node compute1 boots from 52:54:00:00:00:01 too",
        "52:54:00:00:00:01",
    ),
    case(
        Check::MacInvalid,
        &[("type: Ipmi", "type: Manual"), ("52:54:00:00:00:01", "'52:54:00'")],
        "`52:54:00` is no MAC",
        "'52:54:00'",
    ),
    case(
        Check::BmcTwice,
        &[("  rack: r1\n", "  rack: r1\n  bmc: {address: \"redfish+https://172.16.100.22/redfish/v1/Systems/1/\"}\n")],
        "has the BMC",
        "\"redfish",
    ),
    case(
        Check::BmcTwice,
        &[(
            "  rack: r1\n",
            "  rack: r1\n  bmc: {address: \"ipmi://172.16.100.21:623\", credentials: {secretRef: {name: x}}}\n",
        )],
        "has the BMC",
        "\"ipmi:",
    ),
    case(
        Check::RedfishIncomplete,
        &[
            (", credentials: {secretRef: {name: compute2-bmc}}}", "}"),
            ("        credentials: {secretRef: {name: bmc}}\n", ""),
        ],
        "no credentials",
        "Redfish",
    ),
    case(
        Check::TemplateInvalid,
        &[("{{ node.labels.team }}", "{{ node.labels.team")],
        "in line 1 of the template",
        "\"{{ node.network",
    ),
    case(
        Check::TemplateUndefined,
        &[("{{ node.labels.team }}", "{{ node.labels.teams }}")],
        "on Node",
        "\"{{ node.network",
    ),
    case(
        Check::PipelineFails,
        &[("IyEvYmluL3NoCmVjaG8gIkknbSB7eyBub2RlLmhvc3RuYW1lIH19IgogCg==", "abc")],
        "is not base64",
        "abc",
    ),
    case(
        Check::AssetIncomplete,
        &[("path: /var/tmp/hello.sh", "path: var/tmp/hello.sh")],
        "is not an absolute path",
        "var/tmp",
    ),
    case(Check::AssetIncomplete, &[(", data: \"name: etcd\"", "")], "neither data nor a location", "{type: File"),
    case(Check::AssetPermissions, &[("permissions: \"0555\"", "permissions: rwx")], "`rwx` is not an octal", "rwx"),
    case(
        Check::FilterTakesNothing,
        &[("rackLabels: {row: \"1\"}", "rackLabels: {row: \"7\"}")],
        "takes no Node",
        "nodeFilter:",
    ),
    case(
        Check::GroupUndefined,
        &[("after: [control]", "after: [controll]")],
        "`controll`, which is not defined",
        "controll",
    ),
    case(Check::GroupCycle, &[("critical: true", "after: [compute]")], "waits for itself", "after: [compute]"),
    case(Check::GroupUnreachable, &[("minReady: 90%", "minReady: 3")], "has 2 Nodes, and is done when 3", "3,"),
    case(
        Check::GroupEmpty,
        &[(
            "{name: control, selector: {filters: [{tags: [control]}]}",
            "{name: control, selector: {filters: [{tags: [controll]}]}",
        )],
        "takes no Node",
        "{name: control",
    ),
    case(Check::BudgetInvalid, &[("maxUnavailable: 2", "maxUnavailable: 0")], "lets nothing happen", "0"),
];

fn is_of(finding: &Finding, check: Check) -> bool {
    let rule = check.rule();
    finding.code == rule.code && finding.rule == Some(rule.name) && finding.severity == rule.severity
}

#[test]
fn nothing_is_wrong_with_the_lab() {
    let site = Site::lab(&[]);
    assert!(site.findings.is_empty(), "{}", site.told());
}

#[test]
fn each_rule_fires_where_it_should() {
    let mut failures = Vec::new();
    for case in CASES {
        let site = Site::lab(case.changes);
        let found = site.findings.iter().find(|f| is_of(f, case.check) && f.message.contains(case.message));
        match found {
            None => failures.push(format!("{:?} {:?} did not fire:\n{}", case.check, case.changes, site.told())),
            Some(finding) if !site.shown(finding).starts_with(case.at) => {
                failures.push(format!("{:?} points at `{}`, not at `{}`", case.check, site.shown(finding), case.at));
            }
            Some(_) => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Rules about a whole that the lab cannot become by a small change; the tests named here show them.
const ELSEWHERE: &[(Check, &str)] = &[
    (Check::NoNetworks, "an_empty_site"),
    (Check::NoNodes, "an_empty_site"),
    (Check::NoCidrs, "an_empty_site"),
    (Check::NoAddresses, "an_empty_site"),
    (Check::AddressInOtherDesign, "addresses_of_two_designs"),
    (Check::ImageUnknown, "images_that_the_provisioner_lacks"),
    (Check::ObjectLarge, "large_objects"),
    (Check::ObjectTooLarge, "large_objects"),
    (Check::TooManyRoutes, "hostile::a_route_domain_cannot_fill_the_memory"),
];

/// What comes near to breaking a rule and does not. Of every other rule the lab says that it is quiet: it has a right value
/// for each.
const NEAR: &[(Check, &[(&str, &str)])] = &[
    (
        Check::RootMissing,
        &[("name: root, size: 20g", "name: sys, size: 20g"), ("{name: root, size: 30g}", "{name: sys, size: 30g}")],
    ),
    (Check::RootTooSmall, &[("root, size: 20g", "root, size: 20000m")]),
    (Check::RootTooSmall, &[("root, size: 20g", "root, size: 19gi")]),
    (Check::RootTooSmall, &[("root, size: 20g", "root, size: 1%")]),
    (Check::BootTooSmall, &[("boot, size: 1g", "boot, size: 1000m")]),
    (Check::BondDelay, &[("upDelay: 200, downDelay: 200", "upDelay: 100, downDelay: 100")]),
    (
        Check::BondDelay,
        &[(
            "mode: 802.3ad, hash: layer3+4, peerRate: slow, monRate: 100, upDelay: 200",
            "mode: balance-rr, monRate: 100, upDelay: 50",
        )],
    ),
    (Check::BondOption, &[("mode: 802.3ad, hash: layer3+4, peerRate: slow", "mode: active-backup")]),
    (Check::NetworkOnTwoLinks, &[("allowedNetworks: [pxe]", "allowedNetworks: [pxe, pxe]")]),
    (Check::LinkMissing, &[("link: pxe, slaves: [nic1], networks: [pxe]", "slaves: [nic1]")]),
    (Check::MtuOutOfRange, &[("mtu: 1500", "mtu: 1280")]),
    (Check::MtuOutOfRange, &[("      mtu: 9000\n      trunking", "      mtu: 65536\n      trunking")]),
    (Check::MtuAboveLink, &[("      linkSpeed: 1000full", "      mtu: 1500")]),
    (Check::SizePercent, &[("log, size: 500m", "log, size: 39%")]),
    (Check::SizeTrailing, &[("root, size: 20g", "root, size: 20GB")]),
    (Check::TrunkingNeeded, &[("trunking: {mode: 802.1q}", "trunking: {mode: 802.1q, defaultNetwork: mgmt}")]),
    (Check::DefaultNetworkTagged, &[("      mtu: 1500\n", "      mtu: 1500\n      vlan: 0\n")]),
    (Check::AddressTwice, &[("address: 172.16.1.21", "address: 172.16.1.201")]),
    (Check::CidrInvalid, &[("cidr: 172.16.0.0/24", "cidr: 172.16.0.0/255.255.255.0")]),
    (Check::CidrHostBits, &[("10.2.0.0/24", "10.2.0.1/32")]),
    (Check::FqdnLabel, &[("mgmt.lab.example.com", "1-mgmt.LAB.example")]),
    (
        Check::IpmiAddress,
        &[
            ("    - {network: oob, address: 172.16.100.20}\n", ""),
            (
                "  rack: r1\n",
                "  rack: r1\n  bmc: {address: \"ipmi://10.0.0.9\", credentials: {secretRef: {name: x}}}\n",
            ),
        ],
    ),
    (
        Check::LibvirtBootMac,
        &[(
            "outOfBand: {type: Redfish}",
            "bootMac: 525400000003\n  outOfBand: {type: Libvirt, libvirtUri: \"qemu+ssh://h/system\"}",
        )],
    ),
    (
        Check::PackagesMissing,
        &[("packages: [{name: jq, version: 1.6-2.1ubuntu3}, {name: curl}]", "location: \"http://a.lab/list\"")],
    ),
    (Check::PackageVersion, &[("1.6-2.1ubuntu3", "'1:1.6+dfsg-2~ubuntu3'")]),
    (Check::KernelReference, &[("{name: console, value: ttyS2}", "{name: console, value: \"hardwareprofile:\"}")]),
    (Check::KernelParam, &[("value: ttyS2", "value: \"\\\"a b\\\"\"")]),
    (
        Check::InheritanceCycle,
        &[(
            "    - name: control\n      extends: base\n",
            "    - {name: middle, extends: base}\n    - name: control\n      extends: middle\n",
        )],
    ),
    (Check::RangeOverlap, &[("start: 172.16.0.1, end: 172.16.0.9", "start: 172.16.0.1, end: 172.16.0.49")]),
    (Check::AddressInDhcpRange, &[("- {network: pxe, address: dhcp}", "- {network: pxe, address: 172.16.0.49}")]),
    (Check::AddressNotInRange, &[("172.16.1.20}", "172.16.1.250}")]),
    (Check::AddressNotForHosts, &[("cidr: 172.16.1.0/24", "cidr: 172.16.1.20/31")]),
    (Check::NetworksOverlap, &[("10.2.0.0/24", "10.1.1.0/24")]),
    (Check::VlanTwice, &[("cidr: 172.16.0.0/24", "cidr: 172.16.0.0/24\n      vlan: 100")]),
    (Check::VlanInvalid, &[("vlan: 300", "vlan: 4094")]),
    (Check::PortCount, &[("slaves: [nic1, nic2]", "slaves: [nic1]")]),
    (Check::SizeImpossible, &[("{name: data, size: 60%", "{name: data, size: \">1g\"")]),
    (Check::MacTwice, &[("52-54-00-00-00-0A", "52-54-00-00-00-02")]),
    (Check::MacInvalid, &[("52:54:00:00:00:01", "5254.0000.0001")]),
    (
        Check::BmcTwice,
        &[(
            "  rack: r1\n",
            "  rack: r1\n  bmc: {address: \"redfish+https://172.16.100.22/redfish/v1/Systems/2\", credentials: {secretRef: {name: x}}}\n",
        )],
    ),
    (Check::TemplateUndefined, &[("{{ node.labels.team }}", "{% if node.labels.teams is defined %}x{% endif %}")]),
    (Check::AssetPermissions, &[("permissions: \"0555\"", "permissions: \"1777\"")]),
    (Check::GroupUnreachable, &[("minReady: 90%", "minReady: 2")]),
    (Check::BudgetInvalid, &[("maxUnavailable: 2", "maxUnavailable: 1%")]),
];

#[test]
fn what_comes_near_to_breaking_a_rule_does_not() {
    let mut failures = Vec::new();
    for (check, changes) in NEAR {
        let site = Site::lab(changes);
        if site.findings.iter().any(|finding| is_of(finding, *check)) {
            failures.push(format!("{check:?} fires for {changes:?}:\n{}", site.told()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn no_rule_goes_untested() {
    let tested: BTreeSet<Check> =
        CASES.iter().map(|case| case.check).chain(ELSEWHERE.iter().map(|(check, _)| *check)).collect();
    let untested: Vec<_> = RULES.iter().filter(|rule| !tested.contains(&rule.check)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn the_table_is_in_order() {
    for (number, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.check as usize, number);
        assert!(!rule.what.is_empty() && !rule.hint.is_empty() && !rule.example.is_empty(), "{rule:?}");
    }
}

#[test]
fn one_mistake_in_a_profile_is_told_once() {
    let site = Site::lab(&[("root, size: 20g", "root, size: 10g")]);
    let found: Vec<_> = site.findings.iter().filter(|f| is_of(f, Check::RootTooSmall)).collect();
    assert_eq!(found.len(), 1, "{}", site.told());
    assert_eq!(found[0].object.as_deref(), Some("Design/lab"));
    assert_eq!(found[0].path, "spec.hostProfiles[0].storage.disks[0].partitions[0].size");
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
