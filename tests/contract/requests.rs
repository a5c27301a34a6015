//! Request and reply: a question goes to one worker, and its asker hears exactly once what came of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, Event, TestServer};

fn worker(server: &TestServer, nick: &str) -> Client {
    let mut worker = server.hello(nick);
    worker.done(json!({"op": "join", "room": "svc", "as": "worker"}));
    worker
}

/// Asks, and leaves the answer for later; its id.
fn ask(client: &mut Client, body: impl Into<Value>) -> u64 {
    client.send_with_id(json!({"op": "request", "room": "svc", "body": body.into()}))
}

fn reply(worker: &mut Client, request: &Event, body: impl Into<Value>) {
    worker.done(json!({"op": "reply", "req": request["req"], "body": body.into()}));
}

#[test]
fn a_request_reaches_a_worker_and_its_reply_the_asker_with_headers_and_bodies_as_sent() {
    let server = TestServer::start();
    let mut worker = worker(&server, "calc");
    let mut asker = server.hello("ada");
    asker.line(r#"{"op":"request","room":"svc","headers":{"h": "1"},"body":[1, 2],"id":"q"}"#);
    let request = worker.recv();
    let req = request.text("req").to_owned();
    assert_eq!(
        request.masked(),
        format!(
            r#"{{"ev":"request","room":"svc","req":"{req}","from":"ada","ts":_,"headers":{{"h": "1"}},"body":[1, 2]}}"#
        )
    );
    worker.answers(
        &format!(r#"{{"op":"reply","req":"{req}","headers":{{"r": "2"}},"body":{{ "sum":3 }},"id":5}}"#),
        r#"{"ev":"ok","id":5}"#,
    );
    asker.expect_line(r#"{"ev":"reply","id":"q","from":"calc","ts":_,"headers":{"r": "2"},"body":{ "sum":3 }}"#);
    let history = asker.done(json!({"op": "history", "room": "svc"}));
    assert_eq!((history.number("seq"), &history["messages"]), (0, &json!([])), "requests are not in history");
}

#[test]
fn a_reply_may_be_an_error_in_words() {
    let server = TestServer::start();
    let mut worker = worker(&server, "calc");
    let mut asker = server.hello("ada");
    ask(&mut asker, 1);
    let request = worker.expect("request");
    worker.done(json!({"op": "reply", "req": request["req"], "error": "no such sum"}));
    asker.expect_line(r#"{"ev":"reply","id":2,"from":"calc","ts":_,"error":"no such sum"}"#);
}

#[test]
fn an_asker_without_an_id_gets_its_reply_without_one() {
    let server = TestServer::start();
    let mut worker = worker(&server, "calc");
    let mut asker = server.hello("ada");
    asker.send(json!({"op": "request", "room": "svc", "body": 1}));
    let request = worker.expect("request");
    reply(&mut worker, &request, 2);
    asker.expect_line(r#"{"ev":"reply","from":"calc","ts":_,"body":2}"#);
}

#[test]
fn where_nobody_takes_requests_the_asker_is_told_at_once() {
    let server = TestServer::start();
    let mut asker = server.hello("ada");
    let begun = Instant::now();
    asker.answers(
        r#"{"op":"request","room":"svc","body":1,"timeout_ms":600000,"id":1}"#,
        r#"{"ev":"error","id":1,"code":"no_responders","message":_,"op":"request","room":"svc"}"#,
    );
    let _member = server.joined("member", "svc");
    asker.refused(json!({"op": "request", "room": "svc", "body": 1}), "no_responders");
    // Never the asker itself.
    asker.done(json!({"op": "join", "room": "svc", "as": "worker"}));
    asker.refused(json!({"op": "request", "room": "svc", "body": 1}), "no_responders");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn requests_go_to_the_workers_by_turns() {
    let server = TestServer::start();
    let mut workers = [worker(&server, "one"), worker(&server, "two"), worker(&server, "three")];
    let mut asker = worker(&server, "asker");
    for _ in 0..3 {
        for _ in 0..3 {
            ask(&mut asker, 1);
        }
        asker.expect_nothing();
        for worker in &mut workers {
            let request = worker.expect("request");
            worker.expect_nothing();
            reply(worker, &request, 1);
            asker.expect("reply");
        }
    }
}

#[test]
fn a_request_nobody_answers_times_out_and_the_late_reply_is_an_error() {
    let server = TestServer::start();
    let mut worker = worker(&server, "calc");
    let mut asker = server.hello("ada");
    asker.answers(
        r#"{"op":"request","room":"svc","body":1,"timeout_ms":50,"id":"t"}"#,
        r#"{"ev":"error","id":"t","code":"timeout","message":_,"op":"request"}"#,
    );
    let request = worker.expect("request");
    let error = worker.refused(json!({"op": "reply", "req": request["req"], "body": 1}), "bad_request");
    assert_eq!(error["op"], "reply");
    asker.expect_nothing();
}

#[test]
fn a_second_reply_and_a_strangers_are_errors_to_the_replier_alone() {
    let server = TestServer::start();
    let mut worker_one = worker(&server, "one");
    let mut stranger = server.hello("stranger");
    let mut asker = server.hello("ada");
    ask(&mut asker, 1);
    let request = worker_one.expect("request");
    stranger.refused(json!({"op": "reply", "req": request["req"], "body": "mine"}), "bad_request");
    asker.refused(json!({"op": "reply", "req": request["req"], "body": "mine"}), "bad_request");
    asker.expect_nothing();
    reply(&mut worker_one, &request, "right");
    assert_eq!(asker.expect("reply")["body"], "right");
    worker_one.refused(json!({"op": "reply", "req": request["req"], "body": "again"}), "bad_request");
    asker.expect_nothing();
    for req in [json!("nonsense"), json!(""), json!("0"), json!("999"), json!(1), Value::Null] {
        worker_one.refused(json!({"op": "reply", "req": req, "body": 1}), "bad_request");
    }
    worker_one.refused(json!({"op": "reply", "req": "1"}), "bad_request");
    worker_one.refused(json!({"op": "reply", "req": "1", "body": 1, "error": "both"}), "bad_request");
    worker_one.refused(json!({"op": "reply", "req": "1", "error": 5}), "bad_request");
}

#[test]
fn when_the_worker_goes_the_asker_hears_it_at_once() {
    let server = TestServer::start();
    let mut asker = server.hello("ada");
    for ending in ["leave", "quit", "end of input", "no worker any more"] {
        let mut worker = worker(&server, "calc");
        let id = ask(&mut asker, 1);
        worker.expect("request");
        match ending {
            "leave" => drop(worker.done(json!({"op": "leave", "room": "svc"}))),
            "quit" => drop(worker.done(json!({"op": "quit"}))),
            "end of input" => worker.end_input(),
            _ => drop(worker.done(json!({"op": "join", "room": "svc", "as": "member"}))),
        }
        let error = asker.expect_error("no_responders");
        assert_eq!(error["id"], id, "{ending}");
        if ending == "leave" || ending == "no worker any more" {
            worker.done(json!({"op": "quit"}));
        }
        worker.rest();
    }
}

#[test]
fn a_request_to_a_nick_goes_to_it_where_it_is_a_worker_somewhere() {
    let server = TestServer::start();
    let mut calc = server.hello("Calc");
    let mut asker = server.hello("ada");
    let to = |nick: &str| json!({"op": "request", "to": nick, "body": 1});
    asker.refused(to("calc"), "no_responders");
    asker.refused(to("nobody"), "no_such_nick");
    asker.refused(to("ada"), "no_responders");
    calc.done(json!({"op": "join", "room": "svc", "as": "worker"}));
    asker.send_with_id(to("CALC"));
    let request = calc.recv();
    let req = request.text("req").to_owned();
    assert_eq!(
        request.masked(),
        format!(r#"{{"ev":"request","to":"Calc","req":"{req}","from":"ada","ts":_,"body":1}}"#)
    );
    reply(&mut calc, &request, 2);
    assert_eq!(asker.expect("reply")["body"], 2);
}

#[test]
fn a_request_says_what_is_wrong_with_each_of_its_fields() {
    let server = TestServer::start();
    let mut asker = server.hello("ada");
    for wrong in [
        json!({"room": "svc"}),
        json!({"body": 1}),
        json!({"room": "svc", "body": 1, "timeout_ms": 0}),
        json!({"room": "svc", "body": 1, "timeout_ms": 600_001}),
        json!({"room": "svc", "body": 1, "timeout_ms": "5s"}),
        json!({"room": "svc", "body": 1, "headers": 1}),
    ] {
        let mut request = wrong;
        request["op"] = json!("request");
        asker.refused(request, "bad_request");
    }
}

#[test]
fn a_worker_of_a_queue_room_is_asked_too() {
    let server = TestServer::start();
    let mut asker = server.hello("ada");
    asker.done(json!({"op": "create", "room": "svc", "kind": "queue"}));
    let mut worker = worker(&server, "calc");
    ask(&mut asker, "how much?");
    let request = worker.expect("request");
    reply(&mut worker, &request, "much");
    asker.expect("reply");
}

#[test]
fn what_was_said_before_a_question_is_heard_before_it() {
    let server = TestServer::start();
    let mut worker = worker(&server, "calc");
    let mut asker = server.hello("ada");
    asker.bytes(b"{\"op\":\"send\",\"room\":\"svc\",\"body\":1}\n{\"op\":\"request\",\"room\":\"svc\",\"body\":2}\n{\"op\":\"send\",\"room\":\"svc\",\"body\":3}\n");
    worker.expect_body(1);
    worker.expect("request");
    worker.expect_body(3);
}
