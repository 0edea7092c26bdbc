//! Plays a script on one connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::{Board, Mismatch, Progress, Script, Step};
use crate::connection::{Connection, Order, Wake, aborted};
use crate::faults::Action;
use crate::stream::{Filled, Stream};

/// Expected input beyond this length is a mismatch.
const MAX_LINE: usize = 16 << 20;

/// How a step went wrong.
enum Trouble {
    Received(String),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) fn serve(connection: &Arc<Connection>, script: Option<&Script>, board: &Board) {
    let id = connection.id;
    board.set(id, Progress::Running(0, "the handshake".to_owned()));
    let Ok(stream) = Stream::new(Arc::clone(connection)) else {
        connection.session_over();
        let mismatch = Mismatch {
            connection: id,
            step: 0,
            expected: "a connection".to_owned(),
            received: "the end".to_owned(),
        };
        board.set(id, Progress::Failed(mismatch));
        return;
    };
    let mut player = Player {
        stream,
        tags: BTreeMap::new(),
    };
    let progress = match script {
        None => Progress::Done,
        Some(script) => player.play(script, id, board),
    };
    player.stream.close();
    board.set(id, progress);
}

struct Player {
    stream: Stream,
    tags: BTreeMap<String, Vec<u8>>,
}

impl Player {
    fn play(&mut self, script: &Script, id: usize, board: &Board) -> Progress {
        let failed = |step: usize, expected: &str, trouble: Trouble| {
            let received = match trouble {
                Trouble::Received(received) => received,
                Trouble::Io(error) => format!("the end ({error})"),
            };
            Progress::Failed(Mismatch {
                connection: id,
                step,
                expected: expected.to_owned(),
                received,
            })
        };
        if script.tls {
            if let Err(error) = self.starttls() {
                return failed(0, "a TLS handshake", error.into());
            }
        }
        for (index, step) in script.steps.iter().enumerate() {
            let words = describe(step);
            board.set(id, Progress::Running(index + 1, words.clone()));
            if *step == Step::Stall && index + 1 == script.steps.len() {
                board.set(id, Progress::Done);
            }
            if let Err(trouble) = self.step(step, script.split) {
                return failed(index + 1, &words, trouble);
            }
        }
        let rest = self.stream.input();
        if !rest.is_empty() {
            let received = Trouble::Received(show(rest));
            return failed(script.steps.len() + 1, "nothing more", received);
        }
        Progress::Done
    }

    fn step(&mut self, step: &Step, split: Option<usize>) -> Result<(), Trouble> {
        match step {
            Step::Send(bytes) => {
                let bytes = self.fill_in(bytes);
                for piece in bytes.chunks(split.unwrap_or(usize::MAX)) {
                    self.stream.send(piece)?;
                }
            }
            Step::ExpectLine(pattern) => {
                let line = self.line()?;
                if !match_line(pattern, &line, &mut self.tags) {
                    return Err(Trouble::Received(show(&line)));
                }
            }
            Step::ExpectBytes(bytes) => {
                while self.stream.input().len() < bytes.len() {
                    if !bytes.starts_with(self.stream.input()) || !self.wait()? {
                        return Err(Trouble::Received(show(self.stream.input())));
                    }
                }
                let received = self.stream.take(bytes.len());
                if received != *bytes {
                    return Err(Trouble::Received(show(&received)));
                }
            }
            Step::ExpectEnd => {
                while self.stream.input().is_empty() {
                    // A reset is an end too.
                    match self.wait() {
                        Ok(true) => {}
                        Ok(false) | Err(_) => return Ok(()),
                    }
                }
                return Err(Trouble::Received(show(self.stream.input())));
            }
            Step::StartTls => {
                if !self.stream.input().is_empty() {
                    return Err(Trouble::Received(show(self.stream.input())));
                }
                self.starttls()?;
            }
            Step::Close => self.stream.close(),
            Step::CloseWithoutNotify => {
                let _ = self.stream.act(Action::CloseWithoutNotify);
            }
            Step::Reset => {
                let _ = self.stream.act(Action::Reset);
            }
            Step::Stall => while self.wait().unwrap_or(false) {},
        }
        Ok(())
    }

    fn starttls(&mut self) -> io::Result<()> {
        let hub = Arc::clone(&self.stream.connection.hub);
        self.stream.start_tls(&hub.tls.acceptor)
    }

    fn line(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            let input = self.stream.input();
            if let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.stream.take(end + 2));
            }
            if input.len() > MAX_LINE || !self.wait()? {
                let received = show(self.stream.input());
                return Err(Trouble::Received(format!("{received} and the end")));
            }
        }
    }

    /// Waits for input; `false` is its end.
    fn wait(&mut self) -> io::Result<bool> {
        loop {
            match self.stream.fill()? {
                Filled::Some => return Ok(true),
                Filled::End => return Ok(false),
                Filled::Nothing => {}
            }
            match self.stream.connection.wait(false) {
                Wake::Input | Wake::Changed => {}
                Wake::Order(Order::Send(bytes)) => self.stream.send(&bytes)?,
                Wake::Order(Order::Bye(text)) => {
                    self.stream.send(format!("* BYE {text}\r\n").as_bytes())?;
                    return Err(aborted());
                }
                Wake::Order(Order::Close) | Wake::Stopped => return Err(aborted()),
            }
        }
    }

    fn fill_in(&self, template: &[u8]) -> Vec<u8> {
        let mut result = Vec::with_capacity(template.len());
        let mut rest = template;
        while let Some((&byte, after)) = rest.split_first() {
            match placeholder(rest) {
                Some((name, later)) if self.tags.contains_key(name) => {
                    result.extend(self.tags.get(name).into_iter().flatten());
                    rest = later;
                }
                _ => {
                    result.push(byte);
                    rest = after;
                }
            }
        }
        result
    }
}

/// A placeholder at the beginning of `text`, and what follows it.
fn placeholder(text: &[u8]) -> Option<(&str, &[u8])> {
    let inner = text.strip_prefix(b"{")?;
    let end = inner.iter().take(8).position(|&byte| byte == b'}')?;
    let name = std::str::from_utf8(inner.get(..end)?).ok()?;
    let is_tag = name.strip_prefix("tag").is_some_and(|number| {
        number.is_empty() || (number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    (is_tag || name == "any").then_some((name, inner.get(end + 1..)?))
}

fn match_line(pattern: &[u8], line: &[u8], tags: &mut BTreeMap<String, Vec<u8>>) -> bool {
    let (mut pattern, mut line) = (pattern, line);
    loop {
        if let Some((name, after)) = placeholder(pattern) {
            // It takes everything up to the literal text that follows it.
            let stop = (0..=after.len())
                .find(|&at| {
                    after
                        .get(at..)
                        .is_none_or(|rest| rest.is_empty() || placeholder(rest).is_some())
                })
                .unwrap_or(0);
            let literal = after.get(..stop).unwrap_or_default();
            let Some(end) = (0..=line.len())
                .find(|&at| line.get(at..).is_some_and(|rest| rest.starts_with(literal)))
            else {
                return false;
            };
            let (taken, rest) = line.split_at(end);
            let is_tag = name != "any";
            if is_tag && (taken.is_empty() || taken.contains(&b' ')) {
                return false;
            }
            if is_tag {
                tags.insert(name.to_owned(), taken.to_vec());
            }
            (pattern, line) = (after, rest);
            continue;
        }
        match (pattern.split_first(), line.split_first()) {
            (None, None) => return true,
            (Some((expected, after)), Some((received, rest))) if expected == received => {
                (pattern, line) = (after, rest);
            }
            _ => return false,
        }
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Send(bytes) => format!("the client to take {}", show(bytes)),
        Step::ExpectLine(bytes) | Step::ExpectBytes(bytes) => show(bytes),
        Step::ExpectEnd => "the client's end".to_owned(),
        Step::StartTls => "a TLS handshake".to_owned(),
        Step::Close | Step::CloseWithoutNotify | Step::Reset | Step::Stall => {
            format!("{step:?}")
        }
    }
}

/// Bytes for a message to people, cut if there are many.
fn show(bytes: &[u8]) -> String {
    let shown = bytes.get(..200).unwrap_or(bytes).escape_ascii();
    let more = if bytes.len() > 200 { "..." } else { "" };
    format!("\"{shown}{more}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_take_what_is_there() {
        let mut tags = BTreeMap::new();
        assert!(match_line(b"{tag} NOOP\r\n", b"A1 NOOP\r\n", &mut tags));
        assert_eq!(tags.get("tag").unwrap(), b"A1");
        assert!(match_line(
            b"{tag2} ID {any}\r\n",
            b"A2 ID (\"a\" NIL)\r\n",
            &mut tags
        ));
        assert_eq!(tags.get("tag2").unwrap(), b"A2");
        assert!(!match_line(b"{tag} NOOP\r\n", b"A1 noop\r\n", &mut tags));
        assert!(!match_line(b"{tag} NOOP\r\n", b"A1 NOOP \r\n", &mut tags));
        assert!(!match_line(b"{tag} NOOP\r\n", b"A 1 NOOP\r\n", &mut tags));
        assert!(match_line(
            b"{tag} APPEND x {5}\r\n",
            b"a APPEND x {5}\r\n",
            &mut tags
        ));
    }
}
