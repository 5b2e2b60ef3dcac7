//! From what comes back to what it means: the one place that knows the engine's wording.

use std::error::Error as StdError;

use super::reasons::{self, Reason};
use super::text::printable;
use crate::DriverError;

/// What a call brought instead of an answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The engine answered with an error status.
    Engine {
        /// HTTP status.
        status: u16,
        /// The engine's own words, bounded and printable.
        message: String,
    },
    /// It did not come to an answer, or the answer makes no sense.
    Failed(DriverError),
}

impl CallError {
    /// The HTTP status, if the engine answered.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Engine { status, .. } => Some(*status),
            Self::Failed(_) => None,
        }
    }

    /// The engine's own words contain this.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Engine { message, .. } if message.contains(words))
    }

    /// As the error of a call that did `what`.
    pub(super) fn of(self, what: &str) -> DriverError {
        self.in_area(Area::Engine, what)
    }

    /// As the error of a call that made the engine talk to a registry.
    pub(super) fn of_registry(self, what: &str) -> DriverError {
        self.in_area(Area::Registry, what)
    }

    /// As the error of a container's start: what is not known there is the container's fault, as with a command that is missing.
    pub(super) fn of_start(self, what: &str) -> DriverError {
        self.explain(Area::Engine, what, |status| match status {
            404 => reasons::GONE,
            409 => reasons::ENGINE_CONFLICT,
            _ => reasons::START_FAILED,
        })
    }

    fn in_area(self, area: Area, what: &str) -> DriverError {
        self.explain(area, what, by_status)
    }

    fn explain(self, area: Area, what: &str, otherwise: fn(u16) -> Reason) -> DriverError {
        match self {
            Self::Failed(error) => DriverError::new(error.class(), error.reason(), format!("cannot {what}: {error}")),
            Self::Engine { status, message } => {
                let reason = known(area, &message).unwrap_or_else(|| otherwise(status));
                reason.error(format!("cannot {what}: {message}"))
            }
        }
    }
}

impl From<DriverError> for CallError {
    fn from(error: DriverError) -> Self {
        Self::Failed(error)
    }
}

/// What the engine was doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Area {
    Engine,
    Registry,
}

/// Engine wording to reason. The first row that matches counts. Paths are those of github.com/moby/moby; a row holds for
/// 20.10 to 28 unless it says otherwise.
const WORDING: &[(Area, &str, Reason)] = &[
    // The operating system's ENOSPC, from storage drivers and layer extraction alike.
    (Area::Engine, "no space left on device", reasons::DISK_FULL),
    // libnetwork/portallocator ErrPortAlreadyAllocated.
    (Area::Engine, "port is already allocated", reasons::HOST_PORT_TAKEN),
    // Userland proxy's or port mapper's bind(2): "listen tcp4 0.0.0.0:80: bind: address already in use"; 28: "failed to bind host port for …".
    (Area::Engine, "bind: address already in use", reasons::HOST_PORT_TAKEN),
    (Area::Engine, "failed to bind host port", reasons::HOST_PORT_TAKEN),
    // libnetwork/ipamapi ErrIPAlreadyAllocated; the capital letter tells it from bind(2).
    (Area::Engine, "Address already in use", reasons::ADDRESS_TAKEN),
    // daemon/names.go.
    (Area::Engine, "The container name \"", reasons::CONTAINER_NAME_TAKEN),
    // libnetwork/ipam: 20.10 and 26.1; 27 on.
    (Area::Engine, "non-overlapping IPv4 address pool among the defaults", reasons::ADDRESS_POOL_EXHAUSTED),
    (Area::Engine, "all predefined address pools have been fully subnetted", reasons::ADDRESS_POOL_EXHAUSTED),
    // libnetwork/ipamapi ErrPoolOverlap; libnetwork/drivers/bridge networkConfiguration.Conflicts.
    (Area::Engine, "Pool overlaps with other one on this address space", reasons::SUBNET_OVERLAPS),
    (Area::Engine, "networks have overlapping IPv", reasons::SUBNET_OVERLAPS),
    // daemon/network.go DeleteNetwork, libnetwork ActiveEndpointsError.
    (Area::Engine, "has active endpoints", reasons::NETWORK_IN_USE),
    // volume/service: "remove x: volume is in use - [id]".
    (Area::Engine, "volume is in use", reasons::VOLUME_IN_USE),
    // daemon/images/image_delete.go conflict messages: "… is being used by running container …".
    (Area::Engine, "image is being used by", reasons::IMAGE_IN_USE),
    (Area::Engine, "image is referenced in multiple repositories", reasons::IMAGE_IN_USE),
    // volume/mounts validation.
    (Area::Engine, "bind source path does not exist", reasons::MOUNT_SOURCE_MISSING),
    // volume/local and volume/service errNoSuchVolume.
    (Area::Engine, "no such volume", reasons::VOLUME_MISSING),
    // daemon/images/image.go ErrImageDoesNotExist: "No such image: x:y".
    (Area::Engine, "No such image", reasons::IMAGE_NOT_FOUND),
    // libnetwork ErrNoSuchNetwork: "network x not found"; the daemon's own on start: "Could not find network".
    (Area::Engine, "Could not find network", reasons::NETWORK_MISSING),
    // libnetwork: iptables, what a crash left behind; the taken ports are above.
    (Area::Engine, "failed programming external connectivity", reasons::ENGINE_ERROR),
    (Area::Engine, "already exists in network", reasons::ENGINE_ERROR),
    (Area::Engine, "cannot allocate memory", reasons::ENGINE_ERROR),
    // pkg/authorization; a proxy before the engine, which says nothing. The engine's own 403 is for what cannot be done at all.
    (Area::Engine, "authorization denied by plugin", reasons::UNAUTHORISED),
    (Area::Engine, "HTTP status 403", reasons::UNAUTHORISED),
    // The engine cannot reach containerd, or is going down: no fault of the container.
    (Area::Engine, "containerd.sock", reasons::ENGINE_ERROR),
    (Area::Engine, "context canceled", reasons::ENGINE_ERROR),
    // cmd/dockerd: a TLS listener that is spoken to without TLS (Go's net/http).
    (Area::Engine, "Client sent an HTTP request to an HTTPS server", reasons::TLS_INVALID),
    // daemon/start.go translateContainerdStartErr passes on what runc and containerd say.
    (Area::Engine, "OCI runtime create failed", reasons::START_FAILED),
    (Area::Engine, "OCI runtime start failed", reasons::START_FAILED),
    (Area::Engine, "failed to create task for container", reasons::START_FAILED),
    (Area::Engine, "failed to create shim", reasons::START_FAILED),
    (Area::Engine, "error gathering device information", reasons::START_FAILED),
    (Area::Engine, "unable to find user", reasons::START_FAILED),
    // distribution/errors.go and the registry's own error codes (distribution spec: UNAUTHORIZED, DENIED).
    (Area::Registry, "pull access denied", reasons::IMAGE_DENIED),
    (Area::Registry, "no basic auth credentials", reasons::IMAGE_DENIED),
    (Area::Registry, "unauthorized", reasons::IMAGE_DENIED),
    (Area::Registry, "denied:", reasons::IMAGE_DENIED),
    (Area::Registry, "401 Unauthorized", reasons::IMAGE_DENIED),
    (Area::Registry, "403 Forbidden", reasons::IMAGE_DENIED),
    // distribution spec: MANIFEST_UNKNOWN, NAME_UNKNOWN; distribution/errors.go: "manifest for x:y not found".
    (Area::Registry, "manifest unknown", reasons::IMAGE_NOT_FOUND),
    (Area::Registry, "name unknown", reasons::IMAGE_NOT_FOUND),
    (Area::Registry, "manifest for ", reasons::IMAGE_NOT_FOUND),
    (Area::Registry, "404 Not Found", reasons::IMAGE_NOT_FOUND),
    // distribution/pull_v2.go; 26 on: "image with reference x was found but does not match the specified platform".
    (Area::Registry, "no matching manifest for ", reasons::IMAGE_PLATFORM_MISSING),
    (Area::Registry, "does not match the specified platform", reasons::IMAGE_PLATFORM_MISSING),
    // distribution spec: TOOMANYREQUESTS.
    (Area::Registry, "toomanyrequests", reasons::REGISTRY_RATE_LIMITED),
    (Area::Registry, "429 Too Many Requests", reasons::REGISTRY_RATE_LIMITED),
    // Go's crypto/x509, crypto/tls and net/http.
    (Area::Registry, "x509: ", reasons::REGISTRY_TLS_INVALID),
    (Area::Registry, "tls: ", reasons::REGISTRY_TLS_INVALID),
    (Area::Registry, "server gave HTTP response to HTTPS client", reasons::REGISTRY_TLS_INVALID),
    // Go's net and net/http.
    (Area::Registry, "connection refused", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "connection reset by peer", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "no such host", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "no route to host", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "network is unreachable", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "server misbehaving", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "i/o timeout", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "TLS handshake timeout", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "Client.Timeout exceeded", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "context deadline exceeded", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "EOF", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "500 Internal Server Error", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "502 Bad Gateway", reasons::REGISTRY_UNREACHABLE),
    (Area::Registry, "503 Service Unavailable", reasons::REGISTRY_UNREACHABLE),
];

fn known(area: Area, message: &str) -> Option<Reason> {
    let row = WORDING.iter().find(|(of, words, _)| (*of == Area::Engine || *of == area) && message.contains(words));
    match row {
        Some((_, _, reason)) => Some(*reason),
        // libnetwork ErrNoSuchNetwork. Two parts, so that no other "not found" is taken for it.
        None if message.contains("network ") && message.contains(" not found") => Some(reasons::NETWORK_MISSING),
        None => None,
    }
}

fn by_status(status: u16) -> Reason {
    match status {
        401 => reasons::UNAUTHORISED,
        404 => reasons::GONE,
        409 => reasons::ENGINE_CONFLICT,
        400..=499 | 501 => reasons::ENGINE_REFUSED,
        _ => reasons::ENGINE_ERROR,
    }
}

/// Why a connection failed or broke: the first cause in the chain that says something.
pub(super) fn transport(error: &(dyn StdError + 'static), peer: &str) -> DriverError {
    let mut cause = Some(error);
    let mut last = String::new();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<DriverError>() {
            return error.clone();
        }
        // rustls hides its errors in those of the connection.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return super::tls::refusal(error, peer);
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(is_no_http) {
            return reasons::NOT_AN_ENGINE.error(format!("{peer} does not answer in HTTP; is it a Docker engine?"));
        }
        last = error.to_string();
        cause = error.source();
    }
    reasons::CONNECTION_LOST.error(format!("the connection to {peer} broke: {}", printable(&last, 200)))
}

/// What answers is something else, such as an SSH server, which even speaks first. (hyper names that kind in words only.)
fn is_no_http(error: &hyper::Error) -> bool {
    error.is_parse() || error.to_string().starts_with("received unexpected message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn engine(status: u16, message: &str) -> CallError {
        CallError::Engine { status, message: message.into() }
    }

    #[test]
    fn the_engines_words_are_known() {
        // As 20.10.24, 26.1.5 and 28.5.2 were seen to say it.
        for (status, message, reason) in [
            (
                409,
                "Conflict. The container name \"/a\" is already in use by container \"1\".",
                reasons::CONTAINER_NAME_TAKEN,
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint a (1): Bind for 0.0.0.0:80 failed: port is already allocated",
                reasons::HOST_PORT_TAKEN,
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint a (1): Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                reasons::HOST_PORT_TAKEN,
            ),
            (
                500,
                "failed to set up container networking: driver failed programming external connectivity on endpoint a (1): failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use",
                reasons::HOST_PORT_TAKEN,
            ),
            (500, "Address already in use", reasons::ADDRESS_TAKEN),
            (404, "network backend not found", reasons::NETWORK_MISSING),
            (404, "No such container: 12", reasons::GONE),
            (
                500,
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
                reasons::ADDRESS_POOL_EXHAUSTED,
            ),
            (403, "Pool overlaps with other one on this address space", reasons::SUBNET_OVERLAPS),
            (
                400,
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"x\": executable file not found in $PATH: unknown",
                reasons::START_FAILED,
            ),
            (
                400,
                "failed to create task for container: failed to create shim task: OCI runtime create failed",
                reasons::START_FAILED,
            ),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                reasons::MOUNT_SOURCE_MISSING,
            ),
            (500, "something new", reasons::ENGINE_ERROR),
        ] {
            let error = engine(status, message).of("do it");
            assert_eq!((error.reason(), error.class()), (reason.word, reason.class), "{message}");
        }
    }

    #[test]
    fn a_registrys_words_count_only_where_a_registry_is_asked() {
        let refused = "Get \"https://r/v2/\": dial tcp 10.0.0.1:443: connect: connection refused";
        assert_eq!(engine(500, refused).of_registry("pull r/a").reason(), "RegistryUnreachable");
        assert_eq!(engine(500, refused).of("start a").reason(), "EngineError");
        for (message, reason) in [
            ("Head \"https://r/v2/a/manifests/1\": no basic auth credentials", reasons::IMAGE_DENIED),
            (
                "pull access denied for a, repository does not exist or may require 'docker login'",
                reasons::IMAGE_DENIED,
            ),
            ("manifest for r/a:2 not found: manifest unknown: manifest unknown", reasons::IMAGE_NOT_FOUND),
            ("Get \"https://r/v2/\": x509: certificate signed by unknown authority", reasons::REGISTRY_TLS_INVALID),
            ("failed to register layer: write /big: no space left on device", reasons::DISK_FULL),
        ] {
            assert_eq!(engine(500, message).of_registry("pull").reason(), reason.word, "{message}");
        }
    }

    #[test]
    fn the_class_says_what_happens_next() {
        assert_eq!(engine(500, "no space left on device").of("create").class(), Class::Transient);
        assert_eq!(engine(404, "No such container: a").of("stop").class(), Class::Conflict);
        assert_eq!(engine(400, "bad parameter").of("create").class(), Class::Invalid);
    }
}
