//! Ordinary messages in any number.

use std::fmt::Write as _;

use crate::collector::crlf;

/// Words of the bodies; some have characters beyond ASCII.
const WORDS: [&str; 32] = [
    "the", "report", "is", "ready", "and", "we", "should", "meet", "on", "Thursday", "before",
    "noon", "because", "of", "Grüße", "naïve", "budget", "figures", "that", "came", "late",
    "please", "reply", "with", "your", "notes", "about", "schedule", "for", "next", "quarter",
    "thanks",
];

/// Sizes are spread around this many bytes (the median).
const MEDIAN: f64 = 6_000.0;

/// The spread of the sizes' logarithm: two thirds lie between MEDIAN / e and MEDIAN * e.
const SPREAD: f64 = 1.0;

/// No message without a tail is larger than this.
const LARGEST: f64 = 200_000.0;

/// One message of so many has a large attachment, if there is a tail.
const TAIL_EVERY: u64 = 200;

/// `count` ordinary messages with sizes around 6 KB, up to 200 KB, the same for the same `seed`.
///
/// Line ends are CRLF, so a server serves the same bytes. Text and text with HTML take turns
/// with attachments in base64. Half of the messages are under 6 KB; the average is about 10 KB.
pub fn plain(count: usize, seed: u64) -> Plain {
    Plain {
        number: 0,
        count,
        seed,
        tail: false,
    }
}

/// The iterator that [`plain`] returns.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plain {
    number: usize,
    count: usize,
    seed: u64,
    tail: bool,
}

impl Plain {
    /// Makes about one message in 200 large: 500 KB to 2 MB.
    pub fn with_tail(mut self) -> Self {
        self.tail = true;
        self
    }

    fn message(&self, number: usize) -> Vec<u8> {
        let mut random = Random::new(self.seed, number as u64);
        let mut size = random.size();
        if self.tail && random.below(TAIL_EVERY) == 0 {
            size = 500_000 + random.below(1_500_000) as usize;
        }
        let mut text = header(number, &mut random);
        match random.below(4) {
            0 => with_attachment(&mut text, size, &mut random),
            1 => with_html(&mut text, size, &mut random),
            _ => {
                text.push_str("Content-Type: text/plain; charset=utf-8\n");
                text.push_str("Content-Transfer-Encoding: 8bit\n\n");
                prose(&mut text, size, &mut random);
            }
        }
        crlf(text.as_bytes())
    }
}

impl Iterator for Plain {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.number == self.count {
            return None;
        }
        self.number += 1;
        Some(self.message(self.number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.number;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Plain {}

fn header(number: usize, random: &mut Random) -> String {
    let mut subject = String::new();
    for _ in 0..=random.below(5) {
        subject.push_str(random.ascii_word());
        subject.push(' ');
    }
    format!(
        "Received: from mx.example.net (mx.example.net [192.0.2.{host}])\n\
         \tby mail.example.org with ESMTPS id {id:016x};\n\
         \tMon, {day} Jan 2024 {hour:02}:{minute:02}:00 +0000\n\
         From: Sender {sender} <sender.{sender}@example.net>\n\
         To: Recipient <recipient@example.org>\n\
         Subject: {subject}{number}\n\
         Date: Mon, {day} Jan 2024 {hour:02}:{minute:02}:00 +0000\n\
         Message-ID: <{number}.{id:016x}@example.net>\n\
         MIME-Version: 1.0\n",
        host = random.below(254) + 1,
        id = random.next(),
        day = 1 + 7 * random.below(5),
        hour = random.below(24),
        minute = random.below(60),
        sender = random.below(500),
    )
}

fn with_html(text: &mut String, size: usize, random: &mut Random) {
    text.push_str("Content-Type: multipart/alternative; boundary=\"alternative\"\n\n");
    text.push_str("--alternative\nContent-Type: text/plain; charset=utf-8\n");
    text.push_str("Content-Transfer-Encoding: 8bit\n\n");
    prose(text, size / 3, random);
    text.push_str("\n--alternative\nContent-Type: text/html; charset=utf-8\n");
    text.push_str("Content-Transfer-Encoding: 8bit\n\n<html><body><p>\n");
    prose(text, size - size / 3, random);
    text.push_str("</p></body></html>\n\n--alternative--\n");
}

fn with_attachment(text: &mut String, size: usize, random: &mut Random) {
    text.push_str("Content-Type: multipart/mixed; boundary=\"mixed\"\n\n");
    text.push_str("--mixed\nContent-Type: text/plain; charset=utf-8\n");
    text.push_str("Content-Transfer-Encoding: 8bit\n\n");
    prose(text, size.min(500), random);
    let file = random.below(1_000);
    let _ = write!(
        text,
        "\n--mixed\nContent-Type: application/octet-stream; name=\"file-{file}.bin\"\n\
         Content-Disposition: attachment; filename=\"file-{file}.bin\"\n\
         Content-Transfer-Encoding: base64\n\n"
    );
    let end = text.len() + size;
    while text.len() < end {
        for _ in 0..19 {
            // 24 bits at a time make four digits.
            let bits = random.next();
            for shift in [18, 12, 6, 0] {
                text.push(base64_digit(bits >> shift));
            }
        }
        text.push('\n');
    }
    text.push_str("\n--mixed--\n");
}

fn base64_digit(bits: u64) -> char {
    let value = (bits & 63) as u8;
    char::from(match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + value - 26,
        52..=61 => b'0' + value - 52,
        62 => b'+',
        _ => b'/',
    })
}

/// Lines of words, `size` bytes and a little more.
fn prose(text: &mut String, size: usize, random: &mut Random) {
    let end = text.len() + size;
    while text.len() < end {
        let line_end = (text.len() + 60).min(end);
        while text.len() < line_end {
            text.push_str(random.word());
            text.push(' ');
        }
        text.push_str("so\n");
    }
}

/// SplitMix64: small, and good enough to make mail.
struct Random(u64);

impl Random {
    fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to `limit` - 1.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number between 0 and 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A size in bytes, log-normally spread.
    fn size(&mut self) -> usize {
        // The sum of twelve fractions is close to a normal distribution of variance 1.
        let normal = (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0;
        (MEDIAN * (SPREAD * normal).exp()).min(LARGEST) as usize
    }

    fn word(&mut self) -> &'static str {
        let index = self.below(WORDS.len() as u64) as usize;
        WORDS.get(index).copied().unwrap_or("so")
    }

    fn ascii_word(&mut self) -> &'static str {
        let word = self.word();
        if word.is_ascii() { word } else { "hello" }
    }
}
