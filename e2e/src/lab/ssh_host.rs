//! The ssh server of a Docker host.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use slipway_api::node::{DockerEndpoint, DockerSsh, Node, NodeSpec};
use slipway_api::refs::LocalRef;

use super::docker_host::DockerHost;
use super::eventually::eventually;
use super::prerequisites::{self, Part};
use super::process::Daemon;
use super::run::output;

/// An ssh server on a Docker host; `docker` at its other end speaks to the host's engine.
#[derive(Debug)]
pub struct SshHost<'a> {
    host: &'a DockerHost,
    dir: PathBuf,
    server: Daemon,
}

impl<'a> SshHost<'a> {
    /// Starts an ssh server on a host, with a key of its own and one for a client.
    pub async fn start(host: &'a DockerHost) -> Result<Self> {
        prerequisites::require(Part::Ssh)?;
        let dir = host.dir().join("ssh");
        fs::create_dir_all(&dir)?;
        for key in ["server", "client", "stranger"] {
            let mut keygen = host.run().command("ssh-keygen");
            output(keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"]).arg(dir.join(key)))?;
        }
        let at = |file: &str| dir.join(file).display().to_string();
        let config = format!(
            "ListenAddress {}\nPort 22\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             SetEnv DOCKER_HOST=unix://{}\n",
            host.v4(),
            at("server"),
            at("client.pub"),
            host.socket().display(),
        );
        fs::write(dir.join("config"), config)?;
        // sshd wants to be called by its full path: it starts itself anew for each connection.
        let mut command = host.command("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(dir.join("config"));
        let server = Daemon::start_forked("sshd", command, &dir.join("log"))?;
        let ssh = Self { host, dir, server };
        eventually("the ssh server to listen", Duration::from_mins(1), || async {
            ssh.server.check()?;
            tokio::net::TcpStream::connect((host.v4(), 22)).await?;
            Ok(())
        })
        .await?;
        Ok(ssh)
    }

    /// The engine's endpoint.
    pub fn endpoint(&self) -> String {
        format!("ssh://root@{}", self.host.v4())
    }

    /// The file of a key that the server accepts.
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client")
    }

    /// The server's line in `known_hosts`.
    pub fn known_hosts(&self) -> Result<String> {
        let key = fs::read_to_string(self.dir.join("server.pub"))?;
        Ok(format!("{} {key}", self.host.v4()))
    }

    /// A Secret with the client's key and the server's host key, as a Node's `ssh.secretRef` wants it.
    pub fn secret(&self, name: &str) -> Result<Secret> {
        Ok(secret(name, &fs::read_to_string(self.client_key())?, &self.known_hosts()?))
    }

    /// A Secret whose known hosts have another key for this host.
    pub fn secret_with_wrong_host_key(&self, name: &str) -> Result<Secret> {
        let stranger = fs::read_to_string(self.dir.join("stranger.pub"))?;
        Ok(secret(name, &fs::read_to_string(self.client_key())?, &format!("{} {stranger}", self.host.v4())))
    }

    /// A Secret with a key that the server does not accept.
    pub fn secret_with_wrong_key(&self, name: &str) -> Result<Secret> {
        Ok(secret(name, &fs::read_to_string(self.dir.join("stranger"))?, &self.known_hosts()?))
    }

    /// A Node for the host by ssh, with its login in the Secret of that name.
    pub fn node(&self, name: &str, secret: &str) -> Node {
        let ssh = Some(DockerSsh { secret_ref: LocalRef { name: secret.to_owned() } });
        let docker = DockerEndpoint { endpoint: self.endpoint(), tls: None, ssh, insecure: false };
        Node::new(name, NodeSpec { docker: Some(docker), ..NodeSpec::default() })
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.server.log().to_owned()
    }
}

fn secret(name: &str, key: &str, known_hosts: &str) -> Secret {
    let data = BTreeMap::from([
        ("ssh-privatekey".to_owned(), ByteString(key.as_bytes().to_vec())),
        ("known_hosts".to_owned(), ByteString(known_hosts.as_bytes().to_vec())),
    ]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Secret { metadata, data: Some(data), ..Secret::default() }
}
