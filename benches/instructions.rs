//! One scene of the hot path, so many rounds of it: what `scripts/instructions` counts under callgrind.
//!
//! Takes the scene's name and the number of rounds; without them, as when `cargo bench` runs everything, it does nothing.

use std::process::ExitCode;

mod scenes;

/// The program's own, so that what it allocates costs what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(rounds)) = (args.next(), args.next().and_then(|rounds| rounds.parse::<usize>().ok())) else {
        eprintln!("nothing to do: scripts/instructions runs this with a scene and a number of rounds");
        return ExitCode::SUCCESS;
    };
    let Some(mut scene) = scenes::scene(&name) else {
        eprintln!("there is no scene `{name}`");
        return ExitCode::FAILURE;
    };
    for _ in 0..rounds {
        assert!(scene() > 0, "every round brings something");
    }
    ExitCode::SUCCESS
}
