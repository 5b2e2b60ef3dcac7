//! Names of a Docker engine's calls.

/// The calls that change something on an engine: a process may be killed before or after each of them.
pub const CRASH_POINTS: &[&str] = &[
    "image-create",
    "image-tag",
    "image-remove",
    "network-create",
    "network-connect",
    "network-disconnect",
    "network-remove",
    "volume-create",
    "volume-remove",
    "container-create",
    "archive-put",
    "container-start",
    "container-stop",
    "container-kill",
    "container-restart",
    "container-rename",
    "container-update",
    "container-remove",
];

/// The name of a call: the thing and what is done with it.
pub fn name(method: &str, path: &str) -> (String, bool) {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let versioned = parts.first().is_some_and(|first| {
        first.strip_prefix('v').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    });
    if versioned {
        parts.remove(0);
    }
    let Some((&collection, rest)) = parts.split_first() else { return ("root".to_owned(), false) };
    let thing = collection.trim_start_matches('_').trim_end_matches('s');
    let name = match (method, collection, rest) {
        (_, "_ping" | "version" | "info" | "auth", _) => collection.trim_start_matches('_').to_owned(),
        (_, "events", _) => "events".to_owned(),
        ("PUT", "containers", [_, "archive"]) => "archive-put".to_owned(),
        (_, "containers", [_, "archive"]) => "archive-get".to_owned(),
        ("GET", _, [] | ["json"]) => format!("{thing}-list"),
        // An image's name may have slashes, so what is done with it is the last part.
        ("GET" | "HEAD", _, [.., "json"] | [_]) => format!("{thing}-inspect"),
        ("DELETE", _, _) => format!("{thing}-remove"),
        (_, _, [.., verb]) => format!("{thing}-{verb}"),
        (_, _, []) => thing.to_owned(),
    };
    let changes = CRASH_POINTS.contains(&name.as_str());
    (name, changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_names() {
        for (method, path, expected) in [
            ("POST", "/v1.41/containers/create?name=x", "container-create"),
            ("POST", "/containers/abc/start", "container-start"),
            ("GET", "/v1.41/containers/json?all=true", "container-list"),
            ("GET", "/v1.41/containers/abc/json", "container-inspect"),
            ("GET", "/v1.41/containers/abc/logs?tail=5", "container-logs"),
            ("DELETE", "/v1.41/containers/abc?force=true", "container-remove"),
            ("PUT", "/v1.41/containers/abc/archive?path=/", "archive-put"),
            ("GET", "/v1.41/networks", "network-list"),
            ("GET", "/v1.41/networks/abc", "network-inspect"),
            ("POST", "/v1.41/networks/create", "network-create"),
            ("POST", "/v1.41/networks/abc/connect", "network-connect"),
            ("POST", "/v1.41/volumes/create", "volume-create"),
            ("GET", "/v1.41/images/registry.lab:5000/a/b:1/json", "image-inspect"),
            ("POST", "/v1.41/images/registry.lab:5000/a/b:1/tag", "image-tag"),
            ("DELETE", "/v1.41/images/registry.lab:5000/a/b:1", "image-remove"),
            ("POST", "/v1.41/images/create?fromImage=a", "image-create"),
            ("GET", "/v1.41/distribution/a/b/json", "distribution-inspect"),
            ("GET", "/_ping", "ping"),
            ("GET", "/v1.41/events?since=1", "events"),
            ("GET", "/version", "version"),
        ] {
            assert_eq!(name(method, path).0, expected, "{method} {path}");
        }
    }
}
