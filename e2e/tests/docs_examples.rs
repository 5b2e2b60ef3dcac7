//! Every YAML example of the README and the documents: what users copy must work.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use slipway_e2e::lab::assets::repository;
use slipway_e2e::lab::{Part, can_run, operator, with_namespace};

/// A fenced block of a page.
struct Example {
    /// `docs/node.md:12`.
    at: String,
    text: String,
}

/// The fenced YAML blocks of a page.
fn examples_of(page: &str, text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "```yaml" {
            let block: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            examples.push(Example { at: format!("{page}:{}", number + 1), text: block.join("\n") });
        }
    }
    examples
}

fn examples() -> Result<Vec<Example>> {
    let root = repository();
    let mut pages = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root.join("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            pages.push(format!("docs/{name}"));
        }
    }
    let mut examples = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(root.join(&page)).with_context(|| format!("cannot read {page}"))?;
        examples.extend(examples_of(&page, &text));
    }
    ensure!(examples.len() >= 6, "only {} examples were found", examples.len());
    Ok(examples)
}

/// Gives a command text on its standard input; an error says what it printed.
fn feed(command: &mut Command, text: &str) -> Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success(), "{printed}");
    Ok(())
}

#[test]
fn slipway_check_finds_nothing_wrong_with_any_example() -> Result<()> {
    let slipway = operator::binary()?;
    for example in examples()? {
        feed(Command::new(&slipway).args(["check", "-f", "-"]), &example.text).context(example.at)?;
    }
    Ok(())
}

/// Directories of objects that users are given to begin with.
const SAMPLES: &[&str] = &["manifests/samples/lab"];

#[test]
fn slipway_check_finds_nothing_wrong_with_any_sample() -> Result<()> {
    let slipway = operator::binary()?;
    for sample in SAMPLES {
        let output = Command::new(&slipway).args(["check", "-f", sample]).current_dir(repository()).output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success() && printed.is_empty(), "{sample}: {printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_sample() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        for sample in SAMPLES {
            let mut kubectl = Command::new(namespace.cluster.kubectl_program());
            kubectl.arg("--kubeconfig").arg(namespace.cluster.kubeconfig()).args(["--namespace", &namespace.name]);
            kubectl.args(["apply", "--server-side", "--validate=strict", "--warnings-as-errors", "-f", sample]);
            feed(kubectl.current_dir(repository()), "").context(*sample)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_example() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    with_namespace(async |namespace| {
        for example in examples()? {
            let mut kubectl = Command::new(namespace.cluster.kubectl_program());
            kubectl.arg("--kubeconfig").arg(namespace.cluster.kubeconfig());
            kubectl.args(["--namespace", &namespace.name, "apply", "--server-side", "--validate=strict"]);
            kubectl.args(["--warnings-as-errors", "-f", "-"]);
            feed(&mut kubectl, &example.text).context(example.at)?;
        }
        Ok(())
    })
    .await
}

#[test]
fn blocks_are_found_with_their_line() {
    let found = examples_of(
        "page.md",
        "# Title\n\n```yaml\na: 1\nb: 2\n```\ntext\n```console\n$ ls\n```\n```yaml\nc: 3\n```\n",
    );
    let found: Vec<_> = found.iter().map(|example| (example.at.as_str(), example.text.as_str())).collect();
    assert_eq!(found, [("page.md:3", "a: 1\nb: 2"), ("page.md:11", "c: 3")]);
}
