//! The session that the contract shows, as it stands there.

use crate::common::{Program, TestServer};

/// What a stranger to the server types first, against the real program.
#[test]
fn the_session_of_the_contract_goes_as_it_is_written() {
    let server = TestServer::start();
    session(&mut server.client());
    let program = Program::serve();
    session(&mut program.client());
}

fn session(client: &mut crate::common::Client) {
    client.answers(
        r#"{"op":"hello","nick":"ada","id":1}"#,
        r#"{"ev":"welcome","id":1,"nick":"ada","session":_,"server":"linehub/0.1.0","proto":1,"resumed":false,"unread":[],"limits":{"max_line":65536}}"#,
    );
    client.answers(
        r#"{"op":"join","room":"lobby","last":1,"id":2}"#,
        r#"{"ev":"ok","id":2,"room":"lobby","seq":0,"epoch":_}"#,
    );
    client.answers(
        r#"{"op":"send","room":"lobby","body":{"temp":21.5},"id":3}"#,
        r#"{"ev":"ok","id":3,"room":"lobby","seq":1,"ts":_}"#,
    );
    client.expect_line(r#"{"ev":"message","room":"lobby","seq":1,"from":"ada","ts":_,"body":{"temp":21.5}}"#);
}
