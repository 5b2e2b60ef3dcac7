//! `ssh://` endpoints against a real sshd on the loopback, with a real engine behind it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use slipway_drivers::docker::{Address, Connect, Factory};
use slipway_drivers::{Class, DriverError};
use support::{Dockerd, SOON, bound, free_port};
use tempfile::TempDir;

/// An sshd that lets one key in.
struct Sshd {
    directory: TempDir,
    process: Child,
    port: u16,
}

impl Sshd {
    /// `environment` is what the commands get that are run there.
    fn start(environment: &str) -> Option<Self> {
        if !fs::exists("/usr/sbin/sshd").unwrap() {
            eprintln!("SKIPPED: no test of ssh:// endpoints, because /usr/sbin/sshd is not installed");
            return None;
        }
        fs::create_dir_all("/run/sshd").unwrap();
        let directory = TempDir::with_prefix("slipway-sshd-").unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        for key in ["host", "login", "stranger"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).status();
            assert!(made.unwrap().success());
        }
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nSetEnv {environment}\n",
            path("host"),
            path("login.pub"),
        );
        fs::write(path("config"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let process = bound("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let until = Instant::now() + SOON;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { directory, process, port })
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    /// The endpoint with a login key and a host key, by their files' names.
    fn address(&self, key: &str, host_key: &str) -> Address {
        Address::Ssh {
            user: "root".into(),
            host: "127.0.0.1".into(),
            port: self.port,
            // Without the last line break, as a Secret may have it.
            key: self.read(key).trim_end().into(),
            known_hosts: format!("[127.0.0.1]:{} {}", self.port, self.read(host_key)).into(),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn ping(address: Address) -> Result<(), DriverError> {
    Factory.docker(&address).await.unwrap().ping().await
}

async fn refusal(address: Address) -> (Class, &'static str) {
    let error = ping(address).await.unwrap_err();
    eprintln!("{error}");
    (error.class(), error.reason())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_ssh_works_and_closed_ways_say_why() {
    let Some(dockerd) = Dockerd::start("ssh") else { return };
    let Some(sshd) = Sshd::start(&format!("DOCKER_HOST=unix://{}", dockerd.socket().display())) else { return };

    let engine = Factory.docker(&sshd.address("login", "host.pub")).await.unwrap();
    engine.ping().await.unwrap();
    assert!(engine.describe().await.unwrap().api_version.starts_with("1."));
    // Many at once: more than sshd lets log in at a time.
    let calls = (0..40).map(|_| engine.owners("nobody"));
    assert!(futures::future::try_join_all(calls).await.unwrap().iter().all(std::collections::BTreeSet::is_empty));
    let ssh_of_ours = || children("ssh");
    assert!(!ssh_of_ours().is_empty());
    drop(engine);
    let until = Instant::now() + SOON;
    while !ssh_of_ours().is_empty() {
        assert!(Instant::now() < until, "ssh is still running: {:?}", ssh_of_ours());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    assert_eq!(refusal(sshd.address("login", "login.pub")).await, (Class::Denied, "HostKeyChanged"));
    assert_eq!(refusal(sshd.address("stranger", "host.pub")).await, (Class::Denied, "SshDenied"));
    let Address::Ssh { user, host, port, key, .. } = sshd.address("login", "host.pub") else { unreachable!() };
    let unknown = Address::Ssh { user, host, port, key, known_hosts: Vec::new() };
    assert_eq!(refusal(unknown).await, (Class::Denied, "HostKeyUnknown"));
    let Address::Ssh { user, host, port, known_hosts, .. } = sshd.address("login", "host.pub") else { unreachable!() };
    let no_key = Address::Ssh { user, host, port, key: b"not a key".into(), known_hosts };
    assert_eq!(refusal(no_key).await, (Class::Denied, "SshDenied"));
    let gone = sshd.address("login", "host.pub");
    drop(sshd);
    assert_eq!(refusal(gone).await, (Class::Unreachable, "ConnectionRefused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_docker_is_said() {
    if let Some(sshd) = Sshd::start("PATH=/nowhere") {
        assert_eq!(refusal(sshd.address("login", "host.pub")).await, (Class::Invalid, "SshDockerMissing"));
    }
    if let Some(sshd) = Sshd::start("DOCKER_HOST=unix:///nowhere/docker.sock") {
        assert_eq!(refusal(sshd.address("login", "host.pub")).await, (Class::Unreachable, "ConnectionRefused"));
    }
}

/// The running processes of this name that this process started.
fn children(name: &str) -> Vec<String> {
    let me = std::process::id().to_string();
    let output = Command::new("ps").args(["--ppid", &me, "-o", "pid=,comm=,state="]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let is_running = |line: &&str| line.split_whitespace().nth(1) == Some(name) && !line.trim_end().ends_with('Z');
    list.lines().filter(is_running).map(str::to_owned).collect()
}
