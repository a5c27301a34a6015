//! What is this index's own: its file, what becomes of it, and what can be read in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::reindex;
use super::Follower;
use super::index::{PART, beside};
use crate::model::Seq;
use crate::store::contract::rig::{Rig, everything, now, query, room, told};
use crate::store::sqlite::tests::Files;
use crate::store::{Event, Query, Retention, Scope, Searched, Write};

fn all() -> Searched {
    Searched(Arc::new(|_| true))
}

/// Whether a word can be read anywhere in the files of the index.
fn can_be_read(files: &Path, word: &str) -> bool {
    let holds = |file: &fs::DirEntry| {
        let bytes = fs::read(file.path()).expect("it can be read");
        bytes.windows(word.len()).any(|bytes| bytes == word.as_bytes())
    };
    let is_index = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with("search.db");
    fs::read_dir(files).expect("it is there").flatten().filter(is_index).any(|file| holds(&file))
}

#[test]
fn this_sqlite_has_full_text_tables() {
    let connection = rusqlite::Connection::open_in_memory().expect("memory");
    let mut options = connection.prepare("PRAGMA compile_options").expect("it is known");
    let options = options.query_map([], |row| row.get::<_, String>(0)).expect("options");
    assert!(options.flatten().any(|option| option == "ENABLE_FTS5"));
}

#[test]
fn an_index_that_is_gone_damaged_or_of_other_messages_is_made_anew() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    rig.says(&room("ops"), "needle thread");
    assert_eq!(rig.finds("needle").hits.len(), 1);
    let path = rig.files().path().to_owned();
    drop(rig);
    let index = beside(&path.join("messages.db"));
    let whole = fs::read(&index).expect("there is an index");
    let garbage = vec![0x5a; 40_000];
    let half = &whole[..whole.len() / 2];
    let mut bitten = whole.clone();
    bitten[8_192..].fill(0x17);
    let foreign = path.join("foreign.db");
    let other = rusqlite::Connection::open(&foreign).expect("a file");
    other.execute_batch("CREATE TABLE x (y); PRAGMA user_version = 7").expect("a table");
    drop(other);
    let other = fs::read(&foreign).expect("it is there");
    for bytes in [None, Some(&garbage[..]), Some(half), Some(&bitten), Some(b"short"), Some(&other), Some(b"")] {
        fs::remove_file(&index).expect("it is there");
        if let Some(bytes) = bytes {
            fs::write(&index, bytes).expect("it can be written");
        }
        let mut rig = Rig::new(&mut files);
        rig.searches(|_| true);
        let begun = std::time::Instant::now();
        // What is damaged deep inside is seen when it is used.
        while rig.try_search(query("needle")).map(|hits| hits.hits.len()) != Ok(1) {
            assert!(begun.elapsed().as_secs() < 20, "{:?} bytes", bytes.map(<[u8]>::len));
        }
    }
    // The index of these messages beside others.
    let mut others = Files::in_memory();
    let mut rig = Rig::new(&mut others);
    rig.says(&room("ops"), "thread needle thread needle");
    let path = rig.files().path().to_owned();
    drop(rig);
    fs::copy(&index, beside(&path.join("messages.db"))).expect("it can be copied");
    let mut rig = Rig::new(&mut others);
    rig.searches(|_| true);
    assert_eq!(rig.finds("needle").hits.len(), 2);
}

#[test]
fn redacted_and_deleted_words_cannot_be_read_in_the_index() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    let (ops, lab) = (room("ops"), room("lab"));
    let said: Vec<_> = (0..400).map(|at| told(format!("hay{at} straw"), now())).collect();
    rig.say(&ops, Retention::default(), &said);
    rig.says(&ops, "supersecretword");
    rig.says(&lab, "anothersecretword");
    rig.say(&ops, Retention::default(), &said);
    assert_eq!(rig.finds("supersecretword").hits.len(), 1);
    let path = rig.files().path().to_owned();
    assert!(can_be_read(&path, "persecretword") && can_be_read(&path, "othersecretword"), "as words of others are");
    rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(401) });
    assert_eq!(rig.finds("supersecretword").hits.len(), 0);
    assert!(!can_be_read(&path, "persecretword"));
    rig.done(|ticket| Write::Delete { ticket, room: lab });
    assert_eq!(rig.finds("anothersecretword").hits.len(), 0);
    assert!(!can_be_read(&path, "othersecretword"));
    assert_eq!(rig.finds("hay17").hits.len(), 2, "all else is there");
}

#[test]
fn what_was_erased_while_nobody_indexed_is_erased_when_somebody_does() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    rig.says(&room("ops"), "supersecretword straw");
    assert_eq!(rig.finds("straw").hits.len(), 1);
    rig.reopen();
    rig.done(|ticket| Write::Redact { ticket, room: room("ops"), seq: Seq(1) });
    let path = rig.files().path().to_owned();
    assert!(can_be_read(&path, "persecretword"), "nobody was told to index");
    rig.searches(|_| true);
    assert_eq!(rig.finds("straw").hits.len(), 1);
    assert!(!can_be_read(&path, "persecretword"));
    // More than is remembered.
    rig.reopen();
    let said: Vec<_> = (0..600).map(|_| told("supersecretword", now())).collect();
    rig.say(&room("ops"), Retention::default(), &said);
    for seq in 3..=602 {
        rig.done(|ticket| Write::Redact { ticket, room: room("ops"), seq: Seq(seq) });
    }
    rig.searches(|_| true);
    assert_eq!(rig.finds("straw").hits.len(), 1);
    assert!(!can_be_read(&path, "persecretword"));
}

#[test]
fn a_room_that_is_searched_no_more_leaves_the_index() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    rig.says(&room("ops"), "supersecretword");
    rig.says(&room("lab"), "straw");
    assert_eq!(rig.finds("supersecretword").hits.len(), 1);
    rig.searches(|room| &*room.0 != "ops");
    assert_eq!(rig.finds("supersecretword").hits.len(), 0);
    let path = rig.files().path().to_owned();
    assert!(!can_be_read(&path, "persecretword"));
    drop(rig);
    assert_eq!(reindex(&path, all()).expect("nobody uses it"), 2);
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    assert_eq!(rig.finds("supersecretword").hits.len(), 1);
}

#[test]
fn many_parts_are_searched_as_one_and_what_is_let_go_goes_with_them() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    let (ops, lab) = (room("ops"), room("lab"));
    let messages = 2 * PART + 100;
    let mut at = 0;
    while at < messages {
        let end = (at + 4_096).min(messages);
        let said: Vec<_> = (at..end).map(|at| told(format!("w{} straw", at % 1_000), 1_000 + at)).collect();
        rig.say(&ops, Retention::default(), &said);
        at = end;
    }
    rig.says(&lab, "needle");
    let hits = rig.finds("w7");
    assert_eq!(hits.hits.len() as u64, messages.div_ceil(1_000));
    let seqs: Vec<u64> = hits.hits.iter().map(|hit| hit.seq.0).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "newest first over all parts");
    let hits = rig.search(&Query { count: 2, until: 1_000 + 40_000, ..query("w7") });
    assert_eq!(hits.hits.iter().map(|hit| hit.seq.0).collect::<Vec<_>>(), [39_008, 38_008]);
    let scope = Scope::Room(lab.clone());
    assert_eq!(rig.search(&Query { scope, ..query("straw") }).hits.len(), 0);
    assert_eq!(rig.running().store.lag().messages, 0);
    rig.done(|ticket| Write::Delete { ticket, room: ops.clone() });
    assert_eq!(rig.finds("straw").hits.len(), 0);
    assert_eq!(rig.finds("needle").hits.len(), 1);
    let index = rusqlite::Connection::open(beside(&rig.files().path().join("messages.db"))).expect("there is one");
    let parts: i64 = index.query_row("SELECT count(*) FROM parts", [], |row| row.get(0)).expect("a number");
    assert_eq!(parts, 1, "only the last part holds something");
    assert_eq!(rig.read(everything(&lab)).chunks.len(), 1);
}

#[test]
fn what_rooms_let_go_of_leaves_the_index_when_it_is_much_of_a_part() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    let keep = Retention { age: Duration::from_secs(2), ..Retention::default() };
    rig.says(&room("lab"), "straw");
    rig.say(&room("ops"), keep, &[told("supersecretword", now())]);
    assert_eq!(rig.finds("straw").hits.len(), 1);
    rig.wait_for(|event| matches!(event, Event::Trimmed(..)).then_some(()));
    assert_eq!(rig.finds("supersecretword").hits.len(), 0);
    let path = rig.files().path().to_owned();
    drop(rig);
    let mut follower = Follower::open(&path.join("messages.db"), 3, all()).expect("it opens");
    follower.sweep().expect("it can be written");
    drop(follower);
    assert!(!can_be_read(&path, "persecretword"));
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    assert_eq!(rig.finds("straw").hits.len(), 1);
    // With nothing left in it the part goes as a whole.
    rig.say(&room("lab"), keep, &[told("straw", now())]);
    rig.wait_for(|event| matches!(event, Event::Trimmed(_, Seq(3))).then_some(()));
    drop(rig);
    let mut follower = Follower::open(&path.join("messages.db"), 4, all()).expect("it opens");
    follower.step(4).expect("it can be written");
    follower.sweep().expect("it can be written");
    drop(follower);
    let index = rusqlite::Connection::open(beside(&path.join("messages.db"))).expect("there is one");
    let parts: i64 = index.query_row("SELECT count(*) FROM parts", [], |row| row.get(0)).expect("a number");
    assert_eq!(parts, 0);
    let mut rig = Rig::new(&mut files);
    rig.searches(|_| true);
    rig.says(&room("lab"), "straw");
    assert_eq!(rig.finds("straw").hits.len(), 1);
}
