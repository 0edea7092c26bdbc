//! A relay between client and server that cuts a connection after a number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What happens behind the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// FIN to both. Under TLS without close_notify.
    End,
    /// RST to both.
    Reset,
    /// Nothing more goes that way.
    Stall,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) side: Side,
    pub(crate) after: usize,
    pub(crate) how: How,
}

/// Passes connections on until it is dropped. The first one is cut, the others are not.
pub(crate) struct Relay {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(server: SocketAddr, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let accepting = thread::spawn(move || {
            let mut cut = Some(cut);
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                let cut = cut.take();
                let of = |side| cut.filter(|cut| cut.side == side);
                let (up, down) = (of(Side::Client), of(Side::Server));
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                // They end with the connection.
                thread::spawn(move || pump(ends.0, ends.1, up));
                thread::spawn(move || pump(server, client, down));
            }
        });
        Self {
            address,
            stopping,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, cut: Option<Cut>) {
    let mut left = cut.map_or(usize::MAX, |cut| cut.after);
    let mut buffer = [0; 4096];
    let how = loop {
        if left == 0 {
            break cut.map(|cut| cut.how);
        }
        let room = buffer.len().min(left);
        match from.read(&mut buffer[..room]) {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => left -= count,
            _ => break None,
        }
    };
    match how {
        Some(How::Stall) => while from.read(&mut buffer).is_ok_and(|count| count > 0) {},
        Some(How::Reset) => {
            for socket in [&from, &to] {
                let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
                // Lets the other thread go: RST goes out with the last handle.
                let _ = socket.shutdown(Shutdown::Read);
            }
            return;
        }
        _ => {}
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
