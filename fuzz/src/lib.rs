//! What must hold of every decoder: input split at any points makes the same commands, and nothing makes it panic.
//!
//! A target names its protocol and calls [`splits_do_not_matter`]; the property knows no protocol.

use bytes::BytesMut;
use linehub::model::{Ask, Command, Outcome, Span};
use linehub::protocol::{Flow, Intake, Terms, Wire, codec};

/// Short enough that a fuzzer reaches the limits.
const TERMS: Terms = Terms { max_line: 1_100, max_errors: 20 };

/// The first byte says how many of the next ones are split points, each a distance from the one before.
pub fn splits_do_not_matter(wire: Wire, data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (distances, input) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let mut parts = Vec::new();
    let mut left = input;
    for distance in distances {
        let (part, behind) = left.split_at(usize::from(*distance).min(left.len()));
        parts.push(part);
        left = behind;
    }
    parts.push(left);
    assert_eq!(decode(wire, &parts), decode(wire, &[input]));
}

/// All that came of some input, in words.
fn decode(wire: Wire, parts: &[&[u8]]) -> (Vec<String>, Vec<String>) {
    let (mut decoder, _) = codec(wire, &TERMS);
    let mut input = BytesMut::new();
    let mut came = (Vec::new(), Vec::new());
    let ends = std::iter::repeat_n(false, parts.len()).chain([true]);
    for (at, is_end) in ends.enumerate() {
        if let Some(part) = parts.get(at) {
            input.extend_from_slice(part);
        }
        loop {
            let mut intake = Intake::default();
            let flow =
                if is_end { decoder.finish(&mut input, &mut intake) } else { decoder.decode(&mut input, &mut intake) };
            take(&mut came, &intake);
            match flow {
                Flow::More => break,
                Flow::Full => {}
                Flow::Await => {
                    let mut intake = Intake::default();
                    decoder.resolved(Outcome::Done, &mut intake);
                    take(&mut came, &intake);
                }
                Flow::Switch(wire) => decoder = codec(wire, &TERMS).0,
                Flow::HangUp => {
                    came.1.push("hang up".to_owned());
                    return came;
                }
            }
        }
    }
    came
}

fn take((asks, told): &mut (Vec<String>, Vec<String>), intake: &Intake) {
    let show = |span: Span| String::from_utf8_lossy(span.of(&intake.bytes)).into_owned();
    for Ask { tag, command } in &intake.asks {
        // What points into a batch stands elsewhere in another; what it points at is the same.
        let what = match command {
            Command::Send(send) => {
                let (place, headers) = (&intake.places[send.place as usize], send.headers.map(show));
                format!("Send({place:?}, {headers:?}, {}, {:?})", show(send.body), send.key)
            }
            Command::Request(ask) => {
                let headers = ask.headers.map(show);
                format!("Request({:?}, {headers:?}, {}, {:?})", ask.place, show(ask.body), ask.timeout)
            }
            Command::Reply(reply) => {
                let result = reply.result.map(show).map_err(show);
                format!("Reply({}, {:?}, {result:?})", reply.req, reply.headers.map(show))
            }
            other => format!("{other:?}"),
        };
        asks.push(format!("{tag:?} {what}"));
    }
    told.extend(intake.events.iter().map(|event| format!("{event:?}")));
}
