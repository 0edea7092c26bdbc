//! Which types may go to another thread: compiled is passed.

use mailpool::{
    Backoff, Body, BodyReader, BodyStructure, BulkOutcome, BulkSend, CancelToken, Capabilities,
    ConnectionEvent, ConnectionEvents, ConnectionScope, Credentials, Envelope, Error, ErrorKind,
    Exclusive, ExclusiveMailbox, Fetch, Flags, Holder, Idle, ImapClient, ImapClientBuilder, Items,
    ListEntry, MailAddress, Mailbox, MailboxInfo, MailboxName, MailboxStatus, Message,
    OutgoingMessage, Part, Parts, Query, ScopedTask, Secret, SendAllOutcome, SendProgress,
    SendReport, SeqSet, SmtpCapabilities, SmtpClient, SmtpClientBuilder, SmtpEnvelope, SmtpReply,
    Stats, Task, TaskScope, UidSet, WatchEvent, Watcher,
};

const fn send_and_sync<T: Send + Sync + 'static>() {}
const fn shared<T: Send + Sync>() {}
const fn cloned<T: Clone>() {}

/// Implemented once for every type, and once more for those that are `Send`: for those it is
/// ambiguous which one is meant, and `Once::<T>::HOLDS` does not compile.
trait Once<Which> {
    const HOLDS: bool = true;
}

struct ForAll;
struct ForSend;

impl<T: ?Sized> Once<ForAll> for T {}
impl<T: ?Sized + Send> Once<ForSend> for T {}

#[test]
fn a_client_is_shared_by_all_threads() {
    const {
        send_and_sync::<ImapClient>();
        send_and_sync::<ImapClientBuilder>();
        send_and_sync::<Mailbox>();
        send_and_sync::<SmtpClient>();
        send_and_sync::<SmtpClientBuilder>();
        cloned::<SmtpClient>();
        cloned::<ImapClient>();
        cloned::<Mailbox>();
    }
}

#[test]
fn what_a_client_returns_may_be_handed_on_and_shared() {
    const {
        send_and_sync::<Fetch>();
        send_and_sync::<Message>();
        send_and_sync::<Body>();
        send_and_sync::<BodyReader>();
        send_and_sync::<Task<Vec<u8>>>();
        // The result is handed over, never shared.
        send_and_sync::<Task<std::cell::Cell<u8>>>();
        send_and_sync::<Idle>();
        send_and_sync::<Watcher>();
        send_and_sync::<WatchEvent>();
        send_and_sync::<BulkOutcome>();
        send_and_sync::<SendReport>();
        send_and_sync::<SendProgress>();
        send_and_sync::<SendAllOutcome>();
        send_and_sync::<SmtpReply>();
        send_and_sync::<SmtpCapabilities>();
        send_and_sync::<ConnectionEvents>();
        send_and_sync::<ConnectionEvent>();
        send_and_sync::<Error>();
        send_and_sync::<ErrorKind>();
        send_and_sync::<Stats>();
        send_and_sync::<Holder>();
    }
}

#[test]
fn tasks_of_a_scope_are_handed_on_and_shared_inside_it() {
    const {
        shared::<TaskScope<'static, 'static, ImapClient>>();
        shared::<ScopedTask<'static, std::cell::Cell<u8>>>();
    }
}

#[test]
fn tokens_are_shared_and_values_are_plain() {
    const {
        send_and_sync::<CancelToken>();
        cloned::<CancelToken>();
        send_and_sync::<Backoff>();
        send_and_sync::<Credentials>();
        send_and_sync::<Secret>();
        send_and_sync::<UidSet>();
        send_and_sync::<SeqSet>();
        send_and_sync::<Query>();
        send_and_sync::<Items>();
        send_and_sync::<Flags>();
        send_and_sync::<Capabilities>();
        send_and_sync::<MailboxName>();
        send_and_sync::<MailboxInfo>();
        send_and_sync::<MailboxStatus>();
        send_and_sync::<ListEntry>();
        send_and_sync::<Envelope>();
        send_and_sync::<SmtpEnvelope>();
        send_and_sync::<MailAddress>();
        send_and_sync::<BodyStructure>();
        shared::<Part<'static>>();
        shared::<Parts<'static>>();
    }
}

#[test]
fn guards_stay_on_their_thread() {
    const {
        assert!(<ConnectionScope as Once<_>>::HOLDS);
        assert!(<Exclusive as Once<_>>::HOLDS);
        assert!(<ExclusiveMailbox<'static> as Once<_>>::HOLDS);
        // They have the caller's own reader or callback.
        assert!(<OutgoingMessage<'static> as Once<_>>::HOLDS);
        assert!(<BulkSend<'static> as Once<_>>::HOLDS);
    }
}
