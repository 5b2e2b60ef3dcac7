//! `slipway ipmi`: a BMC by hand, over IPMI. No cluster is asked.

mod actions;
mod show;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use slipway_ipmi::session::Config;
use slipway_ipmi::{CipherSuite, Client, Credentials, Privilege};

use actions::Action;
use show::Shown;

const PORT: u16 = 623;
/// Files with a password or `K_g` are not longer.
const MAX_SECRET_FILE: u64 = 4096;

const EXAMPLES: &str = "\
What the BMC says goes to stdout, everything else to stderr. The password is read from an environment variable or a file, never \
from the command line, where all users of the machine could see it.

Exit code: 0 done, 1 failed, 2 wrong usage, 3 in doubt: a command with an effect was sent, its answer is missing, and it may \
have been executed. Look before you send it again.

Examples:
  export IPMI_PASSWORD=…
  slipway ipmi --host 192.0.2.20 --user admin power status
  slipway ipmi --host 192.0.2.20 --user admin --password-file bmc.txt power cycle
  slipway ipmi --host bmc20.lab --user admin boot set pxe --uefi
  slipway ipmi --host [2001:db8::20]:623 --user admin --minimum-suite 17 sensors -o json
  slipway ipmi --host bmc20.lab suites
  slipway ipmi --host bmc20.lab --user admin raw 0x06 0x01";

/// Speak to a BMC over IPMI 2.0: power, boot, sensors, event log, inventory, users.
///
/// Cipher suite 17 is used, and 3 where the BMC itself has no 17 (never with --minimum-suite 17).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The BMC's address or name, with its port if that is not 623.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    host: String,

    /// User of the BMC.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The environment variable that holds the password.
    #[arg(long, value_name = "VARIABLE", default_value = "IPMI_PASSWORD", conflicts_with = "password_file")]
    password_env: String,

    /// The file that holds the password; a line end at its end does not count.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// The file that holds the BMC's own key (`K_g`), for BMCs that have one: as it is, or 0x and its 40 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    kg_file: Option<PathBuf>,

    /// The lowest cipher suite that is accepted.
    #[arg(long, value_enum, default_value = "3")]
    minimum_suite: Suite,

    /// Privilege level of the session. The BMC grants it, or nothing is done.
    #[arg(long, value_enum, default_value = "administrator")]
    privilege: Level,

    /// Let the BMC look the user up by name and privilege level, rather than by name alone.
    #[arg(long)]
    lookup_by_privilege: bool,

    /// The longest that one answer is waited for, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=300))]
    timeout: u16,

    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text, global = true)]
    output: Format,

    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Suite {
    #[value(name = "3")]
    Three,
    #[value(name = "17")]
    Seventeen,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Level {
    User,
    Operator,
    Administrator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    Json,
    Yaml,
}

/// Exit code of wrong usage, as clap has it.
const USAGE: u8 = 2;
/// Exit code of a command that may have been executed.
const IN_DOUBT: u8 = 3;

/// What was called in a way that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

pub(super) fn run(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway: {error:#}");
            if error.is::<Usage>() {
                return USAGE.into();
            }
            let cause = error.downcast_ref::<slipway_ipmi::Error>();
            if cause.is_some_and(slipway_ipmi::Error::is_maybe_delivered) {
                eprintln!("hint: the BMC may have done it; look before you send it again");
                return IN_DOUBT.into();
            }
            if cause.is_some_and(slipway_ipmi::Error::is_credentials_refused) {
                eprintln!("hint: many BMCs lock an account after a few refusals; check before you try again");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let format = args.output;
    let shown = runtime.block_on(act(args))?;
    print(&shown, format)
}

async fn act(args: Args) -> Result<Shown> {
    let address = resolve(&args.host).await?;
    let needs_login = args.action.needs_login();
    let mut config = Config::new(credentials(&args, needs_login)?);
    config.minimum_suite = match args.minimum_suite {
        Suite::Three => CipherSuite::Suite3,
        Suite::Seventeen => CipherSuite::Suite17,
    };
    config.privilege = match args.privilege {
        Level::User => Privilege::User,
        Level::Operator => Privilege::Operator,
        Level::Administrator => Privilege::Administrator,
    };
    config.name_only_lookup = !args.lookup_by_privilege;
    config.patience.deadline = Duration::from_secs(args.timeout.into());
    let client = Client::new(address, config);
    let outcome = tokio::select! {
        outcome = args.action.run(&client) => outcome,
        // The client is dropped: it closes the session.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    client.close().await;
    outcome
}

fn credentials(args: &Args, needs_login: bool) -> Result<Credentials> {
    if !needs_login {
        return Ok(Credentials::new("", "")?);
    }
    let Some(user) = &args.user else {
        return Err(Usage("this needs a login: name the user with --user".into()).into());
    };
    let password = match &args.password_file {
        Some(path) => secret(path)?,
        None => std::env::var(&args.password_env)
            .map_err(|_| {
                let variable = &args.password_env;
                Usage(format!("no password: name its file with --password-file, or set the variable {variable}"))
            })?
            .into_bytes(),
    };
    let credentials = Credentials::new(user, password)?;
    match &args.kg_file {
        Some(path) => Ok(credentials.with_kg(secret(path)?)?),
        None => Ok(credentials),
    }
}

/// What a file holds, without the line end that editors put at its end.
fn secret(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(context)?;
    // It may be a pipe, or a device that does not end.
    file.take(MAX_SECRET_FILE + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > MAX_SECRET_FILE {
        bail!("{} is too long for a password", path.display());
    }
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// An address or a name, with or without a port.
async fn resolve(host: &str) -> Result<SocketAddr> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, port)) => (name, Some(port.strip_prefix(':').unwrap_or(host))),
        // An IPv6 address.
        None if host.matches(':').count() > 1 => (host, None),
        None => host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let wrong = |port: &str| Usage(format!("--host {host}: {port:?} is no port"));
    let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| wrong(port)))?;
    let mut addresses = tokio::net::lookup_host((name, port)).await.with_context(|| format!("cannot find {name}"))?;
    addresses.next().with_context(|| format!("{name} has no address"))
}

fn print(shown: &Shown, format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Text if shown.text.is_empty() => {
            if std::io::stderr().is_terminal() {
                eprintln!("done");
            }
        }
        Format::Text => writeln!(out, "{}", shown.text.trim_end())?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&shown.data)?)?,
        Format::Yaml => write!(out, "{}", serde_saphyr::to_string(&shown.data)?)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_with_and_without_a_port() {
        for (host, address) in [
            ("192.0.2.20", "192.0.2.20:623"),
            ("192.0.2.20:9623", "192.0.2.20:9623"),
            ("2001:db8::20", "[2001:db8::20]:623"),
            ("[2001:db8::20]", "[2001:db8::20]:623"),
            ("[2001:db8::20]:9623", "[2001:db8::20]:9623"),
            ("[fe80::1%lo]:9623", "[fe80::1%1]:9623"),
            ("fe80::1%lo", "[fe80::1%1]:623"),
        ] {
            assert_eq!(resolve(host).await.unwrap(), address.parse().unwrap(), "{host}");
        }
        for wrong in ["bmc:port", "bmc:", "[::1]9623", "bmc:70000"] {
            assert!(resolve(wrong).await.unwrap_err().is::<Usage>(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_ends_before_the_line_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, password) in [("secret\n", "secret"), ("secret\r\n", "secret"), (" s \n\n", " s \n"), ("", "")] {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(secret(file.path()).unwrap(), password.as_bytes());
        }
        std::fs::write(file.path(), [b'x'; 5000]).unwrap();
        assert!(secret(file.path()).is_err());
    }
}
