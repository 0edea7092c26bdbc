//! Exclusive sessions, where sequence numbers have a meaning.

use std::fmt;
use std::ops::Deref;

use super::call;
use super::fetch::Fetch;
use super::imap::ImapClient;
use super::mailbox::{FlagsUpdate, Mailbox, MoveOutcome, validity_of};
use crate::error::{Error, Result};
use crate::pool::guard::ExclusiveGuard;
use crate::protocol::imap::session::Session;
use crate::protocol::imap::session::operation::{By, End, Request};
use crate::types::ids::SeqNum;
use crate::types::items::Items;
use crate::types::mailbox_info::MailboxEvent;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::request::Store;
use crate::types::response_code::CopyUid;
use crate::types::set::SeqSet;

/// A connection that the calling thread has for itself.
///
/// The connection is the one that was the thread's route: its scope's, or the main connection.
/// Other threads' operations on it wait until the guard is dropped; they are not lost. All of
/// this thread's calls on the client go to it, so that the thread cannot wait for itself. A
/// scope's connection stays with the thread until the session is over, also where the scope's
/// own guard is dropped before.
///
/// The guard cannot leave its thread:
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>() {}
/// needs_send::<mailpool::Exclusive>();
/// ```
#[must_use = "the session ends when the guard is dropped"]
pub struct Exclusive {
    guard: ExclusiveGuard<Session>,
    client: ImapClient,
}

impl Exclusive {
    pub(super) fn new(guard: ExclusiveGuard<Session>, client: ImapClient) -> Self {
        Self { guard, client }
    }

    /// A mailbox inside the session. It can do all that a [`Mailbox`] can, and address messages
    /// by sequence number. No I/O.
    ///
    /// Sequence numbers change when messages are expunged, by this client or another one; the
    /// server says so between commands: [`ExclusiveMailbox::events`].
    pub fn mailbox<N>(&self, name: N) -> ExclusiveMailbox<'_>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        ExclusiveMailbox {
            session: self,
            mailbox: self.client.mailbox(name),
        }
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").finish_non_exhaustive()
    }
}

/// A mailbox in an [exclusive session](Exclusive).
///
/// # Examples
/// ```no_run
/// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
/// use mailpool::{Items, SeqNum, SeqSet};
///
/// let session = client.exclusive()?;
/// let inbox = session.mailbox("INBOX");
/// let first = SeqNum::new(1).expect("not zero");
/// for message in inbox.fetch_sequence(SeqSet::single(first), Items::fast())? {
///     println!("{:?}", message?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ExclusiveMailbox<'s> {
    session: &'s Exclusive,
    mailbox: Mailbox,
}

impl Deref for ExclusiveMailbox<'_> {
    type Target = Mailbox;

    fn deref(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl ExclusiveMailbox<'_> {
    fn call(&self, request: Request) -> Result<End> {
        let operation = self.mailbox.operation(None, request)?;
        let until = self.mailbox.client.patience.begin_call()?;
        call::wait(self.session.guard.submit(operation), &until)
    }

    /// What has happened in the mailbox since the last time, in the order in which the server
    /// said it; asks with NOOP for what it has to say now. At most 10,000 events are kept
    /// ([`MailboxEvent::Overflow`]).
    ///
    /// # Errors
    /// When the connection or the deadline fails.
    pub fn events(&self) -> Result<Vec<MailboxEvent>> {
        match self.call(Request::Events)? {
            End::Events(events) => Ok(events),
            other => Err(call::unexpected(&other)),
        }
    }

    /// The sequence numbers of the messages that match (SEARCH).
    ///
    /// # Errors
    /// As [`Mailbox::search`].
    pub fn search_sequence(&self, query: Query) -> Result<SeqSet> {
        let mut operation = self.mailbox.operation(None, Request::Noop)?;
        if let Some(target) = &mut operation.target {
            target.uid_validity = validity_of(&query)?;
        }
        operation.request = Request::Search(By::Sequence, query);
        let until = self.mailbox.client.patience.begin_call()?;
        match call::wait(self.session.guard.submit(operation), &until)? {
            End::Found(found) => Ok(found.numbers.into()),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Fetches messages by sequence number (FETCH).
    ///
    /// # Errors
    /// As [`Mailbox::fetch`].
    pub fn fetch_sequence(&self, messages: impl Into<SeqSet>, items: Items) -> Result<Fetch> {
        let set = messages.into().range_set().clone();
        let operation = self
            .mailbox
            .operation(None, Request::Fetch(By::Sequence, set, items))?;
        self.mailbox.client.patience.begin_call()?;
        let reply = self.session.guard.submit(operation);
        Ok(Fetch::new(reply, self.mailbox.client.patience.clone()))
    }

    /// Changes flags by sequence number (STORE). Returns the flags that the messages have now,
    /// and the messages that a conditional one left alone.
    ///
    /// # Errors
    /// As [`Mailbox::store`].
    pub fn store_sequence(
        &self,
        messages: impl Into<SeqSet>,
        store: Store,
    ) -> Result<(Vec<FlagsUpdate>, SeqSet)> {
        let set = messages.into().range_set().clone();
        match self.call(Request::Store(By::Sequence, set, store))? {
            End::Stored(stored) => Ok((
                stored.flags.into_iter().map(FlagsUpdate::new).collect(),
                stored.modified.into(),
            )),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Copies messages by sequence number (COPY).
    ///
    /// # Errors
    /// As [`Mailbox::copy`].
    pub fn copy_sequence<N>(&self, messages: impl Into<SeqSet>, to: N) -> Result<Option<CopyUid>>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let to = to.try_into().map_err(Into::into)?;
        let set = messages.into().range_set().clone();
        match self.call(Request::Copy(By::Sequence, set, to))? {
            End::Copied(copies) => Ok(copies),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Moves messages by sequence number (MOVE, RFC 6851). Where the server has no MOVE, their
    /// UIDs are found first, and it goes on as [`Mailbox::move_to`] does there.
    ///
    /// # Errors
    /// As [`Mailbox::move_to`].
    pub fn move_sequence<N>(&self, messages: impl Into<SeqSet>, to: N) -> Result<MoveOutcome>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let to = to.try_into().map_err(Into::into)?;
        let set = messages.into().range_set().clone();
        match self.call(Request::Move(By::Sequence, set, to))? {
            End::Moved(moved) => Ok(MoveOutcome {
                copies: moved.copy_uid,
                left_behind: moved.left_behind,
            }),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Removes all messages that are marked `\Deleted` (EXPUNGE). Returns their sequence
    /// numbers in the server's order: each counts after those before it are gone. Where QRESYNC
    /// is enabled the server names UIDs instead, which are among the [`events`](Self::events).
    ///
    /// # Errors
    /// As [`Mailbox::expunge`].
    pub fn expunge_sequence(&self) -> Result<Vec<SeqNum>> {
        match self.call(Request::Expunge)? {
            End::Expunged(expunged) => Ok(expunged.numbers),
            other => Err(call::unexpected(&other)),
        }
    }
}
