//! The Designs of one namespace: which of them are sites, and what is wrong between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::model::Text;
use super::rules::Check;
use crate::finding::Finding;

/// Static addresses of a site, with their Nodes.
pub type Addresses = [(IpAddr, Text)];

/// The Designs that are sites of their own, of all Designs with the names of those that they include: those that no other
/// one includes. Of some that include each other in a circle it is the first by name, so that somebody tells of it.
pub fn roots<'d>(designs: &BTreeMap<&'d str, Vec<&'d str>>) -> BTreeSet<&'d str> {
    let others = |name: &&'d str| designs.get(name).into_iter().flatten().copied();
    let included: BTreeSet<&str> =
        designs.keys().flat_map(|name| others(name).filter(move |other| other != name)).collect();
    let mut roots: BTreeSet<&str> = designs.keys().copied().filter(|name| !included.contains(name)).collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = roots.iter().copied().collect();
    for name in designs.keys() {
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(others(&next));
            }
        }
        if !reached.contains(name) {
            roots.insert(name);
            open.push(name);
        }
    }
    roots
}

/// Addresses that Nodes of several Designs have, with the Design that the finding belongs to.
pub fn shared_addresses<'d>(designs: &[(&'d str, &Addresses)]) -> Vec<(&'d str, Finding)> {
    if designs.len() < 2 {
        return Vec::new();
    }
    let mut users: BTreeMap<IpAddr, BTreeMap<&str, &str>> = BTreeMap::new();
    for (design, addresses) in designs {
        for (address, node) in *addresses {
            users.entry(*address).or_default().entry(design).or_insert(node);
        }
    }
    let mut findings = Vec::new();
    for (address, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        let mut users = users.iter();
        let Some((first_design, first)) = users.next() else { continue };
        for (design, node) in users {
            let message = format!("{address} is given to Node {first} of Design {first_design} too");
            let finding = Check::AddressInOtherDesign.at(&format!("Node/{node}"), "spec.addressing", message);
            findings.push((*design, finding));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots_of(designs: &[(&'static str, &[&'static str])]) -> Vec<&'static str> {
        let designs = designs.iter().map(|(name, included)| (*name, included.to_vec())).collect();
        roots(&designs).into_iter().collect()
    }

    #[test]
    fn sites_are_the_designs_that_no_other_one_includes() {
        assert_eq!(roots_of(&[("lab", &["racks"]), ("racks", &[]), ("other", &["gone"])]), ["lab", "other"]);
        assert_eq!(roots_of(&[("lab", &["lab"])]), ["lab"], "one that includes itself is told of it");
        assert_eq!(roots_of(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]), ["a", "c"]);
    }

    #[test]
    fn an_address_in_two_designs_is_told_of_the_later_one() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let (one, two) = ([(address, Text::from("n1"))], [(address, Text::from("m1"))]);
        let found = shared_addresses(&[("b", &two), ("a", &one)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.object.as_deref()), ("b", Some("Node/m1")));
        assert!(shared_addresses(&[("a", &one)]).is_empty());
    }
}
