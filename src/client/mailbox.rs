//! Operations on one mailbox, with messages addressed by UID.

use super::call;
use super::fetch::Fetch;
use super::imap::ImapClient;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::imap::session::operation::{By, End, Operation, Request, Target};
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::invalid::InvalidArgument;
use crate::types::items::Items;
use crate::types::listing::MailboxStatus;
use crate::types::mailbox_info::MailboxInfo;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::request::{Append, StatusItems, Store};
use crate::types::response_code::{AppendUid, CopyUid};
use crate::types::set::UidSet;

/// A mailbox of an account.
///
/// A cheap handle, like the client it came from: it may be cloned and shared. Each operation
/// selects the mailbox on its connection if another one is selected there.
///
/// Messages are addressed by UID. A set of UIDs that came from a search remembers the
/// mailbox's UIDVALIDITY: used after the mailbox was replaced by another of its name, it is an
/// error ([`ErrorKind::UidValidityChanged`]) instead of other messages.
///
/// # Examples
/// ```no_run
/// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
/// use mailpool::{Date, Flag, Query, Store};
///
/// let inbox = client.mailbox("INBOX");
/// let new_year = Date::new(2020, 1, 1).expect("a date");
/// let old = inbox.search(Query::all().before(new_year))?;
/// inbox.store(&old, Store::add([Flag::Seen]))?;
/// inbox.move_to(&old, "Archive")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub(super) client: ImapClient,
    name: Result<MailboxName>,
    read_only: bool,
}

impl Mailbox {
    pub(super) fn new(client: ImapClient, name: Result<MailboxName>) -> Self {
        Self {
            client,
            name,
            read_only: false,
        }
    }

    /// The mailbox's name.
    ///
    /// # Errors
    /// If the name given was none that can be sent.
    pub fn name(&self) -> Result<&MailboxName> {
        self.name.as_ref().map_err(Clone::clone)
    }

    /// The same mailbox with another view of the client.
    pub(super) fn with_client(&self, client: &ImapClient) -> Self {
        Self {
            client: client.clone(),
            name: self.name.clone(),
            read_only: self.read_only,
        }
    }

    /// The same mailbox, opened with EXAMINE: nothing that is done with this handle changes
    /// flags, not even the `\Recent` one.
    #[must_use = "the mailbox itself stays as it is"]
    pub fn read_only(&self) -> Self {
        Self {
            read_only: true,
            ..self.clone()
        }
    }

    pub(super) fn operation(&self, uids: Option<&UidSet>, request: Request) -> Result<Operation> {
        Ok(Operation {
            target: Some(Target {
                name: self.name()?.clone(),
                read_only: self.read_only,
                uid_validity: uids.and_then(UidSet::uid_validity),
            }),
            request,
        })
    }

    fn call(&self, uids: Option<&UidSet>, request: Request) -> Result<End> {
        self.client.call(self.operation(uids, request)?)
    }

    /// A request that names the mailbox and does not need it to be selected.
    fn unselected(&self, request: impl FnOnce(MailboxName) -> Request) -> Result<End> {
        let name = self.name()?.clone();
        self.client.call(Operation {
            target: None,
            request: request(name),
        })
    }

    /// Selects the mailbox anew (SELECT, or EXAMINE for [`read_only`](Self::read_only)) and
    /// returns what the server tells about it (RFC 9051 §6.3.2). Other operations do so by
    /// themselves where needed.
    ///
    /// # Errors
    /// When the server says no, for instance because there is no such mailbox, or the
    /// connection or the deadline fails.
    pub fn select(&self) -> Result<MailboxInfo> {
        match self.call(None, Request::Select)? {
            End::Mailbox(info) => Ok(*info),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Leaves the mailbox that is selected on this thread's route, without expunging anything
    /// (UNSELECT, RFC 9051 §6.4.2).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn unselect(&self) -> Result<()> {
        self.client
            .call(Operation {
                target: None,
                request: Request::Unselect,
            })
            .map(drop)
    }

    /// Expunges what is marked `\Deleted` and leaves the mailbox (CLOSE, RFC 9051 §6.4.1).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn close(&self) -> Result<()> {
        self.call(None, Request::Close).map(drop)
    }

    /// Figures of the mailbox, without selecting it (RFC 9051 §6.3.11).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn status(&self, items: StatusItems) -> Result<MailboxStatus> {
        match self.unselected(|name| Request::Status(name, items))? {
            End::Status(status) => Ok(status),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Creates the mailbox (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn create(&self) -> Result<()> {
        self.unselected(Request::Create).map(drop)
    }

    /// Deletes the mailbox with all its messages (RFC 9051 §6.3.5).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn delete(&self) -> Result<()> {
        self.unselected(Request::Delete).map(drop)
    }

    /// Renames the mailbox (RFC 9051 §6.3.6) and returns the handle of its new name.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn rename<N>(&self, to: N) -> Result<Self>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let to = to.try_into().map_err(Into::into)?;
        self.unselected(|name| Request::Rename(name, to.clone()))?;
        Ok(Self {
            name: Ok(to),
            ..self.clone()
        })
    }

    /// Adds the mailbox to the subscribed ones (RFC 9051 §6.3.7).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn subscribe(&self) -> Result<()> {
        self.unselected(Request::Subscribe).map(drop)
    }

    /// Removes the mailbox from the subscribed ones (RFC 9051 §6.3.8).
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn unsubscribe(&self) -> Result<()> {
        self.unselected(Request::Unsubscribe).map(drop)
    }

    /// Puts a message into the mailbox (RFC 9051 §6.3.12). Returns the UID that it got, where
    /// the server has UIDPLUS.
    ///
    /// # Errors
    /// As [`select`](Self::select). After [`Certainty::MaybeExecuted`](crate::Certainty) the
    /// message may be there: doing it again may make two of it.
    pub fn append(&self, message: impl Into<Append>) -> Result<Option<AppendUid>> {
        let message = message.into();
        match self.unselected(|name| Request::Append(name, message))? {
            End::Appended(uids) => Ok(uids),
            other => Err(call::unexpected(&other)),
        }
    }

    /// The UIDs of the messages that match (UID SEARCH, RFC 9051 §6.4.4; with ESEARCH where
    /// the server has it).
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::UidValidityChanged`] if the query names UIDs of
    /// an earlier state of the mailbox, and [`ErrorKind::InvalidArgument`] if it names sequence
    /// numbers.
    pub fn search(&self, query: Query) -> Result<UidSet> {
        if query.has_sequence_numbers() {
            return Err(InvalidArgument::new(
                "query",
                "names sequence numbers, which mean nothing outside an exclusive session",
            )
            .into());
        }
        let mut operation = self.operation(None, Request::Noop)?;
        if let Some(target) = &mut operation.target {
            target.uid_validity = validity_of(&query)?;
        }
        operation.request = Request::Search(By::Uid, query);
        match self.client.call(operation)? {
            End::Found(found) => {
                Ok(UidSet::from(found.numbers).with_uid_validity(found.uid_validity))
            }
            other => Err(call::unexpected(&other)),
        }
    }

    /// Fetches messages (UID FETCH, RFC 9051 §6.4.5), one by one as they arrive. UIDs that the
    /// mailbox does not have are passed over.
    ///
    /// The call returns when the request is queued. The iterator holds no lock on the
    /// connection: other calls, also of this thread, go on meanwhile.
    ///
    /// # Errors
    /// For arguments that cannot be sent, and where there is no connection to be had or no time
    /// left. Everything else comes from the iterator.
    pub fn fetch(&self, uids: impl Into<UidSet>, items: Items) -> Result<Fetch> {
        let uids = uids.into();
        let request = Request::Fetch(By::Uid, uids.range_set().clone(), items);
        let operation = self.operation(Some(&uids), request)?;
        self.client.patience.begin_call()?;
        let reply = call::submit(self.client.pool(), operation)?;
        Ok(Fetch::new(reply, self.client.patience.clone()))
    }

    /// Changes flags (UID STORE, RFC 9051 §6.4.6).
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::MissingCapability`] for a conditional one where
    /// the server lacks CONDSTORE.
    pub fn store(&self, uids: impl Into<UidSet>, store: Store) -> Result<StoreOutcome> {
        let uids = uids.into();
        let request = Request::Store(By::Uid, uids.range_set().clone(), store);
        match self.call(Some(&uids), request)? {
            End::Stored(stored) => Ok(StoreOutcome {
                updated: stored.flags.into_iter().map(FlagsUpdate::new).collect(),
                modified: UidSet::from(stored.modified).with_uid_validity(uids.uid_validity()),
            }),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Copies messages into another mailbox (UID COPY, RFC 9051 §6.4.7). Returns which copy
    /// belongs to which message, where the server has UIDPLUS.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn copy<N>(&self, uids: impl Into<UidSet>, to: N) -> Result<Option<CopyUid>>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let (uids, to) = (uids.into(), to.try_into().map_err(Into::into)?);
        let request = Request::Copy(By::Uid, uids.range_set().clone(), to);
        match self.call(Some(&uids), request)? {
            End::Copied(copies) => Ok(copies),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Moves messages into another mailbox (UID MOVE, RFC 6851).
    ///
    /// Where the server has no MOVE, they are looked up, copied, marked `\Deleted` and expunged by
    /// UID. Where it has no UIDPLUS either, they stay behind marked `\Deleted`
    /// ([`MoveOutcome::left_behind`]), since EXPUNGE would also remove what others have marked.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn move_to<N>(&self, uids: impl Into<UidSet>, to: N) -> Result<MoveOutcome>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let (uids, to) = (uids.into(), to.try_into().map_err(Into::into)?);
        let request = Request::Move(By::Uid, uids.range_set().clone(), to);
        match self.call(Some(&uids), request)? {
            End::Moved(moved) => Ok(MoveOutcome {
                copies: moved.copy_uid,
                left_behind: moved.left_behind,
            }),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Removes those of the messages that are marked `\Deleted` (UID EXPUNGE, RFC 4315 §2.1).
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::MissingCapability`] where the server lacks
    /// UIDPLUS.
    pub fn expunge_uids(&self, uids: impl Into<UidSet>) -> Result<()> {
        let uids = uids.into();
        let request = Request::ExpungeUids(uids.range_set().clone());
        self.call(Some(&uids), request).map(drop)
    }

    /// Removes all messages that are marked `\Deleted`, by whomever (EXPUNGE, RFC 9051
    /// §6.4.3). Returns how many.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn expunge(&self) -> Result<usize> {
        match self.call(None, Request::Expunge)? {
            End::Expunged(expunged) => {
                let vanished = usize::try_from(expunged.vanished).unwrap_or(usize::MAX);
                Ok(expunged.numbers.len().saturating_add(vanished))
            }
            other => Err(call::unexpected(&other)),
        }
    }
}

/// What the UIDs in a query belong to. Those of two different states of the mailbox cannot
/// both be meant.
pub(super) fn validity_of(query: &Query) -> Result<Option<UidValidity>> {
    let (first, others) = match query.uid_validities() {
        [] => return Ok(None),
        [first, others @ ..] => (*first, others),
    };
    match others.iter().find(|other| **other != first) {
        None => Ok(Some(first)),
        Some(other) => Err(Error::not_sent(ErrorKind::UidValidityChanged {
            expected: *other,
            found: Some(first),
        })),
    }
}

/// What a STORE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOutcome {
    /// The flags that messages have now, as far as the server told them: nothing after a
    /// silent one.
    pub updated: Vec<FlagsUpdate>,
    /// The messages that a conditional STORE left alone because they had changed (RFC 7162
    /// §3.1.3).
    pub modified: UidSet,
}

/// The flags that a message has after a STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagsUpdate {
    /// The message's sequence number at that moment; meaningless outside an exclusive session.
    pub seq: SeqNum,
    /// Its UID, where the server said it.
    pub uid: Option<Uid>,
    /// All its flags.
    pub flags: Flags,
    /// Its new mod-sequence, where the server has CONDSTORE.
    pub mod_seq: Option<ModSeq>,
}

impl FlagsUpdate {
    pub(super) fn new(
        (seq, uid, flags, mod_seq): (SeqNum, Option<Uid>, Flags, Option<ModSeq>),
    ) -> Self {
        Self {
            seq,
            uid,
            flags,
            mod_seq,
        }
    }
}

/// What a move did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveOutcome {
    /// Which copy belongs to which message, where the server has UIDPLUS.
    pub copies: Option<CopyUid>,
    /// The messages are still in their mailbox, marked `\Deleted`: the server has neither
    /// MOVE nor UIDPLUS.
    pub left_behind: bool,
}
