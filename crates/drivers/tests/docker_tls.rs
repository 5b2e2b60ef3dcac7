//! `tcp://` endpoints with TLS: against a server that does what a dockerd with `--tlsverify` does before the first request,
//! and against a real one.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use slipway_drivers::docker::{Address, Connect, Factory};
use slipway_drivers::{Class, DriverError};
use support::{SOON, free_port};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

type Edit = fn(&mut CertificateParams);
type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
struct Identity {
    cert: String,
    key: String,
}

fn identity(
    ca: &Ca,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    edit: impl FnOnce(&mut CertificateParams),
) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    Identity { cert: params.signed_by(&key, ca).unwrap().pem(), key: key.serialize_pem() }
}

fn server(ca: &Ca, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Identity {
    identity(ca, name, ExtendedKeyUsagePurpose::ServerAuth, edit)
}

fn client(ca: &Ca) -> Identity {
    identity(ca, "slipway", ExtendedKeyUsagePurpose::ClientAuth, |_| ())
}

fn ping_address(port: u16, ca: &Ca, client: &Identity) -> Address {
    Address::Tls {
        host: "127.0.0.1".into(),
        port,
        ca: ca.pem().into(),
        cert: client.cert.clone().into(),
        key: client.key.clone().into(),
    }
}

/// Answers `OK` to every request that comes in.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut seen = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        seen.push(byte);
        if seen.ends_with(b"\r\n\r\n")
            && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await.is_ok()
        {
            let _ = stream.flush().await;
        }
    }
}

/// A TLS server with this identity that lets in whom the CA has signed.
async fn listen(
    identity: &Identity,
    clients: &Ca,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (u16, AbortOnDropHandle<()>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream));
            }
        }
    });
    (port, AbortOnDropHandle::new(task))
}

async fn ping(address: &Address) -> Result<(), DriverError> {
    Factory.docker(address).await?.ping().await
}

async fn refusal(address: &Address) -> (Class, &'static str) {
    let error = ping(address).await.unwrap_err();
    eprintln!("{error}");
    (error.class(), error.reason())
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn an_engine_behind_tls_answers() {
    let ca = ca();
    let (port, _server) = listen(&server(&ca, "127.0.0.1", |_| ()), &ca, BOTH).await;
    ping(&ping_address(port, &ca, &client(&ca))).await.unwrap();
}

#[tokio::test]
async fn a_servers_certificate_is_verified_and_the_true_cause_said() {
    let (ca, stranger) = (ca(), ca());
    let client = client(&ca);
    let cases: [(&Ca, &str, Edit, &str); 5] = [
        (&ca, "127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1), "TlsCertificateExpired"),
        (&ca, "127.0.0.1", |params| params.not_before = date_time_ymd(2199, 1, 1), "TlsCertificateNotYetValid"),
        (&ca, "other.example", |_| (), "TlsWrongName"),
        (&ca, "127.0.0.2", |_| (), "TlsWrongName"),
        (&stranger, "127.0.0.1", |_| (), "TlsUnknownCa"),
    ];
    for (issuer, name, edit, reason) in cases {
        let (port, _server) = listen(&server(issuer, name, edit), &ca, BOTH).await;
        assert_eq!(refusal(&ping_address(port, &ca, &client)).await, (Class::Denied, reason), "{name}");
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_said() {
    let (ca, stranger) = (ca(), ca());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (port, _server) = listen(&server(&ca, "127.0.0.1", |_| ()), &ca, &[version]).await;
        let seen = refusal(&ping_address(port, &ca, &client(&stranger))).await;
        assert_eq!(seen, (Class::Denied, "TlsClientRefused"), "{version:?}");
    }
}

#[tokio::test]
async fn a_broken_secret_is_named_by_its_key() {
    let ca = ca();
    let (one, two) = (client(&ca), client(&ca));
    let address = |ca: &str, cert: &str, key: &str| Address::Tls {
        host: "127.0.0.1".into(),
        port: 1,
        ca: ca.into(),
        cert: cert.into(),
        key: key.into(),
    };
    for (address, key) in [
        (address("", &one.cert, &one.key), "ca.crt"),
        (address(&ca.pem(), "junk", &one.key), "tls.crt"),
        (address(&ca.pem(), &one.cert, &one.cert), "tls.key"),
        (address(&ca.pem(), &one.cert, &two.key), "tls.key"),
        (address("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &one.cert, &one.key), "ca.crt"),
    ] {
        let error = Factory.docker(&address).await.map(|_| ()).unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Invalid, "TlsInvalid"), "{error}");
        assert!(error.to_string().contains(key), "{error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_kind_of_server_is_said() {
    let ca = ca();
    let client = client(&ca);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What Go's net/http says to a client that does not speak HTTP.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    }));
    assert_eq!(refusal(&ping_address(port, &ca, &client)).await, (Class::Invalid, "TlsInvalid"));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(refusal(&ping_address(port, &ca, &client)).await, (Class::Unreachable, "ConnectionRefused"));
    let plain = Address::PlainTcp { host: "127.0.0.1".into(), port };
    assert_eq!(refusal(&plain).await, (Class::Unreachable, "ConnectionRefused"));
    let nameless = Address::PlainTcp { host: "no-such-host.invalid".into(), port };
    assert_eq!(refusal(&nameless).await, (Class::Unreachable, "NameNotFound"));
    let socket = Address::Unix("/nowhere/docker.sock".into());
    assert_eq!(refusal(&socket).await, (Class::Unreachable, "SocketMissing"));
}

#[tokio::test]
async fn what_is_no_engine_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    }));
    let address = Address::PlainTcp { host: "127.0.0.1".into(), port };
    assert_eq!(refusal(&address).await, (Class::Invalid, "NotAnEngine"));
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = r#"{"Version": "19.03.15", "ApiVersion": "1.40"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _server = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_u8().await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    }));
    let engine = Factory.docker(&Address::PlainTcp { host: "127.0.0.1".into(), port }).await.unwrap();
    let error = engine.owners("any").await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, "EngineTooOld"), "{error}");
    assert!(error.to_string().contains("19.03.15"), "{error}");
}

/// Go's TLS has its own way of refusing.
#[tokio::test]
async fn a_real_engine_behind_tls_answers_and_refuses() {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !is_root || Command::new("dockerd").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no test against a real engine with TLS, because this needs root and dockerd");
        return;
    }
    let (ca, stranger) = (ca(), ca());
    let directory = tempfile::TempDir::with_prefix("slipway-tls-").unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let identity = server(&ca, "127.0.0.1", |_| ());
    std::fs::write(path("ca"), ca.pem()).unwrap();
    std::fs::write(path("cert"), &identity.cert).unwrap();
    std::fs::write(path("key"), &identity.key).unwrap();
    let port = free_port();
    // It ends with the test, even if that is killed.
    let mut dockerd = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "dockerd"])
        .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
        // It runs nothing, so it needs no network and must not touch this machine's.
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"])
        .args(["--tlsverify", "--tlscacert", &path("ca"), "--tlscert", &path("cert"), "--tlskey", &path("key")])
        .arg(format!("--host=tcp://127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(path("log")).unwrap())
        .spawn()
        .unwrap();
    let good = ping_address(port, &ca, &client(&ca));
    let until = Instant::now() + SOON;
    let mut answer = ping(&good).await;
    while answer.is_err() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = ping(&good).await;
    }
    let refused = ping(&ping_address(port, &ca, &client(&stranger))).await;
    let plain = ping(&Address::PlainTcp { host: "127.0.0.1".into(), port }).await;
    let _ = Command::new("kill").arg(dockerd.id().to_string()).status();
    let _ = dockerd.wait();
    answer.unwrap_or_else(|error| panic!("{error}: {}", std::fs::read_to_string(path("log")).unwrap()));
    assert_eq!(refused.unwrap_err().reason(), "TlsClientRefused");
    assert_eq!(plain.unwrap_err().reason(), "TlsInvalid");
}
