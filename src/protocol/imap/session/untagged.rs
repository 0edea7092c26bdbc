//! Untagged data: what it changes in the session, and which operation has waited for it.

use super::Session;
use super::active::Active;
use super::answers::merge_copies;
use super::commands::{Kind, Owner, tag_number};
use super::operation::{End, Failure};
use crate::protocol::imap::response::{SearchResult, StatusKind, Untagged};
use crate::protocol::machine::OperationId;
use crate::types::ids::ModSeq;
use crate::types::mailbox_info::MailboxEvent;
use crate::types::range_set::RangeSet;
use crate::types::response_code::{CopyUid, ResponseCode};
use crate::wire::frame::Frame;

impl Session {
    pub(super) fn untagged_data(&mut self, data: Untagged, frame: &Frame) -> Result<(), Failure> {
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
    pub(super) fn alert(&mut self, code: Option<&ResponseCode>, text: &str) {
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
}
