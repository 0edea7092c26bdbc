//! What the private servers of mailpool's tests have in common.
//!
//! The crates `tests/dovecot` and `tests/postfix` start real servers on loopback. This one knows
//! what such a server needs whatever its name:
//!
//! - [`Directory`]: a temporary directory that is removed when the server ends
//! - [`Processes`]: a group of processes that ends with its owner, however that ends;
//!   [`command`] for its programs
//! - [`free_port`], [`first_line`], [`wait_until`]: ports, and waiting for another program
//! - [`Identity`]: a certificate for loopback, of an authority made for the occasion
//! - [`system_user`]: whom a server can run as
//! - [`Arrived`], [`maildir_order`]: a message in a file that a server has delivered
//! - [`Unavailable`] and [`Skip`]: why there is no server, and how a test does without

mod arrived;
mod certificate;
mod place;
mod process;
mod skip;
mod unavailable;

pub use arrived::Arrived;
pub use certificate::Identity;
pub use place::{
    Directory, SystemUser, first_line, free_port, maildir_order, make_directory,
    make_directory_in_memory, system_user,
};
pub use process::{Processes, command, wait_until};
pub use skip::Skip;
pub use unavailable::Unavailable;
