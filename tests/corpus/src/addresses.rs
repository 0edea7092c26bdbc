//! Address fields: groups, quoting, comments, routes, masses, nothing.

use crate::collector::Collector;

pub(crate) fn collect(collector: &mut Collector) {
    for (name, field) in [
        ("address-list-empty", "From:\nTo: \nCc: ,,,\nBcc: ;"),
        ("address-null", "From: <>\nTo: <>, <>"),
        ("address-without-domain", "From: alice\nTo: <bob>, root"),
        (
            "address-without-local-part",
            "From: @example.org\nTo: <@example.org>",
        ),
        ("address-of-an-at-sign", "From: @\nTo: @@, a@@b, <@>"),
        (
            "address-unclosed",
            "From: Alice <alice@example.org\nTo: \"Bob <bob@example.com>",
        ),
        (
            "address-group",
            "To: Friends: alice@example.org, \"Bob (x)\" <bob@example.com>;, carol@example.net",
        ),
        (
            "address-group-empty",
            "To: undisclosed-recipients:;\nCc: Nobody: ;, : ;",
        ),
        ("address-group-unclosed", "To: Open: a@b, c@d"),
        ("address-group-in-group", "To: A: b@c, D: e@f;, g@h;"),
        (
            "address-group-with-odd-name",
            "To: \"A \\\"group\\\", {3}\": a@b;",
        ),
        (
            "address-names-quoted",
            "From: \"Alice \\\"the \\\\ best\\\"\" <alice@example.org>\n\
             To: \"O'Brien, Bob (work)\" <bob@example.com>, \"\" <empty@example.org>, \"\\\\\" <b@c>",
        ),
        (
            "address-names-unquoted",
            "From: Alice Q. Example, Jr. <alice@example.org>\n\
             To: Bob [the builder] <bob@example.com>, a.b.c <d@e>",
        ),
        (
            "address-with-comments",
            "From: alice(comment \"with\" (nested \\) )))@(here too)example.org (Alice)\n\
             To: (only a comment), bob@example.com (Bob \\\\ \\( )",
        ),
        (
            "address-local-parts-quoted",
            "From: \"a b\"@example.org\nTo: \"a@b\"@example.org, \"\\\"\"@example.org, \
             \"\"@example.org, \"(\"@example.org, \"a\\\\\"@example.org",
        ),
        (
            "address-with-routes",
            "From: <@a.example,@b.example:alice@example.org>\nTo: <@x:y@z>, Bob <@:b@c>",
        ),
        (
            "address-domain-literals",
            "From: alice@[192.0.2.1]\nTo: bob@[IPv6:2001:db8::1], c@[x\\]y], d@[",
        ),
        (
            "address-internationalized",
            "From: Jürgen <jürgen@bücher.example>\nTo: 用户@例子.广告, =?utf-8?q?J=C3=BCrgen?= <j@xn--bcher-kva.example>",
        ),
        (
            "address-folded-everywhere",
            "From:\n Alice\n\tExample\n <alice\n @example\n .org>\nTo: a@b\n ,\n c@d",
        ),
        (
            "address-with-specials",
            "From: a+b_c!d#e$f%g&h'i*j/k=l?m^n`o{p|q}r~@example.org\nTo: %x%y@z, a!b!c, -x@y",
        ),
        ("address-with-semicolons", "To: a@b; c@d; \"e;f\" <g@h>"),
        (
            "address-sender-and-reply-to",
            "From: a@b, c@d\nSender: e@f\nReply-To: g@h, i@j",
        ),
        ("address-reply-to-empty", "From: a@b\nSender:\nReply-To:"),
        (
            "address-of-nil",
            "From: NIL\nTo: NIL <NIL@NIL>, \"NIL\" <nil>",
        ),
    ] {
        collector.header(name, field);
    }
    collector.header(
        "address-recipients-5000",
        (0..5_000).fold(String::from("To: first@example.org"), |text, number| {
            format!("{text},\n \"Recipient {number}\" <recipient.{number}@example.org>")
        }),
    );
    collector.header(
        "address-recipients-3000-on-one-line",
        format!("Cc: {}last@example.org", "a@example.org, ".repeat(3_000)),
    );
    collector.header(
        "address-comments-nested-1000",
        format!("From: {}x{} a@b", "(".repeat(1_000), ")".repeat(1_000)),
    );
    collector.header(
        "address-names-in-latin-1",
        b"From: \"J\xfcrgen\" <j@example.org>\nTo: J\xfcrgen <j@example.org>, j\xfc@\xe4.example"
            .as_slice(),
    );
}
