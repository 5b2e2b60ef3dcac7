//! Registry logins from Secrets of type `kubernetes.io/dockerconfigjson`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use slipway_drivers::docker::RegistryLogin;

/// The key that the Secret's type demands.
pub const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";

/// Docker's own name for its default registry in login files.
const DOCKER_HUB: &str = "docker.io";

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Default, Deserialize)]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    /// Base64 of `user:password`.
    #[serde(rename = "auth")]
    encoded: Option<String>,
    identitytoken: Option<String>,
}

/// The logins in one `.dockerconfigjson`. The message of an error never holds its content.
pub fn parse(config: &[u8]) -> Result<Vec<RegistryLogin>, String> {
    let config: DockerConfig = serde_json::from_slice(config).map_err(|e| {
        format!("{DOCKER_CONFIG_KEY} is not a Docker configuration: line {}, column {}", e.line(), e.column())
    })?;
    config.auths.into_iter().map(|(server, auth)| login(&server, auth)).collect()
}

fn login(server: &str, auth: Auth) -> Result<RegistryLogin, String> {
    let wrong = || format!("{DOCKER_CONFIG_KEY}: `auth` of {server} is not base64 of user:password");
    let (username, password) = match (auth.username, auth.password, auth.encoded) {
        (Some(username), Some(password), _) => (username, password),
        (_, _, Some(both)) => {
            let both = STANDARD.decode(both.trim()).map_err(|_| wrong())?;
            let both = String::from_utf8(both).map_err(|_| wrong())?;
            let (username, password) = both.split_once(':').ok_or_else(wrong)?;
            (username.to_owned(), password.trim_end_matches('\0').to_owned())
        }
        _ if auth.identitytoken.is_some() => (String::new(), String::new()),
        _ => return Err(format!("{DOCKER_CONFIG_KEY}: {server} has neither `auth` nor `username` and `password`")),
    };
    Ok(RegistryLogin { server: registry_of_server(server), username, password, identity_token: auth.identitytoken })
}

/// The login for an image: the entry whose registry is the image's, if there is one.
pub fn for_image<'a>(logins: &'a [RegistryLogin], image: &str) -> Option<&'a RegistryLogin> {
    let registry = registry_of_image(image);
    logins.iter().find(|login| login.server == registry)
}

/// `https://index.docker.io/v1/`, `registry.lab:5000/path` → the bare registry host.
fn registry_of_server(server: &str) -> String {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { DOCKER_HUB.into() } else { host.into() }
}

/// The first part of a reference is a registry only if it has a dot, a port, or is `localhost` (distribution's reference grammar).
fn registry_of_image(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_login() {
        let config = br#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2U6Y3JldA=="},
            "registry.lab:5000": {"username": "u", "password": "p"}}}"#;
        let logins = parse(config).unwrap();
        let hub = for_image(&logins, "nginx:1").unwrap();
        assert_eq!((hub.username.as_str(), hub.password.as_str()), ("me", "se:cret"));
        assert_eq!(for_image(&logins, "registry.lab:5000/team/web@sha256:00").unwrap().username, "u");
        assert!(for_image(&logins, "other.lab/web").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_without_the_content() {
        let error = parse(br#"{"auths": {"r.lab": {"auth": "hunter2!"}}}"#).unwrap_err();
        assert!(error.contains("r.lab") && !error.contains("hunter2"), "{error}");
        assert!(parse(b"hunter2").unwrap_err().contains("line 1"));
        assert!(parse(br#"{"auths": {"r.lab": {}}}"#).unwrap_err().contains("neither"));
    }
}
