//! A Compose project after interpolation, profiles and normalisation: one form for every key, short and long alike.
//!
//! Field names follow the Compose specification (compose-spec/spec.md). `None` and empty mean "not written".

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A whole project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// Top-level `name:`.
    pub name: Option<String>,
    /// Services that the active profiles leave.
    pub services: BTreeMap<String, Service>,
    /// Networks that services use, with the implicit `default` one.
    pub networks: BTreeMap<String, Network>,
    /// Named volumes.
    pub volumes: BTreeMap<String, Volume>,
    /// Top-level `secrets:`.
    pub secrets: BTreeMap<String, FileObject>,
    /// Top-level `configs:`.
    pub configs: BTreeMap<String, FileObject>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, clippy::struct_excessive_bools)] // Each field is the Compose key of the same name.
pub struct Service {
    pub image: String,
    pub platform: Option<String>,
    pub container_name: Option<String>,
    /// `None`: the image's own. `Some(vec![])`: cleared.
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// In order of precedence already merged; `None` = take from the engine's host is not supported and was refused or resolved.
    pub environment: BTreeMap<String, Option<String>>,
    /// Paths as written, later ones win over earlier ones; `environment` wins over all.
    pub env_file: Vec<EnvFile>,
    pub labels: BTreeMap<String, String>,
    pub ports: Vec<Port>,
    pub expose: Vec<String>,
    pub volumes: Vec<Mount>,
    /// `tmpfs:` short form: target and options (`/run:size=64m`).
    pub tmpfs: Vec<String>,
    /// By network key; empty with `network_mode`.
    pub networks: BTreeMap<String, Attachment>,
    pub network_mode: Option<String>,
    pub depends_on: BTreeMap<String, DependsOn>,
    pub healthcheck: Option<Healthcheck>,
    pub restart: Option<String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub devices: Vec<Device>,
    pub dns: Vec<String>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    /// Host name to addresses, as written (`host-gateway` allowed).
    pub extra_hosts: Vec<(String, String)>,
    pub sysctls: BTreeMap<String, String>,
    /// Soft and hard limit.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    pub shm_size: Option<i64>,
    pub init: Option<bool>,
    pub read_only: bool,
    pub stop_signal: Option<String>,
    pub stop_grace_period: Option<Duration>,
    pub logging: Option<Logging>,
    pub resources: Resources,
    pub pids_limit: Option<i64>,
    pub security_opt: Vec<String>,
    pub group_add: Vec<String>,
    pub tty: bool,
    pub stdin_open: bool,
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub mac_address: Option<String>,
    pub secrets: Vec<FileUse>,
    pub configs: Vec<FileUse>,
    /// `deploy.replicas` or `scale`; per host.
    pub replicas: u32,
}

/// One entry of `env_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct EnvFile {
    pub path: String,
    pub required: bool,
    /// `format: raw`: each line is `KEY=value` as it stands, without quotes, escapes and variables.
    pub raw: bool,
}

/// One published port, ranges already expanded to one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Port in the container.
    pub target: u16,
    /// Port or range on the host as Docker takes it (`8080`, `8000-8010`); `None`: the engine picks one.
    pub published: Option<String>,
    /// Address on the host to listen on.
    pub host_ip: Option<IpAddr>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// One entry of `volumes:`.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // as in the format
pub struct Mount {
    /// Which kind.
    pub kind: MountKind,
    /// Volume key for a named volume, host path for a bind; `None` for tmpfs and anonymous volumes.
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Written in the short form (`source:target:mode`); Compose makes `Binds` of some of those and `Mounts` of the others.
    pub short: bool,
    /// Bind: create the host path if it is missing.
    pub create_host_path: bool,
    /// Bind: propagation.
    pub propagation: Option<String>,
    /// Bind: `z` or `Z`.
    pub selinux: Option<String>,
    /// Volume: do not copy the image's content into a new volume.
    pub nocopy: bool,
    /// Volume: path inside the volume.
    pub subpath: Option<String>,
    /// Tmpfs: size in bytes.
    pub tmpfs_size: Option<i64>,
    /// Tmpfs: file mode.
    pub tmpfs_mode: Option<u32>,
}

/// What a mount mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MountKind {
    Volume,
    Bind,
    Tmpfs,
}

/// A service's place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Attachment {
    pub aliases: Vec<String>,
    pub ipv4_address: Option<String>,
    pub ipv6_address: Option<String>,
    pub link_local_ips: Vec<String>,
    pub mac_address: Option<String>,
    pub priority: i64,
    pub driver_opts: BTreeMap<String, String>,
}

/// A dependency on another service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DependsOn {
    pub condition: Condition,
    /// Recreate the dependant when the dependency was recreated.
    pub restart: bool,
    /// A missing or failed optional dependency is only a warning.
    pub required: bool,
}

/// When a dependency counts as met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Condition {
    Started,
    Healthy,
    CompletedSuccessfully,
}

/// `healthcheck:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", …]` or `["NONE"]`; empty: the image's own test.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u64>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
}

/// One entry of `devices:`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Device {
    pub source: String,
    pub target: String,
    pub permissions: String,
}

/// `logging:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Logging {
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// `deploy.resources` and the keys of format v2 that mean the same.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Resources {
    /// Number of CPUs, in billionths.
    pub nano_cpus: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Bytes; -1 is unlimited.
    pub memswap_limit: Option<i64>,
    pub mem_swappiness: Option<i64>,
    pub pids: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<i64>,
    pub cpuset: Option<String>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    /// `deploy.resources.reservations.devices` in Docker's own form.
    pub device_requests: Vec<bollard_stubs::models::DeviceRequest>,
}

/// A top-level network.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Network {
    /// Name on the engine, if it is not `<project>_<key>`.
    pub name: Option<String>,
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub ipam: Option<bollard_stubs::models::Ipam>,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: Option<bool>,
    pub labels: BTreeMap<String, String>,
}

/// A top-level volume.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Volume {
    /// Name on the engine, if it is not `<project>_<key>`.
    pub name: Option<String>,
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A top-level secret or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileObject {
    /// `file:`; the content comes from `spec.files` by this path.
    File(String),
    /// `external: true`: a Kubernetes Secret (for secrets) or ConfigMap (for configs) of this name; the key is the object's
    /// own key in the Compose file, or the only key there is.
    External(String),
    /// `environment:`; the value of a variable of `spec.environment`.
    Environment(String),
    /// `content:` (configs only), interpolated.
    Content(String),
}

/// A service's use of a secret or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUse {
    /// Key of the top-level object.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Owner; `None` is 0.
    pub uid: Option<u32>,
    /// Group; `None` is 0.
    pub gid: Option<u32>,
    /// Permissions; `None` is 0444.
    pub mode: Option<u32>,
}
