//! Writes commands (RFC 5321 §4.1).
//!
//! What is put in between has been checked by its type: addresses, identifiers and names have no
//! CR, LF or NUL.

use std::fmt::Write;

use crate::types::smtp::address::MailAddress;
use crate::types::smtp::envelope::{
    BodyType, Hold, Notify, Recipient, ReturnContent, SmtpEnvelope,
};

/// What MAIL says beside the reverse-path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MailParameters {
    /// The size of the message, where the server wants to know (RFC 1870).
    pub size: Option<u64>,
    pub body: Option<BodyType>,
    pub utf8: bool,
}

/// MAIL FROM (RFC 5321 §4.1.1.2).
pub(crate) fn mail(envelope: &SmtpEnvelope, parameters: MailParameters) -> String {
    let path = envelope.reverse_path().map_or("", MailAddress::as_str);
    let mut line = format!("MAIL FROM:<{path}>");
    if let Some(size) = parameters.size {
        let _ = write!(line, " SIZE={size}");
    }
    match parameters.body {
        Some(BodyType::SevenBit) => line.push_str(" BODY=7BIT"),
        Some(BodyType::EightBit) => line.push_str(" BODY=8BITMIME"),
        Some(BodyType::Binary) => line.push_str(" BODY=BINARYMIME"),
        None => {}
    }
    if parameters.utf8 {
        line.push_str(" SMTPUTF8");
    }
    if envelope.needs_tls() {
        line.push_str(" REQUIRETLS");
    }
    match envelope.returned() {
        Some(ReturnContent::Full) => line.push_str(" RET=FULL"),
        Some(ReturnContent::Headers) => line.push_str(" RET=HDRS"),
        None => {}
    }
    if let Some(id) = envelope.id() {
        line.push_str(" ENVID=");
        push_xtext(&mut line, id);
    }
    match envelope.hold() {
        Some(Hold::For(time)) => {
            let _ = write!(line, " HOLDFOR={}", time.as_secs());
        }
        Some(Hold::Until(moment)) => {
            let _ = write!(line, " HOLDUNTIL={}", moment.to_rfc3339());
        }
        None => {}
    }
    line.push_str("\r\n");
    line
}

/// RCPT TO (RFC 5321 §4.1.1.3). `utf8`: MAIL has said SMTPUTF8.
pub(crate) fn rcpt(recipient: &Recipient, utf8: bool) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address().as_str());
    if let Some(notify) = recipient.notified() {
        line.push_str(" NOTIFY=");
        line.push_str(&notify_text(notify));
    }
    if let Some(original) = recipient.original_address() {
        if original.is_ascii() {
            line.push_str(" ORCPT=rfc822;");
            push_xtext(&mut line, original.as_str());
        } else {
            line.push_str(" ORCPT=utf-8;");
            push_utf8_address(&mut line, original.as_str(), utf8);
        }
    }
    line.push_str("\r\n");
    line
}

fn notify_text(notify: Notify) -> String {
    let kinds = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
    ];
    let kinds: Vec<_> = kinds
        .iter()
        .filter_map(|(wanted, name)| wanted.then_some(*name))
        .collect();
    if kinds.is_empty() {
        "NEVER".to_owned()
    } else {
        kinds.join(",")
    }
}

/// xtext (RFC 3461 §4).
fn push_xtext(line: &mut String, text: &str) {
    for byte in text.bytes() {
        if (b'!'..=b'~').contains(&byte) && byte != b'+' && byte != b'=' {
            line.push(char::from(byte));
        } else {
            let _ = write!(line, "+{byte:02X}");
        }
    }
}

/// utf-8-addr-xtext, or utf-8-addr-unitext where SMTPUTF8 is in use (RFC 6533 §3).
fn push_utf8_address(line: &mut String, text: &str, utf8: bool) {
    for character in text.chars() {
        let plain = character.is_ascii_graphic() && !matches!(character, '+' | '=' | '\\');
        if plain || (utf8 && !character.is_ascii()) {
            line.push(character);
        } else {
            let _ = write!(line, "\\x{{{:02X}}}", u32::from(character));
        }
    }
}

/// VRFY or EXPN (RFC 5321 §3.5, RFC 6531 §3.7.4.2).
pub(crate) fn about(verb: &str, argument: &str, utf8: bool) -> String {
    let utf8 = if utf8 { " SMTPUTF8" } else { "" };
    format!("{verb} {argument}{utf8}\r\n")
}

/// BDAT (RFC 3030 §2).
pub(crate) fn bdat(len: u64, last: bool) -> String {
    format!("BDAT {len}{}\r\n", if last { " LAST" } else { "" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn envelope() -> SmtpEnvelope {
        SmtpEnvelope::new("alice@example.org", ["bob@example.net"]).unwrap()
    }

    #[test]
    fn mail_says_what_was_asked_for() {
        let all = envelope()
            .require_tls()
            .return_content(ReturnContent::Headers)
            .envelope_id("a+b=c d")
            .unwrap()
            .hold_for(Duration::from_secs(90));
        assert_eq!(
            mail(
                &all,
                MailParameters {
                    size: Some(1000),
                    body: Some(BodyType::EightBit),
                    utf8: true,
                }
            ),
            "MAIL FROM:<alice@example.org> SIZE=1000 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS \
             ENVID=a+2Bb+3Dc+20d HOLDFOR=90\r\n"
        );
        for (moment, said) in [
            (" 1-Feb-2030 03:04:05 +0000", "2030-02-01T03:04:05Z"),
            ("31-Dec-2029 23:59:59 -0730", "2029-12-31T23:59:59-07:30"),
            ("31-Dec-2029 23:59:59 +0100", "2029-12-31T23:59:59+01:00"),
        ] {
            let held = envelope().hold_until(moment.parse().unwrap());
            assert_eq!(
                mail(&held, MailParameters::default()),
                format!("MAIL FROM:<alice@example.org> HOLDUNTIL={said}\r\n")
            );
        }
        let nobody = SmtpEnvelope::from_nobody(["bob@example.net"]).unwrap();
        assert_eq!(mail(&nobody, MailParameters::default()), "MAIL FROM:<>\r\n");
    }

    #[test]
    fn rcpt_says_what_was_asked_for() {
        let to = |text: &str| Recipient::new(text).unwrap();
        assert_eq!(
            rcpt(&to("bob@example.net"), false),
            "RCPT TO:<bob@example.net>\r\n"
        );
        let all = to("bob@example.net")
            .notify(Notify::failure().success().delay())
            .original("b+c@example.com".parse().unwrap());
        assert_eq!(
            rcpt(&all, false),
            "RCPT TO:<bob@example.net> NOTIFY=SUCCESS,FAILURE,DELAY \
             ORCPT=rfc822;b+2Bc@example.com\r\n"
        );
        let foreign = to("bob@example.net")
            .notify(Notify::never())
            .original("bö@example.com".parse().unwrap());
        assert_eq!(
            rcpt(&foreign, true),
            "RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=utf-8;bö@example.com\r\n"
        );
        assert_eq!(
            rcpt(&foreign, false),
            "RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=utf-8;b\\x{F6}@example.com\r\n"
        );
    }
}
