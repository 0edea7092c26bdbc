//! All operations against a real server, a private Dovecot.
//!
//! | file | what it shows |
//! |---|---|
//! | `session.rs` | TLS, STARTTLS, plaintext, logins, CAPABILITY, ID, ENABLE, NAMESPACE |
//! | `authenticating.rs` | every mechanism that Dovecot has, right and wrong |
//! | `mailboxes.rs` | LIST, LSUB, CREATE, DELETE, RENAME, SELECT, EXAMINE, CLOSE, STATUS |
//! | `names.rs` | every operation that names a mailbox, with odd names |
//! | `appending.rs` | APPEND with flags, dates, sizes and bytes of every kind |
//! | `searching.rs` | UID SEARCH with every key |
//! | `fetching.rs` | UID FETCH with every item, sections and ranges |
//! | `changing.rs` | UID STORE, COPY, MOVE, EXPUNGE |
//! | `sequence.rs` | sequence numbers and events in an exclusive session |
//! | `fallbacks.rs` | servers without MOVE, UIDPLUS, UNSELECT, ESEARCH, LITERAL+ |
//! | `idling.rs` | IDLE: changes by another client, interrupted and cut |
//! | `sharing.rs` | many threads on one connection, quota against the server's limit |
//! | `mass.rs` | ten thousand messages |
//! | `corpus.rs` | the nasty messages: bytes, envelopes, structures, parts |
//! | `headers.rs` | an independent reading of headers, to compare envelopes with |
//! | `lmtp.rs` | the SMTP client and LMTP: delivery, byte for byte, and IMAP behind it |
//! | `submission.rs` | the SMTP client and submission: every mechanism, a Postfix behind it |
//! | `endings.rs` | parked, kicked and killed connections, shutdown, UIDVALIDITY |

mod appending;
mod authenticating;
mod changing;
mod corpus;
mod cutting;
mod endings;
mod fallbacks;
mod fetching;
mod headers;
mod idling;
mod ledger;
mod lmtp;
mod mailboxes;
mod mass;
mod names;
mod searching;
mod sequence;
mod session;
mod sharing;
mod submission;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailpool::{
    Append, Credentials, Error, ErrorKind, Flag, Flags, ImapClient, ImapClientBuilder, Items,
    Mailbox, Query, ResponseCode, Security, SeqNum, Uid, UidSet,
};
use mailpool_test_dovecot::{Dovecot, User};

/// How long anything that must happen may take, on a machine with much else to do.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A client's builder: TLS, and no trust but in the server's own authority.
pub(crate) fn builder(dovecot: &Dovecot, user: &User) -> ImapClientBuilder {
    ImapClient::builder(dovecot.address().to_string())
        .port(dovecot.tls_port())
        .ca_pem(dovecot.ca_pem())
        .only_own_ca()
        .credentials(credentials(user))
}

/// A client's builder without TLS, for tests that move much data.
pub(crate) fn plain_builder(dovecot: &Dovecot, user: &User) -> ImapClientBuilder {
    ImapClient::builder(dovecot.address().to_string())
        .port(dovecot.port())
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(credentials(user))
}

pub(crate) fn credentials(user: &User) -> Credentials {
    Credentials::password(&user.name, user.password.as_str())
}

pub(crate) fn connect(dovecot: &Dovecot, user: &User) -> ImapClient {
    builder(dovecot, user)
        .connect()
        .expect("the client connects")
}

/// A new user of the shared server and a client of that user.
pub(crate) fn client_of_new_user(dovecot: &Dovecot, hint: &str) -> (User, ImapClient) {
    let user = dovecot.new_user(hint);
    let client = connect(dovecot, &user);
    (user, client)
}

/// A small message; different numbers give different ones.
pub(crate) fn letter(number: usize) -> Vec<u8> {
    format!(
        "From: Sender <sender-{number}@example.org>\r\nSubject: letter {number}\r\n\
         Message-ID: <{number}@example.org>\r\n\r\nThis is letter {number}.\r\n"
    )
    .into_bytes()
}

/// Appends letters with these numbers, and returns their UIDs.
pub(crate) fn append_letters(
    mailbox: &Mailbox,
    numbers: impl IntoIterator<Item = usize>,
) -> Vec<Uid> {
    let append = |number| appended(mailbox, Append::new(letter(number)));
    numbers.into_iter().map(append).collect()
}

/// Appends one message and returns its UID.
pub(crate) fn appended(mailbox: &Mailbox, message: Append) -> Uid {
    let uids = mailbox
        .append(message)
        .expect("APPEND succeeds")
        .expect("the server has UIDPLUS")
        .uids;
    assert_eq!(uids.len(), 1);
    uids.at(0).expect("a UID")
}

/// The whole messages of a mailbox, by UID.
pub(crate) fn contents(mailbox: &Mailbox) -> BTreeMap<Uid, Bytes> {
    contents_of(mailbox, UidSet::all())
}

/// Whole messages, by UID.
pub(crate) fn contents_of(mailbox: &Mailbox, uids: impl Into<UidSet>) -> BTreeMap<Uid, Bytes> {
    let mut contents = BTreeMap::new();
    for message in mailbox.fetch(uids, Items::full()).expect("FETCH is sent") {
        let message = message.expect("a message");
        let uid = message.uid();
        let body = message.into_body().expect("a body");
        let bytes = body.into_bytes().expect("the body's bytes");
        assert_eq!(contents.insert(uid, bytes), None, "UID {uid} came twice");
    }
    contents
}

/// The whole messages of a mailbox in the order of their UIDs.
pub(crate) fn bodies(mailbox: &Mailbox) -> Vec<Bytes> {
    contents(mailbox).into_values().collect()
}

/// The flags of a mailbox's messages but `\Recent`, by UID.
pub(crate) fn flags(mailbox: &Mailbox) -> BTreeMap<Uid, Flags> {
    let fetch = mailbox
        .fetch(UidSet::all(), Items::new().flags())
        .expect("FETCH is sent");
    let flags = fetch.map(|message| {
        let message = message.expect("a message");
        let mut flags = message.flags().expect("flags").clone();
        flags.remove(&Flag::Recent);
        (message.uid(), flags)
    });
    flags.collect()
}

/// The UIDs of all of a mailbox's messages.
pub(crate) fn all_uids(mailbox: &Mailbox) -> Vec<Uid> {
    let found = mailbox.search(Query::all()).expect("SEARCH succeeds");
    found.iter().collect()
}

pub(crate) fn uid(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

pub(crate) fn seq(number: u32) -> SeqNum {
    SeqNum::new(number).expect("not zero")
}

/// Asserts that the server said NO to `verb`, with this response code.
#[track_caller]
pub(crate) fn assert_rejected(error: &Error, verb: &str, code: Option<&ResponseCode>) {
    match error.kind() {
        ErrorKind::Rejected {
            verb: refused,
            status,
            code: given,
            ..
        } => assert_eq!((*refused, *status, given.as_ref()), (verb, "NO", code)),
        other => panic!("{verb} failed otherwise: {other:?}"),
    }
}

/// Asserts that the connection was lost: the server said goodbye or closed it, or it broke.
#[track_caller]
pub(crate) fn assert_lost(error: &Error) {
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Bye { .. } | ErrorKind::Closed | ErrorKind::Io { .. }
        ),
        "{error:?}"
    );
    assert!(error.is_connection());
}

/// Waits until `condition` holds: other programs bring it about and tell nobody.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on what nothing announces"
)]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        park_timeout(Duration::from_millis(5));
    }
}

/// Waits until the server knows of so many sessions of the user.
#[track_caller]
pub(crate) fn until_connections(dovecot: &Dovecot, user: &User, count: usize) {
    until(&format!("{count} sessions"), || {
        dovecot.connections(&user.name) == count
    });
}

/// Waits until the server knows of no session of the user.
#[track_caller]
pub(crate) fn until_gone(dovecot: &Dovecot, user: &User) {
    until_connections(dovecot, user, 0);
}

/// Raises a flag when it is dropped, also by a panic, so that threads that look at the flag end.
pub(crate) struct RaiseOnDrop<'f>(pub(crate) &'f AtomicBool);

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
