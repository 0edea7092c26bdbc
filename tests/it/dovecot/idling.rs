//! IDLE: what another client does, each of it once.

use std::collections::BTreeMap;
use std::time::Duration;

use mailpool::{Append, Flag, Flags, Idle, Mailbox, MailboxChange, Query, Store, Uid};
use mailpool_test_dovecot::Dovecot;

use super::{LONG, append_letters, appended, client_of_new_user, connect, letter, until};

/// How long nothing may come for everything to have come.
const STILL: Duration = Duration::from_millis(1500);

#[track_caller]
fn begin(mailbox: &Mailbox) -> Idle {
    let mut idle = mailbox.idle().expect("idle begins");
    let began = next(&mut idle);
    assert!(matches!(began, MailboxChange::Began { .. }), "{began:?}");
    idle
}

#[track_caller]
fn next(idle: &mut Idle) -> MailboxChange {
    match idle.next_timeout(LONG) {
        Some(Ok(change)) => change,
        other => panic!("no change: {other:?}"),
    }
}

/// What has been told of each message.
#[derive(Debug, Default)]
struct Ledger {
    new: Vec<Uid>,
    expunged: Vec<Uid>,
    flags: BTreeMap<Uid, Vec<Flags>>,
}

impl Ledger {
    fn add(&mut self, change: MailboxChange) {
        match change {
            MailboxChange::New { uid, .. } => self.new.push(uid),
            MailboxChange::Expunged(uid) => self.expunged.push(uid),
            MailboxChange::Flags { uid, mut flags, .. } => {
                flags.remove(&Flag::Recent);
                self.flags.entry(uid).or_default().push(flags);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes in changes until `is_complete`, and checks that none comes after them.
    #[track_caller]
    fn fill(idle: &mut Idle, is_complete: impl Fn(&Self) -> bool) -> Self {
        let mut ledger = Self::default();
        while !is_complete(&ledger) {
            match idle.next_timeout(LONG) {
                Some(Ok(change)) => ledger.add(change),
                other => panic!("{other:?} after {ledger:?}"),
            }
        }
        if let Some(change) = idle.next_timeout(STILL) {
            panic!("{change:?} after {ledger:?}");
        }
        ledger
    }
}

#[test]
fn what_another_client_does_is_told_once() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "idle");
    let inbox = client.mailbox("INBOX");
    let there = append_letters(&inbox, 0..4);
    let other = connect(dovecot, &user);
    let theirs = other.mailbox("INBOX");
    let mut idle = begin(&inbox);
    let new = append_letters(&theirs, 4..8);
    theirs
        .store([there[0], new[0]], Store::add(Flag::Flagged))
        .unwrap();
    theirs.store([there[1]], Store::add(Flag::Deleted)).unwrap();
    theirs.expunge_uids([there[1]]).unwrap();
    let ledger = Ledger::fill(&mut idle, |it| {
        it.new.len() == 4 && it.expunged.len() == 1 && it.flags.contains_key(&there[0])
    });
    assert_eq!(ledger.new, new);
    assert_eq!(ledger.expunged, [there[1]]);
    assert_eq!(ledger.flags[&there[0]], [Flags::from_iter([Flag::Flagged])]);
}

#[test]
fn commands_of_this_client_interrupt_it_and_nothing_is_lost() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "idle-shared");
    let inbox = client.mailbox("INBOX");
    let there = append_letters(&inbox, 0..4);
    client.mailbox("Other").create().unwrap();
    let other = connect(dovecot, &user);
    let theirs = other.mailbox("INBOX");
    let mut idle = begin(&inbox);
    let mut new = Vec::new();
    std::thread::scope(|threads| {
        let worker = threads.spawn(|| {
            let mut own = Vec::new();
            for round in 0..30 {
                match round % 3 {
                    0 => own.push(appended(&inbox, Append::new(letter(100 + round)))),
                    1 => drop(client.mailbox("Other").select().unwrap()),
                    _ => drop(inbox.search(Query::all()).unwrap()),
                }
            }
            own
        });
        for round in 0..20 {
            new.push(appended(&theirs, Append::new(letter(200 + round))));
            let keyword = Flag::keyword(&format!("round-{round}")).unwrap();
            theirs.store([there[0]], Store::add(keyword)).unwrap();
        }
        new.extend(worker.join().unwrap());
    });
    theirs.store([there[2]], Store::add(Flag::Deleted)).unwrap();
    theirs.expunge_uids([there[2]]).unwrap();
    new.sort_unstable();
    let last = Flag::keyword("round-19").unwrap();
    let ledger = Ledger::fill(&mut idle, |it| {
        let told = it.flags.get(&there[0]).and_then(|flags| flags.last());
        it.new.len() >= new.len()
            && !it.expunged.is_empty()
            && told.is_some_and(|flags| flags.contains(&last))
    });
    assert_eq!(ledger.new, new);
    assert_eq!(ledger.expunged, [there[2]]);
    let told = &ledger.flags[&there[0]];
    assert!(
        told.windows(2).all(|pair| pair[0].len() < pair[1].len()),
        "a state was told twice: {told:?}"
    );
}

#[test]
fn a_connection_that_is_cut_again_and_again_tells_everything_once() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "idle-cut");
    let inbox = client.mailbox("INBOX");
    let there = append_letters(&inbox, 0..4);
    let mut idle = begin(&inbox);
    let mut new = Vec::new();
    for round in 0..6 {
        // Sessions of the other client are cut along; it is a new one each time.
        let other = connect(dovecot, &user);
        let theirs = other.mailbox("INBOX");
        new.push(appended(&theirs, Append::new(letter(300 + round))));
        let keyword = Flag::keyword(&format!("round-{round}")).unwrap();
        theirs.store([there[0]], Store::add(keyword)).unwrap();
        other.shutdown(LONG).unwrap();
        until("there is a session to be cut", || {
            dovecot.connections(&user.name) > 0
        });
        // It comes back at once: that there is none is not waited for.
        dovecot.doveadm(&["kick", &user.name], b"").unwrap();
    }
    let last = Flag::keyword("round-5").unwrap();
    let ledger = Ledger::fill(&mut idle, |it| {
        let told = it.flags.get(&there[0]).and_then(|flags| flags.last());
        it.new.len() >= new.len() && told.is_some_and(|flags| flags.contains(&last))
    });
    assert_eq!(ledger.new, new);
    assert_eq!(ledger.flags.len(), 1, "{ledger:?}");
    let told = &ledger.flags[&there[0]];
    assert!(
        told.windows(2).all(|pair| pair[0].len() < pair[1].len()),
        "a state was told twice: {told:?}"
    );
}
