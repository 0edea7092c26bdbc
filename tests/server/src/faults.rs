//! Faults on demand: what the server does wrong, for every connection or for the nth only.
//!
//! A rule for one connection wins over the same rule for all. Every setter takes effect at once,
//! also on open connections, and wakes those that wait on the rule that it changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::hub::Hub;

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
}

#[derive(Clone, Debug)]
pub(crate) struct Cut {
    generation: u64,
    after: u64,
    pub(crate) action: Action,
}

/// How far one connection is with the cut that applies to it.
#[derive(Debug, Default)]
pub(crate) struct CutProgress {
    total: u64,
    base: u64,
    generation: u64,
    done: bool,
}

impl CutProgress {
    pub(crate) fn sent(&mut self, count: usize) {
        self.total += count as u64;
    }

    pub(crate) fn done(&mut self) {
        self.done = true;
    }
}

/// What a rule about one verb sends.
#[derive(Clone, Debug)]
struct Answer {
    verb: String,
    bytes: Vec<u8>,
    always: bool,
}

#[derive(Debug, Default)]
struct Rules {
    delay_in: Option<Duration>,
    delay_out: Option<Duration>,
    split_plaintext: Option<Option<usize>>,
    split_wire: Option<Option<usize>>,
    cut_plaintext: Option<Cut>,
    cut_wire: Option<Cut>,
    receive_limit: Option<u64>,
    refused_logins: VecDeque<String>,
    refused_literals: VecDeque<String>,
    silent: BTreeSet<String>,
    held: BTreeSet<String>,
    responses: Vec<Answer>,
    before: Vec<Answer>,
    after: Vec<Answer>,
    before_continuation: VecDeque<Vec<u8>>,
    greeting: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Table {
    generation: u64,
    all: Rules,
    nth: BTreeMap<usize, Rules>,
}

impl Table {
    fn rules(&mut self, scope: Option<usize>) -> &mut Rules {
        match scope {
            None => &mut self.all,
            Some(connection) => self.nth.entry(connection).or_default(),
        }
    }

    fn find<T>(&self, connection: usize, pick: impl Fn(&Rules) -> Option<T>) -> Option<T> {
        self.nth
            .get(&connection)
            .and_then(&pick)
            .or_else(|| pick(&self.all))
    }

    fn take<T>(&mut self, connection: usize, pick: impl Fn(&mut Rules) -> Option<T>) -> Option<T> {
        self.nth
            .get_mut(&connection)
            .and_then(&pick)
            .or_else(|| pick(&mut self.all))
    }
}

/// The rules of one server, as its connections ask for them.
#[derive(Debug, Default)]
pub(crate) struct FaultBoard {
    table: Mutex<Table>,
}

impl FaultBoard {
    pub(crate) fn delay_in(&self, connection: usize) -> Duration {
        let table = self.table.lock();
        table
            .find(connection, |rules| rules.delay_in)
            .unwrap_or_default()
    }

    pub(crate) fn delay_out(&self, connection: usize) -> Duration {
        let table = self.table.lock();
        table
            .find(connection, |rules| rules.delay_out)
            .unwrap_or_default()
    }

    pub(crate) fn split(&self, connection: usize, layer: Layer) -> Option<usize> {
        let table = self.table.lock();
        table
            .find(connection, |rules| match layer {
                Layer::Plaintext => rules.split_plaintext,
                Layer::Wire => rules.split_wire,
            })
            .flatten()
    }

    /// How many bytes may still be sent before the cut, and what then.
    pub(crate) fn cut(
        &self,
        connection: usize,
        layer: Layer,
        progress: &mut CutProgress,
    ) -> Option<(u64, Action)> {
        let table = self.table.lock();
        let cut = table.find(connection, |rules| match layer {
            Layer::Plaintext => rules.cut_plaintext.clone(),
            Layer::Wire => rules.cut_wire.clone(),
        })?;
        // An older rule that shows again when a newer one is taken back is over.
        if progress.generation > cut.generation {
            return None;
        }
        if progress.generation < cut.generation {
            progress.generation = cut.generation;
            progress.base = progress.total;
            progress.done = false;
        }
        if progress.done {
            return None;
        }
        let sent = progress.total - progress.base;
        Some((cut.after.saturating_sub(sent), cut.action))
    }

    pub(crate) fn receive_limit(&self, connection: usize) -> Option<u64> {
        let table = self.table.lock();
        table.find(connection, |rules| rules.receive_limit)
    }

    pub(crate) fn refuse_login(&self, connection: usize) -> Option<String> {
        let mut table = self.table.lock();
        table.take(connection, |rules| rules.refused_logins.pop_front())
    }

    pub(crate) fn refuse_literal(&self, connection: usize) -> Option<String> {
        let mut table = self.table.lock();
        table.take(connection, |rules| rules.refused_literals.pop_front())
    }

    pub(crate) fn before_continuation(&self, connection: usize) -> Option<Vec<u8>> {
        let mut table = self.table.lock();
        table.take(connection, |rules| rules.before_continuation.pop_front())
    }

    pub(crate) fn greeting(&self, connection: usize) -> Option<Vec<u8>> {
        let table = self.table.lock();
        table.find(connection, |rules| rules.greeting.clone())
    }

    pub(crate) fn is_silent(&self, connection: usize, verb: &str) -> bool {
        let table = self.table.lock();
        table
            .find(connection, |rules| {
                rules.silent.contains(verb).then_some(())
            })
            .is_some()
    }

    pub(crate) fn is_held(&self, connection: usize, verb: &str) -> bool {
        let table = self.table.lock();
        table
            .find(connection, |rules| rules.held.contains(verb).then_some(()))
            .is_some()
    }

    pub(crate) fn response(&self, connection: usize, verb: &str) -> Option<Vec<u8>> {
        self.answer(connection, verb, |rules| &mut rules.responses)
    }

    pub(crate) fn before(&self, connection: usize, verb: &str) -> Option<Vec<u8>> {
        self.answer(connection, verb, |rules| &mut rules.before)
    }

    pub(crate) fn after(&self, connection: usize, verb: &str) -> Option<Vec<u8>> {
        self.answer(connection, verb, |rules| &mut rules.after)
    }

    fn answer(
        &self,
        connection: usize,
        verb: &str,
        list: impl Fn(&mut Rules) -> &mut Vec<Answer>,
    ) -> Option<Vec<u8>> {
        let mut table = self.table.lock();
        table.take(connection, |rules| {
            let list = list(rules);
            let place = list.iter().position(|answer| answer.verb == verb)?;
            if list.get(place)?.always {
                list.get(place).map(|answer| answer.bytes.clone())
            } else {
                Some(list.remove(place).bytes)
            }
        })
    }
}

/// Sets faults, for every connection ([`Server::faults`](crate::Server::faults)) or for the nth
/// only ([`Server::faults_for`](crate::Server::faults_for)).
///
/// The setters return the handle, so that they can be chained. Verbs are the RFC's, with `UID `
/// before them for the UID forms: a rule for `FETCH` says nothing about `UID FETCH`.
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
        let mut table = self.hub.faults.table.lock();
        table.generation += 1;
        let cut = Cut {
            generation: table.generation,
            after: bytes,
            action,
        };
        let rules = table.rules(self.scope);
        match layer {
            Layer::Plaintext => rules.cut_plaintext = Some(cut),
            Layer::Wire => rules.cut_wire = Some(cut),
        }
        drop(table);
        self.hub.wake_all();
        self
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
    /// `[AUTHENTICATIONFAILED] Wrong password`. Calls add up.
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

impl Answer {
    fn new(verb: &str, bytes: &[u8], always: bool) -> Self {
        Self {
            verb: verb.to_ascii_uppercase(),
            bytes: bytes.to_vec(),
            always,
        }
    }
}
