//! Line ends, line lengths, dots, and where messages stop.

use crate::collector::Collector;

pub(crate) fn collect(collector: &mut Collector) {
    for (name, bytes) in [
        (
            "lines-with-bare-newlines",
            "Subject: bare\nFrom: a@b\n\none\n\ntwo\n",
        ),
        (
            "lines-with-mixed-ends",
            "Subject: mixed\nFrom: a@b\r\n\none\r\ntwo\nthree\r\n\n\r\n",
        ),
        (
            "lines-with-carriage-returns-inside",
            "Subject: a\rb\r\nX-Y: \r\r\n\r\none\rtwo\r\rthree\r\r\n\rfour\r\n",
        ),
        (
            "lines-ending-in-a-carriage-return",
            "Subject: x\r\n\r\nends with\r",
        ),
        (
            "lines-with-carriage-returns-only",
            "Subject: x\rFrom: a@b\r\rbody\r",
        ),
        ("lines-without-a-final-newline", "Subject: x\r\n\r\nno end"),
        (
            "lines-with-newlines-before-and-behind",
            "Subject: x\r\n\r\n\r\n\r\n\r\nx\r\n\r\n\r\n",
        ),
        ("lines-of-newlines-only", "Subject: x\n\n\n\n\n\n\n\n"),
        (
            "lines-of-dots",
            "Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\n. \r\n\r\n.\r\nQUIT\r\n.\r\n",
        ),
        (
            "lines-of-dots-with-bare-newlines",
            "Subject: dots\n\n.\nMAIL FROM:<evil@example.org>\n.\r\nRCPT TO:<x@y>\r\n.\n",
        ),
        (
            "lines-with-form-feeds",
            "Subject: x\r\n\r\na\x0cb\x0bc\x08d\x07\r\n",
        ),
        (
            "lines-with-a-control-z",
            "Subject: x\r\n\r\nend of file?\x1a\r\nno\r\n",
        ),
        (
            "lines-with-unicode-ends",
            "Subject: x\r\n\r\na\u{2028}b\u{2029}c\u{85}d\r\n",
        ),
        (
            "lines-body-empty",
            "Subject: x\r\nContent-Type: text/plain\r\n\r\n",
        ),
        ("lines-body-of-one-byte", "Subject: x\r\n\r\nx"),
        ("lines-body-of-one-newline", "Subject: x\r\n\r\n\r\n"),
        (
            "lines-empty-one-with-spaces",
            "Subject: x\r\n  \t \r\nmore header? body?\r\n\r\nbody\r\n",
        ),
    ] {
        collector.raw(name, bytes);
    }
    for (name, length) in [
        ("998", 998),
        ("999", 999),
        ("8-kilobytes", 8_192),
        ("64-kilobytes", 65_536),
        ("megabyte", 1_000_000),
    ] {
        collector.usual(
            &format!("lines-of-{name}"),
            format!("\n{}\nshort\n", "x".repeat(length)),
        );
    }
    collector.usual("lines-100000-empty", "\n".repeat(100_000));
    collector.raw(
        "lines-100000-bare-newlines-in-a-part",
        format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{}--b--\n",
            "x\n".repeat(100_000)
        ),
    );
    collector.usual(
        "lines-of-boundary-prefixes",
        format!(
            "Content-Type: multipart/mixed; boundary=bbbbbbbb\n\n--bbbbbbbb\n\n{}--bbbbbbbb--\n",
            "--bbbbbbb\n".repeat(5_000)
        ),
    );
}
