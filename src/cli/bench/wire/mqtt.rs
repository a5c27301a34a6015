//! MQTT 3.1.1 at quality of service 0: `CONNECT`, `SUBSCRIBE`, `PUBLISH`.
//!
//! Just what publishing and subscribing take: no sessions, no retained messages, no other quality of service.

use super::{Frame, Part, Template, Wire, known};

/// A topic, and what its messages begin with, which is the same both ways.
#[derive(Debug)]
pub(in crate::cli::bench) struct Mqtt {
    topic: String,
    payload: usize,
    message: Vec<u8>,
}

/// Types of packets, with the flags that they bear here.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

impl Wire for Mqtt {
    fn new(room: &str, payload: usize) -> Self {
        let mut message = vec![PUBLISH];
        length(2 + room.len() + payload, &mut message);
        string(room, &mut message);
        Self { topic: room.to_owned(), payload, message }
    }

    fn greet(&self, part: Part, client: usize, out: &mut Vec<u8>) -> u32 {
        let mut body = Vec::new();
        string("MQTT", &mut body);
        // Version 4 is 3.1.1; a clean session; no keep-alive.
        body.extend_from_slice(&[4, 2, 0, 0]);
        string(&format!("bench{client}"), &mut body);
        packet(CONNECT, &body, out);
        if !part.subscribes() {
            return 1;
        }
        let mut body = vec![0, 1];
        string(&self.topic, &mut body);
        body.push(0);
        packet(SUBSCRIBE, &body, out);
        2
    }

    fn template(&self) -> Template {
        Template::new(&self.message, self.payload, b"")
    }

    #[inline]
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        if let Some(found) = known(input, &self.message, self.payload, b"") {
            return Some(found);
        }
        let (head, body) = body(input)?;
        let frame = match (input[0], body) {
            // Last is whether it was accepted.
            (CONNACK, [_, 0]) | (SUBACK, [_, _, 0..=2]) => Frame::Ready,
            (CONNACK, _) => Frame::Refusal(b"CONNECT refused"),
            (SUBACK, _) => Frame::Refusal(b"SUBSCRIBE refused"),
            _ => Frame::Other,
        };
        Some((frame, head + body.len()))
    }
}

/// Bytes before the body of a packet, and the body.
fn body(input: &[u8]) -> Option<(usize, &[u8])> {
    let mut len = 0;
    for (at, byte) in input.iter().enumerate().skip(1).take(4) {
        len |= usize::from(byte & 127) << (7 * (at - 1));
        if byte & 128 == 0 {
            return input.get(at + 1..at + 1 + len).map(|body| (at + 1, body));
        }
    }
    None
}

fn packet(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    length(body.len(), out);
    out.extend_from_slice(body);
}

/// Seven bits a byte, the lowest first.
fn length(mut len: usize, out: &mut Vec<u8>) {
    while len > 127 {
        out.push((len & 127) as u8 | 128);
        len >>= 7;
    }
    out.push(len as u8);
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frames, said};
    use super::*;

    #[test]
    fn it_subscribes_and_publishes() {
        let wire = Mqtt::new("bench.0", 16);
        let connect = r"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06bench5";
        let (greeting, message) = said(&wire, Part::Publishes);
        assert_eq!(greeting, connect);
        assert_eq!(message, r"0\x19\x00\x07bench.0aaaabaaaaaaaaaac");
        assert_eq!(said(&wire, Part::Subscribes).0, format!(r"{connect}\x82\x0c\x00\x01\x00\x07bench.0\x00"));
    }

    #[test]
    fn it_reads_messages_of_every_length() {
        for payload in [16, 118, 119, 16_375, 20_000] {
            let wire = Mqtt::new("bench.0", payload);
            let mut stream = Vec::new();
            wire.template().append(0, 0, &mut stream);
            let (frame, len) = wire.frame(&stream).expect("a whole frame");
            assert!(matches!(frame, Frame::Message(found) if found.len() == payload), "{payload}");
            assert_eq!(len, stream.len());
            assert_eq!(wire.frame(&stream[..len - 1]), None);
        }
    }

    #[test]
    fn refusals_are_told() {
        let table: [(&[u8], &str); 5] = [
            (b"\x20\x02\x00\x00", "ready"),
            (b"\x20\x02\x00\x05", "refusal CONNECT refused"),
            (b"\x90\x03\x00\x01\x00", "ready"),
            (b"\x90\x03\x00\x01\x80", "refusal SUBSCRIBE refused"),
            (b"\xd0\x00", "other"),
        ];
        for (packet, expected) in table {
            assert_eq!(frames(&Mqtt::new("r", 16), packet), [expected]);
        }
    }
}
