//! What is left to be asked for when the connection breaks.

use super::*;
use crate::protocol::imap::session::operation::Operation;

fn left_of(set: &str, responses: &str) -> String {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let set = RangeSet::parse(set.as_bytes()).unwrap();
    let request = Request::Fetch(By::Uid, set, Items::new().flags());
    rig.submit(on("INBOX", request)).unwrap();
    rig.client();
    rig.server(responses).unwrap();
    let salvaged = rig.session.salvage(rig.output.written()).pop().unwrap();
    match salvaged.again.unwrap().request {
        Request::Fetch(_, set, _) => set.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_message_is_not_asked_for_again_by_the_name_of_the_last() {
    let all = "* 1 FETCH (UID 4 FLAGS ())\r\n\
               * 2 FETCH (UID 7 FLAGS ())\r\n\
               * 3 FETCH (UID 9 FLAGS ())\r\n";
    let most = "* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 7 FLAGS ())\r\n";
    for (set, responses, left) in [
        ("1:*", all, "1:3,5:6,8,10:4294967294"),
        ("4:9,20:*", all, "5:6,8,20:4294967294"),
        ("4:9,20:*", most, "5:6,8:9,20:*"),
        ("20:*", "* 3 FETCH (UID 9 FLAGS ())\r\n", "20:4294967294"),
        ("4,*", "* 1 FETCH (UID 4 FLAGS ())\r\n", "*"),
    ] {
        assert_eq!(left_of(set, responses), left, "{set}");
    }
}

fn copy() -> Operation {
    on("INBOX", Request::Copy(By::Uid, uids(1, 1), name("Archive")))
}

/// What becomes of the only operation: whether it may be carried out again, whether the server
/// may have seen it, and whether it had no effect.
fn fate(rig: &mut Rig) -> Option<(bool, bool, bool)> {
    let mut salvaged = rig.session.salvage(rig.output.written());
    assert!(salvaged.len() <= 1);
    let one = salvaged.pop()?;
    Some((one.again.is_some(), one.sent, one.undone))
}

#[test]
fn a_command_that_never_left_is_carried_out_elsewhere_and_one_that_may_have_never() {
    for left in 0..=2 {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(copy()).unwrap();
        assert!(rig.output.len() > 10);
        match left {
            0 => {}
            1 => rig.output.advance(1),
            // The layer below says that it has not taken it, and may send it all the same.
            _ => rig.output.offer(1),
        }
        let expected = (left == 0).then_some((true, false, true));
        assert_eq!(fate(&mut rig), expected, "{left}");
    }
}

#[test]
fn what_begins_behind_a_failed_write_has_not_been_seen() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.submit(copy()).unwrap();
    assert_eq!(rig.client(), "M2 SELECT INBOX\r\n");
    // The last words of a server that takes nothing any more: the COPY passes the gate.
    rig.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\nM2 OK [READ-WRITE] in\r\n")
        .unwrap();
    assert_eq!(fate(&mut rig), Some((true, false, true)));
}

#[test]
fn a_command_of_which_only_the_literal_is_missing_has_been_seen() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    let append = crate::types::request::Append::new(b"x: y\r\n\r\n".to_vec());
    rig.submit(bare(Request::Append(name("INBOX"), append)))
        .unwrap();
    assert!(rig.client().ends_with("{8}\r\n"));
    assert_eq!(fate(&mut rig), None);
}

#[test]
fn what_was_written_is_forgotten() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    for _ in 0..100 {
        let id = rig.submit(copy()).unwrap();
        let line = rig.client();
        let tag = line.split(' ').next().unwrap();
        rig.server(&format!("{tag} OK done\r\n")).unwrap();
        assert!(rig.take_said()[0].starts_with(&format!("{id} copied")));
    }
    assert!(rig.session.writer.is_short());
}
