//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.

use std::io;

use imap_codec::imap_types::mailbox::Mailbox;

use super::session::{Outcome, Session};
use super::utf7;
use crate::store::User;

/// The decoded name; `None` if it is not modified UTF-7.
pub(super) fn name_of(mailbox: &Mailbox<'_>) -> Option<String> {
    match mailbox {
        Mailbox::Inbox => Some("INBOX".to_owned()),
        Mailbox::Other(other) => utf7::decode(other.as_ref()),
    }
}

impl Session {
    pub(super) fn create(&mut self, mailbox: &Mailbox<'_>) -> io::Result<Outcome> {
        self.change_folders(&[mailbox], "CREATE completed", |user, names| match names {
            [name] => user.create(name),
            _ => Err("No name"),
        })
    }

    pub(super) fn delete(&mut self, mailbox: &Mailbox<'_>) -> io::Result<Outcome> {
        self.change_folders(&[mailbox], "DELETE completed", |user, names| match names {
            [name] => user.delete(name),
            _ => Err("No name"),
        })
    }

    pub(super) fn rename(&mut self, from: &Mailbox<'_>, to: &Mailbox<'_>) -> io::Result<Outcome> {
        self.change_folders(&[from, to], "RENAME completed", |user, names| match names {
            [from, to] => user.rename(from, to),
            _ => Err("No name"),
        })
    }

    pub(super) fn subscribe(
        &mut self,
        mailbox: &Mailbox<'_>,
        subscribe: bool,
    ) -> io::Result<Outcome> {
        let done = if subscribe {
            "SUBSCRIBE completed"
        } else {
            "UNSUBSCRIBE completed"
        };
        self.change_folders(&[mailbox], done, |user, names| {
            for name in names {
                if !subscribe {
                    user.subscriptions.remove(name);
                } else if user.mailbox(name).is_some() {
                    user.subscriptions.insert(name.clone());
                } else {
                    return Err("[NONEXISTENT] No such mailbox");
                }
            }
            Ok(())
        })
    }

    fn change_folders(
        &mut self,
        mailboxes: &[&Mailbox<'_>],
        done: &str,
        change: impl FnOnce(&mut User, &[String]) -> Result<(), &'static str>,
    ) -> io::Result<Outcome> {
        let names: Option<Vec<String>> = mailboxes.iter().map(|mailbox| name_of(mailbox)).collect();
        let Some(names) = names else {
            return Outcome::no("[CANNOT] Not modified UTF-7");
        };
        let user = self.user.clone().unwrap_or_default();
        match self.hub.store.user(&user, |user| change(user, &names)) {
            Ok(()) => Outcome::ok(done),
            Err(text) => Outcome::no(text),
        }
    }
}
