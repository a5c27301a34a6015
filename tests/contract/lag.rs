//! Members that read too slowly: caught up in order, told exactly what they missed, and nobody else waits.

use serde_json::{Value, json};

use crate::common::{Client, Event, TestServer};

/// Bytes of a body: a few hundred fill every buffer between the server and a client that does not read.
const BODY: usize = 60_000;

/// Publishes so many large messages, reading all that comes back.
fn flood(writer: &mut Client, room: &str, messages: u64) {
    let body = "x".repeat(BODY);
    for number in 1..=messages {
        writer.done(json!({"op": "send", "room": room, "headers": {"n": number.to_string()}, "body": body}));
    }
}

/// What a slow member is shown up to the answer of a request with this `id`.
fn shown(reader: &mut Client, until: u64) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = reader.recv();
        if event["id"] == until {
            return events;
        }
        events.push(event);
    }
}

/// Checks that every number comes once, in order, as a message or as one that was missed; how many were missed.
fn accounted(events: &[Event], messages: u64) -> u64 {
    let mut next = 1;
    let mut missed = 0;
    for event in events {
        match event.ev() {
            "message" => {
                assert_eq!(event.number("seq"), next, "in order, without a gap that is not told");
                assert_eq!(event["headers"]["n"], next.to_string());
                assert_eq!(event.get("replay"), None);
                next += 1;
            }
            "lagged" => {
                assert_eq!(event.number("next"), next + event.number("missed"));
                missed += event.number("missed");
                next = event.number("next");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(next, messages + 1, "up to the newest");
    missed
}

#[test]
fn a_member_that_reads_too_slowly_is_caught_up_from_history_and_misses_nothing_that_it_holds() {
    const MESSAGES: u64 = 400;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "lobby", "keep_bytes": "64MiB"}));
    let mut slow = server.joined("slow", "lobby");
    flood(&mut writer, "lobby", MESSAGES);
    let id = slow.send_with_id(json!({"op": "ping"}));
    let mut events = shown(&mut slow, id);
    // The answer overtakes what is caught up; the rest comes behind it.
    while events.last().is_none_or(|event| event["seq"] != MESSAGES) {
        events.push(slow.recv());
    }
    assert_eq!(accounted(&events, MESSAGES), 0);
    slow.expect_nothing();
}

#[test]
fn what_history_no_longer_holds_is_told_exactly() {
    const MESSAGES: u64 = 400;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "lobby", "keep_messages": 5}));
    let mut slow = server.joined("slow", "lobby");
    let mut watcher = server.hello("watcher");
    watcher.join("*");
    flood(&mut writer, "lobby", MESSAGES);
    for reader in [&mut slow, &mut watcher] {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| event["seq"] != MESSAGES) {
            events.push(reader.recv());
        }
        let missed = accounted(&events, MESSAGES);
        assert!(missed > 0 && missed <= MESSAGES - 5, "{missed} missed");
        let lagged = events.iter().find(|event| event.ev() == "lagged").expect("something was missed");
        let (missed, next) = (lagged.number("missed"), lagged.number("next"));
        assert_eq!(lagged.raw, format!(r#"{{"ev":"lagged","room":"lobby","missed":{missed},"next":{next}}}"#));
        reader.expect_nothing();
    }
}

#[test]
fn a_slow_member_of_a_latest_room_skips_to_the_newest() {
    const MESSAGES: u64 = 400;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "state", "kind": "latest"}));
    let mut slow = server.joined("slow", "state");
    flood(&mut writer, "state", MESSAGES);
    let mut seqs = Vec::new();
    while seqs.last() != Some(&MESSAGES) {
        seqs.push(slow.expect("message").number("seq"));
    }
    assert!(seqs.is_sorted() && (seqs.len() as u64) < MESSAGES, "{} of {MESSAGES}", seqs.len());
    slow.expect_nothing();
}

#[test]
fn the_own_messages_of_echo_false_stay_left_out_when_catching_up() {
    const MESSAGES: u64 = 300;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "lobby", "keep_bytes": "64MiB"}));
    let mut slow = server.client();
    slow.done(json!({"op": "hello", "nick": "slow", "echo": false}));
    slow.join("lobby");
    flood(&mut writer, "lobby", MESSAGES);
    slow.send(json!({"op": "send", "room": "lobby", "body": "own"}));
    let mut last: Event = slow.expect("message");
    while last["seq"] != MESSAGES {
        last = slow.expect("message");
        assert_eq!(last.text("from"), "writer");
    }
    let own = writer.done(json!({"op": "history", "room": "lobby", "limit": 1}));
    assert_eq!(own["messages"][0]["body"], Value::from("own"));
    slow.expect_nothing();
}
