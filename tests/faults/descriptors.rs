//! Descriptors and connections that run out, and come back.

use std::time::Instant;

use serde_json::json;

use super::DEADLINE;
use super::client::Client;
use super::hub::Hub;

/// Runs the program under a limit that leaves sixteen descriptors for connections.
const POOR: [&str; 3] = ["sh", "-c", "ulimit -n 80; exec \"$0\" \"$@\""];

/// Connects until one is turned away.
fn crowd(hub: &Hub) -> Vec<Client> {
    std::iter::repeat_with(|| hub.client()).map_while(|mut client| client.is_let_in().then_some(client)).collect()
}

/// Connects until there is a place, which is free when the server, too, has seen an end.
fn let_in(hub: &Hub) -> Client {
    let until = Instant::now() + DEADLINE;
    loop {
        let mut client = hub.client();
        if client.is_let_in() {
            return client;
        }
        assert!(Instant::now() < until, "no place is ever free");
    }
}

#[test]
fn one_connection_too_many_is_told_and_closed_and_the_next_is_let_in_when_one_leaves() {
    let hub = Hub::start_by(&POOR, "");
    let mut admitted = crowd(&hub);
    assert_eq!(admitted.len(), 16, "what the limit leaves after the reserve");
    for client in &mut admitted {
        client.pong();
    }
    let mut leaving = admitted.pop().expect("there are sixteen");
    leaving.say(&json!({"op": "quit"}));
    leaving.rest();
    drop(leaving);
    admitted.push(let_in(&hub));
    admitted.extend(crowd(&hub));
    assert_eq!(admitted.len(), 16, "one place was free again");
    for client in &mut admitted {
        client.pong();
    }
}

#[test]
fn a_whole_crowd_that_is_too_many_is_told() {
    let hub = Hub::start("[limits]\nmax_connections = 1\n");
    let mut only = hub.client();
    only.pong();
    // All of them wait to be told before the first has read anything.
    let mut crowd: Vec<Client> = (0..200).map(|_| hub.client()).collect();
    for (at, client) in crowd.iter_mut().enumerate() {
        let told = client.next().unwrap_or_else(|| panic!("the {at}th is closed without a word"));
        assert_eq!(told["code"], "too_many_connections");
    }
    only.pong();
}

#[test]
fn one_that_is_half_closed_counts_until_its_writer_is_done() {
    let hub = Hub::start("[limits]\nmax_connections = 2\nwrite_timeout = \"10m\"\n");
    let mut publisher = hub.client();
    for _ in 0..200 {
        publisher.send("ops", "x".repeat(40_000));
    }
    let mut unread = Client::connect_small(hub.json);
    unread.say(&json!({"op": "join", "room": "ops", "after": 0}));
    unread.half_close();
    publisher.pong();
    let mut third = hub.client();
    assert_eq!(third.next().map(|event| event["code"].clone()), Some(json!("too_many_connections")));
    assert_eq!(unread.rest().pop().map(|event| event["reason"].clone()), Some(json!("quit")));
    drop(unread);
    let_in(&hub);
}

#[test]
fn a_server_without_a_descriptor_left_waits_and_goes_on() {
    let hub = Hub::start("");
    let mut before = hub.client();
    before.pong();
    let open = hub.descriptors() as u64;
    hub.limit_descriptors(open);
    // The kernel takes the connection; the server cannot.
    let mut waiting = hub.client();
    waiting.say(&json!({"op": "ping", "id": 1}));
    hub.log_says("cannot accept");
    before.pong();
    hub.limit_descriptors(open + 16);
    assert_eq!(waiting.event("pong")["id"], 1, "it was kept waiting, not lost");
    hub.client().pong();
}
