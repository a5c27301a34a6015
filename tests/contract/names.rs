//! Names of rooms and nicks: which there can be, how they are compared and how they are shown.

use serde_json::json;

use crate::common::TestServer;

#[test]
fn names_have_1_to_64_bytes_of_letters_digits_marks_and_some_punctuation() {
    let server = TestServer::start();
    let mut client = server.hello("tester");
    let long = "é".repeat(32);
    for name in ["a", "7", "a-b", "a_b", "Ünïcödé", "日本語", "नमस्ते", "العربية", "a.b.c", &long, &"x".repeat(64)]
    {
        client.done(json!({"op": "join", "room": name}));
    }
    let too_long = format!("{long}x");
    for name in [
        "",
        " ",
        "a b",
        "a\tb",
        "#a",
        "a/b",
        "a:b",
        "a\u{0}",
        "a\u{202e}b",
        "a\u{200b}b",
        "😀",
        "_server",
        "a..b",
        ".a",
        "a.",
        "a-",
        "-a",
        "a_",
        &too_long,
        "a\n",
        "\u{301}",
    ] {
        let error = client.refused(json!({"op": "join", "room": name}), "bad_name");
        assert_eq!(error["op"], "join");
        client.refused(json!({"op": "send", "room": name, "body": 1}), "bad_name");
        client.refused(json!({"op": "nick", "nick": name}), "bad_name");
    }
}

#[test]
fn names_are_compared_without_case_or_width_and_shown_as_first_written() {
    let server = TestServer::start();
    let mut ada = server.joined("ada", "Caf\u{e9}");
    for same in ["CAFÉ", "cafe\u{301}", "ｃａｆé"] {
        let mut other = server.client();
        let ok = other.join(same);
        assert_eq!(ok["room"], "Café", "{}", ok.raw);
        other.publish(same, same);
        ada.expect_body(same);
        other.expect_body(same);
    }
    assert_eq!(ada.done(json!({"op": "rooms"}))["rooms"].as_array().map(Vec::len), Some(1));
    let mut other = server.client();
    other.refused(json!({"op": "hello", "nick": "ＡＤＡ"}), "nick_in_use");
}

#[test]
fn a_message_names_its_room_as_it_was_first_written() {
    let server = TestServer::start();
    let mut ada = server.joined("Ada", "Lobby");
    let mut bob = server.hello("bob");
    bob.answers(
        r#"{"op":"send","room":"LOBBY","body":1,"id":1}"#,
        r#"{"ev":"ok","id":1,"room":"Lobby","seq":1,"ts":_}"#,
    );
    ada.expect_line(r#"{"ev":"message","room":"Lobby","seq":1,"from":"bob","ts":_,"body":1}"#);
    bob.answers(r#"{"op":"send","to":"ADA","body":2,"id":2}"#, r#"{"ev":"ok","id":2,"to":"Ada","seq":1,"ts":_}"#);
}

#[test]
fn a_queue_rooms_name_leaves_room_for_its_dead_letters() {
    let server = TestServer::start();
    let mut client = server.client();
    client.done(json!({"op": "create", "room": "q".repeat(59), "kind": "queue"}));
    client.refused(json!({"op": "create", "room": "q".repeat(60), "kind": "queue"}), "bad_name");
    client.done(json!({"op": "create", "room": "f".repeat(64)}));
}

#[test]
fn a_pattern_is_no_room_where_only_a_room_will_do() {
    let server = TestServer::start();
    let mut client = server.client();
    for request in [
        json!({"op": "send", "room": "a.*", "body": 1}),
        json!({"op": "create", "room": "a.>"}),
        json!({"op": "history", "room": "*"}),
        json!({"op": "topic", "room": "a.*"}),
        json!({"op": "redact", "room": ">", "seq": 1}),
        json!({"op": "delete", "room": ">"}),
        json!({"op": "who", "room": ">"}),
        json!({"op": "request", "room": ">", "body": 1}),
    ] {
        client.refused(request, "bad_name");
    }
    for pattern in ["a*", "a.>.b", "*.", ">x", "a..*"] {
        client.refused(json!({"op": "join", "room": pattern}), "bad_name");
    }
}

#[test]
fn every_naughty_string_is_a_name_or_bad_name_and_every_one_is_a_body() {
    let Some(strings) = naughty() else { return };
    let server = TestServer::start();
    let mut client = server.hello("tester");
    client.join("lobby");
    for text in strings {
        let answer = client.ask(json!({"op": "topic", "room": "lobby", "topic": text}));
        assert!(answer.ev() == "ok" && answer["topic"] == text, "{}", answer.raw);
        let answer = client.ask(json!({"op": "nick", "nick": text}));
        assert!(answer.ev() == "ok" || answer["code"] == "bad_name", "{}", answer.raw);
        let answer = client.ask(json!({"op": "create", "room": text}));
        assert!(answer.ev() == "ok" || answer["code"] == "bad_name", "{}", answer.raw);
        client.say("lobby", text);
    }
}

/// The big list of naughty strings, where it is at hand.
fn naughty() -> Option<Vec<String>> {
    let folder = std::env::var_os("LINEHUB_TEST_DATA")?;
    let path = std::path::Path::new(&folder).join("naughty-strings/blns.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).expect("it is an array of strings"))
}
