//! The Redfish driver and the certificates of a BMC.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use slipway_drivers::bmc::{Bmc, Login, Password, Trust, reasons};
use slipway_drivers::redfish::connect;
use slipway_drivers::{Class, DriverError};
use slipway_fakes::bmc::redfish::{FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{Identity, Machine, Timing};
use slipway_plan::node::bmc::{Command, Look, Security};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Ca = CertifiedIssuer<'static, KeyPair>;
type Edit = fn(&mut CertificateParams);

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, as PEM.
fn certificate(ca: &Ca, name: &str, edit: Edit) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2040, 1, 1);
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

async fn fake(certificate: Option<(String, String)>) -> FakeRedfish {
    let machine = Machine::new(Identity::numbered(1), Timing::immediate());
    FakeRedfish::start(machine, Settings { certificate, ..Settings::of(Flavour::Idrac) }).await.unwrap()
}

async fn log_in(url: &str, trust: &Trust) -> Result<Arc<dyn Bmc>, DriverError> {
    let login = Login { username: "admin".into(), password: Password::new("secret-123"), kg: None };
    connect(url, None, trust, &login).await
}

async fn refusal(fake: &FakeRedfish, trust: &Trust) -> DriverError {
    let error = log_in(&fake.url(), trust).await.map(drop).unwrap_err();
    assert!(fake.calls().is_empty(), "something was sent: {:?}", fake.calls());
    eprintln!("{error}");
    error
}

async fn shown(bmc: &Arc<dyn Bmc>) -> String {
    let Security::Tls { certificate_sha256, not_after } = bmc.observe(Look::Brief).await.unwrap().security else {
        panic!("no TLS")
    };
    assert_eq!(not_after, Some("2040-01-01T00:00:00Z".parse().unwrap()));
    certificate_sha256
}

#[tokio::test]
async fn a_bmc_of_the_given_ca_is_believed_and_the_true_cause_said_of_others() {
    let (ca, stranger) = (ca(), ca());
    let trust = Trust::Ca(ca.pem().into());
    let good = fake(Some(certificate(&ca, "127.0.0.1", |_| ()))).await;
    shown(&log_in(&good.url(), &trust).await.unwrap()).await;
    let cases: [(&Ca, &str, Edit, &str); 4] = [
        (&ca, "127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1), reasons::CERTIFICATE_EXPIRED.word),
        (
            &ca,
            "127.0.0.1",
            |params| (params.not_before, params.not_after) = (date_time_ymd(2199, 1, 1), date_time_ymd(2299, 1, 1)),
            reasons::CERTIFICATE_NOT_YET_VALID.word,
        ),
        (&ca, "other.example", |_| (), reasons::CERTIFICATE_WRONG_NAME.word),
        (&stranger, "127.0.0.1", |_| (), reasons::CERTIFICATE_UNTRUSTED.word),
    ];
    for (issuer, name, edit, reason) in cases {
        let fake = fake(Some(certificate(issuer, name, edit))).await;
        let error = refusal(&fake, &trust).await;
        assert_eq!((error.class(), error.reason()), (Class::Denied, reason));
        // The system's roots know none of them.
        assert_eq!(refusal(&fake, &Trust::System).await.class(), Class::Denied);
    }
    let error = log_in("https://127.0.0.1:1", &Trust::Ca(b"junk".to_vec())).await.map(drop).unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, reasons::TLS_INVALID.word));
}

#[tokio::test]
async fn a_certificate_is_pinned_after_the_first_visit_and_a_changed_one_stops_everything() {
    let ca = ca();
    // Neither name nor dates count for a pin.
    let first = certificate(&ca, "other.example", |_| ());
    let fake = fake(Some(first.clone())).await;
    let first_session = log_in(&fake.url(), &Trust::First).await.unwrap();
    let pin = shown(&first_session).await;
    let bmc = log_in(&fake.url(), &Trust::Pin(pin.clone())).await.unwrap();
    assert_eq!(shown(&bmc).await, pin);

    let (other, key) = certificate(&ca, "127.0.0.1", |_| ());
    fake.show(&other, &key).unwrap();
    fake.forget_calls();
    let error = refusal(&fake, &Trust::Pin(pin.clone())).await;
    assert_eq!((error.class(), error.reason()), (Class::Denied, reasons::CERTIFICATE_CHANGED.word));
    assert!(error.to_string().contains(&pin), "{error}");
    for session in [&bmc, &first_session] {
        let error = session.observe(Look::Brief).await.unwrap_err();
        assert_eq!(error.reason(), reasons::CERTIFICATE_CHANGED.word);
    }
    assert_eq!(bmc.execute(&Command::PowerOn).await.unwrap_err().error.reason(), reasons::CERTIFICATE_CHANGED.word);
    bmc.close().await;
    assert!(fake.calls().is_empty(), "{:?}", fake.calls());

    fake.show(&first.0, &first.1).unwrap();
    bmc.observe(Look::Brief).await.unwrap();
}

#[tokio::test]
async fn a_wrong_kind_of_server_is_said() {
    let plain = fake(None).await;
    let url = plain.url().replace("http://", "https://");
    let error = log_in(&url, &Trust::Any).await.map(drop).unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, reasons::TLS_INVALID.word), "{error}");

    // A fatal alert, handshake_failure (RFC 5246 section 7.2): an old BMC has none of the ciphers that it is offered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let old = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 5];
            let _ = stream.read_exact(&mut hello).await;
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    });
    let error = log_in(&url, &Trust::Any).await.map(drop).unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, reasons::TLS_INVALID.word), "{error}");
    assert!(error.to_string().contains("no version and cipher of TLS in common"), "{error}");
    old.abort();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    });
    let error = log_in(&url, &Trust::Any).await.map(drop).unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, reasons::NOT_A_BMC.word), "{error}");
    server.abort();
}
