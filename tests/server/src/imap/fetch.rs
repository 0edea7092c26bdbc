//! FETCH (RFC 3501 §6.4.5), with MODSEQ and CHANGEDSINCE (RFC 7162).

use std::io;
use std::sync::Arc;

use imap_codec::imap_types::command::FetchModifier;
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItemName, Section};
use imap_codec::imap_types::sequence::SequenceSet;

use super::envelope::{body_structure, envelope};
use super::section::{self, Bytes};
use super::session::{Outcome, SEND_AT, Session};
use crate::store::mailbox::Stored;

type Item<'a> = MessageDataItemName<'a>;

impl Session {
    pub(super) fn fetch(
        &mut self,
        set: &SequenceSet,
        names: &MacroOrMessageDataItemNames<'_>,
        uid: bool,
        modifiers: &[FetchModifier],
    ) -> io::Result<Outcome> {
        let mut items: Vec<Item<'_>> = match names {
            MacroOrMessageDataItemNames::Macro(shorthand) => shorthand.expand(),
            MacroOrMessageDataItemNames::MessageDataItemNames(items) => items.clone(),
        };
        let mut changed_since = 0;
        for modifier in modifiers {
            match modifier {
                FetchModifier::ChangedSince(modseq) => {
                    changed_since = modseq.get();
                    if !items.contains(&Item::ModSeq) {
                        items.push(Item::ModSeq);
                    }
                }
                FetchModifier::Vanished => return Outcome::bad("QRESYNC is not supported"),
            }
        }
        if items.contains(&Item::ModSeq) {
            if !self.has("CONDSTORE") {
                return Outcome::bad("CONDSTORE is not supported");
            }
            self.condstore = true;
        }
        let binary =
            |item: &Item<'_>| matches!(item, Item::Binary { .. } | Item::BinarySize { .. });
        if items.iter().any(binary) {
            return Outcome::bad("BINARY is not supported");
        }
        if uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let Some(selected) = &self.selected else {
            return Outcome::bad("No mailbox selected");
        };
        let Some(places) = selected.resolve(set, uid) else {
            return Outcome::bad("Invalid message sequence number");
        };
        let known: Vec<(usize, u32)> = places
            .into_iter()
            .filter_map(|place| Some((place, selected.known.get(place)?.uid)))
            .collect();
        let mut missing = false;
        for (place, uid) in known {
            let Some(message) = self.message_to_fetch(place, uid, &mut items) else {
                missing = true;
                continue;
            };
            if message.modseq > changed_since {
                self.tell_message(place, &message, &items)?;
            }
        }
        // Told with the next command that may (RFC 5530).
        Outcome::ok(if missing {
            "[EXPUNGEISSUED] Some of the messages are gone"
        } else {
            "FETCH completed"
        })
    }

    /// The message as it is to be told, marked as seen if the items say so.
    fn message_to_fetch(
        &mut self,
        place: usize,
        uid: u32,
        items: &mut Vec<Item<'_>>,
    ) -> Option<Stored> {
        let selected = self.selected.as_mut()?;
        let sees = items.iter().any(|item| {
            matches!(
                item,
                Item::BodyExt { peek: false, .. } | Item::Rfc822 | Item::Rfc822Text
            )
        });
        let mailbox = Arc::clone(&selected.mailbox);
        let message = mailbox.read(|contents| contents.find(uid).cloned())?;
        if !sees || selected.read_only || message.has("\\Seen") {
            return Some(message);
        }
        mailbox.change(|contents| {
            contents.change_flags(uid, |flags| {
                flags.insert("\\Seen".to_owned());
            });
        });
        let message = mailbox.read(|contents| contents.find(uid).cloned())?;
        // The flags are told with the body.
        if !items.contains(&Item::Flags) {
            items.push(Item::Flags);
        }
        if let Some(known) = selected.known.get_mut(place) {
            known.modseq = message.modseq;
        }
        Some(message)
    }

    fn tell_message(
        &mut self,
        place: usize,
        message: &Stored,
        items: &[Item<'_>],
    ) -> io::Result<()> {
        self.push(&format!("* {} FETCH (", place + 1));
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(" ");
            }
            self.tell_item(message, item)?;
        }
        self.line(")");
        self.send_if_much()
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn tell_item(&mut self, message: &Stored, item: &Item<'_>) -> io::Result<()> {
        let content = &message.content;
        match item {
            Item::Uid => self.push(&format!("UID {}", message.uid)),
            Item::Flags => {
                let flags = self
                    .selected
                    .as_ref()
                    .map(|selected| selected.flags(message));
                self.push(&format!("FLAGS {}", flags.unwrap_or_default()));
            }
            Item::InternalDate => {
                let date = message.internal_date.format("%e-%b-%Y %H:%M:%S %z");
                self.push(&format!("INTERNALDATE \"{date}\""));
            }
            Item::Rfc822Size => self.push(&format!("RFC822.SIZE {}", content.len())),
            Item::ModSeq => self.push(&format!("MODSEQ ({})", message.modseq)),
            Item::Envelope => {
                self.push("ENVELOPE ");
                envelope(&mut self.out, &content.structure());
            }
            Item::Body => {
                self.push("BODY ");
                body_structure(&mut self.out, &content.structure(), false);
            }
            Item::BodyStructure => {
                self.push("BODYSTRUCTURE ");
                body_structure(&mut self.out, &content.structure(), true);
            }
            Item::BodyExt {
                section, partial, ..
            } => {
                self.push(&format!("BODY[{}]", section::name(section.as_ref())));
                let partial = partial.map(|(offset, len)| (offset, len.get()));
                self.tell_section(message, section.as_ref(), partial)?;
            }
            Item::Rfc822 => {
                self.push("RFC822");
                self.tell_section(message, None, None)?;
            }
            Item::Rfc822Header => {
                self.push("RFC822.HEADER");
                self.tell_section(message, Some(&Section::Header(None)), None)?;
            }
            Item::Rfc822Text => {
                self.push("RFC822.TEXT");
                self.tell_section(message, Some(&Section::Text(None)), None)?;
            }
            // Refused before.
            Item::Binary { .. } | Item::BinarySize { .. } => {}
        }
        Ok(())
    }

    /// Writes a section as a literal, in pieces.
    fn tell_section(
        &mut self,
        message: &Stored,
        section: Option<&Section<'_>>,
        partial: Option<(u32, u32)>,
    ) -> io::Result<()> {
        let content = Arc::clone(&message.content);
        let structure = content.structure();
        if let Some((offset, _)) = partial {
            self.push(&format!("<{offset}>"));
        }
        let Some(bytes) = section::find(&content, &structure, section) else {
            self.push(" NIL");
            return Ok(());
        };
        let (offset, len) = match partial {
            Some((offset, len)) => {
                let offset = u64::from(offset).min(bytes.len());
                (offset, u64::from(len).min(bytes.len() - offset))
            }
            None => (0, bytes.len()),
        };
        self.push(&format!(" {{{len}}}\r\n"));
        match bytes {
            Bytes::Made(bytes) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let rest = bytes.get(offset..).unwrap_or_default();
                self.out.extend_from_slice(rest.get(..len).unwrap_or(rest));
                Ok(())
            }
            Bytes::Range(start, _) => content.stream(start + offset, len, &mut |piece| {
                if self.out.len() + piece.len() < SEND_AT {
                    self.out.extend_from_slice(piece);
                    return Ok(());
                }
                self.send_out()?;
                self.stream.send(piece)
            }),
        }
    }
}
