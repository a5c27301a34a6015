//! The control socket: how whoever administers the server asks it for something while it runs.
//!
//! A Unix socket named `control` in the data directory, which its owner alone can open; one JSON object a line either way. One
//! actor takes requests, one after the other for each connection; few connections, short lines, and a limit on the time of
//! everything. It decides nothing about rooms or people and waits for nobody but the store.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::sqlite::{BackupError, Backups};

/// The socket's name in the data directory.
const NAME: &str = "control";

/// Connections at once: more than one administrator's commands.
const CONNECTIONS_MAX: usize = 8;

/// Bytes of a request: a path is the longest part of one.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a backup may take: a terabyte on a fast disk.
const BACKUP_MAX: Duration = Duration::from_secs(3_600);

/// How often one who waits is told that it goes on; [`SILENCE_MAX`] is a few times as long.
const WORKING: Duration = Duration::from_secs(2);

/// How long one who asks need not wait without a word.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make a backup of the store.
    Backup {
        /// A new or an empty directory, with its whole path.
        dir: PathBuf,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Ok,
    /// It goes on.
    Working,
    /// It was not done.
    Error {
        /// Why.
        message: String,
    },
}

/// Where the socket of a data directory is.
pub fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// The open socket, whose file goes with it.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens the socket in a data directory that is ours: one that lies there is of a server that is gone.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let path = path(data);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(&path)?,
            Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "something else has its name")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let private = Permissions::from_mode(0o600);
        let socket = File::from(OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?));
        // What the socket is here, its file becomes: nobody else can open it even for a moment. Where the system does not
        // do that, the directory keeps them out until the file has its rights.
        let _ = socket.set_permissions(private.clone());
        let socket = Socket::from(OwnedFd::from(socket));
        socket.bind(&SockAddr::unix(&path)?)?;
        fs::set_permissions(&path, private)?;
        socket.listen(i32::try_from(CONNECTIONS_MAX).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(OwnedFd::from(socket).into())?;
        Ok(Self { listener, path })
    }

    /// Answers until the server goes down. What is under way is given up then.
    pub(super) async fn run(self, backups: Backups, shutdown: CancellationToken) {
        let mut serving = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                // Ended ones make room; what became of them is in their answers.
                Some(_) = serving.join_next() => {}
                accepted = self.listener.accept(), if serving.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => drop(serving.spawn(serve(stream, backups.clone()))),
                    Err(error) => {
                        tracing::warn!(%error, "the control socket cannot accept");
                        tokio::time::sleep(WORKING).await;
                    }
                },
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The next server takes away what is left.
        let _ = fs::remove_file(&self.path);
    }
}

/// One connection, until it says nothing more or what it says is no request.
async fn serve(stream: UnixStream, backups: Backups) {
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut input).take(REQUEST_BYTES_MAX);
        match timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await {
            Ok(Ok(read)) if read > 0 => {}
            _ => return,
        }
        let request = match serde_json::from_slice(&line) {
            Ok(request) if line.ends_with(b"\n") => request,
            Ok(_) => return,
            Err(error) => {
                let message = format!("this server does not know the request: {error}");
                let _ = answer(&mut output, &Answer::Error { message }).await;
                return;
            }
        };
        let answered = tokio::select! {
            answered = carry_out(&mut output, request, &backups) => answered,
            // One that hangs up wants it no more. What it sends meanwhile waits, up to the buffer's size.
            () = hung_up(&mut input) => return,
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Resolves when the peer is gone; never where it only says more.
async fn hung_up(input: &mut (impl AsyncBufReadExt + Unpin)) {
    match input.fill_buf().await {
        Ok(more) if !more.is_empty() => std::future::pending().await,
        _ => {}
    }
}

async fn carry_out(output: &mut (impl AsyncWriteExt + Unpin), request: Request, backups: &Backups) -> io::Result<()> {
    let Request::Backup { dir } = request;
    tracing::info!(dir = %dir.display(), "a backup is being made");
    let begun = Instant::now();
    let mut working = interval_at(begun + WORKING, WORKING);
    let made = timeout(BACKUP_MAX, backup(backups, dir));
    tokio::pin!(made);
    let made = loop {
        tokio::select! {
            made = &mut made => break made,
            _ = working.tick() => answer(output, &Answer::Working).await?,
        }
    };
    let message = match made {
        Ok(Ok(())) => {
            tracing::info!(took = ?begun.elapsed(), "a backup was made");
            return answer(output, &Answer::Ok).await;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the backup was given up: it took longer than {BACKUP_MAX:?}"),
    };
    tracing::warn!(error = message, "no backup was made");
    answer(output, &Answer::Error { message }).await
}

async fn backup(backups: &Backups, dir: PathBuf) -> Result<(), BackupError> {
    if dir.is_relative() {
        let source = io::Error::new(ErrorKind::InvalidInput, "a backup needs a whole path");
        return Err(BackupError::Target { path: dir, source });
    }
    backups.make(dir).await
}

async fn answer(output: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(PATIENCE, output.write_all(&line)).await?
}
