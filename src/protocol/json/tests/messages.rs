//! Messages as they are written: once for all, shared, marked, and never too long.

use std::sync::Arc;

use bytes::Bytes;

use super::written;
use crate::model::{
    Chunk, ConnId, Draft, Epoch, Event, HistoryPage, Identity, Item, Nick, Place, RoomName, Sender, Seq, Tag,
};
use crate::protocol::json::{JsonEncoder, MessageHead, SenderPart};
use crate::protocol::{Encoder, Output};

pub(super) fn room(name: &str) -> Arc<RoomName> {
    Arc::new(RoomName::parse(name).expect("a room's name"))
}

pub(super) fn nick(name: &str) -> Arc<Nick> {
    Arc::new(Nick::parse(name).expect("a nick"))
}

pub(super) fn place(name: &str) -> Place {
    Place::Room(room(name))
}

pub(super) fn sender(name: &str, account: Option<&str>) -> Arc<Sender> {
    let identity = Identity::Guest(1);
    Arc::new(Sender { conn: ConnId(1), identity, nick: nick(name), account: account.map(Into::into) })
}

/// Three messages: plain, with headers and an account, redacted.
pub(super) fn chunk(place: &Place) -> Arc<Chunk> {
    let mut draft = Draft::new(Seq(41), Vec::new());
    let head = MessageHead::new(place);
    let (ada, bob) = (SenderPart::new(sender("ada", None)), SenderPart::new(sender("Böb", Some("bob"))));
    head.message(&mut draft, &ada, 1_763_631_000_123, None, br#"{"temp":21.5}"#);
    head.message(&mut draft, &bob, 1_763_631_000_124, Some(br#"{"k":"v"}"#), br#""hi""#);
    head.redacted(&mut draft, &ada, 1_763_631_000_125);
    draft.seal(place.clone()).0
}

pub(super) const LINES: [&str; 3] = [
    r#"{"ev":"message","room":"lobby","seq":41,"from":"ada","ts":1763631000123,"body":{"temp":21.5}}"#,
    r#"{"ev":"message","room":"lobby","seq":42,"from":"Böb","account":"bob","ts":1763631000124,"headers":{"k":"v"},"body":"hi"}"#,
    r#"{"ev":"message","room":"lobby","seq":43,"from":"ada","ts":1763631000125,"body":null,"redacted":true}"#,
];

fn encoded(item: Item) -> (Vec<Bytes>, String) {
    let mut out = Output::default();
    JsonEncoder.encode(item, &mut out);
    let slices = std::mem::take(out.slices());
    let text = String::from_utf8(slices.concat()).expect("the server writes UTF-8");
    (slices, text)
}

#[test]
fn a_message_is_written_once_with_the_facts_that_spare_others_the_parsing() {
    let chunk = chunk(&place("lobby"));
    let facts: Vec<_> = chunk
        .messages(0..3)
        .map(|message| {
            let line = std::str::from_utf8(message.line).expect("UTF-8").trim_end_matches('\n');
            (
                message.seq.0,
                message.sender.nick.shown(),
                message.headers,
                message.body,
                message.redacted,
                message.ts,
                line,
            )
        })
        .collect();
    assert_eq!(
        facts,
        [
            (41, "ada", None, r#"{"temp":21.5}"#, false, 1_763_631_000_123, LINES[0]),
            (42, "Böb", Some(r#"{"k":"v"}"#), r#""hi""#, false, 1_763_631_000_124, LINES[1]),
            (43, "ada", None, "null", true, 1_763_631_000_125, LINES[2]),
        ]
    );
    let direct = self::chunk(&Place::Direct(nick("bob")));
    assert!(direct.message(0).line.starts_with(br#"{"ev":"message","to":"bob","seq":41,"#));
}

#[test]
fn a_feed_is_shared_and_a_replay_is_marked() {
    let chunk = chunk(&place("lobby"));
    let (slices, text) = encoded(Item::Feed { chunk: Arc::clone(&chunk), from: 1, to: 3, replay: false });
    assert_eq!(text, format!("{}\n{}\n", LINES[1], LINES[2]));
    assert_eq!(slices[0].as_ptr(), chunk.message(1).line.as_ptr(), "nothing was copied");
    let (_, text) = encoded(Item::Feed { chunk: Arc::clone(&chunk), from: 0, to: 3, replay: true });
    let marked = LINES.map(|line| {
        format!(
            "{},\"replay\":true}}\n",
            line.trim_end_matches('}').to_owned() + if line.ends_with("}}") { "}" } else { "" }
        )
    });
    assert_eq!(text, marked.concat());
    let (slices, _) = encoded(Item::Feed { chunk, from: 1, to: 1, replay: false });
    assert!(slices.is_empty());
}

#[test]
fn work_says_which_attempt_it_is() {
    let chunk = chunk(&place("lobby"));
    let work = |line| written(Event::Work { chunk: Arc::clone(&chunk), line, attempt: 2 });
    assert_eq!(work(0), LINES[0].replace("21.5}}", "21.5},\"attempt\":2}\n"));
    assert_eq!(work(2), LINES[2].replace("null,", "null,\"attempt\":2,") + "\n");
}

/// The longest names, numbers and ids around the largest body that the decoder lets through.
#[test]
fn the_largest_event_fits_the_line() {
    let max_line = 65_536;
    let long = "n".repeat(64);
    let body: Bytes = format!("\"{}\"", "b".repeat(max_line - 1_024 - 1_024 - 2)).into();
    let headers: Bytes = format!(r#"{{"k":"{}"}}"#, "h".repeat(1_024 - 8)).into();
    let place = place(&long);
    let sender = sender(&long, Some(&long));
    let mut draft = Draft::new(Seq(u64::MAX - 1), Vec::new());
    let part = SenderPart::new(Arc::clone(&sender));
    MessageHead::new(&place).message(&mut draft, &part, u64::MAX, Some(&headers), &body);
    let chunk = draft.seal(place.clone()).0;
    // Each byte of this id takes six on the wire.
    let tag = Tag::Text("\u{1}".repeat(64).into());
    let events = [
        Event::Work { chunk: Arc::clone(&chunk), line: 0, attempt: u32::MAX },
        Event::Request {
            place: place.clone(),
            req: long.clone().into(),
            sender: Arc::clone(&sender),
            ts: u64::MAX,
            headers: Some(headers.clone()),
            body: body.clone(),
        },
        Event::Reply { tag: tag.clone(), sender, ts: u64::MAX, headers: Some(headers), result: Ok(body) },
        Event::History(
            tag.clone(),
            Box::new(HistoryPage {
                place: place.clone(),
                seq: Seq(u64::MAX),
                epoch: Epoch("e".repeat(16).into()),
                reset: true,
                messages: vec![(Arc::clone(&chunk), 0)],
                more: true,
            }),
        ),
    ];
    for event in events {
        let name = format!("{event:?}")[..8].to_owned();
        let line = written(event);
        assert!((max_line - 1_024..=max_line).contains(&line.len()), "{name}: {} bytes", line.len());
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok(), "{name} is JSON");
    }
    let (_, replayed) = encoded(Item::Feed { chunk, from: 0, to: 1, replay: true });
    assert!(replayed.len() <= max_line);
    let sent = written(Event::Sent { tag, place, seq: Seq(u64::MAX), ts: u64::MAX, dup: true });
    assert!(sent.len() < 600, "{} bytes", sent.len());
}
