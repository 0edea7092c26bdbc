//! What happened while nobody listened: lists, flags, another connection.

use super::*;

#[test]
fn mail_that_comes_between_done_and_the_next_idle_is_found() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\n");
    it.client("DONE\r\n");
    it.server("* 5 EXISTS\r\nM4 OK\r\n* 6 EXISTS\r\n");
    it.client("M5 UID FETCH 6:* (UID FLAGS)\r\n");
    it.server("* 4 FETCH (UID 6 FLAGS ())\r\n* 5 FETCH (UID 7 FLAGS ())\r\n");
    it.server("* 6 FETCH (UID 8 FLAGS ())\r\n* 7 EXISTS\r\nM5 OK\r\n");
    it.client("M6 UID FETCH 9:* (UID FLAGS)\r\n");
    it.server("* 7 FETCH (UID 9 FLAGS ())\r\nM6 OK\r\n");
    it.said(&["0 new 6 ()", "0 new 7 ()", "0 new 8 ()", "0 new 9 ()"]);
    it.client("M7 IDLE\r\n");
}

#[test]
fn messages_that_come_and_go_while_they_are_looked_at_end_in_a_new_list() {
    let mut it = Followed::idling(usize::MAX);
    it.server(
        "* 5 EXISTS\r\nM4 OK\r\n* 4 FETCH (UID 6 FLAGS ())\r\n* 5 FETCH (UID 7 FLAGS ())\r\n",
    );
    it.server("* 4 EXPUNGE\r\nM5 OK\r\n");
    it.client("DONE\r\nM5 UID FETCH 6:* (UID FLAGS)\r\nM6 UID SEARCH RETURN (ALL) ALL\r\n");
    it.server("* ESEARCH (TAG \"M6\") UID ALL 1:2,5,7\r\nM6 OK\r\n");
    it.said(&["0 new 6 ()", "0 new 7 ()", "0 expunged 6"]);
    it.client("M7 IDLE\r\n");
}

#[test]
fn a_list_during_which_messages_go_is_made_again() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.free();
    it.server("* 3 EXISTS\r\nM2 OK\r\n");
    it.server("* ESEARCH (TAG \"M3\") UID ALL 1:3\r\n* 1 EXPUNGE\r\nM3 OK\r\n");
    it.said(&[]);
    it.server("* ESEARCH (TAG \"M4\") UID ALL 2:3\r\nM4 OK\r\n");
    it.said(&["0 began 2"]);
    it.rig.client();
    it.server("+ \r\n* 1 EXPUNGE\r\n");
    it.said(&["0 expunged 2"]);
}

#[test]
fn a_server_that_cannot_count_is_asked_again_and_then_believed() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.free();
    it.server("* 9 EXISTS\r\nM2 OK\r\n");
    for tag in 3..6 {
        it.server(&format!(
            "* ESEARCH (TAG \"M{tag}\") UID ALL 1:3\r\nM{tag} OK\r\n"
        ));
    }
    it.said(&["0 began 3"]);
    it.server("M6 OK\r\n");
    let sent = it.rig.client();
    assert!(
        sent.ends_with("M6 UID FETCH 4:* (UID FLAGS)\r\nM7 IDLE\r\n"),
        "{sent}"
    );
    // Which one that is nobody can tell: a new list says it.
    it.server("+ \r\n* 2 EXPUNGE\r\n");
    it.client("DONE\r\n");
    it.server("M7 OK\r\n");
    it.client("M8 UID SEARCH RETURN (ALL) ALL\r\n");
}

#[test]
fn a_list_without_end_is_not_expanded() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    it.rig.submit(follow("INBOX")).unwrap();
    it.free();
    it.server("* 4294967295 EXISTS\r\nM2 OK\r\n");
    it.server("* ESEARCH (TAG \"M3\") UID ALL 1:4294967295\r\nM3 OK\r\n");
    it.said(&["0 failed: size of the result beyond the limit of 67108864"]);
}

#[test]
fn changed_flags_are_caught_up_with_and_told_once() {
    at_every_split(|step| {
        let mut it = Followed::idling_with_mod_seqs(step);
        it.server("* 1 FETCH (FLAGS (\\Seen) MODSEQ (12))\r\n");
        it.server("* 2 FETCH (UID 2 MODSEQ (11) FLAGS (\\Draft))\r\n");
        it.server("* 1 FETCH (FLAGS (\\Seen) MODSEQ (12))\r\n");
        it.said(&["0 flags 1 (\\Seen) 12", "0 flags 2 (\\Draft) 11"]);
        it.interrupt(on("Other", flags(1, 1)));
        it.server("M4 OK\r\nM5 OK\r\n");
        it.server("M6 OK\r\n");
        it.free();
        it.rig.take_said();
        it.server("* 4 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [HIGHESTMODSEQ 20] h\r\nM7 OK\r\n");
        it.server("* ESEARCH (TAG \"M8\") UID ALL 1:2,5:6 MODSEQ 20\r\nM8 OK\r\n");
        let sent = it.rig.client();
        assert!(
            sent.ends_with("M9 UID FETCH 1:* (UID FLAGS MODSEQ) (CHANGEDSINCE 10)\r\n"),
            "{sent}"
        );
        it.server("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (12))\r\n");
        it.server("* 2 FETCH (UID 2 FLAGS () MODSEQ (20))\r\n");
        it.server("* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ (15))\r\n");
        it.server("* 4 FETCH (UID 6 FLAGS () MODSEQ (14))\r\n");
        it.server("* 3 FETCH (FLAGS (\\Flagged) MODSEQ (15))\r\nM9 OK\r\n");
        it.said(&[
            "0 flags 2 () 20",
            "0 flags 5 (\\Flagged) 15",
            "0 new 6 () 14",
        ]);
        it.client("M10 IDLE\r\n");
        // From now on nothing up to 20 is asked for.
        it.server("+ \r\n");
        it.after(RENEW);
        it.client("DONE\r\n");
        it.server("M10 OK\r\n");
        it.client("M11 UID FETCH 1:* (UID FLAGS MODSEQ) (CHANGEDSINCE 20)\r\n");
    });
}

#[test]
fn without_a_higher_mod_sequence_no_flags_are_asked_for() {
    let mut it = Followed::idling_with_mod_seqs(usize::MAX);
    it.interrupt(on("Other", flags(1, 1)));
    it.server("M4 OK\r\nM5 OK\r\n");
    it.server("M6 OK\r\n");
    it.free();
    it.rig.client();
    it.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [HIGHESTMODSEQ 10] h\r\nM7 OK\r\n");
    it.server("* ESEARCH (TAG \"M8\") UID ALL 1:2,5\r\nM8 OK\r\n");
    it.client("M8 UID SEARCH RETURN (ALL) ALL\r\nM9 IDLE\r\n");
}

#[test]
fn flags_that_somebody_else_was_told_are_looked_up() {
    let mut it = Followed::idling_with_mod_seqs(usize::MAX);
    it.interrupt(on("INBOX", flags(1, 2)));
    it.server("M4 OK\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\nM5 OK\r\n");
    it.free();
    it.client(
        "DONE\r\nM5 UID FETCH 1:2 (UID FLAGS)\r\n\
         M6 UID FETCH 1:* (UID FLAGS MODSEQ) (CHANGEDSINCE 10)\r\n",
    );
}

fn salvaged(it: &mut Followed) -> Salvaged<crate::protocol::imap::session::Session> {
    let mut salvaged = it.rig.session.salvage(it.rig.output.written());
    assert_eq!(salvaged.len(), 1);
    salvaged.pop().unwrap()
}

#[test]
fn it_goes_on_where_it_was_on_another_connection() {
    let mut it = Followed::idling_with_mod_seqs(usize::MAX);
    it.server("* 1 FETCH (FLAGS (\\Seen) MODSEQ (12))\r\n* 2 EXPUNGE\r\n");
    for round in 0..3 {
        let first = salvaged(&mut it);
        assert!(!first.sent && first.id == 0);
        it = Followed::ready(usize::MAX, WITH_MOD_SEQS);
        it.rig.submit(first.again.unwrap()).unwrap();
        it.free();
        if round == 1 {
            // It breaks again before anything is known.
            it.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n");
        }
    }
    it.server("* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [HIGHESTMODSEQ 13] h\r\nM2 OK\r\n");
    it.server("* ESEARCH (TAG \"M3\") UID ALL 1,9\r\nM3 OK\r\n");
    it.said(&["0 expunged 5"]);
    it.server("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (12))\r\n");
    it.server("* 2 FETCH (UID 9 FLAGS () MODSEQ (13))\r\nM4 OK\r\n");
    it.said(&["0 new 9 () 13"]);
    let sent = it.rig.client();
    assert!(sent.ends_with("M5 IDLE\r\n"), "{sent}");
}

#[test]
fn what_its_caller_gave_up_is_not_continued() {
    let mut it = Followed::idling(usize::MAX);
    it.rig.session.give_up(0);
    assert!(it.rig.session.salvage(it.rig.output.written()).is_empty());
}

#[test]
fn a_look_is_over_when_everything_is_known() {
    let mut it = Followed::ready(usize::MAX, WITH_IDLE);
    let mut look = follow("INBOX");
    if let Request::Follow(follow) = &mut look.request {
        follow.once = true;
    }
    it.rig.submit(look).unwrap();
    it.free();
    it.server("* 1 EXISTS\r\nM2 OK\r\n* ESEARCH (TAG \"M3\") UID ALL 1\r\nM3 OK\r\n");
    it.said(&["0 began 1", "0 followed"]);
    assert!(it.rig.session.is_quiet());
}

#[test]
fn a_fetch_that_is_refused_is_tried_once_more() {
    let mut it = Followed::idling(usize::MAX);
    it.server("* 4 EXISTS\r\nM4 OK\r\nM5 NO some are gone\r\n");
    it.rig.client();
    it.server("* ESEARCH (TAG \"M6\") UID ALL 1:2,5:6\r\nM6 OK\r\n");
    it.client("M7 UID FETCH 6 (UID FLAGS)\r\n");
    it.server("M7 NO again\r\n");
    it.said(&["0 failed: the server answered NO to UID FETCH: again"]);
}
