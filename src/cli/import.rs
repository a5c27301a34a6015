//! `linehub import FILE`: takes what `linehub export` wrote into a new room of a stopped server.
//!
//! All of it or nothing: the first line that cannot be taken is named, and nothing has happened.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use linehub::model::{ConnId, Identity, RoomName, Sender};
use linehub::protocol::json::Exported;
use linehub::store::sqlite::{Brought, Import, ImportError};

use super::Failure;
use super::data::{DataArgs, not_opened};
use super::export::room_name;

/// Bytes of a line at most: the longest that a server takes, and what it adds.
const LINE_BYTES_MAX: u64 = (1 << 20) + (8 << 10);

#[derive(Args)]
pub(super) struct ImportArgs {
    /// What `linehub export` wrote, or `-` for standard input
    file: PathBuf,
    /// The room, which must be new
    #[arg(long, value_name = "ROOM", value_parser = room_name)]
    room: RoomName,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let shown = args.file.display();
    let mut input: Box<dyn BufRead> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file =
            File::open(&args.file).map_err(|error| Failure::Configuration(format!("linehub: {shown}: {error}")))?;
        Box::new(BufReader::new(file))
    };
    let mut import = Import::begin(&directory, &args.room).map_err(|error| failed(&error))?;
    let (mut line, mut number) = (Vec::new(), 0);
    let mut sender = None;
    loop {
        line.clear();
        let mut limited = (&mut input).take(LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(|error| Failure::Running(format!("{shown}: {error}")))? == 0 {
            break;
        }
        number += 1;
        let taken = take(&mut import, &line, &mut sender);
        taken.map_err(|why| Failure::Running(format!("{shown}:{number}: {why}; nothing was imported")))?;
    }
    import.finish().map_err(|error| failed(&error))?;
    let _ = writeln!(io::stdout(), "{}: {number} messages in {}", directory.display(), args.room.shown());
    Ok(())
}

fn take(import: &mut Import, line: &[u8], known: &mut Option<Arc<Sender>>) -> Result<(), String> {
    if line.len() as u64 == LINE_BYTES_MAX {
        return Err(format!("a line of more than {LINE_BYTES_MAX} bytes"));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let message = Exported::parse(line)?;
    let account = message.account.as_deref();
    let is_same =
        |sender: &Arc<Sender>| sender.nick.shown() == message.from.shown() && sender.account.as_deref() == account;
    let sender = known.take().filter(is_same).unwrap_or_else(|| {
        // A guest of another life, who nobody is.
        let identity = account.map_or(Identity::Guest(0), |name| Identity::Account(name.into()));
        let nick = Arc::new(message.from.clone());
        Arc::new(Sender { conn: ConnId(0), identity, nick, account: account.map(Arc::from) })
    });
    *known = Some(Arc::clone(&sender));
    let Exported { seq, ts, headers, body, redacted, .. } = message;
    import.take(&Brought { seq, sender, ts, headers, body, redacted }).map_err(|error| error.to_string())
}

fn failed(error: &ImportError) -> Failure {
    match error {
        ImportError::Open(error) => not_opened(error),
        _ => Failure::Running(error.to_string()),
    }
}
