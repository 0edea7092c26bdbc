//! The receive buffer: bytes from the socket, handed on as slices of it.

use bytes::{Bytes, BytesMut};

/// Room that is allocated at a time.
const CHUNK: usize = 64 * 1024;
/// A read is not started into less room than this.
const MIN_READ: usize = 4 * 1024;

/// Bytes that have been received and not yet taken.
///
/// `take` gives slices that share the buffer's memory, so nothing is copied when a
/// response is taken. Only what has been received of an unfinished response is moved, once,
/// when its chunk is full; [`ReceiveBuffer::expect`] makes the next chunk large enough for
/// the whole of it.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBuffer {
    /// Initialised memory; the first `filled` bytes are received ones.
    memory: BytesMut,
    filled: usize,
    /// How many bytes from the start are to be contiguous.
    expected: usize,
}

impl ReceiveBuffer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What has been received and not taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether the chunk has no room for a further read.
    pub(crate) fn is_full(&self) -> bool {
        self.memory.len().saturating_sub(self.filled) < MIN_READ
    }

    /// Announces that the first `total` bytes will be taken together. The caller bounds it:
    /// it is allocated when the present chunk has no room for it.
    pub(crate) fn expect(&mut self, total: usize) {
        self.expected = total;
    }

    /// Room for the next read; follow it with [`ReceiveBuffer::advance`].
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let free = self.memory.len().saturating_sub(self.filled);
        if free < MIN_READ || self.memory.len() < self.expected {
            let wanted = self.expected.max(self.filled.saturating_mul(2));
            let mut memory = BytesMut::zeroed(wanted.saturating_add(CHUNK));
            if let (Some(to), Some(from)) = (
                memory.get_mut(..self.filled),
                self.memory.get(..self.filled),
            ) {
                to.copy_from_slice(from);
            }
            self.memory = memory;
        }
        self.memory.get_mut(self.filled..).unwrap_or_default()
    }

    /// Says that a read put `count` bytes into the room.
    pub(crate) fn advance(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.memory.len());
    }

    /// Takes the first `count` bytes (all of them where there are fewer).
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.filled);
        self.filled -= count;
        self.expected = self.expected.saturating_sub(count);
        self.memory.split_to(count).freeze()
    }

    /// Drops the first `count` bytes.
    pub(crate) fn skip(&mut self, count: usize) {
        drop(self.take(count));
    }

    /// Appends bytes, for transcripts.
    #[cfg(test)]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room();
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.advance(count);
            rest = &rest[count..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_received_across_chunks() {
        let mut buffer = ReceiveBuffer::new();
        let data: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let mut taken = Vec::new();
        for (index, piece) in data.chunks(7_001).enumerate() {
            buffer.push(piece);
            if index % 3 == 0 {
                taken.extend_from_slice(&buffer.take(5_000));
            }
        }
        taken.extend_from_slice(&buffer.take(usize::MAX));
        assert_eq!(taken, data);
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_expected_size_is_contiguous_and_moved_at_most_once() {
        let mut buffer = ReceiveBuffer::new();
        buffer.push(&[1; 1000]);
        buffer.expect(200_000);
        buffer.push(&[2; 10]);
        let start = buffer.bytes().as_ptr();
        buffer.push(&[3; 198_000]);
        assert_eq!(start, buffer.bytes().as_ptr());
    }

    #[test]
    fn taking_shares_the_memory() {
        let mut buffer = ReceiveBuffer::new();
        buffer.push(b"hello world");
        let at = buffer.bytes().as_ptr();
        let hello = buffer.take(5);
        assert_eq!(hello.as_ptr(), at);
        assert_eq!(buffer.bytes(), b" world");
    }
}
