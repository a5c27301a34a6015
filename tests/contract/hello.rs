//! `hello`, nicks, and taking an earlier connection over.

use serde_json::json;

use crate::common::{Client, TestServer};

#[test]
fn a_connection_that_never_says_hello_is_a_guest_with_a_nick_of_the_servers() {
    let server = TestServer::start();
    let mut watcher = server.joined("ada", "lobby");
    let mut guest = server.client();
    guest.publish("lobby", "hi");
    let message = watcher.expect_body("hi");
    assert!(message.text("from").starts_with("guest-"), "{}", message.raw);
    assert_eq!(message.get("account"), None);
}

#[test]
fn welcome_names_everything_the_contract_does_in_its_order() {
    let server = TestServer::with(|config| config.limits.max_line = 4_096);
    let mut ada = server.client();
    let welcome = ada.answers(
        r#"{"op":"hello","id":"h-1","nick":"Ada","proto":1}"#,
        r#"{"ev":"welcome","id":"h-1","nick":"Ada","session":_,"server":"linehub/0.1.0","proto":1,"resumed":false,"unread":[],"limits":{"max_line":4096}}"#,
    );
    let session = welcome.text("session");
    assert!(session.len() == 32 && session.bytes().all(|byte| byte.is_ascii_hexdigit()), "128 bits: {session}");
}

#[test]
fn a_hello_without_id_is_welcomed_without_id_and_without_nick_gets_one() {
    let server = TestServer::start();
    let mut client = server.client();
    client.send(json!({"op": "hello"}));
    let welcome = client.expect("welcome");
    assert_eq!(welcome.get("id"), None);
    assert!(welcome.text("nick").starts_with("guest-"), "{}", welcome.raw);
}

#[test]
fn hello_comes_at_most_once() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.refused(json!({"op": "hello", "nick": "eve"}), "bad_request");
    ada.join("lobby");
    assert_eq!(ada.say("lobby", 1).text("from"), "ada");
}

#[test]
fn a_hello_refused_for_its_nick_leaves_a_guest_that_may_try_another() {
    let server = TestServer::start();
    let _ada = server.hello("ada");
    let mut second = server.client();
    second.refused(json!({"op": "hello", "nick": "ADA"}), "nick_in_use");
    second.publish("lobby", "as a guest");
    let welcome = second.done(json!({"op": "hello", "nick": "bob"}));
    assert_eq!(welcome.text("nick"), "bob");
}

#[test]
fn after_refused_credentials_everything_but_the_ways_out_is_unauthorized() {
    let server = TestServer::start();
    for credential in ["password", "token"] {
        let mut client = server.client();
        client.refused(json!({"op": "hello", "nick": "ada", credential: "secret"}), "unauthorized");
        for op in [
            json!({"op": "send", "room": "lobby", "body": 1}),
            json!({"op": "join", "room": "lobby"}),
            json!({"op": "who"}),
            json!({"op": "rooms"}),
            json!({"op": "nick", "nick": "eve"}),
        ] {
            client.refused(op, "unauthorized");
        }
        client.expect_nothing();
        client.hello("ada");
        client.publish("lobby", "let in");
        client.done(json!({"op": "quit"}));
    }
    let mut locked = server.client();
    locked.refused(json!({"op": "hello", "password": "secret"}), "unauthorized");
    locked.answers(r#"{"op":"quit","id":9}"#, r#"{"ev":"bye","id":9,"reason":"quit"}"#);
    locked.expect_end();
}

#[test]
fn ops_behind_a_refused_hello_in_the_same_write_are_unauthorized_too() {
    let server = TestServer::start();
    let mut client = server.client();
    client.bytes(
        b"{\"op\":\"hello\",\"password\":\"x\",\"id\":1}\n{\"op\":\"send\",\"room\":\"r\",\"body\":1,\"id\":2}\n{\"op\":\"hello\",\"id\":3}\n{\"op\":\"send\",\"room\":\"r\",\"body\":1,\"id\":4}\n",
    );
    client.expect_line(r#"{"ev":"error","id":1,"code":"unauthorized","message":_,"op":"hello"}"#);
    let refused = client.expect_error("unauthorized");
    assert_eq!(refused["id"], 2);
    client.expect("welcome");
    client.expect_line(r#"{"ev":"ok","id":4,"room":"r","seq":1,"ts":_}"#);
}

#[test]
fn hello_says_what_is_wrong_with_each_of_its_fields() {
    let server = TestServer::start();
    let mut client = server.client();
    for wrong in [
        json!({"nick": 7}),
        json!({"proto": 2}),
        json!({"echo": "yes"}),
        json!({"presence": 1}),
        json!({"heartbeat_s": -1}),
        json!({"resume": 5}),
        json!({"password": "a", "token": "b"}),
    ] {
        let mut request = wrong;
        request["op"] = json!("hello");
        client.refused(request, "bad_request");
    }
    client.refused(json!({"op": "hello", "nick": "two words"}), "bad_name");
    client.hello("ada");
}

#[test]
fn a_nick_is_free_at_once_when_its_connection_ends() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "quit"}));
    ada.expect_end();
    server.hello("ada");
}

#[test]
fn a_new_nick_is_told_once_to_everyone_who_shares_a_room_and_is_not_the_one_who_took_it() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "lobby");
    ada.join("ops");
    let mut bob = server.joined("bob", "lobby");
    bob.join("ops");
    let mut eve = server.joined("eve", "elsewhere");
    let mut observer = server.hello("owl");
    observer.done(json!({"op": "join", "room": "lobby", "as": "observer"}));
    ada.answers(r#"{"op":"nick","nick":"Countess","id":1}"#, r#"{"ev":"ok","id":1}"#);
    bob.expect_line(r#"{"ev":"nick","nick":"Countess","was":"ada"}"#);
    ada.publish("lobby", "it is me");
    ada.expect_line(r#"{"ev":"message","room":"lobby","seq":1,"from":"Countess","ts":_,"body":"it is me"}"#);
    bob.expect_body("it is me");
    observer.expect_body("it is me");
    eve.expect_nothing();
    server.hello("ada");
}

#[test]
fn what_was_said_before_a_new_nick_is_said_under_the_old_one() {
    let server = TestServer::start();
    let mut bob = server.joined("bob", "lobby");
    let mut ada = server.joined("ada", "lobby");
    ada.bytes(
        b"{\"op\":\"send\",\"room\":\"lobby\",\"body\":1}\n{\"op\":\"nick\",\"nick\":\"eve\"}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":2}\n",
    );
    assert_eq!(bob.expect_body(1).text("from"), "ada");
    bob.expect_line(r#"{"ev":"nick","nick":"eve","was":"ada"}"#);
    assert_eq!(bob.expect_body(2).text("from"), "eve");
}

#[test]
fn a_nick_op_is_refused_for_what_hello_would_refuse() {
    let server = TestServer::start();
    let _bob = server.hello("bob");
    let mut ada = server.hello("ada");
    ada.refused(json!({"op": "nick", "nick": "BOB"}), "nick_in_use");
    ada.refused(json!({"op": "nick", "nick": "a b"}), "bad_name");
    ada.refused(json!({"op": "nick", "nick": "_ada"}), "bad_name");
    ada.refused(json!({"op": "nick"}), "bad_request");
    ada.done(json!({"op": "nick", "nick": "ADA"}));
    let mut other = server.client();
    other.refused(json!({"op": "hello", "nick": "ada"}), "nick_in_use");
}

/// A member of `lobby` that is told of comings and goings, and ada, who has joined there; the session that resumes her.
fn watched(server: &TestServer) -> (Client, Client, String) {
    let mut watcher = server.client();
    watcher.done(json!({"op": "hello", "nick": "owl", "presence": true}));
    watcher.join("lobby");
    let mut ada = server.client();
    let session = ada.hello("ada");
    ada.join("lobby");
    watcher.expect("joined");
    (watcher, ada, session)
}

#[test]
fn an_open_session_is_taken_over_and_the_old_connection_told() {
    let server = TestServer::start();
    let (mut watcher, mut old, session) = watched(&server);
    let mut new = server.client();
    let welcome = new.done(json!({"op": "hello", "resume": session}));
    assert_eq!((welcome.text("nick"), &welcome["resumed"]), ("ada", &json!(true)));
    assert_ne!(welcome.text("session"), session, "a session is new with every welcome");
    let bye = old.expect_bye("replaced");
    assert_eq!(bye.raw, r#"{"ev":"bye","reason":"replaced"}"#);
    // Nobody saw anyone come or go.
    watcher.expect_nothing();
    watcher.say("lobby", "one");
    new.expect_nothing();
    new.done(json!({"op": "join", "room": "lobby", "after": 0}));
    let replayed = new.expect_body("one");
    assert_eq!(replayed["replay"], true);
    watcher.expect_nothing();
    watcher.say("lobby", "two");
    assert_eq!(new.expect_body("two").get("replay"), None);
}

#[test]
fn a_session_outlives_the_end_of_input_with_nick_and_memberships() {
    let server = TestServer::start();
    let (mut watcher, mut old, session) = watched(&server);
    old.end_input();
    old.expect_bye("quit");
    watcher.expect("left");
    let mut new = server.client();
    let welcome = new.done(json!({"op": "hello", "resume": session}));
    assert_eq!((welcome.text("nick"), &welcome["resumed"]), ("ada", &json!(true)));
    watcher.expect_line(r#"{"ev":"joined","room":"lobby","nick":"ada"}"#);
    let who = watcher.done(json!({"op": "who", "room": "lobby"}));
    assert_eq!(who["members"].as_array().map(Vec::len), Some(2), "{}", who.raw);
    watcher.say("lobby", "welcome back");
    new.expect_nothing();
    new.done(json!({"op": "join", "room": "lobby"}));
    watcher.expect_nothing();
    watcher.say("lobby", "now you hear me");
    new.expect_body("now you hear me");
    let mut third = server.client();
    let again = third.done(json!({"op": "hello", "resume": session}));
    assert_eq!(again["resumed"], false, "a session is resumed once");
}

#[test]
fn a_resumed_connection_observes_its_patterns_once_it_joins_them_again() {
    let server = TestServer::start();
    let mut old = server.client();
    let session = old.hello("ada");
    old.join("metrics.>");
    let mut new = server.client();
    new.done(json!({"op": "hello", "resume": session}));
    let mut sensor = server.hello("sensor");
    sensor.publish("metrics.cpu", 1);
    new.expect_nothing();
    new.join("metrics.>");
    sensor.publish("metrics.cpu", 2);
    new.expect_body(2);
}

#[test]
fn a_resumed_session_whose_nick_was_taken_meanwhile_is_resumed_under_another() {
    let server = TestServer::start();
    let mut old = server.client();
    let session = old.hello("ada");
    old.join("lobby");
    old.end_input();
    old.expect_bye("quit");
    let _thief = server.hello("ada");
    let mut new = server.client();
    let welcome = new.done(json!({"op": "hello", "resume": session}));
    assert_eq!(welcome["resumed"], true);
    assert!(welcome.text("nick").starts_with("guest-"), "{}", welcome.raw);
    new.done(json!({"op": "leave", "room": "lobby"}));
}

#[test]
fn what_is_no_session_begins_anew() {
    let server = TestServer::with(|config| config.server.resume_window = std::time::Duration::ZERO);
    let unknown = "0123456789abcdef0123456789abcdef";
    for session in [unknown, "", "not a session"] {
        let mut client = server.client();
        let welcome = client.done(json!({"op": "hello", "resume": session, "nick": "ada"}));
        assert_eq!((welcome.text("nick"), &welcome["resumed"]), ("ada", &json!(false)));
        client.done(json!({"op": "quit"}));
    }
    let mut old = server.client();
    let session = old.hello("bob");
    old.end_input();
    old.expect_bye("quit");
    let welcome = server.client().done(json!({"op": "hello", "resume": session}));
    assert_eq!(welcome["resumed"], false, "the window is over");
}

#[test]
fn a_session_that_said_quit_cannot_be_resumed() {
    let server = TestServer::start();
    let mut old = server.client();
    let session = old.hello("ada");
    old.done(json!({"op": "quit"}));
    old.expect_end();
    let welcome = server.client().done(json!({"op": "hello", "resume": session}));
    assert_eq!(welcome["resumed"], false);
}

#[test]
fn hello_may_name_another_nick_for_the_session_it_resumes() {
    let server = TestServer::start();
    let mut old = server.client();
    let session = old.hello("ada");
    old.join("lobby");
    let mut new = server.client();
    let welcome = new.done(json!({"op": "hello", "nick": "countess", "resume": session}));
    assert_eq!((welcome.text("nick"), &welcome["resumed"]), ("countess", &json!(true)));
    old.expect_bye("replaced");
    server.hello("ada");
}

#[test]
fn rooms_that_were_joined_before_hello_hear_of_its_nick() {
    let server = TestServer::start();
    let mut bob = server.joined("bob", "lobby");
    let mut client = server.client();
    client.join("lobby");
    client.publish("lobby", "as a guest");
    client.expect_body("as a guest");
    let message = bob.expect_body("as a guest");
    client.hello("ada");
    bob.expect_line(&format!(r#"{{"ev":"nick","nick":"ada","was":"{}"}}"#, message.text("from")));
    client.expect_nothing();
}

#[test]
fn a_new_nick_of_one_who_only_observes_is_told_to_nobody() {
    let server = TestServer::start();
    let mut bob = server.joined("bob", "lobby");
    let mut owl = server.hello("owl");
    owl.done(json!({"op": "join", "room": "lobby", "as": "observer"}));
    owl.done(json!({"op": "nick", "nick": "hawk"}));
    bob.expect_nothing();
}
