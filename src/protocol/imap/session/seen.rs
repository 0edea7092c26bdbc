//! The messages that a FETCH has delivered.

use std::collections::BTreeMap;

/// A set of numbers as ranges, first to last, in which adding costs the same in any order.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<u32, u32>);

impl Seen {
    pub(super) fn contains(&self, number: u32) -> bool {
        let before = self.0.range(..=number).next_back();
        before.is_some_and(|(_, last)| *last >= number)
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    pub(super) fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        let after = number.checked_add(1).and_then(|next| self.0.remove(&next));
        let last = after.unwrap_or(number);
        match self.0.range_mut(..number).next_back() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = last,
            _ => {
                self.0.insert(number, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_and_neighbours_share_a_range() {
        let mut seen = Seen::default();
        for number in [5, 1, 3, 2, u32::MAX, u32::MAX - 1, 9, 4, 9] {
            assert_eq!(
                seen.contains(number),
                number == 9 && seen.0.contains_key(&9)
            );
            seen.insert(number);
            assert!(seen.contains(number));
        }
        let ranges: Vec<_> = seen.0.into_iter().collect();
        assert_eq!(ranges, [(1, 5), (9, 9), (u32::MAX - 1, u32::MAX)]);
    }

    #[test]
    fn every_second_number_backwards_is_no_slower_than_forwards() {
        // With a sorted list this moves ten thousand million entries.
        let mut seen = Seen::default();
        for number in (0..200_000u32).rev() {
            seen.insert(number * 2);
        }
        assert!(seen.contains(0) && !seen.contains(1));
    }
}
