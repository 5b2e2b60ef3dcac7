//! Text that came from a host, made fit for messages.

/// At most `max` bytes of it, without control characters, on one line.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > max.saturating_sub('…'.len_utf8()) {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

/// The last `max` bytes of a log or a check's output, with line breaks but without other control characters.
pub(super) fn tail(bytes: &[u8], max: usize) -> String {
    let start = bytes.len().saturating_sub(max);
    let text = String::from_utf8_lossy(&bytes[start..]);
    let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    // Replacement characters are longer than what they replace.
    let mut from = clean.len().saturating_sub(max);
    while !clean.is_char_boundary(from) {
        from += 1;
    }
    clean[from..].lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_have_no_control_characters() {
        assert_eq!(printable("a\nb\u{1b}[31m", 100), "a b [31m");
        assert_eq!(printable(&"é".repeat(100), 11).len(), 11);
    }

    #[test]
    fn a_tail_is_the_end_and_keeps_its_lines() {
        assert_eq!(tail(b"one\r\ntwo\x1b[0m\n", 100), "one\ntwo [0m");
        assert_eq!(tail(b"abcdef", 3), "def");
        assert!(tail(&[0xff; 5000], 2048).len() <= 2048);
    }
}
