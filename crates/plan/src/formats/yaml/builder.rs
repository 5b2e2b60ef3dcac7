//! From the parser's events to values: anchors, merge keys, and the bounds of a text.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Entry, Kind, Node};
use super::scalar::{self, Dialect};
use super::{Bounds, Location, Unreadable};
use crate::finding::Finding;
use crate::formats::compose::codes;

/// Bytes of text that aliases may make of one byte that is written.
const REPLAYED: usize = 4;

/// Problems of one text that are told.
const PROBLEMS: usize = 100;

/// Reads all documents that can be read, and tells what cannot. A broken document ends where the next one begins, and of a
/// key that is written twice the last one holds; a bound that is exceeded ends the reading.
///
/// Not recursive: how deep a text may go is a bound, and not a matter of the stack.
pub(super) fn build(text: &str, bounds: Bounds, dialect: Dialect) -> (Vec<Node>, Vec<Unreadable>) {
    let mut options = granit_parser::options! {
        flow_nesting_limit: bounds.depth,
        block_nesting_limit: bounds.depth,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        bounds,
        dialect,
        spent: Cost::default(),
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
        problems: Vec::new(),
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    while builder.problems.len() < PROBLEMS {
        let taken = match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => builder.take(event, &span),
            Some(Err(error)) => Err(unscanned(&error)),
        };
        let Err(problem) = taken else { continue };
        let is_the_end = problem.finding.code == codes::TOO_LARGE;
        builder.problems.push(problem);
        builder.open.clear();
        builder.anchors.clear();
        if is_the_end || !matches!(parser.proceed_next_document(), Ok(true)) {
            break;
        }
    }
    (builder.documents, builder.problems)
}

/// What values take of the bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

/// A list or map that has not ended.
struct Open {
    at: Location,
    anchor: usize,
    tag: Option<String>,
    /// What was spent when it began.
    before: Cost,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    key: Option<Key>,
    /// Values of `<<`.
    merged: Vec<Node>,
}

struct Key {
    text: String,
    is_odd: bool,
    is_merge: bool,
    at: Location,
}

struct Builder {
    bounds: Bounds,
    dialect: Dialect,
    spent: Cost,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Cost)>,
    documents: Vec<Node>,
    problems: Vec<Unreadable>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Unreadable> {
        let at = place(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(1, text.len(), at)?;
                self.scalar(&text, style, anchor, tag.as_deref(), at)
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(Content::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(_, anchor, tag) => {
                self.begin(Content::Map(OpenMap::default()), anchor, tag.as_deref(), at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, cost)) = self.anchors.get(&anchor) else {
                    return Err(syntax(at, "the alias stands inside of what it is for"));
                };
                let (node, cost) = (node.clone(), *cost);
                self.spend(cost.nodes, cost.bytes, at)?;
                self.put(node)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, nodes: usize, bytes: usize, at: Location) -> Result<(), Unreadable> {
        self.spent.nodes += nodes;
        self.spent.bytes = self.spent.bytes.saturating_add(bytes);
        if self.spent.nodes > self.bounds.nodes {
            return Err(too_large(at, format!("more than {} values", self.bounds.nodes)));
        }
        let most = self.bounds.bytes.saturating_mul(REPLAYED);
        if self.spent.bytes > most {
            return Err(too_large(at, format!("more than {most} bytes, with what its aliases stand for")));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Location,
    ) -> Result<(), Unreadable> {
        let is_plain = style == ScalarStyle::Plain;
        if let Some(Open { content: Content::Map(map), .. }) = self.open.last_mut()
            && map.key.is_none()
        {
            let is_odd = self.dialect == Dialect::PyYaml
                && is_plain
                && tag.is_none()
                && !matches!(scalar::plain(text, self.dialect), Kind::String(_));
            let is_merge = is_plain && tag.is_none() && text == "<<";
            map.key = Some(Key { text: text.to_owned(), is_odd, is_merge, at });
            if anchor != 0 {
                self.anchors.insert(
                    anchor,
                    (Node::new(Kind::String(text.to_owned()), at), Cost { nodes: 1, bytes: text.len() }),
                );
            }
            return Ok(());
        }
        let mut node = Node::new(self.meaning(text, is_plain, tag, at)?, at);
        let is_read_otherwise = match &node.kind {
            Kind::Number(number) => number.to_string() != text,
            Kind::Bool(value) => value.to_string() != text,
            _ => false,
        };
        if is_read_otherwise {
            node.is_written(text);
        }
        if let Some(tag) = tag {
            node.bears(tag.to_string());
        }
        self.anchor(anchor, &node, Cost { nodes: 1, bytes: text.len() });
        self.put(node)
    }

    fn meaning(&self, text: &str, is_plain: bool, tag: Option<&Tag>, at: Location) -> Result<Kind, Unreadable> {
        let Some(tag) = tag else {
            return Ok(if is_plain { scalar::plain(text, self.dialect) } else { Kind::String(text.to_owned()) });
        };
        if let Some(core) = tag.core_suffix() {
            if core == "str" {
                return Ok(Kind::String(text.to_owned()));
            }
            let meaning = scalar::tagged(text, core, self.dialect);
            return meaning.ok_or_else(|| syntax(at, format!("`{text:.100}` is not what the tag {tag:.100} says")));
        }
        match tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() {
            Some("binary") => {
                let packed: String = text.split_ascii_whitespace().collect();
                let bytes = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                bytes.map(Kind::String).ok_or_else(|| syntax(at, "the binary data is not base64 of text"))
            }
            Some("timestamp") => Ok(Kind::Timestamp(text.to_owned())),
            // The tag `!` says that it is a text.
            _ if tag.suffix().is_empty() || tag.suffix() == "!" => Ok(Kind::String(text.to_owned())),
            _ if self.dialect == Dialect::PyYaml => Err(syntax(at, format!("nothing is known of the tag {tag:.100}"))),
            _ => Ok(if is_plain { scalar::plain(text, self.dialect) } else { Kind::String(text.to_owned()) }),
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, tag: Option<&Tag>, at: Location) -> Result<(), Unreadable> {
        let before = self.spent;
        self.spend(1, 0, at)?;
        if self.open.len() >= self.bounds.depth {
            return Err(too_large(at, format!("more than {} lists and maps inside each other", self.bounds.depth)));
        }
        self.open.push(Open { at, anchor, tag: tag.map(ToString::to_string), before, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map(map) => Kind::Map(map.entries(&mut self.problems)?),
        };
        let mut node = Node::new(kind, open.at);
        if let Some(tag) = open.tag {
            node.bears(tag);
        }
        let cost = Cost { nodes: self.spent.nodes - open.before.nodes, bytes: self.spent.bytes - open.before.bytes };
        self.anchor(open.anchor, &node, cost);
        self.put(node)
    }

    fn anchor(&mut self, anchor: usize, node: &Node, cost: Cost) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), cost));
        }
    }

    /// Puts a value where it belongs: into the list or map around it, or among the documents.
    fn put(&mut self, node: Node) -> Result<(), Unreadable> {
        let Some(open) = self.open.last_mut() else {
            let most = (self.bounds.nodes / 100).max(1000);
            if self.documents.len() >= most {
                return Err(too_large(node.at(), format!("more than {most} documents")));
            }
            if !matches!(node.kind, Kind::Null) {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map(map) => map.put(node)?,
        }
        Ok(())
    }
}

impl OpenMap {
    fn put(&mut self, node: Node) -> Result<(), Unreadable> {
        match self.key.take() {
            Some(key) if key.is_merge => self.merged.push(node),
            Some(Key { text, is_odd, at, .. }) => self.entries.push(Entry { key: text, is_odd, at, value: node }),
            // Only an alias or a list or map gets here.
            None => {
                let at = node.at();
                let Kind::String(text) = node.kind else {
                    return Err(syntax(at, "a key is a list or a map; only texts can be keys"));
                };
                self.key = Some(Key { text, is_odd: false, is_merge: false, at });
            }
        }
        Ok(())
    }

    /// The entries, with what is merged into them: that first, and changed by what is written here.
    fn entries(self, problems: &mut Vec<Unreadable>) -> Result<Vec<Entry>, Unreadable> {
        let is_twice = has_twice(&self.entries);
        if self.merged.is_empty() && !is_twice {
            return Ok(self.entries);
        }
        if is_twice {
            let mut seen: HashSet<&str> = HashSet::with_capacity(self.entries.len());
            let twice = self.entries.iter().filter(|entry| !seen.insert(&entry.key));
            problems.extend(twice.take(PROBLEMS).map(written_twice));
        }
        let mut all: Vec<Entry> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut lay = |entry: Entry| {
            if let Some(at) = index.get(&entry.key) {
                all[*at] = entry;
            } else {
                index.insert(entry.key.clone(), all.len());
                all.push(entry);
            }
        };
        for node in self.merged {
            let at = node.at();
            let maps = match node.kind {
                Kind::Map(_) => vec![node],
                // Of several maps the first one counts most.
                Kind::List(items) => items.into_iter().rev().collect(),
                Kind::Null => Vec::new(),
                _ => return Err(syntax(at, "only maps can be merged")),
            };
            for map in maps {
                let at = map.at();
                let Kind::Map(entries) = map.kind else { return Err(syntax(at, "only maps can be merged")) };
                entries.into_iter().for_each(&mut lay);
            }
        }
        self.entries.into_iter().for_each(lay);
        Ok(all)
    }
}

/// Whether two entries have one key.
fn has_twice(entries: &[Entry]) -> bool {
    /// Entries up to which comparing is faster than hashing.
    const FEW: usize = 16;
    if entries.len() <= FEW {
        return entries.iter().enumerate().any(|(index, entry)| entries[..index].iter().any(|e| e.key == entry.key));
    }
    let mut seen: HashSet<&str> = HashSet::with_capacity(entries.len());
    entries.iter().any(|entry| !seen.insert(&entry.key))
}

fn written_twice(entry: &Entry) -> Unreadable {
    let message = format!("the key `{:.100}` is written twice in one map", entry.key);
    let finding = Finding::error(codes::DUPLICATE_KEY, "", message).hint("keep one of the two");
    Unreadable { finding, location: Some(entry.at) }
}

fn place(line: usize, column: usize) -> Location {
    Location { line: line as u64, column: column as u64 + 1 }
}

fn unscanned(error: &ScanError) -> Unreadable {
    let at = place(error.marker().line(), error.marker().col());
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_large(at, "too many lists and maps inside each other");
    }
    syntax(at, error.info())
}

fn too_large(at: Location, why: impl std::fmt::Display) -> Unreadable {
    let finding = Finding::error(codes::TOO_LARGE, "", format!("the text is too large or too deep: {why}"));
    Unreadable { finding, location: Some(at) }
}

fn syntax(at: Location, why: impl AsRef<str>) -> Unreadable {
    // The parser's words may quote the text.
    let why: String = why.as_ref().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    Unreadable { finding: Finding::error(codes::YAML_SYNTAX, "", why), location: Some(at) }
}
