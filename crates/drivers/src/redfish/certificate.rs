//! The one thing that is read of a certificate here, when it ends: RFC 5280 section 4.1, in DER (X.690).

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// When a certificate (DER) ends; `None` if it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    // The version is left out by certificates of version 1.
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm and issuer are before the validity.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, rest) = time(validity)?;
    Some(time(rest)?.0)
}

/// The content of the element that the bytes begin with, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
        rest = after;
    }
    if found == tag { rest.split_at_checked(length) } else { None }
}

/// A time in either of the forms that RFC 5280 section 4.1.2.5 allows.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, is_short) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (text, rest, true),
        None => element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, false))?,
    };
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || digits.len() != if is_short { 12 } else { 14 } {
        return None;
    }
    let (year, digits) = digits.split_at(digits.len() - 10);
    let year: i16 = year.parse().ok()?;
    let year = match year {
        0..50 if is_short => year + 2000,
        _ if is_short => year + 1900,
        _ => year,
    };
    let part = |index: usize| digits.get(2 * index..2 * index + 2)?.parse::<i8>().ok();
    let date = Date::new(year, part(0)?, part(1)?).ok()?;
    let time = Time::new(part(2)?, part(3)?, part(4)?, 0).ok()?;
    Some((date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["bmc".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        for year in [2031, 2077] {
            let expected: Timestamp = format!("{year}-02-03T00:00:00Z").parse().unwrap();
            assert_eq!(not_after(&certificate(year)), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = not_after(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0..200_usize, to in any::<u8>(), cut in 0..400_usize) {
            static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = WHOLE.get_or_init(|| certificate(2031)).clone();
            bytes[at] = to;
            bytes.truncate(cut);
            let _ = not_after(&bytes);
        }
    }
}
