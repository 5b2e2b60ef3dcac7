//! What an answer is made of: objects as they were read.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::core::{Selector, SelectorExt};
use serde::Serialize;
use slipway_api::container_service::PlacementMode;
use slipway_api::node::CaRef;
use slipway_api::{ContainerService, Design, Node};

use crate::container_service::definition::{NeedKind, needs};
use crate::formats::compose::{self, Source};

/// A holder that has not renewed its lease for this long after its end is gone, whatever two clocks may differ by.
const CLOCKS_DIFFER: Duration = Duration::from_secs(15);
/// A lease that does not say how long it lasts.
const LEASE: Duration = Duration::from_secs(15);

/// What was read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The object that is asked about.
    pub subject: Subject,
    /// The Nodes of its namespace.
    pub nodes: Vec<Node>,
    /// The Designs of its namespace.
    pub designs: Vec<Design>,
    /// Secrets and ConfigMaps that were looked for and do not exist.
    pub missing: BTreeSet<Reference>,
    /// Who acts.
    pub leader: Leader,
    /// Its last Events, the newest first.
    pub events: Vec<Happened>,
    /// The time.
    pub now: Timestamp,
}

/// An object that can be asked about.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Subject {
    Node(Box<Node>),
    ContainerService(Box<ContainerService>),
    Design(Box<Design>),
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// Whether it is a warning.
    pub warning: bool,
    /// One CamelCase word.
    pub reason: String,
    /// In plain words.
    pub message: String,
}

/// Who holds the leader lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// It may not be read, or was not looked for.
    NotRead,
    /// There is no such Lease: no operator ever ran there, or one that leads without a lease.
    None,
    /// It was given back.
    Nobody,
    /// Its holder has not renewed it for too long.
    Gone {
        /// The holder.
        holder: String,
        /// When it last did.
        renewed: Option<Timestamp>,
    },
    /// Its holder acts.
    Leads {
        /// The holder.
        holder: String,
    },
}

impl Leader {
    /// What a Lease says.
    pub fn of(lease: Option<&Lease>, now: Timestamp) -> Self {
        let Some(spec) = lease.map(|lease| lease.spec.clone().unwrap_or_default()) else { return Self::None };
        let holder = spec.holder_identity.unwrap_or_default();
        if holder.is_empty() {
            return Self::Nobody;
        }
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(LEASE, Duration::from_secs) + CLOCKS_DIFFER;
        let renewed = spec.renew_time.map(|time| time.0);
        let fresh = renewed.and_then(|renewed| renewed.checked_add(lasts).ok()).is_some_and(|end| end >= now);
        if fresh { Self::Leads { holder } } else { Self::Gone { holder, renewed } }
    }
}

/// A Secret or ConfigMap that an object names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Which of the two.
    pub kind: NeedKind,
    /// Its name.
    pub name: String,
    /// The field that names it.
    pub field: String,
}

impl Reference {
    fn new(kind: NeedKind, name: &str, field: impl Into<String>) -> Self {
        Self { kind, name: name.to_owned(), field: field.into() }
    }
}

/// The Secrets and ConfigMaps that must exist for an object. What is in a Compose file that lies in a ConfigMap is not looked at.
pub fn references(subject: &Subject) -> Vec<Reference> {
    match subject {
        Subject::Node(node) => of_bmc(node).into_iter().chain(of_docker(node)).collect(),
        Subject::ContainerService(service) => of_service(service),
        Subject::Design(_) => Vec::new(),
    }
}

/// Those of a Node's BMC half.
pub(super) fn of_bmc(node: &Node) -> Vec<Reference> {
    let Some(bmc) = &node.spec.bmc else { return Vec::new() };
    let credentials = bmc
        .credentials
        .as_ref()
        .map(|credentials| Reference::new(NeedKind::Secret, &credentials.secret_ref.name, "spec.bmc.credentials"));
    let ca = bmc.tls.as_ref().and_then(|tls| tls.ca_ref.as_ref()).map(|ca| match ca {
        CaRef::ConfigMapKeyRef(key) => Reference::new(NeedKind::ConfigMap, &key.name, "spec.bmc.tls.caRef"),
        CaRef::SecretKeyRef(key) => Reference::new(NeedKind::Secret, &key.name, "spec.bmc.tls.caRef"),
    });
    let rotate = bmc.rotate.as_ref();
    let rotate = rotate.map(|rotate| Reference::new(NeedKind::Secret, &rotate.secret_ref.name, "spec.bmc.rotate"));
    credentials.into_iter().chain(rotate).chain(ca).collect()
}

/// Those of a Node's Docker half.
pub(super) fn of_docker(node: &Node) -> Vec<Reference> {
    let Some(docker) = &node.spec.docker else { return Vec::new() };
    let tls = docker.tls.as_ref().map(|tls| (&tls.secret_ref.name, "spec.docker.tls"));
    let ssh = docker.ssh.as_ref().map(|ssh| (&ssh.secret_ref.name, "spec.docker.ssh"));
    tls.or(ssh).map(|(name, field)| Reference::new(NeedKind::Secret, name, field)).into_iter().collect()
}

fn of_service(service: &ContainerService) -> Vec<Reference> {
    let spec = &service.spec;
    let mut all: Vec<_> = spec
        .image_pull_secrets
        .iter()
        .map(|secret| Reference::new(NeedKind::Secret, &secret.name, "spec.imagePullSecrets"))
        .collect();
    if let Some(from) = &spec.compose_from {
        all.push(Reference::new(NeedKind::ConfigMap, &from.config_map_key_ref.name, "spec.composeFrom"));
    }
    let loaded = spec
        .compose
        .as_ref()
        .map(|compose| compose::load(Source::Value(compose), &spec.environment, &spec.profiles, "spec.compose"));
    if let Some(Ok(loaded)) = loaded {
        let needed = needs(&loaded.project, &spec.files, "spec.compose").unwrap_or_default();
        let needed = needed.into_iter().filter(|need| !need.optional);
        all.extend(needed.map(|need| Reference { kind: need.kind, name: need.name, field: need.path }));
    }
    all
}

/// What all kinds have.
pub(super) struct Face<'a> {
    /// `node`, `csvc`, `dsn`.
    pub kind: &'static str,
    pub name: &'a str,
    pub namespace: &'a str,
    pub generation: i64,
    pub observed_generation: Option<i64>,
    pub created: Option<Timestamp>,
    pub deleted: Option<Timestamp>,
    pub finalizers: &'a [String],
    pub conditions: &'a [Condition],
}

impl<'a> Face<'a> {
    fn of(kind: &'static str, meta: &'a ObjectMeta, observed: Option<i64>, conditions: &'a [Condition]) -> Self {
        Self {
            kind,
            name: meta.name.as_deref().unwrap_or_default(),
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            observed_generation: observed,
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            deleted: meta.deletion_timestamp.as_ref().map(|time| time.0),
            finalizers: meta.finalizers.as_deref().unwrap_or_default(),
            conditions,
        }
    }

    /// As people name it on a command line.
    pub fn named(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Whether its status is about its newest spec.
    pub fn is_current(&self) -> bool {
        self.observed_generation == Some(self.generation) && !self.conditions.is_empty()
    }
}

/// What a Node has of that.
pub(super) fn face_of(node: &Node) -> Face<'_> {
    let status = node.status.as_ref();
    let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
    Face::of("node", &node.metadata, status.and_then(|status| status.observed_generation), conditions)
}

/// What a Design has of that.
pub(super) fn face_of_design(design: &Design) -> Face<'_> {
    let status = design.status.as_ref();
    let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
    Face::of("dsn", &design.metadata, status.and_then(|status| status.observed_generation), conditions)
}

impl Subject {
    pub(super) fn face(&self) -> Face<'_> {
        match self {
            Self::Node(node) => face_of(node),
            Self::ContainerService(service) => {
                let status = service.status.as_ref();
                let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
                Face::of("csvc", &service.metadata, status.and_then(|status| status.observed_generation), conditions)
            }
            Self::Design(design) => face_of_design(design),
        }
    }
}

/// Whether a service is, or may be, placed on a Node.
pub fn selects(service: &ContainerService, node: &Node) -> bool {
    let name = node.metadata.name.clone().unwrap_or_default();
    if node.spec.docker.is_none() {
        return false;
    }
    let placed = service.status.as_ref().map(|status| &*status.placed).unwrap_or_default();
    if service.spec.placement.mode == PlacementMode::Replicas && !placed.is_empty() {
        return placed.contains(&name);
    }
    match service.spec.placement.node_selector.clone().map(Selector::try_from) {
        None => true,
        Some(Ok(selector)) => selector.matches(&node.metadata.labels.clone().unwrap_or_default()),
        // A selector that nobody understands places nothing.
        Some(Err(_)) => false,
    }
}
