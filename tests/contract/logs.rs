//! What the log says of a connection, so that an operator finds it again.

use rustix::process::Signal;

use super::common::Program;

#[test]
fn what_is_logged_of_a_connection_bears_its_number_address_protocol_and_nick() {
    let program =
        Program::with_config("[log]\nfilter = \"debug\"\n[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"json\"\n", 1);
    let mut client = program.client();
    client.hello("ada");
    client.publish("lobby", "a secret");
    client.end_input();
    client.expect_bye("quit");
    client.expect_end();
    program.signal(Signal::TERM);
    let (status, log) = program.wait();
    assert!(status.success(), "{log}");
    let ended = log.lines().find(|line| line.contains(": ended ")).expect("the end is logged");
    assert!(ended.contains("conn=1 address=127.0.0.1:"), "{ended}");
    assert!(ended.contains("protocol=\"json\" nick=\"ada\" reason=\"quit\""), "{ended}");
    assert!(!log.contains("a secret"), "bodies are nobody's business");
}
