//! The commands of a Follow, and what their ends mean.

use super::{Doubt, FIRST_REST, Listing, State, Step};
use crate::protocol::imap::command::{self, CommandLine};
use crate::protocol::imap::response::Status;
use crate::protocol::imap::session::Session;
use crate::protocol::imap::session::active::MAX_SET;
use crate::protocol::imap::session::commands::{Command, Kind, Owner};
use crate::protocol::imap::session::operation::{By, End, Failure, status_name};
use crate::protocol::imap::session::seen::Seen;
use crate::protocol::machine::{Gate, Output};
use crate::types::invalid::InvalidArgument;
use crate::types::items::Items;
use crate::types::mailbox_change::MailboxChange;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::response_code::ResponseCode;

/// Messages that are fetched with one command: others may wait for its end.
const BATCH: usize = 2_000;

/// Lists in a row that may not fit the number of messages.
const ATTEMPTS: u32 = 3;

/// What a message of a list takes in memory.
const LISTED: u64 = 16;

/// What comes next.
enum Next {
    Ask(Step, Kind, CommandLine),
    Idle,
    /// There is nothing to ask, and no way to listen.
    Rest,
    /// There is nothing to ask, and no wish to listen.
    Over,
}

impl Session {
    /// Begins with what is due, if the caller still wants it.
    pub(in super::super) fn begin_follow(&mut self, gate: &mut dyn Gate) {
        let is_free = self.active.is_empty()
            && self.commands.is_empty()
            && self.writer.is_empty()
            && !self.resetting;
        let Some(follow) = &mut self.follow else {
            return;
        };
        if follow.state != State::Due {
            return;
        }
        if !is_free {
            return follow.stand_back();
        }
        let id = follow.id;
        if !gate.write(id) {
            self.follow = None;
            self.outputs.push_back(Output::Withdrawn(id));
            return;
        }
        follow.yields = false;
        follow.clock.not_before = None;
        // What came since the last IDLE the server may tell only when it is asked.
        if follow.never_idles || !self.can_idle() {
            self.follow_polls();
        } else if let Some(follow) = &mut self.follow {
            follow.may_have_more |= follow.view.is_some();
        }
        self.follow_on();
    }

    fn follow_polls(&mut self) {
        if let Some(follow) = &mut self.follow {
            follow.poll_due = follow.view.is_some();
        }
    }

    fn can_idle(&self) -> bool {
        self.capabilities.contains("IDLE") || self.capabilities.imap4rev2()
    }

    /// Goes on with the next command, or makes room for others.
    fn follow_on(&mut self) {
        self.tell_news();
        let others = !self.active.is_empty() || !self.commands.is_empty() || self.resetting;
        let Some(follow) = &mut self.follow else {
            return;
        };
        if let Some(failure) = follow.failure.take() {
            return self.end_follow(Err(failure));
        }
        if follow.is_given_up {
            return self.end_follow(Ok(End::Done));
        }
        if follow.yields || others {
            return follow.stand_back();
        }
        let next = match self.next_of_follow() {
            Ok(next) => next,
            Err(invalid) => return self.end_follow(Err(invalid.into())),
        };
        self.tell_news();
        let Some(follow) = &mut self.follow else {
            return;
        };
        match next {
            Next::Ask(step, kind, line) => {
                follow.state = State::Asking(step);
                follow.clock.deadline = None;
                if step == Step::Select {
                    let target = follow.target.clone();
                    self.begin_selecting(&target);
                }
                self.send(Owner::Follow, kind, line);
            }
            Next::Idle => {
                follow.state = State::Entering;
                follow.clock.deadline = None;
                self.send(Owner::Follow, Kind::Idle, command::idle());
            }
            Next::Rest => follow.rest(follow.poll),
            Next::Over => {
                if let Some(known) = follow.known.take() {
                    self.end_follow(Ok(End::Followed(known)));
                }
            }
        }
    }

    fn next_of_follow(&mut self) -> Result<Next, InvalidArgument> {
        let keeps_mod_seqs = self.capabilities.condstore();
        let esearch = self.capabilities.esearch();
        let can_idle = self.can_idle();
        let target = match &self.follow {
            Some(follow) => follow.target.clone(),
            None => return Ok(Next::Over),
        };
        let selected = match &self.selected {
            Some(selected) if self.is_selected(&target) => selected,
            _ => {
                let line = self.select_line(&target)?;
                return Ok(Next::Ask(Step::Select, Kind::Select, line));
            }
        };
        let info = &selected.info;
        let Some(follow) = &mut self.follow else {
            return Ok(Next::Over);
        };
        let Some(view) = &mut follow.view else {
            follow.listing = Listing {
                exists: info.exists,
                ..Listing::default()
            };
            let line = command::uid_search(&Query::all(), esearch)?;
            return Ok(Next::Ask(Step::List, Kind::Search, line));
        };
        let Some(known) = &mut follow.known else {
            return Ok(Next::Over);
        };
        let keeps_mod_seqs = keeps_mod_seqs && info.highest_mod_seq.is_some();
        let items = match keeps_mod_seqs {
            true => Items::new().flags().mod_seq(),
            false => Items::new().flags(),
        };
        let fetch = |set: RangeSet| Kind::Fetch {
            by: By::Uid,
            set,
            flags_only: true,
            seen: Seen::default(),
        };
        let up_to = follow.highest.max(info.highest_mod_seq);
        let since = known.mod_seq.filter(|_| keeps_mod_seqs);
        let doubt = std::mem::replace(&mut follow.doubt, Doubt::None);
        match (doubt, since) {
            (Doubt::None, _) => {}
            (Doubt::SinceSelect, Some(since)) if up_to == Some(since) => {}
            (_, Some(since)) if info.exists > 0 => {
                let all = RangeSet::range(1, u32::MAX);
                let line = command::uid_fetch_changes(&all, &items, since)?;
                return Ok(Next::Ask(Step::Changes { up_to }, fetch(all), line));
            }
            (_, Some(_)) => known.mod_seq = up_to,
            (_, None) => {
                known.forget_flags();
                known.mod_seq = up_to.filter(|_| keeps_mod_seqs);
                follow.news.push_back(MailboxChange::FlagsUnknown);
            }
        }
        if let Some(set) = view.next_pending(BATCH) {
            let set = set.split_text(MAX_SET).into_iter().next().unwrap_or(set);
            let line = command::uid_fetch(&set, &items)?;
            return Ok(Next::Ask(Step::New, fetch(set), line));
        }
        let nothing_there = follow.may_have_more && info.exists == 0;
        if std::mem::take(&mut follow.poll_due) || nothing_there {
            follow.may_have_more &= !nothing_there;
            return Ok(Next::Ask(Step::Poll, Kind::Plain, command::noop()));
        }
        if std::mem::take(&mut follow.may_have_more) {
            let set = RangeSet::range(known.uid_next, u32::MAX);
            let line = command::uid_fetch(&set, &items)?;
            return Ok(Next::Ask(Step::New, fetch(set), line));
        }
        Ok(if follow.once {
            Next::Over
        } else if can_idle && !follow.never_idles {
            Next::Idle
        } else {
            Next::Rest
        })
    }

    /// The server agrees to IDLE.
    pub(in super::super) fn idle_began(&mut self) {
        if let Some(follow) = &mut self.follow {
            follow.state = State::Idling;
            follow.clock.renew_at = None;
            if follow.has_had_enough() {
                self.leave_idle();
            }
        }
    }

    /// UIDs of the list that was asked for.
    pub(in super::super) fn follow_found(&mut self, numbers: &RangeSet) {
        let limit = self.config.limits.buffered_body();
        let Some(follow) = &mut self.follow else {
            return;
        };
        let ranges = &mut follow.listing.ranges;
        ranges.extend_from_slice(numbers.ranges());
        let messages = numbers.len().saturating_mul(LISTED);
        if ranges.len().saturating_mul(8) > limit || messages > limit as u64 {
            ranges.clear();
            follow.failure.get_or_insert(Failure::Limit {
                what: "size of the result",
                limit: limit as u64,
            });
        }
    }

    /// An answer that a Follow has waited for is lost.
    pub(in super::super) fn follow_misses(&mut self, reason: &str) {
        if let Some(follow) = &mut self.follow {
            follow.failure.get_or_insert(Failure::protocol(reason));
        }
    }

    /// A command of the Follow has been answered.
    pub(in super::super) fn follow_command_done(
        &mut self,
        command: Command,
        status: Status,
        code: Option<ResponseCode>,
        text: String,
    ) {
        if let Kind::Select = command.kind {
            self.settle_selection(status, code.as_ref());
        }
        let Some(follow) = &mut self.follow else {
            return;
        };
        match (follow.state, command.kind) {
            (State::Asking(step), kind) => {
                let is_fetch = matches!(kind, Kind::Fetch { .. });
                // RFC 2180 §4.1.2: some of the messages are gone.
                let may_refuse = is_fetch && status == Status::No && !follow.was_refused;
                if status != Status::Ok && !may_refuse {
                    let verb = match kind {
                        Kind::Select if follow.target.read_only => "EXAMINE",
                        Kind::Select => "SELECT",
                        Kind::Search => "UID SEARCH",
                        Kind::Fetch { .. } => "UID FETCH",
                        _ => "NOOP",
                    };
                    follow.failure.get_or_insert(Failure::Rejected {
                        verb,
                        status: status_name(status),
                        code: code.map(Box::new),
                        text,
                        partly: false,
                    });
                } else if may_refuse {
                    follow.was_refused = true;
                    follow.view = None;
                    if matches!(step, Step::Changes { .. }) {
                        follow.doubt = Doubt::Certain;
                    }
                } else {
                    follow.was_refused &= !is_fetch;
                    self.step_done(step, kind);
                }
                self.follow_on();
            }
            (State::Leaving, Kind::Idle) => {
                follow.next_rest = FIRST_REST;
                self.follow_on();
            }
            // The server has ended it.
            (state, Kind::Idle) => {
                let rest = match status {
                    Status::Ok if state == State::Idling => FIRST_REST,
                    Status::Ok => follow.next_rest,
                    Status::No | Status::Bad => follow.poll,
                };
                follow.never_idles |= status == Status::Bad;
                follow.next_rest = follow.next_rest.saturating_mul(2).min(follow.poll);
                follow.rest(rest.min(follow.poll));
                if follow.is_given_up {
                    self.end_follow(Ok(End::Done));
                }
            }
            _ => self.follow_on(),
        }
    }

    fn step_done(&mut self, step: Step, kind: Kind) {
        match step {
            Step::Select | Step::Poll => {}
            Step::List => self.list_done(),
            Step::Changes { up_to } => {
                if let Some(known) = self.follow.as_mut().and_then(|it| it.known.as_mut()) {
                    known.mod_seq = known.mod_seq.max(up_to);
                }
                self.fetch_done(None);
            }
            Step::New => match kind {
                Kind::Fetch { set, .. } => self.fetch_done(Some(&set)),
                _ => self.fetch_done(None),
            },
        }
    }

    fn list_done(&mut self) {
        let limit = self.config.limits.buffered_body() as u64;
        let keeps_mod_seqs = self.capabilities.condstore();
        let (Some(follow), Some(selected)) = (&mut self.follow, &self.selected) else {
            return;
        };
        let info = &selected.info;
        let listing = std::mem::take(&mut follow.listing);
        if follow.failure.is_some() {
            return;
        }
        let mut list = RangeSet::new();
        list.extend(listing.ranges);
        if list.len().saturating_mul(LISTED) > limit {
            follow.failure = Some(Failure::Limit {
                what: "size of the result",
                limit,
            });
            return;
        }
        let fits = (u64::from(listing.exists)..=u64::from(info.exists)).contains(&list.len());
        let is_exact = fits && !listing.is_dirty;
        follow.attempts += 1;
        if !is_exact && follow.attempts < ATTEMPTS {
            return;
        }
        if !is_exact {
            log::warn!(
                "imap: the server lists {} messages of {}",
                list.len(),
                info.exists
            );
        }
        follow.attempts = 0;
        let mod_seq = info.highest_mod_seq.filter(|_| keeps_mod_seqs);
        follow.compare(&list, is_exact, info.uid_validity, mod_seq);
        follow.may_have_more |= list.len() < u64::from(info.exists);
    }

    /// A FETCH has been answered; `asked`: new messages that were named one by one.
    fn fetch_done(&mut self, asked: Option<&RangeSet>) {
        let (Some(follow), Some(selected)) = (&mut self.follow, &self.selected) else {
            return;
        };
        let Some(view) = &mut follow.view else {
            return;
        };
        for (_, uid) in std::mem::take(&mut view.arrived) {
            // Unless it has gone again.
            if follow
                .known
                .as_ref()
                .is_some_and(|it| it.uids.contains(uid))
            {
                view.uids.insert(uid);
            }
        }
        if let Some(asked) = asked {
            let left = view.pending.iter().filter(|uid| asked.contains(**uid));
            for uid in left.copied().collect::<Vec<u32>>() {
                view.pending.remove(&uid);
                view.unanswered.insert(uid);
            }
        }
        let exists = usize::try_from(selected.info.exists).unwrap_or(usize::MAX);
        if view.uids.len() == exists {
            follow.may_have_more = false;
        } else if view.is_exact && !follow.may_have_more {
            follow.view = None;
        }
    }
}
