//! TLS to a BMC: whose certificate is believed, and the true cause when it is not.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use super::certificate::not_after;
use crate::DriverError;
use crate::bmc::{Trust, reasons};
use crate::docker::tls::dates;

/// The client's side of TLS.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

/// A certificate that a server has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// SHA-256 of its DER form, as `openssl x509 -noout -fingerprint -sha256` shows it: of the whole certificate, not of its key.
    pub(super) sha256: String,
    pub(super) not_after: Option<Timestamp>,
}

impl Tls {
    pub(super) fn new(trust: &Trust) -> Result<Self, DriverError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let believed = match trust {
            Trust::System => Believed::signed_by(system_roots().clone(), &provider)?,
            Trust::Ca(pem) => Believed::signed_by(Arc::new(roots_of(pem)?), &provider)?,
            Trust::Pin(sha256) => Believed::Pinned(sha256.clone()),
            Trust::First => Believed::First(OnceLock::new()),
            Trust::Any => Believed::Any,
        };
        let verifier = Arc::new(Verifier { believed, shown: Mutex::default(), provider: provider.clone() });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), verifier })
    }

    /// The certificate that the server showed last, believed or not.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.verifier.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn unusable(error: &dyn fmt::Display) -> DriverError {
    reasons::TLS_INVALID.error(format!("the CA that is given for the BMC cannot be used: {error}"))
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, DriverError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // The parser's own words may quote what it read.
        let certificate = certificate.map_err(|_| unusable(&"it is not in PEM form"))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() { Err(unusable(&"it holds no certificate in PEM form")) } else { Ok(roots) }
}

/// The roots of the system that Slipway runs on; read once, as there may be a thousand BMCs.
fn system_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    })
}

#[derive(Debug)]
enum Believed {
    Signed(Arc<WebPkiServerVerifier>),
    Pinned(String),
    First(OnceLock<String>),
    /// There is no root at all on this system.
    Nobody,
    Any,
}

impl Believed {
    fn signed_by(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Self, DriverError> {
        if roots.is_empty() {
            return Ok(Self::Nobody);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        verifier.map(Self::Signed).map_err(|error| unusable(&error))
    }
}

/// Believes what [`Trust`] says. That the server has the key of its certificate is verified in every case.
#[derive(Debug)]
struct Verifier {
    believed: Believed,
    shown: Mutex<Option<Shown>>,
    provider: Arc<CryptoProvider>,
}

/// The server shows another certificate than the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("its SHA-256 is {shown}, not {pinned}")]
struct Changed {
    pinned: String,
    shown: String,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let sha256 = hexadecimal(&Sha256::digest(certificate.as_ref()));
        let shown = Shown { sha256: sha256.clone(), not_after: not_after(certificate.as_ref()) };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match &self.believed {
            Believed::Signed(roots) => roots.verify_server_cert(certificate, intermediates, name, ocsp, now),
            Believed::Nobody => Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            Believed::Pinned(pinned) => pinned_is(pinned, sha256),
            Believed::First(first) => pinned_is(first.get_or_init(|| sha256.clone()), sha256),
            Believed::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn pinned_is(pinned: &str, shown: String) -> Result<ServerCertVerified, rustls::Error> {
    if pinned == shown {
        return Ok(ServerCertVerified::assertion());
    }
    let changed = OtherError(Arc::new(Changed { pinned: pinned.to_owned(), shown }));
    Err(rustls::Error::InvalidCertificate(CertificateError::Other(changed)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// What a TLS error means for the person who wrote the address.
pub(super) fn refusal(error: &rustls::Error, shown: Option<&Shown>, peer: &str) -> DriverError {
    use CertificateError as C;
    let pin = shown.map_or_else(String::new, |shown| {
        format!("; its SHA-256 is {}: if the BMC itself shows the same, write it as tls.pinSha256", shown.sha256)
    });
    match error {
        rustls::Error::InvalidCertificate(C::Other(OtherError(other))) if other.is::<Changed>() => {
            reasons::CERTIFICATE_CHANGED.error(format!(
                "{peer} shows another certificate than the pinned one: {other}. Nothing was sent to it. If it was \
                 renewed, and the BMC itself shows the same, write the new one as tls.pinSha256 (in place of \
                 trustOnFirstUse); if not, somebody may be in between"
            ))
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            reasons::CERTIFICATE_EXPIRED.error(format!("the certificate of {peer} has expired{}{pin}", dates(error)))
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            let dates = dates(error);
            reasons::CERTIFICATE_NOT_YET_VALID
                .error(format!("the certificate of {peer} is not valid yet{dates}; is a clock wrong?"))
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            reasons::CERTIFICATE_WRONG_NAME
                .error(format!("the certificate of {peer} is not for this name: {error}{pin}"))
        }
        // A certificate that a CA of the same name but with another key signed fails by its signature.
        rustls::Error::InvalidCertificate(
            C::UnknownIssuer | C::BadSignature | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => reasons::CERTIFICATE_UNTRUSTED
            .error(format!("nobody who is trusted has signed the certificate of {peer}{pin}")),
        rustls::Error::InvalidCertificate(other) => {
            reasons::TLS_INVALID.error(format!("the certificate of {peer} cannot be used: {other:?}{pin}"))
        }
        rustls::Error::InvalidMessage(_) => reasons::TLS_INVALID
            .error(format!("{peer} does not speak TLS; should the address begin with redfish+http?")),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => reasons::TLS_INVALID
            .error(format!("{peer} speaks only TLS older than 1.2; a newer firmware of the BMC may help")),
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => reasons::TLS_INVALID.error(format!(
            "{peer} and Slipway have no version and cipher of TLS in common; Slipway speaks TLS 1.3, and 1.2 with ECDHE and \
             AES-GCM or ChaCha20. A newer firmware of the BMC may help"
        )),
        other => reasons::TLS_INVALID.error(format!("TLS with {peer} failed: {other}")),
    }
}
