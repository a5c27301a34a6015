//! What the server has promised so far, and whether what it shows keeps it.
//!
//! Pure: takes facts that clients saw, and what was read after a restart. Says the first promise that is broken, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a key is surely remembered: less than the server's two minutes, for what a slow machine takes.
const KEYS: Duration = Duration::from_secs(90);

/// A room of the trial: its name, what it is and what it keeps.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keeps everything.
    Whole,
    /// Keeps so many messages.
    Messages(u64),
    /// Keeps so many bytes.
    Bytes(u64),
    /// Keeps the newest.
    Latest,
    /// Keeps what is not done.
    Queue,
}

/// The rooms.
pub const PLACES: [Place; 8] = [
    Place { name: "plain.a", kind: Kind::Whole },
    Place { name: "plain.b", kind: Kind::Whole },
    Place { name: "keep.few", kind: Kind::Messages(7) },
    Place { name: "keep.some", kind: Kind::Messages(60) },
    Place { name: "bytes.small", kind: Kind::Bytes(256 << 10) },
    Place { name: "bytes.large", kind: Kind::Bytes(8 << 20) },
    Place { name: "value", kind: Kind::Latest },
    Place { name: "work", kind: Kind::Queue },
];

/// What a client did or saw; rooms are numbers of [`PLACES`], messages are known by the number in their body.
#[derive(Clone, Debug)]
pub enum Fact {
    /// Sent with a key, so that it can be sent again; what became of it is not known yet.
    Keyed(usize, u64),
    /// Acknowledged, or shown, under this number of the room.
    Kept(usize, u64, u64),
    /// Asked to be blanked.
    BlankAsked(usize, u64),
    /// Blanked, it was said.
    Blanked(usize, u64),
    /// Work told to be done.
    DoneAsked(usize, u64),
    /// Work done, it was said.
    Done(usize, u64),
    /// A topic asked for.
    TopicAsked(usize, String),
    /// A topic set, it was said.
    Topic(usize, String),
    /// The room's numbering.
    Epoch(usize, String),
    /// Something that is never to be.
    Wrong(String),
}

/// A message as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in the room.
    pub seq: u64,
    /// The number in its body, and the connection that sent it; nothing where it was blanked.
    pub body: Option<(u64, u64)>,
    /// Its time.
    pub ts: u64,
}

/// What was read of a room.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its numbering.
    pub epoch: String,
    /// Its newest number.
    pub newest: u64,
    /// The messages, in the order in which they came.
    pub messages: Vec<Message>,
    /// The numbers that were said to be gone.
    pub gone: Option<(u64, u64)>,
}

/// A send whose key was given.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    /// The number in its body.
    pub body: u64,
    /// When.
    pub at: Instant,
}

/// What is promised of one room.
#[derive(Debug, Default)]
struct Account {
    epoch: Option<String>,
    /// Numbers in bodies by numbers of the room.
    kept: BTreeMap<u64, u64>,
    /// The other way round.
    places: BTreeMap<u64, u64>,
    blank_asked: BTreeSet<u64>,
    blanked: BTreeSet<u64>,
    done_asked: BTreeSet<u64>,
    done: BTreeSet<u64>,
    topic: String,
    topics_asked: Vec<String>,
    keyed: Vec<Keyed>,
    /// Sent once more, so that their order says nothing.
    again: BTreeSet<u64>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Ledger {
    rooms: [Account; PLACES.len()],
}

/// A broken promise, in words.
pub type Held = Result<(), String>;

macro_rules! hold {
    ($held:expr, $($words:tt)*) => {
        if !$held {
            return Err(format!($($words)*));
        }
    };
}

impl Ledger {
    /// Takes down what a client saw.
    pub fn learn(&mut self, fact: Fact) -> Held {
        match fact {
            Fact::Keyed(room, body) => self.rooms[room].keyed.push(Keyed { body, at: Instant::now() }),
            Fact::Kept(room, seq, body) => return self.rooms[room].keep(PLACES[room].name, seq, body),
            Fact::BlankAsked(room, seq) => drop(self.rooms[room].blank_asked.insert(seq)),
            Fact::Blanked(room, seq) => drop(self.rooms[room].blanked.insert(seq)),
            Fact::DoneAsked(room, seq) => drop(self.rooms[room].done_asked.insert(seq)),
            Fact::Done(room, seq) => drop(self.rooms[room].done.insert(seq)),
            Fact::TopicAsked(room, topic) => self.rooms[room].topics_asked.push(topic),
            Fact::Topic(room, topic) => {
                let asked = &mut self.rooms[room].topics_asked;
                let at = asked.iter().position(|other| *other == topic);
                asked.drain(..at.map_or(0, |at| at + 1));
                self.rooms[room].topic = topic;
            }
            Fact::Epoch(room, epoch) => return self.rooms[room].number(PLACES[room].name, &epoch),
            Fact::Wrong(words) => return Err(words),
        }
        Ok(())
    }

    /// Whether the room is known to hold something, so that it cannot be missing.
    pub fn is_there(&self, room: usize) -> bool {
        !self.rooms[room].kept.is_empty() || !self.rooms[room].done.is_empty()
    }

    /// A number of the room that may be read after.
    pub fn numbers(&self, room: usize) -> Option<(u64, u64, &str)> {
        let account = &self.rooms[room];
        let (first, last) = (account.kept.first_key_value()?.0, account.kept.last_key_value()?.0);
        Some((*first, *last, account.epoch.as_deref()?))
    }

    /// Holds what was read of a room with history against what was promised, and takes it for promised from now on.
    pub fn check_history(&mut self, room: usize, shown: &Shown) -> Held {
        let Place { name, kind } = PLACES[room];
        let account = &mut self.rooms[room];
        let oldest = shown.messages.first().map_or(shown.newest + 1, |message| message.seq);
        let count = shown.messages.len() as u64;
        hold!(
            oldest + count == shown.newest + 1,
            "{name}: {count} messages from {oldest} on, but the newest is {}",
            shown.newest
        );
        for (at, message) in (oldest..).zip(&shown.messages) {
            hold!(message.seq == at, "{name}: {} came in the place of {at}", message.seq);
        }
        if let Some((&last, body)) = account.kept.last_key_value() {
            hold!(last <= shown.newest, "{name}: {last} (body {body}) is lost; the newest is {}", shown.newest);
        }
        match kind {
            Kind::Whole => hold!(oldest == 1, "{name}: keeps everything, and begins at {oldest}"),
            Kind::Messages(keeps) => {
                hold!(count == keeps.min(shown.newest), "{name}: holds {count} of {}, keeps {keeps}", shown.newest);
            }
            Kind::Latest => hold!(count == shown.newest.min(1), "{name}: holds {count} values"),
            Kind::Bytes(_) | Kind::Queue => {}
        }
        let gone = (oldest > 1).then_some((1, oldest - 1));
        hold!(
            shown.gone == gone || kind == Kind::Latest,
            "{name}: said {:?} to be gone, and it is {gone:?}",
            shown.gone
        );
        account.number(name, &shown.epoch)?;
        account.check_messages(name, &shown.messages)?;
        account.kept = account.kept.split_off(&oldest);
        for message in &shown.messages {
            match message.body {
                Some((body, _)) => account.keep(name, message.seq, body)?,
                None => drop(account.blanked.insert(message.seq)),
            }
        }
        Ok(())
    }

    /// Holds a stretch that was read in another way against what is promised.
    pub fn check_stretch(&mut self, room: usize, after: u64, shown: &Shown) -> Held {
        let name = PLACES[room].name;
        self.rooms[room].number(name, &shown.epoch)?;
        let first = shown.gone.map_or(after, |(_, last)| last) + 1;
        let numbers = shown.messages.iter().map(|message| message.seq);
        hold!(numbers.eq(first..=shown.newest), "{name}: a replay after {after} is not {first} to {}", shown.newest);
        self.rooms[room].check_messages(name, &shown.messages)
    }

    /// Holds what a queue gave out, in the order in which it came, against what is still to be done.
    pub fn check_queue(&mut self, room: usize, given: &[(u64, u64)], sentinel: u64) -> Held {
        let name = PLACES[room].name;
        let account = &mut self.rooms[room];
        let mut last = 0;
        for &(seq, body) in given {
            hold!(seq > last, "{name}: {seq} was given out after {last}");
            hold!(!account.done.contains(&seq), "{name}: {seq} (body {body}) was done, and comes again");
            last = seq;
        }
        hold!(last < sentinel, "{name}: {sentinel} was numbered after {last}");
        let given: BTreeMap<u64, u64> = given.iter().copied().collect();
        for (seq, body) in &account.kept {
            if account.done.contains(seq) {
                continue;
            }
            hold!(*seq < sentinel, "{name}: {seq} (body {body}) is lost; the next number was {sentinel}");
            if !given.contains_key(seq) {
                hold!(account.done_asked.contains(seq), "{name}: {seq} (body {body}) does not come, and was not done");
                account.done.insert(*seq);
            }
        }
        // What was given out once more was not done.
        account.done_asked.clear();
        for (seq, body) in given {
            account.keep(name, seq, body)?;
        }
        Ok(())
    }

    /// Holds a room's topic against the last one that was set.
    pub fn check_topic(&mut self, room: usize, topic: &str) -> Held {
        let account = &mut self.rooms[room];
        let may_be = account.topic == topic || account.topics_asked.iter().any(|asked| asked == topic);
        hold!(may_be, "{}: its topic is {topic:?}, was {:?}", PLACES[room].name, account.topic);
        account.topics_asked.clear();
        topic.clone_into(&mut account.topic);
        Ok(())
    }

    /// The sends with keys, to be repeated once; those that are too old are left out.
    pub fn keyed(&mut self, room: usize) -> Vec<Keyed> {
        let account = &mut self.rooms[room];
        let keyed = std::mem::take(&mut account.keyed);
        // A message that is blanked loses its key.
        let is_blank = |body: &u64| account.places.get(body).is_some_and(|seq| account.blank_asked.contains(seq));
        keyed.into_iter().filter(|keyed| keyed.at.elapsed() < KEYS && !is_blank(&keyed.body)).collect()
    }

    /// Holds the answer to a repeated send against what was known of the first one.
    pub fn check_repeat(&mut self, room: usize, body: u64, seq: u64, is_dup: bool) -> Held {
        let account = &mut self.rooms[room];
        let name = PLACES[room].name;
        match account.places.get(&body) {
            Some(first) => {
                hold!(
                    is_dup && seq == *first,
                    "{name}: body {body} was {first}, and its repeat is {seq}, dup {is_dup}"
                );
            }
            // A queue or a room of one value may have let the first one go unseen.
            None if is_dup => {}
            None => {
                account.again.insert(body);
                return account.keep(name, seq, body);
            }
        }
        Ok(())
    }
}

impl Account {
    fn number(&mut self, name: &str, epoch: &str) -> Held {
        // Until there is a message the numbering may be another one after a restart.
        if self.kept.is_empty() && self.done.is_empty() {
            self.epoch = Some(epoch.to_owned());
        }
        let known = self.epoch.get_or_insert_with(|| epoch.to_owned());
        hold!(known == epoch, "{name}: its epoch was {known} and is {epoch}");
        Ok(())
    }

    fn keep(&mut self, name: &str, seq: u64, body: u64) -> Held {
        let other = *self.kept.entry(seq).or_insert(body);
        hold!(other == body, "{name}: {seq} is body {other} and body {body}");
        let place = *self.places.entry(body).or_insert(seq);
        hold!(place == seq, "{name}: body {body} is {place} and {seq}");
        Ok(())
    }

    fn check_messages(&self, name: &str, messages: &[Message]) -> Held {
        let mut newest_of = BTreeMap::new();
        let mut ts = 0;
        for message in messages {
            let seq = message.seq;
            hold!(message.ts >= ts, "{name}: {seq} is older than the one before it");
            ts = message.ts;
            let Some((body, sender)) = message.body else {
                hold!(self.blank_asked.contains(&seq), "{name}: {seq} is blank, and nobody asked for that");
                continue;
            };
            hold!(!self.blanked.contains(&seq), "{name}: {seq} was blanked, and is there again");
            if let Some(known) = self.kept.get(&seq) {
                hold!(*known == body, "{name}: {seq} was body {known} and is body {body}");
            }
            if let Some(place) = self.places.get(&body) {
                hold!(*place == seq, "{name}: body {body} was {place} and is {seq}");
            }
            if !self.again.contains(&body) {
                let last = newest_of.insert(sender, body).unwrap_or(0);
                hold!(last < body, "{name}: {seq} has body {body} behind body {last} of one connection");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bodies: &[u64]) -> Shown {
        let messages: Vec<_> =
            (1..).zip(bodies).map(|(seq, &body)| Message { seq, body: Some((body, 1)), ts: 5 }).collect();
        Shown { epoch: "e".into(), newest: bodies.len() as u64, messages, gone: None }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for fact in [Fact::Epoch(0, "e".into()), Fact::Kept(0, 1, 10), Fact::Kept(0, 2, 20)] {
            ledger.learn(fact).expect("nothing is promised yet");
        }
        ledger
    }

    #[test]
    fn what_was_promised_and_more_is_fine_and_promised_from_then_on() {
        let mut ledger = ledger();
        assert_eq!(ledger.check_history(0, &shown(&[10, 20, 30])), Ok(()));
        assert!(ledger.check_history(0, &shown(&[10, 20])).is_err());
    }

    #[test]
    fn a_loss_a_change_a_repeat_a_hole_and_a_wrong_order_are_found() {
        for bodies in [&[10][..], &[], &[10, 21], &[20, 10], &[10, 20, 10], &[10, 20, 19]] {
            assert!(ledger().check_history(0, &shown(bodies)).is_err(), "{bodies:?}");
        }
        let mut holed = shown(&[10, 20, 30, 40]);
        holed.messages.remove(2);
        assert!(ledger().check_history(0, &holed).is_err());
        let mut renamed = shown(&[10, 20]);
        renamed.epoch = "f".into();
        assert!(ledger().check_history(0, &renamed).is_err());
        let mut trimmed = shown(&[10, 20]);
        (trimmed.messages, trimmed.gone) = (trimmed.messages.split_off(1), Some((1, 1)));
        assert!(ledger().check_history(0, &trimmed).is_err());
    }

    #[test]
    fn a_message_is_blank_only_where_that_was_asked_and_stays_so() {
        let mut blank = shown(&[10, 20]);
        blank.messages[0].body = None;
        assert!(ledger().check_history(0, &blank).is_err());
        let mut asked = ledger();
        asked.learn(Fact::BlankAsked(0, 1)).expect("asking breaks nothing");
        assert_eq!(asked.check_history(0, &blank), Ok(()));
        assert!(asked.check_history(0, &shown(&[10, 20])).is_err());
    }

    #[test]
    fn work_that_is_not_done_comes_again_and_work_that_is_does_not() {
        let queue = PLACES.len() - 1;
        let mut ledger = Ledger::default();
        for fact in [Fact::Kept(queue, 1, 10), Fact::Kept(queue, 2, 20), Fact::Kept(queue, 3, 30)] {
            ledger.learn(fact).expect("nothing is promised yet");
        }
        ledger.learn(Fact::Done(queue, 1)).expect("it was there");
        ledger.learn(Fact::DoneAsked(queue, 2)).expect("it was there");
        assert!(ledger.check_queue(queue, &[(1, 10), (2, 20), (3, 30)], 4).is_err(), "1 was done");
        assert!(ledger.check_queue(queue, &[(2, 20)], 4).is_err(), "3 was not");
        assert_eq!(ledger.check_queue(queue, &[(3, 30)], 4), Ok(()));
        assert!(ledger.check_queue(queue, &[(2, 20), (3, 30)], 5).is_err(), "2 was seen to be done");
    }

    #[test]
    fn a_repeat_with_a_key_finds_the_first_one() {
        assert_eq!(ledger().check_repeat(0, 10, 1, true), Ok(()));
        assert!(ledger().check_repeat(0, 10, 3, false).is_err());
        assert!(ledger().check_repeat(0, 10, 2, true).is_err());
        assert_eq!(ledger().check_repeat(0, 30, 3, false), Ok(()));
    }

    #[test]
    fn a_topic_is_the_last_one_set_or_one_asked_for_since() {
        let mut ledger = Ledger::default();
        for topic in ["a", "b", "c"] {
            ledger.learn(Fact::TopicAsked(0, topic.into())).expect("asking breaks nothing");
        }
        ledger.learn(Fact::Topic(0, "b".into())).expect("it was asked for");
        assert!(ledger.check_topic(0, "a").is_err());
        assert_eq!(ledger.check_topic(0, "c"), Ok(()));
        assert!(ledger.check_topic(0, "b").is_err());
    }
}
