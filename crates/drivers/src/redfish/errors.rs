//! From what a BMC answers to what it means: the one place that knows the messages of the Base registry (DMTF DSP8011) and
//! what vendors say in their place.

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use serde_json::Value;

use super::json::{Path, elements, parse, path, text};
use super::wire::{Answer, Lost};
use crate::DriverError;
use crate::bmc::{CommandError, Delivered, reasons};
use crate::docker::text::printable;
use crate::reason::Reason;

/// A BMC's words are cut after this many bytes.
const MAX_WORDS: usize = 400;
/// So many messages of one answer are looked at.
const MAX_MESSAGES: usize = 8;
const MAX_RETRY_AFTER: u64 = 86_400;
/// What a secret is replaced with.
const HIDDEN: &str = "…";

/// What a request brought in place of what was asked for.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The BMC answered with an error status.
    Refused(Refusal),
    /// It did not come to an answer, or the answer makes no sense.
    Lost(Lost),
}

/// An error status, and what the BMC said with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Ends of its message identifiers: `PropertyNotWritable` of `Base.1.8.PropertyNotWritable`.
    pub(super) ids: Vec<String>,
    /// Its own words, bounded and printable, without secrets.
    pub(super) words: String,
    /// The account whose password must be changed first, if it says so.
    pub(super) account: Option<Path>,
    /// After how many seconds it wants to be asked again.
    pub(super) retry_after: Option<u64>,
    /// It may have been done all the same: a BMC that failed over it does not tell.
    pub(super) is_in_doubt: bool,
}

impl Refusal {
    /// What an answer says. A BMC may quote what it was sent, so the secrets of the request are taken out.
    pub(super) fn of(answer: &Answer, secrets: &[String]) -> Self {
        let mut refusal = Self::read(&parse(&answer.body).unwrap_or_default(), secrets);
        if refusal.words.is_empty() {
            let body = without(secrets, &String::from_utf8_lossy(&answer.body));
            refusal.words = printable(&body, MAX_WORDS);
        }
        refusal.status = answer.status;
        refusal.retry_after = retry_after(&answer.headers);
        refusal
    }

    /// What a body says: an error response (DSP0266, "Error responses"), or a resource with messages, such as a task.
    pub(super) fn read(body: &Value, secrets: &[String]) -> Self {
        // Before anything is cut: half of a secret is one, too.
        let body = &hidden(body, secrets);
        let lists = ["/error/@Message.ExtendedInfo", "/@Message.ExtendedInfo", "/Messages"];
        let messages: Vec<&Value> = lists
            .iter()
            .flat_map(|list| {
                // Some give the one message in place of a list of it.
                let alone = body.pointer(list).filter(|value| value.is_object());
                elements(body, list).chain(alone)
            })
            .take(MAX_MESSAGES)
            .collect();
        let id = |message: &&Value| text(message, "/MessageId").or_else(|| text(message, "/MessageID"));
        let ids = messages.iter().filter_map(id).chain(text(body, "/error/code"));
        let ids: Vec<String> = ids.map(|id| id.rsplit('.').next().unwrap_or_default().to_owned()).collect();
        let words = messages.iter().filter_map(|message| said(message));
        let words = words.chain(said_alone(body)).collect::<Vec<_>>().join(" ");
        let of_account = |message: &&&Value| id(message).is_some_and(|id| id.ends_with(".PasswordChangeRequired"));
        let account = messages.iter().find(of_account).and_then(|message| path(message, "/MessageArgs/0"));
        Self { ids, words: printable(&words, MAX_WORDS), account, ..Self::default() }
    }

    pub(super) fn says(&self, id: &str) -> bool {
        self.ids.iter().any(|said| said == id)
    }

    /// Its words mention this.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Why the BMC refused.
    pub(super) fn reason(&self) -> Reason {
        let known = KNOWN.iter().find(|(id, _)| self.says(id)).map(|(_, reason)| *reason);
        known.unwrap_or(match self.status {
            401 => reasons::CREDENTIALS_REFUSED,
            403 => reasons::PRIVILEGE_MISSING,
            404 | 409 | 410 | 412 | 428 => reasons::CHANGED,
            405 | 501 => reasons::UNSUPPORTED,
            408 | 423 | 425 | 429 | 503 => reasons::BUSY,
            400..=499 => reasons::REFUSED,
            300..=399 => reasons::ANSWER_INVALID,
            _ => reasons::FAILED,
        })
    }

    /// As an error of what was done.
    pub(super) fn error(&self, what: &str) -> DriverError {
        self.as_error(self.reason(), what)
    }

    pub(super) fn as_error(&self, reason: Reason, what: &str) -> DriverError {
        let words = if self.words.is_empty() { "it says no more" } else { &self.words };
        let later = self.retry_after.map_or_else(String::new, |secs| format!("; it asks to come back in {secs} s"));
        // A task tells what became of it with messages alone.
        let status = if self.status == 0 { "says".to_owned() } else { format!("answered with status {}", self.status) };
        reason.error(format!("{what}: the BMC {status}: {words}{later}"))
    }
}

/// Messages that mean the same whatever the status.
const KNOWN: &[(&str, Reason)] = &[
    // Base registry.
    ("SessionLimitExceeded", reasons::SESSIONS_FULL),
    ("CreateLimitReachedForResource", reasons::SESSIONS_FULL),
    // iDRAC: "The maximum number of user sessions is reached" (bb-Ricardo/check_redfish issue 89).
    ("RAC0218", reasons::SESSIONS_FULL),
    ("PasswordChangeRequired", reasons::PASSWORD_CHANGE_REQUIRED),
    ("InsufficientPrivilege", reasons::PRIVILEGE_MISSING),
    ("ServiceTemporarilyUnavailable", reasons::BUSY),
    ("ServiceShuttingDown", reasons::BUSY),
    // iDRAC: not ready after the operation before (openstack/sushy connector.py, check_retry_on_exception).
    ("SYS518", reasons::BUSY),
    // iLO: e.g. "Power is off" (goldyfruit/ansible-ilo issue 1).
    ("InvalidOperationForSystemState", reasons::CHANGED),
    ("ResourceInStandby", reasons::CHANGED),
    ("ActionNotSupported", reasons::UNSUPPORTED),
];

/// What a message says: its text; where there is none, as with iLO, its identifier and arguments.
fn said(message: &Value) -> Option<String> {
    text(message, "/Message").or_else(|| {
        let id = text(message, "/MessageId").or_else(|| text(message, "/MessageID"))?;
        let arguments: Vec<_> = elements(message, "/MessageArgs").filter_map(|argument| text(argument, "")).collect();
        Some(if arguments.is_empty() { id } else { format!("{id} ({})", arguments.join(", ")) })
    })
}

/// The summary of an error, where it says more than "look at the messages".
fn said_alone(body: &Value) -> Option<String> {
    let is_empty =
        ["/error/@Message.ExtendedInfo", "/@Message.ExtendedInfo"].iter().all(|list| body.pointer(list).is_none());
    text(body, "/error/message").filter(|words| is_empty || !words.contains("xtendedInfo"))
}

/// The same without secrets.
fn hidden(value: &Value, secrets: &[String]) -> Value {
    match value {
        Value::String(text) => Value::String(without(secrets, text)),
        Value::Array(list) => list.iter().map(|element| hidden(element, secrets)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), hidden(value, secrets))).collect(),
        other => other.clone(),
    }
}

/// Without secrets, as they are or as JSON writes them.
fn without(secrets: &[String], words: &str) -> String {
    let mut words = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let quoted = Value::from(secret.as_str()).to_string();
        words = words.replace(quoted.trim_matches('"'), HIDDEN).replace(secret.as_str(), HIDDEN);
    }
    words
}

/// Seconds of a `Retry-After` (RFC 9110 section 10.2.3), a day at most. A date is by the BMC's own clock, which the answer
/// tells as well: without its `Date` nobody knows how far away it is.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = said.parse().ok().or_else(|| {
        let now = http_date(headers.get(DATE)?.to_str().ok()?)?;
        http_date(said)?.as_second().checked_sub(now.as_second())?.max(0).try_into().ok()
    });
    seconds.map(|seconds: u64| seconds.min(MAX_RETRY_AFTER))
}

/// A date as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

impl Failure {
    /// As the error of a call that did `what`, such as "cannot read the system".
    pub(super) fn of(self, what: &str) -> DriverError {
        match self {
            Self::Refused(refusal) => refusal.error(what),
            Self::Lost(lost) => {
                DriverError::new(lost.error.class(), lost.error.reason(), format!("{what}: {}", lost.error))
            }
        }
    }

    /// As the error of a command.
    pub(super) fn of_command(self, what: &str) -> CommandError {
        let delivered = match &self {
            Self::Refused(refusal) if refusal.is_in_doubt => Delivered::Maybe,
            Self::Refused(_) => Delivered::No,
            Self::Lost(lost) => lost.delivered,
        };
        CommandError { error: self.of(what), delivered }
    }

    /// As the failure of something of which a part was done.
    pub(super) fn in_doubt(self, done: &str) -> Self {
        let error = self.of(done);
        Self::Lost(Lost { error, delivered: Delivered::Maybe })
    }

    /// The status, if the BMC answered.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Lost(_) => None,
        }
    }

    /// The BMC does not have it: not there, or not made.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.status(), Some(400 | 404 | 405 | 410 | 501))
    }

    /// The BMC cannot show this one, or not to us, which says nothing of the others.
    pub(super) fn is_of_one(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.status {
                403 => refusal.reason() == reasons::PRIVILEGE_MISSING,
                500 | 502 => refusal.reason() == reasons::FAILED,
                _ => false,
            },
            Self::Lost(lost) => lost.error.reason() == reasons::ANSWER_INVALID.word,
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self::Lost(Lost { error, delivered: Delivered::No })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, body: &Value) -> Refusal {
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) };
        Refusal::of(&answer, &["hunter2".to_owned()])
    }

    #[test]
    fn every_form_of_error_is_read() {
        let message =
            json!({"MessageId": "Base.1.8.PropertyValueFormatError", "Message": "The value hunter2 is wrong."});
        for body in [
            json!({"error": {"code": "Base.1.8.GeneralError", "message": "See @Message.ExtendedInfo", "@Message.ExtendedInfo": [message]}}),
            json!({"error": {"@Message.ExtendedInfo": message}}),
            json!({"@Message.ExtendedInfo": [message]}),
        ] {
            let refusal = refusal(400, &body);
            assert!(refusal.says("PropertyValueFormatError"), "{refusal:?}");
            assert_eq!(refusal.words, "The value … is wrong.");
        }
        let of_ilo = json!({"Messages": [{"MessageID": "iLO.0.10.InvalidOperationForSystemState", "MessageArgs": ["Power is off"]}]});
        let refusal = refusal(400, &of_ilo);
        assert_eq!(refusal.words, "iLO.0.10.InvalidOperationForSystemState (Power is off)");
        assert_eq!(refusal.reason(), reasons::CHANGED);
    }

    #[test]
    fn what_is_no_json_is_said_as_it_is() {
        let answer =
            Answer { status: 400, headers: HeaderMap::new(), body: Bytes::from_static(b"<h1>no</h1>\n hunter2") };
        assert_eq!(Refusal::of(&answer, &["hunter2".to_owned()]).words, "<h1>no</h1>  …");
    }

    #[test]
    fn a_bmc_cannot_ask_for_an_endless_wait() {
        for (said, seconds) in [("5", Some(5)), ("18446744073709551615", Some(86_400)), ("soon", None), ("-1", None)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, said.parse().unwrap())]);
            assert_eq!(retry_after(&headers), seconds);
        }
    }

    #[test]
    fn a_date_to_come_back_at_is_by_the_clock_of_the_bmc() {
        let headers = |now: &str, then: &str| {
            let now = (!now.is_empty()).then(|| (DATE, now.parse().unwrap()));
            now.into_iter().chain([(RETRY_AFTER, then.parse().unwrap())]).collect::<HeaderMap>()
        };
        let then = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:30 GMT", then)), Some(7));
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:50:00 GMT", then)), Some(0), "it has passed");
        assert_eq!(retry_after(&headers("Sat, 05 Nov 1988 08:49:37 GMT", then)), Some(86_400), "bounded");
        assert_eq!(retry_after(&headers("", then)), None);
        assert_eq!(retry_after(&headers(then, "tomorrow")), None);
    }

    #[test]
    fn the_status_counts_where_no_message_is_known() {
        for (status, id, reason) in [
            (503, "IDRAC.2.4.RAC0218", reasons::SESSIONS_FULL),
            (503, "", reasons::BUSY),
            (401, "", reasons::CREDENTIALS_REFUSED),
            (403, "", reasons::PRIVILEGE_MISSING),
            (501, "", reasons::UNSUPPORTED),
            (409, "", reasons::CHANGED),
            (412, "", reasons::CHANGED),
            (408, "", reasons::BUSY),
            (410, "", reasons::CHANGED),
            (418, "", reasons::REFUSED),
            (423, "", reasons::BUSY),
            (500, "", reasons::FAILED),
        ] {
            let body = json!({"error": {"@Message.ExtendedInfo": [{"MessageId": id}]}});
            assert_eq!(refusal(status, &body).reason(), reason, "{status} {id}");
        }
    }
}
