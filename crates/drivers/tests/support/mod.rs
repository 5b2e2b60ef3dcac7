//! A dockerd of the tests' own, in a network namespace of its own, with a base image made on the spot.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_drivers::docker::{Address, Connect, Engine, Factory};
use tempfile::TempDir;

/// A running dockerd; stopped, with all that it ran, when dropped.
pub struct Dockerd {
    directory: TempDir,
    namespace: Option<String>,
    process: Option<Child>,
    socket: PathBuf,
}

impl Dockerd {
    /// Starts one; `None` (and a word why) where that is not possible. `SLIPWAY_TEST_DOCKER` names the socket of a running
    /// engine to be used in its place.
    pub fn start(name: &str) -> Option<Self> {
        let directory = TempDir::with_prefix("slipway-drivers-").unwrap();
        if let Some(socket) = std::env::var_os("SLIPWAY_TEST_DOCKER") {
            let dockerd = Self { directory, namespace: None, process: None, socket: socket.into() };
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
        let mut command = Command::new("nsenter");
        // `ip netns exec` would mount /sys anew and hide cgroup v1.
        command
            .arg(format!("--net=/run/netns/{namespace}"))
            .args(["dockerd", "--shutdown-timeout", "3", "--data-root", &self.path("data")])
            .args(["--exec-root", &self.path("exec"), "--pidfile", &self.path("pid")])
            .arg(format!("--host=unix://{}", self.socket.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        self.process = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(30);
        while !self.docker(&["info"]).status.success() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The driver, connected to it.
    pub async fn engine(&self) -> Arc<dyn Engine> {
        Factory.docker(&Address::Unix(self.socket.clone())).await.unwrap()
    }

    /// Socket of the engine.
    #[allow(dead_code)] // Not every test binary looks at it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// An image that is on the engine: busybox with all its commands.
    pub fn image(&self) -> &'static str {
        "slipway.test/busybox:1"
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
    #[allow(dead_code)] // Not every test binary looks at it.
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
        run(&format!("{root}/bin/busybox"), &["--install", "-s", &format!("{root}/bin")]);
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
        let imported = self.docker(&["import", "-c", "ENV PATH=/bin", &tar, self.image()]);
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
                .arg(format!("umount {}/netns/* 2>/dev/null; ip netns del {namespace}", self.path("exec")))
                .status();
        }
    }
}

fn missing() -> Option<String> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Some("this needs root".into());
    }
    let found = |command: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(command).is_file())
    };
    let needed = ["dockerd", "docker", "ip", "nsenter", "busybox", "tar"];
    needed.iter().find(|command| !found(command)).map(|command| format!("{command} is not installed"))
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {args:?}: {status}");
}
