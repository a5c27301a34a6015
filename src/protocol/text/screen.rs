//! Lines of the server's own.
//!
//! Each begins with [`MARK`], which no line of a user's text can, and is escaped as a whole, so that whatever a user's
//! words it quotes can neither end it nor dress it up.

use std::fmt;

use bytes::BytesMut;

use super::escape;

/// What every line of the server begins with.
pub(super) const MARK: &str = "-- ";

/// How lines end.
pub(super) const fn line_end(crlf: bool) -> &'static str {
    if crlf { "\r\n" } else { "\n" }
}

/// Appends one line of the server's.
pub(super) fn notice(out: &mut BytesMut, crlf: bool, words: fmt::Arguments<'_>) {
    out.extend_from_slice(MARK.as_bytes());
    match words.as_str() {
        Some(text) => escape::push(text, out),
        None => escape::push(&words.to_string(), out),
    }
    out.extend_from_slice(line_end(crlf).as_bytes());
}

/// A number with commas: `61,023`.
pub(super) struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A number of things: `1 message`, `1,204 messages`.
pub(super) struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", Grouped(self.0), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// A time as people say it: `40 s`, `12 min`, `3 h`, `2 days`.
pub(super) struct Ago(pub u64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s @ 0..60 => write!(f, "{s} s"),
            s @ 60..3_600 => write!(f, "{} min", s / 60),
            s @ 3_600..172_800 => write!(f, "{} h", s / 3_600),
            s => write!(f, "{} days", s / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_in_threes() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (61_023, "61,023"), (1_234_567, "1,234,567")]
        {
            assert_eq!(Grouped(number).to_string(), expected);
        }
        assert_eq!(Count(1, "message").to_string(), "1 message");
        assert_eq!(Count(1_204, "message").to_string(), "1,204 messages");
    }

    #[test]
    fn a_line_of_the_server_stays_one_line() {
        let mut out = BytesMut::new();
        notice(&mut out, false, format_args!("{} set the topic: {}", "bob", "a\n-- you are banned\u{1b}[2J"));
        assert_eq!(&out[..], b"-- bob set the topic: a\\u000a-- you are banned\\u001b[2J\n".as_slice());
    }
}
