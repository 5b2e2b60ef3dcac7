//! What sites compile to.

use slipway_plan::design::boot_action::{Content, Run};

use crate::support::{PLANT, Site};

#[test]
fn the_lab() {
    let site = Site::lab(&[]);
    insta::assert_json_snapshot!(site.compiler().site());
    for node in ["control1", "compute1", "compute2"] {
        insta::assert_json_snapshot!(format!("the_lab_{node}"), **site.compiler().node(node).unwrap());
    }
}

#[test]
fn the_same_site_has_the_same_model_in_any_order() {
    let site = Site::lab(&[]);
    let mut documents: Vec<&str> = crate::support::LAB.split("---\n").collect();
    documents.reverse();
    let reversed = Site::of(documents.join("\n---\n"));
    assert_eq!(reversed.compiler().hash(), site.compiler().hash());
    let other = Site::lab(&[("size: 500m", "size: 501m")]);
    assert_ne!(other.compiler().hash(), site.compiler().hash());
}

#[test]
fn route_domains() {
    let networks = |gateway: &str| {
        let network = |number: u8| {
            format!(
                "{{name: s{number}, cidr: 172.16.{number}.0/24, routeDomain: storage, routes: [{{routeDomain: storage, {gateway}}}]}}"
            )
        };
        let all = (1..=3).map(network).collect::<Vec<_>>().join(", ");
        Site::of(format!("kind: Design\nmetadata: {{name: lab}}\nspec: {{networks: [{all}]}}\n"))
    };
    let site = networks("gateway: 172.16.3.1, metric: 10");
    let third = &site.compiler().site().networks[2];
    let routes: Vec<_> = third.routes.iter().map(|r| (r.subnet.to_string(), r.gateway.to_string(), r.metric)).collect();
    let route = |subnet: &str| (subnet.to_owned(), "172.16.3.1".to_owned(), 10);
    assert_eq!(routes, [route("172.16.1.0/24"), route("172.16.2.0/24")], "to each other network, not to its own");
}

#[test]
fn groups_take_each_node_once() {
    let site = Site::lab(&[]);
    let groups = site.compiler().groups();
    let told: Vec<_> =
        groups.iter().map(|(name, nodes)| (name.as_str(), nodes.iter().map(|n| &**n).collect())).collect();
    let wanted: [(&str, Vec<&str>); 2] = [("control", vec!["control1"]), ("compute", vec!["compute1", "compute2"])];
    assert_eq!(told, wanted);
}

/// The site that has what the lab does without.
#[test]
fn the_plant() {
    let site = Site::of(PLANT);
    assert!(site.findings.is_empty(), "{}", site.told());
    let plant = &site.compiled["plant"];
    insta::assert_json_snapshot!(plant.site());
    insta::assert_json_snapshot!("the_plant_groups", plant.groups());
    for node in plant.nodes() {
        insta::assert_json_snapshot!(format!("the_plant_{}", node.name), **node);
    }
    let rendered = plant.render("press-2", "identity", &Run::example()).unwrap().unwrap();
    let contents: Vec<_> = rendered.into_iter().map(|asset| (asset.path, asset.mode, asset.content)).collect();
    let identity = Content::Data(b"UFJFU1MtMiBvbiAxMC4yMC4xLjEy".to_vec());
    let agent = Content::Location("http://mirror.plant/press-2/agent".into());
    assert_eq!(contents, [("/etc/plant/identity".into(), 0o600, identity), ("/opt/agent".into(), 0o755, agent)]);
}
