//! What one client must not be able to do to the others: fill the memory, take the time, or see what is private.

use super::*;
use crate::model::Rendition;

impl Stage {
    /// Lets somebody in who has not said `hello`.
    fn stranger(&mut self, conn: u64) {
        let (outbox, source, drain) = outbox(1 << 20, 256 << 10, &self.total);
        self.ends.insert(conn, (source, drain));
        self.router.handle(Message::Connect(Box::new(Connect { conn: ConnId(conn), outbox })));
    }

    /// Everything that a connection is told when it reads to the end.
    fn reads_all(&mut self, conn: u64) -> String {
        let mut all = String::new();
        loop {
            let heard = self.hears(conn);
            if heard.is_empty() {
                return all;
            }
            all.push_str(&heard);
            self.router.handle(Message::Drained(ConnId(conn)));
            self.router.settle();
        }
    }

    /// A room's hall.
    fn hall(&self, room: &str) -> &crate::router::hall::Hall {
        let room = RoomName::parse(room).expect("the test names a room");
        let id = self.router.halls.find(&room).expect("the room stands");
        self.router.halls.get(id).expect("it stands")
    }
}

/// The numbers behind a key in lines of JSON.
fn numbers(lines: &str, key: &str) -> Vec<u64> {
    let digits =
        |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("number");
    lines.split(&format!(r#""{key}":"#)).skip(1).map(digits).collect()
}

fn repeated(line: &str, count: usize) -> String {
    vec![line; count].join("\n")
}

#[test]
fn a_mass_of_work_that_dies_at_once_reaches_its_dead_letter_room_whole() {
    const COUNT: usize = 66_000;
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.guest(2, "bob");
    stage.guest(3, "eve");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue","max_deliver":1,"keep_messages":0,"keep_bytes":0}"#);
    stage.says(3, r#"{"op":"join","room":"q.dead"}"#);
    stage.says(1, &repeated(r#"{"op":"send","room":"q","body":1}"#, COUNT));
    for worker in [1, 2] {
        stage.says(worker, r#"{"op":"join","room":"q","as":"worker","prefetch":65536}"#);
        stage.reads_all(worker);
    }
    stage.reads_all(1);
    stage.pass(Duration::from_secs(30));
    let told = stage.reads_all(3);
    let missed: u64 = numbers(&told, "missed").iter().sum();
    assert_eq!(told.matches(r#""ev":"message""#).count() as u64 + missed, COUNT as u64);
}

#[test]
fn news_that_a_member_does_not_read_is_bounded_and_its_lack_is_told() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.guest(2, "bob");
    for conn in [1, 2] {
        stage.says(conn, r#"{"op":"join","room":"lobby"}"#);
    }
    let words = "x".repeat(1_000);
    let topics = repeated(&format!(r#"{{"op":"topic","room":"lobby","topic":"{words}"}}"#), 1_000);
    for _ in 0..5 {
        stage.says(1, &topics);
        stage.says(1, &repeated("{\"op\":\"nick\",\"nick\":\"ann\"}\n{\"op\":\"nick\",\"nick\":\"ada\"}", 1_000));
    }
    assert!(stage.total.bytes() <= (1 << 20) + 4_096, "{} bytes wait", stage.total.bytes());
    stage.hears(2);
    stage.says(1, r#"{"op":"topic","room":"lobby","topic":"new"}"#);
    let told = stage.hears(2);
    assert!(told.starts_with(r#"{"ev":"lagged","room":"lobby","missed":0,"next":1,"presence":true}"#), "{told}");
    assert!(told.contains(r#""topic":"new""#), "{told}");
}

#[test]
fn the_history_of_a_queue_is_found_by_time_whatever_was_done_of_it() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue"}"#);
    for _ in 0..9 {
        stage.says(1, r#"{"op":"send","room":"q","body":1}"#);
        stage.pass(Duration::from_secs(1));
    }
    stage.says(1, r#"{"op":"join","room":"q","as":"worker"}"#);
    stage.says(1, r#"{"op":"ack","room":"q","seq":[1,3,4,5,6]}"#);
    stage.says(1, r#"{"op":"nack","room":"q","seq":7,"delay_ms":5000}"#);
    let mut seqs = |what: &str| {
        let page = stage.says(1, &format!(r#"{{"op":"history","room":"q",{what}}}"#));
        numbers(&page, "seq")[1..].to_vec()
    };
    assert_eq!(seqs(r#""limit":50"#), [2, 7, 8, 9]);
    assert_eq!(seqs(r#""limit":2"#), [8, 9]);
    assert_eq!(seqs(r#""after":2,"limit":2"#), [7, 8]);
    assert_eq!(seqs(r#""until":1007000"#), [2, 7, 8]);
    assert_eq!(seqs(r#""until":1005999"#), [2]);
    assert_eq!(seqs(r#""since":1001001"#), [7, 8, 9]);
}

#[test]
fn queues_without_a_limit_of_their_own_share_the_servers() {
    let mut config = Config::default();
    config.limits.memory_history_bytes = 100_000;
    let mut stage = Stage::with(config);
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue","keep_messages":0,"keep_bytes":0}"#);
    let told = stage.says(1, &repeated(r#"{"op":"send","room":"q","body":1}"#, 1_000));
    assert!(told.contains(r#""code":"room_full""#), "all of it is kept");
    let kept = stage.hall("q").room.queue.as_ref().expect("a queue").len();
    assert!((100..500).contains(&kept), "{kept} are kept");
    stage.says(1, r#"{"op":"join","room":"q","as":"worker","prefetch":1000}"#);
    let seqs: Vec<String> = (1..=kept).map(|seq| seq.to_string()).collect();
    assert_eq!(stage.says(1, &format!(r#"{{"op":"ack","room":"q","seq":[{}]}}"#, seqs.join(","))), "");
    assert_eq!(
        stage.says(1, r#"{"op":"send","room":"q","body":1}"#).matches("error").count(),
        0,
        "there is room again"
    );
}

#[test]
fn the_dead_letters_of_a_private_queue_are_private_too() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.guest(2, "eve");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue","private":true,"max_deliver":1}"#);
    stage.says(1, r#"{"op":"send","room":"q","body":"secret"}"#);
    stage.says(1, r#"{"op":"join","room":"q","as":"worker"}"#);
    stage.says(1, r#"{"op":"nack","room":"q","seq":1}"#);
    let told =
        stage.says(2, "{\"op\":\"history\",\"room\":\"q.dead\"}\n{\"op\":\"join\",\"room\":\"q.dead\",\"last\":9}");
    assert!(!told.contains("secret"), "{told}");
    assert!(stage.says(1, r#"{"op":"history","room":"q.dead"}"#).contains("secret"), "its owner reads them");
}

#[test]
fn who_resumes_a_session_is_in_no_more_rooms_than_anyone_else() {
    let mut config = Config::default();
    config.limits.max_rooms_per_connection = 3;
    let mut stage = Stage::with(config);
    stage.guest(1, "ada");
    stage.says(1, &["a", "b", "c"].map(|room| format!(r#"{{"op":"join","room":"{room}"}}"#)).join("\n"));
    let key = stage.router.conns[&ConnId(1)].key.expect("it was welcomed");
    stage.stranger(2);
    stage.says(2, &["c", "d", "e.*"].map(|room| format!(r#"{{"op":"join","room":"{room}"}}"#)).join("\n"));
    stage.says(2, &format!(r#"{{"op":"hello","resume":"{key}"}}"#));
    assert_eq!(stage.router.conns[&ConnId(2)].places(), 3);
}

#[test]
fn a_room_that_gives_its_history_up_and_takes_it_up_again_begins_a_new_tail() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    let send = r#"{"op":"send","room":"lobby","body":1}"#;
    stage.says(1, "{\"op\":\"create\",\"room\":\"lobby\"}");
    stage.says(1, send);
    stage.says(1, r#"{"op":"create","room":"lobby","history":"none"}"#);
    stage.says(1, send);
    stage.says(1, r#"{"op":"create","room":"lobby","history":"memory"}"#);
    stage.says(1, send);
    let page = stage.says(1, r#"{"op":"history","room":"lobby","after":0}"#);
    assert!(page.starts_with(r#"{"ev":"gap","room":"lobby","first":1,"last":2}"#), "{page}");
    assert_eq!(numbers(&page, "seq"), [3, 3]);
}

#[test]
fn what_a_room_keeps_does_not_hold_what_it_has_let_go() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"create","room":"lobby","keep_messages":2}"#);
    stage.says(1, &repeated(r#"{"op":"send","room":"lobby","body":1}"#, 500));
    let log = &stage.hall("lobby").room.log;
    let chunk = log.find(log.newest()).expect("it is kept");
    assert!(chunk.cost() < 2_000, "two messages hold {} bytes", chunk.cost());
    assert_eq!(log.bytes(), stage.router.halls.history_bytes);
    let page = stage.says(1, r#"{"op":"history","room":"lobby"}"#);
    assert_eq!(numbers(&page, "seq"), [500, 499, 500]);
}

#[test]
fn a_message_that_is_refused_leaves_no_room_behind() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue"}"#);
    let told = stage.says(1, r#"{"op":"send","room":"q.dead","body":1}"#);
    assert!(told.contains(r#""code":"forbidden""#), "{told}");
    assert_eq!(stage.router.halls.count(), 1);
}

#[test]
fn who_brings_a_private_room_into_being_is_in_and_others_are_not() {
    let rule = RoomRule { private: Some(true), ..rule("p.>") };
    let mut stage = Stage::with(Config { rooms: vec![rule], ..Config::default() });
    stage.guest(1, "ada");
    stage.guest(2, "eve");
    assert!(stage.says(1, r#"{"op":"join","room":"p.x","id":1}"#).contains(r#""ev":"ok","id":1"#));
    assert!(stage.says(1, r#"{"op":"send","room":"p.x","body":1,"id":2}"#).contains(r#""ev":"ok","id":2"#));
    for op in ["join", "create"] {
        let told = stage.says(2, &format!(r#"{{"op":"{op}","room":"p.x","id":3}}"#));
        assert!(told.contains(r#""code":"forbidden""#), "{told}");
    }
}

#[test]
fn who_may_not_know_a_private_room_does_not_learn_how_it_is_written() {
    let mut stage = Stage::new();
    stage.account(1, "ada");
    stage.guest(2, "eve");
    stage.says(1, r#"{"op":"create","room":"TopSecret","private":true}"#);
    for op in ["topic", "who", "history"] {
        let told = stage.says(2, &format!(r#"{{"op":"{op}","room":"topsecret"}}"#));
        let other = stage.says(2, &format!(r#"{{"op":"{op}","room":"no-secret"}}"#));
        assert_eq!(told, other.replace("no-secret", "topsecret"));
    }
}

#[test]
fn a_room_is_looked_at_once_a_round_however_much_is_sent_to_it() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"create","room":"q","kind":"queue"}"#);
    let mut input = BytesMut::from(format!("{}\n", repeated(r#"{"op":"send","room":"q","body":1}"#, 100)).as_bytes());
    let mut parcel = Parcel::new(ConnId(1));
    JsonDecoder::new(&TERMS).decode(&mut input, &mut parcel.intake);
    stage.router.handle(Message::Parcel(parcel));
    assert_eq!(stage.router.dirty.len(), 1);
}

#[test]
fn keys_are_forgotten_in_time_in_a_room_that_somebody_is_in() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, "{\"op\":\"join\",\"room\":\"lobby\"}");
    stage.says(1, r#"{"op":"send","room":"lobby","body":1,"idempotency_key":"k"}"#);
    for _ in 0..3 {
        stage.pass(Duration::from_secs(60));
    }
    assert!(stage.hall("lobby").room.keys.is_empty());
}

#[test]
fn a_room_that_never_pauses_does_not_keep_a_slow_reader_from_its_other_rooms() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.guest(2, "bob");
    stage.says(2, "{\"op\":\"join\",\"room\":\"loud\"}\n{\"op\":\"join\",\"room\":\"quiet\"}");
    let loud = repeated(&format!(r#"{{"op":"send","room":"loud","body":"{}"}}"#, "x".repeat(10_000)), 200);
    stage.says(1, &loud);
    let quiet = repeated(&format!(r#"{{"op":"send","room":"quiet","body":"{}"}}"#, "x".repeat(60_000)), 3);
    stage.says(1, &quiet);
    let mut heard = String::new();
    for _ in 0..4 {
        stage.says(1, &loud);
        heard.push_str(&stage.hears(2));
        stage.router.handle(Message::Drained(ConnId(2)));
        stage.router.settle();
    }
    assert_eq!(heard.matches(r#""room":"quiet""#).count(), 3, "the loud room alone was read");
}

#[test]
fn a_chunk_keeps_few_renditions_however_many_time_zones_its_readers_choose() {
    let mut stage = Stage::new();
    stage.guest(1, "ada");
    stage.says(1, r#"{"op":"send","room":"lobby","body":1}"#);
    let log = &stage.hall("lobby").room.log;
    let chunk = log.find(log.newest()).expect("it is kept");
    let is_made = |key| {
        let mut is_made = false;
        chunk.rendition(key, |_| {
            is_made = true;
            Rendition { bytes: bytes::Bytes::new(), ends: Box::default() }
        });
        is_made
    };
    assert!((0..100).all(is_made));
    assert!(!is_made(99), "the newest is kept");
    assert!(is_made(0), "all of them are kept");
}

#[test]
fn requests_that_look_at_every_room_are_let_in_a_few_at_a_time() {
    for line in [r#"{"op":"join","room":"*.x"}"#, r#"{"op":"leave","room":"*.x"}"#, r#"{"op":"rooms"}"#] {
        let mut input = BytesMut::from(format!("{}\n", repeated(line, 1_000)).as_bytes());
        let mut parcel = Parcel::new(ConnId(1));
        JsonDecoder::new(&TERMS).decode(&mut input, &mut parcel.intake);
        assert!(parcel.intake.asks.len() < 10, "{line}: {} at once", parcel.intake.asks.len());
    }
}

#[test]
fn nobody_uses_up_the_rooms_by_speaking_once_in_each_of_many() {
    let mut config = Config::default();
    config.limits.max_rooms = 3;
    let mut stage = Stage::with(config);
    stage.guest(1, "ada");
    stage.guest(2, "eve");
    stage.says(1, r#"{"op":"join","room":"lobby"}"#);
    stage.says(1, r#"{"op":"create","room":"made"}"#);
    for room in ["a", "b", "c", "d"] {
        let heard = stage.says(2, &format!(r#"{{"op":"send","room":"{room}","body":1,"id":1}}"#));
        assert!(heard.contains(r#""ev":"ok""#), "{heard}");
    }
    let heard = stage.says(1, r#"{"op":"rooms","id":1}"#);
    assert_eq!(heard.matches(r#""room":"#).count(), 3, "{heard}");
    assert!(heard.contains(r#""room":"lobby""#) && heard.contains(r#""room":"made""#), "{heard}");
    assert!(heard.contains(r#""room":"d""#), "the newest of the others: {heard}");
    let heard = stage.says(1, "{\"op\":\"join\",\"room\":\"d\",\"id\":2}\n{\"op\":\"join\",\"room\":\"e\",\"id\":3}");
    assert!(heard.contains("too_many_rooms"), "somebody is in each: {heard}");
}
