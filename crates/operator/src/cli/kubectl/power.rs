//! `kubectl slipway power`: asks for a power, or for a restart, in the Node's spec.

use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_api::node::Power;

use super::cluster::Reach;
use super::finish;
use super::target::{KindName, Target};
use super::write::{How, write};

const EXAMPLES: &str = "\
Only the spec is written: spec.power, or spec.reboot; the operator does the rest, and asks for an approval where ContainerServices run.
On an object that Argo CD or Flux manages the change to commit is printed instead.

Exit code: 0 written (or so already), 1 failed, 2 wrong usage, 4 not written, since Argo CD or Flux manages the object.

Examples:
  kubectl slipway power on node/n20
  kubectl slipway power off node/n20 --force
  kubectl slipway power reboot node/n20 && kubectl slipway why node/n20
  kubectl slipway power on node/n20 > change.yaml     # managed by Argo CD or Flux";

/// Power a Node on or off, or restart it: writes its spec.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// What to ask for.
    #[arg(value_enum)]
    action: Action,

    /// The Node: node/NAME.
    #[arg(value_name = "node/NAME")]
    target: Target,

    /// Take the power away, or reset; without it the operating system is asked first.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// spec.power: On
    On,
    /// spec.power: Off
    Off,
    /// spec.reboot.requestedAt: now
    Reboot,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        args.target.must_be(KindName::Node)?;
        if args.force && args.action == Action::On {
            bail!("--force says how the power is taken away; `on` takes none");
        }
        let cluster = args.reach.cluster().await?;
        let node = cluster.get::<Node>(&args.target).await?;
        // Its Design may say how it is reached.
        if node.spec.bmc.is_none() && node.spec.design.design_ref.is_none() {
            bail!("{} has no spec.bmc, so that nobody can power it", args.target);
        }
        let change = change(args.action, args.force, &node, Timestamp::now());
        if is_so(&node, &change) {
            eprintln!("{} asks for that already; nothing was written", args.target);
            return Ok(ExitCode::SUCCESS);
        }
        write(&cluster, &args.target, &node, change, false, &args.how).await
    })
}

/// The fields to write.
fn change(action: Action, force: bool, node: &Node, now: Timestamp) -> Value {
    let mode = if force { "Force" } else { "Graceful" };
    match action {
        Action::On => json!({"power": "On"}),
        Action::Off if force => json!({"power": "Off", "powerOff": {"mode": mode}}),
        Action::Off => json!({"power": "Off"}),
        Action::Reboot => {
            let to_the_second = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
            let same = node.spec.reboot.as_ref().is_some_and(|reboot| reboot.requested_at == to_the_second);
            let requested = if same { now.to_string() } else { to_the_second };
            json!({"reboot": {"requestedAt": requested, "mode": mode}})
        }
    }
}

/// Whether the spec has the fields already.
fn is_so(node: &Node, change: &Value) -> bool {
    let power = match node.spec.power {
        Some(Power::On) => "On",
        Some(Power::Off) => "Off",
        None => return false,
    };
    change["power"] == power && change["powerOff"].is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)] // Tables read better so.
    fn node(spec: Value) -> Node {
        let mut all = json!({"bmc": {"address": "manual"}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": all})).unwrap()
    }

    #[test]
    fn each_action_is_its_field() {
        let now: Timestamp = "2026-11-28T10:00:00.5Z".parse().unwrap();
        let of = |action, force, spec| change(action, force, &node(spec), now);
        assert_eq!(of(Action::On, false, json!({})), json!({"power": "On"}));
        assert_eq!(of(Action::Off, false, json!({})), json!({"power": "Off"}));
        assert_eq!(of(Action::Off, true, json!({})), json!({"power": "Off", "powerOff": {"mode": "Force"}}));
        let reboot = json!({"requestedAt": "2026-11-28T10:00:00Z", "mode": "Graceful"});
        assert_eq!(of(Action::Reboot, false, json!({})), json!({"reboot": reboot}));
        let again = of(Action::Reboot, true, json!({"reboot": reboot}));
        assert_eq!(
            again,
            json!({"reboot": {"requestedAt": "2026-11-28T10:00:00.5Z", "mode": "Force"}}),
            "twice in a second"
        );
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        assert!(is_so(&node(json!({"power": "On"})), &json!({"power": "On"})));
        assert!(!is_so(&node(json!({"power": "Off"})), &json!({"power": "On"})));
        assert!(!is_so(&node(json!({})), &json!({"power": "On"})));
    }
}
