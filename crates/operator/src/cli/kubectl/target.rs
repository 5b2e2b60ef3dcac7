//! Objects as they are named on a command line: `node/n20`, `csvc/web`, `design.slipway.dev/lab`.

use std::fmt;
use std::str::FromStr;

/// The kinds that the verbs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(in crate::cli) enum KindName {
    Node,
    ContainerService,
    Design,
}

/// An object, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    pub kind: KindName,
    pub name: String,
}

impl KindName {
    /// As kubectl takes it: short, singular, plural, in any case.
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let word = lower.split_once('.').map_or(&*lower, |(word, _)| word);
        Some(match word {
            "node" | "nodes" | "snode" => Self::Node,
            "containerservice" | "containerservices" | "csvc" => Self::ContainerService,
            "design" | "designs" | "dsn" => Self::Design,
            _ => return None,
        })
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::ContainerService => "ContainerService",
            Self::Design => "Design",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::ContainerService => "containerservices",
            Self::Design => "designs",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::ContainerService => "csvc",
            Self::Design => "dsn",
        }
    }
}

impl Target {
    /// An error unless it is of this kind.
    pub(super) fn must_be(&self, kind: KindName) -> anyhow::Result<()> {
        anyhow::ensure!(self.kind == kind, "{self} is no {}; write {}/NAME", kind.kind(), kind.short());
        Ok(())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = "write KIND/NAME, for example node/n20, csvc/web or dsn/lab";
        let Some((kind, name)) = text.split_once('/') else { return Err(how.into()) };
        let kind = KindName::parse(kind).ok_or_else(|| format!("`{kind}` is none of node, csvc and dsn; {how}"))?;
        // A name never leads to another path of the API server.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
            return Err(format!("`{name}` is no name of an object; {how}"));
        }
        Ok(Self { kind, name: name.into() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.short(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_taken_as_kubectl_takes_them() {
        for (text, shown) in [
            ("node/n20", "node/n20"),
            ("nodes.slipway.dev/n20", "node/n20"),
            ("snode/n20", "node/n20"),
            ("ContainerService/web", "csvc/web"),
            ("containerservice.v1alpha1.slipway.dev/web", "csvc/web"),
            ("dsn/lab", "dsn/lab"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        for wrong in ["n20", "pod/x", "node/", "node/../secrets/x", "node/a/b", "node/A"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
