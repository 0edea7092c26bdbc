//! Secrets, which never appear in debug output, and the credentials made of them.

use std::fmt;
use std::sync::Arc;

/// A password or token. Its content is never printed; its memory is overwritten when the last
/// clone is dropped, as far as safe code can do that.
///
/// ```
/// use mailpool::Secret;
/// let secret = Secret::from("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Content>);

struct Content(Vec<u8>);

impl Secret {
    /// Takes over the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Content(bytes.into())))
    }

    /// The bytes, for whoever sends them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0.0
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.0.fill(0);
        // The optimiser must take the zeros for read.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self::new(secret)
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl From<&[u8]> for Secret {
    fn from(secret: &[u8]) -> Self {
        Self::new(secret)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(secret: Vec<u8>) -> Self {
        Self::new(secret)
    }
}

impl From<&Secret> for Secret {
    fn from(secret: &Secret) -> Self {
        secret.clone()
    }
}

/// Who logs in, and with what. Debug output shows the user only.
///
/// ```
/// use mailpool::Credentials;
/// let credentials = Credentials::password("alice", "correct horse");
/// assert_eq!(credentials.user(), "alice");
/// assert!(!format!("{credentials:?}").contains("horse"));
/// ```
#[derive(Clone)]
pub struct Credentials {
    user: Arc<str>,
    proof: Proof,
}

/// What proves that the user is who he says; a SASL mechanism that needs another kind adds it
/// here.
#[derive(Clone)]
enum Proof {
    Password(Secret),
}

impl Credentials {
    /// A user name and a password, for LOGIN or a SASL mechanism that takes a password.
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self {
            user: user.into().into(),
            proof: Proof::Password(password.into()),
        }
    }

    /// The name of the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What LOGIN and the SASL mechanisms that take a password need.
    pub(crate) fn user_and_password(&self) -> (&str, &[u8]) {
        let Proof::Password(password) = &self.proof;
        (&self.user, password.expose())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let secret = Secret::from("hunter2".to_owned());
        let credentials = Credentials::password("alice", &secret);
        let printed = format!("{secret:?} {credentials:?} {credentials:#?}");
        assert!(
            !printed.contains("hunter2") && printed.contains("alice"),
            "{printed}"
        );
        assert_eq!(credentials.user_and_password(), ("alice", &b"hunter2"[..]));
    }
}
