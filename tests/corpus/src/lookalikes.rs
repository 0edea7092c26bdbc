//! Text that looks like the protocols that carry it: literals, tagged and untagged lines.

use crate::collector::Collector;

pub(crate) fn collect(collector: &mut Collector) {
    for (name, subject) in [
        ("literal-5", "{5}"),
        ("literal-25", "{25}"),
        ("literal-plus", "{25+}"),
        ("literal-huge", "{4294967295}"),
        ("literal-binary", "~{5}"),
        ("literal-at-the-end", "x {3}"),
        ("uid", "a) UID 999)"),
        ("uid-escaped", r"a \x) UID 999 Z ("),
        ("uid-quoted", r#"a" NIL) UID 999 FLAGS (\Deleted) X ("#),
        ("expunge-folded", "{25}\n a) UID 999)\n * 7 EXPUNGE"),
        ("body", "BODY[] {3}"),
        ("section", "BODY[HEADER.FIELDS (X)] NIL"),
        ("response-code", "[ALERT] [UIDVALIDITY 1] [READ-ONLY]"),
    ] {
        collector.header(
            &format!("looks-like-{name}"),
            format!("Subject: {subject}\nFrom: \"{subject}\" <a@b>\nX-Copy: {subject}"),
        );
    }
    collector.text(
        "looks-like-answers",
        "Subject: answers\n\nA1 OK done\nA0001 OK FETCH completed\nt1 NO\n* 7 EXPUNGE\n\
         * BYE logging out\n* OK [ALERT] look\n+ idling\n+ \n)\n UID 999)\n* 1 FETCH (UID 999)\n\
         {10}\n* 2 FETCH (BODY[] {5}\n12345)\nA2 BAD\n",
    );
    collector.text(
        "looks-like-answers-in-the-header",
        "A1 OK done\n* 7 EXPUNGE\nSubject: x\n)\n* BYE\n\nbody\n",
    );
    // Every small number as a tag with several common prefixes: some client uses one of them.
    let tags = (0..2_000).fold(String::from("Subject: tags\n\n"), |text, number| {
        format!(
            "{text}a{number} OK\nA{number:04} OK done\n{number} OK done\nt{number} BAD no\n\
             tag{number} NO [AUTHENTICATIONFAILED]\nM{number} OK x\n"
        )
    });
    collector.text("looks-like-any-tagged-answer", tags);
    collector.text(
        "looks-like-pop3",
        "Subject: pop\n\n+OK\n-ERR [IN-USE]\n.\n+OK 2 320\n1 120\n.\n",
    );
    collector.text(
        "looks-like-smtp",
        "Subject: smtp\n\n250 2.0.0 Ok: queued\n354 End data\n421 4.3.0 closing\n250-PIPELINING\n\
         .\nMAIL FROM:<x@y>\nRCPT TO:<z@w>\nDATA\nQUIT\nBDAT 5 LAST\n",
    );
    collector.text(
        "looks-like-nothing-but-brackets",
        format!(
            "Subject: {}\n\n{}\n{}\n",
            "(".repeat(2_000),
            "(".repeat(10_000),
            ")".repeat(10_000)
        ),
    );
    collector.usual(
        "looks-like-brackets-in-parameters",
        "Content-Type: multipart/mixed; boundary=b; x=\")) UID 999 ((\"\n\n\
         --b\nContent-Type: text/plain; name=\"a\\\"b) {5}\"\nContent-ID: <(((\"\\>\n\
         Content-Description: ) BODY (\"a\" \"b\n\none\n\
         --b\nContent-Type: image/png; name=\"\\\\\"\n\
         Content-Disposition: attachment; filename=\") UID 1 (\"; y=NIL\n\ntwo\n--b--\n",
    );
}
