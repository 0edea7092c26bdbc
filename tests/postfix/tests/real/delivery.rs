//! What arrives, byte for byte.

use mailpool_test_postfix::{Arrived, Postfix};

use crate::raw::Raw;

#[test]
fn a_message_arrives_byte_for_byte_with_its_envelope() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let recipient = postfix.new_recipient("bytes");
    let message = b"Received: from elsewhere\r\n\tby somewhere\r\nBcc: hidden@client.example\r\n\
        From: joe\r\nSubject: dots\r\n\r\n\r\n.one\r\n..two\r\n gr\xc3\xbc\xc3\x9f \xff\0\t \r\n\r\n";
    let stuffed = b"Received: from elsewhere\r\n\tby somewhere\r\nBcc: hidden@client.example\r\n\
        From: joe\r\nSubject: dots\r\n\r\n\r\n..one\r\n...two\r\n gr\xc3\xbc\xc3\x9f \xff\0\t \r\n\r\n";
    let mut client = Raw::hello(postfix.address());
    client.send_message(&recipient, stuffed);
    assert_eq!(client.quit(), "");

    let arrived = postfix.arrived(&recipient, 1);
    assert_eq!(arrived.len(), 1);
    assert_eq!(
        String::from_utf8_lossy(&arrived[0].message()),
        String::from_utf8_lossy(message)
    );
    assert_eq!(arrived[0].message(), message);
    assert_eq!(arrived[0].reverse_path(), "me@client.example");
    assert_eq!(arrived[0].recipient(), recipient);
    let received = arrived[0].received();
    assert!(received.contains("from client.example"), "{received}");
    assert!(received.contains("with ESMTP id"), "{received}");
}

#[test]
fn messages_over_both_kinds_of_tls_arrive_too() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let recipient = postfix.new_recipient("tls");
    let mut client = Raw::hello(postfix.address()).start_tls(postfix.ca_pem());
    client.command("EHLO client.example").is(250);
    client.send_message(&recipient, b"Subject: starttls\r\n\r\n");
    let (mut client, _) = Raw::connect_tls(postfix.tls_address(), postfix.ca_pem());
    client.command("EHLO client.example").is(250);
    postfix.arrived(&recipient, 1);
    client.send_message(&recipient, b"Subject: tls\r\n\r\n");
    let arrived = postfix.arrived(&recipient, 2);
    assert_eq!(arrived[0].message(), b"Subject: starttls\r\n\r\n");
    assert_eq!(arrived[1].message(), b"Subject: tls\r\n\r\n");
    let received = arrived[1].received();
    assert!(received.contains("with ESMTPS id"), "{received}");
}

#[test]
fn refused_recipients_get_nothing_and_do_not_harm_the_others() {
    let builder = Postfix::builder().recipients("^a/b@", "551 5.7.1 try elsewhere");
    let Some(postfix) = builder.start_or_skip() else {
        return;
    };
    let mut client = Raw::hello(postfix.address());
    client.command("MAIL FROM:<me@client.example>").is(250);
    let refused = client.command("RCPT TO:<refused-1@mailpool.test>").is(550);
    assert_eq!(
        refused.text,
        "550 5.1.1 <refused-1@mailpool.test>: Recipient address rejected: no such mailbox here\r\n"
    );
    client.command("RCPT TO:<one@mailpool.test>").is(250);
    let later = client.command("RCPT TO:<later@mailpool.test>").is(450);
    assert!(later.text.contains("450 4.2.1 "), "{later:?}");
    client.command("RCPT TO:<two@elsewhere.example>").is(250);
    let ruled = client.command("RCPT TO:<a/b@mailpool.test>").is(551);
    assert!(ruled.text.contains("try elsewhere"), "{ruled:?}");
    client.command("DATA").is(354);
    client.send(b"Subject: x\r\n\r\n.\r\n");
    client.reply().is(250);

    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command("RCPT TO:<refused@mailpool.test>").is(550);
    let none = client.command("DATA").is(554);
    assert_eq!(none.text, "554 5.5.1 Error: no valid recipients\r\n");
    assert_eq!(client.quit(), "");

    let settled = postfix.settled();
    assert_eq!(settled.len(), 2, "{settled:?}");
    assert_eq!(settled["one@mailpool.test"], 1);
    assert_eq!(settled["two@elsewhere.example"], 1);
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_declared_and_by_its_real_size() {
    let Some(postfix) = Postfix::builder().message_size_limit(5_000).start_or_skip() else {
        return;
    };
    let mut client = Raw::hello(postfix.address());
    let declared = client.command("MAIL FROM:<me@client.example> SIZE=5001");
    assert_eq!(
        declared.is(552).text,
        "552 5.3.4 Message size exceeds fixed limit\r\n"
    );
    // Postfix 3.7 goes on refusing until it is told to forget the declared size.
    client.command("MAIL FROM:<me@client.example>").is(552);
    client.command("RSET").is(250);
    client.begin("big@mailpool.test");
    client.send(&b"line\r\n".repeat(1_000));
    client.send(b".\r\n");
    let refused = client.reply().is(552);
    assert_eq!(refused.text, "552 5.3.4 Error: message file too big\r\n");
    client.send_message("big@mailpool.test", b"Subject: small\r\n\r\n");
    assert_eq!(postfix.settled()["big@mailpool.test"], 1);
}

#[test]
fn chunks_arrive_byte_for_byte_without_dots_being_special() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let recipient = postfix.new_recipient("chunks");
    let mut client = Raw::hello(postfix.address());
    client.command("MAIL FROM:<me@client.example>").is(250);
    client.command(&format!("RCPT TO:<{recipient}>")).is(250);
    client.send(b"BDAT 16\r\nSubject: x\r\n\r\n..");
    client.reply().is(250);
    client.send(b"BDAT 9 LAST\r\na\r\n.\r\nb\r\n");
    client.reply().is(250);
    let arrived = postfix.arrived(&recipient, 1);
    assert_eq!(arrived[0].message(), b"Subject: x\r\n\r\n..a\r\n.\r\nb\r\n");
}

#[test]
fn addresses_in_utf8_and_quoted_ones_and_the_null_reverse_path_arrive() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let mut client = Raw::hello(postfix.address());
    client
        .command("MAIL FROM:<jürgen@müller.example> SMTPUTF8")
        .is(250);
    client.command("RCPT TO:<用户@例子.example>").is(250);
    client.command("DATA").is(354);
    client.send("Subject: grüße\r\n\r\n.\r\n".as_bytes());
    client.reply().is(250);
    let arrived = postfix.arrived("用户@例子.example", 1);
    assert_eq!(arrived[0].reverse_path(), "jürgen@müller.example");
    assert_eq!(arrived[0].message(), "Subject: grüße\r\n\r\n".as_bytes());

    client.command("MAIL FROM:<>").is(250);
    client.command("RCPT TO:<\"a b\"@mailpool.test>").is(250);
    client.command("DATA").is(354);
    client.send(b"Subject: null\r\n\r\n.\r\n");
    client.reply().is(250);
    let arrived = postfix.arrived("\"a b\"@mailpool.test", 1);
    assert_eq!(arrived[0].reverse_path(), "");
}

#[test]
fn a_notification_of_success_comes_back_with_the_envelope_identifier() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let sender = postfix.new_recipient("sender");
    let recipient = postfix.new_recipient("notified");
    let mut client = Raw::hello(postfix.address());
    client
        .command(&format!("MAIL FROM:<{sender}> RET=HDRS ENVID=abc+2B1"))
        .is(250);
    client
        .command(&format!(
            "RCPT TO:<{recipient}> NOTIFY=SUCCESS ORCPT=rfc822;{recipient}"
        ))
        .is(250);
    client.command("DATA").is(354);
    client.send(b"Subject: x\r\n\r\n.\r\n");
    client.reply().is(250);
    let notification = postfix.arrived(&sender, 1);
    let text = String::from_utf8_lossy(notification[0].stored()).into_owned();
    assert_eq!(notification[0].reverse_path(), "");
    assert!(text.contains("Original-Envelope-Id: abc+1\n"), "{text}");
    assert!(text.contains("Action: delivered\n"), "{text}");
}

#[test]
fn mail_in_masses_arrives_once_each() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let recipient = postfix.new_recipient("masses");
    let mut client = Raw::hello(postfix.address());
    for number in 0..100 {
        client.send_message(&recipient, format!("Subject: {number}\r\n\r\n").as_bytes());
    }
    let arrived = postfix.arrived(&recipient, 100);
    let mut messages: Vec<Vec<u8>> = arrived.iter().map(Arrived::message).collect();
    messages.sort();
    let numbers = 0..100;
    let mut expected: Vec<Vec<u8>> = numbers
        .map(|number| format!("Subject: {number}\r\n\r\n").into_bytes())
        .collect();
    expected.sort();
    assert_eq!(messages, expected);
}
