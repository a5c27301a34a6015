//! `linehub repair`: keeps what can be kept of a damaged store.
//!
//! A store that is well is left alone. What was lost is printed; the damaged store is kept aside.

use std::io::{self, Write};

use clap::Args;

use linehub::store::sqlite::{Archive, Damage, RestoreError, repair};

use super::Failure;
use super::data::{DataArgs, not_opened};

#[derive(Args)]
pub(super) struct RepairArgs {
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &RepairArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let mut archive = Archive::open(&directory).map_err(|error| not_opened(&error))?;
    let mut out = io::stdout().lock();
    let found = archive.verify(&mut |_| {});
    let path = directory.display();
    if found.damages == 0 {
        let _ = writeln!(out, "{path}: ok, there is nothing to repair");
        return Ok(());
    }
    let mut say = |lost: &Damage| {
        let _ = writeln!(out, "{lost}");
    };
    let aside = repair(archive, &directory, &mut say).map_err(|error| match &error {
        RestoreError::Open(error) => not_opened(error),
        _ => Failure::Running(error.to_string()),
    })?;
    let kept = Archive::open(&directory).map_err(|error| not_opened(&error))?.verify(&mut say);
    let _ = writeln!(out, "{path}: repaired, {} messages of {} rooms are kept", kept.messages, kept.rooms);
    let _ = writeln!(out, "the damaged store is in {}", aside.display());
    if kept.damages > 0 {
        return Err(Failure::Running(format!("{path}: what was kept is still damaged: restore a backup")));
    }
    Ok(())
}
