//! Encoders of IMAP commands, one file a command group.
