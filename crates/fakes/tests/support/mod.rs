//! A plain HTTP client for an engine's socket, which knows nothing of what it sends.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longer than anything that a test waits for should take.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub struct Client {
    pub socket: PathBuf,
}

impl Client {
    /// Sends a request on a connection of its own.
    pub async fn send(&self, method: &str, path: &str, kind: &str, body: Bytes) -> Result<Response<Incoming>, String> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "docker")
            .header("content-type", kind)
            .body(Full::new(body))
            .unwrap();
        sender.send_request(request).await.map_err(|error| error.to_string())
    }

    /// Status and body as JSON (null if it is none).
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Result<(u16, Value), String> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let (status, bytes) = self.bytes(method, path, "application/json", body).await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    pub async fn bytes(&self, method: &str, path: &str, kind: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        let exchange = async {
            let response = self.send(method, path, kind, body).await?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok((status, bytes))
        };
        timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err("no answer".into()))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, Value::Null).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, body).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.call("DELETE", path, Value::Null).await.unwrap()
    }
}

/// An archive with these files.
#[allow(dead_code, reason = "each test file has its own copy of this module")]
pub fn tar_of(files: &[(&str, &str)]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o440);
        header.set_uid(5);
        header.set_gid(6);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().into()
}
