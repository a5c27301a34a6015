//! What each op takes, and what is said where it does not get it.

use super::{asked, decode, told};
use crate::model::Command;
use crate::protocol::json::JsonDecoder;
use crate::protocol::{Decoder, Intake};

#[test]
fn every_op_becomes_its_command() {
    let table = [
        (r#"{"op":"send","room":"a","body":{"x": 1}}"#, r#"None Send(Room("a"), None, {"x": 1}, None)"#),
        (r#"{"op":"send","to":"bob","body":null,"id":1}"#, r#"Int(1) Send(Direct("bob"), None, null, None)"#),
        (
            r#"{"op":"send","room":"a","headers":{ "k" : "v" },"body":"","idempotency_key":"k\u0031"}"#,
            r#"None Send(Room("a"), Some("{ \"k\" : \"v\" }"), "", Some("k1"))"#,
        ),
        (r#"{"op":"send","room":"a","to":null,"headers":{},"body":0}"#, r#"None Send(Room("a"), Some("{}"), 0, None)"#),
        (r#"{"op":"request","room":"a","body":1}"#, r#"None Request(Room("a"), None, 1, 5s)"#),
        (
            r#"{"op":"request","to":"bob","headers":{"a":"b"},"body":[],"timeout_ms":600000}"#,
            r#"None Request(Direct("bob"), Some("{\"a\":\"b\"}"), [], 600s)"#,
        ),
        (r#"{"op":"reply","req":"r1","body":[1]}"#, r#"None Reply(r1, None, Ok("[1]"))"#),
        (r#"{"op":"reply","req":"r1","headers":{},"error":"no\n"}"#, r#"None Reply(r1, Some("{}"), Err("\"no\\n\""))"#),
        (r#"{"op":"ack","room":"q","seq":5}"#, r#"None Ack(("q", [Seq(5)]))"#),
        (r#"{"op":"ack","room":"q","seq":[1, 2 ,	3]}"#, r#"None Ack(("q", [Seq(1), Seq(2), Seq(3)]))"#),
        (r#"{"op":"ack","room":"q","seq":[ ]}"#, r#"None Ack(("q", []))"#),
        (r#"{"op":"nack","room":"q","seq":5}"#, r#"None Nack(("q", [Seq(5)], 0ns))"#),
        (r#"{"op":"nack","room":"q","seq":[5.0],"delay_ms":250}"#, r#"None Nack(("q", [Seq(5)], 250ms))"#),
        (r#"{"op":"working","room":"q","seq":5}"#, r#"None Working(("q", [Seq(5)]))"#),
        (r#"{"op":"leave","room":"a.>"}"#, r#"None Leave(Pattern("a.>"))"#),
        (r#"{"op":"leave","to":"bob"}"#, r#"None Leave(Place(Direct("bob")))"#),
        (r#"{"op":"delete","room":"a"}"#, r#"None Delete("a")"#),
        (r#"{"op":"redact","room":"a","seq":7}"#, r#"None Redact("a", Seq(7))"#),
        (
            r#"{"op":"history","room":"a"}"#,
            r#"None History(History { place: Room("a"), after: None, before: None, since: None, until: None, limit: 50 })"#,
        ),
        (
            r#"{"op":"history","to":"bob","after":0,"before":9,"since":1,"until":2,"limit":1000}"#,
            r#"None History(History { place: Direct("bob"), after: Some(Seq(0)), before: Some(Seq(9)), since: Some(1), until: Some(2), limit: 1000 })"#,
        ),
        (r#"{"op":"who"}"#, "None Who(None, Page { after: None, limit: 1000 })"),
        (
            r#"{"op":"who","room":"a","after":"bob","limit":1}"#,
            r#"None Who(Some("a"), Page { after: Some("bob"), limit: 1 })"#,
        ),
        (
            r#"{"op":"rooms","pattern":"a.*","after":"a.b","limit":9}"#,
            r#"None Rooms(Some("a.*"), Page { after: Some("a.b"), limit: 9 })"#,
        ),
        (r#"{"op":"topic","room":"a"}"#, r#"None Topic("a", None)"#),
        (r#"{"op":"topic","room":"a","topic":""}"#, r#"None Topic("a", Some(""))"#),
        (r#"{"op":"nick","nick":"Ada"}"#, r#"None Nick("Ada")"#),
        (r#"{"op":"ping","id":"x"}"#, r#"Text("x") Ping"#),
        (r#"{"op":"quit","reason":"later"}"#, r#"None Quit { asked: true, reason: Some("later") }"#),
        (r#"{"op":"login","password":"x"}"#, r#"None Unsupported("login")"#),
        (r#"{"op":"search","query":"x"}"#, r#"None Search(Search { room: None, query: "x", until: None, limit: 50 })"#),
        (
            r#"{"op":"search","query":"\u0000 x","room":"A","until":9,"limit":1000}"#,
            r#"None Search(Search { room: Some("A"), query: "\0 x", until: Some(9), limit: 1000 })"#,
        ),
        (r#"{"op":"bans","room":"a"}"#, r#"None Unsupported("bans")"#),
        (r#"{"op":"\u0070ing"}"#, "None Ping"),
    ];
    for (line, command) in table {
        assert_eq!(asked(line), command, "{line}");
    }
    assert!(decode(br#"{"op":"pong","id":1}"#).asks.is_empty());
}

#[test]
fn hello_says_who_it_is_and_how_it_wants_to_be_treated() {
    let table = [
        (r#"{"op":"hello"}"#, "nick: None, has_credential: false, resume: None, echo: true, presence: false"),
        (
            r#"{"op":"hello","nick":"ada","password":"x","proto":1,"echo":false,"presence":true}"#,
            r#"nick: Some("ada"), has_credential: true, resume: None, echo: false, presence: true"#,
        ),
        (
            r#"{"op":"hello","token":"x","resume":"00112233445566778899aabbccddeeff"}"#,
            "nick: None, has_credential: true, resume: Some(SessionKey(..)), echo: true, presence: false",
        ),
        // What is no session's key resumes nothing.
        (
            r#"{"op":"hello","resume":"what?"}"#,
            "nick: None, has_credential: false, resume: None, echo: true, presence: false",
        ),
    ];
    for (line, hello) in table {
        assert_eq!(asked(line), format!("None Hello(Hello {{ {hello} }})"), "{line}");
    }
}

#[test]
fn a_heartbeat_is_set_by_hello() {
    let beat = |field: &str| {
        let mut intake = Intake::default();
        let line = format!("{{\"op\":\"hello\"{field}}}\n");
        JsonDecoder::new(&super::TERMS).decode(&mut line.as_bytes().into(), &mut intake);
        intake.heartbeat.map(|beat| beat.as_secs())
    };
    assert_eq!(beat(""), None);
    assert_eq!(beat(r#","heartbeat_s":30"#), Some(30));
    assert_eq!(beat(r#","heartbeat_s":30.0"#), Some(30));
    assert_eq!(beat(r#","heartbeat_s":0"#), None);
}

#[test]
fn a_join_says_what_as_and_from_where() {
    let table = [
        (r#""room":"a""#, r#"Place(Room("a")), part: None, start: Now, prefetch: None, ack_wait: None, stay: false"#),
        (
            r#""to":"bob","as":"observer","after":0"#,
            r#"Place(Direct("bob")), part: Some(Observer), start: After(Seq(0), None), prefetch: None, ack_wait: None, stay: false"#,
        ),
        (
            r#""room":"a","as":"worker","after":7,"epoch":"k3f","prefetch":1,"ack_wait_s":5,"stay":true"#,
            r#"Place(Room("a")), part: Some(Worker), start: After(Seq(7), Some(Epoch("k3f"))), prefetch: Some(1), ack_wait: Some(5s), stay: true"#,
        ),
        (
            r#""room":"*.x","as":"member","last":20"#,
            r#"Pattern("*.x"), part: Some(Member), start: Last(20), prefetch: None, ack_wait: None, stay: false"#,
        ),
        (
            r#""room":"a","since":1763631000123"#,
            r#"Place(Room("a")), part: None, start: Since(1763631000123), prefetch: None, ack_wait: None, stay: false"#,
        ),
    ];
    for (fields, join) in table {
        let line = format!(r#"{{"op":"join",{fields}}}"#);
        assert_eq!(asked(&line), format!("None Join(Join {{ target: {join} }})"), "{line}");
    }
}

#[test]
fn create_takes_settings_as_the_configuration_does() {
    let bare = r#"None Create(Create { room: "a", kind: None, history: None, topic: None, private: None, keep_messages: None, keep_bytes: None, keep_age: None, ack_wait: None, max_deliver: None })"#;
    assert_eq!(asked(r#"{"op":"create","room":"a","ack_wait_s":1}"#), bare);
    let line = r#"{"op":"create","room":"a","kind":"queue","history":"disk","topic":"t","private":true,"keep_messages":0,"keep_bytes":"1MiB","keep_age":"7d","ack_wait":"300ms","max_deliver":9}"#;
    let full = r#"None Create(Create { room: "a", kind: Some(Queue), history: Some(Disk), topic: Some("t"), private: Some(true), keep_messages: Some(0), keep_bytes: Some(1048576), keep_age: Some(604800s), ack_wait: Some(300ms), max_deliver: Some(9) })"#;
    assert_eq!(asked(line), full);
    assert!(
        asked(r#"{"op":"create","room":"a","keep_bytes":4096,"kind":"latest","history":"none"}"#)
            .contains("Some(4096)")
    );
}

const SEQ: &str = "`seq` must be a whole number from 1 to 9007199254740992, or an array of them";

const DURATION: &str = r#"`keep_age` must be a duration as text, such as \"300ms\", \"30s\" or \"7d\""#;

/// Each op, its fields, and what is wrong with them: said with the `id`, the op and the room.
fn refused(table: &[(&str, &str, &str)]) {
    for (op, fields, message) in table {
        let line = format!(r#"{{"op":"{op}","id":1,{fields}}}"#);
        let room = if fields.contains(r#""room":"a""#) { r#","room":"a""# } else { "" };
        let error = format!(r#"{{"ev":"error","id":1,"code":"bad_request","message":"{message}","op":"{op}"{room}}}"#);
        assert_eq!(told(&line), error, "{line}");
    }
}

#[test]
fn a_message_that_does_not_fit_is_told_why() {
    refused(&[
        ("send", r#""body":1"#, "`room` or `to` is missing"),
        ("send", r#""room":"a""#, "`body` is missing"),
        ("send", r#""room":"a","to":"b","body":1"#, "`room` and `to` exclude each other"),
        ("send", r#""room":5,"body":1"#, "`room` must be a string"),
        ("send", r#""room":"a","body":1,"headers":"x""#, "`headers` must be a flat object of strings"),
        ("send", r#""room":"a","body":1,"headers":{"x":1}"#, "`headers` must be a flat object of strings"),
        ("send", r#""room":"a","body":1,"headers":{"x":"y","z":{}}"#, "`headers` must be a flat object of strings"),
        ("send", r#""room":"a","body":1,"idempotency_key":"""#, "`idempotency_key` must be a string of 1 to 64 bytes"),
        ("send", r#""room":"a","body":1,"idempotency_key":5"#, "`idempotency_key` must be a string"),
        (
            "request",
            r#""room":"a","body":1,"timeout_ms":600001"#,
            "`timeout_ms` must be a whole number from 1 to 600000",
        ),
        ("request", r#""room":"a""#, "`body` is missing"),
        ("reply", r#""body":1"#, "`req` is missing"),
        ("reply", r#""req":"r""#, "`body` or `error` is missing"),
        ("reply", r#""req":"r","body":1,"error":"x""#, "`body` and `error` exclude each other"),
        ("reply", r#""req":"r","error":5"#, "`error` must be a string"),
        ("ack", r#""room":"a""#, "`seq` is missing"),
        ("ack", r#""seq":1"#, "`room` is missing"),
        ("ack", r#""room":"a","seq":0"#, SEQ),
        ("ack", r#""room":"a","seq":"1""#, SEQ),
        ("ack", r#""room":"a","seq":[1,"2"]"#, SEQ),
        ("ack", r#""room":"a","seq":[1,[2]]"#, SEQ),
        ("ack", r#""room":"a","seq":[1.5]"#, SEQ),
        ("nack", r#""room":"a","seq":1,"delay_ms":-1"#, "`delay_ms` must be a whole number from 0 to 86400000"),
    ]);
}

#[test]
fn a_hello_or_join_that_does_not_fit_is_told_why() {
    refused(&[
        ("hello", r#""nick":5"#, "`nick` must be a string"),
        ("hello", r#""password":5"#, "`password` must be a string"),
        ("hello", r#""password":"a","token":"b""#, "`password` and `token` exclude each other"),
        ("hello", r#""proto":2"#, "`proto` must be 1, which is what this server speaks"),
        ("hello", r#""proto":"1""#, "`proto` must be 1, which is what this server speaks"),
        ("hello", r#""echo":"no""#, "`echo` must be `true` or `false`"),
        ("hello", r#""heartbeat_s":86401"#, "`heartbeat_s` must be a whole number from 0 to 86400"),
        ("join", r#""room":"a","as":"king""#, "`as` must be one of `member`, `observer`, `worker`"),
        ("join", r#""room":"a","after":-1"#, "`after` must be a whole number from 0 to 9007199254740992"),
        ("join", r#""room":"a","after":1,"last":2"#, "`after`, `last`, `since` and `cursor` exclude each other"),
        ("join", r#""room":"a","after":1,"epoch":"K!""#, "`epoch` must be 1 to 16 of `a-z0-9`"),
        ("join", r#""room":"a.>","cursor":"x""#, "`cursor` must be one that this server gave"),
        ("join", r#""room":"a","prefetch":0"#, "`prefetch` must be a whole number from 1 to 65536"),
        ("join", r#""room":"a","ack_wait_s":0"#, "`ack_wait_s` must be a whole number from 1 to 86400"),
        ("join", r#""room":"a","stay":1"#, "`stay` must be `true` or `false`"),
    ]);
}

#[test]
fn settings_and_pages_that_do_not_fit_are_told_why() {
    refused(&[
        ("create", r#""room":"a","kind":"topic""#, "`kind` must be one of `fanout`, `queue`, `latest`"),
        ("create", r#""room":"a","history":"ram""#, "`history` must be one of `none`, `memory`, `disk`"),
        ("create", r#""room":"a","keep_age":7"#, DURATION),
        ("create", r#""room":"a","keep_age":"7 days""#, DURATION),
        ("create", r#""room":"a","ack_wait":"0s""#, "`ack_wait` must be longer than nothing"),
        (
            "create",
            r#""room":"a","keep_bytes":"1MB""#,
            r#"`keep_bytes` must be a number of bytes, or text such as \"64KiB\" or \"1MiB\""#,
        ),
        (
            "create",
            r#""room":"a","keep_bytes":-1"#,
            r#"`keep_bytes` must be a number of bytes, or text such as \"64KiB\" or \"1MiB\""#,
        ),
        ("create", r#""room":"a","max_deliver":0"#, "`max_deliver` must be a whole number from 1 to 1000000"),
        ("redact", r#""room":"a""#, "`seq` is missing"),
        ("history", r#""room":"a","limit":1001"#, "`limit` must be a whole number from 1 to 1000"),
        ("history", r#""room":"a","limit":0"#, "`limit` must be a whole number from 1 to 1000"),
        ("history", r#""room":"a","since":"noon""#, "`since` must be a whole number from 0 to 9007199254740992"),
        ("nick", "\"x\":1", "`nick` is missing"),
    ]);
}

#[test]
fn a_bad_name_is_said_with_its_field() {
    let table = [
        (
            "send",
            r#""room":"a b","body":1"#,
            "`room`: a name has letters and digits, and `_ - .` inside, not ' ' there",
        ),
        (
            "send",
            r##""room":"#a","body":1"##,
            "`room`: a name has letters and digits, and `_ - .` inside, not '#' there",
        ),
        ("send", r#""to":"","body":1"#, "`to`: a name has at least one letter or digit"),
        (
            "send",
            r#""room":"a.*","body":1"#,
            "`room`: `*` stands for one whole part of a room's name and `>` for all last parts",
        ),
        (
            "join",
            r#""room":"a.>.b""#,
            "`room`: `*` stands for one whole part of a room's name and `>` for all last parts",
        ),
        ("join", r#""room":"_sys""#, "`room`: names that begin with `_` are the server's"),
        ("hello", r#""nick":"a..b""#, "`nick`: dots separate the parts of a name, and none may be empty"),
        (
            "rooms",
            r#""pattern":"a.b*""#,
            "`pattern`: `*` stands for one whole part of a room's name and `>` for all last parts",
        ),
        (
            "rooms",
            r#""after":"*""#,
            "`after`: `*` stands for one whole part of a room's name and `>` for all last parts",
        ),
    ];
    for (op, fields, message) in table {
        let line = format!(r#"{{"op":"{op}",{fields}}}"#);
        let error = format!(r#"{{"ev":"error","code":"bad_name","message":"{message}","op":"{op}"}}"#);
        assert_eq!(told(&line), error, "{line}");
    }
}

#[test]
fn body_and_headers_leave_a_kibibyte_of_the_line_free() {
    let line = |headers: usize, body: usize| {
        let headers =
            if headers == 0 { String::new() } else { format!(r#""headers":{{"k":"{}"}},"#, "h".repeat(headers - 8)) };
        format!(r#"{{"op":"send","room":"a",{headers}"body":"{}"}}"#, "b".repeat(body - 2))
    };
    let max = 65_536 - 1_024;
    asked(&line(0, max));
    asked(&line(1_024, max - 1_024));
    for (headers, body, message) in [
        (0, max + 1, "`body` and `headers` together of 64513 bytes: at most 64512 fit"),
        (1_024, max - 1_023, "`body` and `headers` together of 64513 bytes: at most 64512 fit"),
        (1_025, 10, "`headers` of 1025 bytes: at most 1024 fit"),
    ] {
        let error = told(line(headers, body));
        assert_eq!(
            error,
            format!(r#"{{"ev":"error","code":"too_large","message":"{message}","op":"send","room":"a"}}"#)
        );
    }
}

#[test]
fn sends_to_one_room_share_its_name_from_batch_to_batch() {
    let mut decoder = JsonDecoder::new(&super::TERMS);
    let mut batch = |lines: &str| {
        let mut intake = Intake::default();
        decoder.decode(&mut lines.as_bytes().into(), &mut intake);
        let indices: Vec<u32> = intake
            .asks
            .iter()
            .filter_map(|ask| if let Command::Send(send) = &ask.command { Some(send.place) } else { None })
            .collect();
        (intake.places, indices)
    };
    let to = |place: &str| format!("{{\"op\":\"send\",{place},\"body\":1}}\n");
    let (room, nick) = (to(r#""room":"a""#), to(r#""to":"a""#));
    let (first, indices) = batch(&format!("{room}{room}{nick}{nick}{room}"));
    assert_eq!((first.len(), &indices[..]), (2, &[0, 0, 1, 1, 0][..]));
    let (second, indices) = batch(&format!("{room}{}{room}", to(r#""room":"A""#)));
    assert_eq!((second.len(), &indices[..]), (1, &[0, 0, 0][..]), "names are compared, not spelled");
    let room_of = |place: &crate::model::Place| match place {
        crate::model::Place::Room(room) => std::sync::Arc::as_ptr(room),
        crate::model::Place::Direct(nick) => panic!("{nick} is no room"),
    };
    assert_eq!(room_of(&first[0]), room_of(&second[0]), "the name was read once");
    let many: String = (0..5_000).map(|room| to(&format!(r#""room":"r{room}""#))).collect();
    assert_eq!(batch(&many).0.len(), 5_000);
}
