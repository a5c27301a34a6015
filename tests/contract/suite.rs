//! The JSON parsing suite as bodies, where it is at hand: what must be refused is refused, what is taken arrives unchanged.

use std::path::Path;

use crate::common::TestServer;

/// Texts that are JSON and that the contract's own bounds refuse.
fn is_beyond_the_contract(body: &str) -> bool {
    let value: Result<serde_json::Value, _> = serde_json::from_str(body);
    // Huge numbers, lone surrogates and long numbers.
    value.is_err() || body.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 32)
}

/// Bodies that are always tried, named as the suite names its files: `y_` must be taken, `n_` refused.
const OWN: [(&str, &[u8]); 14] = [
    ("y_object", br#"{"a":[1,2.5e3,true,null,"x"]}"#),
    ("y_spaces", b" [ 1 , 2 ] "),
    ("y_escapes", br#""\u00e9\n\"\\\ud83d\ude00""#),
    ("y_utf8", "\"é😀\"".as_bytes()),
    ("y_negative_zero", b"-0"),
    ("n_trailing_comma", b"[1,]"),
    ("n_leading_zero", b"012"),
    ("n_plus", b"+1"),
    ("n_single_quotes", b"'a'"),
    ("n_unclosed", b"[1"),
    ("n_two_values", b"1 2"),
    ("n_control", b"\"\x01\""),
    ("n_bad_utf8", b"\"\xff\""),
    ("n_lone_surrogate", br#""\ud800""#),
];

/// The bodies to try: our own, and the files of the suite where it is at hand.
fn bodies() -> Vec<(String, Vec<u8>)> {
    let mut bodies: Vec<_> = OWN.iter().map(|(name, body)| ((*name).to_owned(), body.to_vec())).collect();
    let Some(folder) = std::env::var_os("LINEHUB_TEST_DATA") else { return bodies };
    for entry in std::fs::read_dir(Path::new(&folder).join("json-parsing")).expect("the suite is there") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
        let body = std::fs::read(&path).expect("the file can be read");
        // One file is one line: what spans lines, or is longer than one, is no body to begin with.
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json && !body.contains(&b'\n') && body.len() < 64_000 {
            bodies.push((name, body));
        }
    }
    bodies
}

#[test]
fn what_must_be_json_is_relayed_unchanged_and_what_is_none_is_refused() {
    let server = TestServer::with(|config| config.limits.max_errors = 0);
    let mut client = server.joined("ada", "lobby");
    for (name, body) in bodies() {
        client.bytes(&[br#"{"op":"send","room":"lobby","body":"#, &body[..], b"}\n"].concat());
        let answer = client.recv();
        let relayed = answer.ev() == "message";
        match (&name[..2], relayed) {
            ("n_", _) => assert!(!relayed || is_cut_out(&body), "{name} was taken"),
            ("y_", false) => {
                let text = std::str::from_utf8(&body).expect("what must be accepted is UTF-8");
                assert!(is_beyond_the_contract(text), "{name} was refused: {}", answer.raw);
            }
            _ => {}
        }
        if relayed {
            let text = std::str::from_utf8(&body).expect("what was taken is UTF-8").trim_matches([' ', '\t', '\r']);
            assert!(answer.raw.contains(&format!(r#","body":{text}"#)), "{name}: {}", answer.raw);
        } else {
            assert!(["bad_json", "bad_utf8", "bad_request"].contains(&answer.text("code")), "{name}: {}", answer.raw);
        }
    }
    client.expect_nothing();
}

/// Whether a text that is no JSON by itself is some where it is followed by a brace, as `1}` is not but `1,"a":2` is.
fn is_cut_out(body: &[u8]) -> bool {
    let line = [br#"{"body":"#, body, b"}"].concat();
    serde_json::from_slice::<serde_json::Value>(&line).is_ok()
}
