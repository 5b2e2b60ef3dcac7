//! The ways to a host: TLS and ssh, what a Node says when they are barred, and changes by them.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_api::node::DockerEndpoint;
use slipway_e2e::lab::site::{Lives, SLEEPER, Site, id_of, inspect, runs};
use slipway_e2e::lab::{DockerHost, HostOptions, Image, Part, ServerCertificate, SshHost, can_run};

use crate::on_site;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_the_new_one_first_goes_by_tls_and_by_ssh() -> Result<()> {
    if !can_run(&[Part::Ssh]) {
        return Ok(());
    }
    on_site(async |ns| {
        let (by_tls, by_ssh) = (DockerHost::start().await?, DockerHost::start().await?);
        for host in [&by_tls, &by_ssh] {
            host.load(&Image::new(SLEEPER)).await?;
        }
        ns.create_secret(&by_tls.tls_secret("tls")?).await?;
        ns.create(&by_tls.tls_node("h0", "tls")).await?;
        let ssh = SshHost::start(&by_ssh).await?;
        ns.create_secret(&ssh.secret("ssh")?).await?;
        ns.create_secret(&ssh.secret_with_wrong_host_key("stranger")?).await?;
        ns.create(&ssh.node("h1", "ssh")).await?;
        let operator = ns.operator().await?;
        let site = Site { ns, hosts: Vec::new(), operator };

        let spec = |version: &str| -> Value {
            let service = json!({"image": SLEEPER, "environment": {"V": version}, "configs": ["motd"]});
            json!({
                "compose": {"services": {"web": service}, "configs": {"motd": {"content": version}}},
                "update": {"order": "StartFirst", "maxUnavailable": 2},
            })
        };
        site.apply("app", &spec("1")).await?;
        site.ready("app").await?;
        let mut first = Vec::new();
        for host in [&by_tls, &by_ssh] {
            first.push(id_of(&site.containers(host, "app").await?, "app-web-1")?);
        }
        let before = Timestamp::now();
        site.apply("app", &spec("2")).await?;
        site.ready("app").await?;
        for (host, first) in [&by_tls, &by_ssh].into_iter().zip(first) {
            Lives::since(host, before).await?.overlap().with_context(|| host.name().to_owned())?;
            let now = site.containers(host, "app").await?;
            ensure!(now.len() == 1 && id_of(&now, "app-web-1")? != first, "{now:?}");
            let env = inspect(host, "app-web-1").await?.config.and_then(|it| it.env).unwrap_or_default();
            ensure!(env.contains(&"V=2".to_owned()), "{env:?}");
        }

        // What runs there is seen by ssh as well: a container that somebody removes is back.
        let force = bollard::query_parameters::RemoveContainerOptionsBuilder::default().force(true).build();
        by_ssh.docker()?.remove_container("app-web-1", Some(force)).await?;
        site.wait_containers(&by_ssh, "app", "it to be back", |all| all.len() == 1 && all.values().all(runs)).await?;

        site.ns.create(&ssh.node("strange", "stranger")).await?;
        let message = site.node_not_ready("strange", "HostKeyChanged").await?;
        ensure!(message.contains("known_hosts"), "{message}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_why_its_host_cannot_be_used() -> Result<()> {
    on_site(async |ns| {
        let certificate = ServerCertificate::Expired;
        let mut host = DockerHost::with(HostOptions { certificate, ..HostOptions::default() }).await?;
        ns.create_secret(&host.tls_secret("tls")?).await?;
        let operator = ns.operator().await?;
        let site = Site { ns, hosts: Vec::new(), operator };
        // A Node of its own for each cause: one that was refused is not asked again for a while.
        let at = |name: &str, endpoint: String| {
            let mut node = host_node(&host, name);
            node.spec.docker = node.spec.docker.map(|docker| DockerEndpoint { endpoint, ..docker });
            node
        };
        let nowhere = host.tls_endpoint().replace(&host.v4().to_string(), &unused_address(&host));
        site.ns.create(&at("no-route", nowhere)).await?;
        site.ns.create(&at("refused", host.tls_endpoint().replace("2376", "2399"))).await?;
        site.ns.create(&at("expired", host.tls_endpoint())).await?;
        site.node_not_ready("expired", "TlsCertificateExpired").await?;
        for (kind, name, reason) in [
            (ServerCertificate::WrongName, "wrong-name", "TlsWrongName"),
            (ServerCertificate::UnknownAuthority, "unknown-ca", "TlsUnknownCa"),
        ] {
            host.set_certificate(kind)?;
            host.restart_engine().await?;
            site.ns.create(&host_node(&host, name)).await?;
            let message = site.node_not_ready(name, reason).await?;
            ensure!(message.contains(&host.v4().to_string()), "{message}");
        }
        let message = site.node_not_ready("refused", "ConnectionRefused").await?;
        ensure!(message.contains("2399"), "{message}");
        site.node_not_ready("no-route", "NoRoute").await?;
        Ok(())
    })
    .await
}

fn host_node(host: &DockerHost, name: &str) -> Node {
    host.tls_node(name, "tls")
}

/// An address of the lab's bridge that nobody has.
fn unused_address(host: &DockerHost) -> String {
    let [a, b, c, _] = host.v4().octets();
    format!("{a}.{b}.{c}.253")
}
