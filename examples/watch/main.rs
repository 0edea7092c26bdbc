//! Follows mailboxes and prints what becomes of them, one line for each event.
//!
//! ```text
//! watch --server imaps://imap.example.org --user alice --password-file FILE \
//!       --mailbox INBOX --mailbox Archive
//! ```
//!
//! Ctrl-C ends it, and so does SIGTERM: every connection says goodbye. Without arguments it starts
//! a server of its own, where something happens all the time, and ends after a dozen events; with
//! `--forever` alone it goes on.
//!
//! | module | what it has |
//! |---|---|
//! | `follow` | the watcher, and a line for each event |
//! | `arguments` | the command line |
//! | `access` | its options about the way to the server and the login |
//! | `demo` | the run without arguments |
//! | `error` | what can go wrong, in one line |

#[path = "../bulk_fetch/access.rs"]
mod access;
mod arguments;
mod demo;
mod error;
mod follow;
#[path = "../bulk_fetch/server.rs"]
mod server;

use std::process::ExitCode;

use clap::Parser;
use mailpool::CancelToken;

use crate::arguments::Arguments;
use crate::error::Result;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {}", error::in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = if std::env::args_os().len() > 1 {
        Some(Arguments::parse())
    } else {
        None
    };
    let interrupted = CancelToken::new();
    let token = interrupted.clone();
    // The crate calls this on a thread of its own, where everything is allowed.
    ctrlc::set_handler(move || token.cancel())?;
    match arguments.map(Arguments::into_job).transpose()? {
        Some(Some(job)) => follow::run(job, &interrupted),
        Some(None) => demo::run(None, &interrupted),
        None => demo::run(Some(demo::EVENTS), &interrupted),
    }
}
