//! A value with the places of all its parts.

use serde_json::{Map, Number, Value};

use super::Location;

/// A value with its position.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    at: Location,
    aside: Option<Box<Aside>>,
}

/// What few values have.
#[derive(Clone, Debug, Default)]
struct Aside {
    tag: Option<Box<str>>,
    written: Option<Box<str>>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    /// A date or time, as it is written: to readers that know these, it is no text.
    Timestamp(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Whether the reader takes the key for something else than text.
    pub(crate) is_odd: bool,
    pub(super) at: Location,
    pub(crate) value: Node,
}

impl Entry {
    /// A scalar is shown where it stands, everything else by its key.
    pub(crate) fn place(&self) -> Location {
        match self.value.kind {
            Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Timestamp(_) if self.value.at.line > 0 => {
                self.value.at
            }
            _ => self.at,
        }
    }

    /// Where the key stands.
    pub(crate) fn key_place(&self) -> Location {
        self.at
    }
}

impl Node {
    /// Nothing, nowhere.
    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::Null, at: Location { line: 0, column: 0 }, aside: None }
    }

    /// A value at its place.
    pub(super) fn new(kind: Kind, at: Location) -> Self {
        Self { kind, at, aside: None }
    }

    /// Notes the tag that it bears.
    pub(super) fn bears(&mut self, tag: String) {
        self.aside.get_or_insert_default().tag = Some(tag.into());
    }

    /// Notes how it is written, where that is not how it is read.
    pub(super) fn is_written(&mut self, text: &str) {
        self.aside.get_or_insert_default().written = Some(text.into());
    }

    /// How it is written, where that is not how it is read: `010`, which is 8 to some.
    pub(crate) fn written(&self) -> Option<&str> {
        self.aside.as_ref()?.written.as_deref()
    }

    fn tag(&self) -> Option<&str> {
        self.aside.as_ref()?.tag.as_deref()
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> Location {
        self.at
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Where the value of a key stands, or this, if there is none.
    pub(crate) fn place(&self, key: &str) -> Location {
        self.entry(key).map_or(self.at, Entry::place)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value without positions and tags.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(bool) => Value::Bool(*bool),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::String(text) | Kind::Timestamp(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_value())).collect::<Map<_, _>>())
            }
        }
    }

    /// Field paths of the nodes that bear a tag of their own (`!reset`), with the tag.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.collect_tags("", &mut found);
        found
    }

    fn collect_tags(&self, path: &str, found: &mut Vec<(String, String)>) {
        if let Some(tag) = self.tag().filter(|tag| tag.starts_with('!') && tag.len() > 1) {
            found.push((path.to_owned(), tag.to_owned()));
        }
        match &self.kind {
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect_tags(&format!("{path}[{index}]"), found);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    let separator = if path.is_empty() { "" } else { "." };
                    entry.value.collect_tags(&format!("{path}{separator}{}", entry.key), found);
                }
            }
            _ => {}
        }
    }

    /// Where the value at a field path stands, or its nearest ancestor that exists.
    pub(super) fn locate(&self, path: &str) -> Option<Location> {
        let (_, at, _) = self.nearest(path);
        (at.line > 0).then_some(at)
    }

    /// The value at a field path.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        let (node, _, rest) = self.nearest(path);
        rest.is_empty().then_some(node)
    }

    /// The value at a field path or its nearest ancestor that exists, with its place, and what is left of the path.
    fn nearest<'n, 'p>(&'n self, path: &'p str) -> (&'n Self, Location, &'p str) {
        let (mut node, mut at, mut rest) = (self, self.at, path);
        while !rest.is_empty() {
            let Some((next, place, tail)) = node.step(rest) else { break };
            (node, at, rest) = (next, place, tail);
        }
        (node, at, rest)
    }

    /// One step down a field path. Keys may hold dots, so the longest key that fits is taken.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n Self, Location, &'p str)> {
        match &self.kind {
            Kind::List(items) => {
                let (index, tail) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, item.at, tail))
            }
            Kind::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let fits =
                    |key: &str| path.strip_prefix(key).filter(|tail| tail.is_empty() || tail.starts_with(['.', '[']));
                let entry = entries.iter().filter(|e| fits(&e.key).is_some()).max_by_key(|e| e.key.len())?;
                let tail = fits(&entry.key)?;
                Some((&entry.value, entry.place(), tail))
            }
            _ => None,
        }
    }
}
