//! The `message` event, encoded once for everyone who gets it.
//!
//! What does not change from message to message is worked out beforehand: the head once for each room, the sender's
//! part once for each sender. The rest is a few copies and two numbers. The lines go into a [`Draft`], with the facts
//! that let other parts of the server use them without parsing.

use std::sync::Arc;

use super::write;
use crate::model::{Draft, Line, Place, Sender};

/// What stands before a redacted message's end: its body, and that it is gone.
const REDACTED: &[u8] = br#","body":null,"redacted":true}"#;

/// The head of each message of a place, up to its number.
#[derive(Debug)]
pub struct MessageHead(Box<[u8]>);

/// The part of a message that says who sent it, and the sender.
#[derive(Debug)]
pub struct SenderPart {
    sender: Arc<Sender>,
    json: Box<[u8]>,
}

impl SenderPart {
    /// The part for a sender.
    pub fn new(sender: Arc<Sender>) -> Self {
        let mut json = Vec::new();
        write::text_field(&mut json, r#","from":"#, sender.nick.shown());
        if let Some(account) = &sender.account {
            write::text_field(&mut json, r#","account":"#, account);
        }
        json.extend_from_slice(br#","ts":"#);
        Self { sender, json: json.into() }
    }

    /// Who it is for.
    pub const fn sender(&self) -> &Arc<Sender> {
        &self.sender
    }
}

impl MessageHead {
    /// The head for a place.
    pub fn new(place: &Place) -> Self {
        let mut json = br#"{"ev":"message""#.to_vec();
        write::place(&mut json, place);
        json.extend_from_slice(br#","seq":"#);
        Self(json.into())
    }

    /// Appends a message with the draft's next number; `headers` and `body` are JSON that was checked.
    pub fn message(&self, draft: &mut Draft, from: &SenderPart, ts: u64, headers: Option<&[u8]>, body: &[u8]) {
        /// Two numbers and the fixed words.
        const REST: usize = 64;
        let headers_len = headers.map_or(0, <[u8]>::len);
        draft.bytes.reserve(self.0.len() + from.json.len() + headers_len + body.len() + REST);
        self.begin(draft, from, ts);
        let bytes = &mut draft.bytes;
        if let Some(headers) = headers {
            bytes.extend_from_slice(br#","headers":"#);
            bytes.extend_from_slice(headers);
        }
        bytes.extend_from_slice(br#","body":"#);
        let at = bytes.len();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"}\n");
        // Invariant: the decoder lets no headers of more than 1 KiB through.
        let headers_len = u16::try_from(headers_len).unwrap_or(0);
        end(draft, from, Line { body: at as u32, body_len: body.len() as u32, headers_len, ts, ..BLANK });
    }

    /// Appends a redacted message with the draft's next number.
    pub fn redacted(&self, draft: &mut Draft, from: &SenderPart, ts: u64) {
        self.begin(draft, from, ts);
        let body = draft.bytes.len() + br#","body":"#.len();
        draft.bytes.extend_from_slice(REDACTED);
        draft.bytes.push(b'\n');
        end(draft, from, Line { body: body as u32, body_len: 4, ts, redacted: true, ..BLANK });
    }

    #[inline]
    fn begin(&self, draft: &mut Draft, from: &SenderPart, ts: u64) {
        let seq = draft.first().0 + draft.len() as u64;
        draft.bytes.extend_from_slice(&self.0);
        write::number(&mut draft.bytes, seq);
        draft.bytes.extend_from_slice(&from.json);
        draft.bytes.extend_from_slice(draft.stamp.digits(ts));
    }
}

/// Facts that are the same for most lines; the end and the sender come last.
const BLANK: Line = Line { end: 0, body: 0, body_len: 0, headers_len: 0, sender: 0, ts: 0, redacted: false };

#[inline]
fn end(draft: &mut Draft, from: &SenderPart, line: Line) {
    let sender = draft.sender(&from.sender);
    let end = draft.bytes.len() as u32;
    draft.ended(Line { end, sender, ..line });
}
