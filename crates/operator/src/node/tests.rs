mod bmc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use slipway_api::{ContainerService, Node};
use slipway_plan::node::Endpoint;

use super::docker::{address, may_use};

fn node(labels: &[&str]) -> Node {
    let labels: std::collections::BTreeMap<_, _> = labels.iter().map(|label| (*label, "yes")).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "n", "namespace": "ns", "labels": labels},
        "spec": {"docker": {"endpoint": "tcp://h", "tls": {"secretRef": {"name": "certs"}}}},
    }))
    .unwrap()
}

fn service(placement: &serde_json::Value, placed: &[&str]) -> ContainerService {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"placement": placement, "compose": {}},
        "status": {"placed": placed},
    }))
    .unwrap()
}

#[test]
fn who_may_be_on_a_host_that_cannot_be_asked() {
    let selecting = |label: &str| json!({"nodeSelector": {"matchLabels": {label: "yes"}}});
    assert!(may_use(&service(&json!({}), &[]), &node(&[])));
    assert!(may_use(&service(&selecting("web"), &[]), &node(&["web"])));
    assert!(!may_use(&service(&selecting("db"), &[]), &node(&["web"])));
    let replicas = json!({"mode": "Replicas", "replicas": 1});
    assert!(may_use(&service(&replicas, &["n"]), &node(&[])));
    assert!(!may_use(&service(&replicas, &["other"]), &node(&[])));
}

#[test]
fn credentials_that_are_not_there_are_named() {
    let endpoint = Endpoint::Tls { host: "h".into(), port: 2376, secret: "certs".into() };
    let with = |keys: &[&str]| {
        let data = keys.iter().map(|key| ((*key).to_owned(), ByteString(b"pem".to_vec()))).collect();
        Some(Secret { data: Some(data), ..Secret::default() })
    };
    let refused = |secret| address(&endpoint, secret).map_err(|error| (error.reason(), error.to_string())).unwrap_err();
    assert_eq!(refused(None).0, "SecretMissing");
    let (reason, text) = refused(with(&["ca.crt", "tls.crt"]));
    assert_eq!(reason, "KeyMissing");
    assert!(text.contains("certs") && text.contains("tls.key"), "{text}");
    assert!(address(&endpoint, with(&["ca.crt", "tls.crt", "tls.key"])).is_ok());
}
