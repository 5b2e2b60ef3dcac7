//! Design: from a site as it is written to the effective model of each of its Nodes, and to all that is wrong with it.
//!
//! [`Compiler`] keeps a site compiled while it changes; [`files::SiteFiles`] reads sites from text, with line and column.
//! What a value means and which rules hold follows Airship drydock, whose errors are listed as divergences in the
//! migration guide; each rule is an entry of [`rules::RULES`].

pub mod boot_action;
pub mod change;
mod compiler;
mod explain;
pub mod files;
pub mod filter;
pub mod graph;
mod inherit;
pub mod kept;
mod kernel;
mod locate;
pub mod model;
pub mod namespace;
mod node;
mod profile;
pub mod rules;
mod site;
pub mod size;
pub mod source;
pub mod status;
mod told;
mod validate;

pub use compiler::Compiler;
pub use explain::{Explanation, How, Other};
pub use model::{AddressKind, NodeModel, Origin, SiteModel, Sourced, Text};
pub use rules::{RULES, Rule};
pub use source::{DesignSource, NodeSource};
pub use told::Told;
