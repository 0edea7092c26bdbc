//! Twice the input takes about twice the work.
//!
//! Nothing is timed here: the inputs are so long that a reader whose work grows with the square
//! of their length would not come to its end in any test run.

use super::*;

/// Reads a response of eight times `length`.
fn assert_read(length: usize, wire: impl Fn(usize) -> Vec<u8>) {
    let long = frame(&wire(8 * length));
    // The stack of connection threads: see the nesting test of the structures.
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    std::thread::scope(|scope| {
        let reader = thread.spawn_scoped(scope, || {
            let limits = Limits::default().max_list_items(usize::MAX);
            drop(parse(&long, &limits));
        });
        reader.unwrap().join().unwrap();
    });
}

#[test]
fn a_search_of_a_million_numbers() {
    let numbers: Vec<String> = (1..=1_000_000_u32).map(|n| n.to_string()).collect();
    let frame = Frame::line(format!("* SEARCH {}", numbers.join(" ")));
    let Ok(Response::Untagged(Untagged::Search { numbers, .. })) =
        parse(&frame, &Limits::default())
    else {
        panic!("SEARCH");
    };
    assert_eq!(numbers.ranges(), [(1, 1_000_000)]);
}

#[test]
fn searches_are_linear_in_any_order() {
    let number = |n: u32| (n.wrapping_mul(2_654_435_761) | 1).to_string();
    assert_read(100_000, |length| {
        let numbers: Vec<String> = (0..length as u32).map(number).collect();
        format!("* SEARCH {}", numbers.join(" ")).into_bytes()
    });
}

#[test]
fn literals_are_linear() {
    assert_read(20_000, |length| {
        format!("* 1 FETCH (X ({}))", "{0}\r\n ".repeat(length)).into_bytes()
    });
    assert_read(5_000, |length| {
        format!("* 1 FETCH ({})", "BODY[] {0}\r\n ".repeat(length)).into_bytes()
    });
    assert_read(5_000, |length| {
        let address = "(NIL NIL {1}\r\na {1}\r\nb)".repeat(length);
        format!("* 1 FETCH (ENVELOPE (NIL NIL ({address}) NIL NIL NIL NIL NIL NIL NIL))")
            .into_bytes()
    });
}

#[test]
fn structures_are_linear_even_if_they_are_not_understood() {
    let part = "(\"TEXT\" \"PLAIN\" (\"A\" \"B\") NIL NIL \"7BIT\" 1 1)";
    assert_read(2_000, |length| {
        format!(
            "* 1 FETCH (BODYSTRUCTURE ({} \"MIXED\"))",
            part.repeat(length)
        )
        .into_bytes()
    });
    assert_read(2_000, |length| {
        format!("* 1 FETCH (BODYSTRUCTURE ({} 7))", part.repeat(length)).into_bytes()
    });
    let message =
        "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 1 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ";
    for leaf in ["(\"A\" \"B\" NIL NIL NIL \"7BIT\" 1)", "(\"A\" 1)"] {
        assert_read(8, |levels| {
            let end = " 1)".repeat(levels);
            let structure = [&message.repeat(levels), leaf, &end].concat();
            format!("* 1 FETCH (BODYSTRUCTURE {structure})").into_bytes()
        });
    }
}

#[test]
fn escapes_and_unknown_attributes_are_linear() {
    assert_read(100_000, |length| {
        format!("* 1 FETCH (BODY[] \"{}\")", "\\\"a".repeat(length)).into_bytes()
    });
    assert_read(20_000, |length| {
        format!("* 1 FETCH ({})", "INTERNALDATE NIL ".repeat(length)).into_bytes()
    });
    assert_read(100_000, |length| {
        format!("* 1 FETCH (X {}{})", "(".repeat(length), ")".repeat(length)).into_bytes()
    });
}
