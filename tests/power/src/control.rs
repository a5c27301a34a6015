//! The control: the same engine with `synchronous=NORMAL`, for which the server has no setting.
//!
//! Makes a copy of the program in which SQLite does not know the word `full` any more. What `PRAGMA synchronous` does not
//! understand it takes for `normal`: commits are then not synced, only what a checkpoint needs. Nothing else differs.

use std::fs;
use std::io;
use std::path::Path;

/// The words that SQLite's pragmas know, as they stand in the program, one after the other.
const WORDS: &[u8] = b"onoffalseyestruextrafull";

/// Copies a program, and takes that word from the copy.
pub fn weaken(program: &Path, copy: &Path) -> io::Result<()> {
    let mut bytes = fs::read(program)?;
    let places: Vec<_> = bytes.windows(WORDS.len()).enumerate().filter(|(_, words)| *words == WORDS).collect();
    let &[(at, _)] = &places[..] else {
        return Err(io::Error::other(format!("SQLite's words stand in the program {} times, not once", places.len())));
    };
    bytes[at + WORDS.len() - 1] = b'!';
    // The rights go with it.
    fs::copy(program, copy)?;
    fs::write(copy, bytes)
}
