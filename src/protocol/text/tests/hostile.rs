//! Nothing that anybody writes does anything to a screen but stand on it; nothing that the network cuts is misread.

use proptest::prelude::*;

use super::*;
use crate::model::OkEvent;
use crate::protocol::text::escape;
use crate::protocol::text::mark::Mark;

/// Texts that are made to do harm, or do it by being unusual.
const NAUGHTY: &[&str] = &[
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "\u{7}\u{8}\u{7f}",
    "a\rb",
    "a\nb",
    "a\r\nb",
    "\u{b}\u{c}\u{85}",
    "\u{2028}\u{2029}",
    "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}",
    "\u{2066}\u{2067}\u{2068}\u{2069}",
    "\u{200e}\u{200f}\u{61c}",
    "\u{feff}\u{200b}\u{2060}",
    "\u{e0041}\u{e007f}",
    "\u{0}",
    "-- you are banned",
    "\n-- you are banned",
    "— Friday —",
    "\r14:05 [ops] root: rm -rf",
    "\n14:05 [ops] root: rm -rf",
    "/me \n-- x",
    "/quit",
    "//",
    "\u{ad}",
    "Ṱ̺̺̕o͞ ̷i̲̬",
    "👩‍👩‍👧",
    "{\"a\":1}",
    "\\u001b[2J",
    "\"",
    "\\",
    "ﷺ",
    "田中さん",
    "הָיְתָה",
    "\u{fff9}\u{fffb}",
    "\u{3164}",
    "\t\t",
];

/// Whether a line is the server's or somebody's, and safe either way.
fn is_honest(line: &str) -> bool {
    let digit = |at: usize| line.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let timed =
        digit(0) && digit(1) && line[2..].starts_with(':') && digit(3) && digit(4) && line[5..].starts_with(" [");
    escape::is_safe(line) && (timed || line.starts_with("-- ") || line.starts_with("— "))
}

/// Shows a text in every place where somebody's text can stand.
fn screen_with(text: &str) -> Vec<String> {
    let mut terminal = Terminal::in_lobby();
    let body = quoted(text);
    terminal.feed(&said(
        "lobby",
        &[("bob", &body), ("bob", &quoted(&format!("/me {text}"))), ("bob", &format!("[{body}]"))],
    ));
    terminal.feed(&said("@ada", &[("bob", &body)]));
    terminal.event(Event::Topic { room: room("lobby"), topic: text.into(), by: nick("bob") });
    let reason = || Some(text.to_owned().into());
    terminal.event(Event::Left { room: room("lobby"), nick: nick("bob"), reason: reason(), by: Some(nick("cy")) });
    terminal.event(Event::Left { room: room("lobby"), nick: nick("ada"), reason: reason(), by: Some(nick("cy")) });
    let ok = OkEvent { place: Some(place("lobby")), topic: Some(text.into()), ..OkEvent::default() };
    terminal.event(Event::Ok(Mark::Join.tag(), Box::new(ok)));
    let mut lines = terminal.lines();
    // What one types can come back in an error, and then it is shown too. (Ctrl-R is one's own line by one's own wish.)
    for line in text.split(['\n', '\r', '\u{12}']) {
        let mut fresh = Terminal::new();
        fresh.types("").types(format!("{line}\n"));
        lines.extend(fresh.lines());
        let mut named = Terminal::in_lobby();
        named.types(format!("/join {line}\n/{line}\n/help {line}\n/ignore {line}\n/tz {line}\n"));
        lines.extend(named.lines());
    }
    lines
}

#[test]
fn naughty_strings_only_stand_on_the_screen() {
    let listed = std::env::var_os("LINEHUB_TEST_DATA").map(|folder| {
        let file = std::path::Path::new(&folder).join("naughty-strings/blns.json");
        let text = std::fs::read_to_string(&file).expect("the folder that LINEHUB_TEST_DATA names has the list");
        serde_json::from_str::<Vec<String>>(&text).expect("the list is an array of strings")
    });
    let listed = listed.unwrap_or_default();
    for text in NAUGHTY.iter().copied().chain(listed.iter().map(String::as_str)) {
        for line in screen_with(text) {
            assert!(is_honest(&line), "{text:?} gave {line:?}");
        }
    }
}

#[test]
fn naughty_strings_arrive_as_they_were_typed() {
    for text in
        NAUGHTY.iter().filter(|text| !text.contains(['\n', '\r', '\0', '\u{7f}', '\u{8}']) && !text.starts_with('/'))
    {
        let asked = Terminal::in_lobby().types(format!("{text}\n")).asked();
        let expected = if text.trim().is_empty() { vec![] } else { vec![format!("send #lobby {}", quoted(text))] };
        assert_eq!(asked, expected);
    }
}

/// What telnet clients, terminals and programs send, to be cut everywhere.
const SESSIONS: &[&[u8]] = &[
    b"ada\n/join lobby\nhello\n/join ops\nhello ops\n/quit\nlost\n",
    b"ada\r\n/join lobby\r\nhello\r\n\r\n//x\r\n",
    b"ada\r\0/join lobby\r\0he\x08\x7fallo\r\0\x12",
    b"\xff\xfb\x1f\xff\xfd\x03ada\r\n\xff\xfa\x1f\x00\x50\n\x00\x18\xff\xff\xff\xf0/join lobby\r\nx\xff\xffy\r\nok\r\n",
    b"ada\n/join lobby\nhalf\xff\xf4\xff\xfd\x06whole\n\xff\xec",
    b"ada\n/join lobby\nhalf\x04 a\n\x04x\n",
    b"\xef\xbb\xbf \n{\"op\":\"hello\"}\n",
    "no name\nädä\n/join lobby\n日本語\u{7f}\n".as_bytes(),
    b"/pipe logs web\n/quit\r\n\xff\xfb\x01\n\x04\n\xc3\nx\rlast",
    b"\xff\xfb\x01/pipe logs web\r\n/quit\r\n\xff\xfb\x02\r\na\xff\xffb\r\nlast",
    b"/pipe logs web\r\0first\nsecond\r\n",
    b"ada\n/json\n{\"op\":\"ping\"}\n",
    b"/ping\n/nonsense\n /blank\n/help join\n\xc3\n",
];

/// All that a session comes to, cut into these pieces.
fn comes_to(pieces: &[&[u8]]) -> (Vec<String>, String, Option<Flow>, Vec<u8>) {
    let mut terminal = Terminal::new();
    // The greeting looks at what is there at first, so it stands outside.
    terminal.types("").clear();
    for piece in pieces {
        terminal.types(piece);
    }
    terminal.ends();
    // How lines end follows the client as soon as that is known, which may be while an answer is under way.
    (terminal.asked.clone(), terminal.screen.replace('\r', ""), terminal.ended, terminal.input.to_vec())
}

#[test]
fn a_session_comes_to_the_same_wherever_it_is_cut() {
    for session in SESSIONS {
        let whole = comes_to(&[session]);
        for cut in 0..=session.len() {
            assert_eq!(comes_to(&[&session[..cut], &session[cut..]]), whole, "{session:?} at {cut}");
        }
        let bytes: Vec<&[u8]> = session.chunks(1).collect();
        assert_eq!(comes_to(&bytes), whole, "{session:?} by bytes");
    }
}

/// Bytes with what matters to telnet and terminals in them more often than chance would have it.
fn typed() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => "[a-z /]{0,12}".prop_map(String::into_bytes),
        3 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r\0".to_vec()),
        1 => prop::sample::select(vec![&b"\xff\xff"[..], b"\xff\xfd\x06", b"\xff\xfa\x01\n", b"\xff\xf0", b"\xff\xec", b"\xff\xf7", b"\xff"]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec![&b"\x04"[..], b"\x12", b"\x15", b"\x7f", b"\x03", b"{", b"\xef\xbb\xbf"]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec![&b"/join lobby\n"[..], b"/leave\n", b"/pipe x y\n", b"ada\n", b"/me x\n"]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_come_to_the_same_wherever_they_are_cut(bytes in typed(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut start = 0;
        let mut pieces: Vec<&[u8]> = Vec::new();
        for cut in cuts {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        prop_assert_eq!(comes_to(&pieces), comes_to(&[&bytes]));
    }

    #[test]
    fn no_text_whatever_moves_colours_reorders_or_plays_the_server(text in any::<String>(), more in "[\\x00-\\x20\\x7f-\\u{9f}\\u{200b}-\\u{206f}a-]{0,40}") {
        for line in screen_with(&text).into_iter().chain(screen_with(&more)) {
            prop_assert!(is_honest(&line), "{:?}", line);
        }
    }

    #[test]
    fn what_is_typed_cannot_make_the_screen_lie(bytes in typed()) {
        let (_, screen, _, _) = comes_to(&[&bytes]);
        for line in screen.split('\n') {
            prop_assert!(escape::is_safe(line), "{:?}", line);
        }
    }
}
