//! Who asks, and whether they may: the API server says both.

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use slipway_api::{GROUP, VERSION};
use thiserror::Error;
use tokio::time::timeout;

use crate::context::API_DEADLINE;
use crate::error::told;

/// Audience of tokens that are made for this endpoint alone.
pub const AUDIENCE: &str = "slipway.dev";
/// Where the token is when `Authorization` cannot be used: the API server takes that header away when it proxies.
pub const TOKEN_HEADER: &str = "slipway-authorization";
/// A longer token is none.
const LONGEST: usize = 16 << 10;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub resource: &'static str,
    pub subresource: &'static str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// Why it is not given.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("no token: show one as `Authorization: Bearer …`, or as `{TOKEN_HEADER}: Bearer …` through a proxy")]
    NoToken,
    #[error("the API server does not know this token, or it has expired")]
    Unknown,
    #[error("{0}")]
    Forbidden(String),
    #[error("who asks cannot be found out: {0}")]
    Unanswered(String),
}

/// Asks the API server.
#[derive(Clone)]
pub struct Access {
    client: Client,
}

impl Access {
    /// Asks this API server.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The token that came with a call.
    pub(super) fn token(headers: &HeaderMap) -> Result<String, Refused> {
        let shown = headers.get(TOKEN_HEADER).or_else(|| headers.get(header::AUTHORIZATION));
        let text = shown.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        if token.is_empty() || token.len() > LONGEST { Err(Refused::NoToken) } else { Ok(token.to_owned()) }
    }

    /// The user's name, if they may.
    pub(super) async fn may(&self, token: &str, asked: &Asked<'_>) -> Result<String, Refused> {
        // A token of this endpoint's own audience is worth nothing elsewhere; people's tokens are for the API server.
        let user = match self.user(token, Some(vec![AUDIENCE.to_owned()])).await? {
            Some(user) => user,
            None => self.user(token, None).await?.ok_or(Refused::Unknown)?,
        };
        let name = user.username.clone().unwrap_or_default();
        let review = SubjectAccessReview { spec: of(user, asked), ..SubjectAccessReview::default() };
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let status = call(api.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
        if status.allowed && !status.denied.unwrap_or(false) {
            return Ok(name);
        }
        let Asked { resource, subresource, namespace, name: object } = asked;
        let because = status.reason.filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}"));
        Err(Refused::Forbidden(format!(
            "user {name} may not get {resource}/{subresource} of {object} in namespace {namespace} (API group {GROUP}){}",
            because.unwrap_or_default()
        )))
    }

    async fn user(&self, token: &str, audiences: Option<Vec<String>>) -> Result<Option<UserInfo>, Refused> {
        let wanted = audiences.clone().unwrap_or_default();
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api = Api::<TokenReview>::all(self.client.clone());
        let status = call(api.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
        // An API server that knows nothing of audiences names none: then the token is not for us alone.
        let named = status.audiences.unwrap_or_default();
        let meant = wanted.is_empty() || wanted.iter().any(|audience| named.contains(audience));
        Ok(status.user.filter(|_| status.authenticated.unwrap_or(false) && meant))
    }
}

fn of(user: UserInfo, asked: &Asked<'_>) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        resource_attributes: Some(ResourceAttributes {
            group: Some(GROUP.into()),
            version: Some(VERSION.into()),
            resource: Some(asked.resource.into()),
            subresource: Some(asked.subresource.into()),
            verb: Some("get".into()),
            namespace: Some(asked.namespace.into()),
            name: Some(asked.name.into()),
            ..ResourceAttributes::default()
        }),
        non_resource_attributes: None,
    }
}

async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Refused> {
    match timeout(API_DEADLINE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Refused::Unanswered(told(&error))),
        Err(_) => Err(Refused::Unanswered(format!("no answer within {} s", API_DEADLINE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_either_header() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            Access::token(&headers).ok()
        };
        assert_eq!(of(&[("authorization", "Bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(of(&[("authorization", "Bearer abc"), (TOKEN_HEADER, "bearer def")]).as_deref(), Some("def"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("authorization", "Basic abc")]), None);
        assert_eq!(of(&[("authorization", &format!("Bearer {}", "x".repeat(LONGEST + 1)))]), None);
    }
}
