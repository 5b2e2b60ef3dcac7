//! Reads the fields of a document, tells what is wrong with them, and keeps what has no place.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::codes;
use super::documents::{Envelope, Kind};
use super::names::{Names, kubernetes};
use super::secrets::is_secret;
use crate::finding::{Finding, Place, Severity};
use crate::formats::compose::nearest;
use crate::formats::yaml::{Entry, Kind as YamlKind, Location, Node};

/// Findings of each severity that are kept; the rest is counted.
const FINDINGS: usize = 1000;

/// What is wrong, and what has no place, collected over all documents.
#[derive(Default)]
pub(super) struct Told {
    findings: RefCell<Vec<Finding>>,
    errors: Cell<usize>,
    warnings: Cell<usize>,
    /// By document's title: field path and value.
    no_place: RefCell<BTreeMap<String, BTreeMap<String, Value>>>,
    /// By document's title and field path.
    secrets: RefCell<BTreeMap<String, String>>,
    /// References to something that nothing defines, whose names were changed: told once.
    renamed: RefCell<BTreeSet<(Kind, String)>>,
}

impl Told {
    pub(super) fn push(&self, file: &str, at: Option<Location>, object: Option<String>, finding: Finding) {
        let count = if finding.severity == Severity::Error { &self.errors } else { &self.warnings };
        count.set(count.get() + 1);
        if count.get() > FINDINGS {
            return;
        }
        let place = at.map(|at| Place { file: file.to_owned(), line: at.line, column: at.column });
        self.findings.borrow_mut().push(Finding { object, place, ..finding });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors.get() > 0
    }

    /// What has no place, by document and field path.
    pub(super) fn take_no_place(&self) -> BTreeMap<String, BTreeMap<String, Value>> {
        self.no_place.take()
    }

    /// What is secret and belongs to nothing that could refer to it, by keys for a Secret.
    pub(super) fn take_secrets(&self) -> BTreeMap<String, String> {
        self.secrets.take()
    }

    /// All findings; those of one file in the order of its lines.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| a.place.cmp(&b.place));
        for (count, severity) in [(self.errors, Severity::Error), (self.warnings, Severity::Warning)] {
            if count.get() > FINDINGS {
                let message = format!("{} more findings of this severity are not shown", count.get() - FINDINGS);
                findings.push(Finding { severity, ..Finding::error(codes::TOO_LARGE, "", message) });
            }
        }
        findings
    }
}

/// One document as it is being read.
pub(super) struct Scope<'a> {
    envelope: &'a Envelope<'a>,
    pub(super) names: &'a Names,
    told: &'a Told,
}

/// A value at its place.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    /// Field path from the document's root.
    pub(super) path: String,
    at: Location,
}

impl Field<'_> {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.kind, YamlKind::Null)
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(envelope: &'a Envelope<'a>, names: &'a Names, told: &'a Told) -> Self {
        Self { envelope, names, told }
    }

    /// `Kind/name` of the document.
    pub(super) fn title(&self) -> String {
        self.envelope.title()
    }

    /// Name of the document.
    pub(super) fn name(&self) -> &'a str {
        self.envelope.name
    }

    /// The file that it is in.
    pub(super) fn file(&self) -> &'a str {
        self.envelope.file
    }

    /// Where its name stands.
    pub(super) fn at(&self) -> Location {
        self.envelope.at
    }

    /// Key of its body.
    pub(super) fn body_key(&self) -> &'static str {
        self.envelope.body_key
    }

    /// Tells something about the document's name.
    pub(super) fn about_name(&self, finding: Finding) {
        self.tell(self.envelope.at, finding);
    }

    /// The document's metadata.
    pub(super) fn metadata(&self) -> Value {
        self.envelope.metadata.map(Node::to_value).unwrap_or_default()
    }

    /// Whether drydock checks the document against a schema.
    pub(super) fn is_strict(&self) -> bool {
        self.envelope.is_strict()
    }

    /// The body of the document. Without a schema an absent one is empty.
    pub(super) fn body(&self) -> Option<Fields<'a>> {
        let whole = self.whole();
        if self.envelope.body.is_none() && !self.is_strict() {
            return Some(Fields { path: whole.path, at: whole.at, entries: Vec::new(), asked: RefCell::default() });
        }
        self.fields(whole)
    }

    /// The body as one value; the name, if there is none.
    pub(super) fn whole(&self) -> Field<'a> {
        static EMPTY: Node = Node::empty();
        let (node, at) = self.envelope.body.unwrap_or((&EMPTY, self.envelope.at));
        Field { node, path: self.envelope.body_key.to_owned(), at }
    }

    fn tell(&self, at: Location, finding: Finding) {
        self.told.push(self.envelope.file, Some(at), Some(self.title()), finding);
    }

    /// Something that drydock fails to process.
    pub(super) fn error(&self, field: &Field<'_>, message: impl Into<String>) {
        self.tell(field.at, Finding::error(codes::DOCUMENT, &field.path, message));
    }

    /// A violation of the schema.
    pub(super) fn violation(&self, field: &Field<'_>, message: impl Into<String>, hint: Option<String>) {
        self.tell(field.at, Finding { hint, ..Finding::error(codes::SCHEMA, &field.path, message) });
    }

    /// Something that is written in another way now.
    pub(super) fn rewritten(&self, field: &Field<'_>, message: impl Into<String>) {
        self.tell(field.at, Finding::warning(codes::REWRITTEN, &field.path, message));
    }

    /// Something secret that is in a Secret now.
    pub(super) fn secret_moved(&self, field: &Field<'_>, message: impl Into<String>) {
        self.tell(field.at, Finding::warning(codes::SECRET_MOVED, &field.path, message));
    }

    /// Keeps a value that a Design has no field for.
    pub(super) fn no_place(&self, field: &Field<'_>, why: &str) {
        let value = field.node.to_value();
        let is_secret = holds_secret(field.path.rsplit('.').next().unwrap_or_default(), &value);
        let where_ = if is_secret { "a Secret" } else { "an annotation" };
        let message = format!("has no place in a Design and is kept in {where_}: {why}");
        self.tell(field.at, Finding::warning(codes::NO_PLACE, &field.path, message));
        if is_secret {
            return self.keep_secret(field, &value.to_string());
        }
        let mut kept = self.told.no_place.borrow_mut();
        kept.entry(self.title()).or_default().insert(field.path.clone(), value);
    }

    /// Keeps something secret that nothing can refer to.
    pub(super) fn keep_secret(&self, field: &Field<'_>, text: &str) {
        let key = format!("{}.{}", self.title(), field.path);
        let fits = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
        let key: String = key.chars().map(fits).take(253).collect();
        self.told.secrets.borrow_mut().insert(key, text.to_owned());
    }

    /// Tells that a field that drydock cannot do without is missing.
    pub(super) fn missing(&self, fields: &Fields<'_>, key: &str) {
        let path = format!("{}.{key}", fields.path);
        self.tell(
            fields.at,
            Finding::error(codes::DOCUMENT, path, format!("`{key}` is missing, and drydock needs it")),
        );
    }

    /// The entries of a map.
    pub(super) fn fields(&self, field: Field<'a>) -> Option<Fields<'a>> {
        match &field.node.kind {
            YamlKind::Map(entries) => Some(Fields {
                path: field.path,
                at: field.at,
                entries: entries.iter().collect(),
                asked: RefCell::default(),
            }),
            _ => self.wrong(&field, "a map"),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self, field: &Field<'a>) -> Vec<Field<'a>> {
        match &field.node.kind {
            YamlKind::List(items) => {
                let item = |(index, node): (usize, &'a Node)| {
                    let at = if node.at().line > 0 { node.at() } else { field.at };
                    Field { node, path: format!("{}[{index}]", field.path), at }
                };
                items.iter().enumerate().map(item).collect()
            }
            _ => self.wrong(field, "a list").unwrap_or_default(),
        }
    }

    /// Text. Without a schema drydock makes text of booleans and numbers, as Python writes them.
    pub(super) fn text(&self, field: &Field<'_>) -> Option<String> {
        match (&field.node.kind, scalar(field.node)) {
            (YamlKind::String(text), _) => Some(text.clone()),
            (YamlKind::Null, _) if !self.is_strict() => None,
            (YamlKind::Number(_), _) if !self.is_strict() && is_base_60(field.node) => Some(self.as_written(field)),
            (_, Some(text)) if !self.is_strict() => Some(text),
            (YamlKind::Number(_) | YamlKind::Bool(_) | YamlKind::Timestamp(_), Some(text)) => {
                let written = field.node.written().unwrap_or(&text).to_owned();
                let read = if written == text { String::new() } else { format!(", read as {text},") };
                let message = format!("{written}{read} where text is wanted");
                self.violation(field, message, Some(format!("write \"{written}\"")));
                None
            }
            _ => self.wrong(field, "text"),
        }
    }

    /// Text that drydock takes of any scalar, schema or not.
    pub(super) fn any_text(&self, field: &Field<'_>) -> Option<String> {
        if is_base_60(field.node) {
            return Some(self.as_written(field));
        }
        scalar(field.node).or_else(|| self.wrong(field, "text"))
    }

    /// The text of a number to base 60. Drydock would go on with the number, which is no address of anything.
    fn as_written(&self, field: &Field<'_>) -> String {
        let (written, read) = (field.node.written().unwrap_or_default(), described(field.node));
        self.rewritten(field, format!("{written:.100} is the number {read} to drydock; it is the text now"));
        written.to_owned()
    }

    /// A number that is not negative, or text of one: where the schema does not look.
    pub(super) fn any_number(&self, field: &Field<'_>) -> Option<u32> {
        match &field.node.kind {
            YamlKind::String(text) => {
                text.trim().parse().ok().or_else(|| self.wrong(field, "a number from 0 to 4294967295"))
            }
            _ => self.number(field),
        }
    }

    /// Text of a value that can be inherited. `-1` takes away what a parent has, as `!` does.
    pub(super) fn inheritable(&self, field: &Field<'_>) -> Option<String> {
        match &field.node.kind {
            YamlKind::Number(number) if number.as_i64() == Some(-1) => Some("!".to_owned()),
            _ => self.text(field),
        }
    }

    /// A number that is not negative. Drydock takes `10.0` for 10, and cuts off what is behind the point.
    pub(super) fn number(&self, field: &Field<'_>) -> Option<u32> {
        let found = match &field.node.kind {
            YamlKind::Number(number) => number.as_u64().or_else(|| cut(number.as_f64()?)),
            YamlKind::String(text) if !self.is_strict() => text.trim().parse().ok(),
            YamlKind::Null if !self.is_strict() => return None,
            _ => return self.wrong(field, "a number"),
        };
        let found = found.and_then(|number| u32::try_from(number).ok());
        found.or_else(|| self.wrong(field, "a number from 0 to 4294967295"))
    }

    /// True or false.
    pub(super) fn flag(&self, field: &Field<'_>) -> Option<bool> {
        match &field.node.kind {
            YamlKind::Bool(value) => Some(*value),
            YamlKind::Null if !self.is_strict() => None,
            _ => self.wrong(field, "true or false"),
        }
    }

    /// One of some words, which the schema lists.
    pub(super) fn word<T: Copy>(&self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        self.one_of(codes::SCHEMA, field, words)
    }

    /// One of some words, which drydock's model lists and its schema does not.
    pub(super) fn model_word<T: Copy>(&self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        self.one_of(codes::DOCUMENT, field, words)
    }

    fn one_of<T: Copy>(&self, code: &'static str, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{text:.100}` is none of {}", known.join(", "));
            let hint = nearest(&text, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.tell(field.at, Finding { hint, ..Finding::error(code, &field.path, message) });
        }
        found
    }

    /// Texts of a list.
    pub(super) fn texts(&self, field: &Field<'a>) -> Vec<String> {
        self.items(field).iter().filter_map(|item| self.text(item)).collect()
    }

    /// Keys with texts. An empty value stays, as text.
    pub(super) fn pairs(&self, field: Field<'a>) -> BTreeMap<String, String> {
        let Some(fields) = self.fields(field) else { return BTreeMap::new() };
        fields.named(self).into_iter().filter_map(|(key, field)| Some((key.to_owned(), self.text(&field)?))).collect()
    }

    /// Keys with texts of whatever the values are; those that are maps or lists have no place.
    pub(super) fn loose_pairs(&self, field: Field<'a>) -> BTreeMap<String, String> {
        let Some(fields) = self.fields(field) else { return BTreeMap::new() };
        let mut pairs = BTreeMap::new();
        for (key, field) in fields.named(self) {
            match (&field.node.kind, scalar(field.node)) {
                (_, Some(text)) => drop(pairs.insert(key.to_owned(), text)),
                (YamlKind::Null, None) => drop(pairs.insert(key.to_owned(), String::new())),
                _ => self.no_place(&field, "only texts do"),
            }
        }
        pairs
    }

    /// What a reference is called now. `!` before it stays, and so does one to nothing that exists, but for its style.
    pub(super) fn refer(&self, kind: Kind, field: &Field<'_>, text: &str) -> String {
        let (removal, name) = text.strip_prefix('!').map_or(("", text), |name| ("!", name));
        if name.is_empty() {
            return text.to_owned();
        }
        if let Some(name) = self.names.get(kind, name) {
            return format!("{removal}{name}");
        }
        // It stays undefined, and does not become the name of something else.
        let mut changed = kubernetes(name);
        while self.names.is_taken(kind, &changed) {
            changed.push_str("-undefined");
        }
        if changed != name && self.told.renamed.borrow_mut().insert((kind, name.to_owned())) {
            let message = format!("`{name:.100}`, which no {} defines, is called `{changed:.100}` now", kind.text());
            self.tell(field.at, Finding::warning(codes::RENAMED, &field.path, message));
        }
        format!("{removal}{changed}")
    }

    /// A text, unless it is empty: a Design has no empty texts.
    pub(super) fn filled(&self, field: &Field<'_>, text: String) -> Option<String> {
        if text.is_empty() {
            self.no_place(field, "it is empty");
            return None;
        }
        Some(text)
    }

    /// References of a list.
    pub(super) fn references(&self, kind: Kind, field: &Field<'a>) -> Vec<String> {
        let items = self.items(field);
        items.iter().filter_map(|item| Some(self.refer(kind, item, &self.text(item)?))).collect()
    }

    fn wrong<T>(&self, field: &Field<'_>, wanted: &str) -> Option<T> {
        self.violation(field, format!("{} where {wanted} is wanted", described(field.node)), None);
        None
    }
}

/// The entries of a map that is being read.
pub(super) struct Fields<'a> {
    path: String,
    at: Location,
    entries: Vec<&'a Entry>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The value of a key.
    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        drop(asked);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.field(entry))
    }

    /// Text of a key.
    pub(super) fn text(&self, scope: &Scope<'a>, key: &'static str) -> Option<String> {
        self.get(key).and_then(|field| scope.filled(&field, scope.text(&field)?))
    }

    /// Text of a key that can be inherited.
    pub(super) fn inheritable(&self, scope: &Scope<'a>, key: &'static str) -> Option<String> {
        self.get(key).and_then(|field| scope.filled(&field, scope.inheritable(&field)?))
    }

    /// Number of a key.
    pub(super) fn number(&self, scope: &Scope<'a>, key: &'static str) -> Option<u32> {
        self.get(key).and_then(|field| scope.number(&field))
    }

    /// Boolean of a key.
    pub(super) fn flag(&self, scope: &Scope<'a>, key: &'static str) -> Option<bool> {
        self.get(key).and_then(|field| scope.flag(&field))
    }

    /// Entries of a key.
    pub(super) fn map(&self, scope: &Scope<'a>, key: &'static str) -> Option<Fields<'a>> {
        self.get(key).and_then(|field| scope.fields(field))
    }

    /// Items of a key.
    pub(super) fn list(&self, scope: &Scope<'a>, key: &'static str) -> Vec<Field<'a>> {
        self.get(key).map(|field| scope.items(&field)).unwrap_or_default()
    }

    /// Texts of a key.
    pub(super) fn texts(&self, scope: &Scope<'a>, key: &'static str) -> Vec<String> {
        self.get(key).map(|field| scope.texts(&field)).unwrap_or_default()
    }

    /// Reference of a key.
    pub(super) fn reference(&self, scope: &Scope<'a>, key: &'static str, kind: Kind) -> Option<String> {
        let field = self.get(key)?;
        let text = scope.filled(&field, scope.inheritable(&field)?)?;
        Some(scope.refer(kind, &field, &text))
    }

    /// References of a key.
    pub(super) fn references(&self, scope: &Scope<'a>, key: &'static str, kind: Kind) -> Vec<String> {
        self.get(key).map(|field| scope.references(kind, &field)).unwrap_or_default()
    }

    /// Every entry, in its order.
    pub(super) fn all(&self) -> Vec<(&'a str, Field<'a>)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.field(entry))).collect()
    }

    /// Every entry of a map whose keys must be texts: drydock fails on one that is a number or a boolean to its reader.
    pub(super) fn named(&self, scope: &Scope<'a>) -> Vec<(&'a str, Field<'a>)> {
        for entry in self.entries.iter().filter(|entry| entry.is_odd) {
            let (at, path) = (entry.key_place(), format!("{}.{}", self.path, entry.key));
            let message = format!("the key {:.100} is no text without quotes", entry.key);
            let finding = Finding::error(codes::DOCUMENT, path, message);
            scope.tell(at, finding.hint(format!("write \"{:.100}\"", entry.key)));
        }
        self.all()
    }

    /// Every entry that was not asked for.
    pub(super) fn rest(&self) -> Vec<(&'a str, Field<'a>)> {
        let asked = self.asked.borrow();
        self.all().into_iter().filter(|(key, _)| !asked.contains(key)).collect()
    }

    /// Ends the reading of a map that the schema closes: what is left is an error. Without a schema drydock ignores it.
    pub(super) fn close(self, scope: &Scope<'a>) {
        if !scope.is_strict() {
            return self.open(scope);
        }
        let asked = self.asked.borrow();
        for (key, field) in self.rest() {
            let hint = match nearest(key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields are {}", asked.join(", ")),
            };
            scope.violation(&field, format!("`{key:.100}` is not a field here"), Some(hint));
        }
    }

    /// Ends the reading of a map that may hold anything: drydock ignores what is left.
    pub(super) fn open(self, scope: &Scope<'a>) {
        for (_, field) in self.rest() {
            scope.no_place(&field, "drydock ignores it");
        }
    }

    fn field(&self, entry: &'a Entry) -> Field<'a> {
        Field { node: &entry.value, path: format!("{}.{}", self.path, entry.key), at: entry.place() }
    }
}

/// Whether a value, or one inside it, has a name that says that it is secret.
fn holds_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| holds_secret(key, value)),
        Value::Array(items) => items.iter().any(|item| holds_secret(key, item)),
        _ => is_secret(key),
    }
}

/// A scalar as Python writes it.
fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        YamlKind::String(text) | YamlKind::Timestamp(text) => Some(text.clone()),
        YamlKind::Number(number) => Some(python(&number.to_string())),
        YamlKind::Bool(true) => Some("True".to_owned()),
        YamlKind::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// A number as Python writes it: the exponent has a sign and two digits.
fn python(number: &str) -> String {
    match number.split_once('e') {
        None => number.to_owned(),
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{:0>2}", exponent.trim_start_matches('+')),
        },
    }
}

/// Whether a number is written like a time of day, or like a MAC address of small digits.
fn is_base_60(node: &Node) -> bool {
    node.written().is_some_and(|written| written.contains(':'))
}

fn cut(number: f64) -> Option<u64> {
    let fits = (0.0..=f64::from(u32::MAX)).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range, and meant to be cut
    fits.then_some(number as u64)
}

fn described(node: &Node) -> String {
    match &node.kind {
        YamlKind::Null => "nothing".to_owned(),
        YamlKind::Bool(value) => value.to_string(),
        YamlKind::Number(number) => number.to_string(),
        YamlKind::String(text) => format!("`{text:.100}`"),
        YamlKind::Timestamp(text) => format!("the time {text:.100}"),
        YamlKind::List(_) => "a list".to_owned(),
        YamlKind::Map(_) => "a map".to_owned(),
    }
}
