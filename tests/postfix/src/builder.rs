//! What a server shall be like.

use mailpool_test_daemon::Unavailable;

use crate::SKIP;
use crate::instance::Postfix;

/// What the server does with a bare LF in a message that comes with DATA
/// (`smtpd_forbid_bare_newline`): the door of SMTP smuggling.
///
/// Whatever the setting, CR alone ends no line: `\r.\r`, `\r.\r\n` and `\r\n.\r` end no message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// `no`, Debian's default up to version 3.8: a bare LF is a line end, so `\n.\n`, `\n.\r\n`
    /// and `\r\n.\n` end the message. The server that a client must not smuggle into.
    #[default]
    Accept,
    /// `normalize`, the default from 3.9 on: a bare LF is a line end, but only `\r\n.\r\n` ends
    /// the message. The line of a single dot between is lost.
    Normalize,
    /// `reject`: a message with a bare LF is read to its end, then refused with 550 5.5.2.
    Reject,
}

impl BareNewline {
    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Accept => "no",
            Self::Normalize => "normalize",
            Self::Reject => "reject",
        }
    }
}

/// Settings for a server that is about to be started.
///
/// The default takes messages of up to 200 MB for every address, offers all the extensions that
/// Postfix has (STARTTLS, PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, CHUNKING,
/// ENHANCEDSTATUSCODES, VRFY, ETRN), and knows no authentication.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) message_size_limit: u64,
    pub(crate) bare_newline: BareNewline,
    pub(crate) in_memory: bool,
    pub(crate) rules: Vec<(String, String)>,
    pub(crate) settings: Vec<(String, String)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            message_size_limit: 200_000_000,
            bare_newline: BareNewline::default(),
            in_memory: false,
            rules: Vec::new(),
            settings: Vec::new(),
        }
    }
}

impl Builder {
    /// The largest message in bytes, which EHLO announces with SIZE. Default: 200,000,000.
    pub fn message_size_limit(mut self, bytes: u64) -> Self {
        self.message_size_limit = bytes;
        self
    }

    /// What is done with a bare LF. Default: [`BareNewline::Accept`].
    pub fn bare_newline(mut self, treatment: BareNewline) -> Self {
        self.bare_newline = treatment;
        self
    }

    /// Keeps queue and mail in memory (`/dev/shm`, if there is one): Postfix waits for the disk
    /// before it takes responsibility for a message, so that it accepts about three times as many
    /// in the same time. Not for large messages: a container's `/dev/shm` may have 64 MB.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// What RCPT is answered for addresses that a regular expression (POSIX, extended) matches,
    /// before the rules for `refused` and `later`:
    ///
    /// ```no_run
    /// # use mailpool_test_postfix::Postfix;
    /// let postfix = Postfix::builder()
    ///     .recipients("^moved@", "551 5.7.1 try elsewhere")
    ///     .start()?;
    /// # Ok::<(), mailpool_test_postfix::Unavailable>(())
    /// ```
    pub fn recipients(mut self, pattern: impl Into<String>, reply: impl Into<String>) -> Self {
        self.rules.push((pattern.into(), reply.into()));
        self
    }

    /// Adds `key = value` to the end of `main.cf`, where it overrides what is before.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Starts the server and waits until it greets.
    ///
    /// # Errors
    /// [`Unavailable`] says what is missing, or how Postfix failed, with its log. Nothing of it
    /// is left running then.
    pub fn start(self) -> Result<Postfix, Unavailable> {
        Postfix::start(&self)
    }

    /// Like [`start`](Self::start), for use in a test: `None` where the tests against Postfix
    /// are to be skipped (see the crate's documentation).
    ///
    /// # Panics
    /// Where Postfix is missing or fails although it is wanted.
    pub fn start_or_skip(self) -> Option<Postfix> {
        if SKIP.this_test() {
            return None;
        }
        match self.start() {
            Ok(postfix) => Some(postfix),
            Err(unavailable) => panic!("{unavailable}\n{unavailable:?}"),
        }
    }
}
