//! YAML with positions: every value of a document can be found again by its field path, as `line:column`.

mod builder;
mod node;
mod scalar;

use std::fmt;

use serde_json::Value;

use super::compose::codes;
use crate::finding::Finding;

pub(crate) use self::node::{Entry, Kind, Node};
pub use self::scalar::Dialect;

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

    /// A finding that quotes the value at a field path, with the value as it is written: `1.10` is read as 1.1, `on` as true.
    #[must_use]
    pub fn as_written(&self, path: &str, finding: Finding) -> Finding {
        let Some(node) = self.root.find(path) else { return finding };
        let read = node.to_value().to_string();
        let rest = finding.message.strip_prefix(&format!("`{read}` where "));
        let Some((written, rest)) = node.written().zip(rest) else { return finding };
        let message = format!("`{written:.100}`, which is read as {read}, where {rest}");
        let hint = finding.hint.map(|hint| hint.replace(&format!("\"{read}\""), &format!("\"{written:.100}\"")));
        Finding { message, hint, ..finding }
    }

    /// The same document with positions and tags.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

/// Reads every document of a file of Kubernetes objects, in the way kubectl reads it. Empty documents are left out.
pub fn documents(text: &str) -> Result<Vec<Document>, Unreadable> {
    read(text, MANIFEST, Dialect::Kubectl)
}

/// Reads every document of a text within bounds; the first thing that is wrong is an error.
pub(crate) fn read(text: &str, bounds: Bounds, dialect: Dialect) -> Result<Vec<Document>, Unreadable> {
    let (documents, problems) = read_all(text, bounds, dialect);
    problems.into_iter().next().map_or(Ok(documents), Err)
}

/// Reads those documents of a text that can be read, and tells all that is wrong with the others.
pub(crate) fn read_all(text: &str, bounds: Bounds, dialect: Dialect) -> (Vec<Document>, Vec<Unreadable>) {
    if text.len() > bounds.bytes {
        let message = format!("the text has {} bytes; at most {} are read", text.len(), bounds.bytes);
        let finding = Finding::error(codes::TOO_LARGE, "", message);
        return (Vec::new(), vec![Unreadable { finding, location: None }]);
    }
    let (roots, problems) = builder::build(text, bounds, dialect);
    let problems = problems.into_iter().map(|problem| at_the_tab(text, problem)).collect();
    (roots.into_iter().map(|root| Document { value: root.to_value(), root }).collect(), problems)
}

/// Lines that are looked at for a tab.
const AFTER: usize = 1000;

/// The parser tells of a tab that indents a line where the value before it begins.
fn at_the_tab(text: &str, problem: Unreadable) -> Unreadable {
    let Some(at) = problem.location.filter(|_| problem.finding.message.contains("found a tab")) else { return problem };
    let from = usize::try_from(at.line).unwrap_or(usize::MAX);
    let is_tabbed = |line: &&str| line[..line.len() - line.trim_start().len()].contains('\t');
    let found = text.lines().enumerate().skip(from).take(AFTER).find(|(_, line)| is_tabbed(line));
    let Some((number, line)) = found else { return problem };
    let column = line.chars().take_while(|c| *c != '\t').count() as u64 + 1;
    let location = Some(Location { line: number as u64 + 1, column });
    Unreadable { finding: problem.finding.hint("indent with blanks"), location }
}

/// Bounds of what is written here: a model of 10 000 Nodes has some 50 MB.
const WRITTEN: Bounds = Bounds { bytes: 256 << 20, nodes: 32_000_000, depth: 100 };

/// One object as YAML that kubectl reads back as the same values.
pub fn write(object: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_saphyr::to_string(object).map_err(|error| error.to_string())?;
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    // What is written must mean the same to a reader of YAML 1.1; if it does not, JSON does.
    let read = read(&text, WRITTEN, Dialect::Kubectl)
        .map(|documents| documents.into_iter().map(|d| d.value).collect::<Vec<_>>());
    if read.as_deref() == Ok(std::slice::from_ref(&value)) {
        return Ok(text);
    }
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| error.to_string())
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
    fn what_is_quoted_is_quoted_as_it_is_written() {
        let document = documents("version: 1.10\nname: on\nplain: true\nlist: [0x10]\n").unwrap().remove(0);
        for (path, read, message, hint) in [
            ("version", "1.1", "`1.10`, which is read as 1.1, where text is wanted", "write \"1.10\""),
            ("name", "true", "`on`, which is read as true, where text is wanted", "write \"on\""),
            ("list[0]", "16", "`0x10`, which is read as 16, where text is wanted", "write \"0x10\""),
            ("plain", "true", "`true` where text is wanted", "write \"true\""),
        ] {
            let finding = Finding::error(codes::INVALID_VALUE, path, format!("`{read}` where text is wanted"));
            let told = document.as_written(path, finding.hint(format!("write \"{read}\"")));
            assert_eq!((told.message.as_str(), told.hint.as_deref()), (message, Some(hint)));
        }
        let other = Finding::error(codes::INVALID_VALUE, "version", "is missing");
        assert_eq!(document.as_written("version", other.clone()), other);
    }

    #[test]
    fn scalars_have_the_types_that_the_reader_would_see() {
        let text = "a: 0440\nb: 1.5\nc: yes\nd: 'yes'\ne: ~\nf: 12345678901234567890123\n8080: x\n";
        let value = |dialect| read(text, MANIFEST, dialect).unwrap().remove(0).value;
        assert_eq!(value(Dialect::Kubectl)["c"], json!(true));
        let strict = value(Dialect::Compose);
        assert_eq!(strict["a"], json!(0o440));
        assert_eq!(strict["b"], json!(1.5));
        assert_eq!(strict["c"], json!("yes"));
        assert_eq!(strict["d"], json!("yes"));
        assert_eq!(strict["e"], Value::Null);
        assert_eq!(strict["8080"], json!("x"));
    }

    #[test]
    fn tags_are_kept() {
        let documents = read("a: !reset null\nb: !override [1]\nc: !!str 5\n", MANIFEST, Dialect::Compose).unwrap();
        assert_eq!(documents[0].root().tags(), [("a".into(), "!reset".into()), ("b".into(), "!override".into())]);
        assert_eq!(documents[0].value, json!({"a": null, "b": [1], "c": "5"}));
    }

    #[test]
    fn one_broken_document_hides_no_other() {
        let text = "a: 1\n---\nb: [1\n---\nc: 3\nc: 4\n---\n- *d\n--- &e\ne: 5\n";
        let (documents, problems) = read_all(text, MANIFEST, Dialect::Kubectl);
        let values: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
        assert_eq!(values, [json!({"a": 1}), json!({"c": 4}), json!({"e": 5})]);
        let told: Vec<_> = problems.iter().map(|p| (p.finding.code, p.location.map(|at| at.line))).collect();
        let syntax = |line| (codes::YAML_SYNTAX, Some(line));
        assert_eq!(told, [syntax(3), (codes::DUPLICATE_KEY, Some(6)), syntax(8)]);
    }

    #[test]
    fn merged_maps_and_aliases() {
        let text =
            "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {w: 0, <<: [*a, *b], x: 9}\nd: &d word\n*d : *d\n? e\n: ~\n";
        let document = documents(text).unwrap().remove(0);
        assert_eq!(document.value["c"], json!({"y": 2, "z": 4, "x": 9, "w": 0}));
        assert_eq!(document.value["word"], "word");
        assert_eq!(document.value["e"], Value::Null);
        for wrong in ["a: {<<: 1}", "a: {<<: [1]}", "a: &a [*a]", "{a: 1}: 2", "[a]: 2", "a: !!int x"] {
            assert_eq!(documents(wrong).unwrap_err().finding.code, codes::YAML_SYNTAX, "{wrong}");
        }
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
        let error = read(&"- x\n".repeat(2000), few, Dialect::Compose).unwrap_err();
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
