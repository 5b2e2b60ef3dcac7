use std::collections::BTreeSet;

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use slipway_api::{ContainerService, Design, Node};

use super::*;
use crate::container_service::definition::NeedKind;

fn at(text: &str) -> Timestamp {
    format!("2026-11-28T{text}Z").parse().unwrap()
}

fn ready(status: &str, reason: &str, message: &str, since: &str) -> Value {
    let one = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
               "lastTransitionTime": format!("2026-11-28T{since}Z")})
    };
    match status {
        "True" => json!([one("Ready", "True")]),
        "Stalled" => json!([one("Ready", "False"), one("Stalled", "True")]),
        status => json!([one("Ready", status), one("Reconciling", "True")]),
    }
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": "ns", "uid": name, "generation": 1, "creationTimestamp": "2026-11-28T09:00:00Z"})
}

/// A Node with a BMC and a Docker engine, and this status.
#[allow(clippy::needless_pass_by_value)] // Tables read better so.
fn node(name: &str, conditions: Value, more: Value) -> Node {
    let mut status = json!({"observedGeneration": 1, "conditions": conditions});
    merge(&mut status, more);
    serde_json::from_value(json!({
        "metadata": meta(name),
        "spec": {
            "docker": {"endpoint": "tcp://10.0.0.20:2376", "tls": {"secretRef": {"name": "docker-tls"}}},
            "bmc": {"address": "ipmi://10.0.0.20", "credentials": {"secretRef": {"name": "n20-bmc"}}},
        },
        "status": status,
    }))
    .unwrap()
}

fn merge(into: &mut Value, more: Value) {
    let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) else { return };
    into.extend(more);
}

#[allow(clippy::needless_pass_by_value)]
fn service(conditions: Value, more: Value) -> ContainerService {
    let mut status = json!({"observedGeneration": 1, "conditions": conditions});
    merge(&mut status, more);
    serde_json::from_value(json!({
        "metadata": meta("web"),
        "spec": {"compose": {"services": {"web": {"image": "x", "secrets": ["key"]}}, "secrets": {"key": {"file": "./key"}}},
                 "files": {"./key": {"secretKeyRef": {"name": "web-key", "key": "key"}}}},
        "status": status,
    }))
    .unwrap()
}

fn leads() -> Leader {
    Leader::Leads { holder: "slipway-1".into() }
}

fn facts(subject: Subject, nodes: Vec<Node>, missing: &[&str]) -> Facts {
    let mut all = references(&subject);
    all.extend(nodes.iter().flat_map(|node| references(&Subject::Node(Box::new(node.clone())))));
    let missing: BTreeSet<_> = all.into_iter().filter(|r| missing.contains(&&*r.name)).collect();
    Facts { subject, nodes, designs: Vec::new(), missing, leader: leads(), events: Vec::new(), now: at("10:05:00") }
}

fn of_node(node: Node) -> Answer {
    why(&facts(Subject::Node(Box::new(node)), Vec::new(), &[]))
}

fn of_service(service: ContainerService, nodes: Vec<Node>) -> Answer {
    why(&facts(Subject::ContainerService(Box::new(service)), nodes, &[]))
}

fn objects(answer: &Answer) -> Vec<&str> {
    answer.chain.iter().map(|link| link.object.as_str()).collect()
}

fn cause(answer: &Answer) -> &Link {
    answer.cause().unwrap()
}

fn bmc_away(since: &str) -> Value {
    json!({"bmc": {"unreachableSince": format!("2026-11-28T{since}Z")}, "power": "On"})
}

#[test]
fn what_is_ready_has_one_link_and_nothing_to_do() {
    let answer =
        of_node(node("n20", ready("True", "Reconciled", "the BMC answers; the host is on", "10:00:00"), json!({})));
    assert!(answer.ready);
    assert_eq!(objects(&answer), ["node/n20"]);
    assert_eq!((cause(&answer).state, &*cause(&answer).to_do), (State::Ready, ""));
    assert_eq!(answer.notes, Vec::<String>::new());
}

#[test]
fn a_bmc_that_does_not_answer_is_tried_again_by_itself() {
    let away = ready("Unknown", "BmcTimedOut", "no answer from ipmi://10.0.0.20 within 30 s", "10:01:00");
    let answer = of_node(node("n20", away, bmc_away("10:01:00")));
    assert_eq!(objects(&answer), ["node/n20", "bmc ipmi://10.0.0.20"]);
    let cause = cause(&answer);
    assert_eq!((cause.state, &*cause.reason, cause.since), (State::Unknown, "BmcTimedOut", Some(at("10:01:00"))));
    // A quarter of 4 min, with jitter.
    assert_eq!(cause.next_try, NextTry::by(at("10:06:06")));
    assert!(cause.to_do.contains("management network"), "{}", cause.to_do);
    assert_eq!(answer.chain[0].message, "its BMC cannot be used");
}

#[test]
fn while_a_command_is_under_way_the_bmc_is_tried_often() {
    let away = ready("Unknown", "BmcTimedOut", "no answer", "09:00:00");
    let mut more = bmc_away("09:00:00");
    merge(
        &mut more,
        json!({"operation": {"command": "PowerOn", "purpose": "Power", "since": "2026-11-28T08:59:00Z", "power": "Off"}}),
    );
    assert_eq!(cause(&of_node(node("n20", away, more))).next_try, NextTry::by(at("10:05:16.5")));
}

#[test]
fn refused_credentials_are_tried_twice_and_then_wait_for_the_secret() {
    let once = ready("Unknown", "BmcCredentialsRefused", "refused. Secret n20-bmc is tried once more", "10:04:50");
    let mut new = bmc_away("10:04:50");
    new["power"].take();
    assert_eq!(cause(&of_node(node("n20", once.clone(), new))).next_try, NextTry::by(at("10:05:16.5")));
    let known = of_node(node("n20", once, bmc_away("10:04:50")));
    assert_eq!(cause(&known).next_try, NextTry::by(at("10:10:30")), "they may have been taken before");
    let twice = ready("Stalled", "BmcCredentialsRefused", "refused. Secret n20-bmc was tried 2 times", "10:04:50");
    let answer = of_node(node("n20", twice, bmc_away("10:04:50")));
    let next = &cause(&answer).next_try;
    assert_eq!(next.by, None, "never by itself");
    assert!(next.when.contains("Secret n20-bmc changes") && next.when.contains("retry.requestedAt"), "{}", next.when);
    assert!(cause(&answer).to_do.contains("Mend the Secret"));
}

#[test]
fn a_missing_secret_is_deeper_than_the_bmc_that_needs_it() {
    let told =
        ready("Stalled", "SecretMissing", "Secret n20-bmc, which spec.bmc.credentials names, is not there", "10:00:00");
    let node = node("n20", told, bmc_away("10:00:00"));
    let answer = why(&facts(Subject::Node(Box::new(node)), Vec::new(), &["n20-bmc"]));
    assert_eq!(objects(&answer), ["node/n20", "bmc ipmi://10.0.0.20", "secret/n20-bmc"]);
    let cause = cause(&answer);
    assert_eq!(cause.next_try.when, "Secret n20-bmc is created");
    assert!(
        cause.message.contains("namespace ns") && cause.message.contains("spec.bmc.credentials"),
        "{}",
        cause.message
    );
    assert_eq!(cause.commands, ["kubectl create secret generic n20-bmc -n ns …"]);
}

#[test]
fn a_stalled_bmc_waits_for_a_change_and_is_looked_at_all_the_same() {
    let told = ready("Stalled", "BmcCertificateChanged", "another certificate: abc", "10:00:00");
    let answer = of_node(node("n20", told, bmc_away("10:00:00")));
    let next = &cause(&answer).next_try;
    assert_eq!((next.by, &*next.when), (Some(at("10:16:00")), "the spec or Secret n20-bmc changes"));
}

#[test]
fn a_bmc_that_the_design_tells_of_is_named_all_the_same() {
    let told = ready("Stalled", "BmcCredentialsRefused", "refused", "10:00:00");
    let bmc = json!({"bmc": {"address": "ipmi://10.0.9.20", "unreachableSince": "2026-11-28T10:00:00Z"}});
    let mut node = node("n20", told, bmc);
    node.spec.bmc = None;
    node.spec.design.design_ref = Some(slipway_api::refs::LocalRef { name: "lab".into() });
    let answer = of_node(node);
    assert_eq!(objects(&answer), ["node/n20", "bmc ipmi://10.0.9.20"]);
    assert!(cause(&answer).next_try.when.starts_with("the Secret of outOfBand.credentials changes"));
}

#[test]
fn a_docker_engine_that_is_away_is_named_with_its_outage() {
    let told = ready("False", "ConnectionRefused", "nothing listens at 10.0.0.20:2376", "10:03:20");
    let answer = of_node(node("n20", told, json!({"unreachableSince": "2026-11-28T10:03:20Z"})));
    assert_eq!(objects(&answer), ["node/n20", "docker tcp://10.0.0.20:2376"]);
    assert_eq!(cause(&answer).next_try.by, Some(at("10:05:13.75")), "an eighth of 100 s, with jitter");
    assert!(cause(&answer).to_do.contains("dockerd"));
}

#[test]
fn a_plan_that_waits_is_shown_with_the_way_to_approve_it() {
    let told =
        ready("Stalled", "ApprovalNeeded", "waits for an approval: force off; no field asks for just this", "10:00:00");
    let plan = json!({"plan": {"hash": "7f3c00aa11bb", "destructive": true, "waiting": true, "steps": ["force off"],
                               "since": "2026-11-28T10:00:01Z"}});
    let answer = of_node(node("n20", told, plan));
    assert_eq!(objects(&answer), ["node/n20", "plan/7f3c00aa11bb"]);
    let cause = cause(&answer);
    assert_eq!(cause.since, Some(at("10:00:01")));
    assert_eq!(cause.next_try.when, "spec.approvedPlan is 7f3c00aa11bb");
    assert!(cause.commands.contains(&"kubectl slipway approve node/n20 -n ns".to_owned()));
}

#[test]
fn a_failed_command_names_the_time_of_its_next_try() {
    let told = ready("False", "BmcBusy", "power on: busy; next try at 2026-11-28T10:05:40Z", "10:00:00");
    let plan = json!({"plan": {"hash": "7f3c00aa11bb", "steps": ["power on"], "since": "2026-11-28T10:00:01Z"}});
    assert_eq!(cause(&of_node(node("n20", told, plan))).next_try, NextTry::by(at("10:05:40")));
}

#[test]
fn a_command_under_way_is_looked_at_every_few_seconds() {
    let told = ready("False", "PoweringOn", "powering on since 10:04", "10:04:00");
    let operation = json!({"operation": {"command": "PowerOn", "purpose": "Power", "since": "2026-11-28T10:04:00Z", "power": "Off"}});
    let answer = of_node(node("n20", told, operation));
    assert_eq!((objects(&answer), cause(&answer).next_try.by), (vec!["node/n20"], Some(at("10:05:11"))));
}

#[test]
fn a_person_is_told_that_it_goes_on_when_it_is_done() {
    let told = ready("Stalled", "PersonNeeded", "power n20 on; its Docker engine does not answer", "10:00:00");
    let answer = of_node(node("n20", told, json!({"unreachableSince": "2026-11-28T10:00:00Z"})));
    assert_eq!((objects(&answer), &*cause(&answer).next_try.when), (vec!["node/n20"], "Slipway sees that it was done"));
}

#[test]
fn what_is_worth_to_know_of_a_ready_node_is_noted() {
    let mut sick =
        node("n20", ready("True", "Cordoned", "", "10:00:00"), json!({"health": "Critical: Fan 3 reads 0 RPM"}));
    sick.spec.cordon = true;
    let answer = of_node(sick);
    assert!(answer.ready);
    assert!(answer.notes[0].contains("Fan 3") && answer.notes[1].contains("cordon"), "{:?}", answer.notes);
}

#[test]
fn nothing_happens_while_no_operator_runs() {
    let told = ready("False", "PoweringOn", "powering on", "10:00:00");
    let mut facts = facts(Subject::Node(Box::new(node("n20", told, json!({})))), Vec::new(), &[]);
    for (leader, words) in [
        (Leader::Nobody, "given back"),
        (
            Leader::Gone { holder: "slipway-1".into(), renewed: Some(at("10:00:00")) },
            "slipway-1 holds the leader lease and last renewed it 5m ago",
        ),
    ] {
        facts.leader = leader;
        let answer = why(&facts);
        assert_eq!(objects(&answer), ["node/n20", "operator"]);
        assert!(cause(&answer).message.contains(words), "{}", cause(&answer).message);
        assert_eq!((&*cause(&answer).reason, &*cause(&answer).next_try.when), ("NoOperator", "an operator runs"));
    }
}

#[test]
fn a_ready_object_without_an_operator_is_as_it_was_last_seen() {
    let subject = Subject::Node(Box::new(node("n20", ready("True", "Reconciled", "on", "10:00:00"), json!({}))));
    let answer = why(&Facts { leader: Leader::Nobody, ..facts(subject, Vec::new(), &[]) });
    assert!(answer.ready && answer.notes[0].contains("as it was last seen"), "{:?}", answer.notes);
}

#[test]
fn an_object_that_nobody_has_looked_at() {
    let mut new = node("n20", json!([]), json!({}));
    new.status = None;
    let subject = Subject::Node(Box::new(new));
    let never = why(&Facts { leader: Leader::None, ..facts(subject.clone(), Vec::new(), &[]) });
    assert_eq!((objects(&never), &*cause(&never).reason), (vec!["node/n20", "operator"], "NoOperator"));
    let unseen = why(&facts(subject.clone(), Vec::new(), &[]));
    assert_eq!(&*cause(&unseen).reason, "NotSeen");
    assert!(cause(&unseen).message.contains("slipway-1 leads"), "{}", cause(&unseen).message);
    assert!(cause(&unseen).to_do.contains("--namespace"));
    let fresh = why(&Facts { now: at("09:00:03"), ..facts(subject, Vec::new(), &[]) });
    assert_eq!(objects(&fresh), ["node/n20"], "three seconds old");
}

#[test]
fn a_status_of_an_older_spec_is_not_taken_for_the_new_one() {
    let mut changed = node("n20", ready("True", "Reconciled", "on", "10:00:00"), json!({}));
    changed.metadata.generation = Some(2);
    let answer = of_node(changed);
    assert!(!answer.ready);
    assert!(cause(&answer).message.contains("newest spec"), "{}", cause(&answer).message);
}

#[test]
fn a_lease_is_stale_only_when_two_clocks_cannot_be_the_cause() {
    let lease = |renewed: &str| -> Lease {
        serde_json::from_value(json!({"metadata": {"name": "slipway"}, "spec": {
            "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": format!("2026-11-28T{renewed}.000000Z")}}))
        .unwrap()
    };
    let of = |renewed: &str| Leader::of(Some(&lease(renewed)), at("10:05:00"));
    assert_eq!(of("10:04:35"), Leader::Leads { holder: "a".into() });
    assert_eq!(of("10:06:00"), Leader::Leads { holder: "a".into() });
    assert_eq!(of("10:04:25"), Leader::Gone { holder: "a".into(), renewed: Some(at("10:04:25")) });
    assert_eq!(Leader::of(None, at("10:05:00")), Leader::None);
    assert_eq!(Leader::of(Some(&Lease::default()), at("10:05:00")), Leader::Nobody);
}

#[test]
fn a_service_is_led_to_its_host_and_to_what_ails_it() {
    let told = ready("Unknown", "TimedOut", "Node edge1: no answer from tcp://10.0.0.20:2376 within 5 s", "10:04:00");
    let away = node(
        "edge1",
        ready("False", "TimedOut", "no answer from tcp://10.0.0.20:2376 within 5 s", "10:03:50"),
        json!({"unreachableSince": "2026-11-28T10:03:50Z"}),
    );
    let well = node("edge2", ready("True", "Connected", "", "10:00:00"), json!({}));
    let answer = of_service(service(told, json!({})), vec![well, away]);
    assert_eq!(objects(&answer), ["csvc/web", "node/edge1", "docker tcp://10.0.0.20:2376"]);
    assert_eq!(cause(&answer).since, Some(at("10:03:50")));
}

#[test]
fn a_container_that_fails_is_the_cause_and_hosts_that_are_away_are_noted() {
    let message = "web on edge1 exited with code 1; last lines: boom";
    let told = ready("False", "CrashLoop", message, "10:04:00");
    let status = json!({"unhealthy": [{"host": "edge1", "service": "web", "state": "Restarting", "reason": "CrashLoop",
                                       "message": "exited with code 1; last lines: boom"}]});
    let away = node("edge2", ready("False", "TimedOut", "no answer", "10:00:00"), json!({}));
    let answer = of_service(service(told, status), vec![away]);
    assert_eq!(objects(&answer), ["csvc/web", "container web on edge1"]);
    assert!(cause(&answer).message.contains("boom"));
    assert_eq!(answer.notes, ["node/edge2 is not ready either: TimedOut"]);
    assert!(cause(&answer).next_try.by.is_some());
}

#[test]
fn a_services_missing_secret_is_found_in_its_compose_file() {
    let told = ready("False", "SecretMissing", "the Secret `web-key` does not exist in this namespace", "10:04:00");
    let subject = Subject::ContainerService(Box::new(service(told, json!({}))));
    assert!(references(&subject).iter().any(|r| (r.kind, &*r.name) == (NeedKind::Secret, "web-key")));
    let answer = why(&facts(subject, Vec::new(), &["web-key"]));
    assert_eq!(objects(&answer), ["csvc/web", "secret/web-key"]);
    assert!(cause(&answer).message.contains("spec.compose.secrets.key"), "{}", cause(&answer).message);
}

#[test]
fn a_service_that_finds_no_node_is_its_own_cause() {
    let told = ready("False", "NoMatchingNode", "no Node of this namespace matches placement.nodeSelector", "10:04:00");
    let answer = of_service(service(told, json!({})), Vec::new());
    assert_eq!(objects(&answer), ["csvc/web"]);
    assert!(cause(&answer).to_do.contains("placement.nodeSelector"));
}

#[test]
fn a_change_that_failed_and_was_rolled_back_is_noted_of_a_ready_service() {
    let failed = json!({"failed": [{"service": "web", "revision": "r", "host": "edge1", "reason": "Unhealthy", "message": "check failed"}]});
    let answer = of_service(service(ready("True", "Reconciled", "1 container", "10:00:00"), failed), Vec::new());
    assert!(answer.ready && answer.notes[0].contains("failed on edge1: Unhealthy"), "{:?}", answer.notes);
}

#[test]
fn a_deletion_says_what_keeps_the_object() {
    let deleting = |finalizers: Value| {
        let mut node =
            node("n20", ready("False", "InUse", "ContainerServices still run here: web", "10:00:00"), json!({}));
        node.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-28T10:01:00Z")).unwrap();
        node.metadata.finalizers = serde_json::from_value(finalizers).unwrap();
        of_node(node)
    };
    let ours = deleting(json!(["slipway.dev/node"]));
    assert_eq!((&*cause(&ours).reason, cause(&ours).since), ("InUse", Some(at("10:01:00"))));
    assert!(cause(&ours).message.starts_with("it is being deleted: ContainerServices"), "{}", cause(&ours).message);
    let others = deleting(json!(["example.com/keep"]));
    assert_eq!((&*cause(&others).reason, cause(&others).state), ("FinalizerLeft", State::Stalled));
    assert!(cause(&others).message.contains("example.com/keep"));
}

#[test]
fn a_designs_first_error_is_its_cause() {
    let design: Design = serde_json::from_value(json!({
        "metadata": meta("lab"), "spec": {},
        "status": {"observedGeneration": 1, "conditions": ready("Stalled", "InvalidDesign", "1 error", "10:00:00"),
                   "findings": [{"severity": "Error", "code": "DD1001", "rule": "r", "object": "network/mgmt", "path": "spec.networks[0].cidr",
                                 "message": "no CIDR", "hint": "write 10.0.0.0/24"}]},
    }))
    .unwrap();
    let answer = why(&facts(Subject::Design(Box::new(design)), Vec::new(), &[]));
    assert_eq!(objects(&answer), ["dsn/lab", "network/mgmt"]);
    assert_eq!((&*cause(&answer).reason, &*cause(&answer).to_do), ("DD1001", "write 10.0.0.0/24"));
}

#[test]
fn a_node_that_waits_for_its_turn_is_led_to_the_group_that_holds_it_up() {
    let mut waiting =
        node("n20", ready("False", "RolloutWaiting", "group compute waits for control", "10:00:00"), json!({}));
    waiting.spec.design.design_ref = Some(slipway_api::refs::LocalRef { name: "lab".into() });
    let design = |conditions: Value| -> Design {
        let groups = json!([{"name": "control", "state": "Failed", "nodes": 3, "ready": 2, "failed": 1, "message": "c3 failed"}]);
        let status = json!({"observedGeneration": 1, "conditions": conditions, "groups": groups});
        serde_json::from_value(json!({"metadata": meta("lab"), "spec": {}, "status": status})).unwrap()
    };
    let of = |conditions: Value| {
        let facts = facts(Subject::Node(Box::new(waiting.clone())), Vec::new(), &[]);
        why(&Facts { designs: vec![design(conditions)], ..facts })
    };
    let failed = of(ready("Stalled", "RolloutFailed", "group control failed", "10:00:00"));
    assert_eq!(objects(&failed), ["node/n20", "dsn/lab", "group control"]);
    assert!(cause(&failed).message.contains("c3 failed") && cause(&failed).to_do.contains("rollout retry"));
    assert_eq!(
        objects(&of(ready("True", "Compiled", "", "10:00:00"))),
        ["node/n20"],
        "a Design that is well is no cause"
    );
}

#[test]
fn a_rollout_is_led_to_the_node_that_needs_a_person_in_the_middle_of_its_step() {
    let group = json!({"name": "storage", "state": "InProgress", "nodes": 4, "ready": 3, "failed": 0});
    let moving = ["s0", "s1"].map(|name| json!({"name": name, "since": "2026-11-28T10:00:00Z"}));
    let conditions = ready("False", "RollingOut", "group storage", "10:00:00");
    let status = json!({"observedGeneration": 1, "conditions": conditions, "groups": [group], "rollout": {"inProgress": moving}});
    let design: Design =
        serde_json::from_value(json!({"metadata": meta("lab"), "spec": {}, "status": status})).unwrap();
    let node = |name: &str, told: Value| node(name, told, json!({}));
    let nodes = vec![
        node("s0", ready("False", "PoweringOn", "power on", "10:00:00")),
        node("s1", ready("Stalled", "ApprovalNeeded", "its plan waits for an approval", "10:00:00")),
    ];
    let answer = why(&Facts { nodes, ..facts(Subject::Design(Box::new(design)), Vec::new(), &[]) });
    assert_eq!(objects(&answer), ["dsn/lab", "group storage", "node/s1"]);
    assert!(cause(&answer).to_do.contains("approvedPlan"), "{:?}", cause(&answer));
}

#[test]
fn a_kind_that_is_not_served_says_how_to_install_it() {
    let answer = not_served("node/n20", "ns", "nodes");
    assert_eq!(objects(&answer), ["node/n20", "crd/nodes.slipway.dev"]);
    assert!(cause(&answer).to_do.contains("slipway crds | kubectl apply"));
}

#[test]
fn an_answer_for_programs_has_a_fixed_shape() {
    let told = ready("Unknown", "BmcTimedOut", "no answer", "10:01:00");
    let mut answer = of_node(node("n20", told, bmc_away("10:01:00")));
    answer.chain.iter_mut().for_each(|link| link.to_do.truncate(3));
    insta::assert_json_snapshot!(answer);
}
