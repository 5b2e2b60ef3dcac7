//! Whether a Node can be used as it is written. Shared with `slipway check`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use slipway_api::NodeSpec;
use slipway_api::node::DockerEndpoint;

use super::bmc;
use crate::{Finding, duration};

/// How long deletion waits when nothing is written.
pub const DELETION_TIMEOUT: Duration = Duration::from_mins(5);

/// A Node that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// Where the Docker engine is.
    pub docker: Option<Endpoint>,
    /// Where the BMC is, and what is wanted of it.
    pub bmc: Option<bmc::Wanted>,
    /// How long deletion waits.
    pub deletion_timeout: Duration,
}

/// Where an engine is, and which Secret has the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is what its name says.
pub enum Endpoint {
    /// A socket of the machine that Slipway runs on.
    Unix { path: PathBuf },
    /// TCP without TLS.
    PlainTcp { host: String, port: u16 },
    /// TCP with TLS and client certificates.
    Tls { host: String, port: u16, secret: String },
    /// SSH.
    Ssh { user: String, host: String, port: u16, secret: String },
}

const ENDPOINT: &str = "spec.docker.endpoint";
const FORMS: &str = "write unix:///var/run/docker.sock, tcp://host:2376 or ssh://user@host";
/// Linux takes no longer path for a socket (`sun_path`, with its closing zero byte).
const SOCKET_PATH_LIMIT: usize = 107;

/// Proves a Node, or says all that is wrong with it.
pub fn validate(spec: &NodeSpec) -> Result<Valid, Vec<Finding>> {
    let mut findings = Vec::new();
    if spec.docker.is_none() && spec.bmc.is_none() && spec.design.design_ref.is_none() {
        let message = "a host is reached through docker or bmc, or belongs to a Design: one of docker, bmc and designRef \
                       is required";
        findings.push(Finding::error("NoWayToHost", "spec", message));
    }
    let docker = spec.docker.as_ref().and_then(|docker| endpoint(docker, &mut findings));
    let bmc = bmc::validate::validate(spec, &mut findings);
    let timeout = spec.deletion.as_ref().and_then(|deletion| deletion.timeout.as_deref());
    let deletion_timeout = time(timeout, "spec.deletion.timeout", DELETION_TIMEOUT, &mut findings);
    if findings.is_empty() { Ok(Valid { docker, bmc, deletion_timeout }) } else { Err(findings) }
}

/// A duration of the spec, or what counts when there is none.
pub(super) fn time(text: Option<&str>, path: &str, default: Duration, findings: &mut Vec<Finding>) -> Duration {
    match text.map(duration::parse).transpose() {
        Ok(time) => time.unwrap_or(default),
        Err(message) => {
            findings.push(Finding::error("DurationInvalid", path, message));
            default
        }
    }
}

/// Reads the endpoint; a fault is put with the findings.
fn endpoint(docker: &DockerEndpoint, findings: &mut Vec<Finding>) -> Option<Endpoint> {
    let Some((scheme, rest)) = docker.endpoint.split_once("://") else {
        findings.push(Fault::syntax(format!("`{}` has no scheme", docker.endpoint)).0);
        return None;
    };
    let read = match scheme {
        "unix" => socket(rest),
        "tcp" => tcp(rest, docker),
        "ssh" => ssh(rest, docker),
        "http" | "https" => Err(Fault::syntax(format!("`{scheme}` is not how Docker writes it; write tcp://{rest}"))),
        _ => Err(Fault::syntax(format!("`{scheme}` is no scheme of a Docker endpoint"))),
    };
    let endpoint = read.map_err(|Fault(finding)| findings.push(finding)).ok();
    unused(scheme, docker, findings);
    endpoint
}

/// One fault; a type of its own so that `?` reads well.
struct Fault(Finding);

impl Fault {
    fn syntax(message: impl Into<String>) -> Self {
        Self(Finding::error("EndpointInvalid", ENDPOINT, message).hint(FORMS))
    }
}

fn socket(path: &str) -> Result<Endpoint, Fault> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(Fault::syntax(format!("`{path}` is not the absolute path of a socket")));
    }
    if path.len() > SOCKET_PATH_LIMIT {
        return Err(Fault::syntax(format!("a socket's path has at most {SOCKET_PATH_LIMIT} bytes")));
    }
    Ok(Endpoint::Unix { path: path.into() })
}

fn tcp(rest: &str, docker: &DockerEndpoint) -> Result<Endpoint, Fault> {
    let default = if docker.tls.is_some() { 2376 } else { 2375 };
    let (host, port) = authority(rest, default)?;
    match &docker.tls {
        Some(tls) => Ok(Endpoint::Tls { host, port, secret: tls.secret_ref.name.clone() }),
        None if docker.insecure => Ok(Endpoint::PlainTcp { host, port }),
        None => Err(Fault(
            Finding::error(
                "TlsRequired",
                "spec.docker.tls",
                "tcp:// without TLS makes everybody who reaches it root on the host",
            )
            .hint(
                "name the Secret with ca.crt, tls.crt and tls.key in tls.secretRef; in a lab, insecure: true allows it",
            ),
        )),
    }
}

fn ssh(rest: &str, docker: &DockerEndpoint) -> Result<Endpoint, Fault> {
    let Some((user, rest)) = rest.rsplit_once('@') else {
        return Err(Fault::syntax("an ssh:// endpoint names its user"));
    };
    if user.contains(':') {
        return Err(Fault::syntax("a password has no place here; the Secret holds a key"));
    }
    // The user may end up as an argument of a command: nothing that could be read as an option.
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(safe) {
        return Err(Fault::syntax(format!("`{user}` is no user name")));
    }
    let (host, port) = authority(rest, 22)?;
    match &docker.ssh {
        Some(ssh) => Ok(Endpoint::Ssh { user: user.into(), host, port, secret: ssh.secret_ref.name.clone() }),
        None => Err(Fault(
            Finding::error("SshRequired", "spec.docker.ssh", "an ssh:// endpoint needs a key and known hosts")
                .hint("name the Secret with ssh-privatekey and known_hosts in ssh.secretRef"),
        )),
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn authority(text: &str, default_port: u16) -> Result<(String, u16), Fault> {
    host_and_port(text, default_port).map_err(Fault::syntax)
}

/// The same; what is wrong as text.
pub(super) fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, rest)) => (address, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None if text.parse::<std::net::Ipv6Addr>().is_ok() => {
            return Err(format!("an IPv6 address is written in brackets: [{text}]"));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let bracketed = text.starts_with('[');
    if bracketed && host.parse::<std::net::Ipv6Addr>().is_err() || !bracketed && !is_host(host) {
        return Err(format!("`{host}` is no host name or address"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("`{port}` is no port"))?,
    };
    Ok((host.to_owned(), port))
}

/// An IPv4 address or a host name as RFC 1123 has it, with the underscore that many a network has as well.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.parse::<IpAddr>().is_ok() || host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// Credentials of another scheme would look as if they were used.
fn unused(scheme: &str, docker: &DockerEndpoint, findings: &mut Vec<Finding>) {
    let mut refuse = |field: &str, of: &str| {
        let message = format!("{field} is for {of} endpoints; it has no effect on a {scheme}:// one");
        findings.push(Finding::error("CredentialsUnused", format!("spec.docker.{field}"), message).hint("remove it"));
    };
    if docker.tls.is_some() && scheme != "tcp" {
        refuse("tls", "tcp://");
    }
    if docker.ssh.is_some() && scheme != "ssh" {
        refuse("ssh", "ssh://");
    }
    if docker.insecure && (scheme != "tcp" || docker.tls.is_some()) {
        refuse("insecure", "tcp:// (without tls)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> NodeSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn of(endpoint: &str, more: &str) -> Result<Endpoint, Vec<&'static str>> {
        let spec = spec(&format!("docker: {{endpoint: \"{endpoint}\"{more}}}"));
        validate(&spec).map(|valid| valid.docker.unwrap()).map_err(|findings| findings.iter().map(|f| f.code).collect())
    }

    const TLS: &str = ", tls: {secretRef: {name: s}}";
    const SSH: &str = ", ssh: {secretRef: {name: s}}";

    #[test]
    fn what_people_write() {
        let secret = || "s".to_owned();
        assert_eq!(of("unix:///var/run/docker.sock", ""), Ok(Endpoint::Unix { path: "/var/run/docker.sock".into() }));
        let tls = |host: &str, port| Ok(Endpoint::Tls { host: host.into(), port, secret: secret() });
        assert_eq!(of("tcp://10.0.0.1:2376", TLS), tls("10.0.0.1", 2376));
        assert_eq!(of("tcp://edge1.lab", TLS), tls("edge1.lab", 2376));
        assert_eq!(of("tcp://[fd00::1]:2377/", TLS), tls("fd00::1", 2377));
        assert_eq!(
            of("tcp://localhost", ", insecure: true"),
            Ok(Endpoint::PlainTcp { host: "localhost".into(), port: 2375 })
        );
        let ssh = |port| Ok(Endpoint::Ssh { user: "deploy".into(), host: "h".into(), port, secret: secret() });
        assert_eq!(of("ssh://deploy@h", SSH), ssh(22));
        assert_eq!(of("ssh://deploy@h:2222", SSH), ssh(2222));
    }

    #[test]
    fn what_cannot_be_used() {
        for (endpoint, more, codes) in [
            ("/var/run/docker.sock", "", &["EndpointInvalid"][..]),
            ("unix://run/docker.sock", "", &["EndpointInvalid"]),
            ("http://h:2375", "", &["EndpointInvalid"]),
            ("tcp://h:2376", "", &["TlsRequired"]),
            ("tcp://fd00::1", TLS, &["EndpointInvalid"]),
            ("tcp://[h]", TLS, &["EndpointInvalid"]),
            ("tcp://h:0", TLS, &["EndpointInvalid"]),
            ("tcp://h:70000", TLS, &["EndpointInvalid"]),
            ("tcp://h h", TLS, &["EndpointInvalid"]),
            ("tcp://", TLS, &["EndpointInvalid"]),
            ("ssh://h", SSH, &["EndpointInvalid"]),
            ("ssh://root:pw@h", SSH, &["EndpointInvalid"]),
            ("ssh://-oProxyCommand=x@h", SSH, &["EndpointInvalid"]),
            ("ssh://u@-h", SSH, &["EndpointInvalid"]),
            ("ssh://u@h", "", &["SshRequired"]),
            ("unix:///d.sock", TLS, &["CredentialsUnused"]),
            ("ssh://u@h", TLS, &["SshRequired", "CredentialsUnused"]),
            ("tcp://h", ", insecure: true, tls: {secretRef: {name: s}}", &["CredentialsUnused"]),
        ] {
            assert_eq!(of(endpoint, more), Err(codes.to_vec()), "{endpoint} {more}");
        }
    }

    #[test]
    fn a_deletion_timeout_is_a_duration() {
        let with = |timeout: &str| spec(&format!("docker: {{endpoint: unix:///d}}\ndeletion: {{timeout: {timeout}}}"));
        assert_eq!(validate(&with("90s")).unwrap().deletion_timeout.as_secs(), 90);
        let findings = validate(&with("soon")).unwrap_err();
        assert_eq!((findings[0].code, &*findings[0].path), ("DurationInvalid", "spec.deletion.timeout"));
    }
}
