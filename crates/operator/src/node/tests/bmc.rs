//! The controller of Node over an API server and a BMC in memory: what is written, how often, and what is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_api::Node;
use slipway_drivers::bmc::{ConnectBmc, Factory};
use slipway_fakes::bmc::ipmi::{self, FakeIpmi};
use slipway_fakes::bmc::redfish::{self, FakeRedfish, Flavour};
use slipway_fakes::bmc::{Happening, Identity, Machine, Power, Timing};
use slipway_fakes::faults;
use tokio_util::sync::CancellationToken;

use super::super::Nodes;
use crate::bmcs::Bmcs;
use crate::bmcs::tests::{Toy, Way};
use crate::context::Context;
use crate::design::Sites;
use crate::hosts::Hosts;
use crate::reconcile::{Key, Locks, Watch, pass};
use crate::testing::Api;

const NODE: &str = "/apis/slipway.dev/v1alpha1/namespaces/ns/nodes/n";
const SECRET: &str = "/api/v1/namespaces/ns/secrets/s";
const INVENTORY: &str = "/apis/slipway.dev/v1alpha1/namespaces/ns/nodeinventories/n";

struct World {
    api: Api,
    toy: Arc<Toy>,
    way: Arc<dyn ConnectBmc>,
    context: Arc<Context>,
    nodes: Nodes,
    stop: CancellationToken,
}

impl World {
    fn new(spec: &Value) -> Self {
        let toy = Arc::new(Toy::default());
        Self::at("ipmi://h", toy.clone(), Arc::new(Way(toy)), spec)
    }

    /// A Node whose BMC is there, reached this way.
    fn at(address: &str, toy: Arc<Toy>, way: Arc<dyn ConnectBmc>, spec: &Value) -> Self {
        let api = Api::default();
        let mut object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Node",
            "metadata": {"name": "n", "namespace": "ns", "uid": "u", "generation": 1},
            "spec": {"bmc": {"address": address, "credentials": {"secretRef": {"name": "s"}}}},
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        api.put(NODE, object);
        api.put(SECRET, secret("c2VjcmV0"));
        let context = api.context();
        let stop = CancellationToken::new();
        let nodes = nodes(&way, &context, &stop);
        Self { api, toy, way, context, nodes, stop }
    }

    /// The process dies, and another one takes over.
    fn restart(&mut self) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.nodes = nodes(&self.way, &self.context, &self.stop);
    }

    async fn pass(&self) {
        let object: Node = serde_json::from_value(self.api.get(NODE).unwrap()).unwrap();
        pass(&self.nodes, Arc::new(object), self.context.clone()).await;
    }

    /// Passes whenever the BMC has news, and at least every second, until something is so.
    async fn until(&self, mut what: impl FnMut(&Value) -> bool) -> Value {
        let mut news = self.nodes.bmcs.changes();
        for _ in 0..1000 {
            self.pass().await;
            let node = self.api.get(NODE).unwrap();
            if what(&node["status"]) {
                return node["status"].clone();
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), news.recv()).await;
        }
        panic!("{:#}", self.api.get(NODE).unwrap()["status"]);
    }

    fn spec(&self, field: &str, value: Value) {
        let mut node = self.api.get(NODE).unwrap();
        node["spec"][field] = value;
        node["metadata"]["generation"] = json!(node["metadata"]["generation"].as_i64().unwrap() + 1);
        self.api.put(NODE, node);
    }

    fn writes(&self) -> Vec<String> {
        self.api.calls().into_iter().filter(|call| !call.starts_with("GET")).collect()
    }
}

fn nodes(way: &Arc<dyn ConnectBmc>, context: &Arc<Context>, stop: &CancellationToken) -> Nodes {
    let metrics = context.metrics.clone();
    let bmcs = Bmcs::new(way.clone(), metrics.clone(), Locks::default(), stop.clone());
    let hosts = Hosts::new(Arc::new(slipway_drivers::docker::Factory), metrics);
    let sites = Sites::new(Watch::default().cache());
    Nodes { hosts, bmcs, services: Watch::default().cache(), sites }
}

fn secret(password: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns", "uid": "s-1"},
           "data": {"username": "YWRtaW4=", "password": password}})
}

fn ready(status: &Value) -> (&str, &str) {
    let of = |field: &str| status["conditions"][0][field].as_str().unwrap_or_default();
    (of("status"), of("reason"))
}

fn is_ready(status: &Value) -> bool {
    ready(status).0 == "True"
}

#[tokio::test(start_paused = true)]
async fn a_new_node_is_ready_after_three_writes_and_an_event_and_then_costs_none() {
    let world = World::new(&json!({}));
    let status = world.until(is_ready).await;
    assert_eq!(ready(&status), ("True", "Reconciled"));
    assert_eq!(
        world.writes(),
        [format!("PATCH {NODE}/status"), format!("PATCH {INVENTORY}"), format!("PATCH {NODE}/status")],
        "the try of the credentials, the inventory, Ready"
    );
    let size = status.to_string().len();
    assert!(size <= 1024, "{size} bytes: {status}");
    assert_eq!((&status["power"], &status["inventory"]), (&json!("On"), &json!("2 CPUs, 4 GiB")));
    let inventory = world.api.get(INVENTORY).unwrap();
    assert_eq!(inventory["metadata"]["ownerReferences"][0]["uid"], "u");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_mins(6)).await;
        world.pass().await;
    }
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_new_node_whose_bmc_is_silent_says_within_moments_that_it_connects() {
    let world = World::new(&json!({}));
    world.toy.dead.store(true, Ordering::SeqCst);
    world.toy.slow.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let status = world.until(|status| !status.is_null()).await;
    assert_eq!(ready(&status), ("False", "BmcConnecting"));
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_new_process_writes_nothing_of_a_node_that_has_settled() {
    let mut world = World::new(&json!({}));
    world.until(is_ready).await;
    world.writes();
    world.restart();
    for _ in 0..10 {
        world.pass().await;
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
    assert_eq!(world.writes(), Vec::<String>::new());
    assert!(world.toy.looks.load(Ordering::SeqCst) > 2, "it is looked at all the same");
}

#[tokio::test(start_paused = true)]
async fn a_host_is_powered_on_once_wherever_the_process_dies() {
    for dies_after in 0..12 {
        let mut world = World::new(&json!({"power": "On"}));
        world.toy.on.store(false, Ordering::SeqCst);
        for _ in 0..dies_after {
            world.pass().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        world.restart();
        world.until(is_ready).await;
        assert_eq!(world.toy.sent().len(), 1, "died after {dies_after} passes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_never_sent_twice_wherever_the_process_dies() {
    for dies_after in 0..12 {
        let mut world = World::new(&json!({}));
        world.until(is_ready).await;
        world.spec("reboot", json!({"requestedAt": "b", "mode": "Force"}));
        for _ in 0..dies_after {
            world.pass().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        world.restart();
        let status = world.until(|status| status["done"]["reboot"] == "b").await;
        let sent = world.toy.sent().len();
        let doubt = ready(&status).1 == "OutcomeUnknown";
        assert!(sent == 1 || sent == 0 && doubt, "died after {dies_after} passes: sent {sent}, {}", ready(&status).1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_refused_is_tried_twice_whatever_restarts() {
    let mut world = World::new(&json!({}));
    world.toy.refuses.store(true, Ordering::SeqCst);
    let status = world.until(|status| status["bmc"]["login"]["tries"] == 2 && ready(status).0 == "False").await;
    for _ in 0..5 {
        world.restart();
        for _ in 0..5 {
            world.pass().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    }
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), 2, "{status}");
    let status = world.until(|status| ready(status).1 == "BmcCredentialsRefused").await;
    let message = status["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Secret s was tried 2 times") && !message.contains("secret"), "{message}");
    world.toy.refuses.store(false, Ordering::SeqCst);
    world.api.put(SECRET, secret("YmV0dGVy"));
    world.until(is_ready).await;
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bmc_that_restarts_and_refuses_for_minutes_what_it_took_before_is_waited_for() {
    let world = World::new(&json!({}));
    world.until(is_ready).await;
    world.toy.refuses.store(true, Ordering::SeqCst);
    world.toy.forgets.store(true, Ordering::SeqCst);
    let status = world.until(|status| ready(status).1 == "BmcCredentialsRefused").await;
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("tried once more after 5 min"), "{message}");
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_mins(4) {
        world.pass().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), 2, "the one that was refused");
    world.toy.refuses.store(false, Ordering::SeqCst);
    world.toy.forgets.store(false, Ordering::SeqCst);
    world.until(is_ready).await;
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn tries_that_the_end_of_the_process_cut_short_are_not_called_refused() {
    let mut world = World::new(&json!({}));
    world.toy.slow.store(true, Ordering::SeqCst);
    for tries in 1..=2 {
        world.until(|status| status["bmc"]["login"]["tries"] == tries).await;
        world.restart();
    }
    let status = world.until(|status| ready(status).1 == "BmcLoginInterrupted").await;
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("Secret s was tried 2 times, and Slipway was stopped each time"), "{message}");
    assert!(message.contains("retry.requestedAt") && !message.contains("refused"), "{message}");
    let logins = world.toy.logins.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), logins, "there is no third try");
    let again = json!({"secretRef": {"name": "s"}, "retry": {"requestedAt": "again"}});
    world.spec("bmc", json!({"address": "ipmi://h", "credentials": again}));
    world.until(is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_taken_ends_the_count_of_one_that_was_cut_short() {
    let mut world = World::new(&json!({}));
    world.toy.slow.store(true, Ordering::SeqCst);
    world.until(|status| status["bmc"]["login"]["tries"] == 1).await;
    world.restart();
    let status = world.until(is_ready).await;
    assert!(status["bmc"]["login"]["tries"].is_null(), "{status:#}");
    world.toy.refuses.store(true, Ordering::SeqCst);
    world.api.put(SECRET, secret("b3RoZXI="));
    let mut said = Vec::new();
    let status = world.until(|status| {
        said.push(status["conditions"][0]["message"].to_string());
        status["bmc"]["login"]["refusals"] == 2
    });
    let status = status.await;
    said.retain(|message| message.contains("Slipway was stopped"));
    assert_eq!(said, Vec::<String>::new(), "a try that is under way was not cut short");
    assert_eq!(
        (ready(&status).1, &status["bmc"]["login"]["tries"]),
        ("BmcCredentialsRefused", &json!(2)),
        "{status:#}"
    );
}

/// Ten seconds for each answer, as IPMI and as Redfish have it on the wire.
#[tokio::test(start_paused = true)]
async fn a_bmc_that_takes_ten_seconds_for_each_answer_is_usable() {
    let slow = Duration::from_secs(10);
    let machine = |number| Machine::new(Identity::numbered(number), Timing::immediate());
    let users = vec![ipmi::User::new("admin", "secret", ipmi::Privilege::Administrator)];
    let of_ipmi = FakeIpmi::start(machine(1), ipmi::Settings { users, ..ipmi::Settings::default() }).await.unwrap();
    of_ipmi.inject(ipmi::Fault::always(ipmi::Effect::Slow(slow)));
    let settings = redfish::Settings { password: "secret".into(), ..redfish::Settings::of(Flavour::Idrac) };
    let of_redfish = FakeRedfish::start(machine(2), settings).await.unwrap();
    of_redfish.inject(faults::Fault::before("*", faults::Effect::Slow(slow)));
    let all = [
        (format!("ipmi://{}", of_ipmi.address()), of_ipmi.machine()),
        (format!("redfish+{}", of_redfish.url()), of_redfish.machine()),
    ];
    for (address, machine) in all {
        let world = World::at(&address, Arc::default(), Arc::new(Factory), &json!({"power": "On"}));
        let began = tokio::time::Instant::now();
        world.until(|status| is_ready(status) && status["power"] == "On").await;
        let asked = machine.events().iter().filter(|event| matches!(event.what, Happening::Asked(..))).count();
        assert_eq!((machine.power(), asked), (Power::On, 1), "{address}");
        assert!(began.elapsed() < Duration::from_mins(10), "{address}: {:?}", began.elapsed());
        // It is told once it is known, and does not keep the host from being ready.
        world.until(|status| status["health"] == "Ok").await;
    }
    assert!(of_ipmi.seen().len() < 60, "a slow BMC is not asked again and again: {}", of_ipmi.seen().len());
}

#[tokio::test(start_paused = true)]
async fn a_bmc_at_which_nothing_answers_has_timed_out_also_after_it_was_once_reached() {
    let users = vec![ipmi::User::new("admin", "secret", ipmi::Privilege::Administrator)];
    let settings = ipmi::Settings { users, ..ipmi::Settings::default() };
    let bmc = FakeIpmi::start(Machine::new(Identity::numbered(3), Timing::immediate()), settings).await.unwrap();
    let lost = || ipmi::Fault::always(ipmi::Effect::LoseRequest);
    bmc.inject(lost());
    let world = World::at(&format!("ipmi://{}", bmc.address()), Arc::default(), Arc::new(Factory), &json!({}));
    let status = world.until(|status| status["bmc"]["unreachableSince"].is_string()).await;
    assert_eq!(ready(&status).1, "BmcTimedOut", "{status:#}");
    bmc.clear_faults();
    world.until(is_ready).await;
    bmc.inject(lost());
    let status = world.until(|status| status["bmc"]["unreachableSince"].is_string()).await;
    assert_eq!(ready(&status).1, "BmcTimedOut", "{status:#}");
    bmc.clear_faults();
    world.until(is_ready).await;
    // It answers the first step, and then no more.
    bmc.inject(ipmi::Fault::at(ipmi::Call::Rakp1, ipmi::Effect::LoseRequest));
    let status = world.until(|status| status["bmc"]["unreachableSince"].is_string()).await;
    assert_eq!(ready(&status).1, "BmcConnectionLost", "{status:#}");
}

#[tokio::test(start_paused = true)]
async fn trust_on_first_use_is_of_one_host_and_begins_anew_at_another() {
    let bmc = |address: &str| json!({"address": address, "credentials": {"secretRef": {"name": "s"}}, "tls": {"trustOnFirstUse": true}});
    let world = World::new(&json!({"bmc": bmc("redfish+https://a/redfish/v1/Systems/1")}));
    let shows = |certificate: &str| *world.toy.certificate.lock().unwrap() = Some(certificate.into());
    let pinned = |status: &Value| status["bmc"]["pin"].as_str().map(str::to_owned);
    shows("first");
    let status = world.until(is_ready).await;
    assert_eq!((pinned(&status).as_deref(), &status["bmc"]["pinHost"]), (Some("first"), &json!("https://a:443")));

    // Another system of the same host, and another process: the same pin.
    world.spec("bmc", bmc("redfish+https://a/redfish/v1/Systems/2"));
    shows("other");
    let status = world.until(|status| ready(status).1 == "BmcCertificateChanged").await;
    assert_eq!(pinned(&status).as_deref(), Some("first"));
    let logins = world.toy.logins.load(Ordering::SeqCst);

    // Another host is another BMC.
    world.spec("bmc", bmc("redfish+https://b"));
    let status = world.until(is_ready).await;
    assert_eq!((pinned(&status).as_deref(), &status["bmc"]["pinHost"]), (Some("other"), &json!("https://b:443")));
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), logins + 1);
    shows("third");
    world.spec("power", json!("On"));
    world.spec("bmc", bmc("redfish+https://b/redfish/v1/Systems/1"));
    world.until(|status| ready(status).1 == "BmcCertificateChanged").await;

    // On record since before hosts were noted: it is that of the host that is named.
    let mut node = world.api.get(NODE).unwrap();
    node["status"]["bmc"].as_object_mut().unwrap().remove("pinHost");
    world.api.put(NODE, node);
    world.spec("bmc", bmc("redfish+https://b"));
    let status = world.until(|status| ready(status).1 == "BmcCertificateChanged").await;
    assert_eq!(pinned(&status).as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_gone_is_named_and_its_return_is_enough() {
    let world = World::new(&json!({}));
    let kept = world.api.get(SECRET).unwrap();
    world.api.remove(SECRET);
    let status = world.until(|status| ready(status).1 == "SecretMissing").await;
    assert!(
        status["conditions"][0]["message"].as_str().unwrap().contains("Secret s, which spec.bmc.credentials names")
    );
    world.api.put(SECRET, kept);
    world.until(is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ejects_the_media_and_ends_even_if_the_bmc_is_dead() {
    for (dead, ago, commands) in
        [(false, 1, &["insert http://h/a.iso", "eject the virtual media"][..]), (true, 301, &["insert http://h/a.iso"])]
    {
        let world = World::new(&json!({"virtualMedia": {"image": "http://h/a.iso"}}));
        world.until(is_ready).await;
        world.toy.dead.store(dead, Ordering::SeqCst);
        world.writes();
        let mut node = world.api.get(NODE).unwrap();
        let when = jiff::Timestamp::now().as_second() - ago;
        node["metadata"]["deletionTimestamp"] = json!(jiff::Timestamp::from_second(when).unwrap().to_string());
        world.api.put(NODE, node);
        for _ in 0..100 {
            if world.api.get(NODE).is_none() {
                break;
            }
            world.pass().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(world.api.get(NODE).is_none(), "it always ends");
        assert!(world.nodes.bmcs.state(&Key::new("ns", "n")).is_none() || dead, "and so does the session");
        let sent: Vec<_> = world.toy.sent().iter().map(ToString::to_string).collect();
        assert_eq!(sent, commands);
    }
}

const NEW_SECRET: &str = "/api/v1/namespaces/ns/secrets/t";

/// A Node whose BMC has the password `secret`, and a request to make it `better`.
fn to_be_rotated() -> World {
    let world = World::new(&json!({}));
    *world.toy.password.lock().unwrap() = Some(b"secret".to_vec());
    let mut new = secret("YmV0dGVy");
    new["metadata"] = json!({"name": "t", "namespace": "ns", "uid": "t-1"});
    world.api.put(NEW_SECRET, new);
    world
}

fn rotate(world: &World) {
    let address = json!({"address": "ipmi://h", "credentials": {"secretRef": {"name": "s"}}});
    let mut bmc = address;
    bmc["rotate"] = json!({"requestedAt": "r1", "secretRef": {"name": "t"}});
    world.spec("bmc", bmc);
}

fn is_rotated(status: &Value) -> bool {
    ready(status) == ("True", "PasswordRotated")
}

#[tokio::test(start_paused = true)]
async fn a_password_is_changed_wherever_the_process_dies_and_no_account_is_locked() {
    for loses in [false, true] {
        for dies_after in 0..14 {
            let mut world = to_be_rotated();
            world.until(is_ready).await;
            world.toy.loses_change.store(loses, Ordering::SeqCst);
            rotate(&world);
            for _ in 0..dies_after {
                world.pass().await;
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            world.restart();
            let status = world.until(is_rotated).await;
            let story = format!("loses {loses}, died after {dies_after} passes: {status:#}");
            assert_eq!(world.toy.password.lock().unwrap().as_deref(), Some(&b"better"[..]), "{story}");
            assert!(world.toy.most_refused.load(Ordering::SeqCst) <= 2, "{story}");
            assert!(status["bmc"]["rotation"]["inForce"] == true && status["operation"].is_null(), "{story}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_ends_when_the_spec_names_the_new_secret_and_costs_no_login() {
    let world = to_be_rotated();
    world.until(is_ready).await;
    rotate(&world);
    let status = world.until(is_rotated).await;
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("point spec.bmc.credentials.secretRef at t") && !message.contains("better"), "{message}");
    let logins = world.toy.logins.load(Ordering::SeqCst);
    world.spec("bmc", json!({"address": "ipmi://h", "credentials": {"secretRef": {"name": "t"}}}));
    let status =
        world.until(|status| ready(status) == ("True", "Reconciled") && status["bmc"]["rotation"].is_null()).await;
    assert!(status["bmc"]["login"]["version"].as_str().unwrap().starts_with("t/"), "{status:#}");
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), logins, "it is the login that is in force");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_ends_when_the_password_is_put_into_the_old_secret() {
    let world = to_be_rotated();
    world.until(is_ready).await;
    rotate(&world);
    world.until(is_rotated).await;
    world.api.put(SECRET, secret("YmV0dGVy"));
    world.until(|status| ready(status) == ("True", "Reconciled")).await;
    world.spec("bmc", json!({"address": "ipmi://h", "credentials": {"secretRef": {"name": "s"}}}));
    world.until(|status| ready(status) == ("True", "Reconciled") && status["bmc"]["rotation"].is_null()).await;
    assert_eq!(world.toy.most_refused.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_secret_that_was_replaced_is_named_and_not_tried() {
    let world = to_be_rotated();
    world.until(is_ready).await;
    rotate(&world);
    world.until(is_rotated).await;
    world.spec("bmc", json!({"address": "ipmi://h", "credentials": {"secretRef": {"name": "s"}}}));
    let status = world.until(|status| ready(status).1 == "BmcCredentialsOutdated").await;
    assert!(status["conditions"][0]["message"].as_str().unwrap().contains("Secret t"), "{status:#}");
    assert_eq!(world.toy.most_refused.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn neither_of_two_passwords_is_tried_more_than_once_if_both_are_refused() {
    let mut world = to_be_rotated();
    *world.toy.password.lock().unwrap() = Some(b"a third".to_vec());
    rotate(&world);
    let status = world
        .until(|status| {
            ready(status).1 == "BmcCredentialsRefused"
                && status["conditions"][0]["message"].as_str().unwrap().contains("Neither")
        })
        .await;
    let message = status["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Secret s") && message.contains("Secret t"), "{message}");
    for _ in 0..3 {
        world.restart();
        for _ in 0..5 {
            world.pass().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    }
    assert_eq!(world.toy.logins.load(Ordering::SeqCst), 2);
}
