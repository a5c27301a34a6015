//! SIGHUP: the configuration read again by a server that goes on.

use serde_json::json;

use super::client::Client;
use super::hub::Hub;

fn is_limited(client: &mut Client) -> bool {
    let lines: String = (1..=200).map(|id| json!({"op": "ping", "id": id}).to_string() + "\n").collect();
    client.raw(lines);
    let answers: Vec<_> = (0..200).map_while(|_| client.next()).collect();
    assert_eq!(answers.len(), 200);
    answers.iter().any(|answer| answer["code"] == "rate_limited")
}

#[test]
fn a_new_limit_counts_for_those_who_come_after_it() {
    let hub = Hub::start("");
    let mut before = hub.client();
    assert!(!is_limited(&mut before));
    hub.reload("[limits]\nmessages_per_second = 10\n");
    hub.log_says("configuration reloaded");
    hub.until("it is in force", |_| is_limited(&mut hub.client()));
    before.pong();
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let hub = Hub::start("");
    let mut before = hub.client();
    before.pong();
    hub.reload("[limits]\nmax_line = 4096\n[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"text\"\n");
    let line = hub.log_says("these settings wait for a restart");
    for key in ["limits.max_line", "listen"] {
        assert!(line.contains(key), "{line}");
    }
    before.pong();
    assert_eq!(hub.named("ada").ask(json!({"op": "ping"}))["ev"], "pong");
}

#[test]
fn a_broken_file_changes_nothing_and_says_what_is_wrong() {
    let hub = Hub::start("[limits]\nmessages_per_second = 10\n");
    let mut before = hub.client();
    before.pong();
    hub.reload("[limits]\nmessages_per_second = 0\nmax_lines = 5\n");
    let line = hub.log_says("the configuration stays as it is");
    assert!(line.contains("max_lines"), "{line}");
    assert!(is_limited(&mut hub.client()), "the old limit is in force");
    before.pong();
}
