//! The real program: its arguments, its messages and its exit codes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread::JoinHandle;

/// The program with a clean environment, so that what this shell has set changes nothing.
fn linehub(args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linehub"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what it prints is UTF-8")
}

/// A file of one test's own, gone when it ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("linehub-cli-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, content).expect("the folder for temporary files can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn check_says_ok_to_the_file_that_is_shipped() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/linehub.toml");
    let output = linehub(&["check", path], &[]);
    assert_eq!((code(&output), text(&output.stdout)), (0, format!("{path}: ok\n").as_str()));
}

#[test]
fn check_prints_every_problem_as_a_compiler_does_and_exits_with_2() {
    let file = File::new("check", "[limits]\nmax_line = 100\nmax_rom = 1\n\n[queue]\nack_wait = 30\n");
    let output = linehub(&["check", file.path()], &[]);
    let path = file.path();
    let expected = [
        format!("{path}:2:12: `limits.max_line` takes 2048 to 1048576, not 100: "),
        format!("{path}:3:1: `[limits]` has no key `max_rom`; do you mean `max_rooms`?"),
        format!("{path}:6:12: `queue.ack_wait` takes a duration, as `\"300ms\"`, `\"30s\"` or `\"7d\"`, not 30"),
    ];
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!((code(&output), lines.len()), (2, expected.len()), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(&expected), "{line}");
    }
}

#[test]
fn check_of_a_missing_file_names_it() {
    let output = linehub(&["check", "/nonexistent/linehub.toml"], &[]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stdout).starts_with("/nonexistent/linehub.toml: cannot be read: "));
}

#[test]
fn serve_refuses_a_variable_it_does_not_know() {
    let output = linehub(&["serve"], &[("LINEHUB_LIMITS_MAX_LINES", "4096")]);
    let expected = "LINEHUB_LIMITS_MAX_LINES: there is no such setting; do you mean `LINEHUB_LIMITS_MAX_LINE`?\n";
    assert_eq!((code(&output), text(&output.stderr)), (2, expected));
}

#[test]
fn serve_refuses_a_broken_file_before_it_listens() {
    let file = File::new("serve", "[limits]\nmax_line = true\n");
    let output = linehub(&["serve", "--config", file.path()], &[]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).starts_with(&format!("{}:2:12: ", file.path())), "{}", text(&output.stderr));
}

#[test]
fn serve_that_cannot_listen_says_so_and_exits_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = local(&taken).to_string();
    let data = std::env::temp_dir().join(format!("linehub-cli-{}", std::process::id()));
    let output = linehub(&["serve", "--listen", &addr, "--data", &data.to_string_lossy()], &[]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("in use"), "{}", text(&output.stderr));
}

#[test]
fn wrong_arguments_exit_with_2_and_help_with_0() {
    assert_eq!(code(&linehub(&["serve", "--listen", "nowhere"], &[])), 2);
    assert_eq!(code(&linehub(&["serve", "--log", "linehub=loud"], &[])), 2);
    assert_eq!(code(&linehub(&["sevre"], &[])), 2);
    assert_eq!(code(&linehub(&[], &[])), 2);
    let help = linehub(&["--help"], &[]);
    assert_eq!(code(&help), 0);
    for subcommand in ["serve", "check", "ping", "reindex"] {
        assert!(text(&help.stdout).contains(subcommand));
        assert_eq!(code(&linehub(&[subcommand, "--help"], &[])), 0);
    }
    let version = linehub(&["--version"], &[]);
    assert_eq!(text(&version.stdout), concat!("linehub ", env!("CARGO_PKG_VERSION"), "\n"));
}

fn local(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}

/// A server for one connection: it reads a line, says what it is told to, and hangs up.
fn answering(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = local(&listener);
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the program connects");
        let mut asked = String::new();
        BufReader::new(&stream).read_line(&mut asked).expect("the program asks");
        // One that has read enough may have gone.
        let _ = (&stream).write_all(answer.as_bytes());
        asked
    });
    (addr, served)
}

#[test]
fn ping_succeeds_on_the_answer_and_skips_a_banner() {
    let (addr, served) = answering("hello, who are you?\n{\"ev\":\"ping\"}\n{\"ev\":\"pong\",\"id\":1}\n");
    let output = linehub(&["ping", &addr.to_string()], &[]);
    assert_eq!(served.join().expect("it served"), "{\"op\":\"ping\",\"id\":1}\n");
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with(&format!("{addr} answers after ")));
}

#[test]
fn ping_finds_the_server_where_the_same_variables_put_it() {
    let (addr, served) = answering("{\"ev\":\"pong\",\"id\":1}\n");
    let output = linehub(&["ping"], &[("LINEHUB_LISTEN", &addr.to_string())]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    served.join().expect("it served");
}

#[test]
fn ping_fails_with_1_and_says_why() {
    for (answer, why) in [
        ("", "it hung up without an answer"),
        ("SSH-2.0-x\n", "it hung up without an answer"),
        ("{\"ev\":\"error\",\"code\":\"too_many_connections\",\"message\":\"full\"}\n", "\"too_many_connections\""),
        ("{\"ev\":\"bye\",\"reason\":\"shutdown\"}\n", "\"shutdown\""),
    ] {
        let (addr, served) = answering(answer);
        let output = linehub(&["ping", &addr.to_string()], &[]);
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
        served.join().expect("it served");
    }
}

#[test]
fn ping_fails_with_1_where_nobody_listens() {
    // Bound but not listening: the port is taken, and whoever connects is refused.
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket is free");
    closed.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    let addr = closed.local_addr().expect("it is bound").as_socket().expect("it is an address").to_string();
    let output = linehub(&["ping", &addr], &[]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
}

#[test]
fn ping_gives_up_on_a_server_that_says_nothing() {
    // Connections wait in its backlog, never accepted.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let output = linehub(&["ping", &local(&silent).to_string(), "--timeout", "50ms"], &[]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("no answer in time"), "{}", text(&output.stderr));
}

#[test]
fn reindex_makes_an_index_of_what_is_there_and_nothing_of_what_is_not() {
    let data = tempfile::TempDir::new().expect("the folder for temporary files can be written");
    let path = data.path().to_str().expect("the path is UTF-8");
    let output = linehub(&["reindex", "--data", path], &[]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("there are no messages"), "{}", text(&output.stderr));
    assert_eq!(data.path().read_dir().expect("it is there").count(), 0, "nothing is made of a wrong folder");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let mut server = Command::new(env!("CARGO_BIN_EXE_linehub"))
        .args(["serve", "--data", path, "--listen", &address])
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut printed = BufReader::new(server.stdout.take().expect("it is piped"));
    printed.read_line(&mut String::new()).expect("it says where it listens");
    let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
    let lines = "{\"op\":\"send\",\"room\":\"lobby\",\"body\":\"needle\"}\n{\"op\":\"quit\"}\n";
    stream.write_all(lines.as_bytes()).expect("it reads");
    BufReader::new(&stream).read_line(&mut String::new()).expect("it says goodbye");
    let taken = linehub(&["reindex", "--data", path], &[]);
    assert_eq!(code(&taken), 1);
    assert!(text(&taken.stderr).contains("in use by another server"), "{}", text(&taken.stderr));
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM)
        .expect("it runs");
    server.wait().expect("it ends");

    std::fs::write(data.path().join("search.db"), "garbage").expect("it can be written");
    let output = linehub(&["reindex", "--data", path], &[]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(": 1 messages in "), "{}", text(&output.stdout));
}
