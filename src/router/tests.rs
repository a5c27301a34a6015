//! What only plain calls can reach: accounts, who owns a room, and what time brings about.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{Connect, Message, Now, Parcel, Router};
use crate::config::{Config, RoomRule};
use crate::model::{ByeReason, ConnId, HistoryKind, Identity, Pattern, RoomName, Sender};
use crate::outbox::{Drain, Source, Total, Written, outbox};
use crate::protocol::json::{JsonDecoder, JsonEncoder};
use crate::protocol::{Decoder, Encoder, Output, Terms};
use crate::sessions::Sessions;

mod disk;
mod ending;
mod redacted;
mod search;
mod siege;
mod unread;

const TERMS: Terms = Terms { max_line: 65_536, max_errors: 10 };

/// A router, the time that it is told, and the other ends of its connections.
struct Stage {
    router: Router,
    now: Now,
    ends: HashMap<u64, (Source, Drain)>,
    total: Arc<Total>,
}

impl Stage {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let total = Arc::new(Total::default());
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        let router = Router::new(Arc::new(config), Arc::new(Sessions::default()), Arc::clone(&total), now);
        Self { router, now, ends: HashMap::new(), total }
    }

    /// Lets a guest in; what its `welcome` says.
    fn guest(&mut self, conn: u64, nick: &str) -> String {
        self.enters(conn, &format!(r#"{{"op":"hello","nick":"{nick}"}}"#))
    }

    /// Lets somebody in who begins with these lines; what it is told.
    fn enters(&mut self, conn: u64, lines: &str) -> String {
        self.arrives(conn);
        self.says(conn, lines)
    }

    /// Lets one in who has not said anything.
    fn arrives(&mut self, conn: u64) {
        let (outbox, source, drain) = outbox(1 << 20, 256 << 10, &self.total);
        self.ends.insert(conn, (source, drain));
        self.router.handle(Message::Connect(Box::new(Connect { conn: ConnId(conn), outbox })));
    }

    /// Lets someone in who proved to be an account.
    fn account(&mut self, conn: u64, nick: &str) {
        self.guest(conn, nick);
        let there = self.router.conns.get_mut(&ConnId(conn)).expect("it came just now");
        let (nick, name) = (Arc::clone(there.nick()), Arc::<str>::from(nick));
        let identity = Identity::Account(Arc::clone(&name));
        there.rename(Sender { conn: ConnId(conn), identity, nick, account: Some(name) });
    }

    /// Has a connection say lines, in one batch; what it is told.
    fn says(&mut self, conn: u64, lines: &str) -> String {
        let mut input = BytesMut::from(format!("{lines}\n").as_bytes());
        let mut decoder = JsonDecoder::new(&TERMS);
        while !input.is_empty() {
            let mut parcel = Parcel::new(ConnId(conn));
            decoder.decode(&mut input, &mut parcel.intake);
            assert!(parcel.intake.events.is_empty(), "{lines} can be read");
            let (source, _) = &self.ends[&conn];
            let reserved = tokio_test::task::spawn(source.reserve(parcel.intake.claim, 0)).poll();
            assert_eq!(reserved, Poll::Ready(true), "there is room for the answers");
            self.router.handle(Message::Parcel(parcel));
        }
        self.router.settle();
        self.hears(conn)
    }

    /// What a connection was told meanwhile.
    fn hears(&mut self, conn: u64) -> String {
        written(&mut self.ends.get_mut(&conn).expect("it came").1)
    }

    /// Lets time go by.
    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.router.at(self.now);
        self.router.expire();
        self.router.settle();
    }
}

/// What waits in an outbox, as a client reads it.
fn written(drain: &mut Drain) -> String {
    let (mut output, mut written) = (Output::default(), Written::default());
    while let Some(item) = drain.try_next() {
        written.add(&item);
        JsonEncoder.encode(item, &mut output);
    }
    drain.written(written);
    String::from_utf8(output.slices().concat()).expect("it is UTF-8")
}

/// A rule for some rooms that sets nothing.
fn rule(pattern: &str) -> RoomRule {
    RoomRule::new(Pattern::parse(pattern).expect("the test names a pattern"))
}

#[test]
fn the_account_that_brings_a_room_into_being_owns_it() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.account(2, "bob");
    stage.says(1, r#"{"op":"join","room":"lobby"}"#);
    stage.says(2, r#"{"op":"join","room":"lobby"}"#);
    let who = stage.says(1, r#"{"op":"who","room":"lobby"}"#);
    assert!(who.contains(r#"{"nick":"ada","account":"ada","role":"owner","#), "{who}");
    assert!(who.contains(r#"{"nick":"bob","account":"bob","role":"member","#), "{who}");
    let refused = stage.says(2, r#"{"op":"topic","room":"lobby","topic":"mine"}"#);
    assert!(refused.contains(r#""code":"forbidden""#), "{refused}");
    assert_eq!(stage.says(1, r#"{"op":"topic","room":"lobby","topic":"mine"}"#), "");
    assert!(stage.hears(2).contains(r#"{"ev":"topic","room":"lobby","topic":"mine","by":"ada"}"#));
}

#[test]
fn an_owner_redacts_what_others_said_and_they_do_not() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.account(2, "bob");
    stage.says(1, r#"{"op":"join","room":"lobby"}"#);
    stage.says(1, r#"{"op":"send","room":"lobby","body":1}"#);
    stage.says(2, r#"{"op":"send","room":"lobby","body":2}"#);
    let refused = stage.says(2, r#"{"op":"redact","room":"lobby","seq":1,"id":1}"#);
    assert!(refused.contains(r#""code":"forbidden""#), "{refused}");
    assert_eq!(stage.says(1, r#"{"op":"redact","room":"lobby","seq":2}"#).lines().count(), 1, "bob's message alone");
    let page = stage.says(2, r#"{"op":"history","room":"lobby"}"#);
    assert!(page.contains(r#""body":null,"redacted":true}"#), "{page}");
}

#[test]
fn everyone_in_a_deleted_room_is_told_and_the_room_begins_anew() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.guest(2, "bob");
    stage.guest(3, "eve");
    let before = stage.says(1, r#"{"op":"join","room":"lobby","id":1}"#);
    stage.says(2, r#"{"op":"join","room":"lobby","as":"worker"}"#);
    stage.says(3, r#"{"op":"request","room":"lobby","body":1,"id":"r"}"#);
    stage.hears(2);
    let refused = stage.says(2, r#"{"op":"delete","room":"lobby"}"#);
    assert!(refused.contains(r#""code":"forbidden""#), "{refused}");
    assert_eq!(
        stage.says(1, r#"{"op":"delete","room":"lobby","id":2}"#),
        "{\"ev\":\"ok\",\"id\":2,\"room\":\"lobby\"}\n"
    );
    let left = r#"{"ev":"left","room":"lobby","nick":"bob","reason":"deleted","by":"ada"}"#;
    assert_eq!(stage.hears(2), format!("{left}\n"));
    let failed = stage.hears(3);
    assert!(failed.starts_with(r#"{"ev":"error","id":"r","code":"no_responders""#), "{failed}");
    let after = stage.says(1, r#"{"op":"join","room":"lobby","id":1}"#);
    assert!(after.contains(r#""seq":0"#), "{after}");
    assert_ne!(before, after, "the numbering is another");
}

#[test]
fn settings_of_a_room_are_changed_by_its_owner_only_once_it_has_one() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.account(2, "bob");
    stage.says(1, r#"{"op":"create","room":"lobby"}"#);
    stage.says(1, r#"{"op":"send","room":"lobby","body":1}"#);
    let refused = stage.says(2, r#"{"op":"create","room":"lobby","keep_messages":1,"id":1}"#);
    assert!(refused.contains(r#""code":"room_exists""#), "{refused}");
    let changed = stage.says(1, r#"{"op":"create","room":"lobby","keep_messages":1,"id":1}"#);
    assert_eq!(changed, "{\"ev\":\"ok\",\"id\":1,\"room\":\"lobby\"}\n");
    let kept = stage.says(1, r#"{"op":"create","room":"lobby","kind":"queue","id":2}"#);
    assert!(kept.contains(r#""code":"room_exists""#), "a room with messages keeps its kind: {kept}");
}

#[test]
fn a_key_counts_for_one_account_and_for_all_guests_together() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.guest(2, "bob");
    stage.guest(3, "eve");
    let send = r#"{"op":"send","room":"lobby","body":1,"idempotency_key":"k","id":1}"#;
    let mut is_dup = |conn| stage.says(conn, send).contains(r#""dup":true"#);
    assert_eq!([is_dup(1), is_dup(2), is_dup(3), is_dup(1)], [false, false, true, true]);
}

#[test]
fn a_key_is_forgotten_when_its_window_is_over() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    let send = r#"{"op":"send","room":"lobby","body":1,"idempotency_key":"k","id":1}"#;
    stage.says(1, send);
    stage.pass(Duration::from_millis(119_999));
    assert!(stage.says(1, send).contains(r#""seq":1,"ts":1000000,"dup":true"#));
    stage.pass(Duration::from_millis(1));
    assert!(stage.says(1, send).ends_with("\"seq\":2,\"ts\":1120000}\n"));
}

#[test]
fn an_empty_room_without_history_stands_for_its_keys_and_no_longer() {
    let rule = RoomRule { history: Some(HistoryKind::None), ..rule("brief") };
    let mut stage = Stage::with(Config { rooms: vec![rule], ..Config::default() });
    stage.guest(1, "ada");
    let send = r#"{"op":"send","room":"brief","body":1,"idempotency_key":"k","id":1}"#;
    stage.says(1, send);
    stage.pass(Duration::from_millis(119_999));
    assert!(stage.says(1, send).contains(r#""dup":true"#));
    stage.pass(Duration::from_millis(1));
    assert!(stage.says(1, r#"{"op":"rooms"}"#).contains(r#""rooms":[]"#));
}

#[test]
fn a_session_can_be_resumed_until_its_window_is_over() {
    for (waited, resumed) in [(119_999, true), (120_000, false)] {
        let mut stage = Stage::new();
        stage.guest(1, "ada");
        stage.says(1, r#"{"op":"join","room":"lobby"}"#);
        let key = stage.router.conns[&ConnId(1)].key.expect("it was welcomed");
        stage.router.handle(Message::Close(ConnId(1), ByeReason::Idle));
        stage.router.settle();
        stage.pass(Duration::from_millis(waited));
        let (outbox, source, drain) = outbox(1 << 20, 256 << 10, &stage.total);
        stage.ends.insert(2, (source, drain));
        stage.router.handle(Message::Connect(Box::new(Connect { conn: ConnId(2), outbox })));
        let welcome = stage.says(2, &format!(r#"{{"op":"hello","resume":"{key}"}}"#));
        assert!(welcome.contains(&format!(r#""resumed":{resumed}"#)), "after {waited} ms: {welcome}");
        assert_eq!(welcome.contains(r#""nick":"ada""#), resumed);
    }
}

#[test]
fn a_request_without_an_answer_times_out_when_its_time_is_up() {
    let mut stage = Stage::new();
    stage.guest(1, "worker");
    stage.guest(2, "ada");
    stage.says(1, r#"{"op":"join","room":"svc","as":"worker"}"#);
    assert_eq!(stage.says(2, r#"{"op":"request","room":"svc","body":1,"id":1}"#), "");
    stage.pass(Duration::from_millis(4_999));
    assert_eq!(stage.hears(2), "");
    stage.pass(Duration::from_millis(1));
    assert!(stage.hears(2).starts_with(r#"{"ev":"error","id":1,"code":"timeout","#));
    assert!(stage.router.next_deadline().is_none(), "nothing is left to wait for");
}

#[test]
fn a_clock_that_goes_back_takes_no_message_along() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    let send = r#"{"op":"send","room":"lobby","body":1,"id":1}"#;
    assert!(stage.says(1, send).contains(r#""ts":1000000"#));
    stage.now.unix_ms -= 500_000;
    stage.router.at(stage.now);
    assert!(stage.says(1, send).contains(r#""ts":1000000"#));
}

#[test]
fn nothing_is_left_of_connections_that_have_gone() {
    let mut stage = Stage::new();
    for conn in 1..=3 {
        stage.guest(conn, &format!("nick{conn}"));
        stage.says(conn, r#"{"op":"join","room":"svc","as":"worker"}"#);
        stage.says(conn, r#"{"op":"join","room":"a.*"}"#);
    }
    stage.says(1, r#"{"op":"request","room":"svc","body":1}"#);
    stage.says(1, r#"{"op":"send","to":"nick2","body":1}"#);
    for conn in 1..=3 {
        stage.router.handle(Message::Close(ConnId(conn), ByeReason::Idle));
    }
    stage.router.settle();
    stage.pass(Duration::from_secs(120));
    let router = &stage.router;
    assert_eq!((router.conns.len(), router.halls.count(), router.halls.count_direct()), (0, 0, 0));
    assert_eq!((router.halls.history_bytes, router.next_deadline()), (0, None));
}
