//! `slipway plan` without a cluster, as people run it.

use crate::support::{Ran, directory, slipway};

const SHOP: &str = r#"
apiVersion: slipway.dev/v1alpha1
kind: ContainerService
metadata: {name: shop, namespace: prod}
spec:
  placement: {nodeSelector: {matchLabels: {role: web}}}
  compose:
    services:
      db:
        image: registry.lab/db:1
        volumes: ["data:/var/lib/db"]
        healthcheck: {test: ["CMD", "true"]}
        environment: {PASSWORD: hunter2}
      web:
        image: registry.lab/web:1
        ports: ["8080:80"]
        depends_on: {db: {condition: service_healthy}}
        secrets: [token]
    volumes: {data: {}}
    secrets:
      token: {external: true, name: web-token}
"#;

const NODES: &str = r#"
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: edge1, namespace: prod, labels: {role: web}}
spec: {docker: {endpoint: "unix:///var/run/docker.sock"}}
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: edge2, namespace: prod, labels: {role: db}}
spec: {docker: {endpoint: "unix:///var/run/docker.sock"}}
"#;

fn plan(text: &str, arguments: &[&str]) -> Ran {
    let files = directory(&[("service.yaml", text)]);
    slipway(files.path(), &[&["plan", "-f", "service.yaml"], arguments].concat(), "")
}

#[test]
fn the_whole_way_is_shown_without_a_cluster() {
    let ran = plan(SHOP, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        ran.out,
        "\
ContainerService prod/shop:
  each Node: pull image registry.lab/db:1
  each Node: pull image registry.lab/web:1
  each Node: create network shop_default
  each Node: create volume shop_data
  each Node: create container shop-db-1
  each Node: create container shop-web-1
  each Node: start container shop-db-1
  each Node: start container shop-web-1
"
    );
    assert!(ran.err.contains("Secret web-token is not given"), "{}", ran.err);
}

#[test]
fn nodes_of_the_files_are_the_hosts() {
    let ran = plan(&format!("{SHOP}{NODES}"), &["-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains("hunter2"));
    let plans: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let steps = plans[0]["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["host"] == "edge1"), "{}", ran.out);
    assert_eq!(steps.last().unwrap()["step"], "startContainer");
    let yaml = plan(SHOP, &["-o", "yaml"]).out;
    assert!(yaml.contains("step: createNetwork"), "{yaml}");
}

#[test]
fn what_the_operator_would_refuse_is_not_planned() {
    let ran = plan(&SHOP.replace("8080:80", "80800:80"), &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.is_empty() && ran.err.contains("InvalidPort"), "{}", ran.err);
    let ran = plan(SHOP, &["--context", "nowhere"]);
    assert_eq!(ran.code, 2, "a context is for --live only");
}
