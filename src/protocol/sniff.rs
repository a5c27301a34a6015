//! Which protocol a client on an `auto` port speaks, from the first bytes it sends.
//!
//! Knows only bytes: the connection decides how long it waits for them. A new protocol is recognised by a line here.

use super::Wire;

/// What the first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Nothing but white space so far.
    Nothing,
    /// A protocol.
    Wire(Wire),
}

/// Looks at what a client sent first; white space and a byte order mark before it do not count.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let bytes = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => rest,
        [0xEF] | [0xEF, 0xBB] => return Sniffed::Nothing,
        all => all,
    };
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Sniffed::Nothing,
        Some(b'{') => Sniffed::Wire(Wire::Json),
        Some(_) => Sniffed::Wire(Wire::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_counts_decides() {
        let table: &[(&[u8], Sniffed)] = &[
            (b"", Sniffed::Nothing),
            (b" \r\n\t", Sniffed::Nothing),
            (b"\xEF", Sniffed::Nothing),
            (b"\xEF\xBB", Sniffed::Nothing),
            (b"\xEF\xBB\xBF", Sniffed::Nothing),
            (b"{", Sniffed::Wire(Wire::Json)),
            (b"\xEF\xBB\xBF \n{\"op\"", Sniffed::Wire(Wire::Json)),
            (b"ada\n", Sniffed::Wire(Wire::Text)),
            (b"/join {", Sniffed::Wire(Wire::Text)),
            (b"\xFF\xFD\x01", Sniffed::Wire(Wire::Text)),
            (b"\xEF\xBC\xA1", Sniffed::Wire(Wire::Text)),
        ];
        for (bytes, expected) in table {
            assert_eq!(sniff(bytes), *expected, "{bytes:?}");
        }
    }
}
