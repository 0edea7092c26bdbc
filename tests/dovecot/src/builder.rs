//! What a server shall be like.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mailpool_test_daemon::Unavailable;

use crate::SKIP;
use crate::instance::Dovecot;

/// A user of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The password; made up for the test, so it may be printed.
    pub password: String,
}

/// How the server keeps its mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One file per message, Maildir++ folders: mail can be delivered by writing files.
    #[default]
    Maildir,
    /// Dovecot's own format, with one file per message. Delivery runs `doveadm save` for each
    /// message, which is slower by far.
    SdBox,
}

/// A protocol that the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Service {
    /// IMAP with STARTTLS, and IMAP over TLS.
    Imap,
    /// POP3 with STLS, and POP3 over TLS.
    Pop3,
    /// Submission with STARTTLS, and submission over TLS. Mail goes on to the server that
    /// [`Builder::relay`] names; without one no transaction succeeds.
    Submission,
    /// LMTP with STARTTLS, and LMTP over TLS: for users of this server, with any domain, into
    /// their INBOX.
    Lmtp,
}

/// Settings for a server that is about to be started.
///
/// The default is a server with IMAP only, Maildir, separator `/` and no prefix, no users,
/// mechanisms PLAIN and LOGIN, passwords accepted without TLS, and practically no limit on
/// connections.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) users: Vec<User>,
    pub(crate) services: Vec<Service>,
    pub(crate) format: Format,
    pub(crate) mechanisms: String,
    pub(crate) max_connections_per_user: u32,
    pub(crate) plaintext_allowed: bool,
    pub(crate) client_certificates: bool,
    pub(crate) address: IpAddr,
    pub(crate) separator: char,
    pub(crate) prefix: String,
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) blocks: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            services: vec![Service::Imap],
            format: Format::Maildir,
            mechanisms: "plain login".to_owned(),
            max_connections_per_user: 10_000,
            plaintext_allowed: true,
            client_certificates: false,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            separator: '/',
            prefix: String::new(),
            relay: None,
            settings: Vec::new(),
            blocks: Vec::new(),
        }
    }
}

impl Builder {
    /// Adds a user. More can be added while the server runs: [`Dovecot::add_user`].
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push(User {
            name: name.into(),
            password: password.into(),
        });
        self
    }

    /// Offers one more protocol beside IMAP.
    pub fn service(mut self, service: Service) -> Self {
        if !self.services.contains(&service) {
            self.services.push(service);
        }
        self
    }

    /// Offers [`Service::Submission`], which hands mail on to the SMTP server at this address:
    /// without TLS, without authentication, while the client waits.
    ///
    /// Most of what the server says about a transaction is what the relay said.
    pub fn relay(mut self, address: SocketAddr) -> Self {
        self.relay = Some(address);
        self.service(Service::Submission)
    }

    /// How mail is kept. Default: [`Format::Maildir`].
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// `auth_mechanisms`, separated by spaces. Default: `plain login`. Passwords are known to
    /// the server in clear, so `cram-md5`, `digest-md5`, `scram-sha-1`, `scram-sha-256` work too.
    pub fn mechanisms(mut self, mechanisms: impl Into<String>) -> Self {
        self.mechanisms = mechanisms.into();
        self
    }

    /// `mail_max_userip_connections`: how many sessions one user may have from one address.
    /// Default: 10,000. Dovecot's own default is 10.
    pub fn max_connections_per_user(mut self, limit: u32) -> Self {
        self.max_connections_per_user = limit;
        self
    }

    /// Refuses passwords before TLS: `LOGINDISABLED` until STARTTLS.
    ///
    /// Dovecot counts a connection from an address to the same address as secure, so such a
    /// server listens at 127.0.0.2, which connections reach from 127.0.0.1. Its certificate
    /// covers `localhost`, 127.0.0.1 and 127.0.0.2 in any case.
    pub fn refuse_plaintext(mut self) -> Self {
        self.plaintext_allowed = false;
        self.address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        self
    }

    /// Asks clients for certificates, and offers EXTERNAL: the common name is the user.
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self.mechanisms.push_str(" external");
        self
    }

    /// The hierarchy separator. Default: `/`.
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// The prefix of the personal namespace, for example `INBOX.`. Default: none.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Adds `key = value` to the end of the configuration, where it overrides what is before.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Adds text to the end of the configuration as it is, for settings inside braces:
    ///
    /// ```no_run
    /// # use mailpool_test_dovecot::Dovecot;
    /// let dovecot = Dovecot::builder()
    ///     .user("alice", "secret")
    ///     .setting("mail_plugins", "quota")
    ///     .block("protocol imap { mail_plugins = quota imap_quota }")
    ///     .block("plugin { quota = count:User\n quota_vsizes = yes\n quota_rule = *:storage=100K\n }")
    ///     .start()?;
    /// # Ok::<(), mailpool_test_dovecot::Unavailable>(())
    /// ```
    pub fn block(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(text.into());
        self
    }

    /// Starts the server and waits until it greets on every port.
    ///
    /// # Errors
    /// [`Unavailable`] says what is missing, or how Dovecot failed, with its log. Nothing of it
    /// is left running then.
    pub fn start(self) -> Result<Dovecot, Unavailable> {
        Dovecot::start(&self)
    }

    /// Like [`start`](Self::start), for use in a test: `None` where the tests against Dovecot
    /// are to be skipped (see the crate's documentation).
    ///
    /// # Panics
    /// Where Dovecot is missing or fails although it is wanted.
    pub fn start_or_skip(self) -> Option<Dovecot> {
        if SKIP.this_test() {
            return None;
        }
        match self.start() {
            Ok(dovecot) => Some(dovecot),
            Err(unavailable) => panic!("{unavailable}\n{unavailable:?}"),
        }
    }
}
