//! Which types may go to another thread: compiled is passed.

use mailpool::{
    Body, BodyReader, ConnectionScope, Credentials, Error, Exclusive, ExclusiveMailbox, Fetch,
    Holder, ImapClient, ImapClientBuilder, Mailbox, Message, Stats, UidSet,
};

const fn send<T: Send>() {}
const fn send_and_sync<T: Send + Sync + 'static>() {}
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
        cloned::<ImapClient>();
        cloned::<Mailbox>();
    }
}

#[test]
fn what_a_client_returns_may_be_handed_on() {
    const {
        send::<Fetch>();
        send::<Message>();
        send::<Body>();
        send::<BodyReader>();
        send_and_sync::<UidSet>();
        send_and_sync::<Error>();
        send_and_sync::<Stats>();
        send_and_sync::<Holder>();
        send_and_sync::<Credentials>();
    }
}

#[test]
fn guards_stay_on_their_thread() {
    const {
        assert!(<ConnectionScope as Once<_>>::HOLDS);
        assert!(<Exclusive as Once<_>>::HOLDS);
        assert!(<ExclusiveMailbox<'static> as Once<_>>::HOLDS);
    }
}
