//! `linehub repair`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Folder, damage, fill, linehub, stop};

fn numbers(data: &str, room: &str) -> Vec<u64> {
    let run = linehub(&["export", "--room", room, "--data", data]);
    assert_eq!(run.code, 0, "{run:?}");
    let number = |line| serde_json::from_str::<Value>(line).expect("a JSON line")["seq"].as_u64().expect("a number");
    run.out.lines().map(number).collect()
}

fn epoch(folder: &Folder, room: &str) -> String {
    let program = folder.serve("data");
    let epoch = program.client().join(room).text("epoch").to_owned();
    stop(program);
    epoch
}

#[test]
fn damaged_messages_go_and_their_room_alone_has_a_new_epoch() {
    let folder = Folder::filled();
    let data = folder.arg("data");
    let before = [epoch(&folder, "ops"), epoch(&folder, "lab")];
    damage(&folder.path("data"), "ops", 2);
    damage(&folder.path("data"), "ops", 5);
    let run = linehub(&["repair", "--data", &data]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    for words in [
        "room ops, number 2: lost, unless it was finished work",
        "room ops, number 5: lost, unless it was finished work",
        "room ops, it lost messages: it has a new epoch",
    ] {
        assert!(run.out.lines().any(|line| line == words), "{words}: {run:#?}");
    }
    assert!(!run.out.contains("room lab"), "{run:?}");
    assert_eq!(linehub(&["verify", "--data", &data]).code, 0);
    assert_eq!((numbers(&data, "ops"), numbers(&data, "lab")), (vec![1, 3, 4], vec![1, 2, 3]));
    let after = [epoch(&folder, "ops"), epoch(&folder, "lab")];
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1]);
    let program = folder.serve("data");
    assert_eq!(program.client().publish("ops", "next"), 6, "numbers go on");
    stop(program);
    let aside = run.out.lines().last().and_then(|line| line.strip_prefix("the damaged store is in ")).expect("it says");
    assert!(Path::new(aside).join("messages.db").exists());
}

#[test]
fn a_room_whose_row_is_damaged_is_made_anew_from_its_messages() {
    let folder = Folder::filled();
    let data = folder.arg("data");
    let connection = rusqlite::Connection::open(folder.path("data/messages.db")).expect("the file");
    connection.execute("UPDATE rooms SET newest = 9 WHERE key = 'lab'", []).expect("a row");
    drop(connection);
    let run = linehub(&["repair", "--data", &data]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("room lab, its row was lost, and is made anew"), "{run:?}");
    assert_eq!(numbers(&data, "lab"), [1, 2, 3]);
    assert_eq!(linehub(&["verify", "--data", &data]).code, 0);
}

#[test]
fn of_a_file_with_damaged_pages_all_is_kept_that_can_be_read() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let mut client = program.client();
    for number in 0..300 {
        client.publish("big", json!(format!("{number} {}", "x".repeat(3_000))));
    }
    stop(program);
    let path = folder.path("data/messages.db");
    let whole = fs::read(&path).expect("the file");
    let pages = whole.len() / 4_096;
    assert!(pages > 100);
    let (mut repaired, mut kept) = (0, 0);
    for page in (2..pages).step_by(17) {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        let name = format!("page-{page}");
        fs::create_dir(folder.path(&name)).expect("a folder");
        fs::write(folder.path(&name).join("messages.db"), bytes).expect("the file");
        let data = folder.arg(&name);
        let run = linehub(&["repair", "--data", &data]);
        assert_eq!(run.code, 0, "page {page}: {run:?}");
        assert!(run.out.contains("the damaged store is in "), "page {page}: {run:?}");
        assert_eq!(linehub(&["verify", "--data", &data]).code, 0, "page {page}");
        let left = numbers(&data, "big");
        assert!(left.is_sorted_by(|a, b| a < b));
        kept += left.len();
        repaired += 1;
    }
    assert!(repaired > 5 && kept > repaired * 250, "{kept} messages of {repaired} files");
}

#[test]
fn what_is_well_is_left_alone_and_wrong_use_is_said() {
    let folder = Folder::filled();
    let data = folder.arg("data");
    let run = linehub(&["repair", "--data", &data]);
    assert_eq!((run.code, run.out), (0, format!("{data}: ok, there is nothing to repair\n")));
    assert_eq!(linehub(&["repair", "--data", &folder.arg("missing")]).code, 2);
    let program = folder.serve("data");
    damage(&folder.path("data"), "ops", 2);
    let run = linehub(&["repair", "--data", &data]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is in use by another server"), "{run:?}");
    stop(program);
    fs::write(folder.path("data/messages.db"), [0xa5; 8_192]).expect("the file");
    let run = linehub(&["repair", "--data", &data]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("not a database"), "{run:?}");
}
