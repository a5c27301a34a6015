//! What is wrong with a configuration, and where.
//!
//! Problems are gathered, never stopped at: who mends a file wants to hear of all of them at once.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was made; the order is that of the layers, then of the lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole, where it cannot be read.
    File(PathBuf),
    /// A line and column of a file, both from 1; the column counts characters.
    Line {
        /// The file, as it was named.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
    /// The built-in defaults, which this machine can make disagree with a setting.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("the defaults"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong: one line each, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// `; do you mean …?` where a known word is near to an unknown one, else nothing.
pub(super) fn hint<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    // A third of the word may be wrong: a slip or two, and not another word.
    let most = (unknown.chars().count() / 3).max(1);
    known
        .map(|word| (strsim::damerau_levenshtein(unknown, word), word))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map_or_else(String::new, |(_, word)| format!("; do you mean `{word}`?"))
}
