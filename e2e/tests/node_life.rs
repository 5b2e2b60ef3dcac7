//! What becomes of Nodes with a BMC in the course of their life: Secrets that go and come back, two Nodes with one BMC, Nodes that
//! are suspended or deleted while their BMC is dead, an operator that stops; and a hundred of them at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{
    Authority, IpmiSim, Operator, Part, ServerCertificate, Sushy, can_run, eventually, with_namespace,
};
use slipway_fakes::bmc::ipmi::{Effect, End, FakeIpmi, Fault, Privilege, Settings, User};
use slipway_fakes::bmc::redfish::{self, FakeRedfish, Flavour};
use slipway_fakes::bmc::{Happening, Identity, Machine, Power, Timing};
use slipway_fakes::faults;
use tokio::time::timeout;

const SOON: Duration = Duration::from_mins(3);
const PASSWORD: &str = "secret-123";

async fn fake(number: u16) -> Result<FakeIpmi> {
    let users = vec![User::new("admin", PASSWORD, Privilege::Administrator)];
    let machine = Machine::new(Identity::numbered(number), Timing::default());
    Ok(FakeIpmi::start(machine, Settings { users, ..Settings::default() }).await?)
}

async fn login(ns: &TestNamespace, name: &str, password: &str) -> Result<()> {
    let secret = json!({"metadata": {"name": name}, "stringData": {"username": "admin", "password": password}});
    ns.create_secret(&serde_json::from_value(secret)?).await
}

async fn apply(ns: &TestNamespace, name: &str, address: &str, more: &Value) -> Result<()> {
    let mut spec = json!({"bmc": {"address": address, "credentials": {"secretRef": {"name": "login"}}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let node = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
    ns.api::<Node>().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?;
    Ok(())
}

fn told(node: &Node) -> (String, String, String) {
    let conditions = node.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    ready.map(|ready| (ready.status, ready.reason, ready.message)).unwrap_or_default()
}

async fn until(ns: &TestNamespace, name: &str, reason: &str) -> Result<String> {
    let current = |node: &Node| {
        node.status.as_ref().and_then(|status| status.observed_generation) == node.metadata.generation
            && told(node).1 == reason
    };
    Ok(told(&ns.wait_for::<Node>(name, reason, SOON, current).await?).2)
}

fn asked(machine: &Machine) -> usize {
    machine.events().iter().filter(|event| matches!(event.what, Happening::Asked(..))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_goes_and_comes_back_stops_nothing_for_good() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let bmc = fake(1).await?;
    with_namespace(async |ns| {
        let _operator = ns.operator().await?;
        apply(&ns, "n", &format!("ipmi://{}", bmc.address()), &json!({"power": "On"})).await?;
        let message = until(&ns, "n", "SecretMissing").await?;
        ensure!(
            message.contains("Secret login, which spec.bmc.credentials names, is not there; create it"),
            "{message}"
        );
        login(&ns, "login", PASSWORD).await?;
        until(&ns, "n", "Reconciled").await?;
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = ns.api();
        secrets.delete("login", &DeleteParams::default()).await?;
        until(&ns, "n", "SecretMissing").await?;
        timeout(SOON, bmc.until_all_closed()).await.context("a session is left")?;
        login(&ns, "login", PASSWORD).await?;
        until(&ns, "n", "Reconciled").await?;
        ensure!(asked(&bmc.machine()) == 1, "{:?}", bmc.machine().events());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_one_bmc_both_say_so_and_the_one_that_stays_goes_on() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let bmc = fake(2).await?;
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let _operator = ns.operator().await?;
        let address = format!("ipmi://{}", bmc.address());
        apply(&ns, "a", &address, &json!({})).await?;
        until(&ns, "a", "Reconciled").await?;
        apply(&ns, "b", &address, &json!({"power": "On"})).await?;
        for (name, other) in [("a", "b"), ("b", "a")] {
            let message = until(&ns, name, "SameBmc").await?;
            ensure!(
                message.contains(&format!("{}/{other}", ns.name)) && message.contains("Delete all but one"),
                "{message}"
            );
        }
        ensure!(asked(&bmc.machine()) == 0, "neither acts");
        ns.api::<Node>().delete("a", &DeleteParams::default()).await?;
        until(&ns, "b", "Reconciled").await?;
        ensure!(bmc.machine().power() == Power::On, "it is off");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_is_watched_and_left_alone_and_a_cordon_keeps_no_power_away() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let (suspended, cordoned) = (fake(3).await?, fake(4).await?);
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let _operator = ns.operator().await?;
        let at = |bmc: &FakeIpmi| format!("ipmi://{}", bmc.address());
        apply(&ns, "suspended", &at(&suspended), &json!({"power": "On", "suspend": true})).await?;
        apply(&ns, "cordoned", &at(&cordoned), &json!({"power": "On", "cordon": true})).await?;
        let message = until(&ns, "suspended", "Suspended").await?;
        ensure!(message.contains("spec.suspend stops all action"), "{message}");
        until(&ns, "cordoned", "Cordoned").await?;
        ensure!(cordoned.machine().power() == Power::On, "a cordon is about placements");
        ensure!(asked(&suspended.machine()) == 0, "{:?}", suspended.machine().events());
        apply(&ns, "suspended", &at(&suspended), &json!({"power": "On"})).await?;
        until(&ns, "suspended", "Reconciled").await?;
        ensure!(asked(&suspended.machine()) == 1, "{:?}", suspended.machine().events());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_ends_at_its_deadline_though_the_bmc_is_dead_and_says_what_is_left() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let settings = redfish::Settings { password: PASSWORD.into(), ..redfish::Settings::of(Flavour::Idrac) };
    let bmc = FakeRedfish::start(Machine::new(Identity::numbered(5), Timing::default()), settings).await?;
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let _operator = ns.operator().await?;
        let address = format!("redfish+{}{}", bmc.url(), bmc.system());
        let image = "http://127.0.0.1/boot.iso";
        let more = json!({"virtualMedia": {"image": image}, "deletion": {"timeout": "5s"}});
        apply(&ns, "n", &address, &more).await?;
        until(&ns, "n", "Reconciled").await?;
        ensure!(bmc.image().as_deref() == Some(image), "it is not inserted");
        drop(bmc);
        let began = Instant::now();
        ns.api::<Node>().delete("n", &DeleteParams::default()).await?;
        ns.wait_gone::<Node>("n", SOON).await?;
        ensure!(began.elapsed() >= Duration::from_secs(4), "it did not wait");
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Event>(&());
        let events = Api::<DynamicObject>::namespaced_with(ns.client.clone(), &ns.name, &resource);
        eventually("an Event that says what is left", SOON, || async {
            let all = events.list(&ListParams::default()).await?;
            let left = |event: &DynamicObject| {
                event.data["reason"] == "DeletionAbandoned" && event.data["message"].to_string().contains(image)
            };
            all.iter().find(|event| left(event)).map(drop).context("no such Event")
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_stops_everything_and_is_said() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let authority = Authority::new("BMCs")?;
    let identity = || authority.server_of_kind(ServerCertificate::Valid, &[IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let (first, other) = (identity()?, identity()?);
    let certificate = Some((first.cert, first.key));
    let settings = redfish::Settings { password: PASSWORD.into(), certificate, ..redfish::Settings::of(Flavour::Ilo) };
    let bmc = FakeRedfish::start(Machine::new(Identity::numbered(8), Timing::default()), settings).await?;
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let _operator = ns.operator().await?;
        let address = format!("redfish+{}", bmc.url());
        let with = |tls: Value, power: &str| {
            let login = json!({"secretRef": {"name": "login"}});
            json!({"bmc": {"address": address, "credentials": login, "tls": tls}, "power": power})
        };
        let pin = |node: &Node| node.status.as_ref()?.bmc.as_ref()?.pin.clone();
        apply(&ns, "n", &address, &with(json!({"trustOnFirstUse": true}), "Off")).await?;
        until(&ns, "n", "Reconciled").await?;
        let trusted = pin(&ns.api::<Node>().get("n").await?).context("no pin")?;

        let before = bmc.count("login");
        bmc.renew(&other.cert, &other.key)?;
        apply(&ns, "n", &address, &with(json!({"trustOnFirstUse": true}), "On")).await?;
        let message = until(&ns, "n", "BmcCertificateChanged").await?;
        ensure!(message.contains(&trusted) && message.contains("Nothing was sent to it"), "{message}");
        ensure!(asked(&bmc.machine()) == 0 && bmc.count("login") == before, "{:?}", bmc.calls());

        // A person looks, and says that it is trusted from now on; then, that the next one on first use is.
        let digest = message.split("its SHA-256 is ").nth(1).and_then(|rest| rest.get(..64)).context("no digest")?;
        apply(&ns, "n", &address, &with(json!({"pinSha256": digest}), "On")).await?;
        until(&ns, "n", "Reconciled").await?;
        apply(&ns, "n", &address, &with(json!({"trustOnFirstUse": true}), "On")).await?;
        let node = ns.wait_for::<Node>("n", "another pin", SOON, |node| pin(node).is_some()).await?;
        ensure!(pin(&node).as_deref() == Some(digest), "{:?} is pinned, not {digest}", pin(&node));
        until(&ns, "n", "Reconciled").await?;
        ensure!(asked(&bmc.machine()) == 1, "{:?}", bmc.machine().events());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_vanishes_is_the_cause_that_is_told_and_its_return_is_enough() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let ipmi = fake(9).await?;
    let settings = redfish::Settings { password: PASSWORD.into(), ..redfish::Settings::of(Flavour::OpenBmc) };
    let redfish = FakeRedfish::start(Machine::new(Identity::numbered(10), Timing::default()), settings).await?;
    let dir = tempfile::tempdir()?;
    let hosts = dir.path().join("hosts");
    let are = |known: bool| std::fs::write(&hosts, if known { "127.0.0.1 localhost bmc.invalid\n" } else { "" });
    are(true)?;
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let operator = Operator::start_with_hosts(&ns.cluster.kubeconfig(), &ns.name, &hosts).await?;
        let operator = Arc::new(operator);
        ns.watch_log(&operator);
        let addresses = [
            ("i", format!("ipmi://bmc.invalid:{}", ipmi.address().port())),
            ("r", format!("redfish+http://bmc.invalid:{}", redfish.address().port())),
        ];
        for (name, address) in &addresses {
            apply(&ns, name, address, &json!({})).await?;
        }
        for (name, _) in &addresses {
            until(&ns, name, "Reconciled").await?;
        }
        are(false)?;
        // Its sessions end: each new one is opened where the name leads by then.
        operator.restart().await?;
        for (name, address) in &addresses {
            apply(&ns, name, address, &json!({"power": "On"})).await?;
        }
        for (name, _) in &addresses {
            let message = until(&ns, name, "BmcNameNotFound").await?;
            ensure!(message.contains("bmc.invalid"), "{message}");
        }
        ensure!(asked(&ipmi.machine()) + asked(&redfish.machine()) == 0, "it was told something");
        are(true)?;
        for (name, _) in &addresses {
            until(&ns, name, "Reconciled").await?;
        }
        ensure!(ipmi.machine().power() == Power::On && redfish.machine().power() == Power::On, "they are off");
        Ok(())
    })
    .await
}

/// Ten seconds for each answer: minutes for what takes others a second.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes minutes"]
async fn a_slow_bmc_is_powered_on_and_keeps_no_other_waiting() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let (slow, quick) = (fake(11).await?, fake(12).await?);
    slow.inject(Fault::always(Effect::Slow(Duration::from_secs(10))));
    let settings = redfish::Settings { password: PASSWORD.into(), ..redfish::Settings::of(Flavour::Idrac) };
    let redfish = FakeRedfish::start(Machine::new(Identity::numbered(13), Timing::default()), settings).await?;
    redfish.inject(faults::Fault::before("*", faults::Effect::Slow(Duration::from_secs(10))));
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let _operator = ns.operator().await?;
        let on = json!({"power": "On"});
        apply(&ns, "slow-ipmi", &format!("ipmi://{}", slow.address()), &on).await?;
        apply(&ns, "slow-redfish", &format!("redfish+{}", redfish.url()), &on).await?;
        let began = Instant::now();
        apply(&ns, "quick", &format!("ipmi://{}", quick.address()), &on).await?;
        until(&ns, "quick", "Reconciled").await?;
        ensure!(began.elapsed() < Duration::from_mins(1), "it waited for the slow ones: {:?}", began.elapsed());
        for name in ["slow-ipmi", "slow-redfish"] {
            let is_on = |node: &Node| {
                told(node).0 == "True" && node.status.as_ref().and_then(|status| status.power.as_deref()) == Some("On")
            };
            ns.wait_for::<Node>(name, "on", Duration::from_mins(10), is_on).await?;
            println!("{name}: {:.0?}", began.elapsed());
        }
        ensure!(asked(&slow.machine()) == 1 && asked(&redfish.machine()) == 1, "each is told once");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_closed_when_the_operator_stops() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let ipmi = fake(6).await?;
    let settings = redfish::Settings { password: PASSWORD.into(), ..redfish::Settings::of(Flavour::Ilo) };
    let redfish = FakeRedfish::start(Machine::new(Identity::numbered(7), Timing::default()), settings).await?;
    with_namespace(async |ns| {
        login(&ns, "login", PASSWORD).await?;
        let operator = ns.operator().await?;
        apply(&ns, "i", &format!("ipmi://{}", ipmi.address()), &json!({})).await?;
        apply(&ns, "r", &format!("redfish+{}", redfish.url()), &json!({})).await?;
        for name in ["i", "r"] {
            until(&ns, name, "Reconciled").await?;
        }
        ensure!(ipmi.open_sessions() == 1 && redfish.sessions() == 1, "one session each, kept for a while");
        operator.stop(Duration::from_secs(20))?;
        let ended: Vec<_> = ipmi.sessions().iter().map(|session| session.ended.map(|(_, how)| how)).collect();
        ensure!(ended == [Some(End::Closed)], "{ended:?}");
        ensure!(redfish.sessions() == 0 && redfish.count("logout") == 1, "{} sessions are open", redfish.sessions());
        Ok(())
    })
    .await
}

/// By default fewer systems of one emulator, which answers 70 requests a second.
fn systems() -> u16 {
    if std::env::var_os("SLIPWAY_TEST_FULL").is_some() { 500 } else { 50 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_real_counterparts_are_powered_at_once_each_told_once() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Ipmi, Part::Sushy]) {
        return Ok(());
    }
    let sims = try_join_all((0..50).map(|_| IpmiSim::start())).await?;
    let sushy = Sushy::start(systems(), None).await?;
    with_namespace(async |ns| {
        login(&ns, "login", "secret").await?;
        login(&ns, "sushy", sushy.login().1).await?;
        let _operator = ns.operator().await?;
        let began = Instant::now();
        let mut names = BTreeMap::new();
        for (number, sim) in sims.iter().enumerate() {
            let name = format!("ipmi{number}");
            apply(&ns, &name, &format!("ipmi://{}", sim.address()), &json!({"power": "On"})).await?;
            names.insert(name, "On");
        }
        for (number, system) in sushy.systems().enumerate() {
            let name = format!("sushy{number}");
            let address = format!("redfish+{}{system}", sushy.url());
            // Fifty are powered; if there are more, they are looked at.
            let mut more = if number < 50 { json!({"power": "On"}) } else { json!({}) };
            more["bmc"] = json!({"address": address, "credentials": {"secretRef": {"name": "sushy"}}});
            apply(&ns, &name, &address, &more).await?;
            names.insert(name, if number < 50 { "On" } else { "Off" });
        }
        eventually("all of them to be as wanted", Duration::from_mins(8), || async {
            let nodes = ns.api::<Node>().list(&ListParams::default()).await?;
            let settled = |node: &Node| {
                let power = node.status.as_ref().and_then(|status| status.power.clone());
                told(node).0 == "True" && power.as_deref() == names.get(&node.name_any()).copied()
            };
            let left: Vec<_> = nodes.iter().filter(|node| !settled(node)).collect();
            let first = left.first().map(|node| format!("{} {:?}", node.name_any(), told(node)));
            ensure!(left.is_empty() && nodes.items.len() == names.len(), "{} are not, {first:?}", left.len());
            Ok(())
        })
        .await?;
        println!("{} Nodes in {:.1?}", names.len(), began.elapsed());
        for sim in &sims {
            let set: Vec<_> = sim.calls().into_iter().filter(|call| call.starts_with("set ")).collect();
            ensure!(set == ["set power 1"], "{}: {set:?}", sim.address());
        }
        let resets = sushy.log_tail(1_000_000).matches("POST /redfish/v1/Systems/").count();
        if resets != 50 {
            return Err(anyhow!("{resets} resets of 50 systems"));
        }
        Ok(())
    })
    .await
}
