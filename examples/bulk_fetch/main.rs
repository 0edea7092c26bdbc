//! Fetches a whole IMAP mailbox into a Maildir, with many threads and one client.
//!
//! ```text
//! bulk_fetch --server imaps://imap.example.org --user alice --password-file FILE \
//!            --mailbox INBOX --connections 8 --out DIR
//! ```
//!
//! A second run fetches what has come meanwhile. Without arguments it starts a server of its
//! own, fetches 2,000 messages from it and checks every byte.
//!
//! | module | what it has |
//! |---|---|
//! | `fetch` | the main job: one client, a connection for each rayon worker |
//! | `maildir` | files: temporary name, then rename; what is there already |
//! | `arguments` | the command line |
//! | `access` | its options about the way to the server and the login |
//! | `server` | a server as the command line names it |
//! | `progress` | the progress bar |
//! | `demo` | the run without arguments |
//! | `error` | what can go wrong, in one line |

mod access;
mod arguments;
mod demo;
mod error;
mod fetch;
mod maildir;
mod progress;
mod server;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::error::Result;

fn main() -> ExitCode {
    let outcome = if std::env::args_os().len() > 1 {
        run(Arguments::parse())
    } else {
        demo::run()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulk_fetch: {}", error.in_one_line());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let report = fetch::run(arguments.into_job()?)?;
    println!("{report}");
    report.complete()
}
