//! Transcripts: what the session says (`C:`) to what the server says (`S:`), with the bytes
//! of the server coming in at once and one by one.

mod appending;
mod authenticating;
mod broken;
mod copies;
mod fetching;
mod hostile;
mod login;

use super::Protection;
use super::operation::{By, Failure, Request};
use super::rig::{CAPABILITIES, Rig, at_every_split, bare, bodies, flags, name, on, uids};
use crate::protocol::machine::{Output, Protocol};
use crate::types::flag::{Flag, Flags};
use crate::types::ids::UidValidity;
use crate::types::items::Items;
use crate::types::limits::Limits;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::request::{Append, Store};
use crate::types::section::Section;

#[test]
fn an_operation_selects_its_mailbox_first() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.submit(on("INBOX", Request::Search(By::Uid, Query::all())))
            .unwrap();
        assert_eq!(rig.client(), "M2 SELECT INBOX\r\n");
        rig.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nM2 OK [READ-WRITE] in\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M3 UID SEARCH RETURN (ALL) ALL\r\n");
        rig.server("* ESEARCH (TAG \"M3\") UID ALL 2:4,9\r\nM3 OK done\r\n")
            .unwrap();
        assert_eq!(rig.take_said(), ["0 found [(2, 4), (9, 9)] of Some(7)"]);
        rig.submit(on("inbox", flags(2, 2))).unwrap();
        assert_eq!(rig.client(), "M4 UID FETCH 2 (UID FLAGS)\r\n");
    });
}

#[test]
fn a_mailbox_that_cannot_be_selected_fails_its_operation_only() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("Nowhere", flags(1, 1))).unwrap();
    let tag = rig.client().split(' ').next().unwrap().to_owned();
    rig.server(&format!("{tag} NO [NONEXISTENT] no\r\n"))
        .unwrap();
    assert_eq!(rig.take_said().len(), 1);
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(
        rig.client().contains("SELECT INBOX"),
        "nothing is selected any more"
    );
}

#[test]
fn what_may_not_overlap_waits() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let list = || {
        bare(Request::List {
            reference: String::new(),
            pattern: "*".to_owned(),
        })
    };
    rig.submit(on("INBOX", bodies(1, 5))).unwrap();
    assert!(
        rig.submit(on("Other", flags(1, 1))).is_none(),
        "another mailbox"
    );
    let seen = || Store::add(Flags::from_iter([Flag::Seen]));
    assert!(
        rig.submit(on("INBOX", Request::Store(By::Uid, uids(5, 6), seen())))
            .is_none()
    );
    assert!(
        rig.submit(on("INBOX", Request::Store(By::Uid, uids(6, 6), seen())))
            .is_some()
    );
    assert!(
        rig.submit(on(
            "INBOX",
            Request::Fetch(By::Sequence, uids(1, 1), Items::new())
        ))
        .is_none()
    );
    assert!(rig.submit(on("INBOX", Request::Expunge)).is_none());
    assert!(rig.submit(list()).is_some());
    assert!(rig.submit(list()).is_none(), "two lists");
    assert!(rig.submit(bare(Request::Noop)).is_some());
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let search = || on("INBOX", Request::Search(By::Uid, Query::all()));
    assert!(rig.submit(search()).is_some());
    assert!(
        rig.submit(search()).is_none(),
        "two searches without a correlator"
    );
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let (one, two) = (rig.submit(search()).unwrap(), rig.submit(search()).unwrap());
    rig.server("* ESEARCH (TAG \"M5\") UID ALL 5\r\n* ESEARCH (TAG \"M4\") UID ALL 4\r\nM4 OK\r\nM5 OK\r\n").unwrap();
    assert_eq!(
        rig.take_said(),
        [
            format!("{one} found [(4, 4)] of Some(7)"),
            format!("{two} found [(5, 5)] of Some(7)")
        ]
    );
}

#[test]
fn uids_of_another_uidvalidity_are_refused_before_anything_is_written() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let mut operation = on("INBOX", flags(1, 1));
    if let Some(target) = &mut operation.target {
        target.uid_validity = UidValidity::new(8);
    }
    rig.submit(operation).unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("UIDVALIDITY was 8"));
}

#[test]
fn a_withdrawn_operation_writes_nothing_but_its_select() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.gate.0.insert(0);
    rig.submit(on(
        "INBOX",
        Request::Store(By::Uid, uids(1, 1), Store::add(Flags::default())),
    ))
    .unwrap();
    assert_eq!(rig.client(), "M2 SELECT INBOX\r\n");
    rig.server("M2 OK\r\n").unwrap();
    assert_eq!(rig.client(), "");
    assert_eq!(rig.take_said(), ["0 withdrawn"]);
}

#[test]
fn a_renamed_mailbox_is_selected_anew() {
    for request in [
        Request::Rename(name("INBOX"), name("Old")),
        Request::Delete(name("INBOX")),
    ] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(bare(request)).unwrap();
        rig.client();
        rig.server("M4 OK\r\n").unwrap();
        rig.submit(on("INBOX", flags(1, 1))).unwrap();
        assert_eq!(rig.client(), "M5 SELECT INBOX\r\n");
    }
}

#[test]
fn what_the_server_says_unasked_reaches_whoever_asks() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.server("* 4 EXISTS\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\n* XFOO bar\r\n* OK [ALERT] hi\r\n").unwrap();
    let id = rig.submit(on("INBOX", Request::Events)).unwrap();
    rig.server("M4 OK\r\n").unwrap();
    let said = rig.take_said();
    assert!(
        said[0].starts_with(&format!("{id} events [Exists(4), FlagsChanged")),
        "{said:?}"
    );
    assert!(said[0].contains("Expunged"));
}

#[test]
fn vanished_takes_the_place_of_expunge() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("INBOX", Request::Expunge)).unwrap();
    rig.server("* VANISHED (EARLIER) 1\r\n* VANISHED 4,6:7\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(rig.take_said(), ["1 expunged 3"]);
}

#[test]
fn tags_that_are_not_under_way_end_the_session() {
    for answer in ["M4 OK\r\nM4 OK\r\n", "M5 OK\r\n", "M4 OK\r\nA1 OK\r\n"] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(bare(Request::Noop)).unwrap();
        assert!(
            matches!(rig.server(answer), Err(Failure::Protocol(_))),
            "{answer}"
        );
    }
}

#[test]
fn bye_ends_the_session_except_after_logout() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    assert!(matches!(
        rig.server("* BYE gone\r\n"),
        Err(Failure::Bye { .. })
    ));
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.session.quit();
    rig.turn().unwrap();
    assert_eq!(rig.client(), "M2 LOGOUT\r\n");
    rig.server("* BYE see you\r\nM2 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["finished"]);
}

#[test]
fn a_reset_leaves_the_mailbox_and_expunges_nothing() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    rig.session.reset();
    rig.turn().unwrap();
    assert_eq!(rig.client(), "M4 UNSELECT\r\n");
    assert!(
        rig.submit(bare(Request::Noop)).is_none(),
        "nothing overlaps a reset"
    );
    rig.server("M4 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["reset"]);
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(rig.client().contains("SELECT INBOX"));
}

#[test]
fn without_unselect_a_mailbox_is_closed_only_once_it_is_read_only() {
    let begin = || {
        let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
        rig.select_inbox();
        rig.session.reset();
        rig.turn().unwrap();
        assert_eq!(rig.client(), "M4 EXAMINE INBOX\r\n");
        rig
    };
    let mut rig = begin();
    rig.server("M4 OK [READ-ONLY]\r\n").unwrap();
    assert_eq!(rig.client(), "M5 CLOSE\r\n");
    assert!(rig.take_said().is_empty());
    rig.server("M5 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["reset"]);
    let mut rig = begin();
    rig.server("M4 NO gone\r\n").unwrap();
    assert_eq!((rig.client().as_str(), rig.take_said().len()), ("", 1));
    let mut rig = begin();
    assert!(
        rig.server("M4 BAD what\r\n").is_err(),
        "still writable, perhaps"
    );
    assert_eq!(rig.client(), "");
}

#[test]
fn unselect_without_the_command_closes_only_once_the_mailbox_is_read_only() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
    rig.select_inbox();
    rig.submit(bare(Request::Unselect)).unwrap();
    assert_eq!(rig.client(), "M4 EXAMINE INBOX\r\n");
    rig.server("M4 BAD what\r\n").unwrap();
    assert_eq!(rig.client(), "");
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(rig.client().contains("SELECT INBOX"));
}

#[test]
fn events_are_bounded_in_bytes() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let flags = "k".repeat(200_000);
    for _ in 0..20 {
        rig.server(&format!("* 1 FETCH (FLAGS ({flags}))\r\n"))
            .unwrap();
    }
    rig.submit(on("INBOX", Request::Events)).unwrap();
    rig.server("M4 OK\r\n").unwrap();
    let said = rig.take_said().concat();
    assert!(said.len() < 2_000_000 && said.ends_with("Overflow]"));
}

#[test]
fn a_server_that_never_stops_asking_is_refused() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n")
        .unwrap();
    assert!(rig.server(&"+ \r\n".repeat(50)).is_err());
    assert!(rig.client().len() < 500);
}

#[test]
fn a_set_too_long_for_one_line_goes_out_in_several_commands() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let mut set = RangeSet::default();
    for number in 0..5_000u32 {
        set.insert(number * 2 + 1_000_000, number * 2 + 1_000_000);
    }
    rig.submit(on(
        "INBOX",
        Request::Fetch(By::Uid, set, Items::new().flags()),
    ))
    .unwrap();
    let sent = rig.client();
    let lines: Vec<&str> = sent.lines().collect();
    assert!(lines.len() > 4 && lines.iter().all(|line| line.len() < 8_000));
    for line in &lines {
        assert!(rig.take_said().is_empty());
        let tag = line.split(' ').next().unwrap();
        rig.server(&format!("{tag} OK\r\n")).unwrap();
    }
    assert_eq!(rig.take_said(), ["1 Done"]);
}

#[test]
fn an_empty_set_takes_no_command() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Fetch(By::Uid, RangeSet::default(), Items::new()),
    ))
    .unwrap();
    assert_eq!(rig.client(), "");
    assert_eq!(rig.take_said(), ["1 Done"]);
}

#[test]
fn a_missing_extension_is_said_before_anything_is_written() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
    rig.submit(bare(Request::Namespace)).unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("NAMESPACE"));
}
