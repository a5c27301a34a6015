//! Text for people: `nc`, telnet, and whatever else can show a line.
//!
//! One rule keeps the screen honest: a line that begins with a time (`14:05 [room] ada: `) is somebody's, and every line
//! of theirs begins so; what begins with `--` or `—` is the server's. All of it leaves through [`escape`], so nobody's
//! text can do to a terminal what only the terminal's owner may. The two halves share one [`person`]: what the incoming
//! half learns (a room joined, a time zone) decides how the outgoing half shows what follows.

mod banner;
mod clock;
mod comings;
mod command;
mod decode;
mod encode;
mod escape;
mod help;
mod line;
mod listing;
mod mark;
mod news;
mod own;
mod past;
mod person;
mod pipe;
mod render;
mod rooms;
mod screen;
mod talk;
mod telnet;
#[cfg(test)]
mod tests;
mod transcript;
mod typed;
mod words;

use std::sync::{Arc, Mutex};

use super::{Decoder, Encoder, Terms};

pub use decode::TextDecoder;
pub use encode::TextEncoder;
pub use transcript::transcript;

/// The two halves for a new connection.
pub fn codec(terms: &Terms) -> (Box<dyn Decoder>, Box<dyn Encoder>) {
    let (decoder, encoder) = pair(terms);
    (Box::new(decoder), Box::new(encoder))
}

/// The two halves by their own types.
pub fn pair(terms: &Terms) -> (TextDecoder, TextEncoder) {
    let person = Arc::new(Mutex::new(person::Person::default()));
    (TextDecoder::new(terms, Arc::clone(&person)), TextEncoder::new(person))
}
