//! Which lines are JSON that every reader can take.

use std::path::PathBuf;

use proptest::prelude::*;

use super::super::ascii::is_plain;
use super::super::key::{Fields, Key};
use super::super::scan::scan;

/// What is wrong with a line; the short way for plain lines must say the same.
fn describe(line: &[u8]) -> Option<String> {
    let [any, plain] = [false, is_plain(line)]
        .map(|is_plain| scan(line, is_plain, &mut Fields::new()).err().map(|fault| fault.describe(line)));
    assert_eq!(any, plain, "{}", line.escape_ascii());
    any
}

#[test]
fn a_read_is_plain_where_every_byte_is_printable_ascii_or_a_line_end() {
    for len in [1, 15, 16, 17, 63, 64, 65, 170] {
        for at in 0..len {
            for byte in 0..=255 {
                let mut bytes = vec![b'x'; len];
                bytes[at] = byte;
                assert_eq!(is_plain(&bytes), matches!(byte, b'\n' | 0x20..=0x7F), "{byte} at {at} of {len}");
            }
        }
    }
}

#[test]
fn strict_json_objects_are_taken() {
    let table: &[&str] = &[
        "{}",
        " \t{ \t} \t",
        r#"{"":""}"#,
        r#"{"body":[]}"#,
        r#"{"body":{}}"#,
        r#"{"body":[[],{},[{}],{"a":[]}]}"#,
        r#"{"body": [ 1 , "a" , null ] , "x" : { "y" : true , "z" : false } }"#,
        r#"{"a":0,"b":-0,"c":-1.5e+10,"d":0.0,"e":1E-2,"f":1e308,"g":1e-999,"h":0e999}"#,
        r#"{"a":12345678901234567890123456789012}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u0000\uFFFF\ud83d\uDE00"}"#,
        "{\"a\":\"\u{7f}\u{80}\u{2028}\u{10FFFF}ß\"}",
        r#"{"a":1,"a":2}"#,
    ];
    for line in table {
        assert_eq!(describe(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let unfinished = "the object does not end on this line: one line each, as `jq -c` writes";
    let table: &[(&[u8], &str)] = &[
        (b"hello", "expected `{` at byte 1, found `h`"),
        (b"[1]", "expected `{` at byte 1, found `[`"),
        (b"  \"op\": \"send\",", "expected `{` at byte 3, found `\"`"),
        ("ß".as_bytes(), "expected `{` at byte 1, found `ß`"),
        (b"{", unfinished),
        (b"{ ", unfinished),
        (b"{\"op", unfinished),
        (b"{\"op\"", unfinished),
        (b"{\"op\":", unfinished),
        (b"{\"op\":\"send\"", unfinished),
        (b"{\"op\":\"send\",", unfinished),
        (b"{\"a\":12", unfinished),
        (b"{\"a\":-", unfinished),
        (b"{\"a\":1.", unfinished),
        (b"{\"a\":1e", unfinished),
        (b"{\"a\":tr", unfinished),
        (b"{\"a\":\"\\", unfinished),
        (b"{\"a\":[{\"b\":1}", unfinished),
        (b"{op:1}", "expected a field's name in quotes at byte 2, found `o`"),
        (b"{,}", "expected a field's name in quotes at byte 2, found `,`"),
        (b"{\"a\":1,}", "expected a field's name in quotes at byte 8, found `}`"),
        (b"{\"a\" 1}", "expected `:` at byte 6, found `1`"),
        (b"{\"a\":}", "expected a value at byte 6, found `}`"),
        (b"{\"a\":'x'}", "expected a value at byte 6, found `'`"),
        (b"{\"a\":NaN}", "expected a value at byte 6, found `N`"),
        (b"{\"a\":+1}", "expected a value at byte 6, found `+`"),
        (b"{\"a\":.5}", "expected a value at byte 6, found `.`"),
        (b"{\"a\":01}", "expected `,` or `}` at byte 7, found `1`"),
        (b"{\"a\":1.x}", "expected a digit at byte 8, found `x`"),
        (b"{\"a\":-x}", "expected a digit at byte 7, found `x`"),
        (b"{\"a\":truth}", "expected `true`, `false` or `null` at byte 9, found `t`"),
        (b"{\"a\":1 2}", "expected `,` or `}` at byte 8, found `2`"),
        (b"{\"a\":[1 2]}", "expected `,` or `]` at byte 9, found `2`"),
        (b"{\"a\":[1}", "expected `,` or `]` at byte 8, found `}`"),
        (b"{\"a\":[,1]}", "expected a value at byte 7, found `,`"),
        (b"{\"a\":[1,]}", "expected a value at byte 9, found `]`"),
        (b"{\"a\":{\"b\"}}", "expected `:` at byte 10, found `}`"),
        (b"{\"a\":{1:2}}", "expected a field's name in quotes at byte 7, found `1`"),
        (b"{\"a\":{\"b\":1]}", "expected `,` or `}` at byte 12, found `]`"),
        (b"{\"a\":\x0B1}", "expected a value at byte 6, found U+000B"),
        (b"{} {}", "the object has ended before byte 4: one object a line"),
        (b"{}}", "the object has ended before byte 3: one object a line"),
        (b"{\"a\":\"x\ty\"}", "the control character at byte 8 must be written as `\\u0009`"),
        (b"{\"a\":\"\x1B[0m\"}", "the control character at byte 7 must be written as `\\u001b`"),
        (b"{\"a\":\"\0\"}", "the control character at byte 7 must be written as `\\u0000`"),
        (b"{\"a\":\"x\ry\"}", "the carriage return at byte 8 is not at the end of the line"),
        (b"{\r}", "the carriage return at byte 2 is not at the end of the line"),
        (b"{}\r", "the carriage return at byte 3 is not at the end of the line"),
        (b"{\"a\":[1,\r2]}", "the carriage return at byte 9 is not at the end of the line"),
        (b"{\"a\":\"\\x\"}", "the backslash at byte 7 begins no escape that JSON knows"),
        (b"{\"a\":\"\\u12g4\"}", "the backslash at byte 7 begins no escape that JSON knows"),
        (b"{\"a\":\"\\ud800\"}", "the escape at byte 7 is half of a surrogate pair"),
        (b"{\"a\":\"\\udc00\"}", "the escape at byte 7 is half of a surrogate pair"),
        (b"{\"a\":\"\\ud800\\u0041\"}", "the escape at byte 7 is half of a surrogate pair"),
        (b"{\"a\":1e309}", "the number at byte 6 is beyond what a double holds"),
        (b"{\"a\":[-1e999]}", "the number at byte 7 is beyond what a double holds"),
        (b"{\"a\":123456789012345678901234567890123}", "the number at byte 6 has more than 32 characters"),
        (b"{\"a\":\"\xFF\"}", "byte 7 is not UTF-8"),
        (b"{\"a\":\"\xC0\x80\"}", "byte 7 is not UTF-8"),
        (b"{\"a\":\"\xED\xA0\x80\"}", "byte 7 is not UTF-8"),
        (b"{\"a\":\"\xF4\x90\x80\x80\"}", "byte 7 is not UTF-8"),
        (b"{\"a\":\"\xC3", "byte 7 is not UTF-8"),
        (b"\xEF\xBB\xBF{}", "expected `{` at byte 1, found `\u{feff}`"),
    ];
    for (line, message) in table {
        assert_eq!(describe(line).as_deref(), Some(*message), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_value_may_be_nested_64_deep_and_no_deeper() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested = |depth: usize| {
            let times = depth / levels;
            format!(r#"{{"op":"send","body":{}1{}}}"#, open.repeat(times), close.repeat(times))
        };
        assert_eq!(describe(nested(64).as_bytes()), None);
        let message = describe(nested(64 + levels).as_bytes()).expect("one level too many");
        assert!(message.ends_with("nests a value more than 64 deep"), "{message}");
    }
    // Any depth is refused, none is followed.
    let bottomless = format!(r#"{{"body":{}"#, "[".repeat(60_000));
    let message = describe(bottomless.as_bytes()).expect("far too deep");
    assert_eq!(message, "the bracket at byte 73 nests a value more than 64 deep");
    // Width is no depth.
    let wide = format!(r#"{{"body":[{}[]]}}"#, "[[]],".repeat(1_000));
    assert_eq!(describe(wide.as_bytes()), None);
}

#[test]
fn fields_are_found_under_any_spelling_and_the_last_one_counts() {
    let line = br#"{ "x":{"op":"inner"}, "\u006fp" : "a", "op":"b\n" ,"id":-5 ,"body":[1, 2], "room":null,"OP":1 }"#;
    let mut fields = Fields::new();
    scan(line, false, &mut fields).expect("it is JSON");
    let found = |key| fields.get(key).map(|raw| &line[raw.start()..raw.end()]);
    assert_eq!(found(Key::Op), Some(&br#""b\n""#[..]));
    assert_eq!(found(Key::Id), Some(&b"-5"[..]));
    assert_eq!(found(Key::Body), Some(&b"[1, 2]"[..]));
    assert_eq!(found(Key::Room), Some(&b"null"[..]));
    assert_eq!(found(Key::To), None);
}

/// What `serde_json` and the contract's own rules say of a line.
fn reference(line: &str) -> bool {
    let is_object = serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object());
    if !is_object || line.contains(['\r', '\n']) {
        return false;
    }
    let (mut depth, mut number, mut in_string, mut escaped) = (0, 0, false, false);
    for c in line.chars() {
        if in_string {
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        number = if matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9') { number + 1 } else { 0 };
        match c {
            '"' => in_string = true,
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth > 65 || number > 32 {
            return false;
        }
    }
    true
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default()),
        r#""(\\u[0-9a-fA-F]{4}|\\[nrt"x]|[a-c])*""#,
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(("[a-z]{0,9}", inner), 0..5).prop_map(|items| {
                let items: Vec<String> = items.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", items.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_scan_and_serde_json_agree(body in json()) {
        let line = format!(r#"{{"op":"send","body":{body}}}"#);
        prop_assert_eq!(describe(line.as_bytes()).is_none(), reference(&line), "{}", line);
    }

    #[test]
    fn they_agree_on_damaged_lines_too(
        body in json(),
        at in any::<prop::sample::Index>(),
        piece in prop_oneof![r#"[\[\]{}",:\\0-9eE+.tfn \t-]{0,3}"#, any::<String>()],
        removed in 0..3_usize,
    ) {
        let line = format!(r#"{{"op":"send","body":{body}}}"#);
        let chars: Vec<char> = line.chars().collect();
        let at = at.index(chars.len());
        let rest = chars[(at + removed).min(chars.len())..].iter();
        let damaged: String = chars[..at].iter().copied().chain(piece.chars()).chain(rest.copied()).collect();
        prop_assert_eq!(describe(damaged.as_bytes()).is_none(), reference(&damaged), "{}", damaged);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let fault = scan(&bytes, false, &mut Fields::new()).err();
        prop_assert_eq!(fault.is_none(), std::str::from_utf8(&bytes).is_ok_and(reference));
        let _ = fault.map(|fault| fault.describe(&bytes));
    }
}

/// Files of the JSON parsing test suite, where `LINEHUB_TEST_DATA` says where they are: each as a body.
#[test]
fn the_json_parsing_suite_is_judged_as_its_names_say() {
    let Some(data) = std::env::var_os("LINEHUB_TEST_DATA") else { return };
    let folder = PathBuf::from(data).join("json-parsing");
    let mut judged = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = std::fs::read(&path).expect("the file is readable");
        let body = file.strip_suffix(b"\n").unwrap_or(&file);
        if path.extension().is_none_or(|kind| kind != "json") || body.contains(&b'\n') {
            continue;
        }
        let line = [br#"{"op":"send","body":"#, body, b"}"].concat();
        let taken = describe(&line).is_none();
        match name.split_once('_').map(|(kind, _)| kind) {
            // Valid JSON, but its number has 81 characters.
            Some("y") if name == "y_number_double_close_to_zero.json" => assert!(!taken, "{name}"),
            Some("y") => assert!(taken, "{name}: {:?}", describe(&line)),
            Some("n") => assert!(!taken, "{name}"),
            _ => {}
        }
        judged += 1;
    }
    assert!(judged > 250, "the suite is there: {judged} files");
}
