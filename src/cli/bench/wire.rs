//! The protocols that the generator speaks: one file each, just what publishing and subscribing take.
//!
//! A wire is made for one room and one size of payload, so that what it sends is a template and what it gets is mostly
//! known beforehand: the generator must cost less than any server it measures. None of them knows sockets.

mod floor;
mod jsonl;
mod mqtt;
mod nats;
mod redis;

pub(super) use floor::Floor;
pub(super) use jsonl::{Acked, Linehub};
pub(super) use mqtt::Mqtt;
pub(super) use nats::Nats;
pub(super) use redis::Redis;

use super::check::FILLER;
use super::stamp::{self, STAMP};

/// What a client does in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It sends.
    Publishes,
    /// It receives.
    Subscribes,
    /// Both, on one connection.
    Both,
}

impl Part {
    pub(super) const fn publishes(self) -> bool {
        matches!(self, Self::Publishes | Self::Both)
    }

    pub(super) const fn subscribes(self) -> bool {
        matches!(self, Self::Subscribes | Self::Both)
    }
}

/// One protocol, for one room and one size of payload.
pub(super) trait Wire {
    /// A wire for a room.
    fn new(room: &str, payload: usize) -> Self;

    /// Appends what a client says first, and says how many [`Frame::Ready`] it brings.
    fn greet(&self, part: Part, client: usize, out: &mut Vec<u8>) -> u32;

    /// What a client sends to publish.
    fn template(&self) -> Template;

    /// The first frame of some input and its length; `None` where it is not whole yet.
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)>;
}

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A message with this payload.
    Message(&'a [u8]),
    /// The greeting, or a step of it, is done.
    Ready,
    /// A message of one's own, with this stamp, was accepted.
    Accepted(&'a [u8]),
    /// It wants this said.
    Answer(&'static [u8]),
    /// It refuses, or says goodbye, in these words.
    Refusal(&'a [u8]),
    /// News that is not about any message, such as of messages passed over.
    Notice(&'a [u8]),
    /// Nothing that counts.
    Other,
}

/// A frame to publish, in which only the stamp changes.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    stamp: usize,
    /// Where the stamp stands a second time.
    again: Option<usize>,
}

impl Template {
    /// A payload between a head and a tail.
    fn new(head: &[u8], payload: usize, tail: &[u8]) -> Self {
        let mut bytes = head.to_vec();
        bytes.resize(head.len() + payload, FILLER);
        bytes.extend_from_slice(tail);
        let mut template = Self { bytes, stamp: head.len(), again: None };
        template.stamp(0, 0);
        template
    }

    /// The bytes of one frame.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one frame.
    #[inline]
    pub(super) fn append(&mut self, publisher: u32, counter: u64, out: &mut Vec<u8>) {
        self.stamp(publisher, counter);
        out.extend_from_slice(&self.bytes);
    }

    fn stamp(&mut self, publisher: u32, counter: u64) {
        stamp::write(&mut self.bytes[self.stamp..], publisher, counter);
        if let Some(again) = self.again {
            self.bytes.copy_within(self.stamp..self.stamp + STAMP, again);
        }
    }
}

/// The first line of some input, with its ending.
#[inline]
fn line(input: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'\n', input).map(|end| &input[..=end])
}

/// A message whose head and tail are known, with its length.
#[inline]
fn known<'a>(input: &'a [u8], head: &[u8], payload: usize, tail: &[u8]) -> Option<(Frame<'a>, usize)> {
    let end = head.len() + payload;
    let whole = input.get(..end + tail.len())?;
    (whole.starts_with(head) && whole.ends_with(tail)).then(|| (Frame::Message(&whole[head.len()..end]), whole.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a wire makes of some input, whatever pieces it comes in.
    pub(super) fn frames<W: Wire>(wire: &W, input: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let whole = wire.frame(&input[at..]);
            let Some((frame, len)) = whole else { panic!("no frame in {:?}", input[at..].escape_ascii().to_string()) };
            for cut in 0..len {
                let cut = wire.frame(&input[at..at + cut]);
                assert_eq!(cut, None, "a frame of {len} bytes is whole only then");
            }
            found.push(match frame {
                Frame::Message(payload) => format!("message {}", payload.escape_ascii()),
                Frame::Ready => "ready".to_owned(),
                Frame::Accepted(stamp) => format!("accepted {}", stamp.escape_ascii()),
                Frame::Answer(words) => format!("answer {}", words.escape_ascii()),
                Frame::Refusal(words) => format!("refusal {}", words.escape_ascii()),
                Frame::Notice(words) => format!("notice {}", words.escape_ascii()),
                Frame::Other => "other".to_owned(),
            });
            at += len;
        }
        found
    }

    /// What a wire says first, and what it sends as its third message.
    pub(super) fn said<W: Wire>(wire: &W, part: Part) -> (String, String) {
        let mut greeting = Vec::new();
        wire.greet(part, 5, &mut greeting);
        let mut message = Vec::new();
        wire.template().append(1, 2, &mut message);
        (greeting.escape_ascii().to_string(), message.escape_ascii().to_string())
    }
}
