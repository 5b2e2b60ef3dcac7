//! Every reason that the BMC drivers give.

use crate::error::Class;
pub use crate::reason::Reason;
use crate::reason::reasons;

reasons! {
    // The way to the BMC.
    /// Nothing listens at that address and port.
    CONNECTION_REFUSED = "BmcConnectionRefused": Unreachable;
    /// No route to the BMC or its network.
    NO_ROUTE = "BmcNoRoute": Unreachable;
    /// The BMC's name cannot be resolved.
    NAME_NOT_FOUND = "BmcNameNotFound": Unreachable;
    /// Nothing answers: not within the time for one answer.
    TIMED_OUT = "BmcTimedOut": Unreachable;
    /// It answers, each time in its time, and is not done with what takes several answers.
    SLOW = "BmcSlow": Unreachable;
    /// The connection or session broke while a call was under way: it answered before.
    CONNECTION_LOST = "BmcConnectionLost": Unreachable;
    /// What answers does not speak the protocol that the address names.
    NOT_A_BMC = "NotABmc": Invalid;
    /// The BMC's certificate has expired.
    CERTIFICATE_EXPIRED = "BmcCertificateExpired": Denied;
    /// The BMC's certificate is not valid yet; maybe a clock is wrong.
    CERTIFICATE_NOT_YET_VALID = "BmcCertificateNotYetValid": Denied;
    /// The BMC's certificate is for another name.
    CERTIFICATE_WRONG_NAME = "BmcCertificateWrongName": Denied;
    /// Nobody who is trusted signed the BMC's certificate.
    CERTIFICATE_UNTRUSTED = "BmcCertificateUntrusted": Denied;
    /// The BMC's certificate is another one than the pinned one.
    CERTIFICATE_CHANGED = "BmcCertificateChanged": Denied;
    /// TLS fails in another way.
    TLS_INVALID = "BmcTlsInvalid": Invalid;

    // Who we are to it.
    /// The BMC refused user name or password (or `K_g`).
    CREDENTIALS_REFUSED = "BmcCredentialsRefused": Denied;
    /// The account may not do this.
    PRIVILEGE_MISSING = "BmcPrivilegeMissing": Denied;
    /// The BMC takes the login, and nothing else before the password is changed.
    PASSWORD_CHANGE_REQUIRED = "BmcPasswordChangeRequired": Denied;
    /// The BMC has locked the account.
    ACCOUNT_LOCKED = "BmcAccountLocked": Denied;
    /// The BMC has no cipher suite that may be used.
    CIPHER_SUITE_MISSING = "BmcCipherSuiteMissing": Invalid;
    /// Every session slot of the BMC is taken.
    SESSIONS_FULL = "BmcSessionsFull": Transient;

    // What it says.
    /// The BMC is busy, restarts, or asks to come back later.
    BUSY = "BmcBusy": Transient;
    /// The BMC failed; its own words are in the message.
    FAILED = "BmcFailed": Transient;
    /// The BMC takes the request for wrong; its own words are in the message.
    REFUSED = "BmcRefused": Invalid;
    /// The BMC cannot do this at all.
    UNSUPPORTED = "BmcUnsupported": Invalid;
    /// The state changed meanwhile (HTTP 412 and the like).
    CHANGED = "BmcStateChanged": Conflict;
    /// The system that the address names is not there, or it names none and there are several.
    SYSTEM_NOT_FOUND = "BmcSystemNotFound": Invalid;
    /// The answer cannot be read: too large, not of the protocol, or missing what must be there.
    ANSWER_INVALID = "BmcAnswerInvalid": Transient;
}
