//! The `id` of a line that cannot be read, so that whoever asked learns that it failed.
//!
//! A cold path that forgives nearly everything: it follows strings and brackets, and takes the `id` of the outermost
//! object wherever that stands. It never guesses: a number or string that the line cuts short is no `id`.

use memchr::memchr2;

use super::{number, string};
use crate::model::Tag;

/// Bytes of an `id` that is a string: a UUID with a prefix.
const ID_BYTES_MAX: usize = 64;

/// An `id` that is a string, if it can be one.
pub(super) fn text_tag(text: &str) -> Option<Tag> {
    (text.len() <= ID_BYTES_MAX).then(|| Tag::Text(text.into()))
}

/// The `id` of a line, or of what was seen of it.
pub(super) fn recover(line: &[u8]) -> Tag {
    let mut at = space(line, 0);
    let mut depth = 0_usize;
    let mut found = Tag::None;
    if line.get(at) != Some(&b'{') {
        return found;
    }
    while let Some(byte) = line.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => break,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let Some(end) = closing_quote(line, at) else { break };
                let name = &line[at..end];
                at = end + 1;
                let colon = space(line, at);
                if depth == 1 && line.get(colon) == Some(&b':') && is_id(name) {
                    found = value(line, space(line, colon + 1)).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    found
}

fn space(line: &[u8], at: usize) -> usize {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    at + line[at..].iter().take_while(|byte| is_space(byte)).count()
}

fn closing_quote(line: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

fn is_id(name: &[u8]) -> bool {
    let name = std::str::from_utf8(name).ok().and_then(string::unescape);
    name.is_some_and(|name| name == "id")
}

fn value(line: &[u8], at: usize) -> Option<Tag> {
    if line.get(at) == Some(&b'"') {
        let end = closing_quote(line, at + 1)?;
        return text_tag(&string::unescape(std::str::from_utf8(&line[at + 1..end]).ok()?)?);
    }
    let len = line[at..].iter().position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E'))?;
    number::whole(std::str::from_utf8(&line[at..at + len]).ok()?).map(Tag::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_recovered_wherever_it_stands_and_whatever_is_wrong() {
        let int = Tag::Int;
        let text = |text: &str| Tag::Text(text.into());
        let table: &[(&[u8], Tag)] = &[
            (br#"{"id":7,"op":"send","body":[1,}"#, int(7)),
            (br#"{"op":nope,"id":-7}"#, int(-7)),
            (br#" { "op" "send" "id" : "a\u0062c" ]"#, text("abc")),
            (br#"{"\u0069d":7,x}"#, int(7)),
            (br#"{"id":1,"id":2,x}"#, int(2)),
            (br#"{"id":1,x} {"id":2}"#, int(1)),
            (b"{\"body\":\"\xFF\xFE\",\"id\":3}", int(3)),
            (b"{\"body\":\"a\rb\",\"id\":3}\r", int(3)),
            (br#"{"body":"\ud800","id":3}"#, int(3)),
            (br#"{"body":"\"id\":4","id":3,x}"#, int(3)),
            (br#"{"body":{"id":4},x}"#, Tag::None),
            (br#"{"body":[{"id":4}],"id":3,x}"#, int(3)),
            (br#"{"body":["id",4],x}"#, Tag::None),
            (br#"{"id":12"#, Tag::None),
            (br#"{"id":"12"#, Tag::None),
            (br#"{"id":12,"body":"cut sho"#, int(12)),
            (br#"{"id":"12","body":"cut sho\"#, text("12")),
            (br#"{"id":1.5,x}"#, Tag::None),
            (br#"{"id":9007199254740993,x}"#, Tag::None),
            (br#"{"id":"\ud800",x}"#, Tag::None),
            (b"{\"id\":\"\xFF\",x}", Tag::None),
            (br#"["id",5]"#, Tag::None),
            (br#""id":5"#, Tag::None),
            (b"", Tag::None),
            (b"{", Tag::None),
        ];
        for (line, tag) in table {
            assert_eq!(recover(line), *tag, "{}", String::from_utf8_lossy(line));
        }
        let long = format!(r#"{{"id":"{}",x}}"#, "x".repeat(65));
        assert_eq!(recover(long.as_bytes()), Tag::None);
    }

    #[test]
    fn a_line_cut_anywhere_never_makes_another_id() {
        let line = br#"{"op":"send","id":1234567,"body":{"id":9}, "room":"lobby"}"#;
        for cut in 0..line.len() {
            let tag = recover(&line[..cut]);
            assert!(matches!(tag, Tag::None | Tag::Int(1_234_567)), "{cut}: {tag:?}");
        }
    }
}
