//! Values: identifiers, sets, names, dates, requests and replies.
