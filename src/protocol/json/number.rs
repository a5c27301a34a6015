//! Whole numbers in JSON, by value: `30`, `30.0` and `3e1` are one number, and some writers know only doubles.
//!
//! Nothing here passes through a double on its way to a whole number, where digits would be lost.

/// The largest whole number up to which a double holds each one.
pub(super) const WHOLE_MAX: i64 = 1 << 53;

/// The same as a double.
const WHOLE_MAX_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// The whole number within ±2^53 that a JSON number is, if it is one.
pub(super) fn whole(text: &str) -> Option<i64> {
    let value = text.parse::<i64>().ok().or_else(|| {
        let value = text.parse::<f64>().ok()?;
        // Within these bounds the cast is exact.
        let fits = value.fract() == 0.0 && value.abs() <= WHOLE_MAX_DOUBLE;
        fits.then_some(value as i64)
    })?;
    (-WHOLE_MAX..=WHOLE_MAX).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_taken_by_value_up_to_two_to_the_53() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("42", Some(42)),
            ("42.0", Some(42)),
            ("4.2e1", Some(42)),
            ("9007199254740992", Some(1 << 53)),
            ("-9007199254740992", Some(-(1 << 53))),
            ("9007199254740993", None),
            ("-9007199254740993", None),
            ("9007199254740993.0", Some(1 << 53)),
            ("1e400", None),
            ("1.5", None),
            ("99999999999999999999", None),
        ];
        for (text, value) in table {
            assert_eq!(whole(text), value, "{text}");
        }
    }
}
