//! COPY and MOVE (RFC 6851), with COPYUID (RFC 4315).

use std::io;
use std::sync::Arc;

use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::sequence::SequenceSet;

use super::encode::number_set;
use super::mailboxes::name_of;
use super::session::{Outcome, Session};
use crate::store::mailbox::{self, Stored};

impl Session {
    pub(super) fn copy(
        &mut self,
        set: &SequenceSet,
        mailbox: &Mailbox<'_>,
        uid: bool,
    ) -> io::Result<Outcome> {
        let (source, target, uids) = match self.ends(set, mailbox, uid) {
            Ok(ends) => ends,
            Err(outcome) => return Ok(outcome),
        };
        let messages: Vec<Stored> = source.read(|contents| {
            uids.iter()
                .filter_map(|&uid| contents.find(uid).cloned())
                .collect()
        });
        let code = self.put(&target, &messages);
        Ok(Outcome::Ok(format!("{code}COPY completed")))
    }

    pub(super) fn move_messages(
        &mut self,
        set: &SequenceSet,
        mailbox: &Mailbox<'_>,
        uid: bool,
    ) -> io::Result<Outcome> {
        let read_only = self
            .selected
            .as_ref()
            .is_some_and(|selected| selected.read_only);
        if read_only {
            return Outcome::no("[CANNOT] Mailbox is read-only");
        }
        let (source, target, uids) = match self.ends(set, mailbox, uid) {
            Ok(ends) => ends,
            Err(outcome) => return Ok(outcome),
        };
        // Taken out first, so that of two sessions that move a message only one has it.
        let messages =
            source.change(|contents| contents.remove(|message| uids.contains(&message.uid)));
        let code = self.put(&target, &messages);
        if !code.is_empty() {
            self.line(&format!("* OK {code}Moved"));
        }
        Outcome::ok("MOVE completed")
    }

    /// Source, target, and the UIDs of the messages; or why there is nothing to do.
    #[allow(clippy::type_complexity)] // three things, used twice
    fn ends(
        &self,
        set: &SequenceSet,
        mailbox: &Mailbox<'_>,
        uid: bool,
    ) -> Result<(Arc<mailbox::Mailbox>, Arc<mailbox::Mailbox>, Vec<u32>), Outcome> {
        let bad = |text: &str| Outcome::Bad(text.to_owned());
        let no = |text: &str| Outcome::No(text.to_owned());
        let Some(selected) = &self.selected else {
            return Err(bad("No mailbox selected"));
        };
        let Some(places) = selected.resolve(set, uid) else {
            return Err(bad("Invalid message sequence number"));
        };
        let name = name_of(mailbox).ok_or_else(|| no("[CANNOT] Not modified UTF-7"))?;
        let user = self.user.clone().unwrap_or_default();
        let Some(target) = self.hub.store.existing(&user, &name) else {
            return Err(no("[TRYCREATE] No such mailbox"));
        };
        let uids = places
            .iter()
            .filter_map(|&place| selected.known.get(place))
            .map(|known| known.uid)
            .collect();
        Ok((Arc::clone(&selected.mailbox), target, uids))
    }

    /// Puts messages into a mailbox; returns the COPYUID code, or nothing if there is none.
    fn put(&self, target: &mailbox::Mailbox, messages: &[Stored]) -> String {
        let (uid_validity, new): (u32, Vec<u32>) = target.change(|contents| {
            let new = messages
                .iter()
                .map(|message| contents.append(&message.as_message()))
                .collect();
            (contents.uid_validity, new)
        });
        if new.is_empty() || !self.has("UIDPLUS") {
            return String::new();
        }
        let old: Vec<u32> = messages.iter().map(|message| message.uid).collect();
        format!(
            "[COPYUID {uid_validity} {} {}] ",
            number_set(&old),
            number_set(&new)
        )
    }
}
