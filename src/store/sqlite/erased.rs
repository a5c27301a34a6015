//! What was erased: a short list in the store of what was redacted and deleted, written with the deed itself.
//!
//! Whoever keeps something derived from messages looks at it to know what must go there too, also after a crash between the
//! two. It says where, never what.

use crate::model::Seq;

use super::database::Database;
use super::rows::GroupRow;

/// The name of the list among the store's own values.
pub(super) const NAME: &str = "erased";

/// Entries kept; who is further behind has to begin anew.
const KEPT: usize = 512;

/// Marks an entry that is a room.
const ROOM: u64 = 1 << 63;

/// Something that was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Erased {
    /// The message at a place.
    Message(u64),
    /// The room with an id.
    Room(u64),
}

/// The list as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// All there ever were.
    pub(super) count: u64,
    /// The last ones, in order.
    last: Vec<u64>,
}

impl List {
    /// The list of a value, empty where that is none.
    pub(super) fn parse(value: &[u8]) -> Self {
        let numbers = value.chunks_exact(8).map(|bytes| u64::from_le_bytes(std::array::from_fn(|at| bytes[at])));
        let mut numbers = numbers.into_iter();
        Self { count: numbers.next().unwrap_or(0), last: numbers.collect() }
    }

    /// What came behind so many; `None` where that is not known any more.
    pub(super) fn since(&self, count: u64) -> Option<impl Iterator<Item = Erased> + '_> {
        let new = usize::try_from(self.count.checked_sub(count)?).ok()?;
        let from = self.last.len().checked_sub(new)?;
        let entry = |number: &u64| match number & ROOM {
            0 => Erased::Message(*number),
            _ => Erased::Room(number & !ROOM),
        };
        Some(self.last[from..].iter().map(entry))
    }

    fn push(&mut self, erased: Erased) {
        self.count += 1;
        self.last.push(match erased {
            Erased::Message(pos) => pos,
            Erased::Room(id) => id | ROOM,
        });
    }

    fn bytes(&self) -> Vec<u8> {
        let last = &self.last[self.last.len().saturating_sub(KEPT)..];
        std::iter::once(&self.count).chain(last).flat_map(|number| number.to_le_bytes()).collect()
    }
}

impl Erased {
    /// The message with a number of a group.
    pub(super) const fn message(row: &GroupRow, seq: Seq) -> Self {
        Self::Message(row.pos + (seq.0 - row.first.0))
    }
}

impl Database {
    /// Adds to the list, in the transaction that erases.
    pub(super) fn note_erased(&self, erased: &[Erased]) -> rusqlite::Result<()> {
        if erased.is_empty() {
            return Ok(());
        }
        let mut list = List::parse(&self.meta(NAME)?.unwrap_or_default());
        for erased in erased {
            list.push(*erased);
        }
        self.set_meta(NAME, &list.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_behind_is_told_as_long_as_it_is_kept() {
        let mut list = List::default();
        list.push(Erased::Message(7));
        list.push(Erased::Room(3));
        let read = List::parse(&list.bytes());
        let since = |list: &List, count| list.since(count).map(Iterator::collect::<Vec<_>>);
        assert_eq!(since(&read, 0), Some(vec![Erased::Message(7), Erased::Room(3)]));
        assert_eq!(since(&read, 1), Some(vec![Erased::Room(3)]));
        assert_eq!(since(&read, 2), Some(vec![]));
        assert_eq!(since(&read, 3), None, "another store");
        (0..KEPT as u64).for_each(|pos| list.push(Erased::Message(pos)));
        let read = List::parse(&list.bytes());
        assert_eq!(since(&read, 1), None);
        assert_eq!(since(&read, 2).map(|all| all.len()), Some(KEPT));
        assert_eq!(List::parse(b"short"), List::default());
    }
}
