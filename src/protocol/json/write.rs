//! JSON as the server writes it: compact, UTF-8 as it is, escapes only where JSON asks for them.
//!
//! The smallest pieces, straight into the buffer; which fields an event has, and in which order, is known to `encode`.

use bytes::BufMut;

use super::string;
use crate::model::{Place, Tag};

/// Appends a string with its quotes.
pub(super) fn text(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    escaped(out, text);
    out.put_u8(b'"');
}

/// Appends a string's inside.
fn escaped(out: &mut impl BufMut, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut done = 0;
    loop {
        let end = string::special(bytes, done);
        out.put_slice(&bytes[done..end]);
        let Some(special) = bytes.get(end) else { return };
        match special {
            b'"' => out.put_slice(br#"\""#),
            b'\\' => out.put_slice(br"\\"),
            b'\n' => out.put_slice(br"\n"),
            b'\r' => out.put_slice(br"\r"),
            b'\t' => out.put_slice(br"\t"),
            0x08 => out.put_slice(br"\b"),
            0x0C => out.put_slice(br"\f"),
            control => {
                out.put_slice(br"\u00");
                out.put_u8(HEX[usize::from(control >> 4)]);
                out.put_u8(HEX[usize::from(control & 15)]);
            }
        }
        done = end + 1;
    }
}

/// Appends a number.
pub(super) fn number(out: &mut impl BufMut, value: impl itoa::Integer) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `"key":"text"` behind a comma; the key is given with its comma, quotes and colon.
pub(super) fn text_field(out: &mut impl BufMut, key: &'static str, value: &str) {
    out.put_slice(key.as_bytes());
    text(out, value);
}

/// The same with a number.
pub(super) fn number_field(out: &mut impl BufMut, key: &'static str, value: impl itoa::Integer) {
    out.put_slice(key.as_bytes());
    number(out, value);
}

/// The same with JSON that stands already.
pub(super) fn raw_field(out: &mut impl BufMut, key: &'static str, value: &[u8]) {
    out.put_slice(key.as_bytes());
    out.put_slice(value);
}

/// Appends the `id` of an answer, where it has one.
pub(super) fn id(out: &mut impl BufMut, tag: &Tag) {
    match tag {
        // Another protocol's mark is no `id` that a client gave.
        Tag::None | Tag::Front(_) => {}
        Tag::Int(id) => number_field(out, r#","id":"#, *id),
        Tag::Text(id) => text_field(out, r#","id":"#, id),
    }
}

/// Appends `room` or `to`.
pub(super) fn place(out: &mut impl BufMut, place: &Place) {
    match place {
        Place::Room(room) => text_field(out, r#","room":"#, room.shown()),
        Place::Direct(nick) => text_field(out, r#","to":"#, nick.shown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_is_escaped_and_reads_back_the_same() {
        let table = [
            ("", r#""""#),
            ("plain ß 😀 \u{2028}\u{7f}", "\"plain ß 😀 \u{2028}\u{7f}\""),
            ("a\"b\\c/", r#""a\"b\\c/""#),
            ("\n\r\t\u{8}\u{c}\0\u{1f}", r#""\n\r\t\b\f\u0000\u001f""#),
        ];
        for (plain, json) in table {
            let mut out = Vec::new();
            text(&mut out, plain);
            assert_eq!(std::str::from_utf8(&out), Ok(json));
            assert_eq!(serde_json::from_str::<String>(json).ok().as_deref(), Some(plain));
        }
    }
}
