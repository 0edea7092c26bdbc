//! What the server says, and what it means for the session and for its operations.

use super::Session;
use super::commands::{Command, Kind, Owner, tag_number};
use super::operation::{End, Failure};
use crate::protocol::imap::response::{self, Response, Status, Untagged};
use crate::types::response_code::{CopyUid, ResponseCode};
use crate::wire::frame::Frame;
use crate::wire::framer::Framed;
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
}

/// Adds the copies of a further command. A server may say the same ones twice, untagged and with
/// the tagged answer; and UIDs of another mailbox's state cannot be told beside the others.
pub(super) fn merge_copies(result: &mut Option<CopyUid>, uids: CopyUid) {
    match result {
        None => *result = Some(uids),
        Some(earlier) if earlier.uid_validity() != uids.uid_validity() => {
            log::warn!("imap: COPYUID with two UIDVALIDITYs in one operation");
        }
        Some(earlier) if earlier.has(&uids) => {}
        Some(earlier) => earlier.append(&uids),
    }
}
