//! APPEND (RFC 3501 §6.3.11) with APPENDUID (RFC 4315).

use std::io;

use imap_codec::imap_types::datetime::DateTime;
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::flag::Flag;
use imap_codec::imap_types::mailbox::Mailbox;

use super::mailboxes::name_of;
use super::session::{Outcome, Session};
use crate::clock;
use crate::store::Message;

impl Session {
    pub(super) fn append(
        &mut self,
        mailbox: &Mailbox<'_>,
        flags: &[Flag<'_>],
        date: Option<DateTime>,
        message: LiteralOrLiteral8<'_>,
    ) -> io::Result<Outcome> {
        let LiteralOrLiteral8::Literal(literal) = message else {
            return Outcome::bad("BINARY is not supported");
        };
        let Some(name) = name_of(mailbox) else {
            return Outcome::no("[CANNOT] Not modified UTF-7");
        };
        let user = self.user.clone().unwrap_or_default();
        let Some(mailbox) = self.hub.store.existing(&user, &name) else {
            return Outcome::no("[TRYCREATE] No such mailbox");
        };
        let mut message = Message::new(literal.into_inner());
        message.internal_date = date.map_or_else(clock::today, |date| *date.as_ref());
        for flag in flags {
            message = message.flag(&flag.to_string());
        }
        let (uid_validity, uid) =
            mailbox.change(|contents| (contents.uid_validity, contents.append(&message)));
        if self.has("UIDPLUS") {
            return Ok(Outcome::Ok(format!(
                "[APPENDUID {uid_validity} {uid}] APPEND completed"
            )));
        }
        Outcome::ok("APPEND completed")
    }
}
