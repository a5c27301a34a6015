//! JSON-lines: one object a line.

use bytes::BytesMut;

use super::{Decoder, Encoder, Flow, Intake, Output, Terms};
use crate::model::{Item, Outcome};

/// The incoming half.
#[derive(Debug)]
pub struct JsonDecoder;

impl JsonDecoder {
    /// A decoder for a new connection.
    pub fn new(_terms: &Terms) -> Self {
        Self
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, _input: &mut BytesMut, _intake: &mut Intake) -> Flow {
        Flow::More
    }
    fn finish(&mut self, _input: &mut BytesMut, _intake: &mut Intake) -> Flow {
        Flow::More
    }
    fn resolved(&mut self, _outcome: Outcome, _intake: &mut Intake) {}
}

/// The outgoing half.
#[derive(Debug)]
pub struct JsonEncoder;

impl Encoder for JsonEncoder {
    fn encode(&mut self, _item: Item, _out: &mut Output) {}
}
