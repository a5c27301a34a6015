//! Rooms: how they come and go, their settings and topics, and the listings.

use linehub::config::RoomRule;
use linehub::model::Kind;
use serde_json::{Value, json};

use crate::common::{TestServer, rule};

#[test]
fn create_makes_a_room_once_and_compares_only_what_it_names() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.answers(r#"{"op":"create","room":"lobby","keep_messages":5,"id":1}"#, r#"{"ev":"ok","id":1,"room":"lobby"}"#);
    for same in
        [json!({}), json!({"keep_messages": 5}), json!({"kind": "fanout"}), json!({"private": false, "keep_age": "0s"})]
    {
        let mut request = same.clone();
        request["op"] = json!("create");
        request["room"] = json!("LOBBY");
        let ok = ada.done(request);
        assert_eq!(ok.masked(), format!(r#"{{"ev":"ok","id":{},"room":"lobby","existed":true}}"#, ok["id"]), "{same}");
    }
}

#[test]
fn settings_change_only_until_the_first_message() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.hello("bob");
    assert_eq!(bob.done(json!({"op": "create", "room": "lobby", "keep_messages": 2})).get("existed"), None);
    for body in 1..=3 {
        ada.say("lobby", body);
    }
    assert_eq!(ada.done(json!({"op": "history", "room": "lobby"}))["messages"].as_array().map(Vec::len), Some(2));
    for other in [
        json!({"keep_messages": 3}),
        json!({"kind": "queue"}),
        json!({"kind": "latest"}),
        json!({"history": "none"}),
        json!({"private": true}),
        json!({"keep_bytes": "1MiB"}),
        json!({"keep_age": "1h"}),
        json!({"ack_wait": "1s"}),
        json!({"max_deliver": 9}),
        json!({"topic": "mine"}),
    ] {
        let mut request = other.clone();
        request["op"] = json!("create");
        request["room"] = json!("lobby");
        let error = bob.refused(request, "room_exists");
        assert_eq!((&error["room"], &error["op"]), (&json!("lobby"), &json!("create")), "{other}");
    }
    assert_eq!(bob.done(json!({"op": "create", "room": "lobby", "keep_messages": 2}))["existed"], true);
}

#[test]
fn create_says_what_is_wrong_with_each_of_its_fields() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for wrong in [
        json!({"kind": "stack"}),
        json!({"history": "paper"}),
        json!({"topic": 5}),
        json!({"private": "yes"}),
        json!({"keep_messages": -1}),
        json!({"keep_bytes": "much"}),
        json!({"keep_age": 30}),
        json!({"keep_age": "soon"}),
        json!({"ack_wait": "0s"}),
        json!({"max_deliver": 0}),
    ] {
        let mut request = wrong;
        request["op"] = json!("create");
        request["room"] = json!("r");
        ada.refused(request, "bad_request");
    }
    ada.refused(json!({"op": "create"}), "bad_request");
    assert_eq!(ada.done(json!({"op": "rooms"}))["rooms"], json!([]), "what was refused made no room");
}

#[test]
fn a_room_comes_into_being_as_the_first_rule_that_matches_it_says() {
    let server = TestServer::with(|config| {
        let kinds = [("jobs.>", Kind::Queue), ("state.*", Kind::Latest), (">", Kind::Fanout)];
        config.rooms = kinds.map(|(pattern, kind)| RoomRule { kind: Some(kind), ..rule(pattern) }).into();
    });
    let mut ada = server.hello("ada");
    for (room, kind) in [("jobs.a", "queue"), ("jobs.a.b", "queue"), ("state.a", "latest"), ("lobby", "fanout")] {
        ada.publish(room, 1);
        let rooms = ada.done(json!({"op": "rooms", "pattern": room}));
        assert_eq!(rooms["rooms"][0]["kind"], kind, "{room}");
    }
    ada.done(json!({"op": "create", "room": "state.queue", "kind": "queue"}));
    assert_eq!(ada.done(json!({"op": "rooms", "pattern": "state.queue"}))["rooms"][0]["kind"], "queue");
}

#[test]
fn a_room_that_nobody_owns_is_deleted_by_no_guest() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    ada.answers(
        r#"{"op":"delete","room":"lobby","id":1}"#,
        r#"{"ev":"error","id":1,"code":"forbidden","message":_,"op":"delete","room":"lobby"}"#,
    );
    ada.refused(json!({"op": "delete", "room": "nowhere"}), "no_such_room");
    ada.refused(json!({"op": "delete"}), "bad_request");
}

#[test]
fn an_empty_room_without_history_goes_away_and_one_with_history_or_a_creator_stays() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.join("passing");
    ada.done(json!({"op": "leave", "room": "passing"}));
    ada.done(json!({"op": "create", "room": "made"}));
    ada.publish("spoken", 1);
    ada.done(json!({"op": "create", "room": "silent", "history": "none"}));
    ada.publish("silent", 1);
    let rooms = ada.done(json!({"op": "rooms"}));
    let names: Vec<&Value> = rooms["rooms"].as_array().expect("a listing").iter().map(|room| &room["room"]).collect();
    assert_eq!(names, ["made", "silent", "spoken"]);
}

#[test]
fn a_topic_is_set_by_members_told_to_members_and_asked_by_anyone() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    let mut bob = server.joined("bob", "lobby");
    let mut eve = server.hello("eve");
    ada.answers(r#"{"op":"topic","room":"lobby","id":1}"#, r#"{"ev":"ok","id":1,"room":"lobby","topic":""}"#);
    ada.answers(
        r#"{"op":"topic","room":"lobby","topic":"caf\u00e9 \"x\"","id":2}"#,
        r#"{"ev":"ok","id":2,"room":"lobby","topic":"café \"x\""}"#,
    );
    bob.expect_line(r#"{"ev":"topic","room":"lobby","topic":"café \"x\"","by":"ada"}"#);
    ada.expect_nothing();
    eve.answers(r#"{"op":"topic","room":"lobby","id":3}"#, r#"{"ev":"ok","id":3,"room":"lobby","topic":"café \"x\""}"#);
    eve.refused(json!({"op": "topic", "room": "lobby", "topic": "mine"}), "not_joined");
    eve.refused(json!({"op": "topic", "room": "nowhere"}), "no_such_room");
    bob.done(json!({"op": "topic", "room": "lobby", "topic": ""}));
    ada.expect_line(r#"{"ev":"topic","room":"lobby","topic":"","by":"bob"}"#);
    ada.refused(json!({"op": "topic", "room": "lobby", "topic": "x".repeat(1_025)}), "bad_request");
    ada.done(json!({"op": "topic", "room": "lobby", "topic": "x".repeat(1_024)}));
}

#[test]
fn a_topic_takes_its_place_among_the_messages() {
    let server = TestServer::start();
    let mut bob = server.joined("bob", "lobby");
    let mut ada = server.joined("ada", "lobby");
    ada.bytes(b"{\"op\":\"send\",\"room\":\"lobby\",\"body\":1}\n{\"op\":\"topic\",\"room\":\"lobby\",\"topic\":\"t\"}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":2}\n");
    bob.expect_body(1);
    bob.expect("topic");
    bob.expect_body(2);
}

#[test]
fn who_lists_the_members_of_a_room_or_everyone_by_nick_and_in_pages() {
    let server = TestServer::start();
    let mut ada = server.joined("Ada", "lobby");
    let _bob = server.joined("bob", "lobby");
    let _eve = server.hello("eve");
    ada.answers(
        r#"{"op":"who","room":"lobby","id":1}"#,
        r#"{"ev":"who","id":1,"room":"lobby","members":[{"nick":"Ada","role":"member","idle_s":_},{"nick":"bob","role":"member","idle_s":_}],"more":false}"#,
    );
    ada.answers(
        r#"{"op":"who","limit":2,"id":2}"#,
        r#"{"ev":"who","id":2,"members":[{"nick":"Ada","role":"member","idle_s":_},{"nick":"bob","role":"member","idle_s":_}],"more":true}"#,
    );
    ada.answers(
        r#"{"op":"who","after":"BOB","id":3}"#,
        r#"{"ev":"who","id":3,"members":[{"nick":"eve","role":"member","idle_s":_}],"more":false}"#,
    );
    ada.refused(json!({"op": "who", "room": "nowhere"}), "no_such_room");
    ada.refused(json!({"op": "who", "limit": 0}), "bad_request");
    ada.refused(json!({"op": "who", "after": "a b"}), "bad_name");
}

#[test]
fn rooms_lists_what_there_is_by_name_in_pages_and_by_pattern() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "create", "room": "b.jobs", "kind": "queue"}));
    ada.done(json!({"op": "create", "room": "a.state", "kind": "latest", "topic": "now"}));
    ada.join("C");
    ada.say("C", 1);
    ada.answers(
        r#"{"op":"rooms","id":1}"#,
        r#"{"ev":"rooms","id":1,"rooms":[{"room":"a.state","kind":"latest","members":0,"seq":0,"epoch":_,"topic":"now"},{"room":"b.jobs","kind":"queue","members":0,"seq":0,"epoch":_},{"room":"C","kind":"fanout","members":1,"seq":1,"epoch":_}],"more":false}"#,
    );
    let page = ada.done(json!({"op": "rooms", "limit": 1, "after": "A.STATE"}));
    assert_eq!((&page["rooms"][0]["room"], &page["more"]), (&json!("b.jobs"), &json!(true)));
    let page = ada.done(json!({"op": "rooms", "pattern": "*.jobs"}));
    assert_eq!((page["rooms"].as_array().map(Vec::len), &page["more"]), (Some(1), &json!(false)));
    ada.refused(json!({"op": "rooms", "pattern": "a*"}), "bad_name");
}

#[test]
fn listings_fit_a_line_and_their_pages_see_everything_once() {
    let server = TestServer::with(|config| config.limits.max_line = 4_096);
    let mut ada = server.hello("ada");
    for number in 0..60 {
        ada.done(json!({"op": "create", "room": format!("room-{number:02}-with-a-rather-long-name")}));
    }
    let mut names: Vec<String> = Vec::new();
    loop {
        let mut request = json!({"op": "rooms"});
        if let Some(last) = names.last() {
            request["after"] = json!(last);
        }
        let page = ada.done(request);
        assert!(page.raw.len() < 4_096, "{}", page.raw.len());
        let rooms = page["rooms"].as_array().expect("a listing");
        names.extend(rooms.iter().map(|room| room["room"].as_str().expect("a name").to_owned()));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(names.len(), 60);
    assert!(names.is_sorted());
}

#[test]
fn a_private_room_is_for_those_who_are_let_in() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "create", "room": "secret", "private": true}));
    ada.join("secret");
    ada.say("secret", 1);
    let mut eve = server.hello("eve");
    for (request, code) in [
        (json!({"op": "join", "room": "secret"}), "forbidden"),
        (json!({"op": "send", "room": "secret", "body": 1}), "forbidden"),
        (json!({"op": "history", "room": "secret"}), "no_such_room"),
        (json!({"op": "who", "room": "secret"}), "no_such_room"),
        (json!({"op": "topic", "room": "secret"}), "no_such_room"),
        (json!({"op": "redact", "room": "secret", "seq": 1}), "no_such_room"),
    ] {
        eve.refused(request, code);
    }
    assert_eq!(eve.done(json!({"op": "rooms"}))["rooms"], json!([]));
    let rooms = ada.done(json!({"op": "rooms"}));
    assert_eq!(rooms["rooms"][0]["private"], true, "{}", rooms.raw);
    ada.expect_nothing();
}

#[test]
fn what_this_version_does_not_do_is_unavailable() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for op in ["register", "login", "password", "invite", "kick", "mute", "unmute", "ban", "unban", "bans", "role"] {
        let error = ada.refused(json!({"op": op, "room": "r", "nick": "bob", "password": "x"}), "unavailable");
        assert_eq!(error["op"], op);
    }
}
