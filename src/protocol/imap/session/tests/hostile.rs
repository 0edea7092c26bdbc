//! Servers that say more than they were asked for, or the same thing twice.

use super::*;

#[test]
fn held_bodies_of_one_response_are_bounded_together() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.session.config.limits = Limits::default()
        .stream_threshold(20)
        .max_buffered_body(100);
    rig.select_inbox();
    rig.submit(on("INBOX", bodies(1, 2))).unwrap();
    rig.client();
    let body = "x".repeat(90);
    let mut text = String::from("* 1 FETCH (");
    for part in 1..=50 {
        text += &format!("BODY[{part}] {{90}}\r\n{body} ");
    }
    rig.server(&text).unwrap();
    let said = rig.take_said();
    assert!(
        said.iter().any(|line| line.contains("refused")),
        "4,500 bytes are held with a limit of 100: {said:?}"
    );
}

#[test]
fn the_copies_that_a_server_tells_are_bounded() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.session.config.limits = Limits::default().max_buffered_body(10_000);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Copy(By::Uid, uids(1, 4_000_000_000), name("B")),
    ))
    .unwrap();
    rig.client();
    for round in 0..1000u32 {
        let mut from = String::new();
        for one in 0..100 {
            from += &format!("{},", 1 + 2 * (round * 100 + one));
        }
        let from = from.trim_end_matches(',').to_owned();
        rig.server(&format!("* OK [COPYUID 7 {from} {from}] x\r\n"))
            .unwrap();
    }
    rig.server("M4 OK done\r\n").unwrap();
    let said = rig.take_said();
    assert!(said.iter().any(|line| line.contains("failed")), "{said:?}");
}

#[test]
fn the_extensions_that_a_server_tells_are_bounded() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.session.config.limits = Limits::default().max_buffered_body(10_000);
    rig.submit(bare(Request::Enable(vec!["CONDSTORE".to_owned()])))
        .unwrap();
    rig.client();
    for round in 0..10_000u32 {
        rig.server(&format!("* ENABLED A{round} B{round} C{round}\r\n"))
            .unwrap();
    }
    rig.server("M2 OK done\r\n").unwrap();
    let said = rig.take_said();
    assert!(
        said.iter().any(|line| line.contains("failed")),
        "{} bytes",
        said.concat().len()
    );
}

#[test]
fn copies_that_are_told_twice_count_once() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("INBOX", Request::Move(By::Uid, uids(1, 2), name("B"))))
        .unwrap();
    rig.client();
    rig.server("* OK [COPYUID 7 1:2 11:12] x\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\nM4 OK [COPYUID 7 1:2 11:12] done\r\n").unwrap();
    let said = rig.take_said();
    assert_eq!(said, ["1 moved Some(2) left=false"]);
}

#[test]
fn a_uid_in_a_subject_hides_no_other_message() {
    let deep = format!("{}{}", "(".repeat(200), ")".repeat(200));
    for refused in [
        "* 1 FETCH (ENVELOPE (NIL \"see UID 2 there\" NIL NIL NIL NIL NIL NIL NIL NIL) UID 1 UID 1)\r\n".to_owned(),
        format!("* 1 FETCH (ENVELOPE (NIL \"see UID 2 there\" NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE {deep} UID 1)\r\n"),
    ] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(on("INBOX", Request::Fetch(By::Uid, uids(1, 2), Items::new().envelope()))).unwrap();
        rig.client();
        rig.server(&refused).unwrap();
        rig.server("* 2 FETCH (UID 2 ENVELOPE (NIL \"two\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\nM4 OK\r\n").unwrap();
        let said = rig.take_said();
        assert!(
            said.contains(&"1 message Some(2) [] stream=None".to_owned()),
            "message 2 is lost: {said:?}"
        );
    }
}

#[test]
fn the_last_message_is_meant_as_it_was_when_the_command_was_sent() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Fetch(
            By::Uid,
            RangeSet::range(100, u32::MAX),
            Items::new().flags(),
        ),
    ))
    .unwrap();
    rig.client();
    rig.server("* 4 EXISTS\r\n* 3 FETCH (UID 8 FLAGS ())\r\nM4 OK\r\n")
        .unwrap();
    let said = rig.take_said();
    assert!(
        said.iter().any(|l| l.contains("message Some(8)")),
        "{said:?}"
    );
}

#[test]
fn a_move_in_steps_touches_only_what_was_asked_for() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    rig.select_inbox();
    rig.submit(on("INBOX", Request::Move(By::Uid, uids(1, 2), name("B"))))
        .unwrap();
    rig.server("* SEARCH 1 2 9\r\nM4 OK done\r\n").unwrap();
    let sent = rig.client();
    assert!(!sent.contains('9'), "{sent}");
}

#[test]
fn a_message_told_in_two_responses_is_whole() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let items = Items::new().envelope().peek(Section::full());
    rig.submit(on("INBOX", Request::Fetch(By::Uid, uids(1, 1), items)))
        .unwrap();
    rig.client();
    rig.server("* 1 FETCH (UID 1 ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\nM4 OK\r\n").unwrap();
    let said = rig.take_said();
    assert!(said.concat().contains("\"x\""), "{said:?}");
}
