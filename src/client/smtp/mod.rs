//! The SMTP client.

mod builder;
mod bulk;
mod message;

use std::sync::Arc;

pub use builder::SmtpClientBuilder;
pub use bulk::{BulkSend, SendAllOutcome, SendProgress};
pub use message::{LineEndings, OutgoingMessage};

use super::call::{self, Patience};
use super::handle::{Inner, common_methods};
use crate::connection::handle::OperationReply;
use crate::error::{Error, Result};
use crate::protocol::smtp::content::Content;
use crate::protocol::smtp::session::Session;
use crate::protocol::smtp::session::operation::{End, Mail, Operation};
use crate::types::invalid::InvalidArgument;
use crate::types::smtp::capabilities::SmtpCapabilities;
use crate::types::smtp::envelope::SmtpEnvelope;
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::SendReport;

/// The longest argument of VRFY and EXPN, in bytes: a command line has 512 (RFC 5321
/// §4.5.3.1.4).
const MAX_ARGUMENT: usize = 490;

/// An SMTP or LMTP client that all threads share.
///
/// It is a cheap handle: clones share the connections, the quota and everything else. Every
/// method may be called from any thread and blocks until its answer is there or its deadline
/// has passed.
///
/// # Where messages go
/// A thread that holds a [`ConnectionScope`](crate::ConnectionScope) uses that connection; every
/// other thread uses the main connection. A message is one unit on its connection. Where the
/// server has PIPELINING, the envelope of the next message shares a flight with the end of the
/// last one.
///
/// # What is certain
/// | outcome | what it says |
/// |---|---|
/// | `Ok` | the server has taken the message over for the recipients that are accepted in the report |
/// | [`Certainty::NotSent`](crate::Certainty::NotSent) | nobody gets it |
/// | [`Certainty::Rejected`](crate::Certainty::Rejected) | the server said no, nobody gets it |
/// | [`Certainty::MaybeExecuted`](crate::Certainty::MaybeExecuted) | the connection, the deadline or the caller's patience ended between the end of the message and the server's answer |
///
/// A message whose connection breaks before its end is sent again once by itself, if it lies in
/// memory; behind its end never.
///
/// # Examples
/// ```no_run
/// use mailpool::{Credentials, SmtpClient, SmtpEnvelope};
///
/// let client = SmtpClient::builder("smtp.example.org")
///     .credentials(Credentials::password("alice", "secret"))
///     .connect()?;
/// let envelope = SmtpEnvelope::new("alice@example.org", ["bob@example.net"])?;
/// let report = client.send(
///     &envelope,
///     "From: alice@example.org\r\nTo: bob@example.net\r\nSubject: Hello\r\n\r\nHello Bob\r\n",
/// )?;
/// for refused in report.refused() {
///     eprintln!("{}: {}", refused.address, refused.outcome);
/// }
/// # Ok::<(), mailpool::Error>(())
/// ```
#[derive(Clone)]
pub struct SmtpClient {
    inner: Arc<Inner<Session>>,
    pub(super) patience: Patience,
    line_endings: LineEndings,
}

common_methods!(
    SmtpClient { line_endings },
    Session,
    goodbye = "QUIT",
    example = "client.noop()"
);

impl SmtpClient {
    /// Begins to set up a client for the server at `host`, a name or an address.
    pub fn builder(host: impl Into<String>) -> SmtpClientBuilder {
        SmtpClientBuilder::new(host.into())
    }

    /// The same client, which treats line ends in messages like this. Default:
    /// [`LineEndings::Normalise`].
    #[must_use = "the client itself keeps its setting"]
    pub fn with_line_endings(&self, line_endings: LineEndings) -> Self {
        let mut view = self.clone();
        view.line_endings = line_endings;
        view
    }

    /// Sends a message (RFC 5321 §3.3): bytes, text, or a reader
    /// ([`OutgoingMessage::reader`]). Nothing is added to it; Bcc and Resent-Bcc fields are left
    /// out of what is sent, and a last line without its end gets one.
    ///
    /// Returns what became of it for each recipient, if at least one was accepted. More
    /// recipients than the server takes at a time are served in several transactions, unless the
    /// message comes from a reader.
    ///
    /// # Errors
    /// - [`ErrorKind::SmtpRefused`](crate::ErrorKind::SmtpRefused): the server refused the sender
    ///   or the message;
    /// - [`ErrorKind::NobodyAccepted`](crate::ErrorKind::NobodyAccepted): it refused every
    ///   recipient, and the message was not sent;
    /// - [`ErrorKind::MissingCapability`](crate::ErrorKind::MissingCapability),
    ///   [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge): the message needs what
    ///   the server does not have;
    /// - [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): no recipient, or line
    ///   ends that are not allowed;
    /// - [`ErrorKind::Read`](crate::ErrorKind::Read): the reader failed, and the message was taken
    ///   back;
    /// - when the connection or the deadline fails. The
    ///   [certainty](crate::Error::certainty) says whether the message may have been delivered.
    pub fn send<'m>(
        &self,
        envelope: &SmtpEnvelope,
        message: impl Into<OutgoingMessage<'m>>,
    ) -> Result<SendReport> {
        check(envelope)?;
        message.into().send(self, envelope)
    }

    /// Submits a message in memory, and returns at once.
    fn begin_send(
        &self,
        envelope: Arc<SmtpEnvelope>,
        content: Content,
    ) -> Result<OperationReply<Session>> {
        let mail = Mail::new(envelope, content);
        call::submit(self.pool(), Operation::Send(Box::new(mail)))
    }

    /// Begins to describe the sending of many messages: with progress, and with another try for
    /// what is refused for the time being. [`BulkSend::send_all`] sends them.
    pub fn bulk<'a>(&self) -> BulkSend<'a> {
        BulkSend::new(self.clone())
    }

    /// Sends many messages through as many connections as the quota allows:
    /// [`bulk`](Self::bulk) with its defaults. Blocks until each has been sent or has failed, or
    /// the view is cancelled.
    ///
    /// ```no_run
    /// # fn example(client: mailpool::SmtpClient, messages: Vec<(mailpool::SmtpEnvelope, String)>) -> mailpool::Result<()> {
    /// let outcome = client.send_all(messages)?;
    /// println!("{} sent, {} failed", outcome.succeeded.len(), outcome.failed.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None that concern single messages: those are in the outcome.
    pub fn send_all<M>(
        &self,
        messages: impl IntoIterator<Item = (SmtpEnvelope, M)>,
    ) -> Result<SendAllOutcome>
    where
        M: Into<bytes::Bytes>,
    {
        self.bulk().send_all(messages)
    }

    /// What the server offers on this thread's connection, as it said when that was opened: after
    /// TLS and the login, if there are any. Nothing is sent for it.
    ///
    /// # Errors
    /// When the connection or the deadline fails.
    pub fn capabilities(&self) -> Result<SmtpCapabilities> {
        match self.call(Operation::Capabilities)? {
            End::Capabilities(capabilities) => Ok(*capabilities),
            other => Err(call::unexpected(&other)),
        }
    }

    /// Does nothing but a round trip (RFC 5321 §4.1.1.9).
    ///
    /// # Errors
    /// When the connection or the deadline fails.
    pub fn noop(&self) -> Result<()> {
        self.call(Operation::Noop).map(drop)
    }

    /// Asks whether the server knows a user or mailbox (VRFY, RFC 5321 §3.5). Many servers answer
    /// 252 to everything: they will try.
    ///
    /// ```no_run
    /// # fn example(client: mailpool::SmtpClient) -> mailpool::Result<()> {
    /// println!("{}", client.verify("postmaster")?.text);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::SmtpRefused`](crate::ErrorKind::SmtpRefused);
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a name that cannot be
    /// sent; when the connection or the deadline fails.
    pub fn verify(&self, name: &str) -> Result<SmtpReply> {
        self.ask(Operation::Verify(argument("name", name)?))
    }

    /// Asks for the members of a mailing list (EXPN, RFC 5321 §3.5): one in each line of the reply.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn expand(&self, list: &str) -> Result<SmtpReply> {
        self.ask(Operation::Expand(argument("mailing list", list)?))
    }

    fn ask(&self, operation: Operation) -> Result<SmtpReply> {
        match self.call(operation)? {
            End::Replied(reply) => Ok(reply),
            other => Err(call::unexpected(&other)),
        }
    }

    fn call(&self, operation: Operation) -> Result<End> {
        let until = self.patience.begin_call()?;
        call::wait(call::submit(self.pool(), operation)?, &until)
    }
}

/// What a sent message ends with.
fn report(end: End) -> Result<SendReport> {
    match end {
        End::Sent(recipients) => Ok(SendReport { recipients }),
        other => Err(call::unexpected(&other)),
    }
}

fn check(envelope: &SmtpEnvelope) -> Result<()> {
    if envelope.recipients().is_empty() {
        return Err(InvalidArgument::new("envelope", "has no recipient").into());
    }
    Ok(())
}

fn argument(what: &'static str, text: &str) -> Result<String> {
    let wrong = |reason| Err(Error::from(InvalidArgument::new(what, reason)));
    if text.trim().is_empty() {
        return wrong("is empty");
    }
    if text.len() > MAX_ARGUMENT {
        return wrong("is longer than 490 bytes");
    }
    if text.chars().any(char::is_control) {
        return wrong("contains a control character");
    }
    Ok(text.to_owned())
}
