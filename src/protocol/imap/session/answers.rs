//! What the server says, and what it means for the session and for its operations.

use super::Session;
use super::active::Active;
use super::commands::{Command, Kind, Owner, tag_number};
use super::operation::{End, Failure};
use crate::protocol::imap::response::{self, Response, SearchResult, Status, StatusKind, Untagged};
use crate::protocol::machine::OperationId;
use crate::types::ids::{ModSeq, Uid};
use crate::types::mailbox_info::MailboxEvent;
use crate::types::range_set::RangeSet;
use crate::types::response_code::{CopyUid, ResponseCode};
use crate::wire::frame::Frame;
use crate::wire::framer::{Framed, Refused};
use crate::wire::receive::ReceiveBuffer;

impl Session {
    /// Takes in one framed response, or a part of one.
    pub(super) fn receive(&mut self, framed: Framed, input: &ReceiveBuffer) -> Result<(), Failure> {
        self.heard += 1;
        match framed {
            Framed::Chunk(bytes) => {
                self.chunk(bytes);
                Ok(())
            }
            Framed::Refused(refused) => self.refused(&refused),
            Framed::Frame(frame) if self.stream.is_some() => {
                self.rest_of_stream(&frame);
                self.tell_news();
                Ok(())
            }
            Framed::Frame(frame) => self.response(&frame, input),
        }
    }

    fn response(&mut self, frame: &Frame, input: &ReceiveBuffer) -> Result<(), Failure> {
        let parsed = response::parse(frame, &self.config.limits);
        if matches!(self.login, super::Login::Greeting) {
            return match parsed {
                Ok(Response::Untagged(Untagged::Status { status, code, text })) => {
                    self.greet(status, code, text)
                }
                _ => Err(Failure::protocol(
                    "the server does not greet as an IMAP server",
                )),
            };
        }
        match parsed {
            Ok(Response::Untagged(data)) => {
                let is_idling = self.follow.as_ref().is_some_and(|it| it.is_idling());
                self.untagged = if is_idling { 0 } else { self.untagged + 1 };
                if self.untagged > self.config.limits.untagged_responses() {
                    return Err(Failure::Limit {
                        what: "untagged responses to one command",
                        limit: self.config.limits.untagged_responses(),
                    });
                }
                let result = self.untagged_data(data, frame);
                self.tell_news();
                result
            }
            Ok(Response::Continuation { text }) => {
                self.untagged += 1;
                self.continuation(&text)
            }
            Ok(Response::Tagged {
                tag,
                status,
                code,
                text,
            }) => {
                self.untagged = 0;
                self.tagged(&tag, status, code, text, input)
            }
            Err(error) if frame.head.starts_with(b"*") => {
                log::warn!("imap: a response that cannot be understood: {error}");
                self.damaged(frame, &error.to_string(), error.is_limit());
                Ok(())
            }
            Err(error) => Err(Failure::protocol(error.to_string())),
        }
    }

    fn continuation(&mut self, text: &[u8]) -> Result<(), Failure> {
        if self.writer.go_on() {
            return Ok(());
        }
        if self.follow.as_ref().is_some_and(|it| it.is_entering()) {
            self.idle_began();
            return Ok(());
        }
        match self.commands.front() {
            Some(Command {
                kind: Kind::Authenticate,
                ..
            }) => self.challenge(text),
            _ => {
                log::warn!("imap: a continuation request that nothing asked for");
                Ok(())
            }
        }
    }

    fn tagged(
        &mut self,
        tag: &[u8],
        status: Status,
        code: Option<ResponseCode>,
        text: String,
        input: &ReceiveBuffer,
    ) -> Result<(), Failure> {
        if status == Status::Bad && tag.eq_ignore_ascii_case(b"DONE") && self.dones > 0 {
            self.dones -= 1;
            log::debug!("imap: DONE came after the server had ended IDLE by itself");
            return Ok(());
        }
        let index = tag_number(tag)
            .and_then(|number| self.commands.iter().position(|one| one.tag == number));
        let Some(command) = index.and_then(|index| self.commands.remove(index)) else {
            return Err(Failure::protocol(
                "an answer with a tag that is not under way",
            ));
        };
        if self.writer.waiting_tag() == Some(command.tag) {
            if status == Status::Ok {
                return Err(Failure::protocol(
                    "OK to a command of which a literal is still to come",
                ));
            }
            self.writer.give_up();
        }
        self.alert(code.as_ref(), &text);
        match command.owner {
            Owner::Login => self.login_answered(status, code, text, input.len()),
            Owner::KeepAlive => Ok(()),
            Owner::Reset => self.reset_answered(&command.kind, status),
            Owner::Operation(id) => {
                self.operation_answered(id, command, status, code, text);
                Ok(())
            }
            Owner::Follow => {
                self.follow_command_done(command, status, code, text);
                Ok(())
            }
        }
    }

    /// SELECT or EXAMINE has been answered.
    pub(super) fn settle_selection(&mut self, status: Status, code: Option<&ResponseCode>) {
        if let Some(mut selected) = self.selecting.take().filter(|_| status == Status::Ok) {
            selected.info.read_only =
                selected.asked_read_only || matches!(code, Some(ResponseCode::ReadOnly));
            self.selected = Some(selected);
        }
    }

    fn operation_answered(
        &mut self,
        id: u64,
        command: Command,
        status: Status,
        code: Option<ResponseCode>,
        text: String,
    ) {
        if let Kind::Select = command.kind {
            self.settle_selection(status, code.as_ref());
            if let (Some(selected), Some(active)) = (&self.selected, self.active.get_mut(&id)) {
                active.end = match &active.operation.request {
                    super::operation::Request::Select => {
                        End::Mailbox(Box::new(selected.info.clone()))
                    }
                    request => super::active::empty_end(request),
                };
            }
        }
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        let target = active.operation.target.as_ref();
        let verb = match (&command.kind, target) {
            (Kind::Select, Some(target)) if target.read_only => "EXAMINE",
            (Kind::Select, _) => "SELECT",
            _ => active.operation.request.verb(),
        };
        if status == Status::Ok {
            active.begun |= !matches!(command.kind, Kind::Select | Kind::Search | Kind::Leave);
            if let Some(code) = code {
                self.code_of(id, code);
            }
            self.after_success(id);
        } else {
            let partly = active.has_begun();
            // MODIFIED may come with NO (RFC 7162 §3.1.3).
            active.fail(Failure::Rejected {
                verb,
                status: super::operation::status_name(status),
                code: code.map(Box::new),
                text,
                partly,
            });
        }
        self.command_done(id);
    }

    /// What a success changes in the session.
    fn after_success(&mut self, id: u64) {
        use super::operation::Request;
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        match &active.operation.request {
            Request::Close => self.deselect(),
            Request::Events => {
                self.event_bytes = 0;
                let events = std::mem::take(&mut self.events);
                active.end = End::Events(events);
            }
            _ => {}
        }
    }

    /// A response code that belongs to an operation.
    fn code_of(&mut self, id: u64, code: ResponseCode) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        match (&mut active.end, code) {
            (End::Appended(result), ResponseCode::AppendUid(uids)) => *result = Some(uids),
            (End::Copied(result), ResponseCode::CopyUid(uids)) => merge_copies(result, uids),
            (End::Moved(moved), ResponseCode::CopyUid(uids)) => {
                merge_copies(&mut moved.copy_uid, uids);
            }
            (End::Stored(stored), ResponseCode::Modified(ranges)) => {
                stored.modified.extend(ranges);
            }
            (_, ResponseCode::Capability(capabilities)) => self.capabilities = capabilities,
            _ => {}
        }
    }

    fn untagged_data(&mut self, data: Untagged, frame: &Frame) -> Result<(), Failure> {
        match data {
            Untagged::Status { status, code, text } => {
                return self.untagged_status(status, code, text, frame.len());
            }
            Untagged::Capability(capabilities) => {
                if let Some(End::Capabilities(result)) =
                    self.end_of(|kind| matches!(kind, Kind::Capability))
                {
                    result.clone_from(&capabilities);
                }
                self.capabilities = capabilities;
            }
            Untagged::Enabled(names) => {
                let size = frame.len();
                if let Some(End::Enabled(result)) =
                    self.end_holding(size, |kind| matches!(kind, Kind::Enable))
                {
                    result.extend(names);
                }
            }
            Untagged::Id(fields) => {
                if let Some(End::Id(result)) = self.end_of(|kind| matches!(kind, Kind::Id)) {
                    *result = fields;
                }
            }
            Untagged::List(entry) => {
                let size = frame.len();
                if let Some(End::List(list)) =
                    self.end_holding(size, |kind| matches!(kind, Kind::List))
                {
                    list.push(entry);
                }
            }
            Untagged::Lsub(entry) => {
                let size = frame.len();
                if let Some(End::List(list)) =
                    self.end_holding(size, |kind| matches!(kind, Kind::Lsub))
                {
                    list.push(entry);
                }
            }
            Untagged::Namespace(namespaces) => {
                if let Some(End::Namespaces(result)) =
                    self.end_of(|kind| matches!(kind, Kind::Namespace))
                {
                    *result = namespaces;
                }
            }
            Untagged::MailboxStatus(status) => {
                let name = status.name.clone();
                let end = self.end_of(|kind| matches!(kind, Kind::Status(of) if *of == name));
                if let Some(End::Status(result)) = end {
                    *result = status;
                }
            }
            Untagged::Search { numbers, mod_seq } => self.found(None, &numbers, mod_seq),
            Untagged::ESearch(result) => self.extended_search(result),
            Untagged::Fetch(fetch) => self.fetched(fetch, frame.open_literal, frame.len()),
            other => self.mailbox_data(other),
        }
        Ok(())
    }

    /// Data about the mailbox that is selected or being selected.
    fn mailbox_data(&mut self, data: Untagged) {
        if self.selecting.is_some() && self.is_still_idle_answer() {
            return;
        }
        if let Some(selecting) = &mut self.selecting {
            match data {
                Untagged::Exists(count) => selecting.info.exists = count,
                Untagged::Recent(count) => selecting.info.recent = count,
                Untagged::Flags(flags) => selecting.info.flags = flags,
                _ => {}
            }
            return;
        }
        match data {
            Untagged::Exists(count) => {
                let selected = self.selected.as_mut();
                let before = selected.map(|it| std::mem::replace(&mut it.info.exists, count));
                if let (Some(before), Some(follow)) = (before, self.followed()) {
                    follow.exists(count, before);
                }
                self.event(MailboxEvent::Exists(count));
            }
            Untagged::Recent(count) => {
                if let Some(selected) = &mut self.selected {
                    selected.info.recent = count;
                }
            }
            Untagged::Flags(flags) => {
                if let Some(selected) = &mut self.selected {
                    selected.info.flags = flags;
                }
            }
            Untagged::Expunge(seq) => {
                if let Some(selected) = &mut self.selected {
                    selected.info.exists = selected.info.exists.saturating_sub(1);
                }
                if let Some(follow) = self.followed() {
                    follow.expunged(seq);
                }
                if let Some(End::Expunged(expunged)) =
                    self.end_of(|kind| matches!(kind, Kind::Expunge))
                {
                    expunged.numbers.push(seq);
                } else {
                    self.event(MailboxEvent::Expunged(seq));
                }
            }
            Untagged::Vanished { earlier, uids } => {
                if !earlier {
                    self.vanished(uids.len());
                }
                if let Some(follow) = self.followed() {
                    follow.vanished(&uids);
                }
                self.event(MailboxEvent::Vanished(uids.ranges().to_vec()));
            }
            Untagged::Unknown { name } => {
                log::debug!("imap: passed over an untagged {name}");
            }
            _ => {}
        }
    }

    /// Messages are gone, which takes the place of so many EXPUNGE responses.
    fn vanished(&mut self, count: u64) {
        if let Some(selected) = &mut self.selected {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            selected.info.exists = selected.info.exists.saturating_sub(count);
        }
        if let Some(End::Expunged(expunged)) = self.end_of(|kind| matches!(kind, Kind::Expunge)) {
            expunged.vanished = expunged.vanished.saturating_add(count);
        }
    }

    fn untagged_status(
        &mut self,
        status: StatusKind,
        code: Option<ResponseCode>,
        text: String,
        size: usize,
    ) -> Result<(), Failure> {
        self.alert(code.as_ref(), &text);
        if status == StatusKind::Bye {
            if self.login.is_leaving() {
                return Ok(());
            }
            return Err(Failure::Bye {
                code: code.map(Box::new),
                text,
            });
        }
        let Some(code) = code else {
            return Ok(());
        };
        if let ResponseCode::CopyUid(uids) = code {
            match self.end_of_copy(&uids, size) {
                Some(End::Moved(moved)) => merge_copies(&mut moved.copy_uid, uids),
                Some(End::Copied(copies)) => merge_copies(copies, uids),
                _ => {}
            }
            return Ok(());
        }
        if let ResponseCode::AppendUid(uids) = code {
            let id = self
                .active_of(|kind| matches!(kind, Kind::Append))
                .find_map(|(id, active)| matches!(active.end, End::Appended(None)).then_some(id));
            if let Some(active) = id.and_then(|id| self.active.get_mut(&id)) {
                active.end = End::Appended(Some(uids));
            }
            return Ok(());
        }
        if let ResponseCode::Capability(capabilities) = code {
            self.capabilities = capabilities;
            return Ok(());
        }
        if self.selecting.is_some() && self.is_still_idle_answer() {
            return Ok(());
        }
        let selecting = self.selecting.as_mut();
        let Some(mailbox) = selecting.or(self.selected.as_mut()) else {
            return Ok(());
        };
        let info = &mut mailbox.info;
        match code {
            ResponseCode::UidValidity(validity) => info.uid_validity = Some(validity),
            ResponseCode::UidNext(next) => info.uid_next = Some(next),
            ResponseCode::Unseen(number) => info.first_unseen = Some(number),
            ResponseCode::PermanentFlags(flags) => info.permanent_flags = Some(flags),
            ResponseCode::HighestModSeq(value) => info.highest_mod_seq = Some(value),
            ResponseCode::UidNotSticky => info.uids_are_sticky = false,
            ResponseCode::ReadOnly => info.read_only = true,
            ResponseCode::ReadWrite => info.read_only = mailbox.asked_read_only,
            _ => {}
        }
        Ok(())
    }

    /// Text for the user. Before TLS anybody could have written it.
    fn alert(&mut self, code: Option<&ResponseCode>, text: &str) {
        if matches!(code, Some(ResponseCode::Alert)) {
            if self.secure || self.config.protection == super::Protection::Clear {
                log::warn!("imap: alert from the server: {}", text.escape_debug());
                self.tell_alert(text);
            } else {
                log::debug!("imap: an alert from before TLS was ignored");
            }
        }
    }

    /// The result in the making of the oldest command that `is_for` accepts.
    fn end_of(&mut self, is_for: impl Fn(&Kind) -> bool) -> Option<&mut End> {
        let command = self.commands.iter().find(|one| is_for(&one.kind))?;
        let Owner::Operation(id) = command.owner else {
            return None;
        };
        self.active.get_mut(&id).map(|active| &mut active.end)
    }

    /// The operations whose commands `is_for` accepts, the oldest first.
    fn active_of(
        &self,
        is_for: impl Fn(&Kind) -> bool,
    ) -> impl Iterator<Item = (OperationId, &Active)> {
        let commands = self.commands.iter().filter(move |one| is_for(&one.kind));
        commands.filter_map(|command| match command.owner {
            Owner::Operation(id) => Some((id, self.active.get(&id)?)),
            _ => None,
        })
    }

    /// The result of the COPY or MOVE that an untagged COPYUID belongs to: the oldest one that
    /// is about these messages. The oldest of all may be another one, whose tagged answer the
    /// server holds back: Dovecot sends that of a COPY after the COPYUID of the MOVE behind it.
    fn end_of_copy(&mut self, uids: &CopyUid, size: usize) -> Option<&mut End> {
        let first = uids.source().at(0)?;
        let id = self
            .active_of(|kind| matches!(kind, Kind::Move | Kind::Copy))
            .find_map(|(id, active)| active.copies(first).then_some(id))?;
        if !self.may_hold(id, size) {
            return None;
        }
        self.active.get_mut(&id).map(|active| &mut active.end)
    }

    /// The same, for a response of so many bytes that is to be kept.
    fn end_holding(&mut self, size: usize, is_for: impl Fn(&Kind) -> bool) -> Option<&mut End> {
        let command = self.commands.iter().find(|one| is_for(&one.kind))?;
        let Owner::Operation(id) = command.owner else {
            return None;
        };
        if !self.may_hold(id, size) {
            return None;
        }
        self.active.get_mut(&id).map(|active| &mut active.end)
    }

    /// Whether an operation's result may grow by a response of so many bytes.
    pub(super) fn may_hold(&mut self, id: OperationId, size: usize) -> bool {
        let limit = self.config.limits.buffered_body();
        let Some(active) = self.active.get_mut(&id) else {
            return false;
        };
        active.held = active.held.saturating_add(size);
        let fits = active.held <= limit;
        if !fits {
            active.fail(Failure::Limit {
                what: "size of the result",
                limit: limit as u64,
            });
        }
        fits
    }

    fn extended_search(&mut self, result: SearchResult) {
        let tag = match result.tag.as_deref().map(tag_number) {
            Some(Some(tag)) => Some(tag),
            // Somebody else's.
            Some(None) => return,
            None => None,
        };
        let mut numbers = result.all;
        for extreme in [result.min, result.max].into_iter().flatten() {
            if !numbers.contains(extreme) {
                numbers.insert(extreme, extreme);
            }
        }
        self.found(tag, &numbers, result.mod_seq);
    }

    fn found(&mut self, tag: Option<u64>, numbers: &RangeSet, mod_seq: Option<ModSeq>) {
        let command = self
            .commands
            .iter()
            .find(|one| matches!(one.kind, Kind::Search) && tag.is_none_or(|tag| tag == one.tag));
        let id = match command.map(|command| command.owner) {
            Some(Owner::Operation(id)) => id,
            Some(Owner::Follow) => return self.follow_found(numbers),
            _ => return,
        };
        let size = std::mem::size_of_val(numbers.ranges());
        if !self.may_hold(id, size) {
            return;
        }
        if let Some(active) = self.active.get_mut(&id) {
            // A server may answer in several pieces: they are put in order at the end.
            active.gathered.extend_from_slice(numbers.ranges());
            if let End::Found(found) = &mut active.end {
                found.mod_seq = found.mod_seq.max(mod_seq);
            }
        }
    }

    /// A response that went beyond a limit and has been skipped.
    fn refused(&mut self, refused: &Refused) -> Result<(), Failure> {
        if matches!(self.login, super::Login::Greeting) {
            return Err(Failure::Limit {
                what: refused.what,
                limit: refused.limit,
            });
        }
        log::warn!(
            "imap: a response beyond the limit of {} for {} was skipped",
            refused.limit,
            refused.what
        );
        if refused.continued {
            self.break_stream(&format!("{} above {}", refused.what, refused.limit));
            return Ok(());
        }
        if !refused.excerpt.starts_with(b"*") {
            return Err(Failure::Limit {
                what: refused.what,
                limit: refused.limit,
            });
        }
        let reason = format!("{} above the limit of {}", refused.what, refused.limit);
        self.damaged(&Frame::line(refused.excerpt.clone()), &reason, true);
        Ok(())
    }

    /// Data that an operation may have waited for is lost: its caller has to know.
    fn damaged(&mut self, frame: &Frame, reason: &str, is_limit: bool) {
        let words: Vec<&[u8]> = frame
            .head
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
            .take(3)
            .collect();
        let is = |index: usize, name: &str| {
            words
                .get(index)
                .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is(2, "FETCH") {
            self.refuse_message(frame, reason, is_limit);
            return;
        }
        let concerned = |kind: &Kind| match kind {
            Kind::Search => is(1, "SEARCH") || is(1, "ESEARCH"),
            Kind::List => is(1, "LIST"),
            Kind::Lsub => is(1, "LSUB"),
            Kind::Status(_) => is(1, "STATUS"),
            Kind::Namespace => is(1, "NAMESPACE"),
            Kind::Id => is(1, "ID"),
            Kind::Capability => is(1, "CAPABILITY"),
            Kind::Enable => is(1, "ENABLED"),
            _ => false,
        };
        let command = self.commands.iter().find(|one| concerned(&one.kind));
        let id = match command.map(|command| command.owner) {
            Some(Owner::Operation(id)) => id,
            Some(Owner::Follow) => return self.follow_misses(reason),
            _ => return,
        };
        if let Some(active) = self.active.get_mut(&id) {
            active.fail(if is_limit {
                Failure::Limit {
                    what: "response",
                    limit: self.config.limits.line() as u64,
                }
            } else {
                Failure::protocol(reason)
            });
        }
    }
}

/// Adds the copies of a further command. A server may say the same ones twice, untagged and with
/// the tagged answer; and UIDs of another mailbox's state cannot be told beside the others.
fn merge_copies(result: &mut Option<CopyUid>, uids: CopyUid) {
    match result {
        None => *result = Some(uids),
        Some(earlier) if earlier.uid_validity() != uids.uid_validity() => {
            log::warn!("imap: COPYUID with two UIDVALIDITYs in one operation");
        }
        Some(earlier) if earlier.has(&uids) => {}
        Some(earlier) => earlier.append(&uids),
    }
}

/// A UID that stands in the text of a FETCH response that could not be read.
pub(super) fn uid_in(text: &[u8]) -> Option<Uid> {
    let at = uid_at(text)?;
    let digits: Vec<u8> = text
        .get(at..)?
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    Uid::new(std::str::from_utf8(&digits).ok()?.parse().ok()?)
}

/// Where the value of the attribute UID begins. What stands in strings and in inner lists is the
/// sender's, not the server's.
fn uid_at(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0u64, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && !quoted && matches!(byte, b' ' | b'(') {
            let name = text.get(at + 1..at + 5);
            if name.is_some_and(|name| name.eq_ignore_ascii_case(b"UID ")) {
                return Some(at + 5);
            }
        }
    }
    None
}
