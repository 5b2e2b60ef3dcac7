//! `kubectl slipway rollout`: how far the rollout of a Design is, and its switches in the spec.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use slipway_api::conditions::{STALLED, find};
use slipway_api::design::{GroupState, GroupStatus, RolloutStatus};
use slipway_api::{Design, Node};

use super::cluster::Reach;
use super::paint::{BAD, BOLD, DIM, GOOD, WAITS};
use super::target::{KindName, Target};
use super::write::{How, write};
use super::{View, finish, print};

const EXAMPLES: &str = "\
status reads; the others write one field of the spec: spec.rollout.paused, or spec.rollout.retry.requestedAt.
On a Design that Argo CD or Flux manages the change to commit is printed instead.

Exit code: 0 done (status: all groups are done), 1 failed (status: a group failed), 2 wrong usage, \
3 (status) not done yet, 4 not written, since Argo CD or Flux manages the Design.

Examples:
  kubectl slipway rollout status dsn/lab
  kubectl slipway rollout pause dsn/lab
  kubectl slipway rollout retry dsn/lab
  kubectl slipway rollout status dsn/lab -o json | jq '.groups[] | select(.state != \"Done\")'";

/// Look at the rollout of a Design, pause it, resume it, or have what failed tried again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// How far each group is, which Nodes are in the middle of a step, and which failed.
    Status(Status),
    /// Begin nothing new. What is in progress goes on.
    Pause(Change),
    /// Begin again.
    Resume(Change),
    /// Have failed Nodes tried again, and groups that stopped on a failure go on.
    Retry(Change),
}

#[derive(Debug, clap::Args)]
struct Status {
    /// The Design: dsn/NAME.
    #[arg(value_name = "dsn/NAME")]
    target: Target,

    #[command(flatten)]
    view: View,
}

#[derive(Debug, clap::Args)]
struct Change {
    /// The Design: dsn/NAME.
    #[arg(value_name = "dsn/NAME")]
    target: Target,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    reach: Reach,
}

/// Runs one of its verbs.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        match &args.verb {
            Verb::Status(status) => status.run().await,
            Verb::Pause(change) => change.run(|_| json!({"paused": true})).await,
            Verb::Resume(change) => change.run(|_| json!({"paused": false})).await,
            Verb::Retry(change) => change.run(|design| retry(design, Timestamp::now())).await,
        }
    })
}

impl Change {
    async fn run(&self, fields: impl FnOnce(&Design) -> Value) -> Result<ExitCode> {
        self.target.must_be(KindName::Design)?;
        let cluster = self.reach.cluster().await?;
        let design = cluster.get::<Design>(&self.target).await?;
        // Written where there is none, it would be a rollout of its own, one Node at a time.
        ensure!(
            design.spec.rollout.is_some(),
            "{} has no spec.rollout, so that nothing of it is ordered or limited; if a Design that it includes has, write that one",
            self.target
        );
        let change = json!({"rollout": fields(&design)});
        if is_so(&design, &change["rollout"]) {
            eprintln!("{} says so already; nothing was written", self.target);
            return Ok(ExitCode::SUCCESS);
        }
        write(&cluster, &self.target, &design, change, false, &self.how).await
    }
}

/// A request that differs from the last one.
fn retry(design: &Design, now: Timestamp) -> Value {
    let to_the_second = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let last = design.spec.rollout.as_ref().and_then(|rollout| rollout.retry.as_ref());
    let is_same = last.is_some_and(|last| last.requested_at == to_the_second);
    json!({"retry": {"requestedAt": if is_same { now.to_string() } else { to_the_second }}})
}

fn is_so(design: &Design, fields: &Value) -> bool {
    let paused = design.spec.rollout.as_ref().is_some_and(|rollout| rollout.paused);
    fields["paused"].as_bool() == Some(paused)
}

/// How far a rollout is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    design: String,
    paused: bool,
    /// Whether this is about the newest generation of the Design.
    current: bool,
    groups: Vec<GroupStatus>,
    #[serde(flatten)]
    record: RolloutStatus,
    /// Nodes in the middle of a step that go no further without a person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stalled: Vec<StalledNode>,
}

/// A Node that goes no further by itself.
#[derive(Debug, Serialize)]
struct StalledNode {
    name: String,
    reason: String,
    message: String,
}

/// Those of the Nodes in the middle of a step that need a person, and why.
fn stalled(record: &RolloutStatus, nodes: &[Node]) -> Vec<StalledNode> {
    let moving = record.in_progress.iter();
    let found = moving.filter_map(|it| {
        let node = nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&*it.name))?;
        let condition =
            find(&node.status.as_ref()?.conditions, STALLED).filter(|condition| condition.status == "True")?;
        let (reason, message) = (condition.reason.clone(), condition.message.clone());
        Some(StalledNode { name: it.name.clone(), reason, message })
    });
    found.collect()
}

impl Status {
    async fn run(&self) -> Result<ExitCode> {
        self.target.must_be(KindName::Design)?;
        let cluster = self.view.reach.cluster().await?;
        let design = cluster.get::<Design>(&self.target).await?;
        let mut progress = Progress::of(&design, &self.target.name);
        if !progress.record.in_progress.is_empty() {
            progress.stalled = stalled(&progress.record, &cluster.list_if_allowed::<Node>().await);
        }
        print(&progress, self.view.output, |out| progress.text(out))?;
        Ok(progress.exit_code())
    }
}

impl Progress {
    fn of(design: &Design, name: &str) -> Self {
        let status = design.status.clone().unwrap_or_default();
        Self {
            design: name.to_owned(),
            paused: design.spec.rollout.as_ref().is_some_and(|rollout| rollout.paused),
            current: status.observed_generation == design.metadata.generation,
            groups: status.groups,
            record: status.rollout.unwrap_or_default(),
            stalled: Vec::new(),
        }
    }

    fn exit_code(&self) -> ExitCode {
        let any = |state| self.groups.iter().any(|group| group.state == state);
        if any(GroupState::Failed) || !self.record.failed.is_empty() {
            return ExitCode::FAILURE;
        }
        let is_done = self.groups.iter().all(|group| group.state == GroupState::Done);
        ExitCode::from(if is_done && self.current && self.record.in_progress.is_empty() { 0 } else { 3 })
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.paused {
            writeln!(out, "{WAITS}paused{WAITS:#}: kubectl slipway rollout resume dsn/{}", self.design)?;
        }
        if !self.current {
            writeln!(out, "{WAITS}Design {} has changed, and has not been looked at since{WAITS:#}", self.design)?;
        } else if self.groups.is_empty() {
            writeln!(out, "Design {} has no groups", self.design)?;
        }
        let width = self.groups.iter().map(|group| group.name.chars().count()).max().unwrap_or(0);
        for group in &self.groups {
            let (word, style) = match group.state {
                GroupState::Done => ("done", GOOD),
                GroupState::InProgress => ("in progress", WAITS),
                GroupState::Waiting => ("waiting", DIM),
                GroupState::Paused => ("paused", WAITS),
                GroupState::Failed => ("failed", BAD),
            };
            let failed = if group.failed > 0 { format!(", {} failed", group.failed) } else { String::new() };
            let ready = format!("{}/{} ready{failed}", group.ready, group.nodes);
            let name = &group.name;
            write!(out, "{BOLD}{name:width$}{BOLD:#}  {style}{word:11}{style:#}  {ready}")?;
            writeln!(out, "{}{}", if group.message.is_empty() { "" } else { "  " }, group.message)?;
        }
        for node in &self.record.in_progress {
            writeln!(out, "{WAITS}node/{}{WAITS:#} in progress since {}", node.name, node.since)?;
            for stalled in self.stalled.iter().filter(|stalled| stalled.name == node.name) {
                writeln!(out, "  {BAD}{}{BAD:#}: {}", stalled.reason, stalled.message)?;
                writeln!(out, "  what to do: kubectl slipway why node/{}", node.name)?;
            }
        }
        for node in &self.record.failed {
            writeln!(out, "{BAD}node/{}{BAD:#} failed: {}", node.name, node.message)?;
        }
        if !self.record.failed.is_empty() {
            writeln!(out, "once that is mended: kubectl slipway rollout retry dsn/{}", self.design)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(status: &Value) -> Design {
        let design = json!({"metadata": {"name": "lab"}, "spec": {"rollout": {"groups": []}}, "status": status});
        serde_json::from_value(design).unwrap()
    }

    fn text(design: &Design) -> String {
        let mut out = Vec::new();
        Progress::of(design, "lab").text(&mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn it_says_how_far_each_group_is() {
        let design = design(&json!({
            "groups": [
                {"name": "control", "state": "Done", "nodes": 3, "ready": 3, "failed": 0},
                {"name": "compute", "state": "InProgress", "nodes": 9, "ready": 2, "failed": 1, "message": "2 of 9 Nodes are ready"},
            ],
            "rollout": {"inProgress": [{"name": "n4", "since": "2026-11-28T05:00:00Z"}], "failed": [{"name": "n5", "message": "no"}]},
        }));
        assert_eq!(
            text(&design),
            "control  done         3/3 ready\n\
             compute  in progress  2/9 ready, 1 failed  2 of 9 Nodes are ready\n\
             node/n4 in progress since 2026-11-28T05:00:00Z\n\
             node/n5 failed: no\n\
             once that is mended: kubectl slipway rollout retry dsn/lab\n"
        );
    }

    #[test]
    fn a_node_that_needs_a_person_in_the_middle_of_its_step_says_so() {
        let design = design(&json!({
            "groups": [{"name": "storage", "state": "InProgress", "nodes": 4, "ready": 3, "failed": 0}],
            "rollout": {"inProgress": [{"name": "s1", "since": "2026-11-28T12:38:43Z"}, {"name": "s2", "since": "2026-11-28T12:38:43Z"}]},
        }));
        let node = |name: &str, type_: &str| -> Node {
            let condition = json!({"type": type_, "status": "True", "reason": "ApprovalNeeded", "message": "its plan waits for an approval",
                                   "lastTransitionTime": "2026-11-28T12:38:50Z"});
            let node = json!({"metadata": {"name": name}, "spec": {}, "status": {"conditions": [condition]}});
            serde_json::from_value(node).unwrap()
        };
        let mut progress = Progress::of(&design, "lab");
        progress.stalled = stalled(&progress.record, &[node("s1", "Stalled"), node("s2", "Reconciling")]);
        let mut out = Vec::new();
        progress.text(&mut out).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string(),
            "storage  in progress  3/4 ready\n\
             node/s1 in progress since 2026-11-28T12:38:43Z\n  ApprovalNeeded: its plan waits for an approval\n  \
             what to do: kubectl slipway why node/s1\n\
             node/s2 in progress since 2026-11-28T12:38:43Z\n"
        );
    }

    #[test]
    fn what_has_not_been_looked_at_is_not_done() {
        let mut design = design(&json!({"observedGeneration": 1}));
        design.metadata.generation = Some(1);
        assert_eq!(text(&design), "Design lab has no groups\n");
        let exit_code = |design: &Design| format!("{:?}", Progress::of(design, "lab").exit_code());
        assert_eq!(exit_code(&design), format!("{:?}", ExitCode::SUCCESS));
        design.metadata.generation = Some(2);
        assert_eq!(text(&design), "Design lab has changed, and has not been looked at since\n");
        assert_eq!(exit_code(&design), format!("{:?}", ExitCode::from(3)));
    }

    #[test]
    fn a_second_request_in_one_second_differs_from_the_first() {
        let now: Timestamp = "2026-11-28T05:00:00.25Z".parse().unwrap();
        let mut design = design(&json!({}));
        let first = retry(&design, now)["retry"]["requestedAt"].as_str().unwrap().to_owned();
        assert_eq!(first, "2026-11-28T05:00:00Z");
        design.spec.rollout.as_mut().unwrap().retry =
            Some(slipway_api::design::RolloutRetry { requested_at: first.clone() });
        assert_ne!(retry(&design, now)["retry"]["requestedAt"].as_str().unwrap(), first);
    }
}
