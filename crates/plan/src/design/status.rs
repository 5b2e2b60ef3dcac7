//! The status of a Design: what is wrong with it, and the model that its Nodes run on.

use slipway_api::conditions::{State, Verdict};
use slipway_api::design::{DesignFinding, DesignStatus, FindingSeverity, GroupState, GroupStatus, NodeCounts};

use crate::finding::{Finding, Severity};

/// Findings that a status shows: an object stays far below what an API server stores.
pub const SHOWN: usize = 50;
/// Characters of a finding's message and hint, and of its path.
const TEXT: usize = 300;
/// Characters of the worst finding in the message of a condition.
const WORST: usize = 200;

/// How a Design stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// All that is wrong, the worst first.
    pub findings: &'a [Finding],
    /// Its Nodes.
    pub nodes: &'a NodeCounts,
    /// Generation of the Design that the Nodes' model was compiled from; none if there never was a model.
    pub model: Option<i64>,
    /// The groups of the rollout.
    pub groups: &'a [GroupStatus],
    /// Nodes that are in the middle of a step, or wait to begin.
    pub moving: usize,
    /// `spec.rollout.paused`.
    pub paused: bool,
    /// `spec.suspend`.
    pub suspended: bool,
}

/// Writes the findings into a status, bounded, with the count of the rest.
pub fn show(status: &mut DesignStatus, findings: &[Finding]) {
    status.findings = findings.iter().take(SHOWN).map(shown).collect();
    let rest = findings.len().saturating_sub(SHOWN);
    status.findings_not_shown = (rest > 0).then(|| u32::try_from(rest).unwrap_or(u32::MAX));
}

fn shown(finding: &Finding) -> DesignFinding {
    let bounded = |text: &str| text.chars().take(TEXT).collect::<String>();
    DesignFinding {
        severity: match finding.severity {
            Severity::Error => FindingSeverity::Error,
            Severity::Warning => FindingSeverity::Warning,
        },
        code: finding.code.to_owned(),
        rule: finding.rule.unwrap_or_default().to_owned(),
        object: finding.object.clone().unwrap_or_default(),
        path: bounded(&finding.path),
        message: bounded(&finding.message),
        hint: finding.hint.as_deref().map(bounded),
    }
}

/// What its Ready condition says.
pub fn verdict(of: &Standing<'_>) -> Verdict {
    let count = |severity| of.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let say = |state, reason: &str, message: String| Verdict { state, reason: reason.into(), message };
    if errors > 0 {
        let kept = match (of.nodes.total, of.model) {
            (0, _) => "It has no Nodes".to_owned(),
            (_, Some(generation)) => {
                format!("Its Nodes keep the model of generation {generation}, the last one without errors")
            }
            (_, None) => "Its Nodes have no model yet".to_owned(),
        };
        let worst = of.findings.first().map(told).unwrap_or_default();
        let message = format!("{}; the first: {worst}. {kept}", counted(errors, warnings));
        return say(State::Stalled, "DesignInvalid", message);
    }
    let nodes = if of.nodes.total == 1 { "1 Node".to_owned() } else { format!("{} Nodes", of.nodes.total) };
    let compiled = match warnings {
        0 => format!("compiled for {nodes}"),
        _ => format!("compiled for {nodes}; {}", counted(0, warnings)),
    };
    if of.suspended {
        return say(State::Converged, "Suspended", format!("{compiled}; spec.suspend stops all action on its Nodes"));
    }
    if let Some(group) = of.groups.iter().find(|group| group.state == GroupState::Failed) {
        return say(State::Stalled, "RolloutFailed", format!("group {}: {}", group.name, group.message));
    }
    match of.moving {
        0 => say(State::Converged, "Compiled", compiled),
        moving if of.paused => say(
            State::Progressing,
            "RolloutPaused",
            format!("spec.rollout.paused holds the rollout; {moving} Nodes wait or move"),
        ),
        moving => {
            let at = of.groups.iter().find(|group| group.state != GroupState::Done);
            let at = at.map(|group| format!("; group {}: {}", group.name, group.message)).unwrap_or_default();
            say(
                State::Progressing,
                "RollingOut",
                format!("{moving} Nodes wait for a step or are in the middle of one{at}"),
            )
        }
    }
}

/// The Design is a part of another one, which tells what is wrong with it.
pub fn included(of: &str) -> Verdict {
    let message = format!("is a part of Design {of}, whose status says what is wrong with it");
    Verdict { state: State::Converged, reason: "Included".into(), message }
}

/// A finding on one line, for a message.
pub fn told(finding: &Finding) -> String {
    let object = finding.object.as_deref().unwrap_or_default();
    let text = format!("{} {object} {}: {}", finding.code, finding.path, finding.message);
    text.chars().take(WORST).collect()
}

fn counted(errors: usize, warnings: usize) -> String {
    let one = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    one(errors, "error").into_iter().chain(one(warnings, "warning")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, path: &str) -> Finding {
        let finding = match severity {
            Severity::Error => Finding::error("DD2005", path, "is wrong"),
            Severity::Warning => Finding::warning("SD1001", path, "is odd"),
        };
        finding.about("Node/n1")
    }

    #[test]
    fn findings_are_bounded_and_the_rest_is_counted() {
        let findings: Vec<_> = (0..SHOWN + 7).map(|_| finding(Severity::Error, &"x".repeat(5000))).collect();
        let mut status = DesignStatus::default();
        show(&mut status, &findings);
        assert_eq!((status.findings.len(), status.findings_not_shown), (SHOWN, Some(7)));
        assert!(serde_json::to_vec(&status).unwrap().len() < 60_000);
        show(&mut status, &findings[..1]);
        assert_eq!((status.findings.len(), status.findings_not_shown), (1, None));
    }

    #[test]
    fn what_is_said() {
        let nodes = NodeCounts { total: 3, ready: 1, failed: 0 };
        let plain = Standing {
            findings: &[],
            nodes: &nodes,
            model: Some(4),
            groups: &[],
            moving: 0,
            paused: false,
            suspended: false,
        };
        let of =
            |standing: &Standing<'_>| (verdict(standing).state, verdict(standing).reason, verdict(standing).message);
        assert_eq!(of(&plain), (State::Converged, "Compiled".into(), "compiled for 3 Nodes".into()));
        let warned = [finding(Severity::Warning, "spec")];
        assert_eq!(of(&Standing { findings: &warned, ..plain }).2, "compiled for 3 Nodes; 1 warning");
        let wrong = [finding(Severity::Error, "spec.rack"), finding(Severity::Warning, "spec")];
        let (state, reason, message) = of(&Standing { findings: &wrong, ..plain });
        assert_eq!((state, reason.as_str()), (State::Stalled, "DesignInvalid"));
        assert!(message.contains("1 error, 1 warning; the first: DD2005 Node/n1 spec.rack: is wrong"), "{message}");
        assert!(message.contains("generation 4"), "{message}");
        assert_eq!(of(&Standing { moving: 2, ..plain }).1, "RollingOut");
        assert_eq!(of(&Standing { moving: 2, paused: true, ..plain }).1, "RolloutPaused");
        assert_eq!(of(&Standing { suspended: true, ..plain }).1, "Suspended");
    }
}
