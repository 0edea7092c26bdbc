//! Kinds of mail that programs produce: signed and encrypted, reports, invitations, uuencode.

use crate::collector::Collector;

const BASE64: &str = "MIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG9w0B\n\
                      BwEAAKCAMIIC8jCCAdqgAwIBAgIBATANBgkqhkiG9w0BAQsFADAPMQ0wCwYDVQQD\n";

pub(crate) fn collect(collector: &mut Collector) {
    cryptography(collector);
    reports(collector);
    others(collector);
}

fn cryptography(collector: &mut Collector) {
    collector.usual(
        "smime-signed",
        format!(
            "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\n \
             micalg=sha-256; boundary=\"----sig\"\n\nThis is an S/MIME signed message\n\n\
             ------sig\nContent-Type: text/plain\n\nsigned text \n\n\
             ------sig\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\n\
             Content-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"smime.p7s\"\n\n{BASE64}\n------sig--\n\n"
        ),
    );
    collector.usual(
        "smime-enveloped",
        format!(
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\
             Content-Transfer-Encoding: base64\n\n{}",
            BASE64.repeat(100)
        ),
    );
    collector.usual(
        "pgp-mime-encrypted",
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=e\n\n\
         --e\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n\
         --e\nContent-Type: application/octet-stream\n\n\
         -----BEGIN PGP MESSAGE-----\n\nhQEMA0ABCDEF=\n=AbCd\n-----END PGP MESSAGE-----\n--e--\n",
    );
    collector.usual(
        "pgp-inline-signed",
        "Content-Type: text/plain; charset=utf-8\n\n-----BEGIN PGP SIGNED MESSAGE-----\n\
         Hash: SHA512\n\n- -- \n- --boundary\ntext\n-----BEGIN PGP SIGNATURE-----\n\n\
         iQEzBAEB=\n=x\n-----END PGP SIGNATURE-----\n",
    );
}

fn reports(collector: &mut Collector) {
    collector.text(
        "delivery-report-with-null-reverse-path",
        "Return-Path: <>\nFrom: MAILER-DAEMON (Mail Delivery System)\nTo: alice@example.org\n\
         Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\n\
         MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\
         \tboundary=\"7BF6F20.1/mail.example.org\"\n\nThis is a MIME-encapsulated message.\n\n\
         --7BF6F20.1/mail.example.org\nContent-Description: Notification\n\n<x@y>: unknown user\n\n\
         --7BF6F20.1/mail.example.org\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mail.example.org\n\nFinal-Recipient: rfc822; x@y\nAction: failed\n\
         Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <x@y>: unknown user\n\n\
         --7BF6F20.1/mail.example.org\nContent-Type: text/rfc822-headers\n\n\
         Return-Path: <alice@example.org>\nSubject: hello\n\n--7BF6F20.1/mail.example.org--\n",
    );
    collector.usual(
        "disposition-notification",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=r\n\n\
         --r\n\nYour message was displayed.\n--r\nContent-Type: message/disposition-notification\n\n\
         Reporting-UA: example\nFinal-Recipient: rfc822;bob@example.com\n\
         Disposition: manual-action/MDN-sent-manually; displayed\n\n--r--\n",
    );
    collector.usual(
        "abuse-report",
        "Content-Type: multipart/report; report-type=feedback-report; boundary=f\n\n\
         --f\n\nabuse\n--f\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\
         Version: 1\n\n--f\nContent-Type: message/rfc822\nContent-Disposition: inline\n\n\
         From: spammer@example.net\nSubject: cheap\n\nspam\n--f--\n",
    );
}

fn others(collector: &mut Collector) {
    collector.usual(
        "calendar-invitation",
        "Content-Type: multipart/alternative; boundary=c\n\n--c\n\nMeeting\n\
         --c\nContent-Type: text/calendar; method=REQUEST; charset=utf-8; component=VEVENT\n\n\
         BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1@example.org\n\
         DTSTART;TZID=\"Europe/Berlin\":20240603T100000\nSUMMARY:Meet\\, greet\\; eat\n\
         DESCRIPTION:a long line that is folded in the\n  way of calendars\nEND:VEVENT\n\
         END:VCALENDAR\n--c--\n",
    );
    collector.usual(
        "uuencoded-inside-text",
        "Content-Type: text/plain\n\nSee below.\n\nbegin 644 hello.txt\n\
         ,2&5L;&\\L(%=O<FQD\n`\nend\n\nbegin 999 ../../etc/passwd\n`\nend\n",
    );
    collector.usual(
        "uuencoded-as-transfer-encoding",
        "Content-Type: application/octet-stream; name=x\nContent-Transfer-Encoding: x-uuencode\n\n\
         begin 600 x\n#86)C\n`\nend\n",
    );
    collector.usual(
        "external-body",
        "Content-Type: message/external-body; access-type=URL;\n \
         URL=\"ftp://example.org/a%20b\"; expiration=\"Fri, 14 Jun 1991 19:13:14 -0400 (EDT)\"\n\n\
         Content-Type: application/pdf\nContent-ID: <x@example.org>\n\nphantom\n",
    );
    collector.usual(
        "partial-message",
        "Content-Type: message/partial; id=\"abc@example.org\"; number=2; total=3\n\n\
         the middle of something\n",
    );
    collector.usual(
        "apple-double",
        "Content-Type: multipart/appledouble; boundary=a\n\n--a\n\
         Content-Type: application/applefile\nContent-Transfer-Encoding: base64\n\nAAUWBwACAAA=\n\
         --a\nContent-Type: image/jpeg; x-mac-type=\"4A504547\"\n\
         Content-Transfer-Encoding: base64\n\n/9j/4AAQSkZJRgABAQ==\n--a--\n",
    );
    collector.usual(
        "tnef",
        "Content-Type: application/ms-tnef; name=\"winmail.dat\"\n\
         Content-Transfer-Encoding: base64\n\neJ8+IgEAAQaQCAAEAAAAAAABAAEAAQeQBgAI\n",
    );
    collector.usual(
        "mailing-list",
        "Received: from a.example ([192.0.2.1] helo=\"x y\")\n\tby b.example with esmtps (TLS1.3)\n\
         \t(Exim 4.96) id 1abc-0000-Xy; Mon, 03 Jun 2024 08:20:31 +0000\n\
         Received: (qmail 1 invoked by uid 0); 3 Jun 2024 08:20:30 -0000\n\
         List-Id: \"The <odd> list\" <list.example.org>\n\
         List-Unsubscribe: <mailto:list-request@example.org?subject=unsubscribe>,\n \
         <https://example.org/u?a=1&b=2>\nPrecedence: bulk\n\
         DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=x;\n\
         \th=from:to:subject; bh=abc=; b=a/b+c==\n\nlist mail\n",
    );
    collector.usual(
        "attachment-of-megabyte",
        format!(
            "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n{}",
            BASE64.repeat(8_000)
        ),
    );
}
