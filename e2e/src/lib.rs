//! The lab (API server, Docker hosts, registry, ssh) as a library, and the end-to-end tests on it.

pub mod lab;
