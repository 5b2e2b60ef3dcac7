//! The engine's own words: its answers as they are, without a client that knows only some of the keys.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// An engine on a socket, asked in its newest API version.
pub struct Raw {
    socket: PathBuf,
}

impl Raw {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The `x` of its API version `1.x`.
    pub async fn api(&self) -> Result<u32> {
        let version = self.get("/version").await?;
        let api = version["ApiVersion"].as_str().and_then(|version| version.strip_prefix("1."));
        api.and_then(|minor| minor.parse().ok()).context("the engine has no API version")
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.bytes(path).await?)?)
    }

    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.call("GET", path, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<()> {
        self.call("POST", path, &body.to_string()).await.map(drop)
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        self.call("DELETE", path, "").await.map(drop)
    }

    /// HTTP/1.0, so that the answer is the body and then the end.
    async fn call(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no answer")?;
        let body = answer.split_off(end + 4);
        let status = std::str::from_utf8(&answer)?.split(' ').nth(1).unwrap_or_default().to_owned();
        if !status.starts_with('2') {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    }
}
