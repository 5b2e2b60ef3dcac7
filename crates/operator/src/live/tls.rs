//! The certificate of the endpoint: given, or made anew by each process, whose key never leaves its memory.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The name in a certificate that was made here, whatever address leads to it.
pub const SERVER_NAME: &str = "slipway-live";

/// The certificate and its key.
pub struct Identity {
    /// What TLS shows.
    pub config: Arc<ServerConfig>,
    /// What a client trusts to know it: the certificate that was made here, as PEM. `None` for one that was given, which its
    /// own CA vouches for.
    pub trusted: Option<String>,
}

impl Identity {
    /// A certificate of its own.
    pub fn made() -> Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
        let certificate = params.self_signed(&key).context("cannot make a certificate")?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = config(vec![certificate.der().clone()], private)?;
        Ok(Self { config, trusted: Some(certificate.pem()) })
    }

    /// A certificate with its chain, and its key, as PEM.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let shown = |path: &Path| format!("cannot use {}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate).with_context(|| shown(certificate))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().with_context(|| shown(certificate))?;
        let private = PrivateKeyDer::from_pem_file(key).with_context(|| shown(key))?;
        Ok(Self { config: config(chain, private).with_context(|| shown(certificate))?, trusted: None })
    }
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
