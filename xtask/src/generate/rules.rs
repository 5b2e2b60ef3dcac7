//! The rules of a Design as a Markdown page, from the table that findings are made of.

use std::fmt::Write as _;

use slipway_plan::Severity;
use slipway_plan::design::{RULES, Rule};

const HEAD: &str = "\
<!-- Written by `cargo xtask generate` from crates/plan/src/design/rules.rs. Do not edit. -->

# Rules of a Design

What `slipway check` and the operator say of a Design and its Nodes: the same code, rule and field path from both. An error keeps the
site from being used, a warning does not. Codes with `DD` are those of Airship drydock, which gives some codes to two rules, so a rule
is known by its code and name together; what differs from drydock is in [its migration guide](migration-drydock.md). Codes with `SD`
are of rules that drydock lacks. An error about a link or network that is marked `unmanaged` is a warning, and so is one about the
`bootMac` of a machine that is found by its BMC, over IPMI or Redfish.

All other codes of `slipway check` are in [troubleshooting](troubleshooting.md).
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for rule in RULES {
        let next = area(rule);
        if next != group {
            group = next;
            let _ = write!(
                page,
                "\n## {group}\n\n| Code | Severity | Rule | What is found | What to do | Example |\n|---|---|---|---|---|---|\n"
            );
        }
        let severity = match rule.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Rule { code, name, what, hint, example, .. } = rule;
        let _ = writeln!(
            page,
            "| {code} | {severity} | {name} | {} | {} | {} |",
            cell(what),
            cell(hint),
            code_cell(example)
        );
    }
    page
}

/// What a rule is about, by its code.
fn area(rule: &Rule) -> &'static str {
    match &rule.code[..3] {
        "DD0" | "DD1" | "DD2" | "DD3" | "DD4" => "Those of drydock",
        "SD1" => "Names and parts of a site",
        "SD2" => "Networks and addresses",
        "SD3" => "Storage",
        "SD4" => "Machines",
        "SD5" => "Boot actions",
        _ => "Rollout",
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Code in a table; a `|` in it must be escaped there too (GitHub's tables).
fn code_cell(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", cell(text))
}
