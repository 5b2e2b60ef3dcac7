//! TLS to an engine: our own CA and nothing else, a client certificate, verification always on; and the true cause of a refusal.

use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::reasons;
use crate::DriverError;

/// The client's side of TLS, from the three PEM values of the Secret.
pub(super) fn config(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, DriverError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.crt", ca)? {
        roots.add(certificate).map_err(|error| invalid("ca.crt", &error))?;
    }
    let chain = certificates("tls.crt", cert)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        // The parser's own words may quote what it read.
        reasons::TLS_INVALID
            .error("the Secret's tls.key holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1, not encrypted)")
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("tls.crt", &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                reasons::TLS_INVALID.error("the Secret's tls.key is not the key of the certificate in its tls.crt")
            }
            rustls::Error::InvalidCertificate(_) => invalid("tls.crt", &error),
            _ => invalid("tls.key", &error),
        })?;
    Ok(Arc::new(config))
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, DriverError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(reasons::TLS_INVALID.error(format!("the Secret's {name} holds no certificate in PEM form"))),
    }
}

fn invalid(name: &str, error: &rustls::Error) -> DriverError {
    reasons::TLS_INVALID.error(format!("the Secret's {name} cannot be used: {error}"))
}

/// What a TLS error means for the person who set the endpoint up.
pub(super) fn refusal(error: &rustls::Error, peer: &str) -> DriverError {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            reasons::TLS_CERTIFICATE_EXPIRED.error(format!("the certificate of {peer} has expired{}", dates(error)))
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            reasons::TLS_CERTIFICATE_NOT_YET_VALID
                .error(format!("the certificate of {peer} is not valid yet{}; is a clock wrong?", dates(error)))
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            reasons::TLS_WRONG_NAME.error(format!("the certificate of {peer} is not for this name: {error}"))
        }
        // A certificate that a CA of the same name but with another key signed fails by its signature.
        rustls::Error::InvalidCertificate(
            C::UnknownIssuer | C::BadSignature | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => reasons::TLS_UNKNOWN_CA
            .error(format!("the certificate of {peer} was not signed by the CA in the Secret's ca.crt")),
        rustls::Error::InvalidCertificate(other) => {
            reasons::TLS_INVALID.error(format!("the certificate of {peer} cannot be used: {other:?}"))
        }
        rustls::Error::AlertReceived(alert) if about_our_certificate(*alert) => reasons::TLS_CLIENT_REFUSED
            .error(format!("{peer} refused the client certificate in the Secret's tls.crt (TLS alert {alert:?})")),
        rustls::Error::InvalidMessage(_) => {
            reasons::TLS_INVALID.error(format!("{peer} does not speak TLS; is dockerd run with --tlsverify?"))
        }
        other => reasons::TLS_INVALID.error(format!("TLS with {peer} failed: {other}")),
    }
}

/// rustls tells both times with the error.
pub(crate) fn dates(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => at(" at ", *not_after),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            at(" before ", *not_before)
        }
        _ => String::new(),
    }
}

fn at(word: &str, time: rustls_pki_types::UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|secs| jiff::Timestamp::from_second(secs).ok())
        .map(|time| format!("{word}{time}"))
        .unwrap_or_default()
}

fn about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            // Signed by a CA of the right name but with another key.
            | A::DecryptError
            | A::UnknownCA
            | A::AccessDenied
    )
}
