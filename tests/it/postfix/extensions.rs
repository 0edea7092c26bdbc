//! What Postfix offers beyond the plain protocol.

use mailpool::{ErrorKind, MailAddress, Notify, Recipient, ReturnContent, Security, SmtpEnvelope};
use mailpool_test_postfix::Postfix;

use super::{assert_one_connection, builder, connect, to};
use crate::outgoing::{assert_same, letter};

#[test]
fn the_capabilities_are_those_of_postfix() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    for (security, starttls) in [(Security::None, true), (Security::StartTls, false)] {
        let client = builder(postfix)
            .security(security)
            .ca_pem(postfix.ca_pem())
            .only_own_ca()
            .connect()
            .unwrap();
        let capabilities = client.capabilities().unwrap();
        for keyword in [
            "PIPELINING",
            "SIZE",
            "VRFY",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
        ] {
            assert!(capabilities.supports(keyword), "{keyword}");
        }
        assert!(!capabilities.supports("BINARYMIME"));
        assert_eq!(capabilities.supports("STARTTLS"), starttls);
        assert_eq!(capabilities.size(), Some(200_000_000));
    }
}

#[test]
fn the_sender_is_notified_with_the_identifier_of_the_envelope() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let client = connect(postfix);
    // What was delivered comes back as its header in both cases.
    for returned in [ReturnContent::Headers, ReturnContent::Full] {
        let sender = postfix.new_recipient("sender");
        let recipient = postfix.new_recipient("notified");
        let original: MailAddress = "old+name=x@example.net".parse().unwrap();
        let told = Recipient::new(recipient.as_str())
            .unwrap()
            .notify(Notify::failure().success().delay())
            .original(original);
        let envelope = SmtpEnvelope::new(sender.as_str(), [told])
            .unwrap()
            .return_content(returned)
            .envelope_id("a+b=c d")
            .unwrap();
        let message = letter("notified", "the text\r\n");
        assert!(client.send(&envelope, &message).unwrap().is_complete());
        assert_same(
            "the message",
            &postfix.arrived(&recipient, 1)[0].message(),
            &message,
        );
        let notification = postfix.arrived(&sender, 1).remove(0);
        let text = String::from_utf8_lossy(notification.stored()).into_owned();
        assert_eq!(notification.reverse_path(), "");
        for line in [
            "Original-Envelope-Id: a+b=c d\n",
            "Original-Recipient: rfc822;old+name=x@example.net\n",
            "Action: delivered\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        assert!(text.contains("Subject: notified\n"), "{text}");
    }
}

/// One message comes back that cannot be delivered, and one does not.
#[test]
fn nobody_is_notified_who_does_not_want_to_be() {
    let there = "there@mailpool.test";
    let Some(postfix) = Postfix::builder()
        .setting("virtual_mailbox_maps", format!("inline:{{{there}=all/}}"))
        .setting("smtpd_reject_unlisted_recipient", "no")
        .start_or_skip()
    else {
        return;
    };
    let client = connect(&postfix);
    for (notify, text) in [(Notify::never(), "never"), (Notify::failure(), "failure")] {
        let gone = Recipient::new("gone@mailpool.test").unwrap().notify(notify);
        let envelope = SmtpEnvelope::new(there, [gone]).unwrap();
        let report = client.send(&envelope, letter(text, "")).unwrap();
        assert!(report.is_complete());
    }
    let notification = postfix.arrived(there, 1).remove(0);
    let text = String::from_utf8_lossy(notification.stored()).into_owned();
    assert!(text.contains("Action: failed\n"), "{text}");
    assert!(text.contains("Subject: failure\n"), "{text}");
    assert_eq!(postfix.settled()[there], 1);
}

#[test]
fn addresses_in_utf8_quoted_ones_and_nobody_are_understood() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let client = connect(postfix);
    let message = "Subject: gr\u{fc}\u{df}e\r\n\r\n\u{4f60}\u{597d}\r\n";
    let number = postfix.new_recipient("utf8");
    let foreign = format!("\u{7528}\u{6237}-{number}");
    let quoted = format!("\"a b {}\"@example.net", number.replace('@', " "));
    let envelope = SmtpEnvelope::new("j\u{fc}rgen@m\u{fc}ller.example", [&foreign]).unwrap();
    assert!(client.send(&envelope, message).unwrap().is_complete());
    let arrived = postfix.arrived(&foreign, 1);
    assert_eq!(arrived[0].reverse_path(), "j\u{fc}rgen@m\u{fc}ller.example");
    assert_same("utf8", &arrived[0].message(), message.as_bytes());
    assert!(arrived[0].received().contains("with UTF8SMTP"));

    let envelope = SmtpEnvelope::from_nobody([quoted.as_str()]).unwrap();
    assert!(client.send(&envelope, message).unwrap().is_complete());
    let arrived = postfix.arrived(&quoted, 1);
    assert_eq!(arrived[0].reverse_path(), "");
    assert_same("quoted", &arrived[0].message(), message.as_bytes());
}

#[test]
fn vrfy_and_expn_are_answered() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let client = connect(postfix);
    assert_eq!(client.verify("someone@mailpool.test").unwrap().code, 252);
    let error = client.verify("refused@mailpool.test").unwrap_err();
    assert_eq!(error.smtp_reply().map(|reply| reply.code), Some(550));
    let error = client.expand("list@mailpool.test").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::SmtpRefused { verb: "EXPN", reply } if reply.code == 500),
        "{error:?}"
    );
    client.noop().unwrap();
    let recipient = postfix.new_recipient("verified");
    let _ = client.send(&to(&[&recipient]), letter("x", "")).unwrap();
    assert_one_connection(&client);
    postfix.arrived(&recipient, 1);
}
