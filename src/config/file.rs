//! Reads the TOML file into a draft, with the line and column of everything that is wrong in it.
//!
//! The document is walked as the parser's own tree, whose every key and value knows its place, and each key is looked up
//! in the schema; a derived reader would stop at the first mistake.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::load::Draft;
use super::problem::{Place, hint};
use super::schema::{Entry, KEYS, LISTEN, ROOMS};
use super::value::Value;
use super::{Listen, Protocol, RoomRule};
use crate::model::Pattern;

/// Reads a file into a draft.
pub(super) fn read(path: &Path, draft: &mut Draft) {
    let whole = || Place::File(path.to_owned());
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Reader { path, text: &text, draft }.document(),
        Ok(Err(error)) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            draft.problem(place(path, &text, good), "a configuration is UTF-8, and this byte is not");
        }
        Err(error) => draft.problem(whole(), format!("cannot be read: {error}")),
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    draft: &'a mut Draft,
}

impl Reader<'_> {
    fn document(&mut self) {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            self.problem(at..at, error.message());
        }
        // What was salvaged from a broken document would bring problems that nobody wrote.
        if !errors.is_empty() {
            return;
        }
        for (name, value) in root.get_ref() {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("listen", _) => {
                    let blank = || Listen { addr: ([0, 0, 0, 0], 0).into(), protocol: Protocol::Auto };
                    if let Some(listen) = self.tables("listen", value, LISTEN, "addr", &blank) {
                        self.draft.config.listen = listen;
                    }
                }
                ("rooms", _) => {
                    if let Some(rooms) =
                        self.tables("rooms", value, ROOMS, "pattern", &|| RoomRule::new(Pattern::all()))
                    {
                        self.draft.config.rooms = rooms;
                    }
                }
                (table, DeValue::Table(keys)) if is_table(table) => self.table(table, keys),
                (table, _) if is_table(table) => {
                    self.problem(value.span(), format!("`{table}` is a table, written as `[{table}]`"));
                }
                (unknown, _) => self.unknown_table(unknown, name.span()),
            }
        }
    }

    fn table(&mut self, table: &str, keys: &DeTable<'_>) {
        for (name, value) in keys {
            let name_text = name.get_ref().as_ref();
            if let Some(key) = KEYS.iter().find(|key| key.table == table && key.name == name_text) {
                let at = self.place(value.span().start);
                self.draft.set(key, &Value::Toml(value.get_ref()), at);
            } else {
                let known = KEYS.iter().filter(|key| key.table == table).map(|key| key.name);
                let hint = hint(name_text, known);
                self.problem(name.span(), format!("`[{table}]` has no key `{name_text}`{hint}"));
            }
        }
    }

    /// Reads an array of tables; `None` where nothing of it can be used, so that what there was stays.
    fn tables<T>(
        &mut self,
        table: &str,
        value: &Spanned<DeValue<'_>>,
        entries: &[Entry<T>],
        needed: &str,
        blank: &dyn Fn() -> T,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = value.get_ref() else {
            self.problem(value.span(), format!("`{table}` can be there many times, each written as `[[{table}]]`"));
            return None;
        };
        let whole = self.place(value.span().start);
        self.draft.place(table.to_owned(), whole);
        let mut made = Vec::new();
        for (at, element) in array.iter().enumerate() {
            let DeValue::Table(keys) = element.get_ref() else {
                self.problem(element.span(), format!("each `{table}` is a table, written as `[[{table}]]`"));
                continue;
            };
            let start = keys.keys().map(|key| key.span().start).min().unwrap_or(element.span().start);
            let here = self.place(start);
            self.draft.place(format!("{table}[{}]", made.len()), here);
            let mut entry = blank();
            let mut good = true;
            for (name, value) in keys {
                good &= self.entry(table, entries, &mut entry, name, value);
            }
            if !keys.keys().any(|key| key.get_ref() == needed) {
                self.problem(element.span(), format!("`[[{table}]]` number {} needs `{needed}`", at + 1));
                good = false;
            }
            // Half an entry would not fit with others for reasons that nobody wrote.
            if good {
                made.push(entry);
            }
        }
        if made.is_empty() && !array.is_empty() {
            return None;
        }
        Some(made)
    }

    /// Reads one key of an entry; whether it was right.
    fn entry<T>(
        &mut self,
        table: &str,
        entries: &[Entry<T>],
        entry: &mut T,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> bool {
        let name_text = name.get_ref().as_ref();
        let Some(found) = entries.iter().find(|known| known.name == name_text) else {
            let hint = hint(name_text, entries.iter().map(|known| known.name));
            self.problem(name.span(), format!("`[[{table}]]` has no key `{name_text}`{hint}"));
            return false;
        };
        let read = (found.set)(entry, &Value::Toml(value.get_ref()));
        if let Err(message) = &read {
            self.problem(value.span(), format!("`{name_text}` {message}"));
        }
        read.is_ok()
    }

    fn unknown_table(&mut self, name: &str, span: Range<usize>) {
        let hint = match KEYS.iter().find(|key| key.name == name) {
            Some(key) => format!("; it belongs under `[{}]`", key.table),
            None if name == "tls" => ": this version does not speak TLS".to_owned(),
            None => hint(name, KEYS.iter().map(|key| key.table).chain(["listen", "rooms"])),
        };
        self.problem(span, format!("there is no table or key `{name}`{hint}"));
    }

    fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        let place = self.place(span.start);
        self.draft.problem(place, message);
    }

    fn place(&self, at: usize) -> Place {
        place(self.path, self.text, at)
    }
}

fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.table == name)
}

/// Line and column of a byte.
fn place(path: &Path, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Place::Line { file: path.to_owned(), line, column }
}
