//! The index: a database file of its own that says which messages hold a word, and nothing else of them.
//!
//! It is cut into parts of as many messages, in the order of their commits, each a full-text table that holds no text and no places
//! within one. So what is searched comes newest first, what rooms let go goes with whole parts, and erasing costs the writing of one
//! part anew. It may be thrown away at any time; it knows no message.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

/// The form of the tables; a file of another one is made anew.
const VERSION: i32 = 1;

/// Messages of a part: few enough that writing one anew takes a fraction of a second.
pub(super) const PART: u64 = 32_768;

/// Pages given back in one step, 4 MiB.
const PAGES: i64 = 1024;

/// Pages of the log, 16 MiB, after which it is copied into the file.
const LOG_PAGES: i64 = 4096;

const TABLES: &str = "
    CREATE TABLE state (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE parts (
        id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL,
        oldest_ts INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE part_rooms (
        room INTEGER NOT NULL, part INTEGER NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (room, part)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX part_rooms_by_part ON part_rooms (part, room);
";

/// How far the index is, written with what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// What tells the store that it is of.
    pub(super) store: Vec<u8>,
    /// The place up to which messages are in it.
    pub(super) next: u64,
    /// What tells whether the last of these is still there.
    pub(super) mark: String,
    /// How much of what was erased is out of it.
    pub(super) erased: u64,
    /// Whether it once had all there was.
    pub(super) is_whole: bool,
}

/// A message to be found.
#[derive(Debug)]
pub(super) struct Doc {
    pub(super) pos: u64,
    pub(super) room: u64,
    pub(super) ts: u64,
    /// Each with a blank in front of it.
    pub(super) tokens: String,
}

/// Some of the messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) id: i64,
    pub(super) last: u64,
    rows: u64,
    oldest_ts: u64,
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) connection: Connection,
    pub(super) state: State,
    current: Option<Part>,
}

/// The token of a room: no word has such a character.
pub(super) fn room_token(room: u64) -> String {
    format!("_{room}")
}

/// The file of the index of a store.
pub(super) fn beside(messages: &Path) -> PathBuf {
    messages.with_file_name("search.db")
}

/// Takes the files of an index away.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Index {
    /// Opens the file, which is made where it is missing; an error where it is none of ours.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        made.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let mut connection = Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What a loss of power takes is indexed again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // Each copying syncs twice, on the disk that messages are synced to.
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        // Freed pages hold words of what was redacted.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        } else if version != VERSION {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let mut index = Self { connection, state: State::default(), current: None };
        index.load()?;
        Ok(index)
    }

    fn load(&mut self) -> rusqlite::Result<()> {
        let number = |name: &str| -> rusqlite::Result<u64> {
            let sql = "SELECT value FROM state WHERE name = ?1";
            let found = self.connection.query_row(sql, [name], |row| row.get::<_, i64>(0)).optional()?;
            Ok(found.unwrap_or(0).cast_unsigned())
        };
        let text = |name: &str| -> rusqlite::Result<Vec<u8>> {
            let sql = "SELECT value FROM state WHERE name = ?1";
            let found = self.connection.query_row(sql, [name], |row| row.get::<_, Vec<u8>>(0)).optional()?;
            Ok(found.unwrap_or_default())
        };
        self.state = State {
            store: text("store")?,
            next: number("next")?.max(1),
            mark: String::from_utf8(text("mark")?).unwrap_or_default(),
            erased: number("erased")?,
            is_whole: number("is_whole")? == 1,
        };
        self.current = self.parts(u64::MAX)?.first().copied();
        Ok(())
    }

    /// Parts that begin before a time, the newest first.
    pub(super) fn parts(&self, until: u64) -> rusqlite::Result<Vec<Part>> {
        let sql = "SELECT id, last, rows, oldest_ts FROM parts WHERE oldest_ts <= ?1 ORDER BY id DESC";
        let part = |row: &rusqlite::Row<'_>| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(Part { id: row.get(0)?, last: number(1)?, rows: number(2)?, oldest_ts: number(3)? })
        };
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        self.connection.prepare_cached(sql)?.query_map([until], part)?.collect()
    }

    /// The parts that hold messages of a room.
    pub(super) fn parts_of(&self, room: u64) -> rusqlite::Result<Vec<i64>> {
        let sql = "SELECT part FROM part_rooms WHERE room = ?1 ORDER BY part";
        self.connection.prepare_cached(sql)?.query_map([room.cast_signed()], |row| row.get(0))?.collect()
    }

    /// The rooms of a part, or of all, with how many messages of each are there.
    pub(super) fn rooms(&self, part: Option<i64>) -> rusqlite::Result<Vec<(u64, u64)>> {
        let sql = "SELECT room, sum(rows) FROM part_rooms WHERE ?1 IS NULL OR part = ?1 GROUP BY room";
        let numbers = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        };
        self.connection.prepare_cached(sql)?.query_map([part], numbers)?.collect()
    }

    /// Takes messages in, each behind the one before, and notes how far it is.
    pub(super) fn add(&mut self, docs: &[Doc], state: State) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut current = self.current;
        let done = self.put(docs, &mut current).and_then(|()| self.note(&state));
        self.end(done)?;
        self.current = current;
        self.state = state;
        Ok(())
    }

    fn put(&self, docs: &[Doc], current: &mut Option<Part>) -> rusqlite::Result<()> {
        let mut line = String::new();
        for doc in docs {
            let part = match current {
                Some(part) if part.rows < PART => part,
                _ => current.insert(self.begin_part(doc)?),
            };
            line.clear();
            line.push_str(&room_token(doc.room));
            line.push_str(&doc.tokens);
            let sql = format!("INSERT INTO part_{} (rowid, t) VALUES (?1, ?2)", part.id);
            self.connection.prepare_cached(&sql)?.execute(params![doc.pos.cast_signed(), line])?;
            let sql = "INSERT INTO part_rooms (room, part, rows) VALUES (?1, ?2, 1)
                ON CONFLICT (room, part) DO UPDATE SET rows = rows + 1";
            self.connection.prepare_cached(sql)?.execute([doc.room.cast_signed(), part.id])?;
            part.rows += 1;
            part.last = doc.pos;
            part.oldest_ts = part.oldest_ts.min(doc.ts);
            let is_full = part.rows == PART;
            if is_full {
                self.write_part(part)?;
            }
        }
        current.as_ref().map_or(Ok(()), |part| self.write_part(part))
    }

    fn begin_part(&self, doc: &Doc) -> rusqlite::Result<Part> {
        let id: i64 = self.connection.query_row("SELECT ifnull(max(id), 0) + 1 FROM parts", [], |row| row.get(0))?;
        // No text, no places of words within one: `words` looks at the message itself. What is deleted goes by the next merge.
        self.connection.execute_batch(&format!(
            "CREATE VIRTUAL TABLE part_{id} USING fts5(t, content='', contentless_delete=1, detail=none, tokenize=\"ascii tokenchars '_'\")"
        ))?;
        let sql = "INSERT INTO parts (id, first, last, rows, oldest_ts) VALUES (?1, ?2, ?2, 0, ?3)";
        self.connection.prepare_cached(sql)?.execute([id, doc.pos.cast_signed(), doc.ts.cast_signed()])?;
        Ok(Part { id, last: doc.pos, rows: 0, oldest_ts: doc.ts })
    }

    fn write_part(&self, part: &Part) -> rusqlite::Result<()> {
        let sql = "UPDATE parts SET last = ?2, rows = ?3, oldest_ts = ?4 WHERE id = ?1";
        let (last, rows, ts) = (part.last.cast_signed(), part.rows.cast_signed(), part.oldest_ts.cast_signed());
        self.connection.prepare_cached(sql)?.execute([part.id, last, rows, ts]).map(drop)
    }

    /// Notes how far it is.
    pub(super) fn note(&self, state: &State) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO state (name, value) VALUES (?1, ?2)";
        let mut set = self.connection.prepare_cached(sql)?;
        set.execute(params!["store", state.store])?;
        set.execute(params!["next", state.next.cast_signed()])?;
        set.execute(params!["mark", state.mark.as_bytes()])?;
        set.execute(params!["erased", state.erased.cast_signed()])?;
        set.execute(params!["is_whole", state.is_whole]).map(drop)
    }

    /// Takes single messages out, whole rooms, or what rooms had up to a place; then nothing of them can be read in the file.
    pub(super) fn erase(&mut self, places: &[u64], rooms: &[(u64, u64)], state: State) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = self.take_out(places, rooms).and_then(|()| self.note(&state));
        self.end(done)?;
        self.state = state;
        self.erased()
    }

    /// Takes out a whole part.
    pub(super) fn drop_part(&mut self, part: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let room = "DELETE FROM part_rooms WHERE part = ?1";
        let done = self.connection.execute(room, [part]).and_then(|_| self.drop_table(part));
        self.end(done)?;
        self.erased()
    }

    fn drop_table(&self, part: i64) -> rusqlite::Result<()> {
        self.connection.execute(&format!("DROP TABLE part_{part}"), [])?;
        self.connection.execute("DELETE FROM parts WHERE id = ?1", [part]).map(drop)
    }

    /// Sees to it that what was taken out is in no page any more.
    fn erased(&mut self) -> rusqlite::Result<()> {
        self.current = self.parts(u64::MAX)?.first().copied();
        // The log has the pages as they were.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let mut vacuum = self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    fn take_out(&self, places: &[u64], rooms: &[(u64, u64)]) -> rusqlite::Result<()> {
        let mut touched = Vec::new();
        for pos in places {
            let sql = "SELECT id FROM parts WHERE first <= ?1 AND last >= ?1";
            let mut found = self.connection.prepare_cached(sql)?;
            let parts: Vec<i64> = found.query_map([pos.cast_signed()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for part in parts {
                self.connection.execute(&format!("DELETE FROM part_{part} WHERE rowid = ?1"), [pos.cast_signed()])?;
                touched.push(part);
            }
        }
        for (room, end) in rooms {
            for part in self.parts_of(*room)? {
                let sql = format!(
                    "DELETE FROM part_{part} WHERE rowid IN (SELECT rowid FROM part_{part} WHERE part_{part} MATCH ?1 AND rowid < ?2)"
                );
                let token = format!("\"{}\"", room_token(*room));
                self.connection.execute(&sql, params![token, end.min(&(i64::MAX as u64)).cast_signed()])?;
                let sql = "DELETE FROM part_rooms WHERE room = ?1 AND part = ?2
                    AND (SELECT last FROM parts WHERE id = ?2) < ?3";
                let end = end.min(&(i64::MAX as u64)).cast_signed();
                self.connection.prepare_cached(sql)?.execute([room.cast_signed(), part, end])?;
                touched.push(part);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for part in touched {
            let is_left = self.connection.prepare_cached("SELECT 1 FROM part_rooms WHERE part = ?1")?.exists([part])?;
            if is_left {
                // Written anew without what was deleted.
                self.connection.execute(&format!("INSERT INTO part_{part} (part_{part}) VALUES ('optimize')"), [])?;
            } else {
                self.drop_table(part)?;
            }
        }
        Ok(())
    }

    fn end(&self, done: rusqlite::Result<()>) -> rusqlite::Result<()> {
        if done.is_err() {
            // The first error says what is wrong.
            let _ = self.connection.execute_batch("ROLLBACK");
            return done;
        }
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}
