//! The TLS identity of one server: an authority made for it, and a certificate for loopback.

use std::io;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Names and addresses that the server's certificate is good for.
const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "127.0.0.2", "::1"];

/// PEM texts of an authority and of a server certificate that it signed, good for `localhost`,
/// 127.0.0.1, 127.0.0.2 and ::1.
pub struct Identity {
    authority: (CertificateParams, KeyPair),
    /// The authority, which clients are to trust.
    pub ca_pem: String,
    /// The certificate that the server shows.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl Identity {
    /// Makes fresh keys and certificates; nothing is kept between runs.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        Self::made().map_err(io::Error::other)
    }

    fn made() -> Result<Self, rcgen::Error> {
        let mut ca_params = CertificateParams::new(Vec::new())?;
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca_params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca_params
            .distinguished_name
            .push(DnType::CommonName, "mailpool test authority");
        let ca_key = KeyPair::generate()?;
        let ca = ca_params.self_signed(&ca_key)?;
        let issuer = Issuer::from_params(&ca_params, &ca_key);

        let names = NAMES.map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;

        Ok(Self {
            ca_pem: ca.pem(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            authority: (ca_params, ca_key),
        })
    }

    /// A client's certificate with this common name, and its key, in PEM.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn client(&self, name: &str) -> Result<(String, String), rcgen::Error> {
        let (ca_params, ca_key) = &self.authority;
        let issuer = Issuer::from_params(ca_params, ca_key);
        let mut params = CertificateParams::new(Vec::new())?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}
