//! Frames: lines, what a line may hold, and what one that cannot be read costs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::{Client, TestServer};

/// A member whose own messages come back to it.
fn speaker(server: &TestServer) -> Client {
    let mut ada = server.hello("ada");
    ada.join("lobby");
    ada
}

#[test]
fn a_line_ends_with_a_line_feed_and_maybe_a_carriage_return_and_empty_ones_are_none() {
    let server = TestServer::start();
    let mut client = server.client();
    client.bytes(
        b"\n\r\n{\"op\":\"ping\",\"id\":1}\n\n\n{\"op\":\"ping\",\"id\":2}\r\n\r\n{ \"op\" : \"ping\",\t\"id\":3 } \n",
    );
    for id in 1..=3 {
        client.expect_line(&format!(r#"{{"ev":"pong","id":{id}}}"#));
    }
}

#[test]
fn a_carriage_return_anywhere_else_is_bad_json() {
    let server = TestServer::start();
    let mut client = server.client();
    for line in [
        "{\"op\":\"send\",\"room\":\"r\",\"body\":\"a\rb\",\"id\":1}",
        "{\"op\":\"ping\",\r\"id\":1}",
        "{\"op\":\"ping\",\"id\":1}\r\r",
        "\r{\"op\":\"ping\",\"id\":1}",
    ] {
        client.line(line);
        client.expect_error("bad_json");
    }
    client.expect_nothing();
}

#[test]
fn a_byte_order_mark_before_the_first_line_is_skipped_on_every_port() {
    let server = TestServer::start();
    for address in [server.json(), server.auto()] {
        let mut client = Client::connect(address);
        client.bytes(b"\xEF\xBB\xBF{\"op\":\"ping\",\"id\":1}\n");
        client.expect_line(r#"{"ev":"pong","id":1}"#);
    }
}

#[test]
fn a_line_may_come_a_byte_at_a_time() {
    let server = TestServer::start();
    let mut client = server.client();
    for byte in b"{\"op\":\"ping\",\"id\":\"\xC3\xBC\"}\r\n" {
        client.bytes(&[*byte]);
    }
    client.expect_line(r#"{"ev":"pong","id":"ü"}"#);
}

#[test]
fn unknown_fields_are_ignored_and_of_a_name_given_twice_the_last_counts() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    ada.line(
        r#"{"op":"send","colour":"red","room":"nowhere","body":1,"room":"lobby","more":[{"op":"quit"}],"body":2}"#,
    );
    ada.expect_body(2);
}

#[test]
fn a_body_is_relayed_byte_for_byte() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    for body in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1E+3",
        "1.50",
        "12345678901234567890123456789012",
        "0.1000000000000000000000000000",
        r#""""#,
        r#""\u0041\/\"""#,
        "\"\u{7f}\u{2028}\u{202e}\u{0}\"",
        r#""\ud83d\ude00 😀""#,
        "[ 1 ,\t2 ]",
        "{ }",
        "{\"b\" : 1, \"a\":2,\"b\":3 }",
        r#"{"":{"a":[[],{}]}}"#,
        "\"naïve 日本語 العربية\"",
    ] {
        if body.contains('\0') {
            ada.line(&format!(r#"{{"op":"send","room":"lobby","body":{body}}}"#));
            ada.expect_error("bad_json");
            continue;
        }
        ada.line(&format!(r#"{{"op":"send","room":"lobby","body":{body}}}"#));
        let message = ada.expect("message");
        assert!(message.raw.ends_with(&format!(r#","body":{body}}}"#)), "{body}: {}", message.raw);
    }
}

#[test]
fn headers_are_relayed_byte_for_byte_before_the_body() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    let headers = "{ \"traceparent\" : \"00-\\u0061\", \"content-type\":\"text/plain\",\"a\":\"\",\"a\":\"2\" }";
    ada.line(&format!(r#"{{"op":"send","body":"x","room":"lobby","headers":{headers}}}"#));
    ada.expect_line(&format!(
        r#"{{"ev":"message","room":"lobby","seq":1,"from":"ada","ts":_,"headers":{headers},"body":"x"}}"#
    ));
    ada.send(json!({"op": "history", "room": "lobby"}));
    let history = ada.expect("history");
    assert!(history.raw.contains(headers), "{}", history.raw);
}

#[test]
fn headers_are_a_flat_object_of_strings_of_1_kib() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    for headers in [json!([]), json!("a"), json!({"a": 1}), json!({"a": {}}), json!({"a": null})] {
        ada.refused(json!({"op": "send", "room": "lobby", "headers": headers, "body": 1}), "bad_request");
    }
    // `{"k":""}` takes eight bytes.
    let fits = "x".repeat(1_024 - 8);
    ada.done(json!({"op": "send", "room": "lobby", "headers": {"k": fits}, "body": 1}));
    ada.expect_body(1);
    ada.refused(json!({"op": "send", "room": "lobby", "headers": {"k": format!("{fits}x")}, "body": 1}), "too_large");
    ada.expect_nothing();
}

#[test]
fn numbers_and_depth_have_the_bounds_that_every_reader_has() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    // A line's own object is the first level.
    for (body, fits) in [
        (nested(63), true),
        (nested(64), true),
        (nested(65), false),
        (format!("{}1{}", r#"{"a":"#.repeat(64), "}".repeat(64)), true),
        (format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65)), false),
        ("1".repeat(32), true),
        ("1".repeat(33), false),
        ("1e308".into(), true),
        ("1e309".into(), false),
        ("-1e309".into(), false),
        (r#""\ud800""#.into(), false),
        (r#""\udc00\ud800""#.into(), false),
        (r#"{"\ud800":1}"#.into(), false),
        ("NaN".into(), false),
        ("01".into(), false),
    ] {
        ada.line(&format!(r#"{{"op":"send","room":"lobby","body":{body}}}"#));
        if fits {
            ada.expect("message");
        } else {
            ada.expect_error("bad_json");
        }
    }
    // The rules hold for what nobody reads, too.
    ada.line(r#"{"op":"ping","unknown":1e999,"id":5}"#);
    assert_eq!(ada.expect_error("bad_json")["id"], 5);
}

#[test]
fn body_and_headers_together_leave_1_024_bytes_of_a_line() {
    let server = TestServer::start();
    let mut ada = speaker(&server);
    let most = 65_536 - 1_024;
    let body = "x".repeat(most - 2);
    ada.line(&format!(r#"{{"op":"send","room":"lobby","body":"{body}"}}"#));
    ada.expect_body(body.clone());
    ada.line(&format!(r#"{{"op":"send","room":"lobby","body":"{body}x","id":1}}"#));
    ada.expect_line(r#"{"ev":"error","id":1,"code":"too_large","message":_,"op":"send","room":"lobby"}"#);
    ada.line(&format!(r#"{{"op":"send","room":"lobby","headers":{{"a":"b"}},"body":"{body}"}}"#));
    ada.expect_error("too_large");
    ada.expect_nothing();
}

#[test]
fn a_line_has_max_line_bytes_with_its_ending_and_the_next_one_is_read_again() {
    let server = TestServer::with(|config| config.limits.max_line = 2_048);
    let mut client = server.client();
    let ping = |bytes: usize, ending: &str| {
        let rest = bytes - ending.len() - r#"{"op":"ping","id":7,"pad":""}"#.len();
        format!(r#"{{"op":"ping","id":7,"pad":"{}"}}{ending}"#, "x".repeat(rest))
    };
    for ending in ["\n", "\r\n"] {
        client.bytes(ping(2_048, ending).as_bytes());
        client.expect_line(r#"{"ev":"pong","id":7}"#);
        client.bytes(ping(2_049, ending).as_bytes());
        client.expect_line(r#"{"ev":"error","id":7,"code":"line_too_long","message":_}"#);
    }
    client.bytes(ping(1_000_000, "\n").as_bytes());
    client.expect_error("line_too_long");
    client.expect_nothing();
}

#[test]
fn each_line_that_cannot_be_read_gets_its_error_and_costs_nothing_else() {
    let server = TestServer::start();
    let mut client = server.client();
    let table: &[(&[u8], &str)] = &[
        (b"hello", r#"{"ev":"error","code":"bad_json","message":_}"#),
        (b"[1]", r#"{"ev":"error","code":"bad_json","message":_}"#),
        (b"\"op\"", r#"{"ev":"error","code":"bad_json","message":_}"#),
        (b"{}x", r#"{"ev":"error","code":"bad_json","message":_}"#),
        (b"{\"id\":4,\"op\":\"send\",}", r#"{"ev":"error","id":4,"code":"bad_json","message":_}"#),
        (b"{\"id\":4,\"op\":\"send\"", r#"{"ev":"error","id":4,"code":"bad_json","message":_}"#),
        (
            b"{\"op\":\"send\",\"body\":\"\xFF\",\"id\":\"x\"}",
            r#"{"ev":"error","id":"x","code":"bad_utf8","message":_}"#,
        ),
        (
            b"{\"op\":\"ping\",\"id\":5,\"a\":\"\xED\xA0\x80\"}",
            r#"{"ev":"error","id":5,"code":"bad_utf8","message":_}"#,
        ),
        (b"{}", r#"{"ev":"error","code":"bad_request","message":_}"#),
        (b"{\"op\":1,\"id\":6}", r#"{"ev":"error","id":6,"code":"bad_request","message":_}"#),
        (b"{\"op\":\"fly\",\"id\":7}", r#"{"ev":"error","id":7,"code":"unknown_op","message":_,"op":"fly"}"#),
        (
            b"{\"op\":\"send\",\"room\":\"r\",\"body\":1,\"id\":1.5}",
            r#"{"ev":"error","code":"bad_request","message":_,"op":"send","room":"r"}"#,
        ),
        (
            b"{\"op\":\"send\",\"room\":\"r\",\"id\":8}",
            r#"{"ev":"error","id":8,"code":"bad_request","message":_,"op":"send","room":"r"}"#,
        ),
    ];
    for (line, expected) in table {
        client.bytes(line);
        client.bytes(b"\n");
        client.expect_line(expected);
    }
    client.expect_nothing();
}

#[test]
fn errors_say_what_to_do() {
    let server = TestServer::start();
    let mut client = server.client();
    for (line, words) in [
        (r#"{"op":"publish"}"#, "send"),
        (r#"{"op":"subscribe"}"#, "join"),
        (r#"{"op":"histroy"}"#, "history"),
        ("{", "one line each, as `jq -c` writes"),
        (r#"{"op":"send","#, "one line each, as `jq -c` writes"),
        (r#"{"op":"send","body":1}"#, "`room` or `to`"),
        (r#"{"op":"join","room":"a","to":"b"}"#, "exclude each other"),
        (r#"{"op":"history","room":"a","limit":0}"#, "1 to 1000"),
    ] {
        client.line(line);
        let error = client.expect("error");
        assert!(error.text("message").contains(words), "{words}: {}", error.raw);
    }
}

#[test]
fn an_id_is_a_string_of_64_bytes_or_an_integer_within_two_to_the_53() {
    let server = TestServer::start();
    let mut client = server.client();
    let longest = "é".repeat(32);
    for id in
        ["0", "-1", "9007199254740992", "-9007199254740992", r#""""#, r#""a\"\\\n\u0007""#, &format!("\"{longest}\"")]
    {
        client.line(&format!(r#"{{"op":"ping","id":{id}}}"#));
        let pong = client.expect("pong");
        let sent: Value = serde_json::from_str(id).expect("the table is JSON");
        assert_eq!(pong["id"], sent);
    }
    for id in ["1.5", "9007199254740993", "true", "[]", "{}", &format!("\"{longest}x\"")] {
        client.line(&format!(r#"{{"op":"ping","id":{id}}}"#));
        let error = client.expect_error("bad_request");
        assert_eq!(error.get("id"), None, "{}", error.raw);
    }
}

#[test]
fn without_an_id_only_ok_is_left_out() {
    let server = TestServer::start();
    let mut client = server.client();
    client.send(json!({"op": "hello", "nick": "ada"}));
    client.expect("welcome");
    for silent in [
        json!({"op": "create", "room": "quiet"}),
        json!({"op": "join", "room": "lobby"}),
        json!({"op": "topic", "room": "lobby", "topic": "t"}),
        json!({"op": "nick", "nick": "eve"}),
        json!({"op": "leave", "room": "lobby"}),
        json!({"op": "send", "room": "lobby", "body": 1}),
        json!({"op": "pong"}),
    ] {
        client.send(silent);
    }
    client.expect_nothing();
    for (request, answer) in [
        (json!({"op": "ping"}), "pong"),
        (json!({"op": "who"}), "who"),
        (json!({"op": "rooms"}), "rooms"),
        (json!({"op": "history", "room": "lobby"}), "history"),
        (json!({"op": "leave", "room": "lobby"}), "error"),
        (json!({"op": "request", "room": "lobby", "body": 1}), "error"),
        (json!({"op": "quit"}), "bye"),
    ] {
        client.send(request);
        assert_eq!(client.expect(answer).get("id"), None);
    }
}

#[test]
fn only_so_many_unreadable_lines_in_a_row_end_a_connection() {
    let server = TestServer::start();
    let mut client = server.client();
    let mut lines = String::new();
    for round in 0..2 {
        for _ in 0..999 {
            lines.push_str("nonsense\n");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(lines, r#"{{"op":"ping","id":{round}}}"#);
    }
    lines.push_str(&"nonsense\n".repeat(1_001));
    client.bytes(lines.as_bytes());
    // Answers may come in any order.
    let mut errors = 0;
    let mut pongs = 0;
    while (errors, pongs) != (2 * 999 + 1_000, 2) {
        match client.recv().ev() {
            "error" => errors += 1,
            "pong" => pongs += 1,
            other => panic!("{other}"),
        }
    }
    let bye = client.expect_bye("too_many_errors");
    assert_eq!(bye.raw, r#"{"ev":"bye","reason":"too_many_errors"}"#);
}

#[test]
fn a_line_that_is_understood_and_refused_is_none_that_cannot_be_read() {
    let server = TestServer::with(|config| config.limits.max_errors = 2);
    let mut client = server.client();
    for line in [r#"{"op":"fly"}"#, r#"{"op":"send"}"#, r#"{"op":"fly"}"#, r#"{"op":"leave","room":"r"}"#, "x"] {
        client.line(line);
        client.expect("error");
    }
    client.line(&"x".repeat(70_000));
    client.expect_error("line_too_long");
    client.expect_bye("too_many_errors");
}
