//! Text for people.

use super::{Decoder, Encoder, Terms};

/// The two halves for a new connection.
pub fn codec(terms: &Terms) -> (Box<dyn Decoder>, Box<dyn Encoder>) {
    (Box::new(super::json::JsonDecoder::new(terms)), Box::new(super::json::JsonEncoder))
}
