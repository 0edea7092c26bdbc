//! MIME structure: nesting, boundaries, parts that are empty, many, or not there.

use std::fmt::Write as _;

use crate::collector::{Collector, usual};

pub(crate) fn collect(collector: &mut Collector) {
    nesting(collector);
    boundaries(collector);
    parts(collector);
    content_types(collector);
}

fn nesting(collector: &mut Collector) {
    for depth in [2, 5, 10, 20, 40] {
        collector.text(
            &format!("multipart-nested-{depth}"),
            format!(
                "{}{}",
                usual("multipart-nested"),
                nested_multiparts(depth, "mixed")
            ),
        );
    }
    for depth in [1, 3, 10, 20] {
        collector.text(
            &format!("rfc822-nested-{depth}"),
            nested_messages(depth, "as plain as it gets"),
        );
    }
    collector.text(
        "rfc822-and-multipart-in-turn-10",
        (0..10).fold(
            format!("{}\ninnermost\n", usual("innermost")),
            |inner, level| {
                format!(
                    "{}Content-Type: multipart/mixed; boundary=level{level}\n\n\
                     --level{level}\n\ntext {level}\n\
                     --level{level}\nContent-Type: message/rfc822\n\n{inner}\
                     --level{level}--\n",
                    usual(&format!("level-{level}"))
                )
            },
        ),
    );
    collector.usual(
        "alternative-in-related-in-mixed",
        "Content-Type: multipart/mixed; boundary=m\n\n\
         --m\nContent-Type: multipart/related; boundary=r; type=\"multipart/alternative\"\n\n\
         --r\nContent-Type: multipart/alternative; boundary=a\n\n\
         --a\nContent-Type: text/plain\n\nplain\n\
         --a\nContent-Type: text/html\n\n<p><img src=\"cid:x@y\"></p>\n--a--\n\
         --r\nContent-Type: image/gif\nContent-ID: <x@y>\nContent-Location: http://example.org/x\n\
         Content-Transfer-Encoding: base64\n\nR0lGODlhAQABAAAAACw=\n--r--\n\
         --m\nContent-Type: application/pdf; name=\"a b.pdf\"\n\
         Content-Disposition: attachment; filename=\"a b.pdf\"; size=9\n\
         Content-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n--m--\n",
    );
    collector.text(
        "rfc822-without-a-header-inside",
        format!(
            "{}Content-Type: message/rfc822\n\n\nstraight to the body\n",
            usual("x")
        ),
    );
    collector.text(
        "rfc822-empty-inside",
        format!("{}Content-Type: message/rfc822\n\n", usual("x")),
    );
    collector.text(
        "rfc822-in-base64",
        format!(
            "{}Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n\
             U3ViamVjdDogaW5uZXINCg0KYm9keQ0K\n",
            usual("x")
        ),
    );
}

/// `depth` multiparts, each within the one before, with a text before and behind each.
fn nested_multiparts(depth: usize, subtype: &str) -> String {
    let mut text = String::from("Content-Type: text/plain\n\ninnermost\n");
    for level in 0..depth {
        text = format!(
            "Content-Type: multipart/{subtype}; boundary=\"level {level}\"\n\n\
             preamble {level}\n--level {level}\n{text}\
             \n--level {level}\n\ntext of level {level}\n--level {level}--\nepilogue {level}\n"
        );
    }
    text
}

/// A text within `depth` messages.
fn nested_messages(depth: usize, body: &str) -> String {
    (0..depth).fold(
        format!("{}\n{body}\n", usual("innermost")),
        |inner, level| {
            format!(
                "{}Content-Type: message/rfc822\n\n{inner}",
                usual(&format!("level-{level}"))
            )
        },
    )
}

fn boundaries(collector: &mut Collector) {
    let multipart = |boundary: &str, body: &str| {
        format!("Content-Type: multipart/mixed; boundary={boundary}\n\n{body}")
    };
    let mut add = |name: &str, boundary: &str, body: &str| {
        collector.usual(name, multipart(boundary, body));
    };
    add("boundary-never-used", "never", "no delimiter at all\n");
    add("boundary-never-closed", "b", "--b\n\none\n--b\n\ntwo\n");
    add("boundary-closed-at-once", "b", "--b--\n");
    add(
        "boundary-closed-twice",
        "b",
        "--b\n\none\n--b--\n--b\n\nghost\n--b--\n",
    );
    add("boundary-empty", "\"\"", "--\n\none\n----\n");
    add(
        "boundary-of-parent-reused",
        "b",
        "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
    );
    add(
        "boundary-prefix-of-inner",
        "outer",
        "--outer\nContent-Type: multipart/mixed; boundary=outer-inner\n\n\
         --outer-inner\n\none\n--outer-inner--\n--outer\n\ntwo\n--outer--\n",
    );
    add(
        "boundary-inner-is-prefix-of-outer",
        "abcdef",
        "--abcdef\nContent-Type: multipart/mixed; boundary=abc\n\n\
         --abc\n\none\n--abc--\n--abcdef\n\ntwo\n--abcdef--\n",
    );
    add(
        "boundary-inner-cut-off-by-outer",
        "outer",
        "--outer\nContent-Type: multipart/mixed; boundary=inner\n\n\
         --inner\n\none\n--outer\n\ntwo\n--outer--\n",
    );
    add(
        "boundary-with-spaces-behind",
        "b",
        "--b   \n\none\n--b \t\n\ntwo\n--b--  \n",
    );
    add(
        "boundary-with-odd-characters",
        "\"=_?'()+_,-./:=? x\"",
        "--=_?'()+_,-./:=? x\n\none\n--=_?'()+_,-./:=? x--\n",
    );
    add(
        "boundary-with-escapes",
        r#""a\"b\\c""#,
        "--a\"b\\c\n\none\n--a\"b\\c--\n",
    );
    add(
        "boundary-longer-than-allowed",
        &"x".repeat(300),
        &format!("--{0}\n\none\n--{0}--\n", "x".repeat(300)),
    );
    add(
        "boundary-like-a-signature-separator",
        "\"- \"",
        "--- \n\none\n--- \n\ntwo\n--- --\n",
    );
    add(
        "boundary-within-a-line",
        "b",
        "--b\n\ntext --b is not one, nor is\n --b\n--b--\n",
    );
    collector.usual(
        "boundary-parameter-missing",
        "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n",
    );
    collector.usual(
        "boundary-parameter-twice",
        "Content-Type: multipart/mixed; boundary=one; boundary=two\n\n\
         --one\n\nfirst\n--two\n\nsecond\n--two--\n--one--\n",
    );
}

fn parts(collector: &mut Collector) {
    let mut many = String::from("Content-Type: multipart/mixed; boundary=b\n\n");
    for part in 1..=500 {
        let _ = write!(
            many,
            "--b\nContent-Type: text/plain; name=\"part-{part}.txt\"\n\npart {part}\n"
        );
    }
    many.push_str("--b--\n");
    collector.usual("parts-500", many);

    let digest = (1..=50).fold(
        String::from("Content-Type: multipart/digest; boundary=d\n\n"),
        |text, number| format!("{text}--d\n\nSubject: digested {number}\n\nmessage {number}\n"),
    );
    collector.usual("parts-of-a-digest-50", digest + "--d--\n");

    collector.usual(
        "parts-empty",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\n\n\n--b\nContent-Type: text/html\n--b--\n",
    );
    collector.usual(
        "parts-with-headers-only",
        "Content-Type: multipart/mixed; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\n--b\nContent-Type: image/png\n\n--b--\n",
    );
    collector.usual(
        "parts-with-long-preamble-and-epilogue",
        format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{0}--b\n\none\n--b--\n{0}",
            "This is not a part of anything.\n".repeat(500)
        ),
    );
    collector.usual(
        "parts-in-base64-multipart",
        "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n\
         --b\n\none\n--b--\n",
    );
}

fn content_types(collector: &mut Collector) {
    for (name, value) in [
        ("empty", ""),
        ("only-semicolons", ";;;"),
        ("without-a-subtype", "text"),
        ("without-a-type", "/plain"),
        ("with-a-slash-too-many", "text/plain/extra"),
        ("with-spaces", "text / plain ; charset = utf-8"),
        (
            "with-comments",
            "text/plain (a \"comment) (nested (deep))); charset=(x)us-ascii(y)",
        ),
        ("with-a-quote-unclosed", "text/plain; charset=\"utf-8"),
        ("with-a-value-missing", "text/plain; charset=; format="),
        ("with-a-name-missing", "text/plain; =utf-8; \"x\"=\"y\""),
        (
            "with-a-parameter-twice",
            "text/plain; charset=utf-8; charset=koi8-r",
        ),
        (
            "in-capitals",
            "TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"X.TXT\"",
        ),
        ("with-brackets-and-braces", "text/plain; name=a(b)c{3}[d]"),
        ("of-garbage", "\\\"((\"; \\\\ ))) \"text\"/\"plain\""),
        (
            "with-eight-bit-parameters",
            "text/plain; name=Grüße.txt; x=\"日本\"",
        ),
        (
            "rfc2231-continued",
            "text/plain; name*0*=utf-8'de'Gr%C3%BC; name*1=\"sse \"; name*2*=%22x%22.txt",
        ),
        (
            "rfc2231-with-a-gap",
            "text/plain; name*0=a; name*2=c; name*1000000=z",
        ),
        (
            "rfc2231-with-a-broken-escape",
            "text/plain; name*=utf-8''%ZZ%4; title*=us-ascii'en",
        ),
    ] {
        collector.usual(
            &format!("content-type-{name}"),
            format!("Content-Type: {value}\n\nbody\n"),
        );
    }
    let parameters = (0..300).fold(String::new(), |text, number| {
        format!("{text};\n\tp{number}=\"value {number}\"")
    });
    collector.usual(
        "content-type-with-300-parameters",
        format!("Content-Type: text/plain{parameters}\n\nbody\n"),
    );
    collector.usual(
        "content-disposition-language-md5-location",
        "Content-Type: text/plain; charset=utf-8\n\
         Content-Disposition: attachment; filename=\"a\\\"b\\\\c.txt\"; \
         modification-date=\"Wed, 12 Feb 1997 16:29:51 -0500\"\n\
         Content-Language: de, en-GB,\tfr (maybe)\n\
         Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n\
         Content-Location: http://example.org/a(b)\"c\"\n\
         Content-Description: =?utf-8?q?Gr=C3=BC=C3=9Fe_=22quoted=22?=\n\
         Content-ID: <\"quoted id\"@[127.0.0.1]>\n\nbody\n",
    );
}
