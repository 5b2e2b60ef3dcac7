//! The Redfish emulator of `OpenStack`'s sushy-tools, and public Redfish clients: Python packages at pinned versions.
//!
//! Of its drivers the one without machines is used, so that neither libvirt nor a compiler is needed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::assets::{cached, repository, with_progress};
use super::certificates::Identity;
use super::eventually::eventually;
use super::images::sha256;
use super::process::Daemon;
use super::run::{Run, output};

/// Debian's Python: others that may be in the PATH have no wheels of their own here.
const PYTHON: &str = "/usr/bin/python3";
const USER: &str = "admin";
const PASSWORD: &str = "secret-123";
/// Makes a line of an htpasswd file; the emulator takes bcrypt alone. Its lowest cost, as it is asked for with each request.
const HTPASSWD: &str = "import bcrypt, sys; \
                        print(f'{sys.argv[1]}:' + bcrypt.hashpw(sys.stdin.readline().strip().encode(), bcrypt.gensalt(4)).decode())";

/// A running emulator with its systems, of which nothing is real but the HTTP. It ends when it is dropped.
pub struct Sushy {
    server: Daemon,
    url: String,
    systems: Vec<String>,
    _run: std::sync::Arc<Run>,
}

impl Sushy {
    /// Starts one with so many systems, all off; with HTTPS if it is given a certificate.
    pub async fn start(systems: u16, certificate: Option<&Identity>) -> Result<Self> {
        let run = Run::current()?;
        let packages = packages()?;
        let port = run.port()?;
        let dir = run.subdir(&format!("sushy-{port}"))?;
        let at = |file: &str| dir.join(file).display().to_string();
        fs::create_dir_all(dir.join("state"))?;
        fs::write(dir.join("users"), htpasswd(&packages)?)?;
        let ids: Vec<_> = (1..=systems).map(|number| format!("5f2f4b1a-0000-4000-8000-{number:012x}")).collect();
        let fakes: Vec<_> = ids.iter().zip(1_u16..).map(|(id, number)| system(id, number)).collect();
        let mut config = format!(
            "SUSHY_EMULATOR_FAKE_DRIVER = True\nSUSHY_EMULATOR_FAKE_SYSTEMS = {}\nSUSHY_EMULATOR_STATE_DIR = '{}'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{}'\n",
            // What JSON and Python write alike, but for this.
            serde_json::to_string(&fakes)?.replace("false", "False"),
            at("state"),
            at("users"),
        );
        if let Some(identity) = certificate {
            fs::write(dir.join("cert.pem"), &identity.cert)?;
            fs::write(dir.join("key.pem"), &identity.key)?;
            let (cert, key) = (at("cert.pem"), at("key.pem"));
            writeln!(config, "SUSHY_EMULATOR_SSL_CERT = '{cert}'\nSUSHY_EMULATOR_SSL_KEY = '{key}'")?;
        }
        fs::write(dir.join("config.py"), config)?;
        let mut command = run.command(PYTHON);
        command.env("PYTHONPATH", &packages).args(["-m", "sushy_tools.emulator.main", "-i", "127.0.0.1", "-p"]);
        command.arg(port.to_string()).arg("--config").arg(dir.join("config.py"));
        let server = Daemon::start("sushy-emulator", command, &dir.join("log"))?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let sushy = Self { server, url: format!("{scheme}://127.0.0.1:{port}"), systems: ids, _run: run };
        eventually("the Redfish emulator to listen", Duration::from_mins(2), || async {
            sushy.server.check()?;
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            Ok(())
        })
        .await?;
        Ok(sushy)
    }

    /// Its URL, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The paths of its systems.
    pub fn systems(&self) -> impl Iterator<Item = String> {
        self.systems.iter().map(|id| format!("/redfish/v1/Systems/{id}"))
    }

    /// User name and password that it accepts.
    pub fn login(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.server.log_tail(lines)
    }
}

fn system(id: &str, number: u16) -> serde_json::Value {
    let [high, low] = number.to_be_bytes();
    json!({
        "uuid": id,
        "name": format!("node{number}"),
        "power_state": "Off",
        "external_notifier": false,
        "nics": [{"mac": format!("52:54:00:{high:02x}:{low:02x}:01"), "ip": ""}],
    })
}

fn htpasswd(packages: &Path) -> Result<String> {
    let mut python = Command::new(PYTHON);
    python.env("PYTHONPATH", packages).args(["-c", HTPASSWD, USER]);
    fed(python, PASSWORD)
}

/// Drives two public Redfish clients against a BMC: each logs in and switches it off and on. What they printed.
pub fn power_cycle_by_public_clients(url: &str, system: &str, username: &str, password: &str) -> Result<String> {
    let mut python = Command::new(PYTHON);
    python.env("PYTHONPATH", packages()?).arg(repository().join("tools/redfish/power_cycle.py"));
    python.args([url, system, username]);
    fed(python, password)
}

/// Runs a command to its end with a line on its standard input.
fn fed(mut command: Command, line: &str) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    writeln!(child.stdin.take().context("no standard input")?, "{line}")?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {}", PYTHON, output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder with the Python packages, from the cache or installed now.
pub fn packages() -> Result<PathBuf> {
    let requirements = repository().join("tools/redfish/requirements.txt");
    let text = fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let version = output(Command::new(PYTHON).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))?;
    cached(&format!("redfish-python{}-{:.12}", version.trim(), sha256(&text)), |dir| {
        let mut pip = Command::new(PYTHON);
        // Into a folder of its own: Debian's pip keeps out of the system's packages, and a folder can be moved.
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]);
        pip.args(["--only-binary=:all:", "--root-user-action=ignore", "--requirement"]).arg(&requirements);
        pip.arg("--target").arg(dir);
        with_progress("installing sushy-tools and Redfish clients", &mut pip)
    })
}
