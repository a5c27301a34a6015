//! Clients that begin a line and do not end it, and clients that say nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Client;
use super::hub::Hub;

#[test]
fn a_line_that_is_not_ended_in_time_ends_the_connection() {
    let hub = Hub::start("[limits]\nline_timeout = \"1s\"\n");
    let mut client = hub.client();
    client.pong();
    client.raw("{\"op\":\"pi");
    let bye = client.event("bye");
    assert_eq!(bye["reason"], "line_timeout");
    assert_eq!(client.next(), None);
}

#[test]
fn a_line_that_trickles_in_is_not_given_more_time_for_each_byte() {
    let hub = Hub::start("[limits]\nline_timeout = \"1s\"\n");
    let mut client = hub.client();
    let mut other = hub.client();
    // Each round trip of the other is a moment in which one more byte comes.
    let dripped = std::iter::repeat_with(|| {
        other.pong();
        std::io::Write::write(&mut client.stream, b" ").is_ok()
    });
    assert!(dripped.take(10_000_000).any(|is_taken| !is_taken), "it is never closed");
}

#[test]
fn an_over_long_line_has_to_end_in_time_too() {
    let hub = Hub::start("[limits]\nline_timeout = \"1s\"\n");
    let mut client = hub.client();
    client.raw("x".repeat(100_000));
    assert_eq!(client.next().map(|event| event["code"].clone()), Some(json!("line_too_long")));
    assert_eq!(client.next().map(|event| event["reason"].clone()), Some(json!("line_timeout")));
}

#[test]
fn a_client_that_says_nothing_is_left_alone() {
    let hub = Hub::start("[limits]\nline_timeout = \"1s\"\n");
    let mut listener = hub.client();
    listener.join("lobby");
    let mut slow = hub.client();
    slow.raw("{");
    assert_eq!(slow.event("bye")["reason"], "line_timeout");
    // Longer than any line may take has passed.
    hub.named("ada").send("lobby", "hi");
    assert_eq!(listener.event("message")["body"], "hi");
}

#[test]
fn a_json_client_on_an_auto_port_is_never_shown_a_banner_when_it_speaks_at_once() {
    let hub = Hub::start("[server]\nsniff_timeout = \"60s\"\n");
    let mut client = Client::connect(hub.auto);
    client.raw("\u{feff} \r\n");
    client.raw("{\"op\":\"ping\",\"id\":1}\n");
    assert_eq!(client.next(), Some(json!({"ev": "pong", "id": 1})));
}

#[test]
fn a_silent_client_on_an_auto_port_is_a_person() {
    let hub = Hub::start("[server]\nsniff_timeout = \"100ms\"\n");
    let mut person = Client::connect(hub.auto);
    person.words("What do you want to be called?");
    person.raw("ada\n");
    person.words("You are ada.");
}

#[test]
fn a_silent_client_that_turns_out_to_be_a_program_is_understood_behind_the_banner() {
    let hub = Hub::start("[server]\nsniff_timeout = \"100ms\"\n");
    let mut slow = Client::connect(hub.auto);
    slow.words("What do you want to be called?");
    slow.raw("{\"op\":\"ping\",\"id\":1}\n");
    assert_eq!(slow.words("{"), "{\"ev\":\"pong\",\"id\":1}\n");
}

#[test]
fn a_person_has_more_time_for_a_line_than_a_program() {
    let hub = Hub::start("[limits]\nline_timeout = \"1s\"\ntext_line_timeout = \"3s\"\n");
    let mut person = Client::connect(hub.auto);
    person.raw("ada\nhello wor");
    person.words("You are ada.");
    let mut program = hub.client();
    program.raw("{");
    assert_eq!(program.event("bye")["reason"], "line_timeout");
    // What was half typed before the program began is not held against the person yet.
    person.raw("ld\n/ping\nand then");
    person.words("the server is there");
    let begun = Instant::now();
    person.words("never ended");
    while person.line().is_some() {}
    assert!(begun.elapsed() > Duration::from_secs(2), "but three seconds are all there are");
}
