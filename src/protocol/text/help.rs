//! `/help`: the list of commands, and more about each.
//!
//! The text comes from the table of commands, so that none can be there and not be told of.

use std::fmt::Write;

use super::command::{Act, Acted, Call, TABLE, find, unknown};

/// Columns that a command's name and arguments take before what it does: most of them fit.
const SYNOPSIS_COLUMNS: usize = 26;

/// Columns of a line of help: a terminal's 80, less the mark and the indent.
const COLUMNS: usize = 74;

pub(super) fn help(call: &mut Call<'_>) -> Acted {
    let name = call.args.trim_start_matches('/');
    if name.is_empty() {
        return Ok(Act::Tell(list()));
    }
    let entry = find(name).ok_or_else(|| unknown(name))?;
    let mut text = format!("{} — {}", entry.synopsis(), entry.about);
    if entry.names.len() > 1 {
        let others: Vec<String> = entry.names[1..].iter().map(|name| format!("/{name}")).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, " (also {})", others.join(", "));
    }
    for line in wrapped(entry.more) {
        let _ = write!(text, "\n  {line}");
    }
    Ok(Act::Tell(text))
}

/// A text in lines that a narrow terminal shows as they are.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn list() -> String {
    let mut text = String::from("A line goes to the room you are in. A line that begins with / is a command:");
    for entry in TABLE {
        let mut synopsis = entry.synopsis();
        if synopsis.len() > SYNOPSIS_COLUMNS {
            let _ = write!(text, "\n  {synopsis}");
            synopsis.clear();
        }
        let _ = write!(text, "\n  {synopsis:SYNOPSIS_COLUMNS$} {}", entry.about);
    }
    text.push_str("\n//shrug says /shrug. /help history tells more about /history, and so on.");
    text.push_str("\nCtrl-R shows a half-typed line again, when others' lines have run through it.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_terminal_and_leaves_no_command_out() {
        let list = list();
        assert!(TABLE.iter().all(|entry| list.contains(&entry.synopsis())));
        for line in list.lines() {
            assert!(line.chars().count() <= COLUMNS + 3, "{line}");
        }
    }
}
