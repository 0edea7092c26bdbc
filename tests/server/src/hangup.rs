//! Whether the client has closed its end, asked of the system before the reading thread sees it.
//!
//! The figure of connections open at once is to be exact: a client that closes one connection and
//! opens the next never has two, however late the server's threads run.

use std::collections::BTreeSet;
use std::net::TcpStream;

/// Whether FIN or RST has come, be there unread bytes before it or not.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn has_hung_up(socket: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let end = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut fds = [PollFd::new(socket, end)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).is_ok() && fds.iter().any(|fd| fd.revents().intersects(end))
}

/// Where the system cannot say, the reading thread sees the end a little later.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn has_hung_up(_socket: &TcpStream) -> bool {
    false
}

/// The ports of clients of `server_port` on this machine that have closed their sockets.
///
/// A FIN on loopback can be on its way while the next SYN is here already, if the client's thread
/// changed processors between them; the client's own socket knows. Linux tells it in
/// `/proc/net/tcp`; elsewhere the set is empty.
pub(crate) fn closed_clients(server_port: u16) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        ports.extend(
            table
                .lines()
                .skip(1)
                .filter_map(|line| closed_client(line, server_port)),
        );
    }
    ports
}

/// The local port of a line of the table, if its socket goes to `server_port` and is closed.
fn closed_client(line: &str, server_port: u16) -> Option<u16> {
    let port = |address: &str| {
        let (_, port) = address.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = port(columns.next()?)?;
    let remote = port(columns.next()?)?;
    // FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, LAST_ACK, CLOSING: this end has said its last.
    let closed = matches!(columns.next()?, "04" | "05" | "06" | "07" | "09" | "0B");
    (remote == server_port && closed).then_some(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let line = |state| {
            format!("  12: 0100007F:C350 0100007F:03E1 {state} 00000000:00000000 00:00000000")
        };
        assert_eq!(closed_client(&line("04"), 993), Some(50_000));
        assert_eq!(closed_client(&line("01"), 993), None);
        assert_eq!(closed_client(&line("08"), 993), None);
        assert_eq!(closed_client(&line("04"), 143), None);
        assert_eq!(closed_client("rubbish", 143), None);
    }
}
