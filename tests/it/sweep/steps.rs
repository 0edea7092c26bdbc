//! The session: its calls, one after the other.

use mailpool::{Append, Error, Flag, ImapClient, Query, Store};
use mailpool_test_server::{Message, Store as Mail};

use crate::scripted::body;
use crate::support::{USER, message};
use crate::threads::{uid, uids};

/// One call of the session.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// The verb of its command, and what else tells it in the server's log.
    pub(super) command: (&'static str, &'static str),
    /// Whether it is carried out again by itself after a broken connection.
    pub(super) repeatable: bool,
    /// Makes the call. A wrong result panics.
    pub(super) run: fn(&ImapClient) -> Result<(), Error>,
    /// How often it was carried out, as far as the mail of the user shows it.
    pub(super) done: Option<fn(&Mail, &str) -> usize>,
}

pub(super) const STEPS: [Step; 7] = [
    Step {
        name: "select",
        command: ("SELECT", ""),
        repeatable: true,
        run: |client| {
            let info = client.mailbox("INBOX").select()?;
            assert_eq!(info.exists, 2);
            Ok(())
        },
        done: None,
    },
    Step {
        name: "search",
        command: ("UID SEARCH", ""),
        repeatable: true,
        run: |client| {
            let found = client.mailbox("INBOX").search(Query::all())?;
            assert_eq!(found.len(), 2);
            assert!(found.contains(uid(1)) && found.contains(uid(2)));
            Ok(())
        },
        done: None,
    },
    Step {
        name: "fetch",
        command: ("UID FETCH", ""),
        repeatable: true,
        run: |client| {
            let mut count = 0;
            let items = body().flags().envelope();
            for fetched in client.mailbox("INBOX").fetch(uids(1, 2), items)? {
                let fetched = fetched?;
                assert_eq!(fetched.uid().get() as usize, count + 1);
                let is_draft = fetched.flags().unwrap().contains(&Flag::Draft);
                assert_eq!(is_draft, count == 0);
                let subject = fetched.envelope().unwrap().unwrap().subject.clone();
                assert_eq!(subject.unwrap(), *format!("message {count}"));
                let bytes = fetched.into_body().unwrap().into_bytes()?;
                assert_eq!(bytes, message(count));
                count += 1;
            }
            assert_eq!(count, 2, "messages were lost without a word");
            Ok(())
        },
        done: None,
    },
    Step {
        name: "append",
        command: ("APPEND", ""),
        repeatable: false,
        run: |client| {
            let appended = client.mailbox("INBOX").append(Append::new(message(2)))?;
            assert_eq!(appended.unwrap().uids.ranges(), [(uid(3), uid(3))]);
            Ok(())
        },
        done: Some(|mail, user| {
            let messages = mail.messages(user, "INBOX");
            let appended = messages.iter().filter(|one| one.bytes() == message(2));
            assert_eq!(messages.len(), 2 + appended.clone().count(), "half of it");
            appended.count()
        }),
    },
    Step {
        name: "add a flag",
        command: ("UID STORE", "+FLAGS"),
        repeatable: true,
        run: |client| {
            let store = Store::add(Flag::Flagged);
            let outcome = client.mailbox("INBOX").store([uid(2)], store)?;
            assert_eq!(outcome.updated.len(), 1);
            assert!(outcome.updated[0].flags.contains(&Flag::Flagged));
            Ok(())
        },
        done: Some(|mail, user| usize::from(flags(mail, user, 2) == ["\\Flagged"])),
    },
    Step {
        name: "replace flags",
        command: ("UID STORE", " FLAGS"),
        repeatable: false,
        run: |client| {
            let store = Store::replace(Flag::Answered);
            let outcome = client.mailbox("INBOX").store([uid(1)], store)?;
            assert_eq!(outcome.updated.len(), 1);
            assert!(outcome.updated[0].flags.contains(&Flag::Answered));
            Ok(())
        },
        done: Some(|mail, user| match flags(mail, user, 1) {
            replaced if replaced == ["\\Answered"] => 1,
            left => {
                assert_eq!(left, ["\\Draft"]);
                0
            }
        }),
    },
    Step {
        name: "copy",
        command: ("UID COPY", ""),
        repeatable: false,
        run: |client| {
            let copied = client.mailbox("INBOX").copy([uid(2)], "Archive")?.unwrap();
            assert!(copied.pairs().eq([(uid(2), uid(1))]));
            Ok(())
        },
        done: Some(|mail, user| mail.messages(user, "Archive").len()),
    },
];

pub(super) fn flags(mail: &Mail, user: &str, uid: u32) -> Vec<String> {
    mail.message(user, "INBOX", uid).unwrap().flags
}

/// Adds a user with fresh mail. Nothing that the server says depends on the number.
pub(super) fn add_user(mail: &Mail, user: &str) {
    mail.add_user(user, USER.1);
    mail.append(user, "INBOX", Message::new(message(0)).flag("\\Draft"));
    mail.append(user, "INBOX", Message::new(message(1)));
    mail.create_mailbox(user, "Archive");
    for (mailbox, validity) in [("INBOX", 7), ("Archive", 8)] {
        mail.set_uid_validity(user, mailbox, validity);
    }
}
