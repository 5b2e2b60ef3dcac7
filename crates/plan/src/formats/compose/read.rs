//! Walks a tree of values, types them, and collects what is wrong with their field paths.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{codes, values};
use crate::finding::{Finding, Severity};

/// Findings that are kept; a file with more of them gets one last finding that counts the rest.
pub const MAX_FINDINGS: usize = 100;

/// Collects findings, at most [`MAX_FINDINGS`] of each severity.
#[derive(Default)]
pub(super) struct Findings {
    kept: RefCell<Vec<Finding>>,
    errors: Cell<usize>,
    warnings: Cell<usize>,
}

impl Findings {
    pub(super) fn push(&self, finding: Finding) {
        let count = match finding.severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        count.set(count.get() + 1);
        if count.get() <= MAX_FINDINGS {
            self.kept.borrow_mut().push(finding);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors.get() > 0
    }

    /// All of them; `base` is the path of the finding that counts the rest.
    pub(super) fn into_vec(self, base: &str) -> Vec<Finding> {
        let mut findings = self.kept.into_inner();
        if self.errors.get() > MAX_FINDINGS {
            let more = format!("{} more errors are not shown", self.errors.get() - MAX_FINDINGS);
            findings.push(Finding::error(codes::TOO_LARGE, base, more));
        }
        findings
    }
}

/// A value at its place.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
    findings: &'a Findings,
}

impl<'a> At<'a> {
    pub(super) fn new(value: &'a Value, path: &str, findings: &'a Findings) -> Self {
        Self { value, path: path.to_owned(), findings }
    }

    pub(super) fn error(&self, code: &'static str, message: impl Into<String>) {
        self.findings.push(Finding::error(code, &self.path, message));
    }

    pub(super) fn error_with_hint(&self, code: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.findings.push(Finding::error(code, &self.path, message).hint(hint));
    }

    pub(super) fn warning(&self, code: &'static str, message: impl Into<String>) {
        self.findings.push(Finding::warning(code, &self.path, message));
    }

    pub(super) fn invalid(&self, message: impl Into<String>) {
        self.error(codes::INVALID_VALUE, message);
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.invalid(format!("{} is not {wanted}", describe(self.value)));
        None
    }

    /// Reports the reason, if there is one.
    pub(super) fn or_report<T>(&self, code: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|reason| self.error(code, reason)).ok()
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Whether it is a text of no characters, as a variable that is not set leaves it.
    pub(super) fn is_empty_text(&self) -> bool {
        self.value.as_str() == Some("")
    }

    /// Text; an integer is taken as its digits (`user: 1000`).
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            Value::Number(_) | Value::Bool(_) => {
                let quoted = format!("write \"{}\"", self.value);
                self.error_with_hint(codes::INVALID_VALUE, format!("{} is not text", describe(self.value)), quoted);
                None
            }
            _ => self.wrong_type("text"),
        }
    }

    /// Text that is not empty.
    pub(super) fn word(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.invalid("is empty");
            return None;
        }
        Some(text)
    }

    /// Text with a rule.
    pub(super) fn parsed<T>(&self, code: &'static str, rule: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.or_report(code, rule(&self.text()?))
    }

    /// Any scalar in the words that Compose makes of it, as for environment values and labels; null has none.
    fn scalar(&self) -> Option<String> {
        match self.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Bool(bool) => Some(bool.to_string()),
            Value::Number(number) => Some(values::number(number)),
            Value::Array(_) | Value::Object(_) => self.wrong_type("text, a number or a boolean"),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let number = match self.value {
            Value::Number(number) => values::whole(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.or_else(|| self.wrong_type("an integer"))
    }

    /// An integer of a range.
    pub(super) fn within(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = self.integer()?;
        if range.contains(&number) {
            return Some(number);
        }
        self.invalid(format!("{number} is not between {} and {}", range.start(), range.end()));
        None
    }

    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => self.wrong_type("a number"),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(bool) => Some(*bool),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "y" | "yes" | "on" => Some(true),
                "false" | "n" | "no" | "off" => Some(false),
                _ => self.wrong_type("true or false"),
            },
            _ => self.wrong_type("true or false"),
        }
    }

    /// A size, as a number of bytes or with a unit.
    pub(super) fn bytes(&self) -> Option<i64> {
        match self.value {
            Value::Number(number) if number.as_i64().is_some_and(|n| n >= 0) => number.as_i64(),
            Value::String(text) => self.or_report(codes::INVALID_VALUE, values::bytes(text)),
            _ => self.wrong_type("a size; write for example 512m or 1g"),
        }
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        match self.value {
            Value::String(text) if text.trim() == "0" => Some(Duration::ZERO),
            Value::Number(number) if number.as_u64() == Some(0) => Some(Duration::ZERO),
            Value::String(text) => self.or_report(codes::INVALID_VALUE, crate::duration::parse(text)),
            _ => self.wrong_type("a duration; write for example 30s, 5m or 1h30m"),
        }
    }

    /// Octal text or a number, as file modes are written.
    pub(super) fn mode(&self) -> Option<u32> {
        let mode = match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => u64::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
            _ => None,
        };
        match mode.and_then(|mode| u32::try_from(mode).ok()).filter(|mode| *mode <= 0o7777) {
            Some(mode) => Some(mode),
            None => self.wrong_type("a file mode; write for example \"0440\""),
        }
    }

    pub(super) fn list(&self) -> Option<Vec<At<'a>>> {
        let Value::Array(items) = self.value else { return self.wrong_type("a list") };
        Some(items.iter().enumerate().map(|(index, value)| self.item(index, value)).collect())
    }

    fn item(&self, index: usize, value: &'a Value) -> At<'a> {
        At { value, path: format!("{}[{index}]", self.path), findings: self.findings }
    }

    /// A list, or one value that stands for a list of one.
    pub(super) fn one_or_list(&self) -> Option<Vec<At<'a>>> {
        match self.value {
            Value::String(_) | Value::Number(_) => Some(vec![self.clone()]),
            _ => self.list(),
        }
    }

    /// A list of words; a repeated one counts once, as in Compose.
    pub(super) fn words(&self) -> Vec<String> {
        unique(self.list().unwrap_or_default().iter().filter_map(At::word))
    }

    /// A list of words with a rule for each.
    pub(super) fn words_that(&self, code: &'static str, rule: impl Fn(&str) -> Result<(), String>) -> Vec<String> {
        let items = self.list().unwrap_or_default();
        unique(items.iter().filter_map(|item| {
            let word = item.word()?;
            item.or_report(code, rule(&word)).map(|()| word)
        }))
    }

    /// A map with keys of the user's choice.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, At<'a>)>> {
        let Value::Object(map) = self.value else { return self.wrong_type("a map") };
        Some(map.iter().map(|(key, value)| (key.as_str(), self.child(key, value))).collect())
    }

    fn child(&self, key: &str, value: &'a Value) -> At<'a> {
        let separator = if self.path.is_empty() { "" } else { "." };
        At { value, path: format!("{}{separator}{key}", self.path), findings: self.findings }
    }

    /// `KEY: value` or `- KEY=value`; `None` is a key without a value.
    pub(super) fn mapping(&self) -> BTreeMap<String, Option<String>> {
        match self.value {
            Value::Object(_) => self
                .entries()
                .unwrap_or_default()
                .into_iter()
                .filter(|(key, _)| !key.is_empty() || self.wrong_type::<()>("a map without an empty key").is_some())
                .map(|(key, at)| (key.to_owned(), at.scalar()))
                .collect(),
            Value::Array(_) => self.list().unwrap_or_default().iter().filter_map(At::assignment).collect(),
            _ => self.wrong_type("a map or a list of KEY=value").unwrap_or_default(),
        }
    }

    /// The same for variables of a process, whose names do not end with a space, as Compose has it.
    pub(super) fn variables(&self) -> BTreeMap<String, Option<String>> {
        let mut variables = self.mapping();
        variables.retain(|name, _| {
            let good = !self.value.is_array() || !name.ends_with(char::is_whitespace);
            if !good {
                self.invalid(format!("`{}` has a space before its `=`; write KEY=value", shorten(name)));
            }
            good
        });
        variables
    }

    fn assignment(&self) -> Option<(String, Option<String>)> {
        let Value::String(text) = self.value else {
            self.invalid(format!("{} is not KEY=value", describe(self.value)));
            return None;
        };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        if key.is_empty() {
            self.invalid("is not KEY=value");
            return None;
        }
        Some((key.to_owned(), value))
    }

    /// The same with "no value" as the empty string, as for labels and options.
    pub(super) fn strings(&self) -> BTreeMap<String, String> {
        self.mapping().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
    }

    /// A map with known keys.
    pub(super) fn fields(&self) -> Option<Fields<'a>> {
        let Value::Object(map) = self.value else { return self.wrong_type("a map") };
        Some(Fields { at: self.clone(), map, known: RefCell::default() })
    }
}

/// Each once, in the order of their first appearance.
pub(super) fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

/// A map whose keys are known. What nobody asked for is reported by [`Fields::finish`].
pub(super) struct Fields<'a> {
    pub(super) at: At<'a>,
    map: &'a Map<String, Value>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The value of a key. A key with nothing after it counts as not written.
    pub(super) fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.get_or_null(key).filter(|at| !at.is_null())
    }

    /// The value of a key where an empty text says nothing, as in Compose: `user: ${RUN_AS:-}`.
    pub(super) fn get_unless_empty(&self, key: &'static str) -> Option<At<'a>> {
        self.get(key).filter(|at| !at.is_empty_text())
    }

    /// The value of a key, null included.
    pub(super) fn get_or_null(&self, key: &'static str) -> Option<At<'a>> {
        self.known.borrow_mut().push(key);
        self.map.get(key).map(|value| self.at.child(key, value))
    }

    /// Whether a key is written. It is not known by that, so `finish` still reports it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &'static str, code: &'static str, hint: &str) -> Option<At<'a>> {
        let at = self.get(key);
        if at.is_none() {
            self.at.error_with_hint(code, format!("has no {key}"), hint);
        }
        at
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.get(key)?.text()
    }

    /// A word; an empty text counts as not written.
    pub(super) fn word(&self, key: &'static str) -> Option<String> {
        self.get_unless_empty(key)?.word()
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    pub(super) fn integer(&self, key: &'static str) -> Option<i64> {
        self.get(key)?.integer()
    }

    pub(super) fn bytes(&self, key: &'static str) -> Option<i64> {
        self.get(key)?.bytes()
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    pub(super) fn words(&self, key: &'static str) -> Vec<String> {
        self.get(key).map(|at| at.words()).unwrap_or_default()
    }

    pub(super) fn strings(&self, key: &'static str) -> BTreeMap<String, String> {
        self.get(key).map(|at| at.strings()).unwrap_or_default()
    }

    /// Text with a rule; an empty one counts as not written.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        code: &'static str,
        rule: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.get_unless_empty(key)?.parsed(code, rule)
    }

    /// Reports every key that nobody asked for. `unsupported` are keys that Compose knows, each with the way to do it.
    pub(super) fn finish(self, unsupported: &[(&'static str, &str)]) {
        let known = self.known.into_inner();
        for (key, value) in self.map {
            if known.contains(&key.as_str()) || key.starts_with("x-") {
                continue;
            }
            let at = self.at.child(key, value);
            match unsupported.iter().find(|(name, _)| name == key) {
                Some((_, "")) => at.error(codes::UNSUPPORTED_KEY, format!("`{key}` is not supported")),
                Some((_, hint)) => {
                    at.error_with_hint(codes::UNSUPPORTED_KEY, format!("`{key}` is not supported"), *hint);
                }
                None => {
                    let all = known.iter().copied().chain(unsupported.iter().map(|(name, _)| *name));
                    let message = format!("`{}` is not a key of the Compose format here", shorten(key));
                    match values::nearest(key, all).map(|near| format!("did you mean `{near}`?")) {
                        Some(hint) => at.error_with_hint(codes::UNKNOWN_KEY, message, hint),
                        None => at.error(codes::UNKNOWN_KEY, message),
                    }
                }
            }
        }
    }
}

/// A value in a message: short, and never the whole of a long text.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(bool) => format!("the boolean {bool}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("`{}`", shorten(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

/// At most 60 characters of a text.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(59).collect::<String>() + "…"
}
