//! The inside of JSON strings: where one ends, and what its escapes stand for.
//!
//! Bytes and places in them: it allocates only where an escape has to be undone, and knows no fields.

use std::borrow::Cow;

/// Bytes looked at together where a string is long; two vector registers of any machine.
const BLOCK: usize = 32;

const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Not 0 where a byte inside a string means more than itself: the closing quote, a backslash, or a control character.
///
/// As in [`eight`], a term's high bit is set where the byte fits it. Written with comparisons, this compiles to twice
/// the operations for each block.
const fn is_special(byte: u8) -> u8 {
    let quote = (byte ^ b'"').wrapping_sub(1);
    let backslash = (byte ^ b'\\').wrapping_sub(1);
    let control = byte.wrapping_sub(0x20);
    (quote | backslash | control) & !byte & 0x80
}

/// The offset of the first special byte from `at` on, or the length where there is none.
pub(super) fn special(bytes: &[u8], mut at: usize) -> usize {
    // Two words first, since a block that holds the end is paid for and looked at again.
    for _ in 0..2 {
        match eight(bytes, at) {
            Some(8) => at += 8,
            Some(plain) => return at + plain,
            None => return one_by_one(bytes, at),
        }
    }
    // Without an early exit inside a block, this compiles to a few vector comparisons.
    while let Some(block) = bytes.get(at..at + BLOCK) {
        if block.iter().fold(0, |found, byte| found | is_special(*byte)) != 0 {
            break;
        }
        at += BLOCK;
    }
    while let Some(plain) = eight(bytes, at) {
        at += plain;
        if plain < 8 {
            return at;
        }
    }
    one_by_one(bytes, at)
}

/// The same, where the bytes are known to be printable ASCII: only a quote or a backslash is special.
#[inline]
pub(super) fn special_of_plain(bytes: &[u8], at: usize) -> usize {
    match eight(bytes, at) {
        Some(8) => memchr::memchr2(b'"', b'\\', &bytes[at + 8..]).map_or(bytes.len(), |found| at + 8 + found),
        Some(plain) => at + plain,
        None => one_by_one(bytes, at),
    }
}

/// How many of the next eight bytes stand before the first special one; `None` where there are not that many.
#[inline]
pub(super) fn eight(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    // Each term has its lowest set high bit in the first byte that fits; borrows can only set wrong bits above it.
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    let found = (quote | backslash | control) & !word & HIGHS;
    Some(found.trailing_zeros() as usize / 8)
}

#[inline]
fn one_by_one(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| is_special(*byte) != 0).map_or(bytes.len(), |found| at + found)
}

/// Four hexadecimal digits at an offset.
pub(super) fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// What the inside of a string stands for, or `None` where its escapes are broken.
pub(super) fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    let mut rest = raw;
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return Some(Cow::Borrowed(raw)) };
    let mut text = String::with_capacity(raw.len());
    let mut next = Some(first);
    while let Some(at) = next {
        text.push_str(&rest[..at]);
        let (meaning, len) = escape(&rest.as_bytes()[at..])?;
        text.push(meaning);
        rest = &rest[at + len..];
        next = memchr::memchr(b'\\', rest.as_bytes());
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// The character that the escape at the front stands for, and the escape's length.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hex(bytes, 2)?;
            if !(0xD800..0xDC00).contains(&unit) {
                return Some((char::from_u32(unit)?, 6));
            }
            let low = (bytes.get(6..8)? == b"\\u").then(|| hex(bytes, 8))??;
            let low = (0xDC00..0xE000).contains(&low).then_some(low)?;
            return Some((char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?, 12));
        }
        _ => return None,
    };
    Some((simple, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for len in 0..120 {
            let plain: Vec<u8> =
                (0..len).map(|at| [b'a', 0x20, b'!', b'#', b'[', b']', 0x7F, 0x80, 0xFF][at % 9]).collect();
            for start in 0..=len {
                assert_eq!(special(&plain, start), len);
            }
            for at in 0..len {
                for byte in [b'"', b'\\', 0x00, 0x1F] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    // A second one behind it must not win.
                    bytes[len - 1] = byte;
                    assert_eq!(special(&bytes, 0), at, "{len} {at} {byte}");
                    assert_eq!(special(&bytes, at), at, "{len} {at} {byte}");
                }
            }
        }
    }

    #[test]
    fn in_plain_bytes_the_first_quote_or_backslash_is_found() {
        for len in 0..120 {
            let plain = vec![b'a'; len];
            assert_eq!(special_of_plain(&plain, 0), len);
            for at in 0..len {
                for byte in [b'"', b'\\'] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    bytes[len - 1] = byte;
                    for start in 0..=at {
                        assert_eq!(special_of_plain(&bytes, start), at, "{len} {at} {byte}");
                    }
                }
            }
        }
    }

    #[test]
    fn escapes_stand_for_what_rfc_8259_says() {
        let table = [
            ("", Some("")),
            ("plain ß", Some("plain ß")),
            (r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\u{8}\u{c}\n\r\t")),
            (r"a\u0041b", Some("aAb")),
            (r"\u00e9\u00E9", Some("éé")),
            (r"\ud83d\ude00!", Some("😀!")),
            (r"\uD83D", None),
            (r"\ude00", None),
            (r"\ud83d\u0041", None),
            (r"\ud83dxude00", None),
            (r"\u12", None),
            (r"\u12g4", None),
            (r"\x", None),
            ("\\", None),
        ];
        for (raw, meaning) in table {
            assert_eq!(unescape(raw).as_deref(), meaning, "{raw}");
        }
    }
}
