//! smtp-sink, behaving and misbehaving.

use mailpool_test_postfix::{Dump, SmtpSink, smtp_source};

use crate::processes::{in_use, processes_of};
use crate::raw::Raw;

#[test]
fn it_keeps_what_it_receives() {
    let Some(sink) = SmtpSink::builder().dump().start_or_skip() else {
        return;
    };
    let mut client = Raw::hello(sink.address());
    client
        .command("MAIL FROM:<me@client.example> BODY=8BITMIME")
        .is(250);
    client
        .command("RCPT TO:<one@mailpool.test> NOTIFY=NEVER")
        .is(250);
    client.command("RCPT TO:<two@mailpool.test>").is(250);
    client.command("DATA").is(354);
    client.send(b"Subject: x\r\n\r\n..dot\r\ngr\xc3\xbc\xc3\x9f\0\r\n\r\n.\r\n");
    client.reply().is(250);
    assert_eq!(
        sink.dumps(),
        [Dump {
            protocol: "ESMTP".to_owned(),
            mail: "<me@client.example> BODY=8BITMIME".to_owned(),
            recipients: vec![
                "<one@mailpool.test> NOTIFY=NEVER".to_owned(),
                "<two@mailpool.test>".to_owned()
            ],
            message: b"Subject: x\r\n\r\n.dot\r\ngr\xc3\xbc\xc3\x9f\0\r\n\r\n".to_vec(),
        }]
    );
    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command("RCPT TO:<one@mailpool.test>").is(250);
    client.command("RSET").is(250);
    client.send_message("three@mailpool.test", b"Subject: y\r\n\r\n");
    let dumps = sink.dumps();
    assert_eq!(dumps.len(), 2, "{dumps:?}");
    let second = dumps
        .iter()
        .find(|dump| dump.recipients == ["<three@mailpool.test>"]);
    assert_eq!(second.unwrap().message, b"Subject: y\r\n\r\n");
}

#[test]
fn it_announces_what_it_is_told_to() {
    let builder = SmtpSink::builder()
        .without_pipelining()
        .without_8bitmime()
        .without_dsn()
        .without_enhanced_codes()
        .without_auth();
    let Some(sink) = builder.start_or_skip() else {
        return;
    };
    let announced = Raw::hello(sink.address()).command("EHLO client.example");
    let announced = announced.lines()[1..].to_vec();
    assert_eq!(
        announced,
        ["XCLIENT NAME HELO", "XFORWARD NAME ADDR PROTO HELO", ""]
    );

    let sink = SmtpSink::builder().start().unwrap();
    let announced = Raw::hello(sink.address()).command("EHLO client.example");
    let announced = announced.lines()[1..].to_vec();
    assert_eq!(
        announced,
        [
            "PIPELINING",
            "8BITMIME",
            "AUTH PLAIN LOGIN",
            "XCLIENT NAME HELO",
            "XFORWARD NAME ADDR PROTO HELO",
            "ENHANCEDSTATUSCODES",
            "DSN",
            ""
        ]
    );

    let sink = SmtpSink::builder().without_esmtp().start().unwrap();
    let (mut client, _) = Raw::connect(sink.address());
    client.command("EHLO client.example").is(500);
    client.command("HELO client.example").is(250);
}

#[test]
fn it_refuses_defers_and_hangs_up_as_it_is_told() {
    let builder = SmtpSink::builder().refuse("VRFY,MAIL").defer("NOOP");
    let Some(sink) = builder.start_or_skip() else {
        return;
    };
    let mut client = Raw::hello(sink.address());
    let refused = client.command("MAIL FROM:<me@client.example>").is(500);
    assert_eq!(refused.text, "500 5.3.0 Error: command failed\r\n");
    let deferred = client.command("NOOP").is(450);
    assert_eq!(deferred.text, "450 4.3.0 Error: command failed\r\n");

    let sink = SmtpSink::builder().hang_up("RCPT").start().unwrap();
    let mut client = Raw::hello(sink.address());
    client.command("MAIL FROM:<me@client.example>").is(250);
    assert_eq!(client.command("RCPT TO:<you@mailpool.test>").text, "");

    let sink = SmtpSink::builder().say_goodbye(".").dump().start().unwrap();
    let mut client = Raw::hello(sink.address());
    client.begin("you@mailpool.test");
    client.send(b"Subject: x\r\n\r\n.\r\n");
    client.reply().is(421);
    assert_eq!(client.reply().text, "");

    let sink = SmtpSink::builder().hang_up("CONNECT").start().unwrap();
    let (_, greeting) = Raw::connect(sink.address());
    assert_eq!(greeting.text, "");
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let Some(sink) = SmtpSink::builder().lmtp().dump().start_or_skip() else {
        return;
    };
    let (mut client, _) = Raw::connect(sink.address());
    client.command("EHLO client.example").is(500);
    client.command("LHLO client.example").is(250);
    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command("RCPT TO:<one@mailpool.test>").is(250);
    client.command("RCPT TO:<two@mailpool.test>").is(250);
    client.command("DATA").is(354);
    client.send(b"Subject: x\r\n\r\n.\r\n");
    client.reply().is(250);
    client.reply().is(250);
    assert_eq!(client.quit(), "");
    assert_eq!(sink.dumps()[0].protocol, "LMTP");
}

#[test]
fn its_log_has_the_conversations_on_request() {
    let Some(sink) = SmtpSink::builder().verbose().start_or_skip() else {
        return;
    };
    let mut client = Raw::hello(sink.address());
    client.command("MAIL FROM:<logged@client.example>").is(250);
    let log = sink.log();
    assert!(log.contains("logged@client.example"), "{log}");
}

#[test]
fn a_sink_that_is_dropped_leaves_nothing() {
    let Some(sink) = SmtpSink::builder().dump().start_or_skip() else {
        return;
    };
    let (group, directory) = (sink.process_group(), sink.directory().to_owned());
    assert_eq!(processes_of(group).len(), 1);
    drop(sink);
    assert!(processes_of(group).is_empty());
    assert!(!directory.exists());
    assert!(!in_use(&directory));
}

#[test]
fn smtp_source_is_there_where_smtp_sink_is() {
    if SmtpSink::builder().start_or_skip().is_some() {
        assert!(smtp_source().is_some());
    }
}
