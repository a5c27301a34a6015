//! Patterns: observing every room that matches, those that come later too.

use serde_json::json;

use crate::common::TestServer;

#[test]
fn a_pattern_observes_what_it_matches_and_nothing_else() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    for (pattern, room, matches) in [
        ("metrics.*", "metrics.cpu", true),
        ("metrics.*", "metrics", false),
        ("metrics.*", "metrics.eu.cpu", false),
        ("metrics.>", "metrics.cpu", true),
        ("metrics.>", "metrics.eu.cpu", true),
        ("metrics.>", "metrics", false),
        ("*.cpu", "eu.cpu", true),
        ("*.cpu", "eu.mem", false),
        ("*", "lobby", true),
        ("*", "a.b", false),
        (">", "a.b.c", true),
        ("METRICS.*", "metrics.gpu", true),
        ("a.*.c", "a.b.c", true),
    ] {
        let mut owl = server.client();
        owl.join(pattern);
        writer.publish(room, pattern);
        if matches {
            assert_eq!(owl.expect_body(pattern).text("room"), room);
        }
        owl.expect_nothing();
    }
}

#[test]
fn a_patterns_join_is_answered_with_the_pattern_and_it_is_left_by_it() {
    let server = TestServer::start();
    let mut owl = server.hello("owl");
    owl.answers(r#"{"op":"join","room":"metrics.>","id":1}"#, r#"{"ev":"ok","id":1,"room":"metrics.>","cursor":"0"}"#);
    let mut writer = server.hello("writer");
    writer.publish("metrics.cpu", 1);
    owl.expect_body(1);
    owl.answers(r#"{"op":"leave","room":"metrics.>","id":2}"#, r#"{"ev":"ok","id":2,"room":"metrics.>"}"#);
    writer.publish("metrics.cpu", 2);
    owl.expect_nothing();
}

#[test]
fn an_observer_is_told_where_to_go_on_and_misses_nothing_when_it_does() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    let mut owl = server.hello("owl");
    owl.hear_cursors();
    owl.answers(r#"{"op":"join","room":"logs.>","id":1}"#, r#"{"ev":"ok","id":1,"room":"logs.>","cursor":"0"}"#);
    writer.publish("logs.a", 1);
    writer.publish("logs.b", 2);
    owl.expect_body(1);
    owl.expect_body(2);
    owl.expect_line(r#"{"ev":"cursor","pattern":"logs.>","cursor":"2"}"#);
    owl.done(json!({"op": "quit"}));
    writer.publish("logs.b", 3);
    let mut owl = server.hello("owl2");
    let ok = owl.done(json!({"op": "join", "room": "logs.>", "cursor": "2"}));
    assert_eq!(ok["cursor"], "2", "it has nothing more yet");
    owl.hear_cursors();
    assert_eq!(owl.expect_body(3)["replay"], true);
    owl.expect_line(r#"{"ev":"cursor","pattern":"logs.>","cursor":"3"}"#);
    writer.publish("logs.c", 4);
    owl.expect_body(4);
    owl.refused(json!({"op": "join", "room": "logs.>", "cursor": "now"}), "bad_request");
    owl.refused(json!({"op": "join", "room": "logs.a", "cursor": "2"}), "bad_request");
    owl.refused(json!({"op": "join", "room": "logs.>", "after": 2}), "bad_request");
}

#[test]
fn patterns_that_overlap_and_a_membership_bring_one_copy() {
    let server = TestServer::start();
    let mut owl = server.hello("owl");
    for pattern in ["metrics.>", "*.cpu", ">", ">"] {
        owl.join(pattern);
    }
    owl.join("metrics.cpu");
    let mut writer = server.hello("writer");
    writer.publish("metrics.cpu", 1);
    owl.expect_body(1);
    owl.expect_nothing();
    owl.done(json!({"op": "leave", "room": "metrics.cpu"}));
    owl.done(json!({"op": "leave", "room": ">"}));
    writer.publish("metrics.cpu", 2);
    owl.expect_body(2);
    owl.expect_nothing();
}

#[test]
fn an_observer_by_pattern_is_not_listed_and_hears_no_comings() {
    let server = TestServer::start();
    let mut owl = server.client();
    owl.done(json!({"op": "hello", "nick": "owl", "presence": true}));
    owl.join(">");
    let mut ada = server.joined("ada", "lobby");
    let who = ada.done(json!({"op": "who", "room": "lobby"}));
    assert_eq!(who["members"].as_array().map(Vec::len), Some(1));
    let rooms = ada.done(json!({"op": "rooms"}));
    assert_eq!(rooms["rooms"][0]["members"], 1);
    owl.expect_nothing();
}

#[test]
fn a_pattern_gets_the_newest_value_of_each_latest_room_at_once() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    for room in ["state.a", "state.b", "state.empty"] {
        writer.done(json!({"op": "create", "room": room, "kind": "latest"}));
    }
    for (room, body) in [("state.a", 1), ("state.a", 2), ("state.b", 3), ("state.fanout", 4)] {
        writer.publish(room, body);
    }
    let mut owl = server.hello("owl");
    owl.join("state.>");
    let mut values: Vec<(String, u64)> = (0..2)
        .map(|_| {
            let message = owl.expect("message");
            (message.text("room").to_owned(), message.number("body"))
        })
        .collect();
    values.sort();
    assert_eq!(values, [("state.a".to_owned(), 2), ("state.b".to_owned(), 3)]);
    owl.expect_nothing();
    writer.publish("state.empty", 5);
    owl.expect_body(5);
}

#[test]
fn a_pattern_leaves_out_private_rooms_that_its_observer_may_not_join() {
    let server = TestServer::start();
    let mut owl = server.hello("owl");
    owl.join(">");
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "create", "room": "secret", "private": true}));
    ada.join("secret");
    ada.say("secret", "psst");
    owl.expect_nothing();
    let mut late = server.hello("late");
    late.join("*");
    ada.say("secret", "psst");
    late.expect_nothing();
    ada.join(">");
    ada.say("secret", "only once");
    ada.expect_nothing();
}

#[test]
fn a_pattern_gets_copies_of_a_queue_rooms_messages() {
    let server = TestServer::start();
    let mut owl = server.hello("owl");
    owl.join("jobs.*");
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "jobs.mail", "kind": "queue"}));
    writer.publish("jobs.mail", 1);
    assert_eq!(owl.expect_body(1).get("attempt"), None);
}

#[test]
fn a_pattern_observes_direct_messages_of_nobody() {
    let server = TestServer::start();
    let mut owl = server.hello("owl");
    owl.join(">");
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": "between us"}));
    bob.expect_body("between us");
    owl.expect_nothing();
}
