//! The hash functions of SCRAM, chosen when the mechanism is.

use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol::sasl) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

fn keyed<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(data);
    mac
}

impl Hash {
    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        fn code<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
            keyed::<M>(key, data).finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => code::<Hmac<Sha1>>(key, data),
            Self::Sha256 => code::<Hmac<Sha256>>(key, data),
            Self::Sha512 => code::<Hmac<Sha512>>(key, data),
        }
    }

    /// Whether `code` is the HMAC of `data`, in a time that does not tell how much of it is.
    pub(super) fn verifies(self, key: &[u8], data: &[u8], code: &[u8]) -> bool {
        match self {
            Self::Sha1 => keyed::<Hmac<Sha1>>(key, data).verify_slice(code),
            Self::Sha256 => keyed::<Hmac<Sha256>>(key, data).verify_slice(code),
            Self::Sha512 => keyed::<Hmac<Sha512>>(key, data).verify_slice(code),
        }
        .is_ok()
    }

    /// `Hi` of RFC 5802 §2.2: PBKDF2 with one block of output.
    pub(super) fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let length = match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        };
        let mut stretched = vec![0; length];
        let out = &mut stretched;
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, out),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, out),
        }
        stretched
    }
}
