//! Where lines begin and end, however their bytes come.

use proptest::prelude::*;

use super::{Came, TERMS, asked, decode, decode_parts, told};
use crate::model::Tag;
use crate::protocol::json::JsonDecoder;
use crate::protocol::{Decoder, Flow, Intake, Terms};

const PING: &str = "Int(1) Ping";

fn asks(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let came = decode(bytes.as_ref());
    assert_eq!(came.told, Vec::<String>::new());
    came.asks
}

#[test]
fn lines_end_with_a_line_feed_with_or_without_a_carriage_return() {
    let ping = r#"{"op":"ping","id":1}"#;
    assert_eq!(asks(format!("{ping}\n{ping}\r\n{ping}\n")), [PING; 3]);
}

#[test]
fn an_unfinished_last_line_counts_as_a_line() {
    assert_eq!(asks(r#"{"op":"ping","id":1}"#), [PING]);
    assert!(told(r#"{"op":"ping","id":1"#).contains("bad_json"));
}

#[test]
fn empty_and_blank_lines_are_ignored() {
    let came = decode(b"\n\r\n \n\t\r\n\n");
    assert_eq!(came, Came::default());
}

#[test]
fn a_byte_order_mark_is_passed_at_the_start_and_only_there() {
    assert_eq!(asks("\u{feff}{\"op\":\"ping\",\"id\":1}\n"), [PING]);
    let twice = decode("\u{feff}\n\u{feff}{\"op\":\"ping\",\"id\":1}\n".as_bytes());
    assert_eq!(twice.told.len(), 1);
    assert!(told(b"\xEF\xBB").contains("bad_utf8"));
}

#[test]
fn a_carriage_return_elsewhere_is_bad_json() {
    for line in ["{\"op\":\"ping\"}\r\r\n", "{\"op\":\r\"ping\"}\n", "\r\r\n", "{\"op\":\"ping\"}\r"] {
        assert!(told(line).contains(r#""code":"bad_json""#), "{line:?}");
    }
}

#[test]
fn a_line_has_at_most_max_line_bytes_with_its_ending() {
    let terms = Terms { max_line: 64, max_errors: 0 };
    let line = |bytes: usize| {
        let head = r#"{"op":"ping","id":1,"x":""#;
        format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
    };
    let too_long =
        r#"{"ev":"error","id":1,"code":"line_too_long","message":"the line has more than 64 bytes with its ending"}"#;
    for (line, fits) in [
        (line(63) + "\n", true),
        (line(64) + "\n", false),
        (line(62) + "\r\n", true),
        (line(63) + "\r\n", false),
        (line(63), true),
        (line(64), false),
        (line(10_000) + "\n", false),
        (line(10_000), false),
    ] {
        let whole = decode_parts(&terms, [line.as_bytes()]);
        let came = [&whole.asks[..], &whole.told[..]].concat();
        assert_eq!(came, [if fits { PING } else { too_long }], "{line}");
        let bytes = line.as_bytes().chunks(1);
        assert_eq!(decode_parts(&terms, bytes), whole, "{line}");
    }
}

#[test]
fn an_over_long_line_is_told_of_once_and_takes_no_memory() {
    let terms = Terms { max_line: 1_024, max_errors: 0 };
    let mut decoder = JsonDecoder::new(&terms);
    let mut input = bytes::BytesMut::new();
    let mut told = 0;
    for part in 0..1_000 {
        input.extend_from_slice(if part == 0 { br#"{"id":7,"body":""# } else { &[b'x'; 700] });
        let mut intake = Intake::default();
        assert_eq!(decoder.decode(&mut input, &mut intake), Flow::More);
        told += intake.events.len();
        assert!(input.len() < terms.max_line, "{} bytes are held", input.len());
        assert_eq!(decoder.is_mid_frame(), part > 1);
    }
    assert_eq!(told, 1);
    input.extend_from_slice(b"\"}\n{\"op\":\"ping\",\"id\":1}\n");
    let mut intake = Intake::default();
    decoder.decode(&mut input, &mut intake);
    assert_eq!((intake.asks.len(), intake.events.len()), (1, 0));
    assert_eq!(intake.asks[0].tag, Tag::Int(1));
    assert!(!decoder.is_mid_frame() && input.is_empty());
}

#[test]
fn a_batch_holds_its_whole_lines_and_copies_none() {
    let line = br#"{"op":"send","room":"a","body":"x"}"#;
    let mut input = bytes::BytesMut::from(&[line, &b"\n"[..], line, b"\n{\"op\""].concat()[..]);
    let start = input.as_ptr();
    let mut intake = Intake::default();
    assert_eq!(JsonDecoder::new(&TERMS).decode(&mut input, &mut intake), Flow::More);
    assert_eq!(intake.bytes.as_ptr(), start);
    assert_eq!((intake.bytes.len(), &input[..]), (2 * line.len() + 2, &b"{\"op\""[..]));
    assert_eq!((intake.asks.len(), intake.lines, intake.claim), (2, 2, 0));
    assert_eq!(intake.places.len(), 1, "a room is named once for a batch");
}

#[test]
fn a_full_intake_leaves_whole_lines_for_the_next() {
    let history = "{\"op\":\"history\",\"room\":\"a\"}\n";
    let mut input = bytes::BytesMut::from(history.repeat(9).as_bytes());
    let mut decoder = JsonDecoder::new(&TERMS);
    let mut asked = Vec::new();
    loop {
        let mut intake = Intake::default();
        let flow = decoder.decode(&mut input, &mut intake);
        asked.push((flow, intake.asks.len()));
        if flow == Flow::More {
            break;
        }
    }
    // Four pages of 64 KiB are as much as one intake claims.
    assert_eq!(asked, [(Flow::Full, 4), (Flow::Full, 4), (Flow::More, 1)]);
}

#[test]
fn errors_fill_an_intake_too() {
    let mut input = bytes::BytesMut::from("{}\n".repeat(300).as_bytes());
    let mut decoder = JsonDecoder::new(&TERMS);
    let mut intake = Intake::default();
    assert_eq!(decoder.decode(&mut input, &mut intake), Flow::Full);
    assert_eq!((intake.events.len(), input.len()), (256, 44 * 3));
}

#[test]
fn the_line_behind_a_hello_waits_for_its_outcome() {
    let mut input = bytes::BytesMut::from(&b"{\"op\":\"hello\"}\n{\"op\":\"ping\"}\n"[..]);
    let mut decoder = JsonDecoder::new(&TERMS);
    let mut intake = Intake::default();
    assert_eq!(decoder.decode(&mut input, &mut intake), Flow::Await);
    assert_eq!((intake.asks.len(), &input[..]), (1, &b"{\"op\":\"ping\"}\n"[..]));
    // One that is refused here has no outcome to wait for.
    assert_eq!(decode(b"{\"op\":\"hello\",\"nick\":5}\n{\"op\":\"ping\"}\n").asks, ["None Ping"]);
}

#[test]
fn nothing_behind_a_quit_is_read() {
    let came = decode(b"{\"op\":\"quit\",\"id\":1}\n{\"op\":\"ping\"}\nx\n");
    assert_eq!((&came.asks[..], came.told.len()), (&["Int(1) Quit { asked: true, reason: None }".to_owned()][..], 0));
}

#[test]
fn so_many_unreadable_lines_in_a_row_end_it_and_a_readable_one_starts_the_count_again() {
    let terms = Terms { max_line: 64, max_errors: 4 };
    let long = "x".repeat(100);
    let bad = [b"x\n\"\xFF\n", long.as_bytes(), b"\n"].concat();
    let run = |lines: &[&[u8]]| decode_parts(&terms, [&lines.concat()[..]]);
    let op: &[u8] = b"{\"op\":\"nope\"}\n";
    let came = run(&[&bad, op, b"{\"op\":\"ping\"}\n"]);
    assert!(came.hung_up);
    assert_eq!((came.told.len(), came.asks.len()), (4, 0), "nothing behind the last one counts");
    for readable in
        ["{\"op\":\"pong\"}\n", "{\"op\":\"ping\"}\n", "{\"op\":\"join\"}\n", "{}\n", "{\"op\":\"ping\",\"id\":1.5}\n"]
    {
        let came = run(&[&bad, readable.as_bytes(), &bad, readable.as_bytes(), &bad]);
        assert!(!came.hung_up, "{readable}");
    }
    let empty = run(&[&bad, b"\n\r\n", &bad]);
    assert!(empty.hung_up, "an empty line is no line");
}

/// A line of each kind, good and bad.
fn session() -> Vec<u8> {
    let over_long = [b"{\"id\":6,\"body\":\"", &[b'x'; 1_100][..], b"\"}\n"].concat();
    let lines: [&[u8]; 12] = [
        b"\xEF\xBB\xBF{\"op\":\"hello\",\"nick\":\"ada\",\"id\":1}\r\n\n",
        b"{\"op\":\"join\",\"room\":\"lobby\",\"last\":1,\"id\":\"\\u006a\"}\n",
        b"{\"op\":\"send\",\"room\":\"lobby\",\"headers\":{\"a\":\"b\"},\"body\":{\"temp\":21.5},\"id\":3}\n",
        b"{\"op\":\"send\",\"to\":\"b\xC3\xB6b\",\"body\":\"\xF0\x9F\x98\x80\"}\r\n",
        b"{\"op\":\"publish\",\"id\":4}\n",
        b"{\"op\":\"ping\"\n",
        b"\xFF\n",
        b"{\"op\":\"send\",\"id\":5}\n",
        &over_long,
        b"{\"op\":\"request\",\"room\":\"lobby\",\"body\":null,\"id\":7}\n",
        b" \t\r\n",
        b"{\"op\":\"ping\",\"id\":8}",
    ];
    lines.concat()
}

#[test]
fn a_session_cut_at_any_two_places_is_the_same_session() {
    let terms = Terms { max_line: 1_080, max_errors: 10 };
    let session = session();
    let whole = decode_parts(&terms, [&session[..]]);
    assert_eq!((whole.asks.len(), whole.told.len(), whole.lines), (6, 5, 11), "{whole:?}");
    assert_eq!(decode_parts(&terms, session.chunks(1)), whole);
    for first in 0..session.len() {
        for second in (first..session.len()).step_by(131) {
            let parts = [&session[..first], &session[first..second], &session[second..]];
            assert_eq!(decode_parts(&terms, parts), whole, "cut at {first} and {second}");
        }
    }
}

proptest! {
    #[test]
    fn any_lines_split_anywhere_are_the_same_lines(
        lines in proptest::collection::vec(
            prop_oneof![
                r#"\{"op":"(send|ping|join|who|quit|x)","(room|to|body)":("[a-zA-Z.ß*]{0,5}"|[0-9]{1,3}|null),"body":("[a-zß]{0,40}"|[0-9]{1,3}),"id":[0-9]{1,4}\}"#,
                r#"[{}\[\]":, a-z0-9\\]{0,80}"#,
                "[\u{0}-\u{10FFFF}]{0,10}",
                r#"\{"id":1,"body":"x{1030,1090}"\}"#,
            ],
            0..8,
        ),
        crlf in any::<bool>(),
        mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let terms = Terms { max_line: 1_070, max_errors: 5 };
        let text = lines.join(if crlf { "\r\n" } else { "\n" });
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut start = 0;
        let parts = cuts.iter().map(|end| &bytes[std::mem::replace(&mut start, *end)..*end]);
        prop_assert_eq!(decode_parts(&terms, parts), decode_parts(&terms, [bytes]));
    }
}

#[test]
fn an_id_comes_back_on_whatever_is_wrong() {
    let table: &[(&[u8], &str)] = &[
        (
            b"{\"op\":\"send\",\"body\":\"\xFF\",\"id\":5}\n",
            r#"{"ev":"error","id":5,"code":"bad_utf8","message":"byte 22 is not UTF-8"}"#,
        ),
        (
            b"{\"op\":\"send\",\"body\":nope,\"id\":\"x\\ty\"}\n",
            r#"{"ev":"error","id":"x\ty","code":"bad_json","message":"expected `true`, `false` or `null` at byte 22, found `o`"}"#,
        ),
        (
            b"{\"id\":5,\"op\":\"publish\",\"room\":\"a\"}\n",
            r#"{"ev":"error","id":5,"code":"unknown_op","message":"there is no op `publish`; the nearest is `send`","op":"publish","room":"a"}"#,
        ),
        (b"{\"id\":5}\n", r#"{"ev":"error","id":5,"code":"bad_request","message":"`op` is missing"}"#),
        (b"{\"id\":5,\"op\":[1]}\n", r#"{"ev":"error","id":5,"code":"bad_request","message":"`op` must be a string"}"#),
        (
            b"{\"id\":5.5,\"op\":\"ping\"}\n",
            r#"{"ev":"error","code":"bad_request","message":"`id` must be a string of at most 64 bytes or a whole number within \u{b1}2^53","op":"ping"}"#,
        ),
    ];
    for (line, error) in table {
        assert_eq!(told(line), error.replace("\\u{b1}", "±"));
    }
    assert_eq!(asked(r#"{"op":"ping","id":9007199254740992}"#), "Int(9007199254740992) Ping");
    assert_eq!(asked(r#"{"op":"ping","id":-9007199254740992}"#), "Int(-9007199254740992) Ping");
    assert_eq!(asked(r#"{"op":"ping","id":""}"#), r#"Text("") Ping"#);
    assert_eq!(asked(r#"{"op":"ping","id":null}"#), "None Ping");
    let long = "\\u00e9".repeat(32);
    assert_eq!(asked(&format!(r#"{{"op":"ping","id":"{long}"}}"#)), format!("Text({:?}) Ping", "é".repeat(32)));
    for bad in ["true", "[]", "9007199254740993", "1e400", &format!("\"{long}x\"")] {
        let error = told(format!(r#"{{"op":"ping","id":{bad}}}"#));
        assert!(error.starts_with(r#"{"ev":"error","code":"ba"#), "{error}");
    }
}
