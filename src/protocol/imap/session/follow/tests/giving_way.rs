//! Others have something to do on the connection, or the caller has had enough.

use super::*;

#[test]
fn others_get_through_with_done_in_the_same_write() {
    at_every_split(|step| {
        let mut it = Followed::idling(step);
        let fetch = it.interrupt(on("INBOX", flags(1, 1)));
        it.client("DONE\r\nM5 UID FETCH 1 (UID FLAGS)\r\n");
        it.server("* 2 EXPUNGE\r\nM4 OK\r\n* 1 FETCH (UID 1 FLAGS ())\r\nM5 OK\r\n");
        it.said(&[
            "0 expunged 2",
            &format!("{fetch} message Some(1) [] stream=None"),
            &format!("{fetch} Done"),
        ]);
        assert!(it.rig.session.is_quiet());
        it.tick(true);
        it.client("");
        // Somebody comes again before it is free for long enough.
        it.now += SETTLE / 2;
        it.tick(false);
        it.free();
        it.client("M6 UID FETCH 6:* (UID FLAGS)\r\n");
        it.server("* 3 EXISTS\r\n* 3 FETCH (UID 6 FLAGS ())\r\nM6 OK\r\n");
        it.said(&["0 new 6 ()"]);
        it.client("M7 IDLE\r\n");
    });
}

#[test]
fn nothing_is_written_between_idle_and_done() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\nM4 OK\r\n");
    it.client("DONE\r\nM5 UID FETCH 6:* (UID FLAGS)\r\n");
    it.server("* 4 FETCH (UID 6 FLAGS ())\r\nM5 OK\r\n");
    it.client("M6 IDLE\r\n");
    let other = bare(Request::Noop);
    assert!(!it.rig.session.accepts(&other));
    assert!(it.rig.session.make_way());
    assert!(!it.rig.session.make_way(), "there is nothing more to do");
    assert!(!it.rig.session.accepts(&other));
    it.client("");
    it.server("+ \r\n");
    it.client("DONE\r\n");
    assert!(it.rig.session.accepts(&other));
    it.rig.submit(other).unwrap();
    it.client("M7 NOOP\r\n");
}

#[test]
fn what_is_under_way_is_finished_before_others_and_goes_on_after_them() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\nM4 OK\r\n");
    it.client("DONE\r\nM5 UID FETCH 6:* (UID FLAGS)\r\n");
    let other = bare(Request::Noop);
    assert!(it.rig.session.make_way());
    assert!(!it.rig.session.accepts(&other));
    it.server("* 4 FETCH (UID 6 FLAGS ())\r\nM5 OK\r\n");
    it.said(&["0 new 6 ()"]);
    it.client("");
    assert!(it.rig.session.accepts(&other) && it.rig.session.is_quiet());
    it.free();
    it.client("M6 UID FETCH 7:* (UID FLAGS)\r\n");
}

#[test]
fn a_caller_that_has_had_enough_ends_it_wherever_it_is() {
    // Before anything was written.
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    assert!(it.rig.session.give_up(0));
    it.rig.turn().unwrap();
    it.said(&["0 Done"]);
    assert!(it.rig.session.is_quiet());
    // While it asks.
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.free();
    it.client("M2 SELECT INBOX\r\n");
    it.rig.session.give_up(0);
    it.server("M2 OK\r\n");
    it.said(&["0 Done"]);
    it.client("");
    // While it idles.
    let mut it = Followed::idling(usize::MAX);
    assert!(!it.rig.session.give_up(1));
    assert!(it.rig.session.give_up(0));
    it.rig.turn().unwrap();
    it.client("DONE\r\n");
    assert!(!it.rig.session.is_quiet());
    assert!(!it.rig.session.accepts(&follow("INBOX")), "it is not over");
    it.server("* 4 EXISTS\r\nM4 OK\r\n");
    it.said(&["0 Done"]);
    it.client("");
    assert!(it.rig.session.is_quiet() && it.rig.session.accepts(&follow("INBOX")));
    // Before the server has agreed to IDLE.
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\nM4 OK\r\n* 4 FETCH (UID 6 FLAGS ())\r\nM5 OK\r\n");
    it.client("DONE\r\nM5 UID FETCH 6:* (UID FLAGS)\r\nM6 IDLE\r\n");
    it.rig.session.give_up(0);
    it.client("");
    it.server("+ \r\nM6 OK\r\n");
    it.client("DONE\r\n");
    it.said(&["0 new 6 ()", "0 Done"]);
}

#[test]
fn a_caller_that_gave_up_before_the_first_command_has_nothing_sent() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.rig.gate.0.insert(0);
    it.free();
    it.client("");
    it.said(&["0 withdrawn"]);
}

#[test]
fn a_reset_ends_it() {
    let mut it = Followed::idling(usize::MAX);
    it.rig.session.reset();
    it.rig.turn().unwrap();
    it.client("DONE\r\n");
    it.server("M4 OK\r\n");
    let sent = it.rig.client();
    assert!(sent.starts_with("M5 EXAMINE INBOX"), "{sent}");
    it.server("M5 OK\r\nM6 OK\r\n");
    it.said(&["0 Done", "reset"]);
}

#[test]
fn another_mailbox_is_selected_meanwhile() {
    at_every_split(|step| {
        let mut it = Followed::idling(step);
        let fetch = it.interrupt(on("Other", flags(1, 9)));
        it.client("DONE\r\nM5 SELECT Other\r\n");
        // Words about the mailbox that is being left, then about the other one.
        it.server("* 1 EXPUNGE\r\n* OK [UIDVALIDITY 7] v\r\nM4 OK\r\n");
        it.server("* 9 EXISTS\r\n* OK [UIDVALIDITY 1] v\r\nM5 OK\r\n");
        it.client("M6 UID FETCH 1:9 (UID FLAGS)\r\n");
        it.server("* 5 FETCH (UID 5 FLAGS (\\Draft))\r\n* 2 EXPUNGE\r\nM6 OK\r\n");
        it.said(&[
            &format!("{fetch} message Some(5) [] stream=None"),
            &format!("{fetch} Done"),
        ]);
        it.free();
        it.client("M7 SELECT INBOX\r\n");
        it.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\nM7 OK\r\n");
        it.client("M8 UID SEARCH RETURN (ALL) ALL\r\n");
        it.server("* ESEARCH (TAG \"M8\") UID ALL 2,5,8\r\nM8 OK\r\n");
        it.said(&["0 expunged 1", "0 flags unknown"]);
        it.client("M9 UID FETCH 8 (UID FLAGS)\r\n");
        it.server("* 3 FETCH (UID 8 FLAGS ())\r\nM9 OK\r\n");
        it.said(&["0 new 8 ()"]);
        it.client("M10 IDLE\r\n");
    });
}

#[test]
fn messages_that_go_while_others_work_are_told_also_where_an_expunge_asked_for_it() {
    let mut it = Followed::idling(usize::MAX);
    let expunge = it.interrupt(on("INBOX", Request::Expunge));
    it.client("DONE\r\nM5 EXPUNGE\r\n");
    it.server("M4 OK\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\nM5 OK\r\n");
    it.said(&[
        "0 expunged 1",
        "0 expunged 2",
        &format!("{expunge} expunged 2"),
    ]);
    it.free();
    it.client("M6 UID FETCH 6:* (UID FLAGS)\r\n");
    it.server("* 1 FETCH (UID 5 FLAGS ())\r\nM6 OK\r\n+ \r\n* 1 EXPUNGE\r\n");
    it.said(&["0 expunged 5"]);
}

#[test]
fn the_answer_to_a_store_is_no_news() {
    let mut it = Followed::idling(usize::MAX);
    let store = Store::add(Flag::Seen);
    let store = it.interrupt(on("INBOX", Request::Store(By::Uid, uids(2, 2), store)));
    it.server("M4 OK\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\nM5 OK\r\n");
    it.said(&[&format!("{store} stored 1 modified []")]);
    it.server("* 2 FETCH (FLAGS (\\Seen))\r\n");
    it.said(&[]);
    it.server("* 2 FETCH (FLAGS ())\r\n");
    it.said(&["0 flags 2 ()"]);
}

#[test]
fn exists_may_come_before_the_continuation_of_an_append_that_interrupts() {
    at_every_split(|step| {
        let mut it = Followed::ready(step, "IMAP4rev1 IDLE ESEARCH UIDPLUS");
        it.begin("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n");
        let inbox = crate::types::mailbox_name::MailboxName::new("INBOX").unwrap();
        let append = it.interrupt(bare(Request::Append(inbox, Append::new("a: b\r\n\r\n"))));
        it.client("DONE\r\nM5 APPEND INBOX {8}\r\n");
        it.server("* 4 EXISTS\r\nM4 OK\r\n* 5 EXISTS\r\n* 1 RECENT\r\n");
        it.client("");
        it.server("+ go on\r\n");
        it.client("a: b\r\n\r\n\r\n");
        it.server("* 6 EXISTS\r\nM5 OK [APPENDUID 7 9] done\r\n");
        it.said(&[&format!("{append} appended Some(9)")]);
        it.free();
        it.client("M6 UID FETCH 6:* (UID FLAGS)\r\n");
        it.server("* 4 FETCH (UID 6 FLAGS ())\r\n* 5 FETCH (UID 7 FLAGS ())\r\n");
        it.server("* 6 FETCH (UID 9 FLAGS ())\r\nM6 OK\r\n");
        it.said(&["0 new 6 ()", "0 new 7 ()", "0 new 9 ()"]);
        it.client("M7 IDLE\r\n");
    });
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
