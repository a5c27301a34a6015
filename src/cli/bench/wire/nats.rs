//! The text protocol of NATS: `PUB`, `SUB`, `MSG`, and its pings.
//!
//! Just what publishing and subscribing take: no headers, no `JetStream`.

use super::{Frame, Part, Template, Wire, known, line};

/// A subject, and what its messages begin with.
#[derive(Debug)]
pub(in crate::cli::bench) struct Nats {
    subject: String,
    payload: usize,
    message: Vec<u8>,
}

const END: &[u8] = b"\r\n";

impl Wire for Nats {
    fn new(room: &str, payload: usize) -> Self {
        let message = format!("MSG {room} 1 {payload}\r\n").into_bytes();
        Self { subject: room.to_owned(), payload, message }
    }

    fn greet(&self, part: Part, _: usize, out: &mut Vec<u8>) -> u32 {
        // Not verbose, so that messages are not answered; not pedantic, so that subjects are not checked.
        out.extend_from_slice(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\"}\r\n",
        );
        if part.subscribes() {
            out.extend_from_slice(format!("SUB {} 1\r\n", self.subject).as_bytes());
        }
        out.extend_from_slice(b"PING\r\n");
        1
    }

    fn template(&self) -> Template {
        Template::new(format!("PUB {} {}\r\n", self.subject, self.payload).as_bytes(), self.payload, END)
    }

    #[inline]
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        if let Some(found) = known(input, &self.message, self.payload, END) {
            return Some(found);
        }
        // A message that is not whole yet begins with a line that is.
        if input.starts_with(b"MSG ") {
            return None;
        }
        let line = line(input)?;
        let frame = match line {
            b"PONG\r\n" => Frame::Ready,
            b"PING\r\n" => Frame::Answer(b"PONG\r\n"),
            line if line.starts_with(b"-ERR") => Frame::Refusal(line.trim_ascii_end()),
            _ => Frame::Other,
        };
        Some((frame, line.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frames, said};
    use super::*;

    #[test]
    fn it_subscribes_and_publishes() {
        let wire = Nats::new("bench.0", 16);
        let (greeting, message) = said(&wire, Part::Both);
        assert!(
            greeting.starts_with("CONNECT {") && greeting.ends_with(r"}\r\nSUB bench.0 1\r\nPING\r\n"),
            "{greeting}"
        );
        assert_eq!(message, r"PUB bench.0 16\r\naaaabaaaaaaaaaac\r\n");
        assert!(!said(&wire, Part::Publishes).0.contains("SUB"));
    }

    #[test]
    fn it_reads_messages_and_answers_pings() {
        let stream = b"INFO {\"a\":1}\r\nPONG\r\nMSG bench.0 1 16\r\nabcdefghijklmnop\r\nPING\r\n-ERR 'Slow'\r\n";
        let expected = ["other", "ready", "message abcdefghijklmnop", r"answer PONG\r\n", r"refusal -ERR \'Slow\'"];
        assert_eq!(frames(&Nats::new("bench.0", 16), stream), expected);
    }
}
