//! Reasons: one CamelCase word each, shared by condition, Event and metric. Each comes with the same [`Class`] always, so
//! both are one constant.

use crate::error::{Class, DriverError};

/// A reason with its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The word.
    pub word: &'static str,
    /// What should happen next.
    pub class: Class,
}

impl Reason {
    /// An error with this reason.
    pub fn error(self, message: impl Into<String>) -> DriverError {
        DriverError::new(self.class, self.word, message)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal: $class:ident;)*) => {
        $($(#[$doc])* pub const $name: Reason = Reason { word: $word, class: Class::$class };)*

        /// All of them, for the documents' completeness check.
        pub const ALL: &[Reason] = &[$($name),*];
    };
}
pub(crate) use reasons;
