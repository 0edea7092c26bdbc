//! Values: identifiers, sets, names, dates, requests and replies.

pub(crate) mod body_structure;
pub(crate) mod capability;
pub(crate) mod date;
pub(crate) mod envelope;
pub(crate) mod flag;
pub(crate) mod ids;
pub(crate) mod invalid;
pub(crate) mod items;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod mailbox_change;
pub(crate) mod mailbox_info;
pub(crate) mod mailbox_name;
pub(crate) mod query;
pub(crate) mod range_set;
pub(crate) mod raw_text;
pub(crate) mod request;
pub(crate) mod response_code;
pub(crate) mod sasl;
pub(crate) mod secret;
pub(crate) mod section;
pub(crate) mod set;
pub(crate) mod smtp;
pub(crate) mod token;
pub(crate) mod utf7;
