//! `${VAR}` in values, with Compose's rules: defaults, required variables, alternatives, nesting. Keys are left alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::codes;
use super::read::{Findings, shorten};
use crate::finding::Finding;

/// `${A:-${B:-${C}}}` may be nested this deep.
pub const MAX_NESTING: usize = 16;
/// Bytes that one value may have after interpolation.
pub const MAX_VALUE: usize = 1 << 20;
/// Bytes that all interpolated values together may have.
const MAX_TOTAL: usize = 8 << 20;

/// A copy of the tree with every variable replaced. `x-…` at the top holds fragments that were resolved before, and is left out.
pub(super) fn tree(value: &Value, environment: &BTreeMap<String, String>, base: &str, findings: &Findings) -> Value {
    let mut pass = Pass { environment, findings, unset: BTreeSet::new(), left: MAX_TOTAL };
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !key.starts_with("x-"));
            kept.map(|(key, value)| (key.clone(), pass.value(value, &format!("{base}.{key}")))).collect()
        }
        other => pass.value(other, base),
    }
}

/// One text, with variables from `lookup`; one that is not set counts as empty. `Err` is a finding without a path.
pub fn text<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, Finding> {
    let mut expansion = Expansion { lookup: &lookup, unset: Vec::new(), left: MAX_VALUE };
    expansion.text(text, 0).map_err(Problem::into_finding)
}

struct Pass<'a> {
    environment: &'a BTreeMap<String, String>,
    findings: &'a Findings,
    /// Each unset variable is warned about once.
    unset: BTreeSet<String>,
    left: usize,
}

impl Pass<'_> {
    fn value(&mut self, value: &Value, path: &str) -> Value {
        match value {
            Value::String(text) if text.contains('$') => Value::String(self.text(text, path)),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| self.value(item, &format!("{path}[{index}]"))).collect()
            }
            Value::Object(map) => {
                map.iter().map(|(key, value)| (key.clone(), self.value(value, &format!("{path}.{key}")))).collect()
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str, path: &str) -> String {
        let lookup = |name: &str| self.environment.get(name).map(String::as_str);
        let mut expansion = Expansion { lookup: &lookup, unset: Vec::new(), left: self.left.min(MAX_VALUE) };
        let result = expansion.text(text, 0);
        for name in expansion.unset {
            if self.unset.insert(name.clone()) {
                let message = format!("the variable {name} is not set; it counts as empty");
                let hint = format!("set it in spec.environment, or write ${{{name}:-default}}");
                self.findings.push(Finding::warning(codes::MISSING_VARIABLE, path, message).hint(hint));
            }
        }
        match result {
            Ok(text) => {
                self.left = self.left.saturating_sub(text.len());
                text
            }
            Err(problem) => {
                self.findings.push(Finding { path: path.to_owned(), ..problem.into_finding() });
                // An empty text would be complained about a second time.
                "invalid".into()
            }
        }
    }
}

/// Why a text cannot be interpolated. It quotes names only: the rest of the text may be a password.
enum Problem {
    Syntax(String),
    Required(String, String),
    TooLarge(String),
}

impl Problem {
    fn into_finding(self) -> Finding {
        match self {
            Self::Syntax(message) => Finding::error(codes::INVALID_INTERPOLATION, "", message)
                .hint("write $$ for a dollar sign that is meant as such"),
            Self::Required(name, reason) => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {}", shorten(&reason)) };
                Finding::error(codes::MISSING_VARIABLE, "", format!("the variable {name} is required{reason}"))
                    .hint(format!("set {name} in spec.environment"))
            }
            Self::TooLarge(message) => Finding::error(codes::TOO_LARGE, "", message),
        }
    }
}

struct Expansion<'a, 'v> {
    lookup: &'a dyn Fn(&str) -> Option<&'v str>,
    unset: Vec<String>,
    /// Bytes that may still be written, those of discarded defaults included.
    left: usize,
}

impl Expansion<'_, '_> {
    fn text(&mut self, text: &str, depth: usize) -> Result<String, Problem> {
        if depth > MAX_NESTING {
            return Err(Problem::TooLarge(format!("variables are nested more than {MAX_NESTING} deep")));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            self.write(&mut out, &rest[..dollar])?;
            rest = &rest[dollar + 1..];
            rest = if let Some(tail) = rest.strip_prefix('$') {
                self.write(&mut out, "$")?;
                tail
            } else if let Some(inside) = rest.strip_prefix('{') {
                let end = closing(inside).ok_or_else(|| {
                    Problem::Syntax(format!("`${{{}` is not closed by a `}}`", shorten(split_name(inside).0)))
                })?;
                let value = self.braced(&inside[..end], depth)?;
                self.write(&mut out, &value)?;
                &inside[end + 1..]
            } else {
                let (name, tail) = split_name(rest);
                // One with no name after it is a dollar sign, as in the end of a regular expression.
                let value = if name.is_empty() { "$".to_owned() } else { self.get(name) };
                self.write(&mut out, &value)?;
                tail
            };
        }
        self.write(&mut out, rest)?;
        Ok(out)
    }

    /// What stands between the braces.
    fn braced(&mut self, inside: &str, depth: usize) -> Result<String, Problem> {
        let (name, rest) = split_name(inside);
        if name.is_empty() {
            return Err(Problem::Syntax("a `${` has no variable's name after it".into()));
        }
        if rest.is_empty() {
            return Ok(self.get(name));
        }
        // With a colon, an empty value counts as unset.
        let (colon, operation) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
        let value = (self.lookup)(name).filter(|value| !(colon && value.is_empty())).map(str::to_owned);
        let mut characters = operation.chars();
        let (operator, word) = (characters.next(), characters.as_str());
        let known = self.unset.len();
        // What is not used must be good all the same: `${A:-${B:?}}` wants B, be A set or not.
        let word = match operator {
            Some('-' | '+' | '?') => self.text(word, depth + 1)?,
            _ => String::new(),
        };
        if (operator == Some('+')) == value.is_none() {
            self.unset.truncate(known);
        }
        match (operator, value) {
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('-'), None) | (Some('+'), Some(_)) => Ok(word),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err(Problem::Required(name.to_owned(), word)),
            _ => Err(Problem::Syntax(format!(
                "what follows the name in `${{{}…}}` is none of :- - :? ? :+ +",
                shorten(name)
            ))),
        }
    }

    fn get(&mut self, name: &str) -> String {
        if let Some(value) = (self.lookup)(name) {
            return value.to_owned();
        }
        self.unset.push(name.to_owned());
        String::new()
    }

    fn write(&mut self, out: &mut String, text: &str) -> Result<(), Problem> {
        self.left = self.left.checked_sub(text.len()).ok_or_else(|| {
            Problem::TooLarge(format!("the value has more than {MAX_VALUE} bytes with its variables"))
        })?;
        out.push_str(text);
        Ok(())
    }
}

/// A variable's name at the start of a text, and what follows it.
fn split_name(text: &str) -> (&str, &str) {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return ("", text);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// Where the brace that was opened before is closed. Braces inside count, so that `${A:-{"b": 1}}` works.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(written: &str, environment: &BTreeMap<String, String>) -> Result<String, Finding> {
        super::text(written, |name| environment.get(name).map(String::as_str))
    }

    fn environment() -> BTreeMap<String, String> {
        [("A", "a"), ("EMPTY", ""), ("DOLLAR", "$B"), ("_x1", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn every_form() {
        for (written, wanted) in [
            ("plain", "plain"),
            ("$A", "a"),
            ("${A}", "a"),
            ("<$A-$A>", "<a-a>"),
            ("$$A $$", "$A $"),
            ("${_x1}", "x"),
            ("${U:-d}${U-d}${A:-d}${A-d}", "ddaa"),
            ("${EMPTY:-d}|${EMPTY-d}", "d|"),
            ("${A:+r}${A+r}|${U:+r}${U+r}|${EMPTY:+r}|${EMPTY+r}", "rr|||r"),
            ("${A:?no}${A?no}${EMPTY?no}", "aa"),
            ("${U:-${V:-${A}}}!", "a!"),
            ("${U:-http://x:80/?a=b&c}", "http://x:80/?a=b&c"),
            ("${U:-a-b:-c}", "a-b:-c"),
            ("${U:-$A$$}", "a$"),
            ("${U:-}", ""),
            ("$DOLLAR", "$B"),
            ("${A:+{}}", "{}"),
            (r#"${U:-{"a": {"b": 1}}}"#, r#"{"a": {"b": 1}}"#),
            ("{$A}", "{a}"),
            ("^a$|$1 $", "^a$|$1 $"),
            ("$(pwd) $ {A} $-", "$(pwd) $ {A} $-"),
            ("${A}$", "a$"),
            ("$$$", "$$"),
            ("$$$A", "$a"),
            ("ü${A}ü", "üaü"),
        ] {
            assert_eq!(text(written, &environment()), Ok(wanted.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_interpolated() {
        for (written, code) in [
            ("${", codes::INVALID_INTERPOLATION),
            ("${}", codes::INVALID_INTERPOLATION),
            ("${A", codes::INVALID_INTERPOLATION),
            ("${A b}", codes::INVALID_INTERPOLATION),
            ("${1}", codes::INVALID_INTERPOLATION),
            ("${A:=b}", codes::INVALID_INTERPOLATION),
            ("${U:?set me}", codes::MISSING_VARIABLE),
            ("${U?}", codes::MISSING_VARIABLE),
            ("${EMPTY:?}", codes::MISSING_VARIABLE),
            ("${A:-${V:?}}", codes::MISSING_VARIABLE),
            ("${U:+${V:?}}", codes::MISSING_VARIABLE),
            ("${A:-${1}}", codes::INVALID_INTERPOLATION),
        ] {
            assert_eq!(text(written, &environment()).expect_err(written).code, code, "{written}");
        }
        let error = text("${U:?set ${A}}", &environment()).unwrap_err();
        assert_eq!(error.message, "the variable U is required: set a");
    }

    #[test]
    fn bounded() {
        let nested = "${U:-".repeat(100_000) + &"}".repeat(100_000);
        assert_eq!(text(&nested, &environment()).unwrap_err().code, codes::TOO_LARGE);
        let large = BTreeMap::from([("A".to_owned(), "x".repeat(1000))]);
        assert_eq!(text(&"$A".repeat(10_000), &large).unwrap_err().code, codes::TOO_LARGE);
    }

    #[test]
    fn each_unset_variable_is_warned_about_once_and_keys_stay() {
        let findings = Findings::default();
        let value = json!({"services": {"$A": ["$U", "$U", "$V", "${A:-$W}${W:+$W}"]}, "x-base": "${U:?}"});
        let tree = tree(&value, &environment(), "spec.compose", &findings);
        assert_eq!(tree, json!({"services": {"$A": ["", "", "", "a"]}}));
        let warnings: Vec<String> = findings.into_vec("").into_iter().map(|f| f.path).collect();
        assert_eq!(warnings, ["spec.compose.services.$A[0]", "spec.compose.services.$A[2]"]);
    }

    proptest! {
        #[test]
        fn never_panics(written in "[$A{}:?+\\-_ äU]{0,60}") {
            let _ = text(&written, &environment());
        }

        #[test]
        fn text_without_a_dollar_is_left_alone(written in "[^$]{0,60}") {
            prop_assert_eq!(text(&written, &environment()), Ok(written));
        }

        #[test]
        fn a_doubled_dollar_escapes(written in ".{0,60}") {
            prop_assert_eq!(text(&written.replace('$', "$$"), &environment()), Ok(written));
        }
    }
}
