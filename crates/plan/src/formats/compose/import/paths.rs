//! Paths in a file, which are relative to where the file is.

use serde_json::Value;

/// Directory of a path; empty for the project's own.
pub(super) fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// `path` as seen from where `directory` is seen, without `.` and with `..` resolved as far as it goes.
pub(super) fn join(directory: &str, path: &str) -> String {
    let joined =
        if path.starts_with('/') || directory.is_empty() { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if joined.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// Rewrites the relative paths of a file that lies in `directory`, so that they hold for the project's own directory.
pub(super) fn rebase(file: &mut Value, directory: &str) {
    if directory.is_empty() {
        return;
    }
    let services = file.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(|map| map.values_mut()) {
        rebase_service(service, directory);
    }
    for section in ["secrets", "configs"] {
        let objects = file.get_mut(section).and_then(Value::as_object_mut);
        for object in objects.into_iter().flat_map(|map| map.values_mut()) {
            rebase_text(object.get_mut("file"), directory);
        }
    }
}

fn rebase_service(service: &mut Value, directory: &str) {
    for key in ["env_file", "label_file"] {
        match service.get_mut(key) {
            Some(Value::Array(entries)) => {
                for entry in entries {
                    if entry.is_object() {
                        rebase_text(entry.get_mut("path"), directory);
                    } else {
                        rebase_text(Some(entry), directory);
                    }
                }
            }
            one => rebase_text(one, directory),
        }
    }
    if let Some(extends) = service.get_mut("extends") {
        rebase_text(extends.get_mut("file"), directory);
    }
    for mount in service.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        match mount {
            Value::String(text) if text.starts_with('.') => {
                if let Some((source, rest)) = text.split_once(':') {
                    *text = format!("./{}:{rest}", join(directory, source));
                }
            }
            Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("bind") => {
                rebase_text(map.get_mut("source"), directory);
            }
            _ => {}
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // as `get_mut` gives it
fn rebase_text(text: Option<&mut Value>, directory: &str) {
    if let Some(Value::String(text)) = text
        && !text.starts_with(['/', '~', '$'])
    {
        *text = join(directory, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (from, path, wanted) in [
            ("", "./a/../b", "b"),
            ("sub", "a.yaml", "sub/a.yaml"),
            ("sub", "../a", "a"),
            ("sub", "../../a", "../a"),
            ("sub", "/etc/a", "/etc/a"),
            ("/srv", "a", "/srv/a"),
        ] {
            assert_eq!(join(from, path), wanted, "{from} {path}");
        }
        assert_eq!((directory("a.yaml"), directory("x/y/a.yaml"), directory("/a")), ("", "x/y", "/"));
    }
}
