//! The JSON parsing suite as bodies, where it is at hand: what must be refused is refused, what is taken arrives unchanged.

use std::path::Path;

use crate::common::TestServer;

/// Texts that are JSON and that the contract's own bounds refuse.
fn is_beyond_the_contract(body: &str) -> bool {
    let value: Result<serde_json::Value, _> = serde_json::from_str(body);
    // Huge numbers, lone surrogates and long numbers.
    value.is_err() || body.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 32)
}

#[test]
fn every_file_of_the_parsing_suite_is_refused_or_relayed_unchanged() {
    let Some(folder) = std::env::var_os("LINEHUB_TEST_DATA") else { return };
    let folder = Path::new(&folder).join("json-parsing");
    let server = TestServer::with(|config| config.limits.max_errors = 0);
    let mut client = server.joined("ada", "lobby");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the suite is there") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
        let body = std::fs::read(&path).expect("the file can be read");
        // One file is one line: what spans lines, or is longer than one, is no body to begin with.
        let is_body = path.extension().is_some_and(|extension| extension == "json")
            && !body.contains(&b'\n')
            && body.len() < 64_000;
        if !is_body {
            continue;
        }
        seen += 1;
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
    assert!(seen > 200, "{seen} files");
    client.expect_nothing();
}

/// Whether a text that is no JSON by itself is some where it is followed by a brace, as `1}` is not but `1,"a":2` is.
fn is_cut_out(body: &[u8]) -> bool {
    let line = [br#"{"body":"#, body, b"}"].concat();
    serde_json::from_slice::<serde_json::Value>(&line).is_ok()
}
