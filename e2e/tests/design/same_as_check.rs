//! `kubectl apply` and `slipway check` never disagree: what a Design's status shows is what the command says of the files.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;
use slipway_api::Design;
use slipway_api::design::DesignFinding;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Part, can_run, eventually, operator, with_namespace};
use slipway_plan::design::RULES;
use slipway_plan::design::status::SHOWN;

use crate::sites::{apply, imported, lab};

const SOON: Duration = Duration::from_mins(1);

/// What is wrong, as code, object and path, with how often.
type Told = BTreeMap<(String, String, String), usize>;

fn counted(findings: impl IntoIterator<Item = (String, String, String)>) -> Told {
    findings.into_iter().fold(Told::new(), |mut told, finding| {
        *told.entry(finding).or_default() += 1;
        told
    })
}

/// What `slipway check` says of a site. What it says of its Nodes as hosts is in the status of each Node.
fn expected(text: &str) -> Result<(Told, usize)> {
    let mut check = Command::new(operator::binary()?);
    let mut check =
        check.args(["check", "-f", "-", "-o", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    check.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = check.wait_with_output()?;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).context("check prints no JSON")?;
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let of_rules = findings.iter().filter(|finding| RULES.iter().any(|rule| finding["code"] == rule.code));
    let told: Vec<_> = of_rules.map(|it| (text(it, "code"), text(it, "object"), text(it, "path"))).collect();
    let count = told.len();
    Ok((counted(told), count))
}

/// What the status of every Design shows.
async fn shown(namespace: &TestNamespace) -> Result<(Told, usize)> {
    let designs: Api<Design> = namespace.api();
    let (mut findings, mut count): (Vec<DesignFinding>, usize) = (Vec::new(), 0);
    for design in designs.list(&ListParams::default()).await? {
        let status = design.status.clone().unwrap_or_default();
        ensure!(status.observed_generation == design.metadata.generation, "{} is not looked at yet", design.name_any());
        count += status.findings.len() + usize::try_from(status.findings_not_shown.unwrap_or(0))?;
        ensure!(status.findings.len() <= SHOWN, "{} findings", status.findings.len());
        findings.extend(status.findings);
    }
    Ok((counted(findings.into_iter().map(|it| (it.code, it.object, it.path))), count))
}

async fn agree(namespace: &TestNamespace, name: &str, text: &str) -> Result<()> {
    let (wanted, count) = expected(text)?;
    eventually(&format!("the status to say what check says of {name}"), SOON, || async {
        let (shown, number) = shown(namespace).await?;
        ensure!(number == count, "{number} findings instead of {count}: {shown:#?} instead of {wanted:#?}");
        let more = shown.iter().find(|(finding, times)| wanted.get(*finding).is_none_or(|most| *times > most));
        ensure!(more.is_none(), "only the cluster says {more:?}");
        ensure!(count > SHOWN || shown == wanted, "{shown:#?} instead of {wanted:#?}");
        Ok(())
    })
    .await
}

/// Changes of the lab's text, each of which breaks another rule; what an API server refuses is not among them.
const BROKEN: &[(&str, &[(&str, &str)])] = &[
    ("rack", &[("rack: r1", "rack: r9")]),
    ("link", &[("link: pxe, slaves", "link: pxxe, slaves")]),
    ("primary network", &[("primaryNetwork: mgmt", "primaryNetwork: mgmtt")]),
    ("root", &[("root, size: 20g", "root, size: 10g")]),
    ("boot", &[("boot, size: 1g", "boot, size: 900m")]),
    ("bond delay", &[("upDelay: 200", "upDelay: 50")]),
    ("bond option", &[("mode: 802.3ad", "mode: active-backup")]),
    ("gateway", &[("gateway: 172.16.1.2}", "gateway: 172.16.2.2}")]),
    ("route", &[("{subnet: 192.168.0.0/16, gateway: 172.16.1.2}", "{subnet: 192.168.0.0/16}")]),
    ("cidr", &[("cidr: 172.16.1.0/24", "cidr: 172.16.1.1/24")]),
    ("no cidr", &[("cidr: 172.16.0.0/24", "cidr: 172.16.0.0/33")]),
    ("range", &[("start: 172.16.0.50, end: 172.16.0.254", "start: 172.16.0.250, end: 172.16.0.50")]),
    ("overlap", &[("start: 172.16.0.1, end: 172.16.0.9", "start: 172.16.0.1, end: 172.16.0.99")]),
    ("domain", &[("domain: mgmt.lab.example.com", "domain: mgmt_lab.example.com")]),
    ("include", &[("designRef: {name: lab-racks}", "designRef: {name: lab-rocks}")]),
    ("key of an include", &[("key: design.yaml}", "key: desing.yaml}")]),
    ("relay", &[("upstreamTarget: 172.16.5.5", "upstreamTarget: maas")]),
    ("name server", &[("servers: [172.16.1.9]", "servers: [ns1.lab]")]),
    ("key", &[("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ", "hunter2")]),
    ("CPUs in an included text", &[("cpus: \"2,4\"", "cpus: 8-2")]),
    (
        "VLAN tag in an included text",
        &[(
            "    hardwareProfiles:\n",
            "    networks: [{name: far, cidr: 10.9.0.0/24, vlan: 5000}]\n    hardwareProfiles:\n",
        )],
    ),
    ("disk of a Node", &[("- name: sdc\n        partitions", "- name: /dev/sdc\n        partitions")]),
    ("two at once", &[("root, size: 20g", "root, size: 20k"), ("upDelay: 200", "upDelay: 50")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_check_says() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let _operator = namespace.operator().await?;
        let lab = lab()?;
        apply(&namespace, &lab)?;
        agree(&namespace, "the lab", &lab).await?;
        let designs: Api<Design> = namespace.api();
        let version = async || anyhow::Ok(designs.get("lab").await?.metadata.resource_version);
        let nothing_wrong = expected(&lab)?;
        for (name, changes) in BROKEN {
            let mut text = lab.clone();
            for (from, to) in *changes {
                ensure!(text.contains(from), "{name}: `{from}` is not in the lab");
                text = text.replacen(from, to, 1);
            }
            ensure!(expected(&text)? != nothing_wrong, "{name}: it breaks nothing");
            apply(&namespace, &text).with_context(|| (*name).to_owned())?;
            agree(&namespace, name, &text).await?;
        }
        apply(&namespace, &lab)?;
        agree(&namespace, "the lab once more", &lab).await?;
        ensure!(version().await? == version().await?, "nothing is written while nothing changes");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_check_says_of_the_samples() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    for (name, text) in imported()? {
        with_namespace(async |namespace| {
            let _operator = namespace.operator().await?;
            apply(&namespace, &text).with_context(|| name.clone())?;
            agree(&namespace, &name, &text).await
        })
        .await?;
    }
    Ok(())
}

const TWO_DESIGNS: &str = "
apiVersion: slipway.dev/v1alpha1
kind: Design
metadata: {name: NAME}
spec:
  networks: [{name: mgmt, cidr: 10.0.0.0/24}]
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: NAME-n}
spec:
  designRef: {name: NAME}
  docker: {endpoint: unix:///run/nothing-is-here.sock}
  addressing: [{network: mgmt, address: 10.0.0.5}]
";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_two_designs_of_the_namespace_is_told() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        let _operator = namespace.operator().await?;
        let (one, two) = (TWO_DESIGNS.replace("NAME", "a"), TWO_DESIGNS.replace("NAME", "b"));
        apply(&namespace, &one)?;
        agree(&namespace, "one Design", &one).await?;
        apply(&namespace, &two)?;
        let both = format!("{one}---{two}");
        ensure!(expected(&both)?.0.keys().any(|(_, object, path)| object == "Node/b-n" && path == "spec.addressing"));
        agree(&namespace, "two Designs", &both).await?;
        apply(&namespace, &one.replace("10.0.0.5", "10.0.0.6"))?;
        agree(&namespace, "apart again", &format!("{}---{two}", one.replace("10.0.0.5", "10.0.0.6"))).await
    })
    .await
}
