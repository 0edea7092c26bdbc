//! Bounds on what a server controls.

/// What a client accepts from a server.
///
/// Untagged data beyond a limit is passed over, and the operation, the message or the attribute
/// that it belonged to fails with a typed error. Too many untagged responses, and a greeting, a
/// tagged response or a continuation request beyond a limit, end the connection.
///
/// The defaults leave room for every mailbox that is in good order; raise one where an error
/// names it. Memory for a literal is set aside when it is announced, within
/// [`max_literal`](Self::max_literal) or [`stream_threshold`](Self::stream_threshold).
///
/// ```
/// use mailpool::Limits;
/// let limits = Limits::default().max_line(64 << 20).stream_threshold(1 << 20);
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Limits {
    line: usize,
    literal: usize,
    nesting: usize,
    list_items: usize,
    untagged_responses: u64,
    buffered_body: usize,
    skipped: usize,
    stream_threshold: usize,
    min_scram_iterations: u32,
    max_scram_iterations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 16 << 20,
            literal: 1 << 20,
            nesting: 100,
            list_items: 100_000,
            untagged_responses: 10_000_000,
            buffered_body: 64 << 20,
            skipped: 16 << 20,
            stream_threshold: 256 << 10,
            min_scram_iterations: 4096,
            max_scram_iterations: 1_000_000,
        }
    }
}

impl Limits {
    /// How much of one response is held in memory, in bytes: its text and its literals, without
    /// message data that is streamed; 16 MiB by default. A SEARCH without ESEARCH answers with
    /// one number for each message in a single line.
    pub const fn max_line(mut self, bytes: usize) -> Self {
        self.line = bytes;
        self
    }

    /// The size of a literal that is held in memory and is no message data, such as a subject
    /// or a mailbox name, in bytes; 1 MiB by default. Message data has no such limit.
    pub const fn max_literal(mut self, bytes: usize) -> Self {
        self.literal = bytes;
        self
    }

    /// How deep parentheses may be nested, as in the body structure of a message that contains
    /// messages; 100 by default. The stacks of the connection threads grow with it.
    pub const fn max_nesting(mut self, levels: usize) -> Self {
        self.nesting = levels;
        self
    }

    /// How many items one list may have, such as flags, addresses or parameters; 100,000 by
    /// default.
    pub const fn max_list_items(mut self, items: usize) -> Self {
        self.list_items = items;
        self
    }

    /// How many untagged responses one command may have; 10,000,000 by default. A FETCH has
    /// one for each message.
    pub const fn max_untagged_responses(mut self, responses: u64) -> Self {
        self.untagged_responses = responses;
        self
    }

    /// How much message data is buffered for a caller that reads slowly while others wait for
    /// the connection, in bytes; 64 MiB by default. Above it the slow reader's operation fails.
    pub const fn max_buffered_body(mut self, bytes: usize) -> Self {
        self.buffered_body = bytes;
        self
    }

    /// How much of a reply that nobody wants any more is read and passed over, in bytes; 16 MiB
    /// by default. Above it the connection is replaced, unless somebody waits for the reply to a command
    /// that cannot be repeated.
    pub const fn max_skipped(mut self, bytes: usize) -> Self {
        self.skipped = bytes;
        self
    }

    /// Message data larger than this many bytes is delivered as a stream and not held whole;
    /// 256 KiB by default.
    pub const fn stream_threshold(mut self, bytes: usize) -> Self {
        self.stream_threshold = bytes;
        self
    }

    /// How many rounds of hashing a server must at least ask for in a SCRAM login; 4,096 by
    /// default, the least that RFC 7677 §4 recommends. A login with fewer is given up: they are
    /// for those who want to guess the password from what they heard.
    pub const fn min_scram_iterations(mut self, rounds: u32) -> Self {
        self.min_scram_iterations = rounds;
        self
    }

    /// How many rounds of hashing a server may ask for in a SCRAM login; 1,000,000 by default,
    /// which keep a processor busy for about a second. A login with more is given up. They are
    /// computed once for all connections of a client, as long as the server asks for the same.
    pub const fn max_scram_iterations(mut self, rounds: u32) -> Self {
        self.max_scram_iterations = rounds;
        self
    }

    pub(crate) const fn scram_iterations(&self) -> (u32, u32) {
        (self.min_scram_iterations, self.max_scram_iterations)
    }

    pub(crate) const fn line(&self) -> usize {
        self.line
    }

    pub(crate) const fn literal(&self) -> usize {
        self.literal
    }

    pub(crate) const fn nesting(&self) -> usize {
        self.nesting
    }

    pub(crate) const fn list_items(&self) -> usize {
        self.list_items
    }

    pub(crate) const fn untagged_responses(&self) -> u64 {
        self.untagged_responses
    }

    pub(crate) const fn buffered_body(&self) -> usize {
        self.buffered_body
    }

    pub(crate) const fn skipped(&self) -> usize {
        self.skipped
    }

    /// See [`Limits::stream_threshold`].
    pub(crate) const fn streamed_above(&self) -> usize {
        self.stream_threshold
    }
}
