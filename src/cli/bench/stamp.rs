//! The stamp that each payload begins with: who published it, and which of theirs it is.
//!
//! Sixteen letters from `a` to `p`, one for each four bits, so that every protocol carries it unescaped and a reader
//! turns it back into a number with a few operations, whatever the rate.

/// Bytes of a stamp, and so of the shortest payload.
pub(super) const STAMP: usize = 16;

/// Bits of the counter; those above it name the publisher.
const COUNTER_BITS: u32 = 44;

/// Publishers that a stamp can name.
pub(super) const PUBLISHERS_MAX: usize = 1 << (64 - COUNTER_BITS);

/// Writes a stamp over the first bytes of a payload.
pub(super) fn write(payload: &mut [u8], publisher: u32, counter: u64) {
    let value = u64::from(publisher) << COUNTER_BITS | counter;
    for (at, letter) in payload[..STAMP].iter_mut().enumerate() {
        *letter = b'a' + (value >> (60 - 4 * at) & 15) as u8;
    }
}

/// The publisher and the counter of a payload; `None` where there is no stamp.
#[inline]
pub(super) fn read(payload: &[u8]) -> Option<(u32, u64)> {
    let (first, rest) = payload.split_first_chunk::<8>()?;
    let (second, _) = rest.split_first_chunk::<8>()?;
    let value = half(*first)? << 32 | half(*second)?;
    Some(((value >> COUNTER_BITS) as u32, value & ((1 << COUNTER_BITS) - 1)))
}

/// Eight letters as the 32 bits that they stand for.
#[inline]
fn half(letters: [u8; 8]) -> Option<u64> {
    let nibbles = u64::from_be_bytes(letters).wrapping_sub(u64::from_be_bytes([b'a'; 8]));
    if nibbles & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    let bytes = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let pairs = (bytes | bytes >> 8) & 0x0000_FFFF_0000_FFFF;
    Some((pairs | pairs >> 16) & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_was_written() {
        let counters = [0, 1, 15, 16, 0x1234_5678, 0xFFFF_FFFF, 0x1_0000_0000, (1 << COUNTER_BITS) - 1];
        for publisher in [0, 1, 999, PUBLISHERS_MAX as u32 - 1] {
            for counter in counters {
                let mut payload = [b'x'; 20];
                write(&mut payload, publisher, counter);
                assert_eq!(read(&payload), Some((publisher, counter)));
            }
        }
    }

    #[test]
    fn what_is_no_stamp_is_not_taken_for_one() {
        let mut payload = [b'a'; STAMP];
        assert_eq!(read(&payload), Some((0, 0)));
        for at in 0..STAMP {
            for byte in (0..b'a').chain(b'q'..=255) {
                payload[at] = byte;
                assert_eq!(read(&payload), None, "{byte} at {at}");
            }
            payload[at] = b'a';
        }
        assert_eq!(read(&payload[1..]), None);
    }
}
