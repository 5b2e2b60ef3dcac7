//! Images, and what containers made from them do.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

/// An image: its configuration, and what its containers do.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) id: String,
    pub(super) digest: String,
    pub(super) architecture: String,
    pub(super) config: Value,
    pub(super) behaviour: Behaviour,
}

impl Image {
    /// An image that is told from others by its seed alone: same seed, same ID and digest.
    pub fn new(seed: &str) -> Self {
        Self {
            id: format!("sha256:{}", hex_id(&format!("configuration of {seed}"))),
            digest: format!("sha256:{}", hex_id(&format!("manifest of {seed}"))),
            architecture: "amd64".into(),
            config: json!({
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["serve"],
                "Entrypoint": null,
                "Labels": null,
                "Volumes": null,
                "WorkingDir": "",
                "User": "",
            }),
            behaviour: Behaviour::default(),
        }
    }

    /// What its containers do.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Sets a key of the configuration (`Healthcheck`, `Volumes`, `ExposedPorts`, …) as the engine writes it.
    #[must_use]
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// For another machine (`arm64`, …).
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.into();
        self
    }

    /// `sha256:…` of the configuration: the engine's ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `sha256:…` of the manifest.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// What a container does once it is started. By default it runs until it is told to stop, and its health check succeeds at once.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub(super) start_error: Option<(u16, i64, String)>,
    pub(super) exit: Option<(Duration, i64)>,
    pub(super) oom: bool,
    pub(super) health: Health,
    pub(super) output: Vec<(Stream, String)>,
    pub(super) stop_code: i64,
}

/// What the health check says, if there is one.
#[derive(Clone, Debug)]
pub(super) enum Health {
    /// It succeeds after this time, with this output.
    Healthy(Duration, String),
    /// It has failed too often after this time, with this output.
    Unhealthy(Duration, String),
}

/// Standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout = 1,
    Stderr = 2,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            start_error: None,
            exit: None,
            oom: false,
            health: Health::Healthy(Duration::ZERO, String::new()),
            output: Vec::new(),
            stop_code: 0,
        }
    }
}

impl Behaviour {
    /// Runs and is well.
    pub fn runs() -> Self {
        Self::default()
    }

    /// Exits by itself.
    pub fn exits(code: i64, after: Duration) -> Self {
        Self { exit: Some((after, code)), ..Self::default() }
    }

    /// The kernel kills it for memory.
    pub fn runs_out_of_memory(after: Duration) -> Self {
        Self { oom: true, ..Self::exits(137, after) }
    }

    /// Cannot be started: its command does not exist.
    pub fn has_no_command(command: &str) -> Self {
        let message = format!(
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: \
             exec: \"{command}\": stat {command}: no such file or directory: unknown"
        );
        Self { start_error: Some((400, 127, message)), ..Self::default() }
    }

    /// Cannot be started, with these words.
    pub fn start_fails(message: &str) -> Self {
        Self { start_error: Some((500, 128, message.into())), ..Self::default() }
    }

    /// Its health check succeeds only after this time.
    #[must_use]
    pub fn healthy_after(mut self, time: Duration) -> Self {
        self.health = Health::Healthy(time, String::new());
        self
    }

    /// Its health check has failed too often after this time.
    #[must_use]
    pub fn unhealthy_after(mut self, time: Duration, output: &str) -> Self {
        self.health = Health::Unhealthy(time, output.into());
        self
    }

    /// Writes a line to standard output at its start.
    #[must_use]
    pub fn says(mut self, line: &str) -> Self {
        self.output.push((Stream::Stdout, format!("{line}\n")));
        self
    }

    /// Writes a line to standard error at its start.
    #[must_use]
    pub fn complains(mut self, line: &str) -> Self {
        self.output.push((Stream::Stderr, format!("{line}\n")));
        self
    }

    /// Does not heed the stop signal; it is killed when its grace is over. The fake does not wait for that.
    #[must_use]
    pub fn ignores_stop(mut self) -> Self {
        self.stop_code = 137;
        self
    }
}

/// 64 hexadecimal digits from a seed: always the same ones.
pub(super) fn hex_id(seed: &str) -> String {
    // FNV-1a, four times with another basis. No security hangs on it.
    let mut id = String::with_capacity(64);
    for part in 0u64..4 {
        let basis = 0xcbf2_9ce4_8422_2325 ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = seed.bytes().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // The finalizer of splitmix64 spreads the last bytes over all digits.
        let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let _ = write!(id, "{:016x}", hash ^ (hash >> 31));
    }
    id
}
