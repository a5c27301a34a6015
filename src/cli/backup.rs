//! `linehub backup DIR`: copies the store into a directory of its own, while a server serves or where none does.
//!
//! A running server makes the copy itself, between its commits; the copy is then looked at here, so that what is said to be a
//! backup is one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use linehub::server::control::{self, Request};
use linehub::store::sqlite::{Archive, BackupError, OpenError, back_up};

use super::Failure;
use super::ask::ask;
use super::data::{DataArgs, not_opened};
use super::verify::verified;

#[derive(Args)]
pub(super) struct BackupArgs {
    /// A new or an empty directory, best on another disk
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &BackupArgs) -> Result<(), Failure> {
    let data = args.data.directory()?;
    let target = std::path::absolute(&args.target).map_err(|error| Failure::Running(error.to_string()))?;
    // Before anything is made: there is something to be saved.
    drop(Archive::open(&data).map_err(|error| not_opened(&error))?);
    if ask(&data, &Request::Backup { dir: target.clone() })?.is_none() {
        back_up(&data, &target).map_err(|error| not_made(&error, &data))?;
    }
    let mut archive = Archive::open(&target).map_err(|error| Failure::Running(error.to_string()))?;
    let words = verified(&mut archive, &target).map_err(|failure| damaged(failure, &target))?;
    let _ = writeln!(io::stdout(), "{words}");
    Ok(())
}

fn not_made(error: &BackupError, data: &Path) -> Failure {
    match error {
        BackupError::Open(error @ OpenError::Taken(_)) => Failure::Running(format!(
            "{error}, which does not answer at {}: start it anew, or stop it and try again",
            control::path(data).display()
        )),
        BackupError::Open(error) => not_opened(error),
        _ => Failure::Running(error.to_string()),
    }
}

fn damaged(failure: Failure, target: &Path) -> Failure {
    match failure {
        Failure::Running(words) => Failure::Running(format!(
            "{words}\nlinehub: {} is a copy of a damaged store: keep older backups, and see `linehub repair`",
            target.display()
        )),
        mistake @ Failure::Configuration(_) => mistake,
    }
}
