//! The error of a value that cannot be built or cannot be written to the wire.

/// A value that the protocol does not allow in its place: nothing has been sent.
///
/// [`what`](Self::what) names the value in the RFCs' words, [`reason`](Self::reason) says what
/// is wrong with it. The value itself is not repeated, for it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("invalid {what}: {reason}")]
pub struct InvalidArgument {
    what: &'static str,
    reason: &'static str,
}

impl InvalidArgument {
    pub(crate) const fn new(what: &'static str, reason: &'static str) -> Self {
        Self { what, reason }
    }

    /// Which value is invalid, such as `"sequence set"`.
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// What is wrong with it, such as `"is empty"`.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

/// For conversions that cannot fail.
impl From<std::convert::Infallible> for InvalidArgument {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
