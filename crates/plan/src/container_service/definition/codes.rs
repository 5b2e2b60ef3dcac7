//! The codes of findings about a project's effective definition. Each has an entry in docs/troubleshooting.md.

use crate::finding::Finding;

/// A file of the Compose file that `spec.files` does not name.
pub const MISSING_FILE_SOURCE: &str = "MissingFileSource";
/// A Secret that is needed does not exist (yet).
pub const SECRET_MISSING: &str = "SecretMissing";
/// A ConfigMap that is needed does not exist (yet).
pub const CONFIG_MAP_MISSING: &str = "ConfigMapMissing";
/// A Secret or ConfigMap that is needed has no such key (yet).
pub const KEY_MISSING: &str = "KeyMissing";
/// An `env_file` that cannot be read.
pub const INVALID_ENV_FILE: &str = "InvalidEnvFile";
/// A seccomp profile that is not JSON.
pub const INVALID_SECCOMP_PROFILE: &str = "InvalidSeccompProfile";

/// Whether a finding goes away by itself once somebody creates a Secret, a ConfigMap or a key: wait for it, the spec may be right.
pub fn awaits_content(finding: &Finding) -> bool {
    [SECRET_MISSING, CONFIG_MAP_MISSING, KEY_MISSING].contains(&finding.code)
}
