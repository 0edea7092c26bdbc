//! What the system is asked to watch over.

use std::fs;

use crate::support::{builder, server_with};
use crate::threads::{bounded, until};

/// The timers that run for the client's sockets to this port: `02` is that of TCP keepalive.
fn timers(port: u16) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let remote = fields.get(2)?.rsplit(':').next()?;
        let is_it = u16::from_str_radix(remote, 16) == Ok(port) && *fields.get(3)? == "01";
        let timer = fields.get(5)?.split(':').next()?;
        is_it.then(|| timer.to_owned())
    });
    rows.collect()
}

#[test]
fn the_system_asks_a_silent_server_whether_it_is_there_unless_it_is_told_not_to() {
    bounded(|| {
        if !fs::exists("/proc/net/tcp").unwrap_or(false) {
            return;
        }
        let server = server_with(1);
        let client = builder(&server).connect().unwrap();
        until("keepalive is on", || timers(server.port()) == ["02"]);
        drop(client);
        let client = builder(&server).tcp_keep_alive(None).connect().unwrap();
        until("nothing is under way", || timers(server.port()) == ["00"]);
        client.noop().unwrap();
        until("nothing is under way", || timers(server.port()) == ["00"]);
    });
}
