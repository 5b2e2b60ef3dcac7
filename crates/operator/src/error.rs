//! What can go wrong in a pass, classed by what should happen next.

use std::time::Duration;

use slipway_api::conditions::{State, Verdict};
use slipway_drivers::{Class, DriverError};
use slipway_plan::Finding;
use slipway_plan::container_service::definition::codes::awaits_content;
use thiserror::Error;

/// A pass, or a step of it, that failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A host said no, or nothing.
    #[error(transparent)]
    Driver(#[from] DriverError),

    /// The API server said no, or nothing.
    #[error("{what}: {}", told(source))]
    Api {
        /// What was tried, e.g. `read Secret web/login`.
        what: String,
        /// What came back.
        source: Box<kube::Error>,
    },

    /// No answer in time.
    #[error("{what}: no answer within {} s", after.as_secs())]
    Timeout {
        /// What was tried.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },

    /// What the user wrote cannot be used.
    #[error("{}", summary(.0))]
    Invalid(Vec<Finding>),

    /// Anything else that has a class, a word and a text for a person.
    #[error("{message}")]
    Other {
        /// What should happen next.
        class: Class,
        /// One CamelCase word.
        reason: &'static str,
        /// What, where, what to do.
        message: String,
    },

    /// A mistake in Slipway itself, held to the one object that it happened with.
    #[error("a mistake in Slipway stopped this pass; its log says where. Please report it")]
    Panicked,
}

impl Error {
    /// A failed API call; `what` says what was tried.
    pub fn api(what: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { what: what.into(), source: Box::new(source) }
    }

    /// An error with its class, the one CamelCase word for conditions, Events and metrics, and a text for a person.
    pub fn new(class: Class, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Other { class, reason, message: message.into() }
    }

    /// What should happen next.
    pub fn class(&self) -> Class {
        match self {
            Self::Driver(error) => error.class(),
            Self::Api { source, .. } => api_class(source),
            Self::Timeout { .. } | Self::Panicked => Class::Transient,
            Self::Invalid(_) => Class::Invalid,
            Self::Other { class, .. } => *class,
        }
    }

    /// The word that condition, Event and metric share.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Driver(error) => error.reason(),
            Self::Api { source, .. } if api_class(source) == Class::Denied => "Forbidden",
            Self::Api { .. } => "ApiServerError",
            Self::Timeout { .. } => "Timeout",
            Self::Invalid(findings) => findings.first().map_or("InvalidSpec", |finding| finding.code),
            Self::Other { reason, .. } => reason,
            Self::Panicked => "InternalError",
        }
    }

    /// How the failure looks from outside.
    pub fn verdict(&self) -> Verdict {
        let state = match self.class() {
            // It goes on by itself as soon as somebody creates what is missing.
            Class::Invalid if matches!(self, Self::Invalid(findings) if findings.iter().all(awaits_content)) => {
                State::Progressing
            }
            Class::Unreachable => State::Unknown,
            Class::Transient | Class::Conflict => State::Progressing,
            Class::Denied | Class::Invalid => State::Stalled,
        };
        Verdict { state, reason: self.reason().into(), message: self.to_string() }
    }
}

/// The class of a failed API call.
fn api_class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => Class::Denied,
            400 | 405 | 413 | 422 => Class::Invalid,
            404 | 409 | 410 => Class::Conflict,
            _ => Class::Transient,
        },
        _ => Class::Transient,
    }
}

/// The API server's own words; the Debug form that kube adds is noise to a person.
pub fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(cause) => chain(&**cause),
        other => chain(other),
    }
}

/// An error and its causes on one line, without the repetitions that come of causes inside `Display`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// Findings on one line; the first three, then how many more.
fn summary(findings: &[Finding]) -> String {
    let mut text = findings.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if findings.len() > 3 {
        text = format!("{text}; and {} more (slipway check shows all)", findings.len() - 3);
    }
    text
}
