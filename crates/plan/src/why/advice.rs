//! What to do about a reason: the words of docs/troubleshooting.md, so that page and command line never say two things.

/// The page. `cargo xtask generate --check` sees to it that every reason has an entry there, and that there is no other.
const PAGE: &str = include_str!("../../../../docs/troubleshooting.md");

/// The entry of a reason, on one line.
pub fn of(reason: &str) -> Option<String> {
    let mut sections = PAGE.split("\n### ").skip(1);
    let entry = sections.find_map(|section| {
        let (title, text) = section.split_once('\n')?;
        title.split(", ").any(|word| word.trim() == reason).then_some(text)
    })?;
    let text = entry.split("\n## ").next().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| without_links(&text))
}

/// `[a page](page.md)` is `a page`.
fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once("](").and_then(|(name, tail)| Some((name, tail.split_once(')')?.1))) {
            Some((name, tail)) if !name.contains(']') => {
                out.push_str(name);
                rest = tail;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_each_of_its_words() {
        let text = of("BmcCertificateNotYetValid").unwrap();
        assert!(text.starts_with("The BMC's certificate is past its end") && text.contains("tls.pinSha256"), "{text}");
        assert_eq!(of("BmcCertificateExpired"), Some(text));
        assert_eq!(of("NoSuchReason"), None);
    }

    #[test]
    fn an_entry_ends_with_its_section() {
        let text = of("SameBmc").unwrap();
        assert!(text.ends_with("mend the address.") && !text.contains('#'), "{text}");
    }

    #[test]
    fn links_are_their_names() {
        assert_eq!(without_links("see [the guide](a.md) and ranges[0] [x] (y)"), "see the guide and ranges[0] [x] (y)");
    }
}
