//! Identifiers of messages and of their versions: numbers that must not be mistaken for one
//! another, so there is no conversion between them.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use super::invalid::InvalidArgument;

/// Defines a newtype over `NonZeroU32`.
macro_rules! number32 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The smallest value, 1.
            pub const MIN: Self = Self(NonZeroU32::MIN);
            /// The largest value, 4,294,967,295.
            pub const MAX: Self = Self(NonZeroU32::MAX);

            /// Makes one from its number; `None` for zero.
            pub const fn new(number: u32) -> Option<Self> {
                match NonZeroU32::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number, 1 or more.
            pub const fn get(self) -> u32 {
                self.0.get()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<NonZeroU32> for $name {
            fn from(number: NonZeroU32) -> Self {
                Self(number)
            }
        }

        impl From<$name> for NonZeroU32 {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl From<$name> for u32 {
            fn from(number: $name) -> Self {
                number.get()
            }
        }

        impl TryFrom<u32> for $name {
            type Error = InvalidArgument;

            fn try_from(number: u32) -> Result<Self, InvalidArgument> {
                Self::new(number).ok_or(InvalidArgument::new($what, "is zero"))
            }
        }
    };
}

number32! {
    /// A message's unique identifier in its mailbox (RFC 9051 §2.3.1.1).
    ///
    /// It stays with the message across sessions as long as the mailbox's [`UidValidity`] is
    /// the same, and it grows with each message added.
    ///
    /// ```
    /// use mailpool::Uid;
    /// let uid = Uid::new(42).ok_or("zero is not a UID")?;
    /// assert_eq!(uid.get(), 42);
    /// assert_eq!(uid.to_string(), "42");
    /// # Ok::<(), &str>(())
    /// ```
    Uid, "UID"
}

number32! {
    /// A message sequence number: the message's position in its mailbox, from 1
    /// (RFC 9051 §2.3.1.2).
    ///
    /// It changes whenever an earlier message is expunged, so it means something only inside
    /// an exclusive session.
    SeqNum, "message sequence number"
}

number32! {
    /// The version of a mailbox's UIDs (RFC 9051 §2.3.1.1): UIDs from before a change name
    /// nothing, or something else, after it.
    UidValidity, "UIDVALIDITY"
}

/// A modification sequence: grows with every change to a message's metadata (RFC 7162 §3.1).
///
/// At least 1 and at most 2<sup>63</sup> − 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModSeq(NonZeroU64);

impl ModSeq {
    /// The largest value, 2<sup>63</sup> − 1.
    pub const MAX: u64 = i64::MAX as u64;

    /// Makes one from its number; `None` for zero and above [`ModSeq::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(value) if number <= Self::MAX => Some(Self(value)),
            _ => None,
        }
    }

    /// The number, 1 to [`ModSeq::MAX`].
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModSeq({})", self.0)
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<ModSeq> for u64 {
    fn from(number: ModSeq) -> Self {
        number.get()
    }
}

impl TryFrom<u64> for ModSeq {
    type Error = InvalidArgument;

    fn try_from(number: u64) -> Result<Self, InvalidArgument> {
        Self::new(number).ok_or(InvalidArgument::new(
            "modification sequence",
            "is zero or above 2^63 - 1",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_identifier() {
        assert_eq!(Uid::new(0), None);
        assert_eq!(SeqNum::new(0), None);
        assert_eq!(UidValidity::new(0), None);
        assert_eq!(ModSeq::new(0), None);
        assert!(Uid::try_from(0).is_err());
        assert_eq!(Uid::try_from(7).unwrap().get(), 7);
    }

    #[test]
    fn mod_seq_has_63_bits() {
        assert_eq!(ModSeq::new(ModSeq::MAX).unwrap().get(), (1 << 63) - 1);
        assert_eq!(ModSeq::new(1 << 63), None);
        assert!(ModSeq::try_from(u64::MAX).is_err());
    }
}
