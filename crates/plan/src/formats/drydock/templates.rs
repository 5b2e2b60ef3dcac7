//! Templates of boot actions: they name networks, and must follow when these are called differently.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slipway_api::design::{Asset, PipelineStep};

use super::read::{Field, Scope};

/// Where templates find the networks of a node.
const NETWORKS: &str = "node.network";

/// Writes the new names of networks into what is a template of an asset.
pub(super) fn follow_names(scope: &Scope<'_>, asset: &mut Asset, field: &Field<'_>) {
    if !asset.location_pipeline.is_empty()
        && let Some(location) = asset.location.as_deref().and_then(|text| followed(scope, text))
    {
        scope.rewritten(field, "the location names networks by their new names now");
        asset.location = Some(location);
    }
    let Some(at) = asset.data_pipeline.iter().position(|step| *step == PipelineStep::Template) else { return };
    let Some(data) = &asset.data else { return };
    let before: Vec<&PipelineStep> =
        asset.data_pipeline[..at].iter().filter(|step| !matches!(step, PipelineStep::Utf8Decode)).collect();
    let changed = match before[..] {
        [] => followed(scope, data),
        [PipelineStep::Base64Decode] => {
            decoded(data).and_then(|text| followed(scope, &text)).map(|text| STANDARD.encode(text))
        }
        _ => None,
    };
    if let Some(changed) = changed {
        scope.rewritten(field, "the template names networks by their new names now");
        asset.data = Some(changed);
    }
}

fn decoded(data: &str) -> Option<String> {
    let packed: String = data.split_whitespace().collect();
    String::from_utf8(STANDARD.decode(packed).ok()?).ok()
}

/// The text with new names; none if nothing changes.
fn followed(scope: &Scope<'_>, text: &str) -> Option<String> {
    let mut changed = text.to_owned();
    for (old, new) in scope.names.renamed_networks() {
        changed = renamed(&changed, old, new);
    }
    (changed != text).then_some(changed)
}

/// Replaces `node.network.old` and `node.network['old']`.
fn renamed(text: &str, old: &str, new: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(NETWORKS) {
        let (before, tail) = rest.split_at(at + NETWORKS.len());
        result.push_str(before);
        rest = tail;
        let dotted = tail.strip_prefix('.').and_then(|tail| tail.strip_prefix(old));
        let quoted = |quote: char| {
            tail.strip_prefix('[')?.strip_prefix(quote)?.strip_prefix(old)?.strip_prefix(quote)?.strip_prefix(']')
        };
        let is_whole = |tail: &&str| !tail.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(after) = dotted.filter(is_whole).or_else(|| quoted('\'')).or_else(|| quoted('"')) {
            result.extend(["['", new, "']"]);
            rest = after;
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_where_they_are_names() {
        for (text, wanted) in [
            ("{{ node.network.ksn_a.ip }}", "{{ node.network['ksn-a'].ip }}"),
            (
                "{{ node.network['ksn_a'].ip }} {{ node.network[\"ksn_a\"].cidr }}",
                "{{ node.network['ksn-a'].ip }} {{ node.network['ksn-a'].cidr }}",
            ),
            ("{{ node.network.ksn_ab.ip }} ksn_a", "{{ node.network.ksn_ab.ip }} ksn_a"),
            ("node.network", "node.network"),
        ] {
            assert_eq!(renamed(text, "ksn_a", "ksn-a"), wanted);
        }
    }
}
