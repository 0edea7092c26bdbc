//! Describes a server before it starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::capabilities::{Capabilities, Stage};
use crate::faults::Faults;
use crate::hub::{Hub, Settings};
use crate::imap;
use crate::server::{LimitMode, Protocol, Security, Server, SessionBody};
use crate::smtp::{self, Dialect};
use crate::store::{Message, Store};
use crate::tls::TlsMaterial;

/// Describes a [`Server`]; [`start`](Self::start) starts it.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    store: Store,
    settings: Settings,
    protocol: Protocol,
    capabilities: Vec<CapabilityChange>,
    host: String,
    bind: IpAddr,
    port: u16,
    faults: Vec<FaultSetter>,
    problem: Option<io::Error>,
}

/// A change to what the protocol's default list of capabilities is.
#[derive(Debug)]
enum CapabilityChange {
    Add(String),
    Remove(String),
    Set(Stage, Vec<String>),
}

struct FaultSetter(Box<dyn FnOnce(&Faults) + Send>);

impl std::fmt::Debug for FaultSetter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FaultSetter")
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            store: Store::default(),
            settings: Settings::default(),
            protocol: Protocol::default(),
            capabilities: Vec::new(),
            host: "127.0.0.1".to_owned(),
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            faults: Vec::new(),
            problem: None,
        }
    }
}

impl Builder {
    /// Adds a user with an INBOX.
    pub fn user(self, name: &str, password: &str) -> Self {
        self.store.add_user(name, password);
        self
    }

    /// Creates a mailbox of a user, with the levels above it, and adds these messages.
    pub fn mailbox<I>(self, user: &str, mailbox: &str, messages: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Message>,
    {
        self.store.create_mailbox(user, mailbox);
        for message in messages {
            self.store.append(user, mailbox, message);
        }
        self
    }

    /// Adds the messages of a Maildir, see [`Store::add_maildir`]. An error shows at
    /// [`start`](Self::start).
    pub fn maildir(mut self, user: &str, mailbox: &str, path: impl AsRef<Path>) -> Self {
        if let Err(error) = self.store.add_maildir(user, mailbox, path.as_ref()) {
            self.problem.get_or_insert(error);
        }
        self
    }

    /// Gives a mailbox a special use, such as `\Sent`.
    pub fn special_use(self, user: &str, mailbox: &str, special_use: &str) -> Self {
        self.store.set_special_use(user, mailbox, special_use);
        self
    }

    /// Uses a store that was filled before, or that another server uses too.
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// How connections are secured. Default: [`Security::None`].
    pub fn security(mut self, security: Security) -> Self {
        self.settings.security = security;
        self
    }

    /// What [`Server::host`] says. Default: `127.0.0.1`. The certificate is good for
    /// `localhost`, `127.0.0.1` and `::1`.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Listens on `::1`, not on `127.0.0.1`.
    pub fn ipv6(mut self) -> Self {
        self.bind = Ipv6Addr::LOCALHOST.into();
        "::1".clone_into(&mut self.host);
        self
    }

    /// Listens on this port, for example that of a server that is no more. Default: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What the server speaks. Default: [`Protocol::Imap`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Adds a capability where it belongs, such as `IMAP4rev2`, or a line of the answer to EHLO,
    /// such as `SIZE 1000`, `LIMITS RCPTMAX=10` or `X-STRANGE`. One with the same keyword is
    /// replaced. SMTP obeys the numbers that it announces.
    pub fn with(mut self, capability: &str) -> Self {
        let change = CapabilityChange::Add(capability.to_owned());
        self.capabilities.push(change);
        self
    }

    /// Removes a capability, for SMTP given by its keyword, everywhere. The commands and
    /// parameters that need it are refused.
    pub fn without(mut self, capability: &str) -> Self {
        let change = CapabilityChange::Remove(capability.to_owned());
        self.capabilities.push(change);
        self
    }

    /// Replaces the capability list of one stage.
    pub fn capabilities(mut self, stage: Stage, names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.capabilities.push(CapabilityChange::Set(stage, names));
        self
    }

    /// Takes mail only from those who have logged in (530). Default: from everybody. SMTP and
    /// LMTP only.
    pub fn require_login(mut self) -> Self {
        self.settings.require_login = true;
        self
    }

    /// Keeps of the messages that SMTP and LMTP deliver only the length and the SHA-256 digest,
    /// so that large ones cost no memory. They do not get into the INBOX of a user.
    pub fn digests_only(mut self) -> Self {
        self.settings.digests_only = true;
        self
    }

    /// Refuses a recipient, see [`Faults::refuse_recipient`].
    pub fn refuse_recipient(self, address: &str, reply: &str) -> Self {
        let (address, reply) = (address.to_owned(), reply.to_owned());
        self.faults(move |faults| {
            faults.refuse_recipient(&address, reply);
        })
    }

    /// Serves at most so many connections at once. Default: no limit.
    pub fn max_connections(mut self, max: usize) -> Self {
        self.settings.max_connections = Some(max);
        self
    }

    /// How a connection too many is told. Default: [`LimitMode::ByeAtGreeting`].
    pub fn limit_mode(mut self, mode: LimitMode) -> Self {
        self.settings.limit_mode = mode;
        self
    }

    /// The longest literal that is taken, in bytes. Default: 64 MiB.
    pub fn max_literal(mut self, bytes: usize) -> Self {
        self.settings.max_literal = bytes;
        self
    }

    /// Keeps the whole commands in the log, not only their verbs.
    pub fn record_lines(mut self) -> Self {
        self.settings.record_lines = true;
        self
    }

    /// Greets with PREAUTH, as this user.
    pub fn preauth(mut self, user: &str) -> Self {
        self.settings.preauth = Some(user.to_owned());
        self
    }

    /// Sets faults before the first connection.
    pub fn faults<F>(mut self, set: F) -> Self
    where
        F: FnOnce(&Faults) + Send + 'static,
    {
        self.faults.push(FaultSetter(Box::new(set)));
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// If the port, the certificate, a thread or a Maildir is not to be had.
    pub fn start(self) -> io::Result<Server> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut capabilities = Capabilities::new(self.protocol);
        for change in self.capabilities {
            match change {
                CapabilityChange::Add(name) => capabilities.add(&name),
                CapabilityChange::Remove(name) => capabilities.remove(&name),
                CapabilityChange::Set(stage, names) => capabilities.set(stage, names),
            }
        }
        let session: SessionBody = match self.protocol {
            Protocol::Imap => Arc::new(imap::serve),
            Protocol::Smtp => Arc::new(|connection| smtp::serve(connection, Dialect::Smtp)),
            Protocol::Lmtp => Arc::new(|connection| smtp::serve(connection, Dialect::Lmtp)),
        };
        let hub = Arc::new(Hub::new(
            self.settings,
            capabilities,
            self.store,
            TlsMaterial::generate()?,
        ));
        let faults = Faults::new(Arc::clone(&hub), None);
        for setter in self.faults {
            (setter.0)(&faults);
        }
        let bind = SocketAddr::new(self.bind, self.port);
        Server::start(hub, self.host, bind, session)
    }
}
