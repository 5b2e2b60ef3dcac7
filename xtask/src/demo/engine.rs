//! The Docker engine that the demo runs on: this machine's, else one of the demo's own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveImageOptions, RemoveVolumeOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use slipway_api::labels;
use slipway_e2e::lab::prerequisites::{find_program, install, is_root};
use slipway_e2e::lab::{Image, Part, docker_host, eventually, prerequisites};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::IMAGE;
use crate::lab::State;

/// Where Docker listens on a usual machine.
const SOCKET: &str = "/var/run/docker.sock";

/// Which engine the demo is to use.
pub enum Engine {
    /// The one that runs on this machine.
    OfTheMachine,
    /// One that the demo starts in a network namespace of its own, so that nothing of it is left afterwards.
    OfTheDemo,
}

impl Engine {
    /// One of the demo's own.
    pub fn of_the_demo() -> Result<Self> {
        prerequisites::require(Part::Docker)?;
        Ok(Self::OfTheDemo)
    }

    /// This machine's engine if one answers, else one of the demo's own; Docker is installed if it is missing.
    pub async fn find() -> Result<Self> {
        // Images are made of it, whoever runs them.
        install(&[("busybox", "busybox-static")])?;
        if ping(Path::new(SOCKET)).await.is_ok() {
            return Ok(Self::OfTheMachine);
        }
        if !is_root() {
            match ping(Path::new(SOCKET)).await {
                Err(error) if Path::new(SOCKET).exists() => {
                    bail!(
                        "Docker runs here but {SOCKET} cannot be used ({error:#}): run this as root, or join the group docker"
                    )
                }
                _ => bail!(
                    "no Docker engine runs here: start one (as root: apt-get install docker.io), or run this as root"
                ),
            }
        }
        let installed = find_program("dockerd").is_some();
        prerequisites::require(Part::Docker)?;
        // Where systemd runs, installing Docker has started it.
        let starts = !installed && Path::new("/run/systemd/system").exists();
        let within = Duration::from_secs(20);
        if starts && eventually("Docker to answer", within, || ping(Path::new(SOCKET))).await.is_ok() {
            return Ok(Self::OfTheMachine);
        }
        eprintln!("demo: no Docker engine answers on {SOCKET}; starting one of the demo's own");
        Ok(Self::OfTheDemo)
    }
}

async fn ping(socket: &Path) -> Result<()> {
    connect(socket)?.ping().await?;
    Ok(())
}

fn connect(socket: &Path) -> Result<Docker> {
    Docker::connect_with_unix(&socket.to_string_lossy(), 60, API_DEFAULT_VERSION)
        .with_context(|| format!("cannot use {}", socket.display()))
}

/// The engine, once it is known where it is.
pub struct Reached {
    socket: PathBuf,
    address: String,
}

impl Reached {
    /// Where the engine is.
    pub fn of(engine: &Engine, state: &State) -> Result<Self> {
        match engine {
            Engine::OfTheMachine => Ok(Self { socket: PathBuf::from(SOCKET), address: "127.0.0.1".to_owned() }),
            Engine::OfTheDemo => {
                let host = state.hosts.first().context(
                    "the demo was brought up on an engine that no longer answers; take it down first: make demo-down",
                )?;
                Ok(Self { socket: host.socket.clone(), address: host.address.clone() })
            }
        }
    }

    /// A Node's endpoint for it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Where the ports of its containers are.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Loads an image.
    pub async fn load(&self, image: &Image) -> Result<()> {
        docker_host::load(&connect(&self.socket)?, image).await
    }

    /// Removes the container of a service, as somebody else might.
    pub async fn remove_container(&self, namespace: &str, name: &str, service: &str) -> Result<()> {
        let docker = connect(&self.socket)?;
        let wanted = [(labels::NAMESPACE, namespace), (labels::NAME, name), (labels::SERVICE, service)];
        let filters = HashMap::from([("label", wanted.map(|(label, value)| format!("{label}={value}")).to_vec())]);
        let found =
            docker.list_containers(Some(ListContainersOptionsBuilder::default().filters(&filters).build())).await?;
        ensure!(!found.is_empty(), "no container of service {service} runs");
        for id in found.into_iter().filter_map(|container| container.id) {
            let force = RemoveContainerOptionsBuilder::default().force(true).build();
            docker.remove_container(&id, Some(force)).await?;
        }
        Ok(())
    }

    /// The page on a port of its containers.
    pub async fn get(&self, port: u16) -> Result<String> {
        let exchange = async {
            let mut stream = tokio::net::TcpStream::connect((self.address.as_str(), port)).await?;
            stream.write_all(format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            anyhow::Ok(reply)
        };
        let reply =
            tokio::time::timeout(Duration::from_secs(10), exchange).await.context("no answer within 10 s")??;
        let (_, body) = reply.split_once("\r\n\r\n").context("no HTTP reply")?;
        Ok(body.to_owned())
    }
}

/// Removes from this machine's engine what an installation's demo has left there, and the demo's image.
pub async fn sweep(state: &State) -> Result<()> {
    if !state.hosts.is_empty() || ping(Path::new(SOCKET)).await.is_err() {
        // The engine was the demo's own, or is gone: so is all that was on it.
        return Ok(());
    }
    let docker = connect(Path::new(SOCKET))?;
    let ours = [
        format!("{}={}", labels::INSTALLATION, state.installation),
        format!("{}={}", labels::NAMESPACE, super::NAMESPACE),
    ];
    let filters = HashMap::from([("label", ours.to_vec())]);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    for id in docker.list_containers(Some(containers)).await?.into_iter().filter_map(|container| container.id) {
        eprintln!("demo: removing container {id:.12}");
        docker.remove_container(&id, Some(RemoveContainerOptionsBuilder::default().force(true).build())).await?;
    }
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    for name in docker.list_networks(Some(networks)).await?.into_iter().filter_map(|network| network.name) {
        eprintln!("demo: removing network {name}");
        docker.remove_network(&name).await?;
    }
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    for volume in docker.list_volumes(Some(volumes)).await?.volumes.unwrap_or_default() {
        eprintln!("demo: removing volume {}", volume.name);
        docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await?;
    }
    match docker.remove_image(IMAGE, None::<RemoveImageOptions>, None).await {
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
