use super::*;

const LIMITS: FrameLimits = FrameLimits {
    response: 1000,
    literal: 100,
    stream_threshold: 50,
};

/// Feeds `input` in pieces of `step` bytes and writes down what comes out, with the chunks of
/// a literal put together.
fn run(input: &[u8], step: usize) -> Result<Vec<String>, FrameError> {
    let mut framer = Framer::new(LIMITS);
    let mut buffer = ReceiveBuffer::new();
    let mut out: Vec<String> = Vec::new();
    let mut streamed = String::new();
    for piece in input.chunks(step) {
        buffer.push(piece);
        while let Some(framed) = framer.next(&mut buffer)? {
            if let Framed::Chunk(bytes) = &framed {
                streamed.push_str(&String::from_utf8_lossy(bytes));
                continue;
            }
            if !streamed.is_empty() {
                out.push(format!("chunks {}", std::mem::take(&mut streamed).len()));
            }
            out.push(match framed {
                Framed::Frame(frame) => show(&frame),
                Framed::Refused(refused) => format!(
                    "refused {} {} continued={} {:?}",
                    refused.what,
                    refused.limit,
                    refused.continued,
                    String::from_utf8_lossy(refused.excerpt.get(..12).unwrap_or(&refused.excerpt))
                ),
                Framed::Chunk(_) => unreachable!("handled above"),
            });
        }
    }
    assert!(
        out.is_empty() || framer.at_boundary(),
        "ends between responses"
    );
    Ok(out)
}

fn show(frame: &Frame) -> String {
    let mut text = String::from_utf8_lossy(&frame.head).into_owned();
    for (literal, after) in &frame.rest {
        text.push_str(&format!("<{}>", String::from_utf8_lossy(literal)));
        text.push_str(&String::from_utf8_lossy(after));
    }
    if let Some(size) = frame.open_literal {
        text.push_str(&format!(" open {size}"));
    }
    text
}

fn same_at_every_split(input: &[u8]) -> Result<Vec<String>, FrameError> {
    let whole = run(input, input.len().max(1));
    for step in 1..input.len().min(40) {
        assert_eq!(run(input, step), whole, "in pieces of {step}");
    }
    whole
}

#[test]
fn lines_and_literals() {
    let out = same_at_every_split(
        b"* OK hi\r\n* 1 FETCH (BODY[] {5}\r\nab\r\nc FLAGS ())\r\n* LIST () \"/\" {3+}\r\na b\r\nA1 OK done\r\n",
    );
    assert_eq!(
        out.unwrap(),
        [
            "* OK hi",
            "* 1 FETCH (BODY[] {5}<ab\r\nc> FLAGS ())",
            "* LIST () \"/\" {3+}<a b>",
            "A1 OK done"
        ]
    );
}

#[test]
fn a_tagged_line_inside_a_literal_is_data() {
    let out = same_at_every_split(b"* 1 FETCH (BODY[] {19}\r\nA1 OK done\r\n* BYE x)\r\n");
    assert_eq!(
        out.unwrap(),
        ["* 1 FETCH (BODY[] {19}<A1 OK done\r\n* BYE x>)"]
    );
}

#[test]
fn braces_in_free_text_announce_nothing() {
    let out = same_at_every_split(b"* OK see {5}\r\nA1 NO no {7}\r\n+ go {9}\r\n* BYE {2}\r\n");
    assert_eq!(
        out.unwrap(),
        ["* OK see {5}", "A1 NO no {7}", "+ go {9}", "* BYE {2}"]
    );
}

#[test]
fn a_large_body_is_streamed_and_the_response_goes_on() {
    let mut input = b"* 1 FETCH (UID 7 BODY[TEXT]<0> {60}\r\n".to_vec();
    input.extend([b'x'; 60]);
    input.extend(b" BODY[1] {51}\r\n");
    input.extend([b'y'; 51]);
    input.extend(b" RFC822 {2}\r\nab)\r\n* 2 EXISTS\r\n");
    assert_eq!(
        same_at_every_split(&input).unwrap(),
        [
            "* 1 FETCH (UID 7 BODY[TEXT]<0> {60} open 60",
            "chunks 60",
            " BODY[1] {51} open 51",
            "chunks 51",
            " RFC822 {2}<ab>)",
            "* 2 EXISTS"
        ]
    );
}

#[test]
fn what_is_too_large_is_refused_and_the_stream_goes_on() {
    let mut input = b"* 1 FETCH (ENVELOPE (NIL {101}\r\n".to_vec();
    input.extend([b'x'; 101]);
    input.extend(b" NIL {2}\r\nab))\r\n* LIST () NIL ");
    input.extend([b'l'; 1200]);
    input.extend(b" {3}\r\nabc\r\n* SEARCH ");
    input.extend([b'1'; 1200]);
    input.extend(b"\r\n* 3 EXISTS\r\n");
    assert_eq!(
        same_at_every_split(&input).unwrap(),
        [
            "refused literal size 100 continued=false \"* 1 FETCH (E\"",
            "refused response size 1000 continued=false \"* LIST () NI\"",
            "refused response size 1000 continued=false \"* SEARCH 111\"",
            "* 3 EXISTS"
        ]
    );
}

#[test]
fn literals_that_add_up_are_bounded() {
    let mut input = b"* LIST ()".to_vec();
    for _ in 0..12 {
        input.extend(b" {90}\r\n");
        input.extend([b'x'; 90]);
    }
    input.extend(b"\r\n* 3 EXISTS\r\n");
    let out = same_at_every_split(&input).unwrap();
    assert_eq!(out.len(), 2);
    assert!(out[0].starts_with("refused literal size"), "{out:?}");
}

#[test]
fn bodies_that_add_up_are_streamed() {
    let mut input = b"* 1 FETCH (UID 1".to_vec();
    for _ in 0..30 {
        input.extend(b" BODY[1] {50}\r\n");
        input.extend([b'x'; 50]);
    }
    input.extend(b")\r\n* 3 EXISTS\r\n");
    let out = same_at_every_split(&input).unwrap();
    assert!(out.iter().any(|line| line.ends_with("open 50")), "{out:?}");
    assert_eq!(out.last().unwrap(), "* 3 EXISTS");
}

#[test]
fn a_bare_line_feed_ends_nothing() {
    assert_eq!(
        same_at_every_split(b"* OK hi\n* OK there\r\n"),
        Err(FrameError::BareLineFeed)
    );
    assert_eq!(
        same_at_every_split(b"* 1 FETCH (ENVELOPE (NIL \"a\nb \\\" c\nd\"))\r\n").unwrap(),
        ["* 1 FETCH (ENVELOPE (NIL \"a\nb \\\" c\nd\"))"]
    );
}

#[test]
fn a_literal_size_beyond_all_bounds_is_an_error() {
    assert_eq!(
        same_at_every_split(b"* LIST () \"/\" {99999999999999999999999}\r\n"),
        Err(FrameError::LiteralSize)
    );
}

#[test]
fn a_literal_of_many_chunks_is_put_together_without_trusting_its_size() {
    let limits = FrameLimits {
        response: 1 << 20,
        literal: 1 << 20,
        stream_threshold: 1 << 20,
    };
    let body: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let mut input = b"* 1 FETCH (UID 1 BODY[] {300000}\r\n".to_vec();
    input.extend_from_slice(&body);
    input.extend_from_slice(b")\r\n* 2 EXISTS\r\n");
    for step in [1_000, 4_096, 65_536, 300_000, input.len()] {
        let mut framer = Framer::new(limits);
        let mut buffer = ReceiveBuffer::new();
        let mut frames = Vec::new();
        for piece in input.chunks(step) {
            buffer.push(piece);
            while let Some(framed) = framer.next(&mut buffer).unwrap() {
                match framed {
                    Framed::Frame(frame) => frames.push(frame),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(frames.len(), 2);
        assert!(frames[0].rest[0].0 == body, "in pieces of {step}");
    }
}

#[test]
fn announced_sizes() {
    assert_eq!(announced(b"x {5}"), Ok(Some(5)));
    assert_eq!(announced(b"x ~{5+}"), Ok(Some(5)));
    assert_eq!(announced(b"x {}"), Ok(None));
    assert_eq!(announced(b"x {-1}"), Ok(None));
    assert_eq!(announced(b"x 5}"), Ok(None));
}
