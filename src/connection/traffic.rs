//! The loop and its socket: writing, reading, sleeping until there is something to do.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::event_loop::{EventLoop, Fail};
use super::failure::Failure;
use super::transport::{ReadOutcome, Transport};
use crate::protocol::machine::Protocol;

/// Reads from a server that takes no more: enough for its words, not for ever.
const LAST_READS: usize = 64;

impl<P: Protocol> EventLoop<P> {
    /// Writes what the socket takes. Returns whether it took anything.
    pub(super) fn write(&mut self) -> Result<bool, Fail<P>> {
        if self.output.is_empty() || !self.writable {
            return Ok(false);
        }
        let before = self.output.len();
        let result = self.transport.write(&mut self.output);
        let written = before - self.output.len();
        self.shared
            .counters
            .bytes_out
            .fetch_add(written as u64, Ordering::Relaxed);
        self.last_out = Instant::now();
        self.writable = result.map_err(Failure::io)?;
        Ok(written > 0)
    }

    /// Takes in what the server said before it stopped listening: answers count, and its own
    /// words say more than a broken pipe.
    pub(super) fn last_words(&mut self, failure: Fail<P>) -> Fail<P> {
        for _ in 0..LAST_READS {
            let Ok(ReadOutcome::Some { .. }) = self.transport.read(&mut self.input) else {
                break;
            };
            if let Err(last) = self.advance() {
                return last;
            }
        }
        failure
    }

    /// Writes everything that is left, before the transport changes.
    pub(super) fn finish_writing(&mut self) -> Result<(), Fail<P>> {
        self.write()?;
        while !self.output.is_empty() {
            self.wait_while_opening(self.open_by)?;
            self.write()?;
        }
        Ok(())
    }

    /// Reads once. Returns whether anything came.
    pub(super) fn read(&mut self) -> Result<bool, Fail<P>> {
        if !self.readable || self.is_paused() {
            return Ok(false);
        }
        let before = self.input.len();
        match self.transport.read(&mut self.input) {
            Ok(ReadOutcome::Some { drained }) => {
                let count = self.input.len() - before;
                self.shared
                    .counters
                    .bytes_in
                    .fetch_add(count as u64, Ordering::Relaxed);
                // The end of the stream may have been reported together with the data.
                self.readable = !drained || self.read_closed;
                self.last_in = Instant::now();
                Ok(true)
            }
            Ok(ReadOutcome::Blocked) => {
                self.readable = false;
                Ok(false)
            }
            Ok(ReadOutcome::EndOfStream) => Err(Failure::EndOfStream),
            Err(error) => Err(Failure::io(error)),
        }
    }

    pub(super) fn sleep(&mut self, until: Option<Instant>) -> Result<(), Fail<P>> {
        self.shared.doorbell.going_to_sleep();
        let pending = !self.receiver.is_empty() || self.shared.resumed.load(Ordering::SeqCst);
        let timeout = if pending {
            Some(Duration::ZERO)
        } else {
            until.map(|until| until.saturating_duration_since(Instant::now()))
        };
        let result = self.poll.poll(&mut self.events, timeout);
        self.shared.doorbell.awake();
        self.shared.counters.wakeups.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Failure::io(error)),
        }
        let tls = matches!(self.transport, Transport::Tls(_));
        for event in &self.events {
            if event.token() == Self::SOCKET {
                // An error or a hang-up is found by the next read or write. Under TLS a read
                // may have to write first, and the other way round.
                let failed = event.is_error();
                let closed = event.is_read_closed();
                self.read_closed |= closed;
                self.readable |= tls || closed || failed || event.is_readable();
                self.writable |= tls || failed || event.is_write_closed() || event.is_writable();
            }
        }
        Ok(())
    }
}
