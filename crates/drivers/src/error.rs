//! What can go wrong with a host, classed by what should happen next.

use thiserror::Error;

/// What should happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The host cannot be reached; try again with back-off.
    Unreachable,
    /// It answered, but not now; try again with back-off.
    Transient,
    /// It refused who we are; a person must act.
    Denied,
    /// What was asked can never work as it is; a person must act.
    Invalid,
    /// Something else is in the way or the state has changed; observe again.
    Conflict,
}

/// A failed call to a host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct DriverError {
    class: Class,
    reason: &'static str,
    message: String,
}

impl DriverError {
    /// An error with its class, the one CamelCase word for conditions, Events and metrics, and a message for a person
    /// that says what was tried and what came back. Never put a secret into it.
    pub fn new(class: Class, reason: &'static str, message: impl Into<String>) -> Self {
        Self { class, reason, message: message.into() }
    }

    /// What should happen next.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The word that condition, Event and metric share.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}
