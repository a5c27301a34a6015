//! `linehub restore BACKUP`: puts a backup where a server will look for its store.
//!
//! The backup is looked at first, to the last message; nothing damaged is put in place.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use linehub::store::sqlite::{Archive, OpenError, RestoreError, restore};

use super::Failure;
use super::data::{DataArgs, not_opened};
use super::verify::verified;

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A directory that `linehub backup` made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Put it in the place of a store that is there, which is kept aside under a dated name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let data = args.data.directory()?;
    let mut archive = Archive::open(&args.backup).map_err(|error| match error {
        OpenError::Missing(path) => Failure::Configuration(format!(
            "linehub: there is no backup in {}: name a directory that `linehub backup` made",
            path.display()
        )),
        other => not_opened(&other),
    })?;
    let words = verified(&mut archive, &args.backup)?;
    let aside = restore(&mut archive, &args.backup, &data, args.replace).map_err(|error| match &error {
        RestoreError::Open(error) => not_opened(error),
        _ => Failure::Running(error.to_string()),
    })?;
    let mut out = io::stdout();
    let _ = writeln!(out, "{words}");
    let _ = writeln!(out, "{}: restored; every room has a new epoch", data.display());
    if let Some(aside) = aside {
        let _ = writeln!(out, "the store that was there is in {}", aside.display());
    }
    Ok(())
}
