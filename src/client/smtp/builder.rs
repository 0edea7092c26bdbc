//! How an SMTP client is made.

use std::time::{Duration, Instant};

use super::{LineEndings, SmtpClient};
use crate::client::builder::Security;
use crate::client::endpoint::{Endpoint, Traits, common_settings, invalid};
use crate::connection::cancel::Until;
use crate::error::Result;
use crate::protocol::smtp::session::{Config, Protection, Session};

/// Stack of a connection thread. Replies have no structure that could be nested.
const STACK: usize = 512 * 1024;

/// Settings of an [`SmtpClient`].
///
/// # Examples
/// ```no_run
/// use mailpool::{Credentials, Security, SmtpClient};
///
/// // Submission over implicit TLS, port 465.
/// let client = SmtpClient::builder("smtp.example.org")
///     .credentials(Credentials::password("alice", "secret"))
///     .max_connections_per_server(4)
///     .connect()?;
///
/// // A relay on the same machine, without TLS and without a login, port 25.
/// let relay = SmtpClient::builder("localhost")
///     .security(Security::None)
///     .connect()?;
/// # Ok::<(), mailpool::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until connect() is called"]
pub struct SmtpClientBuilder {
    endpoint: Endpoint,
    lmtp: bool,
    hello_name: Option<String>,
    pipelining: bool,
    chunking: bool,
    line_endings: LineEndings,
    max_messages: Option<u64>,
    max_age: Option<Duration>,
}

common_settings!(
    SmtpClientBuilder,
    ports = "465 for [`Security::Tls`](crate::Security::Tls), 587 for \
             [`Security::StartTls`](crate::Security::StartTls), else 25; for LMTP 24.",
    login = "Default: nobody, as with relays and LMTP.",
    keep_alive = "servers may do so after 5 minutes (RFC 5321 §4.5.3.2.7). Default: 2 minutes;"
);

impl SmtpClientBuilder {
    pub(super) fn new(host: String) -> Self {
        let mut endpoint = Endpoint::new(host);
        endpoint.keep_alive = Some(Duration::from_secs(120));
        Self {
            endpoint,
            lmtp: false,
            hello_name: None,
            pipelining: true,
            chunking: true,
            line_endings: LineEndings::default(),
            max_messages: Some(1000),
            max_age: Some(Duration::from_secs(600)),
        }
    }

    /// Speaks LMTP (RFC 2033): to a server that delivers by itself, and answers for each recipient
    /// whether it has. Port 24 unless [`port`](Self::port) says another one; most such servers have
    /// no TLS ([`security`](Self::security)) and want no login.
    pub fn lmtp(mut self) -> Self {
        self.lmtp = true;
        self
    }

    /// What this side calls itself in EHLO: a host name, or an address literal such as
    /// `[192.0.2.1]`. Default: `[127.0.0.1]`, which says nothing about this machine. `connect`
    /// fails for a name with anything but printable ASCII.
    pub fn hello_name(mut self, name: impl Into<String>) -> Self {
        self.hello_name = Some(name.into());
        self
    }

    /// Whether several commands leave in one flight where the server offers PIPELINING
    /// (RFC 2920): MAIL and all RCPT, and behind the end of a message the MAIL of the next one.
    /// Default: yes. Without it each command waits for the answer to the one before.
    pub fn pipelining(mut self, on: bool) -> Self {
        self.pipelining = on;
        self
    }

    /// Whether messages are sent with BDAT where the server offers CHUNKING (RFC 3030), which
    /// saves a round trip and the search for dots. Default: yes.
    pub fn chunking(mut self, on: bool) -> Self {
        self.chunking = on;
        self
    }

    /// What is done about CR and LF that stand alone in a message. Default:
    /// [`LineEndings::Normalise`].
    pub fn line_endings(mut self, line_endings: LineEndings) -> Self {
        self.line_endings = line_endings;
        self
    }

    /// How many messages go over one connection before a new one takes its place. Default:
    /// 1,000; `None`: no limit but the server's own (RFC 9422). `connect` fails for 0.
    pub fn max_messages_per_connection(mut self, messages: impl Into<Option<u64>>) -> Self {
        self.max_messages = messages.into();
        self
    }

    /// How long a connection is used before a new one takes its place for the next message. Each
    /// is used for one at least. Default: 10 minutes; `None`: no limit. Nobody is told of the
    /// change: nothing is lost by it.
    pub fn max_connection_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// Opens the main connection and logs in, if there are credentials. The calling thread is
    /// the creating thread: its route is always the main connection.
    ///
    /// # Errors
    /// Where the builder's settings make no sense
    /// ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument)), the server cannot be
    /// reached or does not want to talk, TLS fails or the server refuses the login. Nothing is
    /// left open.
    pub fn connect(self) -> Result<SmtpClient> {
        let until = self.endpoint.until();
        self.connect_by(&until)
    }

    /// As [`connect`](Self::connect), with a deadline for this call alone.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_deadline(self, deadline: Instant) -> Result<SmtpClient> {
        let until = self.endpoint.until_deadline(deadline);
        self.connect_by(&until)
    }

    fn connect_by(self, until: &Until) -> Result<SmtpClient> {
        let endpoint = self.endpoint;
        let hello_name = self.hello_name.unwrap_or_else(|| "[127.0.0.1]".to_owned());
        let graphic = hello_name.bytes().all(|one| one.is_ascii_graphic());
        if hello_name.is_empty() || hello_name.len() > 255 || !graphic {
            return Err(invalid("hello_name", "is not a host name"));
        }
        if self.max_messages == Some(0) {
            return Err(invalid("max_messages_per_connection", "must be at least 1"));
        }
        let (settings, account) = endpoint.prepare(Traits {
            protocol: if self.lmtp { "lmtp" } else { "smtp" },
            port: match endpoint.security {
                _ if self.lmtp => 24,
                Security::Tls => 465,
                Security::StartTls => 587,
                Security::None => 25,
            },
            stack_size: STACK,
            max_age: self.max_age,
        })?;
        let config = Config {
            lmtp: self.lmtp,
            protection: match endpoint.security {
                Security::Tls => Protection::Implicit,
                Security::StartTls => Protection::StartTls,
                Security::None => Protection::Clear,
            },
            account,
            hello_name,
            pipelining: self.pipelining,
            chunking: self.chunking,
            max_messages: self.max_messages,
            limits: endpoint.limits.clone(),
        };
        let (pool, patience) =
            endpoint.open(settings, until, move || Session::new(config.clone()))?;
        let client = SmtpClient::new(pool, endpoint.shutdown_timeout, patience);
        Ok(client.with_line_endings(self.line_endings))
    }
}
