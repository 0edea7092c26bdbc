//! Private Dovecot servers on loopback for the tests of mailpool.
//!
//! A [`Dovecot`] is a complete server of its own: configuration, certificates, users and mail
//! lie in a temporary directory, its ports are free ones on loopback, and it ends when it is
//! dropped - or, if the test process dies without dropping it, when a small watcher notices
//! that. A system-wide Dovecot on the same machine is neither used nor disturbed.
//!
//! Most tests share one server per test binary and take a user of their own:
//!
//! ```no_run
//! use mailpool_test_dovecot::Dovecot;
//!
//! let Some(dovecot) = Dovecot::shared() else { return };
//! let user = dovecot.new_user("fetch");
//! let served = dovecot.deliver(&user.name, "INBOX", [b"Subject: hello\n\nhi\n".to_vec()]);
//! assert_eq!(served[0], b"Subject: hello\r\n\r\nhi\r\n");
//! // Connect to dovecot.address() at dovecot.port() or dovecot.tls_port(),
//! // trusting dovecot.ca_pem(), as user.name with user.password.
//! ```
//!
//! A test that needs other settings starts a private one:
//!
//! ```no_run
//! use mailpool_test_dovecot::Dovecot;
//!
//! let dovecot = Dovecot::builder()
//!     .user("alice", "secret")
//!     .max_connections_per_user(3)
//!     .setting("imap_idle_notify_interval", "1 s")
//!     .start_or_skip();
//! let Some(dovecot) = dovecot else { return };
//! ```
//!
//! # Sending
//! [`Service::Lmtp`] takes mail for the users, at once and without authentication;
//! [`Dovecot::arrived`] has it then. [`Service::Submission`] asks for a password and hands mail on
//! to the server that [`Builder::relay`] names. In Debian's version 2.3 both take a bare LF for a
//! line end (`\n.\n`, `\n.\r\n`, `\r\n.\n` end a message; a dot behind a bare LF is unstuffed),
//! and both swallow the byte after `\n.\r`. All else stays as it is: carriage returns elsewhere,
//! NUL, 8-bit bytes whether declared or not, lines of any length, a missing line end at the end of
//! the message.
//!
//! # Where Dovecot is missing
//! [`Builder::start`] says what is missing. [`Dovecot::shared`] and [`Builder::start_or_skip`]
//! make it a test failure, unless the environment says `MAILPOOL_WITHOUT_DOVECOT=1`: then the
//! test is skipped, with a line on stderr that `tests/run` counts.
//!
//! # What is here
//! `builder` collects what a server shall be like, `config` writes it down for Dovecot,
//! `setup` checks the machine, `instance` is the running server, `maildir` writes mail where the
//! server finds it. What any private server needs is in `tests/daemon`.

#![allow(
    clippy::panic,
    reason = "a helper for tests: a broken set-up fails the test"
)]

mod builder;
mod config;
mod instance;
mod maildir;
mod setup;

pub use builder::{Builder, Format, Service, User};
pub use instance::Dovecot;
pub use maildir::{Message, as_served, as_served_after_append};
pub use mailpool_test_daemon::{Arrived, Unavailable};

/// The environment variable that, set to `1`, turns a missing Dovecot from a failure into a skip.
pub const WITHOUT_DOVECOT: &str = "MAILPOOL_WITHOUT_DOVECOT";

static SKIP: mailpool_test_daemon::Skip = mailpool_test_daemon::Skip::new(NAME, WITHOUT_DOVECOT);

/// What messages call the server.
const NAME: &str = "Dovecot";

/// How many times this process has skipped a test for want of Dovecot.
pub fn skipped() -> usize {
    SKIP.count()
}
