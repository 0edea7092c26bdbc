//! The run without arguments: an embedded server where something happens all the time.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use mailpool::{CancelToken, Credentials, ImapClient, Security};
use mailpool_test_server as embedded;

use crate::error::{Error, Result};
use crate::follow::{self, Job};

/// After so many events it ends.
pub(crate) const EVENTS: u64 = 12;

const USER: &str = "alice";
const PASSWORD: &str = "secret";
const MAILBOXES: [&str; 2] = ["INBOX", "Archive"];
/// What a mailbox has in the beginning.
const MESSAGES: u32 = 10;
/// The time between two changes.
const PAUSE: Duration = Duration::from_millis(150);

pub(crate) fn run(events: Option<u64>, interrupted: &CancelToken) -> Result<()> {
    let mut server = embedded::Server::builder().user(USER, PASSWORD);
    for mailbox in MAILBOXES {
        server = server.mailbox(USER, mailbox, (1..=MESSAGES).map(message));
    }
    let server = server
        .security(embedded::Security::Tls)
        .start()
        .map_err(Error::Embedded)?;
    let address = format!("imaps://{}:{}", server.host(), server.port());
    println!(
        "an embedded server with {} mailboxes at {address}",
        MAILBOXES.len()
    );

    let job = Job {
        server: address,
        client: ImapClient::builder(server.host())
            .port(server.port())
            .security(Security::Tls)
            .ca_pem(server.ca_pem())
            .credentials(Credentials::password(USER, PASSWORD)),
        mailboxes: MAILBOXES.map(str::to_owned).to_vec(),
        connections: MAILBOXES.len(),
        poll: Duration::from_secs(1),
        events,
    };
    let (over, is_over) = channel::<()>();
    thread::scope(|threads| {
        let store = server.store();
        threads.spawn(move || happen(store, &is_over));
        let outcome = follow::run(job, interrupted);
        drop(over);
        outcome
    })
}

/// Delivers messages, flags those that came five before them, and removes those that came ten
/// before them, by turns.
fn happen(store: &embedded::Store, is_over: &Receiver<()>) {
    let pause = || is_over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout);
    for number in MESSAGES + 1.. {
        for mailbox in MAILBOXES {
            if !pause() {
                return;
            }
            let uid = store.append(USER, mailbox, message(number));
            if !pause() {
                return;
            }
            store.set_flags(
                USER,
                mailbox,
                uid.saturating_sub(5),
                &["\\Seen", "\\Flagged"],
            );
            if !pause() {
                return;
            }
            store.expunge(USER, mailbox, uid.saturating_sub(10));
        }
    }
}

fn message(number: u32) -> embedded::Message {
    embedded::Message::text(&format!("message {number}"), "Nothing of importance.")
}
