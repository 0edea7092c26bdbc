//! What the builders of all clients have in common: where the server is, who logs in, how many
//! connections there may be, and how long things may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::Security;
use super::call::Patience;
use crate::connection::backoff::Backoff;
use crate::connection::cancel::{CancelToken, Until};
use crate::connection::clock;
use crate::connection::settings::Settings;
use crate::connection::tokens::TokenSource;
use crate::connection::transport::Tls;
use crate::error::{Error, ErrorKind, ProtocolFailure, Result};
use crate::pool::pool::Pool;
use crate::protocol::machine::Protocol;
use crate::protocol::sasl::{Account, KeyCache};
use crate::types::invalid::InvalidArgument;
use crate::types::limits::Limits;
use crate::types::sasl::SaslMechanism;
use crate::types::secret::{Credentials, Secret};

/// The settings that all clients have.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub host: String,
    pub port: Option<u16>,
    pub security: Security,
    pub credentials: Option<Credentials>,
    pub allow_cleartext: bool,
    pub mechanisms: Option<Vec<SaslMechanism>>,
    pub certificate: Option<ClientCertificate>,
    pub ca_pem: Vec<Vec<u8>>,
    pub only_own_ca: bool,
    pub accept_invalid_certificates: bool,
    pub server_name: Option<String>,
    pub quota: usize,
    pub idle_timeout: Duration,
    pub log_waits_after: Option<Duration>,
    pub timeout: Option<Duration>,
    pub keep_alive: Option<Duration>,
    pub tcp_keep_alive: Option<Duration>,
    pub stall_timeout: Duration,
    pub shutdown_timeout: Duration,
    pub limits: Limits,
    pub backoff: Backoff,
    pub cancel: Option<CancelToken>,
}

/// What differs between protocols.
pub(super) struct Traits {
    /// The protocol's name, for thread names and log lines.
    pub protocol: &'static str,
    pub port: u16,
    /// Stack of a connection thread, in bytes.
    pub stack_size: usize,
    /// How long a connection is used.
    pub max_age: Option<Duration>,
}

impl Endpoint {
    pub(super) fn new(host: String) -> Self {
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
            limits: Limits::default(),
            backoff: Backoff::new(),
            cancel: None,
        }
    }

    /// How long connecting may take.
    pub(super) fn until(&self) -> Until {
        let patience = Patience {
            timeout: self.timeout,
            cancel: self.cancel.clone(),
            ..Patience::default()
        };
        patience.begin()
    }

    /// The same with a deadline.
    pub(super) fn until_deadline(&self, deadline: Instant) -> Until {
        Until::deadline(Some(deadline)).with(self.cancel.clone())
    }

    /// Checks what every client needs, and says how connections are made and who logs in.
    pub(super) fn prepare(&self, traits: Traits) -> Result<(Settings, Option<Account>)> {
        if self.quota == 0 {
            return Err(invalid(
                "max_connections_per_server",
                "must be at least 1: the main connection counts",
            ));
        }
        if let Some(credentials) = &self.credentials {
            credentials.check()?;
        }
        if self.host.is_empty() || self.host.contains(['\0', '\r', '\n']) {
            return Err(invalid("the host", "is not a host name"));
        }
        let tls = match self.security {
            Security::None => None,
            Security::Tls | Security::StartTls => Some(self.tls()?),
        };
        let provider = self.credentials.as_ref().and_then(Credentials::provider);
        let settings = Settings {
            protocol: traits.protocol,
            port: self.port.unwrap_or(traits.port),
            implicit_tls: self.security == Security::Tls,
            tls,
            tokens: provider.cloned().map(TokenSource::new),
            stack_size: traits.stack_size,
            window: 1024 * 1024,
            buffer_limit: self.limits.buffered_body(),
            skip_limit: self.limits.skipped(),
            backoff: self.backoff.clone(),
            open_timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            max_age: traits.max_age,
            log_waits_after: self.log_waits_after,
            keep_alive: self.keep_alive,
            tcp_keep_alive: self.tcp_keep_alive,
            stall_timeout: self.stall_timeout,
            host: self.host.clone(),
        };
        let account = self.credentials.clone().map(|credentials| Account {
            credentials,
            allow_cleartext: self.allow_cleartext,
            mechanisms: self.mechanisms.clone(),
            scram_iterations: self.limits.scram_iterations(),
            host: settings.host.clone(),
            port: settings.port,
            keys: Arc::new(KeyCache::default()),
        });
        Ok((settings, account))
    }

    /// Opens the main connection.
    pub(super) fn open<P>(
        &self,
        settings: Settings,
        until: &Until,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> Result<(Arc<Pool<P>>, Patience)>
    where
        P: Protocol<Failure: ProtocolFailure>,
    {
        let started = clock::now();
        let pool = Pool::connect(settings, self.quota, until, Arc::new(make))
            .map_err(|error| Error::from_pool(error, self.quota, Some(clock::now() - started)))?;
        let patience = Patience {
            timeout: self.timeout,
            ..Patience::default()
        };
        Ok((pool, patience))
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
pub(super) enum ClientCertificate {
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

pub(super) fn invalid(what: &'static str, reason: &'static str) -> Error {
    InvalidArgument::new(what, reason).into()
}

/// The settings that every builder has. The builder has the field `endpoint`; the texts say what
/// differs.
macro_rules! common_settings {
    ($builder:ident, ports = $ports:literal, login = $login:literal, keep_alive = $keep_alive:literal) => {
        impl $builder {
            #[doc = concat!("The TCP port. Default: ", $ports)]
            pub fn port(mut self, port: u16) -> Self {
                self.endpoint.port = Some(port);
                self
            }

            /// How the connection is protected. Default: [`Security::Tls`](crate::Security::Tls).
            pub fn security(mut self, security: crate::Security) -> Self {
                self.endpoint.security = security;
                self
            }

            #[doc = concat!("Who logs in. ", $login)]
            pub fn credentials(mut self, credentials: crate::Credentials) -> Self {
                self.endpoint.credentials = Some(credentials);
                self
            }

            /// Allows the password, or an access token, to be sent over a connection without TLS, where
            /// everybody on the way can read it. Default: such a connection fails before it is sent.
            ///
            /// SCRAM and CRAM-MD5 do not send the password and need no permission, if the server offers
            /// them; but who listens can try passwords against what he heard.
            pub fn allow_cleartext_password(mut self) -> Self {
                self.endpoint.allow_cleartext = true;
                self
            }

            /// Uses these mechanisms only. Default: the strongest one that the server offers, of all that
            /// fit the credentials; [`SaslMechanism`](crate::SaslMechanism) has them in order. The LOGIN command of IMAP
            /// counts as [`SaslMechanism::Login`](crate::SaslMechanism::Login).
            ///
            /// Naming one keeps whoever stands between from removing it from the server's list, and is
            /// the way past a server that offers a mechanism for which it has no fitting password.
            pub fn sasl_mechanisms(mut self, mechanisms: impl IntoIterator<Item = crate::SaslMechanism>) -> Self {
                self.endpoint.mechanisms = Some(mechanisms.into_iter().collect());
                self
            }

            /// The client's own certificate with the chain of its authorities, and its private key
            /// (PKCS #8), all in PEM: for servers that ask for one, and for [`Credentials::external`](crate::Credentials::external).
            /// `connect` fails if they cannot be read.
            pub fn client_certificate_pem(
                mut self,
                chain: impl Into<Vec<u8>>,
                key: impl Into<crate::Secret>,
            ) -> Self {
                self.endpoint.certificate = Some(crate::client::endpoint::ClientCertificate::Pem {
                    chain: chain.into(),
                    key: key.into(),
                });
                self
            }

            /// The same as one file in the format PKCS #12, which is protected by a password.
            pub fn client_certificate_pkcs12(
                mut self,
                file: impl Into<crate::Secret>,
                password: impl Into<String>,
            ) -> Self {
                self.endpoint.certificate = Some(crate::client::endpoint::ClientCertificate::Pkcs12 {
                    file: file.into(),
                    password: password.into(),
                });
                self
            }

            /// Trusts the certificates in `pem` (one or several, in PEM), beside the system's. May be
            /// called several times. `connect` fails if they cannot be read.
            pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
                self.endpoint.ca_pem.push(pem.into());
                self
            }

            /// Trusts only the certificates given with [`ca_pem`](Self::ca_pem), not the system's.
            pub fn only_own_ca(mut self) -> Self {
                self.endpoint.only_own_ca = true;
                self
            }

            /// Accepts any certificate for any host name. Then anybody on the way can read and change
            /// everything, the password included: for tests only.
            pub fn danger_accept_invalid_certificates(mut self) -> Self {
                self.endpoint.accept_invalid_certificates = true;
                self
            }

            /// The name that the server's certificate must bear, also sent as SNI. Default: the host.
            pub fn server_name(mut self, name: impl Into<String>) -> Self {
                self.endpoint.server_name = Some(name.into());
                self
            }

            /// The most connections that this client and its clones have open at any time, the main
            /// connection included. Default: 10. `connect` fails for 0.
            ///
            /// Servers have limits of their own: Dovecot's default is 10 for each user and address,
            /// Gmail's 15 for each account.
            pub fn max_connections_per_server(mut self, quota: usize) -> Self {
                self.endpoint.quota = quota;
                self
            }

            /// How long a connection that was given back is kept for the next taker. Default: 30
            /// seconds. Zero closes it at once.
            pub fn idle_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.endpoint.idle_timeout = timeout;
                self
            }

            /// A thread that waits longer for a connection is explained in the log, once for each wait, as
            /// a warning: how many connections there are, which threads hold them, for how long, and what
            /// they do. Default: 30 seconds; `None`: never.
            pub fn log_waits_after(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
                self.endpoint.log_waits_after = time.into();
                self
            }

            /// How long one call may take: waiting for a permit, resolving, connecting, TLS,
            /// authentication, the command queue and the command together. Where messages are
            /// streamed, each wait for more may take that long. Default: 60 seconds; `None`: for ever.
            ///
            /// The client's `with_timeout` and `with_deadline` change it for single calls.
            pub fn timeout(mut self, timeout: impl Into<Option<std::time::Duration>>) -> Self {
                self.endpoint.timeout = timeout.into();
                self
            }

            #[doc = concat!("After how much silence an unused connection sends a NOOP, so that the server does not end it: ", $keep_alive, " `None`: never.")]
            pub fn keep_alive(mut self, interval: impl Into<Option<std::time::Duration>>) -> Self {
                self.endpoint.keep_alive = interval.into();
                self
            }

            /// After how much silence the system asks the server's system whether it is still there (TCP
            /// keepalive). One that does not answer four times in a row, every 15 seconds, is gone: the
            /// connection breaks. Default: one minute; `None`: never.
            pub fn tcp_keep_alive(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
                self.endpoint.tcp_keep_alive = time.into();
                self
            }

            /// How long a server may stay silent when it owes answers that no caller waits for any
            /// more. After that the connection counts as broken. Default: 30 seconds.
            pub fn stall_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.endpoint.stall_timeout = timeout;
                self
            }

            /// How long dropping the last handle may take to say goodbye. Default: 5 seconds.
            pub fn shutdown_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.endpoint.shutdown_timeout = timeout;
                self
            }

            /// When a connection that was lost is opened anew. Default: [`Backoff::new`](crate::Backoff::new).
            ///
            /// The main connection is kept: it is opened anew by itself. That of a scope or a task is
            /// opened anew as long as commands wait for it. A login that the server refuses is not tried
            /// again by itself; the next call tries it once more.
            pub fn reconnect(mut self, policy: crate::Backoff) -> Self {
                self.endpoint.backoff = policy;
                self
            }

            /// Ends [`connect`](Self::connect) when `token` is cancelled. The client's calls have tokens
            /// of their own, by its `with_cancel`.
            pub fn cancel(mut self, token: &crate::CancelToken) -> Self {
                self.endpoint.cancel = Some(token.clone());
                self
            }

            /// Bounds on what the server sends. Default: [`Limits::default`](crate::Limits).
            pub fn limits(mut self, limits: crate::Limits) -> Self {
                self.endpoint.limits = limits;
                self
            }
        }

        impl std::fmt::Debug for $builder {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("host", &self.endpoint.host)
                    .field("port", &self.endpoint.port)
                    .field("security", &self.endpoint.security)
                    .field("credentials", &self.endpoint.credentials)
                    .field("max_connections_per_server", &self.endpoint.quota)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use common_settings;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImapClient;

    #[test]
    fn a_wait_above_30_seconds_is_logged_unless_said_otherwise() {
        let endpoint = Endpoint::new("imap.example.org".to_owned());
        assert_eq!(endpoint.log_waits_after, Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_builder_shows_no_secret() {
        let builder = ImapClient::builder("imap.example.org")
            .credentials(Credentials::password("alice", "hunter2"))
            .client_certificate_pem("chain", "private");
        let shown = format!("{builder:?}");
        assert!(shown.contains("alice"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("private"),
            "{shown}"
        );
    }
}
