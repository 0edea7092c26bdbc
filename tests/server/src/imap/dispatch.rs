//! From the bytes of a command to its tagged response.

use std::io;
use std::sync::Arc;

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::CommandBody;

use super::reader::tag_of;
use super::search::{ReturnOptions, take_return_options};
use super::session::{Outcome, Session};
use crate::faults::Place;

/// The tag and the verb of a command, the verb in capitals and with `UID ` for the UID forms.
pub(super) fn verb_of(command: &[u8]) -> (String, String) {
    let line = command
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(1);
    let mut word = || {
        let word = words.next().unwrap_or_default();
        String::from_utf8_lossy(word).to_ascii_uppercase()
    };
    let first = word();
    let verb = match first.as_str() {
        "UID" => format!("UID {}", word()),
        _ if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            "BAD".to_owned()
        }
        _ => first,
    };
    (tag_of(command), verb)
}

impl Session {
    /// Carries out one command; says whether the session goes on.
    pub(super) fn handle(&mut self, command: &[u8]) -> io::Result<bool> {
        let (tag, verb) = verb_of(command);
        let id = self.connection.id;
        self.record(command, &tag, &verb);
        self.wait_while_held(&verb)?;
        self.commands += 1;
        self.reach(Place::Command(self.commands, &verb))?;
        if self.hub.faults.is_silent(id, &verb) {
            return Ok(true);
        }
        if let Some(bytes) = self.hub.faults.response(id, &verb) {
            let bytes = fill_in_tag(&bytes, &tag);
            self.out.extend_from_slice(&bytes);
            self.send_out()?;
            return Ok(true);
        }
        let outcome = self.run_command(command, &tag)?;
        if !matches!(outcome, Outcome::Bad(_)) {
            let by_number = matches!(verb.as_str(), "FETCH" | "STORE" | "SEARCH");
            self.announce(!by_number);
        }
        if let Some(bytes) = self.hub.faults.before(id, &verb) {
            let bytes = fill_in_tag(&bytes, &tag);
            self.out.extend_from_slice(&bytes);
        }
        match &outcome {
            Outcome::Ok(text) => self.line(&format!("{tag} OK {text}")),
            Outcome::No(text) => self.line(&format!("{tag} NO {text}")),
            Outcome::Bad(text) => self.line(&format!("{tag} BAD {text}")),
            Outcome::StartTls => self.line(&format!("{tag} OK Begin TLS negotiation now")),
            Outcome::Logout => self.line(&format!("{tag} OK Logged out")),
        }
        if let Some(bytes) = self.hub.faults.after(id, &verb) {
            let bytes = fill_in_tag(&bytes, &tag);
            self.out.extend_from_slice(&bytes);
        }
        self.send_out()?;
        self.reach(Place::Answered(&verb))?;
        match outcome {
            Outcome::Logout => Ok(false),
            Outcome::StartTls => {
                let hub = Arc::clone(&self.hub);
                self.stream.start_tls(&hub.tls.acceptor)?;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// Counts and logs a command.
    pub(super) fn record(&self, command: &[u8], tag: &str, verb: &str) {
        let line = self.hub.settings.read().record_lines.then(|| {
            if matches!(verb, "LOGIN" | "AUTHENTICATE") {
                format!("{tag} {verb}")
            } else {
                let command = command.strip_suffix(b"\r\n").unwrap_or(command);
                String::from_utf8_lossy(command).into_owned()
            }
        });
        let flight = self.stream.flight();
        let id = self.connection.id;
        self.hub.counters.command(id, flight, tag, verb, line);
    }

    fn wait_while_held(&mut self, verb: &str) -> io::Result<()> {
        let connection = Arc::clone(&self.connection);
        let held = || connection.hub.faults.is_held(connection.id, verb);
        while let Some(order) = connection.wait_while_or_order(held)? {
            self.obey(order)?;
        }
        Ok(())
    }

    fn run_command(&mut self, command: &[u8], tag: &str) -> io::Result<Outcome> {
        let (command, options) = match take_return_options(command) {
            Ok(taken) => taken,
            Err(text) => return Outcome::bad(text),
        };
        if options.is_some() && !self.has("ESEARCH") {
            return Outcome::bad("ESEARCH is not supported");
        }
        let Ok((rest, parsed)) = CommandCodec::default().decode(&command) else {
            return Outcome::bad("Command not understood");
        };
        if !rest.is_empty() {
            return Outcome::bad("Command not understood");
        }
        if let Some(refusal) = self.refusal(&parsed.body) {
            return Ok(refusal);
        }
        self.execute(parsed.body, tag, options)
    }

    /// Why a command is not carried out in this state or with these capabilities.
    fn refusal(&self, body: &CommandBody<'_>) -> Option<Outcome> {
        use CommandBody as C;
        let bad = |text: &str| Some(Outcome::Bad(text.to_owned()));
        let always = matches!(body, C::Capability | C::Noop | C::Logout | C::Id { .. });
        let before_login = matches!(body, C::StartTLS | C::Login { .. } | C::Authenticate { .. });
        let in_mailbox = matches!(
            body,
            C::Check
                | C::Close
                | C::Unselect
                | C::Expunge
                | C::ExpungeUid { .. }
                | C::Search { .. }
                | C::Fetch { .. }
                | C::Store { .. }
                | C::Copy { .. }
                | C::Move { .. }
        );
        if before_login && self.user.is_some() {
            return bad("Already authenticated");
        }
        if !always && !before_login && self.user.is_none() {
            return bad("Not authenticated");
        }
        let needed = match body {
            C::StartTLS => "STARTTLS",
            C::Id { .. } => "ID",
            C::Enable { .. } => "ENABLE",
            C::Namespace => "NAMESPACE",
            C::Idle => "IDLE",
            C::Unselect => "UNSELECT",
            C::ExpungeUid { .. } => "UIDPLUS",
            C::Move { .. } => "MOVE",
            _ => "",
        };
        if !needed.is_empty() && !self.has(needed) {
            return bad(&format!("{needed} is not supported"));
        }
        if in_mailbox && self.selected.is_none() {
            return bad("No mailbox selected");
        }
        None
    }

    fn execute(
        &mut self,
        body: CommandBody<'_>,
        tag: &str,
        options: Option<ReturnOptions>,
    ) -> io::Result<Outcome> {
        use CommandBody as C;
        match body {
            C::Capability => {
                let list = self.capability_list();
                self.line(&format!("* CAPABILITY {list}"));
                Outcome::ok("Capability completed")
            }
            C::Noop => Outcome::ok("NOOP completed"),
            C::Logout => {
                self.line("* BYE Logging out");
                Ok(Outcome::Logout)
            }
            C::Id { .. } => {
                self.line("* ID (\"name\" \"mailpool-test-server\")");
                Outcome::ok("ID completed")
            }
            C::StartTLS => self.starttls(),
            C::Login { username, password } => self.login(&username, password.declassify()),
            C::Authenticate {
                mechanism,
                initial_response,
            } => {
                let initial = initial_response.map(|secret| secret.declassify().to_vec());
                self.authenticate(&mechanism, initial)
            }
            C::Enable { capabilities } => self.enable(capabilities.as_ref()),
            C::Select {
                mailbox,
                parameters,
            } => self.select(&mailbox, &parameters, false),
            C::Examine {
                mailbox,
                parameters,
            } => self.select(&mailbox, &parameters, true),
            C::Create { mailbox } => self.create(&mailbox),
            C::Delete { mailbox } => self.delete(&mailbox),
            C::Rename { from, to } => self.rename(&from, &to),
            C::Subscribe { mailbox } => self.subscribe(&mailbox, true),
            C::Unsubscribe { mailbox } => self.subscribe(&mailbox, false),
            C::List {
                reference,
                mailbox_wildcard,
                ..
            } => self.list(&reference, &mailbox_wildcard, false),
            C::Lsub {
                reference,
                mailbox_wildcard,
                ..
            } => self.list(&reference, &mailbox_wildcard, true),
            C::Namespace => {
                self.line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                Outcome::ok("NAMESPACE completed")
            }
            C::Status {
                mailbox,
                item_names,
            } => self.status(&mailbox, &item_names),
            C::Append {
                mailbox,
                flags,
                date,
                message,
            } => self.append(&mailbox, &flags, date, message),
            C::Idle => self.idle(),
            C::Check => Outcome::ok("CHECK completed"),
            C::Close => self.close_mailbox(true),
            C::Unselect => self.close_mailbox(false),
            C::Expunge => self.expunge(None),
            C::ExpungeUid { sequence_set } => self.expunge(Some(&sequence_set)),
            C::Search {
                charset,
                criteria,
                uid,
            } => self.search(charset.as_ref(), criteria.as_ref(), uid, tag, options),
            C::Fetch {
                sequence_set,
                macro_or_item_names,
                uid,
                modifiers,
            } => self.fetch(&sequence_set, &macro_or_item_names, uid, &modifiers),
            C::Store {
                sequence_set,
                kind,
                response,
                flags,
                uid,
                modifiers,
            } => self.store(&sequence_set, kind, response, &flags, uid, &modifiers),
            C::Copy {
                sequence_set,
                mailbox,
                uid,
            } => self.copy(&sequence_set, &mailbox, uid),
            C::Move {
                sequence_set,
                mailbox,
                uid,
            } => self.move_messages(&sequence_set, &mailbox, uid),
            _ => Outcome::bad("Command not supported"),
        }
    }
}

/// Puts the tag where `{tag}` stands.
pub(crate) fn fill_in_tag(bytes: &[u8], tag: &str) -> Vec<u8> {
    const PLACE: &[u8] = b"{tag}";
    let mut result = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(PLACE.len()).position(|window| window == PLACE) {
        let (before, after) = rest.split_at(at);
        result.extend_from_slice(before);
        result.extend_from_slice(tag.as_bytes());
        rest = after.get(PLACE.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}
