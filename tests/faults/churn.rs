//! Clients that come and go, in order and by force: nothing of them stays behind.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::client::Client;
use super::hub::Hub;

/// Connections that come and go.
const CHURN: usize = 2_000;

fn is_empty(client: &mut Client) -> bool {
    let rooms = client.ask(json!({"op": "rooms"}));
    let who = client.ask(json!({"op": "who"}));
    let count = |event: &Value, field: &str| event[field].as_array().map_or(usize::MAX, Vec::len);
    // Who asks is connected too, and may be listed.
    count(&rooms, "rooms") == 0 && count(&who, "members") <= 1
}

fn churn(hub: &Hub, how: impl Fn(usize, Client)) {
    for at in 0..CHURN {
        let mut client = hub.client();
        client.raw(format!(
            "{}\n{}\n",
            json!({"op": "hello", "nick": format!("churn{at}")}),
            json!({"op": "join", "room": format!("room{}", at % 100), "id": 1})
        ));
        assert_eq!(client.event("ok")["id"], 1);
        how(at, client);
    }
}

#[test]
fn thousands_that_come_and_go_leave_nothing_behind() {
    let hub = Hub::start("[[rooms]]\npattern = \">\"\nhistory = \"none\"\n[server]\nresume_window = \"0\"\n");
    let leave = |at: usize, mut client: Client| match at % 4 {
        0 => client.reset(),
        1 => drop(client),
        2 => {
            client.half_close();
            client.event("bye");
        }
        _ => {
            client.say(&json!({"op": "quit"}));
            client.event("bye");
        }
    };
    churn(&hub, leave);
    hub.until("everyone is gone", is_empty);
    let (memory, sockets) = (hub.memory_kib("VmRSS"), hub.sockets());
    churn(&hub, leave);
    hub.until("everyone is gone again", is_empty);
    hub.until("their descriptors are closed", |_| hub.sockets() <= sockets + 1);
    let after = hub.memory_kib("VmRSS");
    println!("{memory} KiB after {CHURN}, {after} KiB after twice as many");
    assert!(after < memory + (4 << 10), "{memory} KiB after the first round, {after} KiB after the second");
}

/// A process that has a connection and can be killed in the middle of whatever it does.
fn speaker(hub: &Hub, script: &str) -> Child {
    let words = format!("exec 3<>/dev/tcp/127.0.0.1/{}; {script}", hub.json.port());
    let shell = Command::new("bash").args(["-c", &words]).stdin(Stdio::piped()).spawn();
    shell.expect("bash is installed")
}

#[test]
fn a_client_that_is_killed_in_the_middle_of_a_line_has_left() {
    let hub = Hub::start("");
    let mut watcher = hub.named("watcher");
    watcher.join("ops");
    let script = r#"printf '%s\n' '{"op":"hello","nick":"killed"}' '{"op":"join","room":"ops"}' >&3
        printf '{"op":"send","room":"ops","bo' >&3; read -r line <&3; read -r line <&3"#;
    let mut killed = speaker(&hub, script);
    assert_eq!(watcher.event("joined")["nick"], "killed");
    killed.kill().expect("it runs");
    killed.wait().expect("it is a child");
    assert_eq!(watcher.event("left")["nick"], "killed");
    // Its nick is free at once, and half a line is no message.
    hub.named("killed").send("ops", "again");
    assert_eq!(watcher.event("message")["body"], "again");
}

#[test]
fn clients_that_are_killed_in_the_middle_of_writing_lose_nothing_but_their_last_line() {
    let hub = Hub::start("");
    let mut watcher = hub.named("watcher");
    watcher.join("ops");
    for round in 0..5 {
        let script = format!(
            "printf '%s\\n' '{{\"op\":\"hello\",\"nick\":\"killed{round}\"}}' '{{\"op\":\"join\",\"room\":\"ops\"}}' >&3
            n=0; while :; do n=$((n+1)); echo '{{\"op\":\"send\",\"room\":\"ops\",\"body\":'$n'}}' >&3; done"
        );
        let mut killed = speaker(&hub, &script);
        watcher.find(|event| event["body"] == 20);
        killed.kill().expect("it runs");
        killed.wait().expect("it is a child");
        let mut last = 20;
        let left = loop {
            let event = watcher.next().expect("the connection lives");
            if event["ev"] != "message" {
                break event;
            }
            last += 1;
            assert_eq!(event["body"], last, "each line once, in order, and whole");
        };
        assert_eq!((&left["ev"], &left["nick"]), (&json!("left"), &json!(format!("killed{round}"))));
    }
}

#[test]
fn a_member_killed_while_it_is_written_to_has_left() {
    let hub = Hub::start("");
    let mut watcher = hub.named("watcher");
    watcher.join("ops");
    // It waits for something to be typed, and meanwhile reads nothing of what it is sent.
    let script = r#"printf '%s\n' '{"op":"hello","nick":"killed"}' '{"op":"join","room":"ops"}' >&3; read -r line"#;
    let mut killed = speaker(&hub, script);
    assert_eq!(watcher.event("joined")["nick"], "killed");
    let mut publisher = hub.client();
    for _ in 0..500 {
        publisher.send("ops", "x".repeat(10_000));
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it is a child");
    assert_eq!(watcher.event("left")["nick"], "killed");
}
