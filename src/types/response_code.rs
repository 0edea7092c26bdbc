//! Response codes: what a status response says to programs.

use crate::types::capability::Capabilities;
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, Uid, UidValidity};

/// What a status response says to programs (RFC 9051 §7.1, RFC 5530 and others).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseCode {
    /// `ALERT`: the text is to be shown to the user (RFC 9051 §7.1).
    Alert,
    /// `BADCHARSET`: the search used a character set that the server does not know; the
    /// ones that it knows (RFC 9051 §7.1).
    BadCharset(Vec<String>),
    /// `CAPABILITY`: the capabilities as they are now (RFC 9051 §7.1).
    Capability(Capabilities),
    /// `PARSE`: a message could not be parsed (RFC 9051 §7.1).
    Parse,
    /// `PERMANENTFLAGS`: the flags that can be changed for good (RFC 9051 §7.1).
    PermanentFlags(Flags),
    /// `READ-ONLY`: the mailbox is, or has become, read-only (RFC 9051 §7.1).
    ReadOnly,
    /// `READ-WRITE`: the mailbox is, or has become, writable (RFC 9051 §7.1).
    ReadWrite,
    /// `TRYCREATE`: it may succeed once the mailbox is created (RFC 9051 §7.1).
    TryCreate,
    /// `UIDNEXT`: a UID below which no new message will be numbered (RFC 9051 §7.1).
    UidNext(Uid),
    /// `UIDVALIDITY`: the validity of the mailbox's UIDs (RFC 9051 §7.1).
    UidValidity(UidValidity),
    /// `UNSEEN`: the sequence number of the first message that is not seen (RFC 3501
    /// §7.1).
    Unseen(u32),
    /// `HIGHESTMODSEQ`: the highest mod-sequence of the mailbox (RFC 7162 §3.1.2.1).
    HighestModSeq(ModSeq),
    /// `NOMODSEQ`: the mailbox keeps no mod-sequences (RFC 7162 §3.1.2.2).
    NoModSeq,
    /// `MODIFIED`: the messages that a conditional STORE left alone: UIDs after UID
    /// STORE, else sequence numbers; the first and the last of each range (RFC 7162 §3.1.3).
    Modified(Vec<(u32, u32)>),
    /// `APPENDUID`: which UIDs the appended messages have (RFC 9051 §7.1, RFC 4315 §3).
    AppendUid(AppendUid),
    /// `COPYUID`: which UIDs the copies have (RFC 9051 §7.1, RFC 4315 §3).
    CopyUid(CopyUid),
    /// `UIDNOTSTICKY`: UIDs are not kept from session to session (RFC 9051 §7.1).
    UidNotSticky,
    /// `CLOSED`: the mailbox selected before is closed; what follows is about the new one
    /// (RFC 9051 §7.1).
    Closed,
    /// `AUTHENTICATIONFAILED`: wrong credentials (RFC 9051 §7.1, RFC 5530 §3).
    AuthenticationFailed,
    /// `AUTHORIZATIONFAILED`: may not act for that user (RFC 5530 §3).
    AuthorizationFailed,
    /// `EXPIRED`: the credentials have expired (RFC 5530 §3).
    Expired,
    /// `PRIVACYREQUIRED`: only over an encrypted connection (RFC 5530 §3).
    PrivacyRequired,
    /// `CONTACTADMIN`: the user should talk to the administrator (RFC 5530 §3).
    ContactAdmin,
    /// `NOPERM`: the user has not the right (RFC 5530 §3).
    NoPermission,
    /// `INUSE`: somebody else uses what is needed (RFC 5530 §3).
    InUse,
    /// `EXPUNGEISSUED`: messages were expunged by another session (RFC 5530 §3).
    ExpungeIssued,
    /// `CORRUPTION`: the server has found its data damaged (RFC 5530 §3).
    Corruption,
    /// `SERVERBUG`: the server has met a bug of its own (RFC 5530 §3).
    ServerBug,
    /// `CLIENTBUG`: the server believes that this client has a bug (RFC 5530 §3).
    ClientBug,
    /// `CANNOT`: the server can never do that (RFC 5530 §3).
    Cannot,
    /// `LIMIT`: a limit of the server is reached (RFC 5530 §3).
    Limit,
    /// `OVERQUOTA`: a quota is exceeded (RFC 5530 §3, RFC 9208 §4.3).
    OverQuota,
    /// `ALREADYEXISTS`: there is such a mailbox already (RFC 5530 §3).
    AlreadyExists,
    /// `NONEXISTENT`: there is no such mailbox (RFC 5530 §3).
    NonExistent,
    /// `UNAVAILABLE`: something that the server depends on does not answer (RFC 5530 §3).
    Unavailable,
    /// `UNKNOWN-CTE`: a part's transfer encoding is not known (RFC 3516 §4.3).
    UnknownCte,
    /// `REFERRAL`: the URL of another server (RFC 2221, RFC 2193). Never followed.
    Referral(String),
    /// A code that is not known here, or a known one whose arguments make no sense.
    Other {
        /// The code's name as it came.
        name: String,
        /// What follows the name; may be empty.
        text: String,
    },
}

/// The UIDs that APPEND gave to its messages (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendUid {
    /// The validity of the UIDs in the mailbox that was appended to.
    pub uid_validity: UidValidity,
    /// The UIDs, in the order of the messages.
    pub uids: UidRanges,
}

/// Which copy belongs to which message after COPY or MOVE (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUid {
    uid_validity: UidValidity,
    source: UidRanges,
    destination: UidRanges,
}

impl CopyUid {
    /// `None` if there are not as many copies as messages.
    pub(crate) fn new(
        uid_validity: UidValidity,
        source: UidRanges,
        destination: UidRanges,
    ) -> Option<Self> {
        (source.len() == destination.len()).then_some(Self {
            uid_validity,
            source,
            destination,
        })
    }

    /// Adds the copies of a further command of the same operation.
    pub(crate) fn append(&mut self, other: &Self) {
        self.source.ranges.extend_from_slice(&other.source.ranges);
        self.destination
            .ranges
            .extend_from_slice(&other.destination.ranges);
    }

    /// Whether `other` has been added before.
    pub(crate) fn has(&self, other: &Self) -> bool {
        let has = |all: &UidRanges, some: &UidRanges| {
            let count = some.ranges.len().max(1);
            all.ranges
                .windows(count)
                .any(|window| window == some.ranges)
        };
        has(&self.source, &other.source) && has(&self.destination, &other.destination)
    }

    /// The validity of the UIDs in the destination mailbox.
    pub fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// The messages that were copied, in the order of the copies.
    pub fn source(&self) -> &UidRanges {
        &self.source
    }

    /// The copies, in the order of the messages.
    pub fn destination(&self) -> &UidRanges {
        &self.destination
    }

    /// Each message with its copy. A server can claim four billion of them in a few
    /// bytes: they are computed one by one, and better not collected unchecked.
    pub fn pairs(&self) -> impl Iterator<Item = (Uid, Uid)> {
        self.source.iter().zip(self.destination.iter())
    }

    /// The copy of a message. Takes time in proportion to the number of ranges, not of
    /// messages.
    pub fn copy_of(&self, uid: Uid) -> Option<Uid> {
        self.destination.at(self.source.position(uid)?)
    }
}

/// UIDs in the order in which a server listed them, kept as the ranges that it sent: a
/// few bytes can stand for four billion UIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidRanges {
    /// First and last of each range, in this order.
    ranges: Vec<(Uid, Uid)>,
}

impl UidRanges {
    /// Adds a range, its bounds in any order: `4:2` means `2:4` (RFC 4315 §4).
    pub(crate) fn push(&mut self, one: Uid, other: Uid) {
        self.ranges.push((one.min(other), one.max(other)));
    }

    /// How many UIDs there are, repetitions included.
    pub fn len(&self) -> u64 {
        let length = |&(first, last): &(Uid, Uid)| u64::from(last.get() - first.get()) + 1;
        self.ranges.iter().map(length).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The first and the last UID of each range.
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.ranges
    }

    /// The UIDs one by one. There may be four billion.
    pub fn iter(&self) -> impl Iterator<Item = Uid> {
        let numbers = |&(first, last): &(Uid, Uid)| first.get()..=last.get();
        self.ranges.iter().flat_map(numbers).filter_map(Uid::new)
    }

    /// The UID at a position, counted from 0.
    pub fn at(&self, position: u64) -> Option<Uid> {
        let mut left = position;
        for &(first, last) in &self.ranges {
            let offset = u64::from(last.get() - first.get());
            if left <= offset {
                return Uid::new(first.get() + u32::try_from(left).ok()?);
            }
            left -= offset + 1;
        }
        None
    }

    /// The position of a UID, counted from 0.
    pub fn position(&self, uid: Uid) -> Option<u64> {
        let mut before = 0;
        for &(first, last) in &self.ranges {
            if (first..=last).contains(&uid) {
                return Some(before + u64::from(uid.get() - first.get()));
            }
            before += u64::from(last.get() - first.get()) + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn ranges(bounds: &[(u32, u32)]) -> UidRanges {
        let mut ranges = UidRanges::default();
        for &(one, other) in bounds {
            ranges.push(uid(one), uid(other));
        }
        ranges
    }

    #[test]
    fn messages_and_copies_are_paired_in_the_servers_order() {
        let validity = UidValidity::new(7).unwrap();
        let source = ranges(&[(304, 304), (320, 319)]);
        let copies = CopyUid::new(validity, source, ranges(&[(3956, 3958)])).unwrap();
        let pairs: Vec<(u32, u32)> = copies.pairs().map(|(a, b)| (a.get(), b.get())).collect();
        assert_eq!(pairs, [(304, 3956), (319, 3957), (320, 3958)]);
        assert_eq!(copies.copy_of(uid(320)), Some(uid(3958)));
        assert_eq!(copies.copy_of(uid(321)), None);
    }

    #[test]
    fn four_billion_uids_cost_nothing() {
        let validity = UidValidity::new(7).unwrap();
        let all = ranges(&[(1, u32::MAX)]);
        let copies = CopyUid::new(validity, all.clone(), all).unwrap();
        assert_eq!(copies.source().len(), u64::from(u32::MAX));
        assert_eq!(copies.copy_of(uid(u32::MAX)), Some(uid(u32::MAX)));
        assert_eq!(copies.pairs().take(2).count(), 2);
        assert_eq!(copies.destination().at(u64::from(u32::MAX)), None);
    }

    #[test]
    fn unequal_numbers_are_refused() {
        let validity = UidValidity::new(7).unwrap();
        assert_eq!(
            CopyUid::new(validity, ranges(&[(1, 3)]), ranges(&[(1, 2)])),
            None
        );
    }
}
