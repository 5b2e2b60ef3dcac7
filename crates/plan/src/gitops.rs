//! Who manages an object from a repository. What is changed by hand on such an object is undone at the next sync, so that the
//! change belongs in the repository.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// What keeps an object as a repository has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// `Argo CD` or `Flux`.
    pub tool: &'static str,
    /// What of it: `application shop`, `Kustomization flux-system/infra`.
    pub object: String,
    /// How one can tell.
    pub evidence: String,
}

/// The manager of an object, if it has one.
///
/// Argo CD marks what it manages with an annotation or a label, as it is set up (`application.resourceTrackingMethod`); Flux
/// with labels. `app.kubernetes.io/instance` is also what every Helm chart sets, so that it counts only beside Argo CD's
/// field manager.
pub fn manager(meta: &ObjectMeta) -> Option<Manager> {
    argo_cd(meta).or_else(|| flux(meta))
}

const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
const ARGO_INSTANCE: &str = "argocd.argoproj.io/instance";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Argo CD's field managers: with server-side apply, and without.
const ARGO_MANAGERS: [&str; 2] = ["argocd-controller", "argocd-application-controller"];
const FLUX: [(&str, &str, &str); 2] = [
    ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomize-controller"),
    ("helm.toolkit.fluxcd.io", "HelmRelease", "helm-controller"),
];

fn argo_cd(meta: &ObjectMeta) -> Option<Manager> {
    let found = |application: &str, evidence: String| {
        Some(Manager { tool: "Argo CD", object: format!("application {application}"), evidence })
    };
    if let Some(id) = annotation(meta, TRACKING_ID).filter(|id| is_of(id, meta)) {
        let application = id.split(':').next().unwrap_or_default();
        return found(application, format!("annotation {TRACKING_ID}"));
    }
    if let Some(application) = label(meta, ARGO_INSTANCE) {
        return found(application, format!("label {ARGO_INSTANCE}"));
    }
    let by = ARGO_MANAGERS.into_iter().find(|name| writes_spec(meta, name))?;
    match label(meta, INSTANCE) {
        Some(application) => found(application, format!("label {INSTANCE} and field manager {by}")),
        None => {
            Some(Manager { tool: "Argo CD", object: "an application".into(), evidence: format!("field manager {by}") })
        }
    }
}

/// Whether a tracking ID, `application:group/kind:namespace/name`, is this object's own. One that was copied along with an
/// object means nothing, to Argo CD neither.
fn is_of(id: &str, meta: &ObjectMeta) -> bool {
    let place = id.rsplit(':').next().unwrap_or_default();
    let name = place.rsplit('/').next().unwrap_or_default();
    Some(name) == meta.name.as_deref()
}

fn flux(meta: &ObjectMeta) -> Option<Manager> {
    let by_label = FLUX.into_iter().find_map(|(prefix, kind, _)| {
        let name = label(meta, &format!("{prefix}/name"))?;
        let namespace = label(meta, &format!("{prefix}/namespace")).map(|it| format!("{it}/")).unwrap_or_default();
        let evidence = format!("label {prefix}/name");
        Some(Manager { tool: "Flux", object: format!("{kind} {namespace}{name}"), evidence })
    });
    by_label.or_else(|| {
        let (_, kind, by) = FLUX.into_iter().find(|(_, _, by)| writes_spec(meta, by))?;
        Some(Manager { tool: "Flux", object: format!("a {kind}"), evidence: format!("field manager {by}") })
    })
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// Whether a field manager has fields of the spec.
fn writes_spec(meta: &ObjectMeta, name: &str) -> bool {
    meta.managed_fields.iter().flatten().any(|entry| {
        let has_spec = entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some());
        entry.manager.as_deref() == Some(name)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
            && has_spec
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value)] // Tables read better so.
    fn of(more: Value) -> Option<(&'static str, String)> {
        let mut meta = json!({"name": "n20", "namespace": "lab"});
        meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
        manager(&meta).map(|manager| (manager.tool, manager.object))
    }

    fn fields(manager: &str, part: &str) -> Value {
        json!([{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {part: {"f:power": {}}}}])
    }

    #[test]
    fn what_argo_cd_marks_is_argo_cds() {
        let id = |id: &str| of(json!({"annotations": {"argocd.argoproj.io/tracking-id": id}}));
        assert_eq!(id("shop:slipway.dev/Node:lab/n20"), Some(("Argo CD", "application shop".into())));
        assert_eq!(id("shop:slipway.dev/Node:lab/n21"), None, "copied from another object");
        assert_eq!(
            of(json!({"labels": {"argocd.argoproj.io/instance": "shop"}})),
            Some(("Argo CD", "application shop".into()))
        );
    }

    #[test]
    fn the_common_label_counts_only_beside_argo_cds_field_manager() {
        let labels = json!({"app.kubernetes.io/instance": "shop"});
        assert_eq!(of(json!({"labels": labels})), None, "Helm sets it as well");
        for by in ARGO_MANAGERS {
            let managed = of(json!({"labels": labels, "managedFields": fields(by, "f:spec")}));
            assert_eq!(managed, Some(("Argo CD", "application shop".into())));
        }
        assert_eq!(of(json!({"managedFields": fields("argocd-controller", "f:metadata")})), None);
        assert_eq!(
            of(json!({"managedFields": fields("argocd-controller", "f:spec")})),
            Some(("Argo CD", "an application".into()))
        );
    }

    #[test]
    fn what_flux_marks_is_fluxs() {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "infra", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
        assert_eq!(of(json!({"labels": labels})), Some(("Flux", "Kustomization flux-system/infra".into())));
        assert_eq!(
            of(json!({"labels": {"helm.toolkit.fluxcd.io/name": "site"}})),
            Some(("Flux", "HelmRelease site".into()))
        );
        assert_eq!(
            of(json!({"managedFields": fields("kustomize-controller", "f:spec")})),
            Some(("Flux", "a Kustomization".into()))
        );
    }

    #[test]
    fn what_people_apply_is_nobodys() {
        assert_eq!(of(json!({"managedFields": fields("kubectl", "f:spec"), "labels": {"app": "x"}})), None);
        assert_eq!(of(json!({})), None);
    }
}
