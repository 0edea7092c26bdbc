//! Sets of UIDs and of sequence numbers (RFC 9051 §9, `sequence-set`).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::ids::{SeqNum, Uid, UidValidity};
use super::invalid::InvalidArgument;
use super::range_set::RangeSet;

/// Gives a set type over [`RangeSet`] the numbers that it is made of.
macro_rules! number_set {
    ($set:ident, $number:ident) => {
        impl $set {
            /// The empty set.
            pub const fn new() -> Self {
                Self::of(RangeSet::new())
            }

            /// Every number, `1:*`.
            pub fn all() -> Self {
                Self::of(RangeSet::range(1, u32::MAX))
            }

            /// One number.
            pub fn single(number: $number) -> Self {
                Self::from_range(number..=number)
            }

            /// The numbers of a range; none where it ends before it starts.
            pub fn from_range(range: RangeInclusive<$number>) -> Self {
                Self::of(RangeSet::range(range.start().get(), range.end().get()))
            }

            /// Adds a number. Cheap behind the last one; many in another order are cheaper
            /// through `extend` or `collect`.
            pub fn insert(&mut self, number: $number) {
                self.ranges.insert(number.get(), number.get());
            }

            /// Adds the numbers of a range.
            pub fn insert_range(&mut self, range: RangeInclusive<$number>) {
                self.ranges.insert(range.start().get(), range.end().get());
            }

            /// Whether `number` is in the set.
            pub fn contains(&self, number: $number) -> bool {
                self.ranges.contains(number.get())
            }

            /// How many numbers there are.
            pub fn len(&self) -> u64 {
                self.ranges.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.ranges.is_empty()
            }

            /// The smallest number.
            pub fn first(&self) -> Option<$number> {
                self.ranges.first().and_then($number::new)
            }

            /// The largest number; 4,294,967,295 where the set ends in `*`.
            pub fn last(&self) -> Option<$number> {
                self.ranges.last().and_then($number::new)
            }

            /// The numbers, ascending. Of `1:*` there are 4,294,967,295.
            pub fn iter(&self) -> impl Iterator<Item = $number> + Clone {
                self.ranges.iter().filter_map($number::new)
            }

            /// The ranges, ascending, with a gap between any two.
            pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<$number>> + Clone {
                self.ranges
                    .ranges()
                    .iter()
                    .filter_map(|(start, end)| Some($number::new(*start)?..=$number::new(*end)?))
            }

            /// Divides the set into sets of at most `count` numbers, in order; 0 counts as 1.
            ///
            /// Takes time and memory in proportion to the ranges and the chunks; where the set
            /// may be as large as `1:*`, see [`iter_chunks`](Self::iter_chunks).
            pub fn chunks(&self, count: usize) -> Vec<Self> {
                self.iter_chunks(count).collect()
            }

            /// The chunks of [`chunks`](Self::chunks), each made when it is asked for.
            pub fn iter_chunks(&self, count: usize) -> impl Iterator<Item = Self> {
                self.ranges
                    .chunks(count)
                    .map(|ranges| self.with_ranges(ranges))
            }

            pub(crate) fn range_set(&self) -> &RangeSet {
                &self.ranges
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($set), "({})"), self.ranges)?;
                self.debug_more(f)
            }
        }

        /// The text of a sequence set, such as `1:3,7,100:*`; empty for the empty set.
        impl fmt::Display for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.ranges.fmt(f)
            }
        }

        /// Reads the text of a sequence set. `*` becomes 4,294,967,295; the ends of a range may
        /// stand in either order. The empty text is an error, for it is no sequence set.
        impl FromStr for $set {
            type Err = InvalidArgument;

            fn from_str(text: &str) -> Result<Self, InvalidArgument> {
                RangeSet::parse(text.as_bytes())
                    .map(Self::of)
                    .ok_or(InvalidArgument::new(
                        "sequence set",
                        "does not follow the grammar",
                    ))
            }
        }

        impl From<RangeSet> for $set {
            fn from(ranges: RangeSet) -> Self {
                Self::of(ranges)
            }
        }

        impl Extend<$number> for $set {
            fn extend<I: IntoIterator<Item = $number>>(&mut self, numbers: I) {
                let ranges = numbers
                    .into_iter()
                    .map(|number| (number.get(), number.get()));
                self.ranges.extend(ranges);
            }
        }

        impl<'a> Extend<&'a $number> for $set {
            fn extend<I: IntoIterator<Item = &'a $number>>(&mut self, numbers: I) {
                self.extend(numbers.into_iter().copied());
            }
        }

        impl FromIterator<$number> for $set {
            fn from_iter<I: IntoIterator<Item = $number>>(numbers: I) -> Self {
                let mut set = Self::new();
                set.extend(numbers);
                set
            }
        }

        impl<'a> FromIterator<&'a $number> for $set {
            fn from_iter<I: IntoIterator<Item = &'a $number>>(numbers: I) -> Self {
                numbers.into_iter().copied().collect()
            }
        }

        impl From<$number> for $set {
            fn from(number: $number) -> Self {
                Self::single(number)
            }
        }

        impl From<RangeInclusive<$number>> for $set {
            fn from(range: RangeInclusive<$number>) -> Self {
                Self::from_range(range)
            }
        }

        impl From<&[$number]> for $set {
            fn from(numbers: &[$number]) -> Self {
                numbers.iter().collect()
            }
        }

        impl<const N: usize> From<[$number; N]> for $set {
            fn from(numbers: [$number; N]) -> Self {
                numbers.into_iter().collect()
            }
        }

        impl From<Vec<$number>> for $set {
            fn from(numbers: Vec<$number>) -> Self {
                numbers.into_iter().collect()
            }
        }

        impl From<&Vec<$number>> for $set {
            fn from(numbers: &Vec<$number>) -> Self {
                numbers.iter().collect()
            }
        }

        impl From<&$set> for $set {
            fn from(set: &$set) -> Self {
                set.clone()
            }
        }
    };
}

/// A set of UIDs, kept as ranges: `1:*` is as small as `1`.
///
/// A set that came from a server remembers the [`UidValidity`] that it belongs to; an
/// operation with it fails, rather than touch other messages, when the mailbox has a new one.
/// Two sets are equal when both their UIDs and their UIDVALIDITY are.
///
/// The number 4,294,967,295 is written `*`, the highest UID in the mailbox. A server that is
/// asked for `500:*` answers with its last message even if that has a lower UID (RFC 9051
/// §6.4.9); [`contains`](Self::contains) tells such a message apart.
///
/// ```
/// use mailpool::{Uid, UidSet};
/// let mut uids: UidSet = "7,1:3,4".parse()?;
/// uids.extend((10..=12).filter_map(Uid::new));
/// assert_eq!(uids.to_string(), "1:4,7,10:12");
/// assert_eq!(uids.len(), 8);
/// assert_eq!(uids.chunks(5).len(), 2);
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct UidSet {
    ranges: RangeSet,
    uid_validity: Option<UidValidity>,
}

number_set!(UidSet, Uid);

impl UidSet {
    const fn of(ranges: RangeSet) -> Self {
        Self {
            ranges,
            uid_validity: None,
        }
    }

    fn with_ranges(&self, ranges: RangeSet) -> Self {
        Self {
            ranges,
            uid_validity: self.uid_validity,
        }
    }

    fn debug_more(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid_validity {
            Some(validity) => write!(f, " of UIDVALIDITY {validity}"),
            None => Ok(()),
        }
    }

    /// The UIDVALIDITY that the UIDs belong to, where it is known.
    pub fn uid_validity(&self) -> Option<UidValidity> {
        self.uid_validity
    }

    /// The same UIDs, belonging to `uid_validity`; `None` lets the set be used with any.
    #[must_use]
    pub fn with_uid_validity(mut self, uid_validity: impl Into<Option<UidValidity>>) -> Self {
        self.uid_validity = uid_validity.into();
        self
    }

    /// Whether the sets have a message in common. Sets of two different UIDVALIDITYs have
    /// none, whatever their numbers.
    pub fn intersects(&self, other: &Self) -> bool {
        self.comparable(other) && self.ranges.intersects(&other.ranges)
    }

    /// The UIDs of both. Where both UIDVALIDITYs are known and different, the UIDs of `other`
    /// name other messages and stay out.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if !self.comparable(other) {
            return self.clone();
        }
        self.merged(other, self.ranges.union(&other.ranges))
    }

    /// The UIDs that are in both; none where both UIDVALIDITYs are known and different.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        if !self.comparable(other) {
            return self.with_ranges(RangeSet::new());
        }
        self.merged(other, self.ranges.intersection(&other.ranges))
    }

    /// The UIDs of this set that are not in `other`; all of them where both UIDVALIDITYs are
    /// known and different.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if !self.comparable(other) {
            return self.clone();
        }
        self.merged(other, self.ranges.difference(&other.ranges))
    }

    fn comparable(&self, other: &Self) -> bool {
        match (self.uid_validity, other.uid_validity) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        }
    }

    fn merged(&self, other: &Self, ranges: RangeSet) -> Self {
        Self {
            ranges,
            uid_validity: self.uid_validity.or(other.uid_validity),
        }
    }
}

/// A set of message sequence numbers, kept as ranges.
///
/// Sequence numbers mean something only inside an exclusive session. The number 4,294,967,295
/// is written `*`, the last message of the mailbox.
///
/// ```
/// use mailpool::SeqSet;
/// let messages: SeqSet = "1:3,*".parse()?;
/// assert_eq!(messages.ranges().count(), 2);
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SeqSet {
    ranges: RangeSet,
}

number_set!(SeqSet, SeqNum);

impl SeqSet {
    const fn of(ranges: RangeSet) -> Self {
        Self { ranges }
    }

    fn with_ranges(&self, ranges: RangeSet) -> Self {
        Self::of(ranges)
    }

    fn debug_more(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    /// Whether the sets have a number in common.
    pub fn intersects(&self, other: &Self) -> bool {
        self.ranges.intersects(&other.ranges)
    }

    /// The numbers of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.ranges.union(&other.ranges))
    }

    /// The numbers that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::of(self.ranges.intersection(&other.ranges))
    }

    /// The numbers of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self::of(self.ranges.difference(&other.ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn validity(number: u32) -> Option<UidValidity> {
        UidValidity::new(number)
    }

    #[test]
    fn a_set_is_made_from_whatever_holds_uids() {
        let numbers = vec![uid(3), uid(1), uid(2)];
        let expected: UidSet = "1:3".parse().unwrap();
        assert_eq!(UidSet::from(&numbers), expected);
        assert_eq!(UidSet::from(numbers.as_slice()), expected);
        assert_eq!(UidSet::from([uid(1), uid(2), uid(3)]), expected);
        assert_eq!(UidSet::from(uid(1)..=uid(3)), expected);
        assert_eq!(numbers.iter().collect::<UidSet>(), expected);
        assert_eq!(UidSet::from(numbers), expected);
        assert!(UidSet::from_range(uid(3)..=uid(1)).is_empty());
        assert_eq!(UidSet::all().to_string(), "1:*");
        assert_eq!(
            (expected.first(), expected.last()),
            (Some(uid(1)), Some(uid(3)))
        );
        assert_eq!(format!("{expected:?}"), "UidSet(1:3)");
    }

    #[test]
    fn chunks_keep_the_uid_validity() {
        let set = UidSet::all().with_uid_validity(validity(9));
        let chunk = set.iter_chunks(100).nth(41).unwrap();
        assert_eq!(chunk.to_string(), "4101:4200");
        assert_eq!(chunk.uid_validity(), validity(9));
        assert_eq!(UidSet::single(uid(5)).chunks(0).len(), 1);
        assert!(UidSet::new().chunks(10).is_empty());
        assert_eq!(format!("{chunk:?}"), "UidSet(4101:4200) of UIDVALIDITY 9");
    }

    #[test]
    fn sets_of_different_uid_validity_do_not_mix() {
        let one: UidSet = "1:5".parse().unwrap();
        let old = one.clone().with_uid_validity(validity(1));
        let new = UidSet::from_range(uid(4)..=uid(9)).with_uid_validity(validity(2));
        assert!(!old.intersects(&new));
        assert!(old.intersection(&new).is_empty());
        assert_eq!(old.union(&new), old);
        assert_eq!(old.difference(&new), old);
        assert_ne!(one, old);

        assert!(one.intersects(&new));
        assert_eq!(one.union(&new).uid_validity(), validity(2));
        assert_eq!(one.union(&new).to_string(), "1:9");
        assert_eq!(new.intersection(&one).to_string(), "4:5");
        assert_eq!(new.difference(&one).to_string(), "6:9");
    }
}
