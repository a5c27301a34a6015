//! Signals: a shutdown that everyone is told of, in time whatever the clients do, and one that is over at once.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::Client;
use super::hub::Hub;

/// Beyond what the kernel takes for one socket and what an outbox holds together.
const FLOOD_BYTES: usize = 8 << 20;

const BODY_BYTES: usize = 32 << 10;

/// Clients with full sockets and full outboxes, members of a room that is not read.
fn stalled(hub: &Hub, count: usize) -> Vec<Client> {
    let members: Vec<Client> = (0..count)
        .map(|_| {
            let mut client = Client::connect_small(hub.json);
            client.join("flood");
            client
        })
        .collect();
    let mut publisher = hub.client();
    let line = format!("{}\n", json!({"op": "send", "room": "flood", "body": "x".repeat(BODY_BYTES)}));
    for _ in 0..FLOOD_BYTES / BODY_BYTES {
        publisher.raw(&line);
    }
    publisher.pong();
    members
}

fn everyone_is_told(signal: Signal) {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let mut hub = Hub::start("[server]\nshutdown_timeout = \"3s\"\n");
    let mut stalled = stalled(&hub, 50);
    let mut worker = hub.client();
    worker.say(&json!({"op": "join", "room": "rpc", "as": "worker"}));
    worker.pong();
    let mut asker = hub.client();
    asker.say(&json!({"op": "request", "room": "rpc", "body": 1, "id": "open", "timeout_ms": 600_000}));
    worker.event("request");
    let mut person = Client::connect(hub.auto);
    person.join("lobby");
    let signalled = Instant::now();
    hub.signal(signal);
    let is_goodbye = |bye: &Value| bye["reason"] == "shutdown" && bye["reconnect_ms"].is_u64();
    let told = asker.rest();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[0]["ev"], &told[0]["id"]), (&json!("error"), &json!("open")), "what was asked is answered");
    assert!(is_goodbye(&told[1]), "{told:?}");
    for client in [&mut worker, &mut person] {
        assert!(is_goodbye(&client.event("bye")));
        assert_eq!(client.next(), None, "nothing comes after bye");
    }
    // One that reads again while there is time gets to its goodbye, however far behind it was.
    let last = stalled.pop().expect("there are fifty").rest().pop().expect("it is told something");
    assert!(is_goodbye(&last), "{last}");
    let status = hub.ended();
    let took = signalled.elapsed();
    println!("{signal:?} with 49 stalled clients took {took:?}");
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(took < TIMEOUT + Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_terminate_is_told_to_everyone_and_is_over_in_time_though_fifty_read_nothing() {
    everyone_is_told(Signal::TERM);
}

#[test]
fn an_interrupt_is_told_to_everyone_and_is_over_in_time_though_fifty_read_nothing() {
    everyone_is_told(Signal::INT);
}

#[test]
fn a_person_is_told_and_one_that_has_said_nothing_yet_holds_nothing_up() {
    let mut hub = Hub::start("[server]\nsniff_timeout = \"60s\"\nshutdown_timeout = \"10m\"\n");
    let mut silent = Client::connect(hub.auto);
    let mut person = Client::connect(hub.auto);
    person.raw("ada\n");
    person.words("You are ada.");
    hub.signal(Signal::TERM);
    person.words("going down");
    assert_eq!(person.line(), None);
    // Nobody knows whether that is a person or a program, so both are told.
    silent.words("going down");
    assert_eq!(silent.next(), Some(json!({"ev": "bye", "reason": "shutdown", "reconnect_ms": 1_000})));
    assert_eq!(silent.next(), None);
    assert!(hub.ended().success());
}

#[test]
fn a_server_without_clients_is_gone_at_once() {
    let mut hub = Hub::start("");
    let signalled = Instant::now();
    hub.signal(Signal::TERM);
    assert_eq!(hub.ended().code(), Some(0));
    println!("took {:?}", signalled.elapsed());
}

#[test]
fn while_it_goes_nobody_new_is_let_in_and_a_second_signal_ends_it_at_once() {
    let mut hub = Hub::start("[server]\nshutdown_timeout = \"10m\"\n[limits]\nwrite_timeout = \"10m\"\n");
    let _stalled = stalled(&hub, 1);
    let mut client = hub.client();
    client.pong();
    hub.signal(Signal::INT);
    assert_eq!(client.event("bye")["reason"], "shutdown");
    for addr in [hub.auto, hub.json] {
        let refused = TcpStream::connect(addr).expect_err("nobody listens any more");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
    hub.signal(Signal::INT);
    assert_eq!(hub.ended().code(), Some(130));
}

#[test]
fn a_signal_right_after_the_server_listens_ends_it_in_order() {
    for _ in 0..20 {
        let mut hub = Hub::start("");
        hub.signal(Signal::TERM);
        let status = hub.ended();
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

/// Runs what is behind it with both signals ignored: one that the program does not handle itself is nothing to it.
const DEAF: [&str; 3] = ["sh", "-c", "trap '' INT TERM; exec \"$0\" \"$@\""];

/// Runs what is behind it as the first process of a namespace of its own.
const NAMESPACE: [&str; 6] = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];

/// Sends the signal to a server, which says goodbye and ends in order.
fn ends_on(signal: Signal, mut hub: Hub, process: Pid) {
    let mut client = hub.client();
    client.pong();
    kill_process(process, signal).expect("it runs");
    assert_eq!(client.event("bye")["reason"], "shutdown");
    drop(client);
    assert_eq!(hub.ended().code(), Some(0));
}

#[test]
fn as_the_first_process_of_a_container_it_ends_on_a_signal() {
    // The kernel gives the first process of a namespace no default for a signal, which is what ignored ones are like.
    for signal in [Signal::INT, Signal::TERM] {
        let hub = Hub::start_by(&DEAF, "");
        let process = hub.pid();
        ends_on(signal, hub, process);
    }
    super::terminal::require("unshare", "util-linux");
    let permitted = std::process::Command::new(NAMESPACE[0]).args(&NAMESPACE[1..]).arg("true").status();
    if !permitted.is_ok_and(|status| status.success()) {
        println!("no namespace may be made here: seen with ignored signals alone");
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let hub = Hub::start_by(&NAMESPACE, "");
        let unshare = hub.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).expect("it runs");
        let first = children.trim().parse().ok().and_then(Pid::from_raw).expect("it has one child");
        ends_on(signal, hub, first);
    }
}
