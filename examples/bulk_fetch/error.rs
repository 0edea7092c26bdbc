//! What can go wrong.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use mailpool::{ErrorKind, Uid};

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why nothing, or not everything, was fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{server}")]
    Server {
        server: String,
        source: mailpool::Error,
    },
    #[error("mailbox {mailbox}")]
    Mailbox {
        mailbox: String,
        source: mailpool::Error,
    },
    #[error(transparent)]
    Fetch(#[from] mailpool::Error),
    #[error("message {0}: the server sent no content")]
    NoBody(Uid),
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("messages that could not be fetched: {0}")]
    Incomplete(u64),
    #[error("{0}")]
    Check(String),
}

impl Error {
    /// An error of the file system, for `map_err`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }

    /// Whether only one message is affected, so that the others can still be fetched.
    pub(crate) fn is_about_one_message(&self) -> bool {
        match self {
            Self::Fetch(error) => matches!(error.kind(), ErrorKind::Message { .. }),
            Self::NoBody(_) => true,
            _ => false,
        }
    }

    /// The error with its causes, and with what to do about it. Parts of it are the server's
    /// words, which must not reach the terminal as control characters.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        if self
            .mail()
            .is_some_and(mailpool::Error::is_too_many_connections)
        {
            text.push_str(" (try fewer --connections)");
        }
        text.replace(char::is_control, " ")
    }

    fn mail(&self) -> Option<&mailpool::Error> {
        match self {
            Self::Server { source, .. } | Self::Mailbox { source, .. } | Self::Fetch(source) => {
                Some(source)
            }
            _ => None,
        }
    }
}
