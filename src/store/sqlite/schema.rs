//! The tables, how a connection to them is set up, and the step from an older form of them to this one.
//!
//! Here is every pragma with its reason; no message passes through.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::rows::{self, RoomRow};

/// What marks the file as ours: "line".
const APPLICATION: i32 = 0x6c69_6e65;

/// The form of the tables that this program writes.
const VERSION: i32 = 1;

/// How long a statement waits for another program that looks into the file, or for our reader to end a read.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// Statements kept ready: all that there are.
const STATEMENTS: usize = 64;

/// A row for each group of messages, not for each message: see "The store" in `docs/performance.md`. Small columns stand
/// before `data`, so that they are read without it. Every row of a room bears a checksum, see `rows`. That a key names one
/// room is held by the writer, not by its index: a damaged row must not keep a new room from its name.
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE kv (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, epoch TEXT NOT NULL, state INTEGER NOT NULL,
        oldest INTEGER NOT NULL, newest INTEGER NOT NULL, last_ts INTEGER NOT NULL, bytes INTEGER NOT NULL,
        end_pos INTEGER NOT NULL, keep_messages INTEGER NOT NULL, keep_bytes INTEGER NOT NULL,
        keep_age_ms INTEGER NOT NULL, crc INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX rooms_by_key ON rooms (key) WHERE state = 0;
    CREATE TABLE groups (
        pos INTEGER PRIMARY KEY, room INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
        floor INTEGER NOT NULL, last_ts INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX groups_by_room ON groups (room, first);
    CREATE TABLE keys (
        pos INTEGER PRIMARY KEY, room INTEGER NOT NULL, last_ts INTEGER NOT NULL, crc INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE TABLE done (room INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (room, seq)) STRICT, WITHOUT ROWID;
";

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    if is_new(&connection, path)? {
        begin(&connection).map_err(failed)?;
    }
    set_up(&connection).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    migrate(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// A connection that only reads, beside the writer.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Pages near the newest messages of the rooms that are read; the system caches the file too.
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// The same for a file that may not be ours, or not be there to be read by this program.
pub(super) fn open_archive(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let connection = open_reader(path).map_err(failed)?;
    if is_new(&connection, path)? {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    Ok(connection)
}

/// A new file with its tables, which is nothing before it was synced as a whole: it keeps no journal.
pub(super) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    begin(&connection)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    migrate(&mut connection)?;
    Ok(connection)
}

/// What is decided for a file before there is anything in it.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    // The size that disks and the system's cache work in: a commit of one short message writes three pages, and larger
    // ones would make it dearer without making long groups much cheaper.
    connection.pragma_update(None, "page_size", 4096)?;
    // Free pages can be given back in small steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")
}

/// All rooms as their rows stand.
pub(super) fn rooms(connection: &Connection) -> rusqlite::Result<Vec<RoomRow>> {
    let mut statement = connection.prepare(&format!("SELECT {} FROM rooms ORDER BY id", rows::ROOM))?;
    let rows = statement.query_map([], |row| Ok(RoomRow::read(row)))?;
    rows.collect()
}

/// Pages in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// All of them.
    pub(super) pages: u64,
    /// Those that are not in the file yet.
    pub(super) waiting: u64,
}

/// How long the log is.
pub(super) fn log(connection: &Connection) -> rusqlite::Result<Log> {
    connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| {
        let number = |at| row.get::<_, i64>(at).map(|number| number.max(0).cast_unsigned());
        let (pages, copied) = (number(1)?, number(2)?);
        Ok(Log { pages, waiting: pages.saturating_sub(copied) })
    })
}

/// Copies what is in the log into the file, synced, and empties it; whether that could be, as readers let it.
pub(super) fn checkpoint_all(connection: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(patience)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
    connection.busy_timeout(BUSY)?;
    Ok(busy == 0)
}

/// Copies what can be copied without waiting for anyone.
pub(super) fn checkpoint_some(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Whether there is nothing in the file yet; an error where it is not ours to write.
fn is_new(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    connection.busy_timeout(BUSY).map_err(failed)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (application, version) {
        (APPLICATION, version) if version > VERSION => Err(OpenError::Newer { path: path.to_owned(), version }),
        (APPLICATION, _) => Ok(false),
        (0, 0) if tables == 0 => Ok(true),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    let set = |name, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    // Readers never hold up the writer, and a commit is one sync of one file.
    set("journal_mode", &"WAL")?;
    // The log is synced at every commit: what was told is there.
    set("synchronous", &"FULL")?;
    // The writer decides when, so that nobody's commit waits for it unasked.
    set("wal_autocheckpoint", &0)?;
    // Freed bytes are overwritten where that costs no extra page. What is redacted or deleted by someone is overwritten
    // always, see `commit`; what retention lets go may stay on a free page until it is used again.
    set("secure_delete", &"FAST")?;
    // A commit's dirty pages, so that none is written twice, and the inner pages of the index.
    set("cache_size", &-16_384)?;
    set("temp_store", &"MEMORY")?;
    // Damage is seen when a page is read, not when it is used.
    set("cell_size_check", &true)?;
    set("foreign_keys", &false)
}

/// Makes the tables, or brings older ones up to date, in one transaction.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    // A later form adds its step here: `if version < 2 { … }`.
    if version < 1 {
        transaction.execute_batch(TABLES)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
