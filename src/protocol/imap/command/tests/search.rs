use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::search::SearchKey;
use proptest::prelude::*;

use super::{bytes, ranges, read, read_wire, text, wire};
use crate::protocol::imap::command::*;
use crate::types::date::Date;
use crate::types::flag::FlagName;
use crate::types::ids::ModSeq;
use crate::types::query::Query;
use crate::types::set::{SeqSet, UidSet};

/// A key in words of its own, whatever way its strings were written.
fn show(key: &SearchKey) -> String {
    use SearchKey::*;
    let list = |keys: &[SearchKey]| keys.iter().map(show).collect::<Vec<_>>().join(", ");
    let string = |string| format!("{:?}", String::from_utf8(bytes(string)).unwrap());
    match key {
        And(keys) => format!("and({})", list(keys.as_ref())),
        Or(one, two) => format!("or({}, {})", show(one), show(two)),
        Not(key) => format!("not({})", show(key)),
        SequenceSet(set) => format!("messages {}", ranges(set)),
        Uid(set) => format!("uids {}", ranges(set)),
        Bcc(text) => format!("bcc {}", string(text)),
        Body(text) => format!("body {}", string(text)),
        Cc(text) => format!("cc {}", string(text)),
        From(text) => format!("from {}", string(text)),
        Subject(text) => format!("subject {}", string(text)),
        Text(text) => format!("text {}", string(text)),
        To(text) => format!("to {}", string(text)),
        Header(name, text) => format!("header {} {}", string(name), string(text)),
        Keyword(name) => format!("keyword {}", name.as_ref()),
        Unkeyword(name) => format!("unkeyword {}", name.as_ref()),
        Larger(size) => format!("larger {size}"),
        Smaller(size) => format!("smaller {size}"),
        // Days show as 1994-02-01.
        Before(day) => format!("before {day:?}"),
        On(day) => format!("on {day:?}"),
        Since(day) => format!("since {day:?}"),
        SentBefore(day) => format!("sentbefore {day:?}"),
        SentOn(day) => format!("senton {day:?}"),
        SentSince(day) => format!("sentsince {day:?}"),
        ModSequence {
            entry: None,
            modseq,
        } => format!("modseq {modseq}"),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

/// A whole search, read back.
fn found(query: &Query) -> String {
    let of = |command| match command {
        CommandBody::Search {
            charset,
            criteria,
            uid,
        } => {
            assert_eq!(charset.is_some(), query.needs_utf8());
            assert!(charset.is_none_or(|charset| charset.as_ref() == "UTF-8"));
            let keys = criteria
                .as_ref()
                .iter()
                .map(show)
                .collect::<Vec<_>>()
                .join(", ");
            (uid, keys)
        }
        other => panic!("{other:?}"),
    };
    let (uid, keys) = of(read(search(query, false)));
    assert!(!uid);
    assert_eq!(of(read(uid_search(query, false))), (true, keys.clone()));
    keys
}

fn day() -> Date {
    Date::new(1994, 2, 1).unwrap()
}

#[test]
fn keys_without_an_argument() {
    for (query, expected) in [
        (Query::all(), "all"),
        (Query::answered(), "answered"),
        (Query::deleted(), "deleted"),
        (Query::draft(), "draft"),
        (Query::flagged(), "flagged"),
        (Query::new_messages(), "new"),
        (Query::old(), "old"),
        (Query::recent(), "recent"),
        (Query::seen(), "seen"),
        (Query::unanswered(), "unanswered"),
        (Query::undeleted(), "undeleted"),
        (Query::undraft(), "undraft"),
        (Query::unflagged(), "unflagged"),
        (Query::unseen(), "unseen"),
        (Query::none(), "not(all)"),
    ] {
        assert_eq!(found(&query), expected);
    }
}

#[test]
fn keys_with_an_argument() {
    let all = Query::all;
    let junk = || FlagName::new("$Junk").unwrap();
    let uids: UidSet = "5,1:3,9:*".parse().unwrap();
    let messages: SeqSet = "2:4".parse().unwrap();
    for (query, expected) in [
        (all().bcc("a"), "bcc \"a\""),
        (all().body("a b"), "body \"a b\""),
        (all().cc(""), "cc \"\""),
        (all().from("\"a\" \\"), "from \"\\\"a\\\" \\\\\""),
        (all().subject("{5}"), "subject \"{5}\""),
        (all().text("NIL"), "text \"NIL\""),
        (all().to("é"), "to \"é\""),
        (all().header("X-A", "a\r\nb"), "header \"X-A\" \"a\\r\\nb\""),
        (all().header("List-Id", ""), "header \"List-Id\" \"\""),
        (all().before(day()), "before 1994-02-01"),
        (all().on(day()), "on 1994-02-01"),
        (all().since(day()), "since 1994-02-01"),
        (all().sent_before(day()), "sentbefore 1994-02-01"),
        (all().sent_on(day()), "senton 1994-02-01"),
        (all().sent_since(day()), "sentsince 1994-02-01"),
        (all().keyword(junk()), "keyword $Junk"),
        (all().unkeyword(junk()), "unkeyword $Junk"),
        (all().larger(0), "larger 0"),
        (all().smaller(u32::MAX.into()), "smaller 4294967295"),
        (all().uid(&uids), "uids 1:3,5,9:*"),
        (all().uid(UidSet::new()), "not(all)"),
        (all().sequence(&messages), "messages 2:4"),
        (all().sequence(SeqSet::new()), "not(all)"),
        (
            all().mod_seq(ModSeq::new(ModSeq::MAX).unwrap()),
            "modseq 9223372036854775807",
        ),
    ] {
        assert_eq!(found(&query), expected);
    }
    // imap-codec has sizes of 32 bits, as IMAP4rev1; IMAP4rev2 has 63.
    assert_eq!(
        text(search(&all().larger(1 << 40), false)),
        "SEARCH LARGER 1099511627776"
    );
}

#[test]
fn queries_are_joined_as_they_are_written() {
    let (seen, draft, big) = (Query::seen, Query::draft, || Query::seen().larger(5));
    for (query, expected) in [
        (seen().and(draft()), "seen, draft"),
        (
            seen().and(draft().or(big())),
            "seen, or(draft, and(seen, larger 5))",
        ),
        (big().or(draft()), "or(and(seen, larger 5), draft)"),
        (big().not(), "not(and(seen, larger 5))"),
        (!seen().not(), "not(not(seen))"),
        (
            seen().not().or(draft()).from("x"),
            "or(not(seen), draft), from \"x\"",
        ),
        (Query::any([]), "not(all)"),
        (Query::any([big()]), "seen, larger 5"),
        (
            Query::any([seen(), draft(), big()]),
            "or(or(seen, draft), and(seen, larger 5))",
        ),
    ] {
        assert_eq!(found(&query), expected);
    }
}

#[test]
fn a_nest_that_is_too_deep_and_strings_with_nul_are_refused() {
    let nested = |depth| (0..depth).fold(Query::seen(), |query, _| query.not());
    assert!(search(&nested(100), false).is_ok());
    assert!(search(&nested(101), false).is_err());
    assert!(search(&Query::all().from("\0"), false).is_err());
    assert!(search(&Query::all().header("a\0", "b"), false).is_err());
    assert!(search(&Query::any((0..100_000).map(|_| Query::seen())), false).is_ok());
}

#[test]
fn esearch_options_stand_before_the_charset() {
    let query = Query::all().from("é");
    let count = SearchReturn {
        count: true,
        ..SearchReturn::default()
    };
    let most = SearchReturn {
        min: true,
        max: true,
        all: true,
        count: true,
    };
    for (line, options) in [
        (search(&query, true), "RETURN (ALL) "),
        (search(&query, count), "RETURN (COUNT) "),
        (uid_search(&query, most), "RETURN (MIN MAX ALL COUNT) "),
    ] {
        // imap-codec does not know RFC 4731: the options are checked here, the rest by it.
        let wire = String::from_utf8(wire(line.unwrap())).unwrap();
        let (before, after) = wire.split_once(options).unwrap();
        assert!(before.ends_with("SEARCH ") && after.starts_with("CHARSET UTF-8 FROM {2+}"));
        match read_wire(format!("{before}{after}").as_bytes()) {
            CommandBody::Search { criteria, .. } => {
                assert_eq!(show(&criteria.as_ref()[0]), "from \"é\"");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        text(uid_search(&Query::unseen(), true)),
        "UID SEARCH RETURN (ALL) UNSEEN"
    );
}

/// A query beside what it has to mean.
fn query() -> impl Strategy<Value = (Query, String)> {
    let leaf = prop_oneof![
        Just((Query::seen(), "seen".to_owned())),
        Just((Query::unflagged(), "unflagged".to_owned())),
        "[^\0]{0,9}".prop_map(|text| (Query::all().body(&text), format!("body {text:?}"))),
        (1u64..9).prop_map(|size| (Query::all().larger(size), format!("larger {size}"))),
    ];
    // Two levels of joining are four of nesting, and imap-codec reads nine.
    leaf.prop_recursive(2, 12, 3, |inner| {
        let grouped = prop::collection::vec(inner, 2..4).prop_map(|parts| {
            let keys: Vec<_> = parts.iter().map(|(_, text)| text.clone()).collect();
            let query = parts
                .into_iter()
                .map(|(query, _)| query)
                .reduce(Query::and)
                .unwrap();
            (query, keys.join(", "))
        });
        prop_oneof![
            grouped
                .clone()
                .prop_map(|(query, text)| (query.not(), format!("not(and({text}))"))),
            (grouped.clone(), grouped).prop_map(|((one, text), (two, other))| {
                (one.or(two), format!("or(and({text}), and({other}))"))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_query_is_read_as_it_was_built((query, expected) in query()) {
        prop_assert_eq!(found(&query), expected);
    }
}
