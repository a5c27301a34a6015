//! Messages of fanout rooms: what a `send` brings about, in which order, and what a key makes harmless.

use std::collections::HashMap;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::common::{Client, TestServer};

#[test]
fn a_message_reaches_every_member_once_and_the_ok_comes_before_ones_own_copy() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    let ok = ada.answers(
        r#"{"op":"send","room":"lobby","body":"hi","id":"s"}"#,
        r#"{"ev":"ok","id":"s","room":"lobby","seq":1,"ts":_}"#,
    );
    let line = r#"{"ev":"message","room":"lobby","seq":1,"from":"ada","ts":_,"body":"hi"}"#;
    for member in [&mut ada, &mut bob] {
        let message = member.expect_line(line);
        assert_eq!(message["ts"], ok["ts"]);
        member.expect_nothing();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_millis();
    let age = now - u128::from(ok.number("ts"));
    assert!(age < 60_000, "`ts` is Unix time in milliseconds: {age} ms ago");
}

#[test]
fn the_ok_comes_first_for_every_send_of_one_write() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let lines: Vec<String> =
        (1..=200).map(|id| format!("{{\"op\":\"send\",\"room\":\"lobby\",\"body\":{id},\"id\":{id}}}\n")).collect();
    ada.bytes(lines.concat().as_bytes());
    let mut acked = 0;
    let mut seen = 0;
    while seen < 200 {
        let event = ada.recv();
        if event.ev() == "ok" {
            acked += 1;
            assert_eq!((event.number("id"), event.number("seq")), (acked, acked));
        } else {
            seen += 1;
            assert_eq!(event.number("seq"), seen);
            assert!(seen <= acked, "message {seen} came before its ok");
        }
    }
}

#[test]
fn who_publishes_need_not_be_a_member() {
    let server = TestServer::start();
    let mut reader = server.joined("ada", "lobby");
    let mut publisher = server.hello("sensor");
    assert_eq!(publisher.publish("lobby", 1), 1);
    assert_eq!(publisher.publish("lobby", 2), 2);
    reader.expect_body(1);
    reader.expect_body(2);
    publisher.expect_nothing();
}

#[test]
fn numbers_have_no_gap_and_all_members_see_one_order_under_concurrent_publishing() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 300;
    let server = TestServer::start();
    let mut readers: Vec<Client> = (0..2).map(|at| server.joined(&format!("reader{at}"), "lobby")).collect();
    let writers: Vec<_> = (0..PUBLISHERS)
        .map(|writer| {
            let mut client = server.hello(&format!("writer{writer}"));
            thread::spawn(move || {
                for number in 0..EACH {
                    client.send(json!({"op": "send", "room": "lobby", "body": number}));
                }
                client.done(json!({"op": "quit"}));
            })
        })
        .collect();
    let mut late = server.hello("late");
    let ok = late.done(json!({"op": "join", "room": "lobby", "after": 0}));
    readers.push(late);
    let mut seen = Vec::new();
    for reader in &mut readers {
        let mut each: HashMap<String, u64> = HashMap::new();
        let mut order = Vec::new();
        for seq in 1..=PUBLISHERS * EACH {
            let message = reader.expect("message");
            assert_eq!(message.number("seq"), seq, "no number is skipped or used twice");
            let next = each.entry(message.text("from").to_owned()).or_default();
            assert_eq!(message.number("body"), *next, "one connection's sends keep their order");
            *next += 1;
            order.push((message.text("from").to_owned(), message.number("body"), message.number("ts")));
        }
        assert!(order.is_sorted_by_key(|(_, _, ts)| *ts), "time never goes down within a room");
        seen.push(order);
        reader.expect_nothing();
    }
    assert!(ok.number("seq") <= PUBLISHERS * EACH);
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "all see one order");
    for writer in writers {
        writer.join().expect("it published");
    }
}

#[test]
fn echo_false_leaves_out_ones_own_messages_live_and_nothing_from_a_replay_or_history() {
    let server = TestServer::start();
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "echo": false}));
    ada.join("lobby");
    let mut bob = server.joined("bob", "lobby");
    // In one write, so that both are part of one batch.
    ada.bytes(b"{\"op\":\"send\",\"room\":\"lobby\",\"body\":1}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":2}\n");
    bob.expect_body(1);
    bob.expect_body(2);
    bob.say("lobby", 3);
    ada.expect_body(3);
    ada.publish("lobby", 4);
    ada.expect_nothing();
    let history = ada.done(json!({"op": "history", "room": "lobby"}));
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(4));
    ada.done(json!({"op": "join", "room": "lobby", "after": 0}));
    for body in 1..=4 {
        assert_eq!(ada.expect_body(body)["replay"], true);
    }
    ada.expect_nothing();
    let mut pattern = server.client();
    pattern.done(json!({"op": "hello", "nick": "eve", "echo": false}));
    pattern.join(">");
    pattern.publish("lobby", 5);
    pattern.expect_nothing();
}

#[test]
fn a_repeat_with_the_same_key_is_stored_once() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let first = ada.answers(
        r#"{"op":"send","room":"lobby","body":"pay","idempotency_key":"k1","id":1}"#,
        r#"{"ev":"ok","id":1,"room":"lobby","seq":1,"ts":_}"#,
    );
    ada.expect_body("pay");
    let again = ada.answers(
        r#"{"op":"send","room":"lobby","body":"pay","idempotency_key":"k1","id":2}"#,
        r#"{"ev":"ok","id":2,"room":"lobby","seq":1,"ts":_,"dup":true}"#,
    );
    assert_eq!(first["ts"], again["ts"]);
    ada.done(json!({"op": "send", "room": "lobby", "body": "pay", "idempotency_key": "k2"}));
    assert_eq!(ada.expect_body("pay").number("seq"), 2);
    // A key counts within one room, and for all guests together over reconnects.
    let mut other = server.hello("other");
    let elsewhere = other.done(json!({"op": "send", "room": "ops", "body": 1, "idempotency_key": "k1"}));
    assert_eq!((elsewhere.number("seq"), elsewhere.get("dup")), (1, None));
    let same = other.done(json!({"op": "send", "room": "lobby", "body": 1, "idempotency_key": "k1"}));
    assert_eq!((same.number("seq"), &same["dup"]), (1, &json!(true)));
    ada.expect_nothing();
}

#[test]
fn a_repeat_in_the_same_write_is_a_repeat() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let line = r#"{"op":"send","room":"lobby","body":1,"idempotency_key":"k","id":7}"#;
    ada.bytes(format!("{line}\n{line}\n").as_bytes());
    ada.expect_line(r#"{"ev":"ok","id":7,"room":"lobby","seq":1,"ts":_}"#);
    ada.expect_line(r#"{"ev":"ok","id":7,"room":"lobby","seq":1,"ts":_,"dup":true}"#);
}

#[test]
fn beyond_dedup_keys_a_keyed_send_is_refused_until_one_is_forgotten() {
    let window = std::time::Duration::from_millis(400);
    let server = TestServer::with(|config| {
        config.history.dedup_keys = 2;
        config.history.dedup_window = window;
    });
    let mut ada = server.hello("ada");
    let keyed = |key: &str| json!({"op": "send", "room": "lobby", "body": 1, "idempotency_key": key});
    ada.done(keyed("a"));
    ada.done(keyed("b"));
    for (key, seq) in [("c", 3), ("a", 4)] {
        let mut refusals = 0;
        let stored = loop {
            let answer = ada.ask(keyed(key));
            if answer.ev() == "ok" {
                break answer;
            }
            refusals += 1;
            assert_eq!((&answer["code"], &answer["room"]), (&json!("rate_limited"), &json!("lobby")));
            assert!((1..=401).contains(&answer.number("retry_after_ms")), "{}", answer.raw);
        };
        assert!(refusals > 0 || key == "a", "the room remembers no third key");
        assert_eq!(stored.number("seq"), seq, "what was refused took no number");
        assert_eq!(stored.get("dup"), None);
    }
    // Without a key nothing is refused.
    ada.publish("lobby", 1);
}

#[test]
fn send_says_what_is_wrong_with_each_of_its_fields() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for (request, code) in [
        (json!({"body": 1}), "bad_request"),
        (json!({"room": "r"}), "bad_request"),
        (json!({"room": "r", "to": "ada", "body": 1}), "bad_request"),
        (json!({"room": 1, "body": 1}), "bad_request"),
        (json!({"room": "r", "body": 1, "idempotency_key": 1}), "bad_request"),
        (json!({"room": "r", "body": 1, "idempotency_key": ""}), "bad_request"),
        (json!({"room": "r", "body": 1, "idempotency_key": "x".repeat(65)}), "bad_request"),
        (json!({"room": "r r", "body": 1}), "bad_name"),
        (json!({"to": "nobody", "body": 1}), "no_such_nick"),
    ] {
        let mut request = request;
        request["op"] = json!("send");
        let error = ada.refused(request, code);
        assert_eq!(error["op"], "send");
    }
    assert_eq!(ada.done(json!({"op": "rooms"}))["rooms"], json!([]), "what was refused made no room");
}

#[test]
fn one_who_leaves_gets_nothing_more_and_may_not_leave_twice() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    ada.answers(r#"{"op":"leave","room":"lobby","id":1}"#, r#"{"ev":"ok","id":1,"room":"lobby"}"#);
    bob.say("lobby", 1);
    ada.expect_nothing();
    ada.answers(
        r#"{"op":"leave","room":"lobby","id":2}"#,
        r#"{"ev":"error","id":2,"code":"not_joined","message":_,"op":"leave","room":"lobby"}"#,
    );
    ada.refused(json!({"op": "leave", "room": "nowhere"}), "not_joined");
    ada.refused(json!({"op": "leave", "room": "lobby.*"}), "not_joined");
    ada.refused(json!({"op": "leave"}), "bad_request");
}
