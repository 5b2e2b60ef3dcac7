//! From a spec to what planning works with. No later step looks at the raw spec again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use slipway_api::container_service::{
    ContainerServiceSpec, Drift, OnFailure, PlacementMode, Prune, PullPolicy, UpdateOrder, VolumeDeletion,
};

use super::definition::{Contents, Context, Definition, HashKey, lower};
use super::observed::Owner;
use crate::duration;
use crate::finding::Finding;
use crate::formats::compose::model::Project;

/// A ContainerService that can be planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// Whose things.
    pub owner: Owner,
    /// What is wanted on each host.
    pub definition: Definition,
    /// On which hosts.
    pub placement: Placement,
    /// How a change is rolled out.
    pub update: Update,
    /// How images are pulled, followed and pruned.
    pub images: Images,
    /// What is done about changes that somebody else made.
    pub drift: Drift,
    /// `spec.restart.requestedAt`.
    pub restart: Option<String>,
    /// What deletion does.
    pub deletion: Deletion,
    /// What is worth knowing, though nothing is refused.
    pub warnings: Vec<Finding>,
}

/// On which of the matching Nodes the project runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On each.
    Each,
    /// On some.
    Replicas {
        /// How many.
        count: usize,
        /// How long a Node may be gone before its replica is placed elsewhere.
        evict_after: Duration,
        /// Place it elsewhere even if it has named volumes.
        evict_with_volumes: bool,
    },
}

/// How a change is rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which comes first. What is exclusive stops first all the same.
    pub order: UpdateOrder,
    /// Hosts in the middle of a change at one time.
    pub max_unavailable: usize,
    /// What happens to a change that fails.
    pub on_failure: OnFailure,
    /// How long a new container may take to be ready.
    pub timeout: Duration,
    /// How long a container without a health check must have been running to be ready.
    pub min_ready: Duration,
}

/// How images are pulled, followed and pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// When an image is pulled.
    pub pull_policy: PullPolicy,
    /// How often the tags are looked up again.
    pub follow: Option<Duration>,
    /// Whether unused images are removed.
    pub prune: Prune,
}

/// What deletion does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// What becomes of named volumes.
    pub volumes: VolumeDeletion,
    /// How long it waits for a host that is away.
    pub timeout: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// The rules that need nothing but the spec itself; those of the Compose format are `formats::compose`'s.
pub fn validate_spec(spec: &ContainerServiceSpec) -> Vec<Finding> {
    match settings(spec) {
        Ok(_) => Vec::new(),
        Err(findings) => findings,
    }
}

/// Everything that planning works with, from a spec, its Compose project and what that needs from the cluster.
pub fn validate(
    owner: Owner,
    spec: &ContainerServiceSpec,
    project: &Project,
    contents: &Contents,
    key: &HashKey,
) -> Result<Valid, Vec<Finding>> {
    let context = Context {
        owner: &owner,
        name: &owner.name,
        environment: &spec.environment,
        files: &spec.files,
        contents,
        key,
        base: compose_path(spec),
    };
    match lower(project, &context) {
        Ok(definition) => validate_definition(owner, spec, definition),
        Err(mut findings) => {
            findings.extend(validate_spec(spec));
            Err(findings)
        }
    }
}

/// The field path that findings about the Compose file start with.
pub fn compose_path(spec: &ContainerServiceSpec) -> &'static str {
    if spec.compose_from.is_some() { "spec.composeFrom" } else { "spec.compose" }
}

/// The same, from a definition that is there already.
pub fn validate_definition(
    owner: Owner,
    spec: &ContainerServiceSpec,
    definition: Definition,
) -> Result<Valid, Vec<Finding>> {
    let Settings { placement, update, images, deletion } = settings(spec)?;
    let warnings = stop_first_forced(&update, &definition);
    let restart = spec.restart.as_ref().map(|r| r.requested_at.clone());
    Ok(Valid { owner, definition, placement, update, images, drift: spec.drift, restart, deletion, warnings })
}

struct Settings {
    placement: Placement,
    update: Update,
    images: Images,
    deletion: Deletion,
}

/// The parts of the spec that are not the Compose file, parsed, with defaults and bounds.
fn settings(spec: &ContainerServiceSpec) -> Result<Settings, Vec<Finding>> {
    let mut findings = Vec::new();
    if spec.compose.is_some() == spec.compose_from.is_some() {
        findings.push(Finding::error("ComposeRequired", "spec", "exactly one of compose and composeFrom is required"));
    }
    if let Some(selector) = &spec.placement.node_selector {
        check_selector(selector, &mut findings);
    }
    let mut read = |path: &str, text: Option<&String>, default: Duration, least: Duration, most: Duration| {
        bounded(path, text, default, least, most).unwrap_or_else(|finding| {
            findings.push(finding);
            default
        })
    };
    let placement = &spec.placement;
    let evict_after = read("spec.placement.evictAfter", placement.evict_after.as_ref(), 5 * MINUTE, SECOND, 365 * DAY);
    let timeout = read("spec.update.timeout", spec.update.timeout.as_ref(), 5 * MINUTE, SECOND, DAY);
    let min_ready = read("spec.update.minReady", spec.update.min_ready.as_ref(), 2 * SECOND, Duration::ZERO, DAY);
    let deletion = read("spec.deletion.timeout", spec.deletion.timeout.as_ref(), 5 * MINUTE, SECOND, 7 * DAY);
    let follow = spec
        .images
        .follow
        .as_ref()
        .map(|follow| read("spec.images.follow.every", Some(&follow.every), MINUTE, MINUTE, 365 * DAY));
    if min_ready >= timeout {
        findings.push(Finding::error(
            "DurationOutOfRange",
            "spec.update.minReady",
            "minReady must be shorter than timeout, or no change can ever succeed",
        ));
    }
    if spec.images.follow.is_some() && spec.images.pull_policy == PullPolicy::Never {
        findings.push(Finding::error(
            "FollowNeverPulls",
            "spec.images.follow",
            "tags cannot be followed with pullPolicy Never",
        ));
    }
    let placement = match (placement.mode, placement.replicas) {
        (PlacementMode::Each, None) => Placement::Each,
        (PlacementMode::Replicas, Some(count)) => {
            Placement::Replicas { count: count as usize, evict_after, evict_with_volumes: placement.evict_with_volumes }
        }
        (PlacementMode::Each, Some(_)) | (PlacementMode::Replicas, None) => {
            findings.push(Finding::error(
                "ReplicasRequired",
                "spec.placement.replicas",
                "replicas is required with mode Replicas, and allowed only there",
            ));
            Placement::Each
        }
    };
    let max_unavailable = spec.update.max_unavailable.unwrap_or(1) as usize;
    if max_unavailable == 0 {
        findings.push(Finding::error(
            "MaxUnavailableZero",
            "spec.update.maxUnavailable",
            "with 0 no host could ever be changed; write at least 1",
        ));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Settings {
        placement,
        update: Update {
            order: spec.update.order,
            max_unavailable,
            on_failure: spec.update.on_failure,
            timeout,
            min_ready,
        },
        images: Images { pull_policy: spec.images.pull_policy, follow, prune: spec.images.prune },
        deletion: Deletion { volumes: spec.deletion.volumes, timeout: deletion },
    })
}

fn bounded(
    path: &str,
    text: Option<&String>,
    default: Duration,
    least: Duration,
    most: Duration,
) -> Result<Duration, Finding> {
    let Some(text) = text else { return Ok(default) };
    let value = duration::parse(text).map_err(|message| Finding::error("DurationInvalid", path, message))?;
    if value < least || value > most {
        let message = format!("{text} is out of range: from {} to {}", duration::format(least), duration::format(most));
        return Err(Finding::error("DurationOutOfRange", path, message));
    }
    Ok(value)
}

/// The rules of the API server for label selectors (apimachinery `validation.ValidateLabelSelector`).
fn check_selector(selector: &LabelSelector, findings: &mut Vec<Finding>) {
    const PATH: &str = "spec.placement.nodeSelector";
    for (key, value) in selector.match_labels.iter().flatten() {
        let path = format!("{PATH}.matchLabels[{key}]");
        check_label_key(key, &path, findings);
        check_label_value(value, &path, findings);
    }
    for (i, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("{PATH}.matchExpressions[{i}]");
        check_label_key(&requirement.key, &path, findings);
        let values = requirement.values.as_deref().unwrap_or_default();
        let wrong = match requirement.operator.as_str() {
            "In" | "NotIn" => values.is_empty().then_some("needs at least one of values"),
            "Exists" | "DoesNotExist" => (!values.is_empty()).then_some("takes no values"),
            _ => Some("is not an operator; write In, NotIn, Exists or DoesNotExist"),
        };
        if let Some(wrong) = wrong {
            findings.push(Finding::error("SelectorInvalid", &path, format!("{} {wrong}", requirement.operator)));
        }
        for value in values {
            check_label_value(value, &path, findings);
        }
    }
}

fn check_label_key(key: &str, path: &str, findings: &mut Vec<Finding>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_ok = prefix.is_none_or(|p| {
        !p.is_empty()
            && p.len() <= 253
            && p.split('.').all(|part| {
                let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                part.starts_with(inner) && part.ends_with(inner) && part.chars().all(|c| inner(c) || c == '-')
            })
    });
    if !prefix_ok || !is_label_word(name) {
        findings.push(Finding::error("SelectorInvalid", path, format!("`{key}` is not a label key")));
    }
}

fn check_label_value(value: &str, path: &str, findings: &mut Vec<Finding>) {
    if !value.is_empty() && !is_label_word(value) {
        findings.push(Finding::error("SelectorInvalid", path, format!("`{value}` is not a label value")));
    }
}

fn is_label_word(word: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    word.len() <= 63
        && word.starts_with(outer)
        && word.ends_with(outer)
        && word.chars().all(|c| outer(c) || matches!(c, '-' | '_' | '.'))
}

/// Services for which the order cannot be what the spec says.
fn stop_first_forced(update: &Update, definition: &Definition) -> Vec<Finding> {
    if update.order == UpdateOrder::StopFirst {
        return Vec::new();
    }
    let exclusive = definition.containers.iter().filter_map(|(key, c)| Some((&key.service, c.exclusive.as_ref()?)));
    let finding = |(service, why): (&String, &String)| {
        let message = format!("{service} stops first, though order is StartFirst: it has {why}");
        Finding::warning("StopFirstForced", "spec.update.order", message)
    };
    exclusive.collect::<BTreeMap<_, _>>().into_iter().map(finding).collect()
}

/// Whether two `(address, port, protocol)` cannot be listened on side by side. An empty or unspecified address is all of them.
pub(super) fn ports_clash(one: &(String, u16, String), other: &(String, u16, String)) -> bool {
    let every = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    one.1 == other.1 && one.2 == other.2 && (every(&one.0) || every(&other.0) || one.0 == other.0)
}

/// `8080/tcp`, `10.0.0.1:8080/tcp`.
pub(super) fn show_port((address, port, protocol): &(String, u16, String)) -> String {
    match address.as_str() {
        "" | "0.0.0.0" | "::" => format!("{port}/{protocol}"),
        v6 if v6.contains(':') => format!("[{v6}]:{port}/{protocol}"),
        v4 => format!("{v4}:{port}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(spec: serde_json::Value) -> Vec<String> {
        let mut spec = spec;
        spec["compose"] = json!({});
        let spec: ContainerServiceSpec = serde_json::from_value(spec).unwrap();
        validate_spec(&spec).into_iter().map(|f| format!("{} {}", f.code, f.path)).collect()
    }

    #[test]
    fn defaults_are_filled_in() {
        let spec = serde_json::from_value(json!({"compose": {}, "images": {"follow": {"every": "1h"}}})).unwrap();
        let settings = settings(&spec).unwrap();
        assert_eq!(settings.placement, Placement::Each);
        assert_eq!(settings.update.timeout, 5 * MINUTE);
        assert_eq!(settings.update.min_ready, 2 * SECOND);
        assert_eq!(settings.update.max_unavailable, 1);
        assert_eq!(settings.images.follow, Some(60 * MINUTE));
        assert_eq!(settings.deletion.timeout, 5 * MINUTE);
    }

    #[test]
    fn each_rule_names_its_path() {
        let cases = [
            (json!({"images": {"follow": {"every": "59s"}}}), "DurationOutOfRange spec.images.follow.every"),
            (json!({"images": {"follow": {"every": "1x"}}}), "DurationInvalid spec.images.follow.every"),
            (
                json!({"images": {"pullPolicy": "Never", "follow": {"every": "1h"}}}),
                "FollowNeverPulls spec.images.follow",
            ),
            (json!({"update": {"timeout": "0s"}}), "DurationOutOfRange spec.update.timeout"),
            (json!({"update": {"timeout": "5s", "minReady": "5s"}}), "DurationOutOfRange spec.update.minReady"),
            (json!({"update": {"maxUnavailable": 0}}), "MaxUnavailableZero spec.update.maxUnavailable"),
            (json!({"placement": {"evictAfter": "5"}}), "DurationInvalid spec.placement.evictAfter"),
            (json!({"placement": {"mode": "Replicas"}}), "ReplicasRequired spec.placement.replicas"),
            (json!({"placement": {"replicas": 1}}), "ReplicasRequired spec.placement.replicas"),
            (json!({"deletion": {"timeout": "8d"}}), "DurationOutOfRange spec.deletion.timeout"),
        ];
        for (spec, expected) in cases {
            assert_eq!(codes(spec), [expected]);
        }
        let both: ContainerServiceSpec = serde_json::from_value(
            json!({"compose": {}, "composeFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
        )
        .unwrap();
        assert_eq!(validate_spec(&both)[0].code, "ComposeRequired");
    }

    #[test]
    fn selectors_follow_the_rules_of_the_api_server() {
        let selector = |s: serde_json::Value| codes(json!({"placement": {"nodeSelector": s}}));
        assert!(selector(json!({"matchLabels": {"example.com/role": "web", "x": ""}})).is_empty());
        assert!(
            selector(json!({"matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x"]}, {"key": "b", "operator": "Exists"}]}))
            .is_empty()
        );
        for wrong in [
            json!({"matchLabels": {"-a": "x"}}),
            json!({"matchLabels": {"Upper.example/a": "x"}}),
            json!({"matchLabels": {"/a": "x"}}),
            json!({"matchLabels": {"a": "not a value"}}),
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["x"]}]}),
        ] {
            let found = selector(wrong.clone());
            assert!(
                found.len() == 1 && found[0].starts_with("SelectorInvalid spec.placement.nodeSelector"),
                "{wrong}: {found:?}"
            );
        }
    }

    #[test]
    fn ports_clash_only_where_they_meet() {
        let port = |address: &str, port, protocol: &str| (address.to_owned(), port, protocol.to_owned());
        assert!(ports_clash(&port("", 80, "tcp"), &port("127.0.0.1", 80, "tcp")));
        assert!(ports_clash(&port("::", 80, "tcp"), &port("0.0.0.0", 80, "tcp")));
        assert!(!ports_clash(&port("10.0.0.1", 80, "tcp"), &port("10.0.0.2", 80, "tcp")));
        assert!(!ports_clash(&port("", 80, "tcp"), &port("", 80, "udp")));
        assert!(!ports_clash(&port("", 80, "tcp"), &port("", 81, "tcp")));
    }
}
