use mailpool_test_server::Message;

use crate::client::{Client, SECOND, builder};

#[test]
fn changes_of_others_are_told_at_the_proper_moments() {
    let server = builder().start().unwrap();
    let mut one = Client::selected(&server);
    let mut two = Client::selected(&server);
    two.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    two.ok("EXPUNGE");
    two.ok("STORE 2 +FLAGS.SILENT (work)");
    server
        .store()
        .append("alice", "INBOX", Message::text("four", "4"));

    // No EXPUNGE during FETCH, STORE and SEARCH by number; the rest may come.
    assert_eq!(
        one.ok("SEARCH ALL"),
        [
            "* SEARCH 1 3",
            "* 3 FETCH (FLAGS (urgent work \\Recent))",
            "* 4 EXISTS",
            "* 4 RECENT",
        ]
    );
    assert_eq!(
        one.command("FETCH 1:3 UID"),
        [
            "* 1 FETCH (UID 1)",
            "* 3 FETCH (UID 3)",
            "OK [EXPUNGEISSUED] Some of the messages are gone",
        ]
    );
    assert_eq!(one.ok("STORE 1 FLAGS.SILENT ()"), [] as [&str; 0]);
    assert_eq!(one.ok("NOOP"), ["* 2 EXPUNGE"]);
    assert_eq!(one.ok("NOOP"), [] as [&str; 0]);
    assert_eq!(one.ok("FETCH 2 UID"), ["* 2 FETCH (UID 3)"]);
}

#[test]
fn the_uid_forms_may_tell_an_expunge() {
    let server = builder().start().unwrap();
    let mut one = Client::selected(&server);
    assert!(server.store().expunge("alice", "INBOX", 1));
    assert_eq!(
        one.ok("UID FETCH 3 UID"),
        ["* 3 FETCH (UID 3)", "* 1 EXPUNGE"]
    );
}

#[test]
fn condstore_adds_modseq_to_what_is_told() {
    let server = builder().start().unwrap();
    let mut one = Client::logged_in(&server);
    one.ok("SELECT INBOX (CONDSTORE)");
    server.store().set_flags("alice", "INBOX", 2, &["\\seen"]);
    let modseq = server.store().highest_modseq("alice", "INBOX");
    assert_eq!(
        one.ok("NOOP"),
        [format!(
            "* 2 FETCH (FLAGS (\\Seen \\Recent) UID 2 MODSEQ ({modseq}))"
        )]
    );
}

#[test]
fn idle_tells_changes_as_they_come() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    let tag = client.begin("IDLE");
    assert_eq!(client.line(), "+ idling");
    server.store().append("alice", "INBOX", "x");
    assert_eq!(client.line(), "* 4 EXISTS");
    assert_eq!(client.line(), "* 4 RECENT");
    server.store().expunge("alice", "INBOX", 2);
    assert_eq!(client.line(), "* 2 EXPUNGE");
    assert!(server.wait_until(SECOND, |counters| counters.idling == 1));
    assert!(server.connections()[0].idling);
    client.send("DONE\r\n");
    assert_eq!(client.until(&tag), ["OK IDLE terminated"]);
    assert!(server.wait_until(SECOND, |counters| counters.idling == 0));

    let tag = client.begin("IDLE");
    client.line();
    client.send("x NOOP\r\n");
    assert!(client.until(&tag)[0].starts_with("BAD"));
}

#[test]
fn what_happens_between_two_idles_is_told_at_the_next() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    let tag = client.begin("IDLE");
    client.line();
    client.send("DONE\r\n");
    client.until(&tag);
    server.store().append("alice", "INBOX", "x");
    client.begin("IDLE");
    assert_eq!(client.line(), "+ idling");
    assert_eq!(client.line(), "* 4 EXISTS");
}

#[test]
fn two_sessions_that_move_the_same_message_do_not_double_it() {
    let server = builder()
        .mailbox("alice", "Archive", [] as [Message; 0])
        .start()
        .unwrap();
    let mut one = Client::selected(&server);
    let mut two = Client::selected(&server);
    one.ok("UID MOVE 1:2 Archive");
    assert_eq!(
        two.ok("UID MOVE 1:2 Archive"),
        ["* 1 EXPUNGE", "* 1 EXPUNGE"]
    );
    assert_eq!(server.store().messages("alice", "Archive").len(), 2);
}
