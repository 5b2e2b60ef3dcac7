//! What boot actions put on a Node.

use slipway_plan::design::boot_action::{Content, Run};

use crate::support::Site;

fn contents(site: &Site, node: &str, action: &str) -> Vec<(String, u32, String)> {
    let rendered = site.compiler().render(node, action, &Run::example()).expect("is there").expect("is there");
    let told = rendered.into_iter().map(|asset| {
        let content = match asset.content {
            Content::Data(bytes) => String::from_utf8(bytes).expect("is there"),
            Content::Location(location) => location,
        };
        (asset.path, asset.mode, content)
    });
    told.collect()
}

#[test]
fn templates_see_their_node() {
    let site = Site::lab(&[]);
    let wanted = [
        ("/var/tmp/hello.sh", 0o555, "#!/bin/sh\necho \"I'm control1\"\n \n"),
        ("/etc/who", 0o600, "172.16.1.20 in 172.16.1.0/24 infra 01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("/etc/systemd/system/hello.service", 0o600, "http://repo.lab/mgmt.lab.example.com/hello.service"),
    ];
    let found = contents(&site, "control1", "hello");
    let found: Vec<_> =
        found.iter().map(|(path, mode, content)| (path.as_str(), *mode, content.trim_end_matches(' '))).collect();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!((found.0, found.1), (wanted.0, wanted.1));
        assert_eq!(found.2.trim_end(), wanted.2.trim_end());
    }
}

#[test]
fn pythons_methods_work_in_templates() {
    let site = Site::lab(&[(
        "{{ node.labels.team }}",
        "{% for k, v in node.labels.items() %}{{ k.upper() }}={{ v | urlencode }};{% endfor %}{{ node.interfaces.pxe.sriov }} ",
    )]);
    assert!(site.findings.is_empty(), "{}", site.told());
    let content = &contents(&site, "compute1", "hello")[1].2;
    for piece in ["ROLE=compute;", "TEAM=infra;", "ZONE=a;"] {
        assert!(content.contains(piece), "{content}");
    }
}

#[test]
fn a_value_that_is_not_there_renders_to_nothing_and_is_told() {
    let site = Site::lab(&[("{{ node.labels.team }}", "<{{ node.network.storage }}>")]);
    let warned: Vec<_> = site.findings.iter().map(|f| (f.code, f.message.as_str())).collect();
    assert!(warned.iter().any(|(code, message)| *code == "SD5001" && message.contains("on Node c")), "{}", site.told());
    assert!(contents(&site, "control1", "hello")[1].2.contains("<>"));
}

#[test]
fn a_template_cannot_run_for_ever() {
    let started = std::time::Instant::now();
    let site = Site::lab(&[(
        "{{ node.labels.team }}",
        "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}",
    )]);
    assert!(site.findings.iter().any(|f| f.code == "SD5001"), "{}", site.told());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
