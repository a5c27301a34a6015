//! Makes anyone's text safe to show on a terminal.
//!
//! What could move a cursor, colour, ring, reorder, hide or end a line becomes the escape that JSON would write
//! (`\u001b`), so JSON stays the JSON it was. Everything else, emoji and every script included, passes as it is. All text
//! that leaves for a person goes through here; nothing else in this protocol may write what a client sent.

use bytes::BytesMut;

/// What a tab becomes: it would move the cursor, and people mean a gap by it.
const TAB: &[u8] = b"    ";

/// Appends one line of text; whatever in it is not safe to show becomes visible.
pub(super) fn push(text: &str, out: &mut BytesMut) {
    let mut rest = text;
    while let Some((at, c)) = first_unsafe(rest) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        escape(c, out);
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether the text can be shown as it is: what tests hold every screen to.
#[cfg(test)]
pub(super) fn is_safe(text: &str) -> bool {
    first_unsafe(text).is_none()
}

fn first_unsafe(text: &str) -> Option<(usize, char)> {
    // Nearly every text is plain ASCII, which needs no look at its characters. The first look does not stop early, so that
    // it takes many bytes at a time.
    if text.bytes().filter(|byte| !(0x20..0x7F).contains(byte)).count() == 0 {
        return None;
    }
    let plain = text.bytes().position(|byte| !(0x20..0x7F).contains(&byte))?;
    text[plain..].char_indices().find(|(_, c)| is_unsafe(*c)).map(|(at, c)| (plain + at, c))
}

/// Whether a character could do more to a screen than stand on it.
///
/// U+200C, U+200D and the variation selectors stay: scripts and emoji need them and they only shape their neighbours.
const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}'   // C0, DEL, C1
        | '\u{AD}' | '\u{34F}'                  // soft hyphen, grapheme joiner: seen or not, as the terminal likes
        | '\u{61C}' | '\u{200E}' | '\u{200F}'   // marks of direction
        | '\u{202A}'..='\u{202E}'               // embeddings and overrides of direction
        | '\u{2066}'..='\u{2069}'               // isolates of direction
        | '\u{2028}' | '\u{2029}'               // line and paragraph separators
        | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFA0}' // letters that nobody sees
        | '\u{180B}'..='\u{180F}'               // Mongolian selectors and separator
        | '\u{200B}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{FEFF}' // no width
        | '\u{FFF0}'..='\u{FFFB}'               // annotations
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' // shorthand and music: formatting
        | '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{E0FFF}' // tags: text inside text
    )
}

fn escape(c: char, out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if c == '\t' {
        out.extend_from_slice(TAB);
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let digit = |shift: u16| HEX[usize::from((*unit >> shift) & 0xF)];
        out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = BytesMut::new();
        push(text, &mut out);
        String::from_utf8(out.to_vec()).expect("what was text stays text")
    }

    #[test]
    fn what_only_stands_on_the_screen_passes_as_it_is() {
        for text in ["", "hello", "Grüße", "日本語", "👩‍👩‍👧 ❤️", "می‌خواهم", "עברית", "a\\u001b", "Z͑ͫalgo"]
        {
            assert_eq!(shown(text), text);
            assert!(is_safe(text));
        }
    }

    #[test]
    fn what_does_more_becomes_visible() {
        let table = [
            ("\u{1b}[2J", r"\u001b[2J"),
            ("a\rb", r"a\u000db"),
            ("a\nb", r"a\u000ab"),
            ("\u{7}", r"\u0007"),
            ("a\tb", "a    b"),
            ("\u{7f}", r"\u007f"),
            ("\u{9b}31m", r"\u009b31m"),
            ("é\u{202e}x", r"é\u202ex"),
            ("\u{2066}\u{2069}", r"\u2066\u2069"),
            ("\u{2028}", r"\u2028"),
            ("a\u{200b}b", r"a\u200bb"),
            ("\u{feff}", r"\ufeff"),
            ("\u{e0041}", r"\udb40\udc41"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text:?}");
            assert!(!is_safe(text));
        }
    }
}
