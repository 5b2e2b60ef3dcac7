//! The two sides: a project made by Docker Compose, and by Slipway.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use slipway_api::container_service::FileSource;
use slipway_api::refs::KeyRef;
use slipway_drivers::docker::{Address, Connect, Engine, Factory};
use slipway_e2e::lab::assets::GoTools;
use slipway_e2e::lab::{DockerHost, eventually};
use slipway_plan::Finding;
use slipway_plan::container_service::definition::{
    Container, ContainerKey, Contents, Context as LowerContext, Definition, HashKey, NeedKind, lower, needs,
};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::Step;
use slipway_plan::formats::compose::model::Condition;
use slipway_plan::formats::compose::{self, Source};

use super::compare::{FOLDER, Shown};
use super::engine::Raw;
use super::{Fixture, fixtures, text};

/// Docker Compose in the version that Slipway is measured by.
const COMPOSE: GoTools = GoTools {
    folder: "compose",
    version_of: "github.com/docker/compose/v2",
    programs: &[("docker-compose", "github.com/docker/compose/v2/cmd")],
    ldflags: "-s -w -X github.com/docker/compose/v2/internal.Version={version}",
};

const PROJECT: &str = "parity";
const PROFILE: &str = "debug";

/// A folder on the host for what the fixtures bind.
fn scratch(host: &DockerHost) -> PathBuf {
    host.dir().join("scratch")
}

/// Empties the folder.
fn clear(scratch: &Path) -> Result<()> {
    if scratch.exists() {
        std::fs::remove_dir_all(scratch)?;
    }
    Ok(std::fs::create_dir_all(scratch)?)
}

/// Variables for the fixtures.
fn environment(host: &DockerHost) -> BTreeMap<String, String> {
    let scratch = scratch(host).display().to_string();
    [("COLOR", "blue"), ("SCRATCH", &scratch)].map(|(name, value)| (name.into(), value.into())).into()
}

/// `docker compose`.
pub struct Compose {
    program: PathBuf,
    /// The fixtures, where the host sees them too.
    folder: PathBuf,
    scratch: PathBuf,
    socket: PathBuf,
    home: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Compose {
    pub fn new(host: &DockerHost) -> Result<Self> {
        let home = host.dir().join("home");
        std::fs::create_dir_all(&home)?;
        let program = COMPOSE.dir()?.join("docker-compose");
        let folder = host.dir().join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(fixtures())? {
            let entry = entry?;
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        Ok(Self {
            program,
            folder,
            socket: host.socket(),
            home,
            scratch: scratch(host),
            environment: environment(host),
        })
    }

    /// Makes the project, looks at it and removes it.
    pub async fn shows(&self, fixture: &Fixture, engine: &Raw) -> Result<Shown> {
        clear(&self.scratch)?;
        let made = if fixture.started { &["up", "--detach"][..] } else { &["create"] };
        let shown = match self.run(fixture, made) {
            Ok(()) => shown(fixture, engine).await,
            Err(error) => Err(error),
        };
        remove(engine).await?;
        shown
    }

    fn run(&self, fixture: &Fixture, words: &[&str]) -> Result<()> {
        let file = self.folder.join(format!("{}.yaml", fixture.name)).display().to_string();
        let project = ["--project-name", PROJECT, "--profile", PROFILE, "--progress", "quiet", "--file", &file];
        self.says(&[&project, words].concat()).map(drop)
    }

    /// What it prints.
    fn says(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(&self.environment).env("HOME", &self.home).env("PATH", "/usr/bin:/bin");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        let output = command.args(words).output().context("cannot run docker-compose")?;
        if !output.status.success() {
            bail!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Slipway's reader, lowering and driver.
pub struct Slipway {
    engine: Arc<dyn Engine>,
    owner: Owner,
    scratch: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Slipway {
    pub async fn new(host: &DockerHost) -> Result<Self> {
        let engine = Factory.docker(&Address::Unix(host.socket())).await?;
        let owner = Owner { installation: "installation".into(), namespace: "default".into(), name: PROJECT.into() };
        Ok(Self { engine, owner, scratch: scratch(host), environment: environment(host) })
    }

    /// Makes the project, looks at it and removes it.
    pub async fn shows(&self, fixture: &Fixture, engine: &Raw) -> Result<Shown> {
        clear(&self.scratch)?;
        let definition = self.definition(fixture)?;
        let shown = match self.make(&definition, fixture, engine).await {
            Ok(()) => shown(fixture, engine).await,
            Err(error) => Err(error),
        };
        remove(engine).await?;
        shown
    }

    /// Whether `docker compose` on the host shows the project that Slipway has made.
    pub async fn is_seen_by(&self, compose: &Compose, fixture: &Fixture, engine: &Raw) -> Result<()> {
        let definition = self.definition(fixture)?;
        let seen = self.make(&definition, fixture, engine).await.and_then(|()| lists(compose, &definition));
        remove(engine).await?;
        seen
    }

    /// What the fixture means. Files beside it stand for the keys of one ConfigMap.
    fn definition(&self, fixture: &Fixture) -> Result<Definition> {
        let profiles = [PROFILE.to_owned()];
        let loaded = compose::load(Source::Text(&text(fixture.name)?), &self.environment, &profiles, "compose");
        let project = loaded.map_err(|findings| listed(&findings))?.project;
        let (mut files, mut data) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(fixtures())? {
            let entry = entry?;
            let key = entry.file_name().to_string_lossy().into_owned();
            let source = FileSource::ConfigMapKeyRef(KeyRef { name: "files".into(), key: key.clone() });
            files.insert(key.clone(), source.clone());
            files.insert(format!("./{key}"), source);
            data.insert(key, std::fs::read(entry.path())?);
        }
        needs(&project, &files, "compose").map_err(|findings| listed(&findings))?;
        let mut contents = Contents::default();
        contents.insert(NeedKind::ConfigMap, "files", data);
        let context = LowerContext {
            owner: &self.owner,
            name: PROJECT,
            environment: &self.environment,
            files: &files,
            contents: &contents,
            key: &HashKey::new([1; 32]),
            base: "compose",
        };
        lower(&project, &context).map_err(|findings| listed(&findings))
    }

    async fn make(&self, definition: &Definition, fixture: &Fixture, engine: &Raw) -> Result<()> {
        for (name, _) in definition.networks.iter().filter(|(_, network)| !network.external) {
            self.take(&Step::CreateNetwork { name: name.clone() }, definition).await?;
        }
        for (name, _) in definition.volumes.iter().filter(|(_, volume)| !volume.external) {
            self.take(&Step::CreateVolume { name: name.clone() }, definition).await?;
        }
        for level in in_order(definition)? {
            // All are awaited even if one is refused: an engine goes on with a call that is given up, behind the back of `remove`.
            let made = join_all(level.into_iter().map(async |(key, container)| {
                let (key, name, revision) = (key.clone(), container.name.clone(), "revision".to_owned());
                let create = Step::CreateContainer { key, name, revision, restart: None, image_digest: None };
                self.take(&create, definition).await?;
                if fixture.started {
                    await_dependencies(definition, container, engine).await?;
                    self.take(&Step::StartContainer { name: container.name.clone() }, definition).await?;
                }
                anyhow::Ok(())
            }))
            .await;
            made.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
    }

    async fn take(&self, step: &Step, definition: &Definition) -> Result<()> {
        self.engine.execute(&self.owner, step, definition).await.with_context(|| step.to_string())
    }
}

/// Removes everything of the project.
async fn remove(engine: &Raw) -> Result<()> {
    let containers = of_project(engine, "containers/json", "?all=true&").await?;
    let removed = join_all(containers.iter().map(async |container| {
        let id = container["Id"].as_str().context("a container without ID")?;
        engine.delete(&format!("/containers/{id}?force=true&v=true")).await
    }))
    .await;
    removed.into_iter().collect::<Result<()>>()?;
    for kind in ["networks", "volumes"] {
        for thing in of_project(engine, kind, "?").await? {
            let name = thing["Name"].as_str().context("a thing without name")?;
            engine.delete(&format!("/{kind}/{name}")).await?;
        }
    }
    Ok(())
}

/// `docker compose ls`, `ps` and `logs`, without any file of the project.
fn lists(compose: &Compose, definition: &Definition) -> Result<()> {
    let projects: Value = serde_json::from_str(&compose.says(&["ls", "--all", "--format", "json"])?)?;
    ensure!(projects[0]["Name"] == PROJECT, "ls: {projects}");
    ensure!(projects[0]["ConfigFiles"] == "containerservices.slipway.dev/default/parity", "ls: {projects}");
    let listed = compose.says(&["--project-name", PROJECT, "ps", "--all", "--format", "{{.Name}}"])?;
    let listed: BTreeSet<_> = listed.lines().collect();
    let wanted: BTreeSet<_> = definition.containers.values().map(|container| container.name.as_str()).collect();
    ensure!(listed == wanted, "ps shows {listed:?} of {wanted:?}");
    compose.says(&["--project-name", PROJECT, "logs"]).map(drop)
}

fn listed(findings: &[Finding]) -> anyhow::Error {
    anyhow!("{}", findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))
}

/// Containers after those that they depend on; those of one level may be made side by side.
fn in_order(definition: &Definition) -> Result<Vec<Vec<(&ContainerKey, &Container)>>> {
    let mut left: Vec<_> = definition.containers.iter().collect();
    let (mut levels, mut done) = (Vec::new(), BTreeSet::new());
    while !left.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, container)| container.depends_on.keys().all(|it| done.contains(it)));
        if ready.is_empty() {
            bail!("a cycle among {:?}", later.iter().map(|(key, _)| key).collect::<Vec<_>>());
        }
        done.extend(ready.iter().map(|(key, _)| key.service.clone()));
        levels.push(ready);
        left = later;
    }
    Ok(levels)
}

async fn await_dependencies(definition: &Definition, container: &Container, engine: &Raw) -> Result<()> {
    for (service, dependency) in &container.depends_on {
        let key = ContainerKey { service: service.clone(), number: 1 };
        let name = &definition.containers.get(&key).context("a dependency without container")?.name;
        eventually(&format!("{name} to be {:?}", dependency.condition), Duration::from_mins(2), || async {
            let state = engine.get(&format!("/containers/{name}/json")).await?["State"].clone();
            let met = match dependency.condition {
                Condition::Started => true,
                Condition::Healthy => state["Health"]["Status"] == "healthy",
                Condition::CompletedSuccessfully => state["Status"] == "exited",
            };
            if met { Ok(()) } else { Err(anyhow!("{state}")) }
        })
        .await?;
    }
    Ok(())
}

/// The containers, networks or volumes of the project.
async fn of_project(engine: &Raw, kind: &str, query: &str) -> Result<Vec<Value>> {
    let filter = json!({"label": [format!("com.docker.compose.project={PROJECT}")]}).to_string();
    let filter = filter.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02x}"));
    let found = engine.get(&format!("/{kind}{query}filters={filter}")).await?;
    let found = if kind == "volumes" { found["Volumes"].clone() } else { found };
    Ok(found.as_array().cloned().unwrap_or_default())
}

/// Everything of the project, as the engine shows it.
async fn shown(fixture: &Fixture, engine: &Raw) -> Result<Shown> {
    let mut shown = Shown::default();
    for container in of_project(engine, "containers/json", "?all=true&").await? {
        let id = container["Id"].as_str().context("a container without ID")?;
        let inspected = engine.get(&format!("/containers/{id}/json")).await?;
        let name = inspected["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        let service = inspected["Config"]["Labels"]["com.docker.compose.service"].clone();
        for (_, path) in fixture.files.iter().filter(|(of, _)| service == *of) {
            let archive = engine.bytes(&format!("/containers/{id}/archive?path={path}")).await?;
            shown.files.insert(format!("{name}{path}"), file(&archive)?);
        }
        shown.containers.insert(name, inspected);
    }
    for network in of_project(engine, "networks", "?").await? {
        let name = network["Name"].as_str().unwrap_or_default().to_owned();
        shown.networks.insert(name.clone(), engine.get(&format!("/networks/{name}")).await?);
    }
    for volume in of_project(engine, "volumes", "?").await? {
        let name = volume["Name"].as_str().unwrap_or_default().to_owned();
        shown.volumes.insert(name.clone(), engine.get(&format!("/volumes/{name}")).await?);
    }
    Ok(shown)
}

/// Content, owner and permissions of the one file in an archive.
fn file(archive: &[u8]) -> Result<Value> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries()?.next().context("no file in the archive")??;
    let mut content = String::new();
    entry.read_to_string(&mut content)?;
    let header = entry.header();
    let mode = format!("{:o}", header.mode()? & 0o7777);
    Ok(json!({"content": content, "mode": mode, "uid": header.uid()?, "gid": header.gid()?}))
}
