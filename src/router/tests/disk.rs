//! Rooms on disk, over a store that does nothing until it is told to.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Stage, rule};
use crate::config::{Config, RoomRule};
use crate::model::{HistoryKind, Kind, Seq};
use crate::store::{Boot, Disk, Double, Event, Group, GroupDraft, ReadError, Record, Refused, RoomKey};

/// A stage whose rooms are on disk, and the disk.
pub(super) struct Hub {
    pub(super) stage: Stage,
    pub(super) store: Arc<Double>,
    pub(super) said: mpsc::Receiver<Event>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self::over(Disk::default(), 1)
    }

    /// One in another life, over what an earlier one left.
    fn over(disk: Disk, boot: u64) -> Self {
        let mut hub = Self::unread(disk, boot);
        hub.reads();
        hub
    }

    /// One that has read nothing but what it must before the first connection.
    pub(super) fn unread(disk: Disk, boot: u64) -> Self {
        Self::with(disk, boot, |_| {})
    }

    fn with(disk: Disk, boot: u64, prepare: impl FnOnce(&Double)) -> Self {
        let on_disk = |pattern: &str, kind| RoomRule { kind, history: Some(HistoryKind::Disk), ..rule(pattern) };
        let short = RoomRule { keep_messages: Some(3), ..on_disk("short", None) };
        let rooms = vec![
            short,
            on_disk("jobs", Some(Kind::Queue)),
            RoomRule { keep_messages: Some(1), ..on_disk("full", Some(Kind::Queue)) },
            on_disk("value", Some(Kind::Latest)),
            RoomRule { history: Some(HistoryKind::Memory), ..rule("aside") },
            on_disk(">", None),
        ];
        let mut config = Config { rooms, ..Config::default() };
        config.queue.max_deliver = 2;
        let (store, said) = Double::over(disk, Boot(boot));
        prepare(&store);
        let mut stage = Stage::with(config);
        let contents = store.contents();
        let engine = Arc::clone(&store) as Arc<dyn crate::store::Store>;
        stage.router = stage.router.with_store(engine, Boot(boot), &contents);
        Self { stage, store, said }
    }

    /// What the disk left, in the next life.
    pub(super) fn restarted(self, boot: u64) -> Self {
        Self::over(self.store.disk(), boot)
    }

    pub(super) fn says(&mut self, conn: u64, lines: &str) -> String {
        self.stage.says(conn, lines)
    }

    pub(super) fn hears(&mut self, conn: u64) -> String {
        self.stage.hears(conn)
    }

    /// Has the router take what the store says.
    pub(super) fn pump(&mut self) {
        while let Ok(event) = self.said.try_recv() {
            self.stage.router.stored(event);
        }
        self.stage.router.settle();
    }

    /// Answers the reads that wait, and not those that follow from them.
    fn reads_once(&mut self) {
        self.store.answer_reads();
        self.pump();
    }

    pub(super) fn commits(&mut self) {
        self.store.commit_all();
        self.pump();
    }

    /// Answers reads, and those that follow from them.
    pub(super) fn reads(&mut self) {
        for _ in 0..100 {
            self.reads_once();
        }
    }

    /// Says lines and has the disk do its part.
    pub(super) fn does(&mut self, conn: u64, lines: &str) -> String {
        let mut heard = self.says(conn, lines);
        self.commits();
        self.reads();
        self.commits();
        heard.push_str(&self.hears(conn));
        heard
    }
}

/// The `seq` of each message in what a connection heard, in order.
fn seqs(heard: &str) -> Vec<u64> {
    let messages = heard.lines().filter(|line| line.contains(r#""ev":"message""#));
    let seq = |line: &str| line.split(r#""seq":"#).nth(1)?.split(',').next()?.parse().ok();
    messages.map(|line| seq(line).expect("a number")).collect()
}

fn send(room: &str, body: u64) -> String {
    format!(r#"{{"op":"send","room":"{room}","body":{body},"id":{body}}}"#)
}

#[test]
fn nobody_sees_a_message_and_nobody_is_told_ok_before_it_is_committed() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(2, r#"{"op":"join","room":"ops"}"#);
    assert_eq!(hub.says(1, &send("ops", 1)), "");
    assert_eq!(hub.hears(2), "");
    hub.commits();
    assert!(hub.hears(1).contains(r#"{"ev":"ok","id":1,"room":"ops","seq":1,"#));
    assert!(hub.hears(2).contains(r#""seq":1,"from":"ada""#));
}

#[test]
fn a_stalled_disk_stops_rooms_on_disk_alone() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    assert_eq!(hub.says(1, &send("ops", 1)), "");
    assert!(hub.says(1, &send("aside", 2)).contains(r#""ev":"ok","id":2"#));
}

#[test]
fn the_end_of_a_connection_waits_for_what_it_sent() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(2, r#"{"op":"hello","nick":"bob","presence":true}"#);
    hub.does(1, r#"{"op":"join","room":"ops"}"#);
    hub.does(2, r#"{"op":"join","room":"ops"}"#);
    hub.hears(1);
    let heard = hub.says(1, &format!("{}\n{}", send("ops", 1), r#"{"op":"quit","id":9}"#));
    assert_eq!(heard, "");
    assert_eq!(hub.hears(2), "", "nobody is seen to leave before the last word");
    hub.commits();
    let heard = hub.hears(1);
    let (ok, bye) = (heard.find(r#""ev":"ok","id":1"#), heard.find(r#""ev":"bye","id":9"#));
    assert!(ok.is_some() && ok < bye, "{heard}");
    assert_eq!(seqs(&hub.hears(2)), [1]);
}

#[test]
fn what_follows_a_send_sees_it() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let lines = format!(
        "{}\n{}\n{}\n{}",
        send("ops", 1),
        r#"{"op":"join","room":"ops","last":5,"id":2}"#,
        send("ops", 3),
        r#"{"op":"history","room":"ops","id":4}"#
    );
    assert_eq!(hub.says(1, &lines), "");
    hub.commits();
    hub.commits();
    let heard = hub.hears(1);
    assert!(heard.contains(r#"{"ev":"ok","id":2,"room":"ops","seq":1,"#), "{heard}");
    assert_eq!(seqs(&heard), [1, 2], "{heard}");
    let page = heard.lines().last().expect("a page");
    assert!(page.contains(r#""ev":"history","id":4"#) && page.contains(r#""seq":2"#), "{page}");
}

#[test]
fn the_repeat_of_what_is_on_its_way_waits_for_it() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    let keyed = |id: u64| format!(r#"{{"op":"send","room":"ops","body":1,"idempotency_key":"k","id":{id}}}"#);
    assert_eq!(hub.says(1, &keyed(1)), "");
    assert_eq!(hub.says(2, &keyed(2)), "");
    hub.commits();
    assert!(hub.hears(1).contains(r#""id":1,"room":"ops","seq":1,"#));
    let repeat = hub.hears(2);
    assert!(repeat.contains(r#""id":2,"room":"ops","seq":1,"#) && repeat.contains(r#""dup":true"#), "{repeat}");
    assert!(hub.says(1, &keyed(3)).contains(r#""dup":true"#));
}

#[test]
fn the_repeat_of_what_is_on_its_way_is_not_told_that_the_room_is_full_of_it() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let keyed =
        |key: &str, id: u64| format!(r#"{{"op":"send","room":"full","body":1,"idempotency_key":"{key}","id":{id}}}"#);
    assert_eq!(hub.says(1, &keyed("k", 1)), "");
    assert_eq!(hub.says(1, &keyed("k", 2)), "", "it is not known yet what becomes of it");
    assert!(hub.says(1, &keyed("other", 3)).contains(r#""code":"room_full""#));
    hub.commits();
    let heard = hub.hears(1);
    assert!(heard.contains(r#""id":2,"room":"full","seq":1,"#) && heard.contains(r#""dup":true"#), "{heard}");
}

#[test]
fn what_the_store_refuses_is_said_and_not_stored() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.store.refuse(Some(Refused::Full));
    let keyed = r#"{"op":"send","room":"ops","body":1,"idempotency_key":"k","id":1}"#;
    assert!(hub.says(1, keyed).contains(r#""code":"unavailable""#));
    hub.store.refuse(None);
    let again = hub.does(1, keyed);
    assert!(again.contains(r#""seq":1"#) && !again.contains("dup"), "{again}");
}

#[test]
fn what_a_failed_sync_left_is_delivered_once_the_disk_is_well_and_known_by_its_key() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(2, r#"{"op":"join","room":"ops"}"#);
    hub.does(1, &send("ops", 1));
    assert_eq!(seqs(&hub.hears(2)), [1]);
    let keyed = r#"{"op":"send","room":"ops","body":2,"idempotency_key":"k","id":2}"#;
    hub.says(1, keyed);
    hub.store.fail_having_kept();
    hub.pump();
    assert!(hub.hears(1).contains(r#""code":"unavailable""#));
    assert!(hub.says(1, &send("ops", 3)).contains(r#""code":"unavailable""#), "not before it is well");
    assert!(hub.says(1, &send("aside", 4)).contains(r#""ev":"ok""#), "others go on");
    assert_eq!(hub.hears(2), "");
    hub.store.restore();
    hub.pump();
    hub.reads();
    assert_eq!(seqs(&hub.hears(2)), [2], "it was stored after all");
    let again = hub.does(1, keyed);
    assert!(again.contains(r#""seq":2"#) && again.contains(r#""dup":true"#), "{again}");
    hub.does(1, &send("ops", 5));
    assert_eq!(seqs(&hub.hears(2)), [3]);
}

#[test]
fn a_slow_member_is_caught_up_from_the_disk_in_order_and_without_loss() {
    const COUNT: u64 = 6_000;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(2, r#"{"op":"join","room":"ops"}"#);
    let body = "x".repeat(1_000);
    for at in 0..COUNT {
        hub.says(1, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#));
        if at % 100 == 99 {
            hub.commits();
        }
    }
    let mut got = Vec::new();
    // Each time it reads, its writer says so, and more is read for it.
    while got.len() < COUNT as usize {
        let heard = hub.hears(2);
        assert!(!heard.is_empty(), "nothing more comes after {}", got.len());
        got.extend(seqs(&heard));
        hub.stage.router.handle(crate::router::Message::Drained(crate::model::ConnId(2)));
        hub.stage.router.settle();
        hub.reads();
    }
    assert!(got.iter().copied().eq(1..=COUNT));
    hub.does(1, &send("ops", 1));
    assert_eq!(seqs(&hub.hears(2)), [COUNT + 1], "and is live again");
}

#[test]
fn everything_comes_back_in_another_life_of_the_server() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"Ops"}"#);
    hub.does(1, r#"{"op":"topic","room":"ops","topic":"on call: ada"}"#);
    hub.does(1, r#"{"op":"create","room":"mine","keep_messages":7,"private":false}"#);
    let first = hub.does(1, r#"{"op":"send","room":"ops","body":"one","idempotency_key":"k","id":1}"#);
    assert!(first.contains(r#""seq":1"#), "{first}");
    hub.does(1, &send("value", 7));
    hub.does(1, &send("value", 8));
    hub.does(1, &send("jobs", 1));
    hub.does(1, &send("jobs", 2));
    let epoch =
        |heard: String| heard.split(r#""epoch":""#).nth(1).and_then(|rest| Some(rest.split('"').next()?.to_owned()));
    let before = epoch(hub.does(1, r#"{"op":"join","room":"ops","id":3}"#));

    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "eve");
    let joined = hub.does(1, r#"{"op":"join","room":"ops","after":0,"id":4}"#);
    assert!(joined.contains(r#""room":"Ops","seq":1,"#), "{joined}");
    assert_eq!(epoch(joined.clone()), before);
    assert!(joined.contains(r#""from":"ada""#) && joined.contains(r#""body":"one""#), "{joined}");
    assert!(hub.says(1, r#"{"op":"topic","room":"ops","id":5}"#).contains("on call: ada"));
    let repeat = hub.does(1, r#"{"op":"send","room":"ops","body":"one","idempotency_key":"k","id":6}"#);
    assert!(repeat.contains(r#""seq":1,"#) && repeat.contains(r#""dup":true"#), "{repeat}");
    let stands = hub.does(1, r#"{"op":"create","room":"mine","keep_messages":7,"id":7}"#);
    assert!(stands.contains(r#""existed":true"#), "{stands}");
    assert!(hub.does(1, r#"{"op":"join","room":"value","id":8}"#).contains(r#""body":8"#));
    let work = hub.does(1, r#"{"op":"join","room":"jobs","as":"worker","id":9}"#);
    assert_eq!(seqs(&work), [1, 2], "{work}");
    let refused = hub.does(1, r#"{"op":"redact","room":"ops","seq":1,"id":10}"#);
    assert!(refused.contains(r#""code":"forbidden""#), "the first guest of this life is another: {refused}");
    assert!(hub.does(1, &send("ops", 11)).contains(r#""seq":2"#));
}

#[test]
fn what_was_acked_does_not_come_back_and_what_was_not_does() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    for body in 1..=3 {
        hub.does(1, &send("jobs", body));
    }
    assert_eq!(hub.says(1, r#"{"op":"ack","room":"jobs","seq":2,"id":1}"#), "", "not before it is committed");
    hub.commits();
    assert!(hub.hears(1).contains(r#"{"ev":"ok","id":1,"room":"jobs"}"#));
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "bob");
    assert_eq!(seqs(&hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#)), [1, 3]);
}

#[test]
fn work_that_was_done_while_the_backlog_was_read_does_not_come_again() {
    const BACKLOG: u64 = 1_500;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    for body in 1..=BACKLOG {
        hub.does(1, &send("jobs", body));
    }
    let mut hub = Hub::unread(hub.store.disk(), 2);
    hub.stage.guest(1, "bob");
    hub.says(1, r#"{"op":"join","room":"jobs","as":"worker","prefetch":2000}"#);
    hub.reads_once();
    let mut got = seqs(&hub.hears(1));
    let last = *got.last().expect("a part of it was read");
    assert!(last < BACKLOG, "and not all");
    // The next stretch is asked for, and read before the ack is committed.
    got.extend(seqs(&hub.says(1, &format!(r#"{{"op":"ack","room":"jobs","seq":{last},"id":1}}"#))));
    hub.reads();
    hub.commits();
    got.extend(seqs(&hub.hears(1)));
    assert!(got.iter().copied().eq(1..=BACKLOG), "each once");
}

#[test]
fn work_that_comes_before_the_backlog_was_read_waits_for_it() {
    const BACKLOG: u64 = 1_500;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    for body in 1..=BACKLOG {
        hub.does(1, &send("jobs", body));
    }
    let mut hub = Hub::unread(hub.store.disk(), 2);
    hub.stage.guest(1, "bob");
    let mut got = seqs(&hub.says(1, r#"{"op":"join","room":"jobs","as":"worker","prefetch":2000}"#));
    for body in [BACKLOG + 1, BACKLOG + 2] {
        got.extend(seqs(&hub.says(1, &send("jobs", body))));
        hub.commits();
        got.extend(seqs(&hub.hears(1)));
        hub.reads_once();
    }
    hub.reads();
    got.extend(seqs(&hub.hears(1)));
    assert!(got.iter().copied().eq(1..=BACKLOG + 2), "oldest first");
}

#[test]
fn work_that_comes_does_not_wait_for_a_backlog_that_cannot_be_read() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, &send("jobs", 1));
    let mut hub = Hub::with(hub.store.disk(), 2, |store| store.fail_reads(Some(ReadError("torn".into()))));
    hub.stage.guest(1, "bob");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    assert_eq!(seqs(&hub.does(1, &send("jobs", 2))), [2]);
}

#[test]
fn a_backlog_is_read_also_where_the_store_had_no_room_for_that_at_first() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, &send("jobs", 1));
    hub.does(1, &send("ops", 1));
    let mut hub = Hub::with(hub.store.disk(), 2, |store| store.refuse(Some(Refused::Full)));
    hub.stage.guest(1, "bob");
    hub.store.refuse(None);
    assert_eq!(seqs(&hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#)), [0; 0]);
    let page = hub.does(1, r#"{"op":"history","room":"ops","after":0,"id":1}"#);
    assert!(page.contains(r#""seq":1"#), "a read that ends makes room: {page}");
    assert_eq!(seqs(&hub.hears(1)).len() + seqs(&page).len(), 1, "{page}");
}

#[test]
fn work_that_was_done_while_the_disk_became_well_does_not_come_again() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    let first = hub.does(1, &send("jobs", 1));
    assert_eq!(seqs(&first), [1]);
    hub.says(1, &send("jobs", 2));
    hub.store.fail_having_kept();
    hub.store.restore();
    hub.pump();
    let ack = hub.says(1, r#"{"op":"ack","room":"jobs","seq":1,"id":3}"#);
    assert_eq!(seqs(&ack), [0; 0], "{ack}");
    hub.reads();
    hub.commits();
    assert_eq!(seqs(&hub.hears(1)), [2], "what was stored after all, and not what is done");
}

#[test]
fn an_ack_that_could_not_be_written_has_the_work_come_again() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    hub.does(1, &send("jobs", 1));
    hub.says(1, r#"{"op":"ack","room":"jobs","seq":1,"id":1}"#);
    hub.store.fail();
    hub.pump();
    let heard = hub.hears(1);
    assert!(heard.contains(r#""code":"unavailable""#), "{heard}");
    assert_eq!(seqs(&heard), [0; 0], "nobody can ack it now: {heard}");
    hub.store.restore();
    hub.pump();
    hub.reads();
    let again = hub.hears(1);
    assert!(seqs(&again) == [1] && again.contains(r#""attempt":1"#), "{again}");
}

#[test]
fn an_ack_that_was_written_after_all_keeps_the_work_away() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    hub.does(1, &send("jobs", 1));
    hub.does(1, &send("jobs", 2));
    hub.says(1, r#"{"op":"ack","room":"jobs","seq":1,"id":1}"#);
    hub.store.fail_having_kept();
    hub.pump();
    assert!(hub.hears(1).contains(r#""code":"unavailable""#));
    assert!(hub.says(1, r#"{"op":"ack","room":"jobs","seq":2,"id":2}"#).contains(r#""code":"unavailable""#));
    hub.store.restore();
    hub.pump();
    hub.reads();
    assert_eq!(seqs(&hub.hears(1)), [2]);
}

#[test]
fn a_dead_letter_of_unknown_outcome_is_in_one_place() {
    for was_kept in [true, false] {
        let mut hub = Hub::new();
        hub.stage.guest(1, "ada");
        hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
        hub.does(1, r#"{"op":"join","room":"jobs.dead"}"#);
        hub.does(1, &send("jobs", 1));
        hub.says(1, r#"{"op":"nack","room":"jobs","seq":1}"#);
        hub.says(1, r#"{"op":"nack","room":"jobs","seq":1}"#);
        if was_kept {
            hub.store.fail_having_kept();
        } else {
            hub.store.fail();
        }
        hub.pump();
        hub.store.restore();
        hub.pump();
        hub.reads();
        let heard = hub.hears(1);
        let place = if was_kept { r#""room":"jobs.dead","seq":1"# } else { r#""room":"jobs","seq":1"# };
        assert!(seqs(&heard) == [1] && heard.contains(place), "{heard}");
    }
}

#[test]
fn a_dead_letter_is_moved_as_one() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#);
    hub.does(1, r#"{"op":"join","room":"jobs.dead"}"#);
    hub.does(1, &send("jobs", 1));
    hub.says(1, r#"{"op":"nack","room":"jobs","seq":1}"#);
    hub.says(1, r#"{"op":"nack","room":"jobs","seq":1}"#);
    let before = hub.store.disk();
    hub.commits();
    assert!(hub.hears(1).contains(r#""room":"jobs.dead","seq":1"#));
    for (disk, work) in [(before, vec![1]), (hub.store.disk(), vec![])] {
        let mut hub = Hub::over(disk, 2);
        hub.stage.guest(1, "bob");
        assert_eq!(seqs(&hub.does(1, r#"{"op":"join","room":"jobs","as":"worker"}"#)), work);
    }
}

#[test]
fn a_page_says_what_is_missing_in_it_whatever_the_store_knows() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    for body in 1..=9 {
        hub.does(1, &send("ops", body));
    }
    let mut hub = hub.restarted(2);
    for lost in [1, 4, 5, 9] {
        hub.store.lose(&RoomKey("ops".into()), Seq(lost));
    }
    hub.stage.guest(1, "bob");
    for (fields, gaps, wanted) in [
        (r#""after":0"#, "1-1 4-5 9-9", &[2, 3, 6, 7, 8][..]),
        (r#""after":0,"limit":2"#, "1-1", &[2, 3]),
        (r#""after":3,"limit":2"#, "4-5", &[6, 7]),
        (r#""limit":2"#, "9-9", &[7, 8]),
        (r#""before":6"#, "4-5", &[2, 3]),
        (r#""before":8,"limit":2"#, "", &[6, 7]),
    ] {
        let page = hub.does(1, &format!(r#"{{"op":"history","room":"ops",{fields},"id":1}}"#));
        let number = |line: &str, name: &str| {
            let rest = line.split(name).nth(1).unwrap_or_default();
            rest.chars().take_while(char::is_ascii_digit).collect::<String>()
        };
        let told = page.lines().filter(|line| line.contains(r#""ev":"gap""#));
        let told: Vec<_> =
            told.map(|line| format!("{}-{}", number(line, r#""first":"#), number(line, r#""last":"#))).collect();
        assert_eq!(told.join(" "), gaps, "{fields}: {page}");
        let read = page.split(r#""messages":"#).nth(1).unwrap_or_default();
        let read: Vec<u64> =
            read.split(r#""seq":"#).skip(1).filter_map(|rest| rest.split(',').next()?.parse().ok()).collect();
        assert_eq!(read, wanted, "{fields}: {page}");
    }
}

#[test]
fn history_that_memory_no_longer_holds_is_read_from_the_disk() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let body = "x".repeat(10_000);
    for at in 1..=100 {
        hub.stage.now.unix_ms = 1_000_000 + at;
        let now = hub.stage.now;
        hub.stage.router.at(now);
        hub.does(1, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#));
    }
    let cases: [(&str, &[u64], bool); 6] = [
        (r#""after":0,"limit":3"#, &[1, 2, 3], true),
        (r#""before":4"#, &[1, 2, 3], false),
        (r#""before":9,"limit":2"#, &[7, 8], true),
        (r#""limit":2"#, &[99, 100], true),
        (r#""since":1000005,"until":1000006"#, &[5, 6], false),
        (r#""until":1000002"#, &[1, 2], false),
    ];
    for (fields, wanted, more) in cases {
        let page = hub.does(1, &format!(r#"{{"op":"history","room":"ops",{fields},"id":1}}"#));
        let numbers: Vec<u64> = page
            .split(r#"{"room":"ops","seq":"#)
            .skip(1)
            .filter_map(|rest| rest.split(',').next()?.parse().ok())
            .collect();
        assert_eq!(numbers, wanted, "{fields}");
        assert!(page.contains(&format!(r#""more":{more}"#)), "{fields}");
        assert!(page.contains(r#""ev":"history","id":1,"room":"ops","seq":100,"#), "{fields}");
    }
    for (start, first) in [(r#""after":40"#, 41), (r#""last":90"#, 11), (r#""since":1000031"#, 31)] {
        let mut heard = hub.does(1, &format!(r#"{{"op":"join","room":"ops",{start}}}"#));
        for _ in 0..10 {
            hub.stage.router.handle(crate::router::Message::Drained(crate::model::ConnId(1)));
            hub.stage.router.settle();
            hub.reads();
            heard.push_str(&hub.hears(1));
        }
        assert!(seqs(&heard).into_iter().eq(first..=100), "{start}: {:?}", seqs(&heard));
        assert!(heard.lines().all(|line| !line.contains("message") || line.ends_with(r#""replay":true}"#)));
        hub.does(1, r#"{"op":"leave","room":"ops"}"#);
    }
}

#[test]
fn what_retention_removed_is_told_as_a_gap() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    for body in 1..=8 {
        hub.does(1, &send("short", body));
    }
    let heard = hub.does(1, r#"{"op":"join","room":"short","after":1}"#);
    assert!(heard.contains(r#"{"ev":"gap","room":"short","first":2,"last":5}"#), "{heard}");
    assert_eq!(seqs(&heard), [6, 7, 8]);
}

#[test]
fn what_retention_removes_while_a_page_is_read_is_told_as_a_gap_too() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    for body in 1..=8 {
        hub.does(1, &send("short", body));
    }
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "bob");
    assert_eq!(hub.says(1, r#"{"op":"history","room":"short","after":2,"id":1}"#), "");
    hub.stage.guest(2, "eve");
    hub.says(2, &send("short", 9));
    hub.commits();
    hub.reads();
    let heard = hub.hears(1);
    assert!(heard.contains(r#"{"ev":"gap","room":"short","first":3,"last":6}"#), "{heard}");
    assert!(heard.contains(r#""messages":[{"room":"short","seq":7,"#), "{heard}");
}

#[test]
fn what_is_taken_back_is_gone_from_memory_and_disk() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"send","room":"ops","body":"secret"}"#);
    assert_eq!(hub.says(1, r#"{"op":"redact","room":"ops","seq":1,"id":1}"#), "");
    hub.commits();
    assert!(hub.hears(1).contains(r#"{"ev":"ok","id":1,"room":"ops"}"#));
    assert!(hub.does(1, r#"{"op":"history","room":"ops"}"#).contains(r#""body":null,"redacted":true"#));
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "bob");
    let page = hub.does(1, r#"{"op":"history","room":"ops"}"#);
    assert!(page.contains(r#""body":null,"redacted":true"#) && !page.contains("secret"), "{page}");
}

#[test]
fn what_other_servers_append_is_delivered_in_its_place() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(2, r#"{"op":"join","room":"ops"}"#);
    hub.says(1, &send("ops", 1));
    hub.store.others_said(&RoomKey("ops".into()), theirs());
    hub.commits();
    assert_eq!(seqs(&hub.hears(2)), [1, 2]);
    assert!(hub.hears(1).contains(r#""seq":2"#), "its own came second");
}

fn theirs() -> Group {
    let nick = Arc::new(crate::model::Nick::parse("zoe").expect("a nick"));
    let identity = crate::model::Identity::Guest(1);
    let sender = Arc::new(crate::model::Sender { conn: crate::model::ConnId(2), identity, nick, account: None });
    let mut draft = GroupDraft::new(Boot(77));
    draft.push(&Record { sender, to: None, ts: 5, headers: None, body: b"9", key: None, redacted: false });
    draft.seal()
}

#[test]
fn one_that_wants_no_echo_is_spared_its_own_when_it_catches_up_from_the_disk() {
    let mut hub = Hub::new();
    hub.stage.arrives(1);
    hub.stage.guest(2, "bob");
    hub.does(1, r#"{"op":"hello","nick":"ada","echo":false}"#);
    hub.does(1, r#"{"op":"join","room":"ops"}"#);
    let body = "x".repeat(20_000);
    let mut heard = String::new();
    for at in 1..=160 {
        let who = if at > 60 && at % 2 == 0 { 1 } else { 2 };
        heard.push_str(&hub.says(who, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#)));
        hub.commits();
    }
    for _ in 0..40 {
        heard.push_str(&hub.hears(1));
        hub.stage.router.handle(crate::router::Message::Drained(crate::model::ConnId(1)));
        hub.stage.router.settle();
        hub.reads();
    }
    let others = (1..=160).filter(|at| *at <= 60 || at % 2 == 1);
    assert!(seqs(&heard).into_iter().eq(others), "{:?}", seqs(&heard));
}

#[test]
fn one_who_is_behind_while_the_disk_fails_gets_everything_when_it_is_well() {
    const COUNT: u64 = 200;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    let body = "x".repeat(10_000);
    for _ in 0..COUNT {
        hub.does(1, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#));
    }
    hub.says(2, r#"{"op":"join","room":"ops","after":0}"#);
    hub.store.fail_reads(Some(crate::store::ReadError("an I/O error".into())));
    hub.store.fail();
    hub.pump();
    hub.reads();
    assert_eq!(seqs(&hub.hears(2)), [0; 0]);
    hub.store.fail_reads(None);
    hub.store.restore();
    hub.pump();
    let mut got = Vec::new();
    for _ in 0..20 {
        hub.reads();
        let heard = hub.hears(2);
        assert!(!heard.contains("gap"), "{heard}");
        got.extend(seqs(&heard));
        hub.stage.router.handle(crate::router::Message::Drained(crate::model::ConnId(2)));
        hub.stage.router.settle();
    }
    assert!(got.iter().copied().eq(1..=COUNT), "{got:?}");
}

/// The bodies of messages in what a connection heard, with their rooms.
fn said(heard: &str) -> Vec<String> {
    let messages = heard.lines().filter(|line| line.contains(r#""ev":"message""#));
    let field = |line: &str, name: &str| line.split(&format!(r#""{name}":"#)).nth(1).map(str::to_owned);
    let room = |line: &str| field(line, "room").and_then(|rest| Some(rest.split('"').nth(1)?.to_owned()));
    let body = |line: &str| field(line, "body").and_then(|rest| Some(rest.split([',', '}']).next()?.to_owned()));
    messages.map(|line| format!("{} {}", room(line).expect("a room"), body(line).expect("a body"))).collect()
}

#[test]
fn an_observer_is_told_how_far_it_has_come_and_goes_on_from_there() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    hub.does(1, &send("ops.a", 1));
    let ok = hub.does(2, r#"{"op":"join","room":"ops.*","id":1}"#);
    assert!(ok.contains(r#"{"ev":"ok","id":1,"room":"ops.*","cursor":"1"}"#), "{ok}");
    hub.does(1, &send("ops.a", 2));
    hub.does(1, &send("ops.b", 3));
    hub.does(1, &send("other", 4));
    assert_eq!(said(&hub.hears(2)), ["ops.a 2", "ops.b 3"]);
    hub.stage.pass(std::time::Duration::from_secs(1));
    let told = hub.hears(2);
    assert_eq!(told, "{\"ev\":\"cursor\",\"pattern\":\"ops.*\",\"cursor\":\"4\"}\n");
    hub.stage.pass(std::time::Duration::from_secs(1));
    assert_eq!(hub.hears(2), "", "nothing new");

    hub.does(2, r#"{"op":"quit"}"#);
    hub.does(1, &send("ops.b", 5));
    hub.does(1, &send("ops.c", 6));
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "ada");
    hub.stage.guest(2, "bob");
    let heard = hub.does(2, r#"{"op":"join","room":"ops.*","cursor":"4","id":2}"#);
    let mut missed = said(&heard);
    missed.sort_unstable();
    assert_eq!(missed, ["ops.b 5", "ops.c 6"], "{heard}");
    assert!(!heard.contains("gap"), "{heard}");
    hub.does(1, &send("ops.b", 7));
    assert_eq!(said(&hub.hears(2)), ["ops.b 7"], "and is live");
    hub.stage.guest(3, "carl");
    let heard = hub.does(3, r#"{"op":"join","room":"ops.*","cursor":"99","id":3}"#);
    assert!(heard.contains(r#""reset":true"#), "{heard}");
    assert_eq!(said(&heard).len(), 6, "all there is: {heard}");
    let refused = hub.does(3, r#"{"op":"join","room":"ops.a","cursor":"1","id":4}"#);
    assert!(refused.contains(r#""code":"bad_request""#), "{refused}");
}

#[test]
fn a_room_whose_settings_were_not_saved_is_not_said_to_exist() {
    for history in ["disk", "memory"] {
        let create =
            |id: u64| format!(r#"{{"op":"create","room":"made","kind":"queue","history":"{history}","id":{id}}}"#);
        let mut hub = Hub::new();
        hub.stage.account(1, "ada");
        hub.stage.account(2, "bob");
        hub.store.refuse(Some(Refused::Full));
        assert!(hub.says(1, &create(1)).contains(r#""code":"unavailable""#));
        assert!(hub.says(1, &create(2)).contains(r#""code":"unavailable""#), "nothing is saved yet");
        hub.store.refuse(None);
        assert_eq!(hub.says(1, &create(3)), "");
        assert_eq!(hub.says(2, &create(4)), "", "a save that is under way is none yet");
        hub.commits();
        for (conn, id) in [(1, 3), (2, 4)] {
            let heard = hub.hears(conn);
            assert!(heard.contains(&format!(r#"{{"ev":"ok","id":{id},"room":"made","existed":true}}"#)), "{heard}");
        }
        assert!(hub.says(2, &create(5)).contains(r#""existed":true"#), "it is saved, and not once more");
        let mut hub = hub.restarted(2);
        hub.stage.guest(1, "eve");
        hub.does(1, r#"{"op":"join","room":"made","as":"worker"}"#);
        hub.does(1, &send("made", 1));
        assert!(hub.does(1, r#"{"op":"ack","room":"made","seq":1,"id":6}"#).contains(r#""ev":"ok","id":6"#));
    }
}

#[test]
fn settings_that_could_not_be_saved_are_saved_when_the_disk_is_well() {
    let mut hub = Hub::new();
    hub.stage.account(1, "ada");
    hub.says(1, r#"{"op":"create","room":"made","kind":"queue","id":1}"#);
    hub.says(1, r#"{"op":"create","room":"aside","keep_messages":7,"id":2}"#);
    hub.store.fail();
    hub.pump();
    assert_eq!(hub.hears(1).matches(r#""code":"unavailable""#).count(), 2);
    hub.store.restore();
    hub.pump();
    hub.commits();
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "eve");
    let made = hub.says(1, r#"{"op":"create","room":"made","kind":"queue","id":3}"#);
    assert!(made.contains(r#""existed":true"#), "{made}");
    let aside = hub.says(1, r#"{"op":"create","room":"aside","keep_messages":7,"id":4}"#);
    assert!(aside.contains(r#""existed":true"#), "{aside}");
}

#[test]
fn a_save_that_is_under_way_is_not_repeated_for_each_message() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.says(1, &send("ops", 1));
    hub.says(1, &send("ops", 2));
    let writes = hub.stage.router.disk.writes.len();
    assert_eq!(writes, 1, "the settings, once");
    hub.commits();
    hub.says(1, &send("ops", 3));
    assert_eq!(hub.stage.router.disk.writes.len(), 0);
}

#[test]
fn what_was_on_its_way_to_a_deleted_room_is_no_message_of_the_next_one() {
    let mut hub = Hub::new();
    hub.stage.account(1, "ada");
    for (conn, nick) in [(2, "bob"), (3, "cat"), (4, "dan"), (5, "eve")] {
        hub.stage.guest(conn, nick);
    }
    let keyed = |body: &str, id: u64| {
        format!(r#"{{"op":"send","room":"ops","body":"{body}","idempotency_key":"k","id":{id}}}"#)
    };
    hub.does(1, r#"{"op":"join","room":"ops"}"#);
    assert_eq!(hub.says(2, &keyed("old", 1)), "");
    assert_eq!(hub.says(3, &keyed("old", 2)), "");
    assert_eq!(hub.says(1, r#"{"op":"delete","room":"ops","id":3}"#), "");
    let joined = hub.says(4, r#"{"op":"join","room":"ops","id":4}"#);
    assert!(joined.contains(r#""seq":0"#), "{joined}");
    assert_eq!(hub.says(5, &keyed("new", 5)), "", "the key is one of the room that is gone");
    hub.commits();
    let sent = hub.hears(2);
    assert!(sent.contains(r#"{"ev":"ok","id":1,"room":"ops","seq":1,"#), "{sent}");
    let waited = hub.hears(3);
    assert!(waited.contains(r#""id":2,"room":"ops","seq":1,"#) && waited.contains(r#""dup":true"#), "{waited}");
    assert!(hub.hears(1).contains(r#"{"ev":"ok","id":3,"room":"ops"}"#));
    let heard = hub.hears(4);
    assert!(seqs(&heard) == [1] && heard.contains(r#""body":"new""#), "{heard}");
    let sent = hub.hears(5);
    assert!(sent.contains(r#""id":5,"room":"ops","seq":1,"#) && !sent.contains("dup"), "{sent}");
    hub.does(2, &send("ops", 6));
    assert_eq!(seqs(&hub.hears(4)), [2]);
    let epoch = |heard: &str| heard.split(r#""epoch":""#).nth(1).map(|rest| rest.chars().take(8).collect::<String>());
    let again = hub.does(2, r#"{"op":"join","room":"ops","id":7}"#);
    assert!(epoch(&again).is_some() && epoch(&again) == epoch(&joined), "{again}");
}

#[test]
fn what_fails_on_its_way_to_a_deleted_room_leaves_the_next_one_alone() {
    let mut hub = Hub::new();
    hub.stage.account(1, "ada");
    for (conn, nick) in [(2, "bob"), (3, "cat"), (4, "dan")] {
        hub.stage.guest(conn, nick);
    }
    let keyed = r#"{"op":"send","room":"ops","body":1,"idempotency_key":"k","id":1}"#;
    hub.does(1, r#"{"op":"join","room":"ops"}"#);
    hub.says(2, keyed);
    hub.says(4, keyed);
    hub.says(1, r#"{"op":"delete","room":"ops","id":2}"#);
    hub.says(3, r#"{"op":"join","room":"ops","id":3}"#);
    hub.store.fail();
    hub.pump();
    for conn in [1, 2, 4] {
        let heard = hub.hears(conn);
        assert!(heard.contains(r#""code":"unavailable""#), "{conn} is told: {heard}");
    }
    hub.store.restore();
    hub.pump();
    hub.reads();
    hub.hears(3);
    hub.does(2, &send("ops", 4));
    assert_eq!(seqs(&hub.hears(3)), [1]);
}

#[test]
fn a_private_room_of_a_guest_is_in_memory_where_nobody_finds_it_locked_later() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.stage.account(2, "bob");
    hub.does(1, r#"{"op":"create","room":"guests","private":true}"#);
    assert!(hub.says(1, &send("guests", 1)).contains(r#""ev":"ok","id":1"#), "at once: it is not on disk");
    let refused = hub.does(1, r#"{"op":"create","room":"lasting","private":true,"history":"disk","id":2}"#);
    assert!(refused.contains(r#""code":"forbidden""#), "{refused}");
    hub.does(2, r#"{"op":"create","room":"bobs","private":true}"#);
    hub.does(2, &send("bobs", 3));
    let mut hub = hub.restarted(2);
    hub.stage.guest(1, "eve");
    hub.stage.account(2, "bob");
    assert!(hub.does(1, r#"{"op":"join","room":"guests","id":4}"#).contains(r#""seq":0"#), "it is gone, and free");
    assert!(hub.does(1, r#"{"op":"join","room":"bobs","id":5}"#).contains(r#""code":"forbidden""#));
    assert!(hub.does(2, r#"{"op":"join","room":"bobs","id":6}"#).contains(r#""seq":1"#));
}

#[test]
fn those_who_wait_for_the_disk_get_their_turn_though_others_have_left() {
    const READERS: u64 = 200;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let body = "x".repeat(10_000);
    for _ in 0..60 {
        hub.does(1, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#));
    }
    for conn in 2..2 + READERS {
        hub.stage.guest(conn, &format!("r{conn}"));
        hub.says(conn, r#"{"op":"join","room":"ops","after":0}"#);
    }
    // Most leave before their turn has come; one of them comes and goes all the time.
    for conn in 2..READERS {
        hub.says(conn, r#"{"op":"leave","room":"ops"}"#);
    }
    for _ in 0..50 {
        hub.says(2, "{\"op\":\"join\",\"room\":\"ops\",\"after\":0}\n{\"op\":\"leave\",\"room\":\"ops\"}");
    }
    for conn in [READERS, READERS + 1] {
        let mut got = Vec::new();
        for _ in 0..10 {
            hub.reads();
            got.extend(seqs(&hub.hears(conn)));
            hub.stage.router.handle(crate::router::Message::Drained(crate::model::ConnId(conn)));
            hub.stage.router.settle();
        }
        assert!(got.iter().copied().eq(1..=60), "{conn}: {got:?}");
    }
    assert_eq!(hub.stage.router.disk.reads_behind, 0);
    assert!(hub.stage.router.disk.unread.is_empty());
}

#[test]
fn a_page_from_a_time_on_holds_nothing_older_though_most_of_the_room_is_on_disk() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let body = "x".repeat(10_000);
    for at in 1..=100 {
        hub.stage.now.unix_ms = 1_000_000 + at;
        let now = hub.stage.now;
        hub.stage.router.at(now);
        hub.does(1, &format!(r#"{{"op":"send","room":"ops","body":"{body}"}}"#));
    }
    let page = hub.does(1, r#"{"op":"history","room":"ops","since":1000100,"limit":2,"id":1}"#);
    assert!(page.contains(r#""seq":100,"from""#) && page.contains(r#""more":false"#), "{page}");
    assert_eq!(page.matches(r#""from":"ada""#).count(), 1);
}

#[test]
fn what_waits_for_the_disk_when_the_server_goes_down_is_answered() {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    let lines = format!("{}\n{}", send("ops", 1), r#"{"op":"history","room":"ops","id":2}"#);
    assert_eq!(hub.says(1, &lines), "");
    assert!(hub.stage.router.awaits_store());
    hub.stage.router.shutdown();
    let heard = hub.hears(1);
    assert!(heard.contains(r#""id":2,"code":"shutting_down""#), "{heard}");
    assert!(heard.trim_end().ends_with(r#""reason":"shutdown","reconnect_ms":1000}"#), "{heard}");
}

#[test]
fn a_mass_of_work_that_dies_at_once_is_moved_as_one_in_chunks_of_the_usual_size() {
    const JOBS: u64 = 300;
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"join","room":"jobs","as":"worker","prefetch":1000}"#);
    let job = format!(r#"{{"op":"send","room":"jobs","body":"{}"}}"#, "x".repeat(1_000));
    hub.does(1, &vec![job; JOBS as usize].join("\n"));
    // All of their time is up at once, twice, which is as often as it may be.
    for _ in 0..2 {
        hub.stage.pass(std::time::Duration::from_secs(31));
        hub.hears(1);
    }
    let before = hub.store.waiting();
    hub.commits();
    assert_eq!(before, 1, "one batch has them all");
    let dead = hub.stage.router.halls.find_key(&RoomKey("jobs.dead".into())).expect("it stands");
    let log = &hub.stage.router.halls.get(dead).expect("it stands").room.log;
    assert_eq!(log.newest(), Seq(JOBS));
    let chunk = log.find(log.newest()).expect("the newest are in memory");
    assert!(chunk.lines().len() < JOBS as usize / 3, "{} in one chunk", chunk.lines().len());
    assert!(hub.does(1, r#"{"op":"history","room":"jobs","id":1}"#).contains(r#""messages":[]"#));
}
