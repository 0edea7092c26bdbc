//! Following a mailbox: IDLE (RFC 2177), and what it takes to miss nothing around it.
//!
//! A Follow is a standing operation. It lasts until its caller has had enough, stands back for
//! every other operation, and goes on when the connection is free again. There is one at most
//! on a connection.
//!
//! ```text
//!               free for a moment            nothing left to ask
//!   Standing ──► Due ──► Asking ──────────────────► Entering ──────► Idling
//!      ▲  ▲               │  ▲                     IDLE │        +      │ others wait,
//!      │  └───────────────┘  │                          │ tagged        │ something to ask,
//!      │   others wait       │ something to ask         │ answer        │ time to renew:
//!      │                     │                          ▼               ▼ DONE
//!      └─────────────────────┴───────────────────────────────────── Leaving
//! ```
//! `Asking` sends one command after the other ([`steps`]): SELECT where the mailbox is not
//! selected, a list of UIDs where the one there is cannot be relied on, the changed flags after
//! a gap, the messages that are new. Which of them are due follows from what is known
//! ([`view`]), not from the way there, so that a Follow may be interrupted between any two.
//! What the server says by itself meanwhile is taken in by [`news`], also while operations of
//! others run: as long as the mailbox stays selected, nothing is missed.
//!
//! Only one thing is written without an answer to what went before: DONE, with the commands
//! of others behind it. Between IDLE and DONE nothing else may be written.

mod news;
mod steps;
#[cfg(test)]
mod tests;
mod uids;
mod view;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Session;
use super::operation::{End, Failure, Follow, Operation, Request, Target};
use crate::protocol::imap::command;
use crate::protocol::machine::{OperationId, Output, Salvaged};
use crate::types::ids::ModSeq;
use crate::types::mailbox_change::MailboxChange;

pub(crate) use view::Known;
use view::View;

/// How long the connection has to be free before an interrupted Follow goes on.
const SETTLE: Duration = Duration::from_millis(50);
/// How long the server may be silent while it owes an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first rest after an IDLE that the server ended at once.
const FIRST_REST: Duration = Duration::from_secs(1);

/// Where a Follow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It stands back.
    Standing,
    /// It goes on as soon as its caller turns out to want it still.
    Due,
    /// A command that is not IDLE is under way.
    Asking(Step),
    /// IDLE is written, the server has not agreed yet.
    Entering,
    Idling,
    /// DONE is written.
    Leaving,
}

/// What a Follow asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Select,
    /// The UIDs of all messages.
    List,
    /// The flags that have changed. Afterwards all changes up to here are known.
    Changes {
        up_to: Option<ModSeq>,
    },
    /// Messages that are new.
    New,
    /// NOOP.
    Poll,
}

/// Whether flags may have changed unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    None,
    /// If HIGHESTMODSEQ says so.
    SinceSelect,
    Certain,
}

/// A list of UIDs that is being made.
#[derive(Debug, Default)]
struct Listing {
    ranges: Vec<(u32, u32)>,
    /// How many messages there were when it was asked for.
    exists: u32,
    /// Messages went while it was made: it may be from before or after.
    is_dirty: bool,
}

/// A Follow under way.
pub(super) struct Following {
    id: OperationId,
    target: Target,
    once: bool,
    poll: Duration,
    renew: Duration,
    known: Option<Box<Known>>,
    state: State,
    /// Its caller has had enough.
    is_given_up: bool,
    /// Others wait for the connection.
    yields: bool,
    /// It ends with this.
    failure: Option<Failure>,
    /// `None`: to be listed.
    view: Option<View>,
    listing: Listing,
    /// Lists in a row that could not be right.
    attempts: u32,
    /// The server said NO to a FETCH.
    was_refused: bool,
    /// There may be messages above those of the view.
    may_have_more: bool,
    doubt: Doubt,
    /// The highest mod-sequence that the server has named since the mailbox was selected.
    highest: Option<ModSeq>,
    /// The server has said BAD to IDLE.
    never_idles: bool,
    /// NOOP is due.
    poll_due: bool,
    /// The next rest after an IDLE that the server ended at once.
    next_rest: Duration,
    news: VecDeque<MailboxChange>,
    clock: Clock,
}

/// Times of a Follow. Only `elapsed` knows what time it is: what happens in between leaves word
/// for it.
#[derive(Debug, Default)]
struct Clock {
    /// Go on when the connection has been free for a moment, rather than at once.
    settle: bool,
    free_since: Option<Instant>,
    /// Go on after this time, unless there is something to ask.
    rest: Option<Duration>,
    not_before: Option<Instant>,
    /// By when the server has to have said something.
    deadline: Option<Instant>,
    /// Responses that had come when `deadline` was set.
    heard: u64,
    /// When IDLE is to be issued anew.
    renew_at: Option<Instant>,
    wakes_at: Option<Instant>,
}

impl Following {
    fn new(id: OperationId, target: Target, follow: Follow) -> Self {
        let doubt = if follow.known.is_some() {
            Doubt::SinceSelect
        } else {
            Doubt::None
        };
        Self {
            id,
            target,
            once: follow.once,
            poll: follow.poll,
            renew: follow.renew,
            known: follow.known,
            state: State::Standing,
            is_given_up: false,
            yields: false,
            failure: None,
            view: None,
            listing: Listing::default(),
            attempts: 0,
            was_refused: false,
            may_have_more: false,
            doubt,
            highest: None,
            never_idles: false,
            poll_due: false,
            next_rest: FIRST_REST,
            news: VecDeque::new(),
            clock: Clock::default(),
        }
    }

    /// Whether nothing of others may be written.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.state, State::Standing | State::Leaving)
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    pub(super) fn is_idling(&self) -> bool {
        self.state == State::Idling
    }

    pub(super) fn is_entering(&self) -> bool {
        self.state == State::Entering
    }

    /// Goes on when the connection has been free for a moment.
    fn stand_back(&mut self) {
        self.state = State::Standing;
        self.clock.settle = true;
        self.clock.free_since = None;
    }

    /// Goes on after `rest`.
    fn rest(&mut self, rest: Duration) {
        self.stand_back();
        self.clock.settle = false;
        self.clock.rest = Some(rest);
    }

    /// Whether there is something to ask but for how things are.
    fn has_work(&self) -> bool {
        self.view.as_ref().is_some_and(|view| {
            self.may_have_more || !view.pending.is_empty() || self.doubt == Doubt::Certain
        })
    }

    /// Whether IDLE has to be left.
    fn has_had_enough(&self) -> bool {
        self.is_given_up || self.yields || self.view.is_none() || self.has_work()
    }

    /// What the mailbox looks like is not known any more: another one is selected.
    pub(super) fn lose_view(&mut self) {
        self.view = None;
        self.listing = Listing::default();
        self.attempts = 0;
        self.may_have_more = false;
        self.highest = None;
        self.doubt = self.doubt.max(Doubt::SinceSelect);
    }

    /// What is due at `now`. Returns whether it goes on, or IDLE is to be left.
    fn elapsed(&mut self, now: Instant, free: bool, heard: u64) -> Result<bool, Failure> {
        self.clock.wakes_at = None;
        match self.state {
            State::Standing => {
                if let Some(rest) = self.clock.rest.take() {
                    self.clock.not_before = now.checked_add(rest);
                }
                self.clock.deadline = None;
                if !free {
                    self.clock.free_since = None;
                    return Ok(false);
                }
                let since = *self.clock.free_since.get_or_insert(now);
                let settle = if self.clock.settle {
                    SETTLE
                } else {
                    Duration::ZERO
                };
                let mut due = since.checked_add(settle).unwrap_or(since);
                if let Some(later) = self.clock.not_before.filter(|_| !self.has_work()) {
                    due = due.max(later);
                }
                if now < due {
                    self.clock.wakes_at = Some(due);
                    return Ok(false);
                }
                self.state = State::Due;
                Ok(true)
            }
            State::Due => Ok(true),
            State::Idling => {
                self.clock.deadline = None;
                let due = match self.clock.renew_at {
                    Some(due) => Some(due),
                    None => now.checked_add(self.renew),
                };
                self.clock.renew_at = due;
                if due.is_some_and(|due| now >= due) {
                    return Ok(true);
                }
                self.clock.wakes_at = due;
                Ok(false)
            }
            State::Asking(_) | State::Entering | State::Leaving => {
                if self.clock.heard != heard {
                    self.clock.heard = heard;
                    self.clock.deadline = None;
                }
                let due = match self.clock.deadline {
                    Some(due) => Some(due),
                    None => now.checked_add(PATIENCE),
                };
                self.clock.deadline = due;
                if due.is_some_and(|due| now >= due) {
                    return Err(Failure::Silent);
                }
                self.clock.wakes_at = due;
                Ok(false)
            }
        }
    }
}

impl Session {
    /// Takes a Follow up; it begins when the connection is free.
    pub(super) fn take_up_follow(
        &mut self,
        id: OperationId,
        target: Option<Target>,
        follow: Follow,
    ) {
        let failure = match target {
            Some(target) if self.follow.is_none() => {
                self.follow = Some(Box::new(Following::new(id, target, follow)));
                return;
            }
            Some(_) => Failure::Following,
            None => Failure::protocol("no mailbox to be followed"),
        };
        self.outputs.push_back(Output::End(id, Err(failure)));
    }

    /// Has the Follow stand back. Returns whether that changed anything.
    pub(super) fn follow_makes_way(&mut self) -> bool {
        let Some(follow) = &mut self.follow else {
            return false;
        };
        match follow.state {
            State::Standing => false,
            State::Due => {
                follow.stand_back();
                true
            }
            State::Idling => {
                follow.yields = true;
                self.leave_idle();
                true
            }
            State::Asking(_) | State::Entering | State::Leaving => {
                !std::mem::replace(&mut follow.yields, true)
            }
        }
    }

    /// Ends the Follow whose caller has had enough. Returns whether that changed anything.
    pub(super) fn give_up_follow(&mut self, id: Option<OperationId>) -> bool {
        let Some(follow) = &mut self.follow else {
            return false;
        };
        if id.is_some_and(|id| id != follow.id) || follow.is_given_up {
            return false;
        }
        follow.is_given_up = true;
        match follow.state {
            State::Standing | State::Due => self.end_follow(Ok(End::Done)),
            State::Idling => self.leave_idle(),
            State::Asking(_) | State::Entering | State::Leaving => {}
        }
        true
    }

    pub(super) fn follow_elapsed(&mut self, now: Instant, free: bool) -> Result<bool, Failure> {
        let heard = self.heard;
        let Some(follow) = &mut self.follow else {
            return Ok(false);
        };
        let goes_on = follow.elapsed(now, free, heard)?;
        if goes_on && follow.state == State::Idling {
            // Whatever IDLE may have failed to tell.
            follow.may_have_more = true;
            if follow.known.as_ref().is_some_and(|it| it.mod_seq.is_some()) {
                follow.doubt = Doubt::Certain;
            }
            self.leave_idle();
        }
        Ok(goes_on)
    }

    pub(super) fn follow_wakes_at(&self) -> Option<Instant> {
        self.follow.as_ref()?.clock.wakes_at
    }

    /// Takes the Follow out to be continued on another connection.
    pub(super) fn salvage_follow(&mut self) -> Option<Salvaged<Self>> {
        let follow = self.follow.take()?;
        if follow.is_given_up || follow.failure.is_some() {
            return None;
        }
        Some(Salvaged {
            id: follow.id,
            again: Some(Operation {
                target: Some(follow.target),
                request: Request::Follow(Follow {
                    known: follow.known,
                    once: follow.once,
                    poll: follow.poll,
                    renew: follow.renew,
                }),
            }),
            sent: false,
            undone: true,
        })
    }

    /// Whether the mailbox that the untagged responses are about is the one that is being left:
    /// the server answers in order, and has not come to the SELECT behind the end of IDLE.
    pub(super) fn is_still_idle_answer(&self) -> bool {
        let front = self.commands.front();
        self.commands.len() > 1
            && front.is_some_and(|one| matches!(one.kind, super::commands::Kind::Idle))
    }

    /// Writes DONE.
    fn leave_idle(&mut self) {
        if let Some(follow) = &mut self.follow {
            follow.state = State::Leaving;
            follow.clock.deadline = None;
            follow.clock.renew_at = None;
            self.writer.line(command::done());
            self.dones += 1;
        }
    }

    fn end_follow(&mut self, result: Result<End, Failure>) {
        self.tell_news();
        if let Some(follow) = self.follow.take() {
            self.outputs.push_back(Output::End(follow.id, result));
        }
    }
}
