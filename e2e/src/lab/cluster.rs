//! A Kubernetes API server with its etcd, on loopback.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::KeyPair;
use slipway_api::{ContainerService, Design, Node};

use super::assets;
use super::certificates::{Authority, Identity};
use super::eventually::eventually;
use super::process::Daemon;
use super::run::{Run, output, spare_collections};

/// How long the API server may take to be ready, on a machine that is busy with other tests.
const READY: Duration = Duration::from_mins(3);

/// An API server with its etcd. There are no controllers: nothing but what the test and the operator do happens to objects.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    programs: PathBuf,
    authority: Authority,
    port: u16,
    etcd_port: u16,
    apiserver: Mutex<Option<Daemon>>,
    etcd: Mutex<Option<Daemon>>,
    run: Arc<Run>,
}

static SHARED: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());

impl Cluster {
    /// The cluster that the tests of this process share: started by the first that asks, gone with the last that holds it.
    pub async fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(cluster) = shared.upgrade() {
            return Ok(cluster);
        }
        let cluster = Arc::new(Self::start().await?);
        cluster.install_crds().await?;
        *shared = Arc::downgrade(&cluster);
        Ok(cluster)
    }

    /// A cluster of one's own, with no CRDs yet.
    pub async fn start() -> Result<Self> {
        let run = Run::current()?;
        let (port, etcd_port) = (run.port()?, run.port()?);
        let cluster = Self {
            dir: run.subdir(&format!("cluster-{port}"))?,
            programs: assets::kube()?,
            authority: Authority::new("Slipway lab's cluster")?,
            port,
            etcd_port,
            apiserver: Mutex::new(None),
            etcd: Mutex::new(None),
            run,
        };
        cluster.write_keys()?;
        cluster.start_etcd()?;
        cluster.start_apiserver().await?;
        Ok(cluster)
    }

    fn write_keys(&self) -> Result<()> {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
        let server = self.authority.server(&names, &[loopback])?;
        let accounts = KeyPair::generate()?;
        for (file, content) in [
            ("ca.crt", self.authority.pem()),
            ("server.crt", server.cert),
            ("server.key", server.key),
            ("accounts.key", accounts.serialize_pem()),
            ("accounts.pub", accounts.public_key_pem()),
        ] {
            fs::write(self.dir.join(file), content)?;
        }
        let admin = self.authority.client("lab-admin", Some("system:masters"))?;
        fs::write(self.kubeconfig(), kubeconfig(&self.url(), &self.authority.pem(), &admin))?;
        Ok(())
    }

    fn start_etcd(&self) -> Result<()> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.run.port()?);
        let mut etcd = self.run.command(self.programs.join("etcd"));
        etcd.arg("--data-dir").arg(self.dir.join("etcd"));
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}")]);
        // Its data need not survive the machine; waiting for the disk would triple the time to start.
        etcd.args(["--unsafe-no-fsync", "--log-level", "warn"]);
        *lock(&self.etcd) = Some(Daemon::start("etcd", etcd, &self.dir.join("etcd.log"))?);
        Ok(())
    }

    /// Starts the API server (again) and waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        let file = |name: &str| self.dir.join(name).display().to_string();
        let mut server = self.run.command(self.programs.join("kube-apiserver"));
        server.args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            format!("--cert-dir={}", file("certs")),
        ]);
        server.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            // It makes Pods wait for a controller that is not there; a token can be asked for all the same.
            "--disable-admission-plugins=ServiceAccount",
            "--shutdown-delay-duration=0s",
            // Objects' events are part of what tests look at, so none may be lost to the default limit of one etcd lease per hour.
            "--event-ttl=24h",
        ]);
        spare_collections(&mut server, "512MiB");
        *lock(&self.apiserver) = Some(Daemon::start("kube-apiserver", server, &self.dir.join("apiserver.log"))?);
        let client = self.client().await?;
        eventually("the API server to be ready", READY, || async {
            if let Some(server) = &*lock(&self.apiserver) {
                server.check()?;
            }
            // Ready is said before the built-in roles and namespaces are there, so look at those.
            Api::<ClusterRole>::all(client.clone()).get("view").await?;
            Api::<Namespace>::all(client.clone()).get("default").await?;
            Api::<Namespace>::all(client.clone()).get("kube-system").await?;
            Ok(())
        })
        .await
    }

    /// Kills the API server.
    pub fn kill_apiserver(&self) {
        *lock(&self.apiserver) = None;
    }

    /// Kills the API server and brings it back once etcd has forgotten the past: every watch that resumes is told it is too late.
    pub async fn expire_watches(&self) -> Result<()> {
        self.kill_apiserver();
        let key = BASE64_STANDARD.encode("lab");
        let put = serde_json::json!({"key": key, "value": key});
        let mut revision = String::new();
        for _ in 0..10 {
            let reply = self.etcd("/v3/kv/put", &put).await?;
            reply["header"]["revision"].as_str().context("etcd told no revision")?.clone_into(&mut revision);
        }
        self.etcd("/v3/kv/compaction", &serde_json::json!({"revision": revision, "physical": true})).await?;
        self.start_apiserver().await
    }

    async fn etcd(&self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.etcd_port)).await.context("etcd is away")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = hyper::Request::post(path)
            .header("host", "localhost")
            .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
        let reply = sender.send_request(request).await?;
        let status = reply.status();
        let bytes = reply.into_body().collect().await?.to_bytes();
        drop(sender);
        connection.await??;
        if !status.is_success() {
            bail!("etcd answered {path} with {status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Where the API server is.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// A kubeconfig file of a user with no rights but those that the test binds to that name.
    pub fn user_kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{user}.kubeconfig"));
        let identity = self.authority.client(user, None)?;
        fs::write(&path, kubeconfig(&self.url(), &self.authority.pem(), &identity))?;
        Ok(path)
    }

    /// A kubeconfig file of whoever has this token.
    pub fn token_kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}.kubeconfig"));
        fs::write(&path, kubeconfig_of(&self.url(), &self.authority.pem(), &format!("token: \"{token}\"")))?;
        Ok(path)
    }

    /// The CA of the API server, as PEM, and the administrator's certificate and key.
    pub(super) fn admin(&self) -> Result<(String, Identity)> {
        Ok((self.authority.pem(), self.authority.client("lab-admin", Some("system:masters"))?))
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A client with the administrator's rights. It belongs to the runtime it is made in, so a test makes its own.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig()).await
    }

    /// Runs kubectl as the administrator and returns what it prints.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut kubectl = self.run.command(self.kubectl_program());
        output(kubectl.arg("--kubeconfig").arg(self.kubeconfig()).args(args))
    }

    /// The kubectl of the API server's version.
    pub fn kubectl_program(&self) -> PathBuf {
        self.programs.join("kubectl")
    }

    /// The log of the API server.
    pub fn log(&self) -> PathBuf {
        self.dir.join("apiserver.log")
    }

    /// Installs the CRDs of the repository and waits until they are served.
    pub async fn install_crds(&self) -> Result<()> {
        install_crds(&self.client().await?).await
    }

    /// What the namespace controller does for a namespace that is being deleted: deletes what is in it, and lets it go when nothing is
    /// left. It fails if something, such as a finalizer, keeps the content longer than `within`.
    pub async fn finalize_namespace(&self, name: &str, within: Duration) -> Result<()> {
        let client = self.client().await?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
        eventually(&format!("the content of namespace {name} to go"), within, || async {
            let mut left = String::new();
            drain::<Secret>(&client, name, &mut left).await?;
            drain::<ConfigMap>(&client, name, &mut left).await?;
            drain::<ContainerService>(&client, name, &mut left).await?;
            drain::<Node>(&client, name, &mut left).await?;
            drain::<Design>(&client, name, &mut left).await?;
            drain::<Event>(&client, name, &mut left).await?;
            if left.is_empty() { Ok(()) } else { bail!("still there: {left}") }
        })
        .await?;
        let mut namespace = match namespaces.get(name).await {
            Err(error) if gone(&error) => return Ok(()),
            other => other?,
        };
        if namespace.metadata.deletion_timestamp.is_none() {
            bail!("namespace {name} is not being deleted");
        }
        namespace.spec.get_or_insert_default().finalizers = Some(Vec::new());
        match namespaces.replace_subresource("finalize", name, &PostParams::default(), &namespace).await {
            Err(error) if gone(&error) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The API server first: without etcd it would only complain.
        self.kill_apiserver();
        *lock(&self.etcd) = None;
        // What is left is removed with the run's directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A client for the current context of a kubeconfig file.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)?)
}

/// Installs the CRDs of the repository and waits until they are served.
pub async fn install_crds(client: &Client) -> Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let dir = assets::repository().join("crds");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let crd: CustomResourceDefinition =
            serde_saphyr::from_str(&text).with_context(|| format!("{} is no CRD", path.display()))?;
        let name = crd.metadata.name.clone().with_context(|| format!("{} has no name", path.display()))?;
        api.patch(&name, &PatchParams::apply("slipway-lab").force(), &Patch::Apply(&crd)).await?;
        names.push(name);
    }
    if names.is_empty() {
        bail!("no CRD in {}; run: cargo xtask generate", dir.display());
    }
    for name in names {
        eventually(&format!("{name} to be served"), Duration::from_mins(1), || async {
            let status = api.get(&name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
            let established = status.iter().any(|it| it.type_ == "Established" && it.status == "True");
            if established { Ok(()) } else { bail!("not Established yet") }
        })
        .await?;
    }
    Ok(())
}

/// Deletes all objects of a kind in a namespace, and notes those that are still there.
async fn drain<K>(client: &Client, namespace: &str, left: &mut String) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    match api.delete_collection(&DeleteParams::default(), &ListParams::default()).await {
        // Its CRD is not installed: then there are none.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        other => drop(other?),
    }
    for object in api.list(&ListParams::default()).await? {
        write!(left, "{} {} ", K::kind(&()), object.meta().name.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// A kubeconfig with one user, who has a certificate.
fn kubeconfig(url: &str, authority: &str, user: &Identity) -> String {
    let data = |pem: &str| BASE64_STANDARD.encode(pem);
    let certificate = format!("client-certificate-data: {}, client-key-data: {}", data(&user.cert), data(&user.key));
    kubeconfig_of(url, authority, &certificate)
}

/// A kubeconfig with one user.
fn kubeconfig_of(url: &str, authority: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: slipway, cluster: {{server: \"{url}\", certificate-authority-data: {}}}}}]\n\
         users: [{{name: slipway, user: {{{user}}}}}]\n\
         contexts: [{{name: slipway, context: {{cluster: slipway, user: slipway}}}}]\n\
         current-context: slipway\n",
        BASE64_STANDARD.encode(authority),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
