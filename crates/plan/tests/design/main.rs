//! Designs, seen from outside: what a site compiles to, what is wrong with it and where.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

mod boot_actions;
mod compiled;
mod coverage;
mod divergences;
mod hostile;
mod incremental;
mod inheritance;
mod large;
mod mutations;
mod oracle;
mod origins;
mod rules;
mod support;
mod values;
