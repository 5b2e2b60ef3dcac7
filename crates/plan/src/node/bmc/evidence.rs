//! Whether a host was started anew, by what its BMC shows before and after: what counts, and which sign decided.
//!
//! What a BMC does not tell at one of the two times tells nothing. That all is as before proves nothing either, as a second
//! reset leaves the same cause as the first: only the time of the last restart does (see `operation`).

use jiff::SignedDuration;
use slipway_api::node::Operation;

use super::Evidence;

/// The newest event of a log that has none of power among those that were looked through. Then it tells nothing, as that of
/// before may have been among those that were not.
pub const NO_EVENT: &str = "none";

/// What tells of a restart, in words.
pub(super) fn of_restart(before: &Evidence, now: &Evidence, time: SignedDuration) -> Option<String> {
    let texts = [
        ("the time of its last restart", &before.last_restart, &now.last_restart),
        ("the cause of its last restart", &before.restart_cause, &now.restart_cause),
        ("the cause of its last change of power", &before.power_event, &now.power_event),
        ("the newest event of power or of a start", &before.newest_event, &now.newest_event),
    ];
    let differs = texts.into_iter().find_map(|(what, before, now)| match (before, now) {
        (Some(before), Some(now)) if before != now && now != NO_EVENT => {
            Some(format!("{what} was \"{before}\" and is \"{now}\""))
        }
        _ => None,
    });
    differs.or_else(|| was_off(before, now, time))
}

/// A host that is counted for less time than has gone by was off meanwhile. Two steps of the count are left to its rounding.
fn was_off(before: &Evidence, now: &Evidence, time: SignedDuration) -> Option<String> {
    let (then, now, step) = (before.minutes_on?, now.minutes_on?, now.minutes_step?);
    let passed = u64::try_from(time.as_mins()).ok()?;
    let counted = now.checked_sub(then)?;
    (counted + 2 * step.max(1) < passed).then(|| format!("in {passed} minutes it was on for {counted}"))
}

/// What was looked at in vain, in words.
pub(super) fn looked_at(operation: &Operation) -> String {
    let before = operation.before.clone().unwrap_or_default();
    let told: Vec<String> = [
        ("cause of the last restart", before.restart_cause),
        ("cause of the last change of power", before.power_event),
        ("newest event of power or of a start", before.newest_event),
        ("minutes on", before.minutes_on.map(|minutes| minutes.to_string())),
    ]
    .into_iter()
    .filter_map(|(what, is)| Some(format!("{what} \"{}\"", is?)))
    .collect();
    if told.is_empty() {
        " (the BMC tells nothing of restarts)".to_owned()
    } else {
        format!(" (before and after it the BMC tells the same: {})", told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    #[test]
    fn the_sign_that_decided_is_named() {
        let before =
            Evidence { restart_cause: Some("button".into()), newest_event: Some("7".into()), ..Evidence::default() };
        let after = Evidence { restart_cause: Some("Chassis Control command".into()), ..before.clone() };
        let sign = of_restart(&before, &after, hours(0)).unwrap();
        assert_eq!(sign, "the cause of its last restart was \"button\" and is \"Chassis Control command\"");
        let logged = Evidence { newest_event: Some("8".into()), ..before.clone() };
        assert!(of_restart(&before, &logged, hours(0)).unwrap().contains("newest event"));
        assert_eq!(of_restart(&before, &before, hours(9)), None);
        assert_eq!(
            of_restart(&before, &Evidence::default(), hours(9)),
            None,
            "what is not told any more tells nothing"
        );
    }

    #[test]
    fn a_host_that_was_on_for_less_than_the_time_was_off_meanwhile() {
        let on =
            |minutes, step| Evidence { minutes_on: Some(minutes), minutes_step: Some(step), ..Evidence::default() };
        assert_eq!(of_restart(&on(600, 60), &on(720, 60), hours(3)), None, "within the count's steps");
        assert!(of_restart(&on(600, 60), &on(660, 60), hours(9)).is_some());
        assert!(of_restart(&on(600, 1), &on(660, 1), hours(2)).is_some());
        assert_eq!(of_restart(&on(600, 1), &on(0, 1), hours(2)), None, "another board");
    }

    #[test]
    fn what_was_looked_at_in_vain_is_said() {
        let before = Evidence { restart_cause: Some("unknown".into()), minutes_on: Some(5), ..Evidence::default() };
        let operation = Operation { before: Some(before), ..Operation::default() };
        assert!(looked_at(&operation).contains("cause of the last restart \"unknown\", minutes on \"5\""));
        assert!(looked_at(&Operation::default()).contains("nothing of restarts"));
    }
}
