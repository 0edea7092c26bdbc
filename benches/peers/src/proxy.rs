//! A delay line between client and server: what goes in comes out the same time later,
//! however much of it is under way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

type Line = (Instant, Vec<u8>);

/// Passes connections on to `server`, with `delay` each way, until the process ends. Returns
/// the port. Opening the connection takes one delay too, as the first packet would.
pub(crate) fn start(server: SocketAddr, delay: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::Builder::new()
        .name("proxy".to_owned())
        .spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = relay(client, server, delay) {
                    eprintln!("proxy: {error}");
                }
            }
        })?;
    Ok(port)
}

fn relay(client: TcpStream, server: SocketAddr, delay: Duration) -> io::Result<()> {
    let opened = Instant::now() + delay;
    client.set_nodelay(true)?;
    let (sender, receiver) = channel();
    let from = client.try_clone()?;
    thread::spawn(move || take_in(from, &sender, delay));
    thread::spawn(move || {
        thread::sleep(opened.saturating_duration_since(Instant::now()));
        let Ok(to) = TcpStream::connect(server) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        let _ = to.set_nodelay(true);
        if let Ok(from) = to.try_clone() {
            let (sender, receiver) = channel();
            thread::spawn(move || take_in(from, &sender, delay));
            thread::spawn(move || give_out(client, &receiver));
        }
        give_out(to, &receiver);
    });
    Ok(())
}

fn take_in(mut from: TcpStream, line: &Sender<Line>, delay: Duration) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0
            || line
                .send((Instant::now() + delay, buffer[..count].to_vec()))
                .is_err()
        {
            break;
        }
    }
}

fn give_out(mut to: TcpStream, line: &Receiver<Line>) {
    for (due, bytes) in line {
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
