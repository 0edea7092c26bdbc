use std::time::Duration;

use super::super::Config;
use super::super::operation::{End, Failure, Operation};
use super::rig::{Rig, STEPS, config, mail, to};
use crate::protocol::machine::Protocol;
use crate::types::smtp::envelope::{BodyType, Notify, Recipient};

const PLAIN: [&str; 2] = ["PIPELINING", "8BITMIME"];

#[test]
fn mail_and_all_recipients_leave_in_one_flight() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &PLAIN, step);
        let id = rig.send(to(&["bob", "carol"]), "Subject: x\r\n\r\n.\r\nbody\r\n");
        rig.expect(
            "MAIL FROM:<alice@example.org>\r\n\
             RCPT TO:<bob@example.net>\r\nRCPT TO:<carol@example.net>\r\n",
        );
        rig.server("250 2.1.0 ok\r\n250 2.1.5 ok\r\n");
        rig.expect("");
        rig.server("250 2.1.5 ok\r\n");
        rig.expect("DATA\r\n");
        assert!(rig.doors.passed.is_empty());
        rig.server("354 go\r\n");
        rig.expect("Subject: x\r\n\r\n..\r\nbody\r\n.\r\n");
        assert_eq!(rig.doors.passed, [id]);
        rig.server("250 2.0.0 queued as 1\r\n");
        assert_eq!(
            rig.report(id),
            [
                "bob@example.net: accepted (250 2.0.0 queued as 1)",
                "carol@example.net: accepted (250 2.0.0 queued as 1)",
            ]
        );
        assert!(rig.session.is_quiet());
    }
}

#[test]
fn without_pipelining_each_command_waits_for_its_answer() {
    let off = Config {
        pipelining: false,
        ..config()
    };
    for (config, keywords) in [(config(), &["8BITMIME"][..]), (off, &PLAIN[..])] {
        let mut rig = Rig::ready(config, keywords, 1);
        let id = rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n");
        assert!(!rig.session.accepts(&mail(to(&["dave"]), "")));
        rig.expect("MAIL FROM:<alice@example.org>\r\n");
        rig.server("250 ok\r\n");
        rig.expect("RCPT TO:<bob@example.net>\r\n");
        rig.server("250 ok\r\n");
        rig.expect("RCPT TO:<carol@example.net>\r\n");
        rig.server("250 ok\r\n");
        rig.expect("DATA\r\n");
        rig.server("354 go\r\n");
        rig.expect("x: y\r\n\r\n.\r\n");
        assert!(!rig.session.accepts(&mail(to(&["dave"]), "")));
        rig.server("250 ok\r\n");
        assert_eq!(rig.report(id).len(), 2);
    }
    let mut rig = Rig::ready(config(), &[], 1);
    let id = rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n");
    rig.server("451 4.3.0 no\r\n");
    rig.expect("MAIL FROM:<alice@example.org>\r\nRSET\r\n");
    assert!(matches!(
        rig.failure(id),
        Failure::Refused { verb: "MAIL", .. }
    ));
}

#[test]
fn the_next_message_shares_a_flight_with_the_end_of_the_last() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &PLAIN, step);
        let first = rig.send(to(&["bob"]), "1: 1\r\n\r\n");
        assert!(!rig.session.accepts(&mail(to(&["carol"]), "")));
        rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
        let second = rig.send(to(&["carol"]), "2: 2\r\n\r\n");
        assert!(rig.client().ends_with(
            "DATA\r\n1: 1\r\n\r\n.\r\n\
             MAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\n"
        ));
        assert!(!rig.session.accepts(&mail(to(&["dave"]), "")));
        rig.server("250 first\r\n250 ok\r\n");
        assert_eq!(rig.report(first), ["bob@example.net: accepted (250 first)"]);
        rig.server("250 ok\r\n");
        rig.expect("DATA\r\n");
        rig.server("354 go\r\n");
        rig.expect("2: 2\r\n\r\n.\r\n");
        rig.server("554 5.6.0 second\r\n");
        assert!(matches!(
            rig.failure(second),
            Failure::Refused { verb: "DATA", .. }
        ));
    }
}

#[test]
fn one_refused_recipient_leaves_the_others_theirs() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &PLAIN, step);
        let id = rig.send(to(&["bob", "carol", "dave"]), "x: y\r\n\r\n");
        rig.server(
            "250 ok\r\n550 5.1.1 no carol\r\n250 ok\r\n450 4.2.0 later\r\n"
                .replace(
                    "550 5.1.1 no carol\r\n250 ok\r\n",
                    "250 ok\r\n550 5.1.1 no carol\r\n",
                )
                .as_str(),
        );
        rig.client();
        rig.server("354 go\r\n|250 taken\r\n");
        assert_eq!(
            rig.report(id),
            [
                "bob@example.net: accepted (250 taken)",
                "carol@example.net: refused (550 5.1.1 no carol)",
                "dave@example.net: refused (450 4.2.0 later)",
            ]
        );
        rig.send(to(&["bob"]), "x: y\r\n\r\n");
    }
}

#[test]
fn where_nobody_is_accepted_no_message_is_sent() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &PLAIN, step);
        let id = rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n");
        rig.client();
        rig.server("250 ok\r\n550 no\r\n550 no\r\n");
        rig.expect("RSET\r\n");
        let Failure::NobodyAccepted(report) = rig.failure(id) else {
            panic!("another failure");
        };
        assert_eq!(report.len(), 2);
        assert!(rig.doors.passed.is_empty());
        // The next one does not wait for the answer.
        rig.send(to(&["dave"]), "x: y\r\n\r\n");
        assert!(rig.client().starts_with("MAIL"));
        rig.server("250 reset\r\n250 ok\r\n250 ok\r\n");
        rig.expect("DATA\r\n");
    }
}

#[test]
fn a_refused_sender_is_no_trouble_for_the_next_message() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
    rig.client();
    rig.server("550 5.7.1 not you\r\n503 5.5.1 MAIL first\r\n");
    rig.expect("RSET\r\n");
    let failure = rig.failure(id);
    assert_eq!(
        failure.to_string(),
        "the server refused MAIL: 550 5.7.1 not you"
    );
    rig.server("250 ok\r\n");
    assert!(rig.session.is_quiet());
}

#[test]
fn a_refused_data_is_taken_back() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n");
    rig.client();
    rig.server("451 4.3.0 no\r\n");
    rig.expect("RSET\r\n");
    assert!(matches!(
        rig.failure(id),
        Failure::Refused { verb: "DATA", .. }
    ));
}

#[test]
fn a_server_with_chunking_gets_the_message_unasked() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &["PIPELINING", "CHUNKING"], step);
        let id = rig.send(to(&["bob", "carol"]), "x: y\r\n\r\n.\r\n");
        rig.client();
        rig.server("250 ok\r\n550 no\r\n250 ok\r\n");
        rig.expect("BDAT 11 LAST\r\nx: y\r\n\r\n.\r\n");
        rig.server("250 taken\r\n");
        assert_eq!(rig.report(id).len(), 2);
        let id = rig.send(to(&["bob"]), "");
        rig.client();
        rig.server("250 ok\r\n250 ok\r\n");
        rig.expect("BDAT 0 LAST\r\n");
        rig.server("554 no\r\n");
        assert!(matches!(rig.failure(id), Failure::Refused { .. }));
    }
    let mut rig = Rig::ready(
        Config {
            chunking: false,
            ..config()
        },
        &["PIPELINING", "CHUNKING"],
        1,
    );
    rig.send(to(&["bob"]), "x: y\r\n\r\n");
    rig.client();
    rig.server("250 ok\r\n250 ok\r\n");
    rig.expect("DATA\r\n");
}

#[test]
fn an_empty_message_has_its_end() {
    let mut rig = Rig::ready(config(), &PLAIN, 1);
    rig.send(to(&["bob"]), "");
    rig.server("250 ok\r\n250 ok\r\n");
    rig.client();
    rig.server("354 go\r\n");
    rig.expect(".\r\n");
}

#[test]
fn lmtp_has_an_answer_for_each_recipient() {
    let lmtp = Config {
        lmtp: true,
        ..config()
    };
    for step in STEPS {
        let mut rig = Rig::ready(lmtp.clone(), &PLAIN, step);
        let id = rig.send(to(&["bob", "carol", "dave"]), "x: y\r\n\r\n");
        rig.server("250 ok\r\n250 ok\r\n550 no carol\r\n250 ok\r\n|354 go\r\n|250 for bob\r\n");
        assert!(rig.ends.is_empty());
        rig.server("452 4.2.2 dave is full\r\n");
        assert_eq!(
            rig.report(id),
            [
                "bob@example.net: accepted (250 for bob)",
                "carol@example.net: refused (550 no carol)",
                "dave@example.net: refused (452 4.2.2 dave is full)",
            ]
        );
        let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
        rig.server("250 ok\r\n250 ok\r\n|354 go\r\n|550 no\r\n");
        assert!(matches!(rig.failure(id), Failure::NobodyAccepted(_)));
    }
}

#[test]
fn what_the_server_lacks_is_named_and_nothing_is_sent() {
    let foreign = "x: y\r\n\r\ngrün";
    let notified = Recipient::new("bob@example.net")
        .unwrap()
        .notify(Notify::never());
    let plain = "x: y\r\n\r\n";
    let cases = [
        (to(&["bob"]).utf8(), plain, "SMTPUTF8"),
        (to(&["bö"]), plain, "SMTPUTF8"),
        (to(&[]).recipient(notified).unwrap(), plain, "DSN"),
        (to(&["bob"]).envelope_id("1").unwrap(), plain, "DSN"),
        (to(&["bob"]).require_tls(), plain, "REQUIRETLS"),
        (to(&["bob"]).body(BodyType::Binary), plain, "BINARYMIME"),
        (to(&["bob"]), foreign, "8BITMIME"),
        (to(&["bob"]), "x: y\r\n\r\n\0", "CHUNKING"),
        (
            to(&["bob"]).hold_for(Duration::from_secs(1)),
            plain,
            "FUTURERELEASE",
        ),
    ];
    for (envelope, message, keyword) in cases {
        let mut rig = Rig::ready(config(), &["PIPELINING"], 1);
        rig.client();
        let id = rig.send(envelope, message);
        rig.expect("");
        match rig.failure(id) {
            Failure::Missing(missing) => assert_eq!(missing, keyword),
            other => panic!("{keyword}: {other:?}"),
        }
        assert!(rig.session.is_quiet());
    }
}

#[test]
fn what_the_server_has_is_used() {
    let all = [
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "SIZE 1000",
        "CHUNKING",
        "BINARYMIME",
        "FUTURERELEASE 100 2030-01-01T00:00:00Z",
    ];
    let mut rig = Rig::ready(config(), &all, 1);
    rig.client();
    rig.send(to(&["bö"]), "x: y\r\n\r\ngrün");
    rig.expect(
        "MAIL FROM:<alice@example.org> SIZE=15 BODY=8BITMIME SMTPUTF8\r\n\
         RCPT TO:<bö@example.net>\r\n",
    );
    let mut rig = Rig::ready(config(), &all, 1);
    rig.client();
    let id = rig.send(
        to(&["bob"]).body(BodyType::Binary),
        "x: y\r\n\r\n\r \n.\n\0",
    );
    rig.expect(
        "MAIL FROM:<alice@example.org> SIZE=14 BODY=BINARYMIME\r\nRCPT TO:<bob@example.net>\r\n",
    );
    rig.server("250 ok\r\n250 ok\r\n");
    rig.expect("BDAT 14 LAST\r\nx: y\r\n\r\n\r \n.\n\0");
    rig.server("250 ok\r\n");
    rig.report(id);
    let id = rig.send(to(&["bob"]).hold_for(Duration::from_secs(101)), "");
    assert!(matches!(rig.failure(id), Failure::Missing(_)));
    let id = rig.send(to(&["bob"]), &format!("x: y\r\n\r\n{}", "x".repeat(1000)));
    rig.expect("");
    assert!(matches!(
        rig.failure(id),
        Failure::TooLarge {
            size: 1010,
            limit: 1000
        }
    ));
}

#[test]
fn more_recipients_than_the_server_takes_are_served_in_rounds() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &["PIPELINING", "LIMITS RCPTMAX=2"], step);
        let id = rig.send(to(&["a", "b", "c"]), "x: y\r\n\r\n");
        assert_eq!(rig.client().matches("RCPT").count(), 2);
        rig.server("250 ok\r\n250 ok\r\n550 no b\r\n|354 go\r\n|250 first\r\n");
        assert!(rig.client().ends_with(
            "x: y\r\n\r\n.\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<c@example.net>\r\n"
        ));
        rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
        rig.expect("DATA\r\nx: y\r\n\r\n.\r\n");
        rig.server("250 second\r\n");
        assert_eq!(
            rig.report(id),
            [
                "a@example.net: accepted (250 first)",
                "b@example.net: refused (550 no b)",
                "c@example.net: accepted (250 second)",
            ]
        );
    }
    // A server that says so only when it is too late.
    let mut rig = Rig::ready(config(), &["PIPELINING"], 1);
    let id = rig.send(to(&["a", "b", "c"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n452 4.5.3 too many\r\n");
    rig.server("354 go\r\n|250 first\r\n");
    rig.server("250 ok\r\n250 ok\r\n452 too many\r\n|354 go\r\n|550 5.6.0 not this\r\n");
    assert_eq!(
        rig.report(id),
        [
            "a@example.net: accepted (250 first)",
            "b@example.net: refused (550 5.6.0 not this)",
            "c@example.net: refused (550 5.6.0 not this)",
        ]
    );
    // One that takes nobody at all is not asked for ever.
    let id = rig.send(to(&["a", "b"]), "x: y\r\n\r\n");
    rig.server("250 ok\r\n452 4.5.3 too many\r\n452 4.5.3 too many\r\n");
    assert!(matches!(rig.failure(id), Failure::NobodyAccepted(_)));
}

#[test]
fn domains_are_counted_too() {
    let mut rig = Rig::ready(config(), &["PIPELINING", "LIMITS RCPTDOMAINMAX=1"], 1);
    rig.client();
    let envelope = to(&["a"]).recipient("b@Example.NET").unwrap();
    let envelope = envelope.recipient("c@example.com").unwrap();
    rig.send(envelope, "x: y\r\n\r\n");
    assert_eq!(rig.client().matches("RCPT").count(), 2);
}

#[test]
fn a_connection_wears_out() {
    let limited = Config {
        max_messages: Some(2),
        ..config()
    };
    for (config, keywords) in [
        (limited, &["PIPELINING"][..]),
        (config(), &["PIPELINING", "LIMITS MAILMAX=2"][..]),
    ] {
        let mut rig = Rig::ready(config, keywords, 1);
        for _ in 0..2 {
            assert!(!rig.session.is_worn());
            let id = rig.send(to(&["bob"]), "x: y\r\n\r\n");
            rig.server("250 ok\r\n250 ok\r\n|354 go\r\n|250 ok\r\n");
            rig.report(id);
        }
        assert!(rig.session.is_worn());
        assert!(!rig.session.accepts(&mail(to(&["bob"]), "")));
    }
}

#[test]
fn simple_commands_are_answered_one_at_a_time() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &["PIPELINING", "SMTPUTF8"], step);
        rig.client();
        let id = rig.submit(Operation::Verify("bob".to_owned()));
        rig.expect("VRFY bob\r\n");
        assert!(!rig.session.accepts(&Operation::Noop));
        assert!(!rig.session.accepts(&mail(to(&["bob"]), "")));
        rig.server("252 2.0.0 perhaps\r\n");
        match rig.ends.remove(&id) {
            Some(Ok(End::Replied(reply))) => assert_eq!(reply.code, 252),
            other => panic!("{other:?}"),
        }
        let id = rig.submit(Operation::Expand("jörgs".to_owned()));
        rig.expect("EXPN jörgs SMTPUTF8\r\n");
        rig.server("550 no\r\n");
        assert!(matches!(
            rig.failure(id),
            Failure::Refused { verb: "EXPN", .. }
        ));
        let id = rig.submit(Operation::Capabilities);
        match rig.ends.remove(&id) {
            Some(Ok(End::Capabilities(found))) => assert!(found.supports("SMTPUTF8")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reply_that_a_command_does_not_have_ends_the_connection() {
    for (before, reply) in [
        ("", "354 go\r\n"),
        ("250 ok\r\n", "354 go\r\n"),
        ("250 ok\r\n250 ok\r\n", "250 ok\r\n"),
        ("250 ok\r\n250 ok\r\n|354 go\r\n", "354 go\r\n"),
    ] {
        let mut rig = Rig::ready(config(), &PLAIN, 1);
        rig.send(to(&["bob"]), "x: y\r\n\r\n");
        rig.server(before);
        let result = rig.server_says(reply);
        assert!(
            matches!(result, Err(Failure::Protocol(_))),
            "{before}: {result:?}"
        );
    }
}

#[test]
fn the_next_message_waits_for_the_last_round_of_the_one_before() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &["PIPELINING", "LIMITS RCPTMAX=1"], step);
        let first = rig.send(to(&["a", "b"]), "1: 1\r\n\r\n");
        rig.server("250 ok\r\n250 ok\r\n|354 go\r\n");
        // Its second round begins with MAIL: behind another MAIL that would be refused.
        assert!(!rig.session.accepts(&mail(to(&["carol"]), "")));
        rig.server("250 a has it\r\n|250 ok\r\n250 ok\r\n|354 go\r\n");
        let second = rig.send(to(&["carol"]), "2: 2\r\n\r\n");
        assert!(
            rig.client()
                .ends_with(".\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\n")
        );
        rig.server("250 b has it\r\n250 ok\r\n250 ok\r\n|354 go\r\n|250 second\r\n");
        assert_eq!(rig.report(first).len(), 2);
        assert_eq!(rig.report(second).len(), 1);
    }
}
