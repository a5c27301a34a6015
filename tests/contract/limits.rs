//! Limits: at each one the client is told with the code for it, and nobody else notices.

use std::time::Instant;

use serde_json::json;

use crate::common::{DEADLINE, TestServer};

#[test]
fn a_server_with_all_its_rooms_makes_no_other_until_one_goes() {
    let server = TestServer::with(|config| config.limits.max_rooms = 2);
    let mut ada = server.hello("ada");
    ada.join("one");
    ada.join("two");
    for (request, op) in [
        (json!({"op": "join", "room": "three"}), "join"),
        (json!({"op": "create", "room": "three"}), "create"),
        (json!({"op": "send", "room": "three", "body": 1}), "send"),
    ] {
        assert_eq!(ada.refused(request, "too_many_rooms")["op"], op);
    }
    ada.say("one", "rooms that stand go on");
    ada.done(json!({"op": "leave", "room": "two"}));
    ada.join("three");
}

#[test]
fn a_connection_is_in_so_many_rooms_patterns_included() {
    let server = TestServer::with(|config| config.limits.max_rooms_per_connection = 2);
    let mut ada = server.hello("ada");
    let _bob = server.hello("bob");
    ada.join("one");
    ada.join("two.*");
    ada.refused(json!({"op": "join", "room": "three"}), "too_many_rooms");
    ada.refused(json!({"op": "join", "room": "three.>"}), "too_many_rooms");
    // What one is in can be joined again, and direct messages are none that one chose.
    ada.join("one");
    ada.join("two.*");
    ada.done(json!({"op": "send", "to": "bob", "body": 1}));
    ada.expect_body(1);
    ada.publish("three", 1);
    ada.done(json!({"op": "leave", "room": "two.*"}));
    ada.join("three");
}

#[test]
fn a_room_has_so_many_members() {
    let server = TestServer::with(|config| config.limits.max_members = 2);
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    let mut eve = server.hello("eve");
    let error = eve.refused(json!({"op": "join", "room": "lobby"}), "room_full");
    assert_eq!(error["room"], "lobby");
    ada.join("lobby");
    bob.done(json!({"op": "leave", "room": "lobby"}));
    eve.join("lobby");
}

#[test]
fn one_connection_too_many_is_told_and_the_next_is_let_in_when_one_leaves() {
    let server = TestServer::with(|config| config.limits.max_connections = 2);
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    let mut third = server.client();
    third.expect_line(r#"{"ev":"error","code":"too_many_connections","message":_}"#);
    third.expect_line(r#"{"ev":"bye","reason":"too_many_connections"}"#);
    third.expect_end();
    ada.expect_nothing();
    bob.done(json!({"op": "quit"}));
    bob.expect_end();
    drop(bob);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < DEADLINE, "the place is still taken");
        let mut next = server.client();
        next.end_input();
        if next.recv()["reason"] == "quit" {
            break;
        }
    }
}

#[test]
fn an_address_has_so_many_connections() {
    let server = TestServer::with(|config| config.limits.max_connections_per_address = 1);
    let mut ada = server.hello("ada");
    let mut second = server.client();
    second.expect_error("too_many_connections");
    second.expect_bye("too_many_connections");
    ada.expect_nothing();
}

#[test]
fn lines_over_the_rate_are_refused_and_say_when_to_try_again() {
    let server = TestServer::with(|config| config.limits.messages_per_second = 5);
    let mut ada = server.client();
    let lines: Vec<String> =
        (1..=20).map(|id| format!("{{\"op\":\"send\",\"room\":\"lobby\",\"body\":{id},\"id\":{id}}}\n")).collect();
    ada.bytes(lines.concat().as_bytes());
    let mut done = 0;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = ada.recv();
        if answer.ev() == "ok" {
            done += 1;
        } else {
            refused += 1;
            assert_eq!((&answer["code"], &answer["op"]), (&json!("rate_limited"), &json!("send")));
            let wait = answer.number("retry_after_ms");
            assert!((1..=201).contains(&wait), "{}", answer.raw);
        }
    }
    assert!(done >= 5 && refused >= 10, "{done} done, {refused} refused");
    // Whoever is refused may always go.
    ada.line(r#"{"op":"quit"}"#);
    ada.expect_bye("quit");
}

#[test]
fn a_connection_has_so_many_open_requests() {
    let server = TestServer::with(|config| config.limits.max_requests = 2);
    let mut worker = server.hello("worker");
    worker.done(json!({"op": "join", "room": "svc", "as": "worker"}));
    let mut ada = server.hello("ada");
    let ask = json!({"op": "request", "room": "svc", "body": 1});
    ada.send_with_id(ask.clone());
    ada.send_with_id(ask.clone());
    assert_eq!(ada.refused(ask.clone(), "rate_limited")["op"], "request");
    let request = worker.expect("request");
    worker.expect("request");
    worker.done(json!({"op": "reply", "req": request["req"], "body": 1}));
    ada.expect("reply");
    ada.send_with_id(ask);
    worker.expect("request");
}

#[test]
fn a_refused_join_leaves_no_room_behind() {
    let server = TestServer::with(|config| config.limits.max_rooms_per_connection = 1);
    let mut ada = server.joined("ada", "one");
    ada.refused(json!({"op": "join", "room": "two"}), "too_many_rooms");
    let rooms = ada.done(json!({"op": "rooms"}));
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(1));
}
