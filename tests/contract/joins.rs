//! Joining: replay and what follows it, numberings, comings and goings, as what one is in a room.

use std::thread;
use std::time::Instant;

use linehub::config::RoomRule;
use linehub::model::HistoryKind;
use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, TestServer, rule};

/// A room with so many messages, whose bodies are their numbers.
fn filled(server: &TestServer, room: &str, messages: u64) -> Client {
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": room}));
    for body in 1..=messages {
        writer.publish(room, body);
    }
    writer
}

#[test]
fn a_join_replays_what_it_asks_for_and_goes_on_live() {
    let server = TestServer::start();
    let mut writer = filled(&server, "lobby", 5);
    for (start, first) in [
        (json!({"after": 0}), 1),
        (json!({"after": 3}), 4),
        (json!({"after": 5}), 6),
        (json!({"last": 2}), 4),
        (json!({"last": 0}), 6),
        (json!({"last": 100}), 1),
        (json!({"since": 0}), 1),
        (json!({"since": 9_000_000_000_000_000_u64}), 6),
        (json!({}), 6),
    ] {
        let mut reader = server.client();
        let mut request = start.clone();
        request["op"] = json!("join");
        request["room"] = json!("lobby");
        let ok = reader.ask(request);
        assert_eq!(ok.masked(), r#"{"ev":"ok","id":1,"room":"lobby","seq":5,"epoch":_}"#, "{start}");
        for body in first..=5 {
            reader.expect_line(&format!(
                r#"{{"ev":"message","room":"lobby","seq":{body},"from":"writer","ts":_,"body":{body},"replay":true}}"#
            ));
        }
        reader.expect_nothing();
    }
    let mut reader = server.client();
    reader.done(json!({"op": "join", "room": "lobby", "after": 4}));
    writer.publish("lobby", 6);
    reader.expect_body(5);
    assert_eq!(reader.expect_body(6).get("replay"), None);
}

#[test]
fn since_begins_with_the_first_that_is_not_older() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    let mut times = Vec::new();
    while times.len() < 3 {
        let ok = writer.done(json!({"op": "send", "room": "lobby", "body": 0}));
        let ts = ok.number("ts");
        if times.last() != Some(&(ts)) {
            times.push(ts);
        }
    }
    let mut reader = server.client();
    reader.done(json!({"op": "join", "room": "lobby", "since": times[1]}));
    assert_eq!(reader.expect("message").number("ts"), times[1]);
}

#[test]
fn a_replay_and_what_follows_have_no_gap_and_no_repeat_while_others_publish() {
    const MESSAGES: u64 = 2_000;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "lobby"}));
    let publishing = thread::spawn(move || {
        for body in 1..=MESSAGES {
            writer.send(json!({"op": "send", "room": "lobby", "body": body}));
        }
        writer.expect_nothing();
    });
    for start in [json!({"after": 0}), json!({"last": 10_000}), json!({"since": 0})] {
        let mut reader = server.client();
        let mut request = start;
        request["op"] = json!("join");
        request["room"] = json!("lobby");
        let newest = reader.done(request).number("seq");
        for seq in 1..=MESSAGES {
            let message = reader.expect("message");
            assert_eq!(message.number("seq"), seq);
            assert!(seq > newest || message["replay"] == true, "{}", message.raw);
        }
        reader.expect_nothing();
    }
    publishing.join().expect("it published");
}

#[test]
fn joining_again_replays_where_it_asks_to_and_gets_one_copy_of_what_follows() {
    let server = TestServer::start();
    let mut writer = filled(&server, "lobby", 3);
    let mut reader = server.client();
    reader.join("lobby");
    reader.join("lobby");
    writer.publish("lobby", 4);
    reader.expect_body(4);
    reader.done(json!({"op": "join", "room": "lobby", "after": 2}));
    reader.expect_body(3);
    reader.expect_body(4);
    writer.publish("lobby", 5);
    reader.expect_body(5);
    reader.expect_nothing();
}

#[test]
fn an_epoch_stays_while_a_room_stands_and_is_new_when_it_was_empty() {
    let server = TestServer::with(|config| {
        config.rooms = vec![RoomRule { history: Some(HistoryKind::None), ..rule("brief") }];
    });
    let mut ada = server.client();
    let first = ada.join("brief");
    let epoch = first.text("epoch").to_owned();
    assert!((1..=16).contains(&epoch.len()) && epoch.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    ada.say("brief", 1);
    let mut bob = server.client();
    let second = bob.join("brief");
    assert_eq!((second.text("epoch"), second.number("seq")), (&*epoch, 1));
    bob.done(json!({"op": "leave", "room": "brief"}));
    ada.done(json!({"op": "leave", "room": "brief"}));
    let third = ada.join("brief");
    assert_eq!(third.number("seq"), 0);
    assert_ne!(third.text("epoch"), epoch, "the numbering began anew");
}

#[test]
fn an_after_of_another_numbering_is_told_and_gets_all_there_is() {
    let server = TestServer::start();
    let mut writer = filled(&server, "lobby", 3);
    let epoch = writer.join("lobby").text("epoch").to_owned();
    let mut reader = server.client();
    for (start, is_reset, first) in [
        (json!({"after": 2, "epoch": epoch}), false, 3),
        (json!({"after": 3, "epoch": epoch}), false, 4),
        (json!({"after": 2, "epoch": "other"}), true, 1),
        (json!({"after": 0, "epoch": "other"}), true, 1),
        (json!({"after": 4}), true, 1),
        (json!({"after": 4, "epoch": epoch}), true, 1),
    ] {
        let mut request = start.clone();
        request["op"] = json!("join");
        request["room"] = json!("lobby");
        let ok = reader.done(request);
        assert_eq!(ok.get("reset"), is_reset.then_some(&Value::Bool(true)), "{start}: {}", ok.raw);
        for body in first..=3 {
            reader.expect_body(body);
        }
        reader.expect_nothing();
    }
    reader.answers(
        r#"{"op":"join","room":"lobby","after":9,"id":"r"}"#,
        r#"{"ev":"ok","id":"r","room":"lobby","seq":3,"epoch":_,"reset":true}"#,
    );
    for body in 1..=3 {
        reader.expect_body(body);
    }
    for wrong in [json!(""), json!("UPPER"), json!("x".repeat(17)), json!(1)] {
        reader.refused(json!({"op": "join", "room": "lobby", "after": 1, "epoch": wrong}), "bad_request");
    }
}

#[test]
fn a_gap_names_the_numbers_that_are_gone_before_the_replay() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "short", "keep_messages": 3}));
    for body in 1..=8 {
        writer.publish("short", body);
    }
    let mut reader = server.client();
    reader.done(json!({"op": "join", "room": "short", "after": 2}));
    reader.expect_line(r#"{"ev":"gap","room":"short","first":3,"last":5}"#);
    for body in 6..=8 {
        reader.expect_body(body);
    }
    for start in [json!({"last": 8}), json!({"since": 0}), json!({"after": 5})] {
        let mut request = start;
        request["op"] = json!("join");
        request["room"] = json!("short");
        reader.done(request);
        for body in 6..=8 {
            reader.expect_body(body);
        }
        reader.expect_nothing();
    }
}

#[test]
fn a_room_without_history_replays_nothing_and_says_what_is_gone() {
    let server = TestServer::start();
    let mut writer = server.joined("writer", "brief");
    writer.done(json!({"op": "create", "room": "brief", "history": "none"}));
    writer.say("brief", 1);
    writer.say("brief", 2);
    let mut reader = server.client();
    let ok = reader.done(json!({"op": "join", "room": "brief", "last": 5}));
    assert_eq!(ok.number("seq"), 2);
    reader.expect_nothing();
    reader.done(json!({"op": "join", "room": "brief", "after": 1}));
    reader.expect_line(r#"{"ev":"gap","room":"brief","first":2,"last":2}"#);
    writer.say("brief", 3);
    reader.expect_body(3);
}

#[test]
fn what_is_older_than_keep_age_is_not_replayed() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "fresh", "keep_age": "30ms"}));
    writer.publish("fresh", 1);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < DEADLINE, "it is replayed after all that time");
        let mut reader = server.client();
        reader.done(json!({"op": "join", "room": "fresh", "last": 1}));
        let id = reader.send_with_id(json!({"op": "ping"}));
        let next = reader.recv();
        if next["id"] == id {
            break;
        }
        assert_eq!(next["body"], 1);
        reader.expect("pong");
    }
    let page = writer.done(json!({"op": "history", "room": "fresh"}));
    assert_eq!((page.number("seq"), &page["messages"]), (1, &json!([])));
}

#[test]
fn comings_and_goings_are_told_to_members_that_want_them_in_order_with_the_messages() {
    let server = TestServer::start();
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "presence": true}));
    ada.join("lobby");
    ada.expect_nothing();
    let mut quiet = server.joined("quiet", "lobby");
    ada.expect_line(r#"{"ev":"joined","room":"lobby","nick":"quiet"}"#);
    let mut bob = server.client();
    bob.bytes(
        b"{\"op\":\"hello\",\"nick\":\"bob\"}\n{\"op\":\"join\",\"room\":\"lobby\"}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":\"last words\"}\n{\"op\":\"leave\",\"room\":\"lobby\"}\n",
    );
    bob.expect("welcome");
    ada.expect_line(r#"{"ev":"joined","room":"lobby","nick":"bob"}"#);
    ada.expect_body("last words");
    ada.expect_line(r#"{"ev":"left","room":"lobby","nick":"bob"}"#);
    bob.expect_body("last words");
    bob.join("lobby");
    ada.expect("joined");
    bob.done(json!({"op": "quit", "reason": "dinner"}));
    ada.expect_line(r#"{"ev":"left","room":"lobby","nick":"bob","reason":"dinner"}"#);
    quiet.expect_body("last words");
    quiet.expect_nothing();
    // A membership that was there already is not told again.
    quiet.join("lobby");
    ada.expect_nothing();
}

#[test]
fn rooms_of_more_than_presence_members_tell_of_no_comings_and_goings() {
    let server = TestServer::with(|config| config.limits.presence_members = 2);
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "presence": true}));
    ada.join("lobby");
    let _second = server.joined("second", "lobby");
    ada.expect("joined");
    let mut third = server.joined("third", "lobby");
    ada.expect_nothing();
    third.done(json!({"op": "topic", "room": "lobby", "topic": "all the same"}));
    ada.expect("topic");
}

#[test]
fn an_observer_gets_copies_is_not_listed_and_hears_no_news() {
    let server = TestServer::start();
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "presence": true}));
    ada.join("lobby");
    let mut owl = server.client();
    owl.done(json!({"op": "hello", "nick": "owl", "presence": true}));
    owl.done(json!({"op": "join", "room": "lobby", "as": "observer"}));
    ada.expect_nothing();
    let who = ada.done(json!({"op": "who", "room": "lobby"}));
    assert_eq!(
        who.masked(),
        format!(
            r#"{{"ev":"who","id":{},"room":"lobby","members":[{{"nick":"ada","role":"member","idle_s":_}}],"more":false}}"#,
            who["id"]
        )
    );
    let mut bob = server.joined("bob", "lobby");
    bob.done(json!({"op": "topic", "room": "lobby", "topic": "news"}));
    bob.done(json!({"op": "nick", "nick": "rob"}));
    bob.say("lobby", 1);
    bob.done(json!({"op": "redact", "room": "lobby", "seq": 1}));
    owl.expect_body(1);
    owl.expect_nothing();
    for news in ["joined", "topic", "nick", "message", "redacted"] {
        ada.expect(news);
    }
}

#[test]
fn joining_again_changes_as_what_and_only_if_it_says_so() {
    let server = TestServer::start();
    let mut watcher = server.client();
    watcher.done(json!({"op": "hello", "nick": "owl", "presence": true}));
    watcher.join("lobby");
    let mut ada = server.joined("ada", "lobby");
    watcher.expect("joined");
    ada.done(json!({"op": "join", "room": "lobby", "as": "worker"}));
    watcher.expect_nothing();
    ada.done(json!({"op": "join", "room": "lobby", "as": "observer"}));
    watcher.expect_line(r#"{"ev":"left","room":"lobby","nick":"ada"}"#);
    ada.join("lobby");
    watcher.expect_nothing();
    ada.done(json!({"op": "join", "room": "lobby", "as": "member"}));
    watcher.expect_line(r#"{"ev":"joined","room":"lobby","nick":"ada"}"#);
    watcher.say("lobby", 1);
    ada.expect_body(1);
    ada.expect_nothing();
}

#[test]
fn join_says_what_is_wrong_with_each_of_its_fields() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for wrong in [
        json!({}),
        json!({"room": 5}),
        json!({"room": "r", "to": "ada"}),
        json!({"room": "r", "as": "king"}),
        json!({"room": "r", "after": -1}),
        json!({"room": "r", "after": 1.5}),
        json!({"room": "r", "after": "1"}),
        json!({"room": "r", "last": 1, "after": 1}),
        json!({"room": "r", "since": 1, "last": 1}),
        json!({"room": "r", "prefetch": 0}),
        json!({"room": "r", "ack_wait_s": 0}),
        json!({"room": "r", "stay": "yes"}),
        json!({"room": "a.*", "as": "worker"}),
        json!({"room": "a.*", "as": "member"}),
        json!({"room": "a.*", "after": 1}),
        json!({"room": "a.*", "last": 1}),
    ] {
        let mut request = wrong;
        request["op"] = json!("join");
        ada.refused(request, "bad_request");
    }
    ada.refused(json!({"op": "join", "to": "nobody"}), "no_such_nick");
    assert_eq!(ada.done(json!({"op": "rooms"}))["rooms"], json!([]), "what was refused made no room");
}
