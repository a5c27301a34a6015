//! What a run is told as: a table for people, or one JSON object a row for programs.
//!
//! A row is an ordered list of fields, each with a key for programs and a title for people; what could not be measured is
//! left out of the one and a dash in the other.

use std::io::{self, Write};
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::args::ServerArgs;
use super::check::Tally;
use crate::cli::Failure;

/// Rows, printed when all are there.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    protocol: &'static str,
    payload: u64,
    rows: Vec<Row>,
}

/// One line of a report.
#[derive(Debug, Default)]
pub(super) struct Row {
    fields: Vec<(&'static str, &'static str, Value)>,
    faults: Vec<String>,
    is_verified: bool,
}

/// What stands in a field.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Not known.
    Unknown,
    /// A whole number.
    Count(u64),
    /// A number with one digit behind the point.
    Number(f64),
    /// Words.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

impl Row {
    /// A row of a scenario.
    pub(super) fn new(scenario: &str) -> Self {
        let mut row = Self::default();
        row.add("scenario", "scenario", Value::Text(scenario.to_owned()));
        row
    }

    /// Appends a field.
    pub(super) fn add(&mut self, key: &'static str, title: &'static str, value: Value) {
        self.fields.push((key, title, value));
    }

    /// Appends the last field: whether everything came as it should.
    pub(super) fn verdict(&mut self, tally: Tally, faults: &[String]) {
        self.is_verified = tally.is_clean() && faults.is_empty();
        self.add("verified", "verified", Value::Flag(self.is_verified));
        if !tally.is_clean() {
            self.faults.push(tally.to_string());
        }
        self.faults.extend(faults.iter().map(|fault| format!("the server says {fault:?}")));
    }

    /// Appends the share of one CPU that a process had.
    pub(super) fn share(&mut self, key: &'static str, title: &'static str, cpu: Option<Duration>, elapsed: Duration) {
        let share = cpu.map(|cpu| 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9));
        self.add(key, title, share.into());
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Into::into)
    }
}

impl Report {
    pub(super) fn new(server: &ServerArgs) -> Self {
        let (protocol, payload) = (server.protocol.as_str(), server.payload as u64);
        Self { json: server.json, protocol, payload, rows: Vec::new() }
    }

    /// Adds a row; a program gets it at once.
    pub(super) fn add(&mut self, mut row: Row) {
        row.fields.insert(1, ("protocol", "server", Value::Text(self.protocol.to_owned())));
        row.fields.insert(2, ("payload", "payload", Value::Count(self.payload)));
        if self.json {
            // Whoever closed the pipe has seen enough.
            let _ = serde_json::to_string(&row).map(|line| writeln!(io::stdout(), "{line}"));
        }
        self.rows.push(row);
    }

    /// Prints the table, and fails where something did not come as it should.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if !self.json {
            let _ = write!(io::stdout(), "{}", table(&self.rows));
        }
        let faults: Vec<&str> =
            self.rows.iter().filter(|row| !row.is_verified).flat_map(|row| &row.faults).map(String::as_str).collect();
        if self.rows.iter().all(|row| row.is_verified) {
            return Ok(());
        }
        Err(Failure::Running(format!("not every subscriber got each message once and in order: {}", faults.join("; "))))
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, _, value) in &self.fields {
            match value {
                Value::Unknown => {}
                Value::Count(count) => map.serialize_entry(key, count)?,
                Value::Number(number) => map.serialize_entry(key, &((number * 10.0).round() / 10.0))?,
                Value::Text(text) => map.serialize_entry(key, text)?,
                Value::Flag(flag) => map.serialize_entry(key, flag)?,
            }
        }
        map.serialize_entry("faults", &self.faults)?;
        map.end()
    }
}

/// Columns as wide as what is in them, numbers to the right; the titles are those of the first row.
fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut lines: Vec<Vec<String>> = vec![first.fields.iter().map(|(_, title, _)| (*title).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.fields.iter().map(|(_, _, value)| shown(value)).collect()));
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..lines[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let is_text = |column: usize| matches!(first.fields[column].2, Value::Text(_));
    let mut text = String::new();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let cell = if is_text(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(gap);
            text.push_str(&cell);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Unknown => "-".to_owned(),
        Value::Count(count) => thousands(&count.to_string()),
        Value::Number(number) if *number >= 1_000.0 => thousands(&format!("{number:.0}")),
        Value::Number(number) => format!("{number:.1}"),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => if *flag { "yes" } else { "NO" }.to_owned(),
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: f64) -> Row {
        let mut row = Row::new("fanout");
        row.add("count", "count", 1_234_567_u64.into());
        row.add("number", "a number", number.into());
        row.add("unknown", "unknown", None::<u64>.into());
        row.verdict(Tally::default(), &[]);
        row
    }

    #[test]
    fn a_table_lines_up_and_a_program_gets_plain_numbers() {
        let expected = "scenario      count  a number  unknown  verified\n\
                        fanout    1,234,567       1.2        -       yes\n\
                        fanout    1,234,567    12,345        -       yes\n";
        assert_eq!(table(&[row(1.24), row(12_345.4)]), expected);
        let json = serde_json::to_string(&row(1.24)).unwrap();
        assert_eq!(json, r#"{"scenario":"fanout","count":1234567,"number":1.2,"verified":true,"faults":[]}"#);
    }

    #[test]
    fn a_fault_is_no_success() {
        let mut row = Row::new("fanout");
        row.verdict(Tally { missing: 2, ..Tally::default() }, &["bye".to_owned()]);
        assert!(!row.is_verified);
        assert_eq!(row.faults, ["2 missing, 0 repeated or late, 0 altered", "the server says \"bye\""]);
    }
}
