//! How often credentials may be tried: BMCs lock accounts that are refused too often.

use slipway_api::node::LoginStatus;

/// Tries of the same credentials without success; the next one may be the one that locks the account.
pub const MOST_TRIES: u8 = 2;

/// Whether credentials may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Try {
    /// They were taken before: no need to count.
    Proven,
    /// Yes, once this is on record.
    Counted(LoginStatus),
    /// No: a person must act.
    Exhausted,
}

/// Whether these credentials may be tried, by what is on record, with so many tries at most. `version` names the Secret's
/// content and the request to try again.
pub fn may_try(record: Option<&LoginStatus>, version: &str, most: u8) -> Try {
    match record.filter(|record| record.version == version) {
        Some(record) if record.refused || record.tries >= most => Try::Exhausted,
        Some(record) if record.tries == 0 => Try::Proven,
        Some(record) => Try::Counted(LoginStatus { tries: record.tries + 1, ..record.clone() }),
        None => Try::Counted(LoginStatus { version: version.into(), tries: 1, ..LoginStatus::default() }),
    }
}

/// What is on record once credentials were refused, so often as it is known. Of proven ones a process that saw them taken itself
/// knows that this was the first refusal; any other must fear that one before it died between the refusal and this record.
pub fn refused(record: Option<&LoginStatus>, version: &str, refusals: u8, taken_here: bool) -> LoginStatus {
    let tries = match record.filter(|record| record.version == version) {
        Some(record) if record.tries > 0 => record.tries,
        _ if taken_here => 1,
        _ => MOST_TRIES,
    };
    LoginStatus { version: version.into(), tries, refusals: refusals.min(tries), refused: false }
}

/// What is known of the tries, in words that go before "and is not tried again".
pub fn in_words(record: &LoginStatus) -> String {
    let LoginStatus { tries, refusals, .. } = *record;
    match refusals {
        0 => format!("was tried {tries} times, and Slipway was stopped each time before it knew what the BMC answered"),
        _ if refusals >= tries => format!("was tried {tries} times"),
        _ => format!(
            "was tried {tries} times; {refusals} of them the BMC refused, and Slipway was stopped before it knew what came of the others"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tries: u8) -> LoginStatus {
        LoginStatus { version: "s/1".into(), tries, ..LoginStatus::default() }
    }

    #[test]
    fn two_tries_and_no_third() {
        let of = |record: Option<&LoginStatus>, version| may_try(record, version, MOST_TRIES);
        let Try::Counted(first) = of(None, "s/1") else { panic!() };
        assert_eq!(first, record(1));
        let Try::Counted(second) = of(Some(&first), "s/1") else { panic!() };
        assert_eq!(of(Some(&second), "s/1"), Try::Exhausted);
        let other = LoginStatus { version: "s/2".into(), ..record(1) };
        assert_eq!(of(Some(&second), "s/2"), Try::Counted(other));
        assert_eq!(of(Some(&record(0)), "s/1"), Try::Proven);
        assert_eq!(of(Some(&LoginStatus { refused: true, ..record(1) }), "s/1"), Try::Exhausted);
    }

    #[test]
    fn proven_ones_that_are_refused_have_no_more_tries_either() {
        let once = |tries| LoginStatus { refusals: 1, ..record(tries) };
        assert_eq!(refused(Some(&record(0)), "s/1", 1, true), once(1));
        assert_eq!(refused(Some(&record(0)), "s/1", 1, false), once(2), "another process may have been refused before");
        assert_eq!(refused(Some(&record(1)), "s/1", 1, false), once(1), "it was counted before");
    }

    #[test]
    fn tries_that_were_cut_short_are_not_called_refused() {
        let said = |tries, refusals| in_words(&LoginStatus { refusals, ..record(tries) });
        assert_eq!(said(2, 2), "was tried 2 times");
        assert!(said(2, 1).contains("1 of them the BMC refused") && said(2, 1).contains("what came of the others"));
        assert!(said(2, 0).contains("stopped each time") && !said(2, 0).contains("refused"));
    }
}
