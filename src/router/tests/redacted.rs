//! What is taken back while a reader of the disk still has its text in hand.

use super::disk::Hub;
use crate::store::Event;

const REDACT: &str = r#"{"op":"redact","room":"ops","seq":2,"id":"r"}"#;

/// How the answer to it begins.
const OK: &str = r#"{"ev":"ok","id":"r","#;

impl Hub {
    /// Has the disk read what is asked for before it commits what is written, and say what it read last.
    fn reads_before_it_commits(&mut self) {
        self.store.answer_reads();
        self.store.commit_all();
        let (mut read, mut rest) = (Vec::new(), Vec::new());
        while let Ok(event) = self.said.try_recv() {
            let events = if matches!(event, Event::Read(..)) { &mut read } else { &mut rest };
            events.push(event);
        }
        assert!(!read.is_empty() && !rest.is_empty(), "something is read while something is written");
        for event in rest {
            self.stage.router.stored(event);
        }
        self.stage.router.settle();
        let ok = self.hears(1);
        assert!(ok.contains(OK), "the redacter is told first: {ok}");
        for event in read {
            self.stage.router.stored(event);
        }
        self.stage.router.settle();
    }
}

/// What a disk has in three messages to each of these rooms, of one account.
fn filled(rooms: &[&str]) -> Hub {
    let mut hub = Hub::new();
    hub.stage.account(1, "ada");
    for room in rooms {
        for body in ["first", "secret", "third"] {
            hub.does(1, &format!(r#"{{"op":"send","room":"{room}","body":"{body}"}}"#));
        }
    }
    hub
}

/// The same in another life, where nothing of it is in memory, with the second message of `ops` being taken back: all that
/// is missing is the commit.
fn taking_back(rooms: &[&str]) -> Hub {
    let mut hub = filled(rooms).restarted(2);
    hub.stage.account(1, "ada");
    hub.stage.guest(2, "bob");
    assert_eq!(hub.says(1, REDACT), "");
    hub.reads();
    hub
}

#[test]
fn a_page_that_was_read_before_a_redaction_is_told_without_the_text() {
    let mut hub = taking_back(&["ops"]);
    assert_eq!(hub.says(2, r#"{"op":"history","room":"ops","id":1}"#), "");
    hub.reads_before_it_commits();
    let page = hub.hears(2);
    assert!(!page.contains("secret"), "{page}");
    assert!(page.contains("first") && page.contains("third"), "and the others with theirs: {page}");
    assert!(page.contains(r#""body":null,"redacted":true"#), "{page}");
}

#[test]
fn a_replay_that_was_read_before_a_redaction_is_told_without_the_text() {
    let mut hub = taking_back(&["ops"]);
    hub.says(2, r#"{"op":"join","room":"ops","after":0,"id":1}"#);
    hub.reads_before_it_commits();
    hub.reads();
    let heard = hub.hears(2);
    assert!(!heard.contains("secret"), "{heard}");
    assert!(heard.contains("first") && heard.contains("third"), "and the others with theirs: {heard}");
    assert!(heard.contains(r#""body":null,"redacted":true,"replay":true"#), "{heard}");
}

#[test]
fn what_was_read_of_other_messages_before_a_redaction_keeps_its_text() {
    let mut hub = taking_back(&["ops", "lab"]);
    hub.stage.guest(3, "eve");
    assert_eq!(hub.says(2, r#"{"op":"history","room":"lab","id":1}"#), "");
    assert_eq!(hub.says(3, r#"{"op":"history","room":"ops","after":2,"id":1}"#), "");
    hub.reads_before_it_commits();
    let page = hub.hears(2);
    assert!(page.contains("secret") && !page.contains("redacted"), "the same number in another room: {page}");
    let page = hub.hears(3);
    assert!(page.contains("third") && !page.contains("redacted"), "another number: {page}");
}

#[test]
fn a_value_that_was_read_before_its_redaction_is_shown_to_nobody() {
    let mut hub = Hub::unread(filled(&["value"]).store.disk(), 2);
    hub.stage.account(1, "ada");
    hub.stage.guest(2, "bob");
    assert_eq!(hub.says(1, r#"{"op":"redact","room":"value","seq":3,"id":"r"}"#), "");
    // The value was asked for first, and comes last.
    hub.store.answer_reads();
    let value = hub.said.try_recv().expect("the value");
    assert!(matches!(value, Event::Read(..)));
    hub.pump();
    hub.commits();
    assert!(hub.hears(1).contains(OK));
    hub.stage.router.stored(value);
    let heard = hub.does(2, r#"{"op":"join","room":"value","last":1,"id":1}"#);
    assert!(!heard.contains("third") && heard.contains(r#""body":null,"redacted":true"#), "{heard}");
}

#[test]
fn work_taken_back_while_its_end_was_being_written_comes_again_without_the_text() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(1, r#"{"op":"send","room":"jobs","body":"secret"}"#);
    let given = hub.does(2, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    assert!(given.contains("secret"), "{given}");
    assert_eq!(hub.says(1, r#"{"op":"redact","room":"jobs","seq":1,"id":"r"}"#), "");
    hub.store.commit_all();
    assert_eq!(hub.says(2, r#"{"op":"ack","room":"jobs","seq":1,"id":1}"#), "");
    hub.pump();
    assert!(hub.hears(1).contains(OK));
    hub.store.fail();
    hub.pump();
    hub.store.restore();
    hub.pump();
    hub.reads();
    let again = hub.hears(2);
    assert!(!again.contains("secret") && again.contains(r#""body":null,"#), "{again}");
}
