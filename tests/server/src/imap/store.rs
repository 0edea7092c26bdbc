//! STORE, with UNCHANGEDSINCE (RFC 7162 §3.1.3).

use std::io;
use std::sync::Arc;

use imap_codec::imap_types::command::StoreModifier;
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::sequence::SequenceSet;

use super::encode::number_set;
use super::session::{Outcome, Session};
use crate::store::message::canonical_flag;

impl Session {
    pub(super) fn store(
        &mut self,
        set: &SequenceSet,
        kind: StoreType,
        response: StoreResponse,
        flags: &[Flag<'_>],
        uid: bool,
        modifiers: &[StoreModifier],
    ) -> io::Result<Outcome> {
        let mut unchanged_since = None;
        for modifier in modifiers {
            match modifier {
                StoreModifier::UnchangedSince(modseq) if self.has("CONDSTORE") => {
                    self.condstore = true;
                    unchanged_since = Some(*modseq);
                }
                _ => return Outcome::bad("Modifier not supported"),
            }
        }
        let condstore = self.condstore;
        let Some(selected) = &mut self.selected else {
            return Outcome::bad("No mailbox selected");
        };
        if selected.read_only {
            return Outcome::no("[CANNOT] Mailbox is read-only");
        }
        let Some(places) = selected.resolve(set, uid) else {
            return Outcome::bad("Invalid message sequence number");
        };
        let flags: Vec<String> = flags
            .iter()
            .map(|flag| canonical_flag(&flag.to_string()))
            .collect();
        let mut lines = String::new();
        let mut modified = Vec::new();
        let mailbox = Arc::clone(&selected.mailbox);
        mailbox.change(|contents| {
            for place in places {
                let Some(known) = selected.known.get(place).copied() else {
                    continue;
                };
                let Some(before) = contents.find(known.uid).map(|message| message.modseq) else {
                    continue;
                };
                let number = u32::try_from(place + 1).unwrap_or(u32::MAX);
                if unchanged_since.is_some_and(|limit| before > limit) {
                    modified.push(if uid { known.uid } else { number });
                    continue;
                }
                contents.change_flags(known.uid, |all| match kind {
                    StoreType::Replace => *all = flags.iter().cloned().collect(),
                    StoreType::Add => all.extend(flags.iter().cloned()),
                    StoreType::Remove => all.retain(|flag| !flags.contains(flag)),
                });
                let Some(message) = contents.find(known.uid) else {
                    continue;
                };
                let mut items = Vec::new();
                if uid {
                    items.push(format!("UID {}", message.uid));
                }
                if response == StoreResponse::Answer {
                    items.push(format!("FLAGS {}", selected.flags(message)));
                }
                if condstore {
                    items.push(format!("MODSEQ ({})", message.modseq));
                }
                let told = response == StoreResponse::Answer || condstore;
                if told {
                    lines += &format!("* {number} FETCH ({})\r\n", items.join(" "));
                }
                // What another session changed since is told all the same.
                if response == StoreResponse::Answer || before == known.modseq {
                    let modseq = message.modseq;
                    if let Some(known) = selected.known.get_mut(place) {
                        known.modseq = modseq;
                    }
                }
            }
        });
        self.out.extend_from_slice(lines.as_bytes());
        if modified.is_empty() {
            return Outcome::ok("STORE completed");
        }
        Ok(Outcome::Ok(format!(
            "[MODIFIED {}] Conditional STORE failed for some",
            number_set(&modified)
        )))
    }
}
