//! SSH to an engine: the system's `ssh` runs `docker system dial-stdio` on the host, which carries the API over its standard
//! input and output. Nothing is taken from the user's own configuration, and a host key that is not known is refused.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Join, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::reasons::{self, Reason};
use super::text::printable;
use crate::DriverError;

/// An SSH server drops connections at random when more than 10 are logging in (sshd's `MaxStartups`).
const LOGINS_AT_A_TIME: usize = 4;
/// What is kept of the words of `ssh`.
const MAX_WORDS: u64 = 8 << 10;
/// Proves that the way to the engine is open; `dial-stdio` itself says nothing when it is.
const PROBE: &[u8] = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";

/// How to log in to a host.
pub(super) struct Ssh {
    user: String,
    host: String,
    port: u16,
    key: Unnamed,
    known_hosts: Unnamed,
    logins: Semaphore,
}

impl Ssh {
    pub(super) fn new(user: &str, host: &str, port: u16, key: &[u8], known_hosts: &[u8]) -> Result<Self, DriverError> {
        let unwritable = |error| reasons::SSH_FAILED.error(format!("no temporary file for the SSH key: {error}"));
        Ok(Self {
            user: user.to_owned(),
            host: host.to_owned(),
            port,
            key: Unnamed::new(key).map_err(unwritable)?,
            known_hosts: Unnamed::new(known_hosts).map_err(unwritable)?,
            logins: Semaphore::new(LOGINS_AT_A_TIME),
        })
    }

    /// Logs in and opens the way to the engine.
    pub(super) async fn open(&self, peer: &str) -> Result<Stream, DriverError> {
        let closed = |_| reasons::SSH_FAILED.error("no more logins");
        let _login = self.logins.acquire().await.map_err(closed)?;
        let mut child = self.command().spawn().map_err(|error| {
            reasons::SSH_FAILED
                .error(format!("cannot run ssh here: {error}; install the OpenSSH client beside Slipway"))
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(reasons::SSH_FAILED.error("ssh has no standard input and output"));
        };
        let mut words = AbortOnDropHandle::new(tokio::spawn(listen(stderr)));
        let mut io = tokio::io::join(stdout, stdin);
        if probe(&mut io).await.is_ok() {
            return Ok(Stream { io, _child: child, _words: words });
        }
        // It has ended or is about to; its last words tell why.
        drop(io);
        let words = timeout(Duration::from_secs(2), &mut words).await.ok().and_then(Result::ok).unwrap_or_default();
        Err(why(&words, peer))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-T"]);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "ClearAllForwardings=yes",
            "ControlPath=none",
            "ConnectTimeout=5",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command
            .args(["-o", &format!("UserKnownHostsFile={}", self.known_hosts.path())])
            .args(["-o", &format!("IdentityFile={}", self.key.path())])
            .args(["-p", &self.port.to_string(), "-l", &self.user, "--", &self.host])
            .args(["docker", "system", "dial-stdio"])
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// A file without a name, readable by this user only: it is gone when this process is, even by SIGKILL.
struct Unnamed(File);

impl Unnamed {
    fn new(content: &[u8]) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        // ssh takes no key that others could read, though nobody else finds this file.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        // OpenSSH takes a key without a last line break for broken.
        if !content.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
        Ok(Self(file))
    }

    /// For a child process, which has the same user.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

async fn probe(io: &mut Join<ChildStdout, ChildStdin>) -> io::Result<()> {
    io.write_all(PROBE).await?;
    io.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await?);
        if head.len() > 8 << 10 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

async fn listen(mut stderr: ChildStderr) -> String {
    let mut words = Vec::new();
    let _ = (&mut stderr).take(MAX_WORDS).read_to_end(&mut words).await;
    // The rest is read too, or ssh would wait for ever.
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&words).into_owned()
}

/// Words of OpenSSH 8 to 10, of a POSIX shell and of Docker's `dial-stdio`. The first row that matches counts.
const WORDING: &[(&str, Reason, &str)] = &[
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        reasons::HOST_KEY_CHANGED,
        "its host key is another one than the Secret's known_hosts says: find out why before you change that",
    ),
    (
        "Host key verification failed",
        reasons::HOST_KEY_UNKNOWN,
        "its host key is not in the Secret's known_hosts (`ssh-keyscan` prints it; compare it with the host's own)",
    ),
    ("Load key", reasons::SSH_DENIED, "the Secret's ssh-privatekey is no private key without a passphrase"),
    ("Permission denied (", reasons::SSH_DENIED, "it refused the Secret's ssh-privatekey for this user"),
    ("Too many authentication failures", reasons::SSH_DENIED, "it refused the Secret's ssh-privatekey for this user"),
    ("Could not resolve hostname", reasons::NAME_NOT_FOUND, "its name cannot be resolved"),
    ("Connection refused", reasons::CONNECTION_REFUSED, "no SSH server listens there"),
    ("No route to host", reasons::NO_ROUTE, "there is no route to it"),
    ("Network is unreachable", reasons::NO_ROUTE, "there is no route to it"),
    ("timed out", reasons::TIMED_OUT, "it does not answer"),
    ("docker: command not found", reasons::SSH_DOCKER_MISSING, "the docker command is not installed there"),
    ("docker: not found", reasons::SSH_DOCKER_MISSING, "the docker command is not installed there"),
    ("connect: permission denied", reasons::UNAUTHORISED, "the user may not use its Docker engine (group docker?)"),
    (
        "permission denied while trying to connect",
        reasons::UNAUTHORISED,
        "the user may not use its Docker engine (group docker?)",
    ),
    ("failed to open the raw stream connection", reasons::CONNECTION_REFUSED, "its Docker engine does not listen"),
    ("Connection closed by", reasons::CONNECTION_LOST, "it closed the connection"),
    ("Connection reset by", reasons::CONNECTION_LOST, "it closed the connection"),
];

fn why(words: &str, peer: &str) -> DriverError {
    match WORDING.iter().find(|(pattern, _, _)| words.contains(pattern)) {
        Some((_, reason, meaning)) => reason.error(format!("{peer}: {meaning}")),
        None if words.trim().is_empty() => reasons::CONNECTION_LOST.error(format!("{peer} closed the connection")),
        None => reasons::SSH_FAILED.error(format!("{peer}: ssh says: {}", printable(words, 300))),
    }
}

/// An open way to an engine. Dropping it ends the `ssh` process.
pub(super) struct Stream {
    io: Join<ChildStdout, ChildStdin>,
    _child: Child,
    _words: AbortOnDropHandle<String>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_ssh_are_known() {
        for (words, reason) in [
            (
                "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.\r\nHost key verification failed.\r\n",
                reasons::HOST_KEY_UNKNOWN,
            ),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.",
                reasons::HOST_KEY_CHANGED,
            ),
            ("root@10.0.0.1: Permission denied (publickey).\r\n", reasons::SSH_DENIED),
            ("sh: 1: docker: not found", reasons::SSH_DOCKER_MISSING),
            ("bash: line 1: docker: command not found", reasons::SSH_DOCKER_MISSING),
            (
                "failed to open the raw stream connection: dial unix /x: connect: permission denied",
                reasons::UNAUTHORISED,
            ),
            (
                "failed to open the raw stream connection: dial unix /x: connect: no such file",
                reasons::CONNECTION_REFUSED,
            ),
            ("something new", reasons::SSH_FAILED),
            ("", reasons::CONNECTION_LOST),
        ] {
            assert_eq!(why(words, "ssh://a").reason(), reason.word, "{words}");
        }
    }
}
