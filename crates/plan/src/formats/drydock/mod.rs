//! `slipway import drydock`: from Airship drydock's documents to a Design, its Nodes and their Secrets.
//!
//! Reads documents in both envelopes, `apiVersion: drydock/v1` with `spec` and Deckhand's `schema: drydock/…/v1` with
//! `data`. Nothing is dropped in silence: what a Design has no field for is a finding and an annotation, secrets go to
//! Secrets, and a name that is none in Kubernetes changes together with all that refers to it. No I/O: the caller reads
//! and writes the files. Field by field it is told in docs/migration-drydock.md.

mod boot_action;
mod codes;
mod documents;
mod hardware;
mod host;
mod manifests;
mod names;
mod network;
mod read;
mod secrets;
mod site;
mod storage;
mod templates;

#[cfg(test)]
mod tests;

use slipway_api::design::DesignSpec;

use self::documents::{Envelope, Kind};
use self::host::Host;
use self::names::Names;
use self::read::{Scope, Told};
use super::yaml::Bounds;
use crate::finding::{Finding, Severity};

pub use self::manifests::Manifest;

/// Bounds of a file: a site of 15 000 nodes fits.
pub const BOUNDS: Bounds = Bounds { bytes: 16 << 20, nodes: 2_000_000, depth: 64 };

/// A file of documents.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name under which it is spoken of.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// What the caller chooses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the Design; else that of the Region.
    pub name: Option<String>,
    /// Namespace of the manifests.
    pub namespace: Option<String>,
}

/// What was made of the documents.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The Design, its Secrets and ConfigMap, then the Nodes in the order of their documents.
    pub manifests: Vec<Manifest>,
    /// What is wrong, and what was moved, renamed or has no place; in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Number of drydock's documents that were read.
    pub documents: usize,
}

impl Imported {
    /// Whether something could not be imported.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Converts the documents of all files into one site. With errors among the findings, the manifests lack what they tell of.
pub fn import(sources: &[Source<'_>], options: &Options) -> Imported {
    let told = Told::default();
    let parsed = documents::parse(sources, &told);
    let envelopes = documents::envelopes(&parsed, &told);
    let documents = envelopes.len();
    let names = Names::of(&envelopes, options.name.as_deref(), &told);
    let mut site = Site::new(&names);
    for envelope in &envelopes {
        site.add(envelope, &names, &told);
    }
    let manifests = manifests::manifests(site, &envelopes, options, &told);
    Imported { manifests, findings: told.into_findings(), documents }
}

/// The site as far as it is converted.
struct Site {
    name: String,
    spec: DesignSpec,
    profiles: Vec<Host>,
    nodes: Vec<Host>,
}

impl Site {
    fn new(names: &Names) -> Self {
        Self { name: names.design().to_owned(), spec: DesignSpec::default(), profiles: Vec::new(), nodes: Vec::new() }
    }

    fn add(&mut self, envelope: &Envelope<'_>, names: &Names, told: &Told) {
        let scope = Scope::new(envelope, names, told);
        let Some(fields) = scope.body() else { return };
        let Some(name) = names.of_document(envelope) else {
            let why = match envelope.kind {
                Kind::Region => "a site has one Region, and drydock uses the last",
                _ => "an earlier document has the same name, and drydock uses the first",
            };
            return scope.no_place(&scope.whole(), why);
        };
        let name = name.to_owned();
        let spec = &mut self.spec;
        match envelope.kind {
            Kind::Region => site::region(&scope, fields, spec),
            Kind::Rack => spec.racks.push(site::rack(&scope, fields, name)),
            Kind::Network => spec.networks.extend(network::network(&scope, fields, name)),
            Kind::NetworkLink => spec.network_links.push(network::link(&scope, fields, name)),
            Kind::HardwareProfile => spec.hardware_profiles.push(hardware::profile(&scope, fields, name)),
            Kind::BootAction => spec.boot_actions.push(boot_action::action(&scope, fields, name)),
            Kind::HostProfile => self.profiles.push(host::profile(&scope, fields, name)),
            Kind::BaremetalNode => self.nodes.push(host::node(&scope, fields, name)),
        }
    }
}
