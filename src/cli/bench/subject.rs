//! The server under test: one that runs already, or one started for a single run in a process of its own.
//!
//! It owns the process it started and ends it by its number; one that ran before is left alone.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::args::{ProtocolName, ServerArgs};
use super::usage::Process;

/// A server under test.
#[derive(Debug)]
pub(super) struct Subject {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Its process, where it is known.
    pub(super) process: Option<Process>,
    child: Option<Child>,
    /// What it keeps, gone with it.
    data: Option<TempDir>,
}

impl Subject {
    /// The server that the arguments name, or a new one.
    pub(super) fn new(args: &ServerArgs) -> Result<Self, String> {
        if let Some(address) = args.target {
            return Ok(Self { address, process: args.pid.map(Process::new), child: None, data: None });
        }
        let started = match args.protocol {
            ProtocolName::Linehub => Self::linehub(args.history.as_str()),
            ProtocolName::Floor => Self::start(&["bench", "floor"], ""),
            peer => return Err(format!("a server that speaks {} is not started here: give --target", peer.as_str())),
        };
        started.map_err(|error| format!("the server does not start: {error}"))
    }

    /// CPU time that it has used so far, where its process is known.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.process.and_then(Process::cpu)
    }

    /// Bytes of resident memory, where its process is known.
    pub(super) fn resident(&self) -> Option<u64> {
        self.process.and_then(Process::resident)
    }

    fn linehub(history: &str) -> io::Result<Self> {
        let config = format!(
            "[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"json\"\n\
             [[rooms]]\npattern = \">\"\nhistory = \"{history}\"\n\
             [log]\nfilter = \"error\"\n"
        );
        let data = TempDir::with_prefix("linehub-bench-")?;
        let folder = data.path().to_string_lossy().into_owned();
        let mut subject = Self::start(&["serve", "--config", "/dev/stdin", "--data", &folder], &config)?;
        subject.data = Some(data);
        Ok(subject)
    }

    /// Starts this program, gives it some input, and reads where it listens.
    fn start(args: &[&str], input: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What this shell has set is for the server that it runs, not for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"LINEHUB_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let mut line = String::new();
        let stdout = child.stdout.take();
        let mut subject = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: Some(Process::new(child.id())),
            child: Some(child),
            data: None,
        };
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.split_ascii_whitespace().nth(2).and_then(|address| address.parse().ok());
        subject.address = address.ok_or_else(|| io::Error::other("it does not say where it listens"))?;
        Ok(subject)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // One that has ended by itself cannot be told to, and is only waited for.
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait();
    }
}
