//! `linehub backup`, with and without a server.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Program};
use crate::{Folder, fill, linehub, stop};

/// Messages of a publisher on their way at once, so that the disk is always busy.
const UNDER_WAY: u64 = 32;

/// One who publishes and waits for each `ok`; how many there were.
fn publish(program: &Program, room: &str, is_enough: &AtomicBool, acknowledged: &AtomicU64) -> u64 {
    let mut client: Client = program.client();
    let body = "x".repeat(1_000);
    let mut sent = 0;
    while !is_enough.load(Ordering::Relaxed) {
        for _ in 0..UNDER_WAY {
            client.send_with_id(json!({"op": "send", "room": room, "body": format!("{sent} {body}")}));
            sent += 1;
        }
        for _ in 0..UNDER_WAY {
            client.expect("ok");
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
    sent
}

fn numbers(jsonl: &str) -> Vec<u64> {
    let number = |line| serde_json::from_str::<Value>(line).expect("a JSON line")["seq"].as_u64().expect("a number");
    jsonl.lines().map(number).collect()
}

#[test]
fn under_load_a_backup_is_whole_and_nobody_stops_publishing() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let rooms = ["load.a", "load.b"];
    let is_enough = AtomicBool::new(false);
    let acknowledged = [AtomicU64::new(0), AtomicU64::new(0)];
    let (before, during, run) = std::thread::scope(|scope| {
        let publishers = [0, 1].map(|at| {
            let (program, is_enough, acknowledged) = (&program, &is_enough, &acknowledged[at]);
            scope.spawn(move || publish(program, rooms[at], is_enough, acknowledged))
        });
        let counts = || [0, 1].map(|at| acknowledged[at].load(Ordering::Relaxed));
        // So much that the copy takes many steps.
        let begun = std::time::Instant::now();
        while counts().iter().any(|count| *count < 4_000) {
            assert!(begun.elapsed() < 4 * DEADLINE, "it publishes");
            std::thread::yield_now();
        }
        let before = counts();
        let run = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("data")]);
        let during = counts();
        is_enough.store(true, Ordering::Relaxed);
        for publisher in publishers {
            publisher.join().expect("it published");
        }
        (before, during, run)
    });
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(run.out.contains("copy: ok, "), "{run:?}");
    assert!(before.iter().zip(&during).all(|(before, during)| during > before), "{before:?} {during:?}");
    let verified = linehub(&["verify", "--data", &folder.arg("copy")]);
    assert_eq!(verified.code, 0, "{verified:?}");
    for (room, before) in rooms.iter().zip(before) {
        let export = linehub(&["export", "--room", room, "--data", &folder.arg("copy")]);
        let numbers = numbers(&export.out);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        assert!(numbers.len() as u64 >= before, "{} of {before}", numbers.len());
    }
    serves_again(&folder, &program, &rooms);
    // One file, for its owner alone.
    let names: Vec<_> = std::fs::read_dir(folder.path("copy")).expect("it is there").flatten().collect();
    assert_eq!(names.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), ["messages.db"]);
    let mode = |name: &str| folder.path(name).metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("copy"), mode("copy/messages.db"), mode("data/control")), (0o700, 0o600, 0o600));
    stop(program);
    assert!(!folder.path("data/control").exists(), "the socket goes with the server");
}

/// A server on the restored copy has all that the copy has, under the same numbers and another epoch.
fn serves_again(folder: &Folder, program: &Program, rooms: &[&str]) {
    let run = linehub(&["restore", &folder.arg("copy"), "--data", &folder.arg("again")]);
    assert_eq!(run.code, 0, "{run:?}");
    let again = folder.serve("again");
    for room in rooms {
        let export = |name: &str| linehub(&["export", "--room", room, "--data", &folder.arg(name)]).out;
        assert_eq!(export("again"), export("copy"));
        let joined = [&again, program].map(|program| program.client().join(room));
        assert_eq!(joined[0].number("seq"), export("copy").lines().count() as u64);
        assert_ne!(joined[0].text("epoch"), joined[1].text("epoch"));
    }
    stop(again);
}

#[test]
fn without_a_server_the_store_is_copied_all_the_same() {
    let folder = Folder::filled();
    let run = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("data")]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let export = |name: &str| linehub(&["export", "--room", "lab", "--data", &folder.arg(name)]).out;
    assert_eq!(export("copy"), export("data"));
    // One that was killed leaves its socket and its log.
    let program = folder.serve("data");
    program.client().publish("ops", "the last word");
    program.signal(rustix::process::Signal::KILL);
    program.wait();
    assert!(folder.path("data/control").exists());
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    let run = linehub(&["backup", &folder.arg("empty"), "--data", &folder.arg("data")]);
    assert_eq!(run.code, 0, "{run:?}");
    let export = linehub(&["export", "--room", "ops", "--data", &folder.arg("empty")]);
    assert!(export.out.contains("the last word"), "{export:?}");
    // The next server takes the place of the socket.
    let program = folder.serve("data");
    let run = linehub(&["backup", &folder.arg("third"), "--data", &folder.arg("data")]);
    assert_eq!(run.code, 0, "{run:?}");
    stop(program);
}

#[test]
fn nothing_is_written_over_and_the_words_say_why() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    let data = folder.arg("data");
    let beside = |target: &str| linehub(&["backup", target, "--data", &data]);
    std::fs::create_dir(folder.path("full")).expect("a folder");
    std::fs::write(folder.path("full/letter"), "mine").expect("a file");
    let refused = |words: &str, target: &str| {
        let run = beside(target);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains(words), "{words}: {run:?}");
    };
    let all = || {
        refused("is the data directory itself", &data);
        refused("is not empty: name a new or an empty directory", &folder.arg("full"));
        refused("cannot be written: ", &folder.arg("no/such/parent"));
        refused("cannot be written: ", &folder.arg("full/letter"));
    };
    all();
    stop(program);
    all();
    assert_eq!(std::fs::read_dir(folder.path("full")).expect("it is there").count(), 1);
    let run = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("missing")]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(!folder.path("copy").exists() && !folder.path("missing").exists());
}

#[test]
fn a_server_without_its_socket_is_left_alone() {
    let folder = Folder::new();
    let program = folder.serve("data");
    fill(&program);
    std::fs::remove_file(folder.path("data/control")).expect("it is there");
    let run = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("data")]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is in use by another server, which does not answer at "), "{run:?}");
    assert!(!folder.path("copy").exists());
    stop(program);
}

#[test]
fn a_damaged_store_is_copied_and_said_to_be_damaged() {
    let folder = Folder::filled();
    crate::damage(&folder.path("data"), "ops", 3);
    let run = linehub(&["backup", &folder.arg("copy"), "--data", &folder.arg("data")]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("room ops, number 3") && run.err.contains("a copy of a damaged store"), "{run:?}");
}

#[test]
fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let folder = Folder::new();
    let program = folder.serve("data");
    for (line, words) in [
        ("{\"op\":\"dance\"}\n", "does not know the request"),
        ("{\"op\":\"backup\",\"dir\":\"here\"}\n", "a backup needs a whole path"),
        ("not json\n", "does not know the request"),
    ] {
        let mut stream = UnixStream::connect(folder.path("data/control")).expect("it is there");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        stream.write_all(line.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).expect("it answers");
        assert!(answer.starts_with("{\"ev\":\"error\"") && answer.contains(words), "{answer}");
    }
    // A line without an end is not kept for ever.
    let mut stream = UnixStream::connect(folder.path("data/control")).expect("it is there");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut answer = String::new();
    // It may have hung up by the time that the rest is written.
    let _ = stream.write_all(&vec![b'x'; 70 << 10]);
    let _ = BufReader::new(&stream).read_line(&mut answer);
    assert!(answer.is_empty() || answer.contains("does not know"), "{answer}");
    program.client().publish("ops", "it serves");
    stop(program);
}
