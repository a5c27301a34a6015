//! `linehub import`.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::{Folder, fill, linehub, stop};

#[test]
fn what_was_exported_comes_in_as_it_was() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let mut client = program.client();
    client.hello("bob");
    for number in 0..3_000 {
        client.send_with_id(json!({"op": "send", "room": "big", "body": {"at": number, "text": "äöü \"quoted\""}}));
    }
    for _ in 0..3_000 {
        client.expect("ok");
    }
    client.done(json!({"op": "redact", "room": "big", "seq": 7}));
    stop(program);
    stop(folder.serve("other"));
    // Of the queue a number is missing, since its work is done.
    for room in ["big", "lab", "jobs"] {
        let exported = linehub(&["export", "--room", room, "--data", &folder.arg("data")]);
        assert_eq!(exported.code, 0, "{exported:?}");
        fs::write(folder.path("room.jsonl"), &exported.out).expect("a file");
        let run = linehub(&["import", &folder.arg("room.jsonl"), "--room", room, "--data", &folder.arg("other")]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
        let again = linehub(&["export", "--room", room, "--data", &folder.arg("other")]);
        assert_eq!(again.out.replace(r#""room":"lab""#, r#""room":"Lab""#), exported.out);
    }
    assert_eq!(linehub(&["verify", "--data", &folder.arg("other")]).code, 0);
    let program = folder.serve("other");
    let mut client = program.client();
    assert_eq!(client.join("big").number("seq"), 3_000);
    assert_eq!(program.client().publish("big", "next"), 3_001);
    stop(program);
    assert_eq!(linehub(&["verify", "--data", &folder.arg("other")]).code, 0);
}

#[test]
fn a_pipe_carries_a_room_from_one_store_to_another() {
    let folder = Folder::filled();
    stop(folder.serve("other"));
    let mut export = Command::new(env!("CARGO_BIN_EXE_linehub"))
        .args(["export", "--room", "ops", "--data", &folder.arg("data")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let import = Command::new(env!("CARGO_BIN_EXE_linehub"))
        .args(["import", "-", "--room", "ops.old", "--data", &folder.arg("other")])
        .stdin(export.stdout.take().expect("it is piped"))
        .output()
        .expect("the program starts");
    assert!(export.wait().expect("it ends").success() && import.status.success(), "{import:?}");
    let again = linehub(&["export", "--room", "ops.old", "--data", &folder.arg("other")]);
    assert_eq!(again.out.lines().count(), 5);
}

#[test]
fn a_line_that_cannot_be_taken_is_named_and_nothing_comes_in() {
    let folder = Folder::filled();
    let line = |seq: u64, ts: u64, rest: &str| {
        format!(r#"{{"ev":"message","room":"x","seq":{seq},"from":"ada","ts":{ts}{rest}}}"#)
    };
    let good = line(3, 1_000, r#","body":1"#);
    for (bad, words) in [
        ("hello".to_owned(), "expected `{` at byte 1"),
        (line(4, 1_000, ""), "missing field `body`"),
        (line(3, 1_000, r#","body":1"#), "number 3 does not come after 3"),
        (line(4, 999, r#","body":1"#), "`ts` 999 is before that of the message before, 1000"),
        (line(4, 1_000, r#","body":1e999"#), "beyond what a double holds"),
        (line(4, 1_000, r#","body":1,"headers":{"a":1}"#), "`headers` must be a flat object of strings"),
        (line(4, 1_000, r#","body":1"#).replace("ada", "a da"), "`from`"),
        (line(4, 1_000, r#","body":1"#).replace("message", "joined"), "it is no `message` of a room"),
        (String::new(), "the object does not end"),
    ] {
        fs::write(folder.path("bad.jsonl"), format!("{good}\n{bad}\n")).expect("a file");
        let run = linehub(&["import", &folder.arg("bad.jsonl"), "--room", "new", "--data", &folder.arg("data")]);
        assert_eq!(run.code, 1, "{run:?}");
        let place = format!("linehub: {}:2: ", folder.arg("bad.jsonl"));
        assert!(run.err.starts_with(&place) && run.err.contains(words), "{words}: {run:?}");
        assert!(run.err.ends_with("nothing was imported\n"), "{run:?}");
        let run = linehub(&["export", "--room", "new", "--data", &folder.arg("data")]);
        assert!(run.err.contains("there is no room new"), "{run:?}");
    }
    assert_eq!(linehub(&["verify", "--data", &folder.arg("data")]).code, 0);
}

#[test]
fn a_room_that_is_there_a_running_server_and_what_is_missing_are_refused() {
    let folder = Folder::filled();
    let line = r#"{"ev":"message","room":"x","seq":1,"from":"ada","ts":1,"body":1}"#;
    fs::write(folder.path("one.jsonl"), line).expect("a file");
    fs::write(folder.path("none.jsonl"), "").expect("a file");
    let import = |file: &str, room: &str, data: &str| {
        linehub(&["import", &folder.arg(file), "--room", room, "--data", &folder.arg(data)])
    };
    let refused = |file: &str, room: &str, data: &str, code: i32, words: &str| {
        let run = import(file, room, data);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.err.contains(words), "{words}: {run:?}");
    };
    refused("one.jsonl", "OPS", "data", 1, "there is a room OPS already: name one that is new");
    refused("none.jsonl", "new", "data", 1, "there is no message in it");
    refused("one.jsonl", "new", "missing", 2, "there is no store in");
    refused("missing.jsonl", "new", "data", 2, "missing.jsonl: ");
    let program = folder.serve("data");
    refused("one.jsonl", "new", "data", 1, "is in use by another server");
    stop(program);
    assert_eq!(import("one.jsonl", "new", "data").code, 0);
}
