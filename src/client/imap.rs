//! The IMAP client: what concerns the account.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::ImapClientBuilder;
use super::call::{self, ImapPool, Patience, pool_error, pool_error_of};
use super::connection_events::ConnectionEvents;
use super::exclusive::Exclusive;
use super::mailbox::Mailbox;
use super::scope::ConnectionScope;
use super::stats::Stats;
use super::task::{self, Task};
use super::task_scope::{self, TaskScope};
use crate::connection::cancel::{CancelToken, Until};
use crate::connection::clock;
use crate::connection::failure::Phase;
use crate::error::{Certainty, Error, ErrorKind, Result};
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
/// A thread that holds a [`ConnectionScope`] uses that connection; every other thread uses the
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
    inner: Arc<Inner>,
    pub(super) patience: Patience,
}

struct Inner {
    pool: Arc<ImapPool>,
    shutdown_timeout: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let deadline = clock::after(self.shutdown_timeout);
        if let Err(holders) = self.pool.shutdown(deadline) {
            log::warn!("imap: {} connections were left open", holders.len());
        }
    }
}

impl ImapClient {
    /// Begins to set up a client for the server at `host`, a name or an address.
    pub fn builder(host: impl Into<String>) -> ImapClientBuilder {
        ImapClientBuilder::new(host.into())
    }

    pub(super) fn new(pool: Arc<ImapPool>, shutdown_timeout: Duration, patience: Patience) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool,
                shutdown_timeout,
            }),
            patience,
        }
    }

    pub(super) fn pool(&self) -> &Arc<ImapPool> {
        &self.inner.pool
    }

    /// The same client, whose calls may each take `timeout`. Where messages are streamed, each
    /// wait for more may take that long.
    #[must_use = "the client itself keeps its timeout"]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let mut view = self.clone();
        view.patience.timeout = Some(timeout);
        view
    }

    /// The same client, whose calls all end by `deadline`, streams included.
    #[must_use = "the client itself keeps its timeout"]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        let mut view = self.clone();
        view.patience.deadline = Some(deadline);
        view
    }

    /// The same client, whose calls all end when `token` is cancelled, those that wait already
    /// included: for a permit, the resolver, connecting, TLS, the login, the command queue, a
    /// reply or the next part of a stream.
    ///
    /// A command that has not been written is withdrawn ([`Certainty::NotSent`]); of one that has
    /// been, the reply is passed over when it comes ([`Certainty::MaybeExecuted`]), and the
    /// connection stays in use.
    ///
    /// A view of a view ends with either token.
    #[must_use = "the client itself goes on"]
    pub fn with_cancel(&self, token: &CancelToken) -> Self {
        let mut view = self.clone();
        view.patience.cancel = Some(match &self.patience.cancel {
            Some(other) => CancelToken::linked([other, token]),
            None => token.clone(),
        });
        view
    }

    /// Opens a connection for the calling thread, or takes a parked one, and makes it the
    /// thread's route until the guard is dropped.
    ///
    /// Blocks while the quota is used up; threads are served in the order in which they came.
    /// On a thread that has a connection already it shares that one and takes no second permit.
    ///
    /// With fork and join, take the connection in the innermost job: a thread that holds one
    /// while it waits for a job on another thread, which waits for a connection, waits in vain.
    /// With rayon that can happen where the pool has more threads than the quota leaves.
    ///
    /// # Errors
    /// - [`ErrorKind::CreatingThread`] on the thread that called `connect`;
    /// - [`ErrorKind::SingleConnection`] with a quota of 1;
    /// - [`ErrorKind::NoPermit`] if no connection became free in time; it names the holders;
    /// - whatever can go wrong with connecting and logging in. The permit is given back.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| -> mailpool::Result<()> {
    ///         let _connection = client.create_connection()?;
    ///         client.mailbox("Archive").status(mailpool::StatusItems::default())?;
    ///         Ok(())
    ///     });
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_connection(&self) -> Result<ConnectionScope> {
        self.connection(true, &self.patience.begin())
    }

    /// As [`create_connection`](Self::create_connection), without waiting for a permit.
    ///
    /// # Errors
    /// The same; [`ErrorKind::NoPermit`] at once where the quota is used up or others wait.
    pub fn try_create_connection(&self) -> Result<ConnectionScope> {
        self.connection(false, &self.patience.begin())
    }

    /// As [`create_connection`](Self::create_connection), within `timeout` for the permit,
    /// connecting and the login together.
    ///
    /// # Errors
    /// The same.
    pub fn create_connection_timeout(&self, timeout: Duration) -> Result<ConnectionScope> {
        self.with_timeout(timeout).create_connection()
    }

    fn connection(&self, wait: bool, until: &Until) -> Result<ConnectionScope> {
        let started = clock::now();
        let pool = self.pool();
        match pool.create_scope(wait, until, None) {
            Ok(guard) => Ok(ConnectionScope::new(guard, self.patience.clone())),
            Err(error) => {
                let waited = wait.then(|| clock::now() - started);
                Err(pool_error(pool, error, waited))
            }
        }
    }

    /// Begins a job in the background: it waits in line for a connection, first come, first
    /// served, together with the callers of [`create_connection`](Self::create_connection), and
    /// runs on a thread of its own with that connection as its route. More tasks than connections
    /// may be begun; they start in the order in which they were begun.
    ///
    /// The job is given this view of the client, which also ends with [`Task::cancel`]; all of its
    /// thread's calls do, also those of other handles. The time for a single call does not count
    /// while the task waits in line; a [deadline](Self::with_deadline) does. With a quota of 1 the jobs run one after the other over the
    /// main connection.
    ///
    /// A task keeps the client alive until it has ended; [`shutdown`](Self::shutdown) cancels
    /// those that wait.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// let tasks: Vec<_> = ["INBOX", "Archive", "Sent"]
    ///     .map(|name| client.spawn(move |client| client.mailbox(name).select()))
    ///     .into();
    /// for task in tasks {
    ///     println!("{} messages", task.join()?.exists);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<T>(&self, job: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Task<T>
    where
        T: Send + 'static,
    {
        let view = |token| {
            let mut view = self.clone();
            view.patience.cancel = Some(token);
            view
        };
        task::spawn(self.pool(), &self.patience, pool_error_of, view, job)
    }

    /// Runs `body` with a scope for tasks that may borrow, and waits until they have ended, as
    /// [`std::thread::scope`] does for threads.
    ///
    /// On a thread that holds a connection itself the tasks do not wait for others: they take what
    /// is free, or else run over the main connection. So a thread that waits for its own scope
    /// cannot be what its tasks wait for.
    ///
    /// # Errors
    /// [`ErrorKind::TaskPanicked`] if a task panicked that nobody joined.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// use mailpool::StatusItems;
    ///
    /// let names = ["INBOX".to_owned(), "Archive".to_owned()];
    /// client.scope(|scope| {
    ///     for name in &names {
    ///         scope
    ///             .spawn(move |client| {
    ///                 let status = client.mailbox(name.as_str()).status(StatusItems::default())?;
    ///                 println!("{name}: {status:?}");
    ///                 Ok(())
    ///             })
    ///             .detach();
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<'env, R>(
        &self,
        body: impl for<'scope> FnOnce(&TaskScope<'scope, 'env, Self>) -> R,
    ) -> Result<R> {
        let bind: task_scope::Bind<Self> = if self.pool().quota_limit() <= 1 {
            |_| Ok(Box::new(()))
        } else if self.pool().has_scope() {
            |client| Ok(Box::new(client.for_helper()))
        } else {
            |client| Ok(Box::new(client.for_task()?))
        };
        task_scope::scope(
            match crate::connection::cancel::ambient() {
                Some(task) => self.with_cancel(&task),
                None => self.clone(),
            },
            Self::with_cancel,
            bind,
            self.pool().quota_limit().saturating_sub(1),
            "imap-task",
            body,
        )
    }

    /// A connection if there is one to be had at once; else the main one has to do.
    fn for_helper(&self) -> Option<ConnectionScope> {
        let guard = self
            .pool()
            .create_scope(false, &self.patience.begin(), None);
        Some(ConnectionScope::new(guard.ok()?, self.patience.clone()))
    }

    /// A connection for the thread of a task, which waits for it as long as it takes.
    pub(super) fn for_task(&self) -> Result<ConnectionScope> {
        let until = self.patience.begin_standing();
        let scope = self
            .pool()
            .create_scope(true, &until, Some(&|| self.patience.begin()));
        match scope {
            Ok(guard) => Ok(ConnectionScope::new(guard, self.patience.clone())),
            Err(error) => Err(pool_error(self.pool(), error, None)),
        }
    }

    /// What happens to connections that are lost: the main one, which is opened anew by itself,
    /// and others as long as commands wait for them. Each subscriber gets every event.
    pub fn connection_events(&self) -> ConnectionEvents {
        ConnectionEvents::new(self.pool(), self.patience.clone())
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

    /// Figures of the client: its connections and who holds them.
    pub fn stats(&self) -> Stats {
        self.pool().snapshot().into()
    }

    /// Ends the client: commands under way may finish, those that are queued fail, every
    /// connection says LOGOUT and its thread is joined. Later calls fail with
    /// [`ErrorKind::ShutDown`].
    ///
    /// # Errors
    /// [`ErrorKind::ShutdownTimeout`] names what was still open after `timeout`. It is closed
    /// without a goodbye.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.pool()
            .shutdown(clock::after(timeout))
            .map_err(|holders| {
                Error::new(
                    ErrorKind::ShutdownTimeout { holders },
                    Certainty::MaybeExecuted,
                )
            })
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
    /// [`ErrorKind::MissingCapability`]; [`ErrorKind::InvalidArgument`] for more than 30
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
    /// [`ErrorKind::MissingCapability`]; [`ErrorKind::InvalidArgument`] for `UTF8=ACCEPT` and
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
    /// [`ErrorKind::MissingCapability`]; when the connection or the deadline fails.
    pub fn namespace(&self) -> Result<Namespaces> {
        match self.request(Request::Namespace)? {
            End::Namespaces(namespaces) => Ok(namespaces),
            other => Err(call::unexpected(&other)),
        }
    }
}

impl fmt::Debug for ImapClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("ImapClient")
            .field("quota", &stats.quota)
            .field("open", &stats.open)
            .field("parked", &stats.parked)
            .finish_non_exhaustive()
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
