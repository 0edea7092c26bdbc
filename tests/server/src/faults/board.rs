//! The rules of one server, as its connections ask for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;

use super::points::PointRule;
use super::policy::AddressRule;
use super::{Action, Layer};

#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(super) generation: u64,
    pub(super) after: u64,
    pub(super) action: Action,
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
pub(super) struct Answer {
    verb: String,
    bytes: Vec<u8>,
    always: bool,
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) delay_in: Option<Duration>,
    pub(super) delay_out: Option<Duration>,
    pub(super) split_plaintext: Option<Option<usize>>,
    pub(super) split_wire: Option<Option<usize>>,
    pub(super) cut_plaintext: Option<Cut>,
    pub(super) cut_wire: Option<Cut>,
    pub(super) receive_limit: Option<u64>,
    pub(super) refused_logins: VecDeque<String>,
    pub(super) refused_literals: VecDeque<String>,
    pub(super) silent: BTreeSet<String>,
    pub(super) held: BTreeSet<String>,
    pub(super) responses: Vec<Answer>,
    pub(super) before: Vec<Answer>,
    pub(super) after: Vec<Answer>,
    pub(super) replacements: Vec<Answer>,
    pub(super) points: Vec<PointRule>,
    pub(super) addresses: Vec<AddressRule>,
    pub(super) greeting_delay: Option<Duration>,
    pub(super) before_continuation: VecDeque<Vec<u8>>,
    pub(super) greeting: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) generation: u64,
    pub(super) all: Rules,
    pub(super) nth: BTreeMap<usize, Rules>,
}

impl Table {
    pub(super) fn rules(&mut self, scope: Option<usize>) -> &mut Rules {
        match scope {
            None => &mut self.all,
            Some(connection) => self.nth.entry(connection).or_default(),
        }
    }

    pub(super) fn find<T>(
        &self,
        connection: usize,
        pick: impl Fn(&Rules) -> Option<T>,
    ) -> Option<T> {
        self.nth
            .get(&connection)
            .and_then(&pick)
            .or_else(|| pick(&self.all))
    }

    pub(super) fn take<T>(
        &mut self,
        connection: usize,
        mut pick: impl FnMut(&mut Rules) -> Option<T>,
    ) -> Option<T> {
        self.nth
            .get_mut(&connection)
            .and_then(&mut pick)
            .or_else(|| pick(&mut self.all))
    }
}

/// The rules of one server, as its connections ask for them.
#[derive(Debug, Default)]
pub(crate) struct FaultBoard {
    pub(super) table: Mutex<Table>,
}

impl FaultBoard {
    /// A number for a rule, higher than all before it.
    pub(super) fn next_generation(&self) -> u64 {
        let mut table = self.table.lock();
        table.generation += 1;
        table.generation
    }

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

    pub(crate) fn greeting_delay(&self, connection: usize) -> Duration {
        let table = self.table.lock();
        table
            .find(connection, |rules| rules.greeting_delay)
            .unwrap_or_default()
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

    /// What is sent instead of the answer to a command that was carried out.
    pub(crate) fn replacement(&self, connection: usize, verb: &str) -> Option<Vec<u8>> {
        self.answer(connection, verb, |rules| &mut rules.replacements)
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

impl Answer {
    pub(super) fn new(verb: &str, bytes: &[u8], always: bool) -> Self {
        Self {
            verb: verb.to_ascii_uppercase(),
            bytes: bytes.to_vec(),
            always,
        }
    }
}
