//! The codes of findings about drydock's documents. Each has an entry in docs/migration-drydock.md.

pub use crate::formats::compose::codes::{REWRITTEN, TOO_LARGE};

/// A document that drydock fails to process: something that it cannot do without is missing or makes no sense.
pub const DOCUMENT: &str = "DD000";
/// A document that violates drydock's schema: an unknown field, a value of the wrong type.
pub const SCHEMA: &str = "DD001";
/// A name that is none in Kubernetes, and what it became.
pub const RENAMED: &str = "Renamed";
/// Something that drydock takes and a Design has no field for. It is kept in an annotation.
pub const NO_PLACE: &str = "NoPlace";
/// Something secret that was moved to a Secret.
pub const SECRET_MOVED: &str = "SecretMoved";
/// A document that Deckhand has not rendered.
pub const NOT_RENDERED: &str = "NotRendered";
/// A document that is none of drydock's.
pub const PASSED_OVER: &str = "PassedOver";
