//! What the tests that use the corpus rely on.

use std::collections::HashSet;

use mailpool_test_corpus::{mailbox_names, nasty, plain};

#[test]
fn there_are_well_over_a_hundred_nasty_messages_with_names_of_their_own() {
    let messages = nasty();
    assert!(messages.len() >= 120, "{}", messages.len());
    let names: HashSet<&str> = messages.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names.len(), messages.len());
    let contents: HashSet<&[u8]> = messages.iter().map(|m| m.bytes.as_slice()).collect();
    assert_eq!(contents.len(), messages.len());
}

#[test]
fn nasty_messages_can_be_stored() {
    for message in nasty() {
        assert!(!message.bytes.is_empty(), "{}", message.name);
        assert!(!message.bytes.contains(&0), "{}", message.name);
        assert!(message.bytes.len() < 4_000_000, "{}", message.name);
    }
}

#[test]
fn the_corpus_is_the_same_every_time() {
    assert_eq!(nasty(), nasty());
    assert!(plain(50, 3).eq(plain(50, 3)));
    assert!(plain(50, 3).ne(plain(50, 4)));
    // A longer run begins like a shorter one.
    assert!(plain(100, 3).take(50).eq(plain(50, 3)));
}

#[test]
fn plain_messages_have_the_sizes_of_mail() {
    let mut sizes: Vec<usize> = plain(2_000, 1).map(|m| m.len()).collect();
    sizes.sort_unstable();
    let (median, largest) = (sizes[1_000], sizes[1_999]);
    assert!((5_000..9_000).contains(&median), "{median}");
    assert!((50_000..300_000).contains(&largest), "{largest}");

    let sizes: Vec<usize> = plain(2_000, 1).with_tail().map(|m| m.len()).collect();
    let large = sizes.iter().filter(|&&size| size > 500_000).count();
    assert!((2..40).contains(&large), "{large}");
    assert!(sizes.iter().all(|&size| size < 2_200_000));
}

#[test]
fn plain_messages_end_their_lines_as_mail_does_and_differ() {
    let messages: Vec<Vec<u8>> = plain(300, 9).collect();
    for message in &messages {
        assert!(message.ends_with(b"\r\n"));
        let newlines = message.iter().filter(|&&byte| byte == b'\n').count();
        let ends = message.windows(2).filter(|pair| pair == b"\r\n").count();
        assert_eq!(newlines, ends);
    }
    assert_eq!(messages.iter().collect::<HashSet<_>>().len(), 300);
}

#[test]
fn mailbox_names_differ_and_parents_come_first() {
    let names = mailbox_names();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    for (index, name) in names.iter().enumerate() {
        let later = names.get(index + 1..).unwrap_or_default();
        assert!(
            !later
                .iter()
                .any(|other| name.starts_with(&format!("{other}/")))
        );
    }
}
