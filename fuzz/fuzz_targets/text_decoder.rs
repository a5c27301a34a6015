//! Whatever a terminal sends: nothing panics, every body is JSON, nothing unsafe comes back, and where the network cuts
//! the bytes changes nothing.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use linehub::model::{Command, Event, Item, Outcome};
use linehub::protocol::{Decoder, Encoder, Flow, Intake, Output, Terms, Wire, codec};

/// What a session came to: the commands in order, and where it ended.
#[derive(Debug, Default, PartialEq)]
struct Session {
    asked: Vec<String>,
    ended: Option<Flow>,
}

fn run(pieces: &[&[u8]]) -> Session {
    let terms = Terms { max_line: 2_000, max_errors: 50 };
    let (mut decoder, mut encoder) = codec(Wire::Text, &terms);
    let mut session = Session::default();
    let mut input = BytesMut::new();
    // The greeting looks at what is there at first; it is not what is compared here.
    drive(&mut *decoder, &mut *encoder, &mut input, &mut session, false);
    for piece in pieces {
        input.extend_from_slice(piece);
        drive(&mut *decoder, &mut *encoder, &mut input, &mut session, false);
    }
    drive(&mut *decoder, &mut *encoder, &mut input, &mut session, true);
    session
}

fn drive(
    decoder: &mut dyn Decoder,
    encoder: &mut dyn Encoder,
    input: &mut BytesMut,
    session: &mut Session,
    at_end: bool,
) {
    while session.ended.is_none() {
        let mut intake = Intake::default();
        let flow = if at_end { decoder.finish(input, &mut intake) } else { decoder.decode(input, &mut intake) };
        for ask in &intake.asks {
            session.asked.push(match &ask.command {
                Command::Send(send) => {
                    let body = send.body.of(&intake.bytes);
                    let text: String = serde_json::from_slice(body).expect("a said line is a JSON string");
                    format!("{:?} {text:?}", intake.places[send.place as usize])
                }
                // Its time depends on the clock.
                Command::History(history) => format!("{:?} {}", history.place, history.limit),
                command => format!("{command:?}"),
            });
        }
        for event in std::mem::take(&mut intake.events) {
            shown(encoder, event);
        }
        match flow {
            Flow::More => return,
            Flow::Full => assert!(intake.is_full(), "full and yet not"),
            Flow::Await => {
                // Every third is refused, so that names are asked for again.
                let outcome = if session.asked.len() % 3 == 0 { Outcome::Refused } else { Outcome::Done };
                decoder.resolved(outcome, &mut Intake::default());
            }
            Flow::Switch(_) | Flow::HangUp => session.ended = Some(flow),
        }
    }
}

fn shown(encoder: &mut dyn Encoder, event: Event) {
    let is_raw = matches!(event, Event::Raw(_));
    let mut out = Output::default();
    encoder.encode(Item::Events(Box::new(vec![event])), &mut out);
    for slice in out.slices().iter() {
        // A telnet option is answered with its own number, whatever that is.
        if is_raw && slice.first() == Some(&0xFF) {
            continue;
        }
        let text = std::str::from_utf8(slice).expect("a screen gets text");
        assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\r'), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{2028}']), "{text:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    let cut = usize::from(*cut).min(bytes.len());
    let whole = run(&[bytes]);
    assert_eq!(run(&[&bytes[..cut], &bytes[cut..]]), whole);
    assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole);
});
