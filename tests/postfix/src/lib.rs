//! Private Postfix servers on loopback for the tests of mailpool, and `smtp-sink`s.
//!
//! A [`Postfix`] is a complete mail server of its own: configuration, queue, certificates and
//! mail lie in a temporary directory, its ports are free ones on loopback, and it ends when it is
//! dropped - or, if the test process dies without dropping it, when a small watcher notices
//! that. A system-wide Postfix on the same machine is neither used nor disturbed.
//!
//! It takes mail for every address of every domain, delivers it to files at once, relays
//! nothing and asks no DNS. Most tests share one server per test binary and send to addresses of
//! their own:
//!
//! ```no_run
//! use mailpool_test_postfix::Postfix;
//!
//! let Some(postfix) = Postfix::shared() else { return };
//! let recipient = postfix.new_recipient("hello");
//! // Send b"Subject: hello\r\n\r\nhi\r\n" to it over postfix.address() or postfix.tls_address(),
//! // trusting postfix.ca_pem().
//! let arrived = postfix.arrived(&recipient, 1);
//! assert_eq!(arrived[0].message(), b"Subject: hello\r\n\r\nhi\r\n");
//! assert_eq!(arrived[0].reverse_path(), "me@example.org");
//! ```
//!
//! Recipients whose address begins with `refused` get 550 5.1.1, with `later` 450 4.2.1.
//!
//! The log is part of the message when expected mail does not come, and is printed when a test
//! fails that owns its server; [`Postfix::log`] has it at any time.
//!
//! A test that needs other settings starts a private one ([`Postfix::builder`]); one that needs a
//! server which behaves badly on purpose takes an [`SmtpSink`].
//!
//! # What becomes of the bytes
//! Postfix stores lines with LF. [`Arrived::message`] gives them back with CRLF, and without the
//! headers that Postfix put before the message; a message whose line ends are all CRLF, and whose
//! last line has one, comes out byte for byte. Postfix changes the others, in Debian's version 3.7:
//!
//! | sent with DATA | stored |
//! |---|---|
//! | a carriage return inside a line | a space |
//! | carriage returns before a line's CRLF | nothing (a space, unless [`BareNewline::Accept`]) |
//! | a bare LF | a line end; see [`BareNewline`] for what a dot beside it does |
//! | no line end at the end of the message (with BDAT) | a line end |
//! | NUL, 8-bit bytes (declared or not), lines of any length | the same |
//!
//! What Postfix does to headers of local clients by default is switched off: nothing is added,
//! completed or removed (Bcc is kept, so that a test sees it).
//!
//! # Where Postfix is missing
//! [`Builder::start`] says what is missing. [`Postfix::shared`], [`Builder::start_or_skip`] and
//! their like of [`SmtpSink`] make it a test failure, unless the environment says
//! `MAILPOOL_WITHOUT_POSTFIX=1`: then the test is skipped, with a line on stderr that `tests/run`
//! counts.
//!
//! # What is here
//! `builder` collects what a server shall be like, `config` writes it down for Postfix,
//! `instance` is the running server, `mailroom` finds what arrived, `sink` is `smtp-sink`. What
//! any private server needs is in `tests/daemon`.

#![allow(
    clippy::panic,
    reason = "a helper for tests: a broken set-up fails the test"
)]

mod builder;
mod config;
mod instance;
mod mailroom;
mod sink;

use std::path::Path;

pub use builder::{BareNewline, Builder};
pub use instance::Postfix;
pub use mailpool_test_daemon::{Arrived, Unavailable};
pub use sink::{Dump, SinkBuilder, SmtpSink};

/// The environment variable that, set to `1`, turns a missing Postfix from a failure into a skip.
pub const WITHOUT_POSTFIX: &str = "MAILPOOL_WITHOUT_POSTFIX";

/// The program of the package that sends generated mail, for comparisons of speed.
pub const SMTP_SOURCE: &str = "/usr/sbin/smtp-source";

/// What messages call the server.
const NAME: &str = "Postfix";

/// The Debian package that brings everything here.
const PACKAGE: &str = "postfix";

static SKIP: mailpool_test_daemon::Skip = mailpool_test_daemon::Skip::new(NAME, WITHOUT_POSTFIX);

/// How many times this process has skipped a test for want of Postfix.
pub fn skipped() -> usize {
    SKIP.count()
}

/// The path of `smtp-source`, if it is installed.
pub fn smtp_source() -> Option<&'static Path> {
    let path = Path::new(SMTP_SOURCE);
    path.exists().then_some(path)
}
