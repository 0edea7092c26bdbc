//! Messages that are easily damaged on their way, and what must arrive of them.

use std::io::{self, Read};

use mailpool::{OutgoingMessage, Result, SendReport, SmtpClient, SmtpEnvelope};

/// What some servers take for the end of a message, all but the last of them wrongly.
pub(crate) const FAKE_ENDS: [&str; 19] = [
    "\n.\n",
    "\n.\r\n",
    "\n.\r",
    "\r.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\0\r\n.\r\n",
    "\r\r\n.\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\n\r.\r\n",
    "\n\r.\r\n",
    "\n\n.\n\n",
    "\r\n.\n\r\n",
    "\r\n.\r\n",
];

/// A message with a fake end, and behind it another transaction for `victim`.
pub(crate) fn smuggler(fake_end: &str, line_end: &str, victim: &str) -> Vec<u8> {
    let lines = [
        "MAIL FROM:<forged@example.org>",
        &format!("RCPT TO:<{victim}>"),
        "DATA",
        "Subject: forged",
        "",
        "forged",
        ".",
        "",
    ];
    format!(
        "Subject: outer\r\n\r\nbefore{fake_end}{}",
        lines.join(line_end)
    )
    .into_bytes()
}

/// What arrives of a message: every CR and every LF that stands alone has become a line end, and
/// the last line has one.
pub(crate) fn normalised(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 2);
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Messages with a name, without NUL.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    let line = |byte: &str, count: usize| byte.repeat(count);
    let texts = [
        ("plain", "hello\r\n".to_owned()),
        ("no text", String::new()),
        ("no line end", "the end".to_owned()),
        ("a dot without line end", "text\r\n.".to_owned()),
        ("8-bit", "gr\u{fc}\u{df}e \u{1f4ec}\r\n".to_owned()),
        (
            "dots",
            ".\r\n..\r\n...\r\n.a\r\na.\r\n .\r\n.\t\r\n.\r\n\r\n.\r\n".to_owned(),
        ),
        ("a dot at each line", ".dotted\r\n".repeat(3000)),
        ("nothing but dots", ".\r\n".repeat(3000)),
        ("998", format!("{}\r\n", line("x", 998))),
        ("998 dots", format!("{}\r\n.\r\n", line(".", 998))),
        ("70,000", format!("{}\r\nend\r\n", line("y", 70_000))),
        ("70,000 dots", format!("{}\r\n.end\r\n", line(".", 70_000))),
        ("line feeds", "one\ntwo\n.\n.three\n\n".to_owned()),
        ("carriage returns", "one\rtwo\r.\r.three\r\r".to_owned()),
        ("mixed", "a\n\rb\r\r\nc\r\n\nd\n\r\n.\r\r".to_owned()),
        (
            "white space",
            " leading\r\ntrailing \t \r\n\t\r\n\r\n\r\n".to_owned(),
        ),
    ];
    let mut samples: Vec<_> = texts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), letter(name, &text)))
        .collect();
    let mut bytes = letter("bytes", "");
    bytes.extend((1..=255).filter(|byte| !matches!(byte, b'\r' | b'\n')));
    bytes.extend_from_slice(b"\r\n");
    samples.push(("bytes".to_owned(), bytes));
    // Readers are read 64 KiB at a time: a line end and a dot lie across that.
    for before in 0..5 {
        let name = format!("{before} bytes before 64 KiB");
        let mut message = letter(&name, "");
        message.resize(64 * 1024 - before, b'z');
        message.extend_from_slice(b"\r\n.\r\n.x\r\n");
        samples.push((name, message));
    }
    samples
}

/// A message of at least so many bytes: lines of many lengths, with dots and bytes beyond ASCII.
pub(crate) fn large(size: usize) -> Vec<u8> {
    let mut message = letter("large", "");
    let mut number = 0_usize;
    while message.len() < size {
        let filler = "\u{e9}".repeat(number % 37);
        let dot = if number % 3 == 0 { "." } else { "" };
        message.extend_from_slice(format!("{dot}{number} {filler}\r\n").as_bytes());
        number += 1;
    }
    message
}

pub(crate) fn letter(subject: &str, text: &str) -> Vec<u8> {
    format!("From: alice@example.org\r\nSubject: {subject}\r\n\r\n{text}").into_bytes()
}

/// Sends a message from memory, or from a reader that gives it in small pieces.
pub(crate) fn send(
    client: &SmtpClient,
    envelope: &SmtpEnvelope,
    message: &[u8],
    from_reader: bool,
) -> Result<SendReport> {
    if from_reader {
        let mut reader = Crumbs(message);
        client.send(envelope, OutgoingMessage::reader(&mut reader))
    } else {
        client.send(envelope, message)
    }
}

/// A reader that gives less than it is asked for.
struct Crumbs<'m>(&'m [u8]);

impl Read for Crumbs<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = room.len().min(4093);
        self.0.read(&mut room[..most])
    }
}

/// Asserts that two messages are the same, and shows where they differ if not.
#[track_caller]
pub(crate) fn assert_same(what: &str, arrived: &[u8], expected: &[u8]) {
    if arrived == expected {
        return;
    }
    let common = arrived.iter().zip(expected);
    let at = common.take_while(|(one, other)| one == other).count();
    let show = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(20).min(bytes.len())..bytes.len().min(at + 40)];
        String::from_utf8_lossy(part).into_owned()
    };
    panic!(
        "{what}: {} bytes arrived, {} were expected; from {at} on: {:?}, not {:?}",
        arrived.len(),
        expected.len(),
        show(arrived),
        show(expected)
    );
}
