//! What is wrong with something that a user wrote, and where.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whether the object can be used all the same.
    pub severity: Severity,
    /// One CamelCase word, the same in `check`, conditions and Events; documented in docs/troubleshooting.md.
    pub code: &'static str,
    /// Field path from the document's root, e.g. `spec.compose.services.web.ports[0]`.
    pub path: String,
    /// What is wrong, in plain words.
    pub message: String,
    /// What to write instead, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether a finding stops the object from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is used; something about it is worth knowing.
    Warning,
}

impl Finding {
    /// A finding that refuses the object.
    pub fn error(code: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, path: path.into(), message: message.into(), hint: None }
    }

    /// A finding that only informs.
    pub fn warning(code: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.message, self.code)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
