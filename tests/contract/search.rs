//! Searching: words in what was said, for those who may read it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Client, DEADLINE, Event, TestServer, rule};

/// Searches, again as long as the index is made.
fn search(client: &mut Client, mut request: Value) -> Event {
    request["op"] = json!("search");
    loop {
        let answer = client.ask(request.clone());
        if answer["code"] != "unavailable" || !answer.text("message").contains("being built") {
            assert_eq!(answer.ev(), "history", "{}", answer.raw);
            return answer;
        }
    }
}

fn bodies(page: &Event) -> Vec<&str> {
    let messages = page["messages"].as_array().expect("a page has messages");
    messages.iter().map(|message| message["body"].as_str().expect("bodies are texts")).collect()
}

#[test]
fn a_search_is_a_history_with_the_newest_first() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.publish("Lobby", "an old apple");
    ada.publish("Lobby", "a pear");
    ada.publish("orchard", "apples are no apple");
    ada.line(r#"{"op":"send","room":"lobby","headers":{"a":"b"},"body":{"fruit": "Äpple", "n": [1,"APPLE"]}}"#);
    search(&mut ada, json!({"query": "apple"}));
    ada.answers(
        r#"{"op":"search","room":"lobby","query":"apple","id":"s"}"#,
        r#"{"ev":"history","id":"s","room":"Lobby","seq":3,"epoch":_,"messages":[{"room":"Lobby","seq":3,"from":"ada","ts":_,"headers":{"a":"b"},"body":{"fruit": "Äpple", "n": [1,"APPLE"]}},{"room":"Lobby","seq":1,"from":"ada","ts":_,"body":"an old apple"}],"more":false}"#,
    );
    ada.answers(
        r#"{"op":"search","query":"apple no","id":"s"}"#,
        r#"{"ev":"history","id":"s","messages":[{"room":"orchard","seq":1,"from":"ada","ts":_,"body":"apples are no apple"}],"more":false}"#,
    );
    ada.answers(
        r#"{"op":"search","query":"plum","id":"s"}"#,
        r#"{"ev":"history","id":"s","messages":[],"more":false}"#,
    );
}

#[test]
fn two_characters_of_any_script_find_their_words() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let texts = ["今天天气很好", "東京タワーへ行く", "안녕하세요 여러분", "สวัสดีครับ", "Привет, Ёлка", "γειά σου Κόσμε"];
    for text in texts {
        ada.publish("lobby", text);
    }
    let wanted = [
        ("天气", 0),
        ("東京", 1),
        ("タワ", 1),
        ("행", 9),
        ("안녕", 2),
        ("스", 9),
        ("สวัส", 3),
        ("елка", 4),
        ("ΚΟΣΜΕ", 5),
        ("天", 0),
    ];
    for (query, at) in wanted {
        let page = search(&mut ada, json!({"room": "lobby", "query": query}));
        assert_eq!(bodies(&page), texts.get(at).into_iter().copied().collect::<Vec<_>>(), "{query}");
    }
}

#[test]
fn a_limit_and_a_time_bound_what_is_found() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let mut times = Vec::new();
    for number in 0..30 {
        let body = format!("apple {number}");
        times.push(ada.done(json!({"op": "send", "room": "lobby", "body": body})).number("ts"));
    }
    let page = search(&mut ada, json!({"room": "lobby", "query": "apple", "limit": 3}));
    assert_eq!((bodies(&page), &page["more"]), (vec!["apple 29", "apple 28", "apple 27"], &json!(true)));
    let page = search(&mut ada, json!({"query": "apple", "limit": 30}));
    assert_eq!((bodies(&page).len(), &page["more"]), (30, &json!(false)));
    let page = search(&mut ada, json!({"query": "apple", "until": times[10], "limit": 1_000}));
    let expected = times.iter().filter(|ts| **ts <= times[10]).count();
    assert_eq!(bodies(&page).len(), expected);
    assert_eq!(bodies(&search(&mut ada, json!({"query": "apple", "until": 0}))), [""; 0]);
    for wrong in [
        json!({}),
        json!({"query": ""}),
        json!({"query": 5}),
        json!({"query": "x".repeat(1_025)}),
        json!({"query": "x".repeat(60_000)}),
        json!({"query": "\" * ( ) - ^ :"}),
        json!({"query": "\u{0}"}),
        json!({"query": "x", "limit": 0}),
        json!({"query": "x", "limit": 1_001}),
        json!({"query": "x", "until": -1}),
    ] {
        let mut wrong = wrong;
        wrong["op"] = json!("search");
        ada.refused(wrong, "bad_request");
    }
    let no_room = json!({"op": "search", "room": "nowhere", "query": "x"});
    ada.refused(no_room, "no_such_room");
}

#[test]
fn a_page_fits_a_line_and_says_that_there_is_more() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    let long = "straw ".repeat(3_000);
    for _ in 0..10 {
        ada.publish("lobby", format!("needle {long}"));
    }
    let page = search(&mut ada, json!({"query": "needle", "limit": 1_000}));
    assert!(page.raw.len() <= server.config().limits.max_line, "{} bytes", page.raw.len());
    assert_eq!((bodies(&page).len(), &page["more"]), (3, &json!(true)));
}

#[test]
fn no_query_is_syntax() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "to be OR not to be, near the col:umn");
    for (query, finds) in [
        ("\" OR *", true),
        ("OR", true),
        ("plum OR be", false),
        ("NOT", true),
        ("NEAR(the col, 2)", false),
        ("col:umn", true),
        ("be* -not ^to", true),
        ("b*", false),
        ("lobby:\"be\" AND", false),
        ("\u{0}be\u{0}", true),
        ("{t}:be", false),
        ("_1", false),
    ] {
        let page = search(&mut ada, json!({"query": query}));
        assert_eq!(bodies(&page).len(), usize::from(finds), "{query}");
    }
}

#[test]
fn what_a_private_room_holds_is_found_by_those_alone_who_may_read_it() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "create", "room": "secret", "private": true}));
    ada.join("secret");
    for _ in 0..100 {
        ada.say("secret", "the needle");
    }
    ada.publish("open", "another needle");
    let mut eve = server.hello("eve");
    let page = search(&mut eve, json!({"query": "needle", "limit": 1}));
    assert_eq!((bodies(&page), &page["more"]), (vec!["another needle"], &json!(false)), "not even that there is more");
    assert!(!page.raw.contains("secret"));
    eve.refused(json!({"op": "search", "room": "secret", "query": "needle"}), "no_such_room");
    // A guest's private room is in memory, where nothing is searched.
    ada.refused(json!({"op": "search", "room": "secret", "query": "needle"}), "unavailable");
}

#[test]
fn what_was_redacted_is_not_found_from_then_on() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "needle one");
    ada.publish("lobby", "needle two");
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))).len(), 2);
    ada.done(json!({"op": "redact", "room": "lobby", "seq": 2}));
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle one"]);
    let page = ada.done(json!({"op": "history", "room": "lobby", "after": 1}));
    assert_eq!(page["messages"][0]["redacted"], true, "{}", page.raw);
    assert_eq!(bodies(&search(&mut ada, json!({"room": "lobby", "query": "two"}))), [""; 0]);
}

#[test]
fn what_was_said_before_a_restart_is_found_also_where_the_index_was_lost() {
    let data = TempDir::new().expect("the folder for temporary files can be written");
    let start = || TestServer::with(|config| data.path().clone_into(&mut config.data.dir));
    let server = start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "needle one");
    drop((ada, server));
    let server = start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "needle two");
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle two", "needle one"]);
    drop((ada, server));
    let index = data.path().join("search.db");
    std::fs::remove_file(&index).expect("there is one");
    let server = start();
    let mut ada = server.hello("ada");
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle two", "needle one"]);
    drop((ada, server));
    std::fs::write(&index, "no database at all").expect("it can be written");
    let server = start();
    let mut ada = server.hello("ada");
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle two", "needle one"]);
}

#[test]
fn a_reload_turns_the_search_of_rooms_off() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "needle");
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle"]);
    let mut config = server.config().clone();
    let mut quiet = rule("lobby");
    quiet.search = Some(false);
    config.rooms.push(quiet);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(server.reloader().reload(config));
    let until = Instant::now() + DEADLINE;
    while !bodies(&search(&mut ada, json!({"query": "needle"}))).is_empty() {
        assert!(Instant::now() < until, "the reload comes in time");
    }
    ada.refused(json!({"op": "search", "room": "lobby", "query": "needle"}), "unavailable");
}

#[test]
fn a_room_that_is_not_on_disk_or_not_searched_says_so_and_is_left_out() {
    let server = TestServer::with(|config| {
        let mut quiet = rule("quiet.*");
        quiet.search = Some(false);
        config.rooms.push(quiet);
    });
    let mut ada = server.hello("ada");
    ada.done(json!({"op": "create", "room": "brief", "history": "memory"}));
    for room in ["brief", "quiet.lab", "lobby"] {
        ada.publish(room, format!("needle in {room}"));
    }
    assert_eq!(bodies(&search(&mut ada, json!({"query": "needle"}))), ["needle in lobby"]);
    for (room, words) in [("brief", "brief is not kept on disk"), ("quiet.lab", "quiet.lab cannot be searched")] {
        let error = ada.refused(json!({"op": "search", "room": room, "query": "needle"}), "unavailable");
        assert!(error.text("message").starts_with(words), "{}", error.raw);
        assert_eq!((error.text("room"), error.text("op")), (room, "search"));
    }
}

#[test]
fn people_are_shown_what_is_found_as_they_are_shown_the_past() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    ada.publish("lobby", "first needle");
    ada.publish("lobby", "hay");
    ada.publish("lobby", "second needle");
    search(&mut ada, json!({"query": "needle"}));
    let mut person = TcpStream::connect(server.auto()).expect("it listens");
    person.set_read_timeout(Some(DEADLINE)).expect("a time-out");
    person
        .write_all(b"bob\n/join lobby\n/search Needle\n/search plum\n/search !?\n/search\n/quit\n")
        .expect("it reads");
    let lines: Vec<String> = BufReader::new(person).lines().map_while(Result::ok).collect();
    let shown = lines.join("\n");
    let found = shown.split("hay").nth(1).expect("the room's last ones come first");
    let places = ["ada: first needle", "ada: second needle", "#lobby has of it: 2."].map(|words| found.rfind(words));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
    for words in ["Nothing in #lobby has all these words.", "no letter or digit", "/search WORDS"] {
        assert!(found.contains(words), "{words}: {shown}");
    }
}

#[test]
fn many_searches_at_once_are_all_answered() {
    let server = TestServer::start();
    let mut ada = server.hello("ada");
    for number in 0..500 {
        ada.line(&format!(r#"{{"op":"send","room":"lobby","body":"needle {number}"}}"#));
    }
    search(&mut ada, json!({"query": "needle"}));
    let mut askers: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for asker in &mut askers {
        for id in 0..8 {
            asker.send(json!({"op": "search", "query": "needle 7", "id": id}));
        }
    }
    for asker in &mut askers {
        for id in 0..8 {
            let page = asker.expect("history");
            assert_eq!((page.number("id"), bodies(&page)), (id, vec!["needle 7"]));
        }
    }
}
