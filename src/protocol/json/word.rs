//! Short words as integers, so that a field's name or an op is found by comparing numbers.
//!
//! A word is up to eight bytes, the first in the lowest place, the rest zero. No two words without NUL bytes collide,
//! and JSON strings have none that are not escaped.

/// Bytes that a word holds at most.
pub(super) const MAX: usize = 8;

/// The word of a constant of up to eight bytes; of a longer one, of its first eight.
pub(super) const fn of(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut word = 0;
    let mut at = 0;
    while at < bytes.len() && at < MAX {
        word |= (bytes[at] as u64) << (8 * at);
        at += 1;
    }
    word
}

/// The word that stands at an offset, of a length from 0 to [`MAX`].
#[inline]
pub(super) fn at(bytes: &[u8], start: usize, len: usize) -> u64 {
    let rest = &bytes[start..];
    if let Some(eight) = rest.first_chunk::<MAX>() {
        let unused = 8 * (MAX - len) as u32;
        // A shift by all 64 bits is what `checked_shl` makes of the empty word.
        return u64::from_le_bytes(*eight) & u64::MAX.checked_shr(unused).unwrap_or(0);
    }
    rest[..len].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_read_anywhere_is_the_constant_word() {
        let text = "password, and more";
        for start in 0..text.len() {
            for len in 0..=MAX.min(text.len() - start) {
                assert_eq!(at(text.as_bytes(), start, len), of(&text[start..start + len]), "{start} {len}");
            }
        }
    }
}
