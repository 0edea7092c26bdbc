//! COPY and MOVE, the latter also where the server does not have it, and what COPYUID says of them
//! (RFC 4315 §3).

use super::*;

#[test]
fn move_without_move_finds_copies_marks_and_expunges_by_uid() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    rig.select_inbox();
    let all = RangeSet::range(1, u32::MAX);
    let id = rig
        .submit(on("INBOX", Request::Move(By::Uid, all, name("Done"))))
        .unwrap();
    assert_eq!(rig.client(), "M4 UID SEARCH UID 1:*\r\n");
    rig.server("* SEARCH 1 2\r\nM4 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M5 UID COPY 1:2 Done\r\n");
    // What arrives now has not been copied and must not be touched.
    rig.server("* 4 EXISTS\r\nM5 OK [COPYUID 3 1:2 8:9] ok\r\n")
        .unwrap();
    assert_eq!(
        rig.client(),
        "M6 UID STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n"
    );
    rig.server("M6 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M7 UID EXPUNGE 1:2\r\n");
    rig.server("* 1 EXPUNGE\r\nM7 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), [format!("{id} moved Some(2) left=false")]);
}

#[test]
fn a_move_by_sequence_numbers_without_move_goes_on_by_uid() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Sequence, uids(2, 2), name("Done")),
    ))
    .unwrap();
    assert_eq!(rig.client(), "M4 UID SEARCH 2\r\n");
    rig.server("* SEARCH 20\r\nM4 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M5 UID COPY 20 Done\r\n");
    rig.server("* 1 EXPUNGE\r\nM5 OK\r\n").unwrap();
    assert_eq!(
        rig.client(),
        "M6 UID STORE 20 +FLAGS.SILENT (\\Deleted)\r\n"
    );
}

#[test]
fn many_sequence_numbers_are_resolved_before_anything_moves() {
    for copies in [true, false] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        let mut set = RangeSet::default();
        for number in 0..3_000u32 {
            set.insert(number * 2 + 1_001, number * 2 + 1_001);
        }
        let request = if copies {
            Request::Copy(By::Sequence, set, name("Done"))
        } else {
            Request::Move(By::Sequence, set, name("Done"))
        };
        rig.submit(on("INBOX", request)).unwrap();
        let sent = rig.client();
        assert!(sent.lines().count() > 1);
        for line in sent.lines() {
            let tag = line.split(' ').next().unwrap();
            assert!(line.contains("UID SEARCH RETURN (ALL)"), "{line}");
            assert_eq!(rig.client(), "");
            rig.server(&format!(
                "* ESEARCH (TAG \"{tag}\") UID ALL 7:9\r\n{tag} OK\r\n"
            ))
            .unwrap();
        }
        let verb = if copies { "UID COPY" } else { "UID MOVE" };
        assert!(rig.client().contains(&format!("{verb} 7:9 Done")));
    }
}

#[test]
fn how_to_move_is_settled_once() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Uid, uids(2, 2), name("Done")),
    ))
    .unwrap();
    rig.client();
    rig.server("* CAPABILITY IMAP4rev1\r\nM4 OK moved\r\n")
        .unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("left=false"));
}

#[test]
fn move_without_uidplus_leaves_the_originals_marked() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let request = || Request::Move(By::Uid, uids(1, 1), name("Done"));
    rig.submit(on("INBOX", request())).unwrap();
    rig.server("* SEARCH 1\r\nM4 OK\r\nM5 OK\r\nM6 OK\r\n")
        .unwrap();
    assert!(!rig.client().contains("EXPUNGE"));
    assert!(rig.take_said().concat().contains("left=true"));
    // Nothing is marked where nothing was copied.
    rig.submit(on("INBOX", request())).unwrap();
    rig.client();
    rig.server("* SEARCH 1\r\nM7 OK\r\n").unwrap();
    rig.client();
    rig.server("M8 NO [TRYCREATE] no\r\n").unwrap();
    assert_eq!(rig.client(), "");
}

#[test]
fn a_refusal_after_a_success_says_that_something_was_done() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Uid, uids(1, 1), name("Done")),
    ))
    .unwrap();
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    rig.input.push(b"* SEARCH 1\r\nM4 OK\r\nM5 OK copied\r\n");
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    rig.input.push(b"M6 NO read-only\r\n");
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    match rig.session.poll() {
        Some(Output::End(_, Err(Failure::Rejected { partly, .. }))) => assert!(partly),
        _ => panic!("the move should have failed"),
    }
}

#[test]
fn copyuid_may_come_untagged() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let id = rig
        .submit(on(
            "INBOX",
            Request::Move(By::Uid, uids(1, 3), name("Done")),
        ))
        .unwrap();
    assert_eq!(rig.client(), "M4 UID MOVE 1:3 Done\r\n");
    rig.server("* OK [COPYUID 3 1:3 8:10] ok\r\n* 1 EXPUNGE\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(rig.take_said(), [format!("{id} moved Some(3) left=false")]);
}

#[test]
fn an_untagged_copyuid_belongs_to_the_command_about_its_messages() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let to = || MailboxName::new("b").unwrap();
    rig.submit(on("INBOX", Request::Copy(By::Uid, uids(1, 3), to())));
    rig.submit(on("INBOX", Request::Move(By::Uid, uids(5, 6), to())));
    assert_eq!(rig.client(), "M4 UID COPY 1:3 b\r\nM5 UID MOVE 5:6 b\r\n");
    // As Dovecot has it: the answer to COPY waits for the end of the MOVE.
    rig.server(
        "* OK [COPYUID 7 5:6 20:21] moved\r\nM4 OK [COPYUID 7 1:3 30:32] copied\r\nM5 OK\r\n",
    )
    .unwrap();
    assert_eq!(
        rig.take_said(),
        ["1 copied Some(3)", "2 moved Some(2) left=false"]
    );
}

/// Begins to copy so many messages that they do not fit into one command. Returns the tags.
fn copy_many(rig: &mut Rig) -> [String; 2] {
    rig.select_inbox();
    let mut odd = RangeSet::default();
    for uid in (1..3_600).step_by(2) {
        odd.insert(uid, uid);
    }
    rig.submit(on("INBOX", Request::Copy(By::Uid, odd, name("b"))))
        .unwrap();
    let sent = rig.client();
    let commands: Vec<&str> = sent.lines().collect();
    let [one, other] = commands[..] else {
        panic!("{} commands", commands.len());
    };
    [one, other].map(|command| {
        let (tag, rest) = command.split_once(' ').unwrap();
        assert!(rest.starts_with("UID COPY ") && rest.ends_with(" b"));
        tag.to_owned()
    })
}

#[test]
fn the_copies_of_all_commands_are_told_together() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    let [one, other] = copy_many(&mut rig);
    rig.server(&format!(
        "{one} OK [COPYUID 3 1,3 8:9] ok\r\n{other} OK [COPYUID 3 3599 10] ok\r\n"
    ))
    .unwrap();
    assert_eq!(rig.take_said(), ["1 copied Some(3)"]);
}

#[test]
fn uids_of_a_mailbox_that_was_replaced_meanwhile_are_not_mixed_with_the_others() {
    // The mailbox was deleted and created anew between the two commands: its UIDs begin anew.
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    let [one, other] = copy_many(&mut rig);
    rig.server(&format!(
        "{one} OK [COPYUID 3 1,3 8:9] ok\r\n{other} OK [COPYUID 4 3597,3599 1:2] ok\r\n"
    ))
    .unwrap();
    assert_eq!(rig.take_said(), ["1 copied Some(2)"]);
}
