//! What the Designs say, for those who act on their Nodes; and what those would do, for the Designs.
//!
//! The one place where the controllers of Design, Node and ContainerService meet. It is memory alone: what must survive is
//! in the Design's status before it is said here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use slipway_api::design::NodeDesignStatus;
use slipway_api::{Design, Node};
use slipway_plan::design::Told;
use slipway_plan::node::{Said, Word};
use slipway_plan::rollout::Ask;
use tokio::sync::broadcast;

use super::compiled::Model;
use crate::reconcile::{Cache, Key};

/// News that a slow reader may be behind: as many Nodes as a large site has.
const NEWS: usize = 1 << 14;
/// A Design that is not compiled within this time is told of.
const LATE: Duration = Duration::from_secs(10);

/// What the Designs say. Cheap to clone.
#[derive(Clone)]
pub struct Sites(Arc<Shared>);

struct Shared {
    designs: Cache<Design>,
    begun: Instant,
    state: Mutex<State>,
    news: broadcast::Sender<News>,
    asked: broadcast::Sender<String>,
}

#[derive(Default)]
struct State {
    sites: HashMap<Key, Arc<Site>>,
    parties: HashMap<Party, Heard>,
}

/// A Node that its Design says something else of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The Node.
    pub node: Key,
    /// What it is about.
    pub change: Change,
}

/// What is said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something of its model, or of what is wrong with it.
    Word,
    /// Whether it may be disrupted.
    Gate,
    /// Whether all action there is stopped.
    Suspended,
}

/// One who acts on Nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The controller of Node, about one of them.
    Node(Key),
    /// A ContainerService.
    Service(Key),
}

/// What a party said last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    generation: i64,
    asks: BTreeMap<String, Ask>,
}

/// What a Design says of its Nodes.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Name of the Design that it is a part of.
    pub part_of: Option<String>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// The Nodes' models: of the newest generation, or of the last good one.
    pub model: Option<Arc<Model>>,
    /// Generation of the model, if it is not the newest.
    pub last_good: Option<i64>,
    /// What is wrong with a Node itself, and whether it is an error.
    pub findings: HashMap<String, (String, bool)>,
    /// Who may be disrupted.
    pub gate: Gate,
}

/// Who may be disrupted now.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Gate {
    /// Everybody: there is no rollout.
    #[default]
    Open,
    /// Nobody, and why.
    Closed(String),
    /// Those on record, each since its time.
    Record {
        /// Since when each may be.
        since: HashMap<String, Timestamp>,
        /// Why each of the others may not, as far as anybody asks.
        holds: HashMap<String, String>,
    },
}

/// Whether a Node may be disrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Yes; if a rollout has a say, since then.
    Given(Option<Timestamp>),
    /// No, since…
    Held(String),
}

impl Leave {
    /// Why not.
    pub fn hold(self) -> Option<String> {
        match self {
            Self::Given(_) => None,
            Self::Held(why) => Some(why),
        }
    }
}

impl Sites {
    /// The registry, over the Designs that there are.
    pub fn new(designs: Cache<Design>) -> Self {
        let (news, asked) = (broadcast::channel(NEWS).0, broadcast::channel(NEWS).0);
        Self(Arc::new(Shared { designs, begun: Instant::now(), state: Mutex::default(), news, asked }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.0.news.subscribe()
    }

    /// Namespaces in which somebody would do something else from now on.
    pub fn asked(&self) -> broadcast::Receiver<String> {
        self.0.asked.subscribe()
    }

    /// Says what a Design says now, to those of `nodes` that it says something else to.
    pub fn publish(&self, key: &Key, site: Site, nodes: &[Arc<Node>]) {
        let site = Arc::new(site);
        let old = self.state().sites.insert(key.clone(), site.clone());
        for node in nodes {
            let name = node.name_any();
            let change = match &old {
                None => Change::Suspended,
                Some(old) if old.suspended != site.suspended => Change::Suspended,
                Some(old) if old.leave(&name) != site.leave(&name) => Change::Gate,
                Some(old) if old.said(&key.name, &name) != site.said(&key.name, &name) => Change::Word,
                Some(_) => continue,
            };
            // Nobody listening is fine.
            let _ = self.0.news.send(News { node: Key::of(&**node), change });
        }
    }

    /// The Design is gone.
    pub fn withdraw(&self, key: &Key, nodes: &[Arc<Node>]) {
        self.state().sites.remove(key);
        for node in nodes {
            let _ = self.0.news.send(News { node: Key::of(&**node), change: Change::Suspended });
        }
    }

    fn site(&self, node: &Node) -> Option<(Key, Option<Arc<Site>>)> {
        let reference = node.spec.design.design_ref.as_ref()?;
        let key = Key::new(node.namespace().unwrap_or_default(), &reference.name);
        let site = self.state().sites.get(&key).cloned();
        Some((key, site))
    }

    /// What its Design says of a Node.
    pub fn word(&self, node: &Node) -> Word {
        let Some((key, site)) = self.site(node) else { return Word::None };
        let Some(site) = site else {
            if self.0.designs.get(&key).is_some() {
                return Word::Awaited { told: self.0.begun.elapsed() > LATE };
            }
            let message = format!(
                "Design {}, which spec.designRef names, is not there; create it, or correct the name",
                key.name
            );
            return Word::Missing { message };
        };
        if let Some(other) = &site.part_of {
            let message =
                format!("Design {} is a part of Design {other}; refer to that one in spec.designRef", key.name);
            return Word::Missing { message };
        }
        Word::Said(site.said(&key.name, &node.name_any()))
    }

    /// What a Node is told of its model.
    pub fn told(&self, node: &Node) -> Option<Arc<Told>> {
        self.site(node)?.1?.told(&node.name_any()).cloned()
    }

    /// Whether a Node may be disrupted now.
    pub fn leave(&self, node: &Node) -> Leave {
        match self.site(node) {
            None => Leave::Given(None),
            Some((_, Some(site))) if site.part_of.is_none() => site.leave(&node.name_any()),
            Some((key, Some(_))) => Leave::Held(format!("Design {} is only a part of another one", key.name)),
            Some((key, None)) if self.0.designs.get(&key).is_some() => {
                Leave::Held(format!("Design {} has not been compiled yet", key.name))
            }
            Some((key, None)) => Leave::Held(format!("Design {} is not there", key.name)),
        }
    }

    /// Whether the Design of a Node stops all action there.
    pub fn suspends(&self, node: &Node) -> bool {
        self.site(node).and_then(|(_, site)| site).is_some_and(|site| site.suspended)
    }

    /// A party says what it would do, or does, to each Node of its namespace; nothing to those that it does not name.
    pub fn tell(&self, party: Party, generation: i64, asks: BTreeMap<String, Ask>) {
        let namespace = party.key().namespace.clone();
        let heard = Heard { generation, asks };
        let is_news = {
            let mut state = self.state();
            let is_news = state.parties.get(&party).is_none_or(|old| old.differs(&heard));
            state.parties.insert(party, heard);
            is_news
        };
        if is_news {
            let _ = self.0.asked.send(namespace);
        }
    }

    /// A party is gone.
    pub fn forget(&self, party: &Party) {
        if self.state().parties.remove(party).is_some() {
            let _ = self.0.asked.send(party.key().namespace.clone());
        }
    }

    /// What a party was heard to say, if it was about this generation of its object or a newer one.
    pub fn has_heard(&self, party: &Party, generation: Option<i64>) -> bool {
        self.state().parties.get(party).is_some_and(|heard| Some(heard.generation) >= generation)
    }

    /// What is asked of each Node of a namespace.
    pub fn asks(&self, namespace: &str) -> HashMap<String, Vec<Ask>> {
        let mut asks: HashMap<String, Vec<Ask>> = HashMap::new();
        for (party, heard) in &self.state().parties {
            if party.key().namespace == namespace {
                for (node, ask) in &heard.asks {
                    asks.entry(node.clone()).or_default().push(ask.clone());
                }
            }
        }
        asks
    }

    /// The ContainerServices that have said that they would do something to a Node.
    pub fn services_on(&self, node: &Key) -> Vec<Key> {
        let state = self.state();
        let asks = |heard: &Heard| heard.asks.contains_key(&node.name);
        let services = state.parties.iter().filter_map(|(party, heard)| match party {
            Party::Service(key) if key.namespace == node.namespace && asks(heard) => Some(key.clone()),
            _ => None,
        });
        services.collect()
    }
}

impl Party {
    fn key(&self) -> &Key {
        match self {
            Self::Node(key) | Self::Service(key) => key,
        }
    }
}

impl Heard {
    /// The time of a failure that goes on is no news.
    fn differs(&self, new: &Self) -> bool {
        let same = |old: &Ask, new: &Ask| match (old, new) {
            (Ask::Failed { message: old, .. }, Ask::Failed { message: new, .. }) => old == new,
            _ => old == new,
        };
        self.generation != new.generation
            || self.asks.len() != new.asks.len()
            || !self.asks.iter().all(|(node, ask)| new.asks.get(node).is_some_and(|new| same(ask, new)))
    }
}

impl Site {
    fn told(&self, node: &str) -> Option<&Arc<Told>> {
        self.model.as_ref()?.told.get(node)
    }

    fn said(&self, design: &str, node: &str) -> Said {
        let told = self.told(node);
        let finding = self.findings.get(node);
        let status = NodeDesignStatus {
            model: told.map(|told| told.hash.clone()),
            last_good: self.last_good,
            not_applied: told.and_then(|told| told.not_applied.clone()),
            finding: finding.map(|(text, _)| text.clone()),
        };
        let is_wrong = finding.is_some_and(|(_, is_error)| *is_error);
        Said { design: design.to_owned(), status, is_wrong, suspended: self.suspended }
    }

    fn leave(&self, node: &str) -> Leave {
        match &self.gate {
            Gate::Open => Leave::Given(None),
            Gate::Closed(why) => Leave::Held(why.clone()),
            Gate::Record { since, holds } => {
                let held = || {
                    let why = holds.get(node).cloned();
                    Leave::Held(why.unwrap_or_else(|| "waits until the rollout has taken notice of it".into()))
                };
                since.get(node).map_or_else(held, |since| Leave::Given(Some(*since)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_api::Design;

    use super::*;
    use crate::reconcile::Watch;

    fn node(name: &str) -> Arc<Node> {
        let node =
            serde_json::json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {"designRef": {"name": "lab"}}});
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn site(hold: &str) -> Site {
        let holds = HashMap::from([("a".to_owned(), hold.to_owned())]);
        Site { gate: Gate::Record { since: HashMap::new(), holds }, ..Site::default() }
    }

    #[test]
    fn only_nodes_that_something_else_is_said_to_hear_of_it() {
        let sites = Sites::new(Watch::<Design>::default().cache());
        let (key, nodes) = (Key::new("ns", "lab"), [node("a"), node("b")]);
        let mut news = sites.news();
        assert!(matches!(sites.word(&nodes[0]), Word::Missing { .. }));
        sites.publish(&key, site("waits"), &nodes);
        assert_eq!(news.len(), 2, "nothing was said before");
        while news.try_recv().is_ok() {}
        sites.publish(&key, site("waits"), &nodes);
        assert_eq!(news.len(), 0);
        sites.publish(&key, site("waits for another"), &nodes);
        assert_eq!(news.try_recv().unwrap(), News { node: Key::new("ns", "a"), change: Change::Gate });
        assert!(news.try_recv().is_err());
        assert_eq!(sites.leave(&nodes[0]), Leave::Held("waits for another".into()));
    }

    #[test]
    fn who_says_the_same_again_wakes_nobody() {
        let sites = Sites::new(Watch::<Design>::default().cache());
        let party = Party::Service(Key::new("ns", "web"));
        let mut asked = sites.asked();
        let failed = |second| Ask::Failed { since: Timestamp::from_second(second).unwrap(), message: "no".into() };
        let say = |generation, ask| sites.tell(party.clone(), generation, BTreeMap::from([("a".to_owned(), ask)]));
        say(1, failed(1));
        say(1, failed(2));
        assert_eq!(asked.len(), 1);
        say(1, Ask::Busy);
        say(2, Ask::Busy);
        assert_eq!(asked.len(), 3);
        assert!(sites.has_heard(&party, Some(2)) && !sites.has_heard(&party, Some(3)));
        assert_eq!(sites.services_on(&Key::new("ns", "a")), [Key::new("ns", "web")]);
        while asked.try_recv().is_ok() {}
        sites.forget(&party);
        assert_eq!((asked.len(), sites.asks("ns").len()), (1, 0));
    }
}
