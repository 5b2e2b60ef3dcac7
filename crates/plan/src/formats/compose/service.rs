//! One of the `services:`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::files::FileKind;
use super::model::{Condition, DependsOn, Healthcheck, Logging, Service};
use super::read::{At, Fields, shorten};
use super::{codes, deploy, files, mounts, network, ports, values};

/// Keys that Compose knows and that are not supported, with the way to do it.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("annotations", "use labels:"),
    ("attach", "leave it out; it is about the output of `docker compose up`"),
    ("blkio_config", ""),
    ("build", "build the image before (a PuppetBuild or your CI), push it, and name it in image:"),
    ("cgroup", ""),
    ("cgroup_parent", ""),
    ("cpu_count", "it is for Windows; use cpus:"),
    ("cpu_percent", "it is for Windows; use cpus:"),
    ("cpu_rt_period", ""),
    ("cpu_rt_runtime", ""),
    ("credential_spec", "it is for Windows"),
    ("develop", "leave it out; it is for development"),
    ("device_cgroup_rules", "use devices:"),
    ("dockerfile", "build the image before, push it, and name it in image:"),
    ("extends", "`slipway import compose` resolves it"),
    ("external_links", "put both into one external network; there each finds the other by its name"),
    ("gpus", "use deploy.resources.reservations.devices"),
    ("isolation", "it is for Windows"),
    ("label_file", "write the labels under labels:; `slipway import compose` does so"),
    ("links", "services of one network find each other by name; `slipway import compose` rewrites links"),
    ("log_driver", "use logging.driver; `slipway import compose` rewrites it"),
    ("log_opt", "use logging.options; `slipway import compose` rewrites it"),
    ("models", ""),
    ("net", "use network_mode:; `slipway import compose` rewrites it"),
    ("post_start", ""),
    ("pre_stop", ""),
    ("provider", ""),
    ("pull_policy", "use spec.images.pullPolicy"),
    ("pull_refresh_after", "use spec.images.follow"),
    ("runtime", ""),
    ("storage_opt", ""),
    ("use_api_socket", "mount the socket as a volume, if the service may have it"),
    ("userns_mode", ""),
    ("uts", ""),
    ("volume_driver", "set the driver of the volume under the top-level volumes:"),
    ("volumes_from", "name the same volumes in both services; `slipway import compose` rewrites it"),
];

/// A service as it was read, and the profiles it belongs to.
pub(super) struct Read {
    pub(super) service: Service,
    pub(super) profiles: Vec<String>,
}

/// Reads one service.
pub(super) fn service(at: &At<'_>, variables: &BTreeMap<String, String>) -> Option<Read> {
    let fields = at.fields()?;
    let profiles = fields.get("profiles").map(|at| at.words_that(codes::INVALID_NAME, values::key)).unwrap_or_default();
    let mut service = Service { image: image(&fields), ..Service::default() };
    process(&mut service, &fields, variables);
    network(&mut service, &fields);
    rights(&mut service, &fields);
    storage(&mut service, &fields);
    deploy::deploy(&mut service, &fields);
    deploy::take_cdi_devices(&mut service);
    dependencies(&mut service, &fields);
    fields.finish(UNSUPPORTED);
    Some(Read { service, profiles })
}

fn image(fields: &Fields<'_>) -> String {
    // `build:` is complained about anyway.
    let image = if fields.has("build") {
        fields.get("image")
    } else {
        fields.required("image", codes::INVALID_VALUE, "write image: and the reference of an image in a registry")
    };
    image
        .and_then(|at| at.parsed(codes::INVALID_VALUE, |text| values::image(text).map(|()| text.to_owned())))
        .unwrap_or_default()
}

/// What runs, as whom, how it is watched and stopped.
fn process(service: &mut Service, fields: &Fields<'_>, variables: &BTreeMap<String, String>) {
    service.platform = checked(fields, "platform", codes::INVALID_VALUE, values::platform);
    service.container_name = checked(fields, "container_name", codes::INVALID_NAME, values::container_name);
    service.command = fields.get("command").and_then(|at| command(&at));
    service.entrypoint = fields.get("entrypoint").and_then(|at| command(&at));
    service.environment = fields.get("environment").map(|at| environment(&at, variables)).unwrap_or_default();
    service.env_file = fields.get("env_file").map(|at| files::env_files(&at)).unwrap_or_default();
    service.labels = fields.strings("labels");
    service.healthcheck = fields.get("healthcheck").and_then(|at| healthcheck(&at));
    service.user = fields.word("user");
    service.working_dir = fields.word("working_dir");
    service.init = fields.boolean("init");
    service.tty = fields.boolean("tty").unwrap_or_default();
    service.stdin_open = fields.boolean("stdin_open").unwrap_or_default();
    service.stop_signal = checked(fields, "stop_signal", codes::INVALID_VALUE, values::signal);
    service.stop_grace_period = fields.duration("stop_grace_period");
    service.logging = fields.get("logging").and_then(|at| logging(&at));
}

fn network(service: &mut Service, fields: &Fields<'_>) {
    service.ports = fields.get("ports").map(|at| ports::ports(&at)).unwrap_or_default();
    service.expose = fields.get("expose").map(|at| ports::expose(&at)).unwrap_or_default();
    service.networks = fields.get("networks").map(|at| network::attachments(&at)).unwrap_or_default();
    service.network_mode = fields.word("network_mode");
    service.hostname = checked(fields, "hostname", codes::INVALID_NAME, host_name);
    service.domainname = checked(fields, "domainname", codes::INVALID_NAME, host_name);
    service.mac_address = network::mac_address(fields);
    // As in Compose, an empty server is none; an empty search domain would be one.
    let servers = fields.get("dns").and_then(|at| at.one_or_list()).unwrap_or_default();
    let servers = servers.iter().filter(|server| !server.is_empty_text());
    service.dns = words_that(servers, codes::INVALID_ADDRESS, |text| values::address(text).map(drop));
    service.dns_opt = fields.words("dns_opt");
    let domains = fields.get("dns_search").and_then(|at| at.one_or_list()).unwrap_or_default();
    service.dns_search = words_that(domains.iter(), codes::INVALID_VALUE, |_| Ok(()));
    service.extra_hosts = fields.get("extra_hosts").map(|at| network::extra_hosts(&at)).unwrap_or_default();
    if let Some(mode) = fields.get_unless_empty("network_mode") {
        if !service.networks.is_empty() {
            mode.invalid("network_mode and networks exclude each other");
        }
        if let Some(text) = &service.network_mode {
            let known = matches!(text.as_str(), "bridge" | "host" | "none" | "default")
                || text
                    .strip_prefix("service:")
                    .or_else(|| text.strip_prefix("container:"))
                    .is_some_and(|name| !name.is_empty());
            if !known {
                mode.error_with_hint(
                    codes::INVALID_VALUE,
                    format!("`{}` is none of bridge, host, none, service:NAME and container:NAME", shorten(text)),
                    "for a network of the host, use networks: and a top-level network with external: true",
                );
            }
            let shares = text.starts_with("service:") || text.starts_with("container:");
            match fields.get("ports") {
                Some(ports) if shares => ports.error_with_hint(
                    codes::INVALID_PORT,
                    "a service that shares another's network publishes nothing itself",
                    "publish the ports there",
                ),
                Some(ports) if text == "host" || text == "none" => {
                    ports.warning(codes::NO_EFFECT, format!("ports are not published with network_mode: {text}"));
                }
                _ => {}
            }
        }
    }
}

fn rights(service: &mut Service, fields: &Fields<'_>) {
    service.cap_add = capabilities(fields, "cap_add");
    service.cap_drop = capabilities(fields, "cap_drop");
    service.privileged = fields.boolean("privileged").unwrap_or_default();
    service.security_opt = fields.words("security_opt");
    service.group_add = fields.words("group_add");
    service.sysctls = fields.strings("sysctls");
    service.ulimits = fields.get("ulimits").map(|at| ulimits(&at)).unwrap_or_default();
    service.pid = fields.get_unless_empty("pid").and_then(|at| namespace(&at, &["host"]));
    service.ipc =
        fields.get_unless_empty("ipc").and_then(|at| namespace(&at, &["host", "none", "private", "shareable"]));
}

fn storage(service: &mut Service, fields: &Fields<'_>) {
    service.volumes = fields.get("volumes").map(|at| mounts::volumes(&at)).unwrap_or_default();
    service.tmpfs = fields.get("tmpfs").map(|at| mounts::tmpfs(&at)).unwrap_or_default();
    service.devices = fields.get("devices").map(|at| mounts::devices(&at)).unwrap_or_default();
    service.shm_size = fields.bytes("shm_size");
    service.read_only = fields.boolean("read_only").unwrap_or_default();
    service.secrets = fields.get("secrets").map(|at| files::uses(&at, FileKind::Secret)).unwrap_or_default();
    service.configs = fields.get("configs").map(|at| files::uses(&at, FileKind::Config)).unwrap_or_default();
    let volumes = service.volumes.iter().map(|mount| mount.target.as_str());
    let tmpfs = service.tmpfs.iter().map(|text| text.split(':').next().unwrap_or_default());
    let mut taken = Vec::new();
    for target in volumes.chain(tmpfs) {
        if taken.contains(&target) {
            fields.at.error(codes::DUPLICATE_TARGET, format!("has two mounts at {}", shorten(target)));
        }
        taken.push(target);
    }
    let mut files: Vec<&str> = Vec::new();
    for file in service.secrets.iter().chain(&service.configs) {
        if files.contains(&file.target.as_str()) {
            fields.at.error(codes::DUPLICATE_TARGET, format!("has two files at {}", shorten(&file.target)));
        }
        files.push(&file.target);
    }
}

/// Text with a rule that says nothing but yes or no.
fn checked(
    fields: &Fields<'_>,
    key: &'static str,
    code: &'static str,
    rule: impl Fn(&str) -> Result<(), String>,
) -> Option<String> {
    fields.parsed(key, code, |text| rule(text).map(|()| text.to_owned()))
}

/// Words with a rule for each.
fn words_that<'a>(
    items: impl Iterator<Item = &'a At<'a>>,
    code: &'static str,
    rule: impl Fn(&str) -> Result<(), String>,
) -> Vec<String> {
    let good = items.filter_map(|item| {
        let word = item.word()?;
        item.or_report(code, rule(&word)).map(|()| word)
    });
    super::read::unique(good)
}

/// A list, or text that is split at spaces.
fn command(at: &At<'_>) -> Option<Vec<String>> {
    if at.value.is_array() {
        return Some(at.list()?.iter().filter_map(At::text).collect());
    }
    let text = at.text()?;
    match values::command(&text) {
        Ok(words) => Some(words),
        Err(reason) => {
            at.error_with_hint(codes::INVALID_VALUE, reason, "write a list, for example [\"sh\", \"-c\", \"a && b\"]");
            None
        }
    }
}

/// A variable without a value takes the project's, as in Compose.
fn environment(at: &At<'_>, variables: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let mut environment = at.variables();
    for (name, value) in environment.iter_mut().filter(|(_, value)| value.is_none()) {
        *value = variables.get(name).cloned();
        if value.is_none() {
            let message =
                format!("{} has no value here and none in spec.environment; it will not be set", shorten(name));
            at.warning(codes::MISSING_VARIABLE, message);
        }
    }
    environment
}

fn healthcheck(at: &At<'_>) -> Option<Healthcheck> {
    let fields = at.fields()?;
    let disabled = fields.boolean("disable").unwrap_or_default();
    let test = fields.get("test").and_then(|at| health_test(&at)).unwrap_or_default();
    let healthcheck = Healthcheck {
        test: if disabled { vec!["NONE".into()] } else { test },
        interval: health_time(&fields, "interval"),
        timeout: health_time(&fields, "timeout"),
        retries: fields
            .get("retries")
            .and_then(|at| at.within(0..=1_000_000))
            .and_then(|number| u64::try_from(number).ok()),
        start_period: health_time(&fields, "start_period"),
        start_interval: health_time(&fields, "start_interval"),
    };
    fields.finish(&[]);
    Some(healthcheck)
}

fn health_test(at: &At<'_>) -> Option<Vec<String>> {
    if !at.value.is_array() {
        return Some(vec!["CMD-SHELL".into(), at.word()?]);
    }
    let test: Vec<String> = at.list()?.iter().filter_map(At::text).collect();
    match test.first().map(String::as_str) {
        None | Some("NONE") => {}
        Some("CMD" | "CMD-SHELL") if test.len() > 1 => {}
        Some("CMD" | "CMD-SHELL") => at.invalid("has no command"),
        Some(_) => at.error_with_hint(
            codes::INVALID_VALUE,
            "does not begin with CMD, CMD-SHELL or NONE",
            "write for example [\"CMD\", \"curl\", \"-f\", \"http://localhost\"]",
        ),
    }
    Some(test)
}

/// The engine refuses times below a millisecond, but for zero.
fn health_time(fields: &Fields<'_>, key: &'static str) -> Option<Duration> {
    let at = fields.get(key)?;
    let time = at.duration()?;
    if !time.is_zero() && time < Duration::from_millis(1) {
        at.invalid("is less than 1ms");
    }
    Some(time)
}

fn logging(at: &At<'_>) -> Option<Logging> {
    let fields = at.fields()?;
    let logging = Logging { driver: fields.word("driver"), options: fields.strings("options") };
    fields.finish(&[]);
    Some(logging)
}

fn host_name(name: &str) -> Result<(), String> {
    if (1..=253).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    {
        return Ok(());
    }
    Err(format!("`{}` is not a host name", shorten(name)))
}

fn capabilities(fields: &Fields<'_>, key: &'static str) -> Vec<String> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    at.words_that(codes::INVALID_VALUE, |word| {
        if word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(());
        }
        Err(format!("`{}` is not a capability; write for example NET_ADMIN", shorten(word)))
    })
}

/// `ulimits:`: one number for both limits, or a soft and a hard one. -1 is unlimited.
fn ulimits(at: &At<'_>) -> BTreeMap<String, (i64, i64)> {
    let mut limits = BTreeMap::new();
    for (name, at) in at.entries().unwrap_or_default() {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase()) {
            at.error(codes::INVALID_NAME, format!("`{}` is not the name of a limit", shorten(name)));
            continue;
        }
        let both = if at.value.is_object() {
            let Some(fields) = at.fields() else { continue };
            let limit = |key| fields.get(key).and_then(|at| at.within(-1..=i64::MAX));
            let (soft, hard) = (limit("soft"), limit("hard"));
            if fields.get("soft").is_none() || fields.get("hard").is_none() {
                at.invalid("needs both soft and hard");
            }
            fields.finish(&[]);
            soft.zip(hard)
        } else {
            at.within(-1..=i64::MAX).map(|limit| (limit, limit))
        };
        if let Some((soft, hard)) = both
            && hard != -1
            && (soft > hard || soft == -1)
        {
            at.invalid(format!("its soft limit {soft} is above its hard limit {hard}"));
        }
        limits.extend(both.map(|both| (name.to_owned(), both)));
    }
    limits
}

/// `pid:` and `ipc:`.
fn namespace(at: &At<'_>, words: &[&str]) -> Option<String> {
    at.parsed(codes::INVALID_VALUE, |text| {
        let shared = text.strip_prefix("service:").or_else(|| text.strip_prefix("container:"));
        if words.contains(&text) || shared.is_some_and(|name| !name.is_empty()) {
            return Ok(text.to_owned());
        }
        Err(format!("`{}` is none of {}, service:NAME and container:NAME", shorten(text), words.join(", ")))
    })
}

/// `depends_on:`, and the services whose namespaces are shared, which must be there first as well.
fn dependencies(service: &mut Service, fields: &Fields<'_>) {
    let started = DependsOn { condition: Condition::Started, restart: false, required: true };
    if let Some(at) = fields.get("depends_on") {
        if at.value.is_array() {
            service.depends_on = at.words().into_iter().map(|name| (name, started.clone())).collect();
        } else {
            let entries = at.entries().unwrap_or_default();
            service.depends_on =
                entries.into_iter().filter_map(|(name, at)| Some((name.to_owned(), depends_on(&at)?))).collect();
        }
    }
    let shared =
        [&service.network_mode, &service.pid, &service.ipc].map(|mode| mode.as_ref()?.strip_prefix("service:"));
    let shared: Vec<String> = shared.into_iter().flatten().map(str::to_owned).collect();
    for name in shared {
        service.depends_on.entry(name).or_insert(DependsOn { restart: true, ..started.clone() });
    }
}

fn depends_on(at: &At<'_>) -> Option<DependsOn> {
    let fields = at.fields()?;
    let condition = match fields.get("condition") {
        None => Some(Condition::Started),
        Some(at) => at.parsed(codes::INVALID_VALUE, |word| match word {
            "service_started" => Ok(Condition::Started),
            "service_healthy" => Ok(Condition::Healthy),
            "service_completed_successfully" => Ok(Condition::CompletedSuccessfully),
            _ => Err(format!(
                "`{}` is none of service_started, service_healthy and service_completed_successfully",
                shorten(word)
            )),
        }),
    };
    let restart = fields.boolean("restart").unwrap_or_default();
    let required = fields.boolean("required").unwrap_or(true);
    fields.finish(&[]);
    Some(DependsOn { condition: condition?, restart, required })
}
