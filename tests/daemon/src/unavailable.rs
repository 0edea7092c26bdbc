//! Why there is no server to test against.

use std::io;
use std::path::Path;

use crate::place::{SystemUser, system_user};

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// A program is not on this machine.
    #[error("{server} cannot be tested: {program} is not installed (Debian package {package})")]
    NotInstalled {
        /// The server's name.
        server: &'static str,
        /// The program that was looked for.
        program: String,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// The test does not run as root, and the server changes users.
    #[error("{server} cannot be tested: it must be started by root, and this is user id {uid}")]
    NotRoot {
        /// The server's name.
        server: &'static str,
        /// The effective user id of the test process.
        uid: u32,
    },
    /// A system user that the server runs as, or that could own the mail, does not exist.
    #[error("{server} cannot be tested: this system has no user called {names}")]
    NoUser {
        /// The server's name.
        server: &'static str,
        /// The name, or the names of which one would do.
        names: String,
    },
    /// The server ended, or was not ready in time.
    #[error("{server} did not start: {reason}\n--- its output and log:\n{log}")]
    Failed {
        /// The server's name.
        server: &'static str,
        /// What was noticed from outside.
        reason: String,
        /// What the server wrote.
        log: String,
    },
    /// The set-up around it failed.
    #[error("{server} could not be set up: {doing}")]
    Io {
        /// The server's name.
        server: &'static str,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Unavailable {
    /// For `map_err`: the words for what was being done.
    pub fn io(server: &'static str, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            server,
            doing,
            source,
        }
    }

    /// Whether another attempt with other ports may succeed.
    pub fn port_was_taken(&self) -> bool {
        matches!(self, Self::Failed { log, .. } if log.contains("Address already in use"))
    }

    /// Checks that a program is there.
    ///
    /// # Errors
    /// [`Unavailable::NotInstalled`].
    pub fn check_program(
        server: &'static str,
        program: &str,
        package: &'static str,
    ) -> Result<(), Self> {
        if Path::new(program).exists() {
            return Ok(());
        }
        Err(Self::NotInstalled {
            server,
            program: program.to_owned(),
            package,
        })
    }

    /// Checks that this process is root's.
    ///
    /// # Errors
    /// [`Unavailable::NotRoot`].
    pub fn check_root(server: &'static str) -> Result<(), Self> {
        let uid = rustix::process::geteuid().as_raw();
        if uid == 0 {
            return Ok(());
        }
        Err(Self::NotRoot { server, uid })
    }

    /// The first of these users that exists.
    ///
    /// # Errors
    /// [`Unavailable::NoUser`].
    pub fn check_user(server: &'static str, names: &[&'static str]) -> Result<SystemUser, Self> {
        for name in names {
            let user = system_user(name).map_err(Self::io(server, "reading the list of users"))?;
            if let Some(user) = user {
                return Ok(user);
            }
        }
        Err(Self::NoUser {
            server,
            names: names.join(" or "),
        })
    }
}
