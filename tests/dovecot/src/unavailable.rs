//! Why there is no Dovecot to test against.

use std::io;

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// A program is not on this machine.
    #[error("Dovecot cannot be tested: {program} is not installed (Debian package {package})")]
    NotInstalled {
        /// The program that was looked for.
        program: String,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// The test does not run as root, and Dovecot changes users.
    #[error("Dovecot cannot be tested: it must be started by root, and this is user id {uid}")]
    NotRoot {
        /// The effective user id of the test process.
        uid: u32,
    },
    /// A system user that Dovecot runs as, or that could own the mail, does not exist.
    #[error("Dovecot cannot be tested: this system has no user called {names}")]
    NoUser {
        /// The name, or the names of which one would do.
        names: String,
    },
    /// Dovecot ended, or was not ready in time.
    #[error("Dovecot did not start: {reason}\n--- its output and log:\n{log}")]
    Failed {
        /// What was noticed from outside.
        reason: String,
        /// What Dovecot wrote.
        log: String,
    },
    /// The set-up around it failed.
    #[error("Dovecot could not be set up: {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Unavailable {
    /// For `map_err`: the same with the words for what was being done.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// Whether another attempt with other ports may succeed.
    pub(crate) fn port_was_taken(&self) -> bool {
        matches!(self, Self::Failed { log, .. } if log.contains("Address already in use"))
    }
}
