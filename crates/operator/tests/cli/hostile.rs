//! Files that are broken, large, or made to do harm: a clear error with its place, soon, and never a panic.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{directory, sample_file, site, slipway};

/// Generous: for debug builds on a busy machine.
const SOON: Duration = Duration::from_mins(1);

const COMMANDS: &[&[&str]] =
    &[&["check"], &["compile"], &["graph"], &["explain", "n1"], &["compile", "--node", "n1"], &["import", "drydock"]];

fn soon(directory: &Path, command: &[&str], file: &str) -> crate::support::Ran {
    let started = Instant::now();
    let mut arguments: Vec<&str> = command.to_vec();
    if command[0] != "import" {
        arguments.push("-f");
    }
    arguments.push(file);
    let ran = slipway(directory, &arguments, "");
    assert!(started.elapsed() < SOON, "{arguments:?} took {:?}", started.elapsed());
    assert!([1, 2].contains(&ran.code), "{arguments:?} ended with {}: {}{}", ran.code, ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{arguments:?}: {}", ran.err);
    assert!(ran.err.len() + ran.out.len() < 100_000, "{arguments:?} says too much: {}", ran.out.len());
    ran
}

#[test]
fn texts_that_are_no_manifests() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(", ")).unwrap();
    }
    let deep = format!("spec: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let cases: &[(&str, &[u8], &str)] = &[
        ("bomb", bomb.as_bytes(), "(TooLarge)"),
        ("deep", deep.as_bytes(), "(TooLarge)"),
        ("latin", b"kind: Design\nmetadata: {name: caf\xe9}\n", "2:21: the file is not UTF-8 text"),
        ("utf16", b"\xff\xfek\x00i\x00n\x00d\x00:\x00 \x00D\x00", "1:1: the file is not UTF-8 text"),
        ("nul", b"kind: Design\nmetadata: {name: \x00}\n", "2:"),
        ("tab", b"kind: Design\n\tspec: x\n", "2:"),
        ("twice", b"kind: Design\nkind: Node\n", "2:1: error: the key `kind` is written twice"),
        ("open", b"kind: Design\nspec: {networks: [\n", "2:"),
        ("key", b"apiVersion: slipway.dev/v1alpha1\nkind: Design\n? [a, b]\n: c\n", "3:"),
        ("anchor", b"kind: *nothing\n", "1:7: error: "),
        ("directive", b"%YAML 9.9\n%FOO\n--- {\n", ": error: "),
        ("empty", b"", "there is nothing in"),
        ("comment", b"# nothing\n---\n---\n", "there is nothing in"),
    ];
    for (name, text, wanted) in cases {
        let files = directory(&[]);
        fs::write(files.path().join(format!("{name}.yaml")), text).unwrap();
        let ran = soon(files.path(), &["check"], &format!("{name}.yaml"));
        let told = format!("{}{}", ran.out, ran.err);
        assert!(told.contains(wanted) && told.contains(&format!("{name}.yaml")), "{name}: {wanted}\n{told}");
        // The bomb takes some seconds to go off in a debug build, and all commands read alike.
        for command in COMMANDS.iter().filter(|_| *name != "bomb") {
            soon(files.path(), command, &format!("{name}.yaml"));
        }
    }
}

#[test]
fn large_files_are_refused() {
    let files = directory(&[]);
    let large = fs::File::create(files.path().join("large.yaml")).unwrap();
    large.set_len(100 << 20).unwrap(); // 100 MB of nothing, which takes no room
    for command in COMMANDS {
        let ran = soon(files.path(), command, "large.yaml");
        assert!(ran.code == 2 && ran.err.contains("large.yaml has more than 16 MiB"), "{}", ran.err);
    }
    let ran = soon(Path::new("/"), &["check"], "/dev/zero");
    assert!(ran.err.contains("/dev/zero: it is no regular file"), "{}", ran.err);
}

#[test]
fn places_that_are_no_files() {
    let files = directory(&[("empty/readme", ""), ("loop/a.yaml", "kind: [\n"), ("secret/a.yaml", "")]);
    let path = |name: &str| files.path().join(name);
    symlink(".", path("loop/again")).unwrap();
    symlink("../loop", path("loop/up")).unwrap();
    symlink("nowhere", path("dangling.yaml")).unwrap();
    symlink("itself.yaml", path("itself.yaml")).unwrap();
    let fifo = CString::new(path("fifo.yaml").to_str().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(fifo.to_str().unwrap()).status().unwrap();
    assert!(made.success());
    for (name, wanted) in [
        ("empty", "empty has no file that ends in"),
        ("dangling.yaml", "cannot read dangling.yaml: No such file"),
        ("itself.yaml", "cannot read itself.yaml: "),
        ("fifo.yaml", "cannot read fifo.yaml: it is no regular file"),
        ("nowhere/*.yaml", "names no file"),
    ] {
        let ran = soon(files.path(), &["check"], name);
        assert!(ran.code == 2 && ran.err.contains(wanted), "{name}: {}", ran.err);
    }
    let ran = soon(files.path(), &["check"], "loop");
    assert_eq!(ran.out.matches("(YamlSyntax)").count(), 1, "a file is read once: {}", ran.out);
    // The pipe among others does not hide them.
    let ran = soon(files.path(), &["check"], ".");
    assert!(
        ran.code == 2 && ran.out.contains("(YamlSyntax)") && ran.err.contains("fifo.yaml"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn pipes_of_the_shell_are_read() {
    let command = format!("{} check -f <(cat good.yaml)", env!("CARGO_BIN_EXE_slipway"));
    let files = directory(&[("good.yaml", &site("  racks: [{name: r1}]\n"))]);
    let ran = std::process::Command::new("bash").args(["-c", &command]).current_dir(files.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn other_line_ends_and_marks_are_no_harm() {
    let text = site("  networks:\n    - {name: a, cidr: 10.0.0.1/24}\n");
    for (name, text) in [("crlf", text.replace('\n', "\r\n")), ("mark", format!("\u{feff}{text}"))] {
        let files = directory(&[("a.yaml", &text)]);
        let ran = slipway(files.path(), &["check", "-f", "a.yaml"], "");
        assert_eq!(ran.code, 1, "{name}: {}{}", ran.out, ran.err);
        let wanted = "a.yaml:6:23: error: network a: 10.0.0.1/24 has bits set beyond its prefix (DD2006)";
        assert!(ran.out.lines().any(|line| line.starts_with(wanted)), "{name}: {}", ran.out);
        assert!(!ran.out.contains('\r'), "{name}: {:?}", ran.out);
    }
}

#[test]
fn numbers_and_keys_of_all_sorts() {
    for (spec, wanted) in [
        ("  networks: [{name: a, cidr: 10.0.0.0/24, vlan: 99999999999999999999999}]\n", "[spec.networks[0].vlan]"),
        ("  networks: [{name: a, cidr: 10.0.0.0/24, vlan: -1}]\n", "[spec.networks[0].vlan]"),
        ("  networks: [{name: a, cidr: 10.0.0.0/24, mtu: 1e999}]\n", "[spec.networks[0].mtu]"),
        ("  networks: [{name: a, cidr: 10.0.0.0/24, mtu: .nan}]\n", "[spec.networks[0].mtu]"),
        ("  networks: [{name: a, cidr: 10.0.0.0/24, 7: 8}]\n", "[spec.networks[0].7]"),
        ("  networks: [{name: a, cidr: 10.0.0.0/24, ~: 8}]\n", "[spec.networks[0]."),
        ("  networks: {a: {cidr: 10.0.0.0/24}}\n", "[spec.networks]"),
        ("  rollout: {maxUnavailable: 99999999999}\n", "[spec.rollout.maxUnavailable]"),
        (
            "  hardwareProfiles: [{name: a, hugepages: [{name: b, size: 1G, count: -5}]}]\n",
            "[spec.hardwareProfiles[0].hugepages[0].count]",
        ),
    ] {
        let files = directory(&[("a.yaml", &site(spec))]);
        let ran = soon(files.path(), &["check"], "a.yaml");
        let is_told = |line: &str| line.starts_with("a.yaml:5:") && line.contains(wanted);
        assert!(ran.code == 1 && ran.out.lines().any(is_told), "{spec}: {}{}", ran.out, ran.err);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    /// A cut, a doubled piece or foreign text anywhere in the sample: every command ends, and none panics.
    #[test]
    fn damaged_sites(at in 0.0..1.0_f64, length in 0..120_usize, put in "[a-z:{}\\[\\]!,\\-\" \n0-9&*|>%@]{0,12}", command in 0..4_usize) {
        let whole = ["design.yaml", "racks.yaml", "nodes.yaml"].map(|name| sample_file(name, &[])).join("---\n");
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let start = whole.floor_char_boundary((at * whole.len() as f64) as usize);
        let end = whole.floor_char_boundary((start + length).min(whole.len()));
        let text = format!("{}{put}{}", &whole[..start], &whole[end..]);
        let arguments = [&["check", "-f", "-"][..], &["compile", "-f", "-"], &["explain", "-f", "-", "compute1"], &["graph", "-f", "-"]];
        let started = Instant::now();
        let ran = slipway(Path::new("."), arguments[command], &text);
        assert!(started.elapsed() < SOON && (0..=2).contains(&ran.code), "{}: {}", ran.code, ran.err);
        assert!(!ran.err.contains("panicked"), "{}\n{text}", ran.err);
    }
}
