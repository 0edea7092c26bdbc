//! The end of a connection, wished for or not.

use std::time::Instant;

use super::clock::earlier;
use super::event_loop::{Closing, EventLoop, Fail};
use super::failure::Failure;
use super::handle::{Keep, Request};
use crate::protocol::machine::Protocol;

impl<P: Protocol> EventLoop<P> {
    /// Refuses what is queued and lets what is under way finish; then comes the goodbye.
    pub(super) fn begin_close(&mut self, keep: Option<Keep>, deadline: Option<Instant>) {
        self.close(keep, deadline);
    }

    /// The connection has been parked for its time. Whoever has just given it back is told that
    /// it was in order.
    pub(super) fn begin_expiry(&mut self, keep: Keep, deadline: Option<Instant>) {
        for promise in self.queue.take_resets().1 {
            promise.finish(Ok(()));
        }
        self.close(Some(keep), deadline);
        if let Some(closing) = &mut self.closing {
            closing.expired = true;
        }
    }

    fn close(&mut self, keep: Option<Keep>, deadline: Option<Instant>) {
        if keep.is_some() {
            self.keep = keep;
        }
        let (orders, waiting) = self.queue.clear();
        for order in orders {
            drop(order.count);
            order.promise.finish(Err(Failure::Closed));
        }
        for promise in waiting {
            promise.finish(Err(Failure::Closed));
        }
        match &mut self.closing {
            Some(closing) => closing.deadline = earlier(closing.deadline, deadline),
            None => {
                self.closing = Some(Closing {
                    deadline,
                    said: false,
                    expired: false,
                });
            }
        }
    }

    pub(super) fn has_expired(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.expired)
    }

    /// Closes the socket first, then tells everybody: who tries again at once finds room.
    pub(super) fn end(mut self, result: Result<(), Fail<P>>) {
        self.transport.close();
        let failure = match result {
            Ok(()) => Failure::Closed,
            Err(failure) => failure,
        };
        self.shared.set_closed(failure.clone());
        if !matches!(failure, Failure::Closed) {
            log::debug!(
                "{} connection {} to {}: {failure}",
                self.settings.protocol,
                self.shared.id,
                self.settings.host
            );
        }
        drop(self.keep.take());
        self.shared.set_readiness(Err(failure.clone()));
        self.broken.tell(&failure);
        drop(self.settle());
        for in_flight in std::mem::take(&mut self.in_flight).into_values() {
            drop(in_flight.count);
            let why = failure.clone().of_repeated::<P>(in_flight.was_repeated);
            in_flight.promise.finish(Err(why));
        }
        let (orders, waiting) = self.queue.clear();
        for order in orders {
            drop(order.count);
            let why = failure.clone().of_repeated::<P>(order.was_repeated);
            order.promise.finish(Err(why));
        }
        for promise in waiting.into_iter().chain(self.resets.drain(..)) {
            promise.finish(Err(failure.clone()));
        }
        // A request that arrives from now on is dropped with the receiver.
        while let Ok(request) = self.receiver.try_recv() {
            match request {
                Request::Operation(order, _) => {
                    drop(order.count);
                    order.promise.finish(Err(failure.clone()));
                }
                Request::Reset(promise) if self.has_expired() => promise.finish(Ok(())),
                _ => {}
            }
        }
        drop(self.receiver);
    }
}
