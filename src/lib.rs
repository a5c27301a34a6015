//! linehub: a chat server and message broker for anything that can print a line.
//!
//! The crate is a house of seven floors and imports go down only; `ARCHITECTURE.md` has the plan. From the ground up:
//! [`model`] and [`config`] are plain data; [`protocol`] and [`room`] are pure; [`outbox`] and [`sessions`] are what the
//! actors share; [`store`] is what outlives them; [`router`] owns every room; [`connection`] serves one peer; [`server`]
//! wires it all together.

pub mod config;
pub mod connection;
pub mod model;
pub mod outbox;
pub mod protocol;
pub mod room;
pub mod router;
pub mod server;
pub mod sessions;
pub mod store;
