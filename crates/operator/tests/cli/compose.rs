//! `slipway import compose`.

use crate::support::{directory, slipway};

const COMPOSE: &str = "\
version: '3'
services:
  web:
    image: \"web:${TAG}\"
    env_file: web.env
    volumes: ['./site:/site:ro']
";

#[test]
fn an_import_passes_the_check() {
    let files = directory(&[
        ("shop/compose.yaml", COMPOSE),
        ("shop/web.env", "A=b\n"),
        ("shop/.env", "TAG=1\n"),
        ("shop/site/index", ""),
    ]);
    let arguments = [
        "import",
        "compose",
        "shop/compose.yaml",
        "--namespace",
        "lab",
        "--env",
        "TAG=2",
        "--project-directory",
        "/srv/shop",
    ];
    let imported = slipway(files.path(), &arguments, "");
    assert_eq!(imported.code, 0, "{}", imported.err);
    for wanted in ["name: shop\n", "TAG: \"2\"", "/srv/shop/site:/site:ro", "kind: Secret", "namespace: lab"] {
        assert!(imported.out.contains(wanted), "{wanted}\n{}", imported.out);
    }
    let checked = slipway(files.path(), &["check", "-f", "-"], &imported.out);
    assert_eq!((checked.code, checked.out.as_str()), (0, ""), "{}", checked.err);
    let several = slipway(files.path(), &[&arguments[..], &["--name", "Bad Name"]].concat(), "");
    assert_eq!((several.code, several.out.as_str()), (1, ""));
    assert!(several.err.contains("(InvalidName)"), "{}", several.err);
}

#[test]
fn an_import_reads_nothing_outside_of_its_directory() {
    let compose = |file: &str| format!("services: {{a: {{image: a, env_file: '{file}'}}}}");
    let files = directory(&[
        ("secret.env", "A=hunter2\n"),
        ("p/up.yaml", &compose("../secret.env")),
        ("p/absolute.yaml", &compose("/etc/hostname")),
        ("p/link.yaml", &compose("link.env")),
        ("p/include.yaml", "include: [../other.yaml]\nservices: {a: {image: a}}"),
        ("other.yaml", "services: {b: {image: b}}"),
    ]);
    std::os::unix::fs::symlink("../secret.env", files.path().join("p/link.env")).unwrap();
    for name in ["up", "absolute", "link", "include"] {
        let ran = slipway(files.path(), &["import", "compose", &format!("p/{name}.yaml")], "");
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{name}: {}", ran.err);
        assert!(ran.err.contains("is outside of"), "{name}: {}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{name}");
    }
    let ran = slipway(files.path(), &["import", "compose", "p/up.yaml", "other.yaml"], "");
    assert_eq!(ran.code, 2, "{}", ran.err);
}
