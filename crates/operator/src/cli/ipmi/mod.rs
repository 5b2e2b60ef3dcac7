//! `slipway ipmi`: a BMC by hand, over IPMI. No cluster is asked.

mod actions;
mod show;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use slipway_ipmi::session::Config;
use slipway_ipmi::{CipherSuite, Client, Credentials, Privilege};

use actions::Action;
use show::Shown;

const PORT: u16 = 623;
/// Files with a password or `K_g` are not longer.
const MAX_SECRET_FILE: u64 = 4096;

const EXAMPLES: &str = "\
What the BMC says goes to stdout, everything else to stderr. The password is read from an environment variable or a file, never
from the command line, where all users of the machine could see it.

Exit code: 0 done, 1 failed, 2 wrong usage, 3 in doubt: a command with an effect was sent, its answer is missing, and it may
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

    /// The file that holds the BMC's own key (`K_g`), for BMCs that have one.
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

/// Exit code of a command that may have been executed.
const IN_DOUBT: u8 = 3;

pub(super) fn run(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway: {error:#}");
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
    let Some(user) = &args.user else { bail!("--user is missing") };
    let password = match &args.password_file {
        Some(path) => secret(path)?,
        None => std::env::var(&args.password_env)
            .with_context(|| {
                format!("no password: name its file with --password-file, or set the variable {}", args.password_env)
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
    if std::fs::metadata(path).with_context(context)?.len() > MAX_SECRET_FILE {
        bail!("{} is too long for a password", path.display());
    }
    let mut bytes = std::fs::read(path).with_context(context)?;
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// An address or a name, with or without a port.
async fn resolve(host: &str) -> Result<SocketAddr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(SocketAddr::new(address, PORT));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().with_context(|| format!("{port} is no port"))?),
        None => (host, PORT),
    };
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
        ] {
            assert_eq!(resolve(host).await.unwrap(), address.parse().unwrap(), "{host}");
        }
        assert!(resolve("bmc:port").await.is_err());
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
