//! The program under test as a process: started on free ports, watched from outside, ended by its id.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::DEADLINE;
use super::client::Client;

/// A server with an `auto` and a JSON-lines port; killed when it is dropped.
pub(crate) struct Hub {
    child: Child,
    /// Where the first bytes decide.
    pub(crate) auto: SocketAddr,
    /// Where JSON-lines alone is spoken.
    pub(crate) json: SocketAddr,
    log: Receiver<String>,
    config: PathBuf,
    /// What it keeps, gone with the test.
    _data: TempDir,
}

impl Hub {
    /// Starts a server with so much configuration beside its listeners.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_by(&[], config)
    }

    /// Starts a server by a command that runs the one behind it.
    pub(crate) fn start_by(launcher: &[&str], config: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("linehub-faults-{}-{number}.toml", std::process::id()));
        fs::write(&path, whole(config)).expect("the folder for temporary files can be written");
        let data = TempDir::new().expect("the folder for temporary files can be written");
        let mut words = launcher.to_vec();
        words.push(env!("CARGO_BIN_EXE_linehub"));
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--log", "linehub=debug", "--data"])
            .arg(data.path())
            .arg("--config")
            .arg(&path)
            .env_remove("LINEHUB_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        // A line waits here until a test looks; the program is not held up by a test that does not.
        let (lines, log) = sync_channel(1 << 16);
        std::thread::spawn(move || errors.lines().map_while(Result::ok).for_each(|line| drop(lines.try_send(line))));
        let mut output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut address = |protocol: &str| -> SocketAddr {
            let line = output.next().and_then(Result::ok);
            let line = line.unwrap_or_else(|| panic!("it does not listen: {:#?}", log.iter().collect::<Vec<String>>()));
            let address = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix(protocol));
            address.unwrap_or_else(|| panic!("{line}")).parse().expect("it is an address")
        };
        let (auto, json) = (address(" (auto)"), address(" (json)"));
        Self { child, auto, json, log, config: path, _data: data }
    }

    /// A client on the JSON-lines port.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.json)
    }

    /// A client on the JSON-lines port that has said who it is.
    pub(crate) fn named(&self, nick: &str) -> Client {
        let mut client = self.client();
        client.hello(nick);
        client
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// Writes another configuration and has it read.
    pub(crate) fn reload(&self, config: &str) {
        fs::write(&self.config, whole(config)).expect("it was written before");
        self.signal(Signal::HUP);
    }

    /// Awaits a line of the log that has some words in it.
    pub(crate) fn log_says(&self, words: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let line = self.log.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| panic!("the log does not say {words:?}: {error}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Awaits its end, which the end of its log shows.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        while self.log.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < until, "it does not end");
        self.child.wait().expect("it is a child")
    }

    /// A field of `/proc/PID/status`, in KiB.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells it");
        line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").trim().parse().expect("it is a number")
    }

    /// How many descriptors it has open, once those of the store are, whose threads open theirs when they get to it.
    pub(crate) fn descriptors(&self) -> usize {
        let sockets = self.sockets();
        self.until("the index of searches is open", |_| {
            self.open().iter().any(|file| file.to_string_lossy().ends_with("search.db-shm"))
        });
        // The one that was asked with is closed too.
        let until = Instant::now() + DEADLINE;
        while self.sockets() > sockets {
            assert!(Instant::now() < until, "never: a socket is closed");
            std::thread::yield_now();
        }
        self.open().len()
    }

    /// How many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        self.open().iter().filter(|file| file.to_string_lossy().starts_with("socket:")).count()
    }

    /// What its descriptors are of.
    fn open(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        // One that is closed at this moment is of nothing.
        all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
    }

    /// Lets it have so many descriptors from now on.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        // The hard limit stays, since not everyone may raise it again.
        let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: Some(most), maximum: hard };
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("a process of ours may be limited");
    }

    /// Asks again and again until something holds; each question is a round trip to the server, which is what paces it.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&mut Client) -> bool) {
        let mut client = self.client();
        let until = Instant::now() + DEADLINE;
        while !holds(&mut client) {
            assert!(Instant::now() < until, "never: {what}");
            client.pong();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
    }
}

fn whole(config: &str) -> String {
    let listener = |protocol| format!("\n[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n");
    format!("{config}\n{}{}", listener("auto"), listener("json"))
}
