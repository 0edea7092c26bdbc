//! The mail of the server: users, their mailboxes, and messages. Protocols are a view of it.

mod delivery;
pub(crate) mod mailbox;
mod maildir;
pub(crate) mod message;
pub(crate) mod synthetic;
mod user;

use std::collections::BTreeMap;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use delivery::{Delivery, Digest, Path};
pub use mailbox::StoredMessage;
pub use message::Message;
pub use synthetic::Synthetic;

use delivery::DeliveryBoard;
pub(crate) use delivery::{Accepted, Body};
use mailbox::Mailbox;
use message::canonical_flag;
pub(crate) use user::User;

/// The delimiter of the mailbox hierarchy.
pub(crate) const DELIMITER: char = '/';

/// The mail of a server, as tests fill it, look at it and change it while sessions run.
///
/// Changes are announced to the sessions that have the mailbox selected. Mailbox names are given
/// decoded (`Entwürfe`), whatever their form on the wire. A user or mailbox that a method names
/// is created if need be.
#[derive(Clone, Debug, Default)]
pub struct Store {
    users: Arc<Mutex<BTreeMap<String, User>>>,
    deliveries: Arc<DeliveryBoard>,
}

impl Store {
    /// Adds a user, or changes the password of one. Every user has an INBOX.
    pub fn add_user(&self, name: &str, password: &str) {
        self.user(name, |user| user.password = password.to_owned());
    }

    /// Sets the access token that a user logs in with (OAUTHBEARER, XOAUTH2); any other one is
    /// refused. At first there is none.
    pub fn set_token(&self, name: &str, token: &str) {
        self.user(name, |user| user.token = Some(token.to_owned()));
    }

    /// Creates a mailbox and the levels above it.
    pub fn create_mailbox(&self, user: &str, mailbox: &str) {
        self.mailbox(user, mailbox);
    }

    /// Gives a mailbox a special use, such as `\Sent` (RFC 6154).
    pub fn set_special_use(&self, user: &str, mailbox: &str, special_use: &str) {
        self.mailbox(user, mailbox);
        self.user(user, |user| {
            if let Some(folder) = user.folder_mut(mailbox) {
                folder.special_use = Some(special_use.to_owned());
            }
        });
    }

    /// Adds a message; returns its UID.
    pub fn append(&self, user: &str, mailbox: &str, message: impl Into<Message>) -> u32 {
        let message = message.into();
        self.mailbox(user, mailbox)
            .change(|contents| contents.append(&message))
    }

    /// Adds the messages of a Maildir (`cur` and `new`), with the flags and times of the files,
    /// and those of its Maildir++ folders as mailboxes below `mailbox`. The files are read when
    /// they are asked for, and never changed. Returns how many messages there were.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn add_maildir(&self, user: &str, mailbox: &str, path: &FilePath) -> io::Result<usize> {
        let mut count = 0;
        for (folder, messages) in maildir::read(path)? {
            let name = match (folder.is_empty(), mailbox.eq_ignore_ascii_case("INBOX")) {
                (true, _) => mailbox.to_owned(),
                (false, true) => folder,
                (false, false) => format!("{mailbox}{DELIMITER}{folder}"),
            };
            count += messages.len();
            self.mailbox(user, &name).change(|contents| {
                for message in &messages {
                    contents.append(message);
                }
            });
        }
        Ok(count)
    }

    /// Removes a message; returns whether it was there.
    pub fn expunge(&self, user: &str, mailbox: &str, uid: u32) -> bool {
        let removed = self
            .mailbox(user, mailbox)
            .change(|contents| contents.remove(|message| message.uid == uid));
        !removed.is_empty()
    }

    /// Replaces the flags of a message; returns whether the message is there.
    pub fn set_flags(&self, user: &str, mailbox: &str, uid: u32, flags: &[&str]) -> bool {
        self.mailbox(user, mailbox).change(|contents| {
            contents.change_flags(uid, |all| {
                *all = flags.iter().map(|flag| canonical_flag(flag)).collect();
            });
            contents.find(uid).is_some()
        })
    }

    /// The messages of a mailbox, in the order of their UIDs.
    #[must_use]
    pub fn messages(&self, user: &str, mailbox: &str) -> Vec<StoredMessage> {
        self.existing(user, mailbox)
            .map(|mailbox| {
                mailbox.read(|contents| contents.messages.iter().map(StoredMessage::of).collect())
            })
            .unwrap_or_default()
    }

    /// One message of a mailbox.
    #[must_use]
    pub fn message(&self, user: &str, mailbox: &str, uid: u32) -> Option<StoredMessage> {
        self.existing(user, mailbox)?
            .read(|contents| contents.find(uid).map(StoredMessage::of))
    }

    /// The names of a user's mailboxes.
    #[must_use]
    pub fn mailboxes(&self, user: &str) -> Vec<String> {
        self.user(user, |user| user.names())
    }

    /// The names that a user has subscribed to.
    #[must_use]
    pub fn subscriptions(&self, user: &str) -> Vec<String> {
        self.user(user, |user| user.subscriptions.iter().cloned().collect())
    }

    /// The UIDVALIDITY of a mailbox.
    #[must_use]
    pub fn uid_validity(&self, user: &str, mailbox: &str) -> u32 {
        self.mailbox(user, mailbox)
            .read(|contents| contents.uid_validity)
    }

    /// Sets the UIDVALIDITY of a mailbox. Sessions that have it selected are not told, as a
    /// mailbox cannot change it while it is selected: select it anew.
    pub fn set_uid_validity(&self, user: &str, mailbox: &str, uid_validity: u32) {
        self.mailbox(user, mailbox)
            .change(|contents| contents.uid_validity = uid_validity);
    }

    /// The UID that the next message will get.
    #[must_use]
    pub fn uid_next(&self, user: &str, mailbox: &str) -> u32 {
        self.mailbox(user, mailbox)
            .read(|contents| contents.uid_next)
    }

    /// Raises the UID that the next message will get. A lower one is passed over.
    pub fn set_uid_next(&self, user: &str, mailbox: &str, uid_next: u32) {
        self.mailbox(user, mailbox)
            .change(|contents| contents.uid_next = contents.uid_next.max(uid_next));
    }

    /// The highest modification sequence of a mailbox.
    #[must_use]
    pub fn highest_modseq(&self, user: &str, mailbox: &str) -> u64 {
        self.mailbox(user, mailbox)
            .read(|contents| contents.highest_modseq)
    }

    /// The messages accepted so far by way of SMTP or LMTP, in the order of acceptance, whether or
    /// not their clients heard of it. Where a server uses the store of one that is gone, those of
    /// both.
    ///
    /// A session that outlives its connection can add one: wait until
    /// [`Counters::sessions`](crate::Counters::sessions) is zero, or drop the server, if the list
    /// is to be final.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.list()
    }

    /// Blocks until so many messages have been accepted, at most for `timeout`; returns those
    /// that there are then.
    #[must_use]
    pub fn wait_for_deliveries(&self, count: usize, timeout: Duration) -> Vec<Delivery> {
        self.deliveries.wait(count, timeout)
    }

    /// Forgets the messages accepted so far. What got into a user's INBOX stays there.
    pub fn clear_deliveries(&self) {
        self.deliveries.clear();
    }

    /// Accepts a message: the moment from which on it is delivered. Returns its number.
    pub(crate) fn deliver(&self, accepted: Accepted) -> u64 {
        let message = accepted.body.message();
        let inboxes: Vec<String> = accepted
            .recipients
            .iter()
            .filter_map(|path| self.local_user(&path.address))
            .collect();
        let order = self.deliveries.add(accepted);
        for user in inboxes {
            let inbox = self.existing(&user, "INBOX");
            if let (Some(inbox), Some(message)) = (inbox, &message) {
                inbox.change(|contents| contents.append(message));
            }
        }
        order
    }

    /// What was said about a message has been written.
    pub(crate) fn delivery_answered(&self, order: u64) {
        self.deliveries.answered(order);
    }

    /// The user whom an address names, by its local part or as a whole.
    pub(crate) fn local_user(&self, address: &str) -> Option<String> {
        let users = self.users.lock();
        let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
        [address, local]
            .into_iter()
            .find(|name| users.contains_key(*name))
            .map(str::to_owned)
    }

    pub(crate) fn password(&self, name: &str) -> Option<String> {
        let users = self.users.lock();
        users.get(name).map(|user| user.password.clone())
    }

    pub(crate) fn token(&self, name: &str) -> Option<String> {
        self.users.lock().get(name)?.token.clone()
    }

    pub(crate) fn check_password(&self, name: &str, password: &str) -> bool {
        self.users
            .lock()
            .get(name)
            .is_some_and(|user| user.password == password)
    }

    /// Does something with a user, who is created if need be.
    pub(crate) fn user<T>(&self, name: &str, act: impl FnOnce(&mut User) -> T) -> T {
        act(self.users.lock().entry(name.to_owned()).or_default())
    }

    pub(crate) fn existing(&self, user: &str, mailbox: &str) -> Option<Arc<Mailbox>> {
        self.users.lock().get(user)?.mailbox(mailbox)
    }

    fn mailbox(&self, user: &str, mailbox: &str) -> Arc<Mailbox> {
        self.user(user, |user| user.ensure(mailbox))
    }
}
