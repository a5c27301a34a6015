//! The recipes of README.md, run as they stand there against the real server.
//!
//! A recipe is the fenced blocks under `<!-- recipe NAME … -->` with one name, run in order on one server, with the ports put in
//! place of 7878 and 7879. What a block prints stands under `<!-- prints -->`, with `…` for what differs each time; without it
//! the block prints nothing. More words of the comment: `background` is a block that runs on while the others do, `joins=ROOM` one
//! after which somebody has come into that room, and `shows=ROOM` one that is there before something is written for it to show.

mod guide;

use std::io::Write;
use std::process::{Command, Stdio};

use guide::{Block, Client, Program, Server, blocks, is_as_shown};

const README: &str = include_str!("../README.md");

/// What `tail -F app.log` finds.
const LOG: &str = "GET / 200\n/etc/passwd is no command here\n";

/// One block of a recipe and what it prints.
struct Step<'a> {
    block: &'a Block<'a>,
    prints: Vec<&'a str>,
}

impl Step<'_> {
    fn has(&self, word: &str) -> bool {
        self.block.words.contains(&word)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.block.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

/// The blocks of the recipe of a name.
fn steps<'a>(blocks: &'a [Block<'a>], name: &str) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.words.starts_with(&["recipe", name])) {
        let prints = blocks.get(at + 1).filter(|next| next.words == ["prints"]);
        steps.push(Step { block, prints: prints.map(|prints| prints.text.lines().collect()).unwrap_or_default() });
    }
    assert!(!steps.is_empty(), "README.md has no recipe {name}");
    steps
}

/// Starts a block.
fn start(step: &Step<'_>, server: &Server) -> Program {
    let text = server.with_ports(&step.block.text);
    let (program, flag) = match step.block.info {
        "sh" => ("bash", "-c"),
        "python" => ("python3", "-c"),
        other => panic!("README.md:{}: nothing runs {other:?}", step.block.line),
    };
    // What stays has a keyboard that nobody touches.
    let input = if step.has("background") { Stdio::piped() } else { Stdio::null() };
    Program::start(Command::new(program).args([flag, &text]).current_dir(server.folder()).stdin(input))
}

/// Runs a recipe; each of its blocks prints what is shown under it.
fn run(name: &str) {
    let server = Server::start();
    std::fs::write(server.folder().join("app.log"), "").expect("the folder can be written");
    let all = blocks(README);
    let mut behind = Vec::new();
    for step in steps(&all, name) {
        let mut watcher = step.value("joins").or(step.value("shows")).map(|room| watch(&server, room));
        let mut running = start(&step, &server);
        if let Some(watcher) = &mut watcher {
            watcher.line_with(r#""ev":"joined""#);
        }
        if step.value("shows").is_some() {
            let mut log =
                std::fs::OpenOptions::new().append(true).open(server.folder().join("app.log")).expect("it is there");
            log.write_all(LOG.as_bytes()).expect("it can be written");
        }
        if step.has("background") {
            behind.push((step, running));
            continue;
        }
        let printed: Vec<String> = std::iter::from_fn(|| running.line()).collect();
        let is_as_is_shown = printed.len() == step.prints.len()
            && step.prints.iter().zip(&printed).all(|(shown, line)| is_as_shown(shown, line));
        assert!(is_as_is_shown, "README.md:{}\n shown   {:#?}\n printed {printed:#?}", step.block.line, step.prints);
    }
    // All of them run until each has printed what it should.
    for (step, running) in &mut behind {
        for shown in &step.prints {
            let line = running.line().unwrap_or_default();
            assert!(is_as_shown(shown, &line), "README.md:{}\n shown   {shown}\n printed {line}", step.block.line);
        }
    }
}

/// A member of a room that hears who comes.
fn watch(server: &Server, room: &str) -> Client {
    let mut client = Client::connect(server.json);
    client.send(r#"{"op":"hello","presence":true,"id":1}"#);
    client.send(&format!(r#"{{"op":"join","room":"{room}","id":2}}"#));
    client.line_with(r#""id":2"#);
    client
}

#[test]
fn a_script_publishes_and_hears_that_it_was_accepted() {
    run("publish");
}

#[test]
fn a_terminal_follows_a_room() {
    run("follow");
}

#[test]
fn a_log_file_is_sent_as_it_grows() {
    run("log");
}

#[test]
fn a_sensor_needs_nothing_but_bash() {
    run("sensor");
}

#[test]
fn a_worker_does_each_job_once() {
    run("jobs");
}

#[test]
fn a_question_is_answered() {
    run("ask");
}

#[test]
fn no_recipe_is_left_out() {
    /// Those that have a test here.
    const TESTED: [&str; 6] = ["publish", "follow", "log", "sensor", "jobs", "ask"];
    for block in blocks(README).iter().filter(|block| block.words.first() == Some(&"recipe")) {
        assert!(TESTED.contains(&block.words[1]), "README.md:{}: {} is not run", block.line, block.words[1]);
    }
}

#[test]
fn the_picture_shows_a_session_as_it_happens() {
    let checked = Command::new("python3")
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/record-session"), "--check"])
        .env("LINEHUB", env!("CARGO_BIN_EXE_linehub"))
        .output()
        .expect("python3 starts: scripts/tools names what the tests need");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn every_subcommand_is_named() {
    let help = Command::new(env!("CARGO_BIN_EXE_linehub")).arg("--help").output().expect("the program starts");
    let help = String::from_utf8(help.stdout).expect("help is UTF-8");
    let (_, commands) = help.split_once("Commands:\n").expect("help lists them");
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        let is_named = [format!("`linehub {name}"), format!("-- {name}\n")].iter().any(|words| README.contains(words));
        assert!(is_named, "README.md does not name `linehub {name}`");
    }
}
