//! `kubectl slipway plan node/NAME`: the plan in force, and `approve`, which lets it be carried out.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use slipway_api::Node;
use slipway_api::conditions::{READY, find};
use slipway_api::node::{Operation, PlanStatus};
use slipway_plan::why::age;

use super::cluster::Reach;
use super::paint::{BAD, BOLD, DIM, WAITS};
use super::target::{KindName, Target};
use super::write::{How, write};
use super::{Format, finish, print};

/// Exit code: a plan waits for an approval (`plan`), or none does (`approve`).
const WAITING: u8 = 3;

const EXAMPLES: &str = "\
The plan that is approved is the plan that was seen: the hash is of its steps, of the state that they were planned on and of the time, \
and nothing is written if the Node has changed since it was read.

Exit code: 0 approved, 1 failed, 2 wrong usage, 3 no plan waits, or another one than --hash, 4 not written, since Argo CD or Flux \
manages the object.

Examples:
  kubectl slipway plan node/n20
  kubectl slipway approve node/n20
  kubectl slipway approve node/n20 --hash 7f3c00aa11bb";

/// Approve the plan that a Node waits with: writes spec.approvedPlan.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Approve {
    /// The Node: node/NAME.
    #[arg(value_name = "node/NAME")]
    target: Target,

    /// Hash of the plan that was seen; any other is refused.
    #[arg(long)]
    hash: Option<String>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    reach: Reach,
}

/// Approves.
pub(in crate::cli) fn approve(args: &Approve) -> ExitCode {
    finish(async {
        args.target.must_be(KindName::Node)?;
        let cluster = args.reach.cluster().await?;
        let node = cluster.get::<Node>(&args.target).await?;
        let status = node.status.clone().unwrap_or_default();
        let Some(plan) = status.plan.filter(|plan| plan.waiting) else {
            eprintln!("{}: no plan waits for an approval; nothing was written", args.target);
            return Ok(ExitCode::from(WAITING));
        };
        if status.observed_generation != node.metadata.generation {
            bail!("{} has a newer spec than its plan; look again in a moment", args.target);
        }
        if let Some(hash) = args.hash.as_ref().filter(|hash| **hash != plan.hash) {
            eprintln!(
                "{}: the plan that waits is {} ({}), not {hash}; nothing was written",
                args.target,
                plan.hash,
                plan.steps.join(", then ")
            );
            return Ok(ExitCode::from(WAITING));
        }
        eprintln!("{}: {}", args.target, plan.steps.join(", then "));
        write(&cluster, &args.target, &node, json!({"approvedPlan": plan.hash}), true, &args.how).await
    })
}

/// The plan of a Node, as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    object: String,
    namespace: String,
    /// The plan in force; absent while there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanStatus>,
    /// The command that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// Power of the host that it was planned on.
    #[serde(skip_serializing_if = "Option::is_none")]
    power: Option<String>,
    /// `Ready`'s reason and message: what it waits for.
    reason: String,
    message: String,
}

/// Shows the plan in force.
pub(in crate::cli) fn show(target: &Target, output: Format, reach: &Reach) -> ExitCode {
    finish(async {
        target.must_be(KindName::Node)?;
        let cluster = reach.cluster().await?;
        let node = cluster.get::<Node>(target).await?;
        let planned = planned(target, &cluster.namespace, &node);
        let waits = planned.plan.as_ref().is_some_and(|plan| plan.waiting);
        print(&planned, output, |out| text(out, &planned, Timestamp::now()))?;
        Ok(if waits { ExitCode::from(WAITING) } else { ExitCode::SUCCESS })
    })
}

fn planned(target: &Target, namespace: &str, node: &Node) -> Planned {
    let status = node.status.clone().unwrap_or_default();
    let ready = find(&status.conditions, READY);
    Planned {
        object: target.to_string(),
        namespace: namespace.into(),
        reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        plan: status.plan,
        operation: status.operation,
        power: status.power,
    }
}

fn text(out: &mut dyn Write, planned: &Planned, now: Timestamp) -> io::Result<()> {
    let since = |since: &str| {
        let ago = since.parse().map(|at| format!(" ({} ago)", age(at, now))).unwrap_or_default();
        format!("{DIM}since {since}{ago}{DIM:#}")
    };
    let Some(plan) = &planned.plan else {
        writeln!(out, "{BOLD}{}{BOLD:#}: nothing to do", planned.object)?;
        return writeln!(out, "  {}: {}", planned.reason, planned.message);
    };
    let destructive = if plan.destructive { format!("{BAD}destructive{BAD:#}, ") } else { String::new() };
    let state = if plan.waiting { format!("{WAITS}waits for an approval{WAITS:#}") } else { "under way".into() };
    writeln!(out, "{BOLD}{}{BOLD:#}: plan {BOLD}{}{BOLD:#}, {destructive}{state}", planned.object, plan.hash)?;
    writeln!(out, "  {}", since(&plan.since))?;
    if let Some(power) = &planned.power {
        writeln!(out, "  the host is {}", power.to_lowercase())?;
    }
    for (number, step) in plan.steps.iter().enumerate() {
        writeln!(out, "  {}. {step}", number + 1)?;
    }
    if let Some(operation) = &planned.operation {
        let what = match (operation.in_doubt, operation.taken) {
            (true, _) => "in doubt: nobody knows whether it was carried out",
            (false, true) => "the BMC has taken it",
            (false, false) => "on record",
        };
        writeln!(out, "  {}: {what}, {}", operation.command, since(&operation.since))?;
    }
    writeln!(out, "  {}: {}", planned.reason, planned.message)?;
    if plan.waiting {
        writeln!(
            out,
            "\n  $ kubectl slipway approve {} -n {} --hash {}",
            planned.object, planned.namespace, plan.hash
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)] // Tables read better so.
    fn shown(status: serde_json::Value) -> String {
        let node = json!({"metadata": {"name": "n20"}, "spec": {"bmc": {"address": "manual"}}, "status": status});
        let node: Node = serde_json::from_value(node).unwrap();
        let mut out = Vec::new();
        let planned = planned(&"node/n20".parse().unwrap(), "lab", &node);
        text(&mut out, &planned, "2026-11-28T10:05:00Z".parse().unwrap()).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn a_plan_that_waits_shows_its_steps_and_how_to_approve_it() {
        let text = shown(json!({
            "power": "On",
            "plan": {"hash": "7f3c00aa11bb", "destructive": true, "waiting": true, "steps": ["shut down", "power on"],
                     "since": "2026-11-28T10:00:00Z"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "ApprovalNeeded", "message": "waits",
                            "lastTransitionTime": "2026-11-28T10:00:00Z"}],
        }));
        for words in [
            "plan 7f3c00aa11bb, destructive, waits for an approval",
            "since 2026-11-28T10:00:00Z (5m ago)",
            "the host is on",
            "1. shut down\n  2. power on",
            "ApprovalNeeded: waits",
            "$ kubectl slipway approve node/n20 -n lab --hash 7f3c00aa11bb",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }

    #[test]
    fn without_a_plan_there_is_nothing_to_do() {
        assert!(shown(json!({})).starts_with("node/n20: nothing to do"));
    }
}
