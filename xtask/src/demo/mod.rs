//! `cargo xtask demo`: the whole of Slipway on this machine, and `demo-down`, which leaves nothing of it.

mod engine;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipway_api::{ContainerService, Node};
use slipway_e2e::lab::{Image, assets, eventually};

use crate::lab::{Lab, Progress, Serve, State, client};
use engine::Engine;

const NAMESPACE: &str = "slipway-demo";
const SERVICE: &str = "visits";
const NODE: &str = "here";
/// As in manifests/demo.
const IMAGE: &str = "slipway-demo:1";
const PORT: u16 = 8088;
const READY: Duration = Duration::from_mins(2);

/// Build Slipway, start an API server and the operator, and run a service on Docker.
#[derive(clap::Args)]
pub struct Args {
    /// Use this context of your kubeconfig in place of an API server of the demo's own.
    #[arg(long)]
    context: Option<String>,
    /// Start a Docker engine of the demo's own, even if one runs on this machine. Takes root.
    #[arg(long)]
    own_engine: bool,
    #[command(flatten)]
    which: Which,
}

/// Which demo, where there is more than one on this machine.
#[derive(clap::Args)]
pub struct Which {
    /// A name of its own: a folder below .lab.
    #[arg(long, default_value = "demo", hide = true)]
    name: String,
}

/// Brings the demo up. Up already is fine, and so is one that was interrupted.
pub fn up(args: &Args) -> Result<()> {
    let began = Instant::now();
    tokio::runtime::Runtime::new()?.block_on(async {
        let lab = Lab::named(&args.which.name);
        if let Some(state) = lab.state()? {
            if state.context != args.context {
                bail!("the demo is up on another cluster; take it down first: make demo-down");
            }
            if lab.running()?.is_none() {
                // It was killed, with its cluster: nobody else will remove what it made.
                engine::sweep(&state).await?;
            }
        }
        let engine = if args.own_engine { Engine::of_the_demo()? } else { Engine::find().await? };
        let hosts = u8::from(matches!(engine, Engine::OfTheDemo));
        let state = lab.start(&Serve { name: args.which.name.clone(), hosts, context: args.context.clone() })?;
        let engine = engine::Reached::of(&engine, &state)?;
        step("making the demo image");
        engine.load(&image()?).await?;
        step("applying manifests/demo");
        let client = client(state.kubeconfig.as_deref(), state.context.as_deref()).await?;
        apply(&client, &engine).await?;
        wait_ready::<Node>(&client, NODE).await?;
        wait_ready::<ContainerService>(&client, SERVICE).await?;
        prove(&client, &engine).await?;
        tell(&state, &engine, began)
    })
}

/// Takes the demo down, with all that belongs to it.
pub fn down(which: &Which) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let lab = Lab::named(&which.name);
        if let Some(state) = lab.running()? {
            let client = client(state.kubeconfig.as_deref(), state.context.as_deref()).await?;
            delete::<ContainerService>(&client, SERVICE).await?;
            delete::<Node>(&client, NODE).await?;
            if state.context.is_some() {
                step("deleting the namespace; the CRDs and the namespace slipway-system stay in your cluster");
                let api = Api::<k8s_openapi::api::core::v1::Namespace>::all(client);
                api.delete(NAMESPACE, &DeleteParams::default()).await?;
            }
        }
        if let Some(state) = lab.state()? {
            engine::sweep(&state).await?;
        }
        lab.stop()?;
        eprintln!("demo: down; nothing of it is left but installed packages and the caches of cargo and Go");
        Ok(())
    })
}

fn step(what: &str) {
    eprintln!("demo: {what}");
}

/// The image of all services of the demo.
fn image() -> Result<Image> {
    let dir = assets::repository().join("manifests/demo/image");
    let read = |name: &str| std::fs::read(dir.join(name)).with_context(|| format!("cannot read {name}"));
    Ok(Image::new(IMAGE)
        .file("store/cgi-bin/visits", read("store.sh")?, 0o755)
        .file("web/cgi-bin/index.cgi", read("web.sh")?, 0o755)
        .file("web/healthz", "ok\n", 0o644))
}

/// Applies the manifests, with the Node's endpoint where the engine really is.
async fn apply(client: &Client, engine: &engine::Reached) -> Result<()> {
    let dir = assets::repository().join("manifests/demo");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path)?;
        let mut object: DynamicObject =
            serde_saphyr::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        let types = object.types.clone().with_context(|| format!("{} has no kind", path.display()))?;
        if types.kind == Node::kind(&()) {
            object.data["spec"]["docker"]["endpoint"] = engine.endpoint().into();
        }
        let resource = resource_of(&types.kind)?;
        let api = match object.namespace() {
            Some(namespace) => Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource),
            None => Api::<DynamicObject>::all_with(client.clone(), &resource),
        };
        let params = PatchParams::apply("slipway-demo").force();
        api.patch(&object.name_any(), &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("cannot apply {}", path.display()))?;
    }
    Ok(())
}

fn resource_of(kind: &str) -> Result<kube::discovery::ApiResource> {
    use kube::discovery::ApiResource;
    match kind {
        "Namespace" => Ok(ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&())),
        "Node" => Ok(ApiResource::erase::<Node>(&())),
        "ContainerService" => Ok(ApiResource::erase::<ContainerService>(&())),
        other => bail!("the demo has no {other}"),
    }
}

/// Waits until an object is Ready as it is now, saying what it waits for.
async fn wait_ready<K>(client: &Client, name: &str) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), NAMESPACE);
    let what = format!("{} {name}", K::kind(&()));
    let mut progress = Progress::new("demo");
    let deadline = Instant::now() + READY;
    loop {
        let object = api.get(name).await?;
        let value = serde_json::to_value(&object)?;
        let status = &value["status"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
        let current = status["observedGeneration"].as_i64() == object.meta().generation;
        if current && ready["status"] == "True" {
            progress.say(&format!("{what} is ready"));
            return Ok(());
        }
        let why = ready["message"].as_str().unwrap_or("waiting for the operator").to_owned();
        if Instant::now() > deadline {
            bail!("{what} is not ready after {READY:?}: {why}\nTry again: make demo. Give up: make demo-down");
        }
        progress.say(&format!("{what}: {why}"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The service answers, writes to its store, and what it wrote survives that the store's container is removed.
async fn prove(client: &Client, engine: &engine::Reached) -> Result<()> {
    step("visiting the web service, removing the store's container, and visiting it again");
    let before = visit(engine).await?;
    engine.remove_container(NAMESPACE, SERVICE, "store").await?;
    wait_ready::<ContainerService>(client, SERVICE).await?;
    let after = eventually("the store to be back", Duration::from_mins(1), || visit(engine)).await?;
    ensure!(after > before, "visit {after} came after visit {before}: the store has lost data");
    step(&format!("visit {before}, then visit {after}: the data has survived"));
    Ok(())
}

/// One visit; its number.
async fn visit(engine: &engine::Reached) -> Result<u64> {
    let page = engine.get(PORT).await?;
    let number = page.rsplit("visit ").next().unwrap_or_default().trim().trim_end_matches('.');
    number.parse().with_context(|| format!("the web service answered: {}", page.trim()))
}

/// Deletes an object and waits until the operator has let it go.
async fn delete<K>(client: &Client, name: &str) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), NAMESPACE);
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        other => drop(other?),
    }
    let mut progress = Progress::new("demo");
    let deadline = Instant::now() + READY;
    while api.get_opt(name).await?.is_some() {
        progress.say(&format!("deleting {} {name}", K::kind(&())));
        ensure!(Instant::now() < deadline, "{} {name} is still there after {READY:?}", K::kind(&()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Says what there is to see and to try, and how to stop.
fn tell(state: &State, engine: &engine::Reached, began: Instant) -> Result<()> {
    let program = state.kubectl.as_deref().map_or_else(|| PathBuf::from("kubectl"), |dir| dir.join("kubectl"));
    let mut get = Command::new(&program);
    match (&state.kubeconfig, &state.context) {
        (Some(path), _) => get.arg("--kubeconfig").arg(path),
        (None, Some(context)) => get.args(["--context", context]),
        (None, None) => bail!("neither a cluster of its own nor a context"),
    };
    eprintln!("demo: up after {} s\n", began.elapsed().as_secs());
    println!("$ kubectl get slipway");
    let shown = get.args(["--namespace", NAMESPACE, "get", "slipway"]).status();
    if !shown.is_ok_and(|status| status.success()) {
        println!("(kubectl is not installed, or has failed)");
    }
    println!("\nTry next:");
    match (&state.kubeconfig, state.kubectl.as_deref().and_then(Path::to_str)) {
        (Some(path), Some(dir)) => println!("  export KUBECONFIG={} PATH={dir}:$PATH", path.display()),
        _ => println!("  alias kubectl='kubectl --context {}'", state.context.as_deref().unwrap_or_default()),
    }
    if !state.hosts.is_empty() {
        println!("  export DOCKER_HOST={}", engine.endpoint());
    }
    let address = engine.address();
    let change = r#"{"spec":{"compose":{"services":{"web":{"environment":{"GREETING":"Changed."}}}}}}"#;
    for (command, what) in [
        (format!("curl http://{address}:{PORT}"), "a visit"),
        ("docker ps".to_owned(), "what runs"),
        ("docker kill visits-web-1".to_owned(), "it is back at once"),
        (format!("kubectl -n {NAMESPACE} patch csvc {SERVICE} --type merge -p '{change}'"), "only web is made anew"),
        (format!("kubectl -n {NAMESPACE} describe csvc {SERVICE}"), "what is, and what happened"),
        (format!("kubectl -n {NAMESPACE} delete csvc {SERVICE}"), "and make demo brings it back"),
        (format!("tail -f {}", state.log.display()), "what the operator does"),
    ] {
        println!("  {command:<60}  # {what}");
    }
    println!("\nStop: make demo-down");
    Ok(())
}
