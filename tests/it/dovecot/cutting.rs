//! A relay between client and server that cuts connections off at random places.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Passes connections on, each only up to a random number of the server's bytes, until it has cut
/// as many as it was told to.
pub(crate) struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl Cutter {
    /// `most` bounds the bytes of the server that pass before a cut.
    pub(crate) fn start(server: SocketAddr, cuts: usize, most: usize, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(cuts));
        let relay_left = Arc::clone(&left);
        // Ends with the test process.
        thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            for client in listener.incoming().flatten() {
                let budget = random.usize(1..most);
                let reset = random.bool();
                relay(client, server, budget, reset, &relay_left);
            }
        });
        Self {
            address,
            cuts: left,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many cuts are still to come.
    pub(crate) fn left(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn relay(
    client: TcpStream,
    server: SocketAddr,
    budget: usize,
    reset: bool,
    left: &Arc<AtomicUsize>,
) {
    let Ok(upstream) = TcpStream::connect(server) else {
        return;
    };
    let (from_client, to_server) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::spawn(move || pump(from_client, &to_server));
    let left = Arc::clone(left);
    thread::spawn(move || {
        let (mut from, mut to) = (upstream, client);
        let mut budget = budget;
        let mut buffer = [0; 4096];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let cuts = left.load(Ordering::SeqCst) > 0 && budget < count;
            let passed = if cuts { budget } else { count };
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            if cuts {
                left.fetch_sub(1, Ordering::SeqCst);
                if reset {
                    // RST, once the other thread has closed its end, too.
                    let _ = socket2::SockRef::from(&to).set_linger(Some(std::time::Duration::ZERO));
                    let _ = to.shutdown(Shutdown::Read);
                    drop(to);
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
                break;
            }
            budget = budget.saturating_sub(count);
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

fn pump(mut from: TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
