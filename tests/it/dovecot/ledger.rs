//! The books of a watcher whose connection is cut again and again: everything that another client
//! does is in them, and nothing twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mailpool::{Append, Backoff, Flag, ImapClient, MailboxChange, Security, Store, Uid};
use mailpool_test_dovecot::Dovecot;

use super::cutting::Cutter;
use super::{LONG, appended, connect, credentials, letter};

const MESSAGES: usize = 1_000;
const CUTS: usize = 50;

#[derive(Debug, Default)]
struct Ledger {
    new: BTreeMap<Uid, usize>,
    flagged: BTreeMap<Uid, usize>,
}

impl Ledger {
    fn add(&mut self, change: &MailboxChange) {
        match change {
            MailboxChange::New { uid, flags, .. } => {
                *self.new.entry(*uid).or_default() += 1;
                if flags.contains(&Flag::Flagged) {
                    *self.flagged.entry(*uid).or_default() += 1;
                }
            }
            MailboxChange::Flags { uid, flags, .. } => {
                assert!(flags.contains(&Flag::Flagged), "{change:?}");
                *self.flagged.entry(*uid).or_default() += 1;
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_complete(&self) -> bool {
        self.new.len() == MESSAGES && self.flagged.len() == MESSAGES
    }
}

#[test]
fn a_watcher_that_is_cut_fifty_times_tells_everything_once() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let user = dovecot.new_user("ledger");
    let server = SocketAddr::from((dovecot.address(), dovecot.port()));
    // What one login and one look take passes most of the time.
    let cutter = Cutter::start(server, CUTS, 12_000, seed);
    let watched = ImapClient::builder(cutter.address().ip().to_string())
        .port(cutter.address().port())
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(credentials(&user))
        .max_connections_per_server(1)
        .timeout(LONG)
        .reconnect(
            Backoff::new()
                .first_delay(Duration::from_millis(1))
                .max_delay(Duration::from_millis(20)),
        );
    // The first login may be cut, too.
    let client = loop {
        match watched.clone().connect() {
            Ok(client) => break client,
            Err(error) => assert!(error.is_connection(), "{error:?}"),
        }
    };
    let mut watcher = client.watch(["INBOX"]).unwrap();
    let began = watcher
        .next_timeout(LONG)
        .expect("an event")
        .change
        .unwrap();
    assert!(
        matches!(began, MailboxChange::Began { exists: 0, .. }),
        "{began:?}"
    );

    let other = connect(dovecot, &user);
    let inbox = other.mailbox("INBOX");
    let mut ledger = Ledger::default();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut uids = Vec::new();
            for number in 0..MESSAGES {
                uids.push(appended(&inbox, Append::new(letter(number))));
                // Half of them soon after they came, the others when all have come.
                if number % 2 == 1 {
                    let uid = uids[number - 1];
                    inbox.store([uid], Store::add(Flag::Flagged)).unwrap();
                }
            }
            for uid in uids.iter().skip(1).step_by(2) {
                inbox.store([*uid], Store::add(Flag::Flagged)).unwrap();
            }
        });
        while !ledger.is_complete() {
            match watcher.next_timeout(LONG) {
                Some(event) => ledger.add(&event.change.unwrap()),
                None => panic!(
                    "{} new, {} flagged, {} cuts to come",
                    ledger.new.len(),
                    ledger.flagged.len(),
                    cutter.left()
                ),
            }
        }
    });
    // Whatever is told twice would come now.
    while let Some(event) = watcher.next_timeout(Duration::from_millis(1_500)) {
        ledger.add(&event.change.unwrap());
    }
    assert_eq!(cutter.left(), 0, "it was cut fifty times");
    for (uid, times) in ledger.new.iter().chain(&ledger.flagged) {
        assert_eq!(*times, 1, "{uid} was told {times} times, seed {seed}");
    }
    println!("{:?}", client.stats().reconnected);
}
