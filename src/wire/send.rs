//! The send buffer: what is to be written, in few and large pieces.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces at least this large are passed on as they are; smaller ones are put together.
const SHARE: usize = 4 * 1024;
/// How many pieces one vectored write offers.
pub(crate) const MAX_SLICES: usize = 16;

/// Bytes on their way out.
///
/// Commands are appended to one growing piece, so that what is queued together leaves in one
/// write; large literals stay the caller's memory. The bytes at the front never change once
/// they have been offered to the socket, which TLS needs: after a write that would block the
/// same bytes are offered again, perhaps with more behind them.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
    /// All bytes that were ever appended.
    total: u64,
    /// How many of them may have left.
    offered: u64,
}

impl SendBuffer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
        self.total += bytes.len() as u64;
    }

    /// Appends `bytes`, without a copy where they are many.
    pub(crate) fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE {
            self.put(bytes);
            return;
        }
        self.close_tail();
        self.len += bytes.len();
        self.total += bytes.len() as u64;
        self.pieces.push_back(bytes.clone());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes have been appended since the connection was opened.
    pub(crate) fn appended(&self) -> u64 {
        self.total
    }

    /// How many of them may have left: those that have been written, and those that a layer below
    /// has been offered and may have kept.
    pub(crate) fn written(&self) -> u64 {
        self.offered.max(self.total - self.len as u64)
    }

    /// Says that `count` bytes have been offered to a layer that takes them its own way: TLS makes
    /// a record of what it then says it has not taken, and may send that with its last words.
    pub(crate) fn offer(&mut self, count: usize) {
        let end = self.total - self.len as u64 + count.min(self.len) as u64;
        self.offered = self.offered.max(end);
    }

    /// The bytes to write next, as one slice.
    pub(crate) fn front(&mut self) -> &[u8] {
        if self.pieces.is_empty() {
            self.close_tail();
        }
        self.pieces.front().map_or(&[], |piece| piece.as_ref())
    }

    /// The bytes to write next, as slices for one vectored write.
    pub(crate) fn slices(&mut self) -> Vec<IoSlice<'_>> {
        self.close_tail();
        self.pieces
            .iter()
            .take(MAX_SLICES)
            .map(|piece| IoSlice::new(piece))
            .collect()
    }

    /// Says that `count` bytes have been written.
    pub(crate) fn advance(&mut self, count: usize) {
        let mut count = count.min(self.len);
        self.len -= count;
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                if self.tail.is_empty() {
                    return;
                }
                self.close_tail();
                continue;
            };
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(buffer: &mut SendBuffer, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !buffer.is_empty() {
            let front = buffer.front();
            let count = front.len().min(step);
            out.extend_from_slice(&front[..count]);
            buffer.advance(count);
        }
        out
    }

    #[test]
    fn small_pieces_leave_together_and_large_ones_are_not_copied() {
        let mut buffer = SendBuffer::new();
        let large = Bytes::from(vec![b'x'; 10_000]);
        buffer.put(b"A1 NOOP\r\n");
        buffer.put(b"A2 NOOP\r\n");
        buffer.put_shared(&large);
        buffer.put(b"\r\n");
        let slices = buffer.slices();
        assert_eq!(slices.len(), 3);
        assert_eq!(&*slices[0], b"A1 NOOP\r\nA2 NOOP\r\n");
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn what_a_layer_below_may_have_kept_counts_as_written() {
        let mut buffer = SendBuffer::new();
        buffer.put(b"A1 NOOP\r\n");
        assert_eq!(buffer.written(), 0);
        buffer.advance(2);
        assert_eq!(buffer.written(), 2);
        buffer.offer(4);
        assert_eq!(buffer.written(), 6);
        // Offered with less behind it, or taken: that changes nothing.
        buffer.offer(1);
        buffer.advance(3);
        assert_eq!(buffer.written(), 6);
        buffer.offer(100);
        assert_eq!((buffer.written(), buffer.appended()), (9, 9));
    }

    #[test]
    fn order_and_content_hold_for_every_step_size() {
        for step in [1, 2, 3, 7, 4096, 100_000] {
            let mut buffer = SendBuffer::new();
            let mut expected = Vec::new();
            for n in 0..50usize {
                let piece = Bytes::from(vec![n as u8; n * 300]);
                buffer.put(b"a");
                buffer.put_shared(&piece);
                expected.push(b'a');
                expected.extend_from_slice(&piece);
            }
            assert_eq!(buffer.len(), expected.len());
            assert_eq!(drain(&mut buffer, step), expected);
        }
    }
}
