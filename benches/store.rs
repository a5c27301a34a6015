//! What the SQLite store takes: `cargo bench --bench store`, in a directory on the disk in question (`TMPDIR`).
//!
//! Messages of 128 bytes in 8 rooms, in groups of some sizes, with as much in flight as connections may have; then the same
//! bytes with a row for each message, which is what the tables are compared with; then reads. Prints a table.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linehub::model::{ConnId, Epoch, Identity, Nick, Place, RoomName, Sender, Seq};
use linehub::store::sqlite::{Opened, Options, STORE_QUEUE, open};
use linehub::store::{Boot, Event, Group, GroupDraft, Pos, Record, Retention, RoomKey, Stretch, Ticket, Write};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROOMS: u64 = 8;
/// Groups in flight, of each room.
const FLIGHT: u64 = 4;
const TIME: Duration = Duration::from_secs(5);

fn main() {
    let path = std::env::temp_dir().join(format!("linehub-bench-{}", std::process::id()));
    println!("{:<34} {:>12} {:>11} {:>11}", "", "messages/s", "CPU ns each", "bytes each");
    for keep in [0, 100_000] {
        for size in [1, 8, 64, 256, 1_024] {
            engine(&path, size, keep);
        }
    }
    for size in [64, 1_024] {
        rows(&path, size);
    }
    reads(&path);
}

fn group(size: u64) -> Arc<Group> {
    let nick = Arc::new(Nick::parse("ada").expect("a nick"));
    let sender = Arc::new(Sender { conn: ConnId(1), identity: Identity::Guest(1), nick, account: None });
    let body = format!("\"{}\"", "x".repeat(126));
    let mut draft = GroupDraft::new(Boot(1));
    for _ in 0..size {
        let (sender, body) = (Arc::clone(&sender), body.as_bytes());
        draft.push(&Record { sender, to: None, ts: 1, headers: None, body, key: None, redacted: false });
    }
    Arc::new(draft.seal())
}

fn start(path: &Path) -> Opened {
    let options = Options { boot: Boot(1), keys_age: Duration::from_secs(120), queue_bytes: STORE_QUEUE };
    open(path, options).expect("it opens")
}

fn end(opened: Opened) {
    let Opened { store, mut events, closed, .. } = opened;
    drop(store);
    while events.blocking_recv().is_some() {}
    closed.blocking_recv().expect("it closes");
}

fn room(at: u64) -> RoomKey {
    RoomKey(format!("room-{at}").into())
}

fn append(opened: &Opened, at: u64, keep: u64, group: &Arc<Group>) {
    let keep = Retention { messages: keep, ..Retention::default() };
    let write =
        Write::Append { ticket: Ticket(at), room: room(at), epoch: Epoch("e".into()), keep, group: Arc::clone(group) };
    opened.store.write(vec![write]).expect("it is taken");
}

/// Every room has its next group given in as soon as one of its groups is committed.
fn engine(path: &Path, size: u64, keep: u64) {
    let mut opened = start(path);
    let group = group(size);
    for _ in 0..FLIGHT {
        (0..ROOMS).for_each(|at| append(&opened, at, keep, &group));
    }
    let (begun, cpu) = (Instant::now(), cpu());
    let mut messages = 0;
    while begun.elapsed() < TIME {
        match opened.events.blocking_recv().expect("it runs") {
            Event::Committed(committed) => {
                messages += size;
                let ticket = committed.ticket.expect("ours");
                append(&opened, ticket.0, keep, &group);
            }
            Event::Trimmed(..) => {}
            other => panic!("{other:?}"),
        }
    }
    let name = format!("groups of {size}{}", if keep == 0 { "" } else { ", keeping 100,000" });
    report(&name, messages, begun.elapsed(), self::cpu().saturating_sub(cpu), path);
    end(opened);
    remove(path);
}

/// As many messages to a transaction as the engine has in a commit, each a row of its own.
fn rows(path: &Path, size: u64) {
    std::fs::create_dir_all(path).expect("a directory");
    let connection = rusqlite::Connection::open(path.join("messages.db")).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
            CREATE TABLE messages (pos INTEGER PRIMARY KEY, room INTEGER, seq INTEGER, ts INTEGER, sender TEXT, data BLOB);
            CREATE UNIQUE INDEX by_room ON messages (room, seq);",
        )
        .expect("tables");
    let body = "x".repeat(128).into_bytes();
    let (begun, cpu) = (Instant::now(), cpu());
    let mut messages = 0;
    let mut seq = 0_i64;
    while begun.elapsed() < TIME {
        connection.execute_batch("BEGIN").expect("it begins");
        let mut insert = connection
            .prepare_cached("INSERT INTO messages (room, seq, ts, sender, data) VALUES (?1, ?2, 1, 'ada', ?3)")
            .expect("a statement");
        for room in 0..ROOMS.cast_signed() {
            for next in 0..(size * FLIGHT / 2).cast_signed() {
                insert.execute((room, seq + next, &body)).expect("a row");
                messages += 1;
            }
        }
        seq += (size * FLIGHT / 2).cast_signed();
        connection.execute_batch("COMMIT").expect("it commits");
    }
    report(
        &format!("a row each, as groups of {size}"),
        messages,
        begun.elapsed(),
        self::cpu().saturating_sub(cpu),
        path,
    );
    drop(connection);
    remove(path);
}

/// The newest 50 of a room of a million messages, and a scan of one.
fn reads(path: &Path) {
    let mut opened = start(path);
    let group = group(64);
    for _ in 0..1_000_000 / 64 / 16 {
        (0..16).for_each(|_| append(&opened, 0, 0, &group));
        for _ in 0..16 {
            opened.events.blocking_recv().expect("it runs");
        }
    }
    let place = Place::Room(Arc::new(RoomName::parse("room-0").expect("a name")));
    let newest = Stretch {
        room: room(0),
        place,
        first: Seq(1),
        end: Seq(u64::MAX - 1),
        after: Pos(0),
        since: 0,
        until: u64::MAX,
        is_forward: false,
        count: 50,
        bytes: usize::MAX,
    };
    let middle = Stretch { first: Seq(500_000), is_forward: true, ..newest.clone() };
    let all = Stretch { first: Seq(1), is_forward: true, count: usize::MAX, ..newest.clone() };
    for (name, stretch, times) in
        [("the newest 50", newest, 2_000), ("50 in the middle", middle, 2_000), ("all", all, 1)]
    {
        let begun = Instant::now();
        for _ in 0..times {
            opened.store.read(Ticket(1), stretch.clone()).expect("it is taken");
            let Some(Event::Read(_, Ok(found))) = opened.events.blocking_recv() else { panic!("a read") };
            assert!(found.damaged.is_empty());
        }
        println!("{name} of a million: {:?}", begun.elapsed() / times);
    }
    end(opened);
    remove(path);
}

fn report(name: &str, messages: u64, time: Duration, cpu: Duration, path: &Path) {
    let file = std::fs::metadata(path.join("messages.db")).map_or(0, |file| file.len());
    let rate = u128::from(messages) * 1_000_000 / time.as_micros();
    let each = cpu.as_nanos() / u128::from(messages);
    println!("{name:<34} {rate:>12} {each:>11} {:>11}", file / messages);
}

/// CPU time of this process.
fn cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

fn remove(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}
