//! The ways in from a shell, with every tool that people have for it, and people themselves at a terminal.

use std::io::Write;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::Client;
use super::hub::Hub;
use super::terminal::{Terminal, require};

/// A tool that connects a shell with a port.
struct Tool {
    program: &'static str,
    package: &'static str,
    /// The words before and behind host and port.
    words: (&'static str, &'static str),
    /// What makes it say that its input has ended, where it does not by itself.
    half_closes: &'static str,
}

impl Tool {
    fn command(&self, addr: SocketAddr) -> String {
        self.call("", addr)
    }

    /// As [`Self::command`], saying when the input has ended.
    fn half_closing(&self, addr: SocketAddr) -> String {
        self.call(self.half_closes, addr)
    }

    fn call(&self, option: &str, addr: SocketAddr) -> String {
        require(self.program, self.package);
        let (before, between) = self.words;
        format!("{before} {option} {}{}{between}{}", if between == ":" { "- TCP:" } else { "" }, addr.ip(), addr.port())
    }
}

const TOOLS: [Tool; 5] = [
    Tool { program: "nc.openbsd", package: "netcat-openbsd", words: ("nc.openbsd", " "), half_closes: "-N" },
    // It cannot half-close: it waits a second for what still comes, and goes.
    Tool {
        program: "nc.traditional",
        package: "netcat-traditional",
        words: ("nc.traditional", " "),
        half_closes: "-q 1",
    },
    Tool { program: "busybox", package: "busybox", words: ("busybox nc", " "), half_closes: "" },
    Tool { program: "ncat", package: "ncat", words: ("ncat", " "), half_closes: "" },
    // Without an option it waits half a second for the other side when one has ended.
    Tool { program: "socat", package: "socat", words: ("socat -t 600", ":"), half_closes: "" },
];

/// An observer of a room.
fn observer(hub: &Hub, room: &str) -> Client {
    let mut client = hub.client();
    let ok = client.ask(json!({"op": "join", "room": room, "as": "observer"}));
    assert_eq!(ok["ev"], "ok", "{ok}");
    client
}

fn await_members(hub: &Hub, room: &str, count: usize) {
    hub.until("its members are there", |client| {
        client.ask(json!({"op": "who", "room": room}))["members"].as_array().map_or(0, Vec::len) == count
    });
}

#[test]
fn a_line_is_printed_into_a_room_by_every_tool_on_both_ports() {
    let hub = Hub::start("");
    let mut observer = observer(&hub, "ops");
    for tool in &TOOLS {
        for addr in [hub.json, hub.auto] {
            let lines = r#"'{"op":"send","room":"ops","body":"backup ok","id":1}' '{"op":"quit"}'"#;
            let (shown, status) = Terminal::run(&format!("printf '%s\\n' {lines} | {}", tool.command(addr))).ends();
            assert!(status.success(), "{}: {status}", tool.program);
            let events: Vec<Value> =
                shown.lines().map(|line| serde_json::from_str(line).expect("JSON alone")).collect();
            let [ok, bye] = &events[..] else { panic!("{}: {shown}", tool.program) };
            assert_eq!((&ok["ev"], &ok["id"], &ok["room"]), (&json!("ok"), &json!(1), &json!("ops")));
            assert_eq!(bye, &json!({"ev": "bye", "reason": "quit"}));
            assert_eq!(observer.event("message")["body"], "backup ok");
        }
    }
}

#[test]
fn a_log_is_followed_into_a_room_by_every_tool() {
    let hub = Hub::start("");
    let mut observer = observer(&hub, "logs");
    for (number, tool) in TOOLS.iter().enumerate() {
        let path = std::env::temp_dir().join(format!("linehub-faults-{}-{number}.log", std::process::id()));
        let mut log = std::fs::File::create(&path).expect("the folder for temporary files can be written");
        log.write_all(b"GET / 200\n/quit\n{\"op\":\"quit\"}\n").expect("the disk has room");
        let nick = format!("web{number}");
        let script = format!("(echo /pipe logs {nick}; tail -F {}) | {}", path.display(), tool.command(hub.auto));
        let tail = Terminal::run(&script);
        let mut expect = |body: &str| {
            let message = observer.event("message");
            assert_eq!((&message["from"], &message["body"]), (&json!(nick), &json!(body)), "{}", tool.program);
        };
        for body in ["GET / 200", "/quit", r#"{"op":"quit"}"#] {
            expect(body);
        }
        log.write_all(b"later\nbad \xff bytes\n").expect("the disk has room");
        expect("later");
        expect("bad \u{fffd} bytes");
        drop(tail);
        hub.until("its nick is free", |_| hub.client().ask(json!({"op": "hello", "nick": nick}))["ev"] == "welcome");
        std::fs::remove_file(&path).expect("it is there");
    }
}

#[test]
fn a_file_is_piped_into_a_room_to_its_last_line_by_every_tool_that_can_say_it_has_ended() {
    const LINES: usize = 5_000;
    let hub = Hub::start("");
    for tool in &TOOLS {
        let mut observer = observer(&hub, "files");
        let script = format!("(echo /pipe files cat; seq {LINES}; printf unended) | {}", tool.half_closing(hub.auto));
        let piping = Terminal::run(&script);
        for expected in 1..=LINES {
            assert_eq!(observer.event("message")["body"], expected.to_string(), "{}", tool.program);
        }
        assert_eq!(observer.event("message")["body"], "unended", "{}", tool.program);
        let (shown, _) = piping.ends();
        assert_eq!(shown, "", "only errors come back to a pipe: {}", tool.program);
    }
}

#[test]
fn one_line_keeps_listening_by_every_tool_on_both_ports() {
    for tool in &TOOLS {
        let mut hub = Hub::start("");
        require("jq", "jq");
        let listen = |addr| {
            Terminal::run(&format!(
                "printf '%s\\n' '{{\"op\":\"join\",\"room\":\"deploys\",\"stay\":true}}' | {} | \
                 jq -r --unbuffered 'select(.ev==\"message\").body'",
                tool.command(addr)
            ))
        };
        let mut listening = [listen(hub.json), listen(hub.auto)];
        await_members(&hub, "deploys", 2);
        let mut publisher = hub.client();
        for body in ["v1", "v2", "two\nlines"] {
            publisher.send("deploys", body);
            for shell in &mut listening {
                assert_eq!(shell.shows(&format!("{body}\n")), format!("{body}\n"), "{}", tool.program);
            }
        }
        hub.signal(rustix::process::Signal::TERM);
        for shell in listening {
            let (shown, status) = shell.ends();
            assert!(shown.is_empty() && status.success(), "{}: {shown:?}, {status}", tool.program);
        }
        assert!(hub.ended().success());
    }
}

/// What a person sees and types in any of these tools: the banner, a name, a room, talk, and the way out.
fn talk(hub: &Hub, person: &mut Terminal, enter: &str, nick: &str) -> Client {
    let mut friend = hub.named("friend");
    friend.join("lobby");
    person.shows("What do you want to be called?");
    person.types(&format!("{nick}{enter}"));
    person.shows(&format!("You are {nick}."));
    person.types(&format!("/join lobby{enter}"));
    person.shows("You are in #lobby.");
    friend.send("lobby", "welcome!");
    person.shows("[lobby] friend: welcome!");
    person.types(&format!("hello everyone{enter}"));
    let message = friend.find(|event| event["from"] == nick);
    assert_eq!(message["body"], "hello everyone");
    friend
}

#[test]
fn a_person_talks_by_every_tool() {
    for tool in &TOOLS {
        let hub = Hub::start("");
        let mut person = Terminal::run(&tool.command(hub.auto));
        let mut friend = talk(&hub, &mut person, "\n", "ada");
        person.types("/quit\n");
        person.shows("Bye, ada.");
        assert_eq!(friend.event("left")["nick"], "ada");
        // Some notice that the server has hung up only when they are given something more to send.
        person.end_input();
        person.ends();
    }
}

#[test]
fn a_person_at_a_terminal_talks_by_telnet_and_sees_the_screen_go_on_after_an_interrupt() {
    require("telnet", "telnet");
    require("script", "bsdutils");
    let hub = Hub::start("");
    let telnet = format!("telnet {} {}", hub.auto.ip(), hub.auto.port());
    let mut person = Terminal::run(&format!("script -qfc '{telnet}' /dev/null"));
    person.shows("Escape character is '^]'.");
    let mut friend = talk(&hub, &mut person, "\r", "ada");
    // An interrupt makes telnet throw away what comes until its question about timing is answered.
    for _ in 0..3 {
        person.types("\u{3}");
        person.shows("To leave: /quit");
        friend.send("lobby", "still there?");
        person.shows("[lobby] friend: still there?");
    }
    person.types("yes, I am\r");
    assert_eq!(friend.find(|event| event["from"] == "ada")["body"], "yes, I am");
    person.types("/quit\r");
    person.shows("Bye, ada.");
    person.shows("Connection closed by foreign host.");
    person.ends();
}

#[test]
fn a_person_at_a_terminal_leaves_netcat_by_an_interrupt_and_is_seen_to_leave() {
    require("script", "bsdutils");
    for tool in &TOOLS {
        let hub = Hub::start("");
        let mut person = Terminal::run(&format!("script -qfc '{}' /dev/null", tool.command(hub.auto)));
        let mut friend = talk(&hub, &mut person, "\r", "ada");
        person.types("\u{3}");
        assert_eq!(friend.event("left")["nick"], "ada", "{}", tool.program);
        person.ends();
    }
}

#[test]
fn a_person_ends_the_input_with_control_d_and_has_left() {
    require("script", "bsdutils");
    require("telnet", "telnet");
    let hub = Hub::start("");
    let telnet = format!("telnet {} {}", hub.auto.ip(), hub.auto.port());
    let mut person = Terminal::run(&format!("script -qfc '{telnet}' /dev/null"));
    let mut friend = talk(&hub, &mut person, "\r", "ada");
    person.types("\u{4}");
    assert_eq!(friend.event("left")["nick"], "ada");
    person.shows("Bye, ada.");
    person.ends();
}

#[test]
fn a_person_on_the_port_for_programs_is_told_in_json() {
    let hub = Hub::start("");
    for tool in &TOOLS {
        let (shown, _) = Terminal::run(&format!("echo hello | {}", tool.half_closing(hub.json))).ends();
        let first = shown.lines().next().expect("something is said");
        let event: Value = serde_json::from_str(first).unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!(event["code"], "bad_json", "{}", tool.program);
    }
}
