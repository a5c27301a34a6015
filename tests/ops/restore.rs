//! `linehub restore`.

use std::fs;

use serde_json::{Value, json};

use crate::common::Program;
use crate::{Folder, damage, fill, linehub, stop};

/// The epoch of a room and the bodies of its messages, as a client gets them.
fn read(program: &Program, room: &str, count: usize) -> (String, Vec<Value>) {
    let mut client = program.client();
    let joined = client.done(json!({"op": "join", "room": room, "after": 0}));
    assert_eq!(joined.number("seq"), count as u64);
    let bodies = (0..count).map(|_| client.expect("message")["body"].clone()).collect();
    (joined.text("epoch").to_owned(), bodies)
}

#[test]
fn what_was_saved_is_there_again_with_numbers_that_go_on_and_another_epoch() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let (ops, lab) = (read(&program, "ops", 5), read(&program, "lab", 3));
    let backup = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("data")]);
    assert_eq!(backup.code, 0, "{backup:?}");
    program.client().publish("ops", "said after it");
    stop(program);

    let run = linehub(&["restore", &folder.arg("copy"), "--data", &folder.arg("new/data")]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert_eq!(linehub(&["verify", "--data", &folder.arg("new/data")]).code, 0);
    let program = folder.serve("new/data");
    for (room, before, count) in [("ops", &ops, 5), ("lab", &lab, 3)] {
        let after = read(&program, room, count);
        assert_eq!(after.1, before.1);
        assert_ne!(after.0, before.0, "another epoch");
    }
    let mut client = program.client();
    // One who was there before, and further, begins anew.
    let joined = client.done(json!({"op": "join", "room": "ops", "after": 6, "epoch": ops.0}));
    assert_eq!(joined["reset"], true, "{}", joined.raw);
    for _ in 0..5 {
        client.expect("message");
    }
    assert_eq!(program.client().publish("ops", "next"), 6);
    // What was done stays done, and a key that is remembered is known.
    let mut worker = program.client();
    worker.done(json!({"op": "join", "room": "jobs", "as": "worker"}));
    worker.expect_body(2);
    worker.expect_body(3);
    worker.expect_nothing();
    stop(program);
    assert_eq!(linehub(&["verify", "--data", &folder.arg("new/data")]).code, 0);
}

#[test]
fn a_store_that_is_there_is_kept_aside_or_nothing_happens() {
    let folder = Folder::filled();
    let (copy, data) = (folder.arg("copy"), folder.arg("data"));
    assert_eq!(linehub(&["backup", &copy, "--data", &data]).code, 0);
    let program = folder.serve("data");
    program.client().publish("ops", "said after it");
    let run = linehub(&["restore", &copy, "--data", &data, "--replace"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is in use by another server"), "{run:?}");
    stop(program);

    let run = linehub(&["restore", &copy, "--data", &data]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("holds a store already: name another directory, or say --replace"), "{run:?}");
    let lines = |data: &str| linehub(&["export", "--room", "ops", "--data", data]).out.lines().count();
    assert_eq!(lines(&data), 6, "nothing was changed");

    fs::write(folder.path("data/search.db"), "an index").expect("a file");
    let run = linehub(&["restore", &copy, "--data", &data, "--replace"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(lines(&data), 5);
    let aside = run
        .out
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("the store that was there is in "))
        .expect("it says where");
    assert_eq!(lines(aside), 6);
    assert!(!folder.path("data/search.db").exists(), "what was made from the old store went with it");
    assert!(!folder.path("data/messages.db.part").exists());
    stop(folder.serve("data"));
}

#[test]
fn what_is_no_backup_or_a_damaged_one_is_not_restored() {
    let folder = Folder::filled();
    let data = folder.arg("data");
    assert_eq!(linehub(&["backup", &folder.arg("copy"), "--data", &data]).code, 0);
    damage(&folder.path("copy"), "ops", 2);
    let run = linehub(&["restore", &folder.arg("copy"), "--data", &folder.arg("new")]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("room ops, number 2: the messages are damaged"), "{run:?}");
    assert!(!folder.path("new").exists());
    let run = linehub(&["restore", &folder.arg("missing"), "--data", &folder.arg("new")]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("there is no backup in") && run.err.contains("name a directory"), "{run:?}");
    let run = linehub(&["restore", &data, "--data", &data, "--replace"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is the data directory itself"), "{run:?}");
    assert_eq!(linehub(&["verify", "--data", &data]).code, 0);
}
