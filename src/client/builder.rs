//! How a client is made.

use std::time::Instant;

use super::endpoint::{Endpoint, Traits, common_settings, invalid};
use super::imap::{ImapClient, check_extensions};
use crate::connection::cancel::Until;
use crate::error::Result;
use crate::protocol::imap::session::{Config, Protection, Session};

/// Stack of a connection thread for each level of nesting that it may have to parse: what
/// imap-proto needs for nested messages in a build without optimisation, with a margin.
const STACK_PER_LEVEL: usize = 64 * 1024;
const STACK_BASE: usize = 1024 * 1024;

/// How the connection to the server is protected. There is no opportunistic mode: what is
/// asked for is had, or the connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// TLS from the first byte (RFC 8314). IMAP: port 993, SMTP: 465.
    Tls,
    /// STARTTLS before anything else (RFC 9051 §6.2.1, RFC 3207). IMAP: port 143, SMTP: 587.
    StartTls,
    /// No protection at all. IMAP: port 143, SMTP: 25. A password is sent only after
    /// [`allow_cleartext_password`](ImapClientBuilder::allow_cleartext_password).
    None,
}

/// Settings of an [`ImapClient`].
///
/// # Examples
/// ```no_run
/// use mailpool::{Credentials, ImapClient};
///
/// let client = ImapClient::builder("imap.example.org")
///     .credentials(Credentials::password("alice", "secret"))
///     .max_connections_per_server(8)
///     .connect()?;
/// # Ok::<(), mailpool::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until connect() is called"]
pub struct ImapClientBuilder {
    endpoint: Endpoint,
    enable: Vec<String>,
}

common_settings!(
    ImapClientBuilder,
    ports = "993 for [`Security::Tls`](crate::Security::Tls), else 143.",
    login = "Required.",
    keep_alive = "servers may do so after 30 minutes (RFC 9051 §5.4). Default: 5 minutes;"
);

impl ImapClientBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self {
            endpoint: Endpoint::new(host),
            enable: Vec::new(),
        }
    }

    /// Extensions that every connection turns on with ENABLE (RFC 5161) after its login, where
    /// the server offers them. Default: none.
    pub fn enable<S: Into<String>>(mut self, extensions: impl IntoIterator<Item = S>) -> Self {
        self.enable.extend(extensions.into_iter().map(Into::into));
        self
    }

    /// Opens the main connection and authenticates. The calling thread is the creating thread:
    /// its route is always the main connection.
    ///
    /// # Errors
    /// Where the builder's settings make no sense
    /// ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument)), the server cannot be
    /// reached, TLS fails or the server refuses the login. Nothing is left open.
    pub fn connect(self) -> Result<ImapClient> {
        let until = self.endpoint.until();
        self.connect_by(&until)
    }

    /// As [`connect`](Self::connect), with a deadline for this call alone.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_deadline(self, deadline: Instant) -> Result<ImapClient> {
        let until = self.endpoint.until_deadline(deadline);
        self.connect_by(&until)
    }

    fn connect_by(self, until: &Until) -> Result<ImapClient> {
        let endpoint = self.endpoint;
        check_extensions(&self.enable)?;
        let limits = endpoint.limits.clone();
        let (settings, account) = endpoint.prepare(Traits {
            protocol: "imap",
            port: match endpoint.security {
                Security::Tls => 993,
                Security::StartTls | Security::None => 143,
            },
            stack_size: STACK_BASE.saturating_add(STACK_PER_LEVEL.saturating_mul(limits.nesting())),
            max_age: None,
        })?;
        let Some(account) = account else {
            return Err(invalid("the credentials", "are missing"));
        };
        let config = Config {
            protection: match endpoint.security {
                Security::Tls => Protection::Implicit,
                Security::StartTls => Protection::StartTls,
                Security::None => Protection::Clear,
            },
            account,
            enable: self.enable,
            limits,
        };
        let (pool, patience) =
            endpoint.open(settings, until, move || Session::new(config.clone()))?;
        Ok(ImapClient::new(pool, endpoint.shutdown_timeout, patience))
    }
}
