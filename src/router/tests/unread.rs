//! Direct messages that wait for one who does not read: what counts as shown, and what `welcome` counts.

use super::*;

const BODY_BYTES: usize = 60_000;

impl Stage {
    /// Says hello in place of an earlier connection; what `welcome` says.
    fn resumes(&mut self, conn: u64, session: &str) -> String {
        self.enters(conn, &format!(r#"{{"op":"hello","resume":"{session}"}}"#))
    }

    /// Has a connection's writer write all that waits, and say so; the numbers of the messages among it.
    fn reads(&mut self, conn: u64) -> Vec<u64> {
        let written = self.hears(conn);
        self.router.handle(Message::Drained(ConnId(conn)));
        self.router.settle();
        let seqs = written.lines().filter_map(|line| line.split_once("\"seq\":")?.1.split_once(',')?.0.parse().ok());
        seqs.collect()
    }
}

fn text<'a>(line: &'a str, key: &str) -> &'a str {
    let value = line.split_once(&format!("\"{key}\":\"")).and_then(|(_, rest)| rest.split_once('"'));
    value.unwrap_or_else(|| panic!("no `{key}` in {line}")).0
}

#[test]
fn what_came_while_one_read_nothing_is_counted_when_it_resumes_until_it_is_shown() {
    const SENT: u64 = 100;
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    let session = text(&stage.guest(2, "bob"), "session").to_owned();
    let body = "x".repeat(BODY_BYTES);
    for _ in 0..SENT {
        stage.says(1, &format!(r#"{{"op":"send","to":"bob","body":"{body}"}}"#));
    }
    // It reads twice what its outbox holds, and then no more; what is put into its outbox then counts as shown.
    let mut shown = stage.reads(2);
    shown.extend(stage.reads(2));
    let welcome = stage.resumes(3, &session);
    shown.extend(stage.reads(2));
    assert!(shown.iter().copied().eq(1..=shown.len() as u64), "each once and in order: {shown:?}");
    let unread = SENT - shown.len() as u64;
    assert!(unread > 0, "an outbox does not hold them all");
    assert!(welcome.contains(&format!(r#""resumed":true,"unread":[{{"nick":"ada","count":{unread}}}]"#)), "{welcome}");
    let session = text(&welcome, "session").to_owned();
    let welcome = stage.resumes(4, &session);
    assert!(welcome.contains(&format!(r#""unread":[{{"nick":"ada","count":{unread}}}]"#)), "not shown yet: {welcome}");
    stage.says(4, r#"{"op":"history","to":"ada"}"#);
    let welcome = stage.resumes(5, text(&welcome, "session"));
    assert!(welcome.contains(r#""resumed":true,"unread":[]"#), "{welcome}");
}

#[test]
fn a_welcome_is_no_longer_than_a_line_however_many_have_written() {
    let mut config = Config::default();
    config.limits.max_line = 2_048;
    let mut stage = Stage::with(config);
    let session = text(&stage.guest(1, "bob"), "session").to_owned();
    let body = "x".repeat(BODY_BYTES);
    for conn in 2..60 {
        stage.guest(conn, &format!("writer-{conn:0>50}"));
        stage.says(conn, &format!(r#"{{"op":"send","to":"bob","body":"{body}"}}"#));
    }
    let welcome = stage.resumes(60, &session);
    assert!(welcome.contains(r#""unread":[{"nick":"writer-0"#) && welcome.len() <= 2_048, "{welcome}");
}
