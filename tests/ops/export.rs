//! `linehub export`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{Folder, damage, fill, linehub};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[test]
fn a_room_is_written_as_its_clients_get_it() {
    let folder = Folder::filled();
    let run = linehub(&["export", "--room", "lab", "--data", &folder.arg("data")]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let program = folder.serve("data");
    let mut client = program.client();
    client.done(json!({"op": "join", "room": "lab", "after": 0}));
    let mut seen = String::new();
    for _ in 0..3 {
        let message = client.expect("message").raw.replace(r#","replay":true"#, "");
        writeln!(seen, "{message}").expect("a string takes it");
    }
    assert_eq!(run.out, seen);
}

#[test]
fn beside_a_running_server_all_that_was_acknowledged_is_written() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let mut client = program.client();
    // More than one stretch.
    let body = "x".repeat(4_000);
    for number in 0..600 {
        client.send_with_id(json!({"op": "send", "room": "big", "body": format!("{number} {body}")}));
    }
    for _ in 0..600 {
        client.expect("ok");
    }
    let run = linehub(&["export", "--room", "big", "--data", &folder.arg("data")]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let numbers: Vec<_> = lines(&run.out).iter().map(|message| message["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=600).map(Some).collect::<Vec<_>>());
}

#[test]
fn text_is_for_people_and_moves_no_cursor() {
    let folder = Folder::filled();
    let run = linehub(&["export", "--room", "lab", "--format", "text", "--data", &folder.arg("data")]);
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(lines.len(), 4, "{run:?}");
    assert!(lines[0].ends_with(r#" [Lab] ada: {"temp":21.5}"#), "{run:?}");
    assert!(lines[1].ends_with(" [Lab] ada: two") && lines[2].contains(" [Lab] ada: lines "), "{run:?}");
    assert!(lines.iter().all(|line| line.starts_with("20") && line.as_bytes()[10] == b' '), "{run:?}");
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn what_is_damaged_is_left_out_and_said() {
    let folder = Folder::filled();
    damage(&folder.path("data"), "ops", 2);
    damage(&folder.path("data"), "ops", 5);
    let run = linehub(&["export", "--room", "ops", "--data", &folder.arg("data")]);
    let numbers: Vec<_> = lines(&run.out).iter().map(|message| message["seq"].as_u64()).collect();
    assert_eq!((run.code, numbers), (1, vec![Some(1), Some(3), Some(4)]));
    for words in ["numbers 2 to 2 are damaged", "numbers 5 to 5 are damaged", "2 messages are damaged and left out"] {
        assert!(run.err.contains(words), "{run:?}");
    }
}

#[test]
fn a_room_or_a_store_that_there_is_not_is_said() {
    let folder = Folder::filled();
    let run = linehub(&["export", "--room", "nowhere", "--data", &folder.arg("data")]);
    assert_eq!((run.code, run.err.as_str()), (1, "linehub: there is no room nowhere in the store\n"));
    let run = linehub(&["export", "--room", "ops", "--data", &folder.arg("missing")]);
    assert_eq!(run.code, 2, "{run:?}");
    assert_eq!(linehub(&["export", "--data", &folder.arg("data")]).code, 2, "which room?");
    assert_eq!(linehub(&["export", "--room", "two words", "--data", &folder.arg("data")]).code, 2);
}
