//! `kubectl slipway tree`: Designs, their Nodes and the ContainerServices on them, one line each.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use kube::api::{Api, ListParams};
use slipway_api::{ContainerService, Design, Node};
use slipway_plan::tree::{Branch, Objects, around, tree};

use super::cluster::{Cluster, Namespaced, code};
use super::paint::{BOLD, DIM, mark};
use super::target::Target;
use super::{View, finish, print};

/// Characters of a message that a line shows; `why` has it all.
const MESSAGE: usize = 100;

const EXAMPLES: &str = "\
A ContainerService stands under each Node that it is placed on. ✓ ready, … working or waiting, ? cannot be observed, ✗ a person is needed.

Exit code: 0 shown, 1 failed (there is no such object, or it may not be read), 2 wrong usage.

Examples:
  kubectl slipway tree
  kubectl slipway tree node/n20 -n lab
  kubectl slipway tree -A -o json | jq -r '.. | objects | select(.state == \"stalled\") | .object'";

/// Show Designs, their Nodes and the ContainerServices on them, with their state.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Only the part of the tree around this object: node/NAME, csvc/NAME or dsn/NAME.
    #[arg(value_name = "KIND/NAME")]
    target: Option<Target>,

    /// Every namespace.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "target"])]
    all_namespaces: bool,

    #[command(flatten)]
    view: View,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        let cluster = args.view.reach.cluster().await?;
        let (designs, nodes, services) = tokio::try_join!(
            list::<Design>(&cluster, args.all_namespaces),
            list::<Node>(&cluster, args.all_namespaces),
            list::<ContainerService>(&cluster, args.all_namespaces),
        )?;
        let roots = tree(&Objects { designs, nodes, services });
        let roots = match &args.target {
            None => roots,
            Some(target) => match around(roots, &target.to_string()) {
                found if found.is_empty() => bail!("there is no {target} in namespace {}", cluster.namespace),
                found => found,
            },
        };
        if roots.is_empty() {
            let place =
                if args.all_namespaces { "any namespace".into() } else { format!("namespace {}", cluster.namespace) };
            eprintln!("there is no Design, Node or ContainerService in {place}");
        }
        print(&roots, args.view.output, |out| text(out, &roots, args.all_namespaces))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// All objects of a kind; none of one that this cluster has not installed.
async fn list<K: Namespaced>(cluster: &Cluster, all_namespaces: bool) -> Result<Vec<K>> {
    let api: Api<K> = if all_namespaces { Api::all(cluster.client.clone()) } else { cluster.api() };
    let what = format!("list {}", K::plural(&()));
    match cluster.call(&what, api.list(&ListParams::default())).await {
        Ok(list) => Ok(list.items),
        Err(error) if code(&error) == Some(404) => {
            eprintln!("note: this cluster has no {}", K::plural(&()));
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn text(out: &mut dyn Write, roots: &[Branch], with_namespaces: bool) -> io::Result<()> {
    let mut namespace = None;
    for root in roots {
        if with_namespaces && namespace != Some(&root.namespace) {
            writeln!(out, "{DIM}namespace{DIM:#} {BOLD}{}{BOLD:#}", root.namespace)?;
            namespace = Some(&root.namespace);
        }
        line(out, "", root)?;
        children(out, "", &root.children)?;
    }
    Ok(())
}

fn children(out: &mut dyn Write, indent: &str, branches: &[Branch]) -> io::Result<()> {
    for (number, branch) in branches.iter().enumerate() {
        let last = number + 1 == branches.len();
        line(out, &format!("{indent}{}", if last { "└─ " } else { "├─ " }), branch)?;
        children(out, &format!("{indent}{}", if last { "   " } else { "│  " }), &branch.children)?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, lead: &str, branch: &Branch) -> io::Result<()> {
    let (mark, style) = mark(branch.state);
    write!(out, "{lead}{style}{mark}{style:#} {BOLD}{}{BOLD:#}  {style}{}{style:#}", branch.object, branch.reason)?;
    if !branch.summary.is_empty() {
        write!(out, "  {DIM}{}{DIM:#}", branch.summary)?;
    }
    if !branch.message.is_empty() {
        write!(out, "  {}", shortened(&branch.message))?;
    }
    writeln!(out)
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.into(),
    }
}

#[cfg(test)]
mod tests {
    use slipway_plan::why::State;

    use super::*;

    fn branch(object: &str, children: Vec<Branch>) -> Branch {
        Branch {
            object: object.into(),
            namespace: "lab".into(),
            state: State::Ready,
            reason: "Reconciled".into(),
            summary: String::new(),
            message: String::new(),
            children,
        }
    }

    #[test]
    fn a_tree_is_drawn_with_its_branches() {
        let nodes = vec![branch("node/a", vec![branch("csvc/web", Vec::new())]), branch("node/b", Vec::new())];
        let mut out = Vec::new();
        text(&mut out, &[branch("dsn/lab", nodes)], true).unwrap();
        let plain = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        assert_eq!(
            plain,
            "namespace lab\n✓ dsn/lab  Reconciled\n├─ ✓ node/a  Reconciled\n│  └─ ✓ csvc/web  Reconciled\n└─ ✓ node/b  Reconciled\n"
        );
    }
}
