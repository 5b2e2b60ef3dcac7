//! The rules: one table, from which findings, docs and tests are made.
//!
//! `DD` codes are drydock's, and so are their names, as it spells them. It uses some codes for two rules, so a rule is
//! known by its code and name together.
//! `SD` codes are of rules that drydock lacks.

use crate::finding::{Finding, Severity};

/// One thing that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which check this is.
    pub check: Check,
    /// Code of the rule.
    pub code: &'static str,
    /// Name of the rule; checks of one rule share it.
    pub name: &'static str,
    /// What a finding does to the site, unless the part is configured by somebody else.
    pub severity: Severity,
    /// What is found.
    pub what: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    /// What sets it off.
    pub example: &'static str,
}

macro_rules! rules {
    ($($check:ident $severity:ident $code:literal $name:literal: $what:literal; $hint:literal; $example:literal)*) => {
        /// A check, by what it finds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // `RULES` says what each is.
        pub enum Check { $($check),* }

        /// Every rule, in the order of [`Check`].
        pub const RULES: &[Rule] = &[$(Rule {
            check: Check::$check,
            code: $code,
            name: $name,
            severity: Severity::$severity,
            what: $what,
            hint: $hint,
            example: $example,
        }),*];
    };
}

rules! {
    InvalidField Error "DD001" "Schema Violation": "a field that is unknown, missing or of the wrong type"; "write it as the field's documentation says"; "networks: [{name: mgmt, cidr: 172.16.1.0/24, mtu: large}]"
    RootMissing Error "DD1001" "Rational Boot Storage": "a Node without a root volume"; "give one partition or logical volume the name root, or the mountpoint /"; "storage: {disks: [{name: sda, partitions: [{name: data, size: 20g}]}]}"
    RootTooSmall Error "DD1001" "Rational Boot Storage": "a root volume of less than 20 GB"; "make the root volume 20g or larger"; "partitions: [{name: root, size: 10g}]"
    BootTooSmall Error "DD1001" "Rational Boot Storage": "a boot volume of less than 1 GB"; "make the boot volume 1g or larger"; "partitions: [{name: boot, size: 500m}]"
    BondDelay Error "DD1006" "Network Bond Rationality": "a delay of an 802.3ad bond that is shorter than its monitoring interval"; "make upDelay and downDelay at least monRate"; "bonding: {mode: 802.3ad, monRate: 100, upDelay: 50}"
    BondOption Error "DD1006" "Network Bond Rationality": "hash or peerRate in mode active-backup"; "leave hash and peerRate to 802.3ad"; "bonding: {mode: active-backup, hash: layer3+4}"
    BondOptionIgnored Warning "DD1006" "Network Bond Rationality": "an option that has no effect in the bond's mode"; "leave the option out, or choose the mode that it is for"; "bonding: {mode: disabled, hash: layer3+4}"
    NetworkOnTwoLinks Error "DD1007" "Allowed Network Check": "a network that two links allow"; "allow each network on one link"; "networkLinks: [{name: a, allowedNetworks: [mgmt]}, {name: b, allowedNetworks: [mgmt]}]"
    NetworkNotAllowed Error "DD1007" "Allowed Network Check": "an interface with a network that its link does not allow"; "add the network to the link's allowedNetworks, or take it from the interface"; "interfaces: [{name: bond0, link: gp, networks: [storage]}]"
    LinkUndefined Error "DD1007" "Allowed Network Check": "an interface on a link that nothing defines"; "define the link, or correct its name"; "interfaces: [{name: bond0, link: gpp, networks: [mgmt]}]"
    LinkMissing Error "DD1007" "Allowed Network Check": "an interface with networks, on no link"; "name its link"; "interfaces: [{name: bond0, networks: [mgmt]}]"
    LinkMissingHarmless Warning "DD1007" "Allowed Network Check": "an interface without networks, on no link"; "name its link, or leave the interface out"; "interfaces: [{name: bond0, slaves: [eno1]}]"
    HugepagesIncomplete Error "DD1008" "Hugepages": "hugepages without hugepagesz, or the other way round"; "set both kernel parameters, or none"; "kernelParams: [{name: hugepages, value: '300'}]"
    NoNetworks Warning "DD2002" "IP Locality Check": "a site without networks"; "define the networks of the site"; "spec: {}"
    NoNodes Warning "DD2002" "IP Locality Check": "a site without Nodes"; "create Nodes whose designRef names the Design"; "spec: {networks: [...]}"
    RouteWithoutGateway Error "DD2002" "IP Locality Check": "a route without a gateway"; "give the route a gateway on this network"; "routes: [{subnet: 0.0.0.0/0}]"
    GatewayOutside Error "DD2002" "IP Locality Check": "a gateway outside its network"; "use a gateway on this network; check the prefix length"; "cidr: 172.16.1.0/24, routes: [{subnet: 0.0.0.0/0, gateway: 172.16.2.1}]"
    AddressNetworkUndefined Error "DD2002" "IP Locality Check": "an address on a network that nothing defines"; "define the network, or correct its name"; "addressing: [{network: mgmtt, address: 172.16.1.20}]"
    AddressOutside Error "DD2002" "IP Locality Check": "an address outside its network"; "choose an address of the network"; "addressing: [{network: mgmt, address: 172.16.2.20}]"
    AddressUnreadable Error "DD2002" "IP Locality Check": "what should be an address and is none"; "write an IPv4 or IPv6 address, or dhcp"; "addressing: [{network: mgmt, address: 172.16.1.300}]"
    DiskUse Error "DD2002" "Storage Partitioning": "a disk with both partitions and a volume group, or with neither"; "give it partitions or a volume group; `!` takes away what a parent profile gives"; "disks: [{name: sdb}]"
    PartitionUse Error "DD2002" "Storage Partitioning": "a partition with both a file system and a volume group"; "give it one of the two"; "partitions: [{name: p, size: 1g, volumeGroup: vg0, filesystem: {mountpoint: /p}}]"
    VolumeGroupWithoutDisk Error "DD2002" "Storage Partitioning": "a volume group without a disk or partition"; "name the volume group on a disk or partition"; "volumeGroups: [{name: vg0}]"
    MtuOutOfRange Error "DD2003" "MTU Rationality": "an MTU outside 1280 to 65536"; "1500 is usual, 9000 for jumbo frames"; "mtu: 900"
    MtuAboveLink Error "DD2003" "MTU Rationality": "an untagged network with a larger MTU than its link"; "lower the network's mtu, or raise the link's"; "networks: [{name: pxe, mtu: 9000}], networkLinks: [{name: pxe, mtu: 1500, trunking: {defaultNetwork: pxe}}]"
    TaggedMtuAboveLink Warning "DD2003" "MTU Rationality": "a tagged network with a larger MTU than its link"; "lower the network's mtu, or raise the link's"; "networks: [{name: mgmt, vlan: 100, mtu: 9000}], networkLinks: [{name: gp, mtu: 1500, allowedNetworks: [mgmt]}]"
    SizeUnreadable Error "DD2003" "Storage Sizing": "a size that cannot be read"; "write 20g, 512mi, 30% or >10g"; "partitions: [{name: root, size: 20k}]"
    SizeMissing Error "DD2003" "Storage Sizing": "a partition or volume without a size"; "give it a size: 20g, 512mi, 30% or >10g"; "partitions: [{name: root}]"
    SizeTrailing Warning "DD2003" "Storage Sizing": "letters behind a size that mean nothing"; "leave them out"; "partitions: [{name: root, size: 20gfoo}]"
    SizePercent Error "DD2003" "Storage Sizing": "percentages of a disk or volume group that add up to more than 99"; "lower them; `>` takes all that is left"; "partitions: [{name: a, size: 60%}, {name: b, size: 50%}]"
    TrunkingNeeded Error "DD2004" "Network Trunking Rationalty": "a link without trunking that allows several networks"; "set trunking.mode to 802.1q, or allow one network"; "trunking: {mode: disabled, defaultNetwork: a}, allowedNetworks: [a, b]"
    DefaultNetworkMissing Error "DD2004" "Network Trunking Rationalty": "a link without trunking and without a default network"; "name the network in trunking.defaultNetwork"; "trunking: {mode: disabled}"
    DefaultNetworkTagged Error "DD2004" "Network Trunking Rationalty": "a link without trunking whose default network has a VLAN tag"; "take the tag from the network, or set trunking.mode to 802.1q"; "networks: [{name: a, vlan: 100}], trunking: {mode: disabled, defaultNetwork: a}"
    MountpointTwice Error "DD2004" "Storage Mountpoint": "two file systems of a Node with one mountpoint"; "mount one of them elsewhere"; "two partitions with filesystem: {mountpoint: /var}"
    AddressTwice Error "DD2005" "Duplicated IP Check": "one address given twice"; "give each Node an address of its own"; "addressing: [{network: mgmt, address: 172.16.1.20}] on two Nodes"
    NoAddresses Warning "DD2005" "Duplicated IP Check": "a site without Nodes"; "create Nodes whose designRef names the Design"; "spec: {networks: [...]}"
    AddressInOtherDesign Warning "DD2005" "Duplicated IP Check": "an address that a Node of another Design of the namespace has too"; "give each Node an address of its own, unless the sites cannot reach each other"; "addressing: [{network: mgmt, address: 172.16.1.20}] in two Designs"
    NoCidrs Warning "DD2006" "CIDR Validity": "a site without networks"; "define the networks of the site"; "spec: {}"
    CidrInvalid Error "DD2006" "CIDR Validity": "a network's cidr that cannot be read"; "write address/prefix, e.g. 172.16.1.0/24"; "cidr: 172.16.1.0/33"
    CidrHostBits Error "DD2006" "CIDR Validity": "a network's cidr with bits set beyond its prefix"; "write the first address of the network"; "cidr: 172.16.1.1/24"
    ImageUnknown Error "DD3001" "Platform Selection": "an image or kernel that the provisioner does not have"; "choose one that it has"; "platform: {image: jammmy}"
    FqdnTooLong Error "DD3003" "Hostname Validity": "a name with domain of more than 255 characters"; "shorten the name or the domain (RFC 1035)"; "dns: {domain: <300 characters>}"
    FqdnLabel Error "DD3003" "Hostname Validity": "a label of a name or domain that is not 1 to 63 letters, digits and hyphens"; "use letters, digits and hyphens (RFC 1035)"; "dns: {domain: mgmt_site.example.com}"
    IpmiIncomplete Error "DD4001" "Valid IPMI Configuration": "an IPMI Node without a network or credentials for its BMC"; "set outOfBand.network and outOfBand.credentials, or spec.bmc of the Node"; "outOfBand: {type: Ipmi}"
    IpmiAddress Error "DD4001" "Valid IPMI Configuration": "an IPMI Node without an address on the out-of-band network"; "add an address on the out-of-band network to the Node"; "outOfBand: {type: Ipmi, network: oob}, addressing: []"
    NoBootAction Warning "DD4001" "Bootaction Definition": "a Node that no boot action applies to"; "add a boot action, or widen a node filter"; "bootActions: []"
    LibvirtUri Error "DD4002" "Valid Libvirt Configuration": "a libvirt Node without a qemu+ssh address of its hypervisor"; "set outOfBand.libvirtUri to qemu+ssh://user@host/system"; "outOfBand: {type: Libvirt, libvirtUri: qemu+tcp://h/system}"
    LibvirtBootMac Error "DD4002" "Valid Libvirt Configuration": "a libvirt Node without the MAC address that it boots from"; "set bootMac on the Node"; "outOfBand: {type: Libvirt}, without bootMac"
    PackagesMissing Error "DD4002" "Bootaction pkg_list Validation": "a package list without packages and without a location"; "list packages, or say where the list is"; "assets: [{type: PackageList}]"
    PackageVersion Error "DD4002" "Bootaction pkg_list Validation": "a package version that is not [epoch:]upstream-revision"; "write the full version, as `apt-cache policy` shows it"; "packages: [{name: jq, version: ':)'}]"

    Undefined Error "SD1001" "Undefined Reference": "a name that nothing defines"; "define it, or correct the name"; "hostProfile: computee"
    UndefinedHarmless Warning "SD1001" "Undefined Reference": "a name that nothing defines, and that nothing depends on"; "define it, or correct the name"; "rack: rack7"
    NodeUndefined Warning "SD1001" "Undefined Reference": "a filter that names a Node which is not in the site"; "create the Node, or correct the name"; "nodeFilter: {filters: [{names: [n99]}]}"
    InheritanceCycle Error "SD1002" "Profile Inheritance": "host profiles that extend each other in a circle"; "let one of them extend none of the others"; "hostProfiles: [{name: a, extends: b}, {name: b, extends: a}]"
    RemovesNothing Warning "SD1002" "Profile Inheritance": "a `!` removal of something that no parent has"; "leave it out, or correct the name"; "interfaces: [{name: '!bond7'}]"
    NameTwice Error "SD1003" "Unique Names": "two parts with one name"; "rename one of them; to change what a parent profile has, write it in the profile that extends it"; "networks: [{name: a}, {name: a}]"
    NameEmpty Error "SD1003" "Unique Names": "a part without a name"; "give it a name"; "networks: [{name: ''}]"
    HardwareProfileMissing Error "SD1004" "Hardware Profile": "a Node without a hardware profile"; "set hardwareProfile on the Node or its host profile"; "hostProfiles: [{name: base}]"
    KernelReference Error "SD1005" "Kernel Reference": "a kernel parameter that refers to something that the hardware profile does not have"; "write hardwareprofile:cpuset.NAME, hardwareprofile:hugepages.NAME.size or .count"; "kernelParams: [{name: isolcpus, value: hardwareprofile:cpuset.nope}]"
    IncludeMissing Error "SD1006" "Parts of a Site": "a part of the site that is not there or cannot be read"; "create it, or correct the name"; "include: [{designRef: {name: nope}}]"
    IncludeTwice Error "SD1006" "Parts of a Site": "a part of the site that is included twice, or includes itself"; "include each part once"; "Design lab: include: [{designRef: {name: lab}}]"
    SettingTwice Error "SD1006" "Parts of a Site": "a setting of the whole site that two of its parts make"; "make it in one of them"; "rollout in a Design and in one that it includes"
    ObjectLarge Warning "SD1007" "Object Size": "an object that `kubectl apply` cannot write, as its annotations would be too large"; "use `kubectl apply --server-side`, or split the site with include"; "a Design of more than 256 KiB"
    ObjectTooLarge Error "SD1007" "Object Size": "an object that is larger than an API server stores"; "split the site with include"; "a Design of more than 1.5 MB"
    MaasUrl Error "SD1008" "Site Settings": "an address of MAAS that is no URL"; "write http://host:5240/MAAS"; "maas: {url: maas.lab}"
    AuthorizedKey Warning "SD1008" "Site Settings": "an authorised key that is no public SSH key"; "write one line of an authorized_keys file, as id_ed25519.pub has it"; "authorizedKeys: [hunter2]"
    RepositoryUrl Warning "SD1009" "Package Repository": "an address of a repository that is no URL"; "write https://host/path, or ppa:owner/name"; "repositories: [{name: docker, type: Apt, url: download.docker.com}]"
    RepositoryWord Warning "SD1009" "Package Repository": "an architecture, distribution, pocket or component that is not one word"; "write each as an item of its own"; "components: ['main universe']"
    RepositoryPart Warning "SD1009" "Package Repository": "a pocket or component that the distribution's archive does not have; those not listed are disabled"; "write the names of the distribution"; "repositories: [{name: main_archive, subrepos: [securty]}]"
    RepositoryKey Warning "SD1009" "Package Repository": "a signing key that is not an armoured public key"; "write the whole text, its first and last line with it"; "gpgKey: 0EBFCD88"
    TagInvalid Warning "SD1010" "Tags": "a tag that MAAS does not take"; "use letters, digits, `-` and `_`"; "metadata: {tags: [big disk]}"

    RangeInvalid Warning "SD2001" "Address Ranges": "a range that cannot be read, is the wrong way round, or lies outside its network"; "choose two addresses of the network, the smaller one first"; "ranges: [{type: Dhcp, start: 172.16.1.90, end: 172.16.1.10}]"
    RangeOverlap Warning "SD2001" "Address Ranges": "two ranges of a network that overlap"; "let one end before the other begins"; "ranges: [{type: Static, start: 10.0.0.1, end: 10.0.0.9}, {type: Dhcp, start: 10.0.0.9, end: 10.0.0.20}]"
    AddressInDhcpRange Error "SD2002" "Address Use": "a static address inside a range for leases"; "choose an address outside the range, or shorten the range"; "ranges: [{type: Dhcp, start: 172.16.1.10, end: 172.16.1.90}], address: 172.16.1.20"
    AddressNotInRange Warning "SD2002" "Address Use": "a static address outside the network's static ranges"; "choose an address of a static range, or widen the range"; "ranges: [{type: Static, start: 172.16.1.10, end: 172.16.1.90}], address: 172.16.1.99"
    AddressNotForHosts Error "SD2002" "Address Use": "a static address that is the network's own or its broadcast address"; "choose another address"; "cidr: 172.16.1.0/24, address: 172.16.1.255"
    AddressIsGateway Warning "SD2002" "Address Use": "a static address that is the gateway of its network"; "choose another address, unless this Node is the router"; "routes: [{subnet: 0.0.0.0/0, gateway: 172.16.1.1}], address: 172.16.1.1"
    AddressUnused Warning "SD2002" "Address Use": "an address on a network that no interface of the Node carries"; "add the network to an interface, or take the address away"; "addressing: [{network: storage, address: 10.0.0.5}], interfaces: []"
    TwoAddresses Warning "SD2002" "Address Use": "two addresses of a Node on one network"; "keep one of them; the last one is used"; "addressing: [{network: mgmt, address: 172.16.1.20}, {network: mgmt, address: 172.16.1.21}]"
    DhcpNetworkUndefined Error "SD2002" "Address Use": "dhcp on a network that nothing defines"; "define the network, or correct its name"; "addressing: [{network: pxee, address: dhcp}]"
    NetworksOverlap Warning "SD2003" "Network Overlap": "two networks whose addresses overlap"; "give each network addresses of its own, unless they cannot reach each other"; "networks: [{name: a, cidr: 10.0.0.0/8}, {name: b, cidr: 10.1.0.0/16}]"
    VlanTwice Warning "SD2004" "VLAN Use": "two networks of a link with one VLAN tag, or both untagged"; "give each network of a link a tag of its own"; "networks: [{name: a, vlan: 100}, {name: b, vlan: 100}], allowedNetworks: [a, b]"
    VlanInvalid Error "SD2004" "VLAN Use": "a VLAN tag that is none"; "write a number from 1 to 4094, or 0 for untagged"; "vlan: 5000"
    GatewayNotForHosts Warning "SD2005" "Gateway Reach": "a gateway that is the network's own or its broadcast address, or that lies in a range for leases"; "choose the router's address"; "cidr: 172.16.1.0/24, routes: [{subnet: 0.0.0.0/0, gateway: 172.16.1.0}]"
    GatewayUnreachable Warning "SD2005" "Gateway Reach": "a default gateway on a network that the Node has no interface or address on"; "choose a primaryNetwork that the Node is on, or give it an address there"; "primaryNetwork: mgmt, without an address on mgmt"
    RouteWithoutDestination Warning "SD2006" "Static Routes": "a route without a readable subnet or a route domain"; "say where the route leads: subnet or routeDomain"; "routes: [{gateway: 172.16.1.1}]"
    RouteDomainEmpty Warning "SD2006" "Static Routes": "a route to a route domain that no network is in"; "set routeDomain on the networks, or correct the name"; "routes: [{routeDomain: storage, gateway: 172.16.1.1}]"
    RouteHostBits Warning "SD2006" "Static Routes": "a route whose subnet has bits set beyond its prefix"; "write the first address of the subnet"; "routes: [{subnet: 192.168.1.1/16, gateway: 172.16.1.1}]"
    RouteFamily Warning "SD2006" "Static Routes": "a route whose subnet and gateway are not of one family"; "lead IPv4 over IPv4, and IPv6 over IPv6"; "routes: [{subnet: '::/0', gateway: 172.16.1.1}]"
    TooManyRoutes Error "SD2006" "Static Routes": "route domains so large that the routes could not be stored"; "use a shorter prefix that covers many networks"; "a route domain of 1000 networks that all have a route to it"
    RelayTarget Warning "SD2007" "DHCP Relay": "an address of a DHCP relay that cannot be read"; "write an address"; "dhcpRelay: {upstreamTarget: maas}"
    NameServer Warning "SD2008" "DNS": "a name server that is not an address"; "write an address"; "dns: {servers: [ns1]}"
    DomainInvalid Warning "SD2008" "DNS": "a domain that is none"; "use labels of letters, digits and hyphens, joined by dots (RFC 1035)"; "dns: {domain: lab_1.example.com}"
    PortCount Error "SD2009" "Interface Ports": "an interface without a port, or with several on a link without bonding"; "name one port, or set bonding.mode on the link"; "interfaces: [{name: e0, link: pxe, slaves: [eno1, eno2]}]"
    PortName Warning "SD2009" "Interface Ports": "a name that no interface can have"; "use at most 15 characters without blanks and slashes"; "slaves: [/dev/eno1]"
    LinkSpeed Warning "SD2010" "Link Settings": "a speed that is none"; "write auto, or a speed in Mbit/s with full or half, e.g. 10000full"; "linkSpeed: fast"
    BondHash Warning "SD2010" "Link Settings": "a policy that the kernel does not know"; "layer3+4 is usual"; "bonding: {mode: 802.3ad, hash: layer7}"
    SwitchAddress Warning "SD2011" "Rack Switches": "an address of a switch that cannot be read"; "write an address"; "switches: [{name: sw1, managementIp: sw1.lab}]"
    SwitchUri Warning "SD2011" "Rack Switches": "an address of a switch's API that is no URL"; "write https://host/path"; "switches: [{name: sw1, sdnApiUri: sw1.lab}]"

    SizeImpossible Error "SD3001" "Impossible Storage": "storage that cannot be made: nothing left after a `>`, no size at all, more than the physical volumes hold"; "let the volume with `>` be the last one, and the sizes fit"; "partitions: [{name: a, size: '>1g'}, {name: b, size: 1g}]"
    VolumeGroupUndefined Warning "SD3002" "Volume Group": "a disk or partition of a volume group that nothing defines"; "define it in storage.volumeGroups, or correct the name"; "disks: [{name: sdb, volumeGroup: vg1}]"
    DiskName Warning "SD3003" "Storage Names": "a name that no disk has"; "use the kernel's name without /dev/, or the hardware profile's name for it"; "disks: [{name: /dev/sda}]"
    VolumeName Warning "SD3003" "Storage Names": "a name that LVM does not take"; "use letters, digits and `+_.-`, with no hyphen at the beginning"; "volumeGroups: [{name: log volumes}]"
    UuidInvalid Warning "SD3003" "Storage Names": "a UUID that is none"; "write 8-4-4-4-12 hexadecimal digits, or leave it out to get a new one"; "partitions: [{name: root, uuid: '1'}]"
    MountpointInvalid Warning "SD3004" "File Systems": "a mountpoint that is no absolute path"; "begin it with /"; "filesystem: {mountpoint: var/log}"
    FilesystemType Warning "SD3004" "File Systems": "a file system that MAAS does not make"; "ext4 and xfs are usual"; "filesystem: {type: ntfs}"
    MountOptions Warning "SD3004" "File Systems": "mount options that are not one word"; "separate them by commas, without blanks"; "filesystem: {mountOptions: noatime, nodiratime}"
    FilesystemLabel Warning "SD3004" "File Systems": "a label that is too long for its file system"; "shorten it"; "filesystem: {type: xfs, label: a-label-of-16-by}"

    MacTwice Error "SD4001" "Boot MAC": "one MAC address on two Nodes"; "write each Node's own address"; "bootMac: 52:54:00:00:00:01 on two Nodes"
    MacInvalid Error "SD4001" "Boot MAC": "what should be a MAC address and is none"; "write six pairs of hexadecimal digits"; "bootMac: 52:54:00"
    BmcTwice Error "SD4002" "BMC Address": "one BMC address on two Nodes"; "write each Node's own address"; "bmc: {address: ipmi://10.0.0.5} on two Nodes"
    RedfishIncomplete Error "SD4003" "Valid Redfish Configuration": "a Redfish Node without credentials, network or address for its BMC"; "set outOfBand.network, outOfBand.credentials and an address on that network, or spec.bmc of the Node"; "outOfBand: {type: Redfish}"
    DeviceBus Warning "SD4004" "Device Names": "a bus that is neither pci nor scsi, so that nothing is found on it"; "write pci for network ports, scsi for disks"; "devices: [{name: nic1, busType: usb, address: '1'}]"
    DeviceAddress Warning "SD4004" "Device Names": "an address that no device of the bus has"; "write 0000:00:03.0 for pci, 2:0.0.0 for scsi, or regexp: before a regular expression"; "devices: [{name: nic1, busType: pci, address: eno1}]"
    CpuList Warning "SD4005" "CPU Sets": "a list of CPUs that the kernel cannot read"; "write numbers and ranges with commas: 2,4 or 2-8,16"; "cpuSets: [{name: sriov, cpus: 8-2}]"
    PageSize Warning "SD4006" "Huge Page Size": "a size of a page that the kernel cannot read"; "write 2M or 1G"; "hugepages: [{name: dpdk, size: 1GB, count: 300}]"
    KernelParam Warning "SD4007" "Kernel Parameters": "a kernel parameter that the kernel takes apart in another way"; "write one parameter in each item; put a value with blanks between double quotes"; "kernelParams: [{name: console, value: ttyS0 quiet}]"
    PlatformName Warning "SD4008" "Platform Names": "an image or kernel that is not one word"; "write its name as MAAS shows it"; "platform: {image: Ubuntu 22.04}"

    TemplateInvalid Error "SD5001" "Boot Action Template": "a template that does not render"; "correct the template; it is Jinja"; "data: '{{ node.hostname', dataPipeline: [Template]"
    TemplateUndefined Warning "SD5001" "Boot Action Template": "a template that uses a value which a Node does not have; it renders to nothing"; "correct the name, or test for it with `is defined`"; "data: '{{ node.network.nope }}', dataPipeline: [Template]"
    PipelineFails Error "SD5002" "Boot Action Pipeline": "content that a step of its pipeline cannot work on"; "correct the content, or the order of the steps"; "data: abc, dataPipeline: [Base64Decode]"
    AssetIncomplete Error "SD5003" "Boot Action Asset": "a file or unit without an absolute path, or without content"; "set path, and data or location"; "assets: [{type: File, data: x}]"
    AssetPermissions Error "SD5003" "Boot Action Asset": "permissions that are not an octal file mode"; "write three or four octal digits, e.g. '0755'"; "permissions: rwx"
    AssetFieldIgnored Warning "SD5003" "Boot Action Asset": "a field that plays no part in an asset of its type"; "leave it out, or correct the type"; "assets: [{type: PackageList, packages: [{name: jq}], permissions: '0644'}]"
    AssetLocation Warning "SD5003" "Boot Action Asset": "a location that nothing can be fetched from"; "write http://, https://, file://, deckhand+http:// or promenade+http:// with a host"; "location: repo.lab/hello.service"
    PackageName Warning "SD5003" "Boot Action Asset": "a package that is not one word"; "write each package as an item of its own, its version in version"; "packages: [{name: jq curl}]"
    FilterTakesNothing Warning "SD5004" "Node Filter": "a node filter that no Node meets"; "correct the names, tags, labels or racks"; "nodeFilter: {filters: [{tags: [controll]}]}"

    GroupUndefined Error "SD6001" "Rollout Groups": "a group that waits for one that nothing defines"; "define the group, or correct the name"; "groups: [{name: b, after: [a]}]"
    GroupCycle Error "SD6001" "Rollout Groups": "groups that wait for each other in a circle"; "let one of them wait for none of the others"; "groups: [{name: a, after: [b]}, {name: b, after: [a]}]"
    GroupUnreachable Error "SD6001" "Rollout Groups": "a group that can never be done, so that those after it never begin"; "lower minReady, or raise maxFailed"; "groups: [{name: a, minReady: 5}, {name: b, after: [a]}] with 3 Nodes in a"
    GroupEmpty Warning "SD6001" "Rollout Groups": "a group that takes no Node"; "correct its selector, or put it before the group that takes its Nodes"; "groups: [{name: all}, {name: rest}]"
    BudgetInvalid Error "SD6002" "Rollout Budget": "a budget that is no number or percentage, or that lets nothing happen"; "write a number or a percentage; at least 1 for maxUnavailable"; "rollout: {maxUnavailable: 0}"
}

impl Check {
    /// Its entry in the table.
    pub fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }

    /// Whether a finding is of this check; the hint tells checks of one rule apart.
    pub(super) fn is_it(self, finding: &Finding) -> bool {
        let rule = self.rule();
        (finding.code, finding.rule, finding.hint.as_deref()) == (rule.code, Some(rule.name), Some(rule.hint))
    }

    /// A finding of this check, about a field of an object.
    pub(super) fn at(self, object: &str, path: impl Into<String>, message: impl Into<String>) -> Finding {
        let rule = self.rule();
        let finding = match rule.severity {
            Severity::Error => Finding::error(rule.code, path, message),
            Severity::Warning => Finding::warning(rule.code, path, message),
        };
        Finding { rule: Some(rule.name), ..finding.about(object).hint(rule.hint) }
    }
}
