//! Many messages at once.

use std::time::Duration;

use super::setup::{builder, server, to};
use crate::support::never;
use crate::threads::{SHORT, bounded, until_received};

/// A connection that has nothing to do is given back, and no other one takes its place.
#[test]
fn no_connection_is_opened_for_messages_that_are_under_way_on_another() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(3)
            .idle_timeout(Duration::ZERO)
            .reconnect(never())
            .connect()
            .unwrap();
        server.faults().hold("MAIL");
        std::thread::scope(|threads| {
            let sending = threads.spawn(|| {
                let messages = (0..2).map(|number| (to(&["bob"]), format!("X: {number}\r\n\r\n")));
                client.send_all(messages).unwrap()
            });
            until_received(&server, "MAIL", 1);
            assert!(!server.wait_until(10 * SHORT, |counters| counters.accepted > 3));
            // Nor are attempts made one after the other where nobody answers.
            server.refuse_connections(true).unwrap();
            let before = client.stats().opened;
            assert!(!server.wait_until(10 * SHORT, |_| client.stats().opened > before + 3));
            server.faults().release("MAIL");
            assert!(sending.join().unwrap().is_complete());
        });
        assert_eq!(server.deliveries().len(), 2);
    });
}
