//! Tests of the lexer.

use super::*;

fn lex(text: &'static str) -> Frame {
    Frame::line(text)
}

#[test]
fn quoted_strings_are_unescaped_and_shared_where_nothing_is_escaped() {
    let frame = lex(r#""plain" "a \"b\" \\" "C:\temp" "" "\\""#);
    let mut lexer = Lexer::new(&frame);
    let plain = lexer.string().unwrap();
    assert_eq!(plain, "plain");
    assert_eq!(plain.as_ptr(), frame.head[1..].as_ptr());
    for expected in [r#"a "b" \"#, r"C:\temp", "", r"\"] {
        lexer.expect_space().unwrap();
        assert_eq!(lexer.string().unwrap(), expected);
    }
    lexer.expect_end().unwrap();
}

#[test]
fn a_quoted_string_that_does_not_end_is_an_error() {
    for text in ["\"", "\"abc", r#""abc\""#, r#""abc\"#] {
        assert!(Lexer::new(&lex(text)).string().is_err(), "{text}");
    }
}

#[test]
fn literals_are_shared_and_have_the_announced_length() {
    let literal = Bytes::from_static(b"a\r\nb)");
    let mut frame = Frame {
        head: Bytes::from_static(b"(x ~{5+}"),
        rest: vec![(literal.clone(), Bytes::from_static(b" y)"))],
        open_literal: None,
    };
    let mut lexer = Lexer::new(&frame);
    let mark = lexer.mark();
    lexer.skip_value(1).unwrap();
    assert!(lexer.at_end());
    assert_eq!(lexer.raw_since(mark), &b"(x ~{5+}\r\na\r\nb) y)"[..]);
    lexer.rewind(mark);
    assert!(lexer.eat(b'('));
    assert_eq!(lexer.atom().unwrap(), b"x");
    assert!(lexer.spaces());
    assert!(lexer.at_string());
    assert_eq!(lexer.string().unwrap().as_ptr(), literal.as_ptr());

    frame.head = Bytes::from_static(b"(x {6}");
    assert!(Lexer::new(&frame).skip_value(1).is_err());
    frame.head = Bytes::from_static(b"(x ");
    assert!(Lexer::new(&frame).skip_value(1).is_err());
}

#[test]
fn nesting_is_bounded_and_parentheses_in_strings_do_not_count() {
    let frame = lex(r#"(("((" (a) b))"#);
    assert!(Lexer::new(&frame).skip_value(3).is_ok());
    let error = Lexer::new(&frame).skip_value(2).unwrap_err();
    assert_eq!(error.reason, Reason::Nesting(2));
    assert!(error.is_limit());
}

#[test]
fn an_open_value_is_an_error() {
    for text in ["(", "(a", "((a)", "", ")", " "] {
        assert!(Lexer::new(&lex(text)).skip_value(9).is_err(), "{text:?}");
    }
}

#[test]
fn numbers_are_checked() {
    let read = |text| Lexer::new(&lex(text)).number_u32();
    assert_eq!(read("4294967295 "), Ok(u32::MAX));
    assert!(read("4294967296").is_err());
    assert!(read("x").is_err());
    let read = |text| Lexer::new(&lex(text)).number_u64();
    assert_eq!(read("18446744073709551615"), Ok(u64::MAX));
    assert!(read("18446744073709551616").is_err());
}

#[test]
fn nil_is_a_whole_atom() {
    assert_eq!(Lexer::new(&lex("nil)")).nstring(), Ok(NString::Nil));
    assert!(Lexer::new(&lex("NILS")).nstring().is_err());
    assert_eq!(Lexer::new(&lex("NILS")).astring().unwrap(), "NILS");
}

#[test]
fn the_open_literal_ends_the_frame() {
    let frame = Frame {
        head: Bytes::from_static(b"{70000}"),
        rest: vec![],
        open_literal: Some(70_000),
    };
    let mut lexer = Lexer::new(&frame);
    assert!(!lexer.at_end());
    assert!(lexer.clone().string().is_err());
    assert_eq!(lexer.nstring(), Ok(NString::Open(70_000)));
    assert!(lexer.at_end());
}

#[test]
fn announcements() {
    assert_eq!(announcement(b"a {12}"), Some((2, 12)));
    assert_eq!(announcement(b"~{12+}"), Some((0, 12)));
    assert_eq!(announcement(b"{012}"), Some((0, 12)));
    for text in [
        &b""[..],
        b"}",
        b"{}",
        b"{+}",
        b"12}",
        b"{1}x",
        b"{18446744073709551616}",
    ] {
        assert_eq!(announcement(text), None, "{}", text.escape_ascii());
    }
}
