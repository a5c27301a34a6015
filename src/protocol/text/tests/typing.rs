//! What is typed, and what the server is asked for it.

use super::*;
use crate::protocol::Wire;

fn refused(times: usize) -> Vec<Outcome> {
    vec![Outcome::Refused; times]
}

#[test]
fn a_fresh_terminal_is_greeted_and_asked_for_a_name() {
    let mut terminal = Terminal::new();
    let lines = terminal.types("").lines();
    assert!(lines.iter().all(|line| line.starts_with("-- ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("/help")) && lines.last().is_some_and(|line| line.contains("name")));
    assert_eq!(terminal.types("ada\nhello\n").asked()[0], "hello ada");
    assert!(terminal.lines().is_empty(), "the rest is for the server to answer");
}

#[test]
fn one_whose_first_line_is_there_is_not_asked_for_it() {
    let mut terminal = Terminal::new();
    let lines = terminal.types("ada\n").lines();
    assert!(lines.len() == 1 && !lines[0].contains("name"), "{lines:?}");
}

#[test]
fn the_first_line_is_a_name_or_a_guests_command() {
    let table: &[(&str, &[&str])] = &[
        ("ada\n", &["hello ada"]),
        ("  ada  \r\n", &["hello ada"]),
        ("\u{feff}ada\n", &["hello ada"]),
        ("\n\r\n \nada\n", &["hello ada"]),
        ("Gruß\n", &["hello Gruß"]),
        ("/ping\n", &["hello -", "Ping"]),
        ("/xyzzy\n", &["hello -"]),
        ("/quit\nada\n", &["Quit { asked: true, reason: None }"]),
        ("/json\n", &[]),
        ("two words\n", &[]),
        ("_server\n", &[]),
        (" /ping\n", &[]),
        ("!\nada\n", &["hello ada"]),
    ];
    for (typed, asked) in table {
        assert_eq!(Terminal::new().types(typed).asked(), *asked, "{typed:?}");
    }
}

#[test]
fn a_name_that_is_none_is_explained_and_asked_for_again() {
    let mut terminal = Terminal::new();
    let line = terminal.types("").types("two words\n").lines().pop().unwrap_or_default();
    assert_eq!(
        line,
        "-- “two words” cannot be a name: a name is one word, without blanks. What do you want to be called?"
    );
}

#[test]
fn a_name_that_is_taken_is_asked_for_again() {
    let mut terminal = Terminal::new();
    terminal.answers = refused(1);
    assert_eq!(terminal.types("ada\nbob\n/ping\n").asked(), ["hello ada", "hello bob", "Ping"]);
}

#[test]
fn a_line_of_json_before_a_name_makes_it_json_and_keeps_the_line() {
    for before in ["", "\n", "two words\n", " ", "\u{feff}", "\u{feff} \r\n \t"] {
        let line = r#"{"op":"hello"}"#;
        let mut terminal = Terminal::new();
        terminal.types("").types(format!("{before}{line}\n"));
        assert_eq!(terminal.ended, Some(Flow::Switch(Wire::Json)), "{before:?}");
        assert_eq!(terminal.input, format!("{line}\n"));
        assert!(terminal.asked.is_empty());
        assert!(terminal.lines().iter().all(|line| !line.starts_with('{')));
    }
    let mut named = Terminal::in_lobby();
    assert_eq!(named.types("{\"op\":1}\n").asked(), [r#"send #lobby "{\"op\":1}""#]);
}

#[test]
fn json_is_a_command_too() {
    let mut terminal = Terminal::in_lobby();
    terminal.types("/json\n{\"op\":\"ping\"}\n");
    assert_eq!(terminal.ended, Some(Flow::Switch(Wire::Json)));
    assert_eq!(terminal.input, "{\"op\":\"ping\"}\n");
    assert_eq!(terminal.lines().len(), 1);
}

#[test]
fn every_command_comes_to_what_it_says() {
    let table: &[(&str, &[&str])] = &[
        ("hello there", &[r#"send #lobby "hello there""#]),
        ("  indented", &[r#"send #lobby "  indented""#]),
        ("//join me", &[r#"send #lobby "/join me""#]),
        (" /join x", &[]),
        ("/join lobby", &[]),
        ("/join #ops", &["join #ops Some(Member) Recent(20)"]),
        ("/J ops", &["join #ops Some(Member) Recent(20)"]),
        ("/join metrics.>", &["join metrics.> Some(Observer) Now"]),
        ("/join", &[]),
        ("/join a b", &[]),
        ("/join -", &[]),
        ("/leave", &[r#"leave Place(Room("lobby"))"#]),
        ("/leave metrics.>", &[r#"leave Pattern("metrics.>")"#]),
        ("/rooms", &["rooms None 200"]),
        ("/rooms metrics.*", &[r#"rooms Some("metrics.*") 200"#]),
        ("/who", &[r#"who Some("lobby") 200"#]),
        ("/who #ops", &[r#"who Some("ops") 200"#]),
        ("/topic", &["topic #lobby None"]),
        ("/topic  all  things ", &[r#"topic #lobby Some("all  things")"#]),
        ("/topic -", &[r#"topic #lobby Some("")"#]),
        ("/create ops", &["create #ops None"]),
        ("/create jobs QUEUE", &["create #jobs Some(Queue)"]),
        ("/create jobs stack", &[]),
        ("/stay", &["Stay"]),
        ("/msg bob hi  there", &[r#"send @bob "hi  there""#]),
        ("/msg #ops hi", &[r#"send #ops "hi""#]),
        ("/msg bob", &[]),
        ("/r hi", &[]),
        ("/me waves", &[r#"send #lobby "/me waves""#]),
        ("/me", &[]),
        ("/history", &["history #lobby (None, None) (false, false) 50"]),
        ("/history 5", &["history #lobby (None, None) (false, false) 5"]),
        ("/history 14:05", &["history #lobby (None, None) (true, false) 200"]),
        ("/history yesterday", &["history #lobby (None, None) (true, true) 200"]),
        ("/history 2025-11-21", &["history #lobby (None, None) (true, true) 200"]),
        ("/history @bob 5", &["history @bob (None, None) (false, false) 5"]),
        ("/history soon", &[]),
        (
            "/search two words",
            &[r#"Search(Search { room: Some("lobby"), query: "two words", until: None, limit: 50 })"#],
        ),
        ("/show 42", &["history #lobby (Some(41), Some(43)) (false, false) 1"]),
        ("/show ops 1,042", &["history #ops (Some(1041), Some(1043)) (false, false) 1"]),
        ("/show 0", &[]),
        ("/show 18446744073709551615", &[]),
        ("/nick bob", &["nick bob"]),
        ("/nick", &[]),
        ("/register secret", &[r#"Unsupported("register")"#]),
        ("/login secret", &[r#"Unsupported("login")"#]),
        ("/tz berlin", &[]),
        ("/presence off", &[]),
        ("/help", &[]),
        ("/help join", &[]),
        ("/ping", &["Ping"]),
        ("/quit", &["Quit { asked: true, reason: None }"]),
        ("/", &[]),
        ("/xyzzy", &[]),
    ];
    for (typed, asked) in table {
        let mut terminal = Terminal::in_lobby();
        assert_eq!(terminal.types(format!("{typed}\n")).asked(), *asked, "{typed}");
        let lines = terminal.lines();
        assert!(!asked.is_empty() || !lines.is_empty(), "{typed} was met with silence");
        assert!(lines.iter().all(|line| line.starts_with("-- ")), "{typed}: {lines:?}");
    }
}

#[test]
fn a_blank_before_a_command_is_refused_with_the_hint() {
    let lines = Terminal::in_lobby().types(" /join x\n").lines();
    assert!(lines.len() == 1 && lines[0].contains("no blank before the /"), "{lines:?}");
}

#[test]
fn what_follows_a_join_goes_where_the_join_led() {
    let mut terminal = Terminal::in_lobby();
    terminal.answers = vec![Outcome::Done, Outcome::Refused];
    let asked = terminal.types("/join ops\na\n/join secret\nb\n/join lobby\nc\n/leave\nd\n").asked();
    let says: Vec<_> = asked.iter().filter(|asked| asked.starts_with("send")).collect();
    assert_eq!(says, [r#"send #ops "a""#, r#"send #ops "b""#, r#"send #lobby "c""#]);
    assert_eq!(asked.last().map(String::as_str), Some("rooms None 10"), "a line in no room asks which there are");
}

#[test]
fn a_pipe_sends_every_line_as_it_is() {
    let mut terminal = Terminal::new();
    terminal.types("/pipe logs web1\n/quit\n\n {\"a\":1}\r\n//x\n \t\n\x04\n\x12\x7f\n");
    terminal.types(b"bad \xff\xfa\xf0 bytes\nunfinished".as_slice());
    terminal.ends();
    assert_eq!(
        terminal.asked(),
        [
            "hello web1",
            r#"send #logs "/quit""#,
            r#"send #logs " {\"a\":1}""#,
            r#"send #logs "//x""#,
            r#"send #logs " \t""#,
            r#"send #logs "\u0004""#,
            "send #logs \"\\u0012\u{7f}\"",
            "send #logs \"bad \u{fffd}\u{fffd}\u{fffd} bytes\"",
            r#"send #logs "unfinished""#,
        ]
    );
    assert_eq!(terminal.screen, "");
}

#[test]
fn a_pipe_whose_name_is_taken_gets_a_number() {
    let mut terminal = Terminal::new();
    terminal.answers = refused(2);
    assert_eq!(
        terminal.types("/pipe logs web\nx\n").asked(),
        ["hello web", "hello web2", "hello web3", r#"send #logs "x""#]
    );
    let mut named = Terminal::in_lobby();
    named.answers = refused(1);
    assert_eq!(named.types("/pipe logs web\nx\n").asked(), ["nick web", "nick web2", r#"send #logs "x""#]);
    let mut nameless = Terminal::new();
    assert_eq!(nameless.types("/pipe logs\nx\n").asked(), ["hello -", r#"send #logs "x""#]);
}

#[test]
fn a_piped_line_that_is_too_long_costs_nothing_but_itself() {
    let mut terminal = Terminal::with(&Terms { max_line: 2_000, max_errors: 10 });
    let long = "x".repeat(5_000);
    terminal.types(format!("/pipe logs\na\n{long}")).types(format!("{long}\nb\n{long}\nc\n"));
    assert_eq!(terminal.asked(), ["hello -", r#"send #logs "a""#, r#"send #logs "b""#, r#"send #logs "c""#]);
    assert_eq!(terminal.lines().len(), 2);
}

#[test]
fn telnet_is_understood_and_answered() {
    let mut terminal = Terminal::in_lobby();
    terminal.types(b"a\xff\xfb\x18b\xff\xfa\x18\x00\n/quit\n\xff\xf0c\r\0\xff\xf4\xff\xfd\x06\xff\xfd\x06".as_slice());
    assert_eq!(terminal.asked(), [r#"send #lobby "abc""#]);
    let mut out = Output::default();
    terminal.input.extend_from_slice(b"\xff\xfd\x06\xff\xfd\x01\xff\xfd\x01");
    let mut intake = Intake::default();
    terminal.decoder.decode(&mut terminal.input, &mut intake);
    terminal.encoder.encode(Item::Events(Box::new(intake.events)), &mut out);
    let written: Vec<u8> = out.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(written, b"\xff\xfb\x06\xff\xfc\x01");
    assert!(terminal.screen.contains("/quit"));
    assert!(terminal.types("/ping\n/xyzzy\n").screen.ends_with("\r\n"), "it gets the line ends that it sends");
}

#[test]
fn who_presses_ctrl_c_in_telnet_reads_how_to_leave_although_the_client_drops_what_comes_before_its_mark() {
    let mut terminal = Terminal::in_lobby();
    let screen = |terminal: &mut Terminal| std::mem::take(&mut terminal.screen);
    terminal.types(b"\xff\xf4\xff\xf2\xff\xfd\x06".as_slice());
    let shown = screen(&mut terminal);
    let behind_the_mark = shown.rsplit_once("<telnet 251 6>").map(|(_, behind)| behind.trim_end().to_owned());
    assert!(behind_the_mark.is_some_and(|behind| behind.starts_with("-- To leave: /quit")), "{shown:?}");
    assert!(shown.starts_with("-- To leave: /quit"), "a client without marks reads it too");
    terminal.types(b"\xff\xfd\x06".as_slice());
    assert!(!screen(&mut terminal).contains("/quit"), "a mark of its own is only answered");
}

#[test]
fn an_end_of_file_of_either_kind_is_quit_behind_what_was_typed() {
    for (typed, asked) in [
        (b"hi\n\x04more\n".as_slice(), [r#"send #lobby "hi""#, "Quit { asked: true, reason: None }"]),
        (b"hi\xff\xec", [r#"send #lobby "hi""#, "Quit { asked: true, reason: None }"]),
        (b"/join ops\xff\xecx\n", ["join #ops Some(Member) Recent(20)", "Quit { asked: true, reason: None }"]),
    ] {
        assert_eq!(Terminal::in_lobby().types(typed).asked(), asked);
    }
}

#[test]
fn ctrl_r_shows_the_half_typed_line_and_nothing_dangerous_of_it() {
    let mut terminal = Terminal::in_lobby();
    terminal.types("half a\u{1b}[2J ty\u{12}");
    assert_eq!(terminal.screen, "\nhalf a\\u001b[2J ty");
    assert_eq!(terminal.types("ped\n").asked(), [r#"send #lobby "half a\u001b[2J typed""#]);
}

#[test]
fn an_unfinished_last_line_counts() {
    for typed in ["hi", "hi\n", "hi\r"] {
        let mut terminal = Terminal::in_lobby();
        terminal.types(typed).ends();
        assert_eq!(terminal.asked(), [r#"send #lobby "hi""#], "{typed:?}");
    }
}

#[test]
fn only_unreadable_lines_in_a_row_end_it() {
    let terms = Terms { max_line: 2_000, max_errors: 3 };
    let unreadable: [&[u8]; 3] = [b"/xyzzy\n", b"\xc3\n", &[b'x'; 2_001]];
    let mut terminal = Terminal::with(&terms);
    terminal.types("ada\n");
    for _ in 0..5 {
        terminal.types(unreadable[0]).types(unreadable[1]).types("fine\n");
    }
    assert_eq!(terminal.ended, None);
    for line in unreadable {
        terminal.types(line);
    }
    assert_eq!(terminal.ended, Some(Flow::HangUp));
}

#[test]
fn what_is_too_long_to_send_is_refused_before_it_is_sent() {
    let mut terminal = Terminal::in_lobby();
    terminal.types(format!("{}\n{}\n", "x".repeat(65_536 - 1_024 - 2), "y".repeat(65_536 - 1_024 - 1)));
    assert_eq!(terminal.asked().len(), 1);
    assert!(terminal.lines()[0].contains("too long to send"));
}

#[test]
fn what_brings_answers_fills_the_intake_before_it_fills_memory() {
    let mut terminal = Terminal::in_lobby();
    terminal.input.extend_from_slice("/xyzzy\n/ping\n/help\n".repeat(3_000).as_bytes());
    let mut intake = Intake::default();
    assert_eq!(terminal.decoder.decode(&mut terminal.input, &mut intake), Flow::Full);
    assert!(intake.claim < crate::protocol::INTAKE_CLAIM_MAX + 70_000);
}

#[test]
fn short_lines_in_a_crowd_are_handed_over_a_part_at_a_time_and_none_is_lost() {
    const LINES: usize = 10_000;
    for begin in ["/pipe logs\n", "ada\n/join logs\n"] {
        let mut terminal = Terminal::new();
        terminal.types(begin).clear();
        let mut input = BytesMut::from("a\n".repeat(LINES).as_bytes());
        let mut parts = Vec::new();
        loop {
            let mut intake = Intake::default();
            let flow = terminal.decoder.decode(&mut input, &mut intake);
            parts.push(intake.asks.len());
            match flow {
                Flow::Full => {}
                flow => break assert_eq!(flow, Flow::More),
            }
        }
        assert_eq!(parts.iter().sum::<usize>(), LINES, "{begin}{parts:?}");
        assert!(parts.iter().all(|lines| *lines <= LINES / 2), "{begin}{parts:?}");
    }
}

#[test]
fn what_everyone_hears_of_or_every_room_is_looked_at_for_is_let_in_a_few_at_a_time() {
    for line in ["/topic x\n", "/nick bob\n", "/leave logs.*\n", "/join logs.*\n", "/rooms\n"] {
        let mut terminal = Terminal::in_lobby();
        let mut intake = Intake::default();
        let flow = terminal.decoder.decode(&mut BytesMut::from(line.repeat(1_000).as_bytes()), &mut intake);
        assert!(flow != Flow::More && intake.asks.len() < 50, "{line:?}: {} at once", intake.asks.len());
    }
}
