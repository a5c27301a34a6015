//! Two quick looks at bytes, by which nearly every line is spared a slow one.
//!
//! They know nothing of JSON or of lines but where these end; what they pass over, `scan` looks at more closely.

/// Whether some lines are printable ASCII throughout, which nearly all are.
///
/// Asked once for a whole read, since it is then a few vector operations for each line; asked of a line alone, the bytes
/// left over would cost more than the others.
pub(super) fn is_plain(lines: &[u8]) -> bool {
    // The high bit is set by a control character in the difference, and by what is not ASCII in the byte itself.
    let odd = |byte: u8| if byte == b'\n' { 0 } else { byte.wrapping_sub(0x20) | byte };
    lines.iter().fold(0, |found, byte| found | odd(*byte)) & 0x80 == 0
}

/// Whether all bytes are ASCII.
///
/// The library's own looks at what is left behind the last whole block byte by byte, which for a line of common length
/// takes longer than all the blocks before; here the last block reaches back.
pub(super) fn is_ascii(line: &[u8]) -> bool {
    /// Two vector registers of any machine.
    const BLOCK: usize = 32;
    let Some(last) = line.last_chunk::<BLOCK>() else { return line.is_ascii() };
    let (blocks, _) = line.as_chunks::<BLOCK>();
    // Without an early exit, this compiles to two operations for each register.
    let seen = blocks.iter().fold(*last, |mut seen, block| {
        seen.iter_mut().zip(block).for_each(|(seen, byte)| *seen |= byte);
        seen
    });
    seen.iter().fold(0, |any, byte| any | byte) < 0x80
}
