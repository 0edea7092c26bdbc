//! Sends `.eml` files, or directories of them, through several connections, and reports what
//! became of each.
//!
//! ```text
//! send --server smtps://smtp.example.org --user alice --connections 4 --retry 3 outbox/ one.eml
//! ```
//!
//! From whom and to whom a message goes is read from its header (Sender or From; To, Cc and Bcc)
//! unless `--from` and `--to` say it. Ctrl-C ends it: what is under way comes to its end, for which
//! it has three seconds, and what was not begun is named; a second Ctrl-C ends it at once. Without arguments it sends to a server of its own, which refuses
//! one recipient for good and another one for a while.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | every message was sent to each of its recipients |
//! | 1 | something went wrong, with the server, a message or a recipient |
//! | 2 | the command line makes no sense |
//! | 3 | it was interrupted: some messages were not attempted |
//!
//! | module | what it has |
//! |---|---|
//! | `job` | the main job: small files in bulk, large ones from a reader |
//! | `addressing` | the envelope of a message |
//! | `files` | which files there are |
//! | `report` | what became of them |
//! | `interrupt` | Ctrl-C |
//! | `arguments` | the command line |
//! | `access` | its options about the way to the server and the login |
//! | `progress` | the progress bar |
//! | `demo` | the run without arguments |
//! | `error` | what can go wrong, in one line |

mod access;
mod addressing;
mod arguments;
mod demo;
mod error;
mod files;
mod interrupt;
mod job;
mod progress;
mod report;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error @ Error::Usage(_)) => {
            eprintln!("send: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("send: {}", error::in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments = (std::env::args_os().len() > 1).then(Arguments::parse);
    let interrupt = Interrupt::on_signal()?;
    let Some(arguments) = arguments else {
        demo::run(&interrupt)?;
        return Ok(ExitCode::SUCCESS);
    };
    let report = job::run(arguments.into_job()?, &interrupt)?;
    print!("{report}");
    Ok(report.exit_code())
}
