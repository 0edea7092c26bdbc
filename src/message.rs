//! Messages that are built rather than read from somewhere, and envelopes that are read from a
//! message's header (feature `message`).
//!
//! A `MessageBuilder` of mail-builder 2 can be handed to [`SmtpClient::send`] as it is. [`envelope`]
//! reads from whom and to whom a message goes, and [`built`] does both at once. Nothing else in
//! this crate names a type of mail-builder or mail-parser.
//!
//! ```no_run
//! use mail_builder::MessageBuilder;
//! use mailpool::{SmtpClient, message};
//!
//! let client = SmtpClient::builder("localhost").security(mailpool::Security::None).connect()?;
//! let builder = MessageBuilder::new()
//!     .from(("Alice", "alice@example.org"))
//!     .to(vec![("Bob", "bob@example.net"), ("Carol", "carol@example.net")])
//!     .bcc("dave@example.net") // gets it, and does not stand in what is sent
//!     .subject("Grüße")
//!     .text_body("Hello!\n");
//! let (envelope, bytes) = message::built(builder)?;
//! let report = client.send(&envelope, bytes)?;
//! assert_eq!(report.recipients.len(), 3);
//! # Ok::<(), mailpool::Error>(())
//! ```
//!
//! [`SmtpClient::send`]: crate::SmtpClient::send

use bytes::Bytes;
use mail_builder::MessageBuilder;
use mail_parser::{Address, HeaderName, HeaderValue, MessageParser};

use crate::client::OutgoingMessage;
use crate::types::invalid::InvalidArgument;
use crate::types::smtp::address::MailAddress;
use crate::types::smtp::envelope::SmtpEnvelope;

/// Builds a message, and reads its [`envelope`] from it. The bytes still have their Bcc field;
/// [`SmtpClient::send`](crate::SmtpClient::send) leaves it out.
///
/// # Errors
/// As [`envelope`].
pub fn built(builder: MessageBuilder<'_>) -> Result<(SmtpEnvelope, Bytes), InvalidArgument> {
    let bytes = bytes_of(builder);
    Ok((envelope(&bytes)?, bytes))
}

/// Reads from the header of a message from whom and to whom it goes (RFC 5322 §3.6.2, §3.6.3).
///
/// - The reverse-path is the address in Sender, or else the first one in From.
/// - The recipients are those in To, Cc and Bcc, in this order, groups included, each address
///   once.
/// - Where the message has been resent, the fields of the latest time count instead, which stand
///   first: Resent-Sender, Resent-From, Resent-To, Resent-Cc, Resent-Bcc (§3.6.6).
/// - A header with UTF-8 beyond ASCII needs a server with SMTPUTF8
///   ([`SmtpEnvelope::utf8`]).
///
/// Of a long message its header is enough. A message from the network can name any recipients:
/// whoever passes it on should take them from its envelope, not from here.
///
/// ```
/// let envelope = mailpool::message::envelope(
///     b"From: Alice <alice@example.org>\r\nTo: team: bob@example.net, carol@example.net;\r\n\r\n",
/// )?;
/// assert_eq!(envelope.recipients().len(), 2);
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
///
/// # Errors
/// Where there is no sender or no recipient, or one of them is no address that SMTP can carry.
pub fn envelope(message: &[u8]) -> Result<SmtpEnvelope, InvalidArgument> {
    // The parser passes over a last field without a line end.
    let ended: Vec<u8>;
    let message = if message.ends_with(b"\n") || has_body(message) {
        message
    } else {
        ended = [message, b"\r\n"].concat();
        &ended
    };
    let parsed = MessageParser::new().parse_headers(message);
    let parsed = parsed.ok_or(InvalidArgument::new("message", "has no header"))?;
    let mut sender = Fields::default();
    let mut resent = Fields::default();
    let mut seen: Vec<u8> = Vec::new();
    let mut latest = true;
    for header in parsed.headers() {
        if header
            .name
            .as_str()
            .to_ascii_lowercase()
            .starts_with("resent-")
        {
            // A field that stands there already belongs to an earlier time.
            latest &= !seen.contains(&header.name.id());
            seen.push(header.name.id());
        }
        let HeaderValue::Address(found) = &header.value else {
            continue;
        };
        match &header.name {
            HeaderName::Sender => sender.sender.push(found),
            HeaderName::From => sender.from.push(found),
            HeaderName::To => sender.to.push(found),
            HeaderName::Cc => sender.cc.push(found),
            HeaderName::Bcc => sender.bcc.push(found),
            HeaderName::ResentSender if latest => resent.sender.push(found),
            HeaderName::ResentFrom if latest => resent.from.push(found),
            HeaderName::ResentTo if latest => resent.to.push(found),
            HeaderName::ResentCc if latest => resent.cc.push(found),
            HeaderName::ResentBcc if latest => resent.bcc.push(found),
            _ => {}
        }
    }
    let is_resent = !resent.sender.is_empty() || !resent.from.is_empty();
    let fields = if is_resent { resent } else { sender };
    let envelope = fields.envelope()?;
    let end = parsed
        .headers()
        .iter()
        .map(|header| header.offset_end)
        .max();
    let end = end.and_then(|end| usize::try_from(end).ok());
    let header = end.and_then(|end| message.get(..end)).unwrap_or(message);
    let is_utf8 = !header.is_ascii() && std::str::from_utf8(header).is_ok();
    Ok(if is_utf8 { envelope.utf8() } else { envelope })
}

fn has_body(message: &[u8]) -> bool {
    let empty_line = |end: &[u8]| memchr::memmem::find(message, end).is_some();
    empty_line(b"\n\r\n") || empty_line(b"\n\n")
}

/// The fields of a header that name people.
#[derive(Default)]
struct Fields<'x> {
    sender: Vec<&'x Address<'x>>,
    from: Vec<&'x Address<'x>>,
    to: Vec<&'x Address<'x>>,
    cc: Vec<&'x Address<'x>>,
    bcc: Vec<&'x Address<'x>>,
}

impl Fields<'_> {
    fn envelope(&self) -> Result<SmtpEnvelope, InvalidArgument> {
        let from = match addresses(&self.sender).next() {
            Some(sender) => sender?,
            None => addresses(&self.from).next().ok_or(InvalidArgument::new(
                "message",
                "has no sender in its header",
            ))??,
        };
        let mut to: Vec<MailAddress> = Vec::new();
        for field in [&self.to, &self.cc, &self.bcc] {
            for address in addresses(field) {
                let address = address?;
                if !to.contains(&address) {
                    to.push(address);
                }
            }
        }
        if to.is_empty() {
            let reason = "has no recipient in its header";
            return Err(InvalidArgument::new("message", reason));
        }
        SmtpEnvelope::new(from, to)
    }
}

fn addresses<'x>(
    fields: &'x [&'x Address<'x>],
) -> impl Iterator<Item = Result<MailAddress, InvalidArgument>> + 'x {
    let all = fields.iter().flat_map(|field| field.iter());
    all.filter_map(|one| match (one.address(), one.name()) {
        (Some(address), _) => Some(MailAddress::new(address)),
        (None, Some(_)) => Some(Err(InvalidArgument::new(
            "message",
            "names somebody without an address in its header",
        ))),
        (None, None) => None,
    })
}

fn bytes_of(builder: MessageBuilder<'_>) -> Bytes {
    let mut bytes = Vec::new();
    builder.serialize(&mut bytes);
    bytes.into()
}

/// Builds the message.
impl From<MessageBuilder<'_>> for OutgoingMessage<'_> {
    fn from(builder: MessageBuilder<'_>) -> Self {
        bytes_of(builder).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Result<(Option<String>, Vec<String>), InvalidArgument> {
        let envelope = envelope(format!("{header}\r\n\r\nTo: x@example.net\r\n").as_bytes())?;
        let recipients = envelope.recipients().iter();
        Ok((
            envelope.reverse_path().map(ToString::to_string),
            recipients.map(|one| one.address().to_string()).collect(),
        ))
    }

    #[track_caller]
    fn expect(header: &str, from: &str, to: &[&str]) {
        let (found_from, found_to) = of(header).unwrap();
        assert_eq!(found_from.as_deref(), Some(from));
        assert_eq!(found_to, to);
    }

    #[test]
    fn the_sender_goes_before_from_and_each_recipient_counts_once() {
        expect(
            "From: A <a@example.org>, b@example.org\r\nTo: c@example.net",
            "a@example.org",
            &["c@example.net"],
        );
        expect(
            "Sender: s@example.org\r\nFrom: a@example.org, b@example.org\r\nBcc: e@example.net\r\n\
             Cc: c@example.net,\r\n d@example.net\r\nTo: \"C, of old\" <c@example.net>\r\n\
             To: team: f@example.net, g@example.net;, h@example.net",
            "s@example.org",
            &["c", "f", "g", "h", "d", "e"]
                .map(|one| format!("{one}@example.net"))
                .each_ref()
                .map(String::as_str),
        );
    }

    #[test]
    fn of_a_message_that_was_resent_the_latest_time_counts() {
        expect(
            "Resent-Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nResent-From: r2@example.org\r\n\
             Resent-To: t2@example.net\r\n\
             Resent-Date: Thu, 1 Jan 2025 00:00:00 +0000\r\nResent-From: r1@example.org\r\n\
             Resent-To: t1@example.net\r\nResent-Cc: c1@example.net\r\n\
             From: a@example.org\r\nTo: b@example.net",
            "r2@example.org",
            &["t2@example.net"],
        );
    }

    #[test]
    fn what_makes_no_envelope_is_an_error() {
        for (header, reason) in [
            ("Subject: x", "has no sender in its header"),
            ("", "has no header"),
            ("From: a@example.org", "has no recipient in its header"),
            (
                "From: a@example.org\r\nTo: undisclosed-recipients:;",
                "has no recipient in its header",
            ),
            (
                "From: a@example.org\r\nTo: Bob, c@example.net",
                "names somebody without an address in its header",
            ),
        ] {
            assert_eq!(of(header).unwrap_err().reason(), reason, "{header}");
        }
        assert!(
            of("From: a@example.org\r\nTo: <b@example.net>\x00")
                .is_ok_and(|it| it.1 == ["b@example.net"])
        );
    }

    #[test]
    fn a_header_without_a_body_is_enough() {
        for header in [
            "From: a@example.org\nTo: b@example.net",
            "From: a@example.org\r\nTo: b@example.net\r\n",
        ] {
            assert_eq!(envelope(header.as_bytes()).unwrap().recipients().len(), 1);
        }
        for odd in ["", "\r\n", "x", ":", "From:", "From: <", "To: (\"<>;:,"] {
            assert!(envelope(odd.as_bytes()).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn only_a_header_in_utf8_needs_a_server_that_knows_it() {
        let needs = |subject: &[u8], body: &str| {
            let start = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: ".as_slice();
            let message = [start, subject, b"\r\n\r\n", body.as_bytes()].concat();
            envelope(&message).unwrap().needs_utf8()
        };
        assert!(needs("Grüße".as_bytes(), "x"));
        assert!(!needs(b"Gr\xfc\xdfe", "x"));
        assert!(!needs(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"));
    }

    #[test]
    fn a_message_that_is_built_has_its_envelope_in_its_header() {
        let builder = MessageBuilder::new()
            .from(("Alice", "alice@example.org"))
            .to(vec!["bob@example.net", "carol@example.net"])
            .bcc(("Dave", "dave@example.net"))
            .subject("Grüße")
            .text_body("Hello\n");
        let (envelope, bytes) = built(builder).unwrap();
        assert_eq!(
            envelope.reverse_path().unwrap().as_str(),
            "alice@example.org"
        );
        let recipients = envelope.recipients().iter();
        let recipients: Vec<_> = recipients.map(|one| one.address().as_str()).collect();
        let all = ["bob@example.net", "carol@example.net", "dave@example.net"];
        assert_eq!(recipients, all);
        assert!(!envelope.needs_utf8());
        assert!(String::from_utf8_lossy(&bytes).contains("Hello"));
    }
}
