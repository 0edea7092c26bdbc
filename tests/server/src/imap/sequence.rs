//! Sequence sets, resolved against what a session has been told.

use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use super::selected::Known;

/// The ranges of a set, lower end first. `star` is what `*` stands for.
fn ranges(set: &SequenceSet, star: u32) -> Vec<(u32, u32)> {
    let number = |end: &SeqOrUid| match end {
        SeqOrUid::Value(value) => value.get(),
        SeqOrUid::Asterisk => star,
    };
    set.0
        .as_ref()
        .iter()
        .map(|sequence| match sequence {
            Sequence::Single(end) => (number(end), number(end)),
            Sequence::Range(one, other) => {
                let (one, other) = (number(one), number(other));
                (one.min(other), one.max(other))
            }
        })
        .collect()
}

/// The positions (from 0, ascending, each once) of the messages with a UID in `set`, which `known`
/// has in the order of their UIDs.
pub(super) fn by_uid(set: &SequenceSet, known: &[Known]) -> Vec<usize> {
    let star = known.last().map_or(0, |known| known.uid);
    let mut positions = Vec::new();
    for (first, last) in ranges(set, star) {
        let from = known.partition_point(|known| known.uid < first);
        let to = known.partition_point(|known| known.uid <= last);
        positions.extend(from..to);
    }
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// The positions of the sequence numbers in `set`; `None` if one is beyond `count`.
pub(super) fn by_number(set: &SequenceSet, count: usize) -> Option<Vec<usize>> {
    let star = u32::try_from(count).ok()?;
    let mut positions = Vec::new();
    for (first, last) in ranges(set, star) {
        if first == 0 || last > star {
            return None;
        }
        positions.extend(usize::try_from(first - 1).ok()?..usize::try_from(last).ok()?);
    }
    positions.sort_unstable();
    positions.dedup();
    Some(positions)
}

/// Whether `number` is in `set`.
pub(super) fn contains(set: &SequenceSet, number: u32, star: u32) -> bool {
    ranges(set, star)
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&number))
}
