//! Parsing of framed IMAP responses.
