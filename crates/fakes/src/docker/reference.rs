//! Image references as the engine reads and shows them.

/// A reference in the engine's familiar form: without `docker.io/` and `library/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Repository with its registry, in familiar form.
    pub(super) repository: String,
    /// Tag; `latest` if neither a tag nor a digest was written.
    pub(super) tag: Option<String>,
    /// `sha256:…`.
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let name_at = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest[name_at..].rfind(':') {
            Some(colon) => (&rest[..name_at + colon], Some(rest[name_at + colon + 1..].to_owned())),
            None => (rest, None),
        };
        let repository = repository.strip_prefix("docker.io/").unwrap_or(repository);
        let repository = repository.strip_prefix("library/").unwrap_or(repository).to_owned();
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".into()));
        Self { repository, tag, digest }
    }

    /// `repository:tag`, if it has a tag.
    pub(super) fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.repository))
    }

    /// The registry's host, with its port.
    pub(super) fn domain(&self) -> &str {
        match self.repository.split_once('/') {
            Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => domain,
            _ => "docker.io",
        }
    }

    /// The repository without the registry's host.
    pub(super) fn path(&self) -> &str {
        self.repository
            .strip_prefix(self.domain())
            .map_or(self.repository.as_str(), |path| path.trim_start_matches('/'))
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "{}@{digest}", self.repository),
            (None, Some(tag)) => write!(f, "{}:{tag}", self.repository),
            (None, None) => f.write_str(&self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_take_their_familiar_form() {
        for (text, shown, domain, path) in [
            ("web", "web:latest", "docker.io", "web"),
            ("docker.io/library/web:1", "web:1", "docker.io", "web"),
            ("reg.lab:5000/a/b", "reg.lab:5000/a/b:latest", "reg.lab:5000", "a/b"),
            ("reg.lab/a:1@sha256:ff", "reg.lab/a@sha256:ff", "reg.lab", "a"),
        ] {
            let reference = Reference::parse(text);
            assert_eq!((reference.to_string().as_str(), reference.domain(), reference.path()), (shown, domain, path));
        }
    }
}
