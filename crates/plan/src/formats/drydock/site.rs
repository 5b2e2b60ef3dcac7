//! Region and Rack.

use std::collections::HashSet;

use slipway_api::design::{DesignSpec, Rack, Repository, RepositoryType, Switch, TagDefinition};

use super::read::{Field, Fields, Scope};
use super::secrets::without_login;

/// Reads a Region: what holds for the whole site.
pub(super) fn region<'a>(scope: &Scope<'a>, fields: Fields<'a>, spec: &mut DesignSpec) {
    let mut defined: HashSet<String> = HashSet::new();
    for field in fields.list(scope, "tag_definitions") {
        let Some(definition) = tag_definition(scope, &field) else { continue };
        if !defined.insert(definition.name.clone()) {
            scope.no_place(&field, "the tag is defined already, and drydock uses no definition");
            continue;
        }
        spec.tag_definitions.push(definition);
    }
    // A key is one line; drydock takes the line breaks out when it hands the key to MAAS.
    let keys = fields.texts(scope, "authorized_keys");
    spec.authorized_keys = keys.iter().map(|key| key.replace(['\n', '\r'], "").trim().to_owned()).collect();
    if let Some(repositories) = fields.map(scope, "repositories") {
        spec.remove_unlisted_repositories = repositories.flag(scope, "remove_unlisted").unwrap_or_default();
        for (name, field) in repositories.rest() {
            spec.repositories.extend(repository(scope, name, field));
        }
    }
    fields.close(scope);
}

fn tag_definition<'a>(scope: &Scope<'a>, field: &Field<'a>) -> Option<TagDefinition> {
    let fields = scope.fields(field.clone())?;
    let type_ = fields.get("definition_type");
    match &type_ {
        Some(field) => {
            scope.word(field, &[("lshw_xpath", ())]);
        }
        None => scope.missing(&fields, "definition_type"),
    }
    let text = |key| match fields.get(key) {
        Some(field) => scope.text(&field),
        None => Some(String::new()),
    };
    let (name, definition) = (text("tag"), text("definition"));
    fields.close(scope);
    let (name, definition) = (name?, definition?);
    if name.is_empty() || definition.is_empty() {
        scope.no_place(field, "a tag has a name and a definition, and drydock uses none");
        return None;
    }
    Some(TagDefinition { name, definition })
}

/// The schema does not look into repositories, so neither envelope is strict here.
fn repository<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>) -> Option<Repository> {
    let fields = scope.fields(field)?;
    let type_ = fields.get("repo_type");
    let type_ = type_.and_then(|f| scope.word(&f, &[("apt", RepositoryType::Apt), ("rpm", RepositoryType::Rpm)]));
    let url = fields.get("url").and_then(|field| {
        let text = scope.any_text(&field)?;
        Some(without_login(scope, &field, &text))
    });
    for (key, is_missing) in [("repo_type", type_.is_none()), ("url", url.is_none())] {
        if is_missing && fields.get(key).is_none() {
            scope.missing(&fields, key);
        }
    }
    let texts = |key| fields.texts(scope, key);
    let repository = Repository {
        name: name.to_owned(),
        type_: type_?,
        url: url?,
        arches: texts("arches"),
        distributions: texts("distributions"),
        subrepos: texts("subrepos"),
        components: texts("components"),
        gpg_key: fields.get("gpgkey").filter(|field| !field.is_null()).and_then(|field| scope.any_text(&field)),
        options: fields.get("options").map(|field| scope.loose_pairs(field)).unwrap_or_default(),
    };
    fields.open(scope);
    Some(repository)
}

/// Reads a Rack.
pub(super) fn rack<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> Rack {
    let switches = fields.map(scope, "tor_switches").map(|switches| switches.all()).unwrap_or_default();
    let switches = switches.into_iter().filter_map(|(name, field)| switch(scope, name, field)).collect();
    let rack = Rack {
        name,
        switches,
        location: fields.get("location").map(|field| scope.loose_pairs(field)).unwrap_or_default(),
        local_networks: fields.references(scope, "local_networks", super::Kind::Network),
        labels: fields.get("labels").map(|field| scope.loose_pairs(field)).unwrap_or_default(),
    };
    fields.close(scope);
    rack
}

/// The schema, its documentation and the ingester disagree about `sdn_api_uri` and `sdn_api_url`; both are taken.
fn switch<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>) -> Option<Switch> {
    let fields = scope.fields(field)?;
    let uri = fields.get("sdn_api_uri");
    let url = fields.get("sdn_api_url");
    if let (Some(_), Some(url)) = (&uri, &url) {
        scope.no_place(url, "sdn_api_uri says it already");
    }
    let address = uri.or(url).and_then(|field| {
        let text = scope.any_text(&field)?;
        Some(without_login(scope, &field, &text))
    });
    let switch = Switch {
        name: name.to_owned(),
        management_ip: fields.get("mgmt_ip").and_then(|field| scope.any_text(&field)),
        sdn_api_uri: address,
    };
    fields.open(scope);
    Some(switch)
}
