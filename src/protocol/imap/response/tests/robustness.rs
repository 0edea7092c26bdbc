//! Whatever comes, parsing ends, and neither panics nor takes long.

use super::samples::SAMPLES;
use super::*;
use proptest::prelude::*;

#[test]
fn every_sample_is_understood() {
    for sample in SAMPLES {
        let sample_text = sample.escape_ascii();
        match read(sample) {
            Ok(Response::Untagged(Untagged::Fetch(fetch))) => {
                let Attributes {
                    envelope,
                    body_structure,
                    others,
                    ..
                } = fetch.attributes;
                assert!(!matches!(envelope, Some(Err(_))), "{sample_text}");
                assert!(!matches!(body_structure, Some(Err(_))), "{sample_text}");
                let unknown = others.iter().filter(|(name, _)| name != "X-UNKNOWN");
                assert_eq!(unknown.count(), 0, "{sample_text}: {others:?}");
            }
            Ok(_) => {}
            Err(error) => panic!("{sample_text}: {error}"),
        }
    }
}

#[test]
fn every_prefix_of_every_sample_is_survived() {
    for sample in SAMPLES {
        for end in 0..sample.len() {
            survive(&sample[..end]);
        }
    }
}

#[test]
fn every_change_of_one_byte_of_every_sample_is_survived() {
    for sample in SAMPLES {
        let mut changed = sample.to_vec();
        for at in 0..sample.len() {
            for byte in *b"\0\r\n \"\\(){}[]<>~*+%0N:,\x7f\x80\xff" {
                changed[at] = byte;
                survive(&changed);
            }
            changed[at] = sample[at];
        }
    }
}

#[test]
fn every_loss_and_repetition_of_one_byte_is_survived() {
    for sample in SAMPLES {
        for at in 0..sample.len() {
            survive(&[&sample[..at], &sample[at + 1..]].concat());
            survive(&[&sample[..at], &sample[at..=at], &sample[at..]].concat());
        }
    }
}

/// Parses what can be framed, as a whole, as one line, and as what follows a streamed literal.
fn survive(wire: &[u8]) {
    let limits = Limits::default();
    let mut frames = vec![Frame::line(Bytes::copy_from_slice(wire))];
    frames.extend(try_frame(wire));
    for mut frame in frames {
        let _ = parse(&frame, &limits);
        let _ = parse_fetch_rest(&frame, &limits, SeqNum::MIN);
        frame.open_literal = Some(70_000);
        let _ = parse(&frame, &limits);
    }
}

/// Pieces of which hostile responses are made.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"* ",
        b"+ ",
        b"A1 ",
        b"1 ",
        b"0 ",
        b"FETCH (",
        b"OK ",
        b"BYE ",
        b"[",
        b"]",
        b"(",
        b")",
        b" ",
        b"\"",
        b"\\",
        b"\"a\\\"b\"",
        b"NIL",
        b"{2}\r\nab",
        b"{0}\r\n",
        b"~{1}\r\n\0",
        b"UID ",
        b"3",
        b"4294967296",
        b"ENVELOPE ",
        b"BODYSTRUCTURE ",
        b"BODY",
        b"BODY[",
        b"HEADER.FIELDS (",
        b"<0>",
        b"\"TEXT\" ",
        b"\"PLAIN\" ",
        b"\"MESSAGE\" \"RFC822\" ",
        b"LIST ",
        b"STATUS ",
        b"SEARCH",
        b"ESEARCH",
        b"CAPABILITY ",
        b"COPYUID ",
        b"1:*",
        b"1:4294967295",
        b",",
        b"\xff",
        b"NAMESPACE ",
        b"FLAGS ",
        b"(NIL NIL NIL NIL)",
        b"NIL NIL NIL \"7BIT\" 1 ",
        b"MODSEQ (",
        b"-1",
        b"ID ",
    ];
    prop_oneof![
        8 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn random_bytes_are_survived(wire in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&wire);
    }

    #[test]
    fn random_tokens_are_survived(
        start in proptest::sample::select(vec![&b""[..], b"* ", b"* 1 FETCH (", b"* OK [", b"A1 OK ["]),
        tokens in proptest::collection::vec(token(), 0..40),
    ) {
        survive(&[start, &tokens.concat()].concat());
    }

    #[test]
    fn random_structures_are_survived(
        attribute in proptest::sample::select(vec!["ENVELOPE (", "BODYSTRUCTURE (", "BODY ("]),
        tokens in proptest::collection::vec(token(), 0..40),
    ) {
        survive(&[b"* 1 FETCH (", attribute.as_bytes(), &tokens.concat(), b"))"].concat());
    }
}
