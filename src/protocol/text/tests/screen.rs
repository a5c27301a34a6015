//! What comes from the server, and what is seen of it.

use super::*;
use crate::model::{ByeReason, Code, Epoch, ErrorEvent, HistoryPage, Kind, MemberInfo, OkEvent, RoomInfo};
use crate::protocol::text::mark::Mark;

const DAY: &str = "— Friday 21 November 2025 —";

/// What a message looks like to ada, without the day.
fn shown(at: &str, from: &str, body: &str) -> Vec<String> {
    let lines = Terminal::in_lobby().feed(&said(at, &[(from, body)])).lines();
    assert_eq!(lines[0], DAY);
    lines[1..].to_vec()
}

#[test]
fn a_message_reads_as_what_it_is() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        ("lobby", "bob", r#""hello""#, &["14:05 [lobby] bob: hello"]),
        ("lobby", "bob", r#""""#, &["14:05 [lobby] bob: "]),
        ("lobby", "bob", r#""say \"hi\" \u00e9""#, &[r#"14:05 [lobby] bob: say "hi" é"#]),
        ("lobby", "bob", r#""/me waves""#, &["14:05 [lobby] * bob waves"]),
        ("lobby", "bob", r#""/meow""#, &["14:05 [lobby] bob: /meow"]),
        ("lobby", "bob", r#"{"temp": 21.5}"#, &[r#"14:05 [lobby] bob: {"temp": 21.5}"#]),
        ("lobby", "bob", "null", &["14:05 [lobby] -- message 42 of bob was taken back"]),
        ("lobby", "bob", r#""one\r\ntwo\n""#, &["14:05 [lobby] bob: one", "14:05 [lobby] bob: two"]),
        ("lobby", "bob", r#""/me a\nb""#, &["14:05 [lobby] * bob a", "14:05 [lobby] * bob b"]),
        (
            "lobby",
            "bob",
            r#""a\n-- you are banned""#,
            &["14:05 [lobby] bob: a", "14:05 [lobby] bob: -- you are banned"],
        ),
        ("lobby", "bob", r#""\u001b[2Ja\rb\u202e""#, &[r"14:05 [lobby] bob: \u001b[2Ja\u000db\u202e"]),
        ("@ada", "bob", r#""psst""#, &["14:05 [bob → you]: psst"]),
        ("@ada", "bob", r#""/me winks""#, &["14:05 [bob → you] * bob winks"]),
        ("@ada", "You", r#""psst""#, &["14:05 [@You → you]: psst"]),
        ("@bob", "ada", r#""psst""#, &["14:05 [you → bob]: psst"]),
    ];
    for (at, from, body, lines) in table {
        assert_eq!(shown(at, from, body), *lines, "{body}");
    }
}

#[test]
fn a_long_text_is_shortened_and_shown_whole_on_demand() {
    let body = |chars: usize| quoted(&"é".repeat(chars));
    assert_eq!(shown("lobby", "bob", &body(500))[0].chars().count(), "14:05 [lobby] bob: ".len() + 500);
    let line = &shown("lobby", "bob", &body(500 + 30_511))[0];
    assert!(line.ends_with("é… +61,022 bytes: /show 42"), "{line}");
    assert!(shown("lobby", "bob", &format!("[{}1]", "1,".repeat(300)))[0].ends_with("… +103 bytes: /show 42"));

    let mut terminal = Terminal::in_lobby();
    terminal.feed(&said("ops", &[("bob", &body(600))])).clear();
    assert_eq!(terminal.types("/show 42\n").asked(), ["history #ops (Some(41), Some(43)) (false, false) 1"]);
    terminal.feed(&said("@ada", &[("bob", &body(600))])).clear();
    assert_eq!(terminal.types("/show 42\n").asked(), ["history @bob (Some(41), Some(43)) (false, false) 1"]);
    let page = page("ops", vec![(said("ops", &[("bob", &body(600))]), 0)]);
    let lines = terminal.event(Event::History(Mark::Show.tag(), Box::new(page))).lines();
    assert_eq!(lines, [format!("14:05 [ops] bob: {}", "é".repeat(600))]);
}

fn page(at: &str, messages: Vec<(Arc<Chunk>, u32)>) -> HistoryPage {
    let epoch = Epoch::from_random(1);
    HistoryPage { place: place(at), seq: Seq(42), epoch, reset: false, messages, more: false }
}

#[test]
fn everyone_on_the_same_clock_shares_the_same_bytes() {
    let chunk = said("lobby", &[("bob", r#""a""#), ("cy", r#""b""#), ("bob", r#""c""#)]);
    let mut pointers = Vec::new();
    for zone in ["UTC", "+00:00", "Europe/London", "+01:00"] {
        let mut terminal = Terminal::in_lobby();
        terminal.types(format!("/tz {zone}\n")).feed(&chunk);
        let mut out = Output::default();
        let item = Item::Feed { chunk: Arc::clone(&chunk), from: 0, to: 3, replay: false };
        terminal.encoder.encode(item, &mut out);
        assert_eq!(out.slices().len(), 1, "one slice for the whole chunk");
        pointers.push(out.slices()[0].as_ptr());
    }
    assert!(pointers[0] == pointers[1] && pointers[1] == pointers[2] && pointers[2] != pointers[3]);
}

#[test]
fn a_new_day_has_a_line_wherever_it_falls() {
    let night = FIVE_PAST_TWO + (9 * 60 + 54) * 60_000;
    let messages = [("bob", r#""a""#, FIVE_PAST_TWO), ("bob", r#""b""#, night), ("bob", r#""c""#, night + 60_000)];
    let chunk = said_at("lobby", 1, &messages);
    let mut terminal = Terminal::in_lobby();
    let next = "— Saturday 22 November 2025 —";
    assert_eq!(
        terminal.feed(&chunk).lines(),
        [DAY, "14:05 [lobby] bob: a", "23:59 [lobby] bob: b", next, "00:00 [lobby] bob: c"]
    );
    assert_eq!(terminal.types("/tz +02:00\n").lines().len(), 1);
    assert_eq!(
        terminal.feed(&chunk).lines(),
        [DAY, "16:05 [lobby] bob: a", next, "01:59 [lobby] bob: b", "02:00 [lobby] bob: c"]
    );
}

#[test]
fn whom_one_ignores_is_cut_out_and_stays_ignored_under_another_name() {
    let mut terminal = Terminal::in_lobby();
    terminal.types("/ignore BOB\n").clear();
    let talk = [("bob", r#""1""#), ("cy", r#""2""#), ("bob", r#""3""#), ("bob", r#""4""#), ("cy", r#""5""#)];
    assert_eq!(terminal.feed(&said("lobby", &talk)).lines(), [DAY, "14:05 [lobby] cy: 2", "14:05 [lobby] cy: 5"]);
    assert!(terminal.feed(&said("@ada", &[("bob", r#""psst""#)])).lines().is_empty());
    assert!(terminal.event(Event::Nick { nick: nick("rob"), was: nick("bob") }).lines().is_empty());
    assert!(terminal.feed(&said("lobby", &[("rob", r#""6""#)])).lines().is_empty());
    terminal.types("/r hi\n/unignore rob\n");
    assert!(terminal.asked().is_empty(), "an ignored one is not answered either");
    terminal.clear();
    assert_eq!(terminal.feed(&said("lobby", &[("rob", r#""7""#)])).lines(), ["14:05 [lobby] rob: 7"]);
}

#[test]
fn a_direct_message_is_answered_with_r() {
    let mut terminal = Terminal::in_lobby();
    terminal.feed(&said("@ada", &[("bob", r#""psst""#)])).feed(&said("@cy", &[("ada", r#""hm""#)]));
    assert_eq!(terminal.types("/r what?\n").asked(), [r#"send @bob "what?""#]);
    terminal.clear();
    let sent = Event::Sent { tag: Mark::Reply.tag(), place: place("@bob"), seq: Seq(1), ts: 0, dup: false };
    assert_eq!(terminal.event(sent).lines(), ["-- To bob."]);
}

fn moved(name: &str, came: bool) -> Event {
    if came {
        Event::Joined { room: room("lobby"), nick: nick(name) }
    } else {
        Event::Left { room: room("lobby"), nick: nick(name), reason: None, by: None }
    }
}

#[test]
fn comings_and_goings_are_one_line_and_told_before_one_of_them_speaks() {
    let mut terminal = Terminal::in_lobby();
    terminal.event(moved("bob", true)).event(moved("cy", true)).event(moved("eve", false));
    assert!(terminal.encoder.pending_until().is_some() && terminal.lines().is_empty());
    assert_eq!(terminal.waits().lines(), ["-- #lobby: bob and cy joined; eve left"]);
    assert!(terminal.encoder.pending_until().is_none());

    terminal.event(moved("dan", true));
    let lines =
        terminal.feed(&said("lobby", &[("bob", r#""hi""#)])).feed(&said("lobby", &[("dan", r#""hi""#)])).lines();
    assert_eq!(lines, [DAY, "14:05 [lobby] bob: hi", "-- #lobby: dan joined", "14:05 [lobby] dan: hi"]);

    terminal.types("/presence off\n").clear();
    assert!(terminal.event(moved("dan", false)).waits().lines().is_empty());
}

#[test]
fn one_who_is_put_out_of_the_room_is_told_and_speaks_there_no_more() {
    let mut terminal = Terminal::in_lobby();
    let reason = Some("for\nnow".into());
    terminal.event(Event::Left { room: room("lobby"), nick: nick("ada"), reason, by: Some(nick("bob")) });
    assert_eq!(terminal.lines(), ["-- bob put you out of #lobby: for\\u000anow"]);
    assert_eq!(terminal.types("hello\n").asked(), ["rooms None 10"]);
}

#[test]
fn answers_and_news_read_like_sentences() {
    let ok = |mark: Mark, ok: OkEvent| Event::Ok(mark.tag(), Box::new(ok));
    let at = |name: &str| OkEvent { place: Some(place(name)), ..OkEvent::default() };
    let error = |mark: Mark, code, message: &'static str| {
        Event::Error(mark.tag(), Box::new(ErrorEvent::new(code, message).room(&room("ops"))))
    };
    let table = vec![
        (
            ok(Mark::Join, OkEvent { seq: Some(Seq(41)), ..at("ops") }),
            "You are in #ops, where 41 messages were said so far. What you type goes there now.",
        ),
        (ok(Mark::Join, at("ops")), "You are in #ops. What you type goes there now."),
        (ok(Mark::Leave, at("ops")), "You left #ops. What you type goes to #lobby."),
        (ok(Mark::Topic, OkEvent { topic: Some("a\nb".into()), ..at("ops") }), "The topic of #ops: a\\u000ab"),
        (ok(Mark::Topic, at("ops")), "#ops has no topic: /topic TEXT gives it one."),
        (ok(Mark::Create, at("ops")), "You made #ops: /join ops goes in."),
        (ok(Mark::Stay, OkEvent::default()), "You stay: what is said goes on coming when your input ends."),
        (ok(Mark::Nick, OkEvent { nick: Some(nick("eve")), ..OkEvent::default() }), "You are eve now."),
        (error(Mark::Silent, Code::NotJoined, "x"), "You are not in #ops: /join ops goes there."),
        (error(Mark::Join, Code::Forbidden, "x"), "#ops is private: ask a member to invite you."),
        (error(Mark::Silent, Code::BadRequest, "no body"), "No body."),
        (Event::Nick { nick: nick("rob"), was: nick("bob") }, "bob is called rob now."),
        (
            Event::Topic { room: room("ops"), topic: "on call".into(), by: nick("bob") },
            "bob set the topic of #ops: on call",
        ),
        (Event::Topic { room: room("ops"), topic: "".into(), by: nick("bob") }, "bob took the topic of #ops away."),
        (Event::Redacted { room: room("ops"), seq: Seq(7), by: nick("bob") }, "bob took back message 7 in #ops."),
        (
            Event::Lagged { place: place("lobby"), missed: 1_204, next: Seq(9), presence: false },
            "You were too slow: 1,204 messages missed in #lobby.",
        ),
        (
            Event::Gap { place: place("lobby"), first: Seq(3), last: Seq(17) },
            "Messages 3 to 17 of #lobby are no longer kept.",
        ),
        (Event::Pong(Mark::Ping.tag()), "Yes, the server is there."),
        (Event::Bye { tag: Mark::Quit.tag(), reason: ByeReason::Quit, reconnect_ms: None }, "Bye, eve."),
    ];
    let mut terminal = Terminal::in_lobby();
    for (event, line) in table {
        assert_eq!(terminal.event(event).lines(), [format!("-- {line}")]);
    }
}

#[test]
fn a_taken_name_is_named_in_the_answer() {
    let mut terminal = Terminal::in_lobby();
    terminal.types("/nick bob\n");
    let taken = |mark: Mark| Event::Error(mark.tag(), Box::new(ErrorEvent::new(Code::NickInUse, "taken")));
    assert_eq!(terminal.event(taken(Mark::Nick)).lines(), ["-- “bob” is taken: you are still ada."]);
    assert_eq!(terminal.event(taken(Mark::Name)).lines(), ["-- “bob” is taken. What else do you want to be called?"]);
}

#[test]
fn listings_are_readable_and_say_when_they_are_not_all() {
    let member = |name: &str, role, idle_s| MemberInfo { nick: nick(name), account: None, role, idle_s };
    let members = vec![member("ada", "owner", 900), member("bob", "member", 720), member("cy", "member", 3)];
    let mut terminal = Terminal::in_lobby();
    terminal.event(Event::Who { tag: Mark::Who.tag(), room: Some(room("lobby")), members, more: false });
    assert_eq!(terminal.lines(), ["-- 3 people in #lobby:", "--   ada (you, owner), bob (quiet for 12 min), cy"]);

    let info = |name: &str, members, topic: Option<&str>| RoomInfo {
        room: room(name),
        kind: if name == "jobs" { Kind::Queue } else { Kind::Fanout },
        members,
        seq: Seq(1),
        epoch: Epoch::from_random(1),
        topic: topic.map(Into::into),
        private: false,
    };
    let rooms = || vec![info("jobs", 0, None), info("lobby", 1, Some("all\u{1b}[31m"))];
    terminal.event(Event::Rooms { tag: Mark::Rooms.tag(), rooms: rooms(), more: true });
    assert_eq!(
        terminal.lines(),
        [
            "-- The first 2 rooms:",
            "--   #jobs   0 members, queue",
            "-- * #lobby  1 member — all\\u001b[31m",
            "-- There are more: /rooms NAME.> lists those that begin with a name."
        ]
    );
    let mut stranger = Terminal::new();
    stranger.event(Event::Rooms { tag: Mark::Nowhere.tag(), rooms: rooms(), more: false });
    assert_eq!(stranger.lines(), ["-- That went nowhere, for you are in no room: /join one, such as #jobs, #lobby."]);
}

#[test]
fn history_shows_ones_own_lines_too() {
    let chunk = said("lobby", &[("ada", r#""mine""#), ("bob", r#""theirs""#)]);
    let mut terminal = Terminal::in_lobby();
    let page = page("lobby", vec![(Arc::clone(&chunk), 0), (chunk, 1)]);
    let lines = terminal.event(Event::History(Mark::History.tag(), Box::new(page))).lines();
    assert_eq!(lines, [DAY, "14:05 [lobby] ada: mine", "14:05 [lobby] bob: theirs", "-- That was #lobby."]);
}

#[test]
fn a_pipe_hears_of_errors_alone() {
    let mut terminal = Terminal::new();
    terminal.types("/pipe logs web\n").welcome("web").feed(&said("logs", &[("bob", r#""x""#)]));
    terminal.event(moved("bob", true)).waits();
    let error = |mark: Mark, code| Event::Error(mark.tag(), Box::new(ErrorEvent::new(code, "no")));
    terminal.event(error(Mark::PipeName, Code::NickInUse));
    terminal.event(Event::Bye { tag: Tag::None, reason: ByeReason::Quit, reconnect_ms: None });
    assert!(terminal.lines().is_empty());
    terminal.event(error(Mark::Silent, Code::Forbidden));
    terminal.event(Event::Bye { tag: Tag::None, reason: ByeReason::Shutdown, reconnect_ms: None });
    assert_eq!(terminal.lines().len(), 2);
}
