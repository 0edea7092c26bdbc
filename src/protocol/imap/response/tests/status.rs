//! Status responses, codes, continuation requests, capabilities, ID.

use super::*;
use crate::types::flag::Flag;
use crate::types::ids::{Uid, UidValidity};

/// The code and the text of a status response.
fn status(text: &str) -> (Option<ResponseCode>, String) {
    match data(format!("* OK {text}\r\n")) {
        Untagged::Status { code, text, .. } => (code, text),
        other => panic!("{text}: {other:?}"),
    }
}

fn code(text: &str) -> ResponseCode {
    let (code, text) = status(&format!("[{text}] the text"));
    assert_eq!(text, "the text");
    code.expect("a code")
}

#[test]
fn statuses() {
    for (wire, expected) in [
        ("* OK x", StatusKind::Ok),
        ("* ok x", StatusKind::Ok),
        ("* NO x", StatusKind::No),
        ("* BAD x", StatusKind::Bad),
        ("* BYE x", StatusKind::Bye),
        ("*  PREAUTH  x", StatusKind::PreAuth),
    ] {
        let text = "x".into();
        let code = None;
        assert_eq!(
            data(wire),
            Untagged::Status {
                status: expected,
                code,
                text
            }
        );
    }
    for (wire, expected) in [
        ("A1 OK x", Status::Ok),
        ("A1 NO x", Status::No),
        ("A1 bad x", Status::Bad),
    ] {
        let Ok(Response::Tagged {
            tag,
            status,
            code: None,
            text,
        }) = read(wire)
        else {
            panic!("{wire}");
        };
        assert_eq!(
            (tag.as_ref(), status, text.as_str()),
            (&b"A1"[..], expected, "x")
        );
    }
    for wire in [
        "",
        " ",
        "A1",
        "A1 ",
        "A1 BYE x",
        "A1 OKAY x",
        "A1 OK[ALERT] x",
        "\u{e9}1 OK x",
        "*",
        "*OK x",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
    assert_eq!(status(""), (None, String::new()));
}

#[test]
fn codes_without_arguments() {
    for (text, expected) in [
        ("ALERT", ResponseCode::Alert),
        ("PARSE", ResponseCode::Parse),
        ("READ-ONLY", ResponseCode::ReadOnly),
        ("read-write", ResponseCode::ReadWrite),
        ("TRYCREATE", ResponseCode::TryCreate),
        ("NOMODSEQ", ResponseCode::NoModSeq),
        ("UIDNOTSTICKY", ResponseCode::UidNotSticky),
        ("CLOSED", ResponseCode::Closed),
        ("AUTHENTICATIONFAILED", ResponseCode::AuthenticationFailed),
        ("AUTHORIZATIONFAILED", ResponseCode::AuthorizationFailed),
        ("EXPIRED", ResponseCode::Expired),
        ("PRIVACYREQUIRED", ResponseCode::PrivacyRequired),
        ("CONTACTADMIN", ResponseCode::ContactAdmin),
        ("NOPERM", ResponseCode::NoPermission),
        ("INUSE", ResponseCode::InUse),
        ("EXPUNGEISSUED", ResponseCode::ExpungeIssued),
        ("CORRUPTION", ResponseCode::Corruption),
        ("SERVERBUG", ResponseCode::ServerBug),
        ("CLIENTBUG", ResponseCode::ClientBug),
        ("CANNOT", ResponseCode::Cannot),
        ("LIMIT", ResponseCode::Limit),
        ("OVERQUOTA", ResponseCode::OverQuota),
        ("ALREADYEXISTS", ResponseCode::AlreadyExists),
        ("NONEXISTENT", ResponseCode::NonExistent),
        ("UNAVAILABLE", ResponseCode::Unavailable),
        ("UNKNOWN-CTE", ResponseCode::UnknownCte),
        ("LIMIT 15 connections", ResponseCode::Limit),
    ] {
        assert_eq!(code(text), expected);
    }
}

#[test]
fn codes_with_arguments() {
    assert_eq!(
        code("UIDNEXT 4392"),
        ResponseCode::UidNext(Uid::new(4392).unwrap())
    );
    assert_eq!(
        code("UIDVALIDITY  7 "),
        ResponseCode::UidValidity(UidValidity::new(7).unwrap())
    );
    assert_eq!(code("UNSEEN 0"), ResponseCode::Unseen(0));
    let mod_seq = ModSeq::new(715_194_045_007).unwrap();
    assert_eq!(
        code("HIGHESTMODSEQ 715194045007"),
        ResponseCode::HighestModSeq(mod_seq)
    );
    assert_eq!(
        code("MODIFIED 7,9:12"),
        ResponseCode::Modified(vec![(7, 7), (9, 12)])
    );
    assert_eq!(code("BADCHARSET"), ResponseCode::BadCharset(vec![]));
    let names = vec!["UTF-8".into(), "a]b".into()];
    assert_eq!(
        code("BADCHARSET (UTF-8 \"a]b\")"),
        ResponseCode::BadCharset(names)
    );
    let url = "imap://u;AUTH=*@h/".into();
    assert_eq!(
        code("REFERRAL imap://u;AUTH=*@h/"),
        ResponseCode::Referral(url)
    );
    let ResponseCode::Capability(capabilities) = code("CAPABILITY  IMAP4rev1 AUTH=PLAIN") else {
        panic!("CAPABILITY");
    };
    assert!(capabilities.supports_auth("PLAIN"));
    // Zoho has \*, and Gmail has had flags with brackets.
    let ResponseCode::PermanentFlags(flags) = code("PERMANENTFLAGS (\\Seen OIB-[Gmail]/All \\* )")
    else {
        panic!("PERMANENTFLAGS");
    };
    assert!(flags.contains(&Flag::Seen));
    assert_eq!(flags.len(), 3);
    let ResponseCode::AppendUid(appended) = code("APPENDUID 38505 3955,3960:3957") else {
        panic!("APPENDUID");
    };
    let uids: Vec<u32> = appended.uids.iter().map(Uid::get).collect();
    assert_eq!(
        (appended.uid_validity.get(), uids),
        (38505, vec![3955, 3957, 3958, 3959, 3960])
    );
}

#[test]
fn a_code_that_makes_no_sense_is_passed_on() {
    for (text, name, rest) in [
        ("X-NEW", "X-NEW", ""),
        ("X-New a (b) \"c\" ", "X-New", "a (b) \"c\" "),
        ("UIDNEXT 0", "UIDNEXT", "0"),
        ("UIDNEXT x", "UIDNEXT", "x"),
        ("UNSEEN 3 4", "UNSEEN", "3 4"),
        ("COPYUID 7 1:3 1:2", "COPYUID", "7 1:3 1:2"),
        ("COPYUID 0 1 1", "COPYUID", "0 1 1"),
        ("COPYUID 7  ", "COPYUID", "7  "),
        ("APPENDUID 7 *", "APPENDUID", "7 *"),
        ("PERMANENTFLAGS NIL", "PERMANENTFLAGS", "NIL"),
    ] {
        let (name, text_) = (name.to_owned(), rest.to_owned());
        assert_eq!(
            code(text),
            ResponseCode::Other { name, text: text_ },
            "{text}"
        );
    }
}

#[test]
fn brackets_that_hold_no_code_are_text() {
    for text in [
        "[",
        "[]",
        "[ ALERT] x",
        "[ALERT x",
        "[UIDNEXT 3 x",
        "a [ALERT] b",
    ] {
        assert_eq!(status(text), (None, text.to_owned()));
    }
    assert_eq!(
        status("[ALERT]"),
        (Some(ResponseCode::Alert), String::new())
    );
    // Text that looks as if a literal followed.
    assert_eq!(status("see {5}"), (None, "see {5}".to_owned()));
}

#[test]
fn continuation_requests() {
    for (wire, expected) in [
        ("+", ""),
        ("+ ", ""),
        ("+ idling", "idling"),
        ("+dGVzdA==", "dGVzdA=="),
        ("+ [x]  y", "[x]  y"),
    ] {
        let text = Bytes::from_static(expected.as_bytes());
        assert_eq!(read(wire), Ok(Response::Continuation { text }));
    }
}

#[test]
fn capabilities_and_what_is_enabled() {
    let Untagged::Capability(capabilities) = data("* CAPABILITY IMAP4rev1  SASL-IR auth=plain ")
    else {
        panic!("CAPABILITY");
    };
    assert_eq!(capabilities.len(), 3);
    assert!(capabilities.contains("SASL-IR") && capabilities.supports_auth("PLAIN"));
    let names = vec!["CONDSTORE".into(), "QRESYNC".into()];
    assert_eq!(
        data("* ENABLED CONDSTORE qresync"),
        Untagged::Enabled(names)
    );
    assert_eq!(data("* ENABLED"), Untagged::Enabled(vec![]));
}

#[test]
fn id_keeps_the_order_and_what_is_nil() {
    let fields = vec![
        ("name".into(), Some("Cyrus".into())),
        ("os".into(), None),
        ("a\"b".into(), Some("é".into())),
    ];
    let wire = "* ID (\"name\"  \"Cyrus\" \"os\" NIL \"a\\\"b\" {2}\r\né )";
    assert_eq!(data(wire), Untagged::Id(Some(fields)));
    assert_eq!(data("* ID NIL"), Untagged::Id(None));
    assert_eq!(data("* ID ()"), Untagged::Id(Some(vec![])));
    assert!(read("* ID (\"name\")").is_err());
}

#[test]
fn what_is_not_known_is_unknown() {
    for (wire, expected) in [
        ("* XYZZY (a \"b", "XYZZY"),
        ("* thread (1)(2)", "THREAD"),
        ("* 3 XYZZY a", "XYZZY"),
        ("* 3", ""),
        ("* (", ""),
        ("* QUOTA {2}\r\nab (STORAGE 1 2)", "QUOTA"),
    ] {
        let name = expected.into();
        assert_eq!(data(wire), Untagged::Unknown { name });
    }
}
