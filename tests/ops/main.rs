//! What is done with a store from outside: looked at, written out, copied, put back. The real program each time.
//!
//! Every test has a folder of its own and starts what it needs in it.

mod backup;
#[path = "../common/mod.rs"]
mod common;
mod export;
mod import;
mod repair;
mod restore;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Program;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

/// What a subcommand came to.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program with a clean environment.
fn linehub(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_linehub"))
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what it prints is UTF-8");
    Run { code: output.status.code().expect("it ends by itself"), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder of one test's own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("the folder for temporary files can be written"))
    }

    /// The path of something in it.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as an argument.
    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("the path is UTF-8").to_owned()
    }

    /// A stopped server's data, in `data`: five messages in `ops`, three in `Lab`, and one of three jobs done.
    fn filled() -> Self {
        let folder = Self::new();
        let program = folder.serve("data");
        fill(&program);
        stop(program);
        folder
    }

    fn serve(&self, name: &str) -> Program {
        Program::serve_in(&self.path(name))
    }
}

fn fill(program: &Program) {
    let mut ada = program.client();
    ada.hello("ada");
    for number in 1..=5 {
        ada.publish("ops", format!("message {number}"));
    }
    for body in [json!({"temp": 21.5}), json!("two\nlines \u{1b}[31m"), json!(null)] {
        ada.done(json!({"op": "send", "room": "Lab", "body": body, "headers": {"unit": "C"}, "idempotency_key": body.to_string()}));
    }
    ada.done(json!({"op": "create", "room": "jobs", "kind": "queue"}));
    for job in 1..=3 {
        ada.publish("jobs", job);
    }
    let mut worker = program.client();
    worker.done(json!({"op": "join", "room": "jobs", "as": "worker", "prefetch": 1}));
    worker.expect_body(1);
    worker.send(json!({"op": "ack", "room": "jobs", "seq": 1}));
    worker.expect_body(2);
}

/// Ends a server as its owner does, and waits.
fn stop(program: Program) {
    program.signal(Signal::TERM);
    let (status, err) = program.wait();
    assert!(status.success(), "{err}");
}

/// Damages the group of a room that begins with a number: its text is not what the checksum says.
fn damage(data: &Path, room: &str, first: u64) {
    let connection = rusqlite::Connection::open(data.join("messages.db")).expect("the file");
    let sql = "UPDATE groups SET crc = crc + 1 WHERE first = ?2 AND room = (SELECT id FROM rooms WHERE key = ?1)";
    assert_eq!(connection.execute(sql, (room, first.cast_signed())), Ok(1));
}
