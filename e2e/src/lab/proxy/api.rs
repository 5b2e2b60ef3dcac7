//! Names of an API server's calls, and the kubeconfig of those who make them by the proxy.

/// The name of a call: the verb of RBAC and the resource, `patch containerservices/status`.
pub fn name(method: &str, path: &str) -> (String, bool) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (["api", _version, in_group @ ..] | ["apis", _, _version, in_group @ ..]) = parts.as_slice() else {
        return (format!("{} {path}", method.to_lowercase()), false);
    };
    let in_namespace = match in_group {
        ["namespaces", _namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => rest,
        all => all,
    };
    let (resource, object, subresource) = match in_namespace {
        [] => return (format!("discover {path}"), false),
        [resource] => (*resource, false, None),
        [resource, _name] => (*resource, true, None),
        [resource, _name, subresource @ ..] => (*resource, true, Some(subresource.join("/"))),
    };
    let watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"));
    let verb = match (method, object) {
        ("GET", _) if watch => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    };
    let subresource = subresource.map(|name| format!("/{name}")).unwrap_or_default();
    (format!("{verb} {resource}{subresource}"), !matches!(verb, "get" | "list" | "watch" | "other"))
}

/// A kubeconfig that leads to the proxy.
pub(super) fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: slipway, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: slipway, user: {{}}}}]\n\
         contexts: [{{name: slipway, context: {{cluster: slipway, user: slipway}}}}]\n\
         current-context: slipway\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_names() {
        for (method, path, expected, changes) in [
            ("GET", "/api/v1/namespaces/a/secrets/b", "get secrets", false),
            ("GET", "/apis/slipway.dev/v1alpha1/nodes?watch=true&x=1", "watch nodes", false),
            ("GET", "/apis/slipway.dev/v1alpha1/namespaces/a/nodes", "list nodes", false),
            ("PATCH", "/apis/slipway.dev/v1alpha1/namespaces/a/nodes/n/status?force=true", "patch nodes/status", true),
            ("POST", "/apis/events.k8s.io/v1/namespaces/a/events", "create events", true),
            ("DELETE", "/api/v1/namespaces/a", "delete namespaces", true),
            ("PUT", "/api/v1/namespaces/a/finalize", "update namespaces/finalize", true),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "update leases", true),
            ("GET", "/version", "get /version", false),
        ] {
            assert_eq!(name(method, path), (expected.to_owned(), changes), "{method} {path}");
        }
    }
}
