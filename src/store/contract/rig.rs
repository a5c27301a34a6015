//! An engine under test, and the calls that make a case short.
//!
//! Everything waits for events, under one deadline. Nothing here decides what is right.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::model::{ConnId, Epoch, Identity, Nick, Place, RoomName, Sender, Seq};
use crate::store::sqlite::tests::Files;
use crate::store::{
    Boot, Committed, Contents, Double, Event, Found, GroupDraft, Hits, Pos, Query, Record, Retention, RoomKey, Scope,
    Searched, Store, Stretch, Ticket, Unsearchable, Words, Write,
};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A kind of engine, with what outlives one opening of it.
pub(in crate::store) trait Engine {
    /// Opens it on what an earlier opening left.
    fn open(&mut self, boot: Boot, keys_age: Duration) -> Running;

    /// Ends one opening of it.
    fn close(&mut self, running: Running);

    /// Where it keeps its files, where it has some.
    fn files(&self) -> &Files;
}

/// An engine that is open.
pub(in crate::store) struct Running {
    pub(in crate::store) store: Arc<dyn Store>,
    pub(in crate::store) events: mpsc::Receiver<Event>,
    pub(in crate::store) contents: Contents,
    /// The double does nothing by itself.
    pub(in crate::store) double: Option<Arc<Double>>,
}

/// An engine with a caller.
pub(in crate::store) struct Rig<'a> {
    engine: &'a mut dyn Engine,
    running: Option<Running>,
    runtime: Runtime,
    tickets: u64,
    pub(in crate::store) boot: Boot,
    keys_age: Duration,
}

impl<'a> Rig<'a> {
    pub(in crate::store) fn new(engine: &'a mut dyn Engine) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let keys_age = Duration::from_secs(120);
        let mut rig = Self { engine, running: None, runtime, tickets: 0, boot: Boot(0), keys_age };
        rig.reopen();
        rig
    }

    /// Closes it and opens it again, as another life of the server.
    pub(in crate::store) fn reopen(&mut self) {
        if let Some(running) = self.running.take() {
            self.engine.close(running);
        }
        self.boot = Boot(self.boot.0 + 1);
        self.running = Some(self.engine.open(self.boot, self.keys_age));
    }

    pub(in crate::store) fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it is open")
    }

    /// Where its files are.
    pub(in crate::store) fn files(&self) -> &Files {
        self.engine.files()
    }

    /// What is running, to be ended otherwise.
    pub(in crate::store) fn stop(&mut self) -> Running {
        self.running.take().expect("it is open")
    }

    pub(in crate::store) fn contents(&mut self) -> &Contents {
        let running = self.running();
        if let Some(double) = &running.double {
            running.contents = double.contents();
        }
        &self.running().contents
    }

    /// The next event.
    pub(in crate::store) fn event(&mut self) -> Event {
        let running = self.running.as_mut().expect("it is open");
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            // The double is told again and again, since it has no clock.
            let mut patience = DEADLINE;
            if let Some(double) = &running.double {
                patience = Duration::from_millis(20);
                if running.events.is_empty() {
                    double.commit_all();
                    double.answer_reads();
                    double.tick();
                }
            }
            let next = async { tokio::time::timeout(patience, running.events.recv()).await };
            if let Ok(event) = self.runtime.block_on(next) {
                return event.expect("the engine runs");
            }
        }
        panic!("no event came in time")
    }

    /// The next event that is one of those wanted; others are passed over.
    pub(in crate::store) fn wait_for<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.event()) {
                return found;
            }
        }
    }

    pub(in crate::store) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Gives a batch in.
    pub(in crate::store) fn write(&mut self, batch: Vec<Write>) {
        self.running().store.write(batch).expect("it is taken");
    }

    /// Writes one thing and waits until it is done.
    pub(in crate::store) fn done(&mut self, write: impl FnOnce(Ticket) -> Write) {
        let ticket = self.ticket();
        self.write(vec![write(ticket)]);
        self.wait_for(|event| match event {
            Event::Done(done) => (done == ticket).then_some(()),
            _ => None,
        });
    }

    /// An append that is not given in yet.
    pub(in crate::store) fn append(&mut self, room: &RoomKey, keep: Retention, said: &[Said]) -> (Ticket, Write) {
        let ticket = self.ticket();
        let group = Arc::new(group(self.boot, said));
        let epoch = Epoch(format!("e{}", ticket.0).into());
        (ticket, Write::Append { ticket, room: room.clone(), epoch, keep, group })
    }

    /// Appends and waits for the commit.
    pub(in crate::store) fn say(&mut self, room: &RoomKey, keep: Retention, said: &[Said]) -> Committed {
        let (ticket, write) = self.append(room, keep, said);
        self.write(vec![write]);
        self.committed(ticket)
    }

    /// Appends as many messages as there are words.
    pub(in crate::store) fn says(&mut self, room: &RoomKey, words: &str) -> Committed {
        let said: Vec<_> = words.split_whitespace().map(|word| told(word, now())).collect();
        self.say(room, Retention::default(), &said)
    }

    pub(in crate::store) fn committed(&mut self, ticket: Ticket) -> Committed {
        self.wait_for(|event| match event {
            Event::Committed(committed) => (committed.ticket == Some(ticket)).then_some(committed),
            _ => None,
        })
    }

    /// Reads and waits for what is found.
    pub(in crate::store) fn read(&mut self, stretch: Stretch) -> Found {
        let ticket = self.ticket();
        self.running().store.read(ticket, stretch).expect("it is taken");
        let answer = self.wait_for(|event| match event {
            Event::Read(read, answer) => (read == ticket).then_some(answer),
            _ => None,
        });
        answer.expect("it can be read")
    }

    /// Has rooms searched.
    pub(in crate::store) fn searches(&mut self, rooms: impl Fn(&RoomKey) -> bool + Send + Sync + 'static) {
        self.running().store.index(Searched(Arc::new(rooms)));
    }

    /// Searches and waits for what is found, again as long as there is no index.
    pub(in crate::store) fn search(&mut self, query: &Query) -> Hits {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            match self.try_search(query.clone()) {
                Err(Unsearchable::Building) => {}
                found => return found.expect("it can be searched"),
            }
        }
        panic!("no index came in time")
    }

    /// Searches once.
    pub(in crate::store) fn try_search(&mut self, query: Query) -> Result<Hits, Unsearchable> {
        let ticket = self.ticket();
        self.running().store.search(ticket, query).expect("it is taken");
        self.wait_for(|event| match event {
            Event::Found(found, answer) => (found == ticket).then_some(answer),
            _ => None,
        })
    }

    /// What all rooms have of some words.
    pub(in crate::store) fn finds(&mut self, words: &str) -> Hits {
        self.search(&query(words))
    }

    /// All that a room holds, as numbers and words.
    pub(in crate::store) fn all(&mut self, room: &RoomKey) -> Vec<(u64, String)> {
        words(&self.read(everything(room)))
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.engine.close(running);
        }
    }
}

/// A message to be appended.
#[derive(Clone, Debug)]
pub(in crate::store) struct Said {
    pub(in crate::store) word: String,
    pub(in crate::store) ts: u64,
    pub(in crate::store) key: Option<u128>,
}

/// Something said at a time.
pub(in crate::store) fn told(word: impl Debug, ts: u64) -> Said {
    let word = format!("{word:?}").trim_matches('"').to_owned();
    Said { word, ts, key: None }
}

/// Messages of one guest.
pub(in crate::store) fn group(boot: Boot, said: &[Said]) -> crate::store::Group {
    let nick = Arc::new(Nick::parse("ada").expect("a nick"));
    let sender = Arc::new(Sender { conn: ConnId(3), identity: Identity::Guest(9), nick, account: None });
    let mut draft = GroupDraft::new(boot);
    for Said { word, ts, key } in said {
        let body = format!("\"{word}\"");
        let (sender, body) = (Arc::clone(&sender), body.as_bytes());
        draft.push(&Record { sender, to: None, ts: *ts, headers: None, body, key: *key, redacted: false });
    }
    draft.seal()
}

pub(in crate::store) fn room(name: &str) -> RoomKey {
    RoomKey(name.into())
}

/// The stretch of everything, oldest first.
pub(in crate::store) fn everything(room: &RoomKey) -> Stretch {
    Stretch {
        room: room.clone(),
        place: Place::Room(Arc::new(RoomName::parse(&room.0).expect("a name"))),
        first: Seq(1),
        end: Seq(1 << 40),
        after: Pos(0),
        since: 0,
        until: u64::MAX,
        is_forward: true,
        count: usize::MAX,
        bytes: usize::MAX,
    }
}

/// A search for words in all rooms.
pub(in crate::store) fn query(words: &str) -> Query {
    let words = Words::of_query(words).expect("words");
    Query { words, scope: Scope::AllBut(HashSet::new()), until: u64::MAX, count: 1_000, bytes: usize::MAX }
}

/// What was found, as numbers and words; a redacted one is `-`.
pub(in crate::store) fn words(found: &Found) -> Vec<(u64, String)> {
    let messages = found.chunks.iter().flat_map(|chunk| chunk.messages(0..chunk.lines().len()));
    let word = |body: &str| body.trim_matches('"').to_owned();
    messages.map(|message| (message.seq.0, if message.redacted { "-".into() } else { word(message.body) })).collect()
}

/// Unix milliseconds.
pub(in crate::store) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}
