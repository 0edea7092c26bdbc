//! UID SEARCH with every key of the query builder.

use std::time::{Duration, SystemTime};

use mailpool::{
    Append, Date, DateTime, ErrorKind, Flag, FlagName, ImapClient, Items, Mailbox, ModSeq, Query,
    SeqSet, Store, UidSet, UidValidity,
};
use mailpool_test_dovecot::{Dovecot, Message};

use super::{appended, client_of_new_user, letter, seq, uid};

fn day(year: u16, month: u8, day: u8) -> Date {
    Date::new(year, month, day).unwrap()
}

fn noon(date: Date) -> DateTime {
    DateTime::new(date, 12, 0, 0, 0).unwrap()
}

/// Six messages, UIDs 1 to 6, each different in every respect that can be searched for.
fn filled(client: &ImapClient) -> Mailbox {
    let mailbox = client.mailbox("Search");
    mailbox.create().unwrap();
    let keyword = || Flag::keyword("$Project-X").unwrap();
    let messages: [(&str, Date, Vec<Flag>); 6] = [
        (
            "From: Alice <alice@example.org>\r\nTo: team@example.org\r\nSubject: first report\r\n\
             Date: Thu, 1 Feb 2024 10:00:00 +0000\r\nX-Colour: red\r\n\r\nthe body has apples\r\n",
            day(2024, 2, 2),
            vec![],
        ),
        (
            "From: Bob <bob@example.com>\r\nTo: alice@example.org\r\nCc: carol@example.net\r\n\
             Subject: second REPORT\r\nDate: Fri, 1 Mar 2024 10:00:00 +0000\r\n\r\npears\r\n",
            day(2024, 3, 2),
            vec![Flag::Seen],
        ),
        (
            "From: Carol <carol@example.net>\r\nBcc: secret@example.org\r\n\
             Subject: quotes \" and \\ back\r\nDate: Mon, 1 Apr 2024 10:00:00 +0000\r\n\r\nplums\r\n",
            day(2024, 4, 2),
            vec![Flag::Answered, Flag::Seen],
        ),
        (
            "From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\
             Date: Wed, 1 May 2024 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             süße Äpfel 日本\r\n",
            day(2024, 5, 2),
            vec![Flag::Flagged, keyword()],
        ),
        (
            "From: Dave <dave@example.org>\r\nSubject: draft\r\n\
             Date: Sat, 1 Jun 2024 10:00:00 +0000\r\nX-Empty:\r\n\r\ndraft\r\n",
            day(2024, 6, 2),
            vec![Flag::Draft],
        ),
        (
            "From: Eve <eve@example.org>\r\nSubject: large\r\n\
             Date: Mon, 1 Jul 2024 10:00:00 +0000\r\n\r\n",
            day(2024, 7, 2),
            vec![Flag::Deleted, keyword()],
        ),
    ];
    for (index, (text, date, flags)) in messages.into_iter().enumerate() {
        let mut bytes = text.as_bytes().to_vec();
        if index == 5 {
            bytes.extend("x".repeat(70).repeat(200).as_bytes());
            bytes.extend(b"\r\n");
        }
        appended(&mailbox, Append::new(bytes).flags(flags).date(noon(date)));
    }
    mailbox
}

#[test]
fn every_key_finds_what_it_says() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "search");
    let mailbox = filled(&client);
    let keyword = || FlagName::new("$Project-X").unwrap();
    let cases: Vec<(&str, Query, &str)> = vec![
        ("all", Query::all(), "1:6"),
        ("none", Query::none(), ""),
        ("answered", Query::answered(), "3"),
        ("unanswered", Query::unanswered(), "1:2,4:6"),
        ("deleted", Query::deleted(), "6"),
        ("undeleted", Query::undeleted(), "1:5"),
        ("draft", Query::draft(), "5"),
        ("undraft", Query::undraft(), "1:4,6"),
        ("flagged", Query::flagged(), "4"),
        ("unflagged", Query::unflagged(), "1:3,5:6"),
        ("seen", Query::seen(), "2:3"),
        ("unseen", Query::unseen(), "1,4:6"),
        ("keyword", Query::all().keyword(keyword()), "4,6"),
        ("unkeyword", Query::all().unkeyword(keyword()), "1:3,5"),
        ("bcc", Query::all().bcc("secret"), "3"),
        ("body", Query::all().body("apples"), "1"),
        ("body, 8 bit", Query::all().body("Äpfel"), "4"),
        ("body, other case", Query::all().body("äpfel"), "4"),
        ("cc", Query::all().cc("carol"), "2"),
        ("from", Query::all().from("alice@example.org"), "1"),
        ("from, decoded", Query::all().from("Jürgen"), "4"),
        ("subject, other case", Query::all().subject("report"), "1:2"),
        ("subject, decoded", Query::all().subject("Grüße"), "4"),
        ("subject, quote", Query::all().subject("\""), "3"),
        ("subject, backslash", Query::all().subject("\\ back"), "3"),
        ("text, header", Query::all().text("team@"), "1"),
        ("text, body", Query::all().text("日本"), "4"),
        ("to", Query::all().to("alice"), "2"),
        ("header", Query::all().header("X-Colour", "re"), "1"),
        ("header there", Query::all().header("X-Colour", ""), "1"),
        ("header empty", Query::all().header("x-empty", ""), "5"),
        ("larger", Query::all().larger(10_000), "6"),
        ("smaller", Query::all().smaller(10_000), "1:5"),
        ("before", Query::all().before(day(2024, 4, 2)), "1:2"),
        ("on", Query::all().on(day(2024, 4, 2)), "3"),
        ("since", Query::all().since(day(2024, 4, 2)), "3:6"),
        (
            "sent before",
            Query::all().sent_before(day(2024, 4, 1)),
            "1:2",
        ),
        ("sent on", Query::all().sent_on(day(2024, 4, 1)), "3"),
        (
            "sent since",
            Query::all().sent_since(day(2024, 4, 1)),
            "3:6",
        ),
        ("uid", Query::all().uid([uid(2), uid(4), uid(99)]), "2,4"),
        ("uid, all", Query::all().uid(UidSet::all()), "1:6"),
        ("uid, empty", Query::all().uid(UidSet::new()), ""),
        (
            "and",
            Query::unseen().from("example.org").since(day(2024, 5, 1)),
            "4:6",
        ),
        ("or", Query::answered().or(Query::draft()), "3,5"),
        (
            "or of several keys",
            Query::seen()
                .from("bob")
                .or(Query::unseen().subject("large")),
            "2,6",
        ),
        ("not", Query::unseen().from("alice").not(), "2:6"),
        ("not not", !!Query::seen(), "2:3"),
        (
            "any",
            Query::any((1..=5).map(|number| Query::all().uid(uid(number)))),
            "1:5",
        ),
        ("any of nothing", Query::any([]), ""),
        ("old", Query::old().or(Query::recent()), "1:6"),
        ("new", Query::new_messages().and(Query::seen()), ""),
        (
            "mod-sequence",
            Query::all().mod_seq(ModSeq::new(1).unwrap()),
            "1:6",
        ),
    ];
    for (name, query, expected) in cases {
        let found = mailbox
            .search(query)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.to_string(), expected, "{name}");
        assert!(found.is_empty() || found.uid_validity().is_some());
    }
}

#[test]
fn text_arrives_in_whatever_form_it_needs() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "search-text");
    let mailbox = client.mailbox("INBOX");
    let texts = [
        "NIL",
        "{5}",
        "a(b)c",
        "*",
        "%",
        "ALL",
        "a]b",
        "OR",
        "tab\there",
        "grün",
        "\"",
        "\\\"",
    ];
    for text in texts {
        let bytes = format!("Subject: x\r\n\r\n<<{text}>>\r\n").into_bytes();
        appended(&mailbox, Append::new(bytes));
    }
    for (index, text) in texts.iter().enumerate() {
        let found = mailbox
            .search(Query::all().body(format!("<<{text}>>")))
            .unwrap();
        assert_eq!(found.to_string(), (index + 1).to_string(), "{text:?}");
    }
    let long = "no such text ".repeat(700);
    assert!(mailbox.search(Query::all().body(long)).unwrap().is_empty());
    for broken in ["a\r\nb", "a\nb", "nul\0"] {
        match mailbox.search(Query::all().body(broken)) {
            Ok(found) => assert!(found.is_empty()),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::InvalidArgument(_) | ErrorKind::Rejected { .. }
                ),
                "{error:?}"
            ),
        }
    }
    assert_eq!(
        mailbox.search(Query::all()).unwrap().len(),
        texts.len() as u64
    );
}

#[test]
fn recent_and_new_are_those_of_the_first_session() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "search-recent");
    dovecot.deliver(&user.name, "INBOX", [letter(1), letter(2)]);
    let inbox = client.mailbox("INBOX");
    let recent = inbox.search(Query::recent()).unwrap();
    let new = inbox.search(Query::new_messages()).unwrap();
    let old = inbox.search(Query::old()).unwrap();
    assert_eq!(recent, new);
    assert_eq!(recent.len() + old.len(), 2);
    inbox.store(uid(1), Store::add(Flag::Seen)).unwrap();
    assert!(
        !inbox
            .search(Query::new_messages())
            .unwrap()
            .contains(uid(1))
    );
}

#[test]
fn days_are_compared_with_the_arrival_that_the_mail_was_given() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "search-days");
    let messages = (0..10_u64).map(|number| {
        // 2024-03-01 12:00:00 UTC and nine days more, over the end of a month.
        let time = Duration::from_secs(1_709_294_400 - 86_400 * 5 + number * 86_400);
        Message::new(letter(1)).received(SystemTime::UNIX_EPOCH + time)
    });
    dovecot.deliver(&user.name, "INBOX", messages);
    let inbox = client.mailbox("INBOX");
    // 25 February to 5 March of a leap year.
    let found = inbox.search(Query::all().since(day(2024, 3, 1))).unwrap();
    assert_eq!(found.to_string(), "6:10");
    let found = inbox.search(Query::all().on(day(2024, 2, 29))).unwrap();
    assert_eq!(found.to_string(), "5");
}

#[test]
fn a_changed_message_has_a_higher_mod_sequence() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "search-modseq");
    let mailbox = filled(&client);
    let before = mailbox.select().unwrap().highest_mod_seq.unwrap();
    mailbox.store(uid(2), Store::add(Flag::Flagged)).unwrap();
    let next = ModSeq::new(before.get() + 1).unwrap();
    let changed = mailbox.search(Query::all().mod_seq(next)).unwrap();
    assert_eq!(changed.to_string(), "2");
    let both = Query::all().mod_seq(next).or(Query::deleted());
    assert_eq!(mailbox.search(both).unwrap().to_string(), "2,6");
}

#[test]
fn uids_of_another_state_and_sequence_numbers_are_refused_before_anything_is_sent() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "search-refused");
    let mailbox = filled(&client);
    let error = mailbox
        .search(Query::all().sequence(SeqSet::single(seq(1))))
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)));
    let stale = UidSet::all().with_uid_validity(UidValidity::new(1));
    let error = mailbox.search(Query::all().uid(stale)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UidValidityChanged { .. }));
    let fresh = mailbox.search(Query::seen()).unwrap();
    assert_eq!(mailbox.search(Query::all().uid(&fresh)).unwrap(), fresh);
    assert_eq!(
        mailbox.fetch(&fresh, Items::new()).unwrap().count() as u64,
        fresh.len()
    );
}

#[test]
fn a_query_of_any_shape_up_to_the_limit_is_understood() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "search-shape");
    let mailbox = filled(&client);
    let many = Query::any((0..200).map(|number| Query::all().subject(format!("nothing {number}"))))
        .or(Query::answered());
    assert_eq!(mailbox.search(many).unwrap().to_string(), "3");
    let mut deep = Query::seen();
    for _ in 0..10 {
        deep = deep.from("example").not();
    }
    mailbox.search(deep).unwrap();
    let mut too_deep = Query::seen();
    for _ in 0..5_000 {
        too_deep = too_deep.from("example").not();
    }
    let error = mailbox.search(too_deep).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidArgument(_) | ErrorKind::Rejected { .. }
        ),
        "{error:?}"
    );
    assert_eq!(mailbox.search(Query::seen()).unwrap().to_string(), "2:3");
}
