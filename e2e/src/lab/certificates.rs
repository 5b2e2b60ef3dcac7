//! Certificates for the lab: a CA, and what it signs.

use std::net::IpAddr;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// A certificate authority of the lab.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

/// Which certificate a server of the lab shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerCertificate {
    /// A good one.
    #[default]
    Valid,
    /// From the lab's CA, for the right address, but no longer valid.
    Expired,
    /// From the lab's CA, for another host.
    WrongName,
    /// For the right address, from a CA that nobody knows.
    UnknownAuthority,
}

impl Authority {
    /// A new CA.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server with these names and addresses.
    pub fn server(&self, names: &[&str], addresses: &[IpAddr]) -> Result<Identity> {
        self.sign(server_params(names, addresses)?)
    }

    /// A certificate for a client; Kubernetes reads user and group from it.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A server's certificate of the given kind, for one that is really at `addresses`.
    pub fn server_of_kind(&self, kind: ServerCertificate, addresses: &[IpAddr]) -> Result<Identity> {
        match kind {
            ServerCertificate::Valid => self.server(&[], addresses),
            ServerCertificate::Expired => {
                let mut params = server_params(&[], addresses)?;
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
                self.sign(params)
            }
            ServerCertificate::WrongName => self.server(&["elsewhere.example"], &[]),
            ServerCertificate::UnknownAuthority => Self::new("Nobody's")?.server(&[], addresses),
        }
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity> {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { cert: cert.pem(), key: key.serialize_pem() })
    }
}

fn server_params(names: &[&str], addresses: &[IpAddr]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("lab"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
