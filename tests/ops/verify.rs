//! `linehub verify`.

use rustix::process::Signal;
use serde_json::json;

use crate::{Folder, damage, fill, linehub, stop};

#[test]
fn a_store_that_is_well_is_said_to_be_with_what_is_in_it() {
    let folder = Folder::filled();
    let data = folder.arg("data");
    let run = linehub(&["verify", "--data", &data]);
    // Of the three jobs one is done; its mark may still be there, or its message gone.
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with(&format!("{data}: ok, 1")) && run.out.ends_with("messages of 3 rooms\n"), "{run:?}");
    assert_eq!(run.err, "");
    // Nothing was changed: it still is, and a server starts.
    assert_eq!(linehub(&["verify", "--data", &data]).code, 0);
    stop(folder.serve("data"));
}

#[test]
fn a_running_server_and_one_that_was_killed_are_looked_at_too() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let data = folder.arg("data");
    let run = linehub(&["verify", "--data", &data]);
    assert_eq!(run.code, 0, "{run:?}");
    // It goes on serving.
    program.client().publish("ops", "after");
    program.signal(Signal::KILL);
    program.wait();
    assert!(folder.path("data/messages.db-wal").metadata().is_ok_and(|log| log.len() > 0), "its log is left");
    let run = linehub(&["verify", "--data", &data]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains(" messages of 3 rooms"), "{run:?}");
}

#[test]
fn what_goes_by_retention_and_by_finished_work_is_no_damage() {
    let folder = Folder::new();
    let program = folder.serve("data");
    let data = folder.arg("data");
    let mut client = program.client();
    client.done(json!({"op": "create", "room": "short", "keep_messages": 20}));
    client.done(json!({"op": "create", "room": "small", "keep_bytes": 4_096}));
    client.done(json!({"op": "create", "room": "jobs", "kind": "queue"}));
    client.done(json!({"op": "create", "room": "value", "kind": "latest"}));
    let mut worker = program.client();
    worker.done(json!({"op": "join", "room": "jobs", "as": "worker", "prefetch": 500}));
    for round in 0..6 {
        for number in 0..100 {
            for room in ["short", "small", "value", "jobs"] {
                client.send_with_id(
                    json!({"op": "send", "room": room, "body": format!("{round} {number} of some length")}),
                );
            }
        }
        for _ in 0..400 {
            client.expect("ok");
        }
        client.done(json!({"op": "redact", "room": "short", "seq": 100 * round + 95}));
        // Some stay undone, so that their groups stay with marks beside them.
        let given: Vec<_> = (0..100).map(|_| worker.expect("message").number("seq")).collect();
        let done: Vec<_> = given.iter().filter(|seq| !seq.is_multiple_of(10) || *seq % 100 < 50).collect();
        worker.done(json!({"op": "ack", "room": "jobs", "seq": done}));
        let run = linehub(&["verify", "--data", &data]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    }
    stop(program);
    let run = linehub(&["verify", "--data", &data]);
    assert_eq!(run.code, 0, "{run:?}");
    let run = linehub(&["backup", &folder.arg("copy"), "--data", &data]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(linehub(&["restore", &folder.arg("copy"), "--data", &folder.arg("new")]).code, 0);
    assert_eq!(linehub(&["verify", "--data", &folder.arg("new")]).code, 0);
}

#[test]
fn damage_is_said_by_room_and_numbers_and_exits_with_1() {
    let folder = Folder::filled();
    damage(&folder.path("data"), "ops", 3);
    damage(&folder.path("data"), "ops", 4);
    damage(&folder.path("data"), "lab", 2);
    let run = linehub(&["verify", "--data", &folder.arg("data")]);
    assert_eq!(run.code, 1);
    let said: Vec<_> = run.out.lines().collect();
    assert_eq!(
        said,
        ["room ops, numbers 3 to 4: the messages are damaged", "room lab, number 2: the messages are damaged"]
    );
    assert!(run.err.contains("2 damages, printed above; "), "{run:?}");
}

#[test]
fn messages_that_are_lost_marks_of_nothing_and_damaged_rows_and_values_are_said() {
    let folder = Folder::filled();
    let connection = rusqlite::Connection::open(folder.path("data/messages.db")).expect("the file");
    let change = |sql: &str| assert_eq!(connection.execute(sql, []), Ok(1), "{sql}");
    let room = |key: &str| format!("(SELECT id FROM rooms WHERE key = '{key}')");
    change(&format!("DELETE FROM groups WHERE first = 2 AND room = {}", room("ops")));
    change(&format!("INSERT INTO done (room, seq) VALUES ({}, 77)", room("jobs")));
    change("UPDATE rooms SET newest = 9 WHERE key = 'lab'");
    change("UPDATE kv SET value = x'00' WHERE name = 'room/ops'");
    change("INSERT INTO groups SELECT pos + 1000, 99, first, count, floor, last_ts, crc, data FROM groups LIMIT 1");
    drop(connection);
    let run = linehub(&["verify", "--data", &folder.arg("data")]);
    assert_eq!(run.code, 1);
    for words in [
        "room ops, number 2: no messages; lost, unless they were finished work",
        "room jobs, number 77: marks of finished work that there never was",
        "room lab, its row is damaged: the room is not served",
        "the value \"room/ops\" is damaged",
        "1 groups of messages are of a room that there is not, number 99",
    ] {
        assert!(run.out.lines().any(|line| line == words), "{words}: {run:#?}");
    }
}

#[test]
fn a_file_whose_structure_is_damaged_is_said_to_be() {
    let folder = Folder::filled();
    let path = folder.path("data/messages.db");
    let mut bytes = std::fs::read(&path).expect("the file");
    let len = bytes.len();
    bytes[8_192..len.min(24_576)].fill(0xa5);
    std::fs::write(&path, bytes).expect("the file");
    let run = linehub(&["verify", "--data", &folder.arg("data")]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("the structure of the file"), "{run:?}");
}

#[test]
fn where_there_is_no_store_the_words_say_what_to_do() {
    let folder = Folder::new();
    let missing = folder.arg("missing");
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    for name in [&missing, &folder.arg("empty")] {
        let run = linehub(&["verify", "--data", name]);
        let words = format!("linehub: there is no store in {name}: name the data directory of a server with --data\n");
        assert_eq!((run.code, run.err), (2, words));
    }
    assert!(!folder.path("missing").exists());
    std::fs::write(
        folder.path("empty/messages.db"),
        "no database at all, but long enough to be taken for one".repeat(9),
    )
    .expect("the file");
    let run = linehub(&["verify", "--data", &folder.arg("empty")]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("not a database"), "{run:?}");
}
