//! Access tokens (RFC 6750), and where they come from.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::secret::Secret;

/// An OAuth 2.0 access token.
///
/// ```
/// use std::time::Duration;
/// use mailpool::Token;
///
/// let token = Token::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE").expires_in(Duration::from_secs(3600));
/// assert!(!format!("{token:?}").contains("ya29"));
/// ```
#[derive(Clone, Debug)]
pub struct Token {
    secret: Secret,
    expiry: Option<Expiry>,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    In(Duration),
    At(SystemTime),
}

impl Token {
    /// A token that is used until the server refuses it.
    pub fn new(token: impl Into<Secret>) -> Self {
        Self {
            secret: token.into(),
            expiry: None,
        }
    }

    /// It is good for so long, from the moment at which its provider returned it: what OAuth
    /// servers tell as `expires_in`. New connections ask for another one a little earlier.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expiry = Some(Expiry::In(lifetime));
        self
    }

    /// It is good until then.
    pub fn expires_at(mut self, moment: SystemTime) -> Self {
        self.expiry = Some(Expiry::At(moment));
        self
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// When a token that was issued at `now` expires.
    pub(crate) fn expiry(&self, now: SystemTime) -> Option<SystemTime> {
        match self.expiry? {
            Expiry::In(lifetime) => now.checked_add(lifetime),
            Expiry::At(moment) => Some(moment),
        }
    }
}

impl<S: Into<Secret>> From<S> for Token {
    fn from(token: S) -> Self {
        Self::new(token)
    }
}

/// What a user's provider answers.
pub(crate) type Provided = Result<Token, Arc<dyn std::error::Error + Send + Sync>>;

/// The user's code that knows where to get tokens.
#[derive(Clone)]
pub(crate) struct TokenProvider(Arc<dyn Fn() -> Provided + Send + Sync>);

impl TokenProvider {
    pub(crate) fn new(provide: impl Fn() -> Provided + Send + Sync + 'static) -> Self {
        Self(Arc::new(provide))
    }

    /// Runs the user's code, which may take its time, and may panic.
    pub(crate) fn call(&self) -> Provided {
        (self.0)()
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider(..)")
    }
}

/// Numbers the tokens of one provider in the order in which they came.
pub(crate) type TokenNumber = u64;

/// A token of a provider.
#[derive(Clone, Debug)]
pub(crate) struct IssuedToken {
    pub number: TokenNumber,
    pub token: Token,
}

/// Why a token provider gave no token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It returned an error.
    #[error("the token provider failed")]
    Provider(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It panicked.
    #[error("the token provider panicked: {message}")]
    Panicked {
        /// The panic's message, if it was a text.
        message: String,
    },
    /// No thread for it was to be had.
    #[error("no thread for the token provider")]
    Thread(#[source] Arc<io::Error>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_counts_from_the_issue() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(Token::new("t").expiry(now), None);
        assert_eq!(
            Token::new("t")
                .expires_in(Duration::from_secs(5))
                .expiry(now),
            Some(now + Duration::from_secs(5))
        );
        assert_eq!(Token::new("t").expires_at(now).expiry(now), Some(now));
        assert_eq!(Token::new("t").expires_in(Duration::MAX).expiry(now), None);
    }

    #[test]
    fn nothing_prints_a_token() {
        let token = Token::from("hunter2");
        let provider = TokenProvider::new(|| Ok(Token::new("hunter2")));
        let issued = IssuedToken {
            number: 1,
            token: provider.call().unwrap(),
        };
        assert!(!format!("{token:?} {provider:?} {issued:#?}").contains("hunter2"));
    }
}
