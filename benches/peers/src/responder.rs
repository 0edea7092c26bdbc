//! The least an IMAP server can be: it answers every line at once, from the thread that read
//! it. What is measured against it is the client.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n";
const SELECTED: &[u8] = b"* FLAGS (\\Seen)\r\n* 1000000 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n\
    * OK [UIDNEXT 9000000] ok\r\n";

/// Serves every connection until the process ends, with `search` as the untagged answer to
/// SEARCH. Returns the port.
pub(crate) fn start(search: Vec<u8>) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let search = Arc::new(search);
    thread::Builder::new()
        .name("responder".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let search = Arc::clone(&search);
                thread::spawn(move || serve(stream, &search));
            }
        })?;
    Ok(port)
}

fn serve(mut stream: TcpStream, search: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(GREETING)?;
    let mut input = vec![0; 64 * 1024];
    let mut filled = 0;
    let mut output = Vec::new();
    loop {
        let count = stream.read(&mut input[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut begin = 0;
        while let Some(length) = input[begin..filled].iter().position(|byte| *byte == b'\n') {
            answer(&input[begin..begin + length], search, &mut output);
            begin += length + 1;
        }
        input.copy_within(begin..filled, 0);
        filled -= begin;
        stream.write_all(&output)?;
        output.clear();
    }
}

fn answer(line: &[u8], search: &[u8], output: &mut Vec<u8>) {
    let mut words = line.split(|byte| *byte == b' ');
    let tag = words.next().unwrap_or_default();
    let mut text = &b"OK done\r\n"[..];
    match words.next().unwrap_or_default().trim_ascii() {
        b"AUTHENTICATE" | b"LOGIN" => text = b"OK [CAPABILITY IMAP4rev1 UIDPLUS] in\r\n",
        b"CAPABILITY" => output.extend_from_slice(b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n"),
        b"SELECT" | b"EXAMINE" => output.extend_from_slice(SELECTED),
        b"LOGOUT" => output.extend_from_slice(b"* BYE\r\n"),
        b"UID" => output.extend_from_slice(search),
        _ => {}
    }
    output.extend_from_slice(tag);
    output.push(b' ');
    output.extend_from_slice(text);
}
