//! `security_opt`: what is said to the engine, and the seccomp profile that some of it names.

/// The file that a `security_opt` names as seccomp profile.
pub(super) fn seccomp_profile(option: &str) -> Option<&str> {
    let (name, value) = option.split_once('=').or_else(|| option.split_once(':'))?;
    (name == "seccomp" && !["unconfined", "builtin"].contains(&value)).then_some(value)
}
