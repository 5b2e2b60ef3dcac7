//! Names on the engine, as Compose gives them.

use crate::formats::compose::model::Project;

/// The names of one project.
pub(super) struct Names<'a> {
    /// The project's own.
    pub project: String,
    model: &'a Project,
}

impl<'a> Names<'a> {
    /// Names for a project that, unless its file says otherwise, is called `default`.
    pub fn new(model: &'a Project, default: &str) -> Self {
        let project = model.name.clone().unwrap_or_else(|| normalise(default));
        Self { project, model }
    }

    pub fn container(&self, service: &str, number: u32) -> String {
        match self.model.services.get(service).and_then(|service| service.container_name.as_ref()) {
            Some(name) => name.clone(),
            None => format!("{}-{service}-{number}", self.project),
        }
    }

    pub fn network(&self, key: &str) -> String {
        let network = self.model.networks.get(key);
        self.resource(key, network.and_then(|network| network.name.as_ref()), network.is_some_and(|it| it.external))
    }

    pub fn volume(&self, key: &str) -> String {
        let volume = self.model.volumes.get(key);
        self.resource(key, volume.and_then(|volume| volume.name.as_ref()), volume.is_some_and(|it| it.external))
    }

    fn resource(&self, key: &str, name: Option<&String>, external: bool) -> String {
        match name {
            Some(name) => name.clone(),
            None if external => key.to_owned(),
            None => format!("{}_{key}", self.project),
        }
    }

    /// `pid`, `ipc` or `network_mode`: `service:x` is the first container of that service.
    ///
    /// By name, so that it also holds for the next container of that name; the engine resolves it at the start.
    pub fn namespace(&self, mode: &str) -> String {
        match mode.strip_prefix("service:") {
            Some(service) => format!("container:{}", self.container(service, 1)),
            None => mode.to_owned(),
        }
    }
}

/// A name that a project may have, as Compose makes it of a folder's name.
fn normalise(name: &str) -> String {
    let kept = name.chars().flat_map(char::to_lowercase).filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'));
    kept.collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_called_as_its_object() {
        for (object, project) in [("shop", "shop"), ("shop.v2", "shopv2"), ("-x", "x"), ("a_b-c", "a_b-c")] {
            assert_eq!(Names::new(&Project::default(), object).project, project);
        }
        let named = Project { name: Some("mine".into()), ..Project::default() };
        assert_eq!(Names::new(&named, "shop").project, "mine");
    }
}
