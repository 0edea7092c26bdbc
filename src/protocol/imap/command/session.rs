//! Commands that concern the session and no mailbox (RFC 9051 §6.1, §6.2, and ENABLE, ID).

use super::line::CommandLine;
use crate::types::invalid::InvalidArgument;

/// RFC 2971 §3.3.
const MAX_ID_FIELDS: usize = 30;
const MAX_ID_FIELD: usize = 30;
const MAX_ID_VALUE: usize = 1024;

pub(crate) fn capability() -> CommandLine {
    CommandLine::new("CAPABILITY")
}

pub(crate) fn noop() -> CommandLine {
    CommandLine::new("NOOP")
}

/// RFC 2177. The server answers with a continuation request, and the command lasts until
/// [`done`] is written.
pub(crate) fn idle() -> CommandLine {
    CommandLine::new("IDLE")
}

/// The line without a tag that ends an IDLE, but for its CRLF.
pub(crate) fn done() -> Vec<u8> {
    b"DONE".to_vec()
}

pub(crate) fn logout() -> CommandLine {
    CommandLine::new("LOGOUT")
}

pub(crate) fn starttls() -> CommandLine {
    CommandLine::new("STARTTLS")
}

pub(crate) fn login(user: &[u8], password: &[u8]) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new("LOGIN").secret();
    line.astring("user name", user)?;
    line.astring("password", password)?;
    Ok(line)
}

/// `initial_response` only where the server has SASL-IR (RFC 4959): base64, or `=` for an empty
/// one.
pub(crate) fn authenticate(
    mechanism: &str,
    initial_response: Option<&str>,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new("AUTHENTICATE").secret();
    line.atom("SASL mechanism", mechanism)?;
    if let Some(response) = initial_response {
        line.word(response);
    }
    Ok(line)
}

/// RFC 5161.
pub(crate) fn enable<C: AsRef<str>>(capabilities: &[C]) -> Result<CommandLine, InvalidArgument> {
    if capabilities.is_empty() {
        return Err(InvalidArgument::new("list of capabilities", "is empty"));
    }
    let mut line = CommandLine::new("ENABLE");
    for capability in capabilities {
        line.atom("capability", capability.as_ref())?;
    }
    Ok(line)
}

/// RFC 2971. `NIL` where there are no fields: asks without telling.
pub(crate) fn id<F: AsRef<str>, V: AsRef<str>>(
    fields: &[(F, V)],
) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new("ID");
    if fields.is_empty() {
        line.word("NIL");
        return Ok(line);
    }
    if fields.len() > MAX_ID_FIELDS {
        return Err(InvalidArgument::new(
            "list of ID fields",
            "has more than 30 fields",
        ));
    }
    line.open();
    for (index, (field, value)) in fields.iter().enumerate() {
        let (field, value) = (field.as_ref(), value.as_ref());
        if field.len() > MAX_ID_FIELD {
            return Err(InvalidArgument::new("ID field", "is longer than 30 bytes"));
        }
        if value.len() > MAX_ID_VALUE {
            return Err(InvalidArgument::new(
                "ID value",
                "is longer than 1024 bytes",
            ));
        }
        let mut earlier = fields.iter().take(index);
        if earlier.any(|(earlier, _)| earlier.as_ref().eq_ignore_ascii_case(field)) {
            return Err(InvalidArgument::new("ID field", "is there twice"));
        }
        line.string("ID field", field.as_bytes())?;
        line.string("ID value", value.as_bytes())?;
    }
    line.close();
    Ok(line)
}
