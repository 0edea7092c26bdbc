//! Mailbox data: lists, figures, namespaces, flags, numbers.

use super::*;
use crate::types::flag::Flag;
use crate::types::ids::{Uid, UidValidity};
use crate::types::listing::MailboxAttribute;

fn entry(rest: &str) -> ListEntry {
    match data(format!("* LIST {rest}")) {
        Untagged::List(entry) => entry,
        other => panic!("{rest}: {other:?}"),
    }
}

#[test]
fn list_entries() {
    let inbox = entry("(\\HasNoChildren  \\Marked ) \"/\" inbox");
    assert_eq!(
        inbox.attributes,
        [MailboxAttribute::HasNoChildren, MailboxAttribute::Marked]
    );
    assert_eq!(inbox.delimiter, Some('/'));
    assert!(inbox.name.is_inbox() && inbox.is_selectable());

    let all = entry("(\\AllMail \\All \\NOSELECT) NIL \"[Gmail]/All Mail\"");
    let other = MailboxAttribute::Other("\\AllMail".into());
    assert_eq!(
        all.attributes,
        [other, MailboxAttribute::All, MailboxAttribute::NoSelect]
    );
    assert_eq!((all.delimiter, all.is_selectable()), (None, false));
    assert_eq!(all.name.as_str(), "[Gmail]/All Mail");

    assert_eq!(entry("() \"\" [Gmail]/x").delimiter, None);
    assert_eq!(entry("() \".\" {3}\r\na\"b").name.as_str(), "a\"b");
    assert_eq!(entry("() \".\" {3}\r\na\"b ").delimiter, Some('.'));
    assert_eq!(entry("() \".\" Entw&APw-rfe").name.as_str(), "Entwürfe");
    assert!(matches!(data("* LSUB () \".\" a"), Untagged::Lsub(_)));
}

#[test]
fn names_that_are_not_utf8_do_not_collide() {
    let entry = |name: &[u8]| match data([b"* LIST () \".\" \"", name, b"\""].concat()) {
        Untagged::List(entry) => entry.name,
        other => panic!("{other:?}"),
    };
    assert_ne!(entry(b"a\xff"), entry(b"a\xfe"));
}

#[test]
fn extended_list_data() {
    let entry = entry(
        "(\\NonExistent) \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\") OLDNAME (\"Bar\") \"X\" (a (b)))",
    );
    assert_eq!(entry.child_info, ["SUBSCRIBED"]);
    assert_eq!(entry.old_name.unwrap().as_str(), "Bar");
    assert_eq!(
        entry.extended,
        [("X".into(), Bytes::from_static(b"(a (b))"))]
    );
}

#[test]
fn malformed_list_entries() {
    for rest in [
        "",
        "()",
        "() NIL",
        "() a b",
        "(a) NIL x y",
        "NIL NIL x",
        "() NIL \"x",
        "() NIL x (",
        "() \"/\"x",
    ] {
        assert!(read(format!("* LIST {rest}")).is_err(), "{rest}");
    }
}

#[test]
fn status_items() {
    let wire = "* STATUS \"a b\" (MESSAGES 231 uidnext 44292 UIDVALIDITY 7 UNSEEN 1 HIGHESTMODSEQ 12 SIZE 41234567890 DELETED 2 RECENT 3 MAILBOXID (F22) APPENDLIMIT 99 X-NEW (1 2) Y 3a ) ";
    let Untagged::MailboxStatus(status) = data(wire) else {
        panic!("STATUS");
    };
    assert_eq!(status.name.as_str(), "a b");
    assert_eq!(status.messages, Some(231));
    assert_eq!(status.uid_next, Uid::new(44292));
    assert_eq!(status.uid_validity, UidValidity::new(7));
    assert_eq!(status.unseen, Some(1));
    assert_eq!(status.highest_mod_seq, ModSeq::new(12));
    assert_eq!(status.size, Some(41_234_567_890));
    assert_eq!(status.deleted, Some(2));
    assert_eq!(status.recent, Some(3));
    assert_eq!(status.mailbox_id.as_deref(), Some("F22"));
    assert_eq!(status.append_limit, Some(99));
    let other = [
        ("X-NEW".into(), Bytes::from_static(b"(1 2)")),
        ("Y".into(), Bytes::from_static(b"3a")),
    ];
    assert_eq!(status.other, other);

    let Untagged::MailboxStatus(status) =
        data("* STATUS a (HIGHESTMODSEQ 0 UIDNEXT 0 APPENDLIMIT NIL)")
    else {
        panic!("STATUS");
    };
    assert_eq!(status.highest_mod_seq, None);
    assert_eq!(status.uid_next, None);
    assert_eq!(status.other, []);
    assert!(matches!(data("* STATUS a ()"), Untagged::MailboxStatus(_)));
}

#[test]
fn namespaces() {
    let wire = "* NAMESPACE ((\"\" \"/\")) NIL ((\"#shared/\" \"/\")(\"#public.\" NIL \"X-PARAM\" (\"F1\" \"F2\")))";
    let Untagged::Namespace(namespaces) = data(wire) else {
        panic!("NAMESPACE");
    };
    assert_eq!(namespaces.personal[0].prefix.as_str(), "");
    assert_eq!(namespaces.personal[0].delimiter, Some('/'));
    assert!(namespaces.other_users.is_empty());
    let shared: Vec<_> = namespaces
        .shared
        .iter()
        .map(|namespace| namespace.prefix.as_str())
        .collect();
    assert_eq!(shared, ["#shared/", "#public."]);
    assert_eq!(namespaces.shared[1].delimiter, None);
    assert!(read("* NAMESPACE NIL NIL").is_err());
}

#[test]
fn flags() {
    let Untagged::Flags(flags) =
        data("* FLAGS (\\Answered \\Seen $Forwarded OIB-Seen-[Gmail]/All \\* )")
    else {
        panic!("FLAGS");
    };
    assert!(flags.contains(&Flag::Answered) && flags.contains(&Flag::Seen));
    assert_eq!(flags.len(), 5);
    assert_eq!(data("* FLAGS ()"), Untagged::Flags(Flags::new()));
    for wire in [
        "* FLAGS",
        "* FLAGS NIL",
        "* FLAGS (\"a\")",
        "* FLAGS (a",
        "* FLAGS (a))",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn message_counts() {
    assert_eq!(data("* 23 EXISTS"), Untagged::Exists(23));
    assert_eq!(data("*  0  recent "), Untagged::Recent(0));
    assert_eq!(
        data("* 44 EXPUNGE"),
        Untagged::Expunge(SeqNum::new(44).unwrap())
    );
    for wire in ["* 4294967296 EXISTS", "* 1 EXISTS 2", "* 1 RECENT("] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn searches() {
    let search = |wire: &str| match data(wire) {
        Untagged::Search { numbers, mod_seq } => {
            (numbers.ranges().to_vec(), mod_seq.map(ModSeq::get))
        }
        other => panic!("{wire}: {other:?}"),
    };
    assert_eq!(search("* SEARCH"), (vec![], None));
    assert_eq!(
        search("* SEARCH 2 84  3 1 84 "),
        (vec![(1, 3), (84, 84)], None)
    );
    assert_eq!(
        search("* SEARCH 4294967295 1"),
        (vec![(1, 1), (u32::MAX, u32::MAX)], None)
    );
    assert_eq!(
        search("* SEARCH 2 5 (MODSEQ 917162500) "),
        (vec![(2, 2), (5, 5)], Some(917_162_500))
    );
    assert_eq!(data("* SORT 5 3 4"), Untagged::Sort(vec![5, 3, 4]));
    for wire in [
        "* SEARCH x",
        "* SEARCH 1,2",
        "* SEARCH 4294967296",
        "* SEARCH (UID 3)",
        "* SEARCH 1 (MODSEQ 3",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn extended_searches() {
    let Untagged::ESearch(result) =
        data("* ESEARCH (TAG \"a567\") UID COUNT 5 ALL 21:19,28 MIN 4 MAX 28 MODSEQ 9 X (1 2)")
    else {
        panic!("ESEARCH");
    };
    assert_eq!(result.tag.as_deref(), Some(&b"a567"[..]));
    assert!(result.uid);
    assert_eq!(
        (result.min, result.max, result.count),
        (Some(4), Some(28), Some(5))
    );
    assert_eq!(result.all.ranges(), [(19, 21), (28, 28)]);
    assert_eq!(result.mod_seq, ModSeq::new(9));
    assert_eq!(
        data("* ESEARCH"),
        Untagged::ESearch(SearchResult::default())
    );
    for wire in [
        "* ESEARCH (TAG",
        "* ESEARCH (X y)",
        "* ESEARCH ALL",
        "* ESEARCH ALL 1:*",
        "* ESEARCH MIN 0",
        "* ESEARCH COUNT 1x",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn vanished_messages() {
    let Untagged::Vanished { earlier, uids } = data("* VANISHED (EARLIER) 41,43:116,118") else {
        panic!("VANISHED");
    };
    assert!(earlier);
    assert_eq!(uids.ranges(), [(41, 41), (43, 116), (118, 118)]);
}
