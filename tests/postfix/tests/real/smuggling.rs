//! What Postfix takes for the end of a message, and what it changes in one.
//!
//! These are facts about Debian's Postfix 3.7 that tests of the client lean on.

use mailpool_test_postfix::{BareNewline, Postfix};

use crate::raw::Raw;

/// Looks like the end of a message to some servers. The end comes after a bait: a server that
/// has fallen for it answers the bait like a command.
const SEQUENCES: [&str; 12] = [
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r.\n",
    "\r.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\r\n.\r\n",
    "\r\n.\r\r\n",
];

const BAIT: &str = "VRFY bait@mailpool.test";

/// What became of a message with a sequence in it.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Taken as a whole; this is stored behind `before`.
    Whole(&'static str),
    /// Ended at the sequence: what followed was taken for commands.
    Cut(&'static str),
    /// Read to its end, then refused.
    Refused,
}

use Fate::{Cut, Refused, Whole};

#[test]
fn fake_ends_of_messages_where_bare_newlines_are_accepted() {
    check(
        BareNewline::Accept,
        [
            Cut("\r\n"),
            Cut("\r\n"),
            Whole(" . BAIT\r\nafter\r\n"),
            Whole(" .\r\nBAIT\r\nafter\r\n"),
            Whole(" .\r\nBAIT\r\nafter\r\n"),
            Cut("\r\n"),
            Whole("\r\n BAIT\r\nafter\r\n"),
            Whole("\r\n BAIT\r\nafter\r\n"),
            Whole("\r\n\0.\r\nBAIT\r\nafter\r\n"),
            Whole("\r\n\0\r\nBAIT\r\nafter\r\n"),
            Cut("\r\n"),
            Cut("\r\n"),
        ],
    );
}

#[test]
fn fake_ends_of_messages_where_bare_newlines_are_normalised() {
    check(
        BareNewline::Normalize,
        [
            Whole("\r\nBAIT\r\nafter\r\n"),
            Whole("\r\nBAIT\r\nafter\r\n"),
            Whole(" . BAIT\r\nafter\r\n"),
            Whole(" .\r\nBAIT\r\nafter\r\n"),
            Whole(" .\r\nBAIT\r\nafter\r\n"),
            Whole("\r\nBAIT\r\nafter\r\n"),
            Whole("\r\n BAIT\r\nafter\r\n"),
            Whole("\r\n BAIT\r\nafter\r\n"),
            Whole("\r\n\0.\r\nBAIT\r\nafter\r\n"),
            Whole("\r\n\0\r\nBAIT\r\nafter\r\n"),
            // A line that ends in CR CRLF, and the real end behind it.
            Cut(" \r\n"),
            Whole("\r\n \r\nBAIT\r\nafter\r\n"),
        ],
    );
}

#[test]
fn fake_ends_of_messages_where_bare_newlines_are_refused() {
    check(
        BareNewline::Reject,
        [
            Refused,
            Refused,
            Whole(" . BAIT\r\nafter\r\n"),
            Refused,
            Whole(" .\r\nBAIT\r\nafter\r\n"),
            Refused,
            Whole("\r\n BAIT\r\nafter\r\n"),
            Refused,
            Whole("\r\n\0.\r\nBAIT\r\nafter\r\n"),
            Whole("\r\n\0\r\nBAIT\r\nafter\r\n"),
            Cut(" \r\n"),
            Whole("\r\n \r\nBAIT\r\nafter\r\n"),
        ],
    );
}

fn check(treatment: BareNewline, fates: [Fate; 12]) {
    let Some(postfix) = Postfix::builder().bare_newline(treatment).start_or_skip() else {
        return;
    };
    for (sequence, expected) in SEQUENCES.into_iter().zip(fates) {
        let recipient = postfix.new_recipient("smuggled");
        let mut client = Raw::hello(postfix.address());
        client.begin(&recipient);
        let conversation =
            format!("Subject: x\r\n\r\nbefore{sequence}{BAIT}\r\nafter\r\n.\r\nQUIT\r\n");
        let codes = client.codes_to_the_end(conversation.as_bytes());
        let rest = match &expected {
            Whole(rest) => {
                assert_eq!(codes, [250, 221], "{sequence:?}");
                rest
            }
            Cut(rest) => {
                // The bait is answered, `after` is no command, and with the dot the client has
                // tried Postfix's patience.
                assert_eq!(codes, [250, 252, 500, 221], "{sequence:?}");
                rest
            }
            Refused => {
                assert_eq!(codes, [550, 221], "{sequence:?}");
                assert!(!postfix.settled().contains_key(&recipient), "{sequence:?}");
                continue;
            }
        };
        let arrived = postfix.arrived(&recipient, 1);
        assert_eq!(arrived.len(), 1, "{sequence:?}");
        let message = String::from_utf8(arrived[0].message()).unwrap();
        let stored = format!("Subject: x\r\n\r\nbefore{}", rest.replace("BAIT", BAIT));
        assert_eq!(message, stored, "{sequence:?}");
    }
}

#[test]
fn what_postfix_changes_in_a_message() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let long = "x".repeat(998);
    let too_long = "x".repeat(999);
    let much_too_long = "x".repeat(70_000);
    let cases = [
        ("a carriage return becomes a space", "a\rb\r\n", "a b\r\n"),
        ("several too", "a\r\r\rb\r\n", "a   b\r\n"),
        ("at the end of a line they vanish", "a\r\r\r\n", "a\r\n"),
        ("a line feed ends a line", "a\nb\r\n", "a\r\nb\r\n"),
        ("NUL stays", "a\0b\r\n", "a\0b\r\n"),
        ("8-bit that was not declared stays", "grüß\r\n", "grüß\r\n"),
        ("998 bytes", &format!("{long}\r\n"), &format!("{long}\r\n")),
        (
            "999",
            &format!("{too_long}\r\n"),
            &format!("{too_long}\r\n"),
        ),
        (
            "more than Postfix has buffers for",
            &format!("{much_too_long}\r\n"),
            &format!("{much_too_long}\r\n"),
        ),
    ];
    let mut client = Raw::hello(postfix.address());
    for (what, sent, stored) in cases {
        let recipient = postfix.new_recipient("changed");
        client.send_message(&recipient, format!("Subject: x\r\n\r\n{sent}").as_bytes());
        let arrived = postfix.arrived(&recipient, 1);
        let message = String::from_utf8(arrived[0].message()).unwrap();
        assert_eq!(message, format!("Subject: x\r\n\r\n{stored}"), "{what}");
    }

    let recipient = postfix.new_recipient("changed");
    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command(&format!("RCPT TO:<{recipient}>")).is(250);
    client.send(b"BDAT 17 LAST\r\nSubject: x\r\n\r\nabc");
    client.reply().is(250);
    let arrived = postfix.arrived(&recipient, 1);
    assert_eq!(arrived[0].message(), b"Subject: x\r\n\r\nabc\r\n");
}
