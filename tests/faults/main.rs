//! Faults tried for real against the real program: peers that read nothing, lines that never end, signals, descriptors that
//! run out, clients that are killed, and the tools that people have in their shells.
//!
//! Each test has a server of its own on free ports. Nothing here sleeps: events are awaited, under a deadline.

mod churn;
mod client;
mod descriptors;
mod endings;
mod hub;
mod output;
mod patience;
mod reload;
mod shell;
mod shutdown;
mod stalled;
mod terminal;

use std::time::Duration;

/// How long anything may take before a test says that it hangs: far more than a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);
