//! Typed bytes to lines: what a terminal driver does, for terminals that leave it to the server.
//!
//! Sits behind the telnet filter and holds the half-typed line, so that backspace can take from it and Ctrl-R can show
//! it. A line ends with LF, CR LF, CR NUL or a lone CR. Knows nothing of what lines mean.

use super::telnet::{Signal, Telnet};

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_R: u8 = 0x12;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7F;
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// What typing came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A line that is longer than lines may be; the rest of it is thrown away unseen.
    TooLong,
    /// The half-typed line is to be shown again.
    ShowAgain,
    /// How does one leave?
    Interrupt,
    /// The input is at its end; an unfinished line may be held.
    End,
    /// Is anybody there?
    AreYouThere,
    /// To be sent back.
    Answer([u8; 3]),
}

/// Where in its line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind what is held.
    Held,
    /// Behind a CR that has just ended a line: a LF or NUL there belongs to it.
    AfterCr,
    /// In the rest of a line that was too long, which is thrown away.
    Skipped,
}

/// The half-typed line of one connection.
#[derive(Debug)]
pub(super) struct LineReader {
    telnet: Telnet,
    held: Vec<u8>,
    /// Bytes of a line with its end.
    max_line: usize,
    at: At,
    /// Whether keys edit; where every line is data they do not.
    pub keys: bool,
    /// Whether the client ends its lines with CR or speaks telnet.
    pub crlf: bool,
}

impl LineReader {
    pub(super) fn new(max_line: usize) -> Self {
        let (held, telnet) = (Vec::new(), Telnet::default());
        Self { telnet, held, max_line, at: At::Held, keys: true, crlf: false }
    }

    /// Takes one byte.
    pub(super) fn take(&mut self, byte: u8) -> Option<Step> {
        let signal = self.telnet.take(byte);
        self.crlf |= self.telnet.is_seen();
        match signal? {
            Signal::Byte(byte) => self.typed(byte),
            Signal::Answer(answer) => Some(Step::Answer(answer)),
            Signal::Interrupt => Some(self.interrupted()),
            Signal::EndOfFile => Some(Step::End),
            Signal::EraseCharacter => self.erase_character(),
            Signal::EraseLine => self.erase_line(),
            Signal::AreYouThere => Some(Step::AreYouThere),
        }
    }

    fn typed(&mut self, byte: u8) -> Option<Step> {
        if self.at == At::AfterCr {
            self.at = At::Held;
            if matches!(byte, b'\n' | 0) {
                return None;
            }
        }
        match byte {
            b'\n' => self.ended(1),
            b'\r' => {
                let step = self.ended(2);
                (self.at, self.crlf) = (At::AfterCr, true);
                step
            }
            0 => None,
            CTRL_C if self.keys => Some(self.interrupted()),
            CTRL_D if self.keys => (self.held.is_empty() && self.at == At::Held).then_some(Step::End),
            CTRL_R if self.keys => Some(Step::ShowAgain),
            CTRL_U if self.keys => self.erase_line(),
            BACKSPACE | DELETE if self.keys => self.erase_character(),
            byte => self.pushed(byte),
        }
    }

    fn pushed(&mut self, byte: u8) -> Option<Step> {
        if self.at == At::Skipped {
            return None;
        }
        if self.held.len() + 1 == self.max_line {
            (self.held, self.at) = (Vec::new(), At::Skipped);
            return Some(Step::TooLong);
        }
        self.held.push(byte);
        None
    }

    fn ended(&mut self, end_bytes: usize) -> Option<Step> {
        if std::mem::replace(&mut self.at, At::Held) == At::Skipped {
            return None;
        }
        let line = std::mem::take(&mut self.held);
        Some(if line.len() + end_bytes > self.max_line { Step::TooLong } else { Step::Line(line) })
    }

    fn interrupted(&mut self) -> Step {
        self.erase_line();
        Step::Interrupt
    }

    fn erase_character(&mut self) -> Option<Step> {
        while self.held.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
        None
    }

    fn erase_line(&mut self) -> Option<Step> {
        self.held.clear();
        None
    }

    /// Consumes the LF or NUL that belongs to a CR already taken, if it is there.
    pub(super) fn take_line_end(&mut self, next: u8) -> bool {
        if self.at != At::AfterCr || !self.telnet.is_idle() {
            return false;
        }
        self.at = At::Held;
        matches!(next, b'\n' | 0)
    }

    /// The line in `raw`, which ends in LF, where taking it byte by byte would come to the very same.
    pub(super) fn plain_line<'a>(&mut self, raw: &'a [u8]) -> Option<Result<&'a [u8], Step>> {
        if !self.is_at_start() || self.at == At::AfterCr {
            return None;
        }
        let line = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_special = |byte: &u8| match *byte {
            0xFF | 0 | b'\r' => true,
            CTRL_C | CTRL_D | BACKSPACE | CTRL_R | CTRL_U | DELETE => self.keys,
            _ => false,
        };
        if line.iter().any(is_special) {
            return None;
        }
        self.crlf |= raw.len() == line.len() + 2;
        Some(if raw.len() > self.max_line { Err(Step::TooLong) } else { Ok(line) })
    }

    /// Whether nothing is held and no telnet command half read.
    pub(super) fn is_at_start(&self) -> bool {
        self.held.is_empty() && self.at != At::Skipped && self.telnet.is_idle()
    }

    /// Whether nothing but white space or a byte order mark stands before the next byte in its line.
    pub(super) fn is_blank(&self) -> bool {
        let held = self.held.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.held);
        self.telnet.is_idle() && self.at != At::Skipped && held.iter().all(u8::is_ascii_whitespace)
    }

    /// Whether the client has shown that it speaks telnet.
    pub(super) const fn is_telnet(&self) -> bool {
        self.telnet.is_seen()
    }

    /// The half-typed line.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes the half-typed line out, where there is one.
    pub(super) fn take_held(&mut self) -> Option<Vec<u8>> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(bytes: &[u8]) -> Vec<Step> {
        let mut reader = LineReader::new(16);
        bytes.iter().filter_map(|byte| reader.take(*byte)).collect()
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let text = |step| match step {
            Step::Line(line) => String::from_utf8_lossy(&line).into_owned(),
            other => format!("{other:?}"),
        };
        steps(bytes).into_iter().map(text).collect()
    }

    #[test]
    fn a_line_ends_the_way_each_client_ends_it() {
        assert_eq!(lines(b"a\nb\n"), ["a", "b"]);
        assert_eq!(lines(b"a\r\nb\r\n"), ["a", "b"]);
        assert_eq!(lines(b"a\r\0b\r\0"), ["a", "b"]);
        assert_eq!(lines(b"a\rb\r"), ["a", "b"]);
        assert_eq!(lines(b"a\r\r\n\nb\n"), ["a", "", "", "b"]);
        assert_eq!(lines(b"a\0b\n"), ["ab"]);
    }

    #[test]
    fn keys_edit_the_line() {
        assert_eq!(lines(b"ax\x08b\n"), ["ab"]);
        assert_eq!(lines("aé\u{7f}€\u{7f}👋\u{7f}b\n".as_bytes()), ["ab"]);
        assert_eq!(lines(b"\x08\x7fa\n"), ["a"]);
        assert_eq!(lines(b"abc\x15d\n"), ["d"]);
        assert_eq!(lines(b"ab\x12c\n"), ["ShowAgain", "abc"]);
        assert_eq!(lines(b"ab\x03c\n"), ["Interrupt", "c"]);
        assert_eq!(lines(b"ab\x04c\n\x04"), ["abc", "End"]);
        assert_eq!(lines(b"ab\xff\xf7c\xff\xf8d\n"), ["d"]);
    }

    #[test]
    fn where_every_line_is_data_keys_are_text() {
        let mut reader = LineReader::new(64);
        reader.keys = false;
        let steps: Vec<_> = b"a\x08\x7f\x12\x04\x15\x03b\n".iter().filter_map(|byte| reader.take(*byte)).collect();
        assert_eq!(steps, [Step::Line(b"a\x08\x7f\x12\x04\x15\x03b".to_vec())]);
    }

    #[test]
    fn a_line_may_be_as_long_as_lines_may_be_and_no_longer() {
        assert_eq!(lines(b"123456789012345\n"), ["123456789012345"]);
        assert_eq!(lines(b"12345678901234\r\n"), ["12345678901234"]);
        assert_eq!(lines(b"123456789012345\r\na\n"), ["TooLong", "a"]);
        assert_eq!(lines(b"1234567890123456\na\n"), ["TooLong", "a"]);
        assert_eq!(lines(b"1234567890123456789\x04\x08 more of it\na\n"), ["TooLong", "a"]);
    }

    #[test]
    fn the_short_way_gives_what_the_long_way_gives() {
        let table: &[&[u8]] = &[
            b"\n",
            b"\r\n",
            b"hello\n",
            b"hello\r\n",
            b"12345678901234\r\n",
            b"123456789012345\n",
            b"123456789012345\r\n",
            b"1234567890123456\n",
            b"a\rb\n",
            b"a\0\n",
            b"a\xff\xf4\n",
            b"a\x08\n",
            b"\x04\n",
            b"\xc3\xa9\n",
        ];
        for raw in table {
            let mut reader = LineReader::new(16);
            match reader.plain_line(raw) {
                Some(Ok(line)) => assert_eq!(steps(raw), [Step::Line(line.to_vec())]),
                Some(Err(step)) => assert_eq!(steps(raw), [step]),
                None => {}
            }
        }
    }
}
