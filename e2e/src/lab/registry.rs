//! A registry with logins and TLS, on the lab's bridge.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder};
use futures::TryStreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use serde_json::json;

use super::docker_host::DockerHost;
use super::eventually::eventually;
use super::images::Image;
use super::prerequisites::{self, Part};
use super::process::Daemon;
use super::run::{Run, output};

const USER: &str = "lab";
const PASSWORD: &str = "correct-horse-battery-staple";

/// A registry.
#[derive(Debug)]
pub struct Registry {
    dir: PathBuf,
    port: u16,
    server: Mutex<Option<Daemon>>,
    run: Arc<Run>,
}

impl Registry {
    /// Starts a registry that nobody may use without a login.
    pub async fn start() -> Result<Self> {
        prerequisites::require(Part::Registry)?;
        let run = Run::current()?;
        run.bridge()?;
        let port = run.port()?;
        let dir = run.subdir(&format!("registry-{port}"))?;
        let identity = run.authority()?.server(&[], &[IpAddr::from(run.gateway())])?;
        fs::write(dir.join("cert.pem"), identity.cert)?;
        fs::write(dir.join("key.pem"), identity.key)?;
        // The registry takes bcrypt alone; its lowest cost, as this is asked for with each request.
        let users = output(run.command("htpasswd").args(["-nbBC", "4", USER, PASSWORD]))?;
        fs::write(dir.join("users"), users)?;
        let at = |file: &str| dir.join(file).display().to_string();
        let config = json!({
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": at("data")}, "delete": {"enabled": true}},
            "http": {
                "addr": format!("{}:{port}", run.gateway()),
                "secret": "lab",
                "tls": {"certificate": at("cert.pem"), "key": at("key.pem")},
            },
            "auth": {"htpasswd": {"realm": "lab", "path": at("users")}},
        });
        fs::write(dir.join("config.yml"), serde_json::to_vec_pretty(&config)?)?;
        let registry = Self { dir, port, server: Mutex::new(None), run };
        registry.resume().await?;
        Ok(registry)
    }

    /// Starts it again after [`Self::stop`].
    pub async fn resume(&self) -> Result<()> {
        let mut command = self.run.command("docker-registry");
        command.arg("serve").arg(self.dir.join("config.yml"));
        let daemon = Daemon::start("docker-registry", command, &self.dir.join("log"))?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(daemon);
        eventually("the registry to listen", Duration::from_mins(1), || async {
            if let Some(server) = &*self.server.lock().unwrap_or_else(PoisonError::into_inner) {
                server.check()?;
            }
            tokio::net::TcpStream::connect((self.run.gateway(), self.port)).await?;
            Ok(())
        })
        .await
    }

    /// Stops it; what was pushed is kept.
    pub fn stop(&self) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Its address, as in image references.
    pub fn address(&self) -> String {
        format!("{}:{}", self.run.gateway(), self.port)
    }

    /// The reference of an image in it: `address/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    /// A login that it accepts.
    pub fn login(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }

    /// A Secret with a login, as `imagePullSecrets` wants it; a wrong one if asked for.
    pub fn pull_secret(&self, name: &str, right: bool) -> Secret {
        let password = if right { PASSWORD } else { "wrong" };
        let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
        let login = json!({"auths": {self.address(): {"auth": auth}}}).to_string();
        Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
            data: Some(BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(login.into_bytes()))])),
            ..Secret::default()
        }
    }

    /// Pushes an image from a host under its name in this registry (`web:1`), and removes it from the host. Returns its digest.
    pub async fn push(&self, host: &DockerHost, image: &Image, name: &str) -> Result<String> {
        host.trust(&self.address())?;
        host.load(image).await?;
        let docker = host.docker()?;
        let (repository, tag) = name.split_once(':').context("the name needs a tag")?;
        let repository = self.reference(repository);
        let options = TagImageOptionsBuilder::default().repo(&repository).tag(tag).build();
        docker.tag_image(image.reference(), Some(options)).await?;
        // The engine gives a busy registry 15 s.
        eventually("the registry to take an image", Duration::from_mins(2), || async {
            let login = DockerCredentials {
                username: Some(USER.to_owned()),
                password: Some(PASSWORD.to_owned()),
                ..DockerCredentials::default()
            };
            let options = PushImageOptionsBuilder::default().tag(tag).build();
            docker.push_image(&repository, Some(options), Some(login)).try_collect::<Vec<_>>().await?;
            Ok(())
        })
        .await?;
        let full = self.reference(name);
        let digests = docker.inspect_image(&full).await?.repo_digests.unwrap_or_default();
        let digest = digests
            .iter()
            .find_map(|it| it.strip_prefix(&format!("{repository}@")))
            .with_context(|| format!("{full} has no digest after its push"))?
            .to_owned();
        for reference in [full.as_str(), image.reference()] {
            docker.remove_image(reference, None::<RemoveImageOptions>, None).await?;
        }
        Ok(digest)
    }

    /// Deletes what a digest stands for.
    pub fn delete(&self, repository: &str, digest: &str) -> Result<()> {
        self.request("DELETE", &format!("{repository}/manifests/{digest}"))
    }

    /// Fails unless the registry has that manifest.
    pub fn check(&self, repository: &str, reference: &str) -> Result<()> {
        self.request("GET", &format!("{repository}/manifests/{reference}"))
    }

    fn request(&self, method: &str, path: &str) -> Result<()> {
        let authority = self.dir.join("ca.pem");
        fs::write(&authority, self.run.authority()?.pem())?;
        let url = format!("https://{}/v2/{path}", self.address());
        let mut curl = self.run.command("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--request",
            method,
        ]);
        curl.args(["--header", "Accept: application/vnd.docker.distribution.manifest.v2+json"]);
        curl.arg("--cacert").arg(&authority).args(["--user", &format!("{USER}:{PASSWORD}"), &url]);
        let status = output(&mut curl)?;
        if !status.starts_with('2') {
            bail!("the registry answered {method} {path} with {status}");
        }
        Ok(())
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
        // What is left is removed with the run's directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
