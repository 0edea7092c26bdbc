//! Background tasks that borrow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mailpool::{Certainty, ErrorKind, Query};

use crate::support::{client_with, server_with};
use crate::threads::{bounded, until_open, until_received};

#[test]
fn tasks_of_a_scope_borrow_and_are_waited_for() {
    bounded(|| {
        let server = server_with(5);
        for quota in [1, 2, 4] {
            let client = client_with(&server, quota);
            let found = AtomicUsize::new(0);
            let names = ["INBOX".to_owned(), "INBOX".to_owned()];
            let sum = client
                .scope(|scope| {
                    for name in names.iter().cycle().take(20) {
                        let found = &found;
                        scope
                            .spawn(move |client| {
                                let uids = client.mailbox(name.as_str()).search(Query::all())?;
                                found.fetch_add(uids.len() as usize, Ordering::SeqCst);
                                Ok(())
                            })
                            .detach();
                    }
                    let last = scope.spawn(|_| Ok(7));
                    last.join().unwrap()
                })
                .unwrap();
            assert_eq!((sum, found.load(Ordering::SeqCst)), (7, 100));
            assert!(client.stats().open <= quota);
            drop(client);
            until_open(&server, 0);
        }
        assert!(server.counters().peak_open <= 4);
    });
}

#[test]
fn a_panic_in_a_scope_is_somebodys_error() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 3);
        let error = client
            .scope(|scope| {
                scope
                    .spawn(|_| -> mailpool::Result<()> { panic!("unseen") })
                    .detach()
            })
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TaskPanicked { .. }));
        let told = client.scope(|scope| {
            let task = scope.spawn(|_| -> mailpool::Result<()> { panic!("seen") });
            task.join().unwrap_err()
        });
        assert!(matches!(
            told.unwrap().kind(),
            ErrorKind::TaskPanicked { .. }
        ));
        client.noop().unwrap();
    });
}

#[test]
fn a_task_of_a_scope_is_cancelled_before_and_while_it_runs() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.faults().hold("NOOP");
        let ran = AtomicBool::new(false);
        client
            .scope(|scope| {
                let running = scope.spawn(|client| client.noop());
                until_received(&server, "NOOP", 1);
                let waiting = scope.spawn(|_| {
                    ran.store(true, Ordering::SeqCst);
                    Ok(())
                });
                waiting.cancel();
                assert!(waiting.join().unwrap_err().is_cancelled());
                running.cancel();
                let error = running.join().unwrap_err();
                assert!(error.is_cancelled() && error.certainty() == Certainty::MaybeExecuted);
            })
            .unwrap();
        assert!(!ran.load(Ordering::SeqCst));
        server.faults().release("NOOP");
    });
}
