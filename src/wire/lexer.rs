//! Tokens of a framed IMAP response.
