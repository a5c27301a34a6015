//! linehub: a chat server and message broker for anything that can print a line.
//!
//! The crate is a house of seven floors and imports go down only; `ARCHITECTURE.md` has the plan. From the ground up:
//! [`model`] and [`config`] are plain data; [`protocol`] is pure.

pub mod config;
pub mod model;
pub mod protocol;
pub mod server;
