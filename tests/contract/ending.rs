//! How connections end: `quit`, end of input, what stays, heartbeats, and each reason of `bye`.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Client, DEADLINE, Program, TestServer};

#[test]
fn quit_is_answered_with_bye_and_the_close() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.answers(r#"{"op":"quit","reason":"dinner","id":"q"}"#, r#"{"ev":"bye","id":"q","reason":"quit"}"#);
    ada.expect_end();
    let mut bob = server.hello("bob");
    bob.bytes(b"{\"op\":\"quit\"}\n{\"op\":\"ping\"}\n");
    let bye = bob.expect_bye("quit");
    assert_eq!(bye.raw, r#"{"ev":"bye","reason":"quit"}"#, "nothing comes after it, and nothing behind it counts");
}

#[test]
fn all_that_was_sent_before_the_end_of_input_is_carried_out_and_answered() {
    let server = TestServer::start();
    let mut reader = server.joined("reader", "lobby");
    let mut ada = server.client();
    ada.bytes(
        b"{\"op\":\"send\",\"room\":\"lobby\",\"body\":1,\"id\":1}\n{\"op\":\"nick\",\"nick\":\"ada\",\"id\":2}\n{\"op\":\"send\",\"room\":\"lobby\",\"body\":2,\"id\":3}",
    );
    ada.end_input();
    ada.expect_line(r#"{"ev":"ok","id":1,"room":"lobby","seq":1,"ts":_}"#);
    ada.expect_line(r#"{"ev":"ok","id":2}"#);
    ada.expect_line(r#"{"ev":"ok","id":3,"room":"lobby","seq":2,"ts":_}"#);
    assert_eq!(ada.expect_bye("quit").raw, r#"{"ev":"bye","reason":"quit"}"#);
    reader.expect_body(1);
    assert_eq!(reader.expect_body(2).text("from"), "ada");
}

#[test]
fn an_unfinished_last_line_that_is_wrong_gets_its_error() {
    let server = TestServer::start();
    let mut client = server.client();
    client.bytes(b"{\"op\":\"ping\",\"id\":4");
    client.end_input();
    client.expect_error("bad_json");
    client.expect_bye("quit");
}

#[test]
fn one_who_is_gone_without_reading_has_said_what_it_said() {
    let server = TestServer::start();
    let mut reader = server.joined("reader", "lobby");
    let lines: Vec<String> = (1..=50)
        .map(|body| format!("{{\"op\":\"send\",\"room\":\"lobby\",\"body\":{body},\"id\":{body}}}\n"))
        .collect();
    // In one write, since a socket that is closed with answers unread loses what it has not sent.
    server.client().bytes(lines.concat().as_bytes());
    for body in 1..=50 {
        reader.expect_body(body);
    }
}

#[test]
fn the_end_waits_for_open_requests() {
    let server = TestServer::start();
    for is_quit in [true, false] {
        let mut worker = server.hello("worker");
        worker.done(json!({"op": "join", "room": "svc", "as": "worker"}));
        let mut asker = server.client();
        asker.line(r#"{"op":"request","room":"svc","body":1,"id":"r"}"#);
        if is_quit {
            asker.line(r#"{"op":"quit"}"#);
        } else {
            asker.end_input();
        }
        let request = worker.expect("request");
        worker.done(json!({"op": "reply", "req": request["req"], "body": 2}));
        asker.expect_line(r#"{"ev":"reply","id":"r","from":"worker","ts":_,"body":2}"#);
        asker.expect_bye("quit");
        worker.done(json!({"op": "quit"}));
        worker.expect_end();
    }
}

#[test]
fn the_end_waits_for_the_replay_of_a_join() {
    const MESSAGES: u64 = 200;
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    let body = "x".repeat(30_000);
    for _ in 0..MESSAGES {
        writer.send(json!({"op": "send", "room": "lobby", "body": body}));
    }
    writer.expect_nothing();
    let mut reader = server.client();
    reader.line(r#"{"op":"join","room":"lobby","last":150}"#);
    reader.end_input();
    for seq in MESSAGES - 149..=MESSAGES {
        assert_eq!(reader.expect("message").number("seq"), seq);
    }
    reader.expect_bye("quit");
}

#[test]
fn a_client_with_stay_goes_on_receiving_when_its_input_has_ended_and_gets_no_work() {
    let server = TestServer::start();
    let mut stayer = server.client();
    stayer.send(json!({"op": "join", "room": "deploys", "stay": true}));
    stayer.send(json!({"op": "join", "room": "svc", "as": "worker"}));
    stayer.end_input();
    let mut ada = server.hello("ada");
    // The input's end is news that travels on its own: it has arrived once requests find nobody.
    let begun = Instant::now();
    while ada.ask(json!({"op": "request", "room": "svc", "body": 1, "timeout_ms": 1}))["code"] != "no_responders" {
        assert!(begun.elapsed() < DEADLINE, "it is still given work");
    }
    ada.publish("deploys", "v2");
    loop {
        let event = stayer.recv();
        if event.ev() == "message" {
            assert_eq!(event["body"], "v2");
            break;
        }
        assert_eq!(event.ev(), "request", "what it was given before its input ended");
    }
    ada.publish("deploys", "v3");
    stayer.expect_body("v3");
    let who = ada.done(json!({"op": "who", "room": "deploys"}));
    assert_eq!(who["members"].as_array().map(Vec::len), Some(1));
}

#[test]
fn stay_does_not_hold_back_a_quit() {
    let server = TestServer::start();
    let mut ada = server.client();
    ada.done(json!({"op": "join", "room": "lobby", "stay": true}));
    ada.done(json!({"op": "quit"}));
    ada.expect_end();
}

#[test]
fn a_heartbeat_asks_and_ends_with_idle_those_that_say_nothing() {
    let server = TestServer::start();
    let mut watcher = server.client();
    watcher.done(json!({"op": "hello", "nick": "owl", "presence": true}));
    watcher.join("lobby");
    let mut ada = server.client();
    ada.done(json!({"op": "hello", "nick": "ada", "heartbeat_s": 1}));
    ada.join("lobby");
    watcher.expect("joined");
    assert_eq!(ada.expect("ping").raw, r#"{"ev":"ping"}"#);
    ada.send(json!({"op": "pong"}));
    let answered = Instant::now();
    ada.expect("ping");
    let bye = ada.expect_bye("idle");
    assert_eq!(bye.raw, r#"{"ev":"bye","reason":"idle"}"#);
    let waited = answered.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "twice the heartbeat, not {waited:?}");
    watcher.expect_line(r#"{"ev":"left","room":"lobby","nick":"ada","reason":"idle"}"#);
}

#[test]
fn an_unfinished_line_ends_a_connection_after_line_timeout() {
    let server = TestServer::with(|config| config.limits.line_timeout = Duration::from_millis(100));
    let mut client = server.client();
    client.bytes(b"{\"op\":\"ping\",\"id\":1}\n{\"op\":");
    client.expect_line(r#"{"ev":"pong","id":1}"#);
    assert_eq!(client.expect_bye("line_timeout").raw, r#"{"ev":"bye","reason":"line_timeout"}"#);
}

#[test]
fn a_shutdown_is_told_with_when_to_come_back_and_open_requests_are_answered() {
    let mut server = TestServer::start();
    let mut worker = server.hello("worker");
    worker.done(json!({"op": "join", "room": "svc", "as": "worker"}));
    let mut ada = server.hello("ada");
    ada.line(r#"{"op":"request","room":"svc","body":1,"id":"r"}"#);
    worker.expect("request");
    let mut idle = server.client();
    idle.expect_nothing();
    server.shut_down();
    ada.expect_line(r#"{"ev":"error","id":"r","code":"shutting_down","message":_,"op":"request"}"#);
    for client in [&mut ada, &mut worker, &mut idle] {
        let bye = client.expect_bye("shutdown");
        assert!(bye.number("reconnect_ms") > 0, "{}", bye.raw);
    }
    drop((ada, worker, idle));
    server.wait();
}

#[test]
fn sigterm_and_sigint_say_bye_and_exit_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let program = Program::serve();
        let mut client = program.client();
        client.hello("ada");
        program.signal(signal);
        client.expect_bye("shutdown");
        drop(client);
        let (status, stderr) = program.wait();
        assert!(status.success(), "{status}: {stderr}");
    }
}

#[test]
fn sighup_reads_the_configuration_again_without_losing_anyone() {
    let file = |rooms: u32| {
        format!("[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"json\"\n[limits]\nmax_rooms = {rooms}\n")
    };
    let program = Program::with_config(&file(1), 1);
    let mut client = program.client();
    client.join("one");
    client.refused(json!({"op": "join", "room": "two"}), "too_many_rooms");
    program.rewrite_config(&file(2));
    program.signal(Signal::HUP);
    let begun = Instant::now();
    while client.ask(json!({"op": "join", "room": "two"})).ev() != "ok" {
        assert!(begun.elapsed() < DEADLINE, "the new limit counts");
    }
}

/// A member of `lobby` that reads nothing while the room is flooded, once it is seen to have left.
fn stalled(server: &TestServer) -> Client {
    let mut watcher = server.client();
    watcher.done(json!({"op": "hello", "nick": "owl", "presence": true, "echo": false}));
    watcher.join("lobby");
    let stuck = server.joined("stuck", "lobby");
    watcher.expect("joined");
    let body = "x".repeat(60_000);
    let begun = Instant::now();
    let left = loop {
        assert!(begun.elapsed() < DEADLINE, "it still holds its place");
        watcher.send(json!({"op": "send", "room": "lobby", "body": body}));
        let id = watcher.send_with_id(json!({"op": "ping"}));
        let event = watcher.recv();
        if event["id"] != id {
            break event;
        }
    };
    assert_eq!(left.raw, r#"{"ev":"left","room":"lobby","nick":"stuck","reason":"slow_consumer"}"#);
    stuck
}

#[test]
fn one_whose_socket_takes_nothing_is_closed_and_seen_to_leave() {
    let server = TestServer::with(|config| config.limits.write_timeout = Duration::from_millis(200));
    drop(stalled(&server));
}

#[test]
fn one_that_was_closed_for_taking_nothing_and_then_reads_on_is_told_why() {
    let server = TestServer::with(|config| config.limits.write_timeout = Duration::from_secs(3));
    let mut stuck = stalled(&server);
    // As much time again is what it has to read on.
    let seen = stuck.rest();
    let (bye, before) = seen.split_last().expect("something is said");
    assert_eq!(bye.raw, r#"{"ev":"bye","reason":"slow_consumer"}"#);
    assert!(
        !before.is_empty() && before.iter().all(|event| event.ev() == "message"),
        "and every line before it is whole"
    );
}

#[test]
fn on_an_auto_port_a_json_client_is_recognised_by_its_first_byte_behind_white_space() {
    let server = TestServer::start();
    for first in ["", "\n", " \r\n\t", "\u{feff}\n"] {
        let mut client = Client::connect(server.auto());
        client.bytes(format!("{first}{{\"op\":\"ping\",\"id\":1}}\n").as_bytes());
        client.expect_line(r#"{"ev":"pong","id":1}"#);
    }
}
