//! COPY in several commands, and what COPYUID says of them (RFC 4315 §3).

use super::{CAPABILITIES, Rig, name, on};
use crate::protocol::imap::session::operation::{By, Request};
use crate::types::range_set::RangeSet;

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
