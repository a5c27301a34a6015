//! linehub's JSON-lines, plain and with every message acknowledged.
//!
//! It owns what is sent and where the counter stands in what comes back; sockets are the client's.

use std::cell::Cell;

use super::{Frame, Part, Template, Wire, line};
use crate::cli::bench::stamp::STAMP;

/// What stands behind the payload.
const TAIL: &[u8] = b"\"}\n";

/// How the answer to an acknowledged message begins, up to its stamp.
const ACCEPTED: &[u8] = br#"{"ev":"ok","id":""#;

/// Messages are sent and not answered.
#[derive(Debug)]
pub(in crate::cli::bench) struct Linehub {
    room: String,
    lines: Lines,
}

impl Linehub {
    fn head(&self) -> String {
        format!(r#"{{"op":"send","room":"{}","body":""#, self.room)
    }
}

impl Wire for Linehub {
    fn new(room: &str, payload: usize) -> Self {
        Self { room: room.to_owned(), lines: Lines::new(payload) }
    }

    fn greet(&self, part: Part, _: usize, out: &mut Vec<u8>) -> u32 {
        let greeting = if part.subscribes() {
            format!("{{\"op\":\"join\",\"room\":\"{}\",\"id\":1}}\n", self.room)
        } else {
            "{\"op\":\"ping\",\"id\":1}\n".to_owned()
        };
        out.extend_from_slice(greeting.as_bytes());
        1
    }

    fn template(&self) -> Template {
        Template::new(self.head().as_bytes(), self.lines.payload, TAIL)
    }

    #[inline]
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        self.lines.frame(input)
    }
}

/// Reads lines, most of which are messages as long as the one before.
#[derive(Debug)]
pub(super) struct Lines {
    payload: usize,
    /// Bytes of the last message's line, so that the end of the next need not be searched for.
    last: Cell<usize>,
}

impl Lines {
    pub(super) fn new(payload: usize) -> Self {
        Self { payload, last: Cell::new(0) }
    }

    /// The first line; the payload of a message is whatever stands where it must, and is checked by whoever gets it.
    #[inline]
    pub(super) fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        // Two lines are never as long as one: a line end at that place is the first.
        let likely = input.get(..self.last.get()).filter(|line| line.ends_with(TAIL));
        let line = match likely {
            Some(line) => line,
            None => line(input)?,
        };
        if !line.starts_with(br#"{"ev":"message","#) {
            let line = self::line(input)?;
            return Some((other(line), line.len()));
        }
        self.last.set(line.len());
        let end = line.len().saturating_sub(TAIL.len());
        Some((Frame::Message(&line[end.saturating_sub(self.payload)..end]), line.len()))
    }
}

#[cold]
fn other(line: &[u8]) -> Frame<'_> {
    let begins = |words: &str| line.starts_with(words.as_bytes());
    if begins(r#"{"ev":"ok","id":1,"#) || begins(r#"{"ev":"pong","id":1}"#) {
        Frame::Ready
    } else if begins(r#"{"ev":"error","#) || begins(r#"{"ev":"bye","#) {
        Frame::Refusal(line.trim_ascii_end())
    } else if begins(r#"{"ev":"lagged","#) || begins(r#"{"ev":"gap","#) {
        Frame::Notice(line.trim_ascii_end())
    } else {
        Frame::Other
    }
}

/// Each message has an `id`, its stamp, and is answered.
#[derive(Debug)]
pub(in crate::cli::bench) struct Acked(Linehub);

impl Wire for Acked {
    fn new(room: &str, payload: usize) -> Self {
        Self(Linehub::new(room, payload))
    }

    fn greet(&self, part: Part, client: usize, out: &mut Vec<u8>) -> u32 {
        self.0.greet(part, client, out)
    }

    fn template(&self) -> Template {
        let id = format!("\",\"id\":\"{}\"}}\n", "a".repeat(STAMP));
        let mut template = Template::new(self.0.head().as_bytes(), self.0.lines.payload, id.as_bytes());
        template.again = Some(template.len() - TAIL.len() - STAMP);
        template
    }

    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        let Some(rest) = input.strip_prefix(ACCEPTED) else { return self.0.frame(input) };
        let line = line(input)?;
        Some((Frame::Accepted(rest.get(..STAMP)?), line.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frames, said};
    use super::*;

    #[test]
    fn a_subscriber_joins_and_a_publisher_only_asks_whether_it_is_heard() {
        let wire = Linehub::new("bench.0", 18);
        let join = r#"{\"op\":\"join\",\"room\":\"bench.0\",\"id\":1}\n"#;
        assert_eq!(said(&wire, Part::Subscribes).0, join);
        assert_eq!(said(&wire, Part::Both).0, join);
        let (greeting, message) = said(&wire, Part::Publishes);
        assert_eq!(greeting, r#"{\"op\":\"ping\",\"id\":1}\n"#);
        assert_eq!(message, r#"{\"op\":\"send\",\"room\":\"bench.0\",\"body\":\"aaaabaaaaaaaaaacxx\"}\n"#);
    }

    #[test]
    fn lines_are_taken_for_what_they_are() {
        let table = [
            (r#"{"ev":"ok","id":1,"room":"r","seq":0,"epoch":"k3f"}"#, "ready"),
            (r#"{"ev":"pong","id":1}"#, "ready"),
            (r#"{"ev":"message","room":"r","seq":1,"from":"guest1","ts":1,"body":"abcdefghijklmnop"}"#, {
                "message abcdefghijklmnop"
            }),
            (r#"{"ev":"message","room":"r"}"#, r#"message ssage\",\"room\":\"r"#),
            (r#"{"ev":"lagged","room":"r","missed":3,"next":9}"#, {
                r#"notice {\"ev\":\"lagged\",\"room\":\"r\",\"missed\":3,\"next\":9}"#
            }),
            (r#"{"ev":"bye","reason":"shutdown"}"#, r#"refusal {\"ev\":\"bye\",\"reason\":\"shutdown\"}"#),
            (r#"{"ev":"ping"}"#, "other"),
        ];
        let wire = Linehub::new("r", 16);
        for (line, expected) in table {
            assert_eq!(frames(&wire, format!("{line}\n").as_bytes()), [expected]);
        }
    }

    #[test]
    fn an_acknowledged_message_bears_its_stamp_twice_and_is_known_by_it() {
        let wire = Acked::new("r", 16);
        let sent = r#"{\"op\":\"send\",\"room\":\"r\",\"body\":\"aaaabaaaaaaaaaac\",\"id\":\"aaaabaaaaaaaaaac\"}\n"#;
        assert_eq!(said(&wire, Part::Publishes).1, sent);
        let answer = b"{\"ev\":\"ok\",\"id\":\"aaaabaaaaaaaaaac\",\"room\":\"r\",\"seq\":3,\"ts\":1}\n";
        assert_eq!(frames(&wire, answer), ["accepted aaaabaaaaaaaaaac"]);
    }
}
