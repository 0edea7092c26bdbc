//! Senders that give up in the middle of a message: nobody gets any of it.

use std::io::{self, Read};
use std::time::Duration;

use mailpool::{Backoff, CancelToken, Certainty, ErrorKind, OutgoingMessage};
use mailpool_test_postfix::Postfix;

use super::{builder, to};
use crate::outgoing::{assert_same, large, letter};

/// Gives so much of a message, and then has something happen.
struct Until<'m, F> {
    message: &'m [u8],
    happens: Option<F>,
}

impl<F: FnOnce() -> io::Result<()>> Read for Until<'_, F> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.message.is_empty() {
            if let Some(happens) = self.happens.take() {
                happens()?;
                room[0] = b'x';
                return Ok(1);
            }
        }
        self.message.read(room)
    }
}

#[test]
fn what_is_broken_off_does_not_arrive_and_the_next_message_does() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let message = large(3_000_000);
    for chunking in [true, false] {
        // A connection that counts as lost would be opened anew within the hour.
        let client = builder(postfix)
            .chunking(chunking)
            .reconnect(Backoff::new().first_delay(Duration::from_secs(3600)))
            .connect()
            .unwrap();
        for given in [0, 100, 100_000, 3_000_000] {
            let what = format!("{given} bytes, BDAT {chunking}");
            let recipient = postfix.new_recipient("given-up");
            let mut failing = Until {
                message: &message[..given],
                happens: Some(|| Err(io::Error::other("the disk is gone"))),
            };
            let error = client
                .send(&to(&[&recipient]), OutgoingMessage::reader(&mut failing))
                .unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Read { .. }),
                "{what}: {error:?}"
            );
            assert_eq!(error.certainty(), Certainty::NotSent, "{what}");

            let token = CancelToken::new();
            let mut cancelled = Until {
                message: &message[..given],
                happens: Some(|| {
                    token.cancel();
                    Ok(())
                }),
            };
            let error = client
                .with_cancel(&token)
                .send(&to(&[&recipient]), OutgoingMessage::reader(&mut cancelled))
                .unwrap_err();
            assert!(error.is_cancelled(), "{what}: {error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent, "{what}");

            let next = postfix.new_recipient("next");
            let _ = client.send(&to(&[&next]), letter("next", "")).unwrap();
            let arrived = postfix.arrived(&next, 1);
            assert_same(&what, &arrived[0].message(), &letter("next", ""));
            assert!(!postfix.settled().contains_key(&recipient), "{what}");
        }
        assert_eq!(client.stats().opened, 1);
    }
}
