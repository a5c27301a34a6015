//! The programs in `examples/`, run as they are against the real server.
//!
//! They need `python3` and nothing else. The bot's connection is cut in the middle, which a proxy of the test's own does.

mod guide;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender};

use guide::{Client, PATIENCE, Program, Server};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Starts one of the programs.
fn example(name: &str, args: &[&str]) -> Program {
    Program::start(Command::new("python3").arg(format!("{EXAMPLES}/{name}")).args(args).stdin(Stdio::null()))
}

/// A way to the server that can be cut, and opened again.
struct Proxy {
    port: u16,
    cut: Receiver<[TcpStream; 2]>,
}

impl Proxy {
    /// Lets one connection through, and another whenever the one before was cut.
    fn to(upstream: u16) -> (Self, SyncSender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (pairs, cut) = mpsc::sync_channel(1);
        let (open, opened) = mpsc::sync_channel::<()>(1);
        std::thread::spawn(move || {
            while opened.recv().is_ok() {
                let (near, _) = listener.accept().expect("somebody connects");
                let far = TcpStream::connect(("127.0.0.1", upstream)).expect("the server accepts");
                let copies = [near.try_clone(), far.try_clone()].map(|copy| copy.expect("a socket has two ends"));
                for (from, to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())] {
                    let (from, to) = (from.expect("a copy"), to.expect("a copy"));
                    std::thread::spawn(move || pass_on(from, to));
                }
                if pairs.send(copies).is_err() {
                    return;
                }
            }
        });
        (Self { port, cut }, open)
    }

    /// Cuts the connection that was let through last.
    fn cut(&self) {
        for end in self.cut.recv_timeout(PATIENCE).expect("somebody came") {
            // One end may be gone already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn the_bot_answers_a_room_and_requests_and_passes_over_the_rest() {
    let server = Server::start();
    let mut bot = example("bot.py", &["--port", &server.json.to_string(), "--room", "den"]);
    assert_eq!(bot.line().as_deref(), Some("in den as bot"));
    let mut ada = Client::connect(server.json);
    ada.send(r#"{"op":"hello","nick":"ada","echo":false,"id":"hello"}"#);
    ada.send(r#"{"op":"join","room":"den","id":"join"}"#);
    ada.line_with(r#""id":"join""#);
    for body in ["1", r#""hello""#, r#""!nothing of mine""#, r#""!echo  two words ""#] {
        ada.send(&format!(r#"{{"op":"send","room":"den","body":{body}}}"#));
    }
    assert!(ada.line().ends_with(r#""body":"ada: two words"}"#));
    ada.send(r#"{"op":"request","room":"den","body":"!echo hi","id":1}"#);
    assert!(ada.line().ends_with(r#""body":"hi"}"#));
    ada.send(r#"{"op":"request","to":"bot","body":17,"id":2}"#);
    assert!(ada.line().contains(r#""error":"send a command"#));
}

#[test]
fn the_bot_comes_back_and_answers_once_what_was_said_while_it_was_away() {
    let server = Server::start();
    let (proxy, open) = Proxy::to(server.json);
    open.send(()).expect("the proxy runs");
    let mut bot = example("bot.py", &["--port", &proxy.port.to_string()]);
    assert_eq!(bot.line().as_deref(), Some("in lobby as bot"));
    let mut ada = Client::connect(server.json);
    ada.send(r#"{"op":"hello","nick":"ada","echo":false,"presence":true,"id":"hello"}"#);
    ada.send(r#"{"op":"join","room":"lobby","id":"join"}"#);
    ada.line_with(r#""id":"join""#);
    ada.send(r#"{"op":"send","room":"lobby","body":"!echo one"}"#);
    ada.line_with(r#""body":"ada: one""#);
    proxy.cut();
    ada.line_with(r#"{"ev":"left","room":"lobby","nick":"bot""#);
    ada.send(r#"{"op":"send","room":"lobby","body":"!echo two"}"#);
    open.send(()).expect("the proxy runs");
    assert_eq!(bot.line().as_deref(), Some("in lobby as bot, again"));
    assert!(ada.line().contains(r#""ev":"joined""#));
    assert!(ada.line().ends_with(r#""body":"ada: two"}"#));
    ada.send(r#"{"op":"send","room":"lobby","body":"!echo three"}"#);
    assert!(ada.line().ends_with(r#""body":"ada: three"}"#), "nothing was answered twice");
}

#[test]
fn the_load_source_counts_what_was_accepted() {
    let server = Server::start();
    let args = ["--port", &server.json.to_string(), "--count", "1234", "--size", "10"];
    let mut load = example("load.py", &args);
    assert_eq!(load.line().as_deref(), Some("accepted 1234 of 1234, the last as number 1234 of bench"));
    assert!(load.succeeds());
}

#[test]
fn each_example_is_short_and_needs_the_standard_library_alone() {
    /// What they may import.
    const KNOWN: [&str; 10] =
        ["argparse", "datetime", "json", "random", "re", "socket", "sys", "threading", "time", "select"];
    let mut seen = 0;
    for entry in std::fs::read_dir(EXAMPLES).expect("there are examples").map(|entry| entry.expect("it can be read")) {
        let source = std::fs::read_to_string(entry.path()).expect("it is text");
        assert!(source.lines().count() < 120, "{:?} is long", entry.path());
        for line in source.lines().filter(|line| line.starts_with("import ") || line.starts_with("from ")) {
            assert!(KNOWN.contains(&line.split_whitespace().nth(1).unwrap_or_default()), "{:?}: {line}", entry.path());
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}
