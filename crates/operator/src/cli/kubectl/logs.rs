//! `kubectl slipway logs`: what a ContainerService's containers write, on all of its hosts.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;

use super::live::{Way, ask};
use super::paint::{BAD, DIM};
use super::target::{KindName, Target};
use super::{Format, View, finish};
use crate::live::{Line, Wanted};

/// Colours of the prefixes, in turn.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::BrightCyan];

const EXAMPLES: &str = "\
Each line has its host and service before it. In JSON and YAML there is one document a line. With -f it goes on over restarts and updates of \
containers, until you end it. You need the right to get containerservices/logs (API group slipway.dev) of the object, and to reach the \
operator: services/proxy in its namespace, or --server. What a host cannot tell is said on stderr.

Exit code: 0 shown, 1 failed, 2 wrong usage, 3 some host or container could not be read.

Examples:
  kubectl slipway logs csvc/web
  kubectl slipway logs csvc/web -f --tail 10 --service proxy --node edge1
  kubectl slipway logs csvc/web --since 10m -o json | jq -r 'select(.stream == \"stderr\") | .text'";

/// Exit code: something could not be read.
const PARTLY: u8 = 3;

/// Show what a ContainerService's containers write, on all of its hosts at once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The ContainerService: csvc/NAME.
    #[arg(value_name = "csvc/NAME")]
    target: Target,

    /// Go on as lines are written.
    #[arg(short, long)]
    follow: bool,

    /// Only this service of the Compose project.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// Only on this Node.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// This many last lines of each container.
    #[arg(long, value_name = "N")]
    tail: Option<u32>,

    /// Not older than this: a duration such as 10m, or a time (RFC 3339).
    #[arg(long, value_name = "AGE")]
    since: Option<String>,

    /// Show the time of each line.
    #[arg(long)]
    timestamps: bool,

    #[command(flatten)]
    view: View,

    #[command(flatten)]
    way: Way,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        args.target.must_be(KindName::ContainerService)?;
        let namespace = args.view.reach.cluster().await?.namespace;
        let wanted = Wanted {
            follow: args.follow,
            service: args.service.clone(),
            node: args.node.clone(),
            tail: args.tail,
            since: args.since.clone(),
        };
        let query = query(&wanted)?;
        let path = format!("/v1alpha1/namespaces/{namespace}/containerservices/{}/logs?{query}", args.target.name);
        let answer = ask(&args.view.reach, &args.way, &path).await?;
        let bytes = answer.into_body().into_data_stream().map_err(std::io::Error::other);
        let mut lines = bytes.boxed().into_async_read().lines();
        let mut printer = Printer::new(args.view.output, args.timestamps);
        while let Some(line) = lines.next().await {
            let line = line.context("the answer broke off")?;
            let line: Line = serde_json::from_str(&line).context("the operator's answer is not understood")?;
            if !printer.print(&line)? {
                break;
            }
        }
        Ok(if printer.partly { ExitCode::from(PARTLY) } else { ExitCode::SUCCESS })
    })
}

/// The query of a request.
fn query(wanted: &Wanted) -> Result<String> {
    let fields = serde_json::to_value(wanted).context("cannot ask for this")?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in fields.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        query.append_pair(key, &value);
    }
    Ok(query.finish())
}

struct Printer {
    format: Format,
    timestamps: bool,
    /// A terminal is not given what a container makes up for it.
    terminal: bool,
    colours: BTreeMap<String, Style>,
    width: usize,
    /// Something could not be read.
    partly: bool,
}

impl Printer {
    fn new(format: Format, timestamps: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { format, timestamps, terminal, colours: BTreeMap::new(), width: 0, partly: false }
    }

    /// Prints a line; false if nobody reads any more.
    fn print(&mut self, line: &Line) -> Result<bool> {
        if let Some(error) = &line.error {
            self.partly = true;
            let what = line.container.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            anstream::eprintln!("{BAD}{}{what}:{BAD:#} {error}", line.node);
            if self.format == Format::Text {
                return Ok(true);
            }
        }
        let text = match self.format {
            Format::Text => self.text(line),
            Format::Json => serde_json::to_string(line)?,
            Format::Yaml => format!("---\n{}", serde_saphyr::to_string(line)?.trim_end()),
        };
        let mut out = anstream::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("cannot write to stdout"),
        }
    }

    fn text(&mut self, line: &Line) -> String {
        let prefix =
            format!("{} {}", line.node, line.container.as_deref().or(line.service.as_deref()).unwrap_or_default());
        self.width = self.width.max(prefix.chars().count());
        let turn = self.colours.len() % COLOURS.len();
        let style = *self.colours.entry(prefix.clone()).or_insert_with(|| COLOURS[turn].on_default());
        let at = line.at.filter(|_| self.timestamps).map(|at| format!("{DIM}{at}{DIM:#} ")).unwrap_or_default();
        let written = line.text.as_deref().unwrap_or_default();
        let written = if self.terminal { plain(written) } else { written.to_owned() };
        format!("{style}{prefix:<width$} |{style:#} {at}{written}", width = self.width)
    }
}

/// A stranger's words on a terminal: no sequences that move the cursor or worse.
fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_put_so_that_it_is_understood() {
        let wanted = Wanted { follow: true, service: Some("a b&c".into()), tail: Some(5), ..Wanted::default() };
        assert_eq!(query(&wanted).unwrap(), "follow=true&service=a+b%26c&tail=5");
    }

    #[test]
    fn each_line_has_its_host_and_container_before_it() {
        let mut printer = Printer::new(Format::Text, false);
        let line = |node: &str, text: &str| Line {
            node: node.into(),
            container: Some("web-1".into()),
            text: Some(text.into()),
            ..Line::default()
        };
        let mut shown = |node, text| anstream::adapter::strip_str(&printer.text(&line(node, text))).to_string();
        assert_eq!(shown("h0", "hello"), "h0 web-1 | hello");
        assert_eq!(shown("edge10", "x"), "edge10 web-1 | x");
        assert_eq!(shown("h0", "y"), "h0 web-1     | y");
    }

    #[test]
    fn a_container_does_nothing_to_a_terminal() {
        assert_eq!(plain("a\u{1b}[2J\u{1b}]0;title\u{7}b\tc\u{8}"), "ab\tc");
    }
}
