//! The SASL mechanisms, and how an exchange may fail.

use std::fmt;

/// A SASL mechanism (RFC 4422), the strongest first: `Ord` compares strength, and a client
/// takes the smallest that the server offers, its credentials fit and the transport allows.
///
/// | mechanism | what the server learns | proof of the server | identity to act as |
/// |---|---|---|---|
/// | SCRAM (RFC 5802, RFC 7677) | nothing that it could use elsewhere | yes | yes |
/// | SCRAM-…-PLUS | the same, bound to the TLS connection (RFC 5929) | yes | yes |
/// | CRAM-MD5 (RFC 2195) | what a guess at the password can be checked against | no | no |
/// | PLAIN (RFC 4616), LOGIN | the password | no | PLAIN only |
/// | OAUTHBEARER (RFC 7628), XOAUTH2 | the token | no | yes |
/// | EXTERNAL (RFC 4422) | nothing; the TLS certificate says who it is | no | yes |
/// | ANONYMOUS (RFC 4505) | the trace | no | no |
///
/// ```
/// use mailpool::SaslMechanism;
///
/// assert_eq!(SaslMechanism::ScramSha256.name(), "SCRAM-SHA-256");
/// assert_eq!(SaslMechanism::from_name("plain"), Some(SaslMechanism::Plain));
/// assert!(SaslMechanism::ScramSha256Plus < SaslMechanism::CramMd5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// SCRAM-SHA-512-PLUS.
    ScramSha512Plus,
    /// SCRAM-SHA-256-PLUS (RFC 7677).
    ScramSha256Plus,
    /// SCRAM-SHA-1-PLUS (RFC 5802).
    ScramSha1Plus,
    /// SCRAM-SHA-512.
    ScramSha512,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// CRAM-MD5 (RFC 2195).
    CramMd5,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, and the LOGIN command of IMAP.
    Login,
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// XOAUTH2, the older form of the large providers.
    XOAuth2,
    /// EXTERNAL (RFC 4422, appendix A).
    External,
    /// ANONYMOUS (RFC 4505).
    Anonymous,
}

impl SaslMechanism {
    /// All of them, the strongest first.
    pub const ALL: [Self; 13] = [
        Self::ScramSha512Plus,
        Self::ScramSha256Plus,
        Self::ScramSha1Plus,
        Self::ScramSha512,
        Self::ScramSha256,
        Self::ScramSha1,
        Self::CramMd5,
        Self::Plain,
        Self::Login,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::External,
        Self::Anonymous,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// Whether the exchange is bound to the TLS connection.
    pub const fn binds_channel(self) -> bool {
        matches!(
            self,
            Self::ScramSha512Plus | Self::ScramSha256Plus | Self::ScramSha1Plus
        )
    }

    /// Whether whoever reads the exchange has the password or the token. Such a mechanism is
    /// used over TLS only, unless the client's builder allows otherwise in so many words.
    pub const fn reveals_secret(self) -> bool {
        matches!(
            self,
            Self::Plain | Self::Login | Self::OAuthBearer | Self::XOAuth2
        )
    }

    /// Whether the server proves that it knows the password, or what was made of it.
    pub const fn authenticates_server(self) -> bool {
        matches!(
            self,
            Self::ScramSha512Plus
                | Self::ScramSha256Plus
                | Self::ScramSha1Plus
                | Self::ScramSha512
                | Self::ScramSha256
                | Self::ScramSha1
        )
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a SASL exchange was given up by this side. What the server refuses by itself is no such
/// failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslFailure {
    /// The server said that the login succeeded, or should have, and did not prove that it
    /// knows the password: somebody else may be answering.
    #[error("the server is not authenticated: {0}")]
    ServerNotAuthenticated(&'static str),
    /// The server asks for more or fewer rounds of hashing than the limits allow: fewer make the
    /// password easy to guess for who listens, more keep this side busy.
    #[error("{count} iterations are asked for, between {minimum} and {maximum} are allowed")]
    Iterations {
        /// What the server asks for.
        count: u64,
        /// [`Limits::min_scram_iterations`](crate::Limits::min_scram_iterations).
        minimum: u32,
        /// [`Limits::max_scram_iterations`](crate::Limits::max_scram_iterations).
        maximum: u32,
    },
    /// The server demands an extension of SCRAM that is not known (RFC 5802 §5.1, `m=`).
    #[error("the server demands an unknown extension")]
    UnknownExtension,
    /// A challenge that makes no sense.
    #[error("{0}")]
    Challenge(&'static str),
    /// The server asks on and on.
    #[error("more than {limit} challenges")]
    TooManyChallenges {
        /// How many are answered.
        limit: u32,
    },
    /// A challenge, or the answer to it, is too long.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// Which of them.
        what: &'static str,
        /// The bound, in bytes of base64.
        limit: usize,
    },
    /// The mechanism cannot carry the credentials.
    #[error("{0}")]
    Credentials(&'static str),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        assert!(SaslMechanism::ALL.is_sorted());
        for one in SaslMechanism::ALL {
            assert_eq!(SaslMechanism::from_name(one.name()), Some(one));
            assert_eq!(one.binds_channel(), one.name().ends_with("-PLUS"));
            assert_eq!(one.authenticates_server(), one.name().starts_with("SCRAM-"));
        }
        assert_eq!(SaslMechanism::from_name("SCRAM-SHA-3"), None);
    }
}
