//! What is wrong with a line that cannot be read, in words that a person can act on.
//!
//! It describes and never judges: what makes a line unreadable is found in `scan`, and what it costs in `decoder`.

use std::fmt::Write;

use crate::model::Code;

/// The first thing that is wrong with a line, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset of the byte that cannot stand there.
    pub(super) at: u32,
    /// What is wrong.
    pub(super) wrong: Wrong,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Not UTF-8.
    Utf8,
    /// Something else than what must come here.
    Expected(&'static str),
    /// The line is over before its object is.
    Unfinished,
    /// Something follows the object.
    Trailing,
    /// A control character that is not escaped.
    Control,
    /// A carriage return that no line feed follows.
    CarriageReturn,
    /// A backslash before something that has no meaning there.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// A number of too many characters.
    LongNumber,
    /// A number beyond what a double holds.
    HugeNumber,
    /// Nested too deep.
    Depth,
}

impl Fault {
    /// The code that a client is told.
    pub(super) const fn code(self) -> Code {
        match self.wrong {
            Wrong::Utf8 => Code::BadUtf8,
            _ => Code::BadJson,
        }
    }

    /// What is wrong with this line; bytes are counted from 1, as columns are.
    pub(super) fn describe(self, line: &[u8]) -> String {
        let byte = self.at as usize + 1;
        match self.wrong {
            Wrong::Utf8 => format!("byte {byte} is not UTF-8"),
            Wrong::Expected(what) => {
                let mut text = format!("expected {what} at byte {byte}");
                if let Some(found) = found(line, self.at as usize) {
                    // Writing to a string cannot fail.
                    let _ = write!(text, ", found {found}");
                }
                text
            }
            Wrong::Unfinished => "the object does not end on this line: one line each, as `jq -c` writes".to_owned(),
            Wrong::Trailing => format!("the object has ended before byte {byte}: one object a line"),
            Wrong::Control => {
                let control = line.get(self.at as usize).copied().unwrap_or_default();
                format!("the control character at byte {byte} must be written as `\\u{control:04x}`")
            }
            Wrong::CarriageReturn => format!("the carriage return at byte {byte} is not at the end of the line"),
            Wrong::Escape => format!("the backslash at byte {byte} begins no escape that JSON knows"),
            Wrong::Surrogate => format!("the escape at byte {byte} is half of a surrogate pair"),
            Wrong::LongNumber => format!("the number at byte {byte} has more than 32 characters"),
            Wrong::HugeNumber => format!("the number at byte {byte} is beyond what a double holds"),
            Wrong::Depth => format!("the bracket at byte {byte} nests a value more than 64 deep"),
        }
    }
}

/// The character at an offset, for people.
fn found(line: &[u8], at: usize) -> Option<String> {
    let first = std::str::from_utf8(line).ok()?.get(at..)?.chars().next()?;
    Some(if first.is_control() { format!("U+{:04X}", u32::from(first)) } else { format!("`{first}`") })
}
