//! Access tokens: the user's code that gets them is called once for all connections that wait.
//!
//! It may take its time, and may call the client, so it runs on a thread of its own, started when
//! a token is wanted and ended when it is there. A connection that waits keeps its own deadline;
//! code that hangs is left to finish by itself.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::sync::Mutex;
use crate::types::token::{IssuedToken, Provided, TokenError, TokenNumber, TokenProvider};

/// A token that expires so soon is not used for a new connection: the server's clock may be
/// ahead, and the login takes a moment.
const MARGIN: Duration = Duration::from_secs(30);

pub(crate) type Answer = Result<IssuedToken, TokenError>;

/// The tokens of one client.
#[derive(Debug)]
pub(crate) struct TokenSource {
    provider: TokenProvider,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// Tokens that have come so far.
    issued: TokenNumber,
    /// The provider is being called.
    running: bool,
    waiting: Vec<Waiting>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

struct Current {
    token: IssuedToken,
    expires: Option<SystemTime>,
}

struct Waiting {
    answer: Sender<Answer>,
    /// Wakes whoever waits.
    bell: Box<dyn FnOnce() + Send>,
}

impl Waiting {
    fn tell(self, answer: Answer) {
        // Who has given up meanwhile does not listen any more.
        let _ = self.answer.send(answer);
        (self.bell)();
    }
}

impl Current {
    fn is_good(&self, now: SystemTime) -> bool {
        let latest = now.checked_add(MARGIN).unwrap_or(now);
        self.expires.is_none_or(|expires| latest < expires)
    }
}

impl TokenSource {
    pub(crate) fn new(provider: TokenProvider) -> Arc<Self> {
        Arc::new(Self {
            provider,
            state: Mutex::default(),
        })
    }

    /// Asks for a token. The answer is there at once, or when `bell` is called.
    pub(super) fn request(
        self: &Arc<Self>,
        bell: impl FnOnce() + Send + 'static,
    ) -> Receiver<Answer> {
        let (sender, receiver) = bounded(1);
        let waiting = Waiting {
            answer: sender,
            bell: Box::new(bell),
        };
        let mut state = self.state.lock();
        let now = SystemTime::now();
        if let Some(current) = state.current.as_ref().filter(|one| one.is_good(now)) {
            let token = current.token.clone();
            drop(state);
            waiting.tell(Ok(token));
            return receiver;
        }
        state.waiting.push(waiting);
        if std::mem::replace(&mut state.running, true) {
            return receiver;
        }
        drop(state);
        let source = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("mailpool-token".to_owned())
            .spawn(move || source.call());
        if let Err(error) = thread {
            self.settle(Err(TokenError::Thread(Arc::new(error))));
        }
        receiver
    }

    /// Nobody gets this token any more.
    pub(super) fn refuse(&self, number: TokenNumber) {
        let mut state = self.state.lock();
        let current = state.current.take();
        state.current = current.filter(|current| current.token.number != number);
    }

    fn call(&self) {
        let provided = catch_unwind(AssertUnwindSafe(|| self.provider.call()));
        match provided {
            Ok(Ok(token)) => self.settle(Ok(Ok(token))),
            Ok(Err(error)) => self.settle(Ok(Err(error))),
            Err(panic) => {
                let message = message_of(&*panic);
                self.settle(Err(TokenError::Panicked { message }));
            }
        }
    }

    /// Tells everybody who waits.
    fn settle(&self, provided: Result<Provided, TokenError>) {
        let mut state = self.state.lock();
        state.running = false;
        let answer = match provided {
            Ok(Ok(token)) => {
                state.issued += 1;
                let expires = token.expiry(SystemTime::now());
                let token = IssuedToken {
                    number: state.issued,
                    token,
                };
                state.current = Some(Current {
                    token: token.clone(),
                    expires,
                });
                Ok(token)
            }
            Ok(Err(error)) => Err(TokenError::Provider(error)),
            Err(error) => Err(error),
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for one in waiting {
            one.tell(answer.clone());
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::types::token::Token;

    const LONG: Duration = Duration::from_secs(30);

    fn answer(receiver: &Receiver<Answer>) -> Answer {
        receiver.recv_timeout(LONG).expect("an answer")
    }

    fn text(answer: &Answer) -> String {
        let token = answer.as_ref().expect("a token");
        String::from_utf8_lossy(token.token.secret().expose()).into_owned()
    }

    /// A source whose provider numbers its tokens and waits for `gate` first.
    fn counting(
        gate: Option<Arc<Barrier>>,
        make: fn(u32) -> Provided,
    ) -> (Arc<TokenSource>, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let source = TokenSource::new(TokenProvider::new(move || {
            if let Some(gate) = &gate {
                gate.wait();
            }
            make(counted.fetch_add(1, Ordering::SeqCst) + 1)
        }));
        (source, calls)
    }

    #[test]
    fn all_who_wait_share_one_call() {
        let gate = Arc::new(Barrier::new(2));
        let (source, calls) = counting(Some(Arc::clone(&gate)), |number| {
            Ok(Token::new(number.to_string()))
        });
        let receivers: Vec<_> = (0..10).map(|_| source.request(|| {})).collect();
        assert!(receivers.iter().all(Receiver::is_empty));
        // One has given up.
        drop(
            source
                .request(|| panic!("not on the waiter's thread"))
                .clone(),
        );
        source.state.lock().waiting.pop();
        gate.wait();
        for receiver in &receivers {
            assert_eq!(text(&answer(receiver)), "1");
        }
        // Those who come later have it at once.
        assert_eq!(text(&source.request(|| {}).try_recv().unwrap()), "1");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_refused_token_is_replaced_once_for_all_who_had_it() {
        let (source, calls) = counting(None, |number| Ok(Token::new(number.to_string())));
        let first = answer(&source.request(|| {})).unwrap();
        source.refuse(first.number);
        let second = answer(&source.request(|| {}));
        assert_eq!(text(&second), "2");
        // Another connection had the first one too.
        source.refuse(first.number);
        assert_eq!(text(&answer(&source.request(|| {}))), "2");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_expires_soon_is_not_handed_out_again() {
        let (source, calls) = counting(None, |number| {
            let lifetime = if number == 1 { MARGIN } else { 3 * MARGIN };
            Ok(Token::new(number.to_string()).expires_in(lifetime))
        });
        for expected in ["1", "2", "2"] {
            assert_eq!(text(&answer(&source.request(|| {}))), expected);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn errors_and_panics_reach_all_who_waited_and_nobody_else() {
        let gate = Arc::new(Barrier::new(2));
        let (source, _) = counting(Some(Arc::clone(&gate)), |number| match number {
            1 => Err(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(
                "no",
            ))),
            2 => panic!("oh"),
            _ => Ok(Token::new("t")),
        });
        for round in 1..=3 {
            let waiting = [source.request(|| {}), source.request(|| {})];
            gate.wait();
            for receiver in &waiting {
                match (round, answer(receiver)) {
                    (1, Err(TokenError::Provider(why))) => assert_eq!(why.to_string(), "no"),
                    (2, Err(TokenError::Panicked { message })) => assert_eq!(message, "oh"),
                    (3, Ok(_)) => {}
                    (_, other) => panic!("round {round}: {other:?}"),
                }
            }
        }
    }
}
