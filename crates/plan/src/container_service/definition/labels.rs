//! The labels on what is made: Compose's, so that its command line shows the project, and ours, which say whose it is.

use std::collections::{BTreeMap, HashMap};

use slipway_api::labels;

use super::names::Names;
use super::{Dependency, Lifecycle};
use crate::container_service::observed::Owner;
use crate::formats::compose::model::{Condition, Service};

/// The release of Docker Compose that we make the same containers as.
pub const COMPOSE_VERSION: &str = "2.40.3";

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const VERSION: &str = "com.docker.compose.version";
const NETWORK: &str = "com.docker.compose.network";
const VOLUME: &str = "com.docker.compose.volume";
/// Keyed, unlike Compose's own: environment may hold secrets.
pub(super) const CONFIG_HASH: &str = "com.docker.compose.config-hash";

/// Labels of a container that may change without a reason to make it anew. Compose leaves their sources out of its hash too.
const POSITION: [&str; 5] = [NUMBER, DEPENDS_ON, CONFIG_FILES, WORKING_DIR, VERSION];

pub(super) type Labels = HashMap<String, String>;

/// Labels of a container, but for its configuration's hash.
pub(super) fn container(
    names: &Names<'_>,
    owner: &Owner,
    key: &str,
    service: &Service,
    dependencies: &BTreeMap<String, Dependency>,
    lifecycle: Lifecycle,
    number: u32,
) -> Labels {
    let mut labels = of(&service.labels, owner);
    if lifecycle == Lifecycle::Once {
        labels.insert(labels::LIFECYCLE.to_owned(), "once".to_owned());
    }
    labels.extend(
        [
            (PROJECT, names.project.clone()),
            (SERVICE, key.to_owned()),
            (NUMBER, number.to_string()),
            (ONE_OFF, "False".to_owned()),
            (DEPENDS_ON, depends_on(dependencies)),
            // There is no file on the host; this says where the project is kept.
            (CONFIG_FILES, format!("containerservices.slipway.dev/{}/{}", owner.namespace, owner.name)),
            (WORKING_DIR, "/".to_owned()),
            (VERSION, COMPOSE_VERSION.to_owned()),
            (labels::SERVICE, key.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    labels
}

/// Labels of a network, but for the hashes.
pub(super) fn network(names: &Names<'_>, owner: &Owner, key: &str, own: &BTreeMap<String, String>) -> Labels {
    resource(names, owner, (NETWORK, key), own)
}

/// Labels of a volume, but for the hash.
pub(super) fn volume(names: &Names<'_>, owner: &Owner, key: &str, own: &BTreeMap<String, String>) -> Labels {
    resource(names, owner, (VOLUME, key), own)
}

fn resource(names: &Names<'_>, owner: &Owner, (kind, key): (&str, &str), own: &BTreeMap<String, String>) -> Labels {
    let mut labels = of(own, owner);
    labels.extend(
        [(PROJECT, names.project.as_str()), (VERSION, COMPOSE_VERSION), (kind, key)]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

/// The labels that count in a container's hash.
pub(super) fn identity(labels: &Labels) -> BTreeMap<&str, &str> {
    let counts = |name: &str| !POSITION.contains(&name) && !OURS.contains(&name);
    labels.iter().filter(|(name, _)| counts(name)).map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Our own marks.
const OURS: [&str; 5] = [labels::INSTALLATION, labels::NAMESPACE, labels::NAME, labels::SERVICE, labels::LIFECYCLE];

/// What the user wrote, and whose it is.
fn of(own: &BTreeMap<String, String>, owner: &Owner) -> Labels {
    let mut labels: Labels = own.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    labels.extend(
        [
            (labels::INSTALLATION, &owner.installation),
            (labels::NAMESPACE, &owner.namespace),
            (labels::NAME, &owner.name),
        ]
        .map(|(name, value)| (name.to_owned(), value.clone())),
    );
    labels
}

/// Dependencies in the form that `docker compose` reads back: `service:condition:restart`, …
fn depends_on(dependencies: &BTreeMap<String, Dependency>) -> String {
    let entries = dependencies.iter().map(|(service, dependency)| {
        let condition = match dependency.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::CompletedSuccessfully => "service_completed_successfully",
        };
        format!("{service}:{condition}:{}", dependency.restart)
    });
    entries.collect::<Vec<_>>().join(",")
}
