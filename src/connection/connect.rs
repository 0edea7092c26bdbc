//! From a host name to a connected socket.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

/// The addresses of `host`: at once where it is an address itself, else from the system's
/// resolver on a thread of its own, since it takes no deadline. `done` is called when the
/// answer is there; a resolver that hangs is left to finish by itself.
pub(crate) fn resolve(
    host: &str,
    port: u16,
    done: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<io::Result<Vec<SocketAddr>>>> {
    let (sender, receiver) = bounded(1);
    let bare = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let _ = sender.send(Ok(vec![SocketAddr::new(address, port)]));
        done();
        return Ok(receiver);
    }
    let host = host.to_owned();
    std::thread::Builder::new()
        .name("mailpool-dns".to_owned())
        .spawn(move || {
            let answer = (host.as_str(), port).to_socket_addrs();
            let _ = sender.send(answer.map(Iterator::collect));
            done();
        })?;
    Ok(receiver)
}

/// How often the system asks a silent peer, and how often in vain before it gives up.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Has the system ask a silent peer whether it is still there. Where it cannot, the connection is
/// as good as before.
pub(crate) fn keep_alive(stream: &TcpStream, time: Duration) {
    let keep_alive = TcpKeepalive::new()
        .with_time(time)
        .with_interval(PROBE_INTERVAL)
        .with_retries(PROBES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keep_alive) {
        log::debug!("TCP keepalive: {error}");
    }
}

/// Whether a socket that was being connected is connected now.
pub(crate) fn connected(stream: &TcpStream) -> Option<Result<(), Arc<io::Error>>> {
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Some(Err(Arc::new(error))),
    }
    match stream.peer_addr() {
        Ok(_) => Some(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
        Err(error) => Some(Err(Arc::new(error))),
    }
}
