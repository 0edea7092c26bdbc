//! APPEND with flags, dates, sizes and bytes of every kind.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailpool::{Append, Date, DateTime, ErrorKind, Flag, Flags, Items, Query, UidSet};
use mailpool_test_dovecot::{Dovecot, as_served_after_append};

use super::{
    all_uids, append_letters, appended, bodies, client_of_new_user, contents_of, letter,
    plain_builder,
};

#[test]
fn flags_and_date_are_kept() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-flags");
    let inbox = client.mailbox("INBOX");
    let keyword = Flag::keyword("$Forwarded").unwrap();
    let odd = Flag::keyword("a+b-c.d/e").unwrap();
    let sets: [Flags; 5] = [
        Flags::new(),
        Flag::Seen.into(),
        [Flag::Answered, Flag::Flagged, Flag::Draft].into(),
        [Flag::Deleted, keyword.clone()].into(),
        [Flag::Seen, keyword, odd].into(),
    ];
    let dates: [DateTime; 5] = [
        "17-Jul-1996 02:44:25 -0700",
        " 1-Jan-2024 00:00:00 +0000",
        "29-Feb-2000 23:59:59 +1400",
        "31-Dec-1999 23:59:59 -1200",
        "15-Jun-2015 12:34:56 +0545",
    ]
    .map(|text| text.parse().unwrap());
    for (flags, date) in sets.iter().zip(dates) {
        let message = Append::new(letter(1)).flags(flags).date(date);
        let uid = appended(&inbox, message);
        let fetched = inbox.fetch(uid, Items::full()).unwrap().next().unwrap();
        let fetched = fetched.unwrap();
        let mut given = fetched.flags().unwrap().clone();
        given.remove(&Flag::Recent);
        assert_eq!(given, *flags);
        let internal = fetched.internal_date().unwrap();
        assert_eq!(internal.unix_seconds(), date.unix_seconds(), "{date}");
        assert_eq!(fetched.size(), Some(letter(1).len() as u64));
    }
    assert_eq!(all_uids(&inbox).len(), 5);
}

#[test]
fn a_date_in_the_future_is_kept_or_becomes_the_present() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-future");
    let inbox = client.mailbox("INBOX");
    let date: DateTime = "15-Jun-2099 12:34:56 +0000".parse().unwrap();
    let uid = appended(&inbox, Append::new(letter(1)).date(date));
    let message = inbox.fetch(uid, Items::fast()).unwrap().next().unwrap();
    let internal = message.unwrap().internal_date().unwrap();
    let now = DateTime::try_from(SystemTime::now()).unwrap();
    // Dovecot believes in no date that is more than a day ahead.
    assert!(internal == date || internal.unix_seconds() <= now.unix_seconds());
}

#[test]
fn a_date_before_unix_time_is_refused_or_kept_but_never_changed_unsaid() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-old");
    let inbox = client.mailbox("INBOX");
    let date = DateTime::new(Date::new(1969, 7, 20).unwrap(), 20, 17, 40, 0).unwrap();
    match inbox.append(Append::new(letter(1)).date(date)) {
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Rejected { .. })),
        Ok(uids) => {
            let uid = uids.unwrap().uids.at(0).unwrap();
            let fetched = inbox.fetch(uid, Items::fast()).unwrap().next().unwrap();
            let internal = fetched.unwrap().internal_date().unwrap();
            assert_eq!(internal.unix_seconds(), date.unix_seconds());
        }
    }
}

/// Lines of text, `size` bytes in all, that differ from line to line.
fn text_of(size: usize) -> Vec<u8> {
    let mut text = b"Subject: size\r\n\r\n".to_vec();
    let mut line = 0_usize;
    while text.len() < size {
        text.extend_from_slice(format!("{line:>70}\r\n").as_bytes());
        line += 1;
    }
    text.truncate(size);
    // A carriage return at the very end would not survive.
    if let Some(last) = text.last_mut() {
        if *last == b'\r' {
            *last = b'x';
        }
    }
    text
}

#[test]
fn every_size_of_literal_arrives_whole() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("append-sizes");
    let client = plain_builder(dovecot, &user).connect().unwrap();
    let inbox = client.mailbox("INBOX");
    // Around the limits of LITERAL-, of buffers, and of the stream threshold.
    let sizes = [
        1, 2, 17, 4_095, 4_096, 4_097, 16_383, 16_384, 65_535, 65_536, 262_143, 262_144, 262_145,
        1_048_576, 12_000_000,
    ];
    for size in sizes {
        let message = text_of(size);
        let uid = appended(&inbox, Append::new(message.clone()));
        let served = contents_of(&inbox, uid).remove(&uid).unwrap();
        assert_eq!(served.len(), size);
        assert!(served == message, "a message of {size} bytes was changed");
    }
    let larger = inbox.search(Query::all().larger(1 << 20)).unwrap();
    assert_eq!(larger.len(), 1);
}

#[test]
fn a_large_literal_arrives_over_tls_too() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-tls");
    let inbox = client.mailbox("INBOX");
    let message = text_of(5_000_000);
    let uid = appended(&inbox, Append::new(message.clone()));
    assert!(contents_of(&inbox, uid)[&uid] == message);
}

#[test]
fn eight_bit_and_binary_bytes_arrive_as_the_server_keeps_them() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-binary");
    let inbox = client.mailbox("INBOX");
    let every_byte: Vec<u8> = (1..=255).collect();
    let header = b"Subject: bytes\r\n\r\n".as_slice();
    let messages = [
        [header, "Grüße — 日本語 📬\r\n".as_bytes()].concat(),
        [header, every_byte.repeat(40).as_slice()].concat(),
        [header, b"M1 OK done\r\n* BYE\r\n)\r\n{5}\r\n+ go on\r\n"].concat(),
        [header, &[0xff; 5_000]].concat(),
        b"\r\n\r\n".to_vec(),
        [header, "x".repeat(100_000).as_bytes()].concat(),
    ];
    for message in &messages {
        let uid = appended(&inbox, Append::new(message.clone()));
        let served = &contents_of(&inbox, uid)[&uid];
        assert!(
            *served == as_served_after_append(message),
            "{}",
            message[..message.len().min(60)].escape_ascii()
        );
    }
}

#[test]
fn a_message_with_nul_is_sent_as_binary() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-nul");
    let inbox = client.mailbox("INBOX");
    assert!(client.capabilities().unwrap().contains("BINARY"));
    let header = "Subject: nul\r\nContent-Transfer-Encoding: ";
    for body in [b"a\0b\r\n".to_vec(), b"\0\xff\r\n".repeat(20_000)] {
        let message = [format!("{header}binary\r\n\r\n").as_bytes(), &body].concat();
        let uid = appended(&inbox, Append::new(message));
        // No NUL may be served outside BINARY, so Dovecot encodes the body.
        let served = &contents_of(&inbox, uid)[&uid];
        let encoded = served
            .strip_prefix(format!("{header}base64\r\n\r\n").as_bytes())
            .unwrap();
        let digits: Vec<u8> = encoded
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        assert!(STANDARD.decode(digits).unwrap() == body);
    }
    append_letters(&inbox, [1]);
    assert_eq!(bodies(&inbox).last().unwrap(), &letter(1));
}

#[test]
fn an_empty_message_is_a_typed_error_or_there() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-empty");
    let inbox = client.mailbox("INBOX");
    match inbox.append(Append::new(Vec::new())) {
        Ok(_) => assert_eq!(bodies(&inbox), [Vec::new()]),
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Rejected { .. }),
            "{error:?}"
        ),
    }
    append_letters(&inbox, [1]);
    assert_eq!(bodies(&inbox).last().unwrap(), &letter(1));
}

#[test]
fn the_uid_of_a_message_is_its_own_also_when_many_append() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "append-many");
    let inbox = client.mailbox("INBOX");
    let validity = inbox.select().unwrap().uid_validity.unwrap();
    let appended: Vec<(usize, mailpool::AppendUid)> = std::thread::scope(|threads| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let inbox = &inbox;
                threads.spawn(move || {
                    let numbers = (0..10).map(|number| worker * 10 + number);
                    let append = |number| {
                        let message = Append::new(letter(number));
                        (number, inbox.append(message).unwrap().unwrap())
                    };
                    numbers.map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let contents = contents_of(&inbox, UidSet::all());
    assert_eq!(contents.len(), 80);
    for (number, uids) in appended {
        assert_eq!(uids.uid_validity, validity);
        assert_eq!(contents[&uids.uids.at(0).unwrap()], letter(number));
    }
}
