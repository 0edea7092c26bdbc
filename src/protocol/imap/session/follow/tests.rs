//! Transcripts of mailboxes that are followed.

mod catching_up;
mod giving_way;

use std::time::{Duration, Instant};

use super::{PATIENCE, SETTLE};
use crate::protocol::imap::session::Protection;
use crate::protocol::imap::session::operation::{By, Failure, Follow, Operation, Request};
use crate::protocol::imap::session::rig::{Rig, at_every_split, bare, flags, on, uids};
use crate::protocol::machine::{Protocol, Salvaged};
use crate::types::flag::Flag;
use crate::types::request::{Append, Store};

const WITH_IDLE: &str = "IMAP4rev1 IDLE ESEARCH LITERAL+ UIDPLUS";
const WITH_MOD_SEQS: &str = "IMAP4rev1 IDLE ESEARCH LITERAL+ UIDPLUS CONDSTORE";
const WITHOUT_IDLE: &str = "IMAP4rev1 ESEARCH";

const RENEW: Duration = Duration::from_secs(540);
const POLL: Duration = Duration::from_secs(60);

fn follow(mailbox: &str) -> Operation {
    on(
        mailbox,
        Request::Follow(Follow {
            known: None,
            once: false,
            poll: POLL,
            renew: RENEW,
        }),
    )
}

/// A session with a clock.
struct Followed {
    rig: Rig,
    now: Instant,
}

impl Followed {
    #[expect(clippy::disallowed_methods, reason = "a clock begins somewhere")]
    fn ready(step: usize, capabilities: &str) -> Self {
        Self {
            rig: Rig::ready(step, capabilities),
            now: Instant::now(),
        }
    }

    /// A session that idles in a mailbox with the messages 1, 2 and 5, whose next command has
    /// the tag M5.
    fn idling(step: usize) -> Self {
        let mut it = Self::ready(step, WITH_IDLE);
        it.begin("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n");
        it
    }

    /// The same with CONDSTORE; the highest mod-sequence is 10.
    fn idling_with_mod_seqs(step: usize) -> Self {
        let mut it = Self::ready(step, WITH_MOD_SEQS);
        it.begin("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [HIGHESTMODSEQ 10] h\r\n");
        it
    }

    fn begin(&mut self, select: &str) {
        assert_eq!(self.rig.submit(follow("INBOX")), Some(0));
        assert_eq!(self.rig.client(), "", "it stands back");
        self.free();
        let sent = self.rig.client();
        assert!(sent.starts_with("M2 SELECT INBOX"), "{sent}");
        self.server(&format!("{select}M2 OK [READ-WRITE] in\r\n"));
        assert_eq!(self.rig.client(), "M3 UID SEARCH RETURN (ALL) ALL\r\n");
        self.server("* ESEARCH (TAG \"M3\") UID ALL 1:2,5\r\nM3 OK\r\n");
        assert_eq!(self.rig.take_said(), ["0 began 3"]);
        assert_eq!(self.rig.client(), "M4 IDLE\r\n");
        self.server("+ idling\r\n");
        assert_eq!(self.rig.client(), "");
    }

    #[track_caller]
    fn server(&mut self, text: &str) {
        self.rig.server(text).unwrap();
    }

    /// The connection has been free for as long as it takes.
    fn free(&mut self) {
        self.tick(true);
        self.now += SETTLE;
        self.tick(true);
    }

    fn tick(&mut self, free: bool) {
        self.rig.session.elapsed(self.now, free).unwrap();
        self.rig.turn().unwrap();
    }

    /// What the client says next; the whole of it.
    #[track_caller]
    fn client(&mut self, expected: &str) {
        assert_eq!(self.rig.client(), expected);
    }

    #[track_caller]
    fn said(&mut self, expected: &[&str]) {
        assert_eq!(self.rig.take_said(), expected);
    }

    /// Submits what interrupts IDLE.
    #[track_caller]
    fn interrupt(&mut self, operation: Operation) -> u64 {
        assert!(!self.rig.session.accepts(&operation));
        assert!(self.rig.session.make_way());
        self.rig.submit(operation).expect("there is room now")
    }

    /// Waits for `time` on the clock, which is announced.
    #[track_caller]
    fn after(&mut self, time: Duration) {
        self.tick(true);
        let due = self.rig.session.wakes_at().expect("something is due");
        assert_eq!(due - self.now, time);
        self.now = due - Duration::from_millis(1);
        self.tick(true);
        assert_eq!(self.rig.client(), "", "too early");
        self.now = due;
        self.tick(true);
    }
}

#[test]
fn changes_are_told_as_they_come() {
    at_every_split(|step| {
        let mut it = Followed::idling(step);
        it.server("* 2 FETCH (FLAGS (\\Seen))\r\n* OK Still here\r\n* 1 EXPUNGE\r\n");
        it.said(&["0 flags 2 (\\Seen)", "0 expunged 1"]);
        it.server("* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n* 2 FETCH (UID 5 FLAGS ())\r\n");
        it.said(&["0 flags 5 ()"]);
        it.client("");
        it.server("* 4 EXISTS\r\n* 1 RECENT\r\n");
        it.client("DONE\r\n");
        it.server("M4 OK\r\n");
        it.client("M5 UID FETCH 6:* (UID FLAGS)\r\n");
        it.server("* 3 FETCH (UID 6 FLAGS (\\Recent))\r\n* 4 FETCH (UID 9 FLAGS ())\r\nM5 OK\r\n");
        it.said(&["0 new 6 (\\Recent)", "0 new 9 ()"]);
        it.client("M6 IDLE\r\n");
        it.server("+ \r\n* 3 EXPUNGE\r\n");
        it.said(&["0 expunged 6"]);
        it.server("* 3 FETCH (FLAGS (\\Deleted))\r\n");
        it.said(&["0 flags 9 (\\Deleted)"]);
    });
}

#[test]
fn the_last_message_is_named_by_an_open_range_and_is_not_new() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\n* 4 EXPUNGE\r\nM4 OK\r\n");
    it.client("DONE\r\nM5 UID FETCH 6:* (UID FLAGS)\r\n");
    it.server("* 3 FETCH (UID 5 FLAGS (\\Seen))\r\nM5 OK\r\n");
    it.said(&[]);
    it.client("M6 IDLE\r\n");
}

/// What Dovecot says when a message that has just been looked at is flagged before the answer is
/// complete: nothing names it but its sequence number.

#[test]
fn flags_that_change_while_new_messages_are_looked_at_are_told() {
    at_every_split(|step| {
        let mut it = Followed::idling_with_mod_seqs(step);
        it.server("* 5 EXISTS\r\n");
        it.client("DONE\r\n");
        it.server("M4 OK\r\n");
        it.client("M5 UID FETCH 6:* (UID FLAGS MODSEQ)\r\n");
        it.server("* 4 FETCH (UID 6 FLAGS () MODSEQ (11))\r\n");
        it.server("* 5 FETCH (UID 7 FLAGS () MODSEQ (12))\r\n");
        it.server("* 4 FETCH (MODSEQ (13) FLAGS (\\Flagged))\r\nM5 OK\r\n");
        it.said(&["0 new 6 () 11", "0 new 7 () 12", "0 flags 6 (\\Flagged) 13"]);
        it.client("M6 IDLE\r\n");
    });
}

#[test]
fn untagged_data_may_come_between_idle_and_its_continuation() {
    at_every_split(|step| {
        let mut it = Followed::ready(step, WITH_IDLE);
        it.rig.submit(follow("INBOX")).unwrap();
        it.free();
        it.client("M2 SELECT INBOX\r\n");
        it.server("* 1 EXISTS\r\nM2 OK\r\n");
        it.client("M3 UID SEARCH RETURN (ALL) ALL\r\n");
        it.server("* ESEARCH (TAG \"M3\") UID ALL 4\r\nM3 OK\r\n");
        it.client("M4 IDLE\r\n");
        it.server("* OK wait\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* 2 EXISTS\r\n* 1 RECENT\r\n");
        it.said(&["0 began 1", "0 flags 4 (\\Seen)"]);
        it.client("");
        it.server("+ now\r\n");
        it.client("DONE\r\n");
        it.server("M4 OK\r\n");
        it.client("M5 UID FETCH 5:* (UID FLAGS)\r\n");
    });
}

#[test]
fn one_mailbox_is_followed_on_a_connection() {
    let mut it = Followed::idling(usize::MAX);
    it.rig.submit(follow("Other")).unwrap();
    it.said(&["1 failed: the connection follows a mailbox already"]);
    it.client("");
}

#[test]
fn a_mailbox_that_cannot_be_selected_cannot_be_followed() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("Nowhere")).unwrap();
    it.free();
    it.server("M2 NO [NONEXISTENT] no\r\n");
    it.said(&["0 failed: the server answered NO to SELECT: no"]);
    assert!(it.rig.session.is_quiet());
}

#[test]
fn another_uid_validity_makes_all_that_was_known_worthless() {
    let mut it = Followed::idling(usize::MAX);
    it.interrupt(on("Other", flags(1, 9)));
    it.server("M4 OK\r\nM5 OK\r\n");
    it.server("M6 OK\r\n");
    it.free();
    it.rig.client();
    it.rig.take_said();
    it.server("* 2 EXISTS\r\n* OK [UIDVALIDITY 8] v\r\nM7 OK\r\n");
    it.server("* ESEARCH (TAG \"M8\") UID ALL 1:2\r\nM8 OK\r\n");
    it.said(&["0 validity Some(8)"]);
    it.client("M8 UID SEARCH RETURN (ALL) ALL\r\nM9 IDLE\r\n");
    it.server("+ \r\n* 2 EXPUNGE\r\n");
    it.said(&["0 expunged 2"]);
}

#[test]
fn idle_is_renewed_before_the_server_loses_patience() {
    let mut it = Followed::idling(usize::MAX);
    it.after(RENEW);
    it.client("DONE\r\n");
    it.server("M4 OK\r\n");
    it.client("M5 UID FETCH 6:* (UID FLAGS)\r\n");
    it.server("* 3 FETCH (UID 5 FLAGS ())\r\nM5 OK\r\n");
    it.client("M6 IDLE\r\n");
    it.server("+ \r\n");
    it.after(RENEW);
    it.client("DONE\r\n");
    it.said(&[]);
}

#[test]
fn a_server_that_says_nothing_to_done_is_lost() {
    let mut it = Followed::idling(usize::MAX);
    it.after(RENEW);
    it.client("DONE\r\n");
    it.tick(true);
    it.now += PATIENCE / 2;
    it.server("* OK at work\r\n");
    it.tick(true);
    assert_eq!(it.rig.session.wakes_at(), Some(it.now + PATIENCE));
    it.now += PATIENCE;
    let silent = it.rig.session.elapsed(it.now, true);
    assert!(matches!(silent, Err(Failure::Silent)), "{silent:?}");
}

#[test]
fn without_idle_the_server_is_asked_now_and_then() {
    let mut it = Followed::ready(usize::MAX, WITHOUT_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.free();
    it.server("* 1 EXISTS\r\nM2 OK\r\n* ESEARCH (TAG \"M3\") UID ALL 1\r\nM3 OK\r\n");
    it.client("M2 SELECT INBOX\r\nM3 UID SEARCH RETURN (ALL) ALL\r\n");
    assert!(it.rig.session.is_quiet());
    it.after(POLL);
    it.client("M4 NOOP\r\n");
    it.server("* 2 EXISTS\r\nM4 OK\r\n");
    it.client("M5 UID FETCH 2:* (UID FLAGS)\r\n");
    it.server("* 2 FETCH (UID 2 FLAGS ())\r\nM5 OK\r\n");
    it.said(&["0 began 1", "0 new 2 ()"]);
    it.after(POLL);
    it.client("M6 NOOP\r\n");
    it.server("M6 OK\r\n");
    // Others need not make it wait longer, nor ask sooner.
    it.rig.submit(bare(Request::Noop)).unwrap();
    it.tick(false);
    it.server("M7 OK\r\n");
    it.client("M7 NOOP\r\n");
    it.after(POLL);
    it.client("M8 NOOP\r\n");
}

#[test]
fn idle_may_be_refused_or_ended_at_once() {
    for (answer, rests) in [("NO", [60, 60]), ("BAD", [60, 60]), ("OK", [1, 2])] {
        let mut it = Followed::ready(usize::MAX, WITH_IDLE);
        it.rig.submit(follow("INBOX")).unwrap();
        it.free();
        it.server("* 1 EXISTS\r\nM2 OK\r\n* ESEARCH (TAG \"M3\") UID ALL 1\r\nM3 OK\r\n");
        it.rig.client();
        it.server(&format!("M4 {answer} no\r\n"));
        it.said(&["0 began 1"]);
        it.after(Duration::from_secs(rests[0]));
        if answer == "BAD" {
            it.client("M5 NOOP\r\n");
            it.server("M5 OK\r\n");
        } else {
            it.client("M5 UID FETCH 2:* (UID FLAGS)\r\n");
            it.server(&format!("M5 OK\r\nM6 {answer} no\r\n"));
            it.client("M6 IDLE\r\n");
        }
        it.after(Duration::from_secs(rests[1]));
        assert!(!it.rig.client().contains("DONE"), "{answer}");
    }
}

#[test]
fn messages_vanish_by_uid() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* VANISHED 2:4294967295\r\n");
    it.said(&["0 expunged 2", "0 expunged 5"]);
    it.server("* 1 EXPUNGE\r\n");
    it.said(&["0 expunged 1"]);
    it.client("");
}

#[test]
fn alerts_are_told() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* OK [ALERT] the disk is full\r\n");
    it.said(&["0 alert the disk is full"]);
}

#[test]
fn alerts_from_before_tls_are_nobodys() {
    let mut rig = Rig::new(usize::MAX, Protection::StartTls);
    rig.server("* OK [ALERT] hi\r\n").unwrap();
    assert_eq!(rig.take_said(), Vec::<String>::new());
}

#[test]
fn a_done_that_crosses_the_end_of_idle_ends_nothing() {
    at_every_split(|step| {
        let mut it = Followed::idling(step);
        it.interrupt(bare(Request::Noop));
        it.client("DONE\r\nM5 NOOP\r\n");
        it.server("M4 OK that was long enough\r\nDONE BAD no command\r\nM5 OK\r\n");
        it.said(&["1 Done"]);
        it.free();
        it.client("M6 UID FETCH 6:* (UID FLAGS)\r\n");
        // Once for each.
        assert!(it.rig.server("DONE BAD no command\r\n").is_err());
    });
}
