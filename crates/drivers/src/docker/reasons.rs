//! Every reason that the Docker driver gives: one CamelCase word each, shared by condition, Event and metric.

use crate::error::Class;
pub use crate::reason::Reason;
use crate::reason::reasons;

reasons! {
    // The way to the engine.
    /// Nothing listens at that address and port.
    CONNECTION_REFUSED = "ConnectionRefused": Unreachable;
    /// The endpoint's socket file is not there.
    SOCKET_MISSING = "SocketMissing": Unreachable;
    /// No route to the host or its network.
    NO_ROUTE = "NoRoute": Unreachable;
    /// The host's name cannot be resolved.
    NAME_NOT_FOUND = "NameNotFound": Unreachable;
    /// No answer within the call's deadline.
    TIMED_OUT = "TimedOut": Unreachable;
    /// The connection broke while a call was under way.
    CONNECTION_LOST = "ConnectionLost": Unreachable;
    /// What answers does not speak the Docker Engine API.
    NOT_AN_ENGINE = "NotAnEngine": Invalid;
    /// The server's certificate has expired.
    TLS_CERTIFICATE_EXPIRED = "TlsCertificateExpired": Denied;
    /// The server's certificate is not valid yet; maybe a clock is wrong.
    TLS_CERTIFICATE_NOT_YET_VALID = "TlsCertificateNotYetValid": Denied;
    /// The server's certificate is for another name.
    TLS_WRONG_NAME = "TlsWrongName": Denied;
    /// The server's certificate was not signed by the CA in `ca.crt`.
    TLS_UNKNOWN_CA = "TlsUnknownCa": Denied;
    /// The engine refused the client certificate in `tls.crt`.
    TLS_CLIENT_REFUSED = "TlsClientRefused": Denied;
    /// Certificates or keys in the Secret cannot be used, or the server does not speak TLS as it should.
    TLS_INVALID = "TlsInvalid": Invalid;
    /// The engine or its socket refused access.
    UNAUTHORISED = "Unauthorised": Denied;
    /// The host's SSH key is not in `known_hosts`.
    HOST_KEY_UNKNOWN = "HostKeyUnknown": Denied;
    /// The host's SSH key is another one than `known_hosts` says.
    HOST_KEY_CHANGED = "HostKeyChanged": Denied;
    /// The SSH server refused the key in `ssh-privatekey`.
    SSH_DENIED = "SshDenied": Denied;
    /// The SSH connection failed in another way.
    SSH_FAILED = "SshFailed": Unreachable;
    /// The host has no `docker` command, which carries the API over SSH.
    SSH_DOCKER_MISSING = "SshDockerMissing": Invalid;
    /// The engine's API is older than 1.41 (Docker 20.10), or than a key of the service takes.
    ENGINE_TOO_OLD = "EngineTooOld": Invalid;

    // What the engine says.
    /// The engine failed; its own words are in the message.
    ENGINE_ERROR = "EngineError": Transient;
    /// The engine takes the request for wrong; its own words are in the message.
    ENGINE_REFUSED = "EngineRefused": Invalid;
    /// The engine is in a state that does not allow it; its own words are in the message.
    ENGINE_CONFLICT = "EngineConflict": Conflict;
    /// The container, network, volume or image was removed meanwhile.
    GONE = "Gone": Conflict;
    /// It carries other owner labels than those of the object that this is done for.
    NOT_OURS = "NotOurs": Conflict;
    /// No space left on the host's disk.
    DISK_FULL = "DiskFull": Transient;

    // Images and registries.
    /// The registry has no such image, tag or digest, or the host does not have it.
    IMAGE_NOT_FOUND = "ImageNotFound": Transient;
    /// The image exists, but not for this platform.
    IMAGE_PLATFORM_MISSING = "ImagePlatformMissing": Invalid;
    /// The registry refused the login, or wants one.
    IMAGE_DENIED = "ImageDenied": Denied;
    /// A container still uses the image.
    IMAGE_IN_USE = "ImageInUse": Conflict;
    /// The engine cannot reach the registry.
    REGISTRY_UNREACHABLE = "RegistryUnreachable": Transient;
    /// The engine does not trust the registry's certificate, or the registry does not speak TLS. Nobody tells of a CA that is
    /// put on the host: it is tried again.
    REGISTRY_TLS_INVALID = "RegistryTlsInvalid": Transient;
    /// The registry asks to come back later.
    REGISTRY_RATE_LIMITED = "RegistryRateLimited": Transient;

    // Containers, networks, volumes.
    /// A container of somebody else has the name.
    CONTAINER_NAME_TAKEN = "ContainerNameTaken": Conflict;
    /// A host port is taken.
    HOST_PORT_TAKEN = "HostPortTaken": Conflict;
    /// A fixed address in a network is taken.
    ADDRESS_TAKEN = "AddressTaken": Conflict;
    /// A network of somebody else has the name.
    NETWORK_NAME_TAKEN = "NetworkNameTaken": Conflict;
    /// A network that the container needs is not there.
    NETWORK_MISSING = "NetworkMissing": Conflict;
    /// Containers are still connected to the network.
    NETWORK_IN_USE = "NetworkInUse": Conflict;
    /// The engine has no address pool left for one more network.
    ADDRESS_POOL_EXHAUSTED = "AddressPoolExhausted": Transient;
    /// The network's subnet overlaps with another one on the host.
    SUBNET_OVERLAPS = "SubnetOverlaps": Invalid;
    /// A volume of somebody else has the name.
    VOLUME_NAME_TAKEN = "VolumeNameTaken": Conflict;
    /// A volume that the container needs is not there.
    VOLUME_MISSING = "VolumeMissing": Conflict;
    /// A container still uses the volume.
    VOLUME_IN_USE = "VolumeInUse": Conflict;
    /// The host path of a bind mount does not exist.
    MOUNT_SOURCE_MISSING = "MountSourceMissing": Invalid;
    /// A secret or config cannot be put at its target.
    FILE_TARGET_INVALID = "FileTargetInvalid": Invalid;
    /// The container cannot be started: its command, user, device or mount does not work.
    START_FAILED = "StartFailed": Invalid;
}
