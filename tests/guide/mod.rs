//! What the documents' tests share: the real program on free ports, and plain sockets to talk to it.
//!
//! Knows the documents only as text with marked blocks; what a block means is its test's affair.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long anything may take that a document promises: far longer than it does, so that a slow machine fails nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The real program, serving on free ports until it is dropped.
pub(crate) struct Server {
    child: Child,
    /// The port that recognises protocols.
    pub(crate) auto: u16,
    /// The port for JSON-lines alone.
    pub(crate) json: u16,
    folder: Folder,
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// A server with the built-in defaults, but for its ports.
    pub(crate) fn start() -> Self {
        let folder = Folder::new();
        let config = folder.0.join("linehub.toml");
        let listen =
            ["auto", "json"].map(|protocol| format!("[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n"));
        std::fs::write(&config, listen.concat()).expect("the folder for temporary files can be written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_linehub"))
            .args(["serve", "--log", "error", "--data"])
            .arg(folder.0.join("data"))
            .arg("--config")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("it was piped"));
        let [auto, json] = ["(auto)", "(json)"].map(|protocol| {
            let mut line = String::new();
            output.read_line(&mut line).expect("it says where it listens");
            let port =
                line.strip_prefix("listening on 127.0.0.1:").and_then(|rest| rest.trim_end().strip_suffix(protocol));
            port.and_then(|port| port.trim().parse().ok()).unwrap_or_else(|| panic!("a port, not {line:?}"))
        });
        Self { child, auto, json, folder, _output: output }
    }

    /// A text with the ports that the documents name put in the place of this server's.
    pub(crate) fn with_ports(&self, text: &str) -> String {
        text.replace("7878", &self.auto.to_string()).replace("7879", &self.json.to_string())
    }

    /// A folder that is gone with the server.
    pub(crate) fn folder(&self) -> &PathBuf {
        &self.folder.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which its test has seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of one server's own, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("linehub-guide-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that runs, with all that it starts; ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it, and reads what it prints.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/tools names what the tests need"));
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        // More than anything here prints, so that the thread ends with the program.
        let (sender, lines) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.expect("what it prints is UTF-8")).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that it prints; `None` when it has printed its last.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing was printed within {PATIENCE:?}"),
        }
    }

    /// Whether it ends well.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A plain socket that speaks lines.
pub(crate) struct Client {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let lines = BufReader::new(stream.try_clone().expect("a socket has two ends"));
        Self { stream, lines }
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).expect("the server reads");
    }

    /// The next line, without its ending; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the server answers in time");
        line.trim_end().to_owned()
    }

    /// Reads up to a line that holds some text.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended before {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }
}

/// A fenced block of a document and what the comment right above it says.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// The words of the comment.
    pub(crate) words: Vec<&'a str>,
    /// The info string of the fence.
    pub(crate) info: &'a str,
    /// What is between the fences.
    pub(crate) text: String,
    /// The line of the document that it begins in.
    pub(crate) line: usize,
}

/// The fenced blocks of a document that have a comment `<!-- … -->` right above them.
pub(crate) fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut comment = None;
    let mut lines = document.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            if let Some(words) = comment.take() {
                blocks.push(Block { words, info, text: text.join("\n"), line: at + 2 });
            }
        }
        let inside = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        comment = inside.map(|inside| inside.split_whitespace().collect());
    }
    blocks
}

/// Whether a line is as a document shows it, where `…` stands for anything.
pub(crate) fn is_as_shown(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
