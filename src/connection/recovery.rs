//! A connection that has broken is opened anew by its own thread.
//!
//! ```text
//!  ready ──► lost ──► what may be done again goes back into the queue, the rest fails
//!    ▲         │
//!    │      delay ◄──────┐
//!    │         ▼         │ failed
//!    └───── opening ─────┘
//! ```
//! Meanwhile the command queue stays as it is: what waits there keeps its place, and its caller
//! may give up at any time.

use std::time::{Duration, Instant};

use super::clock::earlier;
use super::event_loop::{EventLoop, Fail, InFlight, Served};
use super::failure::{Failure, Phase};
use super::handle::{Count, OperationPromise, Order, SignalPromise};
use super::notice::Notice;
use super::queue::Front;
use crate::protocol::machine::{Output, Protocol, Salvaged, Verdict};
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// Whether a connection that was lost is opened anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// As long as the policy allows: the main connection.
    Always,
    /// As long as somebody waits for it.
    WhileWanted,
}

/// How far a connection is with coming back.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// It has been ready before.
    pub was_ready: bool,
    /// It is opened anew because it had served its time, not because it was lost.
    pub is_renewal: bool,
    /// Attempts since it was last of use.
    failed: u32,
    lost_at: Option<Instant>,
    /// Since when it has been ready, as long as it has not proved itself.
    on_trial_since: Option<Instant>,
}

impl Recovery {
    fn prove(&mut self) {
        self.failed = 0;
        self.lost_at = None;
        self.on_trial_since = None;
    }

    fn prove_by_lasting(&mut self, now: Instant) {
        let since = self.on_trial_since;
        if since.is_some_and(|since| now.saturating_duration_since(since) >= TRIAL) {
            self.prove();
        }
    }

    /// It is gone. Nothing may have woken the thread since its trial was over.
    fn lose(&mut self, now: Instant) {
        self.prove_by_lasting(now);
        self.on_trial_since = None;
    }
}

/// Callers whose operations fail with their connection.
pub(super) struct Broken<P: Protocol> {
    /// With whether they had been sent before, on an earlier connection.
    pub operations: Vec<(OperationPromise<P>, Count, bool)>,
    pub signals: Vec<SignalPromise<P>>,
}

impl<P: Protocol> Default for Broken<P> {
    fn default() -> Self {
        Self {
            operations: Vec::new(),
            signals: Vec::new(),
        }
    }
}

impl<P: Protocol> Broken<P> {
    fn add(&mut self, orders: Vec<Order<P>>) {
        let orders = orders.into_iter();
        self.operations
            .extend(orders.map(|order| (order.promise, order.count, order.was_repeated)));
    }

    /// Tells them. Who tries again at once must find the connection in its new state.
    pub(super) fn tell(&mut self, failure: &Fail<P>) {
        for (promise, count, was_repeated) in self.operations.drain(..) {
            drop(count);
            promise.finish(Err(failure.clone().of_repeated::<P>(was_repeated)));
        }
        for promise in self.signals.drain(..) {
            promise.finish(Err(failure.clone()));
        }
    }
}

/// How long a connection has to last to be of use, if nothing is asked of it: one that only
/// listens has no other way to prove itself.
const TRIAL: Duration = Duration::from_secs(60);

impl<P: Protocol> EventLoop<P> {
    /// The life of the connection, from the resolver to the closed socket.
    pub(super) fn run(mut self) {
        let result = loop {
            match self.open().and_then(|()| self.serve()) {
                Ok(Served::Ended) => break Ok(()),
                Ok(Served::Worn) => self.renew(),
                Err(failure) => {
                    if let Err(failure) = self.recover(failure) {
                        break Err(failure);
                    }
                }
            }
        };
        self.end(result);
    }

    /// The connection is of use again: the next time it breaks, the delays begin anew.
    pub(super) fn has_proved_itself(&mut self) {
        self.recovery.prove();
    }

    /// A connection that has come back and lasts is of use, too.
    pub(super) fn prove_by_lasting(&mut self, now: Instant) {
        self.recovery.prove_by_lasting(now);
    }

    /// Tells those who are interested that the connection is ready again.
    pub(super) fn was_restored(&mut self) {
        let is_renewal = std::mem::take(&mut self.recovery.is_renewal);
        if self.recovery.was_ready && !is_renewal {
            let attempts = self.recovery.failed;
            log::info!(
                "{} connection {} to {} is there again",
                self.settings.protocol,
                self.shared.id,
                self.settings.host
            );
            self.shared.set_trouble(None);
            // The next loss is another one: it is told, and has its own time.
            self.recovery.lost_at = None;
            self.recovery.on_trial_since = Some(Instant::now());
            self.hooks
                .notice(self.shared.id, Notice::Restored { attempts });
        }
        self.recovery.was_ready = true;
    }

    /// Prepares for the next attempt to open the connection, after the delay that is due.
    ///
    /// # Errors
    /// There is no further attempt.
    fn recover(&mut self, failure: Fail<P>) -> Result<(), Fail<P>> {
        self.recovery.is_renewal = false;
        // What has come may be read, however long it takes until more does.
        self.wake_callers();
        if !self.recovery.was_ready || self.closing.is_some() {
            return Err(failure);
        }
        if is_final::<P>(&failure) {
            return Err(self.give_up(failure));
        }
        self.recovery.lose(Instant::now());
        self.transport.close();
        self.break_off();
        let given_back = !self.broken.signals.is_empty();
        let own_doing = verdict::<P>(&failure) == Verdict::OwnDoing;
        // Who has had a message broken off has the connection still, and may use it at any moment.
        let has_user = own_doing && !given_back;
        if !has_user && !self.is_wanted() {
            return Err(failure);
        }
        if own_doing {
            // It was not lost: nobody is to wait, or to be told, because of it.
            self.recovery.is_renewal = true;
            self.broken.tell(&failure);
            self.begin_anew();
            if self.persistence == Persistence::WhileWanted {
                self.rest()?;
            }
            self.limit_opening();
            return Ok(());
        }
        let now = Instant::now();
        let lost_at = match self.recovery.lost_at {
            Some(lost_at) => lost_at,
            None => {
                log::warn!(
                    "{} connection {} to {} is lost: {failure}",
                    self.settings.protocol,
                    self.shared.id,
                    self.settings.host
                );
                self.hooks
                    .notice(self.shared.id, Notice::Lost(failure.clone()));
                self.recovery.lost_at = Some(now);
                now
            }
        };
        let policy = &self.settings.backoff;
        let failed = self.recovery.failed;
        if policy.is_exhausted(failed, now.saturating_duration_since(lost_at)) {
            log::warn!(
                "{} connection {} to {} is given up after {failed} attempts: {failure}",
                self.settings.protocol,
                self.shared.id,
                self.settings.host
            );
            return Err(self.give_up(failure));
        }
        let delay = policy.delay(failed);
        self.recovery.failed = failed.saturating_add(1);
        let attempt = self.recovery.failed;
        log::info!(
            "{} connection {} to {}: attempt {attempt} in {delay:.1?}",
            self.settings.protocol,
            self.shared.id,
            self.settings.host
        );
        self.hooks
            .notice(self.shared.id, Notice::Retrying { attempt, delay });
        self.shared.set_trouble(Some((failed, failure.clone())));
        self.broken.tell(&failure);
        self.begin_anew();
        self.pause(delay, failure)?;
        self.limit_opening();
        Ok(())
    }

    /// The time of the next attempt begins.
    pub(super) fn limit_opening(&mut self) {
        self.open_by = self
            .settings
            .open_timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
    }

    fn give_up(&self, failure: Fail<P>) -> Fail<P> {
        self.hooks
            .notice(self.shared.id, Notice::GivenUp(failure.clone()));
        failure
    }

    /// Puts what may be carried out on another connection back into the queue; the rest is
    /// broken.
    fn break_off(&mut self) {
        let mut lost = self.queue.break_session();
        // What a session that is over has left unsent.
        lost.extend(self.queue.take(|order| order.of_session));
        let mut salvaged = self.settle();
        let mut again = Vec::new();
        for (id, in_flight) in std::mem::take(&mut self.in_flight) {
            let at = salvaged.iter().position(|one| one.id == id);
            let salvaged = at.map(|at| salvaged.swap_remove(at));
            let undone = salvaged.as_ref().is_some_and(|one| one.undone);
            let next = salvaged.and_then(|one| {
                let first_time = !one.sent || !in_flight.was_repeated;
                let may_go_on = in_flight.standing || (first_time && !in_flight.of_session);
                let may_go_on = may_go_on && in_flight.promise.is_wanted();
                one.again.filter(|_| may_go_on).map(|it| (it, one.sent))
            });
            match next {
                Some((operation, sent)) => again.push(Order {
                    operation,
                    promise: in_flight.promise,
                    count: in_flight.count,
                    was_repeated: in_flight.was_repeated || sent,
                    uncertain: in_flight.uncertain || !undone,
                    of_session: false,
                }),
                None => {
                    let InFlight {
                        promise,
                        count,
                        was_repeated,
                        ..
                    } = in_flight;
                    self.broken.operations.push((promise, count, was_repeated));
                }
            }
        }
        // Who has given the connection back is told; the next user's operations go on.
        let (orders, promises) = self.queue.take_resets();
        let given_back = !promises.is_empty() || !self.resets.is_empty();
        if given_back {
            lost.extend(orders);
            lost.append(&mut again);
        }
        self.broken.add(lost);
        self.broken.signals.extend(promises);
        self.broken.signals.append(&mut self.resets);
        self.queue.put_back(again);
        self.name_running();
    }

    /// Ends what has an end although the connection broke, and notes what is known to have had no
    /// effect. Returns what the protocol knows about the rest.
    pub(super) fn settle(&mut self) -> Vec<Salvaged<P>> {
        let salvaged = self.protocol.salvage(self.output.written());
        while let Some(output) = self.protocol.poll() {
            if let Output::End(id, end) = output {
                self.finish(id, end);
            }
        }
        for one in &salvaged {
            if let Some(in_flight) = self.in_flight.get(&one.id) {
                if one.undone && !in_flight.uncertain {
                    in_flight.promise.uncommit();
                }
            }
        }
        salvaged
    }

    /// Whether it is being opened anew and nobody waits for that any more.
    pub(super) fn is_given_up(&mut self) -> bool {
        self.recovery.was_ready && !self.is_wanted()
    }

    /// Whether the connection is to be opened anew.
    fn is_wanted(&mut self) -> bool {
        self.take_requests();
        if self.closing.is_some() {
            return false;
        }
        match self.persistence {
            Persistence::Always => true,
            Persistence::WhileWanted => {
                self.drop_unwanted();
                self.let_go();
                !self.queue.is_empty()
            }
        }
    }

    /// Whoever gives a connection back that is lost does not have it opened for that: he is told,
    /// and what he has left there is not carried out.
    fn let_go(&mut self) {
        let (orders, promises) = self.queue.take_resets();
        let mut broken = Broken::default();
        broken.add(orders);
        broken.signals = promises;
        broken.tell(&Failure::EndOfStream);
    }

    /// Forgets everything about the connection that has broken.
    pub(super) fn begin_anew(&mut self) {
        self.protocol = (self.make)();
        self.input = ReceiveBuffer::new();
        self.output = SendBuffer::new();
        self.ready = false;
        self.given_up = None;
        self.awaited.clear();
    }

    /// Waits without a socket until somebody wants the connection.
    ///
    /// # Errors
    /// It is given back, or closed.
    fn rest(&mut self) -> Result<(), Fail<P>> {
        loop {
            self.take_requests();
            if self.closing.is_some() {
                return Err(Failure::Closed);
            }
            self.drop_unwanted();
            match self.queue.front() {
                Some(Front::Reset) => {
                    self.let_go();
                    return Err(Failure::EndOfStream);
                }
                Some(_) => return Ok(()),
                None => {
                    let due = self.hooks.housekeeping(self.shared.id, Instant::now());
                    self.sleep(due)?;
                }
            }
        }
    }

    /// Lets `delay` pass, unless the connection is closed or nobody wants it any more.
    fn pause(&mut self, delay: Duration, failure: Fail<P>) -> Result<(), Fail<P>> {
        self.enter(Phase::Reconnect);
        let until = Instant::now().checked_add(delay);
        loop {
            if !self.is_wanted() {
                return Err(if self.closing.is_some() {
                    Failure::Closed
                } else {
                    failure
                });
            }
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return Ok(());
            }
            let due = self.hooks.housekeeping(self.shared.id, now);
            self.sleep(earlier(until, due))?;
        }
    }
}

/// Whether trying again by itself would be wrong.
fn is_final<P: Protocol>(failure: &Fail<P>) -> bool {
    matches!(failure, Failure::Closed) || verdict::<P>(failure) == Verdict::Permanent
}

fn verdict<P: Protocol>(failure: &Fail<P>) -> Verdict {
    match failure {
        Failure::Protocol(failure) => P::verdict(failure),
        _ => Verdict::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_lasted_is_of_use_although_nothing_woke_it_meanwhile() {
        let restored = Instant::now();
        let back = || Recovery {
            was_ready: true,
            is_renewal: false,
            failed: 3,
            lost_at: None,
            on_trial_since: Some(restored),
        };
        let mut lasted = back();
        lasted.lose(restored + TRIAL);
        assert_eq!(lasted.failed, 0);
        let mut flapping = back();
        flapping.lose(restored + TRIAL / 2);
        assert_eq!(flapping.failed, 3);
        // The attempts that follow last as long as they like.
        flapping.lose(restored + 2 * TRIAL);
        assert_eq!(flapping.failed, 3);
    }
}
