//! What can go wrong.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why nothing was sent, or a message was not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{server}")]
    Server {
        server: String,
        source: mailpool::Error,
    },
    #[error(transparent)]
    Send(#[from] mailpool::Error),
    #[error(transparent)]
    Address(#[from] mailpool::InvalidArgument),
    #[error("its header names no sender: use --from")]
    NoSender,
    #[error("its header names no recipient: use --to")]
    NoRecipient,
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("signals cannot be handled")]
    Signals(#[from] ctrlc::Error),
    #[error("the embedded server does not start")]
    Embedded(#[source] io::Error),
    #[error("{0}")]
    Check(String),
}

impl Error {
    /// An error of the file system, for `map_err`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// The error with its causes. Parts of it are the server's words: see [`printable`].
pub(crate) fn in_one_line(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&text)
}

/// What others have written must not reach the terminal as control characters.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
