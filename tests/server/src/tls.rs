//! Certificates made at start, and the acceptor that uses them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use native_tls::{Identity, TlsAcceptor};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate authority that lives as long as its server, and the server's TLS side.
pub(crate) struct TlsMaterial {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
}

impl TlsMaterial {
    /// Makes a CA and a certificate for `localhost`, `127.0.0.1` and `::1`.
    pub(crate) fn generate() -> io::Result<Self> {
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name
            .push(DnType::CommonName, "mailpool test CA");
        let ca_certificate = ca.self_signed(&ca_key).map_err(io::Error::other)?;

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        for address in [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(ca, ca_key);
        let certificate = params.signed_by(&key, &issuer).map_err(io::Error::other)?;

        let ca_pem = ca_certificate.pem();
        let chain = format!("{}{ca_pem}", certificate.pem());
        let identity = Identity::from_pkcs8(chain.as_bytes(), key.serialize_pem().as_bytes())
            .map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::new(identity).map_err(io::Error::other)?;
        Ok(Self { acceptor, ca_pem })
    }
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TlsMaterial")
            .finish_non_exhaustive()
    }
}
