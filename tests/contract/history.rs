//! The past: reading a stretch of it, and blanking what one said.

use serde_json::{Value, json};

use crate::common::{Client, Event, TestServer};

fn filled(server: &TestServer, settings: Value, messages: u64) -> Client {
    let mut writer = server.hello("writer");
    let mut create = settings;
    create["op"] = json!("create");
    create["room"] = json!("lobby");
    writer.done(create);
    for body in 1..=messages {
        writer.publish("lobby", body);
    }
    writer
}

fn history(client: &mut Client, mut request: Value) -> Event {
    request["op"] = json!("history");
    request["room"] = json!("lobby");
    client.done(request)
}

fn bodies(page: &Event) -> Vec<u64> {
    let messages = page["messages"].as_array().expect("a page has messages");
    messages.iter().map(|message| message["body"].as_u64().expect("bodies are numbers")).collect()
}

#[test]
fn a_page_has_the_fields_of_the_contract_in_their_order() {
    let server = TestServer::start();
    let mut writer = filled(&server, json!({}), 0);
    writer.line(r#"{"op":"send","room":"lobby","headers":{"a":"b"},"body":{"x": 1}}"#);
    writer.publish("lobby", 2);
    writer.answers(
        r#"{"op":"history","room":"LOBBY","id":"h"}"#,
        r#"{"ev":"history","id":"h","room":"lobby","seq":2,"epoch":_,"messages":[{"room":"lobby","seq":1,"from":"writer","ts":_,"headers":{"a":"b"},"body":{"x": 1}},{"room":"lobby","seq":2,"from":"writer","ts":_,"body":2}],"more":false}"#,
    );
}

#[test]
fn a_page_begins_where_it_is_asked_to_and_says_whether_there_is_more() {
    let server = TestServer::start();
    let mut reader = filled(&server, json!({}), 10);
    for (request, expected, more) in [
        (json!({}), 1..=10, false),
        (json!({"limit": 3}), 8..=10, true),
        (json!({"limit": 10}), 1..=10, false),
        (json!({"after": 0, "limit": 3}), 1..=3, true),
        (json!({"after": 7}), 8..=10, false),
        (json!({"after": 7, "limit": 3}), 8..=10, false),
        (json!({"before": 4}), 1..=3, false),
        (json!({"before": 4, "limit": 2}), 2..=3, true),
        (json!({"before": 100, "limit": 2}), 9..=10, true),
        (json!({"after": 3, "before": 6}), 4..=5, false),
        (json!({"after": 3, "before": 8, "limit": 2}), 4..=5, true),
        (json!({"since": 0, "limit": 2}), 1..=2, true),
        (json!({"until": 9_000_000_000_000_000_u64, "limit": 2}), 9..=10, true),
    ] {
        let page = history(&mut reader, request.clone());
        assert_eq!((bodies(&page), &page["more"]), (expected.collect(), &json!(more)), "{request}");
    }
    for empty in [
        json!({"after": 10}),
        json!({"before": 1}),
        json!({"before": 0}),
        json!({"after": 5, "before": 6}),
        json!({"until": 0}),
        json!({"since": 9_000_000_000_000_000_u64}),
    ] {
        let page = history(&mut reader, empty.clone());
        assert_eq!((bodies(&page), &page["more"]), (vec![], &json!(false)), "{empty}");
        assert_eq!(page.number("seq"), 10);
    }
}

#[test]
fn since_and_until_include_their_moment() {
    let server = TestServer::start();
    let mut writer = filled(&server, json!({}), 0);
    let mut times: Vec<u64> = Vec::new();
    let mut body = 0;
    // Four messages of four different milliseconds.
    while times.len() < 4 {
        body += 1;
        let ts = writer.done(json!({"op": "send", "room": "lobby", "body": body})).number("ts");
        if times.last() != Some(&ts) {
            times.push(ts);
        }
    }
    let page = history(&mut writer, json!({"since": times[1], "until": times[2], "limit": 1_000}));
    let messages = page["messages"].as_array().expect("a page has messages");
    let stamps: Vec<u64> = messages.iter().map(|message| message["ts"].as_u64().expect("a time")).collect();
    assert_eq!((stamps.first(), stamps.last()), (Some(&times[1]), Some(&times[2])));
}

#[test]
fn paging_by_after_and_by_before_sees_every_message_once() {
    let server = TestServer::start();
    let mut reader = filled(&server, json!({}), 25);
    let mut forward = Vec::new();
    loop {
        let page = history(&mut reader, json!({"after": forward.last().copied().unwrap_or(0), "limit": 7}));
        forward.extend(bodies(&page));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(forward, (1..=25).collect::<Vec<_>>());
    let mut backward: Vec<u64> = Vec::new();
    let mut before = 26;
    loop {
        let page = history(&mut reader, json!({"before": before, "limit": 7}));
        let mut older = bodies(&page);
        before = older[0];
        older.append(&mut backward);
        backward = older;
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(backward, forward);
}

#[test]
fn a_page_fits_a_line_and_says_that_there_is_more() {
    let server = TestServer::start();
    let mut writer = filled(&server, json!({}), 0);
    let body = "x".repeat(30_000);
    for _ in 0..4 {
        writer.publish("lobby", body.clone());
    }
    let page = history(&mut writer, json!({"after": 0}));
    assert!(page.raw.len() < 65_536, "{}", page.raw.len());
    assert_eq!((page["messages"].as_array().map(Vec::len), &page["more"]), (Some(2), &json!(true)));
    let page = history(&mut writer, json!({}));
    assert_eq!((page["messages"][0]["seq"].as_u64(), &page["more"]), (Some(3), &json!(true)), "the newest come first");
    let longest = "x".repeat(65_536 - 1_024 - 2);
    writer.publish("lobby", longest.clone());
    let page = history(&mut writer, json!({"after": 4}));
    assert!(page.raw.len() < 65_536, "{}", page.raw.len());
    assert_eq!(page["messages"][0]["body"], longest);
}

#[test]
fn what_is_gone_is_named_before_the_page_and_an_after_beyond_the_newest_is_a_reset() {
    let server = TestServer::start();
    let mut reader = filled(&server, json!({"keep_messages": 3}), 8);
    reader.send(json!({"op": "history", "room": "lobby", "after": 2}));
    reader.expect_line(r#"{"ev":"gap","room":"lobby","first":3,"last":5}"#);
    assert_eq!(bodies(&reader.expect("history")), [6, 7, 8]);
    reader.send(json!({"op": "history", "room": "lobby", "after": 2, "before": 5}));
    reader.expect_line(r#"{"ev":"gap","room":"lobby","first":3,"last":4}"#);
    assert_eq!(bodies(&reader.expect("history")), [0; 0]);
    assert_eq!(bodies(&history(&mut reader, json!({"after": 5}))), [6, 7, 8]);
    assert_eq!(bodies(&history(&mut reader, json!({}))), [6, 7, 8]);
    let page = history(&mut reader, json!({"after": 9}));
    assert_eq!((&page["reset"], bodies(&page)), (&json!(true), vec![6, 7, 8]));
    assert_eq!(history(&mut reader, json!({"after": 8})).get("reset"), None);
}

#[test]
fn keep_bytes_bounds_what_is_kept() {
    let server = TestServer::start();
    let mut writer = filled(&server, json!({"keep_bytes": "16KiB"}), 0);
    for _ in 0..20 {
        writer.publish("lobby", "x".repeat(2_000));
    }
    let page = history(&mut writer, json!({}));
    let kept = page["messages"].as_array().map_or(0, Vec::len);
    assert!((4..=8).contains(&kept), "{kept} messages of 2,000 bytes in 16 KiB");
    assert_eq!(page["messages"][kept - 1]["seq"], 20);
}

#[test]
fn history_needs_no_membership_but_a_room_and_fields_that_make_sense() {
    let server = TestServer::start();
    let mut reader = filled(&server, json!({}), 1);
    reader.answers(
        r#"{"op":"history","room":"nowhere","id":1}"#,
        r#"{"ev":"error","id":1,"code":"no_such_room","message":_,"op":"history","room":"nowhere"}"#,
    );
    for wrong in [
        json!({"limit": 0}),
        json!({"limit": 1_001}),
        json!({"after": -1}),
        json!({"before": "x"}),
        json!({"since": 1.5}),
        json!({"until": null, "limit": "all"}),
        json!({"to": "writer"}),
    ] {
        let mut request = wrong;
        request["op"] = json!("history");
        request["room"] = json!("lobby");
        reader.refused(request, "bad_request");
    }
    reader.refused(json!({"op": "history"}), "bad_request");
}

#[test]
fn a_redacted_message_keeps_its_number_and_loses_its_body_everywhere() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    ada.done(json!({"op": "send", "room": "lobby", "headers": {"h": "secret"}, "body": "secret"}));
    ada.expect_body("secret");
    bob.expect_body("secret");
    bob.say("lobby", 2);
    ada.expect_body(2);
    ada.answers(r#"{"op":"redact","room":"lobby","seq":1,"id":1}"#, r#"{"ev":"ok","id":1,"room":"lobby"}"#);
    bob.expect_line(r#"{"ev":"redacted","room":"lobby","seq":1,"by":"ada"}"#);
    ada.expect_nothing();
    let page = bob.done(json!({"op": "history", "room": "lobby"}));
    assert!(!page.raw.contains("secret"), "{}", page.raw);
    assert!(
        page.masked().contains(r#"{"room":"lobby","seq":1,"from":"ada","ts":_,"body":null,"redacted":true}"#),
        "{}",
        page.raw
    );
    let mut late = server.client();
    late.done(json!({"op": "join", "room": "lobby", "after": 0}));
    late.expect_line(
        r#"{"ev":"message","room":"lobby","seq":1,"from":"ada","ts":_,"body":null,"redacted":true,"replay":true}"#,
    );
    late.expect_body(2);
}

#[test]
fn one_redacts_what_is_ones_own_and_what_there_is() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.hello("bob");
    ada.say("lobby", 1);
    bob.refused(json!({"op": "redact", "room": "lobby", "seq": 1}), "forbidden");
    ada.refused(json!({"op": "redact", "room": "lobby", "seq": 2}), "bad_request");
    ada.refused(json!({"op": "redact", "room": "lobby", "seq": 0}), "bad_request");
    ada.refused(json!({"op": "redact", "room": "lobby"}), "bad_request");
    ada.refused(json!({"op": "redact", "room": "nowhere", "seq": 1}), "no_such_room");
    // Again makes no difference, and it stays one's own under another nick.
    ada.done(json!({"op": "nick", "nick": "countess"}));
    for _ in 0..2 {
        ada.done(json!({"op": "redact", "room": "lobby", "seq": 1}));
    }
}

#[test]
fn a_redaction_in_the_same_write_follows_its_message() {
    let server = TestServer::start();
    let mut bob = server.joined("bob", "lobby");
    let mut ada = server.hello("ada");
    ada.bytes(b"{\"op\":\"send\",\"room\":\"lobby\",\"body\":1}\n{\"op\":\"redact\",\"room\":\"lobby\",\"seq\":1}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":2}\n");
    bob.expect_body(1);
    bob.expect("redacted");
    bob.expect_body(2);
}
