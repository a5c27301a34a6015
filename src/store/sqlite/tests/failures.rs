//! Disks that are full or held by another, directories that cannot be used, ends in the middle of work.
//!
//! Limits on files are set in a process of its own, since they hold for all of one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::super::{OpenError, Options, STORE_QUEUE, open};
use super::Files;
use crate::model::Seq;
use crate::store::contract::rig::{Engine, Rig, now, room, told};
use crate::store::{Boot, Event, Refused, Retention, Write};

fn options() -> Options {
    Options { boot: Boot(1), keys_age: Duration::from_secs(120), queue_bytes: STORE_QUEUE }
}

#[test]
fn one_server_at_a_time_has_the_directory() {
    let mut files = Files::new();
    let path = files.path().to_owned();
    let running = files.open(Boot(1), options().keys_age);
    let error = open(&path, options()).expect_err("it is taken");
    assert!(matches!(error, OpenError::Taken(_)));
    assert_eq!(error.to_string(), format!("the data directory {} is in use by another server", path.display()));
    files.close(running);
    let running = files.open(Boot(2), options().keys_age);
    files.close(running);
}

#[test]
fn only_the_owner_may_read_what_is_stored() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    rig.says(&room("ops"), "a");
    let path = rig.files().path().to_owned();
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut seen = 0;
    for file in fs::read_dir(&path).expect("it is there").flatten() {
        assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
        seen += 1;
    }
    assert_eq!(seen, 4, "the lock, the file, its log and the log's index");
}

#[test]
fn what_cannot_be_opened_is_told_in_words_with_its_path() {
    let files = Files::new();
    fs::create_dir(files.path()).expect("a directory");
    let file = files.path().join("file");
    fs::write(&file, "x").expect("a file");
    let below = open(&file.join("data"), options()).expect_err("a file is no directory");
    assert!(matches!(below, OpenError::Directory { .. }));
    assert!(below.to_string().starts_with(&format!("the data directory {}/data cannot be used: ", file.display())));

    fs::write(files.path().join("messages.db"), "this is no database at all, not by its first bytes").expect("a file");
    let foreign = open(files.path(), options()).expect_err("it is none");
    assert!(foreign.to_string().contains("messages.db"), "{foreign}");
    fs::remove_file(files.path().join("messages.db")).expect("it is there");

    let connection = rusqlite::Connection::open(files.path().join("messages.db")).expect("a database");
    connection.execute_batch("CREATE TABLE theirs (x)").expect("a table");
    let foreign = open(files.path(), options()).expect_err("another one's");
    assert!(matches!(foreign, OpenError::Foreign(_)), "{foreign}");
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let mut files = Files::new();
    let running = files.open(Boot(1), options().keys_age);
    files.close(running);
    let connection = rusqlite::Connection::open(files.path().join("messages.db")).expect("the file");
    connection.pragma_update(None, "user_version", 2).expect("it is set");
    drop(connection);
    let newer = open(files.path(), options()).expect_err("it is newer");
    assert!(matches!(newer, OpenError::Newer { version: 2, .. }), "{newer}");
}

#[test]
fn what_was_taken_is_committed_and_told_when_the_last_handle_goes() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let tickets: Vec<_> = (0..100)
        .map(|word| {
            let (ticket, write) = rig.append(&room("ops"), Retention::default(), &[told(word, now())]);
            rig.write(vec![write]);
            ticket
        })
        .collect();
    let running = rig.stop();
    drop(running.store);
    let mut events = running.events;
    let mut answered = Vec::new();
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Committed(committed) => answered.extend(committed.ticket),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, tickets);
    drop(rig);
    let closed = files.closed.take().expect("it was open");
    closed.blocking_recv().expect("it closes");
    assert!(!files.path().join("messages.db-wal").exists(), "the log was taken in");
    assert_eq!(Rig::new(&mut files).all(&room("ops")).len(), 100);
}

#[test]
fn a_batch_is_refused_when_as_much_waits_as_may() {
    let mut files = Files::new();
    files.queue_bytes = 10_000;
    let mut rig = Rig::new(&mut files);
    rig.says(&room("ops"), "a");
    let held = hold(&rig);
    let mut taken = 0;
    let refused = loop {
        let (_, write) = rig.append(&room("ops"), Retention::default(), &[told("b".repeat(1_000), now())]);
        match rig.running().store.write(vec![write]) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::Full);
    drop(held);
    for seq in 2..=taken + 1 {
        let first = rig.wait_for(|event| match event {
            Event::Committed(committed) => Some(committed.first),
            _ => None,
        });
        assert_eq!(first, Seq(seq));
    }
    assert_eq!(rig.says(&room("ops"), "c").first, Seq(taken + 2));
}

/// A connection of another program, which keeps everyone from writing.
fn hold(rig: &Rig<'_>) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(rig.files().path().join("messages.db")).expect("the file");
    connection.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    connection
}

#[test]
fn after_a_failure_everything_is_refused_until_it_was_seen_what_is_there() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    rig.says(&room("ops"), "a b");
    let held = hold(&rig);
    let mut in_flight = Vec::new();
    for _ in 0..3 {
        let (ticket, write) = rig.append(&room("ops"), Retention::default(), &[told("c", now())]);
        rig.write(vec![write]);
        in_flight.push(ticket);
    }
    let failed = rig.wait_for(|event| match event {
        // Nothing was in flight when it was the cleaning up that failed.
        Event::Failed(tickets) => (!tickets.is_empty()).then_some(tickets),
        other => panic!("{other:?}"),
    });
    assert_eq!(failed, in_flight, "also what was still waiting");
    let (_, write) = rig.append(&room("ops"), Retention::default(), &[told("d", now())]);
    assert_eq!(rig.running().store.write(vec![write]), Err(Refused::Failed));
    assert_eq!(rig.all(&room("ops")).len(), 2, "reads go on");
    drop(held);
    let states = rig.wait_for(|event| match event {
        Event::Restored(states) => Some(states),
        other => panic!("{other:?}"),
    });
    assert_eq!((states.rooms.len(), states.rooms[0].newest), (1, Seq(2)));
    assert_eq!(rig.says(&room("ops"), "e").first, Seq(3));
}

#[test]
fn a_store_that_has_failed_can_be_closed() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    rig.says(&room("ops"), "a");
    let held = hold(&rig);
    let (_, write) = rig.append(&room("ops"), Retention::default(), &[told("b", now())]);
    rig.write(vec![write]);
    rig.wait_for(|event| matches!(event, Event::Failed(_)).then_some(()));
    drop(rig);
    drop(held);
    assert_eq!(Rig::new(&mut files).all(&room("ops")).len(), 1);
}

/// What tells the process of a test that it is the one with the limit.
const INSIDE: &str = "LINEHUB_TEST_INSIDE";

/// Runs a test of this file again, in a process of its own that another program starts; what it said.
fn again(test: &str, starter: &[&str]) -> String {
    let program = std::env::current_exe().expect("this program");
    let name = format!("store::sqlite::tests::failures::{test}");
    let (starter, arguments) = starter.split_first().expect("a program");
    let output = Command::new(starter)
        .args(arguments)
        .arg(program)
        .args(["--exact", &name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap_or_else(|error| panic!("{starter}, which scripts/tools installs: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_full_disk_loses_nothing_that_was_told_and_goes_on_when_there_is_room() {
    if std::env::var_os(INSIDE).is_some() {
        return fill_the_disk();
    }
    // The signal that comes with the error is ignored; a process that is started inherits that.
    let starter = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let said = again("a_full_disk_loses_nothing_that_was_told_and_goes_on_when_there_is_room", &starter);
    assert!(said.contains("failed 5 times"), "it ran: {said}");
}

#[test]
fn a_sync_that_fails_is_no_commit_and_is_not_tried_again() {
    if std::env::var_os(INSIDE).is_some() {
        return fail_to_sync();
    }
    // Counted for each thread, and only the writer has as many: its thirtieth sync and the three after it.
    let fault = "inject=fsync,fdatasync:error=EIO:when=30..33";
    let starter = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", fault];
    let said = again("a_sync_that_fails_is_no_commit_and_is_not_tried_again", &starter);
    assert!(said.contains("failed once or more"), "it ran: {said}");
}

/// Says one thing after the other while some syncs fail.
fn fail_to_sync() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let ops = room("ops");
    let (mut newest, mut failures) = (0, 0);
    for word in 0..40 {
        let (ticket, write) = rig.append(&ops, Retention::default(), &[told(word, now())]);
        rig.write(vec![write]);
        let committed = rig.wait_for(|event| match event {
            Event::Committed(committed) => Some(Ok(committed)),
            Event::Failed(tickets) => Some(Err(tickets)),
            _ => None,
        });
        match committed {
            Ok(committed) => {
                assert_eq!(committed.ticket, Some(ticket));
                assert_eq!(committed.first, Seq(newest + 1));
                newest += 1;
            }
            Err(tickets) => {
                failures += 1;
                assert_eq!(tickets, [ticket]);
                let states = rig.wait_for(|event| match event {
                    Event::Restored(states) => Some(states),
                    other => panic!("{other:?}"),
                });
                assert!((newest..=newest + 1).contains(&states.rooms[0].newest.0), "what failed is there or is not");
                newest = states.rooms[0].newest.0;
            }
        }
    }
    assert!(failures > 0, "no sync failed");
    rig.reopen();
    assert!(rig.all(&ops).iter().map(|(seq, _)| *seq).eq(1..=newest));
    println!("failed once or more");
}

/// Five times there is no room for what is written, at another place each.
fn fill_the_disk() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let ops = room("ops");
    rig.says(&ops, "a");
    let free = getrlimit(Resource::Fsize);
    let mut told_newest = 1;
    for turn in 0..5 {
        let limit = 200_000 + 150_001 * turn;
        setrlimit(Resource::Fsize, rustix::process::Rlimit { current: Some(limit), ..free }).expect("a limit");
        let failed = loop {
            let words: Vec<_> = (0..20).map(|word| told(format!("{word}{}", "x".repeat(200)), now())).collect();
            let (ticket, write) = rig.append(&ops, Retention::default(), &words);
            if rig.running().store.write(vec![write]) == Err(Refused::Failed) {
                break rig.wait_for(|event| match event {
                    Event::Failed(tickets) => Some(tickets),
                    _ => None,
                });
            }
            let answer = rig.wait_for(|event| match event {
                Event::Failed(tickets) => Some(Err(tickets)),
                Event::Committed(committed) => (committed.ticket == Some(ticket)).then_some(Ok(committed)),
                _ => None,
            });
            match answer {
                Ok(committed) => told_newest = committed.first.0 + 19,
                Err(tickets) => break tickets,
            }
        };
        assert!(failed.len() <= 1);
        let put = Write::Put { ticket: rig.ticket(), name: "a".into(), value: None };
        assert_eq!(rig.running().store.write(vec![put]), Err(Refused::Failed));
        setrlimit(Resource::Fsize, free).expect("no limit");
        let states = rig.wait_for(|event| match event {
            Event::Restored(states) => Some(states),
            _ => None,
        });
        let newest = states.rooms[0].newest.0;
        assert!(newest == told_newest || newest == told_newest + 20, "{told_newest} were told, {newest} are there");
        told_newest = newest;
        let all = rig.all(&ops);
        assert!(all.iter().map(|(seq, _)| *seq).eq(1..=newest), "no number is missing or there twice");
        assert_eq!(rig.says(&ops, "on").first, Seq(newest + 1));
        told_newest += 1;
    }
    rig.reopen();
    assert_eq!(rig.all(&ops).len() as u64, told_newest);
    println!("failed 5 times");
}

#[test]
fn what_a_room_does_not_keep_leaves_the_file_beside_what_comes() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let ops = room("ops");
    for _ in 0..300 {
        rig.says(&ops, "a b");
    }
    let keep = Retention { messages: 3, ..Retention::default() };
    rig.say(&ops, keep, &[told("c", now())]);
    let path = rig.files().path().join("messages.db");
    let count = || -> i64 {
        let connection = rusqlite::Connection::open(&path).expect("the file");
        connection.query_row("SELECT count(*) FROM groups", [], |row| row.get(0)).expect("a count")
    };
    assert!(count() > 100, "not all at once");
    let mut left = count();
    for _ in 0..1_000 {
        rig.done(|ticket| Write::Put { ticket, name: "a".into(), value: None });
        left = count();
        if left == 2 {
            break;
        }
    }
    assert_eq!(left, 2);
    assert_eq!(rig.all(&ops).len(), 3);
}

#[test]
fn the_log_does_not_grow_with_what_is_written() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let said = [told("x".repeat(60_000), now())];
    for _ in 0..600 {
        rig.say(&room("ops"), Retention::default(), &said);
    }
    let log = fs::metadata(rig.files().path().join("messages.db-wal")).expect("a log").len();
    assert!(log < 12 << 20, "36 MB were written, and the log has {log} bytes");
}

#[test]
fn the_file_of_a_store_that_holds_less_becomes_smaller() {
    let mut files = Files::new();
    let mut rig = Rig::new(&mut files);
    let said = [told("x".repeat(60_000), now())];
    for _ in 0..200 {
        rig.say(&room("ops"), Retention::default(), &said);
    }
    rig.done(|ticket| Write::Delete { ticket, room: room("ops") });
    let path = rig.files().path().join("messages.db");
    let len = || fs::metadata(&path).expect("the file").len();
    let begun = Instant::now();
    // Emptying the log is what makes the file shorter.
    while begun.elapsed() < Duration::from_secs(20) && !(1..6 << 20).contains(&len()) {
        rig.says(&room("lab"), "a");
    }
    assert!((1..6 << 20).contains(&len()), "12 MB went, and there are {}", len());
}
