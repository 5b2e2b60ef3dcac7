//! `kubectl slipway` on a real API server, with the operator, a BMC and Docker engines; operator and users run as service accounts with
//! the rights of `manifests/rbac`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use slipway_api::{ContainerService, Node};
use slipway_e2e::lab::assets::repository;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::pages;
use slipway_e2e::lab::run::Run;
use slipway_e2e::lab::{DockerHost, Image, IpmiSim, Operator, Part, can_run, eventually, operator, with_namespace};

const SOON: Duration = Duration::from_mins(2);

/// What a verb printed.
#[derive(Debug)]
struct Printed {
    out: String,
    err: String,
    code: i32,
}

impl Printed {
    fn ok(self) -> Result<Self> {
        ensure!(self.code == 0, "exit code {}: {}{}", self.code, self.out, self.err);
        Ok(self)
    }

    fn says(&self, words: &[&str]) -> Result<()> {
        let all = format!("{}{}", self.out, self.err);
        let missing: Vec<_> = words.iter().filter(|word| !all.contains(**word)).collect();
        ensure!(missing.is_empty(), "{missing:?} is not in\n{all}");
        ensure!(!self.out.contains('\u{1b}'), "colour in what is piped: {:?}", self.out);
        Ok(())
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {}{}", self.out, self.err))
    }
}

/// The plugin, as kubectl runs it.
struct Plugin {
    program: PathBuf,
    namespace: String,
}

impl Plugin {
    fn of(ns: &TestNamespace) -> Result<Self> {
        let folder = Run::current()?.subdir("plugin")?;
        let program = folder.join("kubectl-slipway");
        if !program.exists() {
            std::os::unix::fs::symlink(operator::binary()?, &program)?;
        }
        Ok(Self { program, namespace: ns.name.clone() })
    }

    fn command(&self, kubeconfig: &Path, verb: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(verb).args(["-n", &self.namespace, "--system-namespace", &self.namespace]);
        command.arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }

    fn run(&self, kubeconfig: &Path, verb: &[&str]) -> Result<Printed> {
        let output = self.command(kubeconfig, verb).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().context("killed")?;
        Ok(Printed { out: text(output.stdout), err: text(output.stderr), code })
    }
}

/// Applies the manifests of the repository's folder, to this namespace in place of slipway-system.
fn apply_rights(ns: &TestNamespace) -> Result<()> {
    for file in ["operator", "viewer", "approver"] {
        let path = repository().join(format!("manifests/rbac/{file}.yaml"));
        let text = std::fs::read_to_string(&path)?.replace("slipway-system", &ns.name);
        let copy = Run::current()?.subdir("rbac")?.join(format!("{file}.yaml"));
        std::fs::write(&copy, text)?;
        ns.cluster.kubectl(&["apply", "-f", &copy.display().to_string()])?;
    }
    Ok(())
}

/// Binds roles to an account, and returns a kubeconfig with its token.
async fn account(ns: &TestNamespace, name: &str, roles: &[(&str, &str)]) -> Result<PathBuf> {
    let accounts = ns.api::<ServiceAccount>();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    accounts.patch(name, &PatchParams::apply("test"), &Patch::Apply(&account)).await?;
    for (kind, role) in roles {
        let user = format!("{}:{name}", ns.name);
        let binding = format!("{name}-{role}");
        ns.cluster.kubectl(&[
            "create",
            "rolebinding",
            &binding,
            "-n",
            &ns.name,
            &format!("--{kind}={role}"),
            &format!("--serviceaccount={user}"),
        ])?;
    }
    let request = TokenRequest::default();
    let token = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    let token = token.status.context("no token")?.token;
    ns.cluster.token_kubeconfig(&format!("{}-{name}", ns.name), &token)
}

/// The endpoint of the Service, as its controller would make it. The API server connects to Pods alone, so one stands for the operator.
fn connect_service(ns: &TestNamespace, address: &str, port: u16) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "slipway", "namespace": ns.name},
        "spec": {"containers": [{"name": "slipway", "image": "slipway"}]},
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "slipway", "namespace": ns.name},
        "subsets": [{
            "addresses": [{"ip": address, "targetRef": {"kind": "Pod", "name": "slipway", "namespace": ns.name}}],
            "ports": [{"name": "live", "port": port}],
        }],
    });
    for (name, object) in [("pod", pod), ("endpoints", endpoints)] {
        let path = Run::current()?.subdir("rbac")?.join(format!("{name}.json"));
        std::fs::write(&path, object.to_string())?;
        ns.cluster.kubectl(&["apply", "-f", &path.display().to_string()])?;
    }
    let runs = json!({"status": {"podIP": address, "podIPs": [{"ip": address}]}}).to_string();
    ns.cluster.kubectl(&[
        "patch",
        "pod",
        "slipway",
        "-n",
        &ns.name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &runs,
    ])?;
    Ok(())
}

async fn apply<K>(ns: &TestNamespace, name: &str, object: &Value) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = ns.api();
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await?;
    Ok(())
}

async fn node(ns: &TestNamespace, name: &str, labels: &Value, spec: &Value) -> Result<()> {
    let object = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec});
    apply::<Node>(ns, name, &object).await
}

/// What all of it runs on.
struct Bed {
    ns: Arc<TestNamespace>,
    plugin: Plugin,
    operator: Arc<Operator>,
    bmc: IpmiSim,
    hosts: Vec<DockerHost>,
    live: String,
    viewer: PathBuf,
    approver: PathBuf,
    nobody: PathBuf,
}

impl Bed {
    async fn make(ns: Arc<TestNamespace>) -> Result<Self> {
        apply_rights(&ns)?;
        let run = Run::current()?;
        run.bridge()?;
        let (address, port) = (run.gateway().to_string(), run.port()?);
        connect_service(&ns, &address, port)?;
        let of_operator = account(&ns, "slipway", &[]).await?;
        let sees = [("clusterrole", "slipway-viewer"), ("role", "slipway-live-reader")];
        let viewer = account(&ns, "viewer", &sees).await?;
        let approver = account(&ns, "approver", &[("clusterrole", "slipway-approver")]).await?;
        // May reach the operator and read objects, and has no right to what is live.
        let nobody =
            account(&ns, "nobody", &[("role", "slipway-live-reader"), ("clusterrole", "slipway-approver")]).await?;
        let bmc = IpmiSim::start().await?;
        let login = json!({"metadata": {"name": "login"}, "stringData": {"username": "admin", "password": "secret"}});
        ns.create_secret(&serde_json::from_value(login)?).await?;
        let chatty = Image::new("lab/chatty:1").command(&[
            "/bin/sh",
            "-c",
            "echo out of $HOSTNAME; echo err of it >&2; trap 'exit 0' TERM; while :; do sleep 1 & wait; done",
        ]);
        let mut hosts = Vec::new();
        for number in 0..2 {
            let host = DockerHost::start().await?;
            host.load(&chatty).await?;
            let mut node = host.unix_node(&format!("h{number}"));
            node.metadata.labels = Some([("role".to_owned(), "web".to_owned())].into());
            ns.create(&node).await?;
            hosts.push(host);
        }
        let live = format!("{address}:{port}");
        let operator = Arc::new(Operator::spawn(
            Some(&of_operator),
            &["--namespace", &ns.name, "--system-namespace", &ns.name, "--live-address", &live],
        )?);
        ns.watch_log(&operator);
        operator.wait_ready().await?;
        let plugin = Plugin::of(&ns)?;
        Ok(Self { ns, plugin, operator, bmc, hosts, live, viewer, approver, nobody })
    }

    fn view(&self, verb: &[&str]) -> Result<Printed> {
        self.plugin.run(&self.viewer, verb)
    }

    fn spec(&self, more: &Value) -> Value {
        let mut spec = json!({"bmc": {"address": format!("ipmi://{}", self.bmc.address()), "credentials": {"secretRef": {"name": "login"}}}});
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_does_what_it_says_with_the_rights_of_the_manifests() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Docker, Part::Ipmi]) {
        return Ok(());
    }
    with_namespace(async |ns| {
        let bed = Bed::make(ns).await?;
        nodes(&bed).await?;
        managed(&bed).await?;
        documented(&bed).await?;
        services(&bed).await?;
        live(&bed)?;
        why(&bed).await
    })
    .await
}

/// power, plan, approve, inventory, and `why` of a Node that is well.
async fn nodes(bed: &Bed) -> Result<()> {
    let (ns, plugin) = (&bed.ns, &bed.plugin);
    node(ns, "n20", &json!({}), &bed.spec(&json!({"approval": "Always"}))).await?;
    ns.wait_condition::<Node>("n20", "Ready", "True", SOON).await?;
    bed.view(&["why", "node/n20"])?.ok()?.says(&["✓ node/n20", "Reconciled"])?;
    let refused = bed.view(&["power", "on", "node/n20"])?;
    ensure!(refused.code == 1, "{refused:?}");
    refused.says(&["forbidden"])?;

    plugin.run(&bed.approver, &["power", "on", "node/n20"])?.ok()?.says(&["node/n20", "power: \"On\""])?;
    ns.wait_for("n20", "a plan that waits", SOON, |node: &Node| {
        node.status.as_ref().and_then(|status| status.plan.as_ref()).is_some_and(|plan| plan.waiting)
    })
    .await?;
    let planned = bed.view(&["plan", "node/n20"])?;
    ensure!(planned.code == 3, "a plan that waits has its own code: {planned:?}");
    planned.says(&["waits for an approval", "1. ", "ApprovalNeeded"])?;
    bed.view(&["why", "node/n20"])?.says(&["plan/", "To do:", "kubectl slipway approve node/n20"])?;
    let hash =
        bed.view(&["plan", "node/n20", "-o", "json"])?.json()?["plan"]["hash"].as_str().context("no hash")?.to_owned();
    let other = plugin.run(&bed.approver, &["approve", "node/n20", "--hash", "0123456789ab"])?;
    ensure!(other.code == 3, "{other:?}");
    ensure!(!bed.bmc.is_on()?, "nothing was approved");
    let approved = plugin.run(&bed.approver, &["approve", "node/n20", "--hash", &hash, "-o", "yaml"])?.ok()?;
    approved.says(&["written: true", &hash])?;
    eventually("the machine to be on", SOON, || async {
        ensure!(bed.bmc.is_on()?, "it is off");
        Ok(())
    })
    .await?;
    ns.wait_condition::<Node>("n20", "Ready", "True", SOON).await?;
    let none = plugin.run(&bed.approver, &["approve", "node/n20"])?;
    ensure!(none.code == 3, "{none:?}");
    bed.view(&["plan", "node/n20"])?.ok()?.says(&["nothing to do"])?;

    let again = plugin.run(&bed.approver, &["power", "on", "node/n20"])?.ok()?;
    again.says(&["asks for that already"])?;
    eventually("the inventory", SOON, || async { bed.view(&["inventory", "node/n20"])?.ok().map(drop) }).await?;
    let inventory = bed.view(&["inventory", "node/n20", "-o", "json"])?.ok()?.json()?;
    ensure!(inventory.is_object(), "{inventory}");
    let missing = bed.view(&["why", "node/nobody"])?;
    ensure!(missing.code == 1, "{missing:?}");
    missing.says(&["there is no Node nobody"])
}

/// On an object of Argo CD the change is printed, and nothing is written.
async fn managed(bed: &Bed) -> Result<()> {
    let (ns, plugin) = (&bed.ns, &bed.plugin);
    let tracking = json!({"metadata": {"annotations": {
        "argocd.argoproj.io/tracking-id": format!("site:slipway.dev/Node:{}/n20", ns.name)}}});
    ns.api::<Node>().patch("n20", &PatchParams::default(), &Patch::Merge(&tracking)).await?;
    let printed = plugin.run(&bed.approver, &["power", "reboot", "node/n20", "--force"])?;
    ensure!(printed.code == 4, "{printed:?}");
    printed.says(&["Argo CD", "application site", "--write"])?;
    let change: Value = serde_saphyr::from_str(&printed.out)?;
    ensure!(change["kind"] == "Node" && change["spec"]["reboot"]["mode"] == "Force", "{change}");
    let untouched = ns.api::<Node>().get("n20").await?;
    ensure!(untouched.spec.reboot.is_none(), "it was written: {:?}", untouched.spec.reboot);
    plugin.run(&bed.approver, &["power", "reboot", "node/n20", "--force", "--write"])?.ok()?;
    let written = ns.api::<Node>().get("n20").await?;
    ensure!(written.spec.reboot.is_some(), "--write did not write");
    Ok(())
}

/// What docs/kubectl.md shows of `power` and `plan` is what they print.
async fn documented(bed: &Bed) -> Result<()> {
    let is_shown = |verb: &str, printed: &str| {
        let shown = pages::alike(&pages::shown("docs/kubectl.md", &format!("kubectl slipway {verb}"))?);
        let printed = printed.replace(&bed.ns.name, "lab");
        ensure!(shown == pages::alike(&printed), "docs/kubectl.md does not show what `{verb}` prints:\n{printed}");
        Ok(())
    };
    let wrote = bed.plugin.run(&bed.approver, &["power", "reboot", "node/n20", "--force", "--write"])?.ok()?;
    is_shown("power reboot node/n20 --force", &wrote.out)?;
    let is_planned = |node: &Node| {
        let status = node.status.clone().unwrap_or_default();
        status.observed_generation == node.metadata.generation && status.plan.is_some_and(|plan| plan.waiting)
    };
    bed.ns.wait_for("n20", "a plan of the restart", SOON, is_planned).await?;
    is_shown("plan node/n20", &bed.view(&["plan", "node/n20"])?.out)
}

/// tree, and logs of two hosts.
async fn services(bed: &Bed) -> Result<()> {
    let service = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ContainerService", "metadata": {"name": "web"},
        "spec": {"placement": {"nodeSelector": {"matchLabels": {"role": "web"}}},
                 "images": {"pullPolicy": "Never"},
                 "compose": {"services": {"app": {"image": "lab/chatty:1", "stop_grace_period": "1s"}}}},
    });
    apply::<ContainerService>(&bed.ns, "web", &service).await?;
    bed.ns.wait_condition::<ContainerService>("web", "Ready", "True", SOON).await?;
    let tree = bed.view(&["tree"])?.ok()?;
    tree.says(&["node/n20", "node/h0", "node/h1", "└─ ✓ csvc/web", "2/2 on 2 hosts"])?;
    let part = bed.view(&["tree", "csvc/web", "-o", "json"])?.ok()?.json()?;
    ensure!(part.as_array().is_some_and(|roots| roots.len() == 2), "the way to it: {part}");

    let logs = bed.view(&["logs", "csvc/web"])?.ok()?;
    logs.says(&["h0 web-app-1 | out of", "h1 web-app-1 | out of", "h0 web-app-1 | err of it"])?;
    let one = bed.view(&["logs", "csvc/web", "--node", "h1", "--tail", "1", "-o", "json"])?.ok()?;
    let line: Value = serde_json::from_str(one.out.trim())?;
    ensure!(line["node"] == "h1" && line["service"] == "app" && line["at"].is_string(), "{line}");
    let later = bed.view(&["logs", "csvc/web", "--since", "2099-01-01T00:00:00Z"])?.ok()?;
    ensure!(later.out.is_empty(), "{later:?}");
    follow(bed).await
}

/// A log that is followed shows what is written later, also by a container that was made anew, and ends with its reader.
async fn follow(bed: &Bed) -> Result<()> {
    let mut command = bed.plugin.command(&bed.viewer, &["logs", "csvc/web", "-f", "--tail", "0", "--node", "h0"]);
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut out = tokio::process::ChildStdout::from_std(follower.stdout.take().context("no stdout")?)?;
    let say = |text: &str| {
        bed.hosts[0].exec(
            "docker",
            &[
                "-H",
                &format!("unix://{}", bed.hosts[0].socket().display()),
                "exec",
                "web-app-1",
                "sh",
                "-c",
                &format!("echo {text} > /proc/1/fd/1"),
            ],
        )
    };
    let mut seen = Vec::new();
    for word in ["first-word", "second-word"] {
        read_until(&mut out, &mut seen, word, || say(word).map(drop)).await?;
        if word == "first-word" {
            bed.hosts[0].exec(
                "docker",
                &["-H", &format!("unix://{}", bed.hosts[0].socket().display()), "restart", "-t", "0", "web-app-1"],
            )?;
        }
    }
    let _ = follower.kill();
    follower.wait()?;
    // It is gone, and so is what the operator read for it.
    eventually("the operator to let the log go", SOON, || async {
        let open = open_connections(&bed.live)?;
        ensure!(open == 0, "{open} connections are open");
        Ok(())
    })
    .await
}

/// Reads until a word has come; says it again and again, as it may be said before anybody listens.
async fn read_until(
    out: &mut tokio::process::ChildStdout,
    seen: &mut Vec<u8>,
    word: &str,
    say: impl Fn() -> Result<()>,
) -> Result<()> {
    use tokio::io::AsyncReadExt;
    let deadline = tokio::time::Instant::now() + SOON;
    while !String::from_utf8_lossy(seen).contains(word) {
        ensure!(tokio::time::Instant::now() < deadline, "{word} did not come: {}", String::from_utf8_lossy(seen));
        // The container may be on its way down.
        let _ = say();
        let mut piece = [0; 4096];
        if let Ok(read) = tokio::time::timeout(Duration::from_secs(1), out.read(&mut piece)).await {
            let count = read?;
            ensure!(count > 0, "the log has ended: {}", String::from_utf8_lossy(seen));
            seen.extend_from_slice(&piece[..count]);
        }
    }
    Ok(())
}

/// Connections to an address of this machine that stand.
fn open_connections(address: &str) -> Result<usize> {
    let listed = Command::new("ss").args(["-Htn", "state", "established", "src", address]).output()?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().count())
}

/// sel, and who may not.
fn live(bed: &Bed) -> Result<()> {
    let sel = bed.view(&["sel", "node/n20", "-o", "json"])?.ok()?;
    let entries = sel.json()?;
    ensure!(entries["items"].as_array().is_some_and(|items| !items.is_empty()), "{entries}");
    let told = bed.view(&["sel", "node/n20", "--limit", "1"])?.ok()?;
    ensure!(told.out.lines().count() == 1, "one entry, one line: {told:?}");

    for verb in [["sel", "node/n20"], ["logs", "csvc/web"]] {
        let refused = bed.plugin.run(&bed.nobody, &verb)?;
        ensure!(refused.code == 1, "{refused:?}");
        refused.says(&["403 Forbidden", &format!("system:serviceaccount:{}:nobody", bed.ns.name)])?;
    }
    let no_way = bed.plugin.run(&bed.approver, &["sel", "node/n20"])?;
    ensure!(no_way.code == 1, "{no_way:?}");
    no_way.says(&["services/proxy", "--server"])?;

    // The lab's administrator has a client certificate, which cannot be passed on.
    let admin = bed.ns.cluster.kubeconfig();
    let no_token = bed.plugin.run(&admin, &["sel", "node/n20"])?;
    ensure!(no_token.code == 1, "{no_token:?}");
    no_token.says(&["--service-account"])?;
    bed.plugin.run(&admin, &["sel", "node/n20", "--service-account", "viewer"])?.ok()?;
    let as_nobody = bed.plugin.run(&admin, &["sel", "node/n20", "--service-account", "nobody"])?;
    ensure!(as_nobody.code == 1, "{as_nobody:?}");
    as_nobody.says(&["403 Forbidden"])?;

    // Straight to it, known by what was published; by another certificate it is not.
    let server = format!("https://{}", bed.live);
    bed.view(&["sel", "node/n20", "--server", &server])?.ok()?;
    let other = Run::current()?.subdir("rbac")?.join("other-ca.pem");
    std::fs::write(&other, Run::current()?.authority()?.pem())?;
    let distrusted =
        bed.view(&["sel", "node/n20", "--server", &server, "--server-ca", &other.display().to_string()])?;
    ensure!(distrusted.code == 1, "{distrusted:?}");
    distrusted.says(&["certificate"])?;

    let log = bed.operator.log_text();
    ensure!(!log.contains("eyJ"), "a token is in the log");
    Ok(())
}

/// `why` of what is not well, and while nobody acts.
async fn why(bed: &Bed) -> Result<()> {
    let spec = json!({"bmc": {"address": "ipmi://127.0.0.1:9", "credentials": {"secretRef": {"name": "not-there"}}}, "power": "On"});
    node(&bed.ns, "n21", &json!({}), &spec).await?;
    bed.ns.wait_condition::<Node>("n21", "Ready", "False", SOON).await?;
    let admin = bed.ns.cluster.kubeconfig();
    let missing = bed.plugin.run(&admin, &["why", "node/n21"])?.ok()?;
    missing.says(&["secret/not-there", "Cause:", "Next try:  when Secret not-there is created", "To do:"])?;
    bed.hosts[1].kill_engine();
    bed.ns.wait_condition::<Node>("h1", "Ready", "False", SOON).await?;
    eventually("why of the service to lead to the host", SOON, || async {
        bed.view(&["why", "csvc/web"])?.says(&["csvc/web", "node/h1", "docker unix://", "Since:", "by itself within"])
    })
    .await?;
    let chain = bed.view(&["why", "csvc/web", "-o", "json"])?.ok()?.json()?;
    ensure!(chain["chain"][1]["object"] == "node/h1" && chain["ready"] == false, "{chain}");

    bed.operator.stop(SOON)?;
    bed.view(&["why", "node/h1"])?.ok()?.says(&["operator", "NoOperator", "no operator runs"])?;
    let down = bed.view(&["sel", "node/n20"])?;
    ensure!(down.code == 1, "{down:?}");
    Ok(())
}
