//! A dockerd of the tests' own, in a network namespace of its own, with a base image made on the spot.

#![allow(dead_code)] // Not every test binary uses all of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use slipway_drivers::docker::{Address, Connect, Engine, Factory};
use tempfile::TempDir;

/// How long a program may take to answer after its start, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_mins(1);

/// A running dockerd; stopped, with all that it ran, when dropped.
pub struct Dockerd {
    directory: TempDir,
    namespace: Option<String>,
    process: Option<Child>,
    socket: PathBuf,
}

impl Dockerd {
    /// An image that is on the engine: busybox with all its commands.
    pub const IMAGE: &str = "slipway.test/busybox:1";
    /// More networks than an engine that was started here has addresses for.
    pub const POOLS: usize = 9;

    /// Starts one; `None` (and a word why) where that is not possible. `SLIPWAY_TEST_DOCKER` names the socket of a running
    /// engine to be used in its place, `SLIPWAY_TEST_NETNS` the network namespace that it is in.
    pub fn start(name: &str) -> Option<Self> {
        let directory = TempDir::with_prefix("slipway-drivers-").unwrap();
        if let Some(socket) = std::env::var_os("SLIPWAY_TEST_DOCKER") {
            let namespace = std::env::var("SLIPWAY_TEST_NETNS").ok();
            let dockerd = Self { directory, namespace, process: None, socket: socket.into() };
            dockerd.load_image();
            return Some(dockerd);
        }
        if let Some(missing) = missing() {
            eprintln!("SKIPPED: no test against a real engine, because {missing}");
            return None;
        }
        let namespace = format!("slipway-drv-{name}-{}", std::process::id());
        run("ip", &["netns", "add", &namespace]);
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        let socket = directory.path().join("docker.sock");
        let mut dockerd = Self { directory, namespace: Some(namespace), process: None, socket };
        dockerd.launch();
        dockerd.load_image();
        Some(dockerd)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Starts the daemon, and waits until it answers.
    pub fn launch(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let namespace = self.namespace.as_deref().expect("an engine of our own");
        let mut command = bound("nsenter");
        // `ip netns exec` would mount /sys anew and hide cgroup v1.
        command
            .arg(format!("--net=/run/netns/{namespace}"))
            .args(["dockerd", "--shutdown-timeout", "3", "--data-root", &self.path("data")])
            .args(["--exec-root", &self.path("exec"), "--pidfile", &self.path("pid")])
            .args(["--default-address-pool", "base=10.98.0.0/24,size=27", "--bip", "10.97.0.1/24"])
            .arg(format!("--host=unix://{}", self.socket.display()))
            // It starts itself anew for each container, and would collect garbage each time.
            .envs([("GOGC", "off"), ("GOMEMLIMIT", "128MiB")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        self.process = Some(command.spawn().unwrap());
        let until = Instant::now() + SOON;
        while !self.docker(&["info"]).status.success() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Started here, so that it may be stopped.
    pub fn is_own(&self) -> bool {
        self.process.is_some()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().expect("an engine of our own").id().to_string();
        run("kill", &[&format!("-{signal}"), &pid]);
    }

    /// Waits until the killed daemon is gone.
    pub fn wait(&mut self) {
        self.process.as_mut().expect("an engine of our own").wait().unwrap();
        // Its containerd dies with it, but where nobody reaps it at once the next daemon takes it for alive.
        let pid_file = self.path("exec/containerd/containerd.pid");
        let pid = fs::read_to_string(&pid_file).unwrap_or_default();
        let is_alive =
            || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z"));
        while is_alive() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_file(pid_file);
    }

    /// The driver, connected to it.
    pub async fn engine(&self) -> Arc<dyn Engine> {
        Factory.docker(&Address::Unix(self.socket.clone())).await.unwrap()
    }

    /// Socket of the engine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The docker command line, on this engine.
    pub fn docker(&self, args: &[&str]) -> Output {
        Command::new("docker")
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()))
            .args(args)
            .output()
            .unwrap()
    }

    /// What a docker command prints; it must succeed.
    pub fn docker_says(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn load_image(&self) {
        let root = self.path("image");
        for directory in ["bin", "etc", "tmp", "run"] {
            fs::create_dir_all(format!("{root}/{directory}")).unwrap();
        }
        fs::copy("/bin/busybox", format!("{root}/bin/busybox")).unwrap();
        // Not the copy: a process that another thread forks meanwhile may hold it open for writing, and so it is busy.
        run("busybox", &["--install", "-s", &format!("{root}/bin")]);
        // Installed links lead to the path that it was called by; in the image it is in /bin.
        for entry in fs::read_dir(format!("{root}/bin")).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_symlink() {
                fs::remove_file(entry.path()).unwrap();
                std::os::unix::fs::symlink("/bin/busybox", entry.path()).unwrap();
            }
        }
        fs::write(format!("{root}/etc/passwd"), "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n").unwrap();
        let tar = self.path("image.tar");
        run("tar", &["-C", &root, "-cf", &tar, "."]);
        let imported = self.docker(&["import", "-c", "ENV PATH=/bin", &tar, Self::IMAGE]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        if let Ok(containers) = String::from_utf8(self.docker(&["ps", "-aq"]).stdout) {
            for container in containers.lines() {
                self.docker(&["rm", "-f", "-v", container]);
            }
        }
        let _ = Command::new("kill").arg(process.id().to_string()).status();
        let _ = process.wait();
        if let Some(namespace) = &self.namespace {
            let _ = Command::new("sh")
                .arg("-c")
                .arg(format!(
                    "umount {}/netns/* {} 2>/dev/null; ip netns del {namespace}",
                    self.path("exec"),
                    self.path("data")
                ))
                .status();
        }
    }
}

/// A registry beside a dockerd, with a login.
pub struct Registry {
    directory: TempDir,
    process: Child,
}

impl Registry {
    /// As the engine sees it.
    pub const ADDRESS: &str = "127.0.0.1:5000";
    /// Who may log in.
    pub const USER: &str = "puller";
    /// With this.
    pub const PASSWORD: &str = "pa55word";

    /// Starts one; `None` (and a word why) where that is not possible.
    pub fn start(dockerd: &Dockerd) -> Option<Self> {
        let Some(namespace) = &dockerd.namespace else {
            eprintln!("SKIPPED: no test with a registry, because the namespace of the engine is not known");
            return None;
        };
        if !["docker-registry", "htpasswd"].iter().all(is_installed) {
            eprintln!("SKIPPED: no test with a registry, because docker-registry or htpasswd is not installed");
            return None;
        }
        let directory = TempDir::with_prefix("slipway-registry-").unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        run("htpasswd", &["-Bbc", &path("htpasswd"), Self::USER, Self::PASSWORD]);
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{}\"}}\n\
             auth: {{htpasswd: {{realm: tests, path: {}}}}}\n",
            path("data"),
            Self::ADDRESS,
            path("htpasswd")
        );
        fs::write(path("config.yml"), config).unwrap();
        let process = bound("nsenter")
            .arg(format!("--net=/run/netns/{namespace}"))
            .args(["docker-registry", "serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let registry = Self { directory, process };
        let until = Instant::now() + SOON;
        while !registry.log_in(dockerd) {
            assert!(Instant::now() < until, "{}", fs::read_to_string(registry.directory.path().join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(registry)
    }

    /// Stops it.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn config(&self) -> String {
        self.directory.path().join("client").display().to_string()
    }

    fn log_in(&self, dockerd: &Dockerd) -> bool {
        let config = self.config();
        let login = ["--config", &config, "login", "-u", Self::USER, "-p", Self::PASSWORD, Self::ADDRESS];
        dockerd.docker(&login).status.success()
    }

    /// Pushes an image that differs by its content, and removes it from the engine; its digest.
    pub fn push(&self, dockerd: &Dockerd, image: &str, content: &str) -> String {
        let container = dockerd.docker_says(&["create", Dockerd::IMAGE, "true"]);
        let file = self.directory.path().join("content");
        fs::write(&file, content).unwrap();
        dockerd.docker_says(&["cp", &file.display().to_string(), &format!("{container}:/content")]);
        dockerd.docker_says(&["commit", &container, image]);
        dockerd.docker_says(&["rm", &container]);
        let pushed = dockerd.docker_says(&["--config", &self.config(), "push", image]);
        dockerd.docker_says(&["rmi", image]);
        let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:"));
        digest.unwrap_or_else(|| panic!("no digest in {pushed}")).to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port of loopback that nobody listens on: below those that the kernel gives to outgoing connections, so that none takes it
/// before the program does that it is for, and in a part of them of this process's own.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 500).unwrap() * 16;
    (0..16)
        .map(|_| 12_000 + own + NEXT.fetch_add(1, Ordering::Relaxed) % 16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A command that ends with the tests, even if they are killed.
pub fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]);
    command
}

fn missing() -> Option<String> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Some("this needs root".into());
    }
    let needed = ["dockerd", "docker", "ip", "nsenter", "setpriv", "busybox", "tar"];
    needed.iter().find(|command| !is_installed(command)).map(|command| format!("{command} is not installed"))
}

fn is_installed(command: &&str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(command).is_file())
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {args:?}: {status}");
}
