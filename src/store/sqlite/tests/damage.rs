//! What a crash or a bad disk leaves: a log cut anywhere, a bit that is another one.
//!
//! Whatever is served was stored, under its number and in its room; what cannot be served is said to be damaged.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::super::{OpenError, Options, STORE_QUEUE, open};
use super::Files;
use crate::model::Seq;
use crate::store::contract::rig::{Rig, Said, everything, now, room, told, words};
use crate::store::{Boot, Event, Retention, Stretch, Write};

/// Batches in two rooms, of one to some messages each, with keys and finished work between; what each room then holds.
fn fill(rig: &mut Rig<'_>, batches: u64) -> Vec<Vec<(u64, String)>> {
    for batch in 0..batches {
        let mut writes = Vec::new();
        for (at, name) in ["ops", "lab"].into_iter().enumerate() {
            let said = |word: u64| Said { key: Some(word.into()), ..told(format!("{name} {batch} {word}"), now()) };
            let said: Vec<_> = (0..=(batch + at as u64) % 4).map(said).collect();
            writes.push(rig.append(&room(name), Retention::default(), &said));
        }
        let last = writes[1].0;
        rig.write(writes.into_iter().map(|(_, write)| write).collect());
        rig.committed(last);
    }
    ["ops", "lab"].map(|name| rig.all(&room(name))).into()
}

#[test]
fn a_log_that_is_cut_anywhere_leaves_whole_batches_and_numbers_that_go_on() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    let stored = fill(&mut rig, 12);
    // While it is open: a closed one has no log.
    let source = rig.files().copy();
    let log = source.path().join("messages.db-wal");
    let len = fs::metadata(&log).expect("it has a log").len();
    let frame = 24 + 4096;
    let cuts = (0..=(len - 32) / frame).flat_map(|at| [0, 24, 25, 2_000].map(|inside| 32 + at * frame + inside));
    let cuts: Vec<_> = [0, 1, 31, 32].into_iter().chain(cuts.filter(|cut| *cut <= len)).collect();
    assert!(cuts.len() > 40, "a log of {len} bytes");
    drop(rig);
    let mut newest = 0;
    for cut in cuts {
        let mut files = source.copy();
        let log = OpenOptions::new().write(true).open(files.path().join("messages.db-wal")).expect("it has a log");
        log.set_len(cut).expect("it can be cut");
        let mut rig = Rig::new(&mut files);
        let left = ["ops", "lab"].map(|name| rig.all(&room(name)));
        for (left, stored) in left.iter().zip(&stored) {
            assert_eq!(left[..], stored[..left.len()], "cut at {cut}");
        }
        // Batch n has 1 + n % 4 messages in one room and 1 + (n + 1) % 4 in the other.
        let batches = |shift: u64| {
            (0..12).scan(0, move |sum, n| {
                *sum += 1 + (n + shift) % 4;
                Some(*sum)
            })
        };
        let whole: Vec<_> = [(0, 0)].into_iter().chain(batches(0).zip(batches(1))).collect();
        assert!(whole.contains(&(left[0].len() as u64, left[1].len() as u64)), "half a batch, cut at {cut}");
        assert!(left[0].len() >= newest, "a longer log holds as much, cut at {cut}");
        newest = left[0].len();
        assert_eq!(rig.says(&room("ops"), "on").first, Seq(newest as u64 + 1));
        assert_eq!(rig.all(&room("ops")).len(), newest + 1);
    }
    assert_eq!(newest, stored[0].len(), "the whole log has all");
}

#[test]
fn a_bit_that_flips_never_makes_a_message_that_was_not_stored() {
    let mut source = Files::in_memory();
    let mut rig = Rig::new(&mut source);
    let stored = fill(&mut rig, 60);
    rig.done(|ticket| Write::Finish { ticket, room: room("lab"), seqs: vec![Seq(3), Seq(60)] });
    drop(rig);
    let len = fs::metadata(source.path().join("messages.db")).expect("the file").len();
    let (mut refused, mut damaged, mut whole, mut failed) = (0, 0, 0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..400 {
        // Any sequence that is the same in each run.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (at, bit) = ((random >> 20) % len, (random >> 60) % 8);
        let files = source.copy();
        let file = OpenOptions::new().read(true).write(true).open(files.path().join("messages.db")).expect("the file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("a byte");
        file.write_all_at(&[byte[0] ^ 1 << bit], at).expect("a byte");
        let options = Options { boot: Boot(7), keys_age: Duration::from_secs(120), queue_bytes: STORE_QUEUE };
        let mut opened = match open(files.path(), options) {
            Ok(opened) => opened,
            Err(OpenError::Database { .. } | OpenError::Foreign(_) | OpenError::Newer { .. }) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        for (name, stored) in ["ops", "lab"].iter().zip(&stored) {
            let state = opened.contents.rooms.iter().find(|state| *state.room.0 == **name);
            let is_known = state.is_some_and(|state| state.newest.0 == stored.len() as u64);
            assert_eq!(is_known, state.is_some(), "a room that is served knows its numbers: {at}.{bit}");
            for is_forward in [true, false] {
                let stretch = Stretch { is_forward, ..everything(&room(name)) };
                opened.store.read(crate::store::Ticket(1), stretch).expect("it is taken");
                let Some(Event::Read(_, answer)) = opened.events.blocking_recv() else { panic!("a read is answered") };
                let Ok(found) = answer else {
                    failed += 1;
                    continue;
                };
                let words = words(&found);
                assert!(words.is_sorted_by(|a, b| a.0 < b.0), "in order: {at}.{bit}");
                for (seq, word) in &words {
                    assert_eq!(stored[*seq as usize - 1], (*seq, word.clone()), "flipped {at}.{bit}");
                    let is_damaged = found.damaged.iter().any(|(first, last)| (first.0..=last.0).contains(seq));
                    assert!(!is_damaged, "served and damaged: {at}.{bit}");
                }
                if found.damaged.is_empty() {
                    whole += 1;
                } else {
                    damaged += 1;
                }
            }
        }
        drop(opened.store);
        while opened.events.blocking_recv().is_some() {}
        opened.closed.blocking_recv().expect("it closes");
    }
    assert!(damaged > 20 && whole > 100, "{refused} not opened, {failed} not read, {damaged} damaged, {whole} whole");
}

#[test]
fn a_group_that_is_damaged_is_said_to_be_and_the_rest_is_served() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    rig.says(&room("ops"), "a b");
    rig.says(&room("ops"), "nobody-says-this c");
    rig.says(&room("ops"), "d");
    drop(rig);
    let path = files.path().join("messages.db");
    let mut bytes = fs::read(&path).expect("the file");
    let at = bytes.windows(16).position(|window| window == b"nobody-says-this").expect("it is there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("the file");
    let mut rig = Rig::new(&mut files);
    let found = rig.read(everything(&room("ops")));
    assert_eq!(words(&found).iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 5]);
    assert_eq!(found.damaged, [(Seq(3), Seq(4))]);
    let found = rig.read(Stretch { first: Seq(4), is_forward: false, ..everything(&room("ops")) });
    assert_eq!(found.damaged, [(Seq(4), Seq(4))]);
    let found = rig.read(Stretch { count: 1, is_forward: false, ..everything(&room("ops")) });
    assert_eq!((words(&found)[0].0, found.more, found.damaged), (5, true, vec![]), "that is for who reads on");
    assert_eq!(rig.says(&room("ops"), "e").first, Seq(6));
}

#[test]
fn a_room_whose_row_is_damaged_is_set_aside_and_its_name_begins_anew() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    let before = rig.says(&room("ops"), "a b");
    rig.says(&room("lab"), "x");
    drop(rig);
    let connection = rusqlite::Connection::open(files.path().join("messages.db")).expect("the file");
    connection.execute("UPDATE rooms SET newest = 1 WHERE key = 'ops'", []).expect("a row");
    drop(connection);
    let mut rig = Rig::new(&mut files);
    assert_eq!(rig.contents().rooms.len(), 1);
    assert_eq!(rig.all(&room("ops")), []);
    let after = rig.says(&room("ops"), "c");
    assert_eq!(after.first, Seq(1));
    assert_ne!(after.epoch, before.epoch);
    rig.reopen();
    assert_eq!(rig.all(&room("ops")), [(1, "c".to_owned())]);
    assert_eq!(rig.all(&room("lab")), [(1, "x".to_owned())]);
}

#[test]
fn what_was_redacted_is_in_no_file_any_more() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    let (ops, lab) = (room("ops"), room("lab"));
    let long = "very-secret".repeat(2_000);
    // Short ones, so that pages split and are copied, and one that has pages of its own.
    for _ in 0..200 {
        rig.says(&ops, "other very-secret another");
    }
    rig.says(&lab, &format!("other {long}"));
    for group in 0..200 {
        rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(3 * group + 2) });
    }
    rig.done(|ticket| Write::Redact { ticket, room: lab.clone(), seq: Seq(2) });
    // At the latest by the next write; then the log is empty.
    rig.done(|ticket| Write::Put { ticket, name: "a".into(), value: None });
    for name in ["messages.db", "messages.db-wal"] {
        let bytes = fs::read(rig.files().path().join(name)).expect("the file");
        let found = bytes.windows(11).filter(|window| *window == b"very-secret").count();
        assert_eq!(found, 0, "in {name}");
    }
    assert_eq!(rig.all(&lab).len(), 2);
}

#[test]
fn what_a_deleted_room_said_is_in_no_file_any_more() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    for _ in 0..100 {
        rig.says(&room("ops"), "very-secret");
    }
    rig.says(&room("lab"), "x");
    rig.done(|ticket| Write::Delete { ticket, room: room("ops") });
    let mut left = usize::MAX;
    for _ in 0..1_000 {
        rig.done(|ticket| Write::Put { ticket, name: "a".into(), value: None });
        let read = |name| fs::read(rig.files().path().join(name)).expect("the file");
        let bytes = [read("messages.db"), read("messages.db-wal")].concat();
        left = bytes.windows(11).filter(|window| *window == b"very-secret").count();
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    rig.reopen();
    assert_eq!(rig.contents().rooms.len(), 1);
}

#[test]
fn one_who_reads_for_long_holds_up_neither_what_is_said_nor_redaction_for_good() {
    let mut files = Files::in_memory();
    let mut rig = Rig::new(&mut files);
    let ops = room("ops");
    rig.says(&ops, "a very-secret b");
    let reader = rusqlite::Connection::open(rig.files().path().join("messages.db")).expect("the file");
    reader.execute_batch("BEGIN; SELECT count(*) FROM groups").expect("it reads");
    rig.done(|ticket| Write::Redact { ticket, room: ops.clone(), seq: Seq(2) });
    for _ in 0..100 {
        rig.says(&ops, "c");
    }
    let in_log = |rig: &Rig<'_>| {
        let log = fs::read(rig.files().path().join("messages.db-wal")).expect("the log");
        log.windows(11).any(|window| window == b"very-secret")
    };
    assert!(in_log(&rig), "it is held");
    drop(reader);
    let begun = std::time::Instant::now();
    while in_log(&rig) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the log is emptied at last");
        rig.says(&ops, "d");
    }
    assert_eq!(rig.all(&ops)[1], (2, "-".to_owned()));
}
