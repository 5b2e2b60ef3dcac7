//! Fake BMCs in a process of their own, so that what they cost is not taken for ours.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The login of each.
pub const LOGIN: (&str, &str) = ("admin", "secret");

/// Many fake BMCs on loopback. They end when this is dropped.
pub struct Bmcs {
    /// The UDP port of each.
    pub ports: Vec<u16>,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// A session that a BMC had.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// When it was opened, in seconds since 1970.
    pub opened: f64,
    /// When it ended; `None` while it is open.
    pub ended: Option<f64>,
    /// Commands besides those for the session itself.
    pub commands: usize,
}

impl Bmcs {
    /// Starts them. `program` is the example `bmcs` of `slipway-fakes`.
    pub async fn start(program: &Path, count: usize) -> Result<Self> {
        let mut process = Command::new(program)
            .arg(count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let questions = process.stdin.take().context("no standard input")?;
        let mut answers = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let ports = read(&mut answers).await?;
        Ok(Self { ports, questions, answers, _process: process })
    }

    /// The sessions that each has had so far.
    pub async fn sessions(&mut self) -> Result<Vec<Vec<Session>>> {
        self.questions.write_all(b"\n").await?;
        read(&mut self.answers).await
    }
}

async fn read<T: DeserializeOwned>(answers: &mut Lines<BufReader<ChildStdout>>) -> Result<T> {
    let line = answers.next_line().await?.context("the fake BMCs have ended; see above")?;
    Ok(serde_json::from_str(&line)?)
}
