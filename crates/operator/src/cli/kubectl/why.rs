//! `kubectl slipway why`: reads what the answer is made of, and prints it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use slipway_api::{ContainerService, Design, Node};
use slipway_plan::container_service::definition::NeedKind;
use slipway_plan::why::{self, Answer, Facts, Happened, Leader, Link, Reference, State, Subject, age};

use super::cluster::{Cluster, code};
use super::paint::{BOLD, DIM, WAITS, mark};
use super::target::{KindName, Target};
use super::{View, finish, print};
use crate::lease;

/// Events that are shown.
const EVENTS: usize = 5;

const EXAMPLES: &str = "\
The chain of causes goes from the object down to the deepest cause; below it: since when, when the next try is, and what to do.
Only objects are read, no host: the answer is the same while hosts are away or no operator runs.

Exit code: 0 answered, 1 failed (there is no such object, or it may not be read), 2 wrong usage.

Examples:
  kubectl slipway why node/n20
  kubectl slipway why csvc/web -n shop
  kubectl slipway why dsn/lab -o json | jq -r '.chain[-1].reason'";

/// Say why an object is not as wanted: the chain of causes, since when, when the next try is, what to do.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The object: node/NAME, csvc/NAME or dsn/NAME.
    #[arg(value_name = "KIND/NAME")]
    target: Target,

    #[command(flatten)]
    view: View,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        let cluster = args.view.reach.cluster().await?;
        let answer = answer(&cluster, &args.target).await?;
        print(&answer, args.view.output, |out| text(out, &answer, Timestamp::now()))?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn answer(cluster: &Cluster, target: &Target) -> Result<Answer> {
    let subject = match subject(cluster, target).await {
        Ok(subject) => subject,
        Err(error) if matches!(code(&error), None | Some(404)) && !cluster.serves(target.kind).await? => {
            return Ok(why::not_served(&target.to_string(), &cluster.namespace, target.kind.plural()));
        }
        Err(error) => return Err(error),
    };
    Ok(why::why(&facts(cluster, subject).await))
}

async fn subject(cluster: &Cluster, target: &Target) -> Result<Subject> {
    Ok(match target.kind {
        KindName::Node => Subject::Node(Box::new(cluster.get::<Node>(target).await?)),
        KindName::ContainerService => {
            Subject::ContainerService(Box::new(cluster.get::<ContainerService>(target).await?))
        }
        KindName::Design => Subject::Design(Box::new(cluster.get::<Design>(target).await?)),
    })
}

/// What the answer is made of. What may not be read is left out, and is no proof of anything.
async fn facts(cluster: &Cluster, subject: Subject) -> Facts {
    let (nodes, designs) = match &subject {
        Subject::Node(_) => (Vec::new(), cluster.list_if_allowed::<Design>().await),
        Subject::ContainerService(_) | Subject::Design(_) => {
            tokio::join!(cluster.list_if_allowed::<Node>(), cluster.list_if_allowed::<Design>())
        }
    };
    let mut references = why::references(&subject);
    references.extend(nodes.iter().flat_map(|node| why::references(&Subject::Node(Box::new(node.clone())))));
    let (missing, leader, events) =
        tokio::join!(missing(cluster, references), leader(cluster), events(cluster, &subject));
    Facts { subject, nodes, designs, missing, leader, events, now: Timestamp::now() }
}

/// Those that do not exist. Only their metadata is asked for: nobody needs a secret to know that it is there.
async fn missing(cluster: &Cluster, references: Vec<Reference>) -> BTreeSet<Reference> {
    let objects: BTreeSet<(NeedKind, &str)> = references.iter().map(|r| (r.kind, r.name.as_str())).collect();
    let mut gone = BTreeSet::new();
    for (kind, name) in objects {
        let there = match kind {
            NeedKind::Secret => exists(cluster, cluster.api::<Secret>(), name).await,
            NeedKind::ConfigMap => exists(cluster, cluster.api::<ConfigMap>(), name).await,
        };
        if !there {
            gone.insert((kind, name.to_owned()));
        }
    }
    references.into_iter().filter(|r| gone.contains(&(r.kind, r.name.clone()))).collect()
}

async fn exists<K>(cluster: &Cluster, api: Api<K>, name: &str) -> bool
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let found = cluster.call(&format!("read the metadata of {name}"), api.get_metadata_opt(name)).await;
    !matches!(found, Ok(None))
}

async fn leader(cluster: &Cluster) -> Leader {
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), &cluster.system_namespace);
    match cluster.call("read the leader lease", leases.get_opt(lease::NAME)).await {
        Ok(lease) => Leader::of(lease.as_ref(), Timestamp::now()),
        Err(_) => Leader::NotRead,
    }
}

async fn events(cluster: &Cluster, subject: &Subject) -> Vec<Happened> {
    let (kind, name, uid) = match subject {
        Subject::Node(node) => (Node::kind(&()), node.name_any(), node.uid()),
        Subject::ContainerService(service) => (ContainerService::kind(&()), service.name_any(), service.uid()),
        Subject::Design(design) => (Design::kind(&()), design.name_any(), design.uid()),
    };
    // Asked for in the older form, which shows the Events of both APIs.
    let about = ListParams::default().fields(&format!("involvedObject.kind={kind},involvedObject.name={name}"));
    let listed = cluster.call("list Events", cluster.api::<Event>().list(&about)).await;
    let listed = listed.map(|list| list.items).unwrap_or_default();
    let mut events: Vec<_> =
        listed.into_iter().filter(|event| event.involved_object.uid == uid).filter_map(happened).collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    events
}

fn happened(event: Event) -> Option<Happened> {
    let at = event.event_time.map(|time| time.0).or_else(|| event.last_timestamp.map(|time| time.0))?;
    Some(Happened {
        at,
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    })
}

/// The answer for a person.
fn text(out: &mut dyn Write, answer: &Answer, now: Timestamp) -> io::Result<()> {
    for (depth, link) in answer.chain.iter().enumerate() {
        print_link(out, depth, link, now)?;
    }
    if let Some(cause) = answer.cause().filter(|cause| cause.state != State::Ready) {
        writeln!(out)?;
        print_cause(out, cause, now)?;
    }
    for note in &answer.notes {
        writeln!(out, "{WAITS}Note:{WAITS:#}      {note}")?;
    }
    if !answer.events.is_empty() {
        writeln!(out, "\n{BOLD}Events{BOLD:#}")?;
        for event in &answer.events {
            let warning = if event.warning { "Warning" } else { "Normal" };
            writeln!(out, "  {:>6} ago  {warning:<7}  {}: {}", age(event.at, now), event.reason, event.message)?;
        }
    }
    Ok(())
}

fn print_link(out: &mut dyn Write, depth: usize, link: &Link, now: Timestamp) -> io::Result<()> {
    let (mark, style) = mark(link.state);
    let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
    let since = link.since.map(|since| format!("  {DIM}{}{DIM:#}", age(since, now))).unwrap_or_default();
    writeln!(
        out,
        "{branch}{style}{mark}{style:#} {BOLD}{}{BOLD:#}  {style}{}{style:#}{since}",
        link.object, link.reason
    )?;
    writeln!(out, "{}  {}", "   ".repeat(depth), link.message)
}

fn print_cause(out: &mut dyn Write, cause: &Link, now: Timestamp) -> io::Result<()> {
    writeln!(out, "{BOLD}Cause:{BOLD:#}     {}: {}", cause.object, cause.message)?;
    if let Some(since) = cause.since {
        writeln!(out, "{BOLD}Since:{BOLD:#}     {} ({} ago)", seconds(since), age(since, now))?;
    }
    let by = cause.next_try.by.map(|by| format!("by itself within {}", age(now, by)));
    let when = Some(&cause.next_try.when).filter(|when| !when.is_empty()).map(|when| format!("when {when}"));
    let tries: Vec<_> = by.into_iter().chain(when).collect();
    if !tries.is_empty() {
        writeln!(out, "{BOLD}Next try:{BOLD:#}  {}", tries.join(", or "))?;
    }
    if !cause.to_do.is_empty() {
        writeln!(out, "{BOLD}To do:{BOLD:#}     {}", cause.to_do)?;
    }
    for command in &cause.commands {
        writeln!(out, "           $ {command}")?;
    }
    Ok(())
}

/// As every other time of an object is shown.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
