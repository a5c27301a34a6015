//! Standard output and standard error that take nothing, as on a full disk: the server serves all the same.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::client::Client;

/// Takes nothing, as a full disk does.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("the kernel has it").into()
}

/// A process that is killed when a test is through.
struct Serving(Child, #[expect(dead_code, reason = "it is there to be gone with the process")] TempDir);

impl Serving {
    fn start(output: Stdio, errors: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linehub"));
        let data = TempDir::new().expect("the folder for temporary files can be written");
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).env_remove("LINEHUB_CONFIG");
        Self(command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().expect("the program starts"), data)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first address in what is read line by line.
fn address(lines: impl BufRead, before: &str) -> SocketAddr {
    let mut lines = lines.lines().map_while(Result::ok);
    let found = lines.find_map(|line| {
        let (_, rest) = line.split_once(before)?;
        rest.split(|c: char| c.is_whitespace()).next()?.parse().ok()
    });
    found.expect("it says where it listens")
}

#[test]
fn a_server_whose_output_takes_nothing_serves() {
    let mut serving = Serving::start(full(), Stdio::piped());
    let log = BufReader::new(serving.0.stderr.take().expect("it is piped"));
    Client::connect(address(log, "address=")).pong();
}

#[test]
fn a_server_whose_log_takes_nothing_serves() {
    let mut serving = Serving::start(Stdio::piped(), full());
    let output = BufReader::new(serving.0.stdout.take().expect("it is piped"));
    Client::connect(address(output, "listening on ")).pong();
}
