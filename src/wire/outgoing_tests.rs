use super::*;

/// The message as it leaves, in chunks of `step` bytes.
fn sent(message: &[u8], lines: Lines, step: usize, stuffed: bool) -> Result<Vec<u8>, Unclean> {
    let mut cleaner = Cleaner::new(lines);
    let mut pieces = Vec::new();
    for chunk in message.chunks(step.max(1)) {
        cleaner.push(Bytes::copy_from_slice(chunk), &mut pieces)?;
    }
    cleaner.finish(&mut pieces)?;
    let mut output = SendBuffer::new();
    for piece in &pieces {
        if stuffed {
            piece.put_stuffed(&mut output);
        } else {
            piece.put(&mut output);
        }
    }
    let mut bytes = Vec::new();
    while !output.is_empty() {
        let front = output.front().to_vec();
        output.advance(front.len());
        bytes.extend_from_slice(&front);
    }
    Ok(bytes)
}

/// What a server makes of it that knows CRLF only.
fn received(mut wire: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while let Some(end) = wire.windows(2).position(|pair| pair == b"\r\n") {
        let (line, rest) = wire.split_at(end + 2);
        assert_ne!(line, b".\r\n", "the message would end here");
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        wire = rest;
    }
    assert!(wire.is_empty(), "it does not end with a line");
    message
}

fn normalised(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).into_owned();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.replace('\n', "\r\n");
    let end = if text.is_empty() || text.ends_with("\r\n") {
        ""
    } else {
        "\r\n"
    };
    format!("{text}{end}").into_bytes()
}

const MESSAGES: [&[u8]; 16] = [
    b"",
    b"Subject: x\r\n\r\nbody\r\n",
    b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n",
    b"Subject: x\n\nbody\n.\nmore\n",
    b"Subject: x\r\rbody\r.\rmore",
    b"Subject: x\r\n\r\nno end",
    b"\r\n.\r\n",
    b".\r\n",
    b".",
    b"a\r\n\n.\n\r\nb",
    b"a\r\n\n.\r\n\r\nb",
    b"a\r\n\r.\r\r\nb",
    b"a\r\n\r\n.\n\r\nb",
    b"a\r\n\r.\r\n\r\nb\r",
    b"a\r\n\n\n.\n\n\r\r\nb\n\r",
    b"x\r\n\r\n\r\r\n.\r\r\n",
];

#[test]
fn nothing_in_a_message_ends_it_however_it_is_cut() {
    for message in MESSAGES {
        for step in 1..=message.len().max(1) {
            let wire = sent(message, Lines::Normalise, step, true).unwrap();
            assert_eq!(
                received(&wire),
                normalised(message),
                "{:?} in steps of {step}",
                String::from_utf8_lossy(message)
            );
            let plain = sent(message, Lines::Normalise, step, false).unwrap();
            assert_eq!(plain, normalised(message));
        }
    }
}

#[test]
fn a_line_end_that_stands_alone_is_refused_on_wish() {
    for message in MESSAGES {
        let clean = normalised(message) == message || !message.ends_with(b"\r\n");
        let bare = {
            let without = String::from_utf8_lossy(message).replace("\r\n", "");
            without.contains(['\r', '\n'])
        };
        let _ = clean;
        for step in 1..=message.len().max(1) {
            let result = sent(message, Lines::Refuse, step, true);
            assert_eq!(
                result.is_err(),
                bare,
                "{:?} in steps of {step}",
                String::from_utf8_lossy(message)
            );
        }
    }
    let nul = sent(b"a: b\r\n\r\n\0.\r\n", Lines::Refuse, 100, true);
    assert_eq!(nul, Err(Unclean::Nul));
}

#[test]
fn binary_stays_as_it_is() {
    let message = b"Subject: x\r\nBcc: eve@example.org\r\n\r\n\r\n.\r\n\0\r \n.\n\xff";
    for step in 1..=message.len() {
        assert_eq!(
            sent(message, Lines::Binary, step, false).unwrap(),
            b"Subject: x\r\n\r\n\r\n.\r\n\0\r \n.\n\xff",
        );
    }
}

#[test]
fn bcc_is_left_out_and_nothing_else() {
    let cases: [(&[u8], &[u8]); 8] = [
        (
            b"To: a@x\r\nBcc: b@x,\r\n c@x,\r\n\td@x\r\nSubject: s\r\n\r\nBcc: stays\r\n",
            b"To: a@x\r\nSubject: s\r\n\r\nBcc: stays\r\n",
        ),
        (b"BCC:b@x\r\n\r\nbody\r\n", b"\r\nbody\r\n"),
        (b"bcc \t: b@x\r\nTo: a@x\r\n\r\n", b"To: a@x\r\n\r\n"),
        (
            b"Resent-Bcc: b@x\r\nBcc-Not: x\r\nXBcc: y\r\n\r\n",
            b"Bcc-Not: x\r\nXBcc: y\r\n\r\n",
        ),
        (
            b"To: a@x\nBcc: b@x\n c@x\n\nbody\n",
            b"To: a@x\r\n\r\nbody\r\n",
        ),
        (b"To: a@x\rBcc: b@x\r\rbody", b"To: a@x\r\n\r\nbody\r\n"),
        (b"To: a@x\r\nBcc: b@x", b"To: a@x\r\n"),
        (
            b"Bcc: 1\r\nBcc: 2\r\nTo: a@x\r\nBcc: 3\r\n\r\n",
            b"To: a@x\r\n\r\n",
        ),
    ];
    for (message, expected) in cases {
        for step in 1..=message.len() {
            assert_eq!(
                String::from_utf8_lossy(&sent(message, Lines::Normalise, step, false).unwrap()),
                String::from_utf8_lossy(expected),
                "{:?} in steps of {step}",
                String::from_utf8_lossy(message)
            );
        }
    }
}

#[test]
fn a_message_in_order_is_not_copied() {
    let message = Bytes::from(format!("Subject: x\r\n\r\n{}", "line\r\n".repeat(10_000)));
    let prepared = Prepared::new(message.clone(), Lines::Normalise).unwrap();
    let addresses: Vec<_> = prepared.pieces.iter().map(|it| it.bytes.as_ptr()).collect();
    let end = message.as_ptr().wrapping_add(message.len());
    assert!(
        addresses
            .iter()
            .all(|it| message.as_ptr() <= *it && *it < end)
    );
    assert_eq!(prepared.len, message.len() as u64);
    assert!(!prepared.eight_bit && !prepared.nul);
}

#[test]
fn what_a_message_has_is_known() {
    let of = |message: &'static [u8]| {
        let prepared = Prepared::new(Bytes::from_static(message), Lines::Normalise).unwrap();
        (prepared.eight_bit, prepared.nul)
    };
    assert_eq!(of(b"a: b\r\n\r\nplain"), (false, false));
    assert_eq!(of("a: b\r\n\r\ngrün".as_bytes()), (true, false));
    assert_eq!(of(b"a: b\r\n\r\n\0"), (false, true));
}

#[test]
fn a_header_without_an_end_is_bounded() {
    let mut cleaner = Cleaner::new(Lines::Normalise);
    let line = Bytes::from("x-filler: 0123456789\r\n".repeat(3_000));
    let result = (0..100).try_for_each(|_| cleaner.push(line.clone(), &mut Vec::new()));
    assert_eq!(result, Err(Unclean::LongHeader));
}
