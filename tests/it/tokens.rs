//! Access tokens from the user's code: once for all who wait, on a thread of its own, again after
//! a refusal, and never in the way of a deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

use mailpool::{
    CancelToken, Credentials, ErrorKind, Holder, ImapClient, ImapClientBuilder, Phase,
    SaslMechanism, Security, Token, TokenError,
};
use mailpool_test_server::{Security as Secured, Server};

use crate::authentication::offering;
use crate::scripted::{LONG, eventually};
use crate::support::USER;
use crate::threads::bounded;
use crate::tls::trusting;

fn server() -> Server {
    let server = offering(Secured::Tls, &[SaslMechanism::XOAuth2]);
    server.store().set_token(USER.0, "one");
    server
}

/// A provider that tests can look into.
#[derive(Clone, Default)]
struct Provider(Arc<Inner>);

#[derive(Default)]
struct Inner {
    token: Mutex<String>,
    calls: AtomicU64,
    threads: Mutex<Vec<String>>,
    held: Mutex<bool>,
    changed: Condvar,
}

impl Provider {
    fn new(token: &str) -> Self {
        let provider = Self::default();
        provider.set(token);
        provider
    }

    fn set(&self, token: &str) {
        token.clone_into(&mut self.0.token.lock().unwrap());
    }

    /// Has calls wait until they are let go.
    fn hold(&self, held: bool) {
        *self.0.held.lock().unwrap() = held;
        self.0.changed.notify_all();
    }

    fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn call(&self) -> Token {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        self.0.threads.lock().unwrap().push(name);
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let held = self.0.held.lock().unwrap();
        drop(self.0.changed.wait_while(held, |held| *held).unwrap());
        Token::new(self.0.token.lock().unwrap().as_str())
    }

    fn credentials(&self) -> Credentials {
        let provider = self.clone();
        Credentials::token_provider(USER.0, move || Ok::<_, std::io::Error>(provider.call()))
    }
}

fn builder(server: &Server, credentials: Credentials) -> ImapClientBuilder {
    trusting(server, Security::Tls)
        .max_connections_per_server(10)
        .credentials(credentials)
}

/// How many connections wait for a token.
fn waiting(client: &ImapClient) -> usize {
    let holders = client.stats().holders;
    let waits = |one: &&Holder| one.to_string().contains("access token");
    holders.iter().filter(waits).count()
}

#[test]
fn one_call_serves_all_connections_that_wait_and_those_that_follow() {
    bounded(|| {
        let server = server();
        let provider = Provider::new("one");
        let client = builder(&server, provider.credentials()).connect().unwrap();
        assert_eq!(provider.calls(), 1);
        // The token is replaced: nine connections wait for one call.
        server.store().set_token(USER.0, "two");
        provider.set("two");
        provider.hold(true);
        let all = Barrier::new(9);
        std::thread::scope(|threads| {
            for _ in 0..9 {
                threads.spawn(|| {
                    let _connection = client.create_connection().unwrap();
                    client.noop().unwrap();
                    all.wait();
                });
            }
            eventually("all wait for the token", || waiting(&client) == 9);
            provider.hold(false);
        });
        assert_eq!(provider.calls(), 2);
        // Those who came when one had been refused already did not try the old token.
        let counters = server.counters();
        assert_eq!(counters.logins, 10);
        assert!((1..=9).contains(&counters.failed_logins));
        let threads = provider.0.threads.lock().unwrap().clone();
        assert_eq!(threads, ["mailpool-token"; 2]);
    });
}

#[test]
fn a_token_that_is_refused_twice_is_an_error_and_the_next_call_asks_anew() {
    let server = server();
    let provider = Provider::new("wrong");
    let connect = || builder(&server, provider.credentials()).connect();
    let error = connect().unwrap_err();
    assert!(error.is_authentication(), "{error:?}");
    assert!(error.to_string().contains("401"), "{error}");
    assert!(!format!("{error:?}").contains("wrong\""));
    assert_eq!((provider.calls(), server.counters().failed_logins), (2, 2));
    // One that does not change is tried once.
    let error = builder(&server, Credentials::token(USER.0, "wrong"))
        .connect()
        .unwrap_err();
    assert!(error.is_authentication(), "{error:?}");
    assert_eq!(server.counters().failed_logins, 3);
}

#[test]
fn a_refused_token_is_not_used_for_the_next_connection() {
    bounded(|| {
        let server = server();
        let provider = Provider::new("one");
        let client = builder(&server, provider.credentials()).connect().unwrap();
        server.store().set_token(USER.0, "two");
        std::thread::scope(|threads| {
            threads.spawn(|| {
                // Refused with the token that there was, and with the one that came for it.
                let error = client.create_connection().unwrap_err();
                assert!(error.is_authentication(), "{error:?}");
                assert_eq!(server.counters().failed_logins, 2);
                provider.set("two");
                let _connection = client.create_connection().unwrap();
                assert_eq!(server.counters().failed_logins, 2);
                assert_eq!(provider.calls(), 3);
            });
        });
    });
}

#[test]
fn a_lost_main_connection_comes_back_with_a_fresh_token() {
    let server = server();
    let provider = Provider::new("one");
    let client = builder(&server, provider.credentials()).connect().unwrap();
    server.store().set_token(USER.0, "two");
    provider.set("two");
    server.reset_all();
    client.noop().unwrap();
    assert_eq!(provider.calls(), 2);
    assert_eq!(server.counters().failed_logins, 1);
}

/// A failure to get a token is no reason to give a lost connection up.
#[test]
fn a_lost_main_connection_tries_again_when_no_token_was_to_be_had() {
    let server = server();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let credentials = Credentials::token_provider(USER.0, move || {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Token::new("one").expires_in(Duration::ZERO)),
            1 => Err("not now"),
            _ => Ok(Token::new("one")),
        }
    });
    let client = builder(&server, credentials)
        .reconnect(mailpool::Backoff::new())
        .connect()
        .unwrap();
    server.reset_all();
    client.noop().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_provider_that_takes_long_is_waited_for_within_the_deadline_and_can_be_cancelled() {
    let server = server();
    let provider = Provider::new("one");
    provider.hold(true);
    // On a busy machine it takes a while to get as far as that.
    let mut timeout = Duration::from_millis(300);
    loop {
        let error = builder(&server, provider.credentials())
            .timeout(timeout)
            .connect()
            .unwrap_err();
        assert!(error.is_safe_to_retry(), "{error:?}");
        match error.kind() {
            ErrorKind::Timeout {
                phase: Phase::Token,
            } => break,
            ErrorKind::Timeout { .. } if timeout < LONG => timeout *= 2,
            other => panic!("{other:?}"),
        }
    }
    let before = provider.calls();
    let cancel = CancelToken::new();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            builder(&server, provider.credentials())
                .cancel(&cancel)
                .connect()
        });
        eventually("the provider is called", || provider.calls() > before);
        cancel.cancel();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
    });
    // Nobody is left behind but the calls themselves.
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
    assert_eq!(server.counters().logins, 0);
    provider.hold(false);
}

#[test]
fn what_a_provider_does_wrong_is_told_to_all_who_wait() {
    bounded(|| {
        let server = server();
        let calls = Arc::new(AtomicU64::new(0));
        let go = Provider::default();
        let (counted, gate) = (Arc::clone(&calls), go.clone());
        let credentials = Credentials::token_provider(USER.0, move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            if number > 0 {
                gate.call();
            }
            match number {
                0 => Ok(Token::new("one").expires_in(Duration::ZERO)),
                1 => Err("the identity provider is away"),
                _ => panic!("on purpose"),
            }
        });
        let client = builder(&server, credentials).connect().unwrap();
        for round in [1, 2] {
            go.hold(true);
            std::thread::scope(|threads| {
                let callers: Vec<_> = (0..3)
                    .map(|_| threads.spawn(|| client.create_connection().map(drop).unwrap_err()))
                    .collect();
                // They have their connections and wait for the token.
                eventually("all wait for the token", || waiting(&client) == 3);
                go.hold(false);
                for error in callers {
                    let error = error.join().unwrap();
                    match (round, error.kind()) {
                        (1, ErrorKind::Token(TokenError::Provider(why))) => {
                            assert_eq!(why.to_string(), "the identity provider is away");
                        }
                        (2, ErrorKind::Token(TokenError::Panicked { message })) => {
                            assert_eq!(message, "on purpose");
                        }
                        (_, other) => panic!("{other:?}"),
                    }
                    assert!(std::error::Error::source(&error).is_some() == (round == 1));
                }
            });
            assert_eq!(calls.load(Ordering::SeqCst), round + 1);
            eventually("the permits are free", || client.stats().holders.len() == 1);
        }
        // The main connection has not noticed anything.
        client.noop().unwrap();
    });
}
