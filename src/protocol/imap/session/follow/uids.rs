//! The UIDs of a mailbox in their order.

use crate::types::range_set::RangeSet;

/// Numbers in a chunk; one that has twice as many is divided.
const CHUNK: usize = 1024;

/// Numbers in ascending order, which can be found by place and by value. Taking one out costs
/// the length of a chunk and not that of the mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Uids {
    /// None is empty.
    chunks: Vec<Vec<u32>>,
    len: usize,
}

impl From<&RangeSet> for Uids {
    fn from(set: &RangeSet) -> Self {
        let mut uids = Self::default();
        for uid in set.iter() {
            uids.len += 1;
            match uids.chunks.last_mut() {
                Some(last) if last.len() < CHUNK => last.push(uid),
                _ => uids.chunks.push(vec![uid]),
            }
        }
        uids
    }
}

impl Uids {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn ranges(&self) -> RangeSet {
        let mut set = RangeSet::new();
        set.extend(self.chunks.iter().flatten().map(|uid| (*uid, *uid)));
        set
    }

    /// The number at `place`, counted from zero.
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        let (chunk, at) = self.place(place)?;
        self.chunks.get(chunk)?.get(at).copied()
    }

    pub(super) fn contains(&self, uid: u32) -> bool {
        self.find(uid).is_ok()
    }

    /// Takes out the number at `place`, counted from zero.
    pub(super) fn remove_at(&mut self, place: usize) -> Option<u32> {
        let (chunk, at) = self.place(place)?;
        self.take(chunk, at)
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, uid: u32) -> bool {
        match self.find(uid) {
            Ok((chunk, at)) => self.take(chunk, at).is_some(),
            Err(_) => false,
        }
    }

    /// Returns whether it is new.
    pub(super) fn insert(&mut self, uid: u32) -> bool {
        let Err((chunk, at)) = self.find(uid) else {
            return false;
        };
        self.len += 1;
        let Some(into) = self.chunks.get_mut(chunk) else {
            self.chunks.push(vec![uid]);
            return true;
        };
        into.insert(at, uid);
        if into.len() >= 2 * CHUNK {
            let rest = into.split_off(CHUNK);
            self.chunks.insert(chunk + 1, rest);
        }
        true
    }

    fn take(&mut self, chunk: usize, at: usize) -> Option<u32> {
        let from = self.chunks.get_mut(chunk)?;
        if at >= from.len() {
            return None;
        }
        let uid = from.remove(at);
        if from.is_empty() {
            self.chunks.remove(chunk);
        }
        self.len -= 1;
        Some(uid)
    }

    fn place(&self, mut place: usize) -> Option<(usize, usize)> {
        for (index, chunk) in self.chunks.iter().enumerate() {
            if place < chunk.len() {
                return Some((index, place));
            }
            place -= chunk.len();
        }
        None
    }

    /// Where a number is, or where it would have to go.
    fn find(&self, uid: u32) -> Result<(usize, usize), (usize, usize)> {
        let before = |chunk: &Vec<u32>| chunk.last().is_some_and(|last| *last < uid);
        let index = self.chunks.partition_point(before);
        // Behind all others: at the end of the last chunk rather than in one of its own.
        let index = index.min(self.chunks.len().saturating_sub(1));
        match self
            .chunks
            .get(index)
            .map(|chunk| chunk.binary_search(&uid))
        {
            Some(Ok(at)) => Ok((index, at)),
            Some(Err(at)) => Err((index, at)),
            None => Err((0, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_place_and_by_value() {
        let mut all: Vec<u32> = (1..6000).map(|number| number * 3).collect();
        let mut set = RangeSet::new();
        set.extend(all.iter().map(|uid| (*uid, *uid)));
        let mut uids = Uids::from(&set);
        for step in 0..3000usize {
            let place = step * 7 % all.len();
            assert_eq!(uids.at(place), Some(all[place]));
            match step % 3 {
                0 => assert_eq!(uids.remove_at(place), Some(all.remove(place))),
                1 => assert!(uids.remove(all.remove(place))),
                _ => {
                    let uid = all[place] + 1;
                    assert_eq!(uids.insert(uid), !all.contains(&uid));
                    if let Err(at) = all.binary_search(&uid) {
                        all.insert(at, uid);
                    }
                }
            }
        }
        assert_eq!(uids.len(), all.len());
        assert_eq!(uids.ranges().iter().collect::<Vec<_>>(), all);
        assert_eq!(uids.at(all.len()), None);
        for _ in 0..all.len() {
            uids.remove_at(0);
        }
        assert!(uids.len() == 0 && uids.insert(5) && uids.contains(5));
    }
}
