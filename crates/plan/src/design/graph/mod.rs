//! A picture of a site: its links with their networks, and its racks with their Nodes, as buses with taps.
//!
//! Every link has a colour and its networks have shades of it; a Node shows a square for each network that it is on. From a
//! number of Nodes on, a rack shows how many follow each host profile instead.

mod svg;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use self::svg::{Svg, Type};
use super::model::{LinkModel, NetworkModel, NodeModel, SiteModel};
use crate::design::AddressKind;

/// Nodes up to which each is drawn.
const DETAILED: usize = 300;
/// Names that a tooltip lists.
const LISTED: usize = 40;

const MARGIN: u32 = 24;
const WIDTH: u32 = 1600;
/// Links and networks.
const LINK: u32 = 300;
const LINE: u32 = 20;
/// Left of racks: names of the links.
const GUTTER: u32 = 130;
const BUS: u32 = 14;
const NODE: (u32, u32) = (150, 36);
const GAP: u32 = 8;
/// Nodes under each other, and such columns in a rack.
const IN_COLUMN: usize = 25;
const COLUMNS: usize = 8;
const HEADER: u32 = 40;

/// Draws a site with its Nodes as one self-contained SVG file.
pub fn svg(name: &str, site: &SiteModel, nodes: &[&NodeModel]) -> String {
    let colours = Colours::of(site);
    let racks = racks(site, nodes);
    let mut picture = Svg::default();
    let title = format!("Design {name}");
    picture.text((MARGIN, 44), WIDTH, Type::Title, &title);
    let counts = [
        counted(nodes.len(), "Node"),
        counted(site.racks.len(), "rack"),
        counted(site.network_links.len(), "link"),
        counted(site.networks.len(), "network"),
    ];
    picture.text((MARGIN, 64), WIDTH, Type::Plain, &counts.join(", "));
    let (links_width, y) = links(&mut picture, site, &colours, 84);
    let (racks_width, y) = rows(&mut picture, site, &racks, &colours, nodes.len() <= DETAILED, y + MARGIN);
    picture.finish((links_width.max(racks_width).max(400) + MARGIN, y + MARGIN), &title)
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Colours of links and of networks.
struct Colours<'a> {
    links: HashMap<&'a str, String>,
    networks: HashMap<&'a str, String>,
}

impl<'a> Colours<'a> {
    fn of(site: &'a SiteModel) -> Self {
        let mut colours = Self { links: HashMap::new(), networks: HashMap::new() };
        for (number, link) in (0..).zip(&site.network_links) {
            // Steps of the golden angle keep hues apart, however many there are.
            let hue = (210 + number % 360 * 137) % 360;
            colours.links.insert(&link.name, svg::colour(hue, 60, 40));
            let networks = carried(site, link);
            let most = u32::try_from(networks.len()).unwrap_or(u32::MAX).saturating_sub(1).max(1);
            for (index, network) in (0..).zip(networks) {
                let lightness = 32 + 44 * (index % 1_000_000) / most;
                colours.networks.insert(&network.name, svg::colour(hue, 65, lightness));
            }
        }
        colours
    }

    fn link(&self, name: &str) -> &str {
        self.links.get(name).map_or("#7b8794", String::as_str)
    }

    fn network(&self, name: &str) -> &str {
        self.networks.get(name).map_or("#9aa5b1", String::as_str)
    }
}

fn carried<'a>(site: &'a SiteModel, link: &LinkModel) -> Vec<&'a NetworkModel> {
    site.networks.iter().filter(|network| network.link.as_ref() == Some(&link.name)).collect()
}

/// Draws the links with their networks; how far to the right and down it came.
fn links(picture: &mut Svg, site: &SiteModel, colours: &Colours<'_>, top: u32) -> (u32, u32) {
    let alone: Vec<&NetworkModel> = site.networks.iter().filter(|network| network.link.is_none()).collect();
    let mut boxes: Vec<(Option<&LinkModel>, Vec<&NetworkModel>)> =
        site.network_links.iter().map(|link| (Some(link), carried(site, link))).collect();
    if !alone.is_empty() {
        boxes.push((None, alone));
    }
    let in_row = ((WIDTH - MARGIN) / (LINK + GAP)) as usize;
    let (mut y, mut right) = (top, 0);
    for row in boxes.chunks(in_row) {
        let most = row.iter().map(|(_, networks)| networks.len()).max().unwrap_or_default();
        let height = HEADER + LINE * size(most) + GAP;
        for (column, (link, networks)) in row.iter().enumerate() {
            let x = MARGIN + size(column) * (LINK + GAP);
            link_box(picture, *link, networks, colours, (x, y), height);
            right = right.max(x + LINK);
        }
        y += height + GAP;
    }
    (right, y)
}

fn link_box(
    picture: &mut Svg,
    link: Option<&LinkModel>,
    networks: &[&NetworkModel],
    colours: &Colours<'_>,
    (x, y): (u32, u32),
    height: u32,
) {
    let (name, facts, colour, is_unmanaged) = match link {
        Some(link) => (&*link.name, link_facts(link), colours.link(&link.name), link.unmanaged),
        None => ("no link", "networks that no link carries".to_owned(), "#9aa5b1", true),
    };
    picture.begin(&format!("{name}: {facts}"));
    picture.rect((x, y), (LINK, height), if is_unmanaged { "box dashed" } else { "box" });
    picture.line((x + GAP, y + HEADER - 6), (x + LINK - GAP, y + HEADER - 6), "bus", colour);
    picture.text((x + GAP, y + 15), LINK - 2 * GAP, Type::Strong, name);
    picture.text((x + GAP, y + 28), LINK - 2 * GAP, Type::Small, &facts);
    picture.end();
    for (index, network) in networks.iter().enumerate() {
        let y = y + HEADER + LINE * size(index);
        picture.begin(&network_facts(network));
        picture.square((x + GAP, y + 4), 12, colours.network(&network.name));
        let mut text = network.name.to_string();
        if let Some(cidr) = network.cidr {
            let _ = write!(text, "  {cidr}");
        }
        if let Some(vlan) = network.vlan {
            let _ = write!(text, "  VLAN {vlan}");
        }
        picture.text((x + 3 * GAP + 2, y + 14), LINK - 4 * GAP, Type::Plain, &text);
        picture.end();
    }
}

fn link_facts(link: &LinkModel) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut facts = vec![format!("MTU {}", link.mtu.value)];
    if let Some(bonding) = &link.bonding {
        facts.push(format!("bond {}", word(serde_json::json!(bonding.mode))));
    }
    match word(serde_json::json!(link.trunking)) {
        mode if mode == "disabled" => {}
        mode => facts.push(format!("trunk {mode}")),
    }
    if let Some(native) = &link.default_network {
        facts.push(format!("untagged {native}"));
    }
    if link.unmanaged {
        facts.push("unmanaged".to_owned());
    }
    facts.join(", ")
}

fn network_facts(network: &NetworkModel) -> String {
    let mut facts = format!("network {}", network.name);
    let mut add = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(facts, "\n{what} {value}");
        }
    };
    add("addresses", network.cidr.map(|cidr| cidr.to_string()));
    add("VLAN", network.vlan.map(|vlan| vlan.to_string()));
    add("MTU", network.mtu.as_ref().map(|mtu| mtu.value.to_string()));
    add("gateway", network.gateway.map(|gateway| gateway.to_string()));
    add("domain", network.dns.domain.clone());
    add("route domain", network.route_domain.as_ref().map(ToString::to_string));
    facts
}

/// A rack and the Nodes in it.
struct Rack<'a> {
    name: &'a str,
    facts: String,
    /// Whether the site defines it.
    is_defined: bool,
    nodes: Vec<&'a NodeModel>,
}

/// The racks of the site in their order, then those that only Nodes name, then the Nodes without one.
fn racks<'a>(site: &'a SiteModel, nodes: &[&'a NodeModel]) -> Vec<Rack<'a>> {
    let mut members: BTreeMap<&str, Vec<&NodeModel>> = BTreeMap::new();
    for node in nodes {
        members.entry(node.rack.as_ref().map_or("", |rack| &rack.value)).or_default().push(node);
    }
    let alone = members.remove("").unwrap_or_default();
    let mut racks: Vec<Rack<'a>> = Vec::new();
    for rack in &site.racks {
        let pairs = rack.location.iter().chain(&rack.labels).map(|(key, value)| format!("{key} {value}"));
        let facts = pairs.collect::<Vec<_>>().join(", ");
        let nodes = members.remove(rack.name.as_str()).unwrap_or_default();
        racks.push(Rack { name: &rack.name, facts, is_defined: true, nodes });
    }
    let undefined = members.into_iter();
    racks.extend(undefined.map(|(name, nodes)| Rack {
        name,
        facts: "not defined".to_owned(),
        is_defined: false,
        nodes,
    }));
    if !alone.is_empty() {
        racks.push(Rack { name: "no rack", facts: String::new(), is_defined: false, nodes: alone });
    }
    racks
}

impl Rack<'_> {
    /// Nodes by host profile.
    fn profiles(&self) -> BTreeMap<&str, Vec<&NodeModel>> {
        let mut profiles: BTreeMap<&str, Vec<&NodeModel>> = BTreeMap::new();
        for node in &self.nodes {
            profiles.entry(profile(node)).or_default().push(node);
        }
        profiles
    }

    fn columns(&self) -> usize {
        self.nodes.len().div_ceil(IN_COLUMN).clamp(1, COLUMNS)
    }

    fn size(&self, is_detailed: bool) -> (u32, u32) {
        if is_detailed {
            let rows = self.nodes.len().div_ceil(self.columns()).max(1);
            let columns = size(self.columns());
            (columns * (NODE.0 + GAP) + GAP, HEADER + size(rows) * (NODE.1 + GAP))
        } else {
            (NODE.0 + 2 * GAP, HEADER + LINE * size(self.profiles().len().max(1)) + GAP)
        }
    }

    fn links(&self) -> BTreeSet<&str> {
        let interfaces = self.nodes.iter().flat_map(|node| &node.network.interfaces);
        interfaces.filter_map(|interface| interface.link.as_ref()).map(|link| &*link.value).collect()
    }
}

fn profile(node: &NodeModel) -> &str {
    node.host_profile.as_ref().map_or("no host profile", |profile| &profile.value)
}

/// Draws the racks in rows, each row below the links that its Nodes are on.
fn rows(
    picture: &mut Svg,
    site: &SiteModel,
    racks: &[Rack<'_>],
    colours: &Colours<'_>,
    is_detailed: bool,
    top: u32,
) -> (u32, u32) {
    let (mut y, mut right) = (top, 0);
    let mut rest = racks;
    while !rest.is_empty() {
        let mut width = MARGIN + GUTTER;
        let in_row = rest.iter().take_while(|rack| {
            width += rack.size(is_detailed).0 + 2 * GAP;
            width <= WIDTH
        });
        let (row, others) = rest.split_at(in_row.count().max(1));
        rest = others;
        let used: BTreeSet<&str> = row.iter().flat_map(Rack::links).collect();
        let known = site.network_links.iter().map(|link| (&*link.name, link.unmanaged));
        let buses: Vec<(&str, bool)> = known.filter(|(name, _)| used.contains(name)).collect();
        let below = y + BUS * size(buses.len()) + GAP;
        let end: u32 = MARGIN + GUTTER + row.iter().map(|rack| rack.size(is_detailed).0 + 2 * GAP).sum::<u32>();
        for (index, (link, is_unmanaged)) in buses.iter().enumerate() {
            let y = y + BUS * size(index) + 6;
            picture.begin(&format!("link {link}"));
            picture.label((MARGIN + GUTTER - 2 * GAP, y + 4), GUTTER - 2 * GAP, link);
            let class = if *is_unmanaged { "bus dashed" } else { "bus" };
            picture.line((MARGIN + GUTTER - GAP, y), (end - GAP, y), class, colours.link(link));
            picture.end();
        }
        let mut x = MARGIN + GUTTER;
        for rack in row {
            let links = rack.links();
            for (index, (link, _)) in buses.iter().enumerate().filter(|(_, (link, _))| links.contains(link)) {
                let (tap, bus) = (x + 2 * GAP + size(index) * 10 % (NODE.0 - GAP), y + BUS * size(index) + 6);
                picture.line((tap, bus), (tap, below), "tap", colours.link(link));
                picture.dot((tap, bus), colours.link(link));
            }
            rack_box(picture, rack, colours, is_detailed, (x, below));
            x += rack.size(is_detailed).0 + 2 * GAP;
        }
        right = right.max(end);
        y = below + row.iter().map(|rack| rack.size(is_detailed).1).max().unwrap_or_default() + MARGIN;
    }
    (right, y)
}

fn rack_box(picture: &mut Svg, rack: &Rack<'_>, colours: &Colours<'_>, is_detailed: bool, (x, y): (u32, u32)) {
    let (width, height) = rack.size(is_detailed);
    let count = counted(rack.nodes.len(), "Node");
    let facts = if rack.facts.is_empty() { count } else { format!("{count}, {}", rack.facts) };
    picture.begin(&format!("rack {}\n{facts}", rack.name));
    picture.rect((x, y), (width, height), if rack.is_defined { "box" } else { "box dashed" });
    picture.text((x + GAP, y + 16), width - 2 * GAP, Type::Strong, rack.name);
    picture.text((x + GAP, y + 30), width - 2 * GAP, Type::Small, &facts);
    picture.end();
    if is_detailed {
        let rows = rack.nodes.len().div_ceil(rack.columns()).max(1);
        for (index, node) in rack.nodes.iter().enumerate() {
            let (column, row) = (size(index / rows), size(index % rows));
            node_box(picture, node, colours, (x + GAP + column * (NODE.0 + GAP), y + HEADER + row * (NODE.1 + GAP)));
        }
    } else {
        for (index, (profile, nodes)) in rack.profiles().into_iter().enumerate() {
            let y = y + HEADER + LINE * size(index);
            let names: Vec<&str> = nodes.iter().map(|node| &*node.name).collect();
            picture.begin(&format!("{profile}: {}", listed(&names)));
            picture.text((x + GAP, y + 12), 48, Type::Strong, &format!("{} ×", nodes.len()));
            picture.text((x + 7 * GAP, y + 12), NODE.0 - 6 * GAP, Type::Plain, profile);
            picture.end();
        }
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

fn node_box(picture: &mut Svg, node: &NodeModel, colours: &Colours<'_>, (x, y): (u32, u32)) {
    picture.begin(&node_facts(node));
    picture.rect((x, y), NODE, "node");
    picture.text((x + 6, y + 14), NODE.0 - 12, Type::Strong, &node.name);
    let networks: Vec<&str> = node
        .network
        .interfaces
        .iter()
        .flat_map(|interface| &interface.networks)
        .map(|network| &*network.name.value)
        .collect();
    // The squares take what room they need, up to half of the box.
    let shown = networks.len().min((NODE.0 / 2 / 10) as usize);
    let left = x + NODE.0 - 4 - size(shown) * 10;
    picture.text((x + 6, y + 28), left - x - 10, Type::Small, profile(node));
    for (index, network) in networks.iter().take(shown).enumerate() {
        picture.square((left + size(index) * 10, y + 21), 8, colours.network(network));
    }
    picture.end();
}

fn node_facts(node: &NodeModel) -> String {
    let mut facts = format!("{}\nhost profile {}", node.fqdn, profile(node));
    if let Some(hardware) = &node.hardware_profile {
        let _ = write!(facts, "\nhardware profile {}", hardware.value);
    }
    if let Some(image) = &node.platform.image {
        let _ = write!(facts, "\nimage {}", image.value);
    }
    for interface in &node.network.interfaces {
        let ports: Vec<&str> = interface.slaves.iter().map(|port| &*port.name.value).collect();
        let networks: Vec<&str> = interface.networks.iter().map(|network| &*network.name.value).collect();
        let link = interface.link.as_ref().map_or("no link", |link| &link.value);
        let (ports, networks) = (ports.join(", "), networks.join(", "));
        let _ = write!(facts, "\n{} ({ports}) on {link}: {networks}", interface.name);
    }
    for address in &node.addressing {
        let shown = match address.address {
            AddressKind::Dhcp => "dhcp".to_owned(),
            AddressKind::Static(address) => address.to_string(),
        };
        let _ = write!(facts, "\n{}: {shown}", address.network);
    }
    if !node.metadata.tags.is_empty() {
        let tags: Vec<&str> = node.metadata.tags.iter().map(|tag| &*tag.value).collect();
        let _ = write!(facts, "\ntags {}", listed(&tags));
    }
    facts
}

/// A number of things that are drawn; no site has as many as do not fit.
fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX / 1000).min(u32::MAX / 1000)
}
