//! Encoded words, charsets, transfer encodings, and bytes that have none.

use crate::collector::{Collector, usual};

pub(crate) fn collect(collector: &mut Collector) {
    encoded_words(collector);
    bodies(collector);
}

fn encoded_words(collector: &mut Collector) {
    for (name, subject) in [
        (
            "quoted-printable",
            "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=",
        ),
        (
            "base64",
            "=?UTF-8?B?R3LDvMOfZQ==?= =?utf-8?b?IGF1cyBLw7Zsbg==?=",
        ),
        (
            "split-within-a-character",
            "=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=",
        ),
        ("with-language", "=?utf-8*de-AT?q?Gr=C3=BC=C3=9Fe?="),
        ("in-iso-2022-jp", "=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?="),
        ("in-koi8-r", "=?koi8-r?B?8NLJ18XU?="),
        ("in-an-unknown-charset", "=?x-klingon?q?qapla=27?="),
        ("in-no-charset", "=??q?abc?= =?utf-8??abc?= =?utf-8?x?abc?="),
        ("unclosed", "=?utf-8?q?never ends =?utf-8?b?R3I"),
        (
            "with-broken-base64",
            "=?utf-8?b?R3LDv?= =?utf-8?b?!!!!?= =?utf-8?b?=?=",
        ),
        ("with-broken-escapes", "=?utf-8?q?=ZZ=4=?= =?utf-8?q?=C3?="),
        ("with-spaces-inside", "=?utf-8?q?a b c?= =?utf-8?q?a?b?="),
        ("without-space-between", "x=?utf-8?q?a?=y=?utf-8?q?b?=z"),
        ("within-quotes", "\"=?utf-8?q?a?=\" (=?utf-8?q?b?=)"),
        (
            "that-hold-line-ends",
            "=?utf-8?q?a=0D=0ABcc:_evil@example.org=0D=0A?=",
        ),
        ("that-hold-nul-and-controls", "=?utf-8?q?a=00b=1B[31m=7F?="),
        (
            "that-hold-quotes-and-parens",
            "=?utf-8?q?=22_=29_=28_=5C_{5}?=",
        ),
    ] {
        collector.header(
            &format!("encoded-words-{name}"),
            format!("Subject: {subject}\nFrom: {subject} <a@b>"),
        );
    }
    collector.header(
        "encoded-words-1000",
        format!("Subject: start{}", "\n =?utf-8?q?=C3=BC?=".repeat(1_000)),
    );
}

fn bodies(collector: &mut Collector) {
    let mut body = |name: &str, charset: &str, encoding: &str, bytes: &[u8]| {
        let mut text = usual(name).into_bytes();
        text.extend_from_slice(
            format!(
                "Content-Type: text/plain; charset={charset}\n\
                 Content-Transfer-Encoding: {encoding}\n\n"
            )
            .as_bytes(),
        );
        text.extend_from_slice(bytes);
        collector.text(name, text);
    };
    body(
        "body-in-utf-8",
        "utf-8",
        "8bit",
        "Grüße — 日本語 📬\n".as_bytes(),
    );
    body("body-in-latin-1", "iso-8859-1", "8bit", b"Gr\xfc\xdfe\n");
    body(
        "body-in-windows-1252",
        "windows-1252",
        "8bit",
        b"\x80\x93quoted\x94 \x85\n",
    );
    body(
        "body-in-shift-jis",
        "shift_jis",
        "8bit",
        b"\x93\xfa\x96{\x8c\xea \x83\\ \x83}\n",
    );
    body(
        "body-in-big5",
        "big5",
        "8bit",
        b"\xa4\xa4\xa4\xe5 \xb3\\ \xa5\\\n",
    );
    body(
        "body-in-iso-2022-jp",
        "iso-2022-jp",
        "7bit",
        b"\x1b$BF|K\\8l\x1b(B\n",
    );
    body(
        "body-in-utf-7",
        "utf-7",
        "7bit",
        b"Gr+APwA3w-e +ADw-script+AD4-\n",
    );
    body(
        "body-eight-bit-said-to-be-seven",
        "us-ascii",
        "7bit",
        b"\xc3\xbc\xff\xfe\n",
    );
    body(
        "body-in-an-unknown-encoding",
        "utf-8",
        "x-rot13",
        b"Uryyb\n",
    );
    body("body-in-an-empty-encoding", "\"\"", "", b"hello\n");
    body(
        "body-in-broken-base64",
        "utf-8",
        "base64",
        b"R3LDv\n====\nMOf!!ZQ\n--\n=",
    );
    body(
        "body-in-base64-on-one-line",
        "utf-8",
        "base64",
        &b"QUJD".repeat(20_000),
    );
    body(
        "body-in-quoted-printable",
        "utf-8",
        "quoted-printable",
        b"Gr=C3=BC=C3=9Fe =\nsoft =\n  \t=\nend =20\n=2E\n.=\n=0D=0A.=0D=0A\n",
    );
    body(
        "body-in-broken-quoted-printable",
        "utf-8",
        "quoted-printable",
        b"=ZZ =4 =\t= =C3\n== = \n=",
    );

    // Every byte but NUL, in an order that mixes them, with what line ends come out of it.
    let mut state = 0x2545_F491_u32;
    let noise = (0..60_000).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % 255 + 1) as u8
    });
    let mut message = usual("body-of-binary-noise")
        .replace('\n', "\r\n")
        .into_bytes();
    message.extend_from_slice(
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n",
    );
    message.extend(noise);
    collector.raw("body-of-binary-noise", message);
}
