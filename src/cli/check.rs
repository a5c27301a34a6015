//! `linehub check FILE`: says what is wrong with a configuration file, as compilers do.
//!
//! The file is looked at alone: what variables and flags would change on some machine is not the file's fault.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use linehub::config::Layers;

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    file: PathBuf,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let layers = Layers { file: Some(args.file.clone()), ..Layers::default() };
    let (text, code) = match layers.load() {
        Ok(_) => (format!("{}: ok", args.file.display()), ExitCode::SUCCESS),
        Err(problems) => (problems.to_string(), ExitCode::from(2)),
    };
    // Who closed the pipe has seen enough; the exit code still tells.
    let _ = writeln!(io::stdout(), "{text}");
    code
}
