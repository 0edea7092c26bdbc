//! Header fields: subjects, dates, identifiers, folding, length, number, absence.

use crate::collector::Collector;

pub(crate) fn collect(collector: &mut Collector) {
    subjects(collector);
    dates(collector);
    identifiers(collector);
    shapes(collector);
}

fn subjects(collector: &mut Collector) {
    for (name, subject) in [
        ("empty", ""),
        ("of-spaces", "     \t   "),
        (
            "with-quotes-and-backslashes",
            r#"a "quoted" \ back\\slash \" end\"#,
        ),
        ("of-brackets", r#") ( "( )\" {} [] )))) ((((" \"#),
        ("of-a-backslash", "\\"),
        ("of-a-quote", "\""),
        ("of-nil", "NIL"),
        ("of-quoted-nil", "\"NIL\""),
        ("with-percent-and-star", "100% of * and %s %n %x"),
        ("with-tabs", "a\tb\t\tc"),
        (
            "with-control-characters",
            "a\u{1}b\u{7}c\u{8}d\u{1b}[31me\u{7f}f",
        ),
        ("folded-with-tabs", "one\n\ttwo\n\t\tthree\n \t four"),
        ("folded-into-an-empty-line", "one\n \n two"),
        ("folded-before-it-begins", "\n here"),
        (
            "with-many-replies",
            "Re: RE: AW: [list] Re[2]: Fwd: (fwd) Re: x",
        ),
        ("in-utf-8", "Grüße — 日本語 📬 ﷽"),
        ("in-right-to-left", "\u{202e}evil\u{202c} שלום"),
        ("with-a-byte-order-mark", "\u{feff}mark"),
        (
            "with-combining-characters",
            "Z\u{351}\u{36b}\u{343}a\u{30a}l\u{321}go",
        ),
    ] {
        collector.header(&format!("subject-{name}"), format!("Subject: {subject}"));
    }
    collector.header(
        "subject-of-100-kilobytes",
        format!("Subject: {}", "x".repeat(100_000)),
    );
    collector.header(
        "subject-of-100-kilobytes-that-needs-escapes",
        format!("Subject: {}", "\\\"".repeat(50_000)),
    );
    collector.header(
        "subject-folded-2000-times",
        format!("Subject: start{}", "\n word".repeat(2_000)),
    );
    collector.header("subject-twice", "Subject: first\nSubject: second");
    collector.header("subject-in-latin-1", b"Subject: Gr\xfc\xdfe".as_slice());
    collector.header(
        "subject-of-all-high-bytes",
        [b"Subject: ".to_vec(), (0x80..=0xff).collect()].concat(),
    );
    collector.header(
        "subject-of-broken-utf-8",
        b"Subject: \xc3\x28 \xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf \xfe\xff".as_slice(),
    );
}

fn dates(collector: &mut Collector) {
    for (name, date) in [
        ("empty", ""),
        (
            "with-comments",
            "Mon (Monday), 3 (third (really)) Jun 2024 10:20:30 (\"x\") +0200 (CEST)",
        ),
        ("obsolete", "Mon, 3 Jun 24 10:20 EST"),
        ("with-a-military-zone", "3 Jun 2024 10:20:30 Q"),
        (
            "with-spaces-in-odd-places",
            "  Mon ,  3\n Jun\n\t2024 10 : 20 : 30   +0200",
        ),
        ("with-a-leap-second", "Sat, 31 Dec 2016 23:59:60 +0000"),
        ("before-time", "Thu, 1 Jan 0001 00:00:00 +0000"),
        ("after-time", "Fri, 31 Dec 99999 23:59:59 +9999"),
        ("of-garbage", "yesterday, about noon \"\\"),
        ("in-iso-form", "2024-06-03T10:20:30Z"),
        ("in-another-language", "Lu, 3 août 2024 10:20:30 +0200"),
    ] {
        collector.header(&format!("date-{name}"), format!("Date: {date}"));
    }
    collector.header(
        "date-twice",
        "Date: Mon, 3 Jun 2024 10:20:30 +0200\nDate: Tue, 4 Jun 2024 10:20:30 +0200",
    );
}

fn identifiers(collector: &mut Collector) {
    for (name, field) in [
        ("message-id-empty", "Message-ID:"),
        ("message-id-without-brackets", "Message-ID: abc@example.org"),
        (
            "message-id-quoted",
            "Message-ID: <\"a b\\\"c\\\\d\"@example.org>",
        ),
        ("message-id-with-literal", "Message-ID: <{17}@[IPv6:::1]>"),
        (
            "in-reply-to-prose",
            "In-Reply-To: Your message of \"Mon, 3 Jun\" <a@b> (was \\)",
        ),
    ] {
        collector.text(name, format!("Subject: {name}\n{field}\n\nbody\n"));
    }
    let references = (0..2_000).fold(String::from("References:"), |text, number| {
        format!("{text}\n <{number}.abcdef@example.org>")
    });
    collector.header("references-2000", references);
}

fn shapes(collector: &mut Collector) {
    collector.raw("header-none", "\r\nA body and nothing else.\r\n");
    collector.raw("header-none-and-no-empty-line", "Just a line of text\r\n");
    collector.raw("header-only", "Subject: header only\r\nFrom: a@b\r\n");
    collector.raw(
        "header-only-with-empty-line",
        "Subject: header only\r\n\r\n",
    );
    collector.raw("header-without-final-newline", "Subject: no end");
    collector.raw("header-of-one-byte", "x");
    collector.raw("header-of-one-newline", "\r\n");
    collector.raw("header-of-one-bare-newline", "\n");
    collector.text(
        "header-with-lines-that-are-none",
        "Subject: fine\nthis is no header\n: nor this\n   \nFrom: a@b\n\nbody\n",
    );
    collector.text(
        "header-beginning-with-a-continuation",
        " continued from nowhere\nSubject: fine\n\nbody\n",
    );
    collector.text(
        "header-beginning-with-a-mbox-line",
        "From alice@example.org Mon Jun  3 10:20:30 2024\nSubject: mbox\n\n\
         From bob@example.com in the body\n>From quoted\n",
    );
    collector.text(
        "header-with-spaces-before-colons",
        "Subject : spaced\nFrom\t: a@b\nTo:c@d\nCc:\te@f\n\nbody\n",
    );
    collector.text(
        "header-with-odd-names",
        "X-\"quoted\": 1\nX-(parens): 2\nX-{3}: 3\nX-back\\slash: 4\nX-Ünïcode: 5\n\
         X-:6\nSubject: odd\n\nbody\n",
    );
    collector.header(
        "header-name-of-10-kilobytes",
        format!("{}: x", "X".repeat(10_000)),
    );
    collector.header(
        "header-fields-5000",
        (0..5_000).fold(String::new(), |text, number| {
            let end = if number == 0 { "" } else { "\n" };
            format!("{text}{end}X-Field-{number}: value {number}")
        }),
    );
    collector.text(
        "header-fields-all-twice",
        "From: a@b\nFrom: c@d\nSender: a@b\nSender: c@d\nTo: a@b\nTo: c@d\nCc: a@b\nCc: c@d\n\
         Bcc: a@b\nBcc: c@d\nReply-To: a@b\nReply-To: c@d\nMessage-ID: <1@a>\nMessage-ID: <2@a>\n\
         In-Reply-To: <1@a>\nIn-Reply-To: <2@a>\nMIME-Version: 1.0\nMIME-Version: 2.0\n\
         Content-Type: text/plain\nContent-Type: text/html\n\
         Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\nbody\n",
    );
    collector.text(
        "mime-version-missing",
        "Subject: old\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
    );
    collector.text(
        "mime-version-with-comment",
        "Subject: new\nMIME-Version: 1 (one) . (dot) 0 (zero)\nContent-Type: text/html\n\n<p>\n",
    );
}
