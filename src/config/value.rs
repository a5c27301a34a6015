//! One value of a setting, from a file or a variable, read as what the setting takes.
//!
//! A file writes numbers and switches as TOML does; a variable has text alone, and the same words. What is refused says
//! what would be taken, with an example.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::model::quantity::{parse_duration, parse_size};

/// The longest duration: a century. No clock or timer overflows below it.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// A value as it was written.
pub(super) enum Value<'a> {
    /// Of a file.
    Toml(&'a DeValue<'a>),
    /// Of a variable.
    Text(&'a str),
}

impl Value<'_> {
    /// A plain number within bounds; `why` gives the bounds' reason, if it is not plain.
    pub(super) fn count<T: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>, why: &str) -> Result<T, String> {
        let number = self.number().or_else(|| self.variable()?.parse().ok());
        let number = number.ok_or_else(|| format!("takes a whole number, not {self}"))?;
        within(number, &bounds, why, self)?;
        T::try_from(number).map_err(|_| format!("{self} is too large"))
    }

    /// A number of bytes within bounds.
    pub(super) fn size<T: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>, why: &str) -> Result<T, String> {
        let bytes = self.number().or_else(|| parse_size(self.text()?));
        let bytes = bytes.ok_or_else(|| format!("takes a size, as `65536` or `\"64KiB\"`, not {self}"))?;
        within(bytes, &bounds, why, self)?;
        T::try_from(bytes).map_err(|_| format!("{self} is too large"))
    }

    /// A duration of at least `least`.
    pub(super) fn duration(&self, least: Duration, why: &str) -> Result<Duration, String> {
        let found = match self.number() {
            Some(0) => Some(Duration::ZERO),
            _ => self.text().and_then(parse_duration),
        };
        let found =
            found.ok_or_else(|| format!("takes a duration, as `\"300ms\"`, `\"30s\"` or `\"7d\"`, not {self}"))?;
        if found < least {
            return Err(format!("takes at least {least:?}, not {self}{}", reason(why)));
        }
        if found > DURATION_MAX {
            return Err(format!("takes at most `\"36500d\"`, not {self}"));
        }
        Ok(found)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Toml(DeValue::Boolean(flag)) => Ok(*flag),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            _ => Err(format!("takes `true` or `false`, not {self}")),
        }
    }

    /// One word of some.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let found = self.text().and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
            format!("takes {}, not {self}", words.join(" or "))
        })
    }

    /// A path.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        match self.text() {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(PathBuf::from(text)),
            _ => Err(format!("takes the path of a folder, not {self}")),
        }
    }

    /// Text that `read` takes; its error says why not.
    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        what: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, String> {
        let text = self.text().ok_or_else(|| format!("takes {what}, not {self}"))?;
        read(text).map_err(|error| format!("takes {what}, not {self}: {error}"))
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Toml(DeValue::String(text)) => Some(text),
            Self::Text(text) => Some(text),
            Self::Toml(_) => None,
        }
    }

    fn variable(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(_) => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Toml(DeValue::Integer(number)) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }
}

/// The value as it was written, or what it is where that would be long.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(DeValue::String(text)) => write!(f, "{text:?}"),
            Self::Toml(DeValue::Integer(number)) => write!(f, "{number}"),
            Self::Toml(DeValue::Float(number)) => f.write_str(number.as_str()),
            Self::Toml(DeValue::Boolean(flag)) => write!(f, "{flag}"),
            Self::Toml(DeValue::Datetime(date)) => write!(f, "{date}"),
            Self::Toml(DeValue::Array(_)) => f.write_str("an array"),
            Self::Toml(DeValue::Table(_)) => f.write_str("a table"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

fn within(number: u64, bounds: &RangeInclusive<u64>, why: &str, value: &Value<'_>) -> Result<(), String> {
    if bounds.contains(&number) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    let wanted = if *most == u64::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
    Err(format!("takes {wanted}, not {value}{}", reason(why)))
}

fn reason(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}
