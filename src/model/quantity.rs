//! Durations and sizes as people write them: `300ms`, `7d`, `1MiB`.
//!
//! The configuration and the op `create` read the same words, so the reading stands here. One whole number and one unit,
//! nothing between them and nothing around them: what could mean two things (`1.5h`, `1MB`, `5`) is refused, since the
//! one who wrote it can be asked and the one who guesses cannot.

use std::time::Duration;

/// Units of time and the milliseconds in each.
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size and the bytes in each; powers of 1,024 alone, under the names that say so.
const SIZES: [(&str, u64); 6] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`; a bare `0` needs no unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    parse(text, &TIMES).map(Duration::from_millis)
}

/// Reads a number of bytes: a whole number, alone or with one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(word, _)| *word == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_its_unit() {
        let table = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("300ms", Some(300)),
            ("30s", Some(30_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("213503982334d", Some(213_503_982_334 * 86_400_000)),
            ("213503982335d", None),
            ("", None),
            ("s", None),
            ("5", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5h", None),
            ("5 s", None),
            (" 5s", None),
            ("5S", None),
            ("1h30m", None),
            ("٣s", None),
            ("99999999999999999999s", None),
        ];
        for (text, millis) in table {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_of_bytes_with_or_without_a_unit() {
        let table = [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("512B", Some(512)),
            ("4KiB", Some(4_096)),
            ("1MiB", Some(1_048_576)),
            ("3GiB", Some(3 << 30)),
            ("2TiB", Some(2 << 40)),
            ("18446744073709551615", Some(u64::MAX)),
            ("16777216TiB", None),
            ("", None),
            ("MiB", None),
            ("1MB", None),
            ("1M", None),
            ("1mib", None),
            ("1 MiB", None),
            ("1.5MiB", None),
            ("-1", None),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }
}
