//! RESP as Redis speaks it: `SUBSCRIBE`, and `PUBLISH` whose answers are turned off.
//!
//! A client that does both needs RESP3, where messages may come between answers; there messages begin with `>`.

use super::{Frame, Part, Template, Wire, known, line};

/// A channel, and what its messages begin with behind their first byte.
#[derive(Debug)]
pub(in crate::cli::bench) struct Redis {
    channel: String,
    payload: usize,
    message: Vec<u8>,
    subscribed: Vec<u8>,
}

const END: &[u8] = b"\r\n";

impl Wire for Redis {
    fn new(room: &str, payload: usize) -> Self {
        let words = |words: &[&str]| {
            let mut bytes = command(words);
            bytes.remove(0);
            bytes
        };
        let mut message = words(&["message", room, ""]);
        // An empty string as the last word ends in `$0`, two line ends; the payload and its length come in their place.
        message.truncate(message.len() - b"$0\r\n\r\n".len());
        message.extend_from_slice(format!("${payload}\r\n").as_bytes());
        let mut subscribed = words(&["subscribe", room, ""]);
        subscribed.truncate(subscribed.len() - b"$0\r\n\r\n".len());
        subscribed.extend_from_slice(b":1\r\n");
        Self { channel: room.to_owned(), payload, message, subscribed }
    }

    fn greet(&self, part: Part, _: usize, out: &mut Vec<u8>) -> u32 {
        match part {
            Part::Subscribes => out.extend_from_slice(&command(&["SUBSCRIBE", &self.channel])),
            Part::Publishes => {
                out.extend_from_slice(&command(&["PING"]));
                out.extend_from_slice(&command(&["CLIENT", "REPLY", "OFF"]));
            }
            Part::Both => {
                out.extend_from_slice(&command(&["HELLO", "3"]));
                out.extend_from_slice(&command(&["SUBSCRIBE", &self.channel]));
            }
        }
        1
    }

    fn template(&self) -> Template {
        let mut head = command(&["PUBLISH", &self.channel, ""]);
        head.truncate(head.len() - b"$0\r\n\r\n".len());
        head.extend_from_slice(format!("${}\r\n", self.payload).as_bytes());
        Template::new(&head, self.payload, END)
    }

    #[inline]
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        let (kind, rest) = input.split_first()?;
        let (frame, len) = match kind {
            b'*' | b'>' => self.push(rest)?,
            _ => {
                let line = line(rest)?;
                let frame = match (kind, line) {
                    (b'+', b"PONG\r\n") => Frame::Ready,
                    (b'-', _) => Frame::Refusal(line.trim_ascii_end()),
                    // Answers to PUBLISH, and the map that answers HELLO: a line for each piece of it.
                    _ => Frame::Other,
                };
                (frame, line.len())
            }
        };
        Some((frame, len + 1))
    }
}

impl Redis {
    #[inline]
    fn push<'a>(&self, rest: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        if let Some(found) = known(rest, &self.message, self.payload, END) {
            return Some(found);
        }
        if rest.starts_with(&self.subscribed) {
            return Some((Frame::Ready, self.subscribed.len()));
        }
        let is_cut = |whole: &[u8]| rest.starts_with(&whole[..whole.len().min(rest.len())]);
        if is_cut(&self.message) || is_cut(&self.subscribed) {
            return None;
        }
        // The empty list of modules in the answer to HELLO.
        line(rest).map(|line| (Frame::Other, line.len()))
    }
}

/// A command, as an array of strings.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frames, said};
    use super::*;

    #[test]
    fn it_subscribes_and_publishes() {
        let wire = Redis::new("bench.0", 16);
        let (greeting, message) = said(&wire, Part::Subscribes);
        assert_eq!(greeting, r"*2\r\n$9\r\nSUBSCRIBE\r\n$7\r\nbench.0\r\n");
        assert_eq!(message, r"*3\r\n$7\r\nPUBLISH\r\n$7\r\nbench.0\r\n$16\r\naaaabaaaaaaaaaac\r\n");
        let publishes = r"*1\r\n$4\r\nPING\r\n*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";
        assert_eq!(said(&wire, Part::Publishes).0, publishes);
        assert!(said(&wire, Part::Both).0.starts_with(r"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"));
    }

    #[test]
    fn it_reads_both_versions() {
        let wire = Redis::new("bench.0", 16);
        for kind in ["*", ">"] {
            let stream = format!(
                "{kind}3\r\n$9\r\nsubscribe\r\n$7\r\nbench.0\r\n:1\r\n\
                 {kind}3\r\n$7\r\nmessage\r\n$7\r\nbench.0\r\n$16\r\nabcdefghijklmnop\r\n"
            );
            assert_eq!(frames(&wire, stream.as_bytes()), ["ready", "message abcdefghijklmnop"]);
        }
        let others = b"+PONG\r\n:4\r\n-ERR no\r\n%1\r\n$7\r\nmodules\r\n*0\r\n";
        assert_eq!(frames(&wire, others), ["ready", "other", "refusal ERR no", "other", "other", "other", "other"]);
    }
}
