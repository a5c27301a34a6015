//! Messages for a file: the lines that people see, whole and with their dates.
//!
//! `2026-11-20 14:05 [room] ada: hello`, in UTC; a text of several lines has the same before each. Nobody's text does to a
//! terminal what a line may not.

use bytes::BytesMut;

use super::clock::iso_date;
use super::render::{self, Look};
use crate::model::Chunk;

/// Appends the messages of a chunk.
pub fn transcript(chunk: &Chunk, out: &mut BytesMut) {
    let look = Look { offset_min: 0, crlf: false, whole: true, me: None };
    let mut shown = BytesMut::new();
    for message in chunk.messages(0..chunk.lines().len()) {
        let date = iso_date(message.ts);
        shown.clear();
        render::push(&message, look, &mut shown);
        for line in shown.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(date.as_bytes());
            out.extend_from_slice(b" ");
            out.extend_from_slice(line);
        }
    }
}
