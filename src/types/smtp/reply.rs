//! Replies of an SMTP server (RFC 5321 §4.2, RFC 2034, RFC 3463).

use std::fmt;

/// What a server answered: a code, and words for people.
///
/// ```
/// # fn example(reply: mailpool::SmtpReply) {
/// if reply.is_transient() {
///     println!("later, perhaps: {reply}");
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SmtpReply {
    /// The reply code, 200 to 599.
    pub code: u16,
    /// The enhanced status code, where the server gave one (RFC 2034).
    pub enhanced: Option<EnhancedCode>,
    /// The words, without the enhanced status codes; lines are divided by LF.
    pub text: String,
}

impl SmtpReply {
    /// Whether the server has done what it was asked for, or goes on (2yz and 3yz).
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Whether the same may succeed later (4yz).
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Whether the same will fail again (5yz).
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for (index, line) in self
            .text
            .lines()
            .filter(|line| !line.is_empty())
            .enumerate()
        {
            f.write_str(if index == 0 { " " } else { "; " })?;
            f.write_str(line)?;
        }
        Ok(())
    }
}

/// An enhanced status code such as `5.1.1` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EnhancedCode {
    /// 2 for success, 4 for a transient failure, 5 for a permanent one.
    pub class: u8,
    /// What it is about, such as 1 for addresses and 7 for security and policy.
    pub subject: u16,
    /// The condition.
    pub detail: u16,
}

impl EnhancedCode {
    pub(crate) fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_told_in_one_line() {
        let reply = SmtpReply {
            code: 550,
            enhanced: Some(EnhancedCode::new(5, 1, 1)),
            text: "no such user\nsee https://example.org".to_owned(),
        };
        assert_eq!(
            reply.to_string(),
            "550 5.1.1 no such user; see https://example.org"
        );
        assert!(reply.is_permanent() && !reply.is_transient() && !reply.is_positive());
    }
}
