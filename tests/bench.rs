//! `linehub bench` against the real server: what it prints, and that it verifies what it measures.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};

use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linehub"))
        .arg("bench")
        .args(args)
        .env_clear()
        .output()
        .expect("the program starts")
}

/// The rows that a successful run prints for programs.
fn rows(args: &[&str]) -> Vec<Value> {
    let output = bench(&[args, &["--json"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    assert_eq!(told, "", "a run that is no terminal's says nothing beside its rows");
    let text = String::from_utf8(output.stdout).expect("what it prints is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn every_subscriber_gets_each_message_once_and_in_order() {
    let found = rows(&["fanout", "-n", "1,10", "--messages", "5000"]);
    let apart: Vec<_> = found.iter().map(|row| row["subscribers"].as_u64()).collect();
    assert_eq!(apart, [Some(1), Some(10)]);
    for row in found {
        assert_eq!((&row["verified"], &row["faults"]), (&Value::Bool(true), &Value::Array(Vec::new())), "{row}");
        assert!(row["server_ns_per_delivery"].is_number() || !cfg!(target_os = "linux"), "{row}");
    }
}

#[test]
fn rooms_where_everyone_sends_lose_nothing_either() {
    for args in [
        ["pairs", "-n", "3", "--messages", "3000", "--payload", "16"],
        ["chat", "-n", "3", "--messages", "600", "--members", "4"],
        ["durable", "-n", "4", "--messages", "2000", "--unacked", "8"],
    ] {
        let found = rows(&args);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["verified"], Value::Bool(true), "{}", found[0]);
    }
}

#[test]
fn the_floor_server_is_measured_by_the_same_generator() {
    let found = rows(&["fanout", "--protocol", "floor", "-n", "3", "--messages", "2000", "--payload", "1KiB"]);
    assert_eq!((&found[0]["server"], &found[0]["verified"]), (&Value::Null, &Value::Bool(true)), "{}", found[0]);
    assert_eq!(found[0]["protocol"], "floor");
}

#[test]
fn latencies_are_in_order() {
    let found = rows(&["latency", "--rates", "500", "-n", "2", "--duration", "200ms", "--warm-up", "50ms"]);
    let micros = ["p50_us", "p99_us", "p999_us", "max_us"].map(|key| found[0][key].as_f64().expect("it is timed"));
    assert!(micros.is_sorted() && micros[0] > 0.0, "{micros:?}");
}

#[test]
fn idle_connections_are_all_there_in_the_end() {
    let found = rows(&["idle", "-n", "40", "--rooms", "4", "--duration", "50ms"]);
    assert_eq!((found[0]["connections"].as_u64(), &found[0]["verified"]), (Some(40), &Value::Bool(true)));
}

#[test]
fn one_that_never_reads_is_told_exactly_what_it_missed() {
    let found = rows(&["slow", "-n", "2", "--bytes", "60000000", "--payload", "8KiB"]);
    let count = |key: &str| found[0][key].as_u64().expect("it is counted");
    assert!(count("stalled_missed") > 0, "{}", found[0]);
    assert_eq!(count("stalled_missed"), count("stalled_told"), "{}", found[0]);
}

/// A server for one publisher and one subscriber, in the floor's protocol, that sends the third message twice.
fn doubling() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || -> std::io::Result<()> {
        let welcome = || -> std::io::Result<(BufReader<TcpStream>, TcpStream)> {
            let (stream, _) = listener.accept()?;
            let (mut lines, mut output) = (BufReader::new(stream.try_clone()?), stream);
            lines.read_line(&mut String::new())?;
            output.write_all(b"ok\n")?;
            Ok((lines, output))
        };
        let (publisher, _output) = welcome()?;
        let (_lines, mut subscriber) = welcome()?;
        for (at, line) in publisher.lines().enumerate() {
            let message = format!("{}\n", line?.replace(r#""op":"send""#, r#""ev":"message""#));
            for _ in 0..if at == 2 { 2 } else { 1 } {
                subscriber.write_all(message.as_bytes())?;
            }
        }
        Ok(())
    });
    address
}

#[test]
fn a_server_that_delivers_twice_is_found_out() {
    let target = doubling().to_string();
    let args = ["fanout", "-n", "1", "--messages", "100", "--protocol", "floor", "--json", "--target", &target];
    let output = bench(&args);
    assert_eq!(output.status.code(), Some(1));
    let row: Value = serde_json::from_slice(&output.stdout).expect("the row is printed all the same");
    assert_eq!(row["verified"], Value::Bool(false));
    assert_eq!(row["faults"], serde_json::json!(["0 missing, 1 repeated or late, 0 altered"]));
}

#[test]
fn a_table_is_for_people() {
    let output = bench(&["fanout", "-n", "1", "--messages", "100"]);
    let text = String::from_utf8(output.stdout).expect("what it prints is UTF-8");
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|head| head.starts_with("scenario") && head.ends_with("verified")), "{text}");
    assert!(lines.next().is_some_and(|row| row.starts_with("fanout") && row.ends_with("yes")), "{text}");
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    for (args, why) in [
        (vec!["fanout", "--protocol", "redis"], "give --target"),
        (vec!["durable", "--protocol", "floor"], "only linehub's messages are acknowledged"),
        (vec!["fanout", "--target", "127.0.0.1:1"], "127.0.0.1:1: "),
    ] {
        let output = bench(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{args:?}");
    }
    assert_eq!(bench(&["fanout", "--payload", "15"]).status.code(), Some(2));
}
