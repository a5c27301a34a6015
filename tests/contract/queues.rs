//! Queue rooms: each message to one worker, until it is acked; and `latest` rooms, where the newest value counts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, Event, TestServer};

/// A connection that publishes to a queue room it has created.
fn owner(server: &TestServer, settings: &Value) -> Client {
    let mut owner = server.hello("owner");
    let mut create = json!({"op": "create", "room": "jobs", "kind": "queue"});
    for (key, value) in settings.as_object().expect("settings are an object") {
        create[key] = value.clone();
    }
    owner.done(create);
    owner
}

fn worker(server: &TestServer, nick: &str, prefetch: u32) -> Client {
    let mut worker = server.hello(nick);
    worker.done(json!({"op": "join", "room": "jobs", "as": "worker", "prefetch": prefetch}));
    worker
}

fn work(client: &mut Client, body: u64, attempt: u64) -> Event {
    let message = client.expect_body(body);
    assert_eq!(message["attempt"], attempt, "{}", message.raw);
    message
}

#[test]
fn each_message_goes_to_one_worker_by_free_credit_and_waits_where_there_is_none() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    for body in 1..=4 {
        owner.publish("jobs", body);
    }
    let mut first = worker(&server, "first", 2);
    first.expect_line(r#"{"ev":"message","room":"jobs","seq":1,"from":"owner","ts":_,"body":1,"attempt":1}"#);
    work(&mut first, 2, 1);
    first.expect_nothing();
    let mut second = worker(&server, "second", 1);
    work(&mut second, 3, 1);
    second.expect_nothing();
    second.line(r#"{"op":"ack","room":"jobs","seq":3,"id":9}"#);
    // The next work need not wait until the ack is on disk.
    work(&mut second, 4, 1);
    second.expect_line(r#"{"ev":"ok","id":9,"room":"jobs"}"#);
    first.expect_nothing();
    first.done(json!({"op": "ack", "room": "jobs", "seq": [1, 2]}));
    second.done(json!({"op": "ack", "room": "jobs", "seq": [4]}));
    let history = owner.done(json!({"op": "history", "room": "jobs"}));
    assert_eq!(history["messages"], json!([]), "what is done is gone");
}

#[test]
fn members_and_observers_of_a_queue_get_one_copy_that_is_no_delivery() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    let mut member = server.joined("member", "jobs");
    let mut observer = server.hello("observer");
    observer.done(json!({"op": "join", "room": "jobs", "as": "observer"}));
    let mut worker = worker(&server, "worker", 8);
    owner.publish("jobs", 1);
    for reader in [&mut member, &mut observer] {
        reader.expect_line(r#"{"ev":"message","room":"jobs","seq":1,"from":"owner","ts":_,"body":1}"#);
        reader.refused(json!({"op": "ack", "room": "jobs", "seq": 1}), "bad_request");
    }
    work(&mut worker, 1, 1);
    worker.done(json!({"op": "nack", "room": "jobs", "seq": 1}));
    work(&mut worker, 1, 2);
    member.expect_nothing();
}

#[test]
fn of_an_array_what_is_held_is_acked_and_an_error_names_the_rest() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    let mut worker = worker(&server, "worker", 8);
    for body in 1..=3 {
        owner.publish("jobs", body);
        work(&mut worker, body, 1);
    }
    let error = worker.answers(
        r#"{"op":"ack","room":"jobs","seq":[1,7,2,9],"id":"a"}"#,
        r#"{"ev":"error","id":"a","code":"bad_request","message":_,"op":"ack","room":"jobs"}"#,
    );
    assert!(error.text("message").contains('7') && error.text("message").contains('9'), "{}", error.raw);
    worker.refused(json!({"op": "ack", "room": "jobs", "seq": 1}), "bad_request");
    worker.done(json!({"op": "ack", "room": "jobs", "seq": [3]}));
    worker.done(json!({"op": "ack", "room": "jobs", "seq": []}));
}

#[test]
fn what_is_nacked_goes_to_another_worker_with_its_attempt_raised() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    let mut first = worker(&server, "first", 1);
    owner.publish("jobs", 1);
    work(&mut first, 1, 1);
    let mut second = worker(&server, "second", 1);
    first.answers(r#"{"op":"nack","room":"jobs","seq":1,"id":9}"#, r#"{"ev":"ok","id":9,"room":"jobs"}"#);
    work(&mut second, 1, 2);
    first.expect_nothing();
    second.done(json!({"op": "nack", "room": "jobs", "seq": 1}));
    work(&mut first, 1, 3);
}

#[test]
fn what_waits_for_its_delay_takes_no_credit_and_comes_back() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    let mut worker = worker(&server, "worker", 1);
    owner.publish("jobs", 1);
    owner.publish("jobs", 2);
    work(&mut worker, 1, 1);
    worker.done(json!({"op": "nack", "room": "jobs", "seq": 1, "delay_ms": 100}));
    work(&mut worker, 2, 1);
    worker.done(json!({"op": "ack", "room": "jobs", "seq": 2}));
    work(&mut worker, 1, 2);
}

#[test]
fn what_is_not_acked_in_time_is_delivered_again_and_working_starts_the_wait_again() {
    const WAIT: Duration = Duration::from_secs(1);
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({"ack_wait": "1s"}));
    let mut first = worker(&server, "first", 1);
    owner.publish("jobs", 1);
    work(&mut first, 1, 1);
    let mut second = worker(&server, "second", 1);
    let given = Instant::now();
    while given.elapsed() < WAIT / 4 {
        first.expect_nothing();
    }
    let said = Instant::now();
    first.answers(r#"{"op":"working","room":"jobs","seq":1,"id":"w"}"#, r#"{"ev":"ok","id":"w","room":"jobs"}"#);
    work(&mut second, 1, 2);
    assert!(said.elapsed() >= WAIT, "the wait began again {:?} ago", said.elapsed());
    first.refused(json!({"op": "working", "room": "jobs", "seq": 1}), "bad_request");
    first.refused(json!({"op": "ack", "room": "jobs", "seq": 1}), "bad_request");
    second.done(json!({"op": "ack", "room": "jobs", "seq": 1}));
}

#[test]
fn a_worker_may_have_a_wait_of_its_own() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({"ack_wait": "1h"}));
    let mut worker = server.hello("worker");
    worker.done(json!({"op": "join", "room": "jobs", "as": "worker", "ack_wait_s": 1}));
    owner.publish("jobs", 1);
    work(&mut worker, 1, 1);
    work(&mut worker, 1, 2);
}

#[test]
fn after_max_deliver_a_message_goes_to_the_dead_letter_room_as_it_was_sent() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({"max_deliver": 2}));
    let mut mourner = server.joined("mourner", "jobs.dead");
    let mut worker = worker(&server, "worker", 1);
    owner.done(json!({"op": "send", "room": "jobs", "headers": {"n": "1"}, "body": 1}));
    work(&mut worker, 1, 1);
    worker.done(json!({"op": "nack", "room": "jobs", "seq": 1}));
    work(&mut worker, 1, 2);
    worker.done(json!({"op": "nack", "room": "jobs", "seq": 1}));
    mourner.expect_line(
        r#"{"ev":"message","room":"jobs.dead","seq":1,"from":"owner","ts":_,"headers":{"n":"1"},"body":1}"#,
    );
    worker.expect_nothing();
    worker.refused(json!({"op": "ack", "room": "jobs", "seq": 1}), "bad_request");
    owner.refused(json!({"op": "send", "room": "jobs.dead", "body": 1}), "forbidden");
    let rooms = owner.done(json!({"op": "rooms", "pattern": "jobs.*"}));
    assert_eq!(rooms["rooms"][0]["kind"], "fanout");
}

#[test]
fn what_a_leaving_worker_held_goes_back_at_once_and_that_delivery_does_not_count() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({"max_deliver": 1}));
    for ending in ["leave", "quit", "drop", "observer"] {
        let mut first = worker(&server, "first", 1);
        owner.publish("jobs", 1);
        let held = work(&mut first, 1, 1).number("seq");
        let mut second = worker(&server, "second", 1);
        match ending {
            "leave" => drop(first.done(json!({"op": "leave", "room": "jobs"}))),
            "quit" => drop(first.done(json!({"op": "quit"}))),
            "observer" => drop(first.done(json!({"op": "join", "room": "jobs", "as": "observer"}))),
            _ => first.end_input(),
        }
        assert_eq!(work(&mut second, 1, 1).number("seq"), held, "{ending}");
        second.done(json!({"op": "ack", "room": "jobs", "seq": held}));
        if ending != "quit" && ending != "drop" {
            first.done(json!({"op": "quit"}));
        }
        first.rest();
        second.done(json!({"op": "quit"}));
        second.rest();
    }
}

#[test]
fn a_full_backlog_is_room_full_and_takes_again_when_work_is_done() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({"keep_messages": 2}));
    owner.publish("jobs", 1);
    owner.publish("jobs", 2);
    owner.answers(
        r#"{"op":"send","room":"jobs","body":3,"id":"x"}"#,
        r#"{"ev":"error","id":"x","code":"room_full","message":_,"op":"send","room":"jobs"}"#,
    );
    let mut worker = worker(&server, "worker", 8);
    work(&mut worker, 1, 1);
    work(&mut worker, 2, 1);
    owner.refused(json!({"op": "send", "room": "jobs", "body": 3}), "room_full");
    worker.done(json!({"op": "ack", "room": "jobs", "seq": 1}));
    assert_eq!(owner.publish("jobs", 3), 3, "what was refused took no number");
    owner.done(json!({"op": "create", "room": "small", "kind": "queue", "keep_bytes": 600}));
    owner.publish("small", "x");
    owner.refused(json!({"op": "send", "room": "small", "body": "x".repeat(600)}), "room_full");
}

#[test]
fn a_queue_is_joined_without_a_replay() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    for start in [json!({"after": 0}), json!({"last": 1}), json!({"since": 0})] {
        let mut request = start;
        request["op"] = json!("join");
        request["room"] = json!("jobs");
        owner.refused(request, "bad_request");
    }
}

#[test]
fn work_is_acked_only_where_there_is_some() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    owner.join("lobby");
    for op in ["ack", "nack", "working"] {
        owner.refused(json!({"op": op, "room": "nowhere", "seq": 1}), "no_such_room");
        owner.refused(json!({"op": op, "room": "jobs", "seq": 1}), "not_joined");
        owner.refused(json!({"op": op, "room": "lobby", "seq": 1}), "bad_request");
        owner.refused(json!({"op": op, "room": "jobs"}), "bad_request");
        owner.refused(json!({"op": op, "room": "jobs", "seq": "1"}), "bad_request");
        owner.refused(json!({"op": op, "room": "jobs", "seq": [1, 0]}), "bad_request");
    }
    owner.refused(json!({"op": "nack", "room": "jobs", "seq": 1, "delay_ms": -1}), "bad_request");
}

#[test]
fn a_keyed_repeat_makes_no_second_job() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    let send = json!({"op": "send", "room": "jobs", "body": 1, "idempotency_key": "k"});
    owner.done(send.clone());
    assert_eq!(owner.done(send)["dup"], true);
    let mut worker = worker(&server, "worker", 8);
    work(&mut worker, 1, 1);
    worker.expect_nothing();
}

#[test]
fn work_that_waits_can_be_redacted_and_listed() {
    let server = TestServer::start();
    let mut owner = owner(&server, &json!({}));
    owner.publish("jobs", "secret");
    owner.publish("jobs", 2);
    owner.done(json!({"op": "redact", "room": "jobs", "seq": 1}));
    let history = owner.done(json!({"op": "history", "room": "jobs"}));
    assert_eq!(history["messages"][0]["redacted"], true);
    assert_eq!(history["messages"][1]["body"], 2);
    let mut worker = worker(&server, "worker", 8);
    worker.expect_line(
        r#"{"ev":"message","room":"jobs","seq":1,"from":"owner","ts":_,"body":null,"attempt":1,"redacted":true}"#,
    );
}

#[test]
fn a_latest_room_gives_its_newest_value_at_once_and_then_each_newer_one() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "state", "kind": "latest"}));
    let mut early = server.joined("early", "state");
    early.expect_nothing();
    for body in 1..=3 {
        writer.publish("state", body);
    }
    for body in 1..=3 {
        early.expect_body(body);
    }
    let mut late = server.hello("late");
    let ok = late.join("state");
    assert_eq!(ok.number("seq"), 3);
    late.expect_line(r#"{"ev":"message","room":"state","seq":3,"from":"writer","ts":_,"body":3,"replay":true}"#);
    writer.publish("state", 4);
    late.expect_line(r#"{"ev":"message","room":"state","seq":4,"from":"writer","ts":_,"body":4}"#);
    let history = writer.done(json!({"op": "history", "room": "state"}));
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(history["messages"][0]["body"], 4);
}

#[test]
fn a_latest_room_replays_at_most_its_newest_value() {
    let server = TestServer::start();
    let mut writer = server.hello("writer");
    writer.done(json!({"op": "create", "room": "state", "kind": "latest"}));
    for body in 1..=3 {
        writer.publish("state", body);
    }
    for start in [json!({"last": 10}), json!({"since": 0}), json!({"after": 2})] {
        let mut reader = server.client();
        let mut request = start;
        request["op"] = json!("join");
        request["room"] = json!("state");
        reader.done(request);
        reader.expect_body(3);
        reader.expect_nothing();
    }
}

#[test]
fn workers_that_came_before_the_room_became_a_queue_take_its_work() {
    let server = TestServer::start();
    let mut early = worker(&server, "early", 8);
    let mut mourner = server.joined("mourner", "jobs.dead");
    let mut owner = owner(&server, &json!({"max_deliver": 1}));
    owner.publish("jobs", 1);
    work(&mut early, 1, 1);
    early.done(json!({"op": "nack", "room": "jobs", "seq": 1}));
    mourner.expect_body(1);
    owner.refused(json!({"op": "send", "room": "jobs.dead", "body": 1}), "forbidden");
}
