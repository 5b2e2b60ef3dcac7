//! YAML with positions: every value of a document can be found again by its field path, as `line:column`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Spanned, Tagged};

use super::compose::codes;
use crate::finding::Finding;

/// A position in a text, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[allow(missing_docs)]
pub struct Location {
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What a text may cost. Texts come from users and ConfigMaps, so each bound is hard.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of text.
    pub bytes: usize,
    /// Scalars, lists and maps, each use of an alias counted anew.
    pub nodes: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
}

/// Bounds of a file of Kubernetes objects: generous, since a file may bring CRDs of others along.
pub const MANIFEST: Bounds = Bounds { bytes: 4 << 20, nodes: 500_000, depth: 100 };

/// Which plain words are booleans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booleans {
    /// `true` and `false` only, as Compose reads.
    Strict,
    /// Also `yes`, `no`, `on`, `off`, as kubectl reads (YAML 1.1).
    Yaml11,
}

/// A text that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Why; its path is empty.
    pub finding: Finding,
    /// Where, if that is known.
    pub location: Option<Location>,
}

/// One document of a text.
#[derive(Clone, Debug)]
pub struct Document {
    /// The document, with anchors and merge keys resolved.
    pub value: Value,
    root: Node,
}

impl Document {
    /// Where the value at a field path (`spec.compose.services.web.ports[0]`) stands, or its nearest ancestor that exists.
    pub fn locate(&self, path: &str) -> Option<Location> {
        self.root.locate(path)
    }

    /// The same document with positions and tags.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

/// Reads every document of a file of Kubernetes objects, in the way kubectl reads it. Empty documents are left out.
pub fn documents(text: &str) -> Result<Vec<Document>, Unreadable> {
    read(text, MANIFEST, Booleans::Yaml11)
}

/// Reads every document of a text within bounds.
pub(crate) fn read(text: &str, bounds: Bounds, booleans: Booleans) -> Result<Vec<Document>, Unreadable> {
    if text.len() > bounds.bytes {
        let message = format!("the text has {} bytes; at most {} are read", text.len(), bounds.bytes);
        return Err(Unreadable { finding: Finding::error(codes::TOO_LARGE, "", message), location: None });
    }
    let roots: Vec<Node> = on_a_large_stack(|| {
        serde_saphyr::from_multiple_with_options(text, options(bounds, booleans)).map_err(|error| unreadable(&error))
    })?;
    Ok(roots.into_iter().map(|root| Document { value: root.to_value(), root }).collect())
}

/// One object as YAML that kubectl reads back as the same values.
pub(crate) fn write(object: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_saphyr::to_string(object).map_err(|error| error.to_string())?;
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    // What is written must mean the same to a reader of YAML 1.1; if it does not, JSON does.
    let read = documents(&text).map(|documents| documents.into_iter().map(|d| d.value).collect::<Vec<_>>());
    if read.as_deref() == Ok(std::slice::from_ref(&value)) {
        return Ok(text);
    }
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// The parser recurses, with some 30 KB for each level in a debug build; the threads of tests and of the async runtime have 2 MB.
fn on_a_large_stack<T: Send>(parse: impl FnOnce() -> Result<T, Unreadable> + Send) -> Result<T, Unreadable> {
    const STACK: usize = 16 << 20;
    let failed = |why: &str| Unreadable { finding: Finding::error(codes::YAML_SYNTAX, "", why), location: None };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("yaml".into()).stack_size(STACK).spawn_scoped(scope, parse);
        let thread = thread.map_err(|error| failed(&format!("cannot start a thread to read YAML: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("the YAML parser failed")))
    })
}

fn options(bounds: Bounds, booleans: Booleans) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: bounds.nodes,
            max_events: bounds.nodes * 3,
            max_depth: bounds.depth,
            flow_nesting_limit: bounds.depth,
            max_documents: (bounds.nodes / 100).max(1000),
            max_recorded_anchor_events: bounds.nodes,
            max_recorded_anchor_bytes: bounds.bytes * 4,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: bounds.nodes,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        // `mode: 0440` is octal to Compose and to kubectl.
        legacy_octal_numbers: true,
        strict_booleans: booleans == Booleans::Strict,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

fn unreadable(error: &serde_saphyr::Error) -> Unreadable {
    let location =
        error.location().filter(|at| at.line() > 0).map(|at| Location { line: at.line(), column: at.column() });
    let finding = match root_cause(error) {
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasExpansionLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. }
        | serde_saphyr::Error::AliasReplayCounterOverflow { .. } => {
            Finding::error(codes::TOO_LARGE, "", format!("the text is too large or too deep: {}", one_line(error)))
        }
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map_or_else(String::new, |key| format!(" `{key}`"));
            Finding::error(codes::DUPLICATE_KEY, "", format!("the key{key} is written twice in one map"))
                .hint("keep one of the two")
        }
        // The scanner has its own limit for brackets, and no variant for it.
        _ if one_line(error).contains("recursion limit") => {
            Finding::error(codes::TOO_LARGE, "", "the text has too many brackets inside each other")
        }
        _ => Finding::error(codes::YAML_SYNTAX, "", one_line(error)),
    };
    Unreadable { finding, location }
}

fn root_cause(error: &serde_saphyr::Error) -> &serde_saphyr::Error {
    match error.without_snippet() {
        serde_saphyr::Error::AliasError { error, .. } => root_cause(error),
        other => other,
    }
}

/// The parser's own words, bounded: they may quote the text.
fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(position) = line.rfind(" at line ") {
        line.truncate(position);
    }
    if line.chars().count() > 300 {
        line = line.chars().take(300).collect::<String>() + "…";
    }
    line
}

/// A value with its position and tag.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) tag: Option<String>,
    at: Location,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    at: Location,
    pub(crate) value: Node,
}

impl Entry {
    /// A scalar is shown where it stands, everything else by its key.
    pub(crate) fn place(&self) -> Location {
        match self.value.kind {
            Kind::Bool(_) | Kind::Number(_) | Kind::String(_) if self.value.at.line > 0 => self.value.at,
            _ => self.at,
        }
    }
}

impl Node {
    /// Nothing, nowhere.
    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::Null, tag: None, at: Location { line: 0, column: 0 } }
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
            Kind::String(text) => Value::String(text.clone()),
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
        if let Some(tag) = self.tag.as_ref().filter(|tag| tag.starts_with('!') && tag.len() > 1) {
            found.push((path.to_owned(), tag.clone()));
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

    fn locate(&self, path: &str) -> Option<Location> {
        let (mut node, mut at, mut rest) = (self, self.at, path);
        while !rest.is_empty() {
            let Some((next, place, tail)) = node.step(rest) else { break };
            (node, at, rest) = (next, place, tail);
        }
        (at.line > 0).then_some(at)
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

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: Tagged(kind, tag), defined, .. } = Spanned::<Tagged<Kind>>::deserialize(deserializer)?;
        Ok(Self { kind, tag, at: Location { line: defined.line(), column: defined.column() } })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::String(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(Kind::String(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Number::from_f64(value).map_or_else(|| Kind::String(value.to_string()), Kind::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let at = Location { line: key.defined.line(), column: key.defined.column() };
            entries.push(Entry { key: key.value, at, value: access.next_value()? });
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    const TWO: &str = "# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
kind: ContainerService
spec:
  compose:
    x-base: &base
      image: app
      restart: \"no\"
    services:
      web:
        <<: *base
        ports:
          - 80:80
          - target: 81
        driver_opts:
          com.docker.network.name: br0
      db:
";

    fn at(document: &Document, path: &str) -> String {
        document.locate(path).expect(path).to_string()
    }

    #[test]
    fn every_value_is_found_by_its_path() {
        let documents = documents(TWO).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(at(&documents[0], "metadata.name"), "4:18");
        let service = &documents[1];
        assert_eq!(at(service, "kind"), "6:7");
        assert_eq!(at(service, "spec.compose.services.web"), "13:7");
        assert_eq!(at(service, "spec.compose.services.web.ports"), "15:9");
        assert_eq!(at(service, "spec.compose.services.web.ports[0]"), "16:13");
        assert_eq!(at(service, "spec.compose.services.web.ports[1].target"), "17:21");
        assert_eq!(at(service, "spec.compose.services.web.driver_opts.com.docker.network.name"), "19:36");
        assert_eq!(
            at(service, "spec.compose.services.web.image"),
            "10:14",
            "a merged value is shown where it is defined"
        );
        assert_eq!(at(service, "spec.compose.services.db"), "20:7");
        assert_eq!(at(service, "spec.compose.services.web.ports[7]"), "15:9", "the nearest ancestor");
        assert_eq!(at(service, "spec.nothing.at.all"), "7:1");
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let documents = documents(TWO).unwrap();
        assert_eq!(
            documents[1].value["spec"]["compose"]["services"]["web"],
            json!({"image": "app", "restart": "no", "ports": ["80:80", {"target": 81}],
                   "driver_opts": {"com.docker.network.name": "br0"}})
        );
    }

    #[test]
    fn scalars_have_the_types_that_the_reader_would_see() {
        let text = "a: 0440\nb: 1.5\nc: yes\nd: 'yes'\ne: ~\nf: 12345678901234567890123\n8080: x\n";
        let value = |booleans| read(text, MANIFEST, booleans).unwrap().remove(0).value;
        assert_eq!(value(Booleans::Yaml11)["c"], json!(true));
        let strict = value(Booleans::Strict);
        assert_eq!(strict["a"], json!(0o440));
        assert_eq!(strict["b"], json!(1.5));
        assert_eq!(strict["c"], json!("yes"));
        assert_eq!(strict["d"], json!("yes"));
        assert_eq!(strict["e"], Value::Null);
        assert_eq!(strict["8080"], json!("x"));
    }

    #[test]
    fn tags_are_kept() {
        let documents = read("a: !reset null\nb: !override [1]\nc: !!str 5\n", MANIFEST, Booleans::Strict).unwrap();
        assert_eq!(documents[0].root().tags(), [("a".into(), "!reset".into()), ("b".into(), "!override".into())]);
        assert_eq!(documents[0].value, json!({"a": null, "b": [1], "c": "5"}));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, code, place) in [
            ("a: 1\nb: {c: 2\n", codes::YAML_SYNTAX, Some((2, 4))),
            ("a: 1\nb: 2\na: 3\n", codes::DUPLICATE_KEY, Some((3, 1))),
            ("a: *nope\n", codes::YAML_SYNTAX, Some((1, 4))),
            ("a: 1\n---\nb: [\n", codes::YAML_SYNTAX, None),
        ] {
            let error = documents(text).expect_err(text);
            assert_eq!(error.finding.code, code, "{text}: {error:?}");
            if let Some((line, column)) = place {
                assert_eq!(error.location, Some(Location { line, column }), "{text}: {error:?}");
            }
        }
    }

    #[test]
    fn hostile_texts_are_refused_quickly() {
        let started = std::time::Instant::now();
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = level - 1;
            let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 10].join(", "));
        }
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        let mut deep_block = String::new();
        for level in 0..2000 {
            let _ = writeln!(deep_block, "{}a:", " ".repeat(level));
        }
        let deep_maps = "{a: ".repeat(5000) + &"}".repeat(5000);
        let large = "x".repeat(10 << 20);
        for (name, text) in
            [("bomb", &bomb), ("deep", &deep), ("block", &deep_block), ("maps", &deep_maps), ("large", &large)]
        {
            let error = documents(text).expect_err(name);
            assert_eq!(error.finding.code, codes::TOO_LARGE, "{name}: {error:?}");
            assert!(error.finding.message.len() < 500, "{name}");
        }
        let few = Bounds { nodes: 1000, ..MANIFEST };
        let error = read(&"- x\n".repeat(2000), few, Booleans::Strict).unwrap_err();
        assert_eq!(error.finding.code, codes::TOO_LARGE, "{error:?}");
        // A fraction of a second when optimised; the margin is for debug builds on a busy machine.
        assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9:{}\\[\\]&*!#|>\\-,'\" \n\t<$]{0,200}") {
            if let Ok(documents) = documents(&text) {
                for document in documents {
                    let _ = document.locate("a.b[0].c");
                }
            }
        }
    }
}
