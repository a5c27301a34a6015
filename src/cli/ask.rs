//! Asks a running server for something over the control socket in its data directory.
//!
//! Plain blocking sockets: one question, and one who answers, who says now and then that it goes on.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use linehub::server::control::{self, Answer, Request, SILENCE_MAX};

use super::Failure;

/// Asks and waits for the answer; `None` where no server is there to be asked.
pub(super) fn ask(data: &Path, request: &Request) -> Result<Option<()>, Failure> {
    let path = control::path(data);
    let failed = |what: &str| Failure::Running(format!("the server at {}: {what}", path.display()));
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(failed(&error.to_string())),
    };
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => failed("no answer in time"),
        _ => failed(&error.to_string()),
    };
    stream.set_read_timeout(Some(SILENCE_MAX)).map_err(io)?;
    stream.set_write_timeout(Some(SILENCE_MAX)).map_err(io)?;
    let mut line = serde_json::to_vec(request).map_err(|error| failed(&error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(io)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(io)?) {
            Ok(Answer::Working) => {}
            Ok(Answer::Ok) => return Ok(Some(())),
            Ok(Answer::Error { message }) => return Err(Failure::Running(message)),
            Err(error) => return Err(failed(&format!("an answer that is none: {error}"))),
        }
    }
    Err(failed("it hung up without an answer"))
}
