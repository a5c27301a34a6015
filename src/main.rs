//! The `linehub` program: the arguments, the allocator and the exit code; the rest is in the library.
//!
//! Nothing is decided here, so that whatever the program does can be tested without starting it.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Many small pieces of one size, made on one thread and freed on another: what it was built for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
