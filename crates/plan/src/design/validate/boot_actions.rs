//! Boot actions without any Node: assets, packages, permissions.

use std::collections::HashSet;

use slipway_api::design::{Asset, AssetType, NodeFilterSet, PipelineStep};

use super::Spot;
use super::values::formats::{is_word, url_scheme};
use crate::design::boot_action;
use crate::design::rules::Check;
use crate::design::site::Site;
use crate::finding::Finding;

pub(super) fn check(site: &Site, findings: &mut Vec<Finding>) {
    for (name, at) in &site.boot_actions.all {
        let Some(spot) = site.boot_actions.spot(site, name) else { continue };
        let action = site.boot_action(*at);
        for (index, asset) in action.assets.iter().enumerate() {
            let spot = spot.below(&format!("assets[{index}]"));
            ignored(asset, &spot, findings);
            match asset.type_ {
                AssetType::PackageList => packages(asset, &spot, findings),
                AssetType::File | AssetType::Unit => file(asset, &spot, findings),
            }
        }
        if let Some(filter) = &action.node_filter {
            racks(site, filter, "nodeFilter", &spot, findings);
        }
    }
}

/// Racks that a filter names.
pub(super) fn racks(site: &Site, filter: &NodeFilterSet, field: &str, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    for (number, filter) in filter.filters.iter().enumerate() {
        for (index, rack) in filter.racks.iter().enumerate() {
            // A rack that nothing defines is told where Nodes name it.
            if !site.racks.all.is_empty() && !site.racks.knows(site, rack) {
                let message = format!("rack `{rack:.100}` is not defined{}", site.racks.near(rack));
                let field = format!("{field}.filters[{number}].racks[{index}]");
                findings.push(spot.find(Check::UndefinedHarmless, &field, message));
            }
        }
    }
}

/// What is written and not used.
fn ignored(asset: &Asset, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let is_list = asset.type_ == AssetType::PackageList;
    let what = if is_list { "of a package list" } else { "of a file or unit" };
    let no_part = [
        ("path", is_list && asset.path.is_some(), what),
        ("data", is_list && asset.data.is_some(), what),
        ("permissions", is_list && asset.permissions.is_some(), what),
        ("dataPipeline", is_list && !asset.data_pipeline.is_empty(), what),
        ("packages", !is_list && !asset.packages.is_empty(), what),
        ("data", !is_list && asset.data.is_some() && asset.location.is_some(), "beside a location"),
        (
            "locationPipeline",
            !asset.location_pipeline.is_empty() && asset.location.is_none() && !spot.is_unread("location"),
            "without a location",
        ),
    ];
    for (field, _, what) in no_part.into_iter().filter(|(_, is_ignored, _)| *is_ignored) {
        findings.push(spot.find(Check::AssetFieldIgnored, field, format!("{field} plays no part {what}")));
    }
}

fn packages(asset: &Asset, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    location(asset, spot, findings);
    let is_unread = spot.is_unread("packages") || spot.is_unread("location");
    if asset.packages.is_empty() && asset.location.is_none() && !is_unread {
        findings.push(spot.find(
            Check::PackagesMissing,
            "packages",
            "a package list has neither packages nor a location",
        ));
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for (index, package) in asset.packages.iter().enumerate() {
        if !seen.insert(&package.name) {
            let message = format!("`{:.100}` is defined twice in this list", package.name);
            findings.push(spot.find(Check::NameTwice, &format!("packages[{index}]"), message));
        }
        if !is_word(&package.name) {
            let message = format!("`{:.100}` is not one word", package.name);
            findings.push(spot.find(Check::PackageName, &format!("packages[{index}].name"), message));
        }
        let version = package.version.as_deref().unwrap_or_default();
        if !version.is_empty() && !is_version(version) {
            let message = format!("{}: `{version:.100}` is not [epoch:]upstream-revision", package.name);
            findings.push(spot.find(Check::PackageVersion, &format!("packages[{index}].version"), message));
        }
    }
}

/// `[epoch:]upstream-revision`, as drydock wants it: with a revision (deb-version(7)).
fn is_version(version: &str) -> bool {
    let without_epoch =
        version.split_once(':').filter(|(epoch, _)| !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()));
    let rest = without_epoch.map_or(version, |(_, rest)| rest);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".+~".contains(c);
    rest.rsplit_once('-').is_some_and(|(upstream, revision)| {
        !upstream.is_empty()
            && !revision.is_empty()
            && upstream.chars().all(|c| is_allowed(c) || c == '-')
            && revision.chars().all(is_allowed)
    })
}

fn file(asset: &Asset, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    match asset.path.as_deref() {
        Some(path) if path.len() > 1 && path.starts_with('/') => {}
        Some(path) => {
            let message = format!("`{path:.200}` is not an absolute path");
            findings.push(spot.find(Check::AssetIncomplete, "path", message));
        }
        None if spot.is_unread("path") => {}
        None => findings.push(spot.find(Check::AssetIncomplete, "path", "there is no path")),
    }
    location(asset, spot, findings);
    if asset.data.is_none() && asset.location.is_none() && !spot.is_unread("data") && !spot.is_unread("location") {
        findings.push(spot.find(Check::AssetIncomplete, "data", "there is neither data nor a location"));
    }
    if let Some(mode) = asset.permissions.as_deref().filter(|mode| boot_action::mode(mode).is_none()) {
        let message = format!("`{mode}` is not an octal file mode");
        findings.push(spot.find(Check::AssetPermissions, "permissions", message));
    }
    // What comes before the first template is the same on every Node.
    let until_template = asset.data_pipeline.iter().copied().take_while(|step| *step != PipelineStep::Template);
    if let Some(data) = &asset.data
        && let Err(reason) = boot_action::fixed(data.clone().into_bytes(), until_template)
    {
        findings.push(spot.find(Check::PipelineFails, "data", reason));
    }
}

/// What can be fetched, as far as it does not depend on the Node.
fn location(asset: &Asset, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let is_fixed = asset.location_pipeline.is_empty() && !spot.is_unread("locationPipeline");
    if let Some(location) = asset.location.as_deref().filter(|location| is_fixed && !can_be_fetched(location)) {
        let message = format!("nothing can be fetched from `{location:.100}`");
        findings.push(spot.find(Check::AssetLocation, "location", message));
    }
}

/// drydock's resolver knows these (`ReferenceResolver`).
fn can_be_fetched(location: &str) -> bool {
    let known = ["http", "https", "file", "deckhand+http", "promenade+http"];
    url_scheme(location).is_some_and(|scheme| known.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["3.2.1-1", "1:2.3-4ubuntu1~22.04", "2.0+git-rc1-3"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["2.3", ":)", "1:2.3", "-1", "1.0-", "a b-1", "x:1-1"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
