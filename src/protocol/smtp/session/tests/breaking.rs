use super::super::Config;
use super::super::operation::{Failure, Operation};
use super::rig::{Rig, STEPS, config, mail, to};
use crate::protocol::machine::{Protocol, Salvaged};

const PLAIN: [&str; 2] = ["PIPELINING", "8BITMIME"];

fn salvaged(rig: &mut Rig) -> Vec<Salvaged<super::super::Session>> {
    let written = rig.output.written();
    let salvaged = rig.session.salvage(written);
    rig.advance().ok();
    salvaged
}

/// What is left of one message when the connection breaks after `dialogue`.
fn broken_after(dialogue: &str) -> (bool, bool) {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
    rig.client();
    rig.server(dialogue);
    rig.client();
    let mut salvaged = salvaged(&mut rig);
    assert_eq!(salvaged.len(), 1);
    let one = salvaged.remove(0);
    assert_eq!(one.id, id);
    assert!(one.sent);
    (one.again.is_some(), one.undone)
}

#[test]
fn nothing_is_delivered_before_the_end_of_the_message() {
    assert_eq!(broken_after(""), (true, true));
    assert_eq!(broken_after("250 ok\r\n"), (true, true));
    assert_eq!(broken_after("250 ok\r\n250 ok\r\n"), (true, true));
}

#[test]
fn after_the_end_of_the_message_nobody_knows() {
    assert_eq!(
        broken_after("250 ok\r\n250 ok\r\n|354 go\r\n"),
        (false, false)
    );
    assert_eq!(
        broken_after("250 ok\r\n250 ok\r\n|354 go\r\n|250 o"),
        (false, false)
    );
}

#[test]
fn an_end_that_was_not_written_was_not_seen() {
    for keyword in ["8BITMIME", "CHUNKING"] {
        let mut rig = Rig::ready(config(), &["PIPELINING", keyword], 1);
        rig.send(to(&["bob"]), "x: y\r\n\r\n");
        rig.server("250 ok\r\n250 ok\r\n");
        rig.client();
        if keyword == "8BITMIME" {
            rig.server("354 go\r\n");
        } else {
            rig.output = crate::wire::send::SendBuffer::new();
            rig = Rig::ready(config(), &["PIPELINING", keyword], 1);
            rig.send(to(&["bob"]), "x: y\r\n\r\n");
            rig.client();
            rig.server("250 ok\r\n250 ok\r\n");
        }
        // All but one byte is on its way.
        let most = rig.output.len() - 1;
        rig.output.advance(most);
        let one = salvaged(&mut rig).remove(0);
        assert!(one.undone && one.again.is_some(), "{keyword}");
    }
}

#[test]
fn a_refusal_with_goodbye_is_a_refusal() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &PLAIN, step);
        rig.send(to(&["bob"]), "x: y\r\n\r\n");
        rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
        rig.client();
        let result = rig.server_says("421 4.3.2 shutting down\r\n");
        assert!(matches!(result, Err(Failure::Leaving(_))), "{result:?}");
        let one = salvaged(&mut rig).remove(0);
        assert!(one.undone && one.again.is_some());
    }
}

#[test]
fn of_two_messages_under_way_each_has_its_own_fate() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    let first = rig.send(to(&["bob"]), "1: 1\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
    let second = rig.send(to(&["carol"]), "2: 2\r\n\r\n");
    rig.client();
    let salvaged = salvaged(&mut rig);
    let fates: Vec<_> = salvaged
        .iter()
        .map(|one| (one.id, one.again.is_some(), one.undone))
        .collect();
    assert_eq!(fates, [(first, false, false), (second, true, true)]);
}

#[test]
fn with_lmtp_those_that_have_it_are_told() {
    let lmtp = Config {
        lmtp: true,
        ..config()
    };
    let mut rig = Rig::ready(lmtp.clone(), &PLAIN, 1);
    let id = rig.send(to(&["bob", "carol", "dave"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n|354 go\r\n|250 for bob\r\n");
    rig.client();
    assert!(salvaged(&mut rig).is_empty());
    assert_eq!(
        rig.report(id),
        [
            "bob@example.net: accepted (250 for bob)",
            "carol@example.net: unknown",
            "dave@example.net: refused (550 no)",
        ]
    );
    // Nobody has it yet: then the whole is unknown.
    let mut rig = Rig::ready(lmtp, &PLAIN, 1);
    rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n250 ok\r\n|354 go\r\n|550 not bob\r\n");
    rig.client();
    let one = salvaged(&mut rig).remove(0);
    assert!(one.again.is_none() && !one.undone);
}

#[test]
fn a_later_round_goes_on_elsewhere() {
    let mut rig = Rig::ready(config(), &["PIPELINING", "LIMITS RCPTMAX=1"], 1);
    let id = rig.send(to(&["a", "b", "c"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n|354 go\r\n|250 first\r\n250 ok\r\n");
    rig.client();
    let one = salvaged(&mut rig).remove(0);
    assert!(!one.undone, "some have it");
    let again = one.again.unwrap();
    let mut rig = Rig::ready(config(), &["PIPELINING"], 1);
    rig.client();
    rig.session.submit(id, again);
    rig.advance().unwrap();
    rig.expect(
        "MAIL FROM:<alice@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\n",
    );
    rig.server("250 ok\r\n250 ok\r\n250 ok\r\n|354 go\r\n");
    rig.client();
    // And breaks again, behind the end.
    assert!(salvaged(&mut rig).is_empty());
    assert_eq!(
        rig.report(id),
        [
            "a@example.net: accepted (250 first)",
            "b@example.net: unknown",
            "c@example.net: unknown",
        ]
    );
}

#[test]
fn who_may_have_it_is_not_forgotten_for_those_who_are_left() {
    // The first round breaks behind its end, with another one to come: were the others refused
    // then, the whole would count as refused.
    let mut rig = Rig::ready(config(), &["PIPELINING", "LIMITS RCPTMAX=1"], 1);
    rig.send(to(&["a", "b"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
    rig.client();
    let one = salvaged(&mut rig).remove(0);
    assert!(one.again.is_none() && !one.undone);
}

#[test]
fn a_sender_who_gives_up_in_time_sends_nothing() {
    // Before anything was written, and at each step until the message.
    for dialogue in ["", "250 ok\r\n", "250 ok\r\n250 ok\r\n"] {
        let mut rig = Rig::ready(config(), &["PIPELINING", "CHUNKING"], 1);
        rig.client();
        let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
        rig.doors.closed.insert(id);
        if dialogue.is_empty() {
            assert!(rig.session.give_up(id));
        }
        rig.server("250 ok\r\n250 ok\r\n");
        assert_eq!(rig.withdrawn, [id], "{dialogue}");
        let sent = rig.client();
        assert!(
            !sent.contains("BDAT") && sent.ends_with("RSET\r\n"),
            "{sent}"
        );
        rig.server("250 ok\r\n");
        assert!(rig.session.is_quiet());
    }
}

#[test]
fn a_sender_who_gives_up_too_late_for_rset_costs_the_connection() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n");
    rig.client();
    rig.doors.closed.insert(id);
    let result = rig.server_says("354 go\r\n");
    assert!(matches!(result, Err(Failure::BrokenOff)), "{result:?}");
    rig.expect("");
    assert_eq!(rig.withdrawn, [id]);
}

#[test]
fn simple_commands_are_repeated() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    rig.submit(Operation::Verify("bob".to_owned()));
    let one = salvaged(&mut rig).remove(0);
    assert!(one.sent && !one.undone);
    assert!(matches!(one.again, Some(Operation::Verify(name)) if name == "bob"));
}

#[test]
fn the_server_may_break_anywhere_and_nothing_panics() {
    let dialogue = "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n|354 go\r\n|250 2.0.0 queued\r\n";
    for end in 0..=dialogue.len() {
        for garbage in [
            "",
            "\0\r\n",
            "999 x\r\n",
            "421 bye\r\n",
            "\r\n\r\n",
            "250-x\r\n550 y\r\n",
        ] {
            let mut rig = Rig::ready(config(), &PLAIN, 4096);
            rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n");
            rig.client();
            rig.server(&dialogue[..end]);
            let _ = rig.server_says(garbage);
            rig.client();
            let left = salvaged(&mut rig);
            assert_eq!(left.len() + rig.ends.len(), 1, "{end} {garbage:?}");
        }
    }
    let _ = mail(to(&["bob"]), "");
}
