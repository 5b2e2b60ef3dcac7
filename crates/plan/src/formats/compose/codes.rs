//! The codes of findings about Compose files. Each has an entry in docs/troubleshooting.md.

/// A key that Compose does not know; mostly a misspelling.
pub const UNKNOWN_KEY: &str = "UnknownKey";
/// A key or value that Compose knows and Slipway does not support; the hint says how to do it instead.
pub const UNSUPPORTED_KEY: &str = "UnsupportedKey";
/// A value of the wrong type, or outside what the key takes.
pub const INVALID_VALUE: &str = "InvalidValue";
/// A port, port range or port mapping that cannot be read.
pub const INVALID_PORT: &str = "InvalidPort";
/// A name of a project, service, network, volume, secret or config that cannot be used.
pub const INVALID_NAME: &str = "InvalidName";
/// An IP address, subnet or MAC address that cannot be read, or does not fit its network.
pub const INVALID_ADDRESS: &str = "InvalidAddress";
/// Two containers of the project want the same port of the host.
pub const PORT_CONFLICT: &str = "PortConflict";
/// Two containers of the project want the same name.
pub const NAME_CONFLICT: &str = "NameConflict";
/// Two mounts of a service have the same path in the container.
pub const DUPLICATE_TARGET: &str = "DuplicateTarget";
/// A service, network, volume, secret or config that is used and nowhere defined.
pub const UNDEFINED_REFERENCE: &str = "UndefinedReference";
/// Services that wait for each other.
pub const DEPENDENCY_CYCLE: &str = "DependencyCycle";
/// A variable without a value, where one is required (error) or would have been used (warning).
pub const MISSING_VARIABLE: &str = "MissingVariable";
/// A `${…}` that cannot be read.
pub const INVALID_INTERPOLATION: &str = "InvalidInterpolation";
/// More than the documented bounds allow.
pub const TOO_LARGE: &str = "TooLarge";
/// Text that is not YAML.
pub const YAML_SYNTAX: &str = "YamlSyntax";
/// A key that is written twice.
pub const DUPLICATE_KEY: &str = "DuplicateKey";
/// Accepted, as Compose accepts it, and without effect.
pub const NO_EFFECT: &str = "NoEffect";
/// An old way to say it; works.
pub const DEPRECATED: &str = "Deprecated";
/// `slipway import compose` wrote something in another way, or left it out.
pub const REWRITTEN: &str = "Rewritten";
