//! How fast the server is: everything is read and nothing is made of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::job::{Outcome, Result, Security, Target};

/// How much of the end of an answer is looked at: its last line is shorter.
const TAIL: usize = 4096;

pub(crate) fn fetch(target: &Target) -> Result<Outcome> {
    let stream = TcpStream::connect(("127.0.0.1", target.port))?;
    stream.set_nodelay(true)?;
    match target.security {
        Security::None => with(stream, target),
        Security::Tls => {
            let ca = native_tls::Certificate::from_pem(&std::fs::read(&target.ca)?)?;
            let connector = native_tls::TlsConnector::builder()
                .add_root_certificate(ca)
                .build()?;
            with(connector.connect("127.0.0.1", stream)?, target)
        }
        Security::StartTls => Err("not measured".into()),
    }
}

fn with(mut stream: impl Read + Write, target: &Target) -> Result<Outcome> {
    let mut buffer = vec![0; 256 * 1024];
    stream.read(&mut buffer)?;
    let login = format!("A LOGIN {} {}\r\n", target.user, target.password);
    command(&mut stream, &mut buffer, b"A ", login.as_bytes())?;
    command(&mut stream, &mut buffer, b"B ", b"B EXAMINE INBOX\r\n")?;
    let start = Instant::now();
    let all = b"C FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n";
    let bytes = command(&mut stream, &mut buffer, b"C ", all)?;
    let seconds = start.elapsed().as_secs_f64();
    if bytes < target.bytes {
        return Err(format!("{bytes} bytes have come").into());
    }
    Ok(Outcome::seconds(seconds))
}

/// Reads until the last line of what has come is the answer.
fn command(
    stream: &mut (impl Read + Write),
    buffer: &mut [u8],
    tag: &[u8],
    line: &[u8],
) -> Result<u64> {
    stream.write_all(line)?;
    let mut total = 0;
    // The end of what has come, which may lie in two reads.
    let mut end: Vec<u8> = Vec::new();
    loop {
        let count = stream.read(buffer)?;
        if count == 0 {
            return Err("the server has gone".into());
        }
        total += count as u64;
        end.extend_from_slice(&buffer[count.saturating_sub(TAIL)..count]);
        let last = end.len().saturating_sub(TAIL);
        end.drain(..last);
        let text = end.strip_suffix(b"\r\n").unwrap_or(b"");
        let start = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if text[start..].starts_with(tag) {
            return Ok(total);
        }
    }
}
