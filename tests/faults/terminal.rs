//! A shell script that runs beside a test: what it prints is awaited, and all of it ends with the test.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::DEADLINE;

/// A running script, with every process that it started.
pub(crate) struct Terminal {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    seen: String,
    script: String,
}

impl Terminal {
    /// Starts a script.
    pub(crate) fn run(script: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let mut printed = child.stdout.take().expect("it is piped");
        let (chunks, output) = sync_channel(1 << 10);
        std::thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(count @ 1..) = printed.read(&mut chunk) {
                if chunks.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, output, seen: String::new(), script: script.to_owned() }
    }

    /// Types something.
    pub(crate) fn types(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is open until the input is ended");
        input.write_all(text.as_bytes()).expect("the script reads");
    }

    /// Ends what is typed.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Awaits some words, and takes everything up to them.
    pub(crate) fn shows(&mut self, words: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen.find(words) {
                let rest = self.seen.split_off(at + words.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let is_more = self.read(until);
            assert!(is_more, "{words:?} is never shown, but {:?}, by {}", self.seen, self.script);
        }
    }

    /// Awaits the end of everything the script started; what was shown since, and how it ended.
    pub(crate) fn ends(mut self) -> (String, ExitStatus) {
        let until = Instant::now() + DEADLINE;
        while self.read(until) {}
        assert!(Instant::now() < until, "it hangs, having shown {:?}: {}", self.seen, self.script);
        (std::mem::take(&mut self.seen), self.child.wait().expect("it is a child"))
    }

    fn read(&mut self, until: Instant) -> bool {
        match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(chunk) => {
                self.seen.push_str(&String::from_utf8_lossy(&chunk));
                true
            }
            Err(_) => false,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell is reaped only here, so its number still is the group's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Fails with a hint where a program is not installed.
pub(crate) fn require(program: &str, package: &str) {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "`{program}` is missing: apt-get install {package}");
}
