//! What tells that two Nodes lead to one machine: the same address, or a BMC that says the same UUID and serial number. One of
//! these two alone is no proof: there is hardware whose makers gave all of it the same.

use std::collections::{BTreeSet, HashMap};

use crate::reconcile::Key;

/// Something that one machine alone has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mark {
    Place(String),
    Identity(String, String),
}

/// The marks of all Nodes, both ways.
#[derive(Default)]
pub(super) struct Marks {
    of: HashMap<Key, Vec<Mark>>,
    nodes: HashMap<Mark, BTreeSet<Key>>,
}

impl Marks {
    /// A Node's BMC is at an address; what was known of it before counts no more.
    pub(super) fn place(&mut self, key: &Key, address: String) {
        self.set(key, [Mark::Place(address)].into());
    }

    /// Its BMC says this UUID and serial number, or not both.
    pub(super) fn identify(&mut self, key: &Key, identity: Option<(String, String)>) {
        let place = self.of.get(key).into_iter().flatten().filter(|mark| matches!(mark, Mark::Place(_))).cloned();
        let marks = place.chain(identity.map(|(uuid, serial)| Mark::Identity(uuid, serial))).collect();
        self.set(key, marks);
    }

    /// The Node has no BMC any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.set(key, Vec::new());
        self.of.remove(key);
    }

    /// The other Nodes that lead to the same machine.
    pub(super) fn twins(&self, key: &Key) -> Vec<Key> {
        let nodes = self.of.get(key).into_iter().flatten().filter_map(|mark| self.nodes.get(mark)).flatten();
        nodes.filter(|other| *other != key).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn set(&mut self, key: &Key, marks: Vec<Mark>) {
        for mark in self.of.remove(key).into_iter().flatten() {
            if let Some(nodes) = self.nodes.get_mut(&mark) {
                nodes.remove(key);
                if nodes.is_empty() {
                    self.nodes.remove(&mark);
                }
            }
        }
        for mark in &marks {
            self.nodes.entry(mark.clone()).or_default().insert(key.clone());
        }
        self.of.insert(key.clone(), marks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn twins_have_the_address_or_the_whole_identity_in_common() {
        let mut marks = Marks::default();
        for (name, address) in [("a", "1"), ("b", "1"), ("c", "2"), ("d", "3")] {
            marks.place(&key(name), address.into());
        }
        assert_eq!(marks.twins(&key("a")), [key("b")]);
        assert_eq!(marks.twins(&key("c")), []);
        for (name, uuid, serial) in [("a", "u", "s"), ("c", "u", "s"), ("d", "u", "other")] {
            marks.identify(&key(name), Some((uuid.into(), serial.into())));
        }
        assert_eq!(marks.twins(&key("a")), [key("b"), key("c")], "by either mark");
        assert_eq!(marks.twins(&key("d")), [], "the UUID alone is no proof");
        marks.identify(&key("c"), None);
        assert_eq!(marks.twins(&key("a")), [key("b")]);
        for name in ["a", "b", "c", "d"] {
            marks.forget(&key(name));
        }
        assert!(marks.of.is_empty() && marks.nodes.is_empty(), "nothing is kept");
    }
}
