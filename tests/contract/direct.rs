//! Direct messages: the room that a pair has to itself.

use serde_json::json;

use crate::common::TestServer;

#[test]
fn a_direct_message_reaches_both_and_nobody_else() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    let mut eve = server.joined("eve", "lobby");
    ada.answers(
        r#"{"op":"send","to":"bob","headers":{"h":"1"},"body":"psst","id":1}"#,
        r#"{"ev":"ok","id":1,"to":"bob","seq":1,"ts":_}"#,
    );
    let line = r#"{"ev":"message","to":"bob","seq":1,"from":"ada","ts":_,"headers":{"h":"1"},"body":"psst"}"#;
    ada.expect_line(line);
    bob.expect_line(line);
    bob.answers(r#"{"op":"send","to":"ada","body":"what?","id":1}"#, r#"{"ev":"ok","id":1,"to":"ada","seq":2,"ts":_}"#);
    let line = r#"{"ev":"message","to":"ada","seq":2,"from":"bob","ts":_,"body":"what?"}"#;
    bob.expect_line(line);
    ada.expect_line(line);
    eve.expect_nothing();
}

#[test]
fn echo_false_leaves_out_ones_own_direct_messages() {
    let server = TestServer::start();
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "echo": false}));
    let mut bob = server.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": 1}));
    bob.expect_body(1);
    ada.expect_nothing();
}

#[test]
fn two_directions_in_one_write_stay_apart() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    ada.bytes(b"{\"op\":\"send\",\"to\":\"bob\",\"body\":1}\n{\"op\":\"send\",\"to\":\"ada\",\"body\":2}\n{\"op\":\"send\",\"to\":\"bob\",\"body\":3}\n");
    bob.expect_body(1);
    bob.expect_body(3);
    bob.expect_nothing();
    let mut own: Vec<(u64, String)> = (0..3)
        .map(|_| {
            let message = ada.expect("message");
            (message.number("body"), message.text("to").to_owned())
        })
        .collect();
    own.sort();
    assert_eq!(own, [(1, "bob".into()), (2, "ada".into()), (3, "bob".into())]);
    ada.expect_nothing();
}

#[test]
fn a_message_to_oneself_comes_once() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "send", "to": "ada", "body": "note"}));
    ada.expect_line(r#"{"ev":"message","to":"ada","seq":1,"from":"ada","ts":_,"body":"note"}"#);
    ada.expect_nothing();
}

#[test]
fn a_nick_that_nobody_has_is_told() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for op in [
        json!({"op": "send", "to": "bob", "body": 1}),
        json!({"op": "join", "to": "bob"}),
        json!({"op": "history", "to": "bob"}),
        json!({"op": "request", "to": "bob", "body": 1}),
    ] {
        ada.refused(op, "no_such_nick");
    }
}

#[test]
fn the_pair_reads_its_history_by_the_others_nick() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    for body in 1..=3 {
        ada.done(json!({"op": "send", "to": "bob", "body": body}));
        ada.expect_body(body);
        bob.expect_body(body);
    }
    bob.answers(
        r#"{"op":"history","to":"ada","limit":1,"id":"h"}"#,
        r#"{"ev":"history","id":"h","to":"ada","seq":3,"epoch":_,"messages":[{"to":"bob","seq":3,"from":"ada","ts":_,"body":3}],"more":true}"#,
    );
    let page = ada.done(json!({"op": "history", "to": "bob"}));
    assert_eq!((page.text("to"), page["messages"].as_array().map(Vec::len)), ("bob", Some(3)));
    let mut eve = server.hello("eve");
    let page = eve.done(json!({"op": "history", "to": "bob"}));
    assert_eq!(page["messages"], json!([]), "a pair has its messages to itself");
}

#[test]
fn a_join_with_to_replays_the_pairs_messages() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    for body in 1..=2 {
        ada.done(json!({"op": "send", "to": "bob", "body": body}));
        ada.expect_body(body);
        bob.expect_body(body);
    }
    bob.answers(
        r#"{"op":"join","to":"ada","after":1,"id":"j"}"#,
        r#"{"ev":"ok","id":"j","to":"ada","seq":2,"epoch":_}"#,
    );
    bob.expect_line(r#"{"ev":"message","to":"bob","seq":2,"from":"ada","ts":_,"body":2,"replay":true}"#);
    bob.expect_nothing();
    ada.done(json!({"op": "send", "to": "bob", "body": 3}));
    bob.expect_body(3);
    bob.expect_nothing();
}

#[test]
fn a_new_nick_takes_its_conversations_along() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": 1}));
    ada.expect_body(1);
    bob.expect_body(1);
    bob.done(json!({"op": "nick", "nick": "rob"}));
    ada.refused(json!({"op": "send", "to": "bob", "body": 2}), "no_such_nick");
    let ok = ada.done(json!({"op": "send", "to": "rob", "body": 2}));
    assert_eq!((ok.text("to"), ok.number("seq")), ("rob", 2));
    ada.expect_body(2);
    assert_eq!(bob.expect_body(2).text("to"), "rob");
    let page = bob.done(json!({"op": "history", "to": "ada"}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_guest_that_takes_a_freed_nick_reads_nothing_of_the_one_before() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": "for bob alone"}));
    bob.expect_body("for bob alone");
    bob.done(json!({"op": "quit"}));
    bob.expect_end();
    let mut thief = server.hello("bob");
    let page = thief.done(json!({"op": "history", "to": "ada"}));
    assert_eq!(page["messages"], json!([]));
}

#[test]
fn direct_messages_are_no_room_that_anyone_can_name_or_list() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let _bob = server.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": 1}));
    ada.expect_body(1);
    assert_eq!(ada.done(json!({"op": "rooms"}))["rooms"], json!([]));
}

#[test]
fn what_came_while_one_was_away_is_counted_for_the_one_who_resumes() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut bob = server.client();
    let session = bob.hello("bob");
    ada.done(json!({"op": "send", "to": "bob", "body": "seen"}));
    bob.expect_body("seen");
    let mut back = server.client();
    let welcome = back.done(json!({"op": "hello", "resume": session}));
    assert_eq!((&welcome["resumed"], &welcome["unread"]), (&json!(true), &json!([])));
    ada.expect_body("seen");
    ada.done(json!({"op": "send", "to": "bob", "body": "again"}));
    back.expect_body("again");
}

#[test]
fn what_waits_for_one_who_is_away_is_counted_until_it_is_shown() {
    let server = TestServer::start();
    let mut bob = server.client();
    let session = bob.hello("bob");
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "send", "to": "bob", "body": "seen"}));
    ada.expect_body("seen");
    bob.expect_body("seen");
    bob.end_input();
    bob.expect_bye("quit");
    // A guest that is away has no nick, so nothing can be sent to it.
    ada.refused(json!({"op": "send", "to": "bob", "body": "lost"}), "no_such_nick");
    let mut back = server.client();
    let welcome = back.done(json!({"op": "hello", "resume": session}));
    assert_eq!((&welcome["resumed"], &welcome["unread"]), (&json!(true), &json!([])));
    let page = back.done(json!({"op": "history", "to": "ada"}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "{}", page.raw);
}
