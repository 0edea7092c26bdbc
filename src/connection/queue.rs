//! The order in which a connection takes up what its callers send.
//!
//! First come, first served, with one exception: while a thread holds the connection for
//! itself (an exclusive session), only that session's items are taken; the others keep their
//! places.

use std::collections::VecDeque;

/// Names one exclusive session. Never used twice in a process.
pub(crate) type SessionId = u64;

/// What stands in line.
#[derive(Debug)]
pub(crate) enum Waiting<O, X> {
    Operation(O),
    /// A session that wants the connection for itself.
    Session(SessionId, X),
    /// The end of one user's time with the connection.
    Reset(X),
}

/// A command queue.
#[derive(Debug)]
pub(crate) struct CommandQueue<O, X> {
    line: VecDeque<Waiting<O, X>>,
    owner: Option<SessionId>,
    of_owner: VecDeque<O>,
}

impl<O, X> Default for CommandQueue<O, X> {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            owner: None,
            of_owner: VecDeque::new(),
        }
    }
}

impl<O, X> CommandQueue<O, X> {
    /// Adds an operation, of `session` if it was issued inside one. An operation of a session
    /// that does not own the connection is handed back.
    pub(crate) fn push(&mut self, operation: O, session: Option<SessionId>) -> Result<(), O> {
        match session {
            None => self.line.push_back(Waiting::Operation(operation)),
            Some(_) if session == self.owner => self.of_owner.push_back(operation),
            Some(_) => return Err(operation),
        }
        Ok(())
    }

    pub(crate) fn push_session(&mut self, session: SessionId, promise: X) {
        self.line.push_back(Waiting::Session(session, promise));
    }

    pub(crate) fn push_reset(&mut self, promise: X) {
        self.line.push_back(Waiting::Reset(promise));
    }

    /// What is next in line.
    pub(crate) fn front(&self) -> Option<Front<'_, O, X>> {
        if self.owner.is_some() {
            return self.of_owner.front().map(Front::Operation);
        }
        self.line.front().map(|waiting| match waiting {
            Waiting::Operation(operation) => Front::Operation(operation),
            Waiting::Session(_, promise) => Front::Session(promise),
            Waiting::Reset(_) => Front::Reset,
        })
    }

    /// Takes what is next in line. A session so taken owns nothing until
    /// [`CommandQueue::own`] says so.
    pub(crate) fn pop(&mut self) -> Option<Waiting<O, X>> {
        if self.owner.is_some() {
            return self.of_owner.pop_front().map(Waiting::Operation);
        }
        self.line.pop_front()
    }

    pub(crate) fn own(&mut self, session: SessionId) {
        self.owner = Some(session);
    }

    /// Whether a session owns the connection.
    pub(crate) fn is_owned(&self) -> bool {
        self.owner.is_some()
    }

    /// Ends a session, or its wait for the connection.
    pub(crate) fn release(&mut self, session: SessionId) {
        if self.owner == Some(session) {
            self.owner = None;
            // What the session sent before it ended goes first.
            for operation in self.of_owner.drain(..).rev() {
                self.line.push_front(Waiting::Operation(operation));
            }
        } else {
            self.line
                .retain(|waiting| !matches!(waiting, Waiting::Session(id, _) if *id == session));
        }
    }

    /// Puts operations at the front, in their order: they have been taken before.
    pub(crate) fn put_back(&mut self, operations: Vec<O>) {
        for operation in operations.into_iter().rev() {
            self.line.push_front(Waiting::Operation(operation));
        }
    }

    /// Ends the exclusive session that owns the connection, if one does, and hands out what it
    /// has sent: nothing of it may be carried out without the rest.
    pub(crate) fn break_session(&mut self) -> Vec<O> {
        self.owner = None;
        self.of_owner.drain(..).collect()
    }

    /// Takes the operations out of the line for which `which` holds.
    pub(crate) fn take(&mut self, which: impl Fn(&O) -> bool) -> Vec<O> {
        let mut taken = Vec::new();
        for waiting in std::mem::take(&mut self.line) {
            match waiting {
                Waiting::Operation(item) if which(&item) => taken.push(item),
                other => self.line.push_back(other),
            }
        }
        taken
    }

    /// Takes out what earlier users of the connection have left: everything up to the last
    /// reset.
    pub(crate) fn take_resets(&mut self) -> (Vec<O>, Vec<X>) {
        let last = self
            .line
            .iter()
            .rposition(|one| matches!(one, Waiting::Reset(_)));
        let before = last.map_or(0, |at| at + 1);
        sort_out(self.line.drain(..before))
    }

    /// Whether anything stands in line, also behind an exclusive session.
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.of_owner.is_empty()
    }

    /// Drops the operations and sessions that are not wanted any more.
    pub(crate) fn retain(
        &mut self,
        mut operation: impl FnMut(&O) -> bool,
        mut session: impl FnMut(&X) -> bool,
    ) {
        self.of_owner.retain(&mut operation);
        self.line.retain(|waiting| match waiting {
            Waiting::Operation(item) => operation(item),
            Waiting::Session(_, promise) => session(promise),
            Waiting::Reset(_) => true,
        });
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) -> (Vec<O>, Vec<X>) {
        let mut operations: Vec<O> = self.of_owner.drain(..).collect();
        let (others, promises) = sort_out(self.line.drain(..));
        operations.extend(others);
        self.owner = None;
        (operations, promises)
    }
}

fn sort_out<O, X>(line: impl Iterator<Item = Waiting<O, X>>) -> (Vec<O>, Vec<X>) {
    let (mut operations, mut promises) = (Vec::new(), Vec::new());
    for waiting in line {
        match waiting {
            Waiting::Operation(item) => operations.push(item),
            Waiting::Session(_, promise) | Waiting::Reset(promise) => promises.push(promise),
        }
    }
    (operations, promises)
}

/// A look at what is next in line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a, O, X> {
    Operation(&'a O),
    /// Waits until nothing else is under way, unless it is not wanted any more.
    Session(&'a X),
    /// Waits until nothing else is under way.
    Reset,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop_operation(queue: &mut CommandQueue<u32, &'static str>) -> Option<u32> {
        match queue.pop() {
            Some(Waiting::Operation(operation)) => Some(operation),
            _ => None,
        }
    }

    #[test]
    fn a_session_keeps_the_others_waiting_in_their_order() {
        let mut queue = CommandQueue::default();
        queue.push(1, None).unwrap();
        queue.push_session(7, "session");
        queue.push(2, None).unwrap();
        assert_eq!(pop_operation(&mut queue), Some(1));
        assert_eq!(queue.front(), Some(Front::Session(&"session")));
        assert!(matches!(queue.pop(), Some(Waiting::Session(7, _))));
        queue.own(7);
        assert_eq!(queue.front(), None);
        queue.push(3, None).unwrap();
        queue.push(10, Some(7)).unwrap();
        assert_eq!(queue.push(11, Some(8)), Err(11));
        assert_eq!(pop_operation(&mut queue), Some(10));
        assert!(!queue.is_empty());
        queue.push(12, Some(7)).unwrap();
        queue.release(7);
        assert_eq!(pop_operation(&mut queue), Some(12));
        assert_eq!(pop_operation(&mut queue), Some(2));
        assert_eq!(pop_operation(&mut queue), Some(3));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_session_that_gives_up_waiting_blocks_nobody() {
        let mut queue: CommandQueue<u32, &str> = CommandQueue::default();
        queue.push_session(7, "session");
        queue.push(1, None).unwrap();
        queue.release(7);
        assert_eq!(pop_operation(&mut queue), Some(1));
    }
}
