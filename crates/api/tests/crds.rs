//! What the API server is given: the schemas' shape, the CEL rules, and that `crds/` is as the types say.

use kube_cel::Validator;
use serde_json::{Value, json};
use slipway_api::{ContainerService, Node};

fn schema(kind: &str) -> Value {
    let crd = slipway_api::crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect("a CRD of the kind");
    let schema = crd.spec.versions[0].schema.as_ref().expect("a schema");
    serde_json::to_value(&schema.open_api_v3_schema).expect("a schema is JSON")
}

/// Every object of a JSON document, with its path.
fn walk<'a>(path: &str, value: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value, visit)),
        Value::Array(list) => list.iter().for_each(|value| walk(&format!("{path}[]"), value, visit)),
        _ => {}
    }
}

fn broken_rules(kind: &str, object: &Value) -> Vec<String> {
    match Validator::new().validate(&schema(kind), object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

#[test]
fn the_files_are_as_the_types_say() {
    for crd in slipway_api::crds() {
        let path = format!("{}/../../crds/{}.yaml", env!("CARGO_MANIFEST_DIR"), crd.spec.names.plural);
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(file == serde_json::to_value(&crd).unwrap(), "{path} is stale; run `cargo xtask generate`");
    }
}

#[test]
fn no_schema_holds_what_an_api_server_warns_of() {
    for crd in slipway_api::crds() {
        walk(&crd.spec.names.kind, &serde_json::to_value(&crd).unwrap(), &mut |path, value| {
            let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
            assert!(!format.starts_with("uint"), "{path} has format {format}");
            assert!(value.get("nullable").is_none(), "{path} is nullable");
        });
    }
}

#[test]
fn conditions_are_a_map_by_type_or_server_side_apply_would_replace_all_of_them() {
    for kind in ["Design", "Node", "ContainerService"] {
        let schema = schema(kind);
        let conditions = &schema["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{kind}");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]), "{kind}");
    }
}

#[test]
fn every_field_of_a_spec_says_what_it_is() {
    for kind in ["Design", "Node", "ContainerService"] {
        walk("", &schema(kind)["properties"]["spec"], &mut |path, value| {
            if let (true, Value::Object(fields)) = (path.ends_with(".properties"), value) {
                for (name, field) in fields {
                    let text = field["description"].as_str().unwrap_or_default();
                    assert!(!text.is_empty(), "{kind}: {path}.{name} has no description");
                    assert!(!text.contains('\n'), "{kind}: {path}.{name} is wrapped");
                }
            }
        });
    }
}

/// A rule over a list, map or string without a maximum may break the API server's cost budget.
#[test]
fn what_rules_look_at_has_a_maximum() {
    let schema = schema("Node");
    assert!(schema["properties"]["spec"]["properties"]["docker"]["properties"]["endpoint"]["maxLength"].is_number());
}

#[test]
fn node_endpoints() {
    let tls = json!({"secretRef": {"name": "tls"}});
    let wrong = |docker: Value| broken_rules("Node", &json!({"spec": {"docker": docker}}));
    for good in [
        json!({"endpoint": "unix:///var/run/docker.sock"}),
        json!({"endpoint": "tcp://10.0.0.1:2376", "tls": tls}),
        json!({"endpoint": "tcp://10.0.0.1:2376", "tls": tls, "insecure": false}),
        json!({"endpoint": "tcp://10.0.0.1:2375", "insecure": true}),
        json!({"endpoint": "ssh://root@10.0.0.1", "ssh": {"secretRef": {"name": "key"}}}),
    ] {
        assert_eq!(wrong(good.clone()), Vec::<String>::new(), "{good}");
    }
    for (bad, message) in [
        (json!({"endpoint": "http://10.0.0.1"}), "must be unix:///path"),
        (json!({"endpoint": "unix://docker.sock"}), "must be unix:///path"),
        (json!({"endpoint": "tcp://10.0.0.1:2376"}), "needs either tls or insecure"),
        (json!({"endpoint": "tcp://10.0.0.1:2376", "tls": tls, "insecure": true}), "needs either tls or insecure"),
        (json!({"endpoint": "unix:///var/run/docker.sock", "tls": tls}), "allowed only there"),
        (json!({"endpoint": "unix:///var/run/docker.sock", "insecure": true}), "allowed only there"),
        (json!({"endpoint": "ssh://root@10.0.0.1"}), "ssh is required"),
        (json!({"endpoint": "tcp://h:1", "insecure": true, "ssh": {"secretRef": {"name": "key"}}}), "ssh is required"),
    ] {
        let messages = wrong(bad.clone());
        assert!(messages.len() == 1 && messages[0].contains(message), "{bad}: {messages:?}");
    }
}

#[test]
fn node_bmcs() {
    let login = json!({"secretRef": {"name": "s"}});
    let wrong = |spec: Value| broken_rules("Node", &json!({"spec": spec}));
    for good in [
        json!({"bmc": {"address": "ipmi://10.0.0.1", "credentials": login, "minimumSuite": 17}, "power": "On"}),
        json!({"bmc": {"address": "redfish+https://h", "credentials": login, "tls": {"trustOnFirstUse": true}}}),
        json!({"bmc": {"address": "redfish+http://h", "credentials": login}}),
        json!({"bmc": {"address": "manual"}, "docker": {"endpoint": "unix:///d.sock"}}),
    ] {
        assert_eq!(wrong(good.clone()), Vec::<String>::new(), "{good}");
    }
    for (bad, message) in [
        (json!({}), "one of docker, bmc and designRef is required"),
        (json!({"docker": {"endpoint": "unix:///d.sock"}, "power": "On"}), "need bmc"),
        (json!({"bmc": {"address": "https://h", "credentials": login}}), "must be redfish+https://"),
        (json!({"bmc": {"address": "ipmi://h"}}), "credentials are required"),
        (json!({"bmc": {"address": "manual", "credentials": login}}), "credentials are required"),
        (
            json!({"bmc": {"address": "ipmi://h", "credentials": login, "tls": {"trustOnFirstUse": true}}}),
            "tls is allowed",
        ),
        (json!({"bmc": {"address": "redfish+https://h", "credentials": login, "tls": {}}}), "exactly one of caRef"),
        (
            json!({"bmc": {"address": "redfish+http://h", "credentials": login, "minimumSuite": 3}}),
            "minimumSuite is allowed",
        ),
    ] {
        let messages = wrong(bad.clone());
        assert!(messages.len() == 1 && messages[0].contains(message), "{bad}: {messages:?}");
    }
}

#[test]
fn nodes_of_a_design() {
    let wrong = |spec: Value| broken_rules("Node", &json!({"spec": spec}));
    let lab = json!({"name": "lab"});
    for good in [
        json!({"designRef": lab}),
        json!({"designRef": lab, "hostProfile": "compute", "power": "On"}),
        json!({"designRef": lab, "docker": {"endpoint": "unix:///d.sock"}, "rack": "r1", "metadata": {"tags": ["a"]}}),
    ] {
        assert_eq!(wrong(good.clone()), Vec::<String>::new(), "{good}");
    }
    for field in [json!({"hostProfile": "a"}), json!({"rack": "r1"}), json!({"metadata": {}}), json!({"storage": {}})] {
        let mut bad = json!({"docker": {"endpoint": "unix:///d.sock"}});
        bad.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let messages = wrong(bad.clone());
        assert!(messages.len() == 1 && messages[0].ends_with("need designRef"), "{bad}: {messages:?}");
    }
}

/// Two parts of one name would be one to server-side apply; an atomic list would be replaced as a whole.
#[test]
fn parts_with_a_name_are_a_map_by_it() {
    // Node filters hold lists of names, and routes and ranges have none.
    for kind in ["Design", "Node"] {
        walk("", &schema(kind)["properties"]["spec"], &mut |path, value| {
            let item = &value["items"];
            if item["properties"]["name"].is_object() {
                assert_eq!(value["x-kubernetes-list-type"], "map", "{kind}: {path}");
                assert_eq!(value["x-kubernetes-list-map-keys"], json!(["name"]), "{kind}: {path}");
                assert!(item["required"].as_array().unwrap().contains(&json!("name")), "{kind}: {path}");
            }
        });
    }
}

#[test]
fn exactly_one_compose() {
    let wrong = |spec: Value| broken_rules("ContainerService", &json!({"spec": spec}));
    let from = json!({"configMapKeyRef": {"name": "shop", "key": "compose.yaml"}});
    assert!(wrong(json!({"compose": {"services": {}}})).is_empty());
    assert!(wrong(json!({"composeFrom": from})).is_empty());
    assert_eq!(wrong(json!({})), ["exactly one of compose and composeFrom is required"]);
    assert_eq!(wrong(json!({"compose": {}, "composeFrom": from})).len(), 1);
}

#[test]
fn replicas_go_with_their_mode() {
    let wrong = |placement: Value| {
        broken_rules("ContainerService", &json!({"spec": {"compose": {}, "placement": placement}})).len()
    };
    for good in [json!({}), json!({"mode": "Each"}), json!({"mode": "Replicas", "replicas": 2})] {
        assert_eq!(wrong(good.clone()), 0, "{good}");
    }
    for bad in [json!({"replicas": 2}), json!({"mode": "Each", "replicas": 2}), json!({"mode": "Replicas"})] {
        assert_eq!(wrong(bad.clone()), 1, "{bad}");
    }
}

#[test]
fn a_round_trip_changes_nothing() {
    let node = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": "edge1", "labels": {"role": "web"}},
        "spec": {"docker": {"endpoint": "tcp://10.0.0.1:2376", "tls": {"secretRef": {"name": "edge1-tls"}}},
                 "cordon": true, "deletion": {"timeout": "1m"}}
    });
    assert_eq!(serde_json::to_value(serde_json::from_value::<Node>(node.clone()).unwrap()).unwrap(), node);
    let node = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": "n20"},
        "spec": {"designRef": {"name": "lab"}, "hostProfile": "compute", "bootMac": "52:54:00:00:00:01",
                 "addressing": [{"network": "mgmt", "address": "172.16.1.20"}],
                 "interfaces": [{"name": "!bond0"}, {"name": "bond0", "link": "gp", "slaves": ["eno1"]}],
                 "storage": {"disks": [{"name": "sda", "partitions": [{"name": "root", "size": ">20g"}]}]},
                 "metadata": {"ownerData": {"a": "b"}}, "power": "On"}
    });
    assert_eq!(serde_json::to_value(serde_json::from_value::<Node>(node.clone()).unwrap()).unwrap(), node);
    let service = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ContainerService", "metadata": {"name": "shop"},
        "spec": {"placement": {"nodeSelector": {"matchLabels": {"role": "web"}}, "mode": "Replicas", "replicas": 2},
                 "compose": {"services": {"web": {"image": "nginx:1", "x-anything": [1, 2.5, null]}}},
                 "environment": {"TAG": "1"}, "files": {"./a.env": {"secretKeyRef": {"name": "a", "key": "env"}}},
                 "update": {"order": "StartFirst", "maxUnavailable": 2}, "drift": "Report", "suspend": true}
    });
    assert_eq!(
        serde_json::to_value(serde_json::from_value::<ContainerService>(service.clone()).unwrap()).unwrap(),
        service
    );
}

#[test]
fn an_unknown_field_is_refused_with_its_name() {
    let service = json!({"metadata": {"name": "x"}, "spec": {"compose": {}, "updates": {}}});
    let error = serde_json::from_value::<ContainerService>(service).unwrap_err().to_string();
    assert!(error.contains("updates"), "{error}");
    for (spec, name) in [
        (json!({"designRef": {"name": "lab"}, "hostprofile": "compute"}), "hostprofile"),
        (json!({"designRef": {"name": "lab"}, "storage": {"discs": []}}), "discs"),
    ] {
        let node = json!({"metadata": {"name": "x"}, "spec": spec});
        let error = serde_json::from_value::<Node>(node).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
