//! How a client is made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Patience;
use super::imap::{ImapClient, check_extensions};
use crate::connection::backoff::Backoff;
use crate::connection::cancel::{CancelToken, Until};
use crate::connection::clock;
use crate::connection::settings::Settings;
use crate::connection::tokens::TokenSource;
use crate::connection::transport::Tls;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::pool::Pool;
use crate::protocol::imap::session::{Config, Protection, Session};
use crate::protocol::sasl::{Account, KeyCache};
use crate::types::invalid::InvalidArgument;
use crate::types::limits::Limits;
use crate::types::sasl::SaslMechanism;
use crate::types::secret::{Credentials, Secret};

/// Stack of a connection thread for each level of nesting that it may have to parse: what
/// imap-proto needs for nested messages in a build without optimisation, with a margin.
const STACK_PER_LEVEL: usize = 64 * 1024;
const STACK_BASE: usize = 1024 * 1024;

/// How the connection to the server is protected. There is no opportunistic mode: what is
/// asked for is had, or the connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// TLS from the first byte (RFC 8314). Port 993.
    Tls,
    /// STARTTLS before anything else (RFC 9051 §6.2.1). Port 143.
    StartTls,
    /// No protection at all. Port 143. A password is sent only after
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
    host: String,
    port: Option<u16>,
    security: Security,
    credentials: Option<Credentials>,
    allow_cleartext: bool,
    mechanisms: Option<Vec<SaslMechanism>>,
    certificate: Option<ClientCertificate>,
    ca_pem: Vec<Vec<u8>>,
    only_own_ca: bool,
    accept_invalid_certificates: bool,
    server_name: Option<String>,
    quota: usize,
    idle_timeout: Duration,
    log_waits_after: Option<Duration>,
    timeout: Option<Duration>,
    keep_alive: Option<Duration>,
    tcp_keep_alive: Option<Duration>,
    stall_timeout: Duration,
    shutdown_timeout: Duration,
    enable: Vec<String>,
    limits: Limits,
    backoff: Backoff,
    cancel: Option<CancelToken>,
}

impl ImapClientBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self {
            host,
            port: None,
            security: Security::Tls,
            credentials: None,
            allow_cleartext: false,
            mechanisms: None,
            certificate: None,
            ca_pem: Vec::new(),
            only_own_ca: false,
            accept_invalid_certificates: false,
            server_name: None,
            quota: 10,
            idle_timeout: Duration::from_secs(30),
            log_waits_after: Some(Duration::from_secs(30)),
            timeout: Some(Duration::from_secs(60)),
            keep_alive: Some(Duration::from_secs(300)),
            tcp_keep_alive: Some(Duration::from_secs(60)),
            stall_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
            enable: Vec::new(),
            limits: Limits::default(),
            backoff: Backoff::new(),
            cancel: None,
        }
    }

    /// The TCP port. Default: 993 for [`Security::Tls`], else 143.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How the connection is protected. Default: [`Security::Tls`].
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Who logs in. Required.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Allows the password, or an access token, to be sent over a connection without TLS, where
    /// everybody on the way can read it. Default: such a connection fails before it is sent.
    ///
    /// SCRAM and CRAM-MD5 do not send the password and need no permission, if the server offers
    /// them; but who listens can try passwords against what he heard.
    pub fn allow_cleartext_password(mut self) -> Self {
        self.allow_cleartext = true;
        self
    }

    /// Uses these mechanisms only. Default: the strongest one that the server offers, of all that
    /// fit the credentials; [`SaslMechanism`] has them in order. The LOGIN command of IMAP
    /// counts as [`SaslMechanism::Login`].
    ///
    /// Naming one keeps whoever stands between from removing it from the server's list, and is
    /// the way past a server that offers a mechanism for which it has no fitting password.
    pub fn sasl_mechanisms(mut self, mechanisms: impl IntoIterator<Item = SaslMechanism>) -> Self {
        self.mechanisms = Some(mechanisms.into_iter().collect());
        self
    }

    /// The client's own certificate with the chain of its authorities, and its private key
    /// (PKCS #8), all in PEM: for servers that ask for one, and for [`Credentials::external`].
    /// `connect` fails if they cannot be read.
    pub fn client_certificate_pem(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Secret>,
    ) -> Self {
        self.certificate = Some(ClientCertificate::Pem {
            chain: chain.into(),
            key: key.into(),
        });
        self
    }

    /// The same as one file in the format PKCS #12, which is protected by a password.
    pub fn client_certificate_pkcs12(
        mut self,
        file: impl Into<Secret>,
        password: impl Into<String>,
    ) -> Self {
        self.certificate = Some(ClientCertificate::Pkcs12 {
            file: file.into(),
            password: password.into(),
        });
        self
    }

    /// Trusts the certificates in `pem` (one or several, in PEM), beside the system's. May be
    /// called several times. `connect` fails if they cannot be read.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem.push(pem.into());
        self
    }

    /// Trusts only the certificates given with [`ca_pem`](Self::ca_pem), not the system's.
    pub fn only_own_ca(mut self) -> Self {
        self.only_own_ca = true;
        self
    }

    /// Accepts any certificate for any host name. Then anybody on the way can read and change
    /// everything, the password included: for tests only.
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.accept_invalid_certificates = true;
        self
    }

    /// The name that the server's certificate must bear, also sent as SNI. Default: the host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The most connections that this client and its clones have open at any time, the main
    /// connection included. Default: 10. `connect` fails for 0.
    ///
    /// Servers have limits of their own: Dovecot's default is 10 for each user and address,
    /// Gmail's 15 for each account.
    pub fn max_connections_per_server(mut self, quota: usize) -> Self {
        self.quota = quota;
        self
    }

    /// How long a connection that was given back is kept for the next taker. Default: 30
    /// seconds. Zero closes it at once.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// A thread that waits longer for a connection is explained in the log, once for each wait, as
    /// a warning: how many connections there are, which threads hold them, for how long, and what
    /// they do. Default: 30 seconds; `None`: never.
    pub fn log_waits_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.log_waits_after = time.into();
        self
    }

    /// How long one call may take: waiting for a permit, resolving, connecting, TLS,
    /// authentication, the command queue and the command together. Where messages are
    /// streamed, each wait for more may take that long. Default: 60 seconds; `None`: for ever.
    ///
    /// [`ImapClient::with_timeout`] and [`ImapClient::with_deadline`] change it for single
    /// calls.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// After how much silence an unused connection sends a NOOP, so that the server does not
    /// end it: servers may do so after 30 minutes (RFC 9051 §5.4). Default: 5 minutes; `None`:
    /// never.
    pub fn keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = interval.into();
        self
    }

    /// After how much silence the system asks the server's system whether it is still there (TCP
    /// keepalive). One that does not answer four times in a row, every 15 seconds, is gone: the
    /// connection breaks. Default: one minute; `None`: never.
    pub fn tcp_keep_alive(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.tcp_keep_alive = time.into();
        self
    }

    /// How long a server may stay silent when it owes answers that no caller waits for any
    /// more. After that the connection counts as broken. Default: 30 seconds.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// How long dropping the last handle may take to say goodbye. Default: 5 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Extensions that every connection turns on with ENABLE (RFC 5161) after its login, where
    /// the server offers them. Default: none.
    pub fn enable<S: Into<String>>(mut self, extensions: impl IntoIterator<Item = S>) -> Self {
        self.enable.extend(extensions.into_iter().map(Into::into));
        self
    }

    /// When a connection that was lost is opened anew. Default: [`Backoff::new`].
    ///
    /// The main connection is kept: it is opened anew by itself. That of a scope or a task is
    /// opened anew as long as commands wait for it. A login that the server refuses is not tried
    /// again by itself; the next call tries it once more.
    pub fn reconnect(mut self, policy: Backoff) -> Self {
        self.backoff = policy;
        self
    }

    /// Ends [`connect`](Self::connect) when `token` is cancelled. The client's calls have tokens
    /// of their own: [`ImapClient::with_cancel`].
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Bounds on what the server sends. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the main connection and authenticates. The calling thread is the creating thread:
    /// its route is always the main connection.
    ///
    /// # Errors
    /// Where the builder's settings make no sense ([`ErrorKind::InvalidArgument`]), the server
    /// cannot be reached, TLS fails or the server refuses the login. Nothing is left open.
    pub fn connect(self) -> Result<ImapClient> {
        let patience = Patience {
            timeout: self.timeout,
            cancel: self.cancel.clone(),
            ..Patience::default()
        };
        self.connect_by(&patience.begin())
    }

    /// As [`connect`](Self::connect), with a deadline for this call alone.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_deadline(self, deadline: Instant) -> Result<ImapClient> {
        let until = Until::deadline(Some(deadline)).with(self.cancel.clone());
        self.connect_by(&until)
    }

    fn connect_by(self, until: &Until) -> Result<ImapClient> {
        let Some(credentials) = self.credentials.clone() else {
            return Err(invalid("the credentials", "are missing"));
        };
        if self.quota == 0 {
            return Err(invalid(
                "max_connections_per_server",
                "must be at least 1: the main connection counts",
            ));
        }
        credentials.check()?;
        check_extensions(&self.enable)?;
        if self.host.is_empty() || self.host.contains(['\0', '\r', '\n']) {
            return Err(invalid("the host", "is not a host name"));
        }
        let tls = match self.security {
            Security::None => None,
            Security::Tls | Security::StartTls => Some(self.tls()?),
        };
        let limits = self.limits;
        let settings = Settings {
            protocol: "imap",
            port: self.port.unwrap_or(match self.security {
                Security::Tls => 993,
                Security::StartTls | Security::None => 143,
            }),
            implicit_tls: self.security == Security::Tls,
            tls,
            tokens: credentials.provider().cloned().map(TokenSource::new),
            stack_size: STACK_BASE.saturating_add(STACK_PER_LEVEL.saturating_mul(limits.nesting())),
            window: 1024 * 1024,
            buffer_limit: limits.buffered_body(),
            skip_limit: limits.skipped(),
            backoff: self.backoff,
            open_timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            max_age: None,
            log_waits_after: self.log_waits_after,
            keep_alive: self.keep_alive,
            tcp_keep_alive: self.tcp_keep_alive,
            stall_timeout: self.stall_timeout,
            host: self.host,
        };
        let account = Account {
            credentials,
            allow_cleartext: self.allow_cleartext,
            mechanisms: self.mechanisms,
            scram_iterations: limits.scram_iterations(),
            host: settings.host.clone(),
            port: settings.port,
            keys: Arc::new(KeyCache::default()),
        };
        let config = Config {
            protection: match self.security {
                Security::Tls => Protection::Implicit,
                Security::StartTls => Protection::StartTls,
                Security::None => Protection::Clear,
            },
            account,
            enable: self.enable,
            limits,
        };
        let make = Arc::new(move || Session::new(config.clone()));
        let started = clock::now();
        let pool = Pool::connect(settings, self.quota, until, make)
            .map_err(|error| Error::from_pool(error, self.quota, Some(clock::now() - started)))?;
        Ok(ImapClient::new(
            pool,
            self.shutdown_timeout,
            Patience {
                timeout: self.timeout,
                ..Patience::default()
            },
        ))
    }

    /// Building a connector loads the system's certificates: once for all connections.
    fn tls(&self) -> Result<Tls> {
        let tls_error = |source| {
            Error::not_sent(ErrorKind::Tls {
                source: Arc::new(source),
            })
        };
        let mut builder = native_tls::TlsConnector::builder();
        builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
        for pem in &self.ca_pem {
            let certificates = native_tls::Certificate::stack_from_pem(pem).map_err(tls_error)?;
            if certificates.is_empty() {
                return Err(invalid("the CA file", "holds no certificate in PEM"));
            }
            for certificate in certificates {
                builder.add_root_certificate(certificate);
            }
        }
        if let Some(certificate) = &self.certificate {
            builder.identity(certificate.identity().map_err(tls_error)?);
        }
        builder.disable_built_in_roots(self.only_own_ca);
        if self.accept_invalid_certificates {
            builder.danger_accept_invalid_certs(true);
            builder.danger_accept_invalid_hostnames(true);
        }
        Ok(Tls {
            connector: builder.build().map_err(tls_error)?,
            server_name: self
                .server_name
                .clone()
                .unwrap_or_else(|| self.host.trim_matches(['[', ']']).to_owned()),
        })
    }
}

/// Not `Debug`: it holds a private key.
#[derive(Clone)]
enum ClientCertificate {
    Pem { chain: Vec<u8>, key: Secret },
    Pkcs12 { file: Secret, password: String },
}

impl ClientCertificate {
    fn identity(&self) -> native_tls::Result<native_tls::Identity> {
        match self {
            Self::Pem { chain, key } => native_tls::Identity::from_pkcs8(chain, key.expose()),
            Self::Pkcs12 { file, password } => {
                native_tls::Identity::from_pkcs12(file.expose(), password)
            }
        }
    }
}

fn invalid(what: &'static str, reason: &'static str) -> Error {
    InvalidArgument::new(what, reason).into()
}

impl fmt::Debug for ImapClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapClientBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("credentials", &self.credentials)
            .field("max_connections_per_server", &self.quota)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_above_30_seconds_is_logged_unless_said_otherwise() {
        let builder = ImapClientBuilder::new("imap.example.org".to_owned());
        assert_eq!(builder.log_waits_after, Some(Duration::from_secs(30)));
        assert_eq!(builder.log_waits_after(None).log_waits_after, None);
    }
}
