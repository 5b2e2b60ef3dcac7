//! Which documents of the files are drydock's, and what is in their envelopes.

use super::read::Told;
use super::{BOUNDS, Source, codes};
use crate::finding::Finding;
use crate::formats::compose::nearest;
use crate::formats::yaml::{self, Dialect, Kind as YamlKind, Location, Node};

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Region,
    Rack,
    Network,
    NetworkLink,
    HardwareProfile,
    HostProfile,
    BaremetalNode,
    BootAction,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Region,
        Self::Rack,
        Self::Network,
        Self::NetworkLink,
        Self::HardwareProfile,
        Self::HostProfile,
        Self::BaremetalNode,
        Self::BootAction,
    ];

    /// Its name in documents.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Region => "Region",
            Self::Rack => "Rack",
            Self::Network => "Network",
            Self::NetworkLink => "NetworkLink",
            Self::HardwareProfile => "HardwareProfile",
            Self::HostProfile => "HostProfile",
            Self::BaremetalNode => "BaremetalNode",
            Self::BootAction => "BootAction",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// A document of a file.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    file: &'a str,
    document: yaml::Document,
}

/// A document of drydock's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Kind,
    /// `metadata.name`.
    pub(super) name: &'a str,
    pub(super) file: &'a str,
    /// Where the name stands.
    pub(super) at: Location,
    pub(super) metadata: Option<&'a Node>,
    /// The key of the body: `data` of Deckhand's envelope, which drydock checks against its schemas, or `spec`, which it
    /// does not.
    pub(super) body_key: &'static str,
    pub(super) body: Option<(&'a Node, Location)>,
}

impl Envelope<'_> {
    /// Whether drydock checks the document against a schema.
    pub(super) fn is_strict(&self) -> bool {
        self.body_key == "data"
    }

    /// `Kind/name`, for people and annotations.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind.text(), self.name)
    }
}

/// Reads the files. One that cannot be read is a finding.
pub(super) fn parse<'a>(sources: &[Source<'a>], told: &Told) -> Vec<Parsed<'a>> {
    let mut parsed = Vec::new();
    for source in sources {
        let (documents, problems) = yaml::read_all(source.text, BOUNDS, Dialect::PyYaml);
        parsed.extend(documents.into_iter().map(|document| Parsed { file: source.name, document }));
        for unreadable in problems {
            told.push(source.name, unreadable.location, None, unreadable.finding);
        }
    }
    parsed
}

/// The documents that are drydock's. Others are noted, as they may well be in the same stream.
pub(super) fn envelopes<'a>(parsed: &'a [Parsed<'_>], told: &Told) -> Vec<Envelope<'a>> {
    let found: Vec<Envelope<'a>> = parsed.iter().filter_map(|parsed| envelope(parsed, told)).collect();
    if found.is_empty() && !told.has_errors() {
        let finding = Finding::error(codes::DOCUMENT, "", "there is no document of drydock's in the files");
        told.push(
            "",
            None,
            None,
            finding.hint("documents begin with `schema: drydock/…/v1` or `apiVersion: drydock/v1`"),
        );
    }
    found
}

fn envelope<'a>(parsed: &'a Parsed<'_>, told: &Told) -> Option<Envelope<'a>> {
    let root = parsed.document.root();
    let tell = |at: Location, finding: Finding| told.push(parsed.file, Some(at), None, finding);
    if !matches!(root.kind, YamlKind::Map(_)) {
        tell(root.at(), Finding::error(codes::DOCUMENT, "", "the document is not a map"));
        return None;
    }
    let text = |key: &str| root.get(key).and_then(Node::as_text).map(|text| (text, root.place(key)));
    let (kind, at, body_key) = match (text("schema"), text("apiVersion")) {
        (Some((schema, at)), _) => {
            let parts: Vec<&str> = schema.split('/').collect();
            let ["drydock", kind, version] = parts[..] else {
                let finding = passed_over(schema);
                let is_ours = parts[0] == "drydock";
                tell(
                    at,
                    if is_ours { finding.hint("drydock's have three parts: drydock/Network/v1") } else { finding },
                );
                return None;
            };
            if version != "v1" {
                let message = format!("`{version:.40}` is not a version of drydock's documents");
                tell(at, Finding::error(codes::DOCUMENT, "schema", message).hint("write v1"));
                return None;
            }
            (kind, at, "data")
        }
        (None, Some((version, _))) if version.starts_with("drydock/") => {
            let (kind, at) = text("kind").unwrap_or(("", root.at()));
            (kind, at, "spec")
        }
        (None, found) => {
            tell(
                root.at(),
                passed_over(found.map_or("a document without schema and apiVersion", |(version, _)| version)),
            );
            return None;
        }
    };
    let Some(known) = Kind::of(kind) else {
        let finding =
            Finding::error(codes::DOCUMENT, "", format!("`{kind:.100}` is not a kind of drydock's documents"));
        let near = Kind::ALL.into_iter().map(Kind::text).find(|known| {
            nearest(&kind.to_ascii_lowercase(), std::iter::once(known.to_ascii_lowercase().as_str())).is_some()
        });
        tell(
            at,
            match near {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding.hint(format!("the kinds are {}", Kind::ALL.map(Kind::text).join(", "))),
            },
        );
        return None;
    };
    let metadata = root.get("metadata");
    let named = metadata.and_then(|metadata| {
        let name = metadata.get("name").and_then(Node::as_text).filter(|name| !name.is_empty())?;
        Some((name, metadata.place("name")))
    });
    let Some((name, name_at)) = named else {
        let finding = |message: &str| Finding::error(codes::DOCUMENT, "metadata.name", message);
        match metadata.and_then(|metadata| metadata.get("name")) {
            Some(Node { kind: YamlKind::Number(_) | YamlKind::Bool(_) | YamlKind::Timestamp(_), .. }) => {
                let at = metadata.map_or(root.at(), |metadata| metadata.place("name"));
                tell(
                    at,
                    finding("the name of the document is no text")
                        .hint("put it in quotes, also where others refer to it"),
                );
            }
            _ => tell(root.place("metadata"), finding("the document has no name")),
        }
        return None;
    };
    let is_abstract = metadata.and_then(|metadata| metadata.get("layeringDefinition")?.get("abstract"));
    if is_abstract.is_some_and(|value| matches!(value.kind, YamlKind::Bool(true))) {
        let message =
            "the document is abstract: Deckhand lays others over it and leaves it out; it is imported as it is";
        let finding = Finding::warning(codes::NOT_RENDERED, "metadata.layeringDefinition.abstract", message);
        tell(name_at, finding.hint("import what Deckhand renders"));
    }
    let body = root.get(body_key).map(|body| (body, root.place(body_key)));
    Some(Envelope { kind: known, name, file: parsed.file, at: name_at, metadata, body_key, body })
}

fn passed_over(what: &str) -> Finding {
    Finding::warning(codes::PASSED_OVER, "", format!("passed over, as it is not drydock's: {what:.200}"))
}
