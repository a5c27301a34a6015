//! The real program, for what only a process can show: signals, standard output, exit codes, memory.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Client, DEADLINE};

/// Lines of standard output that may wait to be looked at: more than the program ever prints.
const LINES: usize = 64;

/// A running `linehub serve`, which is ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    addresses: Vec<SocketAddr>,
    stderr: Option<JoinHandle<String>>,
    config: Option<PathBuf>,
    /// What it keeps, gone with the test, unless the test has its own folder for it.
    data: Option<TempDir>,
}

impl Program {
    /// `linehub serve` on a free port of loopback.
    pub(crate) fn serve() -> Self {
        Self::with_args(&["--listen", "127.0.0.1:0"], 1, None)
    }

    /// The same with its data in a folder of the test's.
    pub(crate) fn serve_in(data: &Path) -> Self {
        Self::start(data, &["--listen", "127.0.0.1:0"], 1)
    }

    /// `linehub serve` with a configuration file of this content, which opens so many listeners.
    pub(crate) fn with_config(content: &str, listeners: usize) -> Self {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("linehub-test-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, content).expect("the folder for temporary files can be written");
        let text = path.to_str().expect("the path is UTF-8").to_owned();
        Self::with_args(&["--config", &text], listeners, Some(path))
    }

    fn with_args(args: &[&str], listeners: usize, config: Option<PathBuf>) -> Self {
        let data = TempDir::new().expect("the folder for temporary files can be written");
        let mut program = Self::start(data.path(), args, listeners);
        (program.config, program.data) = (config, Some(data));
        program
    }

    fn start(data: &Path, args: &[&str], listeners: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_linehub"))
            .args(["serve", "--data"])
            .arg(data)
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut errors = child.stderr.take().expect("it is piped");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before it failed is as much as there is.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let mut program = Self { child, addresses: Vec::new(), stderr: Some(stderr), config: None, data: None };
        for _ in 0..listeners {
            let Ok(line) = lines.recv_timeout(DEADLINE) else {
                panic!("the program does not say where it listens: {}", program.end());
            };
            program.addresses.push(address(&line));
        }
        program
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens, in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A connection to its first listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addresses[0])
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, signal).expect("the program runs");
    }

    /// Replaces its configuration file, which it reads again on SIGHUP.
    pub(crate) fn rewrite_config(&self, content: &str) {
        let path = self.config.as_ref().expect("the program was started with a file");
        std::fs::write(path, content).expect("the file can be written");
    }

    /// Waits for it to end by itself; its status, and all it wrote to standard error.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.wait_in_time().expect("the program ends within the deadline");
        (status, self.stderr())
    }

    fn wait_in_time(&mut self) -> Option<ExitStatus> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw)?;
        let (done, ended) = sync_channel(1);
        std::thread::spawn(move || {
            let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
            // Left for the child's own handle to reap.
            let _ = rustix::process::waitid(rustix::process::WaitId::Pid(pid), options);
            let _ = done.send(());
        });
        ended.recv_timeout(DEADLINE).ok()?;
        self.child.wait().ok()
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().map(|reading| reading.join().unwrap_or_default()).unwrap_or_default()
    }

    fn end(&mut self) -> String {
        // One that has ended is not there to be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
        if let Some(path) = &self.config {
            // Somebody else may have tidied up.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = sync_channel(LINES);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    received
}

/// The address in `listening on ADDRESS (PROTOCOL)`.
fn address(line: &str) -> SocketAddr {
    let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"))
}
