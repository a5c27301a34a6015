//! What the suites share: a server of each test's own, in this process or as the real program, and a client that speaks
//! JSON-lines and knows what it expects.
//!
//! Nothing here sleeps. Every wait is for an event and has a deadline; that nothing arrives is proved by an answer that would
//! have come behind it.

// Each suite is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod client;
mod program;
mod server;

use std::time::Duration;

pub(crate) use client::{Client, Event};
pub(crate) use program::Program;
pub(crate) use server::{TestServer, rule};

/// The longest that anything may take that must happen: far above what it takes, so that a slow machine fails nothing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
