//! From the normalised Compose project to the engine's own vocabulary.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, HealthConfig, NetworkingConfig};
use serde::Serialize;
use slipway_api::container_service::FileSource;

use super::budget::Budget;
use super::codes::INVALID_ENV_FILE;
use super::contents::missing_source;
use super::env_file::Reader;
use super::files::Files;
use super::hash::{SHORT, digest};
use super::host_config::host_config;
use super::labels::{self, CONFIG_HASH};
use super::names::Names;
use super::networking::{self, Place};
use super::security::{Security, security};
use super::{
    Container, ContainerKey, Contents, Definition, Dependency, File, HashKey, Lifecycle, NeedKind, Network, list,
    mounts,
};
use crate::container_service::observed::Owner;
use crate::finding::Finding;
use crate::formats::compose::codes::INVALID_VALUE;
use crate::formats::compose::model::{Condition, Healthcheck, MountKind, Project, Service};

/// What a definition takes from around the Compose file.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Whose containers these are.
    pub owner: &'a Owner,
    /// Name of the object: the project's name, unless the Compose file has one.
    pub name: &'a str,
    /// `spec.environment`: for `environment:` of secrets and configs, and for `${VAR}` in env files.
    pub environment: &'a BTreeMap<String, String>,
    /// `spec.files`.
    pub files: &'a BTreeMap<String, FileSource>,
    /// What was read from the cluster, as [`super::needs`] asked for it.
    pub contents: &'a Contents,
    /// Key of the hashes.
    pub key: &'a HashKey,
    /// Field path that findings start with, e.g. `spec.compose`.
    pub base: &'a str,
}

/// Time between the stop signal and the kill, for a service that says nothing of it.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Lowers a project: everything that one host is to have, as Docker Compose 2.40 would make it from the same file.
///
/// All findings are collected. For those that [`super::codes::awaits_content`] names, the project may be right all the same.
pub fn lower(project: &Project, context: &Context<'_>) -> Result<Definition, Vec<Finding>> {
    let mut findings = Vec::new();
    let names = Names::new(project, context.name);
    let networks = networking::networks(project, &names, context);
    let volumes = mounts::volumes(project, &names, context);
    let files = Files::resolve(project, context, &mut findings);
    let mut budget = Budget::new();
    let mut containers = BTreeMap::new();
    for (key, service) in &project.services {
        let path = format!("{}.services.{key}", context.base);
        let size = files.size(service) + env_files_size(service, context);
        let within = budget.containers(service.replicas, &path);
        if let Err(finding) = within.and_then(|()| budget.bytes(size, service.replicas, &path)) {
            findings.push(finding);
            break;
        }
        let shared = Shared {
            project,
            context,
            names: &names,
            networks: &networks,
            key,
            service,
            env: env(service, context, &path, &mut findings),
            security: security(service, context, &path, &mut findings),
            healthcheck: healthcheck(service, &path, &mut findings),
            files: files.of(service),
            depends_on: dependencies(service),
        };
        for number in 1..=service.replicas {
            let container = shared.container(number);
            if number == 1 {
                let size = serde_json::to_vec(&container.body).map_or(0, |body| body.len());
                if let Err(finding) = budget.bytes(size, service.replicas, &path) {
                    findings.push(finding);
                    break;
                }
            }
            containers.insert(ContainerKey { service: key.clone(), number }, container);
        }
    }
    let project = names.project;
    if findings.is_empty() { Ok(Definition { project, containers, networks, volumes }) } else { Err(findings) }
}

/// A service with all that its containers have in common.
struct Shared<'a> {
    project: &'a Project,
    context: &'a Context<'a>,
    names: &'a Names<'a>,
    networks: &'a BTreeMap<String, Network>,
    key: &'a str,
    service: &'a Service,
    env: Vec<String>,
    security: Security,
    healthcheck: Option<HealthConfig>,
    files: Vec<File>,
    depends_on: BTreeMap<String, Dependency>,
}

impl Shared<'_> {
    fn container(&self, number: u32) -> Container {
        let service = self.service;
        let name = self.names.container(self.key, number);
        let place = networking::place(self.key, service, self.names, &name);
        let mut container = Container {
            image: service.image.clone(),
            platform: service.platform.clone(),
            body: self.body(number, &place),
            mac_address: place.mac_address,
            networks: place.endpoints,
            files: self.files.clone(),
            definition_hash: String::new(),
            depends_on: self.depends_on.clone(),
            lifecycle: self.lifecycle(),
            has_healthcheck: self.healthcheck.as_ref().is_some_and(is_test),
            exclusive: exclusive(service),
            has_volumes: service.volumes.iter().any(|it| it.kind == MountKind::Volume && it.source.is_some()),
            stop_grace: service.stop_grace_period.unwrap_or(STOP_GRACE),
            host_ports: networking::host_ports(service),
            name,
        };
        let hash = self.context.key.hash(&self.identity(&container));
        hash[..SHORT].clone_into(&mut container.definition_hash);
        container.body.labels.get_or_insert_default().insert(CONFIG_HASH.to_owned(), hash);
        container
    }

    fn body(&self, number: u32, place: &Place) -> ContainerCreateBody {
        let service = self.service;
        ContainerCreateBody {
            hostname: service.hostname.clone(),
            domainname: service.domainname.clone(),
            user: service.user.clone(),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            exposed_ports: networking::exposed_ports(service),
            tty: Some(service.tty),
            open_stdin: Some(service.stdin_open),
            env: list(self.env.clone()),
            cmd: service.command.clone(),
            entrypoint: service.entrypoint.clone(),
            healthcheck: self.healthcheck.clone(),
            image: Some(service.image.clone()),
            working_dir: service.working_dir.clone(),
            labels: Some(labels::container(
                self.names,
                self.context.owner,
                self.key,
                service,
                &self.depends_on,
                self.lifecycle(),
                number,
            )),
            stop_signal: service.stop_signal.clone(),
            stop_timeout: service.stop_grace_period.map(|grace| grace.as_secs().cast_signed()),
            host_config: Some(host_config(service, self.names, place.mode.clone(), &self.security)),
            networking_config: place
                .endpoints
                .first()
                .map(|first| NetworkingConfig { endpoints_config: Some([first.clone()].into()) }),
            ..ContainerCreateBody::default()
        }
    }

    fn lifecycle(&self) -> Lifecycle {
        let awaited = self.project.services.values().filter_map(|service| service.depends_on.get(self.key));
        let awaited = awaited.filter(|dependency| dependency.condition == Condition::CompletedSuccessfully).count() > 0;
        let once = matches!(self.service.restart.as_deref(), Some("no" | "none"));
        if once || awaited { Lifecycle::Once } else { Lifecycle::Running }
    }

    /// What makes the container what it is: a change of anything else is no reason to make it anew.
    ///
    /// The same for all numbers of a service, so that a revision that failed on one is known to fail on the others.
    fn identity<'a>(&'a self, container: &'a Container) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Identity<'a> {
            container_name: Option<&'a str>,
            platform: Option<&'a str>,
            mac_address: Option<&'a str>,
            body: ContainerCreateBody,
            labels: BTreeMap<&'a str, &'a str>,
            networks: Vec<(&'a str, Option<&'a str>, EndpointSettings)>,
            files: Vec<(&'a str, u32, u32, u32, bool, String)>,
        }
        let body = ContainerCreateBody { labels: None, networking_config: None, ..container.body.clone() };
        let networks = container.networks.iter().map(|(network, endpoint)| {
            let mut endpoint = endpoint.clone();
            endpoint.aliases.iter_mut().for_each(|aliases| aliases.retain(|alias| *alias != container.name));
            (network.as_str(), self.networks.get(network).map(|network| network.hash.as_str()), endpoint)
        });
        let files = container
            .files
            .iter()
            .map(|file| (file.target.as_str(), file.uid, file.gid, file.mode, file.in_volume, digest(&file.content)));
        Identity {
            container_name: self.service.container_name.as_deref(),
            platform: container.platform.as_deref(),
            mac_address: container.mac_address.as_deref(),
            labels: container.body.labels.as_ref().map(labels::identity).unwrap_or_default(),
            networks: networks.collect(),
            files: files.collect(),
            body,
        }
    }
}

/// `NAME=value`, in order of names; a name without a value takes the image's variable away.
fn env(service: &Service, context: &Context<'_>, path: &str, findings: &mut Vec<Finding>) -> Vec<String> {
    let own = service.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let mut reader = Reader::new(context.environment, &own);
    for (index, env_file) in service.env_file.iter().enumerate() {
        let path = format!("{path}.env_file[{index}]");
        let read = match env_file_text(&env_file.path, context, &path) {
            Ok(text) => if env_file.raw { reader.read_raw(text) } else { reader.read(text) }.map_err(|why| {
                Finding::error(INVALID_ENV_FILE, &path, format!("the env file `{}`: {why}", env_file.path))
            }),
            Err(_) if !env_file.required => Ok(()),
            Err(finding) => Err(finding),
        };
        findings.extend(read.err());
    }
    let mut variables: BTreeMap<_, _> = reader.finish().into_iter().map(|(name, value)| (name, Some(value))).collect();
    variables.extend(service.environment.clone());
    let entries = variables.into_iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    });
    entries.collect()
}

/// Bytes of all the env files of a service.
fn env_files_size(service: &Service, context: &Context<'_>) -> usize {
    let texts = service.env_file.iter().filter_map(|file| env_file_text(&file.path, context, "").ok());
    texts.map(str::len).sum()
}

fn env_file_text<'a>(file: &str, context: &Context<'a>, path: &str) -> Result<&'a str, Finding> {
    let source = context.files.get(file).ok_or_else(|| missing_source(file, path, NeedKind::ConfigMap))?;
    let bytes = context.contents.file(source, path)?;
    std::str::from_utf8(bytes)
        .map_err(|_| Finding::error(INVALID_ENV_FILE, path, format!("the env file `{file}` is not UTF-8 text")))
}

fn healthcheck(service: &Service, path: &str, findings: &mut Vec<Finding>) -> Option<HealthConfig> {
    let check: &Healthcheck = service.healthcheck.as_ref()?;
    if check.start_interval.is_some() && check.start_period.is_none() {
        findings.push(Finding::error(
            INVALID_VALUE,
            format!("{path}.healthcheck.start_interval"),
            "start_interval is the interval within start_period, which is not set",
        ));
    }
    let nanoseconds = |time: Option<Duration>| time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    Some(HealthConfig {
        test: list(check.test.clone()),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        retries: check.retries.map(|retries| i64::try_from(retries).unwrap_or(i64::MAX)),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
    })
}

/// Whether it is a check, and not only other times for the image's own, or none at all.
fn is_test(check: &HealthConfig) -> bool {
    check.test.as_ref().is_some_and(|test| test.first().is_some_and(|kind| kind != "NONE"))
}

/// `depends_on`, and the services whose namespaces it shares.
fn dependencies(service: &Service) -> BTreeMap<String, Dependency> {
    let shared = [&service.network_mode, &service.pid, &service.ipc].into_iter().flatten();
    let shared = shared.filter_map(|mode| mode.strip_prefix("service:"));
    let implied = shared.map(|service| {
        (service.to_owned(), Dependency { condition: Condition::Started, restart: true, required: true })
    });
    let written = service.depends_on.iter().map(|(service, it)| {
        (service.clone(), Dependency { condition: it.condition, restart: it.restart, required: it.required })
    });
    implied.chain(written).collect()
}

/// Why two containers of the service cannot run side by side.
fn exclusive(service: &Service) -> Option<String> {
    let name = service.container_name.as_ref().map(|name| format!("the container name {name}"));
    name.or_else(|| {
        let (address, port, protocol) = networking::host_ports(service).into_iter().next()?;
        let address = if address.is_empty() { address } else { format!(" on {address}") };
        Some(format!("the host port {port}/{protocol}{address}"))
    })
    .or_else(|| networking::fixed_address(service))
}
