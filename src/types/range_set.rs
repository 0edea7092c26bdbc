//! Sets of numbers as ranges: what sequence sets and UID sets are made of.

use std::cmp::{max, min};
use std::fmt::{self, Write as _};

/// A set of numbers from 1, kept as sorted, disjoint inclusive ranges with a gap between any
/// two. It is never expanded: `1:4294967295` takes one entry.
///
/// The number 4,294,967,295 is written `*` (RFC 9051 §9, `seq-number`).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct RangeSet {
    ranges: Vec<(u32, u32)>,
}

impl RangeSet {
    pub(crate) const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// `start..=end`; empty where `start > end`. Zero is left out.
    pub(crate) fn range(start: u32, end: u32) -> Self {
        let start = max(start, 1);
        let ranges = if start <= end {
            vec![(start, end)]
        } else {
            Vec::new()
        };
        Self { ranges }
    }

    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|range| size(*range)).sum()
    }

    pub(crate) fn first(&self) -> Option<u32> {
        self.ranges.first().map(|range| range.0)
    }

    pub(crate) fn last(&self) -> Option<u32> {
        self.ranges.last().map(|range| range.1)
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= number);
        after
            .checked_sub(1)
            .and_then(|at| self.ranges.get(at))
            .is_some_and(|range| number <= range.1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + Clone {
        self.ranges.iter().flat_map(|(start, end)| *start..=*end)
    }

    /// Adds a range. At the end it costs O(1) amortised, elsewhere up to the number of ranges.
    pub(crate) fn insert(&mut self, start: u32, end: u32) {
        let start = max(start, 1);
        if start > end || self.append(start, end) {
            return;
        }
        // Every range that overlaps or touches the new one lies in `from..to`.
        let from = self.ranges.partition_point(|range| range.1 < start - 1);
        let to = self
            .ranges
            .partition_point(|range| range.0 <= end.saturating_add(1));
        let touched = self.ranges.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(start, |range| min(range.0, start));
        let end = touched.last().map_or(end, |range| max(range.1, end));
        self.ranges.splice(from..to, [(start, end)]);
    }

    /// Adds ranges in any order: O(n log n), and O(n) where they ascend.
    pub(crate) fn extend(&mut self, ranges: impl IntoIterator<Item = (u32, u32)>) {
        let mut late = Vec::new();
        for (start, end) in ranges {
            let start = max(start, 1);
            if start <= end && !self.append(start, end) {
                late.push((start, end));
            }
        }
        if !late.is_empty() {
            late.sort_unstable();
            let mut other = Self::new();
            for (start, end) in late {
                other.append(start, end);
            }
            *self = self.union(&other);
        }
    }

    /// Adds a range that begins no earlier than the last one; says whether it did.
    fn append(&mut self, start: u32, end: u32) -> bool {
        match self.ranges.last_mut() {
            Some(last) if start < last.0 => return false,
            Some(last) if start <= last.1.saturating_add(1) => last.1 = max(last.1, end),
            _ => self.ranges.push((start, end)),
        }
        true
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut result = Self::new();
        let mut left = self.ranges.iter().copied().peekable();
        let mut right = other.ranges.iter().copied().peekable();
        while let Some((start, end)) = match (left.peek(), right.peek()) {
            (Some(one), Some(two)) if one.0 <= two.0 => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        } {
            result.append(start, end);
        }
        result
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let ranges = Overlaps {
            left: &self.ranges,
            right: &other.ranges,
        };
        Self {
            ranges: ranges.collect(),
        }
    }

    pub(crate) fn intersects(&self, other: &Self) -> bool {
        Overlaps {
            left: &self.ranges,
            right: &other.ranges,
        }
        .next()
        .is_some()
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(1u32);
        for (start, end) in &self.ranges {
            if let Some(from) = next.filter(|from| from < start) {
                ranges.push((from, start - 1));
            }
            next = end.checked_add(1);
        }
        ranges.extend(next.map(|from| (from, u32::MAX)));
        Self { ranges }
    }

    /// Pieces of at most `count` numbers (1 where it is 0), in order.
    pub(crate) fn chunks(&self, count: usize) -> Chunks<'_> {
        Chunks {
            rest: &self.ranges,
            begun: None,
            count: u64::try_from(count).unwrap_or(u64::MAX).max(1),
        }
    }

    /// Pieces whose text has at most `max_len` bytes, in order: a server's limit on the length
    /// of a command line. One range, 21 bytes at most, is never divided.
    pub(crate) fn split_text(&self, max_len: usize) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut piece = Self::new();
        let mut len = 0usize;
        for range in &self.ranges {
            let own = text_len(*range);
            if !piece.is_empty() && len + 1 + own > max_len {
                pieces.push(std::mem::take(&mut piece));
                len = 0;
            }
            len += own + usize::from(!piece.is_empty());
            piece.ranges.push(*range);
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces
    }

    /// Reads a sequence set (RFC 9051 §9). `None` for what is none, the empty text included.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut set = Self::new();
        set.extend(
            parse_ranges(text)?
                .into_iter()
                .map(|(one, two)| (min(one, two), max(one, two))),
        );
        Some(set)
    }
}

/// Reads the ranges of a sequence set in the order and the direction in which they stand,
/// which is what COPYUID needs (RFC 4315 §3). `*` is 4,294,967,295.
pub(crate) fn parse_ranges(text: &[u8]) -> Option<Vec<(u32, u32)>> {
    text.split(|byte| *byte == b',')
        .map(|range| {
            let mut ends = range.splitn(2, |byte| *byte == b':').map(parse_number);
            let start = ends.next()??;
            let end = ends.next().unwrap_or(Some(start))?;
            Some((start, end))
        })
        .collect()
}

fn parse_number(text: &[u8]) -> Option<u32> {
    if text == b"*" {
        return Some(u32::MAX);
    }
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number != 0).then_some(number)
}

fn size((start, end): (u32, u32)) -> u64 {
    u64::from(end - start) + 1
}

fn number_len(number: u32) -> usize {
    match number {
        u32::MAX => 1,
        _ => number
            .checked_ilog10()
            .map_or(1, |digits| digits as usize + 1),
    }
}

fn text_len((start, end): (u32, u32)) -> usize {
    if start == end {
        number_len(start)
    } else {
        number_len(start) + 1 + number_len(end)
    }
}

/// The text of a sequence set; empty for the empty set, which has none.
impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |f: &mut fmt::Formatter<'_>, number: u32| match number {
            u32::MAX => f.write_char('*'),
            _ => write!(f, "{number}"),
        };
        for (index, (start, end)) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            number(f, *start)?;
            if start != end {
                f.write_char(':')?;
                number(f, *end)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// The ranges that two sorted lists have in common.
struct Overlaps<'a> {
    left: &'a [(u32, u32)],
    right: &'a [(u32, u32)],
}

impl Iterator for Overlaps<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        loop {
            let (one, left) = self.left.split_first()?;
            let (two, right) = self.right.split_first()?;
            if one.1 < two.1 {
                self.left = left;
            } else {
                self.right = right;
            }
            let (start, end) = (max(one.0, two.0), min(one.1, two.1));
            if start <= end {
                return Some((start, end));
            }
        }
    }
}

/// See [`RangeSet::chunks`].
#[derive(Debug, Clone)]
pub(crate) struct Chunks<'a> {
    rest: &'a [(u32, u32)],
    /// What is left of the range before `rest`.
    begun: Option<(u32, u32)>,
    count: u64,
}

impl Iterator for Chunks<'_> {
    type Item = RangeSet;

    fn next(&mut self) -> Option<RangeSet> {
        let mut chunk = RangeSet::new();
        let mut room = self.count;
        while room > 0 {
            let (start, end) = match self.begun.take() {
                Some(begun) => begun,
                None => match self.rest.split_first() {
                    Some((range, rest)) => {
                        self.rest = rest;
                        *range
                    }
                    None => break,
                },
            };
            let taken = min(room, size((start, end)));
            // At most `end`, so it fits.
            let last = u32::try_from(u64::from(start) + taken - 1).unwrap_or(end);
            chunk.ranges.push((start, last));
            room -= taken;
            if last < end {
                self.begun = Some((last + 1, end));
            }
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> RangeSet {
        RangeSet::parse(text.as_bytes()).unwrap()
    }

    fn of(numbers: impl IntoIterator<Item = u32>) -> RangeSet {
        let mut set = RangeSet::new();
        set.extend(numbers.into_iter().map(|number| (number, number)));
        set
    }

    fn assert_canonical(set: &RangeSet) {
        for range in &set.ranges {
            assert!(1 <= range.0 && range.0 <= range.1, "{set:?}");
        }
        for pair in set.ranges.windows(2) {
            assert!(pair[0].1 + 1 < pair[1].0, "{set:?}");
        }
    }

    #[test]
    fn text_is_read_and_written_in_canonical_form() {
        for (given, canonical) in [
            ("1", "1"),
            ("1:4294967295", "1:*"),
            ("*", "*"),
            ("*:4,2,3", "2:*"),
            ("5:3,1", "1,3:5"),
            ("1,2,3,7,9:10,10:12", "1:3,7,9:12"),
            ("4294967294:4294967295", "4294967294:*"),
        ] {
            assert_eq!(set(given).to_string(), canonical);
        }
        for bad in [
            "",
            ",",
            "1,",
            "0",
            "1:0",
            "1:",
            ":1",
            "1:2:3",
            "+1",
            " 1",
            "4294967296",
            "a",
        ] {
            assert_eq!(RangeSet::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn ranges_keep_order_and_direction_for_copyuid() {
        assert_eq!(
            parse_ranges(b"9,7:5,1:*"),
            Some(vec![(9, 9), (7, 5), (1, u32::MAX)])
        );
    }

    #[test]
    fn the_whole_range_takes_one_entry() {
        let all = RangeSet::range(1, u32::MAX);
        assert_eq!(all.len(), 4_294_967_295);
        assert!(all.contains(u32::MAX) && !all.contains(0));
        assert!(all.difference(&all).is_empty());
        assert_eq!(all.difference(&set("5:*")).to_string(), "1:4");
        assert_eq!(all.chunks(2_000_000_000).count(), 3);
        assert_eq!(all.chunks(usize::MAX).count(), 1);
        assert_eq!(all.chunks(1).nth(1_000).unwrap().to_string(), "1001");
        let mut again = all.clone();
        again.insert(5, 10);
        again.insert(u32::MAX, u32::MAX);
        assert_eq!(again, all);
    }

    #[test]
    fn a_piece_of_text_keeps_its_bound() {
        let odd = of((1..2_000).map(|n| n * 2 + 1));
        for max_len in [0, 1, 5, 20, 100, 8_000, usize::MAX] {
            let pieces = odd.split_text(max_len);
            for piece in &pieces {
                let text = piece.to_string();
                assert!(text.len() <= max_len || piece.ranges.len() == 1, "{text}");
            }
            assert_eq!(
                pieces
                    .iter()
                    .fold(RangeSet::new(), |all, piece| all.union(piece)),
                odd
            );
        }
        assert!(RangeSet::new().split_text(10).is_empty());
    }

    #[test]
    fn a_million_numbers_are_taken_in_any_order() {
        // No clock: quadratic work here would not end in minutes.
        let ascending = of(1..=1_000_000);
        assert_eq!(ascending.ranges, [(1, 1_000_000)]);
        // A multiplicative permutation of 32 bits: no two neighbours.
        let scattered = of((0..1_000_000u32).map(|n| n.wrapping_mul(2_654_435_761) | 1));
        assert_canonical(&scattered);
        let mut one_by_one = RangeSet::new();
        (1..=1_000_000).for_each(|n| one_by_one.insert(n * 2, n * 2));
        assert_eq!(one_by_one.len(), 1_000_000);
        assert_eq!(one_by_one.chunks(10).count(), 100_000);
    }

    proptest! {
        #[test]
        fn operations_agree_with_a_plain_set(
            one in proptest::collection::vec((1u32..60, 0u32..8), 0..12),
            two in proptest::collection::vec((1u32..60, 0u32..8), 0..12),
            count in 0usize..9,
        ) {
            let plain = |ranges: &[(u32, u32)]| -> BTreeSet<u32> {
                ranges.iter().flat_map(|(start, more)| *start..=start + more).collect()
            };
            let build = |ranges: &[(u32, u32)]| {
                let mut set = RangeSet::new();
                ranges.iter().for_each(|(start, more)| set.insert(*start, start + more));
                let mut same = RangeSet::new();
                same.extend(ranges.iter().map(|(start, more)| (*start, start + more)));
                assert_eq!(set, same);
                set
            };
            let (a, b) = (plain(&one), plain(&two));
            let (x, y) = (build(&one), build(&two));
            for set in [&x, &y, &x.union(&y), &x.intersection(&y), &x.difference(&y)] {
                assert_canonical(set);
            }
            prop_assert!(x.iter().eq(a.iter().copied()));
            prop_assert_eq!(x.len(), a.len() as u64);
            prop_assert!(x.union(&y).iter().eq(a.union(&b).copied()));
            prop_assert!(x.intersection(&y).iter().eq(a.intersection(&b).copied()));
            prop_assert!(x.difference(&y).iter().eq(a.difference(&b).copied()));
            prop_assert_eq!(x.intersects(&y), !a.is_disjoint(&b));
            prop_assert_eq!((x.first(), x.last()), (a.first().copied(), a.last().copied()));
            for number in 0..80 {
                prop_assert_eq!(x.contains(number), a.contains(&number));
            }
            let chunks: Vec<_> = x.chunks(count).collect();
            prop_assert_eq!(chunks.len(), a.len().div_ceil(count.max(1)));
            prop_assert!(chunks.iter().all(|chunk| chunk.len() <= count.max(1) as u64));
            prop_assert!(chunks.iter().flat_map(RangeSet::iter).eq(a.iter().copied()));
            if !x.is_empty() {
                prop_assert_eq!(RangeSet::parse(x.to_string().as_bytes()).unwrap(), x);
            }
        }
    }
}
