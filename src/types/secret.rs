//! Secrets, which never appear in debug output, and the credentials made of them.

use std::fmt;
use std::sync::Arc;

use super::invalid::InvalidArgument;
use super::token::{Token, TokenProvider};

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

/// Who logs in, and with what. Debug output shows no secret.
///
/// | made by | for the mechanisms |
/// |---|---|
/// | [`password`](Self::password) | SCRAM, CRAM-MD5, PLAIN, LOGIN |
/// | [`token`](Self::token), [`token_provider`](Self::token_provider) | OAUTHBEARER, XOAUTH2 |
/// | [`external`](Self::external) | EXTERNAL |
/// | [`anonymous`](Self::anonymous) | ANONYMOUS |
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
    authorization: Option<Arc<str>>,
    proof: Proof,
}

/// What proves that the user is who he says.
#[derive(Clone)]
pub(crate) enum Proof {
    Password(Secret),
    Token(Token),
    Provider(TokenProvider),
    /// Something outside of SASL: the client's TLS certificate.
    External,
    /// Nothing. The trace is for the server's log.
    Anonymous(Arc<str>),
}

/// RFC 4505 §2.
const MAX_TRACE: usize = 255;

impl Credentials {
    /// A user name and a password.
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::new(user, Proof::Password(password.into()))
    }

    /// A user name and an OAuth 2.0 access token. When it has expired, no further connection can
    /// be opened: [`token_provider`](Self::token_provider) is for clients that last longer.
    pub fn token(user: impl Into<String>, token: impl Into<Token>) -> Self {
        Self::new(user, Proof::Token(token.into()))
    }

    /// A user name, and code that gets an access token.
    ///
    /// The client calls `provider` when a connection needs a token and there is none that is
    /// still good, and when the server has refused the one that there was: once for all
    /// connections that wait for it, on a thread of its own. They wait within their deadlines;
    /// the provider itself is not interrupted, so it should have a deadline of its own. Its
    /// errors, and its panics, reach all who waited as
    /// [`ErrorKind::Token`](crate::ErrorKind::Token).
    ///
    /// A token that the server refuses is replaced, once in each attempt to log in. The provider
    /// must then not return the one from its own cache.
    ///
    /// It must not hold a handle of the client, which would never end then.
    ///
    /// ```
    /// use mailpool::{Credentials, Token};
    ///
    /// # fn ask() -> std::io::Result<(String, std::time::Duration)> { unimplemented!() }
    /// let credentials = Credentials::token_provider("alice@example.org", || {
    ///     let (token, lifetime) = ask()?; // a request to the OAuth server
    ///     Ok::<_, std::io::Error>(Token::new(token).expires_in(lifetime))
    /// });
    /// ```
    pub fn token_provider<F, E>(user: impl Into<String>, provider: F) -> Self
    where
        F: Fn() -> Result<Token, E> + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let provider = TokenProvider::new(move || provider().map_err(|error| error.into().into()));
        Self::new(user, Proof::Provider(provider))
    }

    /// The server knows already who it is, from the client's TLS certificate: no secret is sent.
    pub fn external() -> Self {
        Self::new("", Proof::External)
    }

    /// Nobody in particular. `trace` is for the server's log: a mail address, or any text without
    /// control characters of 1 to 255 characters.
    pub fn anonymous(trace: impl Into<String>) -> Self {
        Self::new("", Proof::Anonymous(trace.into().into()))
    }

    fn new(user: impl Into<String>, proof: Proof) -> Self {
        Self {
            user: user.into().into(),
            authorization: None,
            proof,
        }
    }

    /// Acts as `identity` rather than as the user who is authenticated, if the server lets him.
    /// Mechanisms that cannot carry it (CRAM-MD5, LOGIN, ANONYMOUS) are not used then.
    pub fn acting_as(mut self, identity: impl Into<String>) -> Self {
        self.authorization = Some(identity.into().into());
        self
    }

    /// The name of the user; empty where there is none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whom to act as, if not as the user.
    pub fn authorization_identity(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The code that gets tokens, if there is any.
    pub(crate) fn provider(&self) -> Option<&TokenProvider> {
        match &self.proof {
            Proof::Provider(provider) => Some(provider),
            _ => None,
        }
    }

    /// What no mechanism could carry.
    pub(crate) fn check(&self) -> Result<(), InvalidArgument> {
        let has_control = |text: &str| text.chars().any(char::is_control);
        match &self.proof {
            Proof::Anonymous(trace) => {
                if trace.is_empty() || trace.chars().count() > MAX_TRACE || has_control(trace) {
                    return Err(InvalidArgument::new(
                        "anonymous trace",
                        "is not 1 to 255 characters without control characters",
                    ));
                }
            }
            Proof::Token(_) | Proof::Provider(_) => {
                if self.user.is_empty() || has_control(&self.user) {
                    return Err(InvalidArgument::new(
                        "user name",
                        "is empty or holds control characters",
                    ));
                }
            }
            Proof::Password(_) | Proof::External => {}
        }
        match self.authorization_identity() {
            Some(identity) if identity.is_empty() || has_control(identity) => Err(
                InvalidArgument::new("identity to act as", "is empty or holds control characters"),
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = match self.proof {
            Proof::Password(_) => "password",
            Proof::Token(_) => "token",
            Proof::Provider(_) => "token provider",
            Proof::External => "external",
            Proof::Anonymous(_) => "anonymous",
        };
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("acting_as", &self.authorization)
            .field("with", &proof)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let secret = Secret::from("hunter2".to_owned());
        for credentials in [
            Credentials::password("alice", &secret),
            Credentials::token("alice", "hunter2"),
            Credentials::token_provider("alice", || Ok::<_, std::io::Error>("hunter2".into())),
        ] {
            let printed = format!("{secret:?} {credentials:?} {credentials:#?}");
            assert!(
                !printed.contains("hunter2") && printed.contains("alice"),
                "{printed}"
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_is_found_before() {
        for good in [
            Credentials::password("", ""),
            Credentials::password("a\0", "").acting_as("b"),
            Credentials::anonymous("alice@example.org"),
            Credentials::anonymous("ä".repeat(255)),
            Credentials::external(),
            Credentials::token("alice", ""),
        ] {
            assert!(good.check().is_ok(), "{good:?}");
        }
        for bad in [
            Credentials::anonymous(""),
            Credentials::anonymous("a\nb"),
            Credentials::anonymous("a".repeat(256)),
            Credentials::token("", "t"),
            Credentials::token("a\u{1}auth=Bearer x", "t"),
            Credentials::external().acting_as(""),
            Credentials::password("a", "b").acting_as("c\0"),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
