//! The sites that are tried: the lab in which everything occurs, and drydock's samples where they are there.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use slipway_e2e::lab::assets::repository;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_plan::formats::drydock::{self, Options, Source};

/// The site in which every part of a Design occurs.
pub fn lab() -> Result<String> {
    let path = repository().join("crates/plan/tests/design/sites/lab.yaml");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the importer makes of each of drydock's samples, with its name.
pub fn imported() -> Result<Vec<(String, String)>> {
    let Ok(entries) = std::fs::read_dir(repository().join("../../shared/data/drydock")) else {
        eprintln!("drydock's samples are not there");
        return Ok(Vec::new());
    };
    let mut sites = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path)?;
        let imported = drydock::import(&[Source { name: &name, text: &text }], &Options::default());
        let objects: Vec<_> = imported.manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
        sites.push((name, objects.join("\n---\n")));
    }
    sites.sort();
    Ok(sites)
}

/// `kubectl apply`; an error says what it printed.
pub fn apply(namespace: &TestNamespace, text: &str) -> Result<()> {
    let mut kubectl = Command::new(namespace.cluster.kubectl_program());
    kubectl.arg("--kubeconfig").arg(namespace.cluster.kubeconfig()).args(["--namespace", &namespace.name]);
    kubectl.args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "--warnings-as-errors",
        "-f",
        "-",
    ]);
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success(), "{printed}");
    Ok(())
}
