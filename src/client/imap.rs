//! The IMAP client: what concerns the account.

use std::sync::Arc;

use super::builder::ImapClientBuilder;
use super::call::{self, Patience, pool_error};
use super::exclusive::Exclusive;
use super::handle::{Inner, common_methods};
use super::mailbox::Mailbox;
use crate::connection::failure::Phase;
use crate::error::{Error, Result};
use crate::protocol::imap::session::Session;
use crate::protocol::imap::session::operation::{End, Operation, Request};
use crate::types::capability::Capabilities;
use crate::types::invalid::InvalidArgument;
use crate::types::listing::{ListEntry, Namespaces};
use crate::types::mailbox_name::MailboxName;

/// An IMAP client that all threads share.
///
/// It is a cheap handle: clones share the connections, the quota and everything else. Every
/// method may be called from any thread and blocks until its answer is there or its deadline
/// has passed.
///
/// # Where operations go
/// A thread that holds a [`ConnectionScope`](crate::ConnectionScope) uses that connection; every other thread uses the
/// main connection, where the commands of many threads are pipelined. An operation is one
/// unit on its connection: SELECT if another mailbox is selected, then the command. Operations
/// of different threads overlap as far as their answers can be told apart; none selects another
/// mailbox while one is under way.
///
/// # The end
/// When the last handle is dropped, mailboxes included, every connection says LOGOUT and its
/// thread is joined. What is still open after the builder's
/// [`shutdown_timeout`](ImapClientBuilder::shutdown_timeout) is closed without a goodbye.
///
/// # Examples
/// ```no_run
/// use mailpool::{Credentials, ImapClient, Items, Query};
///
/// let client = ImapClient::builder("imap.example.org")
///     .credentials(Credentials::password("alice", "secret"))
///     .connect()?;
/// let inbox = client.mailbox("INBOX");
/// let unseen = inbox.search(Query::unseen())?;
/// std::thread::scope(|threads| {
///     for uids in unseen.chunks(100) {
///         let (client, inbox) = (&client, &inbox);
///         threads.spawn(move || -> mailpool::Result<()> {
///             let _connection = client.create_connection()?;
///             for message in inbox.fetch(uids, Items::full())? {
///                 println!("{}", message?.uid());
///             }
///             Ok(())
///         });
///     }
/// });
/// # Ok::<(), mailpool::Error>(())
/// ```
#[derive(Clone)]
pub struct ImapClient {
    inner: Arc<Inner<Session>>,
    pub(super) patience: Patience,
}

common_methods!(
    ImapClient {},
    Session,
    goodbye = "LOGOUT",
    example = "client.mailbox(\"INBOX\").status(mailpool::StatusItems::default())"
);

impl ImapClient {
    /// Begins to set up a client for the server at `host`, a name or an address.
    pub fn builder(host: impl Into<String>) -> ImapClientBuilder {
        ImapClientBuilder::new(host.into())
    }

    /// Takes the calling thread's route for this thread alone, until the guard is dropped.
    /// What this thread does with the client meanwhile goes to the same connection.
    ///
    /// Waits until what others have sent there is done. Inside an exclusive session, sequence
    /// numbers have a meaning: see [`Exclusive::mailbox`].
    ///
    /// # Errors
    /// When the deadline passes or the connection breaks. A session whose connection breaks is
    /// over: its further calls fail.
    pub fn exclusive(&self) -> Result<Exclusive> {
        let pool = self.pool();
        match pool.exclusive(&self.patience.begin_call()?) {
            Ok(guard) => Ok(Exclusive::new(guard, self.clone())),
            Err(error) => Err(pool_error(pool, error, None)),
        }
    }

    /// A mailbox of the account. No I/O: that it does not exist is found by the first
    /// operation, and so is a name that cannot be sent.
    pub fn mailbox<N>(&self, name: N) -> Mailbox
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        Mailbox::new(self.clone(), name.try_into().map_err(Into::into))
    }

    pub(super) fn call(&self, operation: Operation) -> Result<End> {
        let until = self.patience.begin_call()?;
        call::wait(call::submit(self.pool(), operation)?, &until)
    }

    fn request(&self, request: Request) -> Result<End> {
        self.call(Operation {
            target: None,
            request,
        })
    }

    fn done(&self, request: Request) -> Result<()> {
        self.request(request).map(drop)
    }

    /// Asks for what the server can do now (RFC 9051 §6.1.1).
    ///
    /// # Errors
    /// When the connection or the deadline fails.
    pub fn capabilities(&self) -> Result<Capabilities> {
        match self.request(Request::Capability)? {
            End::Capabilities(capabilities) => Ok(capabilities),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Does nothing but a round trip (RFC 9051 §6.1.2).
    ///
    /// # Errors
    /// When the connection or the deadline fails.
    pub fn noop(&self) -> Result<()> {
        self.done(Request::Noop)
    }

    /// Tells the server who this client is and asks who the server is (RFC 2971). No fields:
    /// nothing is told.
    ///
    /// # Errors
    /// [`ErrorKind::MissingCapability`](crate::ErrorKind::MissingCapability); [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for more than 30
    /// fields, names above 30 or values above 1,024 bytes.
    pub fn id<K, V>(
        &self,
        fields: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Vec<(String, Option<String>)>>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        match self.request(Request::Id(fields))? {
            End::Id(fields) => Ok(fields.unwrap_or_default()),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Turns extensions on (RFC 5161), on this thread's route only, and for as long as its
    /// connection lives. Returns those that are on now. To have them on every connection use
    /// [`ImapClientBuilder::enable`].
    ///
    /// # Errors
    /// [`ErrorKind::MissingCapability`](crate::ErrorKind::MissingCapability); [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for `UTF8=ACCEPT` and
    /// `IMAP4rev2`, with which mailbox names would be written in UTF-8; when the connection or the
    /// deadline fails.
    pub fn enable<S: Into<String>>(
        &self,
        extensions: impl IntoIterator<Item = S>,
    ) -> Result<Vec<String>> {
        let names: Vec<String> = extensions.into_iter().map(Into::into).collect();
        check_extensions(&names)?;
        match self.request(Request::Enable(names))? {
            End::Enabled(names) => Ok(names),
            other => Err(call::unexpected(&other)),
        }
    }

    /// The mailboxes below `reference` whose names match `pattern` (RFC 9051 §6.3.9): `*`
    /// stands for anything, `%` for anything without a hierarchy delimiter.
    ///
    /// # Errors
    /// When the server says no, or the connection or the deadline fails.
    pub fn list(&self, reference: &str, pattern: &str) -> Result<Vec<ListEntry>> {
        self.entries(Request::List {
            reference: reference.to_owned(),
            pattern: pattern.to_owned(),
        })
    }

    /// The subscribed mailboxes (RFC 3501 §6.3.9), as [`list`](Self::list).
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn lsub(&self, reference: &str, pattern: &str) -> Result<Vec<ListEntry>> {
        self.entries(Request::Lsub {
            reference: reference.to_owned(),
            pattern: pattern.to_owned(),
        })
    }

    fn entries(&self, request: Request) -> Result<Vec<ListEntry>> {
        match self.request(request)? {
            End::List(entries) => Ok(entries),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Where the user's, other users' and shared mailboxes are (RFC 2342).
    ///
    /// # Errors
    /// [`ErrorKind::MissingCapability`](crate::ErrorKind::MissingCapability); when the connection or the deadline fails.
    pub fn namespace(&self) -> Result<Namespaces> {
        match self.request(Request::Namespace)? {
            End::Namespaces(namespaces) => Ok(namespaces),
            other => Err(call::unexpected(&other)),
        }
    }
}

/// Refuses the extensions that change how mailbox names are written: they are written in
/// modified UTF-7 here.
pub(super) fn check_extensions(names: &[String]) -> Result<()> {
    let changes_names = |name: &String| {
        ["UTF8=ACCEPT", "UTF8=ONLY", "IMAP4REV2"]
            .iter()
            .any(|one| name.eq_ignore_ascii_case(one))
    };
    if names.iter().any(changes_names) {
        return Err(InvalidArgument::new(
            "extension",
            "would change how mailbox names are written, which is not supported",
        )
        .into());
    }
    Ok(())
}

/// Which wait of a stream timed out.
pub(super) fn stream_phase(begun: bool) -> Phase {
    if begun { Phase::Stream } else { Phase::Command }
}
