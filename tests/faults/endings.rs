//! The ways in which an input ends, and what is still carried out and answered when it has.

use std::io::Write;
use std::net::Shutdown;

use serde_json::{Value, json};

use super::client::Client;
use super::hub::Hub;

/// An observer of one room, to see what comes of those who are gone.
fn observer(hub: &Hub) -> Client {
    let mut client = hub.client();
    let ok = client.ask(json!({"op": "join", "room": "ops", "as": "observer"}));
    assert_eq!(ok["ev"], "ok", "{ok}");
    client
}

fn sends(count: usize) -> String {
    let lines = (1..=count).map(|id| json!({"op": "send", "room": "ops", "body": id, "id": id}).to_string() + "\n");
    lines.collect()
}

fn expect_in_order(observer: &mut Client, count: usize) {
    for expected in 1..=count {
        assert_eq!(observer.event("message")["body"], expected);
    }
}

fn names(events: &[Value]) -> Vec<(&str, Value)> {
    events.iter().map(|event| (event["ev"].as_str().unwrap_or_default(), event["id"].clone())).collect()
}

#[test]
fn a_half_close_is_a_quit_after_which_everything_is_answered() {
    let hub = Hub::start("");
    let mut client = hub.client();
    client.raw(sends(2_000));
    client.half_close();
    let events = client.rest();
    let (bye, answers) = events.split_last().expect("there is a goodbye");
    assert_eq!(bye, &json!({"ev": "bye", "reason": "quit"}));
    assert!(answers.iter().map(|event| &event["id"]).eq(&(1..=2_000).map(|id| json!(id)).collect::<Vec<_>>()));
}

#[test]
fn quit_is_answered_with_its_id_and_nothing_comes_after_bye() {
    let hub = Hub::start("");
    let mut client = hub.client();
    client.join("ops");
    client.raw(format!("{}{}\n{}", sends(1), json!({"op": "quit", "id": "q"}), sends(3)));
    let events = client.rest();
    assert_eq!(names(&events), [("ok", json!(1)), ("message", Value::Null), ("bye", json!("q"))]);
}

#[test]
fn an_unfinished_last_line_counts_as_a_line() {
    let hub = Hub::start("");
    let mut client = hub.client();
    client.raw(sends(1).trim_end());
    client.half_close();
    assert_eq!(names(&client.rest()), [("ok", json!(1)), ("bye", Value::Null)]);
}

#[test]
fn a_replay_is_shown_to_the_end_though_the_input_has_ended() {
    let hub = Hub::start("");
    let mut publisher = hub.client();
    publisher.raw(sends(3_000));
    publisher.pong();
    let mut client = hub.client();
    client.say(&json!({"op": "join", "room": "ops", "after": 0}));
    client.half_close();
    let events = client.rest();
    let (bye, replay) = events.split_last().expect("there is a goodbye");
    assert_eq!(bye["reason"], "quit");
    assert_eq!(replay.len(), 3_000);
    assert!(replay.iter().zip(1..).all(|(event, seq)| event["seq"] == seq && event["replay"] == true));
}

#[test]
fn an_open_request_is_answered_before_the_goodbye() {
    let hub = Hub::start("");
    let mut worker = hub.client();
    worker.say(&json!({"op": "join", "room": "rpc", "as": "worker"}));
    worker.pong();
    let mut client = hub.client();
    client.say(&json!({"op": "request", "room": "rpc", "body": "2+2", "id": "r"}));
    client.half_close();
    let request = worker.event("request");
    worker.say(&json!({"op": "reply", "req": request["req"], "body": 4}));
    assert_eq!(names(&client.rest()), [("reply", json!("r")), ("bye", Value::Null)]);
}

#[test]
fn what_was_sent_before_a_full_close_is_carried_out() {
    let hub = Hub::start("");
    let mut observer = observer(&hub);
    let mut client = hub.client();
    client.raw(sends(500));
    drop(client);
    expect_in_order(&mut observer, 500);
}

#[test]
fn what_was_sent_by_one_that_never_reads_its_answers_is_carried_out() {
    let hub = Hub::start("");
    let mut observer = observer(&hub);
    let mut client = hub.client();
    client.raw(sends(500));
    // Reads nothing from here on: the kernel answers with a reset whatever is written to it.
    client.stream.shutdown(Shutdown::Both).expect("the connection lives");
    expect_in_order(&mut observer, 500);
    let mut client = hub.client();
    client.raw(sends(500));
    client.pong();
    client.reset();
    expect_in_order(&mut observer, 500);
}

#[test]
fn what_was_sent_before_a_close_is_carried_out_though_it_is_more_than_the_sockets_hold() {
    const COUNT: usize = 2_000;
    let hub = Hub::start("");
    let mut observer = observer(&hub);
    let filler = "x".repeat(8 << 10);
    let line = |at| format!("{}\n", json!({"op": "send", "room": "ops", "headers": {"at": at}, "body": &filler}));
    let all: String = (1..=COUNT).map(|at| line(at.to_string())).collect();
    let reading = std::thread::spawn(move || {
        for expected in 1..=COUNT {
            assert_eq!(observer.event("message")["headers"]["at"], expected.to_string());
        }
    });
    let mut client = hub.client();
    client.raw(all);
    drop(client);
    reading.join().expect("everything arrived");
}

#[test]
fn one_that_stays_goes_on_receiving_after_its_input_has_ended() {
    let hub = Hub::start("");
    let mut client = hub.named("tail");
    client.say(&json!({"op": "join", "room": "ops", "stay": true}));
    client.half_close();
    let mut publisher = hub.client();
    hub.until("it has joined", |client| {
        client.ask(json!({"op": "who", "room": "ops"}))["members"].as_array().is_some_and(|members| members.len() == 1)
    });
    for body in ["one", "two"] {
        publisher.send("ops", body);
        assert_eq!(client.event("message")["body"], body);
    }
    drop(client);
    // Its end is found by the write that its kernel refuses.
    hub.until("it has left", |client| {
        client.send("ops", "anyone?");
        client.ask(json!({"op": "rooms"}))["rooms"][0]["members"] == 0
    });
}

#[test]
fn one_that_stays_is_told_when_the_server_goes() {
    let mut hub = Hub::start("");
    let mut client = hub.client();
    client.say(&json!({"op": "join", "room": "ops", "stay": true, "id": 1}));
    client.half_close();
    assert_eq!(client.event("ok")["id"], 1);
    hub.signal(rustix::process::Signal::TERM);
    assert_eq!(client.event("bye")["reason"], "shutdown");
    assert_eq!(client.next(), None);
    assert!(hub.ended().success());
}

#[test]
fn one_that_was_told_goodbye_and_never_hangs_up_is_hung_up_on() {
    let hub = Hub::start("");
    hub.client().pong();
    let before = hub.sockets();
    let mut silent = hub.client();
    silent.say(&json!({"op": "quit"}));
    assert_eq!(silent.rest(), [json!({"ev": "bye", "reason": "quit"})]);
    let mut noisy = hub.client();
    noisy.say(&json!({"op": "quit"}));
    // It talks on and on, until its kernel is told that nobody listens.
    while noisy.stream.write_all(&[b'x'; 1_024]).is_ok() {}
    hub.until("both sockets are closed", |_| hub.sockets() <= before + 1);
    assert_eq!(silent.next(), None);
}
