//! Mail that comes in over LMTP and goes out over submission.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use mailpool_test_dovecot::{Dovecot, Service, as_served};
use mailpool_test_postfix::{Postfix, SmtpSink};

use crate::raw::Raw;
use crate::smtp::{Raw as Smtp, Reply};

/// The shared server, if it offers LMTP; `tests/run` says if the package for it is missing.
fn dovecot_with_lmtp() -> Option<&'static Dovecot> {
    Dovecot::shared().filter(|dovecot| dovecot.offers(Service::Lmtp))
}

/// A server that hands mail on, if the package for that is there.
fn dovecot_with_relay(address: SocketAddr) -> Option<Dovecot> {
    let builder = Dovecot::builder().user("alice", "secret");
    if Dovecot::installed(Service::Submission) {
        builder.relay(address).start_or_skip()
    } else {
        None
    }
}

/// `\0alice\0secret`
const PASSWORD: &str = "AGFsaWNlAHNlY3JldA==";

fn lmtp(dovecot: &Dovecot) -> Smtp<TcpStream> {
    let (mut client, greeting) = Smtp::connect(dovecot.address_of(Service::Lmtp));
    greeting.is(220);
    client.command("LHLO client.example").is(250);
    client
}

/// Says EHLO and logs in as alice.
fn log_in<S: Read + Write>(client: &mut Smtp<S>) -> Reply {
    client.command("EHLO client.example").is(250);
    client.command(&format!("AUTH PLAIN {PASSWORD}")).is(235);
    client.command("EHLO client.example").is(250)
}

#[test]
fn lmtp_delivers_byte_for_byte_to_the_users_that_there_are() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let (one, two) = (dovecot.new_user("one"), dovecot.new_user("two"));
    let (mut client, greeting) = Smtp::connect(dovecot.address_of(Service::Lmtp));
    assert!(
        greeting.text.starts_with("220 dovecot.mailpool.test "),
        "{greeting:?}"
    );
    let announced = client.command("LHLO client.example").is(250);
    assert_eq!(
        announced.lines(),
        [
            "dovecot.mailpool.test",
            "8BITMIME",
            "CHUNKING",
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "STARTTLS",
        ]
    );
    client
        .command("MAIL FROM:<me@client.example> BODY=8BITMIME")
        .is(250);
    client
        .command(&format!("RCPT TO:<{}@some.example>", one.name))
        .is(250);
    let refused = client.command("RCPT TO:<nobody@some.example>").is(550);
    assert_eq!(
        refused.text,
        "550 5.1.1 <nobody@some.example> User doesn't exist: nobody@some.example\r\n"
    );
    client
        .command(&format!("RCPT TO:<{}+detail@other.example>", two.name))
        .is(250);
    client.command("DATA").is(354);
    let message = "Received: from elsewhere\r\n\tby somewhere\r\nBcc: hidden\r\nSubject: x\r\n\r\n\
        .dot\r\ngrüß \0 a\rb\r\r\n\r\n";
    client.send(message.replace("\n.", "\n..").as_bytes());
    client.send(b".\r\n");
    let first = client.reply().is(250);
    assert!(first.text.contains(&one.name), "{first:?}");
    let second = client.reply().is(250);
    assert!(second.text.contains(&two.name), "{second:?}");
    assert_eq!(client.quit(), "");

    for user in [&one, &two] {
        let arrived = dovecot.arrived(&user.name);
        assert_eq!(arrived.len(), 1);
        assert_eq!(String::from_utf8(arrived[0].message()).unwrap(), message);
        assert_eq!(arrived[0].reverse_path(), "me@client.example");
        let received = arrived[0].received();
        assert!(received.contains("with LMTP"), "{received}");
    }
    // Dovecot says for whom it is only in a message for one.
    assert_eq!(dovecot.arrived(&one.name)[0].recipient(), "");

    let mut client = Raw::login(dovecot, &one);
    client.command("SELECT INBOX").ok();
    let fetched = client.command("UID FETCH 1:* BODY.PEEK[]").ok();
    let stored = as_served(dovecot.arrived(&one.name)[0].stored());
    // IMAP has no NUL.
    let served: Vec<u8> = stored
        .iter()
        .map(|&byte| if byte == 0 { 0x80 } else { byte })
        .collect();
    assert_eq!(fetched.literals[0], served);
}

#[test]
fn lmtp_starts_tls_or_begins_with_it_and_takes_chunks() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let user = dovecot.new_user("chunks");
    let transaction = |client: &mut dyn FnMut(&str) -> Reply, text: &str| {
        client("LHLO client.example").is(250);
        client("MAIL FROM:<>").is(250);
        client(&format!("RCPT TO:<{}>", user.name)).is(250);
        let chunk = format!("Subject: {text}\r\n\r\n.\r\nno end");
        client(&format!("BDAT {}\r\n{chunk}BDAT 0 LAST", chunk.len())).is(250);
    };
    let (client, _) = Smtp::connect(dovecot.address_of(Service::Lmtp));
    let mut client = client;
    client.command("LHLO client.example").is(250);
    let mut client = client.start_tls(dovecot.ca_pem());
    transaction(&mut |line| client.command(line), "one");
    client.reply().is(250);
    let (mut client, greeting) =
        Smtp::connect_tls(dovecot.tls_address_of(Service::Lmtp), dovecot.ca_pem());
    greeting.is(220);
    transaction(&mut |line| client.command(line), "two");
    client.reply().is(250);
    let arrived = dovecot.arrived(&user.name);
    let messages: Vec<_> = arrived.iter().map(|arrived| arrived.message()).collect();
    assert_eq!(
        messages,
        [
            b"Subject: one\r\n\r\n.\r\nno end",
            b"Subject: two\r\n\r\n.\r\nno end"
        ]
    );
    assert_eq!(arrived[0].reverse_path(), "");
    assert_eq!(arrived[0].recipient(), user.name);
}

/// Facts that tests of the client lean on: each sequence, what stands behind `before` in the
/// message, and whether what follows was taken for commands.
#[test]
fn what_lmtp_takes_for_the_end_of_a_message() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let cases = [
        ("\n.\n", "\r\n", true),
        ("\n.\r\n", "\r\n", true),
        ("\r.\r", "\r.\rVRFY bait\r\n", false),
        ("\r.\n", "\r.\r\nVRFY bait\r\n", false),
        ("\r.\r\n", "\r.\r\nVRFY bait\r\n", false),
        ("\r\n.\n", "\r\n", true),
        // A byte is lost in these.
        ("\r\n.\r", "\r\n\rRFY bait\r\n", false),
        ("\n.\r", "\r\nRFY bait\r\n", false),
        ("\r\n\0.\r\n", "\r\n\0.\r\nVRFY bait\r\n", false),
        ("\r\n.\0\r\n", "\r\n\0\r\nVRFY bait\r\n", false),
        ("\r\r\n.\r\n", "\r\r\n", true),
        ("\r\n.\r\r\n", "\r\n\r\nVRFY bait\r\n", false),
    ];
    for (sequence, stored, ended) in cases {
        let user = dovecot.new_user("ends");
        let mut client = lmtp(dovecot);
        client.begin(&user.name);
        let conversation = format!("Subject: x\r\n\r\nbefore{sequence}VRFY bait\r\n.\r\nQUIT\r\n");
        let codes = client.codes_to_the_end(conversation.as_bytes());
        let expected: &[u16] = if ended {
            &[250, 252, 500, 221]
        } else {
            &[250, 221]
        };
        assert_eq!(codes, expected, "{sequence:?}");
        let arrived = dovecot.arrived(&user.name);
        assert_eq!(arrived.len(), 1, "{sequence:?}");
        let message = String::from_utf8(arrived[0].message()).unwrap();
        assert_eq!(
            message,
            format!("Subject: x\r\n\r\nbefore{stored}"),
            "{sequence:?}"
        );
    }
}

#[test]
fn submission_hands_mail_to_postfix_byte_for_byte_after_a_login() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address()) else {
        return;
    };
    let (mut client, greeting) = Smtp::connect(dovecot.address_of(Service::Submission));
    greeting.is(220);
    let announced = client.command("EHLO client.example").is(250);
    let mut announced = announced.lines();
    announced.sort_unstable();
    assert_eq!(
        announced,
        [
            "8BITMIME",
            "AUTH PLAIN LOGIN",
            "BURL imap",
            "CHUNKING",
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "SIZE",
            "STARTTLS",
            "dovecot.mailpool.test",
        ]
    );
    client.command("MAIL FROM:<me@client.example>").is(530);
    // `\0alice\0wrong`
    client.command("AUTH PLAIN AGFsaWNlAHdyb25n").is(535);
    let announced = log_in(&mut client);
    for expected in ["AUTH", "DSN", "SIZE 41943040", "VRFY", "CHUNKING"] {
        assert!(announced.lines().contains(&expected), "{announced:?}");
    }

    let recipient = postfix.new_recipient("submitted");
    client.command("MAIL FROM:<me@client.example>").is(250);
    let refused = client.command("RCPT TO:<refused@mailpool.test>").is(550);
    assert!(
        refused
            .text
            .starts_with("550 5.1.1 <refused@mailpool.test> <refused@mailpool.test>: "),
        "{refused:?}"
    );
    client.command("RCPT TO:<later@mailpool.test>").is(450);
    client.command(&format!("RCPT TO:<{recipient}>")).is(250);
    client.command("DATA").is(354);
    let message = "Bcc: hidden\r\nSubject: x\r\n\r\n.dot\r\ngrüß \0\r\n\r\n";
    client.send(message.replace("\n.", "\n..").as_bytes());
    client.send(b".\r\n");
    client.reply().is(250);
    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command("RCPT TO:<refused@mailpool.test>").is(550);
    client.command("DATA").is(554);
    assert_eq!(client.quit(), "");

    let arrived = postfix.arrived(&recipient, 1).remove(0);
    assert_eq!(arrived.reverse_path(), "me@client.example");
    assert!(arrived.received().contains("from dovecot.mailpool.test"));
    let handed_on = String::from_utf8(arrived.message()).unwrap();
    assert!(handed_on.contains("with ESMTPA\r\n"), "{handed_on}");
    let arrived = String::from_utf8(arrived.relayed().message()).unwrap();
    assert_eq!(arrived, message);
}

#[test]
fn submission_over_tls_hands_mail_to_a_sink() {
    let Some(sink) = SmtpSink::builder().dump().start_or_skip() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(sink.address()) else {
        return;
    };
    let address = dovecot.tls_address_of(Service::Submission);
    let (mut client, _) = Smtp::connect_tls(address, dovecot.ca_pem());
    log_in(&mut client);
    client.send_message("you@mailpool.test", b"Subject: tls\r\n\r\n");
    let mut client =
        Smtp::hello(dovecot.address_of(Service::Submission)).start_tls(dovecot.ca_pem());
    log_in(&mut client);
    client.send_message("you@mailpool.test", b"Subject: starttls\r\n\r\n");

    let dumps = sink.dumps();
    assert_eq!(dumps.len(), 2);
    for dump in &dumps {
        assert_eq!(dump.mail, "<me@client.example> AUTH=alice");
        assert_eq!(dump.recipients, ["<you@mailpool.test>"]);
    }
    let ending = |end: &[u8]| {
        dumps
            .iter()
            .filter(|dump| dump.message.ends_with(end))
            .count()
    };
    assert_eq!(ending(b"Subject: tls\r\n\r\n"), 1, "{dumps:?}");
    assert_eq!(ending(b"Subject: starttls\r\n\r\n"), 1, "{dumps:?}");
}
