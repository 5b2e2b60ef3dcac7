//! The way to the operator's live endpoint: through the API server's service proxy, or straight to it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::cluster::{Cluster, Reach};
use crate::live::{AUDIENCE, CONFIG_MAP, SERVER_NAME, TOKEN_HEADER};

/// The token for this lasts no longer than it may take to begin.
const TOKEN_LASTS: i64 = 600;
/// Deadline until an answer begins.
const DEADLINE: Duration = Duration::from_secs(90);
/// Behind one Service may be instances that do not lead.
const TRIES: u8 = 5;

/// How the live endpoint is reached, and as whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Live endpoint")]
pub(super) struct Way {
    /// Act with the rights of this service account, as NAME or NAMESPACE/NAME, by a token of ten minutes made for this endpoint
    /// alone. For kubeconfigs without a token; needs the right to create serviceaccounts/token.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,

    /// Service of the operator; it is reached through the API server.
    #[arg(long, value_name = "NAME", default_value = "slipway")]
    live_service: String,

    /// Go straight to this address, as `https://host:8443`, and not through the API server.
    #[arg(long, value_name = "URL")]
    server: Option<Uri>,

    /// CA that vouches for --server, as PEM; by default what the operator published in ConfigMap slipway-live.
    #[arg(long, value_name = "FILE", requires = "server")]
    server_ca: Option<PathBuf>,
}

/// Asks the live endpoint; the answer's body comes as it is made.
pub(super) async fn ask(reach: &Reach, way: &Way, path: &str) -> Result<Response<Body>> {
    let config = reach.config().await?;
    if config.auth_info.impersonate.is_some() {
        bail!("--as cannot be passed on to the live endpoint; name a ServiceAccount with --service-account");
    }
    let cluster = reach.cluster().await?;
    let token = token(&cluster, &config, way).await?;
    let (client, prefix) = if let Some(server) = &way.server {
        (straight(&cluster, server, way).await?, String::new())
    } else {
        let (namespace, service) = (&cluster.system_namespace, &way.live_service);
        let proxy = format!("/api/v1/namespaces/{namespace}/services/https:{service}:live/proxy");
        (cluster.client.clone(), proxy)
    };
    let mut tries = 1;
    loop {
        let request = Request::get(format!("{prefix}{path}")).header(TOKEN_HEADER, token.clone());
        let request = request.body(Body::empty()).context("cannot ask for this")?;
        let answer = tokio::time::timeout(DEADLINE, client.send(request)).await;
        let answer = answer.map_err(|_| anyhow!("no answer within {} s", DEADLINE.as_secs()))?;
        let answer = answer.map_err(|error| unreached(&error, way))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, reason, message) = failure(answer).await;
        if reason != "NotLeading" || tries == TRIES {
            return Err(refused(status, &reason, &message, &cluster, way));
        }
        tries += 1;
    }
}

/// The value of the header that says who we are.
async fn token(cluster: &Cluster, config: &Config, way: &Way) -> Result<HeaderValue> {
    let mut token = match &way.service_account {
        Some(account) => made(cluster, account).await?,
        None => own(config).await?.context(
            "this kubeconfig has no token that could be passed on (a client certificate cannot be); name a ServiceAccount \
             whose rights are used: --service-account NAME",
        )?,
    };
    token.set_sensitive(true);
    Ok(token)
}

/// A token of a service account, for the live endpoint alone.
async fn made(cluster: &Cluster, account: &str) -> Result<HeaderValue> {
    let (namespace, name) = account.split_once('/').unwrap_or((&cluster.namespace, account));
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), namespace);
    let spec = TokenRequestSpec {
        audiences: vec![AUDIENCE.into()],
        expiration_seconds: Some(TOKEN_LASTS),
        bound_object_ref: None,
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let params = PostParams::default();
    let call = accounts.create_token_request(name, &params, &request);
    let made = cluster.call(&format!("make a token of ServiceAccount {namespace}/{name}"), call).await?;
    let token = made.status.context("the API server gave no token")?.token;
    HeaderValue::try_from(format!("Bearer {token}")).context("the API server's token is none")
}

/// The token with which this kubeconfig goes to the API server: written in it, in a file, or made by a plugin.
async fn own(config: &Config) -> Result<Option<HeaderValue>> {
    let Some(layer) = config.auth_layer().context("cannot use this kubeconfig's user")? else { return Ok(None) };
    let seen = service_fn(|request: Request<Body>| {
        let shown = request.headers().get(header::AUTHORIZATION).cloned();
        std::future::ready(Ok::<_, tower::BoxError>(Response::new(shown)))
    });
    let signed = layer.layer(seen).oneshot(Request::new(Body::empty())).await;
    let header = signed.map_err(|error| anyhow!("cannot use this kubeconfig's user: {error}"))?.into_body();
    Ok(header.filter(|header| header.to_str().is_ok_and(|text| text.starts_with("Bearer "))))
}

/// A client of the endpoint itself. Its certificate is verified in any case.
async fn straight(cluster: &Cluster, server: &Uri, way: &Way) -> Result<Client> {
    if server.scheme_str() != Some("https") {
        bail!("--server must be https://host:port");
    }
    let mut config = Config::new(server.clone());
    config.connect_timeout = Some(Duration::from_secs(10));
    config.default_retry = false;
    let pem = if let Some(path) = &way.server_ca {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
    } else {
        config.tls_server_name = Some(SERVER_NAME.into());
        published(cluster).await?.into_bytes()
    };
    let trusted = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().context("no CA in PEM")?;
    config.root_cert = Some(trusted.iter().map(|certificate| certificate.to_vec()).collect());
    Client::try_from(config).context("cannot use this CA")
}

/// The certificate that the operator has published.
async fn published(cluster: &Cluster) -> Result<String> {
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &cluster.system_namespace);
    let found = cluster.call(&format!("read ConfigMap {CONFIG_MAP}"), api.get_opt(CONFIG_MAP)).await?;
    let text = found.and_then(|map| map.data.unwrap_or_default().remove("ca.crt"));
    text.with_context(|| {
        format!(
            "there is no ConfigMap {CONFIG_MAP} with ca.crt in namespace {}: does the operator run there? Or name its CA with --server-ca",
            cluster.system_namespace
        )
    })
}

fn unreached(error: &kube::Error, way: &Way) -> anyhow::Error {
    let told = crate::error::told(error);
    let place = way.server.as_ref().map_or("the API server".into(), ToString::to_string);
    let hint = if told.contains("certificate") && way.server.is_some() {
        "; is it the operator that leads? It is known by what it published in ConfigMap slipway-live, or by --server-ca"
    } else {
        ""
    };
    anyhow!("cannot reach {place}: {told}{hint}")
}

/// What a refusal says: the endpoint's own words, or the API server's on the way to it.
async fn failure(answer: Response<Body>) -> (StatusCode, String, String) {
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.unwrap_or_default();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let message = match text("message") {
        message if message.is_empty() => String::from_utf8_lossy(&body).chars().take(300).collect(),
        message => message,
    };
    (status, text("reason"), message)
}

fn refused(status: StatusCode, reason: &str, message: &str, cluster: &Cluster, way: &Way) -> anyhow::Error {
    let on_the_way = way.server.is_none() && (message.contains("services/proxy") || message.contains("services \""));
    let hint = match status {
        _ if on_the_way => format!(
            "; the API server says so of the way to the operator (Service {} in namespace {}); see --live-service, --system-namespace \
             and --server",
            way.live_service, cluster.system_namespace
        ),
        StatusCode::SERVICE_UNAVAILABLE if message.contains("no endpoints") => format!(
            "; does the operator run in namespace {}, behind Service {}?",
            cluster.system_namespace, way.live_service
        ),
        _ => String::new(),
    };
    let reason = if reason.is_empty() { status.to_string() } else { format!("{} {reason}", status.as_u16()) };
    anyhow!("{reason}: {message}{hint}")
}
