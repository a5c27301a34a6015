//! The real `linehub serve` on a disk that may lose its power, and the events that a run waits for.
//!
//! Ends only the process that it started. Knows nothing of what is said to it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take: far longer than it does.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// What a run waits for.
#[derive(Debug)]
pub enum News {
    /// The power has gone.
    Cut,
    /// Enough was published for this time.
    Enough,
    /// The server says where it listens.
    Listens(SocketAddr),
    /// The server has closed its output, so it has ended.
    Ended,
}

/// The running server, ended when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts it; it says [`News::Listens`] or [`News::Ended`]. Its log goes to a file.
    pub fn start(program: &Path, config: &Path, data: &Path, log: &Path, news: SyncSender<News>) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--log", "warn", "--config"])
            .arg(config)
            .arg("--data")
            .arg(data)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
                if let Some(address) = address.and_then(|address| address.parse().ok()) {
                    // Whoever is gone wants to hear nothing.
                    let _ = news.send(News::Listens(address));
                }
            }
            let _ = news.send(News::Ended);
        });
        Ok(Self { child })
    }

    /// Asks it to end in good order.
    pub fn ask_to_end(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGTERM)?)
    }

    /// Ends it at once and waits for that, and for the last of its news.
    pub fn kill(mut self, news: &Receiver<News>, has_ended: bool) -> io::Result<()> {
        self.end()?;
        if !has_ended {
            while !matches!(news.recv_timeout(DEADLINE).map_err(io::Error::other)?, News::Ended) {}
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is not there to be ended.
        let _ = self.end();
    }
}
