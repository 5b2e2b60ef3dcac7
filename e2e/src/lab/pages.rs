//! What the documents show of a command's output, so that a test can tell whether that still is what is printed.

use anyhow::{Context, Result};

use super::assets::repository;

/// What a page shows under `$ command`, up to the next command or the end of the block. (A command that is printed stands further in.)
pub fn shown(page: &str, command: &str) -> Result<String> {
    let text = std::fs::read_to_string(repository().join(page)).with_context(|| format!("cannot read {page}"))?;
    shown_in(&text, command).with_context(|| format!("{page} shows no `{command}`"))
}

fn shown_in(text: &str, command: &str) -> Option<String> {
    let prompt = format!("$ {command}");
    let lines = text.lines().skip_while(|line| *line != prompt).skip(1);
    let lines: Vec<_> = lines.take_while(|line| *line != "```" && !line.starts_with("$ ")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The same with what differs from run to run made equal: times, ages, hashes of plans, and how far things stand apart.
pub fn alike(text: &str) -> String {
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn word(word: &str) -> String {
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let same = if core.parse::<jiff::Timestamp>().is_ok() {
        "TIME"
    } else if core.len() == 12 && core.chars().all(|c| c.is_ascii_hexdigit()) {
        "HASH"
    } else if is_age(core) {
        "AGE"
    } else {
        return word.to_owned();
    };
    word.replace(core, same)
}

/// `6s`, `1m30s`.
fn is_age(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || "smhd".contains(c);
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(|c: char| "smhd".contains(c))
        && word.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_s_output_ends_where_the_next_one_begins() {
        let page = "text\n```console\n$ a b\none\n\n  $ approve it\n$ c\n$ d\ntwo\n```\nmore\n";
        assert_eq!(shown_in(page, "a b").as_deref(), Some("one\n\n  $ approve it"));
        assert_eq!(shown_in(page, "c"), None);
        assert_eq!(shown_in(page, "d").as_deref(), Some("two"));
        assert_eq!(shown_in(page, "e"), None);
    }

    #[test]
    fn what_differs_from_run_to_run_is_made_equal() {
        let text = alike(
            "plan 7f3c00aa11bb, since 2026-11-28T10:00:00Z (1m30s ago)\n\n  at: \"2026-11-28T10:00:00Z\"  5 hosts",
        );
        assert_eq!(text, "plan HASH, since TIME (AGE ago)\nat: \"TIME\" 5 hosts");
    }
}
