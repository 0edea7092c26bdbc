//! SMTP smuggling: whatever a message contains, it is one message.

use mailpool::{Certainty, Error, ErrorKind, LineEndings, SmtpClient};
use mailpool_test_postfix::{BareNewline, Postfix, SmtpSink};

use super::{assert_one_connection, builder, connect, connect_to_sink, to};
use crate::outgoing::{FAKE_ENDS, assert_same, letter, normalised, send, smuggler};

/// Sends each message with a fake end, and looks at what has arrived.
fn smuggle(postfix: &Postfix, client: &SmtpClient, chunking: bool, from_reader: bool) {
    let mut victims = Vec::new();
    for fake_end in FAKE_ENDS {
        for line_end in ["\r\n", "\n", "\r"] {
            let what = format!("{fake_end:?}, {line_end:?}, {chunking}, {from_reader}");
            let recipient = postfix.new_recipient("smuggler");
            let victim = postfix.new_recipient("victim");
            let message = smuggler(fake_end, line_end, &victim);
            victims.push(victim);
            let sent = send(client, &to(&[&recipient]), &message, from_reader);
            if fake_end.contains('\0') && !chunking {
                let error = sent.expect_err("NUL needs CHUNKING");
                assert_missing(&error, "CHUNKING");
                assert!(!postfix.settled().contains_key(&recipient), "{what}");
                continue;
            }
            let report = sent.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert!(report.is_complete(), "{what}: {report:?}");
            let arrived = postfix.arrived(&recipient, 1);
            assert_same(&what, &arrived[0].message(), &normalised(&message));
            assert_eq!(arrived.len(), 1, "{what}");
        }
    }
    // The connection is where the client thinks it is.
    let recipient = postfix.new_recipient("after");
    let _ = client
        .send(&to(&[&recipient]), letter("after", ""))
        .expect("the next message is sent");
    assert_same(
        "the next message",
        &postfix.arrived(&recipient, 1)[0].message(),
        &letter("after", ""),
    );
    let settled = postfix.settled();
    for victim in victims {
        assert!(!settled.contains_key(&victim), "{victim} has mail");
    }
}

#[track_caller]
fn assert_missing(error: &Error, name: &str) {
    match error.kind() {
        ErrorKind::MissingCapability { capability } => assert_eq!(*capability, name),
        other => panic!("{other:?}"),
    }
    assert_eq!(error.certainty(), Certainty::NotSent);
}

fn smuggle_in_every_way(treatment: BareNewline) {
    let Some(postfix) = Postfix::builder().bare_newline(treatment).start_or_skip() else {
        return;
    };
    for chunking in [true, false] {
        let client = builder(&postfix).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            smuggle(&postfix, &client, chunking, from_reader);
        }
        client.shutdown(crate::threads::LONG).unwrap();
    }
}

/// The server that falls for three of them when the client does not see to it.
#[test]
fn nothing_ends_a_message_early_where_bare_newlines_are_accepted() {
    smuggle_in_every_way(BareNewline::Accept);
}

#[test]
fn nothing_ends_a_message_early_where_bare_newlines_are_normalised() {
    smuggle_in_every_way(BareNewline::Normalize);
}

/// A server that refuses bare newlines never sees one.
#[test]
fn nothing_is_refused_where_bare_newlines_are_refused() {
    smuggle_in_every_way(BareNewline::Reject);
}

#[test]
fn what_is_refused_by_the_client_is_not_sent() {
    let Some(sink) = SmtpSink::builder().verbose().dump().start_or_skip() else {
        return;
    };
    let client = connect_to_sink(&sink).with_line_endings(LineEndings::Refuse);
    let envelope = to(&["bob@example.net"]);
    let unclean = FAKE_ENDS.iter().filter(|end| **end != "\r\n.\r\n");
    for fake_end in unclean.clone() {
        let message = smuggler(fake_end, "\r\n", "victim@example.net");
        let error = send(&client, &envelope, &message, false).expect_err("it is refused");
        assert!(
            matches!(error.kind(), ErrorKind::InvalidArgument(_)),
            "{fake_end:?}: {error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent, "{fake_end:?}");
    }
    client.noop().unwrap();
    assert!(!sink.log().contains("MAIL FROM"), "{}", sink.log());
    assert_one_connection(&client);

    // Of a reader it is known too late: what has been sent is never completed.
    for fake_end in unclean {
        let message = smuggler(fake_end, "\r\n", "victim@example.net");
        let error = send(&client, &envelope, &message, true).expect_err("it is refused");
        assert!(
            matches!(error.kind(), ErrorKind::InvalidArgument(_)),
            "{fake_end:?}: {error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent, "{fake_end:?}");
    }
    // What is clean is sent as it is.
    let message = smuggler("\r\n.\r\n", "\r\n", "victim@example.net");
    let _ = send(&client, &envelope, &message, false).unwrap();
    let _ = send(&client, &envelope, &message, true).unwrap();
    client.shutdown(crate::threads::LONG).unwrap();
    let dumps = sink.dumps();
    assert_eq!(dumps.len(), 2, "{dumps:?}");
    for dump in dumps {
        assert_eq!(dump.recipients, ["<bob@example.net>"]);
        assert_same("the dump", &dump.message, &message);
    }
}

#[test]
fn with_refuse_postfix_gets_nothing_of_what_is_unclean() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let recipient = postfix.new_recipient("unclean");
    for from_reader in [false, true] {
        let client = connect(postfix).with_line_endings(LineEndings::Refuse);
        for fake_end in FAKE_ENDS.iter().filter(|end| **end != "\r\n.\r\n") {
            let message = smuggler(fake_end, "\r\n", &recipient);
            let error = send(&client, &to(&[&recipient]), &message, from_reader)
                .expect_err("it is refused");
            assert_eq!(error.certainty(), Certainty::NotSent, "{fake_end:?}");
        }
        client.shutdown(crate::threads::LONG).unwrap();
    }
    assert!(!postfix.settled().contains_key(&recipient));
}
