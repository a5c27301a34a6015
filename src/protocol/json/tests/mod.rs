//! The promises of JSON-lines: which lines are read, as what, and what is written.

mod commands;
mod encoding;
mod framing;
mod messages;
mod reading;

use bytes::BytesMut;

use super::JsonDecoder;
use crate::model::{Ask, Command, Event, Item, Outcome, Span};
use crate::protocol::{Decoder, Encoder, Flow, Intake, Output, Terms};

const TERMS: Terms = Terms { max_line: 65_536, max_errors: 1_000 };

/// Everything that came of some input, in words: one for each request, one for each error.
#[derive(Debug, Default, PartialEq)]
struct Came {
    asks: Vec<String>,
    told: Vec<String>,
    lines: usize,
    hung_up: bool,
}

impl Came {
    fn take(&mut self, intake: Intake) {
        self.lines += intake.lines;
        let show = |span: Span| String::from_utf8_lossy(span.of(&intake.bytes)).into_owned();
        for Ask { tag, command } in &intake.asks {
            let what = match command {
                Command::Send(send) => {
                    let place = &intake.places[send.place as usize];
                    let (headers, body) = (send.headers.map(show), show(send.body));
                    format!("Send({place:?}, {headers:?}, {body}, {:?})", send.key)
                }
                Command::Request(ask) => {
                    let (headers, body) = (ask.headers.map(show), show(ask.body));
                    format!("Request({:?}, {headers:?}, {body}, {:?})", ask.place, ask.timeout)
                }
                Command::Reply(reply) => {
                    let result = reply.result.map(show).map_err(show);
                    format!("Reply({}, {:?}, {result:?})", reply.req, reply.headers.map(show))
                }
                other => format!("{other:?}"),
            };
            self.asks.push(format!("{tag:?} {what}"));
        }
        for event in intake.events {
            self.told.push(written(event).trim_end().to_owned());
        }
    }
}

/// What an event looks like on the wire.
fn written(event: Event) -> String {
    let mut out = Output::default();
    super::JsonEncoder.encode(Item::Events(Box::new(vec![event])), &mut out);
    String::from_utf8(out.slices().concat()).expect("the server writes UTF-8")
}

/// Feeds the parts one by one, and the end of the input behind them.
fn decode_parts<'a>(terms: &Terms, parts: impl IntoIterator<Item = &'a [u8]>) -> Came {
    let mut decoder = JsonDecoder::new(terms);
    let mut input = BytesMut::new();
    let mut came = Came::default();
    for part in parts {
        input.extend_from_slice(part);
        drive(&mut came, &mut decoder, &mut input, JsonDecoder::decode);
    }
    drive(&mut came, &mut decoder, &mut input, JsonDecoder::finish);
    came
}

fn drive(
    came: &mut Came,
    decoder: &mut JsonDecoder,
    input: &mut BytesMut,
    step: fn(&mut JsonDecoder, &mut BytesMut, &mut Intake) -> Flow,
) {
    loop {
        let mut intake = Intake::default();
        let flow = step(decoder, input, &mut intake);
        came.take(intake);
        match flow {
            Flow::More => return,
            Flow::Full => {}
            Flow::Await => decoder.resolved(Outcome::Done, &mut Intake::default()),
            Flow::HangUp => came.hung_up = true,
            Flow::Switch(wire) => panic!("JSON-lines never becomes {wire:?}"),
        }
    }
}

fn decode(bytes: &[u8]) -> Came {
    decode_parts(&TERMS, [bytes])
}

/// The one request that a line makes.
fn asked(line: &str) -> String {
    let came = decode(line.as_bytes());
    assert_eq!((came.asks.len(), came.told.len()), (1, 0), "{line}: {came:?}");
    came.asks.into_iter().next().unwrap_or_default()
}

/// The one error that a line brings.
fn told(line: impl AsRef<[u8]>) -> String {
    let came = decode(line.as_ref());
    assert_eq!((came.asks.len(), came.told.len()), (0, 1), "{came:?}");
    came.told.into_iter().next().unwrap_or_default()
}
