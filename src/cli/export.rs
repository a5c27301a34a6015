//! `linehub export`: writes a room's messages to standard output, oldest first.
//!
//! A stretch at a time, so that a large room takes no more memory than a small one. What is damaged is said on standard
//! error and left out.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::Arc;

use bytes::BytesMut;
use clap::{Args, ValueEnum};

use linehub::model::{Chunk, RoomName};
use linehub::protocol::text;
use linehub::store::sqlite::{Archive, ExportError, Piece};

use super::Failure;
use super::data::{DataArgs, not_opened};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The room
    #[arg(long, value_name = "ROOM", value_parser = room_name)]
    room: RoomName,
    /// As clients get them or as people see them
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
    #[command(flatten)]
    data: DataArgs,
}

/// The words of `--format`.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A `message` event a line, which `linehub import` takes.
    Jsonl,
    /// Lines with date, time and nick.
    Text,
}

pub(super) fn room_name(text: &str) -> Result<RoomName, String> {
    RoomName::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let mut archive = Archive::open(&directory).map_err(|error| not_opened(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut damaged = 0;
    let done = archive.export(&Arc::new(args.room.clone()), |piece| match piece {
        Piece::Messages(chunk) => write(&mut out, &chunk, args.format),
        Piece::Damaged(first, last) => {
            damaged += last.0 - first.0 + 1;
            eprintln!("linehub: numbers {first} to {last} are damaged and left out");
            Ok(())
        }
    });
    match done.and_then(|()| out.flush().map_err(ExportError::from)) {
        // Who closed the pipe has seen enough.
        Err(ExportError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Running(error.to_string())),
        Ok(()) if damaged > 0 => Err(Failure::Running(format!("{damaged} messages are damaged and left out"))),
        Ok(()) => Ok(()),
    }
}

fn write(out: &mut impl Write, chunk: &Chunk, format: Format) -> io::Result<()> {
    match format {
        Format::Jsonl => out.write_all(chunk.bytes()),
        Format::Text => {
            let mut lines = BytesMut::with_capacity(chunk.bytes().len());
            text::transcript(chunk, &mut lines);
            out.write_all(&lines)
        }
    }
}
