//! JSON-lines: one object a line, both ways.
//!
//! The way in is [`decoder`] (lines), [`scan`] (is this JSON, and where do the known fields stand), [`frame`] (typed
//! fields) and [`commands`] (what is asked). The way out is [`encode`] (events) and [`message`] (the one event that is
//! encoded for all receivers at once, which the router uses). Nothing here builds a tree of JSON values.

mod ascii;
mod commands;
mod decoder;
mod encode;
mod exported;
mod fault;
mod frame;
mod key;
mod message;
mod names;
mod number;
mod op;
mod recover;
mod scan;
mod settings;
mod string;
#[cfg(test)]
mod tests;
mod word;
mod write;

pub use decoder::JsonDecoder;
pub use encode::JsonEncoder;
pub use exported::Exported;
pub use message::{MessageHead, SenderPart};
