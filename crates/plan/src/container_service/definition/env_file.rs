//! `env_file`: the dotenv format as Compose reads it.
//!
//! Lines `NAME=value` or `NAME: value`, `export` before them, `#` comments, values without quotes (up to ` #`), in single
//! quotes (as they are) or in double quotes (with escapes); the last two may span lines. `${VAR}` is replaced in all but
//! single quotes, from `spec.environment`, then the service's `environment`, then what was read before. A name alone takes
//! its value from the first two.

use std::collections::BTreeMap;

use crate::formats::compose;

/// Why a file cannot be read. It quotes nothing of the file, which may be secret.
pub(crate) type Problem = String;

/// Variables of env files, read one after the other.
pub(crate) struct Reader<'a> {
    /// By precedence: where the value of a variable is looked up before the files themselves.
    outer: [&'a BTreeMap<String, String>; 2],
    /// What the files set.
    variables: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    /// Reads for a service that has this `environment`, in a project with this `spec.environment`.
    pub fn new(project: &'a BTreeMap<String, String>, service: &'a BTreeMap<String, String>) -> Self {
        Self { outer: [project, service], variables: BTreeMap::new() }
    }

    /// Reads one file; what it sets wins over the files before it.
    pub fn read(&mut self, text: &str) -> Result<(), Problem> {
        let text = text.trim_start_matches('\u{feff}');
        let mut rest = text;
        while let Some(statement) = next_statement(rest) {
            let at = |rest: &str| line_of(text, rest);
            rest = self.statement(statement, &at)?;
        }
        Ok(())
    }

    /// Reads one file of `format: raw`: lines are taken as they stand, as `docker run --env-file` takes them.
    pub fn read_raw(&mut self, text: &str) -> Result<(), Problem> {
        for (index, line) in text.trim_start_matches('\u{feff}').lines().map(str::trim_start).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(format!("line {}: a name is not empty and has no spaces", index + 1));
            }
            if let Some(value) = value.or_else(|| self.outer_value(name)) {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// All that the files set.
    pub fn finish(self) -> BTreeMap<String, String> {
        self.variables
    }

    /// Reads one statement and returns what comes after it.
    fn statement<'t>(&mut self, statement: &'t str, line: &dyn Fn(&str) -> usize) -> Result<&'t str, Problem> {
        let (name, end, rest) = name(statement).map_err(|wrong| format!("line {}: {wrong}", line(statement)))?;
        if end == End::Line {
            if let Some(value) = self.outer_value(name) {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
            return Ok(rest);
        }
        let start = rest.trim_start_matches(is_blank);
        let (value, rest) = value(start).ok_or_else(|| format!("line {}: a quote is not closed", line(start)))?;
        let value = match value {
            Value::Literal(text) => text,
            Value::Template(text) => self
                .interpolate(&text)
                .ok_or_else(|| format!("line {}: a `$` in the value cannot be read as a variable", line(start)))?,
        };
        self.variables.insert(name.to_owned(), value);
        Ok(rest)
    }

    fn outer_value(&self, name: &str) -> Option<&'a str> {
        self.outer.iter().find_map(|scope| scope.get(name)).map(String::as_str)
    }

    fn interpolate(&self, text: &str) -> Option<String> {
        let lookup = |name: &str| self.outer_value(name).or_else(|| self.variables.get(name).map(String::as_str));
        compose::interpolate(text, lookup).ok()
    }
}

/// What ends a name.
#[derive(PartialEq, Eq)]
enum End {
    /// `=` or `:`, and a value follows.
    Sign,
    /// The line or the file: there is no value.
    Line,
}

enum Value {
    Literal(String),
    Template(String),
}

/// Skips space, empty lines and comment lines; none at the end of the file.
fn next_statement(text: &str) -> Option<&str> {
    let mut text = text.trim_start();
    while text.starts_with('#') {
        text = text.split_once('\n')?.1.trim_start();
    }
    (!text.is_empty()).then_some(text)
}

/// Splits a statement into its name and what follows the sign after it.
fn name(statement: &str) -> Result<(&str, End, &str), &'static str> {
    let statement = match statement.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => statement,
    };
    let allowed = |c: char| c.is_alphanumeric() || is_blank(c) || matches!(c, '_' | '.' | '-' | '[' | ']');
    let end = statement.find(|c| !allowed(c)).unwrap_or(statement.len());
    let name = statement[..end].trim_end();
    if name.contains(' ') {
        return Err("a name has no spaces");
    }
    match statement[end..].chars().next() {
        Some('=' | ':') => Ok((name, End::Sign, &statement[end + 1..])),
        Some('\n') | None => Ok((name, End::Line, statement[end..].trim_start_matches('\n'))),
        Some(_) => Err("a name has only letters, digits and `_.-[]`; write NAME=value"),
    }
}

/// Splits off the value that the text starts with; none if a quote is not closed.
fn value(text: &str) -> Option<(Value, &str)> {
    match text.chars().next() {
        Some('\'') => quoted(&text[1..], '\'').map(|(value, rest)| (Value::Literal(value), rest)),
        Some('"') => quoted(&text[1..], '"').map(|(value, rest)| (Value::Template(unescape(&value)), rest)),
        _ => {
            let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
            let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
            Some((Value::Template(value.to_owned()), rest))
        }
    }
}

/// Reads to the closing quote. A backslash escapes the quote; every other one is kept.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        if c == quote && !escaped {
            return Some((value, &text[index + 1..]));
        }
        if escaped && c != quote {
            value.push('\\');
        }
        if c != '\\' || escaped {
            value.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Escapes in double quotes; `\$` becomes `$$`, which interpolation makes one dollar sign of. Unknown ones stay.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let Some(c) = after.chars().next() else {
            rest = "\\";
            break;
        };
        let octal = || after.get(1..4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let (text, length) = match c {
            'a' => ("\u{7}".into(), 1),
            'b' => ("\u{8}".into(), 1),
            'f' => ("\u{c}".into(), 1),
            'n' => ("\n".into(), 1),
            'r' => ("\r".into(), 1),
            't' => ("\t".into(), 1),
            'v' => ("\u{b}".into(), 1),
            '"' | '\\' => (c.into(), 1),
            '$' => ("$$".into(), 1),
            '0' if octal().is_some() => (octal().map(char::from).map(String::from).unwrap_or_default(), 4),
            other => (format!("\\{other}"), other.len_utf8()),
        };
        out.push_str(&text);
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

/// Space within a line.
fn is_blank(c: char) -> bool {
    c != '\n' && c.is_whitespace()
}

/// Number of the line on which the rest of a text starts.
fn line_of(text: &str, rest: &str) -> usize {
    let read = &text[..text.len() - rest.len()];
    read.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>, Problem> {
        let project = BTreeMap::from([("PROJECT".into(), "p".into()), ("BOTH".into(), "project".into())]);
        let service = BTreeMap::from([("SERVICE".into(), "s".into()), ("BOTH".into(), "service".into())]);
        let mut reader = Reader::new(&project, &service);
        reader.read("EARLIER=e\nREPLACED=no\n")?;
        reader.read(text)?;
        Ok(reader.finish())
    }

    #[track_caller]
    fn is(text: &str, name: &str, value: &str) {
        assert_eq!(read(text).unwrap().get(name).map(String::as_str), Some(value), "{text}");
    }

    #[test]
    fn forms_of_a_line() {
        is("A=b", "A", "b");
        is("A: b\n", "A", "b");
        is("\u{feff}A=b\r\nC=d", "A", "b");
        is("  export\tA = b ", "A", "b");
        is("# A=no\n\n#\nA=b # comment", "A", "b");
        is("A=b#c", "A", "b#c");
        is("A=#b", "A", "#b");
        is("A=", "A", "");
        is("A=\nB=c", "A", "");
        is("A=b=c:d", "A", "b=c:d");
        is("a.b-c[0]=d", "a.b-c[0]", "d");
        is("REPLACED=yes", "REPLACED", "yes");
        is("exported=1", "exported", "1");
    }

    #[test]
    fn quotes() {
        is("A='b # $X \\n' # c\nB=d", "A", "b # $X \\n");
        is("A='it\\'s'", "A", "it's");
        is("A=\"b\\tc\\n\\\"d\\\" \\\\ \\x \\0101\"", "A", "b\tc\n\"d\" \\ \\x A");
        is("A=\"two\nlines\"\nB=c", "A", "two\nlines");
        is("A=\"two\nlines\"\nB=c", "B", "c");
        is("A=b\"c\"", "A", "b\"c\"");
    }

    #[test]
    fn variables() {
        is("A=${PROJECT}-$SERVICE-${EARLIER}-${BOTH}-${NONE:-d}", "A", "p-s-e-project-d");
        is("A=\"$PROJECT \\$PROJECT\"", "A", "p $PROJECT");
        is("A='$PROJECT'", "A", "$PROJECT");
        is("A=1\nB=$A$A", "B", "11");
        is("PROJECT\nNONE\nA=b", "PROJECT", "p");
        assert!(!read("NONE\n").unwrap().contains_key("NONE"));
    }

    #[test]
    fn the_raw_format_keeps_everything() {
        let (project, service) = (BTreeMap::from([("P".to_owned(), "p".to_owned())]), BTreeMap::new());
        let mut reader = Reader::new(&project, &service);
        reader.read_raw("# comment\n\nA=\"b\" # $c \nP\nNONE\nB=\n").unwrap();
        for wrong in ["=x", "secret words=1"] {
            let problem = reader.read_raw(&format!("A=1\n{wrong}")).unwrap_err();
            assert_eq!(problem, "line 2: a name is not empty and has no spaces");
        }
        reader.read_raw("A=\"b\" # $c ").unwrap();
        let wanted = [("A", "\"b\" # $c "), ("B", ""), ("P", "p")];
        assert_eq!(reader.finish(), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        assert_eq!(read("A=1\n\nB='secret\n").unwrap_err(), "line 3: a quote is not closed");
        assert_eq!(read("A=1\nB=${secret\n").unwrap_err(), "line 2: a `$` in the value cannot be read as a variable");
        assert_eq!(read("secret words=1").unwrap_err(), "line 1: a name has no spaces");
        assert!(read("A=1\n\"secret\"=1").unwrap_err().starts_with("line 2: a name has only letters"));
    }
}
