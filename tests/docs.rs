//! Holds the documents to the program: every exchange in them is run against the real server, every table of words is compared
//! with the code, and every link leads somewhere.
//!
//! A document marks what is held by a comment above it: `<!-- session -->` and `<!-- table NAME -->`.

mod guide;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use guide::{Client, Server, blocks, is_as_shown};
use linehub::model::{ByeReason, Code};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REFERENCE: &str = include_str!("../docs/protocol.md");
const README: &str = include_str!("../README.md");

/// What an exchange may remember of an answer, to say it again.
const REMEMBERED: [&str; 2] = ["SESSION", "EPOCH"];

#[test]
fn every_exchange_in_the_documents_happens_so() {
    let mut run = 0;
    for (name, document) in [("docs/protocol.md", REFERENCE), ("README.md", README)] {
        for block in blocks(document).iter().filter(|block| block.words == ["session"]) {
            exchange(&format!("{name}:{}", block.line), &block.text);
            run += 1;
        }
    }
    assert!(run >= 8, "only {run} exchanges were found");
}

/// Runs one exchange, each of its clients on a connection of its own, and sees that nothing else came.
fn exchange(at: &str, text: &str) {
    let server = Server::start();
    let mut clients: BTreeMap<&str, (Client, bool)> = BTreeMap::new();
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    for shown in text.lines() {
        let Some(split) = shown.find(['<', '>']) else { panic!("{at}: neither sent nor received: {shown}") };
        let (name, line) = (&shown[..split], shown[split + 1..].trim_start());
        let (client, is_over) = clients.entry(name).or_insert_with(|| (Client::connect(server.json), false));
        let mut line = line.to_owned();
        if &shown[split..=split] == ">" {
            fill(&mut line, &known);
            client.send(&line);
            continue;
        }
        let received = client.line();
        for word in REMEMBERED.into_iter().filter(|word| line.contains(word)) {
            let value: serde_json::Value = serde_json::from_str(&received).expect("the server writes JSON");
            let value = value[word.to_lowercase()].as_str().unwrap_or_default().to_owned();
            known.entry(word).or_insert(value);
        }
        fill(&mut line, &known);
        assert!(is_as_shown(&line, &received), "{at}:\n shown    {line}\n received {received}");
        *is_over = received.starts_with(r#"{"ev":"bye""#);
    }
    for (name, (client, is_over)) in &mut clients {
        if *is_over {
            assert_eq!(client.line(), "", "{at}: {name} got more");
        } else {
            client.send(r#"{"op":"ping","id":"end"}"#);
            assert_eq!(client.line(), r#"{"ev":"pong","id":"end"}"#, "{at}: {name} got more");
        }
    }
}

fn fill(line: &mut String, known: &BTreeMap<&str, String>) {
    for (word, value) in known {
        *line = line.replace(word, value);
    }
}

/// The rows of a marked table, as cells.
fn table(name: &str) -> Vec<Vec<&'static str>> {
    let mark = format!("<!-- table {name} -->");
    let rows = REFERENCE.lines().skip_while(|line| *line != mark).skip(3).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').skip(1).map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "no table {name}");
    rows
}

/// The words that the first cells of a table name.
fn words(name: &str) -> BTreeSet<String> {
    table(name).iter().flat_map(|row| quoted(row[0])).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn source(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join("src/protocol/json").join(path)).expect("the source is there")
}

/// The quoted words of a macro's call in a source.
fn declared(path: &str, call: &str) -> BTreeSet<String> {
    let source = source(path);
    let (_, body) = source.split_once(&format!("\n{call} {{\n")).expect("the macro is called");
    let (body, _) = body.split_once("\n}").expect("the call ends");
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The encoder's sources, comments left out.
fn encoder() -> String {
    let sources = ["encode.rs", "message.rs", "write.rs"].map(source).concat();
    sources.lines().filter(|line| !line.trim_start().starts_with("//")).collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The events that the encoder writes.
fn events() -> BTreeSet<String> {
    let code = encoder();
    let begins = [r#"begin(out, ""#, r#"{"ev":""#];
    let found = begins.iter().flat_map(|begin| code.split(begin).skip(1)).filter_map(|rest| rest.split('"').next());
    found.filter(|word| is_word(word)).map(str::to_owned).collect()
}

/// The fields that the encoder writes.
fn fields() -> BTreeSet<String> {
    let code = encoder();
    let found = code.split(r#"":"#).filter_map(|before| before.rsplit('"').next());
    found.filter(|word| is_word(word)).map(str::to_owned).collect()
}

fn of<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> BTreeSet<String> {
    all.iter().map(|one| word(*one).to_owned()).collect()
}

#[test]
fn the_reference_has_every_code_and_reason_and_no_other() {
    assert_eq!(words("codes"), of(Code::ALL, Code::as_str));
    assert_eq!(words("reasons"), of(ByeReason::ALL, ByeReason::as_str));
}

#[test]
fn the_reference_has_every_op_and_event_and_no_other() {
    let (now, later) = (words("ops"), words("ops-later"));
    assert!(now.is_disjoint(&later));
    assert_eq!(now.union(&later).cloned().collect::<BTreeSet<_>>(), declared("op.rs", "ops!"));
    assert_eq!(words("events"), events());
}

#[test]
fn the_reference_names_every_field_that_is_read_or_written() {
    let named: BTreeSet<String> = REFERENCE.lines().flat_map(quoted).collect();
    let (read, written) = (declared("key.rs", "keys!"), fields());
    assert!(read.len() > 40 && written.len() > 40, "{read:?} {written:?}");
    for field in read.union(&written) {
        assert!(named.contains(field), "the reference does not name the field `{field}`");
    }
}

#[test]
fn what_is_not_in_this_version_says_so() {
    let server = Server::start();
    let mut client = Client::connect(server.json);
    for op in words("ops-later") {
        client.send(&format!(r#"{{"op":"{op}","id":"{op}"}}"#));
        let expected = format!(r#"{{"ev":"error","id":"{op}","code":"unavailable","message":"…","op":"{op}"}}"#);
        let received = client.line();
        assert!(is_as_shown(&expected, &received), "{received}");
    }
}

#[test]
fn the_reference_has_the_settings_of_a_room() {
    let server = Server::start();
    let mut client = Client::connect(server.json);
    for setting in words("settings") {
        client.send(&format!(r#"{{"op":"create","room":"r","{setting}":[],"id":1}}"#));
        let received = client.line();
        assert!(received.contains(&format!(r#""code":"bad_request","message":"`{setting}` must be"#)), "{received}");
    }
    let shipped = std::fs::read_to_string(Path::new(ROOT).join("config/linehub.toml")).expect("it is shipped");
    let (_, rules) = shipped.split_once("# [[rooms]]").expect("it has an example of a rule");
    let keys =
        rules.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" = ")).map(|(key, _)| key.to_owned());
    // What a rule has and a room cannot be given by a client.
    let of_rules = ["pattern", "search"];
    let expected: BTreeSet<String> =
        keys.filter(|key| !of_rules.contains(&&**key)).chain(["topic".to_owned()]).collect();
    assert_eq!(words("settings"), expected);
}

#[test]
fn the_reference_has_every_limit_with_its_default() {
    let shipped = std::fs::read_to_string(Path::new(ROOT).join("config/linehub.toml")).expect("it is shipped");
    let config: toml::Table = shipped.parse().expect("it is TOML");
    let limits = config["limits"].as_table().expect("a table");
    let mut seen = BTreeSet::new();
    for row in table("limits") {
        let key = quoted(row[0]).remove(0);
        match limits.get(&key) {
            Some(toml::Value::String(default)) => assert_eq!(default, row[1], "{key}"),
            Some(default) => assert_eq!(default.to_string(), row[1], "{key}"),
            None => assert!(shipped.contains(&format!("\n# {key} = ")), "there is no limit {key}"),
        }
        seen.insert(key);
    }
    for key in limits.keys() {
        assert!(seen.contains(key), "{key} is not in the table");
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut links = 0;
    for document in ["README.md", "ARCHITECTURE.md", "docs/protocol.md", "docs/configuration.md", "docs/text.md"] {
        let path = Path::new(ROOT).join(document);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            assert!(target.exists(), "{document}: {link} leads nowhere");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(&target).expect("a text");
                assert!(target.lines().any(|line| heading(line) == anchor), "{document}: there is no {link}");
            }
            links += 1;
        }
    }
    assert!(links > 20, "only {links} links were found");
}

/// What a link calls a heading.
fn heading(line: &str) -> String {
    let words = if line.starts_with('#') { line.trim_start_matches('#').trim() } else { return String::new() };
    let kept = words.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
