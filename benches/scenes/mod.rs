//! The hot path in pieces, small enough to count its instructions and the same for every run.
//!
//! A scene is set up once and then acted in rounds of [`BATCH`] messages. Each is built on the library's public parts, as
//! the reader, the router's loop and the writer use them, without a socket, a runtime or a clock, so that what it costs
//! depends on the code alone. `hot_path` measures their time and `instructions` is counted under callgrind.

mod hall;

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use linehub::model::{Chunk, ConnId, Draft, Event, Identity, Item, Nick, Place, RoomName, Sender, Seq, Tag};
use linehub::protocol::json::{JsonDecoder, JsonEncoder, MessageHead, SenderPart};
use linehub::protocol::{Decoder, Encoder, Intake, Output, Terms, Wire, codec};

pub(crate) use hall::{Hall, Way};

/// Messages of a round: what one read brings of a publisher in a hurry.
pub(crate) const BATCH: usize = 64;

/// What a default server tells its codecs.
pub(crate) const TERMS: Terms = Terms { max_line: 65_536, max_errors: 1_000 };

/// The time of all messages: it has the digits of a real one.
pub(crate) const UNIX_MS: u64 = 1_763_631_000_123;

/// The room that everything is said in.
pub(crate) const ROOM: &str = "metrics.eu";

/// One round of a scene; what it returns is only there to be kept from being optimised away.
pub(crate) type Scene = Box<dyn FnMut() -> usize>;

/// Every scene by its name, set up. A name says what is done, with how many bytes of payload or for how many members.
pub(crate) fn scene(name: &str) -> Option<Scene> {
    let words: Vec<&str> = name.split('-').collect();
    let count = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    Some(match (*words.first()?, words.last().copied()?) {
        ("decode", "id") => decode(count(1)?, true),
        ("decode", _) => decode(count(1)?, false),
        ("encode", _) => encode(count(1)?),
        ("text", _) => text(count(1)?),
        ("oks", _) => oks(),
        ("route", _) => Hall::new(count(1)?, false).scene(Way::Routed),
        ("memory", _) => Hall::new(count(1)?, true).scene(Way::Routed),
        ("whole", "id") => Hall::new(count(1)?, false).scene(Way::Whole { id: true }),
        ("whole", _) => Hall::new(count(1)?, false).scene(Way::Whole { id: false }),
        ("chat", _) => Hall::new(count(1)?, false).scene(Way::Chat),
        _ => return None,
    })
}

/// The lines of a batch.
pub(crate) fn lines(payload: usize, id: bool) -> Vec<u8> {
    let body = "x".repeat(payload);
    let line = |at: usize| {
        let id = if id { format!(r#","id":{at}"#) } else { String::new() };
        format!("{{\"op\":\"send\",\"room\":\"{ROOM}\",\"body\":\"{body}\"{id}}}\n")
    };
    (0..BATCH).map(line).collect::<String>().into_bytes()
}

/// Somebody to say it all.
pub(crate) fn sender(conn: ConnId) -> SenderPart {
    let nick = Arc::new(Nick::guest(conn.0));
    SenderPart::new(Arc::new(Sender { conn, identity: Identity::Guest(conn.0), nick, account: None }))
}

/// The room as a place.
pub(crate) fn place() -> Place {
    Place::Room(Arc::new(RoomName::parse(ROOM).expect("it is a name")))
}

/// A batch of messages, encoded and sealed.
pub(crate) fn chunk(
    head: &MessageHead,
    place: &Place,
    from: &SenderPart,
    body: &[u8],
    spare: &mut Vec<u8>,
) -> Arc<Chunk> {
    let mut draft = Draft::new(Seq(1), std::mem::take(spare));
    for _ in 0..BATCH {
        head.message(&mut draft, from, UNIX_MS, None, body);
    }
    let (chunk, buffer) = draft.seal(place.clone());
    *spare = buffer;
    chunk
}

/// A body of so many bytes inside its quotes.
pub(crate) fn body(payload: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(payload)).into_bytes()
}

fn decode(payload: usize, id: bool) -> Scene {
    let lines = lines(payload, id);
    let mut decoder = JsonDecoder::new(&TERMS);
    Box::new(move || {
        // The copy stands for the kernel's, which fills the reader's buffer.
        let mut input = BytesMut::from(&lines[..]);
        let mut intake = Intake::default();
        decoder.decode(&mut input, &mut intake);
        black_box(intake).asks.len()
    })
}

fn encode(payload: usize) -> Scene {
    let (place, from, body, mut spare) = (place(), sender(ConnId(1)), body(payload), Vec::new());
    let head = MessageHead::new(&place);
    Box::new(move || black_box(chunk(&head, &place, &from, &body, &mut spare)).lines().len())
}

/// Makes a chunk and has it rendered for people.
fn text(payload: usize) -> Scene {
    let (place, from, body, mut spare) = (place(), sender(ConnId(1)), body(payload), Vec::new());
    let head = MessageHead::new(&place);
    let (_, mut encoder) = codec(Wire::Text, &TERMS);
    let mut output = Output::default();
    Box::new(move || {
        let chunk = chunk(&head, &place, &from, &body, &mut spare);
        encoder.encode(Item::Feed { chunk, from: 0, to: BATCH as u16, replay: false }, &mut output);
        let written = black_box(output.slices()).len();
        output.clear();
        written
    })
}

/// The `ok`s of a batch, for one who asked for them.
fn oks() -> Scene {
    let place = place();
    let mut output = Output::default();
    Box::new(move || {
        let ok = |at: i64| Event::Sent {
            tag: Tag::Int(at),
            place: place.clone(),
            seq: Seq(at.unsigned_abs() + 1),
            ts: UNIX_MS,
            dup: false,
        };
        JsonEncoder.encode(Item::Events(Box::new((0..).take(BATCH).map(ok).collect())), &mut output);
        let written = black_box(output.slices()).len();
        output.clear();
        written
    })
}
