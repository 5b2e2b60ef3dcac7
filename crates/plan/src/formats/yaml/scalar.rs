//! What a plain scalar means. Readers of YAML disagree, so a text is read as its own reader would.

use serde_json::Number;

use super::node::Kind;

/// Who else reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Docker Compose: `true` and `false` only are booleans.
    Compose,
    /// kubectl: also `yes`, `no`, `on`, `off`, `y` and `n` are.
    Kubectl,
    /// The safe loader of `PyYAML`, which drydock and Deckhand use: YAML 1.1 as of `yaml/resolver.py` and `constructor.py`.
    PyYaml,
}

/// The meaning of a plain scalar without a tag.
pub(super) fn plain(text: &str, dialect: Dialect) -> Kind {
    let begins = text.bytes().next().unwrap_or_default();
    // Most scalars are words; no meaning but that of a text begins with any other letter.
    if begins.is_ascii_alphabetic() && !b"yYnNtTfFoO".contains(&begins) {
        return Kind::String(text.to_owned());
    }
    let found = match dialect {
        Dialect::PyYaml => python(text),
        Dialect::Compose => core(text, is_true_or_false),
        Dialect::Kubectl => core(text, yes_or_no),
    };
    found.unwrap_or_else(|| Kind::String(text.to_owned()))
}

/// The meaning of a scalar with a tag of the core schema, quoted or not. None if the text does not suit it.
pub(super) fn tagged(text: &str, tag: &str, dialect: Dialect) -> Option<Kind> {
    let found = match tag {
        "null" => return Some(Kind::Null),
        "bool" => yes_or_no(text).map(Kind::Bool),
        "int" | "float" => plain_number(text, dialect),
        _ => None,
    };
    match (tag, found) {
        ("float", Some(Kind::Number(number))) => Number::from_f64(number.as_f64()?).map(Kind::Number),
        (_, found) => found,
    }
}

fn plain_number(text: &str, dialect: Dialect) -> Option<Kind> {
    let found = if dialect == Dialect::PyYaml { python(text) } else { number(text) };
    found.filter(|found| matches!(found, Kind::Number(_)))
}

fn is_null(text: &str) -> bool {
    text.is_empty() || text == "~" || text.eq_ignore_ascii_case("null")
}

fn is_true_or_false(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") { Some(true) } else { is("false").then_some(false) }
}

fn yes_or_no(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "yes", "y", "on"]) { Some(true) } else { is(["false", "no", "n", "off"]).then_some(false) }
}

/// The core schema of YAML 1.2, with booleans of the dialect and octal numbers as `0440`, which both Go readers know.
fn core(text: &str, boolean: fn(&str) -> Option<bool>) -> Option<Kind> {
    if is_null(text) {
        return Some(Kind::Null);
    }
    boolean(text).map(Kind::Bool).or_else(|| number(text))
}

fn number(text: &str) -> Option<Kind> {
    let (is_negative, digits) = sign(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let whole = radix(digits, &[("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2), ("0", 8)]);
    if let Some(number) = whole.and_then(|whole| signed(is_negative, whole)) {
        return Some(Kind::Number(number));
    }
    let number: f64 = text.parse().ok()?;
    Number::from_f64(number).map(Kind::Number)
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// Digits with the first of the prefixes that they have; decimal without.
fn radix(text: &str, prefixes: &[(&str, u32)]) -> Option<u64> {
    let with_radix = prefixes.iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, *radix)));
    let (digits, radix) = with_radix.filter(|(rest, _)| !rest.is_empty()).unwrap_or((text, 10));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    if digits.contains('_') {
        u64::from_str_radix(&digits.replace('_', ""), radix)
    } else {
        u64::from_str_radix(digits, radix)
    }
    .ok()
}

fn signed(is_negative: bool, whole: u64) -> Option<Number> {
    if is_negative { Some(0_i64.checked_sub_unsigned(whole)?.into()) } else { Some(whole.into()) }
}

/// YAML 1.1 as `PyYAML` reads it: `010` is 8 and `0o10` a text, `1:30` is 90, `1e3` a text, `y` a text.
fn python(text: &str) -> Option<Kind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Kind::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Some(Kind::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Some(Kind::Bool(false)),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    if is_timestamp(text) {
        return Some(Kind::Timestamp(text.to_owned()));
    }
    let (is_negative, digits) = sign(text);
    match python_int(digits) {
        Whole::Number(whole) => {
            if let Some(number) = signed(is_negative, whole) {
                return Some(Kind::Number(number));
            }
            return Number::from_f64(f64::MAX).map(Kind::Number);
        }
        // A number that fits nowhere is a number all the same, and no text.
        Whole::TooLarge => return Number::from_f64(f64::MAX).map(Kind::Number),
        Whole::None => {}
    }
    let number = python_float(text)?;
    let number = if is_negative { -number } else { number };
    Some(Number::from_f64(number).map_or_else(|| Kind::String(text.to_owned()), Kind::Number))
}

/// An integer, if a text is one.
enum Whole {
    Number(u64),
    TooLarge,
    None,
}

impl Whole {
    /// Digits that are known to be some.
    fn of(digits: &str, radix: u32) -> Self {
        u64::from_str_radix(&digits.replace('_', ""), radix).map_or(Self::TooLarge, Self::Number)
    }
}

/// The integer that the text is to `PyYAML`.
fn python_int(digits: &str) -> Whole {
    type Allowed = fn(u8) -> bool;
    let only = |text: &str, allowed: Allowed| !text.is_empty() && text.bytes().all(|b| b == b'_' || allowed(b));
    let radixes: [(&str, u32, Allowed); 3] = [
        ("0b", 2, |b| matches!(b, b'0' | b'1')),
        ("0x", 16, |b| b.is_ascii_hexdigit()),
        ("0", 8, |b| (b'0'..=b'7').contains(&b)),
    ];
    let found = radixes.iter().find_map(|(prefix, radix, allowed)| {
        let rest = digits.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
        Some(if only(rest, *allowed) { Whole::of(rest, *radix) } else { Whole::None })
    });
    if let Some(found) = found {
        return found;
    }
    let (first, rest) = digits.split_once(':').map_or((digits, None), |(first, rest)| (first, Some(rest)));
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !only(first, |b| b.is_ascii_digit()) {
        return Whole::None;
    }
    match (Whole::of(first, 10), rest.map(base_60)) {
        (_, Some(None)) => Whole::None,
        (Whole::Number(first), Some(Some(rest))) => rest
            .iter()
            .try_fold(first, |sum, digit| sum.checked_mul(60)?.checked_add(*digit))
            .map_or(Whole::TooLarge, Whole::Number),
        (first, _) => first,
    }
}

/// Digits of a number to base 60: `[0-5]?[0-9]` each, with colons between them.
fn base_60(text: &str) -> Option<Vec<u64>> {
    let is_digit = |digit: &&str| {
        (1..=2).contains(&digit.len())
            && digit.bytes().all(|b| b.is_ascii_digit())
            && (digit.len() == 1 || digit.as_bytes()[0] < b'6')
    };
    text.split(':').map(|digit| Some(digit).filter(is_digit)?.parse().ok()).collect()
}

/// A number with a point, without its sign.
fn python_float(text: &str) -> Option<f64> {
    let (_, digits) = sign(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Some(f64::INFINITY);
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let (whole, fraction) = digits.split_once('.')?;
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if let Some((first, rest)) = whole.split_once(':') {
        let is_float = first.starts_with(|c: char| c.is_ascii_digit()) && is_number(first) && is_number(fraction);
        let rest = base_60(rest).filter(|_| is_float)?;
        let first: f64 = first.replace('_', "").parse().ok()?;
        let fraction: f64 = format!("0.{}0", fraction.replace('_', "")).parse().ok()?;
        #[allow(clippy::cast_precision_loss)] // Digits below 60.
        let sum = rest.iter().fold(first, |sum, digit| sum * 60.0 + *digit as f64);
        return Some(sum + fraction);
    }
    // An exponent has a sign, or it is none.
    let (fraction, exponent) = fraction.split_once(['e', 'E']).map_or((fraction, ""), |(a, b)| (a, b));
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or_default();
    let has_exponent = fraction.len() + whole.len() + 1 < digits.len();
    let is_exponent = !exponent_digits.is_empty() && exponent_digits.bytes().all(|b| b.is_ascii_digit());
    let is_float = is_number(whole) && is_number(fraction) && (!has_exponent || is_exponent)
        // Without digits before the point there is no sign, and a digit behind it.
        && if whole.is_empty() {
            digits.len() == text.len() && fraction.starts_with(|c: char| c.is_ascii_digit())
        } else {
            whole.starts_with(|c: char| c.is_ascii_digit())
        };
    is_float.then(|| digits.replace('_', "").parse().ok())?
}

/// `2026-11-28`, or that with a time.
fn is_timestamp(text: &str) -> bool {
    let digits = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let Some((date, time)) = text.find(['T', 't', ' ', '\t']).map(|at| (&text[..at], &text[at..])).or(Some((text, "")))
    else {
        return false;
    };
    let date: Vec<&str> = date.splitn(3, '-').collect();
    let [year, month, day] = date[..] else { return false };
    if time.is_empty() {
        return digits(year, 4, 4) && digits(month, 2, 2) && digits(day, 2, 2);
    }
    if !(digits(year, 4, 4) && digits(month, 1, 2) && digits(day, 1, 2)) {
        return false;
    }
    let time = time.strip_prefix(['T', 't']).unwrap_or_else(|| time.trim_start_matches([' ', '\t']));
    let end = time.find([' ', '\t', 'Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = (&time[..end], time[end..].trim_start_matches([' ', '\t']));
    let clock: Vec<&str> = clock.splitn(3, ':').collect();
    let [hour, minute, second] = clock[..] else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let is_zone = zone.is_empty()
        || zone == "Z"
        || zone.strip_prefix(['+', '-']).is_some_and(|zone| match zone.split_once(':') {
            None => digits(zone, 1, 2),
            Some((hour, minute)) => digits(hour, 1, 2) && digits(minute, 2, 2),
        });
    digits(hour, 1, 2) && digits(minute, 2, 2) && digits(second, 2, 2) && digits(fraction, 0, 99) && is_zone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, dialect: Dialect) -> String {
        match plain(text, dialect) {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Timestamp(_) => "a timestamp".to_owned(),
            Kind::String(text) => format!("'{text}'"),
            Kind::List(_) | Kind::Map(_) => unreachable!("a scalar"),
        }
    }

    /// Each was read by `PyYAML` 6.0.3.
    #[test]
    fn as_pyyaml_reads() {
        for (text, wanted) in [
            ("", "null"),
            ("~", "null"),
            ("null", "null"),
            ("Null", "null"),
            ("nULL", "'nULL'"),
            ("yes", "true"),
            ("Yes", "true"),
            ("yEs", "'yEs'"),
            ("y", "'y'"),
            ("Y", "'Y'"),
            ("n", "'n'"),
            ("no", "false"),
            ("off", "false"),
            ("ON", "true"),
            ("True", "true"),
            ("tRUE", "'tRUE'"),
            ("0", "0"),
            ("7", "7"),
            ("-1", "-1"),
            ("+5", "5"),
            ("007", "7"),
            ("010", "8"),
            ("0o10", "'0o10'"),
            ("08", "'08'"),
            ("09.5", "9.5"),
            ("0x1F", "31"),
            ("0X1F", "'0X1F'"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("0_7", "7"),
            ("_1", "'_1'"),
            ("1:30", "90"),
            ("1:60", "'1:60'"),
            ("190:20:30", "685230"),
            ("01:30", "'01:30'"),
            ("52:54:00:12:34:56", "41135085296"),
            ("52:54:00:a2:34:56", "'52:54:00:a2:34:56'"),
            ("00:00:00:00:00:01", "'00:00:00:00:00:01'"),
            ("0000:00:03.0", "3.0"),
            ("1.5", "1.5"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "'-.5'"),
            ("1.10", "1.1"),
            ("1.2.3", "'1.2.3'"),
            ("1e3", "'1e3'"),
            ("1.0e3", "'1.0e3'"),
            ("1.0e+3", "1000.0"),
            ("1e+3", "'1e+3'"),
            ("685.230_15e+03", "685230.15"),
            ("190:20:30.15", "685230.15"),
            (".inf", "'.inf'"),
            (".nan", "'.nan'"),
            ("2026-11-28", "a timestamp"),
            ("2026-1-2", "'2026-1-2'"),
            ("2001-12-14t21:59:43.10-05:00", "a timestamp"),
            ("2001-12-14 21:59:43.10 -5", "a timestamp"),
            ("2026-11-28 10:00", "'2026-11-28 10:00'"),
            ("10.0.0.0/8", "'10.0.0.0/8'"),
            ("10.0.0.1", "'10.0.0.1'"),
            ("-", "'-'"),
            ("+", "'+'"),
            (".", "'.'"),
            ("1-2", "'1-2'"),
            ("2,4", "'2,4'"),
            ("802.3ad", "'802.3ad'"),
            ("12345678901234567890", "12345678901234567890"),
            ("fd00::1", "'fd00::1'"),
            ("1::", "'1::'"),
            ("=", "'='"),
        ] {
            assert_eq!(told(text, Dialect::PyYaml), wanted, "{text}");
        }
    }

    #[test]
    fn as_the_readers_in_go() {
        for (text, compose, kubectl) in [
            ("yes", "'yes'", "true"),
            ("n", "'n'", "false"),
            ("off", "'off'", "false"),
            ("true", "true", "true"),
            ("~", "null", "null"),
            ("0440", "288", "288"),
            ("0o17", "15", "15"),
            ("0x1f", "31", "31"),
            ("-0x10", "-16", "-16"),
            ("1_000", "1000", "1000"),
            ("08", "8.0", "8.0"),
            ("1e3", "1000.0", "1000.0"),
            ("1.5", "1.5", "1.5"),
            ("1:30", "'1:30'", "'1:30'"),
            ("2026-11-28", "'2026-11-28'", "'2026-11-28'"),
            (".inf", "'.inf'", "'.inf'"),
            ("infinity", "'infinity'", "'infinity'"),
            ("nan", "'nan'", "'nan'"),
            ("12345678901234567890123", "1.2345678901234568e+22", "1.2345678901234568e+22"),
            ("-", "'-'", "'-'"),
            ("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"),
            ("+-1", "'+-1'", "'+-1'"),
            ("0", "0", "0"),
        ] {
            assert_eq!(told(text, Dialect::Compose), compose, "{text}");
            assert_eq!(told(text, Dialect::Kubectl), kubectl, "{text}");
        }
    }
}
