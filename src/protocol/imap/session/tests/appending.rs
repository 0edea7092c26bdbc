//! APPEND and its literals.

use super::*;

#[test]
fn an_append_waits_for_its_continuation_and_untagged_data_does_not_disturb_it() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, "IMAP4rev1 UNSELECT UIDPLUS");
        rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
            .unwrap();
        assert_eq!(rig.client(), "M2 APPEND INBOX {5}\r\n");
        assert!(
            rig.submit(bare(Request::Noop)).is_none(),
            "it would be taken for the literal"
        );
        rig.server("* 7 EXISTS\r\n* OK still here\r\n+ go\r\n")
            .unwrap();
        assert_eq!(rig.client(), "hello\r\n");
        rig.server("M2 OK [APPENDUID 7 42] done\r\n").unwrap();
        assert_eq!(rig.take_said(), ["0 appended Some(42)"]);
    });
}

#[test]
fn a_refused_literal_is_not_sent() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    rig.client();
    rig.server("M2 NO [OVERQUOTA] full\r\n").unwrap();
    assert_eq!(rig.client(), "");
    rig.submit(bare(Request::Noop)).unwrap();
    assert_eq!(rig.client(), "M3 NOOP\r\n");
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    assert!(
        rig.server("M2 OK thanks\r\n").is_err(),
        "OK before the literal"
    );
}

#[test]
fn literal_plus_needs_no_permission_and_literal_minus_for_small_ones_only() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    assert_eq!(rig.client(), "M2 APPEND INBOX {5+}\r\nhello\r\n");
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 LITERAL-");
    rig.submit(bare(Request::Append(
        name("INBOX"),
        Append::new(vec![b'x'; 4097]),
    )))
    .unwrap();
    assert_eq!(rig.client(), "M2 APPEND INBOX {4097}\r\n");
}

#[test]
fn untagged_appenduids_go_to_one_append_after_the_other() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    for _ in 0..2 {
        let append = Append::new("x");
        rig.submit(bare(Request::Append(MailboxName::inbox(), append)));
    }
    rig.server("* OK [APPENDUID 7 1] one\r\n* OK [APPENDUID 7 2] two\r\nM2 OK\r\nM3 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        ["0 appended Some(1)", "1 appended Some(2)"]
    );
}
