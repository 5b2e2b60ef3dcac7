//! The fuzz targets over their committed corpus.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

#[path = "../../../fuzz/harness.rs"]
mod harness;
mod targets;

/// With pieces that mean something to YAML, to sites, to projects and to their rules.
const CORPUS: harness::Corpus = harness::Corpus {
    targets: targets::TARGETS,
    words: &[
        "!",
        "-1",
        "null",
        "~",
        "[]",
        "{}",
        "'!'",
        "*a",
        "&a ",
        "<<: *a",
        "? ",
        "| ",
        ">-",
        "!!binary x",
        "!!int ",
        "!reset ",
        "---\n",
        "\r",
        "\u{2028}",
        ": ",
        "- ",
        "\t",
        "0",
        "99999999999999999999",
        "1:30",
        "010",
        "yes",
        "2026-11-28",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/33",
        "fd00::1",
        "dhcp",
        "%",
        ">99%",
        "18446744073709551615t",
        "hardwareprofile:",
        "{{ node",
        "{% for a in b %}",
        "name",
        "extends",
        "${A:-",
        "$$",
        "8000-9000:8000-9000/udp",
        "1h",
        "1.5g",
        "service:a",
        "depends_on",
        "profiles: [debug]",
        "\n%% a.env\n",
        "\u{fffd}",
        "\"",
        "'",
        "#",
    ],
};

harness::tests!(CORPUS, damaged: 10, mutated: 300);
