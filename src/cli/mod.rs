//! The command line: one file a subcommand, and what they share.
//!
//! Exit codes: 0 is success, which the end of a server is also where a part of it failed, as its log then says; 1 is something
//! that went wrong, 2 is a mistake in the arguments or the configuration, which trying again will not mend.

mod ask;
mod backup;
mod bench;
mod check;
mod data;
mod export;
mod import;
mod logs;
mod ping;
mod reindex;
mod repair;
mod restore;
mod serve;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use linehub::config::{Layers, LogFormat};

/// A chat server and message broker for anything that can print a line.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGINT or SIGTERM; SIGHUP reads the configuration again
    Serve(ServeArgs),
    /// Say what is wrong with a configuration file, with line and column; exit code 2 if anything is
    Check(check::CheckArgs),
    /// Ask a server whether it answers: exit code 0 if so, 1 if not
    Ping(ping::PingArgs),
    /// Make the index of searches anew, while no server uses it
    Reindex(ReindexArgs),
    /// Read all that the store holds and say what is damaged: exit code 0 if nothing is, 1 if anything
    Verify(verify::VerifyArgs),
    /// Write the messages of a room to standard output, oldest first
    Export(export::ExportArgs),
    /// Take what `export` wrote into a new room of a stopped server
    Import(import::ImportArgs),
    /// Copy the store into a directory of its own, also while the server serves
    Backup(backup::BackupArgs),
    /// Put a backup in the place of a stopped server's store; every room gets a new epoch
    Restore(restore::RestoreArgs),
    /// Keep what can be kept of a stopped server's damaged store, and say what was lost
    Repair(repair::RepairArgs),
    /// Measure what a server does with messages, and check that it loses none
    Bench(bench::BenchArgs),
}

/// Where the configuration comes from; each flag counts over its variable and the file.
#[derive(Args)]
struct ServeArgs {
    /// Configuration file [default: `$LINEHUB_CONFIG`, else the built-in defaults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here for every protocol, in place of the configured listeners; may be given many times
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Folder of what outlives the process
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Log for people or for programs
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// What is logged: a level, or levels by part, as `warn,linehub=debug`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// Where the messages are, and which rooms are searched.
#[derive(Args)]
struct ReindexArgs {
    /// Configuration file [default: `$LINEHUB_CONFIG`, else the built-in defaults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of what outlives the process
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl From<ReindexArgs> for Layers {
    fn from(args: ReindexArgs) -> Self {
        Self { file: args.config, variables: std::env::vars_os().collect(), data: args.data, ..Self::default() }
    }
}

/// The words of `--log-format`.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl From<ServeArgs> for Layers {
    fn from(args: ServeArgs) -> Self {
        Self {
            file: args.config,
            variables: std::env::vars_os().collect(),
            listen: args.listen,
            data: args.data,
            log_format: args.log_format.map(|format| match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            }),
            log_filter: args.log,
        }
    }
}

/// Why a subcommand did not succeed.
enum Failure {
    /// The configuration or the arguments.
    Configuration(String),
    /// Anything else.
    Running(String),
}

/// Runs what the arguments ask for.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::run(args.into()),
        Command::Check(args) => return check::run(&args),
        Command::Ping(args) => ping::run(&args),
        Command::Reindex(args) => reindex::run(&args.into()),
        Command::Verify(args) => verify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(message)) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
        Err(Failure::Running(message)) => {
            eprintln!("linehub: {message}");
            ExitCode::FAILURE
        }
    }
}
