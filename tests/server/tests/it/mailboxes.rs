use std::fs;

use mailpool_test_server::Message;

use crate::client::{Client, builder};

#[test]
fn select_tells_what_is_there() {
    let server = builder().start().unwrap();
    let mut client = Client::logged_in(&server);
    let validity = server.store().uid_validity("alice", "INBOX");
    let answer = client.command("SELECT inbox");
    for line in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft urgent)",
        "* 3 EXISTS",
        "* 3 RECENT",
        "* OK [UNSEEN 2] First unseen",
        &format!("* OK [UIDVALIDITY {validity}] UIDs valid"),
        "* OK [UIDNEXT 4] Predicted next UID",
        "* OK [HIGHESTMODSEQ 4] Highest",
        "OK [READ-WRITE] SELECT completed",
    ] {
        assert!(
            answer.iter().any(|other| other == line),
            "{line} in {answer:?}"
        );
    }
    let again = client.command("EXAMINE INBOX");
    assert!(again.contains(&"* 0 RECENT".to_owned()));
    assert!(again.last().unwrap().starts_with("OK [READ-ONLY]"));
    assert_eq!(server.connections()[0].mailbox.as_deref(), Some("INBOX"));
    assert!(
        client
            .tagged("SELECT Missing")
            .starts_with("NO [NONEXISTENT]")
    );
    assert!(client.tagged("FETCH 1 UID").starts_with("BAD"));
}

#[test]
fn the_tree_of_mailboxes() {
    let server = builder()
        .special_use("alice", "Sent", "\\Sent")
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("CREATE Work/2024/");
    client.ok("CREATE \"Entw&APw-rfe\"");
    assert!(
        client
            .tagged("CREATE Work")
            .starts_with("NO [ALREADYEXISTS]")
    );
    assert!(client.tagged("CREATE \"&AP\"").starts_with("NO"));
    assert_eq!(
        client.ok("LIST \"\" *"),
        [
            "* LIST (\\HasNoChildren) \"/\" Entw&APw-rfe",
            "* LIST (\\HasNoChildren) \"/\" INBOX",
            "* LIST (\\HasNoChildren \\Sent) \"/\" Sent",
            "* LIST (\\HasChildren) \"/\" Work",
            "* LIST (\\HasNoChildren) \"/\" Work/2024",
        ]
    );
    assert_eq!(
        client.ok("LIST Work/ %"),
        ["* LIST (\\HasNoChildren) \"/\" Work/2024"]
    );
    assert_eq!(
        client.ok("LIST \"\" \"\""),
        ["* LIST (\\Noselect) \"/\" \"\""]
    );
    assert!(
        server
            .store()
            .mailboxes("alice")
            .contains(&"Entw\u{fc}rfe".to_owned())
    );

    client.ok("DELETE Work");
    assert_eq!(
        client.ok("LIST \"\" Work"),
        ["* LIST (\\Noselect \\HasChildren) \"/\" Work"]
    );
    assert!(client.tagged("SELECT Work").starts_with("NO"));
    assert!(client.tagged("DELETE Work").starts_with("NO [HASCHILDREN]"));
    assert!(client.tagged("DELETE INBOX").starts_with("NO"));
    client.ok("RENAME Work Archive/Work");
    assert_eq!(client.ok("LIST \"\" Archive/*").len(), 2);

    client.ok("RENAME INBOX Old");
    assert_eq!(server.store().messages("alice", "Old").len(), 3);
    assert_eq!(server.store().messages("alice", "INBOX").len(), 0);
    assert_eq!(
        client.ok("NAMESPACE"),
        ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]
    );
}

#[test]
fn subscriptions_outlive_their_mailboxes() {
    let server = builder()
        .mailbox("alice", "a/b", [] as [Message; 0])
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("SUBSCRIBE a/b");
    assert!(client.tagged("SUBSCRIBE Missing").starts_with("NO"));
    client.ok("DELETE a/b");
    assert_eq!(client.ok("LSUB \"\" *"), ["* LSUB () \"/\" a/b"]);
    assert_eq!(client.ok("LSUB \"\" %"), ["* LSUB (\\Noselect) \"/\" a"]);
    client.ok("UNSUBSCRIBE a/b");
    assert_eq!(client.ok("LSUB \"\" *"), [] as [&str; 0]);
}

#[test]
fn status_of_a_mailbox() {
    let server = builder().start().unwrap();
    let mut client = Client::logged_in(&server);
    let validity = server.store().uid_validity("alice", "INBOX");
    assert_eq!(
        client.ok("STATUS INBOX (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"),
        [format!(
            "* STATUS INBOX (MESSAGES 3 UNSEEN 2 UIDNEXT 4 UIDVALIDITY {validity} HIGHESTMODSEQ 4)"
        )]
    );
    assert!(client.tagged("STATUS Missing (MESSAGES)").starts_with("NO"));
}

#[test]
fn close_expunges_and_unselect_does_not() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.ok("UNSELECT");
    assert_eq!(server.store().messages("alice", "INBOX").len(), 3);
    assert!(client.tagged("CHECK").starts_with("BAD"));
    client.ok("SELECT INBOX");
    assert_eq!(client.ok("CLOSE"), [] as [&str; 0]);
    assert_eq!(server.store().messages("alice", "INBOX").len(), 2);
}

#[test]
fn a_maildir_is_served() {
    let dir = std::env::temp_dir().join(format!("mailpool-maildir-{}", std::process::id()));
    for part in ["cur", "new", ".Sub.Deep/cur"] {
        fs::create_dir_all(dir.join(part)).unwrap();
    }
    fs::write(dir.join("cur/1.a:2,FS"), "Subject: one\n\nbody\n").unwrap();
    fs::write(dir.join("new/2.b"), "Subject: two\r\n\r\nbody\r\n").unwrap();
    fs::write(dir.join(".Sub.Deep/cur/3.c:2,"), "x").unwrap();
    let server = mailpool_test_server::Server::builder()
        .user("alice", "secret")
        .maildir("alice", "INBOX", &dir)
        .start()
        .unwrap();
    let mut client = Client::selected(&server);
    assert_eq!(
        client.ok("FETCH 1:2 (FLAGS RFC822.SIZE)"),
        [
            "* 1 FETCH (FLAGS (\\Flagged \\Seen \\Recent) RFC822.SIZE 22)",
            "* 2 FETCH (FLAGS (\\Recent) RFC822.SIZE 22)",
        ]
    );
    assert_eq!(
        client.ok("FETCH 1 BODY.PEEK[]"),
        ["* 1 FETCH (BODY[] {22}\r\nSubject: one\r\n\r\nbody\r\n)"]
    );
    assert_eq!(
        server.store().mailboxes("alice"),
        ["INBOX", "Sub", "Sub/Deep"]
    );
    fs::remove_dir_all(dir).unwrap();
}
