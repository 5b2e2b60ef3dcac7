//! `security_opt`: what is said to the engine, and the seccomp profile that some of it names.

use super::codes;
use super::contents::missing_source;
use super::{Context, NeedKind};
use crate::finding::Finding;
use crate::formats::compose::model::Service;

/// What `security_opt` means to the engine.
#[derive(Default)]
pub(super) struct Security {
    /// `HostConfig.SecurityOpt`.
    pub options: Vec<String>,
    /// `systempaths=unconfined`: no path of /proc and /sys is masked.
    pub unconfined: bool,
}

/// Reads `security_opt`; the content of a seccomp profile takes the place of its path.
pub(super) fn security(service: &Service, context: &Context<'_>, path: &str, findings: &mut Vec<Finding>) -> Security {
    let mut security = Security::default();
    for (index, option) in service.security_opt.iter().enumerate() {
        let path = format!("{path}.security_opt[{index}]");
        if option == "systempaths=unconfined" {
            security.unconfined = true;
        } else if let Some(file) = seccomp_profile(option) {
            match profile(file, context, &path) {
                Ok(profile) => security.options.push(format!("seccomp={profile}")),
                Err(finding) => findings.push(finding),
            }
        } else {
            security.options.push(option.clone());
        }
    }
    security
}

/// The file that a `security_opt` names as seccomp profile.
pub(crate) fn seccomp_profile(option: &str) -> Option<&str> {
    let (name, value) = option.split_once('=').or_else(|| option.split_once(':'))?;
    (name == "seccomp" && !["unconfined", "builtin"].contains(&value)).then_some(value)
}

fn profile(file: &str, context: &Context<'_>, path: &str) -> Result<String, Finding> {
    let source = context.files.get(file).ok_or_else(|| missing_source(file, path, NeedKind::ConfigMap))?;
    let bytes = context.contents.file(source, path)?;
    let wrong = |why: String| {
        Finding::error(codes::INVALID_SECCOMP_PROFILE, path, format!("the seccomp profile `{file}` is not JSON: {why}"))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| wrong(error.to_string()))?;
    Ok(compact(text))
}

/// JSON text without the space between its tokens; all else stays as it was written.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&c| {
            let kept = in_string || !matches!(c, ' ' | '\t' | '\n' | '\r');
            in_string ^= c == '"' && !escaped;
            escaped = in_string && c == '\\' && !escaped;
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_keeps_its_strings() {
        assert_eq!(compact("{ \"a b\" : [ 1,\n\t\"x \\\" y\\\\\" ] }"), "{\"a b\":[1,\"x \\\" y\\\\\"]}");
    }

    #[test]
    fn which_options_name_a_file() {
        assert_eq!(seccomp_profile("seccomp=./p.json"), Some("./p.json"));
        assert_eq!(seccomp_profile("seccomp:p.json"), Some("p.json"));
        for option in ["seccomp=unconfined", "seccomp:unconfined", "seccomp=builtin", "no-new-privileges", "label=x"] {
            assert_eq!(seccomp_profile(option), None, "{option}");
        }
    }
}
