//! Faults on demand: what the server does wrong, for every connection or for the nth only.
//!
//! A rule for one connection wins over the same rule for all. Every setter takes effect at once,
//! also on open connections, and wakes those that wait on the rule that it changes.

mod board;
mod points;
mod policy;

use std::sync::Arc;
use std::time::Duration;

use crate::hub::Hub;

use board::{Answer, Cut, Rules};
pub(crate) use board::{CutProgress, FaultBoard};
pub use points::Point;
pub(crate) use points::{Hit, Place};
pub(crate) use policy::Asked;

/// Where bytes are counted or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The protocol's own bytes, before encryption. The handshake does not count.
    Plaintext,
    /// The bytes on the socket: under TLS the records, the handshake included.
    Wire,
}

/// What happens at a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing more is sent until the rule is taken back. The socket stays open.
    Stall,
    /// An orderly end: close_notify under TLS (for a cut in plaintext), then FIN.
    Close,
    /// FIN without close_notify.
    CloseWithoutNotify,
    /// RST.
    Reset,
    /// These bytes are sent once, then the stream goes on.
    Garbage(Vec<u8>),
    /// These bytes are sent, then comes an orderly end: a BYE of IMAP, a 421 of SMTP.
    Farewell(Vec<u8>),
}

/// Sets faults, for every connection ([`Server::faults`](crate::Server::faults)) or for the nth
/// only ([`Server::faults_for`](crate::Server::faults_for)).
///
/// The setters return the handle, so that they can be chained. Verbs are the RFC's, with `UID `
/// before them for the UID forms: a rule for `FETCH` says nothing about `UID FETCH`. In SMTP and
/// LMTP the verb `.` stands for the end of a message, be it the final dot or the last octet of
/// `BDAT ... LAST`: what is held there, answered there or not answered is not stored.
#[derive(Clone, Debug)]
pub struct Faults {
    hub: Arc<Hub>,
    scope: Option<usize>,
}

impl Faults {
    pub(crate) fn new(hub: Arc<Hub>, scope: Option<usize>) -> Self {
        Self { hub, scope }
    }

    /// Delays every byte by a fixed time: `to_server` on the way in, `to_client` on the way out.
    /// Data in flight is delayed, not serialised, as on a long line.
    pub fn delay(&self, to_server: Duration, to_client: Duration) -> &Self {
        self.set(|rules| {
            rules.delay_in = Some(to_server);
            rules.delay_out = Some(to_client);
        })
    }

    /// Cuts everything that is sent into writes of at most `size` bytes, each flushed by itself.
    /// In [`Layer::Plaintext`] under TLS each becomes a record of its own. `None` ends it.
    pub fn split(&self, layer: Layer, size: Option<usize>) -> &Self {
        let size = size.map(|size| size.max(1));
        self.set(|rules| match layer {
            Layer::Plaintext => rules.split_plaintext = Some(size),
            Layer::Wire => rules.split_wire = Some(size),
        })
    }

    /// After `bytes` more bytes sent, does `action`, once for each connection.
    ///
    /// On a connection that is already open the count begins now; on a later one, when it opens.
    pub fn after_sent(&self, bytes: u64, layer: Layer, action: Action) -> &Self {
        let cut = Cut {
            generation: self.hub.faults.next_generation(),
            after: bytes,
            action,
        };
        self.set(|rules| match layer {
            Layer::Plaintext => rules.cut_plaintext = Some(cut),
            Layer::Wire => rules.cut_wire = Some(cut),
        })
    }

    /// Sends nothing more after `bytes` more bytes: [`after_sent`](Self::after_sent) with
    /// [`Action::Stall`] in [`Layer::Plaintext`]. [`clear`](Self::clear) lets it go on.
    pub fn stall_after(&self, bytes: u64) -> &Self {
        self.after_sent(bytes, Layer::Plaintext, Action::Stall)
    }

    /// Reads no more than `bytes` bytes (on the wire, from the beginning of the connection), so
    /// that the client's writes block in the end. `None` lets it go on.
    pub fn stop_reading_after(&self, bytes: Option<u64>) -> &Self {
        self.set(|rules| rules.receive_limit = bytes)
    }

    /// Refuses the next login with this text after `NO `, for example
    /// `[AUTHENTICATIONFAILED] Wrong password`; in SMTP with this whole reply. Calls add up.
    pub fn refuse_next_login(&self, text: &str) -> &Self {
        self.set(|rules| rules.refused_logins.push_back(text.to_owned()))
    }

    /// Answers the next synchronising literal with a tagged `NO` and this text, not with `+`.
    pub fn refuse_next_literal(&self, text: &str) -> &Self {
        self.set(|rules| rules.refused_literals.push_back(text.to_owned()))
    }

    /// Never answers commands with this verb; the connection goes on with the next command.
    pub fn never_answer(&self, verb: &str) -> &Self {
        self.set(|rules| {
            rules.silent.insert(verb.to_ascii_uppercase());
        })
    }

    /// Takes [`never_answer`](Self::never_answer) back for the commands to come.
    pub fn answer_again(&self, verb: &str) -> &Self {
        self.set(|rules| {
            rules.silent.remove(&verb.to_ascii_uppercase());
        })
    }

    /// Holds the connection at the next command with this verb, before it is run, until
    /// [`release`](Self::release). The command is logged and counted when it arrives.
    pub fn hold(&self, verb: &str) -> &Self {
        self.set(|rules| {
            rules.held.insert(verb.to_ascii_uppercase());
        })
    }

    /// Lets the commands go on that [`hold`](Self::hold) stopped.
    pub fn release(&self, verb: &str) -> &Self {
        self.set(|rules| {
            rules.held.remove(&verb.to_ascii_uppercase());
        })
    }

    /// Answers the next command with this verb with exactly these bytes instead of running it.
    /// `{tag}` stands for the client's tag. Calls queue up.
    pub fn respond(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), false);
        self.set(|rules| rules.responses.push(answer))
    }

    /// As [`respond`](Self::respond), for every command with this verb.
    pub fn respond_always(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), true);
        self.set(|rules| rules.responses.push(answer))
    }

    /// Sends these bytes before the tagged answer of the next command with this verb.
    pub fn inject(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), false);
        self.set(|rules| rules.before.push(answer))
    }

    /// Sends these bytes after the tagged answer of the next command with this verb, in the same
    /// write. For STARTTLS they are sent in clear, before the handshake.
    pub fn inject_after(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), false);
        self.set(|rules| rules.after.push(answer))
    }

    /// Sends these bytes before the next continuation request, whatever it is for.
    pub fn inject_before_continuation(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.set(|rules| rules.before_continuation.push_back(bytes.as_ref().to_vec()))
    }

    /// Greets with exactly these bytes.
    pub fn greet_with(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.set(|rules| rules.greeting = Some(bytes.as_ref().to_vec()))
    }

    /// Greets only when this time has passed. To greet on command, [`hold`](Self::hold) the verb
    /// `GREETING`. SMTP and LMTP only.
    pub fn greet_after(&self, delay: Duration) -> &Self {
        self.set(|rules| rules.greeting_delay = Some(delay))
    }

    /// Carries the next command with this verb out, but sends exactly these bytes instead of its
    /// answer. For `DATA` they stand in place of the 354, for `.` in place of what is said to the
    /// message. Calls queue up. SMTP and LMTP only.
    pub fn replace_answer(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), false);
        self.set(|rules| rules.replacements.push(answer))
    }

    /// As [`replace_answer`](Self::replace_answer), for every command with this verb.
    pub fn always_replace_answer(&self, verb: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let answer = Answer::new(verb, bytes.as_ref(), true);
        self.set(|rules| rules.replacements.push(answer))
    }

    /// Takes all rules of this scope back.
    pub fn clear(&self) -> &Self {
        self.set(|rules| *rules = Rules::default())
    }

    fn set(&self, change: impl FnOnce(&mut Rules)) -> &Self {
        change(self.hub.faults.table.lock().rules(self.scope));
        self.hub.wake_all();
        self
    }
}
