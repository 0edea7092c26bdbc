//! Faults at a point of a session, not of its byte stream.

use super::{Action, FaultBoard, Faults, board::Table};

/// A point of a session at which something goes wrong: see [`Faults::at`].
///
/// The points about messages exist in SMTP and LMTP only. There the verb `.` stands for the end
/// of a message, be it the final dot or the last octet of `BDAT ... LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// Before the nth command of a connection is carried out, from 1. The end of a message
    /// counts as a command.
    Command(u64),
    /// Before a command with this verb is carried out.
    Verb(String),
    /// When a command with this verb has been answered.
    Answered(String),
    /// When so many bytes of the content of a message have come, at least 1.
    Content(u64),
    /// A message has come to its end and is not stored.
    Received,
    /// A message has been stored, and nothing was said about it. A 421 here
    /// ([`Action::Farewell`]) refuses what was accepted, as a server should not.
    Stored,
}

/// Where a session is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    Command(u64, &'a str),
    Answered(&'a str),
    /// The content has grown from one length to another.
    Content(u64, u64),
    Received,
    Stored,
}

impl Point {
    fn is(&self, place: Place<'_>) -> bool {
        match (self, place) {
            (Self::Command(wanted), Place::Command(number, _)) => *wanted == number,
            (Self::Verb(wanted), Place::Command(_, verb))
            | (Self::Answered(wanted), Place::Answered(verb)) => wanted.eq_ignore_ascii_case(verb),
            (Self::Content(wanted), Place::Content(from, to)) => from < *wanted && *wanted <= to,
            (Self::Received, Place::Received) | (Self::Stored, Place::Stored) => true,
            _ => false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct PointRule {
    id: u64,
    point: Point,
    action: Action,
    /// How many times more the point is passed without consequences.
    skip: u64,
    always: bool,
    over: bool,
}

/// A rule that applies now.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) id: u64,
    pub(crate) action: Action,
}

impl Table {
    fn hit(rules: &mut Vec<PointRule>, place: Place<'_>) -> Option<Hit> {
        let mut hit = None;
        for rule in rules.iter_mut() {
            if rule.over || !rule.point.is(place) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if hit.is_none() {
                rule.over = !rule.always;
                hit = Some(Hit {
                    id: rule.id,
                    action: rule.action.clone(),
                });
            }
        }
        // A stall lasts as long as its rule is there.
        rules.retain(|rule| !rule.over || rule.action == Action::Stall);
        hit
    }
}

impl FaultBoard {
    /// What is to happen to a connection at this place. The rule counts as used.
    pub(crate) fn reach(&self, connection: usize, place: Place<'_>) -> Option<Hit> {
        self.table
            .lock()
            .take(connection, |rules| Table::hit(&mut rules.points, place))
    }

    /// Whether a rule has not been taken back.
    pub(crate) fn has_point(&self, connection: usize, id: u64) -> bool {
        let table = self.table.lock();
        let found = table.find(connection, |rules| {
            rules.points.iter().any(|rule| rule.id == id).then_some(())
        });
        found.is_some()
    }
}

impl Faults {
    /// Does `action` when a session of this scope next comes to `point`, once.
    ///
    /// ```
    /// # use mailpool_test_server::{Action, Point, Protocol, Server};
    /// let server = Server::builder().protocol(Protocol::Smtp).start()?;
    /// // The next message is accepted, but its sender does not hear of it.
    /// server.faults().at(Point::Stored, Action::Reset);
    /// // Every connection is told off at its tenth command.
    /// let farewell = Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec());
    /// server.faults().always_at(Point::Command(10), farewell);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn at(&self, point: Point, action: Action) -> &Self {
        self.at_nth(1, point, action)
    }

    /// As [`at`](Self::at), for the nth time from now that a session of this scope comes there,
    /// from 1.
    pub fn at_nth(&self, nth: u64, point: Point, action: Action) -> &Self {
        self.add_point(nth.saturating_sub(1), false, point, action)
    }

    /// As [`at`](Self::at), every time.
    pub fn always_at(&self, point: Point, action: Action) -> &Self {
        self.add_point(0, true, point, action)
    }

    fn add_point(&self, skip: u64, always: bool, point: Point, action: Action) -> &Self {
        let id = self.hub.faults.next_generation();
        self.set(|rules| {
            rules.points.push(PointRule {
                id,
                point,
                action,
                skip,
                always,
                over: false,
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_they_say() {
        assert!(Point::Command(3).is(Place::Command(3, "NOOP")));
        assert!(!Point::Command(3).is(Place::Command(4, "NOOP")));
        assert!(Point::Verb("mail".into()).is(Place::Command(9, "MAIL")));
        assert!(!Point::Verb("MAIL".into()).is(Place::Answered("MAIL")));
        assert!(Point::Content(10).is(Place::Content(0, 10)));
        assert!(!Point::Content(10).is(Place::Content(10, 20)));
        assert!(!Point::Content(10).is(Place::Content(0, 9)));
        assert!(!Point::Received.is(Place::Stored));
    }
}
