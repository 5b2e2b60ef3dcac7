//! `slipway check` of ContainerServices, and what it has for every kind.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{directory, slipway};

const GOOD: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: ContainerService
metadata: {name: shop, namespace: lab}
spec:
  placement: {nodeSelector: {matchLabels: {role: web}}}
  compose:
    services:
      web:
        image: registry.lab/web:1.0
        ports: [\"80:80\"]
        env_file: web.env
  files:
    web.env: {secretKeyRef: {name: shop, key: env}}
";

const BAD: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: ContainerService
metadata: {name: shop}
spec:
  compose:
    services:
      web:
        image: web
        prots: [\"80:80\"]
        depends_on: [database]
  updat: {order: StopFirst}
---
apiVersion: slipway.dev/v1alpha1
kind: ContainerService
metadata: {name: Shop}
spec: {compose: {services: {a: {image: a}}}, placement: {mode: Replicas}, drift: Heel}
---
apiVersion: slipway.dev/v1alpha1
kind: Node
metadata: {name: n1}
spec:
  docker: {endpoint: \"tcp://10.0.0.1\"}
";

#[test]
fn what_is_right_passes() {
    let files = directory(&[
        ("good.yaml", GOOD),
        ("deploy.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"),
    ]);
    let ran = slipway(files.path(), &["check", "-f", "good.yaml", "-f", "deploy.yaml"], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("Secret shop is not given"), "{}", ran.err);
    assert!(ran.err.contains("Deployment d is passed over"), "{}", ran.err);
    assert!(ran.err.ends_with("checked 1 object in 2 files: 0 errors, 0 warnings\n"), "{}", ran.err);
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    let files = directory(&[("bad.yaml", BAD)]);
    let ran = slipway(files.path(), &["check", "-f", "bad.yaml"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    for wanted in [
        "bad.yaml:9:9: error: `prots` is not a key of the Compose format here (UnknownKey) [spec.compose.services.web.prots]; did you mean `ports`?",
        "bad.yaml:10:9: error: the service `database` is not defined (UndefinedReference) [spec.compose.services.web.depends_on]",
        "bad.yaml:11:3: error: `updat` is not a field here (UnknownKey) [spec.updat]; did you mean `update`?",
        "bad.yaml:16:82: error: `Heel` is none of Heal, Report, Ignore (InvalidValue) [spec.drift]",
    ] {
        assert!(lines.contains(&wanted), "{wanted}\n{}", ran.out);
    }
    assert!(
        ran.out.contains("bad.yaml:15:18: error: `Shop` is not a name of an object (InvalidName) [metadata.name]"),
        "{}",
        ran.out
    );
    assert!(lines.iter().any(|line| line.starts_with("bad.yaml:22:") && line.contains("[spec.docker")), "{}", ran.out);
    assert!(ran.err.contains("checked 3 objects in 1 file"), "{}", ran.err);
}

#[test]
fn the_same_as_json() {
    let files = directory(&[("bad.yaml", BAD)]);
    let ran = slipway(files.path(), &["check", "-f", "bad.yaml", "-o", "json"], "");
    assert_eq!(ran.code, 1);
    let findings: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let first = &findings[0];
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"bad.yaml".into(), &9.into(), &9.into()),
        "{first}"
    );
    assert_eq!((&first["code"], &first["severity"]), (&"UnknownKey".into(), &"Error".into()), "{first}");
    assert_eq!(first["object"], "ContainerService/shop");
    let ran = slipway(files.path(), &["check", "-f", "-", "-o", "json"], GOOD);
    assert_eq!((ran.code, ran.out.as_str()), (0, "[]\n"), "{}", ran.err);
}

#[test]
fn rules_of_the_crd_and_of_the_kind() {
    for (spec, wanted) in [
        ("{compose: {services: {a: {image: a}}}, placement: {mode: Replicas}}", "[spec.placement"),
        ("{}", "[spec]"),
        ("{compose: {}, composeFrom: {configMapKeyRef: {name: a, key: b}}}", "[spec]"),
        ("{compose: {services: {a: {image: a}}}, images: {follow: {every: 1s}}}", "[spec.images.follow"),
    ] {
        let text =
            format!("apiVersion: slipway.dev/v1alpha1\nkind: ContainerService\nmetadata: {{name: a}}\nspec: {spec}\n");
        let ran = slipway(Path::new("."), &["check", "-f", "-"], &text);
        assert_eq!(ran.code, 1, "{spec}: {}{}", ran.out, ran.err);
        assert!(ran.out.lines().all(|line| line.starts_with("<stdin>:4:") || line.starts_with(' ')), "{}", ran.out);
        assert!(ran.out.contains(wanted), "{spec}: {}", ran.out);
    }
    let other = "apiVersion: slipway.dev/v1\nkind: ContainerService\nmetadata: {name: a}\n---\napiVersion: slipway.dev/v1alpha1\nkind: Contianer\n";
    let ran = slipway(Path::new("."), &["check", "-f", "-"], other);
    assert!(
        ran.out.contains("[apiVersion]; write slipway.dev/v1alpha1") && ran.out.contains("[kind]; the kinds are"),
        "{}",
        ran.out
    );
}

#[test]
fn objects_of_the_same_files_satisfy_references() {
    let service = "\
kind: List
apiVersion: v1
items:
- apiVersion: slipway.dev/v1alpha1
  kind: ContainerService
  metadata: {name: a, namespace: lab}
  spec:
    composeFrom: {configMapKeyRef: {name: app, key: compose.yaml}}
    files: {a.env: {secretKeyRef: {name: app, key: env}}}
";
    let config = |compose: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  compose.yaml: |\n    {compose}\n")
    };
    let secret = |key: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: app, namespace: lab}}\ndata: {{{key}: QT1i}}\n")
    };
    let run = |compose: &str, key: &str| {
        let files = directory(&[
            ("all/1.yaml", service),
            ("all/2.yml", &config(compose)),
            ("all/3.json", &secret(key)),
            ("all/no.txt", "{"),
        ]);
        slipway(files.path(), &["check", "-f", "all"], "")
    };
    let good = run("services: {a: {image: a, env_file: a.env}}", "env");
    assert_eq!((good.code, good.out.as_str()), (0, ""), "{}", good.err);
    assert!(good.err.ends_with("checked 1 object in 3 files: 0 errors, 0 warnings\n"), "{}", good.err);
    let bad = run("services: {a: {imag: a}}", "env");
    assert_eq!(bad.code, 1);
    assert!(
        bad.out.contains("all/1.yaml:8:5: error: `imag` is not a key") && bad.out.contains("(line 1)"),
        "{}",
        bad.out
    );
    let missing = run("services: {a: {image: a, env_file: a.env}}", "other");
    assert_eq!(missing.code, 1, "{}", missing.err);
    assert!(missing.out.contains("(KeyMissing)"), "{}", missing.out);
    let elsewhere = service.replace("namespace: lab", "namespace: other");
    let files = directory(&[
        ("1.yaml", &elsewhere),
        ("2.yaml", &config("services: {a: {image: a, env_file: a.env}}")),
        ("3.yaml", &secret("env")),
    ]);
    let ran = slipway(files.path(), &["check", "-f", "."], "");
    assert!(ran.code == 0 && ran.err.contains("Secret app is not given"), "{}{}", ran.out, ran.err);
}

#[test]
fn two_services_of_one_project_are_named() {
    let service = |name: &str, namespace: &str, project: &str, role: &str| {
        format!(
            "---\napiVersion: slipway.dev/v1alpha1\nkind: ContainerService\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec:\n  placement: {{nodeSelector: {{matchLabels: {{role: {role}}}}}}}\n  compose: {{name: {project}, services: {{web: {{image: a}}}}}}\n"
        )
    };
    let of = |services: [String; 2]| {
        let files = directory(&[("one.yaml", &services[0]), ("two.yaml", &services[1])]);
        slipway(files.path(), &["check", "-f", "one.yaml", "-f", "two.yaml"], "")
    };
    let same = of([service("one", "lab", "shop", "web"), service("two", "lab", "shop", "web")]);
    assert_eq!(same.code, 1, "{}", same.out);
    assert!(
        same.out.starts_with("two.yaml:7:3: error: the project name `shop` is that of ContainerService one as well (ProjectTaken) [spec.compose]"),
        "{}",
        same.out
    );
    let elsewhere = of([service("one", "lab", "shop", "web"), service("two", "lab", "shop", "db")]);
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.out);
    assert!(elsewhere.out.contains("warning: the project name `shop`"), "{}", elsewhere.out);
    for other in [service("two", "lab", "other", "web"), service("two", "office", "shop", "web")] {
        let apart = of([service("one", "lab", "shop", "web"), other]);
        assert_eq!((apart.code, apart.out.as_str()), (0, ""));
    }
}

#[test]
fn what_cannot_be_read() {
    let files = directory(&[("broken.yaml", "a: 1\nb: {\n"), ("empty/readme", "")]);
    for (arguments, wanted) in [
        (["check", "-f", "nowhere.yaml"].as_slice(), "cannot read nowhere.yaml"),
        (&["check", "-f", "empty"], "no file that ends in"),
        (&["check"], "--filename"),
        (&["check", "-f", "broken.yaml", "-o", "xml"], "invalid value 'xml'"),
        (&["import", "compose", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (&["import", "compose", "broken.yaml", "--env", "novalue"], "NAME=VALUE"),
    ] {
        let ran = slipway(files.path(), arguments, "");
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(wanted), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
    let ran = slipway(files.path(), &["check", "-f", "broken.yaml"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("broken.yaml:2:4: error: ") && ran.out.contains("(YamlSyntax)"), "{}", ran.out);
}

#[test]
fn hostile_files_are_refused_with_a_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(", ")).unwrap();
    }
    let many: String = (0..10_000).map(|n| format!("      s{n}: {{image: a}}\n")).collect::<Vec<_>>().concat();
    let many = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: ContainerService\nmetadata: {{name: a}}\nspec:\n  compose:\n    services:\n{many}"
    );
    let files = directory(&[("large.yaml", &"x: y\n".repeat(2 << 20)), ("bomb.yaml", &bomb), ("many.yaml", &many)]);
    for name in ["large.yaml", "bomb.yaml", "many.yaml"] {
        let ran = slipway(files.path(), &["check", "-f", name], "");
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        assert!(ran.out.contains("(TooLarge)"), "{name}: {}", ran.out);
        assert!(ran.out.len() < 2000, "{name}: {}", ran.out.len());
        let ran = slipway(files.path(), &["import", "compose", name], "");
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        assert!(ran.out.is_empty(), "{name}");
    }
}

#[test]
fn a_finding_is_shown_with_its_line_and_a_caret() {
    let files = directory(&[("bad.yaml", BAD)]);
    let ran = slipway(files.path(), &["check", "-f", "bad.yaml"], "");
    let wanted = "[spec.drift]\n    |\n 16 | spec: {compose: {services: {a: {image: a}}}, placement: {mode: Replicas}, drift: Heel}\n    | ";
    let at = ran.out.find(wanted).unwrap_or_else(|| panic!("{}", ran.out));
    let carets = ran.out[at + wanted.len()..].lines().next().unwrap();
    assert_eq!(carets, " ".repeat(81) + "^^^^");
}

#[test]
fn findings_as_sarif_and_as_annotations() {
    let files = directory(&[("a b/bad.yaml", BAD)]);
    let ran = slipway(files.path(), &["check", "-f", "a b", "-o", "sarif"], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    let log: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"UnknownKey".into(), &"error".into()), "{result}");
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b/bad.yaml");
    assert_eq!(location["region"], serde_json::json!({"startLine": 9, "startColumn": 9}));
    let known: Vec<&Value> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert!(run["results"].as_array().unwrap().iter().all(|result| known.contains(&&result["ruleId"])), "{known:?}");
    let ran = slipway(files.path(), &["check", "-f", "a b", "-o", "github"], "");
    assert!(
        ran.out.starts_with("::error file=a b/bad.yaml,line=9,col=9,title=UnknownKey::`prots` is not a key"),
        "{}",
        ran.out
    );
    let clean = slipway(files.path(), &["check", "-f", "-", "-o", "sarif"], GOOD);
    let log: Value = serde_json::from_str(&clean.out).unwrap();
    assert_eq!((clean.code, &log["runs"][0]["results"]), (0, &serde_json::json!([])), "{}", clean.err);
}

#[test]
fn patterns_name_files() {
    let files = directory(&[("site/a.yaml", GOOD), ("site/b.yaml", GOOD), ("site/c.txt", "{")]);
    let ran = slipway(files.path(), &["check", "-f", "si*/?.yaml"], "");
    assert!(ran.code == 0 && ran.err.ends_with("in 2 files: 0 errors, 0 warnings\n"), "{}", ran.err);
    let ran = slipway(files.path(), &["check", "-f", "si*/*.json"], "");
    assert!(ran.code == 2 && ran.err.contains("names no file"), "{}", ran.err);
}

#[test]
fn help_has_examples() {
    for arguments in
        [["check", "--help"].as_slice(), &["import", "compose", "--help"], &["import", "drydock", "--help"]]
    {
        let ran = slipway(Path::new("."), arguments, "");
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("Examples:\n  slipway "), "{}", ran.out);
    }
}
