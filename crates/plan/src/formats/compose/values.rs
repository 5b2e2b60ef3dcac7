//! What single values mean: sizes, commands, names, addresses.

use std::net::IpAddr;

use serde_json::Number;

use super::read::shorten;

/// A size as Docker reads it: powers of 1024, units `b k m g t p` with an optional `b` or `ib`, fractions allowed.
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{}` is not a size; write for example 512m or 1g", shorten(text));
    let trimmed = text.trim();
    let end = trimmed.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(wrong)? + 1;
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let power = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(wrong()),
    };
    let size = number * 1024f64.powi(power);
    // 2^63 is where an i64 ends.
    if !(0.0..9.2e18).contains(&size) {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation)] // within range; Docker truncates fractions of a byte too
    Ok(size as i64)
}

/// A number in the words that Go's `%v` has for it, which is what Compose puts into the environment.
pub(super) fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let exponent = format!("{float:e}");
            let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "0"));
            let power: i32 = power.parse().unwrap_or(0);
            if (-4..6).contains(&power) {
                return format!("{float}");
            }
            format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
        }
        _ => number.to_string(),
    }
}

/// A number without a fraction, `1e3` and `5.0` included. Compose cuts a fraction off, which nobody means.
pub(super) fn whole(number: &Number) -> Option<i64> {
    // Up to here a float counts every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
    #[allow(clippy::cast_possible_truncation)] // bounded above
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

/// Splits a command as Compose does: quotes and backslashes, no variables, no shell.
///
/// Compose cuts the command off at an unquoted `;`, `&`, `|`, `<` or `>`; here that is an error, since nothing is dropped silently.
pub(super) fn command(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some('\'')) => word.get_or_insert_default().push(c),
            ('\\', _) => match chars.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("the command ends with a lone backslash".into()),
            },
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\r' | '\n', None) => words.extend(word.take()),
            (';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => {
                return Err(format!("`{c}` needs a shell, and the command is not run by one"));
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// A name that Docker takes for a container, network or volume.
pub(super) fn engine_name(name: &str) -> Result<(), String> {
    let good = name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if good {
        return Ok(());
    }
    Err(format!(
        "`{}` is not a name that Docker takes: letters, digits, `_`, `.` and `-`, the first a letter or digit",
        shorten(name)
    ))
}

/// A container's name: as others, and two characters at least.
pub(super) fn container_name(name: &str) -> Result<(), String> {
    if name.len() < 2 {
        return Err(format!("`{name}` is too short: Docker wants two characters at least"));
    }
    engine_name(name)
}

/// A key of a service, network, volume, secret or config.
pub(super) fn key(name: &str) -> Result<(), String> {
    let good = (1..=128).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if good {
        return Ok(());
    }
    Err(format!("`{}` is not a name: letters, digits, `_`, `.` and `-`, at most 128", shorten(name)))
}

/// A project's name.
pub(super) fn project_name(name: &str) -> Result<(), String> {
    let good = name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if good {
        return Ok(());
    }
    Err(format!(
        "`{}` is not a project name: lower-case letters, digits, `_` and `-`, the first a letter or digit",
        shorten(name)
    ))
}

/// An image reference, as far as Docker would refuse it without looking.
pub(super) fn image(reference: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("`{}` is not an image reference: {why}", shorten(reference)));
    if reference.is_empty() || reference.len() > 512 {
        return wrong("it is empty or too long");
    }
    let (name, digest) = reference.split_once('@').map_or((reference, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f')) {
            return wrong("what follows @ is not sha256: and 64 hex digits");
        }
    }
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match name[slash..].split_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    if let Some(tag) = tag {
        let good = (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !good {
            return wrong("its tag has other than letters, digits, `_`, `.` and `-`");
        }
    }
    let mut parts: Vec<&str> = repository.split('/').collect();
    // The first part is a registry if it looks like a host.
    if parts.len() > 1 && (parts[0].contains(['.', ':', '[']) || parts[0] == "localhost") {
        parts.remove(0);
    }
    let good = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-'))
    };
    if parts.iter().all(good) {
        Ok(())
    } else {
        wrong("its name has other than lower-case letters, digits, `_`, `.` and `-`")
    }
}

/// `os[/architecture[/variant]]`.
pub(super) fn platform(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let good = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if parts.len() <= 3 && parts.iter().all(good) {
        return Ok(());
    }
    Err(format!("`{}` is not a platform; write for example linux/amd64", shorten(text)))
}

/// An IP address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{}` is not an IP address", shorten(text)))
}

/// A MAC address of six bytes.
pub(super) fn mac(text: &str) -> Result<(), String> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    if parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit())) {
        return Ok(());
    }
    Err(format!("`{}` is not a MAC address; write for example 02:42:ac:11:00:02", shorten(text)))
}

/// A stop signal: a name in letters of either case, or a number.
pub(super) fn signal(text: &str) -> Result<(), String> {
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if number
        || (name.len() >= 2 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c)))
    {
        return Ok(());
    }
    Err(format!("`{}` is not a signal; write for example SIGTERM", shorten(text)))
}

/// An absolute path in a container, without `.`, `..` and repeated slashes.
pub(super) fn container_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("`{}` is not an absolute path in the container", shorten(text)));
    }
    if text.contains('\0') || text.len() > 4096 {
        return Err("is not a path: too long, or with a NUL byte".into());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The one of `all` that was probably meant, if one is near.
pub fn nearest<'k>(word: &str, all: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 40 {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let limit = if word.len() <= 4 { 1 } else { 2 };
    // What only was not written to its end is meant, too.
    let is_begun = |known: &str| word.len() >= 4 && plain(known).starts_with(&word);
    let near = all.filter(|known| known.len().abs_diff(word.len()) <= limit || is_begun(known));
    let near = near.map(|known| (if is_begun(known) { limit } else { distance(&word, &plain(known)) }, known));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, known)| known)
}

/// Ends a message about a word that is not one of `all`: `; did you mean …?`, or nothing.
pub fn meant<'k>(word: &str, all: impl Iterator<Item = &'k str>) -> String {
    nearest(word, all).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, j) => j,
                (i, 0) => i,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", 0),
            ("1024", 1024),
            ("10b", 10),
            ("1k", 1024),
            ("1.5m", 1_572_864),
            ("2 GB", 2 << 30),
            ("1gib", 1 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "m", "-1m", "1x", "1mm", "1e400", "9999999p", "1 2m", "NaN", "inf1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_read_as_compose_writes_them() {
        let words = [
            (json!(5), "5"),
            (json!(1.5), "1.5"),
            (json!(1e6), "1e+06"),
            (json!(100_000.5), "100000.5"),
            (json!(1_234_567.5), "1.2345675e+06"),
            (json!(0.00001), "1e-05"),
        ];
        for (value, words) in words {
            assert_eq!(number(value.as_number().unwrap()), words);
        }
    }

    #[test]
    fn commands_are_split() {
        let words = |line: &str| command(line).unwrap();
        assert_eq!(words("sleep  10"), ["sleep", "10"]);
        assert_eq!(words(r#"sh -c "echo 'a b' \"c\"""#), ["sh", "-c", r#"echo 'a b' "c""#]);
        assert_eq!(words(r"a\ b 'c\d' e''f ''"), ["a b", r"c\d", "ef", ""]);
        assert_eq!(words("sh -c 'a && b; c > d'"), ["sh", "-c", "a && b; c > d"]);
        assert_eq!(words(""), Vec::<String>::new());
        for wrong in ["a && b", "a > b", "'a", "a\\", "echo $(b)", "`a`", "a; b", "\"a"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn image_references() {
        let digest = format!("app@sha256:{}", "a".repeat(64));
        for good in ["app", "app:1", "lib/app", "r.lab:5000/a/b:1.0-x", "localhost/a", "[::1]:5000/a", "a__b", &digest]
        {
            assert_eq!(image(good), Ok(()), "{good}");
        }
        for bad in ["", "App", "app:", "app:a b", "a//b", "app@sha256:1", "-app", "app:-1", "a b"] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(container_path("/a//b/./../c/"), Ok("/a/c".into()));
        assert_eq!(container_path("/../.."), Ok("/".into()));
        assert!(container_path("a").is_err());
    }

    #[test]
    fn misspellings_are_guessed() {
        let keys = ["ports", "volumes", "depends_on", "init"];
        assert_eq!(nearest("port", keys.into_iter()), Some("ports"));
        assert_eq!(nearest("dependsOn", keys.into_iter()), Some("depends_on"));
        assert_eq!(nearest("depends-on", keys.into_iter()), Some("depends_on"));
        assert_eq!(nearest("vloumes", keys.into_iter()), Some("volumes"));
        assert_eq!(nearest("frobnicate", keys.into_iter()), None);
    }
}
