//! The lab itself: its parts come up, do what they say, and leave nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use slipway_e2e::lab::process::is_alive;
use slipway_e2e::lab::run::{MARK, Run};
use slipway_e2e::lab::{
    Action, Cluster, DockerHost, Engine, HostOptions, Image, Part, Proxy, Registry, ServerCertificate, SshHost,
    can_run, eventually,
};

const SOON: Duration = Duration::from_mins(1);

fn sleeper(image: &Image) -> ContainerCreateBody {
    ContainerCreateBody { image: Some(image.reference().to_owned()), ..ContainerCreateBody::default() }
}

async fn start_container(host: &DockerHost, image: &Image, name: &str) -> Result<()> {
    let docker = host.docker()?;
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(options), sleeper(image)).await?;
    Ok(docker.start_container(name, None::<StartContainerOptions>).await?)
}

async fn is_running(host: &DockerHost, name: &str) -> Result<bool> {
    let state =
        host.docker()?.inspect_container(name, None::<InspectContainerOptions>).await?.state.context("no state")?;
    Ok(state.running.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_survives_its_api_server() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let map = |name: &str| ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    maps.create(&PostParams::default(), &map("kept")).await?;
    cluster.kill_apiserver();
    ensure!(maps.get("kept").await.is_err(), "a dead API server answers");
    cluster.start_apiserver().await?;
    let version = maps.get("kept").await?.metadata.resource_version.context("no version")?;

    cluster.expire_watches().await?;
    let stream = cluster.client().await?;
    let maps = Api::<ConfigMap>::namespaced(stream, "default");
    let mut events = Box::pin(maps.watch(&WatchParams::default(), &version).await?);
    match tokio::time::timeout(SOON, futures::StreamExt::next(&mut events)).await? {
        Some(Ok(WatchEvent::Error(status)) | Err(kube::Error::Api(status))) => {
            ensure!(status.code == 410, "{status:?}");
        }
        other => bail!("the watch has not expired: {other:?}"),
    }

    // A namespace ends although there is no controller for it.
    let namespaces = Api::<Namespace>::all(client);
    let metadata = ObjectMeta { name: Some("short".to_owned()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    Api::<ConfigMap>::namespaced(cluster.client().await?, "short")
        .create(&PostParams::default(), &map("inside"))
        .await?;
    namespaces.delete("short", &DeleteParams::default()).await?;
    cluster.finalize_namespace("short", SOON).await?;
    ensure!(namespaces.get_opt("short").await?.is_none());

    let stranger = cluster.user_kubeconfig("stranger")?;
    let stranger = slipway_e2e::lab::cluster::client_of(&stranger).await?;
    let refused = Api::<ConfigMap>::namespaced(stranger, "default").get("kept").await;
    ensure!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403), "a stranger may read");
    Ok(())
}

async fn host_survives_faults(engine: Engine, version: &str) -> Result<()> {
    let host = DockerHost::with_engine(engine).await?;
    let docker = host.docker()?;
    let found = docker.version().await?.version.unwrap_or_default();
    ensure!(found.starts_with(version), "the engine is {found}");
    ensure!(docker.info().await?.name.as_deref() == Some(host.name()));

    let image = Image::new("lab/sleeper:1");
    host.load(&image).await?;
    start_container(&host, &image, "one").await?;
    ensure!(is_running(&host, "one").await?);

    host.unplug()?;
    let away = tokio::time::timeout(Duration::from_secs(2), tokio::net::TcpStream::connect((host.v4(), 2376))).await;
    ensure!(!matches!(away, Ok(Ok(_))), "an unplugged host answers");
    host.plug()?;
    eventually("the host to be back", SOON, || async {
        Ok(tokio::net::TcpStream::connect((host.v4(), 2376)).await.map(drop)?)
    })
    .await?;

    host.freeze()?;
    ensure!(tokio::time::timeout(Duration::from_millis(500), docker.ping()).await.is_err(), "a frozen engine answers");
    host.thaw()?;
    eventually("the engine to answer again", SOON, || async { Ok(docker.ping().await.map(drop)?) }).await?;

    host.kill_engine();
    ensure!(docker.ping().await.is_err(), "a dead engine answers");
    host.start_engine().await?;
    ensure!(!is_running(&host, "one").await?, "without live-restore containers end with their engine");
    docker.start_container("one", None::<StartContainerOptions>).await?;
    host.restart_engine().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_the_oldest_engine_survives_faults() -> Result<()> {
    if !can_run(&[Part::Docker]) {
        return Ok(());
    }
    host_survives_faults(Engine::V20_10, "20.10").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_a_newer_engine_survives_faults() -> Result<()> {
    if !can_run(&[Part::NewerDocker]) {
        return Ok(());
    }
    host_survives_faults(Engine::V26_1, "26.1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_tells_good_certificates_from_bad() -> Result<()> {
    if !can_run(&[Part::Docker]) {
        return Ok(());
    }
    let mut host = DockerHost::start().await?;
    let dir = tempfile::tempdir()?;
    let identity = host.client_identity()?;
    let run = Run::current()?;
    for (file, content) in [("ca", run.authority()?.pem()), ("cert", identity.cert), ("key", identity.key)] {
        fs::write(dir.path().join(file), content)?;
    }
    let (key, cert, ca) = (dir.path().join("key"), dir.path().join("cert"), dir.path().join("ca"));
    let ping = async |host: &DockerHost| {
        let docker =
            bollard::Docker::connect_with_ssl(&host.tls_endpoint(), &key, &cert, &ca, 5, bollard::API_DEFAULT_VERSION)?;
        docker.ping().await
    };
    ping(&host).await?;
    for bad in [ServerCertificate::Expired, ServerCertificate::WrongName, ServerCertificate::UnknownAuthority] {
        host.set_certificate(bad)?;
        host.restart_engine().await?;
        ensure!(ping(&host).await.is_err(), "{bad:?} is accepted");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_fills_up() -> Result<()> {
    if !can_run(&[Part::Docker]) {
        return Ok(());
    }
    let host = DockerHost::with(HostOptions { disk: Some(64), ..HostOptions::default() }).await?;
    host.load(&Image::new("lab/small:1")).await?;
    host.fill_disk(100)?;
    let big = Image::new("lab/big:1").file("big", vec![7; 4 << 20], 0o644);
    ensure!(host.load(&big).await.is_err(), "there is room on a full disk");
    host.free_disk()?;
    host.load(&big).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_wants_a_login() -> Result<()> {
    if !can_run(&[Part::Docker, Part::Registry]) {
        return Ok(());
    }
    let (host, registry) = (DockerHost::start().await?, Registry::start().await?);
    let digest = registry.push(&host, &Image::new("lab/pushed:1"), "team/web:1").await?;
    registry.check("team/web", "1")?;
    let name = registry.reference("team/web:1");
    let docker = host.docker()?;
    let pull = async |login: Option<bollard::auth::DockerCredentials>| {
        let options = bollard::query_parameters::CreateImageOptionsBuilder::default().from_image(&name).build();
        futures::TryStreamExt::try_collect::<Vec<_>>(docker.create_image(Some(options), None, login)).await
    };
    let (username, password) = registry.login();
    let login = bollard::auth::DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        ..Default::default()
    };
    ensure!(pull(None).await.is_err(), "pulled without a login");
    pull(Some(login.clone())).await?;
    docker.remove_image(&name, None::<bollard::query_parameters::RemoveImageOptions>, None).await?;
    registry.stop();
    ensure!(pull(Some(login.clone())).await.is_err(), "pulled from a registry that is down");
    registry.resume().await?;
    pull(Some(login)).await?;
    registry.delete("team/web", &digest)?;
    ensure!(registry.check("team/web", "1").is_err(), "a deleted manifest is there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_leads_to_the_hosts_engine() -> Result<()> {
    if !can_run(&[Part::Docker, Part::Ssh]) {
        return Ok(());
    }
    let host = DockerHost::start().await?;
    let ssh = SshHost::start(&host).await?;
    let known = host.dir().join("known_hosts");
    fs::write(&known, ssh.known_hosts()?)?;
    let says = slipway_e2e::lab::run::output(
        std::process::Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg("-i")
            .arg(ssh.client_key())
            .arg(format!("root@{}", host.v4()))
            .args(["docker", "info", "--format", "{{.Name}}"]),
    )?;
    ensure!(says.trim() == host.name(), "{says}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_acts_at_the_named_call() -> Result<()> {
    if !can_run(&[Part::Docker]) {
        return Ok(());
    }
    let host = DockerHost::start().await?;
    let image = Image::new("lab/sleeper:1");
    host.load(&image).await?;
    let proxy = Proxy::engine(&host).await?;
    let docker =
        bollard::Docker::connect_with_unix(&proxy.socket()?.to_string_lossy(), 20, bollard::API_DEFAULT_VERSION)?
            .negotiate_version()
            .await?;
    let create = async |name: &str| {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        docker.create_container(Some(options), sleeper(&image)).await
    };

    let victim = slipway_e2e::lab::process::Daemon::start(
        "victim",
        {
            let mut sleep = Run::current()?.command("sleep");
            sleep.arg("600");
            sleep
        },
        &host.dir().join("victim.log"),
    )?;
    proxy.after("container-create", 2, Action::Kill(victim.pid()));
    create("first").await?;
    ensure!(is_alive(victim.pid()), "killed at the first call");
    ensure!(create("second").await.is_err(), "the killed caller got a reply");
    ensure!(!is_alive(victim.pid()), "not killed at the second call");
    let all = ListContainersOptionsBuilder::default().all(true).build();
    ensure!(docker.list_containers(Some(all)).await?.len() == 2, "after the call means that it was made");

    proxy.before("container-create", 1, Action::Answer(500));
    ensure!(create("third").await.is_err());
    create("third").await?;
    proxy.before("container-start", 1, Action::Drop);
    ensure!(docker.start_container("third", None::<StartContainerOptions>).await.is_err());
    docker.start_container("third", None::<StartContainerOptions>).await?;
    ensure!(proxy.count("container-create") == 4 && proxy.changes()["container-start"] == 2);

    // A stream without an end passes through while other calls do.
    let mut events = Box::pin(docker.events(None::<bollard::query_parameters::EventsOptions>));
    let remove = RemoveContainerOptionsBuilder::default().force(true).build();
    let watched = tokio::time::timeout(SOON, futures::StreamExt::next(&mut events));
    let (event, removed) = tokio::join!(watched, async {
        eventually("the event stream to stand", SOON, || async {
            ensure!(proxy.count("events") > 0);
            Ok(())
        })
        .await?;
        anyhow::Ok(docker.remove_container("third", Some(remove)).await?)
    });
    removed?;
    event?.context("the stream has ended")??;

    proxy.cut();
    ensure!(docker.ping().await.is_err(), "a proxy that is cut answers");
    proxy.mend();
    docker.ping().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_counts_writes_to_the_api_server() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let cluster = Cluster::start().await?;
    let proxy = Proxy::api(&cluster).await?;
    let client = slipway_e2e::lab::cluster::client_of(&proxy.kubeconfig()?).await?;
    let maps = Api::<ConfigMap>::namespaced(client, "default");
    let hooked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let hook = Arc::clone(&hooked);
    proxy.before("create configmaps", 1, Action::hook(move |_| hook.store(true, std::sync::atomic::Ordering::Relaxed)));
    let metadata = ObjectMeta { name: Some("made".to_owned()), ..ObjectMeta::default() };
    maps.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await?;
    maps.get("made").await?;
    ensure!(hooked.load(std::sync::atomic::Ordering::Relaxed), "the hook did not run");
    ensure!(proxy.changes().into_iter().eq([("create configmaps".to_owned(), 1)]), "{:?}", proxy.changes());
    Ok(())
}

/// Names of the run's links, and how many processes bear its mark.
fn traces(slot: u8, dir: &Path) -> Result<(BTreeSet<String>, usize)> {
    let links = fs::read_dir("/sys/class/net")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<BTreeSet<_>>>()?;
    let mark = format!("{MARK}={}", dir.display());
    let marked = fs::read_dir("/proc")?
        .filter_map(|entry| fs::read(entry.ok()?.path().join("environ")).ok())
        .filter(|environ| environ.split(|&byte| byte == 0).any(|pair| pair == mark.as_bytes()))
        .count();
    let links =
        links.into_iter().filter(|link| link == &format!("sliplab{slot}") || link.starts_with(&format!("slip{slot}-")));
    Ok((links.collect(), marked))
}

/// In a process of its own, as this one holds its slot for as long as other tests run: kills it in the middle and looks at what is left.
#[test]
fn nothing_is_left_of_a_run_that_is_killed() -> Result<()> {
    const CHILD: &str = "LAB_SMOKE_CHILD";
    if !can_run(&[Part::Docker, Part::Cluster]) {
        return Ok(());
    }
    if let Some(report) = std::env::var_os(CHILD) {
        return tokio::runtime::Runtime::new()?.block_on(async {
            let _cluster = Cluster::start().await?;
            let host = DockerHost::start().await?;
            let image = Image::new("lab/sleeper:1");
            host.load(&image).await?;
            start_container(&host, &image, "left").await?;
            let run = Run::current()?;
            let partial = Path::new(&report).with_extension("partial");
            fs::write(&partial, format!("{}\n{}", run.slot(), run.dir().display()))?;
            fs::rename(&partial, &report)?;
            std::future::pending().await
        });
    }
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("run");
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "nothing_is_left_of_a_run_that_is_killed", "--nocapture"])
        .env(CHILD, &report)
        .spawn()?;
    let deadline = std::time::Instant::now() + Duration::from_mins(2);
    let told = loop {
        if let Ok(told) = fs::read_to_string(&report) {
            break told;
        }
        ensure!(child.try_wait()?.is_none(), "the child has ended");
        ensure!(std::time::Instant::now() < deadline, "the child was not ready in time");
        std::thread::sleep(Duration::from_millis(50));
    };
    let (slot, dir) = told.split_once('\n').context("no directory")?;
    let (slot, dir) = (slot.parse()?, Path::new(dir));
    let (links, processes) = traces(slot, dir)?;
    ensure!(links.len() >= 2 && processes >= 4, "nothing runs: {links:?}, {processes}");
    child.kill()?;
    child.wait()?;
    let deadline = std::time::Instant::now() + Duration::from_mins(2);
    loop {
        let (links, processes) = traces(slot, dir)?;
        let mounts = fs::read_to_string("/proc/mounts")?.matches(&format!("{}/", dir.display())).count();
        if links.is_empty() && processes == 0 && mounts == 0 && !dir.exists() {
            return Ok(());
        }
        ensure!(
            std::time::Instant::now() < deadline,
            "left: links {links:?}, {processes} processes, {mounts} mounts, directory {}",
            dir.exists()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
