//! How findings are printed: for people with a snippet, and for programs.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};
use slipway_plan::{Finding, Severity};

use super::input::Input;

/// Characters of a line that a snippet shows.
const SNIPPET: usize = 160;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One a line, with the line that it is about.
    Text,
    /// One list of objects.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

/// Prints findings. The inputs are those that the places of the findings lead to.
pub(super) fn print(findings: &[Finding], inputs: &[Input], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => text(&mut out, findings, inputs),
        Format::Json => {
            let shown: Vec<Shown<'_>> = findings.iter().map(Shown::of).collect();
            serde_json::to_writer_pretty(&mut out, &shown)?;
            writeln!(out)
        }
        Format::Sarif => {
            serde_json::to_writer_pretty(&mut out, &sarif(findings))?;
            writeln!(out)
        }
        Format::Github => findings.iter().try_for_each(|finding| writeln!(out, "{}", annotation(finding))),
    }
}

/// `file:line:column: error: message (Code) [path]; hint`, as editors and people know it.
pub(super) fn line(finding: &Finding) -> String {
    let place = finding.place.as_ref();
    let place = place.map(|place| if place.line > 0 { place.to_string() } else { place.file.clone() });
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let path = if finding.path.is_empty() { String::new() } else { format!(" [{}]", finding.path) };
    let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{place}{}: {} ({}){path}{hint}", word(finding.severity), finding.message, finding.code)
}

/// `1 file`, `2 files`.
pub(super) fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn text(out: &mut impl Write, findings: &[Finding], inputs: &[Input]) -> io::Result<()> {
    let lines: HashMap<&str, Vec<&str>> =
        inputs.iter().map(|input| (input.name.as_str(), input.text.lines().collect())).collect();
    for finding in findings {
        writeln!(out, "{}", line(finding))?;
        let Some(place) = &finding.place else { continue };
        let number = usize::try_from(place.line).unwrap_or_default();
        let found = lines.get(place.file.as_str()).and_then(|lines| lines.get(number.checked_sub(1)?));
        if let Some(found) = found {
            snippet(out, number, usize::try_from(place.column).unwrap_or(1), found)?;
        }
    }
    Ok(())
}

/// The line, and a caret under each character of the word that the finding is about.
fn snippet(out: &mut impl Write, number: usize, column: usize, line: &str) -> io::Result<()> {
    // Control characters could do things to a terminal.
    let shown: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = column.saturating_sub(1).min(shown.len());
    // Of a long line, the part around the place.
    let start = if shown.len() <= SNIPPET { 0 } else { before.saturating_sub(SNIPPET / 2) };
    let end = shown.len().min(start + SNIPPET);
    let ends_word = |c: &char| c.is_whitespace() || matches!(c, ',' | '}' | ']');
    let word = match shown.get(before) {
        Some(quote @ ('"' | '\'')) => {
            shown[before + 1..end.max(before + 1)].iter().take_while(|c| *c != quote).count() + 2
        }
        _ => shown[before..end.max(before)].iter().take_while(|c| !ends_word(c)).count(),
    };
    let margin = " ".repeat(number.to_string().len());
    let text: String = shown[start..end].iter().collect();
    let carets = "^".repeat(word.clamp(1, (end - start).max(1)));
    writeln!(out, " {margin} |\n {number} | {text}\n {margin} | {}{carets}", " ".repeat(before - start))
}

/// A finding as an object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    severity: Severity,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    path: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(finding: &'a Finding) -> Self {
        let place = finding.place.as_ref();
        let known = place.filter(|place| place.line > 0);
        Self {
            file: place.map(|place| place.file.as_str()).unwrap_or_default(),
            line: known.map(|place| place.line),
            column: known.map(|place| place.column),
            object: finding.object.as_deref(),
            severity: finding.severity,
            code: finding.code,
            rule: finding.rule,
            path: &finding.path,
            message: &finding.message,
            hint: finding.hint.as_deref(),
        }
    }
}

/// Static Analysis Results Interchange Format, OASIS standard, version 2.1.0.
fn sarif(findings: &[Finding]) -> Value {
    let names: BTreeMap<String, &Finding> = findings.iter().map(|finding| (rule_id(finding), finding)).collect();
    let rule = |(id, finding): (&String, &&Finding)| {
        json!({"id": id, "name": pascal_case(finding.rule.unwrap_or(finding.code)),
               "shortDescription": {"text": finding.rule.unwrap_or(finding.code)}})
    };
    let rules: Vec<Value> = names.iter().map(rule).collect();
    let result = |finding: &Finding| {
        let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let mut result = json!({
            "ruleId": rule_id(finding),
            "level": word(finding.severity),
            "message": {"text": format!("{}{hint}", finding.message)},
        });
        let mut location = json!({});
        if let Some(place) = &finding.place {
            location["physicalLocation"] = json!({"artifactLocation": {"uri": uri(&place.file)}});
            if place.line > 0 {
                location["physicalLocation"]["region"] =
                    json!({"startLine": place.line, "startColumn": place.column.max(1)});
            }
        }
        if let Some(object) = &finding.object {
            let name = format!("{object} {}", finding.path);
            location["logicalLocations"] = json!([{"fullyQualifiedName": name.trim_end(), "kind": "object"}]);
        }
        if location != json!({}) {
            result["locations"] = json!([location]);
        }
        result
    };
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "slipway", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Several rules of drydock share a code.
fn rule_id(finding: &Finding) -> String {
    match finding.rule {
        Some(rule) => format!("{}/{}", finding.code, pascal_case(rule)),
        None => finding.code.to_owned(),
    }
}

fn pascal_case(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.flat_map(|word| word[..1].to_uppercase().chars().chain(word[1..].chars()).collect::<Vec<_>>()).collect()
}

/// A relative reference (RFC 3986): what is not unreserved is written as `%XX`.
fn uri(path: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(escape).collect()
}

/// A workflow command of GitHub Actions.
fn annotation(finding: &Finding) -> String {
    let text = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |value: &str| text(value).replace(':', "%3A").replace(',', "%2C");
    let mut properties = Vec::new();
    if let Some(place) = &finding.place {
        properties.push(format!("file={}", property(&place.file)));
        if place.line > 0 {
            properties.push(format!("line={},col={}", place.line, place.column.max(1)));
        }
    }
    let title = finding.rule.map_or_else(|| finding.code.to_owned(), |rule| format!("{} {rule}", finding.code));
    properties.push(format!("title={}", property(&title)));
    let path = if finding.path.is_empty() { String::new() } else { format!(" [{}]", finding.path) };
    let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let message = text(&format!("{}{path}{hint}", finding.message));
    format!("::{} {}::{message}", word(finding.severity), properties.join(","))
}
