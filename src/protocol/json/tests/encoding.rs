//! What is written, byte for byte.

use std::sync::Arc;

use super::messages::{LINES, chunk, nick, place, room, sender};
use super::{decode, written};
use crate::model::{
    ByeReason, Code, Epoch, ErrorEvent, Event, HistoryPage, Kind, MemberInfo, OkEvent, Pattern, Place, RoomInfo, Seq,
    SessionKey, Tag, Welcome,
};

#[test]
fn answers_have_the_keys_of_the_contract_in_its_order() {
    let id = || Tag::Int(3);
    let sent = |tag, at, dup| Event::Sent { tag, place: at, seq: Seq(42), ts: 1_763_631_002_456, dup };
    let ok = |event| Event::Ok(id(), Box::new(event));
    let refused = ErrorEvent {
        code: Code::RateLimited,
        message: "slow \"down\"\n".into(),
        op: Some("send".into()),
        room: Some(room("lobby")),
        retry_after_ms: Some(250),
    };
    let table = [
        (sent(id(), place("lobby"), false), r#"{"ev":"ok","id":3,"room":"lobby","seq":42,"ts":1763631002456}"#),
        (
            sent(Tag::Text("a\"b".into()), Place::Direct(nick("bob")), true),
            r#"{"ev":"ok","id":"a\"b","to":"bob","seq":42,"ts":1763631002456,"dup":true}"#,
        ),
        (ok(OkEvent::default()), r#"{"ev":"ok","id":3}"#),
        (
            ok(OkEvent {
                place: Some(place("lobby")),
                seq: Some(Seq(41)),
                epoch: Some(Epoch("k3f".into())),
                ..OkEvent::default()
            }),
            r#"{"ev":"ok","id":3,"room":"lobby","seq":41,"epoch":"k3f"}"#,
        ),
        (
            ok(OkEvent {
                op: "join",
                pattern: Some(Arc::new(Pattern::parse("a.>").expect("a pattern"))),
                reset: true,
                existed: true,
                topic: Some("t".into()),
                ..OkEvent::default()
            }),
            r#"{"ev":"ok","id":3,"room":"a.>","reset":true,"existed":true,"topic":"t"}"#,
        ),
        (
            Event::Error(id(), Box::new(refused)),
            r#"{"ev":"error","id":3,"code":"rate_limited","message":"slow \"down\"\n","op":"send","room":"lobby","retry_after_ms":250}"#,
        ),
        (
            Event::Error(Tag::None, Box::new(ErrorEvent::new(Code::Internal, "oh"))),
            r#"{"ev":"error","code":"internal","message":"oh"}"#,
        ),
    ];
    for (event, line) in table {
        assert_eq!(written(event), format!("{line}\n"));
    }
}

#[test]
fn replies_and_farewells_have_them_too() {
    let id = || Tag::Int(3);
    let table = [
        (
            Event::Reply {
                tag: id(),
                sender: sender("bob", Some("bob")),
                ts: 5,
                headers: None,
                result: Ok("[1]".into()),
            },
            r#"{"ev":"reply","id":3,"from":"bob","ts":5,"body":[1]}"#,
        ),
        (
            Event::Reply {
                tag: Tag::None,
                sender: sender("bob", None),
                ts: 5,
                headers: Some("{}".into()),
                result: Err("\"no\"".into()),
            },
            r#"{"ev":"reply","from":"bob","ts":5,"headers":{},"error":"no"}"#,
        ),
        (Event::Pong(Tag::None), r#"{"ev":"pong"}"#),
        (Event::Pong(Tag::Int(-1)), r#"{"ev":"pong","id":-1}"#),
        (
            Event::Bye { tag: id(), reason: ByeReason::Quit, reconnect_ms: None },
            r#"{"ev":"bye","id":3,"reason":"quit"}"#,
        ),
        (
            Event::Bye { tag: Tag::None, reason: ByeReason::Shutdown, reconnect_ms: Some(500) },
            r#"{"ev":"bye","reason":"shutdown","reconnect_ms":500}"#,
        ),
    ];
    for (event, line) in table {
        assert_eq!(written(event), format!("{line}\n"));
    }
}

#[test]
fn a_welcome_says_who_one_is_and_what_waits() {
    let welcome = |account: Option<&str>, unread| {
        Event::Welcome(
            Tag::Int(1),
            Box::new(Welcome {
                nick: nick("Ada"),
                account: account.map(Into::into),
                session: SessionKey(0xAB),
                resumed: account.is_some(),
                unread,
                max_line: 65_536,
            }),
        )
    };
    let server = concat!("linehub/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        written(welcome(None, vec![])),
        format!(
            r#"{{"ev":"welcome","id":1,"nick":"Ada","session":"000000000000000000000000000000ab","server":"{server}","proto":1,"resumed":false,"unread":[],"limits":{{"max_line":65536}}}}"#
        ) + "\n"
    );
    assert_eq!(
        written(welcome(Some("ada"), vec![(nick("bob"), 2), (nick("eve"), 1)])),
        format!(
            r#"{{"ev":"welcome","id":1,"nick":"Ada","account":"ada","session":"000000000000000000000000000000ab","server":"{server}","proto":1,"resumed":true,"unread":[{{"nick":"bob","count":2}},{{"nick":"eve","count":1}}],"limits":{{"max_line":65536}}}}"#
        ) + "\n"
    );
}

#[test]
fn news_have_the_keys_of_the_contract_in_its_order() {
    let by = || nick("eve");
    let table = [
        (
            Event::Request {
                place: Place::Direct(nick("bob")),
                req: "r1".into(),
                sender: sender("ada", Some("ada")),
                ts: 5,
                headers: Some(r#"{"k":"v"}"#.into()),
                body: "1".into(),
            },
            r#"{"ev":"request","to":"bob","req":"r1","from":"ada","account":"ada","ts":5,"headers":{"k":"v"},"body":1}"#,
        ),
        (
            Event::Request {
                place: place("jobs"),
                req: "r1".into(),
                sender: sender("ada", None),
                ts: 5,
                headers: None,
                body: "{}".into(),
            },
            r#"{"ev":"request","room":"jobs","req":"r1","from":"ada","ts":5,"body":{}}"#,
        ),
        (Event::Joined { room: room("a"), nick: nick("bob") }, r#"{"ev":"joined","room":"a","nick":"bob"}"#),
        (
            Event::Left { room: room("a"), nick: nick("bob"), reason: None, by: None },
            r#"{"ev":"left","room":"a","nick":"bob"}"#,
        ),
        (
            Event::Left { room: room("a"), nick: nick("bob"), reason: Some("kicked".into()), by: Some(by()) },
            r#"{"ev":"left","room":"a","nick":"bob","reason":"kicked","by":"eve"}"#,
        ),
        (Event::Nick { nick: nick("bob"), was: nick("rob") }, r#"{"ev":"nick","nick":"bob","was":"rob"}"#),
        (
            Event::Topic { room: room("a"), topic: "x\u{1b}\\".into(), by: by() },
            r#"{"ev":"topic","room":"a","topic":"x\u001b\\","by":"eve"}"#,
        ),
        (
            Event::Redacted { room: room("a"), seq: Seq(7), by: by() },
            r#"{"ev":"redacted","room":"a","seq":7,"by":"eve"}"#,
        ),
        (
            Event::Lagged { place: place("a"), missed: 5, next: Seq(9), presence: false },
            r#"{"ev":"lagged","room":"a","missed":5,"next":9}"#,
        ),
        (
            Event::Lagged { place: place("a"), missed: 0, next: Seq(9), presence: true },
            r#"{"ev":"lagged","room":"a","missed":0,"next":9,"presence":true}"#,
        ),
        (
            Event::Gap { place: place("a"), first: Seq(1), last: Seq(4) },
            r#"{"ev":"gap","room":"a","first":1,"last":4}"#,
        ),
        (Event::Ping, r#"{"ev":"ping"}"#),
    ];
    for (event, line) in table {
        assert_eq!(written(event), format!("{line}\n"));
    }
}

#[test]
fn listings_are_arrays_in_their_order() {
    let page = |messages, reset| {
        let place = place("lobby");
        let page = HistoryPage { place, seq: Seq(43), epoch: Epoch("k3f".into()), reset, messages, more: reset };
        Event::History(Tag::Int(1), Box::new(page))
    };
    let chunk = chunk(&place("lobby"));
    let bare = LINES.map(|line| line.replace(r#""ev":"message","#, "")).join(",");
    let member = |name, account: Option<&str>, role| MemberInfo {
        nick: nick(name),
        account: account.map(Into::into),
        role,
        idle_s: 3,
    };
    let info = |name, topic: Option<&str>, private| RoomInfo {
        room: room(name),
        kind: Kind::Queue,
        members: 2,
        seq: Seq(9),
        epoch: Epoch("k3f".into()),
        topic: topic.map(Into::into),
        private,
    };
    let table = [
        (
            page(vec![], false),
            r#"{"ev":"history","id":1,"room":"lobby","seq":43,"epoch":"k3f","messages":[],"more":false}"#.to_owned(),
        ),
        (
            page((0..3).map(|line| (Arc::clone(&chunk), line)).collect(), true),
            format!(
                r#"{{"ev":"history","id":1,"room":"lobby","seq":43,"epoch":"k3f","reset":true,"messages":[{bare}],"more":true}}"#
            ),
        ),
        (
            Event::Who { tag: Tag::None, room: None, members: vec![], more: false },
            r#"{"ev":"who","members":[],"more":false}"#.to_owned(),
        ),
        (
            Event::Who {
                tag: Tag::Int(1),
                room: Some(room("a")),
                members: vec![member("ada", Some("ada"), "owner"), member("bob", None, "member")],
                more: true,
            },
            r#"{"ev":"who","id":1,"room":"a","members":[{"nick":"ada","account":"ada","role":"owner","idle_s":3},{"nick":"bob","role":"member","idle_s":3}],"more":true}"#.to_owned(),
        ),
        (
            Event::Rooms { tag: Tag::Int(1), rooms: vec![info("a", Some("t"), true), info("b", None, false)], more: false },
            r#"{"ev":"rooms","id":1,"rooms":[{"room":"a","kind":"queue","members":2,"seq":9,"epoch":"k3f","topic":"t","private":true},{"room":"b","kind":"queue","members":2,"seq":9,"epoch":"k3f"}],"more":false}"#.to_owned(),
        ),
    ];
    for (event, line) in table {
        assert_eq!(written(event), format!("{line}\n"));
    }
}

#[test]
fn an_ok_nobody_asked_for_and_bytes_of_other_protocols_are_not_written() {
    let place = place("a");
    assert_eq!(written(Event::Ok(Tag::None, Box::default())), "");
    assert_eq!(written(Event::Sent { tag: Tag::None, place, seq: Seq(1), ts: 1, dup: false }), "");
    assert_eq!(written(Event::Raw("hello".into())), "");
}

#[test]
fn errors_about_the_longest_lines_are_short() {
    let long = "\\u0001".repeat(10_900);
    for line in [format!(r#"{{"op":"{long}"}}"#), format!(r#"{{"op":"send","room":"{long}"}}"#), "x".repeat(65_535)] {
        for error in decode(line.as_bytes()).told {
            assert!(error.len() < 600, "{error}");
        }
    }
}
