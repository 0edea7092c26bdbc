//! SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE, and STATUS.

use std::collections::BTreeSet;
use std::io;

use imap_codec::imap_types::command::SelectParameter;
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::sequence::SequenceSet;
use imap_codec::imap_types::status::StatusDataItemName;

use super::encode;
use super::mailboxes::name_of;
use super::selected::Selected;
use super::sequence;
use super::session::{Outcome, Session};

const SYSTEM_FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

impl Session {
    pub(super) fn select(
        &mut self,
        mailbox: &Mailbox<'_>,
        parameters: &[SelectParameter],
        read_only: bool,
    ) -> io::Result<Outcome> {
        for parameter in parameters {
            match parameter {
                SelectParameter::CondStore if self.has("CONDSTORE") => self.condstore = true,
                _ => return Outcome::bad("Parameter not supported"),
            }
        }
        if self.selected.is_some() {
            self.deselect();
            if self.rev2 || self.condstore {
                self.line("* OK [CLOSED] Previous mailbox is closed");
            }
        }
        let Some(name) = name_of(mailbox) else {
            return Outcome::no("[CANNOT] Not modified UTF-7");
        };
        let user = self.user.clone().unwrap_or_default();
        let Some(mailbox) = self.hub.store.existing(&user, &name) else {
            return Outcome::no("[NONEXISTENT] No such mailbox");
        };
        mailbox.watch(&self.connection);
        let selected = Selected::new(mailbox, read_only);
        self.tell_selected(&name, &selected);
        self.selected = Some(selected);
        self.connection
            .update_info(|info| info.mailbox = Some(name));
        Outcome::ok(if read_only {
            "[READ-ONLY] EXAMINE completed"
        } else {
            "[READ-WRITE] SELECT completed"
        })
    }

    fn tell_selected(&mut self, name: &str, selected: &Selected) {
        let (flags, unseen, uid_validity, uid_next, modseq) = selected.mailbox.read(|contents| {
            let keywords: BTreeSet<&str> = contents
                .messages
                .iter()
                .flat_map(|message| &message.flags)
                .filter(|flag| !flag.starts_with('\\'))
                .map(String::as_str)
                .collect();
            let mut flags = SYSTEM_FLAGS.to_owned();
            for keyword in keywords {
                flags.push(' ');
                flags.push_str(keyword);
            }
            let unseen = contents
                .messages
                .iter()
                .position(|message| !message.has("\\Seen"));
            (
                flags,
                unseen,
                contents.uid_validity,
                contents.uid_next,
                contents.highest_modseq,
            )
        });
        self.line(&format!("* FLAGS ({flags})"));
        if selected.read_only {
            self.line("* OK [PERMANENTFLAGS ()] Read-only mailbox");
        } else {
            self.line(&format!(
                "* OK [PERMANENTFLAGS ({flags} \\*)] Flags permitted"
            ));
        }
        self.line(&format!("* {} EXISTS", selected.known.len()));
        if self.rev2 {
            self.out.extend_from_slice(b"* LIST () \"/\" ");
            encode::mailbox(&mut self.out, name);
            self.line("");
        } else {
            self.line(&format!("* {} RECENT", selected.recent.len()));
            if let Some(unseen) = unseen {
                self.line(&format!("* OK [UNSEEN {}] First unseen", unseen + 1));
            }
        }
        self.line(&format!("* OK [UIDVALIDITY {uid_validity}] UIDs valid"));
        self.line(&format!("* OK [UIDNEXT {uid_next}] Predicted next UID"));
        if self.has("CONDSTORE") {
            self.line(&format!("* OK [HIGHESTMODSEQ {modseq}] Highest"));
        }
    }

    /// CLOSE expunges silently, UNSELECT does not expunge.
    pub(super) fn close_mailbox(&mut self, expunge: bool) -> io::Result<Outcome> {
        if let Some(selected) = &self.selected {
            if expunge && !selected.read_only {
                selected
                    .mailbox
                    .change(|contents| contents.remove(|message| message.has("\\Deleted")));
            }
        }
        self.deselect();
        Outcome::ok(if expunge {
            "CLOSE completed"
        } else {
            "UNSELECT completed"
        })
    }

    pub(super) fn expunge(&mut self, uids: Option<&SequenceSet>) -> io::Result<Outcome> {
        let Some(selected) = &self.selected else {
            return Outcome::bad("No mailbox selected");
        };
        if selected.read_only {
            return Outcome::no("[CANNOT] Mailbox is read-only");
        }
        let star = selected.known.last().map_or(0, |known| known.uid);
        selected.mailbox.change(|contents| {
            contents.remove(|message| {
                message.has("\\Deleted")
                    && uids.is_none_or(|uids| sequence::contains(uids, message.uid, star))
            })
        });
        Outcome::ok("EXPUNGE completed")
    }

    pub(super) fn status(
        &mut self,
        mailbox: &Mailbox<'_>,
        items: &[StatusDataItemName],
    ) -> io::Result<Outcome> {
        let Some(name) = name_of(mailbox) else {
            return Outcome::no("[CANNOT] Not modified UTF-7");
        };
        let user = self.user.clone().unwrap_or_default();
        let Some(mailbox) = self.hub.store.existing(&user, &name) else {
            return Outcome::no("[NONEXISTENT] No such mailbox");
        };
        let condstore = self.has("CONDSTORE");
        let size = self.has("STATUS=SIZE");
        let values: Option<Vec<String>> = mailbox.read(|contents| {
            let count = |flag: &str| {
                contents
                    .messages
                    .iter()
                    .filter(|message| message.has(flag))
                    .count()
            };
            items
                .iter()
                .map(|item| {
                    let value = match item {
                        StatusDataItemName::Messages => contents.messages.len() as u64,
                        StatusDataItemName::Recent => contents
                            .messages
                            .iter()
                            .filter(|message| message.recent)
                            .count() as u64,
                        StatusDataItemName::UidNext => u64::from(contents.uid_next),
                        StatusDataItemName::UidValidity => u64::from(contents.uid_validity),
                        StatusDataItemName::Unseen => {
                            (contents.messages.len() - count("\\Seen")) as u64
                        }
                        StatusDataItemName::Deleted => count("\\Deleted") as u64,
                        StatusDataItemName::Size if size => contents
                            .messages
                            .iter()
                            .map(|message| message.content.len())
                            .sum(),
                        StatusDataItemName::HighestModSeq if condstore => contents.highest_modseq,
                        _ => return None,
                    };
                    Some(format!("{} {value}", status_name(item)))
                })
                .collect()
        });
        let Some(values) = values else {
            return Outcome::bad("Item not supported");
        };
        self.out.extend_from_slice(b"* STATUS ");
        encode::mailbox(&mut self.out, &name);
        self.line(&format!(" ({})", values.join(" ")));
        Outcome::ok("STATUS completed")
    }
}

fn status_name(item: &StatusDataItemName) -> &'static str {
    match item {
        StatusDataItemName::Messages => "MESSAGES",
        StatusDataItemName::Recent => "RECENT",
        StatusDataItemName::UidNext => "UIDNEXT",
        StatusDataItemName::UidValidity => "UIDVALIDITY",
        StatusDataItemName::Unseen => "UNSEEN",
        StatusDataItemName::Deleted => "DELETED",
        StatusDataItemName::Size => "SIZE",
        StatusDataItemName::HighestModSeq => "HIGHESTMODSEQ",
        StatusDataItemName::DeletedStorage => "DELETED-STORAGE",
    }
}
